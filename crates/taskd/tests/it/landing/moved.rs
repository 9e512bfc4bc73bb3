//! Main moves while loops work.

use std::fs;

use taskd_model::{Reason, Status};

use super::{
    agent, git_in, own_ref, person_commits, plan, prompt, until_landed, until_loop, worktree,
};
use crate::support::{Door, World};

/// A scripted model whose one loop writes `mine.txt`, waits at the door in a tool, changes `a.txt`
/// and finishes.
pub(super) fn script(world: &World, door: &Door) -> String {
    let wait = door.sh();
    world.aside(
        "model.yaml",
        &format!(
            r#"loops:
  one:
    - iteration: 1
      turns:
        - say: I begin.
          tools:
            - write: {{path: mine.txt, content: "mine\n"}}
            - run: {{command: "echo untracked > extra.txt; {wait}"}}
        - say: I go on.
          tools: [{{write: {{path: more.txt, content: "more\n"}}}}]
        - say: done
          tools: [{{finish: {{summary: "done"}}}}]
"#
        ),
    )
}

/// Proves T2.3a: main moves without a conflict under a worktree with uncommitted files: the history
/// says Running, Rebasing, Running; HEAD stands on the new main; no edit is lost.
#[test]
fn a_dirty_worktree_moves_to_the_new_main() {
    let mut world = World::new();
    let door = Door::new(&world, "turn");
    let second = Door::new(&world, "gate");
    let script = script(&world, &door);
    let extra = format!("[ ! -f mine.txt ] || {{ {}; }}", second.sh());
    world.start();
    world.submit(
        &plan(&format!("model: scripted:{script}\nland: on-gate"), &[("one", "")])
            .replace("gate: sh test.sh", &format!("gate: ['{extra}', 'sh test.sh']")),
    );
    door.reached();
    let dirty = worktree(&world, "p1.one");
    assert_eq!(git_in(&world, &dirty, &["status", "--porcelain", "mine.txt"]), "?? mine.txt");
    let new = person_commits(&world, "theirs.txt", "theirs\n");
    door.open();
    second.reached();
    let statuses = world.statuses("p1.one");
    let rebased = ["running -> rebasing", "rebasing -> running"];
    assert!(statuses.windows(2).any(|it| it == rebased), "{statuses:?}");
    assert_eq!(git_in(&world, &dirty, &["rev-parse", "HEAD"]), new);
    let read = |name: &str| fs::read_to_string(dirty.join(name)).expect("it is there");
    assert_eq!(
        [read("mine.txt"), read("extra.txt"), read("more.txt"), read("theirs.txt")],
        ["mine\n", "untracked\n", "more\n", "theirs\n"]
    );
    second.open();
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", &format!("{landed}^")]), new);
    assert_eq!(world.git(&["show", "main:extra.txt"]), "untracked");
}

/// Changes the line the person changes too; solves it when it is told about a conflict.
fn conflicting(world: &World, door: &Door) -> String {
    let body = format!(
        "if [ $TASKD_ITERATION = 1 ]; then echo agent > a.txt; {}; \
         else grep -q '^<<<<<<< taskd' a.txt; cp a.txt {}/markers; \
         printf 'person\\nagent\\n' > a.txt; fi",
        door.sh(),
        world.dir.path().display()
    );
    agent(world, "agent.sh", &body)
}

/// Proves T2.3b: with `conflict: block` a conflict blocks the loop: no rebase or merge half done in
/// its worktree, the work as it was kept under a ref of ours, and a person is told.
#[test]
fn a_conflict_blocks_when_the_plan_says_so() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let run = conflicting(&world, &door);
    world.start();
    let head = format!("agent: {run}\nland: on-gate\nconflict: block");
    world.submit(&plan(&head, &[("one", "")]));
    door.reached();
    let new = person_commits(&world, "a.txt", "person\n");
    door.open();
    let it = world.until_status("p1.one", &[Status::Blocked]);
    assert_eq!(it.reason, Some(Reason::Conflict));
    let dir = worktree(&world, "p1.one");
    let git_dir = git_in(&world, &dir, &["rev-parse", "--absolute-git-dir"]);
    for file in ["MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD", "index.lock"] {
        assert!(!fs::exists(format!("{git_dir}/{file}")).expect("readable"), "{file}");
    }
    assert_eq!(git_in(&world, &dir, &["rev-parse", "HEAD"]), new);
    let kept = own_ref(&world, "/before-rebase/p1-one-1/1");
    assert_eq!(world.git(&["show", &format!("{kept}:a.txt")]), "agent", "the work as it was");
    assert_eq!(world.git(&["rev-parse", "main"]), new, "main is as the person left it");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("NEEDS YOU (1)") && ls.contains("p1.one"), "{ls}");
    assert!(ls.contains("conflict"), "{ls}");
    assert_eq!(world.taskd(&["wait", "p1"]).code, 4);
}

/// Proves T2.3b: by default the loop gets the conflict as markers in its files and the names of the
/// files in its prompt, and solves it in its next iteration.
#[test]
fn a_conflict_is_the_loops_to_solve() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let run = conflicting(&world, &door);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    door.reached();
    let new = person_commits(&world, "a.txt", "person\n");
    door.open();
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:a.txt"]), "person\nagent");
    assert_eq!(world.git(&["rev-parse", &format!("{landed}^")]), new);
    let told = prompt(&world, "p1.one", 2);
    assert!(told.contains("solve the conflicts") && told.contains("- a.txt"), "{told}");
    let markers = fs::read_to_string(world.dir.path().join("markers")).expect("copied");
    for part in ["person\n", "|||||||", "a\n", "=======", "agent\n", ">>>>>>> taskd"] {
        assert!(markers.contains(part), "{part}: {markers}");
    }
    assert_eq!(world.row("p1.one").iteration, 2);
}

/// Markers that nobody removed never pass, and after two tries a person is asked.
#[test]
fn markers_never_pass_and_are_asked_about_in_the_end() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!(
        "if [ $TASKD_ITERATION = 1 ]; then echo agent > a.txt; {}; else echo x >> other.txt; fi",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    let head = format!("agent: {run}\nland: on-gate\nlimits: {{iterations: 3}}");
    world.submit(&plan(&head, &[("one", "")]));
    door.reached();
    let new = person_commits(&world, "a.txt", "person\n");
    door.open();
    let it = until_loop(&world, "p1.one", "to end", |it| it.status.is_over());
    assert_eq!(it.status, Status::Failed, "{}", world.transcript());
    assert_eq!(world.git(&["rev-parse", "main"]), new);
    assert!(it.iterations.iter().skip(1).all(|it| it.summary.contains("onflict")), "{it:?}");
}

/// A removed worktree of a paused loop is made again when the loop goes on, with its work in it
/// (ruling D3).
#[test]
fn a_worktree_removed_under_a_paused_loop_is_made_again() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n{}", door.sh()));
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    door.reached();
    world.taskd(&["pause", "p1.one"]).ok();
    door.open();
    world.until_status("p1.one", &[Status::Paused]);
    let dir = worktree(&world, "p1.one");
    fs::remove_dir_all(&dir).expect("it is there");
    world.taskd(&["resume", "p1.one"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:mine.txt"]), "x");
    assert_eq!(world.row("p1.one").iteration, 1, "the agent's work was not done again");
}
