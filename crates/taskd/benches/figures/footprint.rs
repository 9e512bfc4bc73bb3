//! What the daemon takes: memory, processor time, processes.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use taskd_api::Client;

use crate::{
    Sizes, native, tell,
    world::{self, World, head, until},
};

/// 100 loops that have done their work and wait for a person's yes: processor time, processes,
/// events over a window.
pub(crate) fn idle(sizes: &Sizes) {
    let runtime = world::runtime();
    runtime.block_on(async {
        let (world, client) = waiting(sizes.loops(100)).await;
        for _ in 0..sizes.runs {
            let (events, ticks) = (head(&client).await, ticks(world.pid()));
            let began = Instant::now();
            let mut seen = BTreeSet::new();
            while began.elapsed() < sizes.window {
                seen.extend(children(world.pid()));
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            let took = began.elapsed().as_secs_f64();
            let used = (self::ticks(world.pid()) - ticks) as f64 / ticks_a_second();
            tell("idle.cpu", 100.0 * used / took);
            tell("idle.processes", seen.len() as f64);
            // Every program and every call of a model is an event first.
            tell("idle.events", (head(&client).await - events) as f64);
        }
        tell("idle.memory", memory_mb(world.pid(), "VmRSS"));
    });
}

/// Loops that have passed, each with a file of its own, and are asked about.
async fn waiting(loops: u32) -> (World, Client) {
    let mut world = World::new();
    let client = world.start().await;
    let mut script = String::from("loops:\n");
    for n in 0..loops {
        writeln!(
            script,
            "  s{n}:\n  - turns:\n    - tools: [{{write: {{path: s{n}.txt, content: \"{n}\\n\"}}}}, \
             {{finish: {{summary: done}}}}]"
        )
        .expect("a String takes everything");
    }
    let model = world.script(&script);
    world.submit(&client, &model, loops).await;
    until(&client, "every loop asks", |view| {
        !view.loops.is_empty() && view.loops.values().all(|it| it.approval_asked.is_some())
    })
    .await;
    // What is only written down a little later belongs to the work, not to the rest.
    tokio::time::sleep(Duration::from_secs(8)).await;
    (world, client)
}

/// 300 loops at work, each in its own worktree, reading and being answered every few seconds.
pub(crate) fn native(sizes: &Sizes) {
    let runtime = world::runtime();
    for _ in 0..sizes.runs {
        runtime.block_on(async {
            let (world, client) = native::at_work(sizes.loops(300), 4_000).await;
            let (before, began) = (head(&client).await, Instant::now());
            let ticks = ticks(world.pid());
            let mut most: f64 = 0.0;
            while began.elapsed() < 2 * sizes.window {
                most = most.max(memory_mb(world.pid(), "VmRSS"));
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            let took = began.elapsed().as_secs_f64();
            tell("native.memory", most);
            tell("native.peak", memory_mb(world.pid(), "VmHWM"));
            tell("native.events", (head(&client).await - before) as f64 / took);
            let used = (self::ticks(world.pid()) - ticks) as f64 / ticks_a_second();
            tell("native.cpu", 100.0 * used / took);
        });
    }
}

/// A line of `/proc/<pid>/status` that is in kB, in megabytes.
pub(crate) fn memory_mb(pid: u32, field: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = text.lines().find_map(|it| it.strip_prefix(field)?.strip_prefix(':'));
    let kb: f64 = line
        .and_then(|it| it.trim().strip_suffix(" kB")?.trim().parse().ok())
        .expect("a number of kB");
    kb * 1_024.0 / 1e6
}

/// Processor time a process has used, its own and its threads', in ticks.
pub(crate) fn ticks(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    // Behind the name, which may hold anything; user and system time are fields 14 and 15.
    let (_, rest) = text.rsplit_once(')').expect("a name in brackets");
    let fields = rest.split_whitespace().skip(11).take(2);
    fields.map(|it| it.parse::<u64>().expect("a number")).sum()
}

pub(crate) fn ticks_a_second() -> f64 {
    let out = Command::new("getconf").arg("CLK_TCK").output().expect("getconf is there");
    String::from_utf8_lossy(&out.stdout).trim().parse().expect("a number")
}

/// Processes whose parent this is, now.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).expect("a process").flatten() {
        // A thread may have ended meanwhile.
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|it| it.parse::<u32>().ok()));
    }
    found
}
