//! Programs that break the protocol, die in the middle, or never come to an end: each ends in a code,
//! with what was seen.

use std::fs;

use taskd_model::{Code, Event, Failure, Outcome, Status, Verdict};

use super::{OVER, PRESET, agent, done, has, own_preset, plan, program, reply, world};
use crate::support::World;

/// A world of one such program, after a person was asked.
fn blocked(world: &mut World, script: &str) -> String {
    world.env.insert("COLUMNS".to_owned(), "250".to_owned());
    program(world, "fake-acp", script);
    own_preset(world, "fake", PRESET);
    world.start();
    world.submit(&plan("fake", &["a"]));
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    world.taskd(&["show", "p1.a"]).ok()
}

fn codes(world: &World) -> Vec<(Code, Failure)> {
    super::failures(world)
}

/// Proves ACP-5: what is no JSON-RPC is forgiven a few times; then it is a failure that names a line.
#[test]
fn garbage_is_a_failure_that_shows_a_line() {
    let mut world = World::new();
    let script = "while :; do echo 'this is <no> protocol'; done\n";
    let shown = blocked(&mut world, script);
    assert_eq!(codes(&world), [(Code::AgentProtocol, Failure::Transient); 3]);
    has(&shown, &["lines that are no JSON-RPC", "this is <no> protocol"]);
    // A banner and a warning are no harm.
    let mut world = World::new();
    let log = world.aside("sessions", "");
    let good = agent(&log, &format!("echo b >b.txt; {}", done()), ":", "");
    program(&mut world, "fake-acp", &format!("echo Welcome; echo '[1, 2'; {good}"));
    own_preset(&world, "fake", PRESET);
    world.start();
    world.submit(&plan("fake", &["a"]));
    assert_eq!(world.until_status("p1.a", OVER).status, Status::Complete);
}

/// Proves ACP-5: an answer to what was never asked is a failure that names it.
#[test]
fn an_answer_to_nothing_is_a_failure() {
    let mut world = World::new();
    let log = world.aside("sessions", "");
    let prompt = format!("id=77; {}", reply("{}"));
    let shown = blocked(&mut world, &agent(&log, &prompt, ":", ""));
    assert_eq!(codes(&world), [(Code::AgentProtocol, Failure::Transient); 3]);
    has(&shown, &["answers request 77, which was never made"]);
}

/// Proves ACP-5: 400 MB on one line are a failure, and never in memory.
#[test]
fn an_endless_line_is_a_failure_and_not_in_memory() {
    let mut world = World::new();
    let log = world.aside("sessions", "");
    let prompt = "head -c 400000000 /dev/zero | tr '\\0' x; echo";
    let shown = blocked(&mut world, &agent(&log, prompt, ":", ""));
    assert_eq!(codes(&world), [(Code::AgentProtocol, Failure::Transient); 3]);
    has(&shown, &["a line of more than"]);
    let pid = world.daemon.as_ref().expect("it runs").id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("it is told");
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(peak < 150_000, "{peak} kB");
}

/// A program that dies in the middle is told with how it ended.
#[test]
fn a_death_in_the_middle_is_told() {
    let mut world = World::new();
    let log = world.aside("sessions", "");
    let shown = blocked(&mut world, &agent(&log, "kill -9 $$", ":", ""));
    assert_eq!(codes(&world), [(Code::AgentFailedEarly, Failure::Transient); 3]);
    has(&shown, &["it ended in the middle, killed by signal 9"]);
}

/// A prompt that never ends is ended when the program is silent; that costs the iteration.
#[test]
fn a_prompt_without_end_is_ended_by_silence() {
    let (mut world, _log) = world("", |log| agent(log, ":", ":", ""));
    world.env.insert("TASKD_AGENT__IDLE".to_owned(), "1s".to_owned());
    world.start();
    world.submit(&plan("fake", &["a"]));
    let ended = world.until_event("an end", |it| matches!(it.event, Event::IterationEnded { .. }));
    let Event::IterationEnded { verdict, summary, .. } = ended.event else { unreachable!() };
    assert_eq!((verdict, summary.as_str()), (Verdict::AgentFailed, "silent for too long"));
    world.taskd(&["stop", "p1.a"]).ok();
    world.until_status("p1.a", OVER);
}

/// A prompt that ends for another reason than its work costs the iteration and says which.
#[test]
fn another_end_of_a_prompt_costs_the_iteration() {
    for reason in ["refusal", "max_tokens"] {
        let prompt = reply(&format!(r#"{{"stopReason":"{reason}"}}"#));
        let (mut world, _log) = world("long_lived = true\n", |log| agent(log, &prompt, ":", ""));
        world.start();
        world.submit(&plan("fake", &["a"]));
        let ended = world.until_event("an end", |it| {
            matches!(&it.event, Event::EffectEnded { outcome: Outcome::AgentDone { .. }, .. })
        });
        let Event::EffectEnded { outcome: Outcome::AgentDone { exit, summary, .. }, .. } =
            ended.event
        else {
            unreachable!()
        };
        assert_eq!((exit, summary), (1, format!("stopped with {reason}")));
        world.taskd(&["stop", "p1.a"]).ok();
        world.until_status("p1.a", OVER);
    }
}
