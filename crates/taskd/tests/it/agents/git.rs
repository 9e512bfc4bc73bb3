//! What agents do to git besides their files: kept, undone where it is theirs for certain, and told.

use taskd_model::{LoopView, Reason};

use super::{
    bad::{codes, ended, over, shown, work},
    *,
};
use crate::support::Door;

/// A plan of one spec for a program that is the world's `claude`.
#[track_caller]
fn comes_to(world: &mut World, script: &str) -> LoopView {
    program(
        world,
        "claude",
        &format!(
            "cat >/dev/null; echo '{{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s\"}}'\n{script}"
        ),
    );
    world.start();
    world.submit(&plan("claude", &["a"]));
    over(world)
}

fn question(it: &LoopView) -> &str {
    let Some(Reason::Stuck(why)) = &it.reason else { panic!("{:?}", it.reason) };
    why
}

/// Runs the first command of a text that begins so, up to its backtick.
#[track_caller]
fn follow(world: &World, text: &str, begins: &str) {
    let at = text.find(&format!("`{begins}")).unwrap_or_else(|| panic!("no {begins} in {text}"));
    let command = text[at + 1..].split('`').next().expect("closed");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    world.git(&words);
}

/// Proves P-4: an agent that commits, switches branches and stashes in its linked worktree has its
/// files judged as any other; its commits and its stash are kept under refs of the loop, its branch
/// and its stash are gone from the person's, and the next run begins where it should.
#[test]
fn commits_branches_and_stashes_of_an_agent_are_kept_and_gone() {
    let mut world = World::new();
    let script = "if [ $TASKD_ITERATION = 1 ]; then\n\
                  echo b >b.txt; git add -A; git commit -qm one; git switch -qc feature\n\
                  echo x >bad.txt; git add -A; git commit -qm two; echo d >d.txt; git stash -uq\n\
                  else rm bad.txt; git status --porcelain >s.txt; git rev-parse --abbrev-ref HEAD >>s.txt\n\
                  fi\nexit 0\n";
    let it = comes_to(&mut world, script);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let run = ended(&world).swap_remove(0).1;
    let told =
        [Code::AgentCommitted, Code::AgentMovedHead, Code::AgentStashed, Code::AgentMadeBranch];
    assert_eq!(codes(&run), told);
    assert_eq!(world.git(&["branch", "--format=%(refname:short)"]), "main");
    assert_eq!(world.git(&["stash", "list"]), "");
    let kept =
        world.git(&["for-each-ref", "--format=%(refname) %(subject)", "refs/taskd/*/agent/*/*"]);
    let subjects: Vec<&str> =
        kept.lines().filter_map(|it| it.split_once(' ')).map(|it| it.1).collect();
    assert!(subjects.contains(&"two") && subjects[1].starts_with("WIP on feature"), "{kept}");
    let stash = kept.lines().nth(1).and_then(|it| it.split(' ').next()).expect("the stash");
    assert_eq!(world.git(&["show", &format!("{stash}^3:d.txt")]), "d");
    has(&run.remarks[2].text, &[stash, "git stash apply"]);
    // What it committed is a change over the base again.
    assert_eq!(work(&world, &it, "s.txt"), "?? b.txt\n?? s.txt\nHEAD");
    assert_eq!(work(&world, &it, "b.txt"), "b");
}

/// Proves P-4: an agent that moves a branch of the person's blocks its loop with a question that names both ends and
/// the command that undoes it; a branch the person moves meanwhile is nobody's business. A resume
/// goes on with the gate, not with another run.
#[test]
fn an_agent_that_moves_a_persons_branch_asks_first() {
    let mut world = World::new();
    world.git(&["branch", "release"]);
    let old = world.git(&["rev-parse", "release"]);
    let door = Door::new(&world, "run");
    let script = format!(
        "echo b >b.txt; {}\n\
         git update-ref refs/heads/release $(git commit-tree -p HEAD -m x 'HEAD^{{tree}}')\n",
        door.sh()
    );
    program(&mut world, "claude", &script);
    world.start();
    world.submit(&plan("claude", &["a"]));
    door.reached();
    world.write("mine.txt", "mine\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-qm", "a person's"]);
    world.git(&["branch", "persons"]);
    world.git(&["config", "branch.persons.remote", "origin"]);
    door.open();
    let it = over(&world);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    let new = world.git(&["rev-parse", "release"]);
    assert_ne!(new, old);
    has(question(&it), &["it moved refs/heads/release", &old, &new, "then `taskd resume p1.a`"]);
    assert_eq!(it.last_run.remarks.iter().filter(|it| it.asks()).count(), 1);
    follow(&world, question(&it), "git");
    assert_eq!(world.git(&["rev-parse", "release"]), old);
    world.taskd(&["resume", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(runs(&world), 1, "{}", world.transcript());
}

/// Proves P-4: git configuration and hooks that change while an agent runs block its loop, with
/// what changed and how it was.
#[test]
fn changed_configuration_and_hooks_ask_a_person() {
    let mut world = World::new();
    let config = fs::read_to_string(world.repo.join(".git/config")).expect("there");
    let script = "echo b >b.txt; git config core.hooksPath /nowhere\n\
                  echo 'exit 0' >$(git rev-parse --git-common-dir)/hooks/pre-push\n";
    let it = comes_to(&mut world, script);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert_eq!(codes(&it.last_run), [Code::GitSettingsChanged; 2]);
    has(question(&it), &["core.hookspath", "as it was: "]);
    let copy = question(&it).split_once("as it was: ").expect("named").1;
    let copy = copy.split(')').next().expect("closed");
    assert_eq!(fs::read_to_string(copy).expect("kept"), config);
    has(&shown(&mut world), &["pre-push", "(git_settings_changed)"]);
    fs::copy(copy, world.repo.join(".git/config")).expect("writable");
    world.taskd(&["resume", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Complete]);
}

/// Proves P-4: an agent that makes a repository of its own of its worktree has its files saved all the same;
/// the worktree is one of the person's repository again, and what was made is kept.
#[test]
fn a_worktree_that_was_made_a_repository_is_mended() {
    let mut world = World::new();
    let script = "rm .git; git init -q .; echo b >b.txt; git add -A; git commit -qm own\n";
    let script = format!("export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b\n{script}");
    let it = comes_to(&mut world, &script);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!(codes(&it.last_run), [Code::AgentReplacedGit]);
    assert_eq!(work(&world, &it, "b.txt"), "b");
    let text = &it.last_run.remarks[0].text;
    let kept = text.rsplit(' ').next().expect("a path");
    let git_dir = format!("--git-dir={kept}");
    assert_eq!(world.git(&[&git_dir, "log", "-1", "--format=%s"]), "own");
    let path = world.taskd(&["path", "p1.a"]).ok();
    assert_eq!(
        world.git(&["-C", path.trim(), "rev-parse", "HEAD"]),
        world.git(&["rev-parse", "main"])
    );
}
