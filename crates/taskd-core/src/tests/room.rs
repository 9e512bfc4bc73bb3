//! What room on the disk allows, and what fails for want of it.

use taskd_model::{Code, Disk, Event, Failure, Fault, Input, Outcome, Reason, Room, Status, Usage};

use super::{Play, story_from};

/// What a measurement says, in words: `disk full`.
pub(super) fn input(words: &[&str]) -> Option<Input> {
    let room = match words {
        ["disk", "low"] => Room::Low,
        ["disk", "full"] => Room::Full,
        ["disk", "enough"] => Room::Enough,
        _ => return None,
    };
    Some(Input::Disk(Disk { room, free_bytes: 1, ..Disk::default() }))
}

pub(super) fn ended() -> Outcome {
    Outcome::Failed {
        failure: Failure::Resources,
        message: "no space left on device".to_owned(),
        usage: Usage::default(),
        fault: Some(Box::new(Fault::new(Code::DiskFull))),
    }
}

#[test]
fn with_little_room_what_works_goes_on_and_nothing_begins() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 disk low");
    play.lines("3 plan b land=on-gate base=ba5f");
    play.lines("4 a to gate | 5 a green | 6 q to publish | 7 q published");
    assert_eq!(play.status("a"), Status::Complete);
    assert_eq!(play.status("b"), Status::Draft, "not even the gate on its base");
    play.lines("8 disk enough | 9 p2 base-green");
    assert_eq!(play.status("b"), Status::Running);
}

#[test]
fn with_none_everything_rests_at_its_next_safe_point_and_goes_on() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to call",
            "3 disk full | 4 a replies | 5 main f1 | 600000 tick | 600001 disk enough"
        ),
        @"
16       3  1 B free at , and everything rests until it is 0 B
17       4  p1/0/1 e15 replied, asks for 0 tools
18       5  main moved +1 to f100000
19  600001  there is room on the disk again
20  600001  p1 integrates at f100000
21  600001  p1/0/1 gate started
    open: gate
    a is running
"
    );
}

/// Room is waited for as long as it takes, and that is nobody's time; a disk that says it has room,
/// and has none, is for a person to see to.
#[test]
fn what_fails_for_want_of_room_counts_only_where_there_seems_to_be_some() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a | 1 p1 base-green");
    for n in 0..8 {
        let at = n * 100_000_000 + 2;
        let enough = at + 99_400_000;
        play.lines(&format!("{at} disk full | {at} a no-room | {enough} disk enough"));
        play.now = at + 99_990_000;
        play.input(&Input::Tick);
        assert_eq!(play.status("a"), Status::Running, "{}", play.transcript());
        assert!(play.open_of("a").is_some(), "it is tried again");
    }
    play.lines("800000000 a ready | 800000001 a composed");
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a | 1 p1 base-green");
    for n in 1..4 {
        assert_eq!(play.status("a"), Status::Running);
        play.line(&format!("{} a no-room", n * 1_000_000));
        play.now = n * 1_000_000 + 900_000;
        play.input(&Input::Tick);
    }
    assert_eq!(play.status("a"), Status::Blocked);
    let blocked = |it: &Event| matches!(it, Event::StatusChanged { reason: Reason::Stuck(why), .. } if why.contains("space"));
    assert!(play.log.iter().any(|it| blocked(&it.event)), "{}", play.transcript());
}

/// A candidate whose gate had no room is gated again, by itself and as often as it takes.
#[test]
fn a_candidate_without_room_is_not_put_aside() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate");
    play.lines("3 a green 7ee1 | 4 q built c1 7ee9");
    for n in 1..10 {
        play.lines(&format!("{n}0 disk full | {n}1 q no-room | {n}2 disk enough"));
        play.lines(&format!("{n}3 q built c1 7ee9"));
    }
    play.lines("100 q candidate-green | 101 q published");
    assert_eq!(play.status("a"), Status::Complete);
}

#[test]
fn who_touches_the_same_begins_when_the_first_has_no_slot_any_more() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a b touches=src/** land=ask | 1 p1 base-green");
    let statuses = |play: &Play| [play.status("a"), play.status("b")];
    assert_eq!(statuses(&play), [Status::Running, Status::Pending]);
    // Blocked work is a person's; the other does not wait for that.
    play.lines("2 a fails-for-good");
    assert_eq!(statuses(&play), [Status::Blocked, Status::Running]);
    // What was blocked goes on when it may, beside the other.
    play.lines("3 resume a");
    assert_eq!(statuses(&play), [Status::Running, Status::Running]);
}
