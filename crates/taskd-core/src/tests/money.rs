//! Budgets: what happens when the money comes to an end, and when a person gives more.

use taskd_model::{Event, Status};

use super::{Play, story_from};

/// A loop with two cents whose call costs one, at the gate.
const SPENT: &str = "0 start | 0 project | 0 plan a budget=20000 plan-time=9000 time=5000
    1 p1 base-green | 2 a to call | 10 a replies | 20 a red | 30 a composed | 40 a replies
    50 a red";

/// Proves N19 P-8: money that has run out blocks the loop; more of it, and it goes on where it
/// stopped, in the next iteration, and without losing the time it waited.
#[test]
fn money_that_has_run_out_is_asked_for() {
    let mut play = Play::default();
    play.lines(SPENT);
    assert_eq!(play.status("a"), Status::Blocked, "{}", play.transcript());
    play.line("90000 resume a");
    let refused = play.refused.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!(refused, "p1.a has no money left (budget); raise that first: taskd budget set");
    insta::assert_snapshot!(
        story_from(SPENT, "90000 budget a 50000 | 90001 resume a | 90002 a composed"),
        @"
30   90000  p1/0/1 budget of p1/0/1 set to $0.05
31   90001  p1/0/1 asked to go on
32   90001  p1/0/1 blocked -> running: by a person
33   90001  p1/0/1 iteration 3
34   90001  p1/0/1 compose started
35   90002  p1/0/1 e34 composed, about 1000 tokens
36   90002  p1/0/1 call started
    open: call
    a is running
"
    );
}

/// Proves P-8: a plan's money is given for all its loops, and less than is spent stops the next
/// call and nothing else.
#[test]
fn a_plans_budget_can_be_lowered_and_raised() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 plan a b | 1 p1 base-green | 2 a to call | 3 b to compose",
            "5 budget p1 10000 | 10 a replies read | 11 b composed | 12 a tool read | 20 budget p1 900000
             21 resume a b"
        ),
        @"
23       5  budget of p1 set to $0.01
24      10  p1/0/1 e19 replied, asks for 1 tools
25      10  $0.01 of the $0.01 of p1 spent
26      10  p1/0/1 tool 0 read started
27      11  p1/1/1 e22 composed, about 1000 tokens
28      11  p1/1/1 running -> blocked: limit reached: the plan's budget
29      12  p1/0/1 e26 tool done
30      12  p1/0/1 running -> blocked: limit reached: the plan's budget
31      20  budget of p1 set to $0.90
32      21  p1/0/1 asked to go on
33      21  p1/0/1 blocked -> running: by a person
34      21  p1/1/1 asked to go on
35      21  p1/1/1 blocked -> running: by a person
36      21  p1/0/1 compose started
37      21  p1/1/1 call started
    open: compose
    open: call
    a is running
    b is running
"
    );
}

/// What is over keeps its budget.
#[test]
fn what_is_over_has_no_budget_to_set() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a | 1 stop a");
    assert_eq!(play.status("a"), Status::Stopped);
    for line in ["2 budget a 1000", "2 budget p1 1000", "2 budget p2 1000"] {
        play.line(line);
        assert!(play.refused.is_some(), "{line}: {}", play.transcript());
    }
}

/// The warning comes once for each budget, with the call that crosses four fifths of
/// it, and again only when the budget was set anew.
#[test]
fn a_budget_that_comes_to_an_end_is_told_once() {
    let mut play = Play::default();
    play.lines(
        "0 start | 0 project | 0 plan a budget=100000 plan-budget=1000000 | 0 p1 base-green",
    );
    let warned = |play: &Play| {
        play.log.iter().filter(|it| matches!(it.event, Event::BudgetWarned { .. })).count()
    };
    play.line("1 a to call");
    for spent in 1..=9_usize {
        assert_eq!(warned(&play), usize::from(8 < spent), "{}", play.transcript());
        play.line("2 a replies read");
        play.line("2 a to call");
    }
    play.line("3 budget a 105000");
    assert_eq!(warned(&play), 2, "still near its end: {}", play.transcript());
    play.line("3 budget a 105000");
    play.line("3 budget a 900000");
    assert_eq!(warned(&play), 2, "{}", play.transcript());
}

/// Proves P-8: an agent that waited for its slot is not run with money that is gone by then; one
/// that runs is left alone.
#[test]
fn an_agent_is_not_started_without_money() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 limits agents=1 | 0 plan a b agent | 1 p1 base-green");
    play.lines("2 a to agent | 3 b ready | 4 b composed | 5 budget p1 0");
    assert_eq!((play.status("a"), play.status("b")), (Status::Running, Status::Running));
    play.line("6 a agent");
    assert_eq!((play.status("a"), play.status("b")), (Status::Running, Status::Blocked));
    play.lines("7 budget p1 1000000 | 8 resume b");
    assert_eq!(play.open_of("b").map(|it| it.1.verb()), Some("agent"), "{}", play.transcript());
}
