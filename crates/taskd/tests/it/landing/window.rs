//! The moment of landing in a checkout of the target: files, index and branch move as one. A git of
//! the person's in the middle of it is refused, and a kill in the middle of it is ended.
#![expect(clippy::disallowed_methods, reason = "a person runs git")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use taskd_model::Status;

use super::{
    agent,
    checkout::{files, which},
    line_of_main, plan, until_landed, until_loop,
};
use crate::support::{Door, World};

/// A daemon whose git stands still before and after it moves the files of the person's checkout.
struct Window {
    world: World,
    git: PathBuf,
    /// The locks are taken, and no file has moved.
    before: Door,
    /// All files have moved, and the branch has not.
    after: Door,
}

impl Window {
    fn new() -> Self {
        let mut world = World::new();
        world.write("gone.txt", "gone\n");
        world.git(&["add", "-A"]);
        world.git(&["commit", "-q", "-m", "second"]);
        world.git(&["branch", "side", "main^"]);
        let git = which(&world.env["PATH"], "git");
        let (before, after) = (Door::new(&world, "before"), Door::new(&world, "after"));
        let bin = world.dir.path().join("bin");
        fs::create_dir_all(&bin).expect("writable");
        let shim = format!(
            "#!/bin/sh\nfor word; do\n  case $word in read-tree|-n) what=$what$word;; esac\ndone\n\
             [ \"$2\" = {repo} ] && [ \"$what\" = read-tree ] && [ ! -e {dir}/through ] || exec {git} \"$@\"\n\
             {before}\n[ ! -e {dir}/die ] || exit 137\n{git} \"$@\"\ncode=$?\n{after}\nexit $code\n",
            repo = world.repo.display(),
            dir = world.dir.path().display(),
            git = git.display(),
            before = before.sh(),
            after = after.sh(),
        );
        fs::write(bin.join("git"), shim).expect("writable");
        fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).expect("ours");
        let path = format!("{}:{}", bin.display(), world.env["PATH"]);
        world.env.insert("PATH".to_owned(), path);
        Self { world, git, before, after }
    }

    /// Brings work of a loop to where its landing stands at the first door.
    fn lands(&mut self) {
        let body = "echo x > mine.txt\necho agent >> a.txt\nrm gone.txt\nmkdir -p deep\necho y > deep/y.txt";
        let run = agent(&self.world, "agent.sh", body);
        self.world.start();
        self.world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
        self.before.reached();
    }

    /// What the person's own git does.
    fn person(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.git);
        command.args(args).current_dir(&self.world.repo).env_clear().envs(&self.world.env);
        command.env("GIT_EDITOR", "true").output().expect("git is installed")
    }

    fn git_file(&self, name: &str) -> PathBuf {
        self.world.repo.join(".git").join(name)
    }

    /// Makes the next life land without standing anywhere.
    fn let_through(&self) {
        self.world.aside("through", "");
    }

    /// The work is on main once, and the checkout is there with it, beside what is the person's.
    #[track_caller]
    fn has_landed(&self) {
        let landed = until_landed(&self.world, "p1.one");
        assert_eq!(self.world.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
        assert_eq!(self.world.git(&["rev-parse", "HEAD"]), landed);
        assert_eq!(self.world.git(&["status", "--porcelain"]), "?? untracked.txt");
        assert_eq!(line_of_main(&self.world), ["one: Work on one", "second", "first"]);
        let text = fs::read_to_string(self.world.repo.join("a.txt")).expect("there");
        assert_eq!(text, "a\nagent\n");
        self.world.git(&["fsck", "--strict"]);
        assert_eq!(left_over(&self.world.repo), Vec::<PathBuf>::new());
    }
}

/// Files of ours, and locks of anybody's, in a git directory.
fn left_over(repo: &Path) -> Vec<PathBuf> {
    let all = files(&repo.join(".git"), &|name| name == "objects" || name == "worktrees");
    let ours = |it: &PathBuf| {
        let name = it.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".lock") || name.starts_with("taskd-")
    };
    all.into_keys().filter(ours).collect()
}

