//! Requests that are larger than the provider takes: once smaller, then a person.

use super::{Play, story_from};

const AT_ITS_CALL: &str =
    "0 start | 0 project | 0 plan a land=never | 0 p1 base-green | 0 a to call";

/// Most tokens the next request of `a` may have.
fn most(play: &Play) -> Option<u64> {
    let (effect, _) = play.open_of("a").expect("something runs");
    let order = play.core.order(effect).expect("it is open");
    order.subject.expect("a loop's").most_tokens
}

/// Proves AY-2.5: it is composed again at once, within the same iteration.
#[test]
fn a_refused_request_is_composed_again_at_once() {
    let told = story_from(AT_ITS_CALL, "7 a too-large | 8 a composed | 9 a replies");
    insta::assert_snapshot!(told, @"
    16       7  p1/0/1 e15 failed, the request is too large
    17       7  p1/0/1 compose started
    18       8  p1/0/1 e17 composed, about 1000 tokens
    19       8  p1/0/1 call started
    20       9  p1/0/1 e19 replied, asks for 0 tools
    21       9  p1/0/1 gate started
        open: gate
        a is running
    ");
}

/// The second refusal in a row blocks, and a person's word begins afresh.
#[test]
fn the_second_refusal_in_a_row_asks_a_person() {
    let told =
        story_from(AT_ITS_CALL, "7 a too-large | 8 a composed | 9 a too-large | 20 resume a");
    insta::assert_snapshot!(told, @"
    16       7  p1/0/1 e15 failed, the request is too large
    17       7  p1/0/1 compose started
    18       8  p1/0/1 e17 composed, about 1000 tokens
    19       8  p1/0/1 call started
    20       9  p1/0/1 e19 failed, the request is too large
    21       9  p1/0/1 running -> blocked: no luck
    22      20  p1/0/1 asked to go on
    23      20  p1/0/1 blocked -> running: by a person
    24      20  p1/0/1 compose started
        open: compose
        a is running
    ");
}

/// What was learned holds for later turns, counts from an answer on, and goes with a person's word.
#[test]
fn what_was_learned_is_kept() {
    let mut play = Play::default();
    play.lines(AT_ITS_CALL);
    play.line("7 a too-large");
    assert_eq!(most(&play), Some(750), "three quarters of what was sent");
    play.lines("8 a composed | 9 a replies read | 9 a tool read");
    assert_eq!(most(&play), Some(750));
    play.lines("10 a composed | 11 a too-large");
    assert_eq!(play.status("a").to_string(), "running", "an answer lies between");
    play.lines("12 a composed | 13 a too-large");
    assert_eq!(play.status("a").to_string(), "blocked");
    play.line("14 resume a");
    assert_eq!(most(&play), None);
}

/// Reads that the refused reply began are void, and a crash forgets nothing.
#[test]
fn a_crash_in_between_changes_nothing() {
    let mut play = Play::default();
    play.lines(AT_ITS_CALL);
    play.lines("7 a asks 0 read | 8 a too-large");
    assert!(play.core.open_effects().all(|(_, _, ending)| ending), "{}", play.transcript());
    play.lines("9 restart | 10 a to compose");
    assert_eq!(most(&play), Some(750), "{}", play.transcript());
    play.lines("11 a composed | 12 a too-large");
    assert_eq!(play.status("a").to_string(), "blocked", "{}", play.transcript());
}
