//! Loops that talk: what their tools say to others, at any time and to anybody of their plan.

use taskd_model::{Digest, EffectId, Input, LoopId, Saying, SideCall, Work};

use crate::{
    ledger::LETTER_BYTES,
    outcomes::{MAX_CALL_MICROS, MAX_CALL_TOKENS},
    world::World,
};

impl World {
    /// A tool of some loop says something to another one; false if no tool runs.
    pub(crate) fn talk(&mut self) -> bool {
        let open = self.running.iter().filter(|it| matches!(it.1.order.work, Work::Tool { .. }));
        let tools: Vec<_> = open.map(|(id, it)| (*id, it.subject().id)).collect();
        let Some((effect, from)) = self.rng.pick(&tools).copied() else { return false };
        let others = self.ledger.loops.keys().copied().filter(|it| it.plan() == from.plan());
        let others: Vec<LoopId> = others.collect();
        let Some(to) = self.rng.pick(&others).copied() else { return false };
        let n = if self.rng.chance(20) { 0 } else { self.rng.below(1 << 40) };
        let (text, bytes) = (Digest::of(&n.to_le_bytes()), LETTER_BYTES);
        let saying = match self.rng.below(60) {
            0..=19 => Saying::Share { to, text, bytes },
            20..=28 => Saying::Alert { topic: format!("t{}", self.rng.below(40)), text, bytes },
            29..=58 => self.query(to, text),
            _ => Saying::Stop { to, why: "no \u{1}\" need".repeat(40) },
        };
        let wait_ms = if let Saying::Query { wait_ms, .. } = saying { wait_ms } else { 0 };
        let open = self.core.open_queries();
        let said = self.try_input(&Input::Said { effect, saying });
        self.tally.messages_refused += u64::from(said.is_err());
        if open < self.core.open_queries() {
            self.waits(effect, wait_ms);
        }
        true
    }

    fn query(&mut self, to: LoopId, text: Digest) -> Saying {
        let call = SideCall {
            request: text,
            bucket: self.ledger.model_of(to).to_owned(),
            input_tokens: self.rng.below(12_000),
            worst_micros: if self.rng.chance(50) { MAX_CALL_MICROS } else { 0 },
            worst_tokens: if self.rng.chance(70) { MAX_CALL_TOKENS } else { 0 },
        };
        Saying::Query { to, text, call, wait_ms: self.rng.between(1, 30_000) }
    }

    /// A tool that asked is open until there is an answer, or a little longer or shorter.
    fn waits(&mut self, effect: EffectId, wait_ms: u64) {
        let wait_ms = if self.rng.chance(80) { wait_ms + 1 } else { wait_ms / 2 };
        if let Some(job) = self.running.get_mut(&effect) {
            job.ends_at = job.ends_at.max(self.now.plus_ms(wait_ms));
        }
    }
}
