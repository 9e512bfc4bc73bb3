//! Who may call a model, and when. Everything is read from the log.

use taskd_model::{Doing, Failure, LoopView, Priority, Status, Time, View};

use super::*;

/// One model call of the log.
#[derive(Debug)]
struct Sent {
    seq: u64,
    at: Time,
}

/// Every call that was sent after `seq`, in order, and the most that were in flight at once.
fn calls_after(world: &World, seq: u64) -> (Vec<Sent>, usize) {
    let (mut sent, mut flying, mut most) = (Vec::new(), Vec::new(), 0);
    for record in world.events().into_iter().filter(|it| seq < it.seq.0) {
        if let Some(Work::Call { .. }) = work_of(&record) {
            sent.push(Sent { seq: record.seq.0, at: record.at });
            flying.push(record.seq.0);
            most = most.max(flying.len());
        } else if let Event::EffectEnded { effect, .. } = record.event {
            flying.retain(|it| *it != effect.0.0);
        }
    }
    assert!(flying.is_empty(), "calls that never ended: {flying:?}\n{}", world.transcript());
    (sent, most)
}

fn calls(world: &World) -> (Vec<Sent>, usize) {
    calls_after(world, 0)
}

/// Replies for loops `s1` to `sN`: each writes a file of its own, its turn being as `how` says.
/// Every other loop calls and never hears the end of it. One script is one bucket.
fn script(world: &World, n: usize, how: impl Fn(usize) -> String) -> String {
    let one = |k: usize| {
        let tools =
            format!("[{{write: {{path: s{k}.txt, content: x}}}}, {{finish: {{summary: x}}}}]");
        format!("  s{k}: [{{turns: [{{{} tools: {tools}}}]}}]\n", how(k))
    };
    let loops: String = (1..=n).map(one).collect();
    let hangs = "default: {say: x, fail: [{hang: 0}]}\n";
    replies(world, "script.yaml", &format!("loops:\n{loops}{hangs}"))
}

/// A plan of specs `NAME1` to `NAMEn`.
fn many(model: &str, name: &str, n: usize, head: &str) -> String {
    let specs: String = (1..=n).map(|k| format!("## spec {name}{k}: Number {k}\n\n")).collect();
    let title = format!("Many {name} {head}");
    format!("---\nplan: '{title}'\nmodel: {model}\ngate: 'true'\nland: never\n{head}\n---\n{specs}")
}

/// Waits until all loops are complete, as long as it goes on.
#[track_caller]
fn until_all_complete(world: &World, n: u64) {
    for some in (1..=n).rev().step_by(5).collect::<Vec<_>>().into_iter().rev() {
        world.until(&format!("{some} of {n} to be complete"), |view| {
            view.totals.of(Status::Complete) >= some
        });
    }
    assert_eq!(world.view().totals.of(Status::Complete), n);
}

/// Proves T1.3a: 50 loops under the default cap of 10 have 10 calls in flight and never 11, and
/// all 50 finish.
#[test]
fn fifty_loops_share_ten_calls() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__BURST".to_owned(), "1000".to_owned());
    let model = script(&world, 50, |_| "delay_ms: 1000,".to_owned());
    world.start();
    world.submit(&many(&model, "s", 50, ""));
    until_all_complete(&world, 50);
    let (sent, most) = calls(&world);
    assert_eq!((sent.len(), most), (50, 10));
}

/// Proves E8, X4: two hundred loops go through one daemon, at most fifty of them at once while the rest
/// is pending, in less than 300 MB; and three subscribers that stop reading hold up nobody.
#[test]
fn two_hundred_loops_beside_subscribers_that_do_not_read() {
    let mut world = World::new();
    for (name, value) in [("BURST", "1000"), ("CALLS", "100")] {
        world.env.insert(format!("TASKD_LIMITS__{name}"), value.to_owned());
    }
    let model = script(&world, 200, |_| String::new());
    world.start();
    let mut stuck: Vec<_> = (0..3).map(|_| world.client().watch(Vec::new(), true)).collect();
    for it in &mut stuck {
        let first = world.runtime.block_on(it.next());
        assert!(first.is_some(), "it is told what there is");
    }
    world.submit(&many(&model, "s", 200, ""));
    world.until("200 loops to be complete", |it| it.totals.of(Status::Complete) == 200);
    // From the log: who begins to watch late sees less of it.
    let (mut most, mut pending, mut view) = (0, 0, View::default());
    for record in world.events() {
        assert!(view.apply(&record), "{record}");
        most = most.max(view.totals.of(Status::Running) + view.totals.of(Status::Rebasing));
        pending = pending.max(view.totals.of(Status::Pending));
    }
    assert_eq!(most, 50);
    assert!(150 <= pending, "{pending} pending");
    let daemon = world.taskd(&["daemon", "status", "--json"]).ok();
    let pid = serde_json::from_str::<serde_json::Value>(&daemon).expect("JSON")["pid"].clone();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("a figure");
    let kb: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kb < 300_000, "{kb} kB at most");
    drop(stuck);
}

