//! What an agent prints, byte by byte, as facts.
//!
//! Lines are put together from whatever pieces arrive; a line over the limit is skipped and
//! counted, and what is not understood is nothing. Holds one line, one reply and a few numbers.

use std::collections::VecDeque;

use serde_json::Value;

use super::preset::{Format, Preset};
use super::prose::{micros, one_line, usage};
use super::rules::{ActivityRule, Count, ResultRule, UsageRule, fits};

/// A longer line is skipped.
pub const LINE_MAX_BYTES: usize = 1 << 20;
/// A longer result keeps its end.
pub const RESULT_MAX_BYTES: usize = 64 << 10;
/// One line shows at most this many things.
const ACTIVITIES_MAX_PER_LINE: usize = 16;
/// Things of which the numbers may still change.
const OPEN_MAX: usize = 32;
const KEY_MAX_CHARS: usize = 128;
const SESSION_MAX_BYTES: usize = 256;

/// Something an agent's output says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentFact {
    /// Its name for this session, to go on with later. Told when it changes.
    Session(String),
    /// What the run has used so far, by the agent's own count. Told when it changes.
    Usage {
        /// Input tokens that came from no cache.
        input: u64,
        /// Output tokens.
        output: u64,
        /// Input tokens read from a cache.
        cache_read: u64,
        /// Input tokens written to a cache.
        cache_write: u64,
        /// Cost in millionths of a US dollar, if it says.
        cost_micros: Option<u64>,
    },
    /// What it does, in one line of at most 200 characters, for people.
    Activity(String),
    /// Its allowance is used up: nothing it is asked works until then.
    Limit {
        /// Seconds since the epoch, if it says.
        until: Option<u64>,
    },
    /// It is not logged in, or its key is not accepted.
    NotAccepted,
    /// Who pays for this run, by its own word.
    Payer {
        /// Its name for it, at most 128 characters: often a variable.
        name: String,
        /// That is its own login.
        login: bool,
    },
    /// Its last word, at most 64 KiB of it.
    Result {
        /// The text.
        text: String,
        /// It says that it failed.
        is_error: bool,
    },
}

/// Reads one run's stdout.
#[derive(Debug)]
pub struct StreamParser {
    preset: Preset,
    line: Vec<u8>,
    /// The current line is over the limit.
    skipping: bool,
    lines: u64,
    lines_skipped: u64,
    session: Option<String>,
    settled: Tokens,
    /// The things whose numbers may still change: several at once, when an agent has helpers.
    open: VecDeque<(String, Tokens)>,
    told: Tokens,
    kept: Option<String>,
    /// The end of the prose.
    prose: VecDeque<u8>,
}

impl StreamParser {
    /// For one run of this program.
    #[must_use]
    pub fn new(preset: Preset) -> Self {
        Self {
            preset,
            line: Vec::new(),
            skipping: false,
            lines: 0,
            lines_skipped: 0,
            session: None,
            settled: Tokens::default(),
            open: VecDeque::new(),
            told: Tokens::default(),
            kept: None,
            prose: VecDeque::new(),
        }
    }

