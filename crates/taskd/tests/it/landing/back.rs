//! Going back: a loop to an earlier state of its work, and a landing off its target again.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
};

use taskd_model::Status;

use super::{agent, plan, prompt, until_landed, until_loop, until_ready, worktree};
use crate::support::{Door, World};

/// Every file below a directory but git's own: whether it can be executed, and what is in it, or
/// where it points.
fn files(root: &Path) -> BTreeMap<PathBuf, (bool, Vec<u8>)> {
    fn walk(dir: &Path, root: &Path, found: &mut BTreeMap<PathBuf, (bool, Vec<u8>)>) {
        for entry in fs::read_dir(dir).expect("readable") {
            let path = entry.expect("readable").path();
            let meta = fs::symlink_metadata(&path).expect("there");
            if path.file_name().is_some_and(|it| it == ".git") {
                continue;
            }
            if meta.is_dir() {
                walk(&path, root, found);
                continue;
            }
            let (runs, content) = if meta.is_symlink() {
                let to: OsString = fs::read_link(&path).expect("a link").into();
                (true, [b"-> ", to.as_bytes()].concat())
            } else {
                let runs = meta.permissions().mode() & 0o111 != 0;
                (runs, fs::read(&path).expect("readable"))
            };
            found.insert(path.strip_prefix(root).expect("below").to_owned(), (runs, content));
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// An agent that copies what it finds and what it leaves, and changes everything there is to
/// change twice; from the third iteration on it stands at the door and then only mends.
fn thorough(world: &World, door: &Door) -> String {
    commit(world, "tool.sh");
    let dir = world.dir.path().display();
    let body = format!(
        "cp -a . {dir}/found-$TASKD_ITERATION
         case $TASKD_ITERATION in
         1) rm a.txt; chmod +x tool.sh; ln -s tool.sh link; mkdir d; echo 1 > d/deep
            printf x > \"$(printf 'caf\\351\\n.bin')\"; echo x > bad.txt ;;
         2) rm bad.txt link; echo b > a.txt; chmod -x tool.sh; rm -r d; echo 2 > d; echo l > link ;;
         *) {}; rm -f bad.txt; echo $TASKD_ITERATION > mended.txt ;;
         esac
         cp -a . {dir}/left-$TASKD_ITERATION",
        door.sh()
    );
    agent(world, "thorough.sh", &body)
}

/// A person commits a file when nobody watches any more: no plan is open.
fn commit(world: &World, file: &str) -> String {
    world.write(file, "x\n");
    world.git(&["add", file]);
    world.git(&["commit", "-q", "-m", file]);
    world.git(&["rev-parse", "HEAD"])
}

/// Events of this kind.
fn count(world: &World, kind: &str) -> usize {
    world.events().iter().filter(|it| it.event.kind() == kind).count()
}

