//! Messages between the loops of a plan: what waits for whom, what is refused, who is muted.
//!
//! A message is taken when its event is written, so it is durable before its sender hears that it
//! was sent. It waits in its receiver's mailbox, which is state like any other, and is told when
//! the receiver composes its next request. Nobody ever waits for a receiver: who does not read has
//! a full mailbox, and that is the senders' to hear.
//!
//! When there is no room: of alerts of one topic only the newest is kept, so they always have
//! some; a share is refused, and its sender reads that. Refusals are counted; a sender that has
//! many of them is muted for a while.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use taskd_model::{
    Actor, EffectId, Event, Heard, Letter, LetterCounts, LetterKind, LoopId, Owner, Saying, Seq,
    Spoken, Time, Unsent, Work,
};

use crate::{Coordinator, Rejected, engine::LoopEngine, queries::OpenQuery, state::State};

/// Shares that may wait for one receiver.
const MAX_SHARES: usize = 100;
/// Topics of alerts that may wait for one receiver; of more the oldest make room.
const MAX_TOPICS: usize = 32;
/// Text of messages one iteration is told, in bytes; the rest waits for the next.
const MAX_TOLD_BYTES: u64 = 64 << 10;
/// What a new iteration is told again: so many messages, of so many bytes.
const MAX_AGAIN: usize = 16;
const MAX_AGAIN_BYTES: u64 = 32 << 10;
/// Messages a loop may send in a second (decision D7).
const MAX_PER_SECOND: u32 = 100;
/// Refusals within [`WINDOW_MS`] after which a sender is muted.
const MAX_REFUSALS: usize = 10;
const WINDOW_MS: u64 = 10_000;
/// How long a sender is muted the first time; it doubles, up to [`MUTE_MAX_MS`].
const MUTE_MS: u64 = 30_000;
const MUTE_MAX_MS: u64 = 10 * 60_000;

/// What a loop and others say to one another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Talk {
    /// What others told it.
    pub(crate) mail: Mailbox,
    /// What it told others lately.
    pub(crate) sender: Sender,
    /// What others ask it and wait for, the oldest first.
    #[serde(default)]
    pub(crate) queries: Vec<OpenQuery>,
    /// Calls that answer them, also those that are ending; they run beside everything else.
    #[serde(default)]
    pub(crate) answering: BTreeSet<EffectId>,
    /// Its own queries that are open, and whom it asks.
    #[serde(default)]
    pub(crate) awaits: BTreeMap<Seq, LoopId>,
}

/// What other loops told a loop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mailbox {
    /// Not told yet, oldest first.
    waiting: VecDeque<Heard>,
    /// Told, oldest first, as far as it still counts.
    told: Vec<Heard>,
}

impl Mailbox {
    /// What the loop is told of, oldest first.
    pub(crate) fn told(&self) -> &[Heard] {
        &self.told
    }

    /// How much waits.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// There is room for a message of this kind.
    fn has_room_for(&self, kind: &LetterKind) -> bool {
        match kind {
            LetterKind::Share => self.of_kind(|it| *it == LetterKind::Share) < MAX_SHARES,
            LetterKind::Alert { .. } => true,
        }
    }

    /// The very same waits already.
    fn has(&self, letter: &Letter) -> bool {
        let same = |it: &Heard| {
            let it = &it.letter;
            it.from == letter.from && it.text == letter.text && it.kind == letter.kind
        };
        self.waiting.iter().any(same)
    }

    fn of_kind(&self, is_it: impl Fn(&LetterKind) -> bool) -> usize {
        self.waiting.iter().filter(|it| is_it(&it.letter.kind)).count()
    }

    /// Puts a message behind the others. An alert takes the place of an earlier one of its topic.
    pub(crate) fn take(&mut self, letter: Letter) {
        let mut merged = 0;
        if let LetterKind::Alert { .. } = letter.kind {
            if let Some(at) = self.waiting.iter().position(|it| it.letter.kind == letter.kind)
                && let Some(old) = self.waiting.remove(at)
            {
                merged = old.merged.saturating_add(1);
            }
            let is_alert = |it: &LetterKind| *it != LetterKind::Share;
            if MAX_TOPICS <= self.of_kind(is_alert)
                && let Some(at) = self.waiting.iter().position(|it| is_alert(&it.letter.kind))
            {
                self.waiting.remove(at);
            }
        }
        self.waiting.push_back(Heard { letter, merged, after: 0 });
    }

