//! Budgets: what happens when the money comes to an end, and when a person gives more.

use taskd_model::{Event, Status, Work};

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

/// Milliseconds of a day; time in these stories begins at a midnight.
const DAY: u64 = 86_400_000;

/// Two projects with a plan each, both of the same model; `a` of the first waits to call.
const TWO: &str = "0 start | 0 project | 0 project 2 | 0 plan a | 0 plan b project=2
    1 p1 base-green | 1 p2 base-green | 1 a ready | 1 b ready";

/// Proves W-4: the budget of a day closes for everything it pays for when the next call does not
/// fit, nobody is blocked, and the next day opens it, however late the daemon comes to it.
#[test]
fn a_days_budget_is_spent_and_renewed() {
    insta::assert_snapshot!(
        story_from(
            TWO,
            "2 budget all 15000 | 3 a composed 10000 | 4 a replies read | 5 a tool read
             6 a composed 10000 | 7 b composed 10000 | 86399999 tick | 86400000 tick"
        ),
        @"
26       2  budget of everything set to $0.02
27       3  p1/0/1 e22 composed, about 1000 tokens
28       3  p1/0/1 call started
29       4  p1/0/1 e28 replied, asks for 1 tools
30       4  p1/0/1 tool 0 read started
31       5  p1/0/1 e30 tool done
32       5  p1/0/1 compose started
33       6  p1/0/1 e32 composed, about 1000 tokens
34       6  today's budget of everything is spent until 86400000
35       7  p2/0/1 e25 composed, about 1000 tokens
36  86400000  the budget of everything is renewed
37  86400000  p2/0/1 call started
38  86400000  p1/0/1 waits until 86405000: what is left of today's budget of everything is reserved by calls in flight
    open: call
    a is running
    b is running
"
    );
}

/// Proves W-4: what a project has spent keeps no other project from the same model, and it goes on
/// by itself when a person gives more.
#[test]
fn a_project_that_has_spent_its_day_is_in_nobodys_way() {
    let mut play = Play::default();
    play.lines(TWO);
    play.lines("2 budget project 15000 | 3 a composed 10000 | 4 a replies read | 5 a tool read");
    play.lines("6 a composed 10000 | 7 b composed 10000");
    assert_eq!((play.open_of("a"), play.calls_in_flight()), (None, 1), "{}", play.transcript());
    assert_eq!(play.open_of("b").map(|it| it.1.verb()), Some("call"));
    assert_eq!((play.status("a"), play.status("b")), (Status::Running, Status::Running));
    let a = play.id("a");
    let why = play.core.why(a, taskd_model::Time(8));
    let row = why.last().expect("a reason");
    assert_eq!(
        row.sentence,
        "p1.a waits for money: today's budget of its project is spent, $0.01 of $0.02"
    );
    assert_eq!(row.until.map(|it| it.0), Some(DAY));
    let by = row.evidence.as_ref().expect("an event").seq;
    let spent = play.log.iter().find(|it| matches!(it.event, Event::BudgetSpent { .. }));
    assert_eq!(spent.map(|it| it.seq), Some(by));
    // Less opens nothing; more does, and nobody has to resume.
    play.line("9 budget project 12000");
    assert_eq!(play.open_of("a"), None, "{}", play.transcript());
    play.line("10 budget project 90000");
    assert_eq!(play.open_of("a").map(|it| it.1.verb()), Some("call"), "{}", play.transcript());
}

/// Proves W-4: a budget that is spent when the daemon dies is closed when it comes back the same
/// day, and open when it comes back the next.
#[test]
fn a_spent_day_survives_a_restart() {
    let spent = "2 budget all 15000 | 3 a composed 10000 | 4 a replies read | 5 a tool read
        6 a composed 10000";
    let mut play = Play::default();
    play.lines(TWO);
    play.lines(spent);
    play.lines("7 restart | 8 a ready");
    assert_eq!(play.open_of("a"), None, "{}", play.transcript());
    let late = 3 * DAY + 5;
    play.line(&format!("{late} restart"));
    play.line(&format!("{late} a ready"));
    assert_eq!(play.open_of("a").map(|it| it.1.verb()), Some("call"), "{}", play.transcript());
}

/// Proves W-4: waiting for the next day is nobody's time.
#[test]
fn waiting_for_the_next_day_takes_no_time() {
    for (worker, then) in [("", "call"), ("agent", "agent")] {
        let mut play = Play::default();
        play.lines("0 start | 0 project | 0 budget all 10000");
        play.lines("0 plan b time=900000000 plan-time=900000000 | 1 p1 base-green | 2 b to call");
        play.line("3 b replies read");
        play.line(&format!("4 plan a {worker} time=9000 plan-time=9000"));
        play.lines("5 a to compose | 6 a composed");
        assert_eq!(play.open_of("a"), None, "{}", play.transcript());
        play.line(&format!("{DAY} tick"));
        let open = play.open_of("a").map(|it| it.1.verb());
        assert_eq!(open, Some(then), "{}", play.transcript());
    }
}

