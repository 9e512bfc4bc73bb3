//! What a provider says and does, and what follows for everybody who calls it.

use proptest::prelude::*;
use taskd_model::{
    Actor, CircuitChange, Command, EffectId, Event, Input, Level, Limits, Observation, RateLevels,
    Record, Time, Usage, Work,
};

use super::{Play, outcome};
use crate::{
    Rejected,
    scheduler::{Circuit, Tank, backoff_ms},
};

impl Play {
    /// Lets time pass until the core wants to be asked again.
    pub(super) fn wait(&mut self) {
        let due = self
            .core
            .next_deadline()
            .unwrap_or_else(|| panic!("nothing is due: {}", self.transcript()))
            .0;
        self.line(&format!("{due} tick"));
    }

    /// The calls in flight, oldest first.
    pub(super) fn calls(&self) -> Vec<EffectId> {
        let open = self.core.open_effects();
        open.filter(|it| matches!(it.1, Work::Call { .. })).map(|it| it.0).collect()
    }

    /// Ends the oldest call in flight.
    pub(super) fn end_call(&mut self, verb: &str, args: &[&str]) {
        let oldest = self.calls()[0];
        self.end(oldest, outcome(verb, args));
    }

    /// Ends everything but calls, until only they are left.
    pub(super) fn up_to_calls(&mut self) {
        loop {
            let other = self.core.open_effects().find(|it| !matches!(it.1, Work::Call { .. }));
            let Some((id, work)) = other.map(|it| (it.0, it.1.clone())) else { return };
            self.end(id, super::good(&work));
        }
    }

    /// Ends everything well until nothing is left to do.
    fn end_everything(&mut self) {
        for _ in 0..5_000 {
            let ended = self.finish_one();
            match self.core.next_deadline() {
                None if !ended => return,
                Some(due) if !ended => self.line(&format!("{} tick", due.0)),
                _ => {}
            }
        }
        panic!("there is no end to it: {}", self.transcript());
    }

    pub(super) fn learns(&mut self, levels: RateLevels) {
        let effect = self.calls()[0];
        self.input(&Input::Observed { effect, index: 0, fact: Observation::Levels(levels) });
    }

    fn iterations_ended(&self) -> usize {
        self.log.iter().filter(|it| matches!(it.event, Event::IterationEnded { .. })).count()
    }
}

/// Many loops of one plan, each at its first call.
pub(super) fn many(loops: usize, limits: &str) -> Play {
    let mut play = Play::default();
    play.lines("0 start | 0 project");
    play.line(&format!("0 limits {limits}"));
    let names: Vec<String> = (0..loops).map(|n| format!("s{n}")).collect();
    play.line(&format!("0 plan {} land=never", names.join(" ")));
    play.up_to_calls();
    play
}

/// Proves A-3, P-12, W-3: after a refusal one call goes, then two, then four, and never faster than the rate.
#[test]
fn after_a_refusal_calls_come_back_one_by_one() {
    let mut play = many(50, "calls=10 rate=6000 burst=50");
    assert_eq!(play.calls_in_flight(), 10);
    play.end_call("429", &["30000"]);
    while !play.calls().is_empty() {
        play.end_call("429", &["30000"]);
    }
    let mut in_flight = Vec::new();
    while in_flight.last() != Some(&10) {
        while play.core.next_deadline().is_some_and(|it| it.0 <= play.now + 1_000) {
            play.wait();
            play.up_to_calls();
        }
        if play.calls().is_empty() {
            play.wait();
            continue;
        }
        assert!(30_000 <= play.now, "{}", play.transcript());
        in_flight.push(play.calls_in_flight());
        play.end_call("replies", &["read"]);
    }
    assert_eq!(in_flight[..4], [1, 2, 4, 8]);
}

/// Proves AY-2.4: what is done about a failure follows from its class: a named time is waited for, and
/// half a second more at most; a wrong credential is tried once; a passing fault rests as it should.
#[test]
fn the_class_of_a_failure_decides() {
    let mut play = many(1, "rate=6000");
    play.end_call("429", &["7000"]);
    while play.calls().is_empty() {
        play.wait();
    }
    assert!((7_000..=7_500).contains(&play.now), "{}", play.now);
    let from = play.now;
    play.end_call("call-fails", &[]);
    while play.calls().is_empty() {
        play.wait();
    }
    assert!((750..=1_250).contains(&(play.now - from)), "{}", play.now - from);
    let sent = play.call_times().len();
    play.end_call("unauthorized", &[]);
    assert_eq!(play.status("s0"), taskd_model::Status::Blocked);
    assert_eq!((play.core.next_deadline(), play.call_times().len()), (None, sent));
}

