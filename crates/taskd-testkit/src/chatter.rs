//! Loops of one plan that talk without a pause, and one that never reads: for a soak, and to time.

use std::collections::{BTreeMap, VecDeque};

use taskd_core::Coordinator;
use taskd_model::{
    Digest, EffectId, Event, Input, LoopId, Outcome, Owner, PlanId, Record, Saying, SpecId, Spoken,
    Time, ToolCall, Unsent, Usage, Work,
};

use crate::{graph, well};

/// What a sender says between two calls to its model.
const PER_TURN: usize = 20;
/// One of so many messages of each sender goes to the loop that never reads.
const TO_DEAF: u32 = 200;

/// A coordinator whose loops do nothing but talk.
#[derive(Debug)]
pub struct Chatter {
    core: Coordinator,
    senders: u32,
    /// The tool that each sender stands in.
    tools: BTreeMap<u32, EffectId>,
    said: u32,
    /// Messages that were taken, by their receiver.
    pub taken: BTreeMap<LoopId, u64>,
    /// Messages that were refused, by why.
    pub refused: BTreeMap<String, u64>,
    /// Times a sender was muted.
    pub mutes: u64,
}

impl Chatter {
    /// So many senders, each in a tool, and one more loop whose call to its model never ends; and
    /// when that was.
    ///
    /// # Panics
    ///
    /// The core refuses what it should take.
    #[must_use]
    pub fn new(senders: u32) -> (Self, Time) {
        let loops = usize::try_from(senders).expect("few") + 1;
        let (core, mut now, check) = graph(vec![Vec::new(); loops]);
        let mut it = Self {
            core,
            senders,
            tools: BTreeMap::new(),
            said: 0,
            taken: BTreeMap::new(),
            refused: BTreeMap::new(),
            mutes: 0,
        };
        now = now.plus_ms(1);
        let started = it.give(now, &Input::Ended { effect: check, outcome: green(check) });
        it.go_on(now, started);
        (it, now)
    }

    /// The loop that never reads.
    #[must_use]
    pub fn deaf(&self) -> LoopId {
        id_of(self.senders)
    }

    /// Messages that wait to be told, of all loops.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.core.letters_waiting()
    }

    /// The next sender says something to the one behind it, or to the loop that never reads.
    ///
    /// # Panics
    ///
    /// The core neither takes nor refuses it.
    pub fn say(&mut self, now: Time) {
        let n = self.said;
        self.said += 1;
        let sender = n % self.senders;
        let to_deaf = n / self.senders % TO_DEAF == sender % TO_DEAF;
        let to = if to_deaf { self.senders } else { (sender + 1) % self.senders };
        let text = Digest::of(&n.to_le_bytes());
        let saying = Saying::Share { to: id_of(to), text, bytes: 30 };
        let effect = self.tools[&sender];
        let decided = match self.core.handle(now, &Input::Said { effect, saying }) {
            Ok(decided) => decided,
            Err(why) => panic!("{effect} is not heard: {why}"),
        };
        self.note(&decided.records);
    }

    /// What the last sender does after it has spoken: its tool ends, and at the end of a turn it
    /// calls its model, which answers at once.
    ///
    /// # Panics
    ///
    /// The core refuses what it should take.
    pub fn rest(&mut self, now: Time) {
        let sender = (self.said - 1) % self.senders;
        let effect = self.tools[&sender];
        let (result, error) = (Digest::of(b"Sent."), false);
        let outcome =
            Outcome::ToolDone { result, error, checkpoint: None, code: None, unsaved: None };
        let started = self.give(now, &Input::Ended { effect, outcome });
        self.go_on(now, started);
    }

    /// Everything that started ends at once, but for tools, and the call of the loop that never
    /// reads.
    fn go_on(&mut self, now: Time, started: Vec<EffectId>) {
        let mut open = VecDeque::from(started);
        while let Some(effect) = open.pop_front() {
            let Some(order) = self.core.order(effect) else { continue };
            let Owner::Loop(id) = order.owner else { continue };
            let sender = u32::from(id.spec.index);
            let outcome = match &order.work {
                Work::Tool { .. } => {
                    self.tools.insert(sender, effect);
                    continue;
                }
                Work::Call { .. } if sender == self.senders => continue,
                Work::Call { .. } => talks(effect),
                other => well(other, effect),
            };
            open.extend(self.give(now, &Input::Ended { effect, outcome }));
        }
    }

    fn give(&mut self, now: Time, input: &Input) -> Vec<EffectId> {
        let decided = self.core.handle(now, input).expect("well-formed");
        self.note(&decided.records);
        decided.start
    }

    fn note(&mut self, records: &[Record]) {
        for record in records {
            let Event::Spoken { word } = &record.event else { continue };
            match (word, record.loop_id) {
                (Spoken::Told { .. }, Some(id)) => *self.taken.entry(id).or_default() += 1,
                (Spoken::Refused { why }, _) => {
                    let why: &Unsent = why;
                    *self.refused.entry(why.to_string()).or_default() += 1;
                }
                (Spoken::Muted { .. }, _) => self.mutes += 1,
                _ => {}
            }
        }
    }
}

fn id_of(index: u32) -> LoopId {
    let index = u16::try_from(index).expect("few");
    LoopId { spec: SpecId { plan: PlanId(1), index }, run: 1 }
}

fn green(check: EffectId) -> Outcome {
    well(&Work::CheckBase { base: taskd_model::Oid::from_bytes([1; 20]) }, check)
}

/// A reply that asks for one message after the other.
fn talks(effect: EffectId) -> Outcome {
    let args = Digest::of(b"{}");
    let call = ToolCall { name: "share".to_owned(), args, reads: false };
    let reply = Digest::of(&effect.0.0.to_le_bytes());
    Outcome::Replied {
        reply,
        calls: vec![call; PER_TURN],
        usage: Usage::default(),
        by: None,
        found: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages in a second, and for how many seconds.
    const RATE: u64 = 10_000;
    const SECONDS: u64 = 6;

    /// Proves E7: while a hundred loops say ten thousand things a second to one another nobody waits for
    /// the one that never reads: what has no room with it is refused to who sent it, nobody is muted
    /// for that, and everybody else is told everything at the next turn.
    #[test]
    fn one_that_never_reads_holds_up_nobody() {
        let (mut it, began) = Chatter::new(100);
        for n in 0..RATE * SECONDS {
            let now = began.plus_ms(n * 1_000 / RATE);
            it.say(now);
            it.rest(now);
        }
        let deaf = it.deaf();
        assert_eq!(it.taken[&deaf], 100, "and no more");
        let (taken, refused) = (it.taken.values().sum::<u64>(), it.refused.values().sum::<u64>());
        assert_eq!(taken + refused, RATE * SECONDS, "{:?}", it.refused);
        assert_eq!(refused, it.refused["too many wait there"]);
        assert_eq!(refused, RATE * SECONDS / u64::from(TO_DEAF) - 100);
        assert_eq!(it.mutes, 0);
        assert!(it.waiting() <= 100 + 100 * PER_TURN, "{}", it.waiting());
    }
}
