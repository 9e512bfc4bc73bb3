//! The events of a loop, each once, in the order of the log: those before somebody looked, then
//! those that come.
//!
//! The watch brings what comes. What was before is asked for by number, up to the one the watch began
//! after, so nothing is between the two and nothing is in both.

use std::collections::{BTreeMap, VecDeque};

use taskd_model::{Event, LoopId, Record, Time, format_clock_ms};

use crate::{
    pager::{Kind, Pager, Source, TextLine},
    text::pad_left,
};

/// Events of the log that are looked through at once.
const SPAN: u64 = 20_000;

/// With so many lines no further ones are asked for.
const ENOUGH: usize = 1_000;

/// Milliseconds until a question that failed is asked again.
const AGAIN_MS: u64 = 1_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) pager: Pager,
    id: LoopId,
    /// When its plan came.
    start: Time,
    /// First and last number of what is still to be asked for.
    needed: VecDeque<(u64, u64)>,
    asked: Option<(u64, u64)>,
    /// The first number that was looked at.
    from: u64,
    not_before: Option<Time>,
}

impl Events {
    /// Those of a loop up to the event `upto`, once they are asked for.
    pub(crate) fn new(id: LoopId, start: Time, upto: u64) -> Self {
        let from = upto.saturating_sub(SPAN - 1).max(1);
        let needed = VecDeque::from([(from, upto)]);
        let (asked, not_before) = (None, None);
        Self { pager: Pager::tail(), id, start, needed, asked, from, not_before }
    }

    /// An event came.
    pub(crate) fn record(&mut self, record: &Record) {
        if let Some(line) = self.line(record) {
            self.pager.push(line);
        }
    }

    /// The watch went on at another place: what is between is asked for.
    pub(crate) fn missed(&mut self, from: u64, upto: u64) {
        if from <= upto {
            self.needed.push_front((from, upto));
        }
    }

    /// What is to be asked for now: first and last number.
    pub(crate) fn ask(&mut self, now: Time) -> Option<(u64, u64)> {
        if self.asked.is_some() || self.not_before.is_some_and(|it| now < it) {
            return None;
        }
        self.asked = self.needed.pop_front();
        self.asked
    }

    /// Something is to be asked for, if not now.
    pub(crate) fn waits(&self) -> bool {
        !self.needed.is_empty()
    }

    /// They came, or not.
    pub(crate) fn answered(&mut self, records: Option<&[Record]>, now: Time) {
        let Some((from, upto)) = self.asked.take() else { return };
        let Some(records) = records else {
            self.needed.push_front((from, upto));
            self.not_before = Some(now.plus_ms(AGAIN_MS));
            return;
        };
        let mut lines = BTreeMap::new();
        for it in self.pager.take() {
            if let Source::Fact(seq) = it.source {
                lines.insert(seq, it);
            }
        }
        let first = lines.keys().next().copied().unwrap_or(u64::MAX);
        let mut before = 0;
        for record in records {
            let Some(line) = self.line(record) else { continue };
            if record.seq.0 < first {
                before += 1;
            }
            lines.insert(record.seq.0, line);
        }
        self.from = self.from.min(from);
        let begins = |it: &Record| {
            matches!(it.event, Event::SpecAdded { .. }) && it.loop_id == Some(self.id)
        };
        let whole = self.from == 1 || records.iter().any(begins);
        if from == self.from && !whole && lines.len() < ENOUGH {
            self.needed.push_back((from.saturating_sub(SPAN).max(1), from - 1));
        }
        let lines: Vec<TextLine> = lines.into_values().collect();
        self.pager.grow(lines, before);
    }

    fn line(&self, record: &Record) -> Option<TextLine> {
        if record.loop_id != Some(self.id) {
            return None;
        }
        let clock = pad_left(&format_clock_ms(record.at.ms_since(self.start)), 7);
        let text = format!("{clock}  {}", record.event);
        let line = TextLine::new(&text, kind(&record.event));
        Some(TextLine { mark: record.seq.to_string(), source: Source::Fact(record.seq.0), ..line })
    }
}

fn kind(event: &Event) -> Kind {
    if let Event::EffectStarted { .. } | Event::EffectObserved { .. } = event {
        Kind::Dim
    } else {
        Kind::Plain
    }
}
