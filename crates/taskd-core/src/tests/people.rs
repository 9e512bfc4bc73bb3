//! What people ask for, and what they are told.

use taskd_model::{InvalidTransition, Status};

use super::{Play, story_from};

const AT_CALL: &str = "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to call";

#[test]
fn stop_within_a_tool() {
    insta::assert_snapshot!(
        story_from(
            &format!("{AT_CALL} | 3 a replies run edit"),
            "10 stop a | 900 a cancelled"
        ),
        @"
18      10  p1/0/1 asked to stop
19     900  p1/0/1 e17 cancelled
20     900  p1/0/1 running -> stopped: by a person
21     900  p1 ended
    a is stopped
"
    );
}

#[test]
fn stop_is_possible_in_every_phase() {
    let phases = [
        ("", "p1"),
        ("1 p1 base-green", "a"),
        ("1 p1 base-green | 2 a to compose", "a"),
        ("1 p1 base-green | 2 a to call", "a"),
        ("1 p1 base-green | 2 a to gate", "a"),
        ("1 p1 base-green | 2 a to gate | 3 main f1 | 4 a red", "a"),
        ("1 p1 base-green | 2 a to gate | 3 a green 7ee1", "q"),
        ("1 p1 base-green | 2 a to gate | 3 a green 7ee1 | 4 q built c1 7ee9", "q"),
        ("1 p1 base-green | 2 pause a", "a"),
        ("1 p1 base-red", ""),
        ("1 p1 base-green | 2 a to gate | 3 a green 7ee1 | 4 park", "q"),
    ];
    for (phase, runs) in phases {
        let mut play = Play::default();
        play.lines(&format!("0 start | 0 project | 0 plan a | {phase}"));
        play.line("10 stop a");
        if !runs.is_empty() && play.open_of(runs).is_some() {
            play.line(&format!("20 {runs} cancelled"));
        }
        assert_eq!(play.status("a"), Status::Stopped, "{phase}: {}", play.transcript());
        assert_eq!(play.core.open_effects().count(), 0, "{phase}");
        assert!(!play.core.has_work(), "{phase}");
    }
}

#[test]
fn stopped_while_its_publish_may_have_happened_it_is_what_happened() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate
             3 a green 7ee1 | 4 q built c1 7ee1",
            "10 stop a | 20 q published"
        ),
        @"
25      10  p1/0/1 asked to stop
26      20  e24 published
27      20  p1/0/1 q21 land p1/0/1: done: c100000 on ba5e000
28      20  p1 integrates at c100000
29      20  p1/0/1 running -> complete: done
30      20  p1 ended
    a is complete
"
    );
}

#[test]
fn pause_waits_for_the_turn_to_end() {
    insta::assert_snapshot!(
        story_from(
            AT_CALL,
            "10 pause a | 20 a replies edit | 30 resume a | 40 a tool edit 5afe"
        ),
        @"
16      10  p1/0/1 asked to pause
17      20  p1/0/1 e15 replied, asks for 1 tools
18      20  p1/0/1 running -> paused: by a person
19      30  p1/0/1 asked to go on
20      30  p1/0/1 paused -> running: by a person
21      30  p1/0/1 tool 0 edit started
22      40  p1/0/1 e21 tool done
23      40  p1/0/1 compose started
    open: compose
    a is running
"
    );
}

#[test]
fn parked_nothing_starts_and_what_runs_may_end() {
    insta::assert_snapshot!(
        story_from(AT_CALL, "10 park | 20 a replies edit | 30 stop a | 40 unpark"),
        @"
16      10  work parked
17      20  p1/0/1 e15 replied, asks for 1 tools
18      30  p1/0/1 asked to stop
19      30  p1/0/1 running -> stopped: by a person
20      30  p1 ended
21      40  work goes on
    a is stopped
"
    );
}

#[test]
fn what_cannot_be_followed_is_refused() {
    let refusals = ["land a", "reject a", "resume a", "plan z key=p1", "plan y<y"];
    let mut text = String::new();
    for line in refusals {
        let mut play = Play::default();
        play.lines(AT_CALL);
        let before = play.core.head();
        play.line(&format!("10 {line}"));
        assert_eq!(play.core.head(), before, "a refused command changes nothing");
        text.push_str(&format!("{line}: {}\n", play.refused.expect(line)));
    }
    insta::assert_snapshot!(text, @"
land a: p1.a has not passed its gate, so there is nothing to land or send back yet
reject a: p1.a has not passed its gate, so there is nothing to land or send back yet
resume a: p1.a is running; there is nothing to resume
plan z key=p1: this plan was submitted before as p1
plan y<y: spec 0 needs spec 0, which does not come before it
");
}

/// Proves N8.
#[test]
fn a_status_changes_by_the_table_only() {
    let table: Vec<String> = Status::ALL
        .iter()
        .map(|from| {
            let to = Status::ALL.iter().filter(|to| from.allows(**to));
            let to = to.map(ToString::to_string).collect::<Vec<_>>().join(" ");
            format!("{from}: {to}").trim_end().to_owned()
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"), @"
draft: pending paused blocked failed stopped
pending: running paused blocked failed stopped
running: paused rebasing blocked complete failed stopped
paused: pending running failed stopped
rebasing: running paused blocked failed stopped
blocked: pending running failed stopped
complete: pending
failed: pending
stopped: pending
");
    let (from, to) = (Status::Complete, Status::Running);
    assert_eq!(from.check(to), Err(InvalidTransition { from, to }));
    insta::assert_snapshot!(from.check(to).unwrap_err(), @"a loop that is complete cannot become running");
    // And no log that says otherwise is taken.
    let mut play = Play::default();
    play.lines(AT_CALL);
    let mut record = play.log.last().unwrap().clone();
    record.seq.0 += 1;
    record.loop_id = Some(play.id("a"));
    record.event = taskd_model::Event::StatusChanged {
        from: Status::Running,
        to: Status::Draft,
        reason: taskd_model::Reason::Person,
    };
    let mut core = play.core.clone();
    let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| core.apply(&record)));
    assert!(taken.is_err());
}
