//! Why a call waits: one sentence for each link, down to the event that is the root.

use taskd_model::{
    Digest, Event, Input, Level, Observation, Outcome, Owner, RateLevels, Record, Time, Usage,
};

use super::{Play, provider::many};
use crate::{BucketState, CallWait, Coordinator, RoomKind, WhyRow};

impl Play {
    /// The chain as people read it.
    fn why(&self, name: &str) -> String {
        let now = Time(self.now);
        for (bucket, waiters) in &self.core.state().index().calls {
            let next = self.core.state().next_call(bucket, waiters, now);
            let known = self.core.state().bucket(bucket).expect("it was called");
            let free = known.hindrance(self.core.state().limits(), next.cost, now).is_none();
            assert_eq!(free, next.ready_at.is_some_and(|it| it <= now), "{bucket}: {next:?}");
        }
        self.links(name).iter().map(told).collect::<Vec<_>>().join("\n")
    }

    fn links(&self, name: &str) -> Vec<WhyRow> {
        self.core.why(self.id(name), Time(self.now))
    }

    /// The event a sentence cites.
    fn cited(&self, name: &str) -> &Record {
        let links = self.links(name);
        let seq = links.last().and_then(|it| it.evidence.as_ref()).expect("it cites one").seq;
        self.log.iter().find(|it| it.seq == seq).expect("it is in the log")
    }

    fn wait_for(&self, name: &str) -> CallWait {
        let links = self.links(name);
        links.last().and_then(|it| it.call.clone()).expect("it waits for a call").wait
    }
}

fn told(row: &WhyRow) -> String {
    let until = row.until.map(|it| format!(", until {}", it.0)).unwrap_or_default();
    let mut text = format!("{}{until}", row.sentence);
    for (label, detail) in &row.details {
        text.push_str(&format!("\n  {label}: {detail}"));
    }
    if let Some(it) = &row.evidence {
        let at = it.at.map(|it| format!(" at {}", it.0)).unwrap_or_default();
        text.push_str(&format!("\n  event {}: {}{at}", it.seq.0, it.text));
    }
    text
}

fn is_failure(record: &Record) -> bool {
    matches!(&record.event, Event::EffectEnded { outcome: Outcome::Failed { .. }, .. })
}