/// Proves T1.3e X5: a refusal closes its own bucket and no other.
#[test]
fn another_provider_is_not_concerned() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a model=one | 0 plan b c model=two");
    play.up_to_calls();
    play.line("1 a 429 60000");
    assert_eq!(play.calls_in_flight(), 2, "{}", play.transcript());
}

/// Proves S-1.1.2: refusals that name no time silence the bucket for longer and longer.
#[test]
fn refusals_without_a_time_double_the_silence() {
    let mut play = many(1, "rate=6000 burst=50");
    let mut gaps = Vec::new();
    for _ in 0..12 {
        let refused = play.now;
        play.end_call("429", &[]);
        while play.calls().is_empty() {
            play.wait();
        }
        gaps.push(play.now - refused);
    }
    // A quarter more or less, and the loop's own pause.
    for (gap, base) in gaps.iter().zip([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000]) {
        assert!((base * 3 / 4..=base * 5 / 4 + 1_500).contains(gap), "{gaps:?}");
    }
    assert!(gaps[9..].iter().all(|it| (225_000..=376_500).contains(it)), "{gaps:?}");
    assert_eq!(play.iterations_ended(), 0);
}

/// Proves A-4 P-11 W-3: a usage window is waited for by everybody, also by the next life, and nobody
/// calls before it ends.
#[test]
fn a_usage_window_is_waited_for() {
    let mut play = many(5, "calls=1");
    let window = 5 * 60 * 60 * 1_000;
    play.end_call("429", &[&window.to_string()]);
    let calls = play.call_times().len();
    play.lines("1000 restart | 1000 start");
    play.up_to_calls();
    while play.now < window {
        assert_eq!(play.call_times().len(), calls, "{}", play.transcript());
        play.wait();
        play.up_to_calls();
    }
    assert_eq!(play.calls_in_flight(), 1, "{}", play.transcript());
    // What was waited for so long is neither the loops' time nor the plan's.
    play.end_everything();
    assert!(!play.transcript().contains("limit reached"), "{}", play.transcript());
}

/// Proves S-1.4.4 X36 MC-MW-2 P-12: what keeps failing is left alone; then one probe at a time, and
/// three answers open it for all.
#[test]
fn a_provider_that_fails_gets_one_probe() {
    let mut play = many(50, "calls=10 rate=60000 burst=100");
    for _ in 0..5 {
        play.end_call("call-fails", &[]);
    }
    let opened = play.now;
    let sent = play.call_times().len();
    while !play.calls().is_empty() {
        play.end_call("call-fails", &[]);
    }
    while play.calls().is_empty() {
        play.wait();
    }
    assert_eq!((play.now, play.calls_in_flight()), (opened + 30_000, 1));
    // It fails again: another rest, and another single probe.
    play.end_call("call-fails", &[]);
    while play.calls().is_empty() {
        play.wait();
    }
    assert_eq!((play.now, play.call_times().len()), (opened + 60_000, sent + 2));
    for answered in 1..=3 {
        assert_eq!(play.calls_in_flight(), 1, "after {answered} probes");
        play.end_call("replies", &["read"]);
        play.line(&format!("{} tick", play.now));
    }
    assert_eq!(play.calls_in_flight(), 2, "it is open for all, beginning with two");
    let bucket = play.core.state().bucket("fast").expect("it was called");
    assert_eq!(bucket.circuit(), Circuit::Closed);
}

/// What a person's word was answered with, if it was refused.
fn reset(play: &mut Play, bucket: &str, refusals: bool) -> Option<Rejected> {
    let command = Command::ResetCalls { bucket: bucket.to_owned(), refusals };
    play.input(&Input::Command { actor: Actor::Person { uid: 1, via: None }, command });
    play.refused.take()
}

fn changes(play: &Play) -> Vec<CircuitChange> {
    let change = |it: &Record| {
        if let Event::CircuitChanged { change, .. } = &it.event { Some(*change) } else { None }
    };
    play.log.iter().filter_map(change).collect()
}

