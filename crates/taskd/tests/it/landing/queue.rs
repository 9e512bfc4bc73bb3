//! The landing queue: one at a time, each gated on the very tip it lands on, nothing twice.

use std::fs;

use taskd_model::{Event, Outcome, QueueEnd, QueueOp, Status, Verdict, Work};

use super::{
    agent, candidate_gates, line_of_main, own_ref, person_commits, plan, prompt, refs,
    until_landed, until_loop, until_main_is,
};
use crate::support::{Door, World};

/// Every commit that was brought to main, with the tip it was gated on.
fn landings(world: &World) -> Vec<(String, String)> {
    let landed = |it: &taskd_model::Record| {
        let Event::QueueLeft { op: QueueOp::Land(_), end, .. } = &it.event else { return None };
        let QueueEnd::Done { commit, onto, .. } = end else { return None };
        Some((commit.to_string(), onto.to_string()))
    };
    world.events().iter().filter_map(landed).collect()
}

/// Proves N4: two loops whose gates end together both land, one on top of the other, and the
/// second is gated again on what the first left.
#[test]
fn two_loops_that_finish_together_both_land() {
    let mut world = World::new();
    let door = Door::new(&world, "both");
    let run = agent(&world, "agent.sh", &format!("echo x > \"$TASKD_LOOP.txt\"\n{}", door.sh()));
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", ""), ("two", "")]));
    door.reached();
    door.reached();
    door.open();
    door.open();
    let one = until_landed(&world, "p1.one");
    let two = until_landed(&world, "p1.two");
    assert_ne!(one, two);
    assert_eq!(line_of_main(&world).len(), 3);
    for (commit, onto) in landings(&world) {
        assert_eq!(world.git(&["rev-parse", &format!("{commit}^")]), onto);
    }
    assert_eq!(candidate_gates(&world), [Some(true)], "only the second stands on a new tip");
    assert_eq!(world.git(&["show", "main:p1.one.txt"]), "x");
    assert_eq!(world.git(&["show", "main:p1.two.txt"]), "x");
}

