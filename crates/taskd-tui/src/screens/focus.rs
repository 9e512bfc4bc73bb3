//! One loop: what it is at, and in tabs what it says, what its tools and gates said, its work, its
//! events, its task.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::Paragraph,
};
use taskd_api::{
    Output,
    v1::{DiffResponse, ShowResponse},
};
use taskd_model::{Delta, EffectId, LoopId, LoopView, Record};

use super::{columns, events::Events, fetched::Fetched, one_line, rule, talk::Talk};
use crate::{
    keys::Move,
    log::Entry,
    markdown::lines_of_markdown,
    pager::{Kind, Pager, TextLine, lines_of},
    query::{Found, Query},
    text::{clean, width},
    words,
    world::World,
};

/// A tab.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    #[default]
    Talk,
    Tools,
    Gate,
    Diff,
    Events,
    Task,
}

impl Tab {
    const ALL: [Self; 6] =
        [Self::Talk, Self::Tools, Self::Gate, Self::Diff, Self::Events, Self::Task];

    fn word(self) -> &'static str {
        match self {
            Self::Talk => "talk",
            Self::Tools => "tools",
            Self::Gate => "gate",
            Self::Diff => "diff",
            Self::Events => "events",
            Self::Task => "task",
        }
    }

    fn step(self, on: bool) -> Self {
        let at = Self::ALL.iter().position(|it| *it == self).unwrap_or(0);
        let n = Self::ALL.len();
        Self::ALL[if on { at + 1 } else { at + n - 1 } % n]
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Focus {
    pub(crate) id: LoopId,
    pub(crate) name: String,
    tab: Tab,
    talk: Talk,
    tools: Fetched,
    gate: Fetched,
    diff: Fetched,
    task: Fetched,
    events: Events,
    /// Where the tabs were drawn.
    tabs: Vec<(Rect, Tab)>,
}

impl Focus {
    /// The focus on a loop, as of what is known of it now.
    pub(crate) fn new(world: &World, it: &LoopView) -> Self {
        let start =
            world.view.plans.get(&it.id.plan()).map_or(it.status_since, |it| it.submitted_at);
        Self {
            id: it.id,
            name: it.name.clone(),
            tab: Tab::default(),
            talk: Talk::new(it, world.logs.get(&it.name), start),
            tools: Fetched::new(Pager::tail()),
            gate: Fetched::new(Pager::tail()),
            diff: Fetched::new(Pager::head()),
            task: Fetched::new(Pager::head()),
            events: Events::new(it.id, start, world.view.seq.0),
            tabs: Vec::new(),
        }
    }

    /// An event came that the view does not hold yet; `entry` is what is told of it, if anything is.
    pub(crate) fn record(&mut self, world: &World, record: &Record, entry: Option<&Entry>) {
        self.events.record(record);
        if let Some(entry) = entry.filter(|_| record.loop_id == Some(self.id)) {
            let plan = world.view.plans.get(&self.id.plan());
            self.talk.entry(entry, plan.map_or(world.now, |it| it.submitted_at));
        }
    }

    /// Something streams by.
    pub(crate) fn noise(&mut self, effect: EffectId, delta: &Delta) {
        self.talk.noise(effect, delta);
    }

    /// The view came anew: events from `from` up to `upto` did not come.
    pub(crate) fn missed(&mut self, from: u64, upto: u64) {
        self.events.missed(from, upto);
    }

    /// There is a connection again: what streamed by meanwhile is in what was said before.
    pub(crate) fn reconnected(&mut self) {
        self.talk.due.forget();
    }

    /// The next question about the tab that is open.
    pub(crate) fn ask(&mut self, world: &World) -> Option<Query> {
        let it = world.view.loops.get(&self.id)?;
        let (name, now, state) = (self.name.clone(), world.now, self.state(it));
        if let Some((from, upto)) = self.events.ask(now) {
            return Some(Query::Events { name, from, upto });
        }
        let (due, query): (_, fn(String) -> Query) = match self.tab {
            Tab::Talk => return self.talk.ask(it, now).then_some(Query::Talk(name)),
            Tab::Tools => (self.tools.due(), Query::Tools),
            Tab::Gate => (self.gate.due(), Query::Gate),
            Tab::Diff => (self.diff.due(), Query::Diff),
            Tab::Task => (self.task.due(), Query::Task),
            Tab::Events => return None,
        };
        due.ask(state, now).then(|| query(name))
    }

    /// Something is to be asked for, if not now.
    pub(crate) fn waits(&mut self, world: &World) -> bool {
        let Some(it) = world.view.loops.get(&self.id) else { return false };
        let state = self.state(it);
        let stale = match self.tab {
            Tab::Talk => self.talk.due.is_stale(0),
            Tab::Tools => self.tools.due().is_stale(state),
            Tab::Gate => self.gate.due().is_stale(state),
            Tab::Diff => self.diff.due().is_stale(state),
            Tab::Task => self.task.due().is_stale(state),
            Tab::Events => false,
        };
        stale || self.events.waits()
    }

    /// What the open tab is about, as a number that changes with it.
    fn state(&self, it: &LoopView) -> u64 {
        let mut hash = DefaultHasher::new();
        match self.tab {
            // What is said meanwhile streams by.
            Tab::Talk | Tab::Events => {}
            Tab::Tools | Tab::Task => it.last_seq.hash(&mut hash),
            Tab::Gate => (it.gate.as_ref().map(|it| it.seq), it.accept_green).hash(&mut hash),
            Tab::Diff => {
                let landed = it.landed.map(|it| it.commit.to_string());
                let work = it.checkpoint.map(|it| it.to_string());
                (it.base.commit.to_string(), work, landed).hash(&mut hash);
            }
        }
        hash.finish()
    }

    /// An answer came, or why none did.
    pub(crate) fn answered(&mut self, world: &World, query: &Query, found: Result<&Found, String>) {
        match (query, found) {
            (Query::Talk(name), Ok(Found::Texts(outputs, tail))) if *name == self.name => {
                self.talk.answered(outputs, tail);
            }
            (Query::Talk(name), Err(_)) if *name == self.name => self.talk.due.answered(false),
            (Query::Tools(name), found) if *name == self.name => {
                self.tools.answered(found.map(|it| texts(it, "no tool has run yet")));
            }
            (Query::Gate(name), found) if *name == self.name => {
                let of_gate = world.view.loops.get(&self.id).map(findings).unwrap_or_default();
                let lines = found.map(|it| texts(it, "no gate has run yet"));
                self.gate.answered(lines.map(|it| of_gate.into_iter().chain(it).collect()));
            }
            (Query::Diff(name), found) if *name == self.name => {
                self.diff.answered(found.map(patch));
            }
            (Query::Task(name), found) if *name == self.name => {
                self.task.answered(found.map(task));
            }
            (Query::Events { name, .. }, found) if *name == self.name => {
                let records = match found {
                    Ok(Found::Events(records)) => Some(records.as_slice()),
                    Ok(_) | Err(_) => None,
                };
                self.events.answered(records, world.now);
            }
            _ => {}
        }
    }

    /// The text of the open tab.
    pub(crate) fn pager(&mut self) -> &mut Pager {
        match self.tab {
            Tab::Talk => self.talk.pager(),
            Tab::Tools => &mut self.tools.pager,
            Tab::Gate => &mut self.gate.pager,
            Tab::Diff => &mut self.diff.pager,
            Tab::Events => &mut self.events.pager,
            Tab::Task => &mut self.task.pager,
        }
    }

    /// Moves in the text, or to another tab; says what there is to say about it.
    pub(crate) fn command(&mut self, turn: Move) -> Option<String> {
        match turn {
            Move::Down => self.pager().scroll(1),
            Move::Up => self.pager().scroll(-1),
            Move::PageDown => self.pager().page(true),
            Move::PageUp => self.pager().page(false),
            Move::Top => self.pager().go_top(),
            Move::Bottom | Move::End => self.pager().go_end(),
            Move::Right => self.tab = self.tab.step(true),
            Move::Left => self.tab = self.tab.step(false),
            Move::Next | Move::Previous => {
                let on = turn == Move::Next;
                if !self.pager().next(on) {
                    let needle = self.pager().needle().to_owned();
                    return Some(if needle.is_empty() {
                        "nothing is looked for; / looks for words".to_owned()
                    } else {
                        format!("\"{needle}\" is not in here")
                    });
                }
            }
            Move::Mark | Move::Fold | Move::More => {}
        }
        None
    }

    /// A click on a tab opens it.
    pub(crate) fn click(&mut self, column: u16, row: u16) {
        let hit = self.tabs.iter().find(|(area, _)| area.contains((column, row).into()));
        if let Some((_, tab)) = hit {
            self.tab = *tab;
        }
    }

    /// The wheel turns the text.
    pub(crate) fn wheel(&mut self, down: bool) {
        self.pager().scroll(if down { 3 } else { -3 });
    }

    /// Draws it.
    pub(crate) fn draw(&mut self, world: &World, frame: &mut Frame<'_>, area: Rect) {
        let theme = world.theme;
        let Some(it) = world.view.loops.get(&self.id) else {
            one_line(frame, area, "this loop is not known any more", theme.dim());
            return;
        };
        let mut facts = flow(&words::facts(&world.view, it, world.now), columns(area));
        facts.truncate(usize::from(area.height / 6));
        let [title, above, tabs, body] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(u16::try_from(facts.len()).unwrap_or(0)),
            Constraint::Length(u16::from(area.height > 3)),
            Constraint::Fill(1),
        ])
        .areas(area);
        let (group, n, max) = (it.group(), it.iteration, it.max());
        let text = format!("{}  {}  {group}, iteration {n}/{max}", it.name, it.title);
        rule(theme, frame, title, &clean(&text));
        let lines: Vec<Line<'_>> = facts.iter().map(|it| Line::raw(clean(it))).collect();
        frame.render_widget(Paragraph::new(lines), above);
        let due = match self.tab {
            Tab::Talk => self.talk.due.is_new(),
            Tab::Tools => self.tools.due().is_new(),
            Tab::Gate => self.gate.due().is_new(),
            Tab::Diff => self.diff.due().is_new(),
            Tab::Task => self.task.due().is_new(),
            Tab::Events => self.events.waits(),
        };
        if self.pager().is_empty() {
            let text = if due { "asking the daemon" } else { "nothing yet" };
            one_line(frame, body, text, theme.dim());
        } else {
            self.pager().draw(theme, frame, body);
        }
        // It says how much is below, which is known now.
        self.draw_tabs(world, frame, tabs);
    }

    fn draw_tabs(&mut self, world: &World, frame: &mut Frame<'_>, area: Rect) {
        let theme = world.theme;
        self.tabs.clear();
        let mut spans = Vec::new();
        let mut x = area.x;
        for tab in Tab::ALL {
            let open = tab == self.tab;
            let text = if open { format!("[{}]", tab.word()) } else { format!(" {} ", tab.word()) };
            let w = u16::try_from(width(&text)).unwrap_or(0);
            self.tabs.push((Rect { x, width: w, ..area }, tab));
            x = x.saturating_add(w);
            spans.push(Span::styled(text, if open { theme.bold() } else { theme.dim() }));
        }
        let below = self.pager().below();
        if below > 0 {
            spans.push(Span::styled(format!("  {below} lines below, End follows"), theme.dim()));
        }
        frame.render_widget(Paragraph::new(Line::from(spans)), area);
    }
}

