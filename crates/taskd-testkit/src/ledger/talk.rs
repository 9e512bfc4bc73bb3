//! What loops say to one another: each message is sent once and reaches whoever composes, each query
//! ends once, and rightly.

use std::collections::BTreeMap;

use taskd_model::{
    Digest, EffectId, Event, Heard, LetterKind, LoopId, Outcome, Owner, Query, QueryEnd, Record,
    Seq, Spoken, Status, Time, Work,
};

use super::{Ledger, check};
use crate::tally::Tally;

/// Text of messages one iteration is told, in bytes.
const TOLD_BYTES: u64 = 64 << 10;
/// Length of every message here.
pub(crate) const LETTER_BYTES: u32 = 8_000;
/// Queries that may be open to one loop.
const OPEN_QUERIES: usize = 8;

/// A query that is open.
#[derive(Debug, Clone)]
struct QueryRow {
    from: LoopId,
    to: LoopId,
    /// The tool that asked, in its last life.
    tool: u16,
    wait_ms: u64,
    /// Since when an answer is waited for.
    since: Time,
}

/// What was said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Talks {
    queries: BTreeMap<Seq, QueryRow>,
    /// Answers that came and have not ended their query yet.
    answers: BTreeMap<Seq, Digest>,
    /// What was shared with a loop: when, by whom, and what.
    shares: BTreeMap<LoopId, Vec<(Seq, LoopId, Digest)>>,
}

impl Ledger {
    /// What happens to a loop, and what is said to it.
    pub(super) fn said_of_loop(
        &mut self,
        id: LoopId,
        record: &Record,
        tally: &mut Tally,
    ) -> Result<(), String> {
        self.of_loop(id, &record.event, tally)?;
        let Event::Spoken { word } = &record.event else { return Ok(()) };
        self.spoken(id, word, (record.seq, record.at), tally)
    }

    /// A loop is told something, or refused.
    fn spoken(
        &mut self,
        id: LoopId,
        word: &Spoken,
        (seq, at): (Seq, Time),
        tally: &mut Tally,
    ) -> Result<(), String> {
        match word {
            Spoken::Told { letter } => {
                tally.messages += 1;
                check(letter.from != id, || format!("{id} talks to itself"))?;
                self.has_tool(letter.from, letter.index)?;
                if letter.kind == LetterKind::Share {
                    let shares = self.talks.shares.entry(id).or_default();
                    shares.push((seq, letter.from, letter.text));
                }
            }
            Spoken::Query { query } => {
                tally.queries += 1;
                self.asked_another(id, query, (seq, at))?;
            }
            Spoken::QueryEnded { query, from, end } => {
                self.query_ended(id, (*query, *from), end, at, tally)?;
            }
            Spoken::Stopped { by, index, .. } => self.has_tool(*by, *index)?,
            Spoken::Refused { .. } | Spoken::Muted { .. } => {}
        }
        Ok(())
    }

    /// Somebody says something: a tool of theirs is open.
    fn has_tool(&self, id: LoopId, index: u16) -> Result<(), String> {
        let is_it = |(owner, work): (Owner, &Work)| {
            let same = matches!(work, Work::Tool { index: it, .. } if *it == index);
            same && owner == Owner::Loop(id)
        };
        check(self.open_work().any(is_it), || format!("{id} speaks without a tool"))
    }

    fn asked_another(
        &mut self,
        to: LoopId,
        query: &Query,
        (seq, at): (Seq, Time),
    ) -> Result<(), String> {
        let Query { from, index, wait_ms, .. } = *query;
        self.has_tool(from, index)?;
        check(from != to && from.plan() == to.plan(), || format!("{from} asks {to}"))?;
        let row = &self.loops[&to];
        let works = matches!(row.status, Status::Running | Status::Rebasing) && row.is_native();
        check(works, || format!("{to} is asked and does not work"))?;
        let twice = |it: &QueryRow| it.from == from && it.tool == index && it.to == to;
        check(!self.talks.queries.values().any(twice), || format!("{from} asks {to} twice"))?;
        let open = self.talks.queries.values().filter(|it| it.to == to).count();
        check(open < OPEN_QUERIES, || format!("{to} is asked {open} things at once"))?;
        let row = QueryRow { from, to, tool: index, wait_ms, since: at };
        self.talks.queries.insert(seq, row);
        Ok(())
    }

