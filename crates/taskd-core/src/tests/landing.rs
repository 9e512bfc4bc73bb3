//! The landing queue, needs, and the integration ref.

use super::{Play, story_from};

#[test]
fn a_need_is_met_on_the_integration_ref() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b<a | 1 p1 base-green | 2 a to gate",
            "10 a green 7ee1 | 20 q built c1 7ee1 | 30 q published | 40 b ready"
        ),
        @""
    );
}

#[test]
fn what_was_integrated_on_the_tip_lands_as_it_is() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 20 q built c1 7ee1 | 30 q published",
            "40 land a | 50 q published"
        ),
        @""
    );
}

#[test]
fn a_tree_that_was_gated_is_not_gated_again() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a b land=on-gate | 1 p1 base-green");
    play.lines("2 a to gate | 2 b to gate | 10 a green 7ee1 | 20 q built c1 7ee1");
    assert_eq!(play.open_of("q").unwrap().1.verb(), "publish");
    play.lines("30 q published | 40 b green 7ee4 | 50 q built c2 7ee5");
    assert_eq!(play.open_of("q").unwrap().1.verb(), "gate candidate");
}

#[test]
fn a_candidate_on_an_old_tip_is_evicted_and_built_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 20 q built c1 7ee9",
            "30 main f1 | 40 q cancelled | 50 q built c2 7ee8 | 60 q candidate-green
             70 q moved f2 | 80 q built c3 7ee7 | 90 q candidate-green | 100 q published"
        ),
        @""
    );
}

#[test]
fn red_together_goes_back_to_its_loop() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate | 5 main f1
             10 a green 7ee1 | 20 q built c1 7ee9",
            "30 q candidate-red"
        ),
        @""
    );
}

#[test]
fn held_by_a_dirty_checkout_it_waits_on_the_integration_ref() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 20 q built c1 7ee1",
            "30 q held | 40 q built c1 7ee1 | 50 q published | 60 land a | 70 q published"
        ),
        @""
    );
}

#[test]
fn an_approval_before_its_need_landed_is_kept() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b<a | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1 | 12 q published
             20 b to gate | 21 b green 7ee2 | 22 q built c2 7ee2 | 23 q published",
            "30 land b | 40 land a | 50 q published | 60 q published"
        ),
        @""
    );
}

#[test]
fn what_does_not_land_alone_waits_for_what_came_before_it() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1 | 12 q published | 13 b to gate
             20 b green 7ee2 | 21 q built c2 7ee2 | 22 q published",
            "30 land b | 40 q conflict | 50 land a | 60 q published | 70 q published"
        ),
        @""
    );
}

#[test]
fn a_refresh_that_conflicts_starts_the_integration_ref_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1 | 12 q published",
            "30 main f1 | 40 q conflict | 50 q built c2 7ee2 | 60 q candidate-green | 70 q published"
        ),
        @""
    );
}

#[test]
fn a_rewritten_target_starts_the_integration_ref_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1 | 12 q published",
            "30 main 0dd rewritten | 40 q built c2 7ee2"
        ),
        @""
    );
}

#[test]
fn work_sent_back_while_it_was_brought_comes_off_again() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to gate
             10 a green 7ee1 | 11 q built c1 7ee1",
            "20 reject a | 30 q published"
        ),
        @""
    );
}

#[test]
fn when_a_need_is_stopped_its_dependents_ask() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b<a c<b | 1 p1 base-green",
            "10 stop a | 20 a cancelled | 30 resume b"
        ),
        @""
    );
}

#[test]
fn a_red_base_is_checked_again_where_the_target_is_now() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a",
            "10 p1 base-red | 20 main f1 | 30 resume a | 40 p1 base-green"
        ),
        @""
    );
}

#[test]
fn a_base_that_may_be_red_for_one_plan_may_not_for_another() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project",
            "0 plan a red-ok | 0 plan b | 10 p1 base-red | 20 p2 base-red"
        ),
        @""
    );
}