/// Proves N6, W-23: two specs that are green alone and red together do not both land as they are:
/// the second is gated on the tip with the first, evicted, told the findings, and mends it; there
/// is no model to ask.
#[test]
fn green_alone_and_red_together_is_evicted_and_mended() {
    let mut world = World::new();
    world.write(
        "test.sh",
        "if [ -f one.txt ] && [ -f two.txt ] && [ ! -f glue.txt ]; then\n  \
         echo 'not ok 1 - one and two quarrel'; exit 1\nfi\necho '1 passed, 0 failed'\n",
    );
    world.git(&["commit", "-qam", "a stricter gate"]);
    let door = Door::new(&world, "both");
    let body = format!(
        "if [ $TASKD_ITERATION = 1 ]; then echo x > \"${{TASKD_LOOP#p1.}}.txt\"; {}; \
         else echo x > glue.txt; fi",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", ""), ("two", "")]));
    door.reached();
    door.reached();
    door.open();
    door.open();
    until_landed(&world, "p1.one");
    until_landed(&world, "p1.two");
    let evicted: Vec<_> = world
        .view()
        .loops
        .values()
        .filter(|it| it.iteration == 2)
        .map(|it| it.name.clone())
        .collect();
    assert_eq!(evicted.len(), 1, "exactly one was sent back:\n{}", world.transcript());
    let told = prompt(&world, &evicted[0], 2);
    assert!(told.contains("one and two quarrel"), "{told}");
    assert!(told.contains("red together with what landed since"), "{told}");
    assert_eq!(candidate_gates(&world).first(), Some(&Some(false)), "red on the tip it would land");
    assert_eq!(line_of_main(&world).len(), 4);
    assert!(world.git(&["ls-tree", "--name-only", "main"]).contains("glue.txt"));
}

/// Proves N6: the tip moves while a candidate is being gated on it: that gate counts for nothing,
/// the candidate is built and gated again on the new tip, and history stays a line.
#[test]
fn a_tip_that_moves_under_a_candidate_means_another_gate() {
    let mut world = World::new();
    let (work, gate) = (Door::new(&world, "work"), Door::new(&world, "gate"));
    let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n{}", work.sh()));
    // Only a candidate has both the agent's file and the person's.
    let extra = format!("[ ! -f mine.txt ] || [ ! -f theirs.txt ] || {{ {}; }}", gate.sh());
    world.start();
    world.submit(
        &plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")])
            .replace("gate: sh test.sh", &format!("gate: ['{extra}', 'sh test.sh']")),
    );
    work.reached();
    let first = person_commits(&world, "theirs.txt", "1\n");
    work.open();
    gate.reached();
    let second = person_commits(&world, "more.txt", "2\n");
    gate.reached();
    gate.open();
    let landed = until_landed(&world, "p1.one");
    assert_eq!(candidate_gates(&world), [None, Some(true)]);
    assert_eq!(landings(&world), [(landed.clone(), second.clone())]);
    assert_eq!(world.git(&["rev-parse", "main~1"]), second);
    assert_eq!(world.git(&["rev-parse", "main~2"]), first);
    assert_eq!(world.git(&["rev-parse", "main"]), landed);
    assert_eq!(line_of_main(&world).len(), 4);
}

/// Proves F2: a daemon killed while a candidate is gated, and again right after it landed, lands it
/// once.
#[test]
fn a_kill_around_landing_does_not_land_twice() {
    let mut world = World::new();
    let (work, gate) = (Door::new(&world, "work"), Door::new(&world, "gate"));
    let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n{}", work.sh()));
    let extra = format!("[ ! -f mine.txt ] || [ ! -f theirs.txt ] || {{ {}; }}", gate.sh());
    world.start();
    world.submit(
        &plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")])
            .replace("gate: sh test.sh", &format!("gate: ['{extra}', 'sh test.sh']")),
    );
    work.reached();
    person_commits(&world, "theirs.txt", "1\n");
    work.open();
    gate.reached();
    world.kill();
    world.start();
    gate.reached();
    gate.open();
    // The moment the ref has moved, whether the log knows it yet or not.
    world.until_event("the landing to be under way", |it| {
        matches!(&it.event, Event::EffectStarted { work: Work::Publish { .. }, .. })
    });
    world.kill();
    world.start();
    until_landed(&world, "p1.one");
    let trailers = world.git(&["log", "--format=%(trailers:key=Taskd-Loop,valueonly)", "main"]);
    assert_eq!(trailers.matches("p1.one").count(), 1, "{trailers}");
    assert_eq!(line_of_main(&world).len(), 3);
}

/// Proves F2: the ref moved but the daemon died before it could write that down: the next life sees
/// that the work is there, lands nothing again, and the loop is Complete.
#[test]
fn what_landed_without_a_word_in_the_log_does_not_land_again() {
    let mut world = World::new();
    let (work, gate) = (Door::new(&world, "work"), Door::new(&world, "gate"));
    let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n{}", work.sh()));
    let extra = format!("[ ! -f mine.txt ] || [ ! -f theirs.txt ] || {{ {}; }}", gate.sh());
    world.start();
    world.submit(
        &plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")])
            .replace("gate: sh test.sh", &format!("gate: ['{extra}', 'sh test.sh']")),
    );
    work.reached();
    person_commits(&world, "theirs.txt", "1\n");
    work.open();
    gate.reached();
    let built = world.events().iter().rev().find_map(|it| {
        let Event::EffectEnded { outcome: Outcome::Built { commit, .. }, .. } = &it.event else {
            return None;
        };
        Some(commit.to_string())
    });
    let built = built.expect("it is being gated");
    world.kill();
    world.git(&["merge", "-q", "--ff-only", &built]);
    world.start();
    let it = until_loop(&world, "p1.one", "to be over", |it| it.status.is_over());
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!(world.git(&["rev-parse", "main"]), built);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
}

/// A tree that is known to pass is not gated again: the base once, the loop's tree once.
#[test]
fn the_same_tree_is_gated_once() {
    let mut world = World::new();
    let count = world.dir.path().join("gates");
    let run = agent(&world, "agent.sh", "echo x > \"$TASKD_LOOP.txt\"");
    let gate = format!("gate: echo run >> {} && sh test.sh", count.display());
    let text = plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]);
    let text = text.replace("gate: sh test.sh", &gate);
    let runs = || fs::read_to_string(&count).expect("the gate ran").lines().count();
    world.start();
    world.submit(&text);
    until_landed(&world, "p1.one");
    assert_eq!(runs(), 2, "the base and the work; what landed is the same tree");
    // Another plan, on a base whose tree has just passed this very gate, with another file.
    world.submit(&text.replace("Do one.", "Do one again."));
    until_landed(&world, "p2.one");
    assert!(runs() <= 4, "{} gate runs", runs());
    assert_eq!(candidate_gates(&world), []);
}

/// What lands says where it comes from and is the person's own; nothing but the target and our own
/// refs has moved, and no branch was made.
#[test]
fn a_landed_commit_is_the_persons_and_says_where_it_comes_from() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    let landed = until_landed(&world, "p1.one");
    assert_eq!(
        world.git(&["log", "-1", "--format=%an <%ae>|%cn <%ce>|%s", &landed]),
        "Pat Person <pat@example.org>|Pat Person <pat@example.org>|one: Work on one"
    );
    let trailers = world.git(&["log", "-1", "--format=%(trailers:only)", &landed]);
    let expected = "Taskd-Plan: p1 Test plan\nTaskd-Loop: p1.one\nTaskd-Gate: sh test.sh\n";
    assert!(trailers.trim().starts_with(expected), "{trailers}");
    let own = own_ref(&world, "/loops/p1-one-1");
    let tag = own.split('/').nth(2).expect("refs/taskd/TAG/...");
    assert_eq!(tag.len(), 4, "{own}");
    let prefix = format!("refs/taskd/{tag}/");
    let others: Vec<String> =
        refs(&world).into_keys().filter(|it| !it.starts_with(&prefix)).collect();
    assert_eq!(others, ["refs/heads/main"]);
}

