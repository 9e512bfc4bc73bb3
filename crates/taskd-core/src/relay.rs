//! Calls an agent makes through the daemon: which of them waits, and what it may use.
//!
//! An agent's calls wait one behind the other; the first waits in its bucket among those of all
//! loops, and is admitted as they are. They are wanted only while the agent's run is: its end ends
//! them, and what cannot be paid for ends the run. Plain data and questions; `state/relay` does what
//! the answers say.

use serde::{Deserialize, Serialize};
use taskd_model::{Amount, CallWanted, EffectId, Relay, Seq, Status, Time, Work};

use crate::{
    engine::{LoopEngine, Next},
    money::Cap,
    scheduler::Cost,
};

/// A call an agent waits to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WantedRelay {
    /// The agent's run.
    pub(crate) agent: EffectId,
    pub(crate) wanted: CallWanted,
    /// When it was asked for: its place in the bucket.
    pub(crate) since: (Time, Seq),
}

impl WantedRelay {
    /// What it uses at most.
    pub(crate) fn worst(&self) -> Amount {
        Amount { micros: self.wanted.worst_micros, tokens: self.wanted.worst_tokens }
    }

    /// The work it is once it is admitted.
    pub(crate) fn work(&self, cap: &Cap, cost: Cost) -> Work {
        Work::Relay(Relay {
            agent: self.agent,
            call: self.wanted.call,
            bucket: self.wanted.bucket.clone(),
            cap_micros: cap.micros,
            cap_tokens: cap.tokens,
            reserved_micros: self.wanted.worst_micros,
            reserved_tokens: self.wanted.worst_tokens,
            input_tokens: cost.input,
            output_tokens: cost.output,
        })
    }
}

impl LoopEngine {
    /// The call of its agent that waits for admission, if one does.
    pub(crate) fn waiting_relay(&self) -> Option<&WantedRelay> {
        let works = self.status == Status::Running && self.ending.is_none();
        self.relays.front().filter(|_| works && self.retry_at.is_none())
    }

    /// When what it waits for now was asked for.
    pub(crate) fn waits_since(&self) -> (Time, Seq) {
        let relay = self.waiting_relay().map(|it| it.since);
        relay.or_else(|| self.waiting_query().map(|it| it.since)).unwrap_or(self.since)
    }

    /// Tokens its next call reads, about, and what that uses at most; nothing if it makes none.
    pub(crate) fn call_size(&self) -> Option<(u64, Amount)> {
        if let Some(relay) = self.relays.front() {
            return Some((relay.wanted.input_tokens, relay.worst()));
        }
        if let Some(query) = self.waiting_query() {
            return Some((query.call.input_tokens, query.call.worst()));
        }
        match self.next {
            Next::Call { tokens, worst, .. } => Some((tokens, worst)),
            Next::Accept
            | Next::Iterate
            | Next::Compose
            | Next::Tools
            | Next::Agent { .. }
            | Next::Gate
            | Next::Land => None,
        }
    }
}
