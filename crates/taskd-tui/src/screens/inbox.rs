//! What waits for a person, the oldest first, and the whole of the item that is selected.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::Line,
    widgets::Paragraph,
};
use taskd_model::{InboxItem, InboxKind, Seq, format_duration_ms};

use super::{columns, list::List, one_line, rule, table};
use crate::{
    keys::Move,
    text::{clean, pad, wrap},
    words,
    world::World,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    selected: Option<Seq>,
    list: List,
    /// What was answered is shown, too.
    answered: bool,
}

impl Inbox {
    /// The items that are shown, those that wait first.
    fn items<'a>(&self, world: &'a World) -> Vec<&'a InboxItem> {
        let mut items = world.waiting();
        let covers =
            |it: &&InboxItem| world.view.loops.get(&it.loop_id).is_some_and(|it| world.covers(it));
        if self.answered {
            items.extend(world.view.inbox.answered.iter().rev().filter(covers));
        }
        items
    }

    /// Keeps the selection where it was.
    pub(crate) fn arrange(&mut self, world: &World) {
        let items = self.items(world);
        let same = items.iter().position(|it| Some(it.id) == self.selected);
        let at = same.unwrap_or(self.list.at).min(items.len().saturating_sub(1));
        self.list.at = at;
        self.selected = items.get(at).map(|it| it.id);
    }

    /// The item that is selected.
    pub(crate) fn item<'a>(&self, world: &'a World) -> Option<&'a InboxItem> {
        world.view.inbox.find(self.selected?)
    }

    pub(crate) fn command(&mut self, world: &World, turn: Move) {
        let len = self.items(world).len();
        if turn == Move::More {
            self.answered = !self.answered;
        } else if !self.list.turn(turn, len) {
            return;
        }
        self.selected = self.items(world).get(self.list.at).map(|it| it.id);
        self.arrange(world);
    }

    /// A click selects; says whether it was on what is selected already.
    pub(crate) fn click(&mut self, world: &World, column: u16, row: u16) -> bool {
        let items = self.items(world);
        let Some(at) = self.list.row(column, row, items.len()) else { return false };
        let same = at == self.list.at;
        self.list.at = at;
        self.selected = items.get(at).map(|it| it.id);
        same
    }

    pub(crate) fn draw(&mut self, world: &World, frame: &mut Frame<'_>, area: Rect) {
        let theme = world.theme;
        let items = self.items(world);
        if items.is_empty() {
            one_line(frame, area, "nothing waits for you", theme.dim());
            return;
        }
        let wanted = u16::try_from(items.len()).unwrap_or(u16::MAX);
        let [list, title, body] = Layout::vertical([
            Constraint::Length(wanted.clamp(1, (area.height / 2).max(1))),
            Constraint::Length(1),
            Constraint::Fill(1),
        ])
        .areas(area);
        let rows: Vec<Vec<String>> = items.iter().map(|it| row(world, it)).collect();
        let lines = table::lines(&rows, 2, &[3], columns(list).saturating_sub(2));
        let seen = self.list.window(lines.len(), list);
        let at = self.list.at;
        let shown = lines.iter().enumerate().take(seen.end).skip(seen.start).map(|(n, text)| {
            let selected = n == at;
            let text = format!("{}{text}", if selected { "> " } else { "  " });
            let over = items.get(n).is_some_and(|it| it.closed_at.is_some());
            let style = if over { theme.dim() } else { ratatui::style::Style::new() };
            let style = if selected { style.patch(theme.reversed()) } else { style };
            Line::styled(pad(&text, columns(list)), style)
        });
        frame.render_widget(Paragraph::new(shown.collect::<Vec<_>>()), list);
        if let Some(item) = items.get(at) {
            let name = clean(&world.view.loop_name(item.loop_id));
            rule(theme, frame, title, &format!("{}  {} of {name}", item.name(), item.kind));
            let room = columns(body);
            let lines = whole(world, item).into_iter().flat_map(|it| wrap(&it, room));
            frame.render_widget(Paragraph::new(lines.map(Line::raw).collect::<Vec<_>>()), body);
        }
    }
}

fn row(world: &World, it: &InboxItem) -> Vec<String> {
    let since = words::age(world.now, it.closed_at.unwrap_or(it.since));
    let what = match &it.answer {
        Some(answer) => format!("{}: {}", it.kind, clean(&answer.to_string())),
        None => format!("{}: {}", it.kind, clean(&it.what)),
    };
    vec![it.name(), clean(&world.view.loop_name(it.loop_id)), what, since]
}

/// What a person can do about an item that is not a question.
pub(crate) fn next(world: &World, it: &InboxItem) -> String {
    match it.kind {
        InboxKind::Plan | InboxKind::Landing => {
            "a approves it, x sends it back and says why".to_owned()
        }
        InboxKind::Conflict | InboxKind::Blocked => {
            "r resumes, t tells it something first, s stops it".to_owned()
        }
        InboxKind::Permission | InboxKind::Question => "Enter answers it".to_owned(),
        InboxKind::Budget | InboxKind::Held => world.view.answers(it),
    }
}

/// An item, the whole of it: what is asked, what may be answered, what happens if nobody does.
fn whole(world: &World, it: &InboxItem) -> Vec<String> {
    let mut out = vec![clean(&it.what)];
    if !it.choices.is_empty() {
        out.push(String::new());
        out.extend(it.choices.iter().zip(1..).map(|(name, n)| format!("  {n}  {}", clean(name))));
    }
    out.push(String::new());
    match (&it.default, it.deadline) {
        (Some(default), Some(at)) => {
            let left = format_duration_ms(at.ms_since(world.now) / 1_000 * 1_000);
            out.push(format!("without an answer: {}, in {left}", clean(default)));
        }
        (Some(default), None) => {
            out.push(format!("its default, never taken by itself: {}", clean(default)));
        }
        (None, _) => {}
    }
    out.push(match (&it.answer, it.closed_at) {
        (Some(answer), _) => format!("answered: {}", clean(&answer.to_string())),
        (None, Some(_)) => "nobody answered; it went away".to_owned(),
        (None, None) => format!("{}; o opens the loop", clean(&next(world, it))),
    });
    out
}
