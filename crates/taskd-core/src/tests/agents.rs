//! What an agent program says about its allowance, and what follows for every loop it works for.

use taskd_model::{Actor, Command, Event, Input, Observation, Status, Time, Work};

use super::{Play, outcome};
use crate::{Coordinator, Rejected};

impl Play {
    fn runs(&self) -> usize {
        self.core.open_effects().filter(|it| matches!(it.1, Work::Agent { .. })).count()
    }

    /// Ends the oldest run.
    fn end_run(&mut self, verb: &str, args: &[&str]) {
        let run = self.core.open_effects().find(|it| matches!(it.1, Work::Agent { .. }));
        let id = run.expect("an agent runs").0;
        self.end(id, outcome(verb, args));
    }

    /// Ends everything but runs of agents, until only they are left.
    fn up_to_runs(&mut self) {
        loop {
            let other = self.core.open_effects().find(|it| !matches!(it.1, Work::Agent { .. }));
            let Some((id, work)) = other.map(|it| (it.0, it.1.clone())) else { return };
            self.end(id, super::good(&work));
        }
    }

    /// Lets time pass until an agent runs.
    fn until_it_runs(&mut self) {
        for _ in 0..1_000 {
            if 0 < self.runs() {
                return;
            }
            self.wait();
            self.up_to_runs();
        }
        panic!("no agent runs: {}", self.transcript());
    }
}

fn six(limits: &str) -> Play {
    let mut play = Play::default();
    play.lines("0 start | 0 project");
    play.line(&format!("0 limits {limits}"));
    play.line("0 plan a b c d e f agent model=claude land=never time=3600000");
    play.up_to_runs();
    play
}

/// What one run says closes the agent for everybody until then, also over a restart; then one run
/// goes, then two. The wait is nobody's time and costs no iteration.
#[test]
fn an_agent_whose_window_is_used_up_is_waited_for_by_every_loop() {
    let window = 5 * 60 * 60 * 1_000;
    let mut play = six("agents=4");
    assert_eq!(play.runs(), 4);
    play.line("0 plan x agent model=codex land=never");
    play.up_to_runs();
    for _ in 0..4 {
        play.end_run("limit", &[&window.to_string()]);
        play.up_to_runs();
    }
    assert_eq!(play.runs(), 1, "codex has nothing to do with it\n{}", play.transcript());
    play.end_run("agent", &[]);
    play.up_to_runs();
    play.lines("1000 restart | 1000 start");
    play.up_to_runs();
    play.until_it_runs();
    assert!(window <= play.now, "{}", play.transcript());
    while play.core.next_deadline().is_some_and(|it| it.0 <= play.now + 60_000) {
        play.wait();
        play.up_to_runs();
    }
    assert_eq!(play.runs(), 1, "{}", play.transcript());
    play.end_run("agent", &[]);
    play.up_to_runs();
    assert_eq!(play.runs(), 2, "{}", play.transcript());
    play.end_run("agent", &[]);
    play.up_to_runs();
    assert_eq!(play.runs(), 4, "{}", play.transcript());
    let text = play.transcript();
    assert!(!text.contains("iteration 2") && !text.contains("limit reached"), "{text}");
}

/// When the time is up and the one run that may be under way still is, nothing is due: it is its end
/// that is waited for.
#[test]
fn the_end_of_a_wait_is_not_due_while_a_run_is_under_way() {
    let mut play = six("agents=2");
    play.end_run("limit", &["10000"]);
    play.up_to_runs();
    assert_eq!(play.runs(), 1);
    while play.core.next_deadline().is_some_and(|it| it.0 <= play.now + 60_000) {
        let before = play.core.head();
        play.wait();
        assert!(before < play.core.head(), "a tick without a change: {}", play.transcript());
    }
    play.end_run("agent", &[]);
    play.up_to_runs();
    play.until_it_runs();
}

/// A question is open from its event to the first answer, and no longer than its run.
#[test]
fn the_first_answer_counts_and_only_while_the_run_lasts() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a agent land=never");
    play.up_to_runs();
    let run = |play: &Play| play.core.open_effects().next().expect("an agent runs").0;
    let ask = |play: &mut Play, effect, index, n| {
        let choices = vec!["yes".to_owned(), "no".to_owned()];
        let fact = Observation::Asked { n, text: "write".to_owned(), choices };
        play.input(&Input::Observed { effect, index, fact });
        play.core.open_questions().last().expect("it is open")
    };
    let answer = |play: &mut Play, question, choice| {
        let actor = Actor::Person { uid: 1, via: None };
        let (said, result) = (String::new(), None);
        let command = Command::Answer { question, choice: Some(choice), said, result };
        play.core.handle(Time(play.now), &Input::Command { actor, command }).map(|it| it.records)
    };
    let effect = run(&play);
    let first = ask(&mut play, effect, 0, 1);
    let second = ask(&mut play, effect, 1, 2);
    let why = play.core.why(play.id("a"), Time(play.now));
    assert!(why[0].sentence.contains(&format!("taskd answer {first}")), "{why:?}");
    let wrong = answer(&mut play, first, 2);
    assert_eq!(wrong, Err(Rejected::NoChoice { question: first, choices: 2 }));
    let records = answer(&mut play, first, 1).expect("it is open");
    assert_eq!(
        records[0].event,
        Event::QuestionAnswered {
            effect,
            n: 1,
            choice: Some(1),
            said: String::new(),
            result: None
        }
    );
    assert_eq!(answer(&mut play, first, 0), Err(Rejected::NoQuestion(first)));
    assert_eq!(play.core.open_questions().collect::<Vec<_>>(), [second]);
    let known = play.core.snapshot();
    assert!(Coordinator::restore(known).same_state(&play.core));
    play.lines("1000 restart | 1000 start");
    assert_eq!(answer(&mut play, second, 0), Err(Rejected::NoQuestion(second)));
}

/// One that names no time is asked again after a rest that doubles.
#[test]
fn a_limit_without_a_time_is_asked_again_later_and_later() {
    let mut play = six("agents=1");
    let mut rests = Vec::new();
    for _ in 0..8 {
        let refused = play.now;
        play.end_run("limit", &[]);
        play.up_to_runs();
        play.until_it_runs();
        rests.push(play.now - refused);
    }
    assert!(rests.windows(2).all(|it| it[0] < it[1]), "{rests:?}");
    assert_eq!(play.status("a"), Status::Running);
}

/// A run that failed before it did anything counts for nothing; the third in a row is a question.
#[test]
fn a_run_that_fails_at_once_is_begun_again_three_times() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a agent land=never");
    play.up_to_runs();
    for _ in 0..2 {
        play.end_run("fails", &[]);
        play.until_it_runs();
    }
    assert_eq!(play.status("a"), Status::Running);
    play.end_run("fails", &[]);
    assert_eq!(play.status("a"), Status::Blocked, "{}", play.transcript());
    assert!(!play.transcript().contains("iteration 2"), "{}", play.transcript());
}