/// What people do with git; in the middle of a landing none of it does anything.
const ACTS: [&[&str]; 19] = [
    &["commit", "-q", "--allow-empty", "-m", "mine"],
    &["commit", "-q", "-a", "-m", "mine"],
    &["commit", "-q", "--amend", "--allow-empty", "--no-edit"],
    &["switch", "-q", "side"],
    &["switch", "-q", "-c", "made-by-switch"],
    &["checkout", "-q", "-b", "made-by-checkout"],
    &["checkout", "-q", "--detach"],
    &["symbolic-ref", "HEAD", "refs/heads/side"],
    &["reset", "-q", "--hard"],
    &["reset", "-q", "--hard", "side"],
    &["reset", "-q", "--soft", "side"],
    &["stash", "push", "-q", "--include-untracked"],
    &["merge", "-q", "side"],
    &["rebase", "-q", "side"],
    &["cherry-pick", "side"],
    &["branch", "-q", "-f", "main", "side"],
    &["branch", "-m", "main", "other"],
    &["update-ref", "refs/heads/main", "side"],
    &["add", "untracked.txt"],
];

/// Proves PE-20: while the files of a checkout of the target move with it, no git of the person's
/// can commit, switch, reset, stash, merge, rebase or move the target there: each gives up, and
/// neither takes what lands for the person's own nor puts the target back.
#[test]
fn a_git_of_the_persons_in_the_middle_of_landing_is_refused() {
    let mut window = Window::new();
    window.world.write("untracked.txt", "mine\n");
    window.lands();
    let main = fs::read(window.git_file("refs/heads/main")).expect("loose");
    for door in [&window.before, &window.after] {
        for act in ACTS {
            let said = window.person(act);
            let text = String::from_utf8_lossy(&said.stderr);
            // A merge with, or a rebase onto, what main contains already is nothing to do.
            let nothing = ["merge", "rebase"].contains(&act[0]);
            assert!(nothing || !said.status.success(), "git {act:?} went through: {text}");
            let head = fs::read_to_string(window.git_file("HEAD")).expect("readable");
            assert_eq!(head, "ref: refs/heads/main\n", "after git {act:?}");
            let now = fs::read(window.git_file("refs/heads/main")).expect("loose");
            assert!(now == main, "git {act:?} moved main");
            assert!(!window.git_file("refs/stash").exists(), "after git {act:?}");
            let untracked = fs::read_to_string(window.world.repo.join("untracked.txt"));
            assert_eq!(untracked.expect("kept"), "mine\n", "after git {act:?}");
        }
        door.open();
        if std::ptr::eq(door, &raw const window.before) {
            window.after.reached();
        }
    }
    window.has_landed();
    assert_eq!(window.world.git(&["diff", "--cached", "--name-only"]), "");
    // And afterwards everything goes as always.
    for act in [&["switch", "-q", "side"][..], &["switch", "-q", "main"]] {
        assert!(window.person(act).status.success(), "git {act:?}");
    }
}

/// Where a kill falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    /// The locks are taken; the git that was to move the files dies as well.
    Locked,
    /// The daemon dies alone: its git goes on beside the next life.
    Alone,
    /// Both die with files written, written in part, and removed.
    Files,
    /// All files have moved.
    BeforeRef,
    /// So has main.
    AfterRef,
    /// So has the index.
    AfterIndex,
}

impl Kill {
    fn strike(self, window: &mut Window) {
        if matches!(self, Self::BeforeRef | Self::AfterRef | Self::AfterIndex) {
            window.before.open();
            window.after.reached();
        }
        window.world.kill();
        let lock = fs::read_to_string(window.git_file("index.lock")).expect("the premise");
        let to = lock.lines().find_map(|it| it.strip_prefix("to ")).expect("it says so");
        match self {
            Self::Locked | Self::Files => {
                window.world.aside("die", "");
            }
            Self::Alone | Self::BeforeRef | Self::AfterRef | Self::AfterIndex => {}
        }
        if self == Self::Files {
            // As git does it: removals first, then file by file.
            fs::remove_file(window.world.repo.join("gone.txt")).expect("there");
            window.world.write("a.txt", "a\nag");
            window.world.write("deep/y.txt", "");
        }
        if matches!(self, Self::AfterRef | Self::AfterIndex) {
            fs::remove_file(window.git_file("refs/heads/main.lock")).expect("the premise");
            fs::write(window.git_file("refs/heads/main"), format!("{to}\n")).expect("writable");
        }
        if self == Self::AfterIndex {
            let draft = fs::read_dir(window.world.repo.join(".git")).expect("readable");
            let mut draft = draft.filter_map(|it| Some(it.ok()?.path()));
            let ours = |it: &PathBuf| {
                let name = it.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("taskd-") && name.ends_with("-index")
            };
            let draft = draft.find(ours).expect("the premise");
            fs::rename(draft, window.git_file("index")).expect("writable");
        }
        // The git of this life goes on, or is gone: both doors are open to it.
        window.before.open();
        window.after.open();
    }
}

