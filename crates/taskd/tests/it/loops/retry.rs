//! Trying again: the work that is kept, what the next attempt is told, and a plan that was over.

use taskd_model::{Limit, Reason, Status};

use super::{prompts::listener, *};

/// Proves S-1.4.5: a loop that has used up its iterations keeps its work, and is tried again on exactly
/// that, with fresh limits and told in at most 800 tokens of what was tried; whoever could not begin
/// without it goes on, and is refused before. Its choices are named.
#[test]
fn a_failed_loop_is_tried_again_on_its_kept_work() {
    let mut world = World::new();
    let dir = world.dir.path().display().to_string();
    let work = format!(
        "cat kept.txt >{dir}/found-$TASKD_LOOP-$TASKD_ITERATION 2>&1\n\
         case $TASKD_LOOP-$TASKD_ITERATION in\n\
         p1.a-3|p1.b-*) rm -f bad.txt; echo $TASKD_LOOP >$TASKD_LOOP.txt;;\n\
         *) echo $TASKD_ITERATION >>kept.txt; echo $TASKD_ITERATION >bad.txt;;\nesac\n"
    );
    let agent = listener(&world, &work);
    world.start();
    world.submit(&format!(
        "---\nplan: Two\nagent: {agent}\ngate: sh test.sh\nland: on-gate\nlimits: {{iterations: 2}}\n\
         ---\n## spec a: First\n\nOne.\n\n## spec b: Second\nneeds: a\n\nTwo.\n"
    ));
    let it = world.until_status("p1.a", &[Status::Failed]);
    assert_eq!(it.reason, Some(Reason::Limit(Limit::Iterations)));
    world.until_status("p1.b", &[Status::Blocked]);
    let said = world.taskd(&["retry", "p1.b"]).fails(1);
    assert_says(&said, "p1.b needs work that did not pass");
    let shown = world.taskd(&["show", "p1.a"]).ok();
    assert_says(&shown, "next:  taskd logs | diff | retry | branch   p1.a");
    assert_says(&shown, "cd $(taskd path p1.a)");
    let would = world.taskd(&["retry", "p1.a", "--dry-run"]).ok();
    assert_says(&would, "would be tried again from the work as it is");
    assert_eq!(world.row("p1.a").status, Status::Failed, "a dry run does nothing");
    world.taskd(&["retry", "p1.a", "-m", "leave bad.txt alone"]).ok();
    let it = world.until_status("p1.b", &[Status::Complete]);
    assert_eq!(it.reason, Some(Reason::Done), "{}", world.transcript());
    assert_eq!(left(&world, "found-p1.a-3"), "1\n2\n", "it begins with what was kept");
    assert_eq!(landed_loops(&world), ["p1.b", "p1.a"]);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 0);
    let told = left(&world, "told-p1.a-3");
    for wanted in [
        "A person wants this tried again",
        "They say: leave bad.txt alone",
        "What was tried, 2 of 2:\n- iteration 1: red: 1 of 1: bad.txt; 2 files",
        "- iteration 2: red: 1 of 1: bad.txt; 2 files",
        "iteration 3 of 4",
    ] {
        assert_says(&told, wanted);
    }
    let begin = told.find("A person wants this").expect("told");
    assert!(told[begin..].len() < 3_200 + 2_000, "{} bytes", told.len());
    let said = world.taskd(&["retry", "p1.a"]).fails(1);
    assert_says(&said, "p1.a is complete, so there is nothing to try again");
}

/// Proves S-1.4.5: a plan that is over is opened by a retry, on its target as it is by then; from the
/// base the files are those of the base; a loop that was stopped, or did not get on, is tried again
/// too.
#[test]
fn a_plan_that_is_over_is_opened_again() {
    let mut world = World::new();
    let dir = world.dir.path().display().to_string();
    let door = Door::new(&world, "second");
    let work = format!(
        "ls >{dir}/found-$TASKD_ITERATION\n\
         case $TASKD_ITERATION in 1) echo x >bad.txt;; 2) {};; *) echo b >b.txt;; esac\n",
        door.sh()
    );
    let agent = listener(&world, &work);
    world.start();
    let run = ["run", "a task", "--agent", &agent, "--gate", "sh test.sh", "--land", "on-gate"];
    let most = ["--iterations", "1", "-d", "-q"];
    world.taskd(&[&run[..], &most].concat()).ok();
    world.until_status("p1", &[Status::Failed]);
    world.until("the plan to be over", |view| view.plans.values().all(|it| it.ended_at.is_some()));
    world.write("c.txt", "c\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "meanwhile"]);
    world.taskd(&["retry", "p1", "--from-step", "0"]).ok();
    door.reached();
    assert_eq!(
        left(&world, "found-2").split_whitespace().collect::<Vec<_>>(),
        ["a.txt", "c.txt", "test.sh"]
    );
    world.taskd(&["stop", "p1"]).ok();
    world.until_status("p1", &[Status::Stopped]);
    world.taskd(&["retry", "p1", "--from", "iteration"]).ok();
    world.until_status("p1", &[Status::Complete]);
    assert_eq!(world.git(&["show", "main:b.txt"]), "b");
    assert_eq!(world.git(&["show", "main:c.txt"]), "c");
    assert_eq!(world.taskd(&["wait", "p1"]).code, 0, "{}", world.transcript());
    assert_says(&world.taskd(&["retry", "p1"]).fails(1), "nothing to try again");
}

/// Where only the gate was in the way, only the gate is asked again: no agent runs, and the same tree
/// lands; the retry is kept over `kill -9`.
#[test]
fn only_the_gate_is_asked_again() {
    let mut world = World::new();
    let broken = world.aside("broken", "");
    world.write("gate.sh", &format!("[ -f bb.txt ] && [ -f {broken} ] && exit 1; echo fine\n"));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a gate"]);
    let agent = shell(&world, "agent.sh", "echo b >bb.txt\n");
    world.start();
    world.submit(&format!(
        "---\nplan: One\nagent: {agent}\ngate: sh gate.sh\nland: on-gate\n---\n## spec a: A\n\nIt.\n"
    ));
    let it = world.until_status("p1.a", &[Status::Blocked]);
    assert_eq!(it.reason, Some(Reason::NoProgress(3)), "{}", world.transcript());
    let before = (started(&world, it.id, "agent"), it.checkpoint);
    fs::remove_file(&broken).expect("there");
    world.taskd(&["retry", "p1.a", "--from-step", "gate"]).ok();
    world.kill();
    world.start_with(&["--resume"]);
    let it = world.until_status("p1.a", &[Status::Complete]);
    assert_eq!((started(&world, it.id, "agent"), it.checkpoint), before);
    assert_eq!(landed_loops(&world), ["p1.a"]);
}
