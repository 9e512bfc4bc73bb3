//! Who may call a model, and when.

use std::collections::BTreeMap;

use proptest::prelude::*;
use taskd_model::{EffectId, Limits, LoopId, PlanId, Priority, Seq, SpecId, Status, Time};

use super::{Play, outcome, story_from};
use crate::scheduler::{Bucket, Cost, Hindrance, Shares, Waiters};

fn fifty(limits: &str) -> Play {
    let mut play = Play::default();
    play.lines("0 start | 0 project");
    play.line(&format!("0 limits {limits}"));
    let names: Vec<String> = (0..50).map(|n| format!("s{n}")).collect();
    play.line(&format!("0 plan {} land=never", names.join(" ")));
    play
}

/// Proves T1.3a.
#[test]
fn fifty_loops_under_a_cap_of_ten_all_finish() {
    let mut play = fifty("calls=10 rate=60000 burst=50");
    let mut most = 0;
    while play.finish_one() {
        most = most.max(play.calls_in_flight());
        play.now += 1;
    }
    assert_eq!(most, 10);
    let loops = play.core.state().loops();
    assert!(loops.values().all(|it| it.status == Status::Complete), "{}", play.transcript());
}

/// Proves T1.3f.
#[test]
fn a_configured_cap_is_the_cap() {
    let mut play = fifty("calls=3 rate=60000 burst=50");
    let mut most = 0;
    while play.finish_one() {
        most = most.max(play.calls_in_flight());
        play.now += 1;
    }
    assert_eq!(most, 3);
}

fn ready_at(bucket: &Bucket, limits: &Limits, now: Time) -> Time {
    bucket.ready_at(limits, Cost::default(), now).expect("nothing but time is short")
}

fn send(bucket: &mut Bucket, limits: &Limits, now: Time) {
    let id = LoopId { spec: SpecId { plan: PlanId(1), index: 0 }, run: 1 };
    bucket.send(limits, (EffectId(Seq(1)), id), Cost::default(), 0, now);
}

proptest! {
    /// Proves T1.3b.
    #[test]
    fn no_window_has_more_sends_than_the_bucket_held_and_gained(
        rate in 1..2_000_u32,
        burst in 1..60_u32,
        gaps in prop::collection::vec(0..3_000_u64, 1..300),
    ) {
        let limits = Limits {
            requests_per_minute: rate,
            request_burst: burst,
            calls: u32::MAX,
            ..Limits::default()
        };
        let mut bucket = Bucket::default();
        let (mut now, mut sends) = (Time(1_700_000_000_000), Vec::<Time>::new());
        for gap in gaps {
            now = now.plus_ms(gap);
            while ready_at(&bucket, &limits, now) <= now {
                send(&mut bucket, &limits, now);
                sends.push(now);
            }
            let ready = ready_at(&bucket, &limits, now);
            prop_assert!(ready.ms_since(now) <= 60_000 / u64::from(rate) + 1, "it waits too long");
        }
        for (n, from) in sends.iter().enumerate() {
            for (count, to) in (1u64..).zip(&sends[n..]) {
                let gained = to.ms_since(*from) * u64::from(rate) / 60_000;
                prop_assert!(count <= u64::from(burst) + gained);
            }
        }
    }
}

/// One slot, taken by `x`; `n1` and `n2` wait, then `c` comes.
const FULL: &str = "0 start | 0 project | 0 limits calls=1 ageing=1000
    0 plan x | 0 p1 base-green | 0 x to call
    0 plan n1 n2 | 1 n1 to call | 2 n2 to call";

/// Proves T1.3c, X7: the call under way stays.
#[test]
fn critical_goes_first_and_low_is_not_forgotten() {
    insta::assert_snapshot!(
        story_from(
            &format!("{FULL} | 3 plan c priority=critical | 4 c to call"),
            "10 x replies | 20 c replies | 30 n1 replies"
        ),
        @"
45      10  p1/0/1 e16 replied, asks for 0 tools
46      10  p1/0/1 gate started
47      10  p3/0/1 call started
48      20  p3/0/1 e47 replied, asks for 0 tools
49      20  p3/0/1 gate started
50      20  p2/0/1 call started
51      30  p2/0/1 e50 replied, asks for 0 tools
52      30  p2/1/1 call started
    open: gate
    open: gate
    open: call
    x is running
    n1 is running
    n2 is running
    c is running
"
    );
    // A low call is admitted before critical ones that come three ageing steps later, however many.
    let mut play = Play::default();
    play.lines(FULL);
    play.lines("3 plan l priority=low | 4 l to call | 10 x replies | 20 n1 replies");
    for n in 0..8 {
        let at = 3_100 + n * 100;
        play.line(&format!("{at} plan c{n} priority=critical"));
        play.line(&format!("{at} c{n} to call"));
    }
    play.line("4000 n2 replies");
    assert!(play.open_of("l").is_some(), "{}", play.transcript());
}

