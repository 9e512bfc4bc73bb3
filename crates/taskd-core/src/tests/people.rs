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
        @""
    );
}

#[test]
fn stop_is_possible_in_every_phase() {
    let phases = [
        ("", "p1"),
        ("1 p1 base-green", "a"),
        ("1 p1 base-green | 2 a to accept", "a"),
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
        @""
    );
}

#[test]
fn pause_waits_for_the_turn_to_end() {
    insta::assert_snapshot!(
        story_from(
            AT_CALL,
            "10 pause a | 20 a replies edit | 30 resume a | 40 a tool edit 5afe"
        ),
        @""
    );
}

#[test]
fn parked_nothing_starts_and_what_runs_may_end() {
    insta::assert_snapshot!(
        story_from(AT_CALL, "10 park | 20 a replies edit | 30 stop a | 40 unpark"),
        @""
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
    insta::assert_snapshot!(text, @"");
}

/// Proves N8.
#[test]
fn a_status_changes_by_the_table_only() {
    let table: Vec<String> = Status::ALL
        .iter()
        .map(|from| {
            let to = Status::ALL.iter().filter(|to| from.allows(**to));
            format!("{from}: {}", to.map(ToString::to_string).collect::<Vec<_>>().join(" "))
        })
        .collect();
    insta::assert_snapshot!(table.join("\n"), @"");
    let (from, to) = (Status::Complete, Status::Running);
    assert_eq!(from.check(to), Err(InvalidTransition { from, to }));
    insta::assert_snapshot!(from.check(to).unwrap_err(), @"");
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
