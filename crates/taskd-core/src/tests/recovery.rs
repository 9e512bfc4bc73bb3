//! Restarts: nothing is repeated that cannot be, and nothing is forgotten.

use taskd_model::Status;

use super::{Play, story_from};

const AT_CALL: &str = "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to call";

#[test]
fn an_interrupted_command_is_not_repeated() {
    insta::assert_snapshot!(
        story_from(
            &format!("{AT_CALL} | 3 a replies edit run edit | 4 a tool edit 5afe"),
            "10 restart | 20 a ready | 30 a tool edit 5afe | 40 a composed"
        ),
        @""
    );
}

#[test]
fn an_interrupted_write_is_undone_and_done_again() {
    insta::assert_snapshot!(
        story_from(&format!("{AT_CALL} | 3 a replies edit"), "10 restart | 20 a ready"),
        @""
    );
}

#[test]
fn a_call_is_sent_again_under_a_new_id() {
    insta::assert_snapshot!(
        story_from(&format!("{AT_CALL} | 3 a asks 0 read"), "10 restart | 20 a ready"),
        @""
    );
}

#[test]
fn an_interrupted_rebase_begins_again_from_what_it_saved() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a | 1 p1 base-green | 2 a to gate | 3 main f1 | 4 a red
             5 a saved 01d",
            "10 restart | 20 a ready | 30 a rebased"
        ),
        @""
    );
}

#[test]
fn a_paused_loop_stays_paused_and_a_parked_daemon_parked() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a b | 1 p1 base-green | 2 pause a | 3 a ready");
    play.lines("4 park | 10 restart");
    assert_eq!(play.status("a"), Status::Paused);
    assert!(play.core.is_parked());
    assert_eq!(play.core.open_effects().count(), 0);
    play.line("20 unpark");
    assert_eq!(play.status("a"), Status::Paused);
    assert!(play.open_of("b").is_some());
}

#[test]
fn iterations_go_on_counting() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a iterations=2 | 1 p1 base-green | 2 a to gate");
    play.lines("3 a red | 4 a to call | 10 restart");
    let engine = &play.core.state().loops()[&play.id("a")];
    assert_eq!((engine.iteration, engine.history.len()), (2, 1));
    play.lines("20 a to gate | 30 a red");
    assert_eq!(play.status("a"), Status::Failed);
}

#[test]
fn a_publish_whose_outcome_was_lost_lands_once() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a land=on-gate | 1 p1 base-green | 2 a to gate
             3 a green 7ee1 | 4 q built c1 7ee1",
            "10 restart | 20 main f1 | 30 q published"
        ),
        @""
    );
}

#[test]
fn a_stopped_agent_counts_its_restarts() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a agent | 1 p1 base-green | 2 a ready | 3 a composed",
            "10 restart | 20 a ready | 30 restart | 40 a ready"
        ),
        @""
    );
}
