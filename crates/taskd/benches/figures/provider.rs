//! The way to a provider and back, over its wire: how much of what it allows is used, how often it
//! refuses, and what a turn and a word cost on top of it.
//!
//! The provider is the one of the tests: hand-written bytes on loopback, one thread for each
//! connection, token buckets that hold a minute's worth. Times are its own, taken at its sockets.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use taskd_api::{Client, Watched};
use taskd_model::Delta;

use crate::{
    Sizes, stats, tell,
    wire::{Allowance, Answer, Gate, Provider, Seen, Step, header},
    world::{self, World},
};

/// No price is known of it, so no money limits anything.
pub(crate) const MODEL: &str = "anthropic/figures";
/// More runs would take too long, and differ little.
const MAX_RUNS: u32 = 3;
/// Between the first byte of a reply and its tool.
const THINKS: Duration = Duration::from_millis(300);
/// Seconds' worth of the limits that are left when the loops begin.
const LEFT: Duration = Duration::from_secs(3);
const PLENTY: u32 = 1_000_000_000;
/// Requests a minute of the provider that counts them: 20 a second for 50 loops.
const REQUESTS: u32 = 1_200;
/// Tokens a minute of the provider that counts them.
const TOKENS: u32 = 3_000_000;
/// Refused with this, in seconds.
const RETRY_AFTER: u64 = 1;

/// Loops at work at `provider`.
pub(crate) async fn at_work(provider: &Provider, loops: u32) -> (World, Client) {
    let mut world = World::new();
    let client = world.start().await;
    submit(&world, &client, provider, loops).await;
    (world, client)
}

pub(crate) async fn submit(world: &World, client: &Client, provider: &Provider, loops: u32) {
    let credentials =
        [("ANTHROPIC_API_KEY", "key".to_owned()), ("ANTHROPIC_BASE_URL", provider.url())];
    world.submit_for(client, MODEL, loops, &credentials).await;
}

fn read() -> Step {
    Step::Tool("read", r#"{"path": "a.txt"}"#.to_owned())
}

fn thinks_and_reads() -> Answer {
    Answer::Stream(vec![Step::Pause(THINKS), read()])
}

fn was_refused(seen: &&Seen) -> bool {
    seen.status == Some(429)
}

fn percent(part: usize, whole: usize) -> f64 {
    assert!(0 < whole, "nothing was asked");
    100.0 * part as f64 / whole as f64
}

/// All four figures.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    for _ in 0..sizes.runs.min(MAX_RUNS) {
        let requests = Allowance {
            requests_per_minute: REQUESTS / sizes.shrink,
            input_tokens_per_minute: PLENTY,
            left: LEFT,
        };
        let tokens = Allowance {
            requests_per_minute: PLENTY,
            input_tokens_per_minute: TOKENS / sizes.shrink,
            left: 2 * LEFT,
        };
        let (mut refused, mut all) = (0, 0);
        for (name, allowance) in
            [("provider.allowance", requests), ("provider.allowance.tokens", tokens)]
        {
            let seen = runtime.block_on(limited(name, allowance, sizes));
            refused += seen.iter().filter(was_refused).count();
            all += seen.len();
        }
        tell("provider.refused", percent(refused, all));
        runtime.block_on(second_wave(sizes));
        runtime.block_on(turnaround(sizes));
        runtime.block_on(delta(sizes));
    }
}

/// What of an allowance is used in a window that begins when nothing is saved up any more.
async fn limited(name: &str, allowance: Allowance, sizes: &Sizes) -> Vec<Seen> {
    let provider = Provider::with([0, 20, 0, 0], Some(allowance), |_| thinks_and_reads());
    let (_world, _client) = at_work(&provider, sizes.loops(50)).await;
    let began = steady(&provider).await;
    tokio::time::sleep(sizes.window).await;
    let (ended, seen) = (Instant::now(), provider.seen());
    let answered = seen.iter().filter(|it| began <= it.at && it.at < ended && !was_refused(it));
    let seconds = (ended - began).as_secs_f64();
    let (used, limit) = if allowance.requests_per_minute == PLENTY {
        let tokens = answered.map(|it| (it.body.len() / 4) as f64);
        (tokens.sum::<f64>(), allowance.input_tokens_per_minute)
    } else {
        (answered.count() as f64, allowance.requests_per_minute)
    };
    let allowed = f64::from(limit) * seconds / 60.0;
    eprintln!("   {name}: {used:.0} of {allowed:.0}, {} requests in all", seen.len());
    tell(name, 100.0 * used / allowed);
    seen
}

