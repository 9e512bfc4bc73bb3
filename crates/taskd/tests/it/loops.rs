//! Loops as their owner meets them: they are stopped, they fail, they wait, they are killed, and
//! what they leave is what was promised.

mod admission;
mod files;
mod fleet;
pub(crate) mod idle;
mod layers;
mod messages;
mod metrics;
mod money;
mod outcomes;
mod progress;
mod prompts;
mod queries;
mod readers;
mod recovery;
mod refusals;
mod retry;
mod review;
mod saving;
mod sent;
mod stopping;
mod types;

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::PathBuf,
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use taskd_model::{Event, LoopId, Outcome, Record, Work};

pub(crate) use prompts::large_blob;

use crate::support::{Door, World};

/// Longest these tests wait for a program to say something or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A named pipe that programs of the world write to: what they say, and when the last one of them
/// is gone.
struct Pipe {
    path: PathBuf,
    said: mpsc::Receiver<String>,
}

impl Pipe {
    fn new(world: &World, name: &str) -> Self {
        let path = world.dir.path().join(name);
        mkfifo(&path, Mode::S_IRWXU).expect("a new pipe");
        Self::at(path)
    }

    /// Hears the next ones who open it; the earlier ones are gone.
    fn again(self) -> Self {
        Self::at(self.path)
    }

    fn at(path: PathBuf) -> Self {
        let (say, said) = mpsc::sync_channel(1_000);
        let place = path.clone();
        std::thread::spawn(move || {
            // Opening waits for somebody to write; the end comes when nobody can any more.
            let pipe = BufReader::new(File::open(place).expect("readable"));
            for line in pipe.lines() {
                say.send(line.expect("text")).ok();
            }
        });
        Self { path, said }
    }

    /// The next line somebody wrote.
    #[track_caller]
    fn line(&self) -> String {
        self.said.recv_timeout(PATIENCE).expect("somebody says something")
    }

    /// Waits until nobody has it open any more, and says when that was.
    #[track_caller]
    fn end(&self) -> Instant {
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Instant::now(),
                Err(RecvTimeoutError::Timeout) => panic!("{} is still open", self.path.display()),
            }
        }
    }
}

impl std::fmt::Display for Pipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Writes a shell script beside the repository; the command that runs it.
fn shell(world: &World, name: &str, script: &str) -> String {
    format!("sh {}", world.aside(name, script))
}

/// Writes a script of replies; the name of the model that gives them.
fn replies(world: &World, name: &str, yaml: &str) -> String {
    format!("scripted:{}", world.aside(name, yaml))
}

/// Submits a plan that must be refused, and returns what is said about it.
#[track_caller]
fn refused(world: &World, plan: &str) -> String {
    let file = world.aside("refused.md", plan);
    let ran = world.taskd(&["plan", "submit", &file, "-q"]);
    assert!(world.view().plans.is_empty(), "nothing is stored: {ran:?}");
    assert_ne!(ran.code, 0, "{ran:?}");
    ran.err
}

/// A file beside the repository that programs of the world write; empty if nobody did.
fn left(world: &World, name: &str) -> String {
    let bytes = fs::read(world.dir.path().join(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Programs of the world that run, the daemon and this test left out.
fn running(world: &World) -> Vec<String> {
    let ours = world.dir.path().to_str().expect("UTF-8").as_bytes().to_vec();
    let daemon = world.daemon.as_ref().map(|it| it.id().to_string());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("Linux").filter_map(Result::ok) {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let is_pid = pid.bytes().all(|it| it.is_ascii_digit());
        if !is_pid || daemon.as_ref() == Some(&pid) {
            continue;
        }
        // Who ends meanwhile is gone, and so is what it had.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.windows(ours.len()).any(|it| it == ours) {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(format!("{pid} {}", String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}

/// Nothing of the world runs any more, at the latest so long after `since`.
#[track_caller]
fn all_gone(world: &World, since: Instant, within: Duration) {
    loop {
        let left = running(world);
        if left.is_empty() {
            return;
        }
        assert!(since.elapsed() < within, "still running: {left:#?}");
        std::thread::yield_now();
    }
}

/// Numbers of the iterations a loop began, in order.
fn iterations(world: &World, id: LoopId) -> Vec<u32> {
    let number = |it: Record| {
        let own = it.loop_id == Some(id);
        if let Event::IterationStarted { n } = it.event { own.then_some(n) } else { None }
    };
    world.events().into_iter().filter_map(number).collect()
}

/// How often a loop began work of this kind.
fn started(world: &World, id: LoopId, verb: &str) -> usize {
    let is_it =
        |it: &Record| it.loop_id == Some(id) && work_of(it).is_some_and(|work| work.verb() == verb);
    world.events().iter().filter(|it| is_it(it)).count()
}

fn work_of(record: &Record) -> Option<&Work> {
    if let Event::EffectStarted { work, .. } = &record.event { Some(work) } else { None }
}

fn outcome_of(record: &Record) -> Option<&Outcome> {
    if let Event::EffectEnded { outcome, .. } = &record.event { Some(outcome) } else { None }
}

/// Messages of the commits on main that taskd made, newest first, one line each: which loop's.
fn landed_loops(world: &World) -> Vec<String> {
    let text = world.git(&["log", "--format=%(trailers:key=Taskd-Loop,valueonly)", "main"]);
    text.lines().filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

#[track_caller]
fn assert_says(text: &str, wanted: &str) {
    assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
}

#[track_caller]
fn assert_says_nothing_of(text: &str, unwanted: &str) {
    assert!(!text.contains(unwanted), "{unwanted:?} is in:\n{text}");
}