/// Proves S-1.4.6: sent back to the end of iteration 1, a loop whose work has passed holds exactly
/// the files of then: deleted ones, modes, links, files nobody tracks, names that are no UTF-8. A
/// dry run changes nothing, the log has the event, the answer lists what stays done outside, the
/// next prompt says why, main has not moved, and the later work can be written out again.
#[test]
fn a_rewind_is_exact_and_loses_nothing() {
    let mut world = World::new();
    let door = Door::new(&world, "third");
    let run = thorough(&world, &door);
    world.start();
    let main = world.git(&["rev-parse", "main"]);
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", "")]));
    until_ready(&world, "p1.one");
    let left = |n: u32| files(&world.dir.path().join(format!("left-{n}")));
    assert_ne!(left(1), left(2));
    let table = world.taskd(&["checkpoints", "p1.one"]).ok();
    for row in ["agent; gate red", "agent; gate green  <- is here"] {
        assert!(table.contains(row), "{row} in\n{table}");
    }
    let patch = world.taskd(&["diff", "p1.one", "--from", "i1", "--to", "i2", "--stat"]).ok();
    assert!(patch.contains("D bad.txt") && !patch.contains("mended"), "{patch}");

    let dry = world.taskd(&["rewind", "p1.one", "--to", "i1", "--dry-run"]).ok();
    assert!(dry.contains("would go back to") && dry.contains("a run of its agent"), "{dry}");
    assert_eq!((count(&world, "rewound"), files(&worktree(&world, "p1.one"))), (0, left(2)));
    world.taskd(&["rewind", "p1.one", "--to", "i7"]).fails(5);
    let said = world.taskd(&["rewind", "p1.one", "--to", "i1", "-m", "the link is needed"]).ok();
    assert!(said.contains("goes back to checkpoint 1") && said.contains("a run of"), "{said}");

    door.reached();
    assert_eq!(files(&world.dir.path().join("found-3")), left(1));
    assert!(prompt(&world, "p1.one", 3).contains("They say: the link is needed"));
    assert_eq!(count(&world, "rewound"), 1);
    assert_eq!(world.git(&["rev-parse", "main"]), main);
    let kept = world.taskd(&["salvage", "ls", "p1.one"]).ok();
    let name = kept
        .lines()
        .find_map(|it| it.split_whitespace().next().filter(|it| it.contains("/before-rewind/")));
    let name = name.unwrap_or_else(|| panic!("{kept}"));
    let to = world.dir.path().join("written-out");
    let to = to.to_str().expect("UTF-8");
    world.taskd(&["salvage", "restore", name, "--to", to]).ok();
    assert_eq!(files(Path::new(to)), left(2));
    world.taskd(&["salvage", "restore", name, "--to", "."]).fails(2);

    door.open();
    until_loop(&world, "p1.one", "to ask again", |it| {
        it.iteration == 3 && it.approval_asked.is_some() && it.integrated.is_some()
    });
    world.taskd(&["land", "p1.one"]).ok();
    until_landed(&world, "p1.one");
    let link = world.git(&["ls-tree", "main", "link", "tool.sh"]);
    assert!(link.contains("120000 blob") && link.contains("100755 blob"), "{link}");
    world.taskd(&["rewind", "p1.one", "--to", "1"]).fails(1);
}

