//! One loop: iterations, turns, tools, limits.

use super::{Play, story, story_from};

/// Everything up to the first call of a plan with one spec.
const AT_CALL: &str = "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to call";

#[test]
fn a_plan_becomes_a_landed_commit() {
    insta::assert_snapshot!(
        story(
            "0 start | 0 project | 0 plan a land=on-gate
             10 p1 base-green
             20 a ready | 30 a composed | 40 a replies edit | 50 a tool edit 5afe
             60 a composed | 70 a replies
             80 a red
             90 a composed | 100 a replies run | 110 a tool run 5afe
             120 a composed | 130 a replies
             140 a green
             150 q built c1 7ee2 | 160 q candidate-green | 170 q published"
        ),
        @""
    );
}

#[test]
fn main_moving_waits_for_the_turn_to_end() {
    insta::assert_snapshot!(
        story_from(
            AT_CALL,
            "10 main f1 | 20 a replies edit | 30 a tool edit 5afe
             40 a rebased | 50 a composed"
        ),
        @""
    );
}

#[test]
fn reads_start_before_the_reply_ends_and_writes_wait_their_turn() {
    insta::assert_snapshot!(
        story_from(
            AT_CALL,
            "10 a asks 0 read | 11 a asks 1 grep | 12 a asks 2 edit
             20 a tool grep
             30 a replies read grep edit read run
             40 a tool read | 50 a tool edit 5afe | 60 a tool read | 70 a tool run 5afe"
        ),
        @""
    );
}

#[test]
fn finish_ends_the_turns_at_once() {
    insta::assert_snapshot!(story_from(AT_CALL, "10 a replies read finish | 20 a tool read"), @"");
}

#[test]
fn a_call_that_fails_takes_its_early_reads_with_it() {
    insta::assert_snapshot!(
        story_from(
            AT_CALL,
            "10 a asks 0 read | 20 a fails | 30 a cancelled | 2000 tick"
        ),
        @""
    );
}

#[test]
fn nothing_changed_never_passes() {
    insta::assert_snapshot!(story_from(AT_CALL, "10 a replies | 20 a unchanged"), @"");
}

#[test]
fn the_last_iteration_is_the_last() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a iterations=2 | 1 p1 base-green | 2 a to gate | 3 a red",
            "4 a to gate | 5 a red"
        ),
        @""
    );
}

#[test]
fn accept_that_is_green_before_any_work_is_asked_about() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a accept | 1 p1 base-green | 2 a ready",
            "3 a accept-green | 4 resume a"
        ),
        @""
    );
}

#[test]
fn a_conflict_is_the_loops_to_solve() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to gate",
            "10 main f1 | 20 a red | 30 a conflicts | 40 a to gate | 50 a marked"
        ),
        @""
    );
}

#[test]
fn or_a_persons() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a conflict=block | 1 p1 base-green | 2 a to gate",
            "10 main f1 | 20 a red | 25 a saved 01d | 30 a conflicts | 40 resume a"
        ),
        @""
    );
}

#[test]
fn an_agent_that_dies_waits_before_the_next_iteration() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a agent | 1 p1 base-green | 2 a ready | 3 a composed",
            "10 a agent 137 | 5000 tick | 5001 a to gate"
        ),
        @""
    );
}

#[test]
fn the_plans_money_is_everybodys() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 limits calls=1
             0 plan a b plan-budget=10000 | 1 p1 base-green | 2 b to compose | 2 a to call
             3 b composed",
            "10 a replies | 20 a green"
        ),
        @""
    );
}

#[test]
fn time_ends_a_loop_when_its_effects_have_ended() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a time=5000 | 1 p1 base-green | 2 a to call",
            "5001 tick | 5200 a cancelled"
        ),
        @""
    );
}

#[test]
fn a_rate_limit_costs_no_iteration() {
    let mut play = Play::default();
    play.lines(AT_CALL);
    play.line("10 a 429 30000");
    let due = play.core.next_deadline().unwrap();
    assert!(30_010 <= due.0, "never before the time that was named");
    play.line("60000 tick");
    assert_eq!(play.calls_in_flight(), 1);
    assert_eq!(play.core.state().loops()[&play.id("a")].iteration, 1);
}
