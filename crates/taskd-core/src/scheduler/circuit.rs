//! A provider that keeps failing is left alone: nobody calls it but one probe at a time.
//!
//! Counted are passing faults of calls (5xx, network, cut streams). Rate limits, refusals, wrong
//! credentials and calls that were given up say nothing about whether the provider works.
//!
//! Figures: 5 faults in a row, or half of the last 20 once there are 10; 30 s of rest; 3 answers to
//! close. They are those of the circuit breaker in Nygard, *Release It!*, with the values this
//! project's specification gives for language models.

use serde::{Deserialize, Serialize};
use taskd_model::{EffectId, Seq, Time};

/// Faults in a row that open it.
const IN_A_ROW: u32 = 5;
/// Ends that are looked back at, and how many there must be.
const WINDOW: u32 = 20;
const ENOUGH: u32 = WINDOW / 2;
/// How long nobody calls, in milliseconds.
const REST_MS: u64 = 30_000;
/// Answers to probes in a row that close it.
const TO_CLOSE: u32 = 3;

/// Whether calls go through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Circuit {
    /// They do.
    #[default]
    Closed,
    /// Nobody calls until then; after that one probe may.
    Open(Time),
    /// Probes go through, one at a time.
    Probing {
        /// The probe that is under way.
        probe: Option<EffectId>,
        /// Probes in a row that were answered.
        answered: u32,
    },
}

/// Why calls do not go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// The end of the call that was one too many.
    pub(crate) by: Seq,
    /// When that was.
    pub(crate) at: Time,
    /// When it opened first and has not closed since.
    pub(crate) since: Time,
    /// Faults, of so many calls that were looked at; a probe that failed adds to both.
    pub(crate) faults: u32,
    pub(crate) of: u32,
}

/// A circuit and what it has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Breaker {
    circuit: Circuit,
    in_a_row: u32,
    /// The last ends, one bit each, 1 for a fault; and how many there are.
    window: u32,
    seen: u32,
    /// Set while it is not closed.
    opening: Option<Opening>,
}

impl Breaker {
    pub(crate) fn circuit(&self) -> Circuit {
        self.circuit
    }

    pub(crate) fn opening(&self) -> Option<Opening> {
        self.opening
    }

    /// When a call may go as far as this is concerned; `None` while a probe is under way.
    pub(crate) fn ready_at(&self, now: Time) -> Option<Time> {
        match self.circuit {
            Circuit::Closed | Circuit::Probing { probe: None, .. } => Some(now),
            Circuit::Open(until) => Some(until.max(now)),
            Circuit::Probing { probe: Some(_), .. } => None,
        }
    }

    pub(crate) fn send(&mut self, effect: EffectId) {
        let answered = match self.circuit {
            Circuit::Closed => return,
            Circuit::Open(_) => 0,
            Circuit::Probing { answered, .. } => answered,
        };
        self.circuit = Circuit::Probing { probe: Some(effect), answered };
    }

    /// A call ended with this event; `fault` says whether the provider failed, nothing if that
    /// cannot be said. Answers whether this closed the circuit.
    pub(crate) fn end(
        &mut self,
        effect: EffectId,
        fault: Option<bool>,
        event: (Seq, Time),
    ) -> bool {
        match (&mut self.circuit, fault) {
            (Circuit::Closed, Some(fault)) => {
                self.count(fault);
                if self.is_too_much() {
                    self.open(event);
                }
                false
            }
            // What was sent before it opened comes too late to say anything.
            (Circuit::Probing { probe, .. }, _) if *probe != Some(effect) => false,
            (Circuit::Probing { .. }, Some(true)) => {
                self.open(event);
                false
            }
            (Circuit::Probing { probe, answered }, Some(false)) => {
                (*probe, *answered) = (None, *answered + 1);
                let closes = TO_CLOSE <= *answered;
                if closes {
                    *self = Self::default();
                }
                closes
            }
            (Circuit::Probing { probe, .. }, None) => {
                *probe = None;
                false
            }
            (Circuit::Open(_), _) | (Circuit::Closed, None) => false,
        }
    }

    fn count(&mut self, fault: bool) {
        self.in_a_row = if fault { self.in_a_row + 1 } else { 0 };
        self.window = ((self.window << 1) | u32::from(fault)) & ((1 << WINDOW) - 1);
        self.seen = (self.seen + 1).min(WINDOW);
    }

    fn is_too_much(&self) -> bool {
        let faults = self.window.count_ones();
        IN_A_ROW <= self.in_a_row || (ENOUGH <= self.seen && self.seen <= faults * 2)
    }

    fn open(&mut self, (by, at): (Seq, Time)) {
        let (since, faults, of) = match self.opening {
            Some(it) => (it.since, it.faults.saturating_add(1), it.of.saturating_add(1)),
            None => (at, self.window.count_ones(), self.seen),
        };
        let opening = Some(Opening { by, at, since, faults, of });
        *self = Self { circuit: Circuit::Open(at.plus_ms(REST_MS)), opening, ..Self::default() };
    }
}