/// Proves MC-MW-5: opening and closing are in the log; a person may say that the provider is well,
/// and two calls go at once where else there would be one probe, later.
#[test]
fn a_person_says_that_a_provider_is_well() {
    let mut play = many(50, "calls=10 rate=60000 burst=100");
    assert_eq!(reset(&mut play, "slow", false), Some(Rejected::NoBucket("slow".to_owned())));
    assert_eq!(reset(&mut play, "fast", true), None);
    assert_eq!(changes(&play), [], "there is nothing to reset");
    while !play.calls().is_empty() {
        play.end_call("call-fails", &[]);
    }
    assert_eq!(changes(&play), [CircuitChange::Opened]);
    let told = "fast left alone: its calls keep failing";
    assert!(play.transcript().contains(told), "{}", play.transcript());
    let sent = play.call_times().len();
    assert_eq!(reset(&mut play, "fast", false), None);
    play.lines(&format!("{} tick", play.now));
    assert_eq!(play.call_times().len(), sent + 2, "nobody rests any longer, and two go at once");
    let before = CircuitChange::Reset { refusals: false };
    assert_eq!(changes(&play), [CircuitChange::Opened, before]);
    // It is not well: it opens again by the same rule, and probes close it.
    for _ in 0..5 {
        while play.calls().is_empty() {
            play.wait();
        }
        play.end_call("call-fails", &[]);
    }
    while !play.calls().is_empty() {
        play.end_call("call-fails", &[]);
    }
    for _ in 0..3 {
        while play.calls().is_empty() {
            play.wait();
        }
        play.end_call("replies", &["read"]);
    }
    let [.., CircuitChange::Opened, CircuitChange::Closed] = changes(&play)[..] else {
        panic!("{:?}", changes(&play))
    };
}

/// A silence after refusals ends only if the person says so.
#[test]
fn a_silence_ends_if_a_person_says_so() {
    let mut play = many(5, "calls=1 rate=6000");
    play.end_call("429", &["3600000"]);
    assert_eq!(reset(&mut play, "fast", false), None);
    play.lines(&format!("{} tick", play.now));
    assert_eq!((play.calls_in_flight(), changes(&play)), (0, Vec::new()));
    assert_eq!(reset(&mut play, "fast", true), None);
    let asked = play.now;
    while play.calls().is_empty() {
        play.wait();
    }
    assert!(play.now <= asked + 10, "as long as one request takes");
    assert_eq!(play.calls_in_flight(), 1, "{}", play.transcript());
    assert_eq!(changes(&play), [CircuitChange::Reset { refusals: true }]);
}

/// Proves MC-MW-3: what says nothing about the provider does not count as its failure.
#[test]
fn refusals_and_wrong_requests_do_not_count_as_faults() {
    for verb in ["fails-for-good", "cancelled", "429"] {
        let mut play = many(50, "calls=50 rate=60000 burst=100");
        for _ in 0..20 {
            play.end_call(verb, if verb == "429" { &["10"] } else { &[] });
        }
        let bucket = play.core.state().bucket("fast").expect("it was called");
        assert_eq!(bucket.circuit(), Circuit::Closed, "{verb}");
    }
}

/// Proves F7: ten minutes without a provider use up no iteration, and work goes on by itself.
#[test]
fn an_outage_uses_up_no_iteration() {
    for loops in [1, 20] {
        let mut play = many(loops, "calls=10");
        while play.now < 600_000 {
            while !play.calls().is_empty() {
                play.end_call("call-fails", &[]);
            }
            play.wait();
            play.up_to_calls();
        }
        assert_eq!(play.iterations_ended(), 0);
        let sends = play.call_times().len();
        assert!(sends < 60, "{sends} calls of {loops} loops to a provider that is not there");
        play.end_everything();
        let states = play.core.state().loops().values();
        assert!(states.map(|it| it.status).all(|it| it.is_over()), "{}", play.transcript());
    }
}

/// Proves X2, MC-MW-1: the first rest is the base, each later one twice the one before, a quarter more
/// or less, and never more than the longest: not at the thousandth either.
#[test]
fn rests_double_up_to_the_longest() {
    let limits = Limits::default();
    let bounds = [
        (750, 1_250),
        (1_500, 2_500),
        (3_000, 5_000),
        (6_000, 10_000),
        (12_000, 20_000),
        (24_000, 40_000),
        (45_000, 60_000),
    ];
    for (attempt, (least, most)) in (1..).zip(bounds) {
        let rests: Vec<u64> = (0..500).map(|it| backoff_ms(&limits, attempt, it)).collect();
        assert!(rests.iter().all(|it| (least..=most).contains(it)), "{attempt}: {rests:?}");
        let (low, high) = (least + (most - least) / 5, most - (most - least) / 5);
        assert!(rests.iter().any(|it| *it < low) && rests.iter().any(|it| high < *it));
    }
    for attempt in [34, 64, 65, 1_000, u32::MAX] {
        assert!((45_000..=60_000).contains(&backoff_ms(&limits, attempt, 7)), "{attempt}");
    }
}