/// Proves PE-21: a kill at any point of it, before the first file moves, in the middle of the
/// files, before main moves, after it, or after the index, is ended by the next start: the work lands
/// once, the checkout is clean, an untracked file of the person's is as it was, and no lock is left.
#[test]
fn a_kill_at_any_point_of_landing_is_ended_by_the_next_start() {
    let kills =
        [Kill::Locked, Kill::Alone, Kill::Files, Kill::BeforeRef, Kill::AfterRef, Kill::AfterIndex];
    for kill in kills {
        let mut window = Window::new();
        window.world.write("untracked.txt", "mine\n");
        window.lands();
        window.let_through();
        kill.strike(&mut window);
        window.world.start();
        window.has_landed();
        let row = window.world.row("p1.one");
        assert_eq!(row.status, Status::Complete, "{kill:?}");
    }
}

/// Proves PE-21: what the person changed after the kill stays, and holds landing like any other
/// change of theirs.
#[test]
fn what_the_person_did_after_a_kill_is_not_taken_for_ours() {
    let mut window = Window::new();
    window.lands();
    window.let_through();
    Kill::BeforeRef.strike(&mut window);
    window.world.write("a.txt", "mine\n");
    window.world.start();
    let it = until_loop(&window.world, "p1.one", "to be held", |it| it.held.is_some());
    assert!(it.held.expect("just seen").contains("a.txt"));
    assert_eq!(window.world.git(&["status", "--porcelain"]), " M a.txt");
    assert_eq!(fs::read_to_string(window.world.repo.join("a.txt")).expect("kept"), "mine\n");
    assert!(
        window.world.repo.join("gone.txt").exists() && !window.world.repo.join("deep").exists()
    );
    assert_eq!(left_over(&window.world.repo), Vec::<PathBuf>::new());
    window.world.git(&["checkout", "-q", "a.txt"]);
    window.world.write("untracked.txt", "mine\n");
    window.world.taskd(&["land", "p1"]).ok();
    window.has_landed();
}

/// Proves PE-20: a switch to the target that is on its way as the target moves, with the files of
/// before, ends with those of after.
#[test]
fn a_switch_to_the_target_that_began_before_it_moved_ends_on_it() {
    let mut world = World::new();
    let door = Door::new(&world, "slow");
    world.git(&["branch", "side"]);
    world.write("x.slow", "slow\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "slow"]);
    world.write(".git/info/attributes", "*.slow filter=slow\n");
    let slow = world.aside("slow.sh", &format!("{}\ncat\n", door.sh()));
    world.git(&["switch", "-q", "side"]);
    world.git(&["config", "filter.slow.smudge", &format!("sh {slow}")]);
    let old = world.git(&["rev-parse", "main"]);
    let go = Door::new(&world, "agent");
    let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n{}", go.sh()));
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate\ntarget: main"), &[("one", "")]));
    go.reached();
    let mut switch = Command::new("git");
    switch.args(["switch", "-q", "main"]).current_dir(&world.repo).env_clear().envs(&world.env);
    let mut switch = switch.spawn().expect("git is installed");
    door.reached();
    go.open();
    // The files of the old commit are being written; it moves beside them.
    while world.git(&["rev-parse", "main"]) == old {
        std::thread::yield_now();
    }
    door.open();
    assert!(switch.wait().expect("it ends").success());
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert_eq!(fs::read_to_string(world.repo.join("mine.txt")).expect("it followed"), "x\n");
}
