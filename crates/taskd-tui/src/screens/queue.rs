//! Who waits for whom: landing queues with what is brought next, and calls of models.

use ratatui::{Frame, layout::Rect, style::Style, text::Line, widgets::Paragraph};
use taskd_api::v1;
use taskd_model::Time;

use super::{columns, fetched::Due, list::List, one_line, table};
use crate::{
    keys::Move,
    query::Query,
    text::{clean, pad},
    words,
    world::World,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    answer: Option<v1::QueueResponse>,
    trouble: Option<String>,
    due: Due,
    list: List,
    /// The entry that is selected.
    selected: Option<u64>,
}

impl Queue {
    /// The entries of landing queues in scope, with the row of each queue.
    fn entries<'a>(&'a self, world: &World) -> Vec<(&'a v1::LandingRow, &'a v1::LandingEntry)> {
        let landing = self.answer.iter().flat_map(|it| &it.landing);
        let known = |root: &str| {
            let mut projects = world.view.projects.iter();
            projects.any(|(id, it)| it.root == root && world.has_project(*id))
        };
        landing
            .filter(|it| known(&it.root))
            .flat_map(|it| it.entries.iter().map(move |entry| (it, entry)))
            .collect()
    }

    /// The next question.
    pub(crate) fn ask(&mut self, world: &World) -> Option<Query> {
        self.due.ask(world.view.seq.0, world.now).then_some(Query::Queue)
    }

    /// Something is to be asked for, if not now.
    pub(crate) fn waits(&self, world: &World) -> bool {
        self.due.is_stale(world.view.seq.0)
    }

    pub(crate) fn answered(&mut self, world: &World, answer: Result<v1::QueueResponse, String>) {
        self.due.answered(answer.is_ok());
        match answer {
            Ok(answer) => (self.answer, self.trouble) = (Some(answer), None),
            Err(why) => self.trouble = Some(why),
        }
        let entries = self.entries(world);
        let same = entries.iter().position(|it| Some(it.1.entry) == self.selected);
        let at = same.unwrap_or(self.list.at).min(entries.len().saturating_sub(1));
        let selected = entries.get(at).map(|it| it.1.entry);
        (self.list.at, self.selected) = (at, selected);
    }

    /// The name of the loop whose entry is selected.
    pub(crate) fn name(&self, world: &World) -> Option<String> {
        let entries = self.entries(world);
        let (_, entry) = entries.get(self.list.at)?;
        (!entry.refresh).then(|| entry.name.clone())
    }

    pub(crate) fn command(&mut self, world: &World, turn: Move) {
        let len = self.entries(world).len();
        if !self.list.turn(turn, len) {
            return;
        }
        self.selected = self.entries(world).get(self.list.at).map(|it| it.1.entry);
    }

    /// A click selects; says whether it was on what is selected already.
    pub(crate) fn click(&mut self, world: &World, column: u16, row: u16) -> bool {
        let len = self.entries(world).len();
        let Some(at) = self.list.row(column, row.saturating_sub(1), len) else { return false };
        let same = at == self.list.at;
        self.list.at = at;
        self.selected = self.entries(world).get(at).map(|it| it.1.entry);
        same
    }

    pub(crate) fn draw(&mut self, world: &World, frame: &mut Frame<'_>, area: Rect) {
        let theme = world.theme;
        let Some(answer) = &self.answer else {
            let text = self.trouble.as_deref().unwrap_or("asking the daemon");
            one_line(frame, area, text, theme.dim());
            return;
        };
        let wide = columns(area);
        let mut lines: Vec<Line<'_>> = Vec::new();
        let entries = self.entries(world);
        if entries.is_empty() {
            lines.push(Line::styled("no landing queue has an entry", theme.dim()));
        } else {
            let heading = ["LANDING", "TO", "PHASE", "SINCE"].map(str::to_owned).to_vec();
            let rows = entries.iter().map(|(_, it)| landing(world, it));
            let rows: Vec<Vec<String>> = [heading].into_iter().chain(rows).collect();
            for (n, text) in table::lines(&rows, 1, &[3], wide.saturating_sub(2)).iter().enumerate()
            {
                let selected = n == self.list.at + 1;
                let style = match (n, selected) {
                    (0, _) => theme.bold(),
                    (_, true) => theme.reversed(),
                    (_, false) => Style::new(),
                };
                let mark = if selected { "> " } else { "  " };
                lines.push(Line::styled(pad(&format!("{mark}{text}"), wide), style));
            }
        }
        let seen = entries.len();
        lines.push(Line::raw(""));
        lines.extend(models(world, answer, wide));
        // Room for the list's own idea of where its rows are; the heading is one line above.
        self.list.window(seen, area);
        let height = usize::from(area.height);
        let first = (self.list.at + 2).saturating_sub(height);
        let shown: Vec<Line<'_>> = lines.into_iter().skip(first).take(height).collect();
        frame.render_widget(Paragraph::new(shown), area);
    }
}

fn landing(world: &World, it: &v1::LandingEntry) -> Vec<String> {
    let to = match (it.refresh, it.target.is_empty()) {
        (true, _) => "its plan: the target moved".to_owned(),
        (false, true) => "its plan".to_owned(),
        (false, false) => clean(&it.target),
    };
    let phase = match (it.held, it.phase()) {
        (Some(by), _) => format!("held by user {}", by.uid),
        (None, v1::QueuePhase::Waiting | v1::QueuePhase::Unspecified) => "waits".to_owned(),
        (None, v1::QueuePhase::Building) => "building".to_owned(),
        (None, v1::QueuePhase::Gating) => "gate".to_owned(),
        (None, v1::QueuePhase::Publishing) => "moving the branch".to_owned(),
    };
    vec![clean(&it.name), to, phase, words::age(world.now, Time(it.since))]
}

/// Models with their calls, and who waits for each.
fn models(world: &World, answer: &v1::QueueResponse, wide: usize) -> Vec<Line<'static>> {
    let theme = world.theme;
    if answer.buckets.is_empty() {
        return vec![Line::styled("no model was called yet", theme.dim())];
    }
    let mut rows = vec![["MODEL", "CALLS", "WAITING", "STATE"].map(str::to_owned).to_vec()];
    for it in &answer.buckets {
        let until = it.until.map(Time).filter(|it| world.now < *it);
        let until = until.map(|it| format!(", {} more", words::age(it, world.now)));
        let state = match it.state() {
            v1::BucketState::Open | v1::BucketState::Unspecified => "open",
            v1::BucketState::Refused => "refused",
            v1::BucketState::LeftAlone => "left alone",
            v1::BucketState::Ramping => "ramping",
        };
        rows.push(vec![
            clean(&it.name),
            format!("{} of {}", it.in_flight, it.limit),
            it.waiting.to_string(),
            format!("{state}{}", until.unwrap_or_default()),
        ]);
    }
    let lines = table::lines(&rows, 0, &[2], wide.saturating_sub(2));
    let mut out: Vec<Line<'static>> = Vec::new();
    for (n, text) in lines.into_iter().enumerate() {
        let style = if n == 0 { theme.bold() } else { Style::new() };
        out.push(Line::styled(format!("  {text}"), style));
        let Some(it) = n.checked_sub(1).and_then(|n| answer.buckets.get(n)) else { continue };
        for (n, row) in (1..).zip(&it.next) {
            let waits = words::age(world.now, Time(row.since));
            let text = format!("    {n}. {}, {waits}", clean(&row.name));
            out.push(Line::styled(text, theme.dim()));
        }
    }
    out
}