/// A loop at work is ended and sent back to its base; killed right after the answer and again when it
/// was about to set the files, the daemon does it all the same, once.
#[test]
fn a_rewind_survives_being_killed() {
    let mut world = World::new();
    let door = Door::new(&world, "any");
    let dir = world.dir.path().display().to_string();
    let body = format!(
        "cp -a . {dir}/found-$TASKD_ITERATION; echo half > half.txt; {}; echo x > mine.txt",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", "")]));
    door.reached();
    let base = files(&world.dir.path().join("found-1"));
    world.taskd(&["rewind", "p1.one", "--to", "base"]).ok();
    world.kill();
    world.env.insert("TASKD_FAULT".to_owned(), "kill:prepare worktree:p1.one".to_owned());
    assert_ne!(world.taskd(&["daemon", "run"]).code, 0, "it kills itself");
    world.env.remove("TASKD_FAULT");
    world.start();
    door.reached();
    assert_eq!(files(&world.dir.path().join("found-2")), base, "{}", world.transcript());
    assert_eq!((world.row("p1.one").iteration, count(&world, "rewound")), (2, 1));
    let kept = world.taskd(&["salvage", "ls", "p1"]).ok();
    assert!(kept.contains("p1-one-1/"), "what it had begun is kept:\n{kept}");
    door.open();
    until_ready(&world, "p1.one");
}

/// A loop that has used all its iterations, or is paused, goes on from where it is sent: a person
/// asked for it.
#[test]
fn a_paused_loop_goes_on_where_it_is_sent() {
    let mut world = World::new();
    let door = Door::new(&world, "second");
    let body = format!(
        "echo $TASKD_ITERATION >> log.txt; [ $TASKD_ITERATION = 1 ] || {{ {}; }}; echo x > bad.txt",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nlimits: {{iterations: 2}}"), &[("one", "")]));
    door.reached();
    world.taskd(&["pause", "p1.one"]).ok();
    world.taskd(&["undo", "p1.one", "--iteration", "2"]).ok();
    door.reached();
    let it = world.row("p1.one");
    assert_eq!((it.iteration, it.max(), it.status), (3, 3, Status::Running));
    assert_eq!(fs::read_to_string(worktree(&world, "p1.one").join("log.txt")).unwrap(), "1\n3\n");
    door.open();
    world.until_status("p1.one", &[Status::Failed]);
    world.taskd(&["rewind", "p1.one", "--to", "1"]).fails(1);
}

/// Proves PR-13: what landed comes off main by a commit that reverts it and was gated; then main is
/// what it was before, the person's clean checkout has followed, and every view says so. A dry run
/// changes nothing, a daemon that is killed on the way does it once, and a second undo is refused.
#[test]
fn an_undo_leaves_the_tree_as_it_was() {
    let mut world = World::new();
    commit(&world, "tool.sh");
    let run = agent(&world, "agent.sh", "echo x > mine.txt; rm a.txt; chmod +x tool.sh");
    let before = world.git(&["rev-parse", "main^{tree}"]);
    world.start();
    let accept = [("one", "accept: test -f mine.txt")];
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &accept));
    let landed = until_landed(&world, "p1.one");
    let dry = world.taskd(&["undo", "p1.one", "--dry-run"]).ok();
    assert!(dry.contains("would come off main") && dry.contains("D mine.txt"), "{dry}");
    assert_eq!(world.git(&["rev-parse", "main"]), landed);
    world.stop();

    world.env.insert("TASKD_FAULT".to_owned(), "kill:publish:p1.one".to_owned());
    world.start();
    world.taskd(&["undo", "p1.one"]).ok();
    world.daemon.take().expect("it was started").wait().expect("it kills itself");
    world.env.remove("TASKD_FAULT");
    world.start_with(&["--resume"]);
    let it = until_loop(&world, "p1.one", "to be undone", |it| it.undone.is_some());
    let by = it.undone.expect("just seen").commit;
    assert_eq!(world.git(&["rev-parse", "main"]), by.to_string(), "{}", world.transcript());
    assert_eq!(world.git(&["rev-parse", "main^{tree}"]), before);
    assert_eq!(world.git(&["rev-parse", "main^"]), landed);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert!(world.repo.join("a.txt").exists() && !world.repo.join("mine.txt").exists());
    let message = world.git(&["log", "-1", "--format=%B", "main"]);
    assert!(message.contains(&format!("This reverts commit {landed}.")), "{message}");
    assert!(message.contains("Taskd-Undoes: p1.one"), "{message}");
    let show = world.taskd(&["show", "p1.one"]).ok();
    assert!(show.contains(&format!("undone    by {}", by.short())), "{show}");
    assert!(world.taskd(&["ls", "-a"]).ok().contains(&format!("undone by {}", by.short())));
    let again = world.taskd(&["undo", "p1.one"]).fails(1);
    assert!(again.contains("undone already"), "{again}");
}

/// What later commits have built on does not come off by itself: refused with the files, or by the
/// gate, and main stays.
#[test]
fn an_undo_that_others_need_is_refused() {
    let mut world = World::new();
    world.write("test.sh", "[ ! -f needs.txt ] || [ -f mine.txt ]\n");
    world.git(&["commit", "-qam", "gate"]);
    let run = agent(&world, "agent.sh", "echo $TASKD_LOOP >> mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", ""), ("two", "needs: one")]));
    until_ready(&world, "p1.two");
    let early = world.taskd(&["undo", "p1.one"]).fails(1);
    assert!(early.contains("has not landed"), "{early}");
    world.taskd(&["land", "p1"]).ok();
    until_landed(&world, "p1.two");
    let tip = world.git(&["rev-parse", "main"]);
    let refused = world.taskd(&["undo", "p1.one"]).fails(1);
    assert!(refused.contains("later commits changed mine.txt"), "{refused}");
    assert_eq!(world.git(&["rev-parse", "main"]), tip);
    commit(&world, "b");
    world.taskd(&["undo", "p1.two"]).ok();
    until_loop(&world, "p1.two", "to be undone", |it| it.undone.is_some());
    let tip = commit(&world, "needs.txt");
    world.taskd(&["undo", "p1.one"]).ok();
    let it = until_loop(&world, "p1.one", "to stay", |it| it.trouble.is_some());
    let why = it.trouble.expect("just seen").message;
    assert_eq!(why, "not undone: the gate is red without it");
    assert_eq!(world.git(&["rev-parse", "main"]), tip);
}
