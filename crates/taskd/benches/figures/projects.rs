//! What it costs to know projects in which nothing happens, small ones and large ones.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufWriter, Write as _},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Sizes,
    footprint::{children, memory_mb, ticks, ticks_a_second},
    tell,
    world::{self, World},
};

const PROJECTS: u32 = 20;

/// Twenty projects of ten files, then of ten thousand: memory, processor time and processes.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    for (name, files) in [("small", 10), ("large", 10_000 / sizes.shrink)] {
        runtime.block_on(async {
            let mut world = World::new();
            let _client = world.start().await;
            for n in 0..PROJECTS {
                let path = repository(&world, n, files);
                let added = world.taskd(&["projects", "add", &path]).stdout(Stdio::null()).status();
                assert!(added.expect("taskd runs").success(), "{path} is not added");
            }
            // The first look at each belongs to adding it.
            tokio::time::sleep(Duration::from_secs(5)).await;
            for _ in 0..sizes.runs {
                let (before, began) = (ticks(world.pid()), Instant::now());
                let mut seen = BTreeSet::new();
                while began.elapsed() < sizes.window {
                    seen.extend(children(world.pid()));
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                let used = (ticks(world.pid()) - before) as f64 / ticks_a_second();
                let share = 100.0 * used / began.elapsed().as_secs_f64();
                tell(&format!("projects.cpu.{name}"), share);
                tell(&format!("projects.processes.{name}"), seen.len() as f64);
            }
            tell(&format!("projects.memory.{name}"), memory_mb(world.pid(), "VmRSS"));
        });
    }
}

/// A repository of so many files, twenty in a directory, without a checkout of them.
fn repository(world: &World, n: u32, files: u32) -> String {
    let dir = world.aside(&format!("import-{n}"), "");
    let path = dir.replace("import-", "project-");
    fs::create_dir(&path).expect("writable");
    let mut out = BufWriter::new(File::create(&dir).expect("writable"));
    let head = "commit refs/heads/main\ncommitter Pat <pat@example.org> 1 +0000\ndata 2\nx\n";
    out.write_all(head.as_bytes()).expect("writable");
    for file in 0..files {
        let text = format!("file {file} of {n}\n").repeat(20);
        let at = format!("d{}/f{file}.txt", file / 20);
        write!(out, "M 100644 inline {at}\ndata {}\n{text}\n", text.len()).expect("writable");
    }
    out.flush().expect("writable");
    for (args, input) in [
        (["init", "-q", "-b", "main"].as_slice(), Stdio::null()),
        (&["fast-import", "--quiet"], File::open(&dir).expect("just written").into()),
    ] {
        let status = Command::new("git").args(args).current_dir(&path).stdin(input).status();
        assert!(status.expect("git is installed").success(), "git {args:?}");
    }
    path
}