    /// Takes some bytes of its stdout, split anywhere, and says what the lines they complete say.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<AgentFact> {
        let mut facts = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.take(&rest[..end]);
            self.end_of_line(&mut facts);
            rest = &rest[end + 1..];
        }
        self.take(rest);
        facts
    }

    /// The program has ended: what its last line without a line feed says, and for prose the
    /// result.
    pub fn finish(&mut self) -> Vec<AgentFact> {
        let mut facts = Vec::new();
        if !self.line.is_empty() || self.skipping {
            self.end_of_line(&mut facts);
        }
        if self.preset.format == Format::Text {
            let prose: Vec<u8> = std::mem::take(&mut self.prose).into();
            let text = String::from_utf8_lossy(&prose).trim().to_owned();
            facts.push(AgentFact::Result { text: last_bytes(text), is_error: false });
        }
        facts
    }

    /// Lines there were, understood or not.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Lines that were over the limit.
    #[must_use]
    pub fn lines_skipped(&self) -> u64 {
        self.lines_skipped
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.skipping || self.line.len() + bytes.len() > LINE_MAX_BYTES {
            self.skipping = true;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_of_line(&mut self, facts: &mut Vec<AgentFact>) {
        let line = std::mem::take(&mut self.line);
        self.lines += 1;
        if std::mem::take(&mut self.skipping) {
            self.lines_skipped += 1;
            return;
        }
        match self.preset.format {
            Format::Text => self.prose_line(&line, facts),
            Format::Jsonl => {
                if let Ok(value @ Value::Object(_)) = serde_json::from_slice(&line) {
                    self.json_line(&value, facts);
                }
            }
        }
    }

    fn json_line(&mut self, value: &Value, facts: &mut Vec<AgentFact>) {
        let Some(index) = self.preset.lines.iter().position(|rule| rule.fits(value)) else {
            return;
        };
        let rule = &self.preset.lines[index];
        let session = rule.session.as_ref().and_then(|it| value.pointer(it)?.as_str());
        if let Some(session) = session
            && !session.is_empty()
            && session.len() <= SESSION_MAX_BYTES
            && self.session.as_deref() != Some(session)
        {
            self.session = Some(session.to_owned());
            facts.push(AgentFact::Session(session.to_owned()));
        }
        let shown = rule.activity.iter().flat_map(|it| activities(value, it));
        facts.extend(shown.take(ACTIVITIES_MAX_PER_LINE).map(AgentFact::Activity));
        if let Some(limit) = &rule.limit {
            let until = limit.until.as_ref().and_then(|it| value.pointer(it)?.as_u64());
            facts.push(AgentFact::Limit { until });
        }
        facts.extend(rule.not_accepted.then_some(AgentFact::NotAccepted));
        if let Some(payer) = &rule.payer
            && let Some(name) = value.pointer(&payer.name).and_then(Value::as_str)
        {
            let login = payer.login.iter().any(|it| it == name);
            let name = name.chars().take(KEY_MAX_CHARS).collect();
            facts.push(AgentFact::Payer { name, login });
        }
        let result = rule.result.clone();
        if let Some((count, key, tokens)) = rule.usage.as_ref().and_then(|it| tokens(value, it)) {
            self.count(count, key, tokens);
            self.tell_usage(facts);
        }
        if let Some(rule) = result {
            facts.extend(self.result(value, &rule));
        }
    }

    fn prose_line(&mut self, line: &[u8], facts: &mut Vec<AgentFact>) {
        let kept = &line[line.len().saturating_sub(RESULT_MAX_BYTES)..];
        let excess = (self.prose.len() + kept.len() + 1).saturating_sub(RESULT_MAX_BYTES);
        self.prose.drain(..excess.min(self.prose.len()));
        self.prose.extend(kept);
        self.prose.push_back(b'\n');
        let text = String::from_utf8_lossy(line);
        facts.extend(one_line(&text).map(AgentFact::Activity));
        if let Some(tokens) = self.preset.prose_usage.as_ref().and_then(|rule| usage(&text, rule)) {
            self.count(Count::Add, None, tokens);
            self.tell_usage(facts);
        }
    }

    fn count(&mut self, count: Count, key: Option<String>, tokens: Tokens) {
        match count {
            Count::Total => {
                self.open.clear();
                self.settled = tokens;
            }
            Count::Add => self.settled = self.settled.plus(tokens),
            Count::LatestOf => {
                let key: String = key.unwrap_or_default().chars().take(KEY_MAX_CHARS).collect();
                match self.open.iter_mut().find(|(open, _)| *open == key) {
                    Some((_, known)) => *known = tokens,
                    None => self.open.push_back((key, tokens)),
                }
                if self.open.len() > OPEN_MAX
                    && let Some((_, oldest)) = self.open.pop_front()
                {
                    self.settled = self.settled.plus(oldest);
                }
            }
        }
    }

    fn tell_usage(&mut self, facts: &mut Vec<AgentFact>) {
        let now = self.open.iter().fold(self.settled, |sum, (_, tokens)| sum.plus(*tokens));
        if now != self.told {
            self.told = now;
            let Tokens { input, output, cache_read, cache_write, cost_micros } = now;
            facts.push(AgentFact::Usage { input, output, cache_read, cache_write, cost_micros });
        }
    }

    fn result(&mut self, value: &Value, rule: &ResultRule) -> Option<AgentFact> {
        let text = rule.text.iter().find_map(|it| value.pointer(it)?.as_str());
        let text = text.map(|it| last_bytes(it.to_owned()));
        if rule.keep {
            self.kept = text;
            return None;
        }
        let text = text.or_else(|| rule.kept.then(|| self.kept.take()).flatten());
        let failed = !rule.error_if.is_empty() && fits(value, &rule.error_if);
        Some(AgentFact::Result { text: text.unwrap_or_default(), is_error: rule.error || failed })
    }
}

/// Numbers of one thing, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write: u64,
    pub(super) cost_micros: Option<u64>,
}