/// Proves T1.3f: `limits.calls = 3` in the person's configuration is a cap of 3.
#[test]
fn a_cap_of_three_is_a_cap_of_three() {
    let mut world = World::new();
    let config = world.dir.path().join("home/.config/taskd");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("config.toml"), "[limits]\ncalls = 3\n").unwrap();
    let model = script(&world, 8, |_| "delay_ms: 500,".to_owned());
    world.start();
    world.submit(&many(&model, "s", 8, ""));
    until_all_complete(&world, 8);
    let (sent, most) = calls(&world);
    assert_eq!((sent.len(), most), (8, 3));
}

/// Proves T1.3b: in every window of time no more calls are sent than the burst and what the rate
/// adds in that time.
#[test]
fn no_window_holds_more_than_burst_and_rate() {
    let mut world = World::new();
    for (name, value) in [("BURST", "4"), ("REQUESTS_PER_MINUTE", "240"), ("CALLS", "100")] {
        world.env.insert(format!("TASKD_LIMITS__{name}"), value.to_owned());
    }
    let model = script(&world, 16, |_| String::new());
    world.start();
    world.submit(&many(&model, "s", 16, ""));
    until_all_complete(&world, 16);
    let (sent, _) = calls(&world);
    assert_eq!(sent.len(), 16);
    for (first, from) in sent.iter().enumerate() {
        for (last, to) in sent.iter().enumerate().skip(first) {
            let refilled = to.at.ms_since(from.at) * 240 / 60_000;
            let admitted = (last - first + 1) as u64;
            // One more than the refill: a cell may come free within the first millisecond.
            assert!(admitted <= 4 + refilled + 1, "{from:?} to {to:?}: {admitted}");
        }
    }
    // Twelve of them had to wait for a quarter of a second each.
    let took = sent[15].at.ms_since(sent[0].at);
    assert!(2_750 <= took, "16 calls took only {took} ms");
}

/// Proves T1.3e: after a 429 that names a time, no loop sends a call before that time, and all go
/// on after it.
#[test]
fn one_refusal_holds_everybody() {
    const HELD_MS: u64 = 2_000;
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__CALLS".to_owned(), "1".to_owned());
    let model = script(&world, 6, |k| {
        let fail = format!("fail: [{{status: 429, retry_after_ms: {HELD_MS}, delay_ms: 8000}}],");
        if k == 1 { fail } else { String::new() }
    });
    world.start();
    world.submit(&many(&model, "s", 1, ""));
    calling(&world, "p1.s1");
    world.submit(&many(&model, "s", 6, "limits: {iterations: 1}"));
    for k in 2..=6 {
        queued(&world, &format!("p2.s{k}"));
    }
    let refused = world.until_event("a refusal", |it| match outcome_of(it) {
        Some(Outcome::Failed { failure, .. }) => *failure == Failure::NotBefore(HELD_MS),
        _ => false,
    });
    until_all_complete(&world, 7);
    let (sent, most) = calls(&world);
    let later: Vec<&Sent> = sent.iter().filter(|it| refused.seq.0 < it.seq).collect();
    assert!(7 <= later.len(), "the others were held, not done before: {}", later.len());
    let soonest = later.iter().map(|it| it.at.ms_since(refused.at)).min().unwrap_or_default();
    assert!((HELD_MS..HELD_MS + 1_000).contains(&soonest), "held for {soonest} ms");
    assert_eq!(most, 1);
    // The refused one was sent again, and that is no iteration.
    let id = refused.loop_id.expect("a loop's");
    assert_eq!((started(&world, id, "call"), iterations(&world, id)), (2, vec![1]));
}