/// Waits until what was left at first is gone, or plenty of time is over.
async fn steady(provider: &Provider) -> Instant {
    let until = Instant::now() + Duration::from_secs(15);
    while 0.1 < provider.left() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Instant::now()
}

/// Every loop's first call is refused at the same moment, with nothing left. What of the calls after
/// that is refused again?
async fn second_wave(sizes: &Sizes) {
    let allowance =
        Allowance { requests_per_minute: REQUESTS, input_tokens_per_minute: PLENTY, left: LEFT };
    let loops = sizes.loops(50);
    let first = usize::try_from(loops).expect("few");
    let gate = Gate::default();
    let closed = gate.clone();
    let provider = Provider::with([0, 20, 0, 0], Some(allowance), move |seen| {
        if first <= seen.n {
            return thinks_and_reads();
        }
        closed.wait();
        Answer::Plain(429, header("retry-after", &RETRY_AFTER.to_string()), String::new())
    });
    let (_world, _client) = at_work(&provider, loops).await;
    provider.until("every loop to call", |seen| first <= seen.len());
    provider.use_up();
    gate.open();
    tokio::time::sleep(Duration::from_secs(2 * RETRY_AFTER) + sizes.window / 2).await;
    let seen = provider.seen();
    let after: Vec<&Seen> = seen.iter().skip(first).collect();
    let refused = after.iter().copied().filter(was_refused).count();
    eprintln!("   second wave: {refused} of {}", after.len());
    tell("provider.second_wave", percent(refused, after.len()));
}

/// From a reply's last byte to the next request's first, at the provider. The tool's result is there
/// before the reply ends, so nothing of it is in between.
async fn turnaround(sizes: &Sizes) {
    let pause = Duration::from_millis(1_500);
    let provider = Provider::new(move |_| Answer::Stream(vec![read(), Step::Pause(pause)]));
    let (_world, _client) = at_work(&provider, sizes.loops(100)).await;
    tokio::time::sleep(sizes.window).await;
    let mut times = Vec::new();
    let mut last: HashMap<usize, Instant> = HashMap::new();
    for seen in provider.seen() {
        let Some(number) = seen.number() else { continue };
        let before = last.remove(&number);
        // What follows a gate is not what follows a reply.
        if let Some(before) = before.filter(|_| seen.body.contains("tool_result")) {
            times.push(seen.at - before);
        }
        last.extend(seen.answered.map(|it| (number, it)));
    }
    eprintln!("   {} turns", times.len());
    tell("provider.turnaround", stats::ms(stats::median(&mut times)));
    tell("provider.turnaround.p99", stats::ms(stats::percentile(&mut times, 99)));
}

/// From a word's first byte at the provider to the client that watches, with 20 replies at once.
async fn delta(sizes: &Sizes) {
    const WORDS: usize = 20;
    let pause = Duration::from_millis(50);
    let provider = Provider::new(move |seen| {
        let word = |i: usize| [Step::Text(format!("w{}.{i} ", seen.n)), Step::Pause(pause)];
        Answer::Stream((0..WORDS).flat_map(word).chain([read()]).collect())
    });
    let (_world, client) = at_work(&provider, sizes.loops(20)).await;
    let mut watch = client.watch(Vec::new(), true);
    let mut heard: HashMap<String, Instant> = HashMap::new();
    let began = Instant::now();
    while began.elapsed() < sizes.window / 2 {
        match watch.next().await.expect("the watch goes on") {
            Watched::Delta { delta: Delta::Text(text), .. } => {
                let now = Instant::now();
                heard.extend(text.split_whitespace().map(|it| (it.to_owned(), now)));
            }
            Watched::Connected { .. }
            | Watched::View(_)
            | Watched::Event(_)
            | Watched::Unknown { .. }
            | Watched::Delta { .. }
            | Watched::Heartbeat { .. } => {}
            Watched::Disconnected { error, .. } | Watched::Ended(error) => panic!("{error}"),
        }
    }
    let said = provider.said();
    let mut times: Vec<Duration> =
        said.iter().filter_map(|it| Some(*heard.get(it.what.trim())? - it.at)).collect();
    eprintln!("   {} words", times.len());
    tell("provider.delta", stats::ms(stats::median(&mut times)));
    tell("provider.delta.p99", stats::ms(stats::percentile(&mut times, 99)));
}
