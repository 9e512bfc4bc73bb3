//! What a repository only points to, or a checkout does not show: submodules, Git LFS, sparse
//! patterns; and caches that are copied.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, SystemTime},
};

use super::{agent, git_in, plan, prompt, until_landed, until_main_is, worktree};
use crate::support::{Door, World};

/// Fetches submodules from beside the repository, as a plan's `setup`.
const FETCH: &str = "setup: 'git -c protocol.file.allow=always submodule update -q --init'";
/// Main and submodule say the same, or what the submodule has is not what main points to.
const MATCH: &str = "grep -qxf want.txt vendor/lib/one.txt && sh test.sh";
/// What `WEIGHTS` is to Git LFS.
const POINTER: &str = "version https://git-lfs.github.com/spec/v1\n\
    oid sha256:1b465fa6b6bcbc06a3199e3d2d8aec35d37494a712f888b6d5536684dd89d0f0\nsize 8\n";
const WEIGHTS: &str = "weights\n";

/// Gives the repository a submodule that says `one`.
fn with_submodule(world: &World) -> std::path::PathBuf {
    let lib = world.dir.path().join("lib");
    fs::create_dir(&lib).expect("writable");
    git_in(world, &lib, &["init", "-q", "-b", "main"]);
    commit_lib(world, &lib, "one");
    let url = lib.to_str().expect("UTF-8");
    let add = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", url, "vendor/lib"];
    world.git(&add);
    world.write("want.txt", "one\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "with a submodule"]);
    lib
}

fn commit_lib(world: &World, dir: &std::path::Path, text: &str) {
    fs::write(dir.join("one.txt"), format!("{text}\n")).expect("writable");
    git_in(world, dir, &["add", "-A"]);
    let by = ["-c", "user.name=Pat", "-c", "user.email=pat@example.org"];
    git_in(world, dir, &[by.as_slice(), &["commit", "-q", "-m", text]].concat());
}

/// What main has at a path, as `git ls-tree` shows it.
fn entry(world: &World, path: &str) -> String {
    world.git(&["ls-tree", "main", path])
}

/// A submission is told that worktrees have submodules empty unless setup fetches them. Setup runs
/// again, in the worktree and in the gate's checkout, when main comes to point to another commit:
/// no gate sees an older one.
#[test]
fn submodules_are_fetched_by_setup_and_again_when_main_points_elsewhere() {
    let mut world = World::new();
    let lib = with_submodule(&world);
    world.start();
    let door = Door::new(&world, "work");
    let run = agent(
        &world,
        "agent.sh",
        &format!(
            "echo x > $TASKD_LOOP.txt; rm -f bad; test $TASKD_ITERATION = 2 || {{ touch bad; {}; }}",
            door.sh()
        ),
    );
    let text = |name: &str, setup: &str| {
        plan(&format!("agent: {run}\nland: on-gate\n{setup}"), &[(name, "")])
            .replace("gate: sh test.sh", &format!("gate: '{MATCH}'"))
    };
    let check = |setup: &str| {
        let file = world.aside("checked.md", &text("one", setup));
        let ran = world.taskd(&["plan", "check", &file]);
        ran.out + &ran.err
    };
    let said = check("");
    assert!(
        said.contains("vendor/lib is a submodule: worktrees and gates have an empty"),
        "{said}"
    );
    assert!(said.contains("put `git submodule update --init` into `setup`"), "{said}");
    assert!(!check(FETCH).contains("is a submodule"));
    world.submit(&text("one", FETCH));
    door.reached();
    let dir = worktree(&world, "p1.one");
    assert_eq!(fs::read_to_string(dir.join("vendor/lib/one.txt")).expect("fetched"), "one\n");
    commit_lib(&world, &lib, "two");
    let own = world.repo.join("vendor/lib");
    git_in(&world, &own, &["-c", "protocol.file.allow=always", "pull", "-q", "--ff-only"]);
    world.write("want.txt", "two\n");
    world.git(&["commit", "-q", "-a", "-m", "the submodule moves"]);
    until_main_is(&world, &world.git(&["rev-parse", "main"]));
    let moved = entry(&world, "vendor/lib");
    door.open();
    until_landed(&world, "p1.one");
    assert_eq!(fs::read_to_string(dir.join("vendor/lib/one.txt")).expect("there"), "two\n");
    // The gate's checkout, which was set up for the older commit, is asked by the next plan.
    world.submit(&text("two", FETCH));
    door.reached();
    door.open();
    until_landed(&world, "p2.two");
    assert_eq!(entry(&world, "vendor/lib"), moved);
    assert_eq!(git_in(&world, &own, &["status", "--porcelain"]), "");
}

/// What an agent changes in a submodule cannot land: its gate is red and says so, the loop goes on,
/// and main points to where it did.
#[test]
fn changes_in_a_submodule_do_not_land() {
    let mut world = World::new();
    with_submodule(&world);
    let before = entry(&world, "vendor/lib");
    world.start();
    let by = "git -c user.name=A -c user.email=a@example.org";
    let run = agent(
        &world,
        "agent.sh",
        &format!(
            "if [ $TASKD_ITERATION = 1 ]; then\n\
             echo other > vendor/lib/one.txt; {by} -C vendor/lib commit -q -a -m other\n\
             git add vendor/lib\necho x > mine.txt\n\
             else git restore --staged vendor/lib; git submodule update -q --force; fi"
        ),
    );
    world.submit(&plan(&format!("agent: {run}\nland: on-gate\n{FETCH}"), &[("one", "")]));
    until_landed(&world, "p1.one");
    let told = prompt(&world, "p1.one", 2);
    assert!(told.contains("Changes in submodules cannot land from here: vendor/lib"), "{told}");
    assert_eq!(entry(&world, "vendor/lib"), before);
    assert_eq!(world.git(&["diff", "--name-only", "main^", "main"]), "mine.txt");
}

/// Files of Git LFS are their pointers in a worktree, and a submission is told so. Content that setup
/// has pulled is no change; content that an agent changed cannot land, and it is told.
#[test]
fn content_of_git_lfs_never_lands_in_place_of_a_pointer() {
    let mut world = World::new();
    world.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    world.write("model.bin", POINTER);
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a large file"]);
    let before = entry(&world, "model.bin");
    world.start();
    let pull = "printf \"weights\\n\" > model.bin";
    let run = agent(
        &world,
        "agent.sh",
        &format!(
            "cat model.bin > ../seen-$TASKD_ITERATION\n\
             if [ $TASKD_ITERATION = 1 ]; then echo worse > model.bin; echo x > mine.txt\n\
             else {pull}; fi"
        ),
    );
    let text = |setup: &str| {
        plan(&format!("agent: {run}\nland: on-gate\n{setup}"), &[("one", "")])
            .replace("gate: sh test.sh", "gate: 'grep -q w model.bin && sh test.sh'")
    };
    let setup = format!("setup: ': git lfs pull; {pull}'");
    let file = world.aside("checked.md", &text(""));
    let ran = world.taskd(&["plan", "check", &file]);
    let said = ran.out + &ran.err;
    assert!(said.contains(".gitattributes gives files to Git LFS: worktrees and gates"), "{said}");
    world.submit(&text(&setup));
    until_landed(&world, "p1.one");
    let seen = worktree(&world, "p1.one").with_file_name("seen-1");
    assert_eq!(fs::read_to_string(seen).expect("written"), WEIGHTS);
    let told = prompt(&world, "p1.one", 2);
    assert!(told.contains("Changed content of Git LFS cannot land from here: model.bin"), "{told}");
    assert_eq!(entry(&world, "model.bin"), before);
    assert_eq!(world.git(&["diff", "--name-only", "main^", "main"]), "mine.txt");
    let dir = worktree(&world, "p1.one");
    assert_eq!(fs::read_to_string(dir.join("model.bin")).expect("there"), WEIGHTS);
}

/// A sparse checkout follows a landing: files inside its patterns change, those outside are neither
/// written nor shown as deleted, and the patterns stay. Worktree and gate have all files.
#[test]
fn a_sparse_checkout_follows_within_its_patterns() {
    let mut world = World::new();
    world.write("src/in.txt", "in\n");
    world.write("docs/out.txt", "out\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "two directories"]);
    world.git(&["sparse-checkout", "set", "src"]);
    assert!(!world.repo.join("docs").exists(), "the premise");
    world.start();
    let run = agent(
        &world,
        "agent.sh",
        "test -f docs/out.txt; echo new > src/in.txt; echo new > docs/out.txt; echo x > docs/more.txt",
    );
    let text = plan(&format!("agent: {run}\nland: on-gate\ntarget: main"), &[("one", "")]);
    world.submit(&text.replace("gate: sh test.sh", "gate: 'test -f docs/out.txt && sh test.sh'"));
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "HEAD"]), landed);
    assert_eq!(fs::read_to_string(world.repo.join("src/in.txt")).expect("followed"), "new\n");
    assert!(!world.repo.join("docs").exists());
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert_eq!(world.git(&["ls-files", "-t", "docs"]), "S docs/more.txt\nS docs/out.txt");
    assert_eq!(world.git(&["sparse-checkout", "list"]), "src");
    assert_eq!(world.git(&["show", "main:docs/out.txt"]), "new");
}

