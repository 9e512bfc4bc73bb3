//! What an agent or a model says: what it said before somebody looked, then what streams by.
//!
//! The past is asked for, and what streams by is noise. What is in both is shown once: noise of an
//! effect goes as soon as the whole output of that effect is there.

use std::collections::BTreeSet;

use taskd_model::{Delta, EffectId, LoopView, Time, format_clock_ms};

use super::fetched::Due;
use crate::{
    log::{Entry, Log, RECENT},
    pager::{CHARS, Kind, Pager, Source, TextLine, lines_of},
    query::Output,
    text::clean,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    pub(crate) pager: Pager,
    pub(crate) due: Due,
    /// What ran when it was asked for.
    ran: BTreeSet<u64>,
    /// The last line is an unfinished one of this effect.
    open: Option<u64>,
}

impl Talk {
    /// What is known already: what streamed by of what runs, and what happened since.
    pub(crate) fn new(it: &LoopView, log: Option<&Log>, start: Time) -> Self {
        let mut talk = Self { pager: Pager::tail(), ..Self::default() };
        let runs = |entry: &Entry| entry.effect.is_some_and(|id| it.effects.contains(&id));
        let entries = log.into_iter().flat_map(Log::entries);
        for entry in entries.skip_while(|entry| !runs(entry)) {
            talk.entry(entry, start);
        }
        talk
    }

    /// It shall be asked for, true once for each question.
    pub(crate) fn ask(&mut self, it: &LoopView, now: Time) -> bool {
        let asks = self.due.ask(0, now);
        if asks {
            self.ran = it.effects.iter().map(|it| it.0.0).collect();
        }
        asks
    }

    /// Something happened, or streamed by and was kept.
    pub(crate) fn entry(&mut self, entry: &Entry, start: Time) {
        let mark = entry.at.map(|at| format_clock_ms(at.ms_since(start))).unwrap_or_default();
        let source = match (entry.seq, entry.effect) {
            (Some(seq), _) => Source::Fact(seq.0),
            (None, Some(effect)) => Source::Noise(effect.0.0),
            (None, None) => return,
        };
        let detail = if entry.detail.is_empty() { "" } else { "  " };
        let text = format!("{}{detail}{}", entry.text, entry.detail);
        let line = TextLine { mark, text, kind: entry.kind(), source };
        self.open = None;
        // What an agent does streams by first, and is a fact once it is durable.
        let same = |it: &TextLine| matches!(it.source, Source::Noise(_)) && it.text == line.text;
        match self.pager.recent(RECENT, same).filter(|_| entry.within && entry.seq.is_some()) {
            Some(it) => *it = line,
            None => self.pager.push(line),
        }
    }

    /// Something streams by.
    pub(crate) fn noise(&mut self, effect: EffectId, delta: &Delta) {
        let effect = effect.0.0;
        match delta {
            Delta::Text(text) => self.stream(effect, text),
            Delta::Line(text) => {
                self.open = None;
                self.stream(effect, text);
                self.open = None;
            }
        }
    }

    fn stream(&mut self, effect: u64, text: &str) {
        for (index, part) in text.split('\n').enumerate() {
            if index > 0 {
                self.open = None;
            }
            let mut part = part.strip_suffix('\r').unwrap_or(part);
            while !part.is_empty() {
                if self.open != Some(effect) {
                    let source = Source::Noise(effect);
                    self.pager.push(TextLine { source, kind: Kind::Dim, ..TextLine::default() });
                    self.open = Some(effect);
                }
                let Some(last) = self.pager.last() else { return };
                let room = CHARS.saturating_sub(last.text.chars().count());
                let end = part.char_indices().nth(room).map_or(part.len(), |(at, _)| at);
                let (now, later) = part.split_at(end);
                last.text.push_str(&clean(now));
                part = later;
                if !part.is_empty() {
                    self.open = None;
                }
            }
        }
    }

    /// What was said before, and the last lines of what runs.
    pub(crate) fn answered(&mut self, outputs: &[Output], tail: &[String]) {
        let whole: BTreeSet<u64> =
            outputs.iter().map(|it| it.effect).filter(|it| *it > 0).collect();
        let last = whole.last().copied().unwrap_or_default();
        let mut past = Vec::new();
        for it in outputs {
            past.push(TextLine::new(&format!("── {}", it.heading), Kind::Heading));
            past.extend(lines_of(&it.text, |_| Kind::Plain));
        }
        let mut live = self.pager.take();
        live.retain(|it| match it.source {
            Source::Noise(effect) => !whole.contains(&effect),
            // What happened before the last output was told where that output stands.
            Source::Fact(seq) => last < seq,
            Source::Answer => false,
        });
        // What ran is over by now, and said as a whole.
        let over = self.ran.iter().any(|it| whole.contains(it));
        past.extend(missing(if over { &[] } else { tail }, &live));
        let before = past.len() as u64;
        past.extend(live);
        self.pager.grow(past, before);
        self.due.answered(true);
    }
}

/// The lines of `tail` that are not among those that streamed by since.
fn missing(tail: &[String], live: &[TextLine]) -> Vec<TextLine> {
    let tail: Vec<TextLine> = tail.iter().flat_map(|it| lines_of(it, |_| Kind::Dim)).collect();
    let said: Vec<&str> = live
        .iter()
        .filter(|it| matches!(it.source, Source::Noise(_)))
        .map(|it| it.text.as_str())
        .collect();
    let words: Vec<&str> = tail.iter().map(|it| it.text.as_str()).collect();
    if !words.is_empty() && said.windows(words.len()).any(|it| it == words) {
        return Vec::new();
    }
    // As much of its end as they begin with.
    let most = words.len().min(said.len());
    let both = (0..=most).rev().find(|n| words[words.len() - n..] == said[..*n]).unwrap_or(0);
    let kept = tail.len() - both;
    tail.into_iter().take(kept).collect()
}
