//! Times a person waits: for the daemon to be ready, for `taskd ls`. And what parked loops weigh.

use std::time::Instant;

use crate::{
    Sizes,
    footprint::memory_mb,
    stats, tell,
    world::{self, World},
};

/// From starting the process to its first answer, with no store yet.
pub(crate) fn ready(sizes: &Sizes) {
    let runtime = world::runtime();
    for _ in 0..sizes.runs {
        let mut world = World::new();
        let began = Instant::now();
        runtime.block_on(world.start());
        tell("ready", stats::ms(began.elapsed()));
    }
}

/// A daemon with 1,000 paused loops of a released plan: its memory, its answers.
pub(crate) fn parked(sizes: &Sizes) {
    let runtime = world::runtime();
    let loops = sizes.loops(1_000);
    for _ in 0..sizes.runs {
        let (world, client) = runtime.block_on(World::paused(loops));
        tell("parked.memory", memory_mb(world.pid(), "VmRSS"));
        tell("parked.peak", memory_mb(world.pid(), "VmHWM"));
        let mut calls = Vec::new();
        let mut commands = Vec::new();
        for _ in 0..sizes.samples {
            let began = Instant::now();
            let view = runtime.block_on(client.view(world.scope())).expect("the daemon answers");
            calls.push(began.elapsed());
            assert_eq!(view.loops.len(), usize::try_from(loops).expect("few"));
            let began = Instant::now();
            let ran = world.taskd(&["ls"]).output().expect("taskd runs");
            commands.push(began.elapsed());
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        }
        tell("ls.call.p50", stats::ms(stats::median(&mut calls)));
        tell("ls.call.p99", stats::ms(stats::percentile(&mut calls, 99)));
        tell("ls.command.p50", stats::ms(stats::median(&mut commands)));
        tell("ls.command.p99", stats::ms(stats::percentile(&mut commands, 99)));
        tell("ls.again.memory", memory_mb(world.pid(), "VmRSS"));
    }
}
