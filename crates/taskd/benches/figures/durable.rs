//! Durable events, through the real daemon: its socket, its driver, its log.
//!
//! Three ways, because they are limited by different things. Each writer has its own connection and
//! one call in flight.
//!
//! - `plan`: one call notes a whole plan; the daemon hands its driver one note after the other and
//!   waits for each to be durable. 64 inputs are in flight, and the calls cost next to nothing: the
//!   nearest thing to the driver alone that can be had from outside.
//! - `pause`: one call for each input; pausing or resuming a loop is two events.
//! - `note`: one call for each input; a text is stored first, then one event.

use std::{path::Path, sync::Arc, time::Duration};

use taskd_api::{Client, v1::Verb};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    Sizes, stats, tell,
    world::{self, World, act, head},
};

/// As the target says.
pub(crate) const WRITERS: u32 = 64;
/// Loops there are.
const LOOPS: u32 = 100;
/// Events a second at which the answer's time is measured.
const RATE: u32 = 1_000;

/// What a writer does again and again.
#[derive(Debug, Clone, Copy)]
enum Way {
    Plan,
    Pause,
    Note,
}

impl Way {
    /// Events of one call.
    fn events(self) -> u32 {
        match self {
            Self::Plan => LOOPS,
            Self::Pause => 2,
            Self::Note => 1,
        }
    }

    /// The verb and what it is about, in a writer's `n`th call.
    fn call(self, writer: u32, n: u32) -> (Verb, [String; 1]) {
        let own = [format!("p1.s{writer}")];
        match self {
            Self::Plan => (Verb::Note, ["p1".to_owned()]),
            Self::Pause if n.is_multiple_of(2) => (Verb::Pause, own),
            Self::Pause => (Verb::Resume, own),
            Self::Note => (Verb::Note, own),
        }
    }
}

/// Rates at full speed, and times of answers at a steady rate.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    for _ in 0..sizes.runs {
        runtime.block_on(async {
            let (world, client) = World::parked(LOOPS).await;
            for (name, way) in [("plan", Way::Plan), ("pause", Way::Pause), ("note", Way::Note)] {
                let before = head(&client).await;
                let took = at_full_speed(&world.socket(), way, sizes.window).await;
                let events = head(&client).await - before;
                tell(&format!("durable.{name}.rate"), events as f64 / took.as_secs_f64());
            }
        });
        runtime.block_on(at_the_rate(
            LOOPS,
            "",
            &[("pause", Way::Pause), ("note", Way::Note)],
            sizes,
        ));
        let many = sizes.loops(1_000).max(LOOPS);
        runtime.block_on(at_the_rate(many, ".many", &[("pause", Way::Pause)], sizes));
    }
}

/// Times of answers at a steady rate of events, with so many loops in the state.
async fn at_the_rate(loops: u32, suffix: &str, ways: &[(&str, Way)], sizes: &Sizes) {
    let (world, _) = World::parked(loops).await;
    for (name, way) in ways {
        let mut times = steadily(&world.socket(), *way, RATE / way.events(), sizes.window).await;
        let (half, most) = (stats::median(&mut times), stats::percentile(&mut times, 99));
        tell(&format!("durable.{name}.p50{suffix}"), stats::ms(half));
        tell(&format!("durable.{name}.p99{suffix}"), stats::ms(most));
    }
}

/// All writers as fast as they can; how long that took in the end.
async fn at_full_speed(socket: &Path, way: Way, window: Duration) -> Duration {
    let clients = connect(socket).await;
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for (writer, client) in (0..).zip(clients) {
        writers.spawn(async move {
            let mut n = 0;
            // A pause is always taken back, so that the next way finds every loop as it was.
            while began.elapsed() < window || n % 2 == 1 {
                let (verb, ids) = way.call(writer, n);
                act(&client, verb, &ids).await;
                n += 1;
            }
        });
    }
    writers.join_all().await;
    began.elapsed()
}

/// All writers together make `rate` calls a second; how long each took. A call that had to wait for
/// the one before it counts from when it was due.
async fn steadily(socket: &Path, way: Way, rate: u32, window: Duration) -> Vec<Duration> {
    let clients = connect(socket).await;
    let gap = Duration::from_secs(1) * WRITERS / rate;
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for (writer, client) in (0..).zip(clients) {
        writers.spawn(async move {
            let mut times = Vec::new();
            let mut due = began + gap * writer / WRITERS;
            let mut n = 0;
            while due < began + window || n % 2 == 1 {
                let late = due < Instant::now();
                sleep_until(due).await;
                let from = if late { due } else { Instant::now() };
                let (verb, ids) = way.call(writer, n);
                act(&client, verb, &ids).await;
                times.push(from.elapsed());
                due += gap;
                n += 1;
            }
            times
        });
    }
    writers.join_all().await.concat()
}

/// A connection for each writer.
async fn connect(socket: &Path) -> Vec<Arc<Client>> {
    let mut clients = Vec::new();
    for _ in 0..WRITERS {
        clients.push(Arc::new(Client::connect(socket).await.expect("the daemon answers")));
    }
    clients
}

/// Notes to a whole plan from all writers until the log is so long.
pub(crate) async fn fill(socket: &Path, events: u64) {
    let clients = connect(socket).await;
    let mut writers = JoinSet::new();
    for client in clients {
        writers.spawn(async move {
            while act(&client, Verb::Note, &["p1".to_owned()]).await < events {}
        });
    }
    writers.join_all().await;
}
