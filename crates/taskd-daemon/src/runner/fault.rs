//! Faults on purpose, for tests: what happens when an effect panics, or the daemon dies in it.
//!
//! `TASKD_FAULT=panic:call:p1.a` makes the first model call of loop `p1.a` panic; `kill:` instead of
//! `panic:` kills the daemon at that place, as `kill -9` would. `blind:refs` leaves the refs unwatched,
//! so that they are only polled. Read once, when the daemon starts;
//! without the variable, or with one that says something else, nothing ever happens.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, raise};

const VARIABLE: &str = "TASKD_FAULT";

/// The fault of this life, if there is to be one.
#[derive(Debug, Default)]
pub(super) struct Fault {
    plan: Option<Planned>,
    struck: AtomicBool,
}

#[derive(Debug)]
struct Planned {
    kills: bool,
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
        if plan.kills {
            raise(Signal::SIGKILL).ok();
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
        let kills = match parts.next()? {
            "kill" => true,
            "panic" => false,
            _ => return None,
        };
        Some(Self { kills, verb: parts.next()?.to_owned(), name: parts.next()?.to_owned() })
    }
}