/// A refusal is cited by who was refused and by who waits because of it.
#[test]
fn a_refusal_is_the_root() {
    let mut play = many(3, "calls=1");
    play.now = 1_000;
    play.end_call("429", &["30000"]);
    play.now = 2_000;
    insta::assert_snapshot!(play.why("s1"), @r#"
p1.s1 waits for fast, which refused a call, until 31000
  queue: 1st of 2
  then: starts with 1 call; each answer doubles that
  event 33: it refused a call at 1000
"#);
    insta::assert_snapshot!(play.why("s0"), @r#"
p1.s0 waits for fast, which refused a call, until 31000
  then: starts with 1 call; each answer doubles that
  event 33: it refused a call at 1000
"#);
    assert!(is_failure(play.cited("s0")) && is_failure(play.cited("s1")));
    assert_eq!(play.cited("s1").at, Time(1_000));
    // A later one that is over sooner is not the cause.
    let mut play = many(3, "calls=2");
    play.end_call("429", &["30000"]);
    let first = play.cited("s2").seq;
    play.now = 5_000;
    play.end_call("429", &["1000"]);
    assert_eq!(play.cited("s2").seq, first);
    // The next life reads the same in the log.
    let before = play.why("s2");
    play.core = Coordinator::replay(&play.log);
    assert_eq!(play.why("s2"), before);
}

#[test]
fn a_long_refusal_is_a_usage_window() {
    let mut play = many(2, "calls=1");
    play.end_call("429", &["600000"]);
    assert!(!play.why("s1").contains("usage window"), "{}", play.why("s1"));
    let mut play = many(2, "calls=1");
    play.end_call("429", &["600001"]);
    insta::assert_snapshot!(play.why("s1"), @r#"
p1.s1 waits for the usage window of fast, until 600001
  then: starts with 1 call; each answer doubles that
  event 25: it refused a call at 0
"#);
}

#[test]
fn what_is_left_alone_says_since_when_and_until() {
    let mut play = many(13, "calls=6 rate=60000 burst=100");
    for _ in 0..5 {
        play.now += 100;
        play.end_call("call-fails", &[]);
    }
    while !play.calls().is_empty() {
        play.end_call("call-fails", &[]);
    }
    let root = play.log.iter().filter(|it| is_failure(it)).nth(4).expect("the fifth").seq;
    insta::assert_snapshot!(play.why("s12"), @r#"
p1.s12 waits for fast, which failed 5 of 5 calls and is left alone, until 30500
  queue: 3rd of 3, after p1.s11
  then: one call goes as a probe; three answers in a row let all go
  event 130: it failed once too often at 500
"#);
    assert_eq!(play.cited("s12").seq, root);
    while play.calls().is_empty() {
        play.wait();
    }
    insta::assert_snapshot!(play.why("s12"), @r#"
p1.s12 waits for fast, which failed 5 of 5 calls and is left alone
  queue: 12th of 12, after p1.s11
  then: a probe is under way; three answers in a row let all go
  event 130: it failed once too often at 500
"#);
    play.end_call("call-fails", &[]);
    insta::assert_snapshot!(play.why("s12"), @r#"
p1.s12 waits for fast, which failed 6 of 6 calls and is left alone, until 60500
  queue: 12th of 12, after p1.s11
  then: one call goes as a probe; three answers in a row let all go
  event 154: it failed once too often at 30500
"#);
}

#[test]
fn slots_and_the_ramp() {
    let mut play = many(5, "calls=2 rate=6000 burst=50");
    insta::assert_snapshot!(play.why("s3"), @r#"
p1.s3 waits for its turn at fast: 1 call of its plan goes first
  queue: 2nd of 3, after p1.s2
p1.s2 waits for a call slot of fast: 2 of 2 in use
  queue: 1st of 3
  event 44: the oldest call in flight
"#);
    assert_eq!(play.cited("s3").seq, play.calls()[0].0);
    play.end_call("429", &["1000"]);
    play.end_call("429", &["1000"]);
    let refused = play.log.iter().rfind(|it| is_failure(it)).expect("two").seq;
    while play.calls().is_empty() {
        play.wait();
    }
    insta::assert_snapshot!(play.why("s4"), @r#"
p1.s4 waits for its turn at fast: 1 call of its plan goes first
  queue: 2nd of 2, after p1.s3
p1.s3 waits for a call slot of fast: 1 of 1 in use, 2 when all is well
  queue: 1st of 2
  then: each answer doubles 1, up to 2
  event 52: it began again with few calls
"#);
    assert_eq!(play.cited("s4").seq, refused);
    let bucket = &play.core.buckets(Time(play.now))[0];
    assert_eq!(bucket.state, BucketState::Ramping { by: refused, slots: 1 });
    // One answer, and all is as it was.
    play.end_call("replies", &[]);
    while play.calls_in_flight() < 2 {
        play.wait();
    }
    assert_eq!(play.core.buckets(Time(play.now))[0].state, BucketState::Open);
    while play.core.buckets(Time(play.now))[0].waiting < 2 {
        play.wait();
    }
    assert_eq!(play.cited("s0").seq, play.calls()[0].0, "{}", play.why("s0"));
}

/// The order that is told is the one in which they go, plan by plan.
#[test]
fn the_order_is_that_of_fair_shares() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 limits calls=1 rate=60000 burst=50");
    play.line("0 plan a b c d land=never");
    play.up_to_calls();
    play.line("5 plan x y land=never");
    play.up_to_calls();
    let next = &play.core.buckets(Time(play.now))[0].next;
    let told: Vec<_> = next.iter().map(|it| it.id).collect();
    let names = ["x", "b", "y", "c", "d"];
    assert_eq!(told, names.map(|it| play.id(it)), "{}", play.why("d"));
    let mut went = Vec::new();
    for _ in 0..names.len() {
        // They use what is expected of them, so that nothing changes what the next may cost.
        let usage = Usage { input: 1_000, output: 500, ..Usage::default() };
        let reply = Digest::of(b"reply");
        play.end(
            play.calls()[0],
            Outcome::Replied { reply, calls: Vec::new(), usage, by: None, found: None },
        );
        let call = play.calls()[0];
        let Owner::Loop(id) = play.core.state().effects()[&call].owner else {
            panic!("only loops call")
        };
        went.push(id);
    }
    assert_eq!(went, told);
}

#[test]
fn no_room_says_which_limit_and_whose() {
    let play = many(2, "input=1500 calls=10");
    insta::assert_snapshot!(play.why("s1"), @r#"
p1.s1 waits for room for 1000 input tokens at fast: 500 of our 1500 a minute left, until 20000
  event 23: the last call that was sent
"#);
    let play = many(2, "output=700 calls=10");
    insta::assert_snapshot!(play.why("s1"), @r#"
p1.s1 waits for room for 500 output tokens at fast: 200 of our 700 a minute left, until 25715
  event 23: the last call that was sent
"#);
    let play = many(2, "calls=10 rate=6 burst=1");
    insta::assert_snapshot!(play.why("s1"), @r#"
p1.s1 waits for fast, whose pace is our 6 requests a minute, until 10000
  event 23: the last call that was sent
"#);
    assert_eq!(play.cited("s1").seq, play.calls()[0].0);

    let level = |limit, remaining| Some(Level { limit, remaining, reset_ms: 60_000 });
    let of_provider = |levels, rate: &str| {
        let mut play = many(2, &format!("calls=10 burst=1 {rate}"));
        play.learns(levels);
        let said = matches!(play.cited("s1").event, Event::EffectObserved { .. });
        assert!(said, "{}", play.why("s1"));
        let CallWait::Room { room, wanted, .. } = play.wait_for("s1") else { panic!("no room") };
        assert!(room.of_provider);
        (room.kind, room.left, room.per_minute, wanted)
    };
    let input = RateLevels { input_tokens: level(60_000, 500), ..RateLevels::default() };
    assert_eq!(of_provider(input, "rate=6000"), (RoomKind::Input, 500, 60_000, 1_000));
    let output = RateLevels { output_tokens: level(6_000, 100), ..RateLevels::default() };
    assert_eq!(of_provider(output, "rate=6000"), (RoomKind::Output, 100, 6_000, 500));
    let both = RateLevels { tokens: level(6_000, 100), ..RateLevels::default() };
    assert_eq!(of_provider(both, "rate=6000"), (RoomKind::Tokens, 100, 6_000, 1_500));
    let requests = RateLevels { requests: level(6, 0), ..RateLevels::default() };
    assert_eq!(of_provider(requests, "rate=60"), (RoomKind::Requests, 0, 6, 1));
}

/// Who is not next is told who is, and what that one waits for.
#[test]
fn others_go_first() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 limits calls=1 rate=60000 burst=50");
    play.line("0 plan a b c");
    play.up_to_calls();
    play.line("5 plan x priority=critical");
    play.up_to_calls();
    insta::assert_snapshot!(play.why("c"), @r#"
p1.c waits for its turn at fast: 2 calls go first, 1 of them of other plans
  queue: 3rd of 3, after p1.b; first go 1 of a higher priority
p2.x waits for a call slot of fast: 1 of 1 in use
  queue: 1st of 3
  event 30: the oldest call in flight
"#);
    let rows = play.core.buckets(Time(100));
    let next: Vec<_> = rows[0].next.iter().map(|it| (it.id, it.since.0)).collect();
    assert_eq!(next, [(play.id("x"), 5), (play.id("b"), 0), (play.id("c"), 0)]);
    // What was told is what happens.
    play.end_call("replies", &[]);
    assert_eq!(play.open_of("x").map(|it| it.1.verb().to_owned()).as_deref(), Some("call"));
    insta::assert_snapshot!(play.why("c"), @r#"
p1.c waits for its turn at fast: 1 call of its plan goes first
  queue: 2nd of 2, after p1.b
p1.b waits for a call slot of fast: 1 of 1 in use
  queue: 1st of 2
  event 45: the oldest call in flight
"#);
}

#[test]
fn its_own_rest() {
    let mut play = many(1, "calls=1");
    play.end_call("call-fails", &[]);
    insta::assert_snapshot!(play.why("s0"), @r#"
p1.s0 waits for another try (call: no luck), until 813
  event 18: it rests before it tries again
"#);
    assert!(matches!(play.cited("s0").event, Event::Deferred { .. }));
}

#[test]
fn reserved_money() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a b c plan-budget=1000000 | 0 p1 base-green");
    for name in ["a", "b", "c"] {
        play.line(&format!("0 {name} to compose"));
        play.line(&format!("0 {name} composed 400000"));
    }
    insta::assert_snapshot!(play.why("c"), @r#"
p1.c waits for money of its plan: calls in flight may cost $0.80 of the $1.00 that are left
  event 23: the oldest call in flight
"#);
    assert_eq!(play.cited("c").seq, play.calls()[0].0);
}

/// The chain goes over needs.
#[test]
fn the_chain_goes_down_to_the_provider() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a b<a c<b");
    play.up_to_calls();
    play.end_call("429", &["30000"]);
    insta::assert_snapshot!(play.why("c"), @r#"
p1.c waits for p1.b to pass
p1.b waits for p1.a to pass
p1.a waits for fast, which refused a call, until 30000
  then: starts with 1 call; each answer doubles that
  event 20: it refused a call at 0
"#);
}

/// What a bucket has counted is folded from the log, so that a restart changes nothing.
#[test]
fn buckets_count_what_happened() {
    let mut play = many(3, "calls=1 rate=60000 burst=50");
    play.now = 2_000;
    // What was observed on the way is not counted again at the end.
    let so_far = Usage { micros: 4_000, ..Usage::default() };
    let (effect, fact) = (play.calls()[0], Observation::UsageSoFar(so_far));
    play.input(&Input::Observed { effect, index: 0, fact });
    play.end_call("replies", &[]);
    play.now = 3_000;
    play.end_call("429", &["1000"]);
    while play.calls().is_empty() {
        play.wait();
    }
    let sent = play.now;
    play.end_call("call-fails", &[]);
    let counts = play.core.buckets(Time(play.now))[0].counts;
    let (refused, failed) = (counts.refused, counts.failed);
    assert_eq!((counts.admitted, refused, failed, counts.used.micros), (3, 1, 1, 10_000));
    // The first waited for nothing, the second for the first, the third for the refusal.
    assert_eq!(counts.waited_ms, 2_000 + sent, "{}", play.transcript());
    play.core = Coordinator::replay(&play.log);
    assert_eq!(play.core.buckets(Time(play.now))[0].counts, counts);
}