/// A person amends the newest commit while a loop works: the work lands on the amended one, and the
/// old one does not come back.
#[test]
fn work_lands_on_a_main_that_was_rewritten() {
    let mut world = World::new();
    person_commit_before_start(&world);
    let old = world.git(&["rev-parse", "main"]);
    let door = Door::new(&world, "work");
    let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n{}", door.sh()));
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    door.reached();
    world.git(&["commit", "-q", "--amend", "-m", "second, said better"]);
    let amended = world.git(&["rev-parse", "main"]);
    until_main_is(&world, &amended);
    door.open();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["rev-parse", "main^"]), amended);
    assert_ne!(old, amended);
    let main = world.git(&["rev-list", "main"]);
    assert!(!main.contains(&old), "the old commit came back");
    assert!(
        world
            .events()
            .iter()
            .any(|it| { matches!(&it.event, Event::MainMoved { rewritten: true, .. }) })
    );
}

/// The same when the work already waits on the integration ref for a word to land.
#[test]
fn waiting_work_is_brought_onto_a_main_that_was_rewritten() {
    let mut world = World::new();
    person_commit_before_start(&world);
    let old = world.git(&["rev-parse", "main"]);
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", "")]));
    super::until_ready(&world, "p1.one");
    // The same files: nothing but the rewriting itself says that the old commit shall go.
    world.git(&["commit", "-q", "--amend", "-m", "second, said better"]);
    let amended = world.git(&["rev-parse", "main"]);
    let placed = world.until("the work to stand on the amended commit", |view| {
        let ready = view.loops.values().all(|it| it.approval_asked.is_some());
        ready
            && view.plans.values().all(|it| {
                let tip = it.integration.tip.to_string();
                tip != old && world.git(&["rev-parse", &format!("{tip}^")]) == amended
            })
    });
    let gated = placed.plans.values().next().expect("one").integration.tip.to_string();
    world.taskd(&["land", "p1"]).ok();
    assert_eq!(until_landed(&world, "p1.one"), gated, "it lands as the commit that was gated");
    assert!(!world.git(&["rev-list", "main"]).contains(&old));
}

fn person_commit_before_start(world: &World) {
    world.write("second.txt", "second\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "second"]);
}

/// A gate that goes red sends the loop on with the findings; the verdicts tell the story.
#[test]
fn a_red_gate_is_told_and_mended() {
    let mut world = World::new();
    let body = "if [ $TASKD_ITERATION = 1 ]; then echo x > bad.txt; else mv bad.txt good.txt; fi";
    let run = agent(&world, "agent.sh", body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    until_landed(&world, "p1.one");
    let verdicts: Vec<_> =
        world.row("p1.one").iterations.iter().filter_map(|it| it.verdict).collect();
    assert_eq!(verdicts, [Verdict::Red, Verdict::Green]);
    assert!(prompt(&world, "p1.one", 2).contains("bad.txt"));
    assert!(!world.git(&["ls-tree", "--name-only", "main"]).contains("bad.txt"));
}

/// Proves LM-3: while a candidate for main is being gated, work for another branch of the same
/// repository is built, gated and lands; the queue shows both.
#[test]
fn two_branches_do_not_wait_for_each_other() {
    let mut world = World::new();
    world.git(&["branch", "other"]);
    let (work, gate) = (Door::new(&world, "work"), Door::new(&world, "gate"));
    let run = agent(&world, "agent.sh", &format!("echo x > \"$TASKD_LOOP.txt\"\n{}", work.sh()));
    // Only a candidate for main has both the agent's file and the person's.
    let extra = format!("[ ! -f p1.one.txt ] || [ ! -f theirs.txt ] || {{ {}; }}", gate.sh());
    let text = |target: &str| {
        plan(&format!("agent: {run}\nland: on-gate\ntarget: {target}"), &[("one", "")])
            .replace("gate: sh test.sh", &format!("gate: ['{extra}', 'sh test.sh']"))
    };
    world.start();
    world.submit(&text("main"));
    work.reached();
    let main = person_commits(&world, "theirs.txt", "1\n");
    work.open();
    gate.reached();
    world.submit(&text("other"));
    work.reached();
    // Its own candidate has to be gated too.
    let moved = world.git(&["commit-tree", "-p", "other", "-m", "moved", "main^{tree}"]);
    world.git(&["update-ref", "refs/heads/other", &moved]);
    world.until("other to be seen", |view| {
        view.projects
            .values()
            .any(|it| it.targets.get("other").is_some_and(|it| it.tip.to_string() == moved))
    });
    work.open();
    let landed = until_landed(&world, "p2.one");
    assert_eq!(world.git(&["rev-parse", "other"]), landed);
    assert_eq!(world.git(&["rev-parse", "main"]), main, "it is still being gated");
    let queue = world.taskd(&["queue"]).ok();
    let row = queue.lines().find(|it| it.starts_with("p1.one ")).expect("it is there");
    assert!(row.contains("main") && row.contains("gating"), "{queue}");
    gate.open();
    until_landed(&world, "p1.one");
    assert_eq!(candidate_gates(&world), [Some(true), Some(true)]);
}