/// Texts with their headings.
fn texts(found: &Found, nothing: &str) -> Vec<TextLine> {
    let Found::Texts(outputs, _) = found else { return Vec::new() };
    if outputs.is_empty() {
        return vec![TextLine::new(nothing, Kind::Dim)];
    }
    let mut lines = Vec::new();
    for Output { heading, text, .. } in outputs {
        lines.push(TextLine::new(&format!("── {heading}"), Kind::Heading));
        lines.extend(lines_of(text, |_| Kind::Plain));
    }
    lines
}

/// What the last gate found, in a few lines.
fn findings(it: &LoopView) -> Vec<TextLine> {
    let Some(gate) = &it.gate else { return Vec::new() };
    let (word, kind) = if gate.green { ("GREEN", Kind::Green) } else { ("RED", Kind::Red) };
    let mut lines = vec![TextLine::new(&format!("gate {word}  {}", gate.summary), kind)];
    let failed = gate.proof.iter().flat_map(|it| &it.failed);
    lines.extend(failed.map(|it| TextLine::new(&format!("  failed: {it}"), Kind::Red)));
    if let Some(suspicion) = &it.suspicion {
        lines.push(TextLine::new(&format!("it {suspicion}; a person decides"), Kind::Yellow));
    }
    lines.push(TextLine::default());
    lines
}

