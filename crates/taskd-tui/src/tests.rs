//! Pictures of the monitor, and what keys do to it.

mod screens;
mod story;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use insta::assert_snapshot;
use taskd_api::{
    ApiError, Watched, codes,
    v1::{ActResponse, ActResult, Verb},
};
use taskd_model::{Delta, Event, Reason, Seq, Status, Time, View};

use crate::{Act, App, LINES_PER_LOG, LOGS, Step};
use story::{Story, at};

#[test]
fn several_groups() {
    let mut story = Story::busy();
    assert_snapshot!(story.screen(80, 24), @r#"
    taskd 0.1.0 [1 loops] 2 inbox 1  3 queue  4 costs  5 grid                 seq 67
    NEEDS YOU (1)
    > p7              ready to land, +131 -9, gate green, 221 tests      9m    $0.84
    WORKING (2)
      p8  Rate limits for the public API                               1 of 4 landed
        limiter       gate, 4s of about 39s                      1/10    4s    $0.00
        docs          claude: edit limits.md                     1/10    4s    $0.00
    WAITING (1)
      p8  Rate limits for the public API                               1 of 4 landed
        headers       for p8.limiter (working)                           4m    $0.00
    DONE (2)
      p8  Rate limits for the public API                               1 of 4 landed
        metrics       landed 9c9c9c9, +131 -9, gate green, 221 tests    34s    $0.42
    ── p7  limit every API key to 100 requests a minute  needs you, iteration 2/10 ─
      0:41  gate on untouched main: green, 221 tests
      0:41  released                    the untouched base need not be green
      0:41  iteration 1/10
      4:01    agent says it is done; that decides nothing
      4:40    gate RED                  2 of 219: limit::refill, limit::two_keys
      4:40  iteration 2/10, told about the 2 failures
      8:00    agent says it is done; that decides nothing
      8:39    gate GREEN                221 tests, 7 more than before, 39s
      8:39  ready to land: 3 files, +131 -9, 2 iterations, $0.84
    Enter open  / filter  p pause  r resume  a land  x reject  ? help  q detach
    "#);
}

#[test]
fn selection_and_its_log() {
    let mut story = Story::busy();
    story.keys("jj");
    story.noise("p8.limiter", 90, Delta::Line("running 219 tests".to_owned()));
    story.noise("p8.limiter", 90, Delta::Text("a \u{1b}[31mred".to_owned()));
    story.noise("p8.docs", 80, Delta::Line("not of this loop".to_owned()));
    story.noise("p8.limiter", 90, Delta::Text(" word\nand the next line".to_owned()));
    assert_snapshot!(story.screen(80, 24), @r#"
    taskd 0.1.0 [1 loops] 2 inbox 1  3 queue  4 costs  5 grid                 seq 67
    NEEDS YOU (1)
      p7              ready to land, +131 -9, gate green, 221 tests      9m    $0.84
    WORKING (2)
      p8  Rate limits for the public API                               1 of 4 landed
    >   limiter       gate, 4s of about 39s                      1/10    4s    $0.00
        docs          claude: edit limits.md                     1/10    4s    $0.00
    WAITING (1)
      p8  Rate limits for the public API                               1 of 4 landed
        headers       for p8.limiter (working)                           4m    $0.00
    DONE (2)
      p8  Rate limits for the public API                               1 of 4 landed
        metrics       landed 9c9c9c9, +131 -9, gate green, 221 tests    34s    $0.42
    ── p8.limiter  Rate limits for the public API  working, iteration 1/10 ─────────
      5:10  iteration 1/10
              running 219 tests
              a \u{1b}[31mred word
              and the next line





    Enter open  / filter  p pause  r resume  a land  x reject  ? help  q detach
    "#);
}

#[test]
fn a_plan_tells_of_all_its_loops() {
    let mut story = Story::busy();
    story.keys("j");
    assert_snapshot!(story.screen(120, 16), @r#"
    taskd 0.1.0 [1 loops] 2 inbox 1  3 queue  4 costs  5 grid                      needs you 1, working 2, waiting 1  seq 67
    NEEDS YOU (1)                                                ── p8  Rate limits for the public API  1 of 4 landed, $0.4…
      p7              ready to land, +131 -9, gate green,…    9m   0:00  submitted  Rate limits for the public API
    WORKING (2)                                                    0:41  gate on untouched main: green, 221 tests
    > p8  Rate limits for the public API           1 of 4 landed   0:41  released  the untouched base need not be green
        limiter       gate, 4s of about 39s                   4s   0:41  p8.metrics iteration 1/10
        docs          claude: edit limits.md                  4s   4:01  p8.metrics   agent says it is done; that decides
    WAITING (1)                                                          nothing
      p8  Rate limits for the public API           1 of 4 landed   4:40  p8.metrics   gate GREEN  221 tests, 7 more than
        headers       for p8.limiter (working)                4m         before, 39s
    DONE (2)                                                       4:40  p8.metrics in the queue to land
      p8  Rate limits for the public API           1 of 4 landed   4:40  p8.metrics landed 9c9c9c9 on main  gated on 0101010
        metrics       landed 9c9c9c9, +131 -9, gate green…   34s   4:40  p8.docs iteration 1/10
      p9              failed: limit reached: iterations  …    5m   5:10  p8.docs   edit limits.md
                                                                   5:10  p8.limiter iteration 1/10
    Enter open  / filter  p pause  r resume  a land  x reject  t steer  s stop  Space mark  ? help  q detach
    "#);
}

#[test]
fn landing_asks_first() {
    let mut story = Story::busy();
    assert_eq!(story.keys("l"), Step::GoOn);
    assert_snapshot!(story.screen(80, 24), @r#"
    taskd 0.1.0 [1 loops] 2 inbox 1  3 queue  4 costs  5 grid                 seq 67
    NEEDS YOU (1)
    > p7              ready to land, +131 -9, gate green, 221 tests      9m    $0.84
    WORKING (2)
      p8  Rate limits for the public API                               1 of 4 landed
        limiter       gate, 4s of about 39s                      1/10    4s    $0.00
        docs          claude: edit limits.md                     1/10    4s    $0.00
    WAITING (1)
      p8  Rate limits for the public API                               1 of 4 landed
        headers   ┌ sure? ───────────────────────────────────────────┐   4m    $0.00
    DONE (2)      │ Land p7 on main?  +131 -9, gate green, 221 tests │
      p8  Rate lim│                                                  │ 1 of 4 landed
        metrics   │ y yes   any other key: no                        │  34s    $0.42
    ── p7  limit e└──────────────────────────────────────────────────┘eration 2/10 ─
      0:41  gate on untouched main: green, 221 tests
      0:41  released                    the untouched base need not be green
      0:41  iteration 1/10
      4:01    agent says it is done; that decides nothing
      4:40    gate RED                  2 of 219: limit::refill, limit::two_keys
      4:40  iteration 2/10, told about the 2 failures
      8:00    agent says it is done; that decides nothing
      8:39    gate GREEN                221 tests, 7 more than before, 39s
      8:39  ready to land: 3 files, +131 -9, 2 iterations, $0.84
    Enter open  / filter  p pause  r resume  a land  x reject  ? help  q detach
    "#);
    assert_eq!(story.keys("n"), Step::GoOn);
    assert!(story.screen(80, 24).contains("not done"));
    story.keys("l");
    let act = Act::new(Verb::Land, "p7");
    assert_eq!(story.keys("y"), Step::Ask(act));
}

#[test]
fn a_lost_connection_is_seen_until_it_is_back() {
    let mut story = Story::busy();
    let error = ApiError::new(codes::UNREACHABLE, "no taskd daemon answers: it ended");
    story.app.on_watched(Watched::Disconnected { error, attempt: 3 });
    assert!(!story.app.ticks(), "nothing moves while nobody tells");
    assert_snapshot!(story.screen(80, 24), @r#"
    taskd 0.1.0 [1 loops] 2 inbox 1  3 queue  4 costs  5 grid                 seq 67
    reconnecting (try 3): no taskd daemon answers: it ended
    NEEDS YOU (1)
    > p7              ready to land, +131 -9, gate green, 221 tests      9m    $0.84
    WORKING (2)
      p8  Rate limits for the public API                               1 of 4 landed
        limiter       gate, 4s of about 39s                      1/10    4s    $0.00
        docs          claude: edit limits.md                     1/10    4s    $0.00
    WAITING (1)
      p8  Rate limits for the public API                               1 of 4 landed
        headers       for p8.limiter (working)                           4m    $0.00
    DONE (2)
      p8  Rate limits for the public API                               1 of 4 landed
        metrics       landed 9c9c9c9, +131 -9, gate green, 221 tests    34s    $0.42
    ── p7  limit every API key to 100 requests a minute  needs you, iteration 2/10 ─
      0:41  released                    the untouched base need not be green
      0:41  iteration 1/10
      4:01    agent says it is done; that decides nothing
      4:40    gate RED                  2 of 219: limit::refill, limit::two_keys
      4:40  iteration 2/10, told about the 2 failures
      8:00    agent says it is done; that decides nothing
      8:39    gate GREEN                221 tests, 7 more than before, 39s
      8:39  ready to land: 3 files, +131 -9, 2 iterations, $0.84
    Enter open  / filter  p pause  r resume  a land  x reject  ? help  q detach
    "#);
    story.app.on_watched(Watched::Connected { version: Some("0.2.0".to_owned()) });
    let screen = story.screen(80, 24);
    assert!(!screen.contains("reconnecting") && screen.contains("taskd 0.2.0"), "{screen}");
}

#[test]
fn a_tiny_terminal() {
    let mut story = Story::busy();
    assert_snapshot!(story.screen(20, 8), @r#"
    [1 loops]     seq 67
    NEEDS YOU (1)
    > p7        ready t…
    WORKING (2)
    ── p7  limit every …
    files, +131 -9, 2
    iterations, $0.84
    ? help  q detach
    "#);
    story.keys("l");
    assert_snapshot!(story.screen(20, 8), @r#"
    ┌ sure? ───────────┐
    │ Land p7 on main? │
    │  +131 -9, gate   │
    │ green, 221 tests │
    │                  │
    │ y yes   any      │
    │ other key: no    │
    └──────────────────┘
    "#);
}

#[test]
fn every_size_is_drawn() {
    let mut story = Story::busy();
    let error = ApiError::new(codes::UNREACHABLE, "gone");
    story.app.on_watched(Watched::Disconnected { error, attempt: 1 });
    story.noise("p7", 90, Delta::Line("漢字 and more of that".to_owned()));
    for keys in ["", "p", "s", "?"] {
        story.keys(keys);
        for columns in (1..130).step_by(3) {
            for rows in [1, 2, 3, 4, 5, 6, 9, 24] {
                story.screen(columns, rows);
            }
        }
        story.key(KeyCode::Enter);
    }
}

#[test]
fn before_the_view_comes_nothing_is_claimed() {
    let mut story = Story::new();
    story.app = App::new("/r");
    assert_snapshot!(story.screen(40, 4), @r#"
    [1 loops]                             /r
    connecting

    Enter open  / filter  ? help  q detach
    "#);
    story.app.on_watched(Watched::View(Box::default()));
    assert_eq!(story.keys("p"), Step::GoOn);
    assert!(story.screen(40, 4).contains("nothing is selected"));
}

#[test]
fn keys_ask_the_daemon_once_and_tell_what_it_says() {
    let mut story = Story::busy();
    let act = Act::new(Verb::Pause, "p7");
    assert_eq!(story.keys("p"), Step::Ask(act.clone()));
    assert_eq!(story.keys("r"), Step::GoOn, "one thing at a time");
    let result = ActResult {
        id: "p7".to_owned(),
        name: "p7".to_owned(),
        done: true,
        message: "pausing\u{7}".to_owned(),
        error: None,
    };
    story.app.on_answer(&act, Ok(ActResponse { results: vec![result], seq: 9 }));
    assert!(story.screen(80, 24).contains("p7: pausing\\u{7}"));
    let resume = Act::new(Verb::Resume, "p7");
    assert_eq!(story.keys("r"), Step::Ask(resume.clone()));
    let error = ApiError::new(codes::REFUSED, "it is not paused").hint("taskd why p7");
    story.app.on_answer(&resume, Err(error));
    assert!(story.screen(80, 24).contains("p7: it is not paused; next: taskd why p7"));
}

#[test]
fn letting_go() {
    let mut story = Story::busy();
    assert_eq!(story.keys("q"), Step::Detach);
    assert_eq!(story.key(KeyCode::Esc), Step::Detach);
    story.keys("s");
    assert_eq!(story.key(KeyCode::Esc), Step::GoOn, "it says no");
    story.keys("s");
    let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(story.app.on_key(control_c), Step::Detach, "even then");
    story.keys("n");
    assert_eq!(story.keys("?"), Step::GoOn);
    assert!(story.screen(80, 24).contains("the daemon works on"));
}

#[test]
fn the_selection_follows_its_loop() {
    let mut story = Story::busy();
    story.keys("jj");
    assert!(story.screen(80, 24).contains(">   limiter"));
    story.status(at(8, 1), Status::Blocked, Reason::Conflict);
    let screen = story.screen(80, 24);
    assert!(screen.contains(">   limiter       conflicts not solved"), "{screen}");
    story.keys("g");
    assert!(story.screen(80, 24).contains("> p7"));
    story.keys("k");
    assert!(story.screen(80, 24).contains("> p7"), "there is nothing above");
    story.keys("G");
    assert!(story.screen(80, 24).contains("> p9"));
}

#[test]
fn who_scrolled_back_stays_there() {
    let mut story = Story::busy();
    let line = |n: u32| Delta::Line(format!("line {n}."));
    for n in 0..100 {
        story.noise("p7", 90, line(n));
    }
    story.key(KeyCode::PageUp);
    let last =
        |story: &mut Story| story.screen(80, 24).lines().nth(22).map(|it| it.trim().to_owned());
    assert_eq!(last(&mut story).as_deref(), Some("line 89."));
    for n in 100..150 {
        story.noise("p7", 90, line(n));
    }
    assert_eq!(last(&mut story).as_deref(), Some("line 89."));
    story.key(KeyCode::End);
    assert_eq!(last(&mut story).as_deref(), Some("line 149."));
}

#[test]
fn logs_are_bounded() {
    let mut story = Story::busy();
    for n in 0..2 * LINES_PER_LOG {
        story.noise("p7", 90, Delta::Line(format!("line {n}")));
    }
    story.noise("p7", 90, Delta::Text("x".repeat(1_000_000)));
    let log = story.app.world.logs.get("p7").unwrap();
    assert_eq!(log.entries().len(), LINES_PER_LOG);
    assert!(log.entries().iter().all(|it| it.text.chars().count() <= 1_000));
    for plan in 100..100 + u32::try_from(2 * LOGS).unwrap() {
        story.plan(plan, "one of many", &["run"], &[]);
    }
    let kept =
        (100..1_000).filter(|it| story.app.world.logs.get(&format!("p{it}")).is_some()).count();
    assert_eq!(kept, LOGS - 1);
    assert!(story.app.world.logs.get("p7").is_some(), "the selected one is kept");
}

#[test]
fn only_what_is_new_is_drawn() {
    let mut story = Story::busy();
    assert!(story.app.take_dirty());
    assert!(!story.app.take_dirty());
    let beat = |story: &mut Story, at| {
        story.app.on_watched(Watched::Heartbeat { at: Time(at), head: Seq(1) });
        story.app.take_dirty()
    };
    assert!(!beat(&mut story, 1), "the past is known");
    assert!(beat(&mut story, u64::from(u32::MAX)));
    story.noise("p8.docs", 80, Delta::Line("not selected".to_owned()));
    assert!(!story.app.take_dirty());
    story.noise("p7", 90, Delta::Line("selected".to_owned()));
    assert!(story.app.take_dirty());
}

#[test]
fn a_view_that_comes_anew_begins_with_what_it_knows() {
    let mut story = Story::busy();
    let view = story.app.view().clone();
    let mut fresh = Story::new();
    fresh.app = App::new("/r/src");
    fresh.app.on_watched(Watched::View(Box::new(view.clone())));
    assert_snapshot!(fresh.screen(80, 20), @r#"
    taskd 0.1.0 [1 loops] 2 inbox 1  3 queue  4 costs  5 grid         /r/src  seq 67
    NEEDS YOU (1)
    > p7              ready to land, +131 -9, gate green, 221 tests      9m    $0.84
    WORKING (2)
      p8  Rate limits for the public API                               1 of 4 landed
        limiter       gate, 0s of about 39s                      1/10    0s    $0.00
        docs          claude: edit limits.md                     1/10    0s    $0.00
    WAITING (1)
      p8  Rate limits for the public API                               1 of 4 landed
        headers       for p8.limiter (working)                           4m    $0.00
    ── p7  limit every API key to 100 requests a minute  needs you, iteration 2/10 ─
      0:00  submitted                   limit every API key to 100 requests a minute
      0:41  gate on untouched main: green  221 of 221
      0:41  iteration 1/10
      4:40    gate RED                  2 of 219: limit::refill, limit::two_keys
      4:40  iteration 2/10
      8:39    gate GREEN                221 of 221
      8:39  ready to land

    Enter open  / filter  p pause  r resume  a land  x reject  ? help  q detach
    "#);
    fresh.app = App::new("/elsewhere");
    fresh.app.on_watched(Watched::View(Box::new(view)));
    assert!(fresh.screen(80, 20).contains("nothing here yet"));
    let later = View { seq: Seq(9_999), ..story.app.view().clone() };
    story.app.on_watched(Watched::View(Box::new(later)));
    assert!(story.screen(80, 24).contains("some events were missed"));
}

#[test]
fn parking_is_seen_and_told_to_every_log() {
    let mut story = Story::busy();
    story.say(Event::WorkParked);
    let screen = story.screen(80, 24);
    assert!(screen.contains("PARKED") && screen.contains("parked: nothing new starts"), "{screen}");
}
