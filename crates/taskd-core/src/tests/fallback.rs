//! A loop whose type names several models: when it goes from one to another, and when it does not.

use taskd_model::{ChangeCause, Event, Reason, Status, Time, Work};

use super::{Play, good, outcome};
use crate::scheduler::Outage;

const HOUR: u64 = 3_600_000;

/// From, to, why in a word, and the iteration that was given up.
type Changed = (String, String, &'static str, Option<u32>);

/// The changes so far.
fn changes(play: &Play) -> Vec<Changed> {
    let change = |event: &Event| {
        let Event::ModelChanged { from, to, cause, gives_up } = event else { return None };
        let why = match cause {
            ChangeCause::Window { .. } => "window",
            ChangeCause::Failing { .. } => "failing",
            ChangeCause::Refused { .. } => "refused",
            ChangeCause::Back => "back",
        };
        Some((from.clone(), to.clone(), why, *gives_up))
    };
    play.log.iter().filter_map(|it| change(&it.event)).collect()
}

fn change(from: &str, to: &str, why: &'static str, gives_up: Option<u32>) -> Vec<Changed> {
    vec![(from.to_owned(), to.to_owned(), why, gives_up)]
}

fn iterations(play: &Play) -> Vec<u32> {
    let began = |event: &Event| {
        if let Event::IterationStarted { n } = event { Some(*n) } else { None }
    };
    play.log.iter().filter_map(|it| began(&it.event)).collect()
}

fn begin(spec: &str) -> Play {
    let mut play = Play::default();
    play.lines("0 start | 0 project");
    play.line(&format!("0 plan {spec}"));
    play.up_to_calls();
    play
}

/// Proves P-13: a quota that is used up sends a loop to its next model at once, in a fresh iteration
/// that is not counted twice; at a boundary after the quota is back, it returns.
#[test]
fn a_quota_that_is_used_up_is_no_reason_to_wait() {
    let mut play = begin("a model=one fallback=two,three iterations=2");
    play.line(&format!("1000 a 429 {HOUR}"));
    assert_eq!(changes(&play), change("one", "two", "window", Some(1)), "{}", play.transcript());
    play.up_to_calls();
    assert_eq!(iterations(&play), [1, 1], "what was given up counts for nothing");
    assert_eq!(play.bucket_of_call(), "two");
    // The next iteration within the hour stays; the one after it goes back.
    play.end_call("replies", &[]);
    play.up_to_calls_with("red");
    assert_eq!((play.bucket_of_call().as_str(), iterations(&play)), ("two", vec![1, 1, 2]));
    let mut play = begin("a model=one fallback=two time=36000000");
    play.line(&format!("1000 a 429 {HOUR}"));
    play.up_to_calls();
    play.now = 2 * HOUR;
    play.end_call("replies", &[]);
    play.up_to_calls_with("red");
    assert_eq!(changes(&play)[1..], change("two", "one", "back", None), "{}", play.transcript());
    assert_eq!(play.bucket_of_call(), "one");
}

/// Proves P-13, W-3: a rate limit is waited for, because it is over soon and the cache would be lost.
#[test]
fn a_rate_limit_is_waited_for() {
    let mut play = begin("a b c model=one fallback=two");
    play.line("1000 a 429 59000");
    while play.calls().len() < 3 {
        if play.calls().is_empty() {
            play.wait();
        } else {
            play.end_call("429", &["600000"]);
        }
        if 3 * HOUR < play.now {
            break;
        }
    }
    assert!(changes(&play).is_empty(), "{}", play.transcript());
}

/// Proves P-13: an outage is sat out for a minute in mid-iteration; nobody begins with a model whose
/// provider is left alone.
#[test]
fn a_provider_that_keeps_failing_is_left_after_a_minute() {
    let mut play = begin("a b model=one fallback=two");
    let (mut opened, mut first) = (None, None);
    while first.is_none() {
        while !play.calls().is_empty() && changes(&play).is_empty() {
            play.end_call("call-fails", &[]);
            play.up_to_calls();
        }
        opened = opened.or_else(|| play.circuit_opened());
        first = changes(&play).first().cloned().map(|_| play.now);
        if first.is_none() {
            play.wait();
        }
    }
    let (opened, first) = (opened.expect("it opened"), first.expect("they left"));
    assert!((60_000..=95_000).contains(&(first - opened)), "{}", play.transcript());
    assert_eq!(changes(&play)[..1], change("one", "two", "failing", Some(1))[..]);
    play.up_to_calls();
    // The other was just making a probe, which fails.
    play.end_call("call-fails", &[]);
    play.up_to_calls();
    assert_eq!(changes(&play).len(), 2, "{}", play.transcript());
    assert_eq!(iterations(&play), [1, 1, 1, 1], "two loops, each began once more");
}

/// Proves P-13: a credential that is refused sends a loop on at once; when all are, a person is asked
/// and what they do is tried from the first model on.
#[test]
fn refused_credentials_end_with_a_question() {
    let mut play = begin("a model=one fallback=two");
    play.line("1000 a unauthorized");
    assert_eq!(changes(&play), change("one", "two", "refused", Some(1)), "{}", play.transcript());
    play.up_to_calls();
    play.line("2000 a unauthorized");
    let id = play.id("a");
    let engine = &play.core.state().loops()[&id];
    assert_eq!(engine.status, Status::Blocked, "{}", play.transcript());
    assert_eq!(engine.reason, Some(Reason::Stuck("no luck".to_owned())));
    play.line("3000 resume a");
    play.up_to_calls();
    play.end_call("replies", &[]);
    play.up_to_calls_with("red");
    assert_eq!(changes(&play)[1..], change("two", "one", "back", None), "{}", play.transcript());
}

/// Proves P-13: a loop without a second model waits as it always did.
#[test]
fn one_model_is_waited_for() {
    let mut play = begin("a model=one");
    play.line(&format!("1000 a 429 {HOUR}"));
    play.wait();
    assert!(changes(&play).is_empty());
    assert!(HOUR < play.now, "{}", play.transcript());
}

/// When every model is out, a loop goes to whichever is there first, and asks nobody before.
#[test]
fn the_first_that_is_there_again_is_called() {
    let mut play = begin("a model=one fallback=two");
    play.line(&format!("1000 a 429 {}", 3 * HOUR));
    play.up_to_calls();
    play.line(&format!("2000 a 429 {HOUR}"));
    play.up_to_calls();
    let before = play.call_times().len();
    while play.calls().is_empty() {
        play.wait();
        play.up_to_calls();
    }
    assert_eq!((play.bucket_of_call().as_str(), play.call_times().len()), ("two", before + 1));
    assert!((HOUR..2 * HOUR).contains(&play.now), "{}", play.transcript());
}

impl Play {
    /// The bucket of the only call in flight.
    fn bucket_of_call(&self) -> String {
        let of = |it: &Work| {
            if let Work::Call { bucket, .. } = it { Some(bucket.clone()) } else { None }
        };
        let found: Vec<String> = self.core.open_effects().filter_map(|it| of(it.1)).collect();
        assert_eq!(found.len(), 1, "{}", self.transcript());
        found[0].clone()
    }

    /// Ends everything but calls well, gates as told.
    fn up_to_calls_with(&mut self, gate: &str) {
        loop {
            let mut open = self.core.open_effects();
            let other = open.find(|it| !matches!(it.1, Work::Call { .. }));
            let Some((id, work)) = other.map(|it| (it.0, it.1.clone())) else { return };
            drop(open);
            let is_gate = matches!(work, Work::Gate);
            self.end(id, if is_gate { outcome(gate, &[]) } else { good(&work) });
        }
    }

    /// When the circuit of some bucket opened, if it has.
    fn circuit_opened(&self) -> Option<u64> {
        let now = Time(self.now);
        let opened = self.core.state().buckets().values().find_map(|it| it.outage(now))?;
        if let Outage::Failing { opening, .. } = opened { Some(opening.since.0) } else { None }
    }
}
