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
        @"
20      10  daemon 0.1.0 started
21      10  p1/0/1 prepare worktree, files of 5afe000 started
22      20  p1/0/1 e21 worktree ready
23      20  p1/0/1 tool 2 edit started
24      30  p1/0/1 e23 tool done
25      30  p1/0/1 compose started
26      40  p1/0/1 e25 composed, about 1000 tokens
27      40  p1/0/1 call started
    open: call
    a is running
"
    );
}

#[test]
fn an_interrupted_write_is_undone_and_done_again() {
    insta::assert_snapshot!(
        story_from(&format!("{AT_CALL} | 3 a replies edit"), "10 restart | 20 a ready"),
        @"
18      10  daemon 0.1.0 started
19      10  p1/0/1 prepare worktree started
20      20  p1/0/1 e19 worktree ready
21      20  p1/0/1 tool 0 edit started
    open: tool 0 edit
    a is running
"
    );
}

#[test]
fn a_call_is_sent_again_under_a_new_id() {
    insta::assert_snapshot!(
        story_from(&format!("{AT_CALL} | 3 a asks 0 read"), "10 restart | 20 a ready"),
        @"
18      10  daemon 0.1.0 started
19      10  p1/0/1 prepare worktree, as it is started
20      20  p1/0/1 e19 worktree ready
21      20  p1/0/1 call started
    open: call
    a is running
"
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
        @"
25      10  daemon 0.1.0 started
26      10  p1/0/1 prepare worktree, files of 01d0000 started
27      20  p1/0/1 e26 worktree ready
28      20  p1/0/1 rebase onto f100000 started
29      30  p1/0/1 e28 rebased, clean
30      30  p1/0/1 rebasing -> running: rebased
31      30  p1/0/1 iteration 2
32      30  p1/0/1 compose started
    open: compose
    a is running
"
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
        @"
25      10  daemon 0.1.0 started
26      10  queue 1 publish land p1/0/1 c100000 started
27      20  main moved +1 to f100000
28      20  p1 integrates at f100000
29      30  e26 published
30      30  p1/0/1 q21 land p1/0/1: done: c100000 on ba5e000
31      30  p1/0/1 running -> complete: done
32      30  p1 ended
    a is complete
"
    );
}

#[test]
fn a_stopped_agent_counts_its_restarts() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a agent | 1 p1 base-green | 2 a ready | 3 a composed",
            "10 restart | 20 a ready | 30 restart | 40 a ready"
        ),
        @"
16      10  daemon 0.1.0 started
17      10  p1/0/1 prepare worktree, as it is started
18      20  p1/0/1 e17 worktree ready
19      20  p1/0/1 agent started
20      30  daemon 0.1.0 started
21      30  p1/0/1 prepare worktree, as it is started
22      40  p1/0/1 e21 worktree ready
23      40  p1/0/1 limit reached: restarts
24      40  p1/0/1 running -> failed: limit reached: restarts
25      40  p1 ended
    a is failed
"
    );
}