proptest! {
    /// Proves MC-RUN-6: however long its attempts take, one call is tried within its deadline: what a
    /// rest would take beyond it is not waited for, and the last attempt gets what is left, at least
    /// half a minute.
    #[test]
    fn attempts_and_rests_lie_within_one_deadline(
        takes in prop::collection::vec(0..40_000_u64, 1..20),
        deadline in 60_000..900_000_u64,
    ) {
        let mut play = many(1, &format!("rate=6000 deadline={deadline}"));
        let mut failed_at = None;
        for take in takes.iter().cycle() {
            while play.calls().is_empty() && play.status("s0") == taskd_model::Status::Running {
                play.wait();
            }
            if play.status("s0") != taskd_model::Status::Running {
                break;
            }
            let order = play.core.order(play.calls()[0]).expect("it is open");
            let left = order.subject.expect("a loop's").call_left_ms;
            play.now += left.map_or(*take, |it| (*take).min(it.max(30_000)));
            play.end_call("call-fails", &[]);
            failed_at.get_or_insert(play.now);
        }
        let all = play.now - failed_at.expect("it failed");
        prop_assert!(deadline <= all, "given up after {all} of {deadline}");
        // The breaker's rest is nobody's choice; it is 30 s.
        prop_assert!(all <= deadline + 60_250, "{all} of {deadline}: {}", play.transcript());
    }
}

/// A failing call is given up in the end, and a person is asked.
#[test]
fn a_call_that_fails_for_an_hour_blocks() {
    let mut play = many(1, "rate=6000");
    while play.status("s0") == taskd_model::Status::Running {
        if play.calls().is_empty() {
            play.wait();
        } else {
            play.end_call("call-fails", &[]);
        }
    }
    assert_eq!(play.status("s0"), taskd_model::Status::Blocked);
    assert!((3_600_000..3_800_000).contains(&play.now), "{}", play.now);
}

proptest! {
    /// Proves S-1.1.1, X1: in no window are more tokens taken than the limit held and gained, and what
    /// is given back can be taken again.
    #[test]
    fn tokens_of_any_window_are_within_the_limit(
        limit in 1..200_000_u64,
        calls in prop::collection::vec((0..60_000_u64, 1..50_000_u64, 0..100_u64), 1..100),
    ) {
        let (mut tank, mut now) = (Tank::default(), Time(1_700_000_000_000));
        let mut taken: Vec<(Time, u64)> = Vec::new();
        for (gap, wanted, used_percent) in calls {
            let wanted = wanted.min(limit);
            now = tank.ready_at(limit, wanted, now.plus_ms(gap));
            prop_assert_eq!(tank.ready_at(limit, wanted, now), now);
            tank.take(limit, wanted, now);
            let used = wanted * used_percent / 100;
            tank.refund(limit, wanted - used, now);
            taken.push((now, used));
            for (n, (from, _)) in taken.iter().enumerate() {
                let sum: u64 = taken[n..].iter().map(|it| it.1).sum();
                let gained = now.ms_since(*from) * limit / 60_000;
                prop_assert!(sum <= limit + gained + 1, "{sum} in {} ms", now.ms_since(*from));
            }
        }
    }
}

/// Proves W-1: a call waits for room for its tokens, and what it did not use makes room.
#[test]
fn tokens_are_reserved_and_settled() {
    // Each call is taken to read 1,000 and to write 500; the first two replies use nothing.
    let mut play = many(4, "input=2000 output=9000 calls=10");
    assert_eq!(play.calls_in_flight(), 2, "{}", play.transcript());
    play.line("10 s0 replies read");
    assert_eq!(play.calls_in_flight(), 2, "what it did not read makes room for another");
    let effect = play.calls()[0];
    let usage = Usage { input: 3_000, ..Usage::default() };
    let outcome = taskd_model::Outcome::Replied {
        reply: taskd_model::Digest::of(b"much"),
        calls: Vec::new(),
        usage,
        by: None,
        found: None,
    };
    play.now = 20;
    play.end(effect, outcome);
    assert_eq!(play.calls_in_flight(), 1, "{}", play.transcript());
    play.wait();
    // 4,000 of 2,000 are taken, and one more needs 1,000: a minute and a half later.
    assert_eq!((play.calls_in_flight(), play.now / 1_000), (2, 90), "{}", play.transcript());
}

