//! Faults on purpose, for tests: what happens when an effect panics, or the daemon dies in it.
//!
//! `TASKD_FAULT=panic:call:p1.a` makes the first model call of loop `p1.a` panic; `kill:` instead of
//! `panic:` kills the daemon at that place, as `kill -9` would, and `wait:call:p1.a@PATH` says so to the
//! pipe `PATH-here` and goes on when something is written to `PATH-go`. `blind:refs` leaves the refs unwatched,
//! so that they are only polled. Read once, when the daemon starts;
//! without the variable, or with one that says something else, nothing ever happens.

use std::{
    fs::{self, File},
    io::Read as _,
    sync::atomic::{AtomicBool, Ordering},
};

use nix::sys::signal::{Signal, raise};
use tokio::task::block_in_place;

const VARIABLE: &str = "TASKD_FAULT";

/// The fault of this life, if there is to be one.
#[derive(Debug, Default)]
pub(super) struct Fault {
    plan: Option<Planned>,
    struck: AtomicBool,
}

#[derive(Debug)]
enum Strike {
    Panics,
    Kills,
    /// Waits at this door.
    Waits(String),
}

#[derive(Debug)]
struct Planned {
    how: Strike,
    verb: String,
    name: String,
}

impl Fault {
    pub(super) fn from_env() -> Self {
        let plan = std::env::var(VARIABLE).ok().and_then(|text| Planned::parse(&text));
        Self { plan, struck: AtomicBool::new(false) }
    }

    /// Strikes once, in the work it was meant for.
    pub(super) fn strike(&self, verb: &str, name: impl FnOnce() -> String) {
        let Some(plan) = self.plan.as_ref().filter(|it| it.verb == verb) else { return };
        if plan.name != name() || self.struck.swap(true, Ordering::SeqCst) {
            return;
        }
        match &plan.how {
            Strike::Panics => {}
            Strike::Kills => _ = raise(Signal::SIGKILL),
            Strike::Waits(door) => return block_in_place(|| stand_at(door)),
        }
        panic!("{VARIABLE} asked for this in {verb} of {}", plan.name);
    }
}

/// Nothing shall tell when refs move.
pub(crate) fn is_blind() -> bool {
    std::env::var(VARIABLE).is_ok_and(|it| it == "blind:refs")
}

impl Planned {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let kind = parts.next()?;
        let (verb, whom) = (parts.next()?.to_owned(), parts.next()?);
        let (name, door) = whom.split_once('@').unwrap_or((whom, ""));
        let how = match kind {
            "kill" => Strike::Kills,
            "panic" => Strike::Panics,
            "wait" => Strike::Waits(door.to_owned()),
            _ => return None,
        };
        Some(Self { how, verb, name: name.to_owned() })
    }
}

/// Says that it is there, and goes on when it may.
fn stand_at(door: &str) {
    fs::write(format!("{door}-here"), "\n").expect("a pipe that somebody reads");
    let go = File::open(format!("{door}-go"));
    go.and_then(|mut it| it.read_exact(&mut [0])).expect("a pipe that somebody writes to");
}
