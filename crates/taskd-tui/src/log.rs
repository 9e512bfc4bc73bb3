//! What is known of the past of loops and plans: narrated facts, and noise as it streams by.
//!
//! Bounded in lines, in characters of a line, and in logs. A log begins with what the view tells
//! of the time before it; what is dropped can be had from the daemon.

use std::collections::{BTreeMap, VecDeque};

use taskd_model::{
    Delta, EffectId, GateView, IterationRow, Line, LoopView, PlanId, PlanView, Record, Seq, Target,
    Time, Verdict, View, format_duration_ms,
};

use crate::{pager::Kind, text::clean};

/// Lines kept for each loop and plan, the last ones.
pub const LINES_PER_LOG: usize = 2_000;

/// Logs kept, those last written to.
pub const LOGS: usize = 64;

/// Characters of a line; what is longer goes on in another.
const LINE_CHARS: usize = 1_000;

/// Lines that are looked through for what was noise before it was a fact.
pub(crate) const RECENT: usize = 50;

/// A line of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When; nobody says when noise was.
    pub(crate) at: Option<Time>,
    /// Which loop of the plan, in a plan's log.
    pub(crate) who: String,
    /// What happened.
    pub(crate) text: String,
    /// More about it.
    pub(crate) detail: String,
    /// It happened within an iteration.
    pub(crate) within: bool,
    /// The event that tells it; nothing for noise, and for what the view tells of the past.
    pub(crate) seq: Option<Seq>,
    /// Whose noise it is.
    pub(crate) effect: Option<EffectId>,
}

impl Entry {
    fn new(at: Time, text: impl Into<String>) -> Self {
        let text = clean(&text.into());
        Self { at: Some(at), text, ..Self::default() }
    }

    /// It is noise, not a fact.
    pub(crate) fn is_noise(&self) -> bool {
        self.at.is_none()
    }

    /// How it looks: what it says in words, once more in a colour.
    pub(crate) fn kind(&self) -> Kind {
        let starts = |them: &[&str]| them.iter().any(|it| self.text.starts_with(it));
        if self.is_noise() {
            Kind::Dim
        } else if starts(&["gate RED", "failed", "limit reached"]) {
            Kind::Red
        } else if starts(&["gate GREEN", "landed"]) {
            Kind::Green
        } else if starts(&["needs you", "ready to land"]) {
            Kind::Yellow
        } else {
            Kind::Plain
        }
    }

    fn detail(self, detail: &str) -> Self {
        Self { detail: clean(detail), ..self }
    }

    fn within(self) -> Self {
        Self { within: true, ..self }
    }

    /// As it stands in the log of its plan.
    fn of(self, name: &str) -> Self {
        Self { who: name.to_owned(), ..self }
    }
}

/// The lines of one loop or plan.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    /// The last line is an unfinished one of this effect.
    open: Option<EffectId>,
    /// When it was last written to or looked at, in steps.
    touched: u64,
    /// Lines ever written.
    written: u64,
}

impl Log {
    /// The lines, oldest first.
    pub(crate) fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    /// How many lines were ever written: what a reader who scrolled back must go further back.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Takes in a fact. What an agent does is noise first, and a fact once it is durable: then the
    /// line that is there becomes it.
    fn fact(&mut self, entry: Entry) {
        let recent = self.entries.iter_mut().rev().take(RECENT);
        let mut same = recent.filter(|it| it.is_noise() && it.text == entry.text);
        match same.next().filter(|_| entry.within) {
            Some(line) => {
                *line = Entry { effect: line.effect, ..entry };
                self.open = None;
            }
            None => self.push(entry),
        }
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == LINES_PER_LOG {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
        self.open = None;
        self.written += 1;
    }

    /// Text as it streams: it goes on where the same effect stopped.
    fn stream(&mut self, effect: EffectId, text: &str) {
        for (index, part) in text.split('\n').enumerate() {
            if index > 0 {
                self.open = None;
            }
            let part = part.strip_suffix('\r').unwrap_or(part);
            if !part.is_empty() {
                self.go_on(effect, part);
            }
        }
    }

    fn go_on(&mut self, effect: EffectId, part: &str) {
        let part: Vec<char> = clean(part).chars().collect();
        let mut part = part.as_slice();
        while !part.is_empty() {
            if self.open != Some(effect) {
                self.push(Entry { within: true, effect: Some(effect), ..Entry::default() });
                self.open = Some(effect);
            }
            let Some(last) = self.entries.back_mut() else { return };
            let room = LINE_CHARS.saturating_sub(last.text.chars().count());
            let (now, later) = part.split_at(room.min(part.len()));
            last.text.extend(now);
            part = later;
            if !part.is_empty() {
                self.open = None;
            }
        }
    }
}

/// Logs by the name people write.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    by_name: BTreeMap<String, Log>,
    steps: u64,
}

impl Logs {
    /// The log of a loop or plan.
    pub(crate) fn get(&self, name: &str) -> Option<&Log> {
        self.by_name.get(name)
    }

    /// Makes sure there is a log, beginning with what `view` knows of the past.
    pub(crate) fn open(&mut self, view: &View, name: &str) -> &mut Log {
        self.steps += 1;
        if !self.by_name.contains_key(name) {
            self.make_room();
        }
        let log = self.by_name.entry(name.to_owned()).or_insert_with(|| {
            let mut log = Log::default();
            past(view, name).into_iter().for_each(|it| log.push(it));
            log
        });
        log.touched = self.steps;
        log
    }