/// Proves T1.3c: when a slot comes free, a critical call goes before those that came earlier with
/// less.
#[test]
fn a_critical_call_goes_first() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__CALLS".to_owned(), "1".to_owned());
    world.start();
    let model = script(&world, 1, |_| String::new());
    world.submit(&many(&model, "h", 1, ""));
    calling(&world, "p1.h1");
    for (n, class) in ["low", "normal", "high", "critical"].iter().enumerate() {
        world.submit(&many(&model, "h", 1, &format!("priority: {class}")));
        queued(&world, &format!("p{}.h1", n + 2));
    }
    // Each hangs in its turn; stopping one lets the next one through.
    let mut order = Vec::new();
    let mut holder = "p1.h1".to_owned();
    for _ in 0..4 {
        world.taskd(&["stop", &holder]).ok();
        world.until_status(&holder, &[Status::Stopped]);
        let view = world.until("somebody else to call", |view| {
            view.loops.values().any(|it| it.doing == Doing::Calling)
        });
        let next = view.loops.values().find(|it| it.doing == Doing::Calling).unwrap();
        holder = next.name.clone();
        order.push(view.plans[&next.id.plan()].priority);
    }
    assert_eq!(order, [Priority::Critical, Priority::High, Priority::Normal, Priority::Low]);
}

/// Proves T1.3c: a call of low priority that has waited for one ageing step of 30 s goes before a
/// normal one that came later.
#[test]
fn who_waits_long_enough_rises() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__CALLS".to_owned(), "1".to_owned());
    let model = script(&world, 3, |k| format!("delay_ms: {},", if k == 1 { 45_000 } else { 0 }));
    // Of another bucket: passes the time until the normal call may queue.
    let timer = "default: {delay_ms: 22000, tools: [{write: {path: t, content: t}}, {finish: {summary: x}}]}\n";
    let timer = replies(&world, "timer.yaml", timer);
    let plan = |head: &str, specs: &str| {
        format!("---\nplan: P\ngate: 'true'\nland: never\n{head}\n---\n{specs}")
    };
    world.start();
    world.submit(&plan(&format!("model: {model}"), "## spec s1: Holds the slot\n"));
    calling(&world, "p1.s1");
    world.submit(&plan(&format!("model: {model}\npriority: low"), "## spec s2: Low\n"));
    queued(&world, "p2.s2");
    let specs =
        format!("## spec timer: Passes time\nmodel: {timer}\n\n## spec s3: Normal\nneeds: timer\n");
    world.submit(&plan(&format!("model: {model}"), &specs));
    queued(&world, "p3.s3");
    until_all_complete(&world, 4);
    let at = |name: &str| {
        let id = world.row(name).id;
        let call =
            |it: &Record| it.loop_id == Some(id) && matches!(work_of(it), Some(Work::Call { .. }));
        world.events().iter().find(|it| call(it)).map(|it| it.seq).expect("it called")
    };
    assert!(at("p1.s1") < at("p2.s2") && at("p2.s2") < at("p3.s3"), "{}", world.transcript());
}

#[track_caller]
fn calling(world: &World, name: &str) {
    world.until(&format!("{name} to call"), |view| {
        view.loops.values().any(|it| it.name == name && it.doing == Doing::Calling)
    });
}

#[track_caller]
fn queued(world: &World, name: &str) {
    world.until(&format!("{name} to wait for a slot"), |view| {
        let waits = Doing::QueuedForModel;
        view.loops.values().any(|it| it.name == name && it.doing == waits)
    });
}

/// Proves T1.3d: waiters that are stopped, holders that are stopped, and a call that panics give
/// their slots back: afterwards as many calls fly as before.
#[test]
fn slots_come_back_however_a_call_ends() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__CALLS".to_owned(), "2".to_owned());
    world.env.insert("TASKD_FAULT".to_owned(), "panic:call:p2.s1".to_owned());
    let model = script(&world, 6, |_| "delay_ms: 400,".to_owned());
    world.start();
    world.submit(&many(&model, "h", 4, ""));
    let flying = |view: &View| {
        let is = |doing: Doing| view.loops.values().filter(|it| it.doing == doing).count();
        is(Doing::Calling) == 2 && is(Doing::QueuedForModel) == 2
    };
    let view = world.until("two calls in flight and two that wait", flying);
    let waits = |it: &&LoopView| it.doing == Doing::QueuedForModel;
    let waiter = view.loops.values().find(waits).unwrap().name.clone();
    world.taskd(&["stop", &waiter]).ok();
    world.until_status(&waiter, &[Status::Stopped]);
    world.taskd(&["stop", "p1"]).ok();
    world.until("all stopped", |view| view.totals.of(Status::Stopped) == 4);

    // The same script, so the same bucket.
    let stopped = world.view().seq.0;
    world.submit(&many(&model, "s", 6, ""));
    world.until_status("p2.s1", &[Status::Failed]);
    world.until("the others to be complete", |view| view.totals.of(Status::Complete) == 5);
    let (sent, most) = calls_after(&world, stopped);
    assert_eq!((sent.len(), most), (6, 2), "{}", world.transcript());
}
