//! From the end of a tool that reads to the next request on the wire, with 100 loops at work.
//!
//! The scripted model sends its first word the moment a request reaches it, so the first word seen
//! by a client that watches is the request on the wire plus the way back to the client. Three times
//! are taken:
//!
//! - `log`: the event of the tool's end to the event that starts the call, by the log's own clock in
//!   whole milliseconds. Lacks the wait for the disk at both ends.
//! - `seen`: the tool's end as the client sees it (it is durable then) to the first word.
//! - `whole`: the tool's start as the client sees it to the first word: the tool itself, its result
//!   on disk, everything. An upper bound of what is asked for.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use taskd_api::{Client, Watched};
use taskd_model::{Delta, EffectId, Event, LoopId, Owner, Record, Time, Work};

use crate::{Sizes, native, stats, tell, world};

/// Between the first word of a reply and its end, in milliseconds.
const PAUSE_MS: u32 = 2_000;

/// What is known about one loop.
#[derive(Debug, Default)]
struct Known {
    tool: Option<EffectId>,
    tool_began: Option<Instant>,
    tool_ended: Option<(Instant, Time)>,
    call: Option<(EffectId, Time)>,
}

/// What came out.
#[derive(Debug, Default)]
struct Times {
    log: Vec<Duration>,
    seen: Vec<Duration>,
    whole: Vec<Duration>,
}

/// Watches loops at work for a while.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    for _ in 0..sizes.runs {
        let mut times = runtime.block_on(async {
            let (_world, client) = native::at_work(sizes.loops(100), PAUSE_MS).await;
            watch(&client, 2 * sizes.window).await
        });
        eprintln!("   {} turns", times.whole.len());
        tell("turnaround.log", stats::ms(stats::median(&mut times.log)));
        tell("turnaround.seen", stats::ms(stats::median(&mut times.seen)));
        tell("turnaround.whole", stats::ms(stats::median(&mut times.whole)));
        tell("turnaround.whole.p99", stats::ms(stats::percentile(&mut times.whole, 99)));
    }
}

async fn watch(client: &Client, window: Duration) -> Times {
    let mut watch = client.watch(Vec::new(), true);
    let (mut known, mut times) = (BTreeMap::<LoopId, Known>::new(), Times::default());
    let began = Instant::now();
    while began.elapsed() < window {
        match watch.next().await.expect("the watch goes on") {
            Watched::Event(record) => note(&mut known, &record),
            Watched::Delta { effect, delta: Delta::Text(_), .. } => {
                let now = Instant::now();
                let mut all = known.values_mut();
                if let Some(it) = all.find(|it| it.call.is_some_and(|(id, _)| id == effect)) {
                    take(it, &mut times, now);
                }
            }
            Watched::Connected { .. }
            | Watched::View(_)
            | Watched::Unknown { .. }
            | Watched::Delta { .. }
            | Watched::Heartbeat { .. } => {}
            Watched::Disconnected { error, .. } | Watched::Ended(error) => panic!("{error}"),
        }
    }
    times
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are of no interest here")]
fn note(known: &mut BTreeMap<LoopId, Known>, record: &Record) {
    let now = Instant::now();
    match &record.event {
        Event::EffectStarted { owner: Owner::Loop(id), work } => {
            let it = known.entry(*id).or_default();
            match work {
                Work::Tool { reads: true, .. } => {
                    it.tool = Some(EffectId(record.seq));
                    (it.tool_began, it.tool_ended) = (Some(now), None);
                }
                Work::Call { .. } => it.call = Some((EffectId(record.seq), record.at)),
                _ => {}
            }
        }
        Event::EffectEnded { effect, .. } => {
            let it = record.loop_id.and_then(|id| known.get_mut(&id));
            if let Some(it) = it.filter(|it| it.tool == Some(*effect)) {
                it.tool_ended = Some((now, record.at));
            }
        }
        // What comes after a gate is not what follows a tool.
        Event::IterationEnded { .. } => _ = record.loop_id.and_then(|id| known.remove(&id)),
        _ => {}
    }
}

/// The first word of a reply: what came before it is complete.
fn take(it: &mut Known, times: &mut Times, now: Instant) {
    if let (Some(began), Some((ended, at)), Some((_, called))) =
        (it.tool_began, it.tool_ended, it.call)
    {
        times.log.push(Duration::from_millis(called.ms_since(at)));
        times.seen.push(now - ended);
        times.whole.push(now - began);
    }
    *it = Known::default();
}
