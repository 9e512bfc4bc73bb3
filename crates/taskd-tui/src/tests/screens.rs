//! Pictures of the other screens, and what keys and clicks do in them.

use crossterm::event::{
    Event as Input, KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use taskd_api::{
    ApiError, Output, Watched, codes,
    v1::{
        BucketRow, Checkpoint, CheckpointsResponse, DiffResponse, LandingEntry, LandingRow,
        QueueResponse, ShowResponse, Verb,
    },
};
use taskd_model::{Delta, Event, Observation, Record, Seq, View, Work};

use super::story::{Story, at};
use crate::{Act, App, Found, Query, Step, What};

fn click(story: &mut Story, column: u16, row: u16) -> Step {
    let kind = MouseEventKind::Down(MouseButton::Left);
    mouse(story, kind, column, row)
}

fn mouse(story: &mut Story, kind: MouseEventKind, column: u16, row: u16) -> Step {
    let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
    story.app.on_event(&Input::Mouse(event))
}

/// All that the monitor wants to know now.
fn queries(story: &mut Story) -> Vec<Query> {
    std::iter::from_fn(|| story.app.take_query()).collect()
}

/// The events of a story that are about p8.docs, as a daemon would give them.
fn events_of(story: &Story, from: u64, upto: u64) -> Vec<Record> {
    let of_it = |it: &&Record| (from..=upto).contains(&it.seq.0) && it.loop_id == Some(at(8, 2));
    story.log.iter().filter(of_it).cloned().collect()
}

/// Opens p8.docs, whose agent works, and its events.
fn docs() -> Story {
    let mut story = Story::busy();
    story.keys("jjj");
    story.key(KeyCode::Enter);
    story
}

/// Numbers at the beginnings of lines.
fn numbers(screen: &str) -> Vec<u64> {
    let number = |line: &str| line.trim_start().split_once(' ')?.0.parse().ok();
    screen.lines().filter_map(number).collect()
}

#[test]
fn one_loop_in_focus() {
    let mut story = docs();
    let asked = queries(&mut story);
    let (name, seq) = ("p8.docs".to_owned(), story.app.view().seq.0);
    assert_eq!(
        asked,
        [Query::Events { name: name.clone(), from: 1, upto: seq }, Query::Talk(name.clone())]
    );
    story.noise("p8.docs", 62, Delta::Line("reading limits.md".to_owned()));
    story.noise("p8.docs", 62, Delta::Line("writing limits.md".to_owned()));
    let outputs = vec![Output {
        effect: 7,
        heading: "iteration 1, agent".to_owned(),
        text: "I begin.\n\u{1b}[2JI end.".to_owned(),
    }];
    let tail = vec!["thinking".to_owned(), "reading limits.md".to_owned()];
    story.app.on_found(&Query::Talk(name), Ok(Found::Texts(outputs, tail)));
    insta::assert_snapshot!(story.screen(80, 16), @r#"
    taskd 0.1.0  1 loops  2 inbox 1  3 queue  4 costs  5 grid [p8.docs]       seq 67
    ── p8.docs  Rate limits for the public API  working, iteration 1/10 ────────────
    claude: edit limits.md · last sign 4s ago · no gate yet · $0.00 of $5.00
    base 1 behind
    [talk] tools  gate  diff  events  task
    ── iteration 1, agent
    I begin.
    \u{1b}[2JI end.
    thinking
    reading limits.md
    writing limits.md




    Tab tab  / search  p pause  r resume  a land  x reject  ? help  q detach
    "#);
    // The whole output came: what streamed by of it goes.
    let outputs = vec![Output {
        effect: 62,
        heading: "iteration 1, agent".to_owned(),
        text: "reading limits.md\nwriting limits.md\n".to_owned(),
    }];
    let query = Query::Talk("p8.docs".to_owned());
    story.app.on_found(&query, Ok(Found::Texts(outputs, Vec::new())));
    let screen = story.screen(80, 24);
    assert_eq!(screen.matches("reading limits.md").count(), 1, "{screen}");
    assert_eq!(story.key(KeyCode::Esc), Step::GoOn, "back to the list");
    assert!(story.screen(80, 24).contains(">   docs"));
}

/// Proves S-5.2.5: what streams by is Markdown too, a fence that is open is code, and each line
/// stands there once however it came; in ASCII every sign has one that takes its place.
#[test]
fn markdown_streams_by() {
    let mut story = Story::busy();
    story.keys("jjj");
    story.key(KeyCode::Enter);
    for piece in ["# Li", "mits\n\n- **fir", "st**, a buc", "ket\n\n``", "`\nlet n = 1;\n\nlet m"] {
        story.noise("p8.docs", 80, Delta::Text(piece.to_owned()));
        story.screen(80, 16);
    }
    let screen = story.screen(80, 16);
    let shown = screen.lines().skip_while(|it| it.trim() != "Limits").take(7);
    let shown: Vec<&str> = shown.map(str::trim).collect();
    let wanted = ["Limits", "", "- first, a bucket", "", "let n = 1;", "", "let m"];
    assert_eq!(shown, wanted, "{screen}");
    let app = std::mem::replace(&mut story.app, App::new(""));
    story.app = app.in_ascii(true);
    let screen = story.screen(80, 16);
    assert!(screen.is_ascii() && screen.contains("-- p8.docs  Rate") && screen.contains("Limits"));
}

#[test]
fn what_an_agent_does_is_noise_first_and_a_fact_once_it_is_durable() {
    for focus in [false, true] {
        let mut story = Story::busy();
        story.keys("jjj");
        if focus {
            story.key(KeyCode::Enter);
        }
        let effect = story.agent;
        story.noise("p8.docs", effect.0.0, Delta::Line("run make".to_owned()));
        let fact = Observation::Activity("run make".to_owned());
        story.of(at(8, 2), Event::EffectObserved { effect, index: 1, fact });
        let screen = story.screen(80, 24);
        let log = screen.lines().skip(11).filter(|it| it.contains("run make")).count();
        let talk = screen.lines().skip(4).filter(|it| it.contains("run make")).count();
        assert_eq!(if focus { talk } else { log }, 1, "{screen}");
    }
}

/// Proves AY-1.10: events that came before the answer about the past, after it, and while there was no
/// connection stand there once and in order, also when the answer repeats some or fails at first.
#[test]
fn events_have_no_gap_and_no_repetition() {
    let mut story = docs();
    let ask = |story: &mut Story| {
        let found = queries(story).into_iter().find(|it| matches!(it, Query::Events { .. }));
        found.unwrap_or_else(|| panic!("events are asked for"))
    };
    let query = ask(&mut story);
    let step = |story: &mut Story, text: &str| {
        let fact = Observation::Activity(text.to_owned());
        let effect = story.agent;
        story.of(at(8, 2), Event::EffectObserved { effect, index: 1, fact });
    };
    for _ in 0..4 {
        story.key(KeyCode::Tab);
    }
    // While nobody knows the past yet, something happens, and the question fails.
    step(&mut story, "edit one.md");
    story.app.on_found(&query, Err(ApiError::new(codes::UNREACHABLE, "gone")));
    assert!(!queries(&mut story).contains(&query), "not at once");
    story.after(2);
    story.app.on_time(taskd_model::Time(story.now));
    let query = ask(&mut story);
    let Query::Events { from, upto, .. } = query else { unreachable!() };
    // The answer may hold what came meanwhile.
    let found = events_of(&story, from, upto + 1);
    story.app.on_found(&query, Ok(Found::Events(found)));
    step(&mut story, "edit two.md");
    let whole = |story: &mut Story| {
        let wanted: Vec<u64> = events_of(story, 1, u64::MAX).iter().map(|it| it.seq.0).collect();
        let screen = story.screen(100, 60);
        assert_eq!(numbers(&screen), wanted, "{screen}");
    };
    whole(&mut story);
    // The daemon begins again with a view that holds what nobody was told.
    let error = ApiError::new(codes::UNREACHABLE, "gone");
    story.app.on_watched(Watched::Disconnected { error, attempt: 1 });
    assert_eq!(queries(&mut story), [], "nobody is there to ask");
    let mut view: View = story.app.view().clone();
    let missed = story.record(Some(at(8, 2)), Event::PauseAsked);
    view.apply(&missed);
    story.app.on_watched(Watched::Connected { version: None });
    story.app.on_watched(Watched::View(Box::new(view)));
    let query = ask(&mut story);
    let Query::Events { from, upto, .. } = query else { unreachable!() };
    assert_eq!((from, upto), (missed.seq.0, missed.seq.0));
    let found = events_of(&story, from, upto);
    story.app.on_found(&query, Ok(Found::Events(found)));
    step(&mut story, "edit three.md");
    whole(&mut story);
}

#[test]
fn diff_task_and_search() {
    let mut story = Story::busy();
    story.key(KeyCode::Enter);
    for _ in 0..3 {
        story.key(KeyCode::Tab);
    }
    let asked = queries(&mut story);
    assert!(asked.contains(&Query::Diff("p7".to_owned())), "{asked:?}");
    let text = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n one\n+two 漢字\n";
    let diff = DiffResponse {
        text: text.to_owned(),
        from: "0123456789".to_owned(),
        to: "abcdefabcd".to_owned(),
        ..DiffResponse::default()
    };
    story.app.on_found(&Query::Diff("p7".to_owned()), Ok(Found::Diff(Box::new(diff))));
    insta::assert_snapshot!(story.screen(80, 16), @r#"
    taskd 0.1.0  1 loops  2 inbox 1  3 queue  4 costs  5 grid [p7]            seq 67
    ── p7  limit every API key to 100 requests a minute  needs you, iteration 2/10 ─
    ready to land, +131 -9, gate green, 221 tests · last sign 9m ago
    gate green: 221 of 221 · $0.84 of $5.00 · base up to date
     talk  tools  gate [diff] events  task
    0 files, +0 -0, 0123456 to abcdefa
    diff --git a/x b/x
    --- a/x
    +++ b/x
    @@ -1 +1,2 @@
     one
    +two 漢字



    Tab tab  / search  p pause  r resume  a land  x reject  ? help  q detach
    "#);
    assert!(queries(&mut story).is_empty(), "what is shown is not asked for again");
    story.keys("/two");
    story.key(KeyCode::Enter);
    assert!(!story.screen(80, 16).contains("is not in here"));
    story.keys("/twelve");
    story.key(KeyCode::Enter);
    let screen = story.screen(80, 16);
    assert!(screen.contains("twelve\" is not in here"), "{screen}");
    story.key(KeyCode::BackTab);
    story.key(KeyCode::BackTab);
    story.key(KeyCode::BackTab);
    story.key(KeyCode::BackTab);
    let query = Query::Task("p7".to_owned());
    assert!(queries(&mut story).contains(&query));
    let error = ApiError::new(codes::UNREACHABLE, "gone").hint("taskd daemon start");
    story.app.on_found(&query, Err(error));
    assert!(story.screen(80, 16).contains("gone; next: taskd daemon start"));
    let task = ShowResponse { text: "Limit it.".to_owned(), ..ShowResponse::default() };
    let heading = "iteration 1, call 2 of 2, turn 2, to anthropic/claude-sonnet-4-5".to_owned();
    let sent = Output { effect: 7, heading, text: "--- user ---\nDo it so.\n".to_owned() };
    story.app.on_found(&query, Ok(Found::Task(Box::new(task), vec![sent])));
    let screen = story.screen(80, 24);
    for part in ["Limit it.", "── sent last: iteration 1, call 2 of 2, turn 2", "Do it so."] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
}

#[test]
fn a_filter_and_folded_plans() {
    let mut story = Story::busy();
    story.keys("/lim doc");
    let screen = story.screen(80, 24);
    assert!(screen.contains("filter> lim doc▏"), "{screen}");
    assert!(screen.contains("docs") && !screen.contains("    limiter"), "{screen}");
    story.key(KeyCode::Enter);
    let screen = story.screen(80, 24);
    assert!(screen.contains("only what holds \"lim doc\": 1  (Esc shows all)"), "{screen}");
    assert_eq!(story.key(KeyCode::Esc), Step::GoOn);
    assert!(story.screen(80, 24).contains("limiter"));
    story.keys("gj");
    assert!(story.screen(80, 24).contains("> p8"));
    story.key(KeyCode::Enter);
    let screen = story.screen(80, 24);
    assert!(
        screen.contains("1 of 4 landed, folded") && !screen.contains("    limiter"),
        "{screen}"
    );
    story.key(KeyCode::Enter);
    assert!(story.screen(80, 24).contains("limiter"));
}

#[test]
fn the_palette_knows_commands_and_loops() {
    let mut story = Story::busy();
    story.keys(":");
    let screen = story.screen(80, 24);
    assert!(screen.contains("pause      p      pause at the next safe point"), "{screen}");
    story.keys("docs");
    story.key(KeyCode::Enter);
    assert!(story.screen(80, 24).contains("[p8.docs]"));
    story.keys(":cos");
    story.key(KeyCode::Enter);
    assert!(story.screen(80, 24).contains("[4 costs]"));
    story.keys(":zzz");
    assert!(story.screen(80, 24).contains("nothing is called that"));
    assert_eq!(story.key(KeyCode::Enter), Step::GoOn);
    assert_eq!(story.key(KeyCode::Esc), Step::GoOn, "back to the first screen");
    assert_eq!(story.keys(":detach"), Step::GoOn);
    assert_eq!(story.key(KeyCode::Enter), Step::Detach);
}

#[test]
fn the_mouse_selects_opens_and_turns() {
    let mut story = Story::busy();
    story.screen(80, 24);
    click(&mut story, 8, 6);
    assert!(story.screen(80, 24).contains(">   docs"));
    mouse(&mut story, MouseEventKind::ScrollUp, 8, 6);
    assert!(story.screen(80, 24).contains(">   limiter"));
    click(&mut story, 8, 5);
    assert!(story.screen(80, 24).contains("[p8.limiter]"), "a click on what is selected opens it");
    // On the tab `diff`.
    let screen = story.screen(80, 24);
    let row = screen.lines().position(|it| it.contains("[talk]")).unwrap();
    let column = screen.lines().nth(row).unwrap().find("diff").unwrap();
    click(&mut story, u16::try_from(column).unwrap(), u16::try_from(row).unwrap());
    assert!(story.screen(80, 24).contains("[diff]"));
    let column = story.screen(80, 24).find("4 costs").unwrap();
    click(&mut story, u16::try_from(column).unwrap(), 0);
    assert!(story.screen(80, 24).contains("[4 costs]"));
    assert_eq!(story.keys("M"), Step::Mouse(false));
    assert_eq!(story.keys("M"), Step::Mouse(true));
}

#[test]
fn words_are_said_with_some_verbs() {
    let mut story = Story::busy();
    story.keys("x");
    assert!(story.screen(80, 24).contains("send back p7> ▏"));
    story.keys("too slow");
    story.app.on_event(&Input::Paste(" and\nwrong".to_owned()));
    let step = story.key(KeyCode::Enter);
    assert_eq!(step, Step::Ask(Act::saying(Verb::Reject, "p7", "too slow and wrong")));
    story.app.on_answer(&Act::new(Verb::Reject, "p7"), Err(ApiError::new(codes::REFUSED, "no")));
    story.keys("t");
    assert_eq!(story.key(KeyCode::Enter), Step::GoOn);
    assert!(story.screen(80, 24).contains("nothing was said"));
    story.keys("tx");
    assert_eq!(story.key(KeyCode::Esc), Step::GoOn);
    assert!(story.screen(80, 24).contains("not done"));
    assert_eq!(story.keys("R"), Step::Ask(Act::new(Verb::Retry, "p7")));
}

#[test]
fn going_back_is_chosen_and_asked_about() {
    let mut story = Story::busy();
    story.keys("b");
    let query = Query::States("p7".to_owned());
    assert_eq!(queries(&mut story), std::slice::from_ref(&query));
    let state = |n: u32, after: &str, present| Checkpoint {
        n,
        after: after.to_owned(),
        iteration: n,
        present,
        ..Checkpoint::default()
    };
    let checkpoints =
        vec![state(0, "", false), state(1, "a gate: red", false), state(2, "x", true)];
    let answer = CheckpointsResponse { name: "p7".to_owned(), checkpoints };
    story.app.on_found(&query, Ok(Found::States(answer)));
    let screen = story.screen(80, 24);
    assert!(screen.contains("p7: back to which state?"), "{screen}");
    assert!(screen.contains("state 2, after x, iteration 2") && screen.contains("is here"));
    story.keys("2");
    assert!(story.screen(80, 24).contains("Rewind p7 to state 1, after a gate: red?"));
    let act = Act { what: What::Rewind("1".to_owned()), ..Act::new(Verb::Unspecified, "p7") };
    assert_eq!(story.keys("y"), Step::Ask(act));
}

#[test]
fn the_inbox() {
    let mut story = Story::busy();
    let question = taskd_model::Question {
        text: "Which colour shall the door have?".to_owned(),
        choices: vec!["red".to_owned(), "blue".to_owned()],
        default: None,
        deadline_ms: None,
    };
    let effect = story.start(at(8, 1), Work::Gate);
    let outcome = taskd_model::Outcome::Asks { question: Box::new(question) };
    story.of(at(8, 1), Event::EffectEnded { effect, outcome });
    story.keys("2");
    insta::assert_snapshot!(story.screen(80, 14), @r#"
    taskd 0.1.0  1 loops [2 inbox 2] 3 queue  4 costs  5 grid                 seq 69
    > i23  p7          landing: +131 -9, gate green, tests: 221     9m
      i69  p8.limiter  question: Which colour shall the door have?  0s
    ── i23  landing of p7 ──────────────────────────────────────────────────────────
    +131 -9, gate green, tests: 221

    a approves it, x sends it back and says why; o opens the loop






    Enter answer  o open  p pause  r resume  a land  x reject  ? help  q detach
    "#);
    story.keys("j");
    story.key(KeyCode::Enter);
    assert!(story.screen(80, 24).contains("other words"));
    let Step::Ask(act) = story.keys("2") else { panic!("it is answered") };
    assert_eq!((act.what, act.text.as_str()), (What::Verb(Verb::Answer), "2"));
    assert!(act.name.starts_with('i'), "{}", act.name);
    story.keys("k");
    story.keys("a");
    assert!(story.screen(80, 24).contains("Land p7 on main?"));
    story.keys("n");
    story.key(KeyCode::Enter);
    assert!(story.screen(80, 24).contains("a approves it, x sends it back"));
    story.keys("o");
    assert!(story.screen(80, 24).contains("[p7]"));
    story.key(KeyCode::Esc);
    assert!(story.screen(80, 24).contains("[2 inbox"), "back where one came from");
}

#[test]
fn queues_costs_and_the_grid() {
    let mut story = Story::busy();
    story.keys("3");
    assert_eq!(queries(&mut story), [Query::Queue]);
    let entry = |entry, name: &str| LandingEntry {
        name: name.to_owned(),
        target: "main".to_owned(),
        phase: 1,
        since: 1_000_000,
        entry,
        ..LandingEntry::default()
    };
    let entries = vec![entry(1, "p7"), entry(2, "p8.docs")];
    let landing = vec![LandingRow { root: "/r".to_owned(), entries }];
    let bucket =
        BucketRow { name: "acme/large".to_owned(), in_flight: 2, limit: 4, ..BucketRow::default() };
    let answer = QueueResponse { buckets: vec![bucket], landing };
    story.app.on_found(&Query::Queue, Ok(Found::Queue(answer)));
    insta::assert_snapshot!(story.screen(80, 10), @r#"
    taskd 0.1.0  1 loops  2 inbox 1 [3 queue] 4 costs  5 grid                 seq 67
      LANDING  TO    PHASE  SINCE
    > p7       main  waits    18m
      p8.docs  main  waits    18m

      MODEL       CALLS   WAITING  STATE
      acme/large  2 of 4        0  open


    Enter open  p pause  r resume  a land  x reject  t steer  ? help  q detach
    "#);
    story.keys("j");
    assert_eq!(story.keys("h"), Step::Ask(Act::new(Verb::Hold, "p8.docs")));
    story.keys("4");
    insta::assert_snapshot!(story.screen(80, 14), @r#"
    taskd 0.1.0  1 loops  2 inbox 1  3 queue [4 costs] 5 grid                 seq 67
    in all $1.68, 0 tokens

    PLAN                                              IN  OUT  CACHED   COST      OF
    p9            try the other allocator              0    0       0  $0.42  $20.00
    p8            Rate limits for the public API       0    0       0  $0.42  $20.00
      p8.metrics  Rate limits for the public API       0    0       0  $0.42   $5.00
      p8.limiter  Rate limits for the public API       0    0       0  $0.00   $5.00
      p8.docs     Rate limits for the public API       0    0       0  $0.00   $5.00
      p8.headers  Rate limits for the public API       0    0       0  $0.00   $5.00
    p7            limit every API key to 100 reques…   0    0       0  $0.84  $20.00


    Tab by  ? help  q detach
    "#);
    story.key(KeyCode::Tab);
    assert!(story.screen(80, 14).contains("MODEL"));
    story.key(KeyCode::Tab);
    assert!(story.screen(80, 14).contains("DAY"));
    story.keys("5");
    story.noise("p8.docs", 62, Delta::Line("reading limits.md".to_owned()));
    let screen = story.screen(80, 14);
    for words in ["[5 grid]", "> p7  ready to land", "p8.limiter  gate, 4s", "p8.docs  claude"] {
        assert!(screen.contains(words), "{screen}");
    }
    assert!(screen.contains("reading limits.md"), "{screen}");
    story.keys("1");
    story.keys("jjj ");
    assert!(story.screen(80, 24).contains(">   docs"));
    story.keys("k");
    assert!(story.screen(80, 24).contains("*   docs"));
    story.keys("5");
    let screen = story.screen(80, 24);
    assert!(screen.contains("> p8.docs") && !screen.contains("p8.limiter"), "{screen}");
    story.key(KeyCode::Enter);
    assert!(story.screen(80, 24).contains("[p8.docs]"));
}

/// Proves P-26: one look says what a loop is at, when it was heard of last, what its gate said, what it
/// cost, how far its base is behind, and when it wakes.
#[test]
fn one_look_says_how_a_loop_is() {
    let mut story = Story::busy();
    let until = taskd_model::Time(story.now + 3_600_000);
    story.of(at(8, 1), Event::Deferred { until, why: "acme/large refuses".to_owned() });
    story.after(60);
    story.app.on_time(taskd_model::Time(story.now));
    let it = &story.app.view().loops[&at(8, 1)];
    let facts = crate::words::facts(story.app.view(), it, taskd_model::Time(story.now));
    let wanted = [
        "acme/large refuses, 59m more",
        "last sign 60s ago",
        "no gate yet",
        "$0.00 of $5.00",
        "base 1 behind",
        "wakes in 59m",
    ];
    assert_eq!(facts, wanted);
    story.key(KeyCode::Enter);
    assert!(story.screen(80, 24).contains("gate green: 221 of 221 · $0.84 of $5.00"));
}

/// Proves S-5.2.4: no size is too small, or too large.
#[test]
fn every_screen_is_drawn_in_every_size() {
    let mut story = Story::busy();
    story.noise("p8.docs", 62, Delta::Line("漢字 \u{2764}\u{fe0f} and more of that".to_owned()));
    for keys in ["1", "2", "3", "4", "5", "1jjj\r", "\t", "\t\t", "?", "x:", "x/漢", "\u{1b}t"] {
        for key in keys.chars() {
            match key {
                '\r' => story.key(KeyCode::Enter),
                '\t' => story.key(KeyCode::Tab),
                '\u{1b}' => story.key(KeyCode::Esc),
                other => story.keys(&other.to_string()),
            };
        }
        for columns in (1..130).step_by(5) {
            for rows in [1, 2, 3, 4, 5, 6, 9, 24] {
                story.screen(columns, rows);
            }
        }
    }
}

/// Proves S-5.2.3: without colours nothing is coloured, and every word is there.
#[test]
fn without_colours_the_words_are_the_same() {
    let mut plain = Story::busy();
    plain.app = std::mem::replace(&mut plain.app, App::new("")).colours(false);
    let mut coloured = Story::busy();
    for keys in ["", "\r", "2", "3", "4", "5"] {
        for story in [&mut plain, &mut coloured] {
            keys.chars().for_each(|it| {
                story.key(if it == '\r' { KeyCode::Enter } else { KeyCode::Char(it) });
            });
        }
        assert_eq!(plain.screen(80, 24), coloured.screen(80, 24));
        assert!(!plain.has_colours(80, 24));
    }
    assert!(coloured.has_colours(80, 24));
}

#[test]
fn a_tiny_window_says_what_matters() {
    let mut story = Story::busy();
    assert_eq!(story.screen(12, 3), "1 need you\n\n");
    assert_eq!(story.app.view().seq, Seq(67));
}
