//! Whether a run goes on with the session of the one before.

use std::fs;

use taskd_model::{Code, Status};

use super::{failures, has, iterations, plan, program};
use crate::support::World;

/// A program that is named as Claude Code, counts its runs, writes down the arguments of each, says
/// its session, and does as it is told there.
fn claude(world: &mut World, run: &str) -> std::path::PathBuf {
    let dir = world.dir.path().to_owned();
    let seen = dir.join("seen");
    let at = seen.display();
    let script = format!(
        "cat >/dev/null; echo x >>{at}.n; n=$(wc -l <{at}.n); echo \"$n $2 $3\" >>{at}\n\
         echo '{{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-'$n'\"}}'\n{run}\n"
    );
    program(world, "claude", &script);
    seen
}

/// The gate is red as long as there is a file of this name.
const RED_ONCE: &str = "rm -f bad; [ -e b.txt ] || echo a >bad; echo $n >b.txt";

fn submit(world: &mut World, resumes: bool) {
    let text = plan("claude", &["a"]);
    world.write(".taskd/types/goes-on.yaml", "extends: ralph\nresume: true\n");
    let kind = if resumes { "land: never\ntype: goes-on" } else { "land: never" };
    world.start();
    world.submit(&text.replace("land: never", kind));
}

/// A red gate is answered in a fresh context, unless the loop type asks to go on.
#[test]
fn a_fresh_context_is_the_default() {
    for (resumes, second) in [(false, "2 --output-format stream-json"), (true, "2 --resume s-1")] {
        let mut world = World::new();
        let seen = claude(&mut world, RED_ONCE);
        submit(&mut world, resumes);
        let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
        assert_eq!(it.status, Status::Complete, "{}", world.transcript());
        let told = fs::read_to_string(&seen).expect("two runs");
        assert_eq!(iterations(&world), 2, "{told}");
        has(&told, &["1 --output-format stream-json\n", second]);
    }
}

/// A run that cannot go on with its session fails at once, and the next begins anew.
#[test]
fn a_session_that_is_gone_is_left() {
    let mut world = World::new();
    let run = "if [ $2 = --resume ]; then echo 'No conversation found' >&2; exit 1; fi\n";
    let seen = claude(&mut world, &format!("{run}{RED_ONCE}"));
    submit(&mut world, true);
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let told = fs::read_to_string(&seen).expect("three runs");
    has(&told, &["2 --resume s-1\n", "3 --output-format stream-json\n"]);
    assert_eq!((failures(&world).len(), iterations(&world)), (1, 2), "{told}");
}

/// Proves W-36: a session that a person had with the agent is gone on with by the first run, and one
/// the agent had is gone on with by a person, in the worktree; what was changed there is the loop's.
#[test]
fn a_session_goes_from_a_person_to_an_agent_and_back() {
    let mut world = World::new();
    let seen = claude(&mut world, "[ $1 = --resume ] && echo $2 >>b.txt || echo b >b.txt");
    world.start();
    world
        .taskd(&[
            "run",
            "Do it",
            "--agent",
            "claude",
            "--session",
            "mine-1",
            "--gate",
            "test ! -e b.txt || grep -q by-hand b.txt",
            "--land",
            "never",
            "--iterations",
            "2",
            "-q",
        ])
        .ok();
    let it = world.until_status("p1", &[Status::Failed, Status::Complete, Status::Blocked]);
    assert_eq!(it.status, Status::Failed, "{}", world.transcript());
    let told = fs::read_to_string(&seen).expect("two runs");
    has(&told, &["1 --resume mine-1\n", "2 --output-format stream-json\n"]);
    assert_eq!(it.session.as_deref(), Some("s-2"));
    // The person takes over: it is the program that opens the session of the last run.
    program(&mut world, "claude", "pwd; echo \"$1 $2\" >>b.txt; echo by-hand >>b.txt\n");
    let ran = world.taskd(&["open", "p1"]);
    let path = world.taskd(&["path", "p1"]).ok();
    assert_eq!(ran.ok(), path);
    let text = fs::read_to_string(format!("{}/b.txt", path.trim())).expect("its worktree");
    has(&text, &["--resume s-2\nby-hand\n"]);
    // Who cannot go on says so, and nothing is begun.
    let refused = |agent: &str, session: &str, why: &str| {
        let args = ["run", "x", "--agent", agent, "--session", session, "--gate", "true", "-q"];
        has(&world.taskd(&args).fails(2), &[why]);
    };
    refused("true", "mine-1", "the agent `true` cannot go on with a session");
    refused("claude", "e vil", "the session id of `claude` is not one");
    assert_eq!(world.view().plans.len(), 1);
}

/// A session that a person named and that is gone is a question, not a fresh start.
#[test]
fn a_named_session_that_is_gone_is_a_question() {
    let mut world = World::new();
    claude(&mut world, "if [ $2 = --resume ]; then echo 'No conversation found'; exit 1; fi");
    world.start();
    world
        .taskd(&[
            "run",
            "Do it",
            "--agent",
            "claude",
            "--session",
            "gone-1",
            "--gate",
            "true",
            "-q",
        ])
        .ok();
    let it = world.until_status("p1", &[Status::Failed, Status::Complete, Status::Blocked]);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert!(failures(&world).iter().all(|it| it.0 == Code::AgentFailedEarly));
    // While it is at work nobody opens it.
    let mut busy = World::new();
    program(&mut busy, "claude", "sleep 600\n");
    busy.start();
    busy.taskd(&["run", "Do it", "--agent", "claude", "--gate", "true", "-d"]).ok();
    busy.until_status("p1", &[Status::Running]);
    has(&busy.taskd(&["open", "p1"]).fails(1), &["is at work", "taskd pause p1"]);
}