    /// What fits is told after so many turns of this iteration; the rest waits. How many that were.
    pub(crate) fn tell(&mut self, turns: usize) -> u64 {
        let before = self.told.len();
        let after = u32::try_from(turns).unwrap_or(u32::MAX);
        let mut bytes: u64 = self.told.iter().map(bytes).sum();
        while let Some(next) = self.waiting.front() {
            bytes += self::bytes(next);
            if MAX_TOLD_BYTES < bytes {
                break;
            }
            self.told.extend(self.waiting.pop_front().map(|it| Heard { after, ..it }));
        }
        (self.told.len() - before) as u64
    }

    /// A fresh context begins: the last of what was told is in its prompt.
    pub(crate) fn begin(&mut self) {
        let mut left = MAX_AGAIN_BYTES;
        let fits = |it: &&Heard| {
            let rest = left.checked_sub(bytes(it));
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        let kept = self.told.iter().rev().take(MAX_AGAIN).take_while(fits).count();
        self.told.drain(..self.told.len() - kept);
        for it in &mut self.told {
            it.after = 0;
        }
    }
}

fn bytes(it: &Heard) -> u64 {
    u64::from(it.letter.bytes)
}

/// What a loop sent lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sender {
    /// The second in which it last sent something, and how much in that.
    second: u64,
    sent: u32,
    /// When messages of it were refused, the last few times.
    refused: VecDeque<Time>,
    /// Until when it is muted, or was.
    muted_until: Option<Time>,
    /// How often it was muted, one soon after the other.
    mutes: u32,
}

impl Sender {
    fn sends_too_often(&self, now: Time) -> bool {
        self.second == now.0 / 1_000 && MAX_PER_SECOND <= self.sent
    }

    fn is_muted(&self, now: Time) -> Option<Time> {
        self.muted_until.filter(|until| now < *until)
    }

    /// It was muted a moment ago: now one refusal is enough.
    fn is_on_trial(&self, now: Time) -> bool {
        self.muted_until.is_some_and(|until| now < until.plus_ms(WINDOW_MS))
    }

    /// Until when it must be muted, if it must.
    fn must_be_muted(&self, now: Time) -> Option<Time> {
        let of_late = |it: &&Time| now.ms_since(**it) < WINDOW_MS;
        let most = if self.is_on_trial(now) { 1 } else { MAX_REFUSALS };
        let many = most <= self.refused.iter().filter(of_late).count();
        let wait = MUTE_MS.saturating_mul(1 << self.mutes.min(5)).min(MUTE_MAX_MS);
        (many && self.is_muted(now).is_none()).then(|| now.plus_ms(wait))
    }

    pub(crate) fn sent(&mut self, now: Time) {
        let second = now.0 / 1_000;
        if self.second != second {
            (self.second, self.sent) = (second, 0);
        }
        self.sent = self.sent.saturating_add(1);
        if !self.is_on_trial(now) {
            self.mutes = 0;
        }
    }

    pub(crate) fn was_refused(&mut self, now: Time) {
        if self.refused.len() == MAX_REFUSALS {
            self.refused.pop_front();
        }
        self.refused.push_back(now);
    }

    pub(crate) fn mute(&mut self, until: Time) {
        self.refused.clear();
        self.muted_until = Some(until);
        self.mutes = self.mutes.saturating_add(1);
    }
}

impl Coordinator {
    /// A tool of a loop says something to others of its plan. What is refused for its number is
    /// written down all the same: that refusal is the answer.
    pub(crate) fn say(
        &mut self,
        now: Time,
        effect: EffectId,
        saying: &Saying,
    ) -> Result<Option<Rejected>, Rejected> {
        // Of a tool that is no longer wanted nobody takes anything.
        let Some((from, index)) = self.speaker(effect) else { return Err(Rejected::NobodyAsks) };
        let engine = &self.state().loops()[&from];
        if engine.turn.sent.contains(&index) {
            return Ok(None);
        }
        let (receivers, kind, text, bytes) = match saying {
            Saying::Share { to, text, bytes } => {
                self.may_hear(from, *to)?;
                (vec![*to], LetterKind::Share, *text, *bytes)
            }
            Saying::Alert { topic, text, bytes } => {
                let ids = hearers(self.state(), from);
                if ids.is_empty() {
                    return Err(Rejected::NobodyHears);
                }
                (ids, LetterKind::Alert { topic: topic.clone() }, *text, *bytes)
            }
            Saying::Query { .. } => return self.ask_loop(now, (from, index), saying),
            Saying::Stop { to, why } => return self.stop_by_loop(now, (from, index), (*to, why)),
        };
        if let Some(refused) = self.check_rate(now, from)? {
            return Ok(Some(refused));
        }
        self.send(now, &receivers, &Letter { from, kind, text, bytes, index })
    }

