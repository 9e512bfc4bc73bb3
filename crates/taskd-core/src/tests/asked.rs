//! Questions of loops: they wait without a slot and without time, through restarts, and the first
//! answer is the tool's result.

use taskd_model::{
    Actor, Command, DefaultAnswer, Digest, Event, Input, Outcome, Question, Seq, Status, Time, Work,
};

use super::{Play, outcome};
use crate::{Coordinator, Rejected};

const HOUR: u64 = 3_600_000;

/// A question, perhaps with a default and a time.
fn asks(deadline_ms: Option<u64>) -> Outcome {
    let default = deadline_ms.map(|_| DefaultAnswer {
        said: "red".to_owned(),
        choice: Some(0),
        result: Digest::of(b"by default"),
    });
    let choices = vec!["red".to_owned(), "blue".to_owned()];
    Outcome::Asks {
        question: Box::new(Question { text: "which?".to_owned(), choices, default, deadline_ms }),
    }
}

/// Two loops and one slot: the first asks a question.
fn asking(deadline_ms: Option<u64>) -> (Play, Seq) {
    let mut play = Play::default();
    play.lines("0 start | 0 limits loops=1 | 0 project | 0 plan a b land=never time=7200000");
    play.lines("0 p1 base-green | 0 a to call");
    let call = play.calls()[0];
    play.end(call, outcome("replies", &["ask"]));
    let tool = play.core.open_effects().find(|it| matches!(it.1, Work::Tool { .. }));
    let tool = tool.expect("it asks").0;
    assert_eq!(play.status("b"), Status::Pending, "there is one slot");
    play.end(tool, asks(deadline_ms));
    let question = play.core.open_questions().next().expect("it waits");
    (play, question)
}

fn answer(play: &mut Play, question: Seq, choice: Option<u16>) -> Result<Vec<Event>, Rejected> {
    let actor = Actor::Person { uid: 1, via: None };
    let (said, result) = ("as you like".to_owned(), Some(Digest::of(b"answer")));
    let command = Command::Answer { question, choice, said, result };
    let decided = play.core.handle(Time(play.now), &Input::Command { actor, command });
    decided.map(|it| it.records.into_iter().map(|it| it.event).collect())
}

/// What the tools of its turns answered.
fn results(play: &Play, name: &str) -> Vec<Option<Digest>> {
    let engine = &play.core.state().loops()[&play.id(name)];
    engine.turns.iter().flat_map(|it| it.results.clone()).collect()
}

#[test]
fn a_loop_that_asks_waits_without_a_slot_or_time_and_over_a_restart() {
    let (mut play, question) = asking(None);
    assert_eq!((play.status("a"), play.status("b")), (Status::Running, Status::Running));
    let why = play.core.why(play.id("a"), Time(play.now));
    assert!(why[0].sentence.contains(&format!("taskd answer {question}")), "{why:?}");
    let known = play.core.snapshot();
    assert!(Coordinator::restore(known).same_state(&play.core));
    // Far longer than it may take to work, and nobody says that it is stuck.
    play.now += 100 * HOUR;
    play.lines(&format!("{0} restart | {0} start", play.now));
    assert_eq!(play.core.open_questions().collect::<Vec<_>>(), [question], "{}", play.transcript());
    assert_eq!(play.status("a"), Status::Running, "{}", play.transcript());
    let no = Rejected::NoChoice { question, choices: 2 };
    assert_eq!(answer(&mut play, question, Some(2)), Err(no));
    let events = answer(&mut play, question, None).expect("it is open");
    let Event::QuestionAnswered { said, result, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!((said.as_str(), *result), ("as you like", Some(Digest::of(b"answer"))));
    assert_eq!(results(&play, "a"), [Some(Digest::of(b"answer"))]);
    assert_eq!(answer(&mut play, question, Some(0)), Err(Rejected::NoQuestion(question)));
    play.now += 10;
    play.input(&Input::Tick);
    let ending = &play.core.state().loops()[&play.id("a")].ending;
    assert_eq!(ending, &None, "its time did not pass: {}", play.transcript());
}

#[test]
fn a_default_counts_when_the_time_is_up_and_not_before() {
    let (mut play, question) = asking(Some(60_000));
    assert!(play.core.next_deadline().is_some_and(|it| it <= Time(play.now + 60_000)));
    play.now += 59_999;
    play.input(&Input::Tick);
    assert_eq!(play.core.open_questions().collect::<Vec<_>>(), [question]);
    play.now += 1;
    play.input(&Input::Tick);
    assert_eq!(results(&play, "a"), [Some(Digest::of(b"by default"))]);
    assert_eq!(answer(&mut play, question, Some(1)), Err(Rejected::NoQuestion(question)));
    // A question without a default stays.
    let (mut play, question) = asking(None);
    play.now += 1_000 * HOUR;
    play.input(&Input::Tick);
    assert_eq!(play.core.open_questions().collect::<Vec<_>>(), [question]);
}

#[test]
fn a_question_of_a_loop_that_is_stopped_is_nobodys() {
    let (mut play, question) = asking(None);
    play.lines(&format!("{} stop a", play.now));
    assert_eq!(play.status("a"), Status::Stopped, "{}", play.transcript());
    assert_eq!(play.core.open_questions().count(), 0);
    assert_eq!(answer(&mut play, question, Some(1)), Err(Rejected::NoQuestion(question)));
}

#[test]
fn the_first_yes_or_no_counts() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a | 0 p1 base-green | 0 a to call");
    let call = play.calls()[0];
    play.end(call, outcome("replies", &["finish"]));
    while play.core.state().loops()[&play.id("a")].asked.is_none() {
        assert!(play.finish_one(), "{}", play.transcript());
    }
    let (id, item) = (play.id("a"), play.core.head());
    let decide = |play: &mut Play, item, note| {
        let actor = Actor::Person { uid: 1, via: None };
        let command = Command::Decide { id, item, note };
        play.core.handle(Time(play.now), &Input::Command { actor, command }).map(|_| ())
    };
    let early = Seq(item.0 - 5);
    assert_eq!(decide(&mut play, early, None), Err(Rejected::Answered(early)), "not that one");
    assert_eq!(decide(&mut play, item, None), Ok(()));
    let no = Some(Digest::of(b"no"));
    assert_eq!(decide(&mut play, item, no), Err(Rejected::Answered(item)));
    assert!(play.core.state().loops()[&id].approved, "{}", play.transcript());
}