    /// Takes in what a record tells. `view` is the one before it.
    pub(crate) fn tell(&mut self, view: &View, record: &Record, line: &Line) {
        let entry = entry(record, line);
        if let Some(plan) = plan_of(&line.name) {
            self.open(view, &line.name).fact(entry.clone());
            if plan != line.name {
                self.open(view, plan).push(entry.of(&line.name));
            }
            return;
        }
        // The daemon, or a branch that plans land on.
        for (name, log) in &mut self.by_name {
            let plan = plan_of(name).and_then(|it| it.strip_prefix('p')?.parse().ok());
            let plan = plan.and_then(|it| view.plans.get(&PlanId(it)));
            let lands_there = |it: &PlanView| {
                Some(it.project) == record.project
                    && it.target == line.name
                    && it.ended_at.is_none()
            };
            if line.name.is_empty() || plan.is_some_and(lands_there) {
                log.push(entry.clone());
            }
        }
    }

    /// Takes in noise.
    pub(crate) fn stream(&mut self, view: &View, name: &str, effect: EffectId, delta: &Delta) {
        let log = self.open(view, name);
        match delta {
            Delta::Text(text) => log.stream(effect, text),
            Delta::Line(text) => {
                log.open = None;
                log.stream(effect, text);
                log.open = None;
            }
        }
    }

    /// Says in every log that something may be missing here.
    pub(crate) fn gap(&mut self, at: Time) {
        for log in self.by_name.values_mut() {
            log.push(Entry::new(at, "some events were missed; the rows above are kept"));
        }
    }

    fn make_room(&mut self) {
        while self.by_name.len() >= LOGS {
            let oldest = self.by_name.iter().min_by_key(|(_, it)| it.touched);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { return };
            self.by_name.remove(&name);
        }
    }
}

/// `p7` of `p7` and of `p7.limiter`; nothing of what is no loop and no plan.
fn plan_of(name: &str) -> Option<&str> {
    let plan = name.split_once('.').map_or(name, |(plan, _)| plan);
    let digits = plan.strip_prefix('p')?;
    (!digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit())).then_some(plan)
}

/// What is told of a record.
pub(crate) fn entry(record: &Record, line: &Line) -> Entry {
    let at = record.at;
    let wait = line.until.map(|until| format!("for {}", format_duration_ms(until.ms_since(at))));
    let entry = Entry::new(at, line.text.as_str()).detail(wait.as_deref().unwrap_or(&line.detail));
    Entry { within: line.within, seq: Some(record.seq), ..entry }
}

/// What the view tells of the past of a loop or a plan.
fn past(view: &View, name: &str) -> Vec<Entry> {
    let mut entries = match view.resolve(name) {
        Ok(Target::Loop(id)) => {
            let of_plan = view.plans.get(&id.plan()).filter(|it| it.single).map(past_of_plan);
            let of_loop = view.loops.get(&id).map(past_of_loop);
            [of_plan, of_loop].into_iter().flatten().flatten().collect()
        }
        Ok(Target::Plan(id)) => {
            let of_plan = view.plans.get(&id).map(past_of_plan).unwrap_or_default();
            let of_loops = view.loops_of(id).flat_map(|it| {
                past_of_loop(it).into_iter().filter(|it| !it.within).map(|entry| entry.of(&it.name))
            });
            of_plan.into_iter().chain(of_loops).collect()
        }
        Err(_) => Vec::new(),
    };
    entries.sort_by_key(|it| it.at);
    entries
}

fn past_of_plan(plan: &PlanView) -> Vec<Entry> {
    let mut out = vec![Entry::new(plan.submitted_at, "submitted").detail(&plan.title)];
    if let Some(GateView { green, summary, at, .. }) = &plan.base_gate {
        let how = if *green { "green" } else { "RED" };
        let text = format!("gate on untouched {}: {how}", plan.target);
        out.push(Entry::new(*at, text).detail(summary));
    }
    out
}

fn past_of_loop(it: &LoopView) -> Vec<Entry> {
    let mut out = Vec::new();
    for row in &it.iterations {
        out.push(Entry::new(row.started_at, format!("iteration {}/{}", row.n, it.max())));
        out.extend(row.verdict.map(|verdict| iteration_end(row, verdict)));
    }
    if let Some(trouble) = &it.trouble {
        out.push(Entry::new(trouble.at, "trouble").detail(&trouble.message).within());
    }
    if let Some(at) = it.approval_asked {
        let text = if it.writes { "its document waits for your word" } else { "ready to land" };
        out.push(Entry::new(at, text));
    }
    if let Some(landed) = &it.landed {
        let text = format!("landed {}", landed.commit.short());
        out.push(Entry::new(landed.at, text).detail(&format!("gated on {}", landed.onto.short())));
    } else if let Some(at) = it.ended_at {
        let why = it.reason.as_ref().map(ToString::to_string).unwrap_or_default();
        out.push(Entry::new(at, it.status.to_string()).detail(&why));
    }
    out
}

fn iteration_end(row: &IterationRow, verdict: Verdict) -> Entry {
    let text = match verdict {
        Verdict::Green => "gate GREEN".to_owned(),
        Verdict::Red => "gate RED".to_owned(),
        Verdict::Unchanged | Verdict::AgentFailed | Verdict::Conflict | Verdict::Objected => {
            verdict.to_string()
        }
    };
    Entry::new(row.started_at.plus_ms(row.ms), text).detail(&row.summary).within()
}