/// Proves S-1.1.7: of ten thousand calls that wait, while one more critical one comes for each that is
/// let through, each goes exactly once; a lower class goes before a higher one only as far as its
/// oldest call has aged; the low ones are through in a bounded time.
#[test]
fn ten_thousand_calls_go_in_order_and_none_is_lost() {
    const STEP_MS: u64 = 20;
    let limits = Limits { ageing_ms: 30_000, ..Limits::default() };
    let classes = [Priority::Low, Priority::Normal, Priority::High, Priority::Critical];
    let (mut waiters, mut shares) = (Waiters::default(), Shares::default());
    let mut waiting: BTreeMap<LoopId, (Priority, Time)> = BTreeMap::new();
    let comes = |n: u64, at: Time, waiters: &mut Waiters, waiting: &mut BTreeMap<_, _>| {
        let class = if n < 10_000 { classes[n as usize % 4] } else { Priority::Critical };
        let spec = SpecId { plan: PlanId(n as u32 % 7), index: (n / 7) as u16 };
        let id = LoopId { spec, run: 1 };
        waiters.insert(class, (at, Seq(n), id));
        assert!(waiting.insert(id, (class, at)).is_none());
    };
    let (mut now, mut next) = (Time(0), 0);
    while next < 10_000 {
        comes(next, now, &mut waiters, &mut waiting);
        next += 1;
    }
    let (mut gone, mut longest) = (0_u64, 0);
    while !waiting.is_empty() {
        if gone < 15_000 {
            comes(next, now, &mut waiters, &mut waiting);
            next += 1;
        }
        let id = waiters.first(&limits, &shares, now).expect("some wait");
        let (class, since) = waiting.remove(&id).expect("nobody goes twice");
        let it = (class, since);
        let oldest = |of: Priority| {
            let of_class = waiting.values().chain([&it]).filter(|it| it.0 == of);
            of_class.map(|it| now.ms_since(it.1)).max()
        };
        if gone % 97 == 0 {
            let aged = |of: Priority| oldest(of).map(|it| of as u64 + it / limits.ageing_ms);
            let best = classes.iter().filter_map(|it| aged(*it)).max();
            assert_eq!(aged(class), best, "{class:?} goes out of turn after {gone}");
        }
        if class == Priority::Low {
            longest = longest.max(now.ms_since(since));
        }
        let seq = Seq(u64::from(id.spec.plan.0) + u64::from(id.spec.index) * 7);
        waiters.remove(class, &(since, seq, id));
        shares.admit(id.plan(), 1);
        gone += 1;
        now = now.plus_ms(STEP_MS);
    }
    assert_eq!((gone, waiters.is_empty()), (next, true));
    // Three steps of ageing, and then in the time the ten thousand take.
    assert!(longest <= 90_000 + 10_000 * STEP_MS, "{longest} ms");
}

/// Proves MC-MW-6: what is in a call's way is looked at in one order (refusal, breaker, slots, limits
/// per minute), so the cause that is told is the one that is to end first.
#[test]
fn hindrances_are_told_in_one_order() {
    let limits =
        Limits { calls: 2, request_burst: 20, requests_per_minute: 1, ..Limits::default() };
    let id = LoopId { spec: SpecId { plan: PlanId(1), index: 0 }, run: 1 };
    let (mut bucket, mut now) = (Bucket::default(), Time(1_000));
    let mut sent = 0;
    let mut call = |bucket: &mut Bucket, now: Time| {
        sent += 1;
        bucket.send(&limits, (EffectId(Seq(sent)), id), Cost::default(), 0, now);
        EffectId(Seq(sent))
    };
    let flying = [call(&mut bucket, now), call(&mut bucket, now)];
    for _ in 0..18 {
        let effect = call(&mut bucket, now);
        bucket.end(&limits, (effect, Seq(50)), Cost::default(), &outcome("fails", &[]), now);
    }
    let refused = outcome("429", &["60000"]);
    bucket.end(&limits, (flying[0], Seq(51)), Cost::default(), &refused, now);
    let says = |bucket: &Bucket, now| match bucket.hindrance(&limits, Cost::default(), now) {
        Some(Hindrance::Refused { .. }) => "refused",
        Some(Hindrance::LeftAlone { .. }) => "left alone",
        Some(Hindrance::Slots { .. }) => "slots",
        Some(Hindrance::Room { .. }) => "room",
        None => "nothing",
    };
    assert_eq!(says(&bucket, now), "refused");
    // The refusal is over; its only slot is taken by the probe, which fails.
    now = now.plus_ms(60_000);
    let probe = call(&mut bucket, now);
    bucket.end(&limits, (probe, Seq(60)), Cost::default(), &outcome("fails", &[]), now);
    assert_eq!(says(&bucket, now), "left alone");
    now = now.plus_ms(30_000);
    assert_eq!(says(&bucket, now), "slots", "one is in flight still, and one may be");
    bucket.end(&limits, (flying[1], Seq(70)), Cost::default(), &outcome("replies", &[]), now);
    assert_eq!(says(&bucket, now), "room");
    assert_eq!(says(&bucket, now.plus_ms(120_000)), "nothing");
}