/// Proves W-30: a directory of a build cache that `.worktreeinclude` names is copied whole, with the
/// times of its files, for a loop and for a gate, and none of it lands.
#[test]
fn a_build_cache_is_copied_with_its_times() {
    let mut world = World::new();
    world.write(".gitignore", "target/\n");
    world.write(".worktreeinclude", "target/\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a cache"]);
    // More files than a person names one by one.
    for n in 0..1_500 {
        world.write(&format!("target/deps/{n}.o"), &format!("object {n}\n"));
    }
    let old = SystemTime::now() - Duration::from_secs(86_400);
    let file = world.repo.join("target/deps/7.o");
    fs::File::options().write(true).open(&file).expect("ours").set_modified(old).expect("ours");
    fs::set_permissions(world.repo.join("target/deps/8.o"), fs::Permissions::from_mode(0o444))
        .expect("ours");
    let run = agent(&world, "agent.sh", "ls target/deps | wc -l > count.txt");
    world.start();
    let text = plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]);
    let gate = "gate: 'test $(ls target/deps | wc -l) = 1500 && sh test.sh'";
    world.submit(&text.replace("gate: sh test.sh", gate));
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:count.txt"]).trim(), "1500");
    let copy = worktree(&world, "p1.one").join("target/deps/7.o");
    let time = |path: &std::path::Path| fs::metadata(path).expect("there").modified().expect("one");
    assert_eq!(time(&copy), time(&file));
    assert_eq!(world.git(&["diff", "--name-only", "main^", "main"]), "count.txt");
}