    /// Puts a message into every mailbox it is for, unless one has no room for it.
    fn send(
        &mut self,
        now: Time,
        receivers: &[LoopId],
        letter: &Letter,
    ) -> Result<Option<Rejected>, Rejected> {
        for id in receivers.iter().copied() {
            let mail = &self.state().loops()[&id].talk.mail;
            if mail.has(letter) {
                continue;
            }
            if !mail.has_room_for(&letter.kind) {
                let name = self.name_of(id);
                self.refuse(now, letter.from, Unsent::Full);
                return Ok(Some(Rejected::MailboxFull { name }));
            }
            let word = Spoken::Told { letter: letter.clone() };
            self.emit(now, Actor::Runner, Some(id), Event::Spoken { word });
        }
        Ok(None)
    }

    /// A loop that sends too much is refused: a muted one without an event.
    pub(crate) fn check_rate(
        &mut self,
        now: Time,
        from: LoopId,
    ) -> Result<Option<Rejected>, Rejected> {
        let sender = &self.state().loops()[&from].talk.sender;
        if let Some(until) = sender.is_muted(now) {
            return Err(Rejected::Muted { seconds: until.ms_since(now).div_ceil(1_000) });
        }
        if !sender.sends_too_often(now) {
            return Ok(None);
        }
        self.refuse(now, from, Unsent::TooOften);
        Ok(Some(Rejected::TooManyMessages))
    }

    /// The loop whose tool this is, and which call of its turn.
    pub(crate) fn speaker(&self, effect: EffectId) -> Option<(LoopId, u16)> {
        let open = self.state().effects().get(&effect).filter(|it| !it.ending)?;
        match (open.owner, &open.work) {
            (Owner::Loop(id), Work::Tool { index, .. }) => Some((id, *index)),
            (Owner::Loop(_) | Owner::Plan(_) | Owner::Queue(_), _) => None,
        }
    }

    /// Only loops of its own plan that are not over hear a loop.
    pub(crate) fn may_hear(&self, from: LoopId, to: LoopId) -> Result<(), Rejected> {
        if from.plan() != to.plan() || self.state().engine(to).is_none() {
            return Err(Rejected::NoLoop(to));
        }
        if from == to {
            return Err(Rejected::ToItself);
        }
        self.alive(&[to]).map(drop)
    }

    /// Counts a refusal against its sender.
    pub(crate) fn refuse(&mut self, now: Time, from: LoopId, why: Unsent) {
        let note =
            |core: &mut Self, word| core.emit(now, Actor::Core, Some(from), Event::Spoken { word });
        note(self, Spoken::Refused { why });
        if let Some(until) = self.state().loops()[&from].talk.sender.must_be_muted(now) {
            note(self, Spoken::Muted { until });
        }
    }

    /// Messages since the log began.
    #[must_use]
    pub fn letter_counts(&self) -> LetterCounts {
        self.state().letters()
    }

    /// Messages that wait to be told, of all loops.
    #[must_use]
    pub fn letters_waiting(&self) -> usize {
        self.state().loops().values().map(|it| it.talk.mail.waiting()).sum()
    }

    /// Loops that hear alerts of others: they have begun and are not over.
    #[must_use]
    pub fn alert_hearers(&self) -> usize {
        let hears = |it: &&LoopEngine| it.started_at.is_some() && !it.is_over();
        self.state().loops().values().filter(hears).count()
    }

    /// Senders that are muted now.
    #[must_use]
    pub fn muted_senders(&self, now: Time) -> usize {
        let muted = |it: &&LoopEngine| !it.is_over() && it.talk.sender.is_muted(now).is_some();
        self.state().loops().values().filter(muted).count()
    }
}

/// The other loops of its plan that have begun and are not over.
fn hearers(state: &State, from: LoopId) -> Vec<LoopId> {
    let hears = |id: &LoopId| {
        let begun = |it: &LoopEngine| it.started_at.is_some() && !it.is_over();
        *id != from && state.engine(*id).is_some_and(begun)
    };
    state.plan(from.plan()).specs.iter().map(|it| it.latest).filter(hears).collect()
}