    fn query_ended(
        &mut self,
        id: LoopId,
        (query, from): (Seq, LoopId),
        end: &QueryEnd,
        at: Time,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let row = self.talks.queries.remove(&query);
        let row = row.ok_or_else(|| format!("query {query} ends and is not open"))?;
        check((row.to, row.from) == (id, from), || format!("query {query} ends elsewhere"))?;
        let answer = self.talks.answers.remove(&query);
        match end {
            QueryEnd::Answered { reply } => {
                tally.answered += 1;
                check(answer == Some(*reply), || format!("query {query}: nobody said that"))
            }
            QueryEnd::TimedOut => {
                tally.queries_late += 1;
                let late = row.since.plus_ms(row.wait_ms) <= at;
                check(late, || format!("query {query} has time left"))
            }
            QueryEnd::Expired => {
                tally.queries_expired += 1;
                Ok(())
            }
            QueryEnd::Gone { why } => {
                tally.queries_gone += 1;
                check(!why.is_empty(), || format!("query {query} ends without a reason"))
            }
            QueryEnd::Unpaid | QueryEnd::Failed { .. } => Ok(()),
        }
    }

    /// A call that answers begins: of an open query, and once.
    pub(super) fn answers(&self, owner: Owner, query: Seq) -> Result<(), String> {
        let row = self.talks.queries.get(&query);
        let asked = row.is_some_and(|it| Owner::Loop(it.to) == owner);
        check(asked, || format!("{owner} answers {query}, and nobody asked"))?;
        let is_it = |work: &Work| matches!(work, Work::Answer(it) if it.query == query);
        check(!self.open_work().any(|it| is_it(it.1)), || format!("{query} is answered twice"))
    }

    /// A call that answers ended. One that was given up says nothing.
    pub(super) fn answer_came(&mut self, work: &Work, outcome: &Outcome) {
        if let (Work::Answer(it), Outcome::Answered { reply, .. }) = (work, outcome)
            && self.talks.queries.contains_key(&it.query)
        {
            self.talks.answers.insert(it.query, *reply);
        }
    }

    /// Whoever waits for an answer waits anew in a new life.
    pub(super) fn asks_again(&mut self, at: Time) {
        self.talks.queries.values_mut().for_each(|it| it.since = at);
    }

    /// What is over neither asks nor answers, and reads nothing any more.
    pub(super) fn falls_silent(&mut self, id: LoopId) -> Result<(), String> {
        let open = self.talks.queries.values().any(|it| it.to == id || it.from == id);
        check(!open, || format!("{id} is over, and a query is open"))?;
        self.talks.shares.remove(&id);
        Ok(())
    }

    /// A loop composes: everything shared with it before is in what it is told, or was, unless
    /// there is no room.
    pub(crate) fn reads(
        &self,
        id: LoopId,
        effect: EffectId,
        mail: &[Heard],
        seen: &mut Vec<(LoopId, LoopId, Digest)>,
    ) -> Result<(), String> {
        let shares = self.talks.shares.get(&id).map(Vec::as_slice).unwrap_or_default();
        let told = |from: LoopId, text: Digest| {
            let is_it = |it: &&(Seq, LoopId, Digest)| (it.1, it.2) == (from, text);
            shares.iter().filter(is_it).count()
        };
        let read: Vec<&Heard> =
            mail.iter().filter(|it| it.letter.kind == LetterKind::Share).collect();
        for it in &read {
            let (from, text) = (it.letter.from, it.letter.text);
            check(0 < told(from, text), || format!("{id} reads what nobody said"))?;
            let same = read.iter().filter(|it| (it.letter.from, it.letter.text) == (from, text));
            check(same.count() <= told(from, text), || format!("{id} reads it twice"))?;
            seen.push((id, from, text));
        }
        let full = TOLD_BYTES < (mail.len() as u64 + 1) * u64::from(LETTER_BYTES);
        let unread = shares
            .iter()
            .find(|(seq, from, text)| *seq < effect.0 && !seen.contains(&(id, *from, *text)));
        check(unread.is_none() || full, || format!("{id} composes and does not read {unread:?}"))
    }

    /// Nobody waits for an answer in the end.
    pub(crate) fn all_answered(&self) -> Result<(), String> {
        let open = self.talks.queries.keys().next();
        check(open.is_none(), || format!("query {open:?} never ends"))
    }
}