/// Proves W-4: a call that asks for more than a whole day's budget waits for a person, since no day
/// will bring it; what others ask for goes on.
#[test]
fn a_call_beyond_a_whole_day_is_asked_about() {
    let mut play = Play::default();
    play.lines(TWO);
    play.lines("2 budget all 15000 | 3 a composed 20000 | 4 b composed 10000");
    assert_eq!((play.status("a"), play.status("b")), (Status::Blocked, Status::Running));
    assert_eq!(play.open_of("b").map(|it| it.1.verb()), Some("call"));
    let told = play.transcript();
    assert!(told.contains("may use $0.02, and everything may use $0.02 a day"), "{told}");
    play.lines("5 budget all 50000 | 6 resume a");
    assert_eq!(play.open_of("a").map(|it| it.1.verb()), Some("call"), "{}", play.transcript());
}

/// Proves W-4: tokens of all classes are counted, reserved with the worst a call may use, and given
/// back when it used less; loops that race for them never go beyond, at any of the four levels.
#[test]
fn tokens_are_reserved_at_every_level() {
    for purse in ["a", "p1", "project", "all"] {
        let mut play = Play::default();
        play.lines("0 start | 0 project | 0 plan a b | 1 p1 base-green | 1 a ready | 1 b ready");
        play.line(&format!("2 tokens {purse} 5000"));
        play.lines("3 a composed 0 4000 | 4 b composed 0 4000");
        let both = usize::from(purse == "a");
        assert_eq!(play.calls_in_flight(), 1 + both, "{purse}: {}", play.transcript());
        let cap = |play: &Play| match play.open_of("a").map(|it| it.1) {
            Some(Work::Call { cap_tokens, reserved_tokens, .. }) => (cap_tokens, reserved_tokens),
            other => panic!("{other:?}"),
        };
        assert_eq!(cap(&play), (5_000, 4_000), "{purse}");
        // It used a thousand of four: the other may go.
        play.lines("5 a replies read | 5005 tick");
        assert_eq!(play.open_of("b").map(|it| it.1.verb()), Some("call"), "{purse}");
        play.lines("5006 b replies read | 5007 a tool read | 5008 a composed 0 4000 | 20000 tick");
        assert_eq!(play.calls_in_flight(), both, "{purse}: {}", play.transcript());
        let daily = ["project", "all"].contains(&purse);
        let status = if daily { Status::Running } else { Status::Blocked };
        let alone = if both == 1 { Status::Running } else { status };
        assert_eq!(play.status("a"), alone, "{purse}: {}", play.transcript());
    }
}

/// Proves W-4: a call that its budget ended asks for money again: it is blocked where it has none,
/// and sent again where there is more.
#[test]
fn a_call_that_came_to_its_budget_asks_again() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a budget=10000 | 1 p1 base-green | 2 a to call");
    play.line("3 a over-budget");
    assert_eq!(play.status("a"), Status::Blocked, "{}", play.transcript());
    assert!(play.transcript().ends_with("a is blocked\n"));
    play.lines("4 budget a 30000 | 5 resume a");
    assert_eq!(play.open_of("a").map(|it| it.1.verb()), Some("call"), "{}", play.transcript());
    play.line("6 a over-budget");
    assert_eq!(play.open_of("a").map(|it| it.1.verb()), Some("call"), "{}", play.transcript());
}

/// Each budget is told of once, in each unit, and one of a day once a day.
#[test]
fn a_budget_of_tokens_is_told_of_once_a_day() {
    let warned = |play: &Play| {
        play.log.iter().filter(|it| matches!(it.event, Event::TokensWarned { .. })).count()
    };
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 tokens all 2000");
    play.line("0 plan a time=900000000 plan-time=900000000");
    play.lines("1 p1 base-green | 2 a to call");
    play.line("3 a replies read");
    assert_eq!(warned(&play), 0);
    play.lines("3 a to call | 4 a replies read");
    assert_eq!(warned(&play), 1, "{}", play.transcript());
    play.line(&format!("{DAY} a to call"));
    play.line(&format!("{DAY} a replies read"));
    assert_eq!(warned(&play), 1, "{}", play.transcript());
    play.line(&format!("{DAY} a to call"));
    play.line(&format!("{DAY} a replies read"));
    assert_eq!(warned(&play), 2, "{}", play.transcript());
}
