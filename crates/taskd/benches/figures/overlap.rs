//! Ten reads of 100 ms asked for in a reply of a second: what a turn takes, against one after the
//! other and against the best there can be.
//!
//! The read is a real one: `grep` for a pattern that is slow on text that is not ASCII, over so
//! much of it that one takes 100 ms alone on this machine. So it costs processor time, which a
//! slow disk would not; ten of them are as much as the second they are asked for in.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use taskd_tools::files::{Limits, ReadSet, Workspace, execute_file_tool};

use crate::{
    Sizes, provider, stats, tell,
    wire::{Answer, Provider, Step},
    world::{self, World},
};

const READS: u32 = 10;
const READ: Duration = Duration::from_millis(100);
/// Between two calls; the last one is asked for before the reply's last 100 ms.
const APART: Duration = Duration::from_millis(90);
const STREAM: Duration = Duration::from_secs(1);
/// Where the text is, in files small enough for `grep` to take.
const FOLDER: &str = "words";
const LINES: usize = 100_000;
const LINE: &str = "größer als alle Wörter, die man über Straßen schrieb\n";

/// Wall times of turns, from a reply's first byte to the next request's.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    for _ in 0..sizes.runs.min(3) {
        let mut world = World::new();
        let read = calibrate(Path::new(world.scope()));
        world.git(&["add", "-A"]);
        world.git(&["commit", "-q", "-m", "words"]);
        let turns = usize::try_from(sizes.samples.min(10)).expect("few");
        let provider = Provider::new(|_| Answer::Stream(steps()));
        runtime.block_on(async {
            let client = world.start().await;
            provider::submit(&world, &client, &provider, 1).await;
            let until = Instant::now() + Duration::from_secs(120);
            while provider.seen().len() <= turns && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        report(&provider, read);
    }
}

fn report(provider: &Provider, read: Duration) {
    let (seen, said) = (provider.seen(), provider.said());
    let (mut ours, mut best, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for (one, next) in seen.iter().zip(&seen[1..]) {
        let (Some(answered), true) = (one.answered, next.body.contains("tool_result")) else {
            continue;
        };
        let stream = answered - one.at;
        // Slots never run out: the end of the best schedule is the last call's.
        let calls = said.iter().filter(|it| it.n == one.n);
        let last = calls.map(|it| it.at - one.at + read).max().expect("ten calls");
        ours.push(next.at - one.at);
        best.push(stream.max(last));
        plain.push(stream + read * READS);
    }
    let (ours, best) = (stats::median(&mut ours), stats::median(&mut best));
    tell("overlap.read", stats::ms(read));
    tell("overlap.sequential", stats::ms(stats::median(&mut plain)));
    tell("overlap.ours", stats::ms(ours));
    tell("overlap.ideal", stats::ms(best));
    tell("overlap.efficiency", 100.0 * best.as_secs_f64() / ours.as_secs_f64());
}

fn steps() -> Vec<Step> {
    let call = |n: u32| [Step::Tool("grep", args(n)), Step::Pause(APART)];
    let rest = STREAM.saturating_sub(APART * READS);
    (0..READS).flat_map(call).chain([Step::Pause(rest)]).collect()
}

/// Matches nothing, and needs Unicode's idea of a word all the way.
fn args(n: u32) -> String {
    format!(r#"{{"path": "{FOLDER}", "pattern": "\\b\\w+{n}\\b \\w+$"}}"#)
}

/// Writes so much that searching it takes its time; answers how long it does take.
fn calibrate(repo: &Path) -> Duration {
    let mut lines = 500;
    for _ in 0..4 {
        let took = try_with(repo, lines);
        eprintln!("   {lines} lines take {took:?}");
        let factor = READ.as_secs_f64() / took.as_secs_f64();
        if (0.95..1.05).contains(&factor) {
            break;
        }
        lines = (lines as f64 * factor) as usize;
    }
    try_with(repo, lines)
}

/// The middle of a few searches of so many lines.
fn try_with(repo: &Path, lines: usize) -> Duration {
    let folder = repo.join(FOLDER);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir(&folder).expect("writable");
    for from in (0..lines).step_by(LINES) {
        let mut text = String::new();
        for n in from..lines.min(from + LINES) {
            write!(text, "{n} {LINE}").expect("a String takes all");
        }
        fs::write(folder.join(format!("{from}.txt")), text).expect("writable");
    }
    let workspace = Workspace::open(repo).expect("a directory");
    let mut times: Vec<Duration> = (0..5)
        .map(|n| {
            let began = Instant::now();
            let (reads, limits) = (ReadSet::default(), Limits::default());
            let all = ["grep".to_owned()];
            let out = execute_file_tool(&workspace, "grep", &args(n), &all, &reads, &limits);
            assert!(!out.is_error, "{}", out.text);
            began.elapsed()
        })
        .collect();
    stats::median(&mut times)
}