/// Proves T1.3d.
#[test]
fn every_slot_comes_back() {
    for end in ["cancelled", "fails", "fails-for-good", "429", "panic", "stop waiting"] {
        let mut play = Play::default();
        play.lines(FULL);
        let before = play.core.buckets(Time(play.now)).first().map(|it| (it.in_flight, it.waiting));
        assert_eq!(before, Some((1, 2)));
        match end {
            "panic" => play.lines("10 panic x | 11 x cancelled"),
            "stop waiting" => play.lines("10 stop n1 | 11 x replies"),
            "429" => play.line("10 x 429 60000"),
            end => play.lines(&format!("10 stop x | 11 x {end}")),
        }
        let bucket = &play.core.buckets(Time(play.now))[0];
        let (in_flight, waiting) = (bucket.in_flight, bucket.waiting);
        let closed = end == "429";
        assert_eq!(in_flight, u32::from(!closed), "{end}");
        assert_eq!(
            waiting,
            if closed {
                2
            } else if end == "stop waiting" {
                0
            } else {
                1
            },
            "{end}"
        );
        play.line("100000 tick");
        while play.finish_one() {
            play.now += 10;
        }
        let bucket = &play.core.buckets(Time(play.now))[0];
        let (in_flight, waiting) = (bucket.in_flight, bucket.waiting);
        assert_eq!((in_flight, waiting), (0, 0), "{end}");
    }
}

/// Proves T1.3e, MC-MW-4.
#[test]
fn after_a_429_nobody_calls_before_its_time() {
    let mut play = Play::default();
    play.lines("0 start | 0 project | 0 plan a b c | 0 p1 base-green | 0 a to call | 0 b to call");
    let (effect, _) = play.open_of("a").unwrap();
    play.now = 1_000;
    play.end(effect, outcome("429", &["20000"]));
    play.lines("1100 c to call | 1200 b replies read | 1300 b tool read | 1400 b composed");
    let before = play.call_times().len();
    while let Some(due) = play.core.next_deadline()
        && play.call_times().len() < before + 3
    {
        play.now = due.0;
        play.line(&format!("{} tick", due.0));
        // Each goes when the one before was answered.
        while play.calls_in_flight() != 0 && play.call_times().len() < before + 3 {
            play.finish_one();
        }
    }
    let times = play.call_times();
    assert_eq!(times.len(), before + 3, "{}", play.transcript());
    assert!(times[before..].iter().all(|it| 21_000 <= *it), "{times:?}");
}

#[test]
fn a_loop_without_a_slot_waits_for_one() {
    insta::assert_snapshot!(
        story_from(
            "0 start | 0 project | 0 limits loops=1 | 0 plan a b land=never | 1 p1 base-green",
            "10 pause a | 20 a ready | 30 resume a | 40 b to publish | 50 q to publish | 60 q published"
        ),
        @"
14      10  p1/0/1 asked to pause
15      20  p1/0/1 e13 worktree ready
16      20  p1/0/1 running -> paused: by a person
17      20  p1/1/1 pending -> running: started
18      20  p1/1/1 prepare worktree started
19      30  p1/0/1 asked to go on
20      30  p1/0/1 paused -> pending: by a person
21      40  p1/1/1 e18 worktree ready
22      40  p1/1/1 iteration 1
23      40  p1/1/1 compose started
24      40  p1/1/1 e23 composed, about 1000 tokens
25      40  p1/1/1 call started
26      40  p1/1/1 e25 replied, asks for 0 tools
27      40  p1/1/1 gate started
28      40  p1/1/1 e27 gate green
29      40  p1/1/1 iteration 1 ended: green
30      40  p1/1/1 passed on tree 7ee1000
31      40  queued to integrate p1/1/1
32      40  queue 1 build candidate to integrate p1/1/1 on ba5e000 started
33      50  e32 built c100000
34      50  queue 1 publish integrate p1/1/1 c100000 started
35      60  e34 published
36      60  p1/1/1 q31 integrate p1/1/1: done: c100000 on ba5e000
37      60  p1/1/1 running -> complete: done
38      60  p1/0/1 pending -> running: started
39      60  p1/0/1 running -> rebasing: base moved
40      60  p1/0/1 rebase onto c100000 started
    open: rebase onto c100000
    a is rebasing
    b is complete
"
    );
}
