//! A long history: 1,000 loops and a million events, written through the daemon, which makes its
//! snapshots as it always does. Then `kill -9` while it writes, and the time to its first answer.

use std::time::{Duration, Instant};

use taskd_api::v1::Verb;

use crate::{
    Sizes, durable,
    footprint::memory_mb,
    stats, tell,
    world::{self, World, act, head},
};

/// Writes the history, then kills and starts again, as often as there are runs.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    let (mut world, mut client) = runtime.block_on(World::paused(sizes.loops(1_000)));
    let began = Instant::now();
    let before = runtime.block_on(head(&client));
    runtime.block_on(durable::fill(&world.socket(), sizes.events));
    let events = runtime.block_on(head(&client));
    tell("history.events", events as f64);
    tell("history.rate", (events - before) as f64 / began.elapsed().as_secs_f64());
    tell("history.store", world.store_bytes() as f64 / 1e6);
    for _ in 0..sizes.runs {
        let last = runtime.block_on(async {
            let writing = client.clone();
            let mut writer = tokio::task::JoinSet::new();
            writer.spawn(async move { act(&writing, Verb::Note, &["p1".to_owned()]).await });
            tokio::time::sleep(Duration::from_millis(200)).await;
            let last = head(&client).await;
            writer.abort_all();
            last
        });
        world.kill();
        let began = Instant::now();
        client = runtime.block_on(world.start());
        tell("history.restart", stats::ms(began.elapsed()));
        assert!(last <= runtime.block_on(head(&client)), "events were lost");
        tell("history.memory", memory_mb(world.pid(), "VmRSS"));
    }
}