fn patch(found: &Found) -> Vec<TextLine> {
    let Found::Diff(it) = found else { return Vec::new() };
    let DiffResponse { text, change, from, to, truncated, suspicion } = &**it;
    let change = change.unwrap_or_default();
    let short = |it: &str| it.chars().take(7).collect::<String>();
    let (n, added, removed) = (change.files, change.added, change.removed);
    let head = format!("{n} files, +{added} -{removed}, {} to {}", short(from), short(to));
    let mut lines = vec![TextLine::new(&head, Kind::Heading)];
    if !suspicion.is_empty() {
        lines.push(TextLine::new(&format!("it {suspicion}; a person decides"), Kind::Yellow));
    }
    lines.extend(lines_of(text, |line| match line.as_bytes() {
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Kind::Heading,
        [b'd', b'i', b'f', b'f', b' ', ..] => Kind::Heading,
        [b'+', ..] => Kind::Green,
        [b'-', ..] => Kind::Red,
        [b'@', ..] => Kind::Cyan,
        _ => Kind::Plain,
    }));
    if *truncated {
        lines.push(TextLine::new("and more: taskd diff", Kind::Dim));
    }
    lines
}

fn task(found: &Found) -> Vec<TextLine> {
    let Found::Task(it, sent) = found else { return Vec::new() };
    let ShowResponse { text, accept, gate, gate_origin, worker, worktree, .. } = &**it;
    let mut lines = lines_of_markdown(text);
    let mut fact = |label: &str, text: &str| {
        if !text.is_empty() {
            lines.push(TextLine { mark: label.to_owned(), ..TextLine::new(text, Kind::Plain) });
        }
    };
    fact("", " ");
    fact("worker", worker);
    accept.iter().for_each(|it| fact("accept", it));
    gate.iter().for_each(|it| fact("gate", it));
    fact("from", gate_origin);
    fact("ref", &it.r#ref);
    fact("worktree", worktree);
    it.touches.iter().for_each(|it| fact("touches", it));
    it.notes.iter().for_each(|it| fact("told", it));
    it.warnings.iter().for_each(|it| fact("watch", it));
    for Output { heading, text, .. } in sent {
        lines.push(TextLine::default());
        lines.push(TextLine::new(&format!("── sent last: {heading}"), Kind::Heading));
        lines.extend(lines_of(text, |_| Kind::Plain));
    }
    lines
}

/// Items side by side, as many to a line as fit.
fn flow(items: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for it in items {
        match lines.last_mut() {
            Some(last) if width(last) + width(it) + 3 <= columns => {
                last.push_str(" · ");
                last.push_str(it);
            }
            Some(_) | None => lines.push(it.clone()),
        }
    }
    lines
}