/// Proves S-1.1.1: what the provider's headers say is right where it is less than we thought.
#[test]
fn headers_correct_what_we_think() {
    let mut play = many(8, "calls=10 rate=600 burst=1");
    let level = |limit, remaining| Some(Level { limit, remaining, reset_ms: 60_000 });
    play.learns(RateLevels { requests: level(6, 0), ..RateLevels::default() });
    play.wait();
    assert_eq!(play.now, 10_000, "six a minute, and none is left");
    let mut play = many(8, "calls=10 rate=600 burst=1");
    play.learns(RateLevels { input_tokens: level(60_000, 500), ..RateLevels::default() });
    play.wait();
    assert_eq!(play.now, 500, "a thousand each second, and half of one is there");
    // More than we thought is not believed: others' calls may be on the way.
    let mut play = many(8, "calls=10 rate=60 burst=1");
    play.learns(RateLevels { requests: level(6_000, 6_000), ..RateLevels::default() });
    play.wait();
    assert_eq!(play.now, 1_000);
}

/// Proves T1.3b: a provider that says its rate is lower does not make us forget what was just sent.
#[test]
fn a_slower_rate_does_not_forget_what_was_sent() {
    let mut play = many(8, "calls=10 rate=60 burst=2");
    assert_eq!(play.calls_in_flight(), 2);
    let levels = Some(Level { limit: 6, remaining: 1, reset_ms: 60_000 });
    play.learns(RateLevels { requests: levels, ..RateLevels::default() });
    assert_eq!(play.calls_in_flight(), 2, "{}", play.transcript());
    play.wait();
    assert_eq!((play.now, play.calls_in_flight()), (10_000, 3), "{}", play.transcript());
}

/// Fifty refusals at once hold everybody for the time they name; a rate that is learned after that,
/// slower by far, is kept from then on and asks for nothing back.
#[test]
fn a_rate_learned_after_a_refusal_is_no_debt() {
    let mut play = many(50, "calls=100 rate=100000 burst=100000");
    assert_eq!(play.calls_in_flight(), 50);
    play.now = 5_000;
    while !play.calls().is_empty() {
        play.now += 3;
        play.end_call("429", &["1000"]);
    }
    while play.calls().is_empty() {
        play.wait();
        play.up_to_calls();
    }
    assert!((6_000..=6_300).contains(&play.now), "{}", play.now);
    let first = play.now;
    let levels = Some(Level { limit: 1_200, remaining: 0, reset_ms: 60_000 });
    play.learns(RateLevels { requests: levels, ..RateLevels::default() });
    play.end_call("replies", &["read"]);
    while play.calls().is_empty() {
        play.wait();
        play.up_to_calls();
    }
    assert!(play.now <= first + 100, "{} after {first}", play.now);
}

/// Proves W-7: two plans share a bucket evenly, however many loops each has.
#[test]
fn plans_share_evenly() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 limits calls=1 rate=60000 burst=500");
    let crowd: Vec<String> = (0..30).map(|n| format!("c{n}")).collect();
    play.line(&format!("0 plan {}", crowd.join(" ")));
    play.up_to_calls();
    play.lines("5 plan x y");
    play.up_to_calls();
    let mut of_few = Vec::new();
    for _ in 0..12 {
        let call = play.calls()[0];
        let owner = play.core.state().effects()[&call].owner;
        of_few.push(matches!(owner, taskd_model::Owner::Loop(id) if id.plan().0 == 2));
        play.now += 10;
        play.end(call, outcome("replies", &["read"]));
        play.up_to_calls();
    }
    let few = of_few.iter().skip(1).filter(|it| **it).count();
    assert!((5..=6).contains(&few), "{of_few:?}");
}

/// Proves P-8 S-1.1.3: no call is sent that could cost more than is left, and what others may still
/// cost is kept for them.
#[test]
fn the_worst_a_call_can_cost_is_reserved() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a b c plan-budget=1000000");
    play.line("0 p1 base-green");
    for name in ["a", "b", "c"] {
        play.line(&format!("0 {name} to compose"));
        play.line(&format!("0 {name} composed 400000"));
    }
    assert_eq!(play.calls_in_flight(), 2, "the third could cost too much: {}", play.transcript());
    assert!(play.transcript().contains("reserved by calls in flight"), "{}", play.transcript());
    play.line("500 a replies read");
    play.line("5000 tick");
    assert_eq!(play.calls_in_flight(), 2, "{}", play.transcript());
    // 10,000 are spent; 980,000 are left for a call that could cost a million.
    play.lines("5100 b replies read | 5200 b tool read | 5300 b composed 1000000");
    play.line("5400 c replies");
    assert!(
        play.transcript().contains("limit reached: the plan's budget"),
        "{}",
        play.transcript()
    );
}
