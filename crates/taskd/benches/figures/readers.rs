//! What readers cost: commands that only read, with a thousand loops; and a hundred that watch a
//! hundred loops at work, one of them slowly.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use taskd_api::{Client, Watched, v1};
use tokio::sync::mpsc;

use crate::{
    Sizes,
    footprint::memory_mb,
    native, stats, tell,
    world::{self, World, request},
};

/// Commands that read, each as one figure: a person waits for all of them alike.
const COMMANDS: &[&[&str]] = &[
    &["ls"],
    &["ls", "--json"],
    &["show", "p1"],
    &["show", "p1.s7"],
    &["why", "p1.s7"],
    &["plan", "ls"],
    &["plan", "show", "p1"],
    &["logs", "p1.s7"],
    &["inbox"],
    &["costs"],
    &["budget", "show"],
    &["queue"],
    &["flakes"],
    &["metrics"],
    &["models"],
    &["types", "ls"],
    &["config", "view"],
    &["projects", "ls"],
    &["daemon", "status"],
    &["checkpoints", "p1.s7"],
    &["salvage", "ls"],
    &["paths"],
    &["events", "p1.s7"],
    &["prompt"],
];

/// Subscribers at once.
const WATCHERS: usize = 100;

/// Each reading command as a whole process beside a daemon with a thousand parked loops, and what a
/// shell asks at the Tab key.
pub(crate) fn commands(sizes: &Sizes) {
    let runtime = world::runtime();
    let (world, _client) = runtime.block_on(World::paused(sizes.loops(1_000)));
    for _ in 0..sizes.runs {
        let mut slowest = (Duration::ZERO, "");
        let mut all = Vec::new();
        for args in COMMANDS {
            let mut times: Vec<_> =
                (0..sizes.samples / 10).map(|_| timed(&mut world.taskd(args))).collect();
            let middle = stats::median(&mut times);
            slowest = slowest.max((middle, args[0]));
            all.extend(times);
        }
        eprintln!("slowest: taskd {}", slowest.1);
        tell("reading.p50", stats::ms(stats::median(&mut all)));
        tell("reading.slowest", stats::ms(slowest.0));
        let asked = |words: &[&str]| -> Vec<Duration> {
            let ask = |_| {
                let mut command = world.taskd(&["--", "taskd"]);
                command.args(words).env("TASKD_COMPLETE", "fish");
                timed(&mut command)
            };
            (0..sizes.samples / 2).map(ask).collect()
        };
        tell("reading.complete", stats::ms(stats::percentile(&mut asked(&["show", "p1.s"]), 99)));
        let mut prompts: Vec<_> =
            (0..sizes.samples).map(|_| timed(&mut world.taskd(&["prompt"]))).collect();
        tell("reading.prompt", stats::ms(stats::percentile(&mut prompts, 99)));
    }
}

fn timed(command: &mut Command) -> Duration {
    let began = Instant::now();
    let ran = command.output().expect("taskd runs");
    let took = began.elapsed();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {said}");
    took
}

/// A hundred loops at work: the daemon's memory without anybody who watches and with a hundred, and
/// how soon what happens is with one of them, before and while another reads a kilobyte a second.
pub(crate) fn watchers(sizes: &Sizes) {
    let runtime = world::runtime();
    for _ in 0..sizes.runs.min(3) {
        runtime.block_on(async {
            let (world, client) = native::at_work(sizes.loops(100), 200).await;
            let mut eye = Eye::open(&client);
            let before = most_memory(&world, sizes.window).await;
            tell("watch.alone", stats::ms(eye.sees(&client, sizes.samples).await));
            let slow = client.watch(Vec::new(), true);
            let slow = tokio::spawn(slowly(slow));
            tell("watch.beside", stats::ms(eye.sees(&client, sizes.samples).await));
            let others: Vec<_> = (1..WATCHERS)
                .map(|_| {
                    let mut watch = client.watch(Vec::new(), true);
                    tokio::spawn(async move { while watch.next().await.is_some() {} })
                })
                .collect();
            let during = most_memory(&world, sizes.window).await;
            tell("watch.memory", during - before);
            others.iter().chain([&slow]).for_each(tokio::task::JoinHandle::abort);
        });
    }
}

/// Most of the daemon's memory over a while, in MB.
async fn most_memory(world: &World, window: Duration) -> f64 {
    let (began, mut most) = (Instant::now(), 0.0_f64);
    while began.elapsed() < window {
        most = most.max(memory_mb(world.pid(), "VmRSS"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    most
}

/// Reads about a kilobyte a second.
async fn slowly(mut watch: taskd_api::Watch) {
    while watch.next().await.is_some() {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// One that watches, and says which event it has just seen.
struct Eye(mpsc::UnboundedReceiver<u64>);

impl Eye {
    fn open(client: &Client) -> Self {
        let (tell, seen) = mpsc::unbounded_channel();
        let mut watch = client.watch(Vec::new(), true);
        tokio::spawn(async move {
            while let Some(it) = watch.next().await {
                if let Watched::Event(record) = it
                    && tell.send(record.seq.0).is_err()
                {
                    return;
                }
            }
        });
        Self(seen)
    }

    /// From when a note is durable until it is seen: the 99th percentile of so many.
    async fn sees(&mut self, client: &Client, samples: u32) -> Duration {
        let mut times = Vec::new();
        for _ in 0..samples {
            let note = request(v1::Verb::Note, &["p1.s3".to_owned()]);
            let seq = client.act(note).await.expect("it is told").seq;
            let durable = Instant::now();
            while self.0.recv().await.expect("it goes on") < seq {}
            times.push(durable.elapsed());
        }
        stats::percentile(&mut times, 99)
    }
}
