//! What an agent or a model says: what it said before somebody looked, then what streams by.
//!
//! The past is asked for, and what streams by is noise. What is in both is shown once: noise of an
//! effect goes as soon as the whole output of that effect is there.

use std::collections::BTreeSet;

use taskd_api::Output;
use taskd_model::{Delta, EffectId, LoopView, Time, format_clock_ms};

use super::fetched::Due;
use crate::{
    log::{Entry, Log, RECENT},
    markdown::{Markdown, lines_of_markdown},
    pager::{Kind, Pager, Source, TextLine, lines_of},
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    pager: Pager,
    pub(crate) due: Due,
    /// What ran when it was asked for.
    ran: BTreeSet<u64>,
    /// The last lines are of a text that streams by.
    stream: Option<Stream>,
}

/// A text that streams by.
#[derive(Debug, Default)]
struct Stream {
    effect: u64,
    page: Markdown,
    /// What came since the last picture.
    unread: String,
    /// The last lines of the pager that may still change.
    unfinished: usize,
}

/// Bytes that are read at the latest, whether somebody looks or not.
const UNREAD_BYTES: usize = 64 << 10;

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
        let line = TextLine { mark, text, kind: entry.kind(), source, ..TextLine::default() };
        self.end_stream();
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
            Delta::Text(text) => {
                if self.stream.as_ref().is_none_or(|it| it.effect != effect) {
                    self.end_stream();
                    self.stream = Some(Stream { effect, ..Stream::default() });
                }
                if let Some(it) = &mut self.stream {
                    it.unread.push_str(text);
                    if UNREAD_BYTES <= it.unread.len() {
                        self.read();
                    }
                }
            }
            Delta::Line(text) => {
                self.end_stream();
                for line in lines_of(text, |_| Kind::Dim) {
                    self.pager.push(TextLine { source: Source::Noise(effect), ..line });
                }
            }
        }
    }

    /// What is read on the screen, with all that streamed by.
    pub(crate) fn pager(&mut self) -> &mut Pager {
        self.read();
        &mut self.pager
    }

    /// Makes lines of what streamed by: once for each picture, however many pieces it came in.
    fn read(&mut self) {
        let Some(it) = self.stream.as_mut().filter(|it| !it.unread.is_empty()) else { return };
        self.pager.drop_last(it.unfinished);
        it.page.push(&std::mem::take(&mut it.unread));
        let (whole, rest) = (it.page.take(), it.page.rest());
        it.unfinished = rest.len();
        for line in whole.into_iter().chain(rest) {
            let kind = if line.kind == Kind::Plain { Kind::Dim } else { line.kind };
            self.pager.push(TextLine { kind, source: Source::Noise(it.effect), ..line });
        }
    }

    /// What comes now does not go on with what streamed by.
    fn end_stream(&mut self) {
        self.read();
        self.stream = None;
    }

    /// What was said before, and the last lines of what runs.
    pub(crate) fn answered(&mut self, outputs: &[Output], tail: &[String]) {
        let whole: BTreeSet<u64> =
            outputs.iter().map(|it| it.effect).filter(|it| *it > 0).collect();
        let last = whole.last().copied().unwrap_or_default();
        let mut past = Vec::new();
        for it in outputs {
            past.push(TextLine::new(&format!("── {}", it.heading), Kind::Heading));
            past.extend(lines_of_markdown(&it.text));
        }
        self.end_stream();
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