impl Tokens {
    fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cost_micros: match (self.cost_micros, other.cost_micros) {
                (None, None) => None,
                (one, two) => Some(one.unwrap_or(0).saturating_add(two.unwrap_or(0))),
            },
        }
    }
}

/// The numbers of a line; nothing if it has none of them.
fn tokens(value: &Value, rule: &UsageRule) -> Option<(Count, Option<String>, Tokens)> {
    let at = |pointer: &Option<String>| value.pointer(pointer.as_deref()?);
    let count = |pointer| at(pointer).and_then(Value::as_u64);
    let cost_micros = at(&rule.cost_usd).and_then(Value::as_f64).and_then(micros);
    let counts = [&rule.input, &rule.output, &rule.cache_read, &rule.cache_write].map(count);
    if cost_micros.is_none() && counts.iter().all(Option::is_none) {
        return None;
    }
    let [input, output, cache_read, cache_write] = counts.map(Option::unwrap_or_default);
    let input =
        if rule.input_includes_cache_read { input.saturating_sub(cache_read) } else { input };
    let key = at(&rule.key).and_then(Value::as_str).map(str::to_owned);
    Some((rule.count, key, Tokens { input, output, cache_read, cache_write, cost_micros }))
}

fn activities(value: &Value, rule: &ActivityRule) -> Vec<String> {
    let elements: &[Value] = match &rule.each {
        None => std::slice::from_ref(value),
        Some(pointer) => match value.pointer(pointer).and_then(Value::as_array) {
            Some(elements) => elements,
            None => return Vec::new(),
        },
    };
    let fitting = elements.iter().filter(|it| fits(it, &rule.when));
    fitting.filter_map(|it| activity(it, rule)).take(ACTIVITIES_MAX_PER_LINE).collect()
}

fn activity(value: &Value, rule: &ActivityRule) -> Option<String> {
    let verb = rule.verb.as_deref().and_then(|it| match it.strip_prefix('=') {
        Some(word) => Some(word.to_owned()),
        None => value.pointer(it)?.as_str().map(str::to_lowercase),
    });
    let object = rule.object.iter().find_map(|it| value.pointer(it)?.as_str());
    let object = object.and_then(one_line);
    match (verb, object) {
        (Some(verb), Some(object)) => one_line(&format!("{verb} {object}")),
        (Some(verb), None) => one_line(&verb),
        (None, object) => object,
    }
}

/// The end of a text, at most so long.
fn last_bytes(mut text: String) -> String {
    if text.len() > RESULT_MAX_BYTES {
        let mut start = text.len() - RESULT_MAX_BYTES;
        while !text.is_char_boundary(start) {
            start += 1;
        }
        text.drain(..start);
    }
    text
}
