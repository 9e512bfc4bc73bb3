//! The first screen: plans and loops in four groups, and the log of the one selected.

use std::collections::BTreeSet;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::Line,
    widgets::Paragraph,
};
use taskd_model::{Group, LoopId, PlanId};

use super::{columns, draw_log, list::List, log_title, one_line, rule};
use crate::{
    keys::Move,
    rows::{self, Row, Subject, Wanted},
    text::{clean, cut, pad, pad_left, width},
    theme::Theme,
    words,
    world::World,
};

/// From so many columns on, the log stands beside the tree.
const BESIDE: u16 = 120;

/// Columns of the name in the tree.
const NAME: usize = 15;

/// Lines of the log that one key turns.
const PAGE: usize = 10;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Loops {
    rows: Vec<Row>,
    pub(crate) selected: Option<Subject>,
    list: List,
    wanted: Wanted,
    folded: BTreeSet<PlanId>,
    /// Loops that are shown in the grid.
    pub(crate) marked: BTreeSet<LoopId>,
    /// Lines of the log below the picture, and how many there were when that was said.
    back: usize,
    back_at: u64,
    log: Rect,
}

impl Loops {
    /// Puts the rows in order and keeps the selection where it was.
    pub(crate) fn arrange(&mut self, world: &mut World) {
        self.rows = rows::rows(world, &self.wanted, &self.folded);
        let at = rows::find(&self.rows, self.selected, self.list.at);
        self.point(world, at);
    }

    /// Only what holds these words.
    pub(crate) fn filter(&mut self, world: &mut World, text: &str) {
        self.wanted = Wanted::new(text);
        self.arrange(world);
    }

    /// The words rows must hold.
    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// What is left out, in words.
    pub(crate) fn told(&self) -> Option<String> {
        if self.wanted.is_all() {
            return None;
        }
        let n = self.rows.iter().filter(|it| matches!(it, Row::Loop { .. })).count();
        Some(format!("only what holds \"{}\": {n}  (Esc shows all)", clean(&self.wanted.text())))
    }

    /// A loop or a plan is selected.
    pub(crate) fn go(&mut self, world: &mut World, subject: Subject) {
        if let Some(at) = rows::find(&self.rows, Some(subject), self.list.at) {
            self.point(world, Some(at));
        }
    }

    /// Moves the selection, or the log.
    pub(crate) fn command(&mut self, world: &mut World, turn: Move) {
        let (at, len) = (self.list.at, self.rows.len());
        match turn {
            Move::Down => self.select(world, (at + 1..len).collect()),
            Move::Up => self.select(world, (0..at).rev().collect()),
            Move::Top => self.select(world, (0..len).collect()),
            Move::Bottom => self.select(world, (0..len).rev().collect()),
            Move::PageUp => self.turn(world, self.lines_back(world) + PAGE),
            Move::PageDown => self.turn(world, self.lines_back(world).saturating_sub(PAGE)),
            Move::End => self.turn(world, 0),
            Move::Mark => {
                if let Some(Subject::Loop(id)) = self.selected
                    && !self.marked.remove(&id)
                {
                    self.marked.insert(id);
                }
            }
            Move::Fold => {
                if let Some(Subject::Plan(id, _)) = self.selected {
                    if !self.folded.remove(&id) {
                        self.folded.insert(id);
                    }
                    self.arrange(world);
                }
            }
            Move::Left | Move::Right | Move::Next | Move::Previous | Move::More => {}
        }
    }

    /// A click; says whether it was on what is selected already.
    pub(crate) fn click(&mut self, world: &mut World, column: u16, row: u16) -> bool {
        let Some(at) = self.list.row(column, row, self.rows.len()) else { return false };
        let before = self.selected;
        self.select(world, vec![at]);
        self.selected.is_some() && self.selected == before && self.list.at == at
    }

    /// The wheel turns what is below it.
    pub(crate) fn wheel(&mut self, world: &mut World, column: u16, row: u16, down: bool) {
        if self.list.has(column, row) {
            self.command(world, if down { Move::Down } else { Move::Up });
        } else if self.log.contains((column, row).into()) {
            let back = self.lines_back(world);
            self.turn(world, if down { back.saturating_sub(3) } else { back + 3 });
        }
    }

    /// Lines of the selected log that lie below the picture.
    fn lines_back(&self, world: &World) -> usize {
        let Some(log) = self.log_name(world).and_then(|it| world.logs.get(&it)) else { return 0 };
        if self.back == 0 {
            return 0;
        }
        let since = usize::try_from(log.written() - self.back_at.min(log.written()));
        let back = self.back.saturating_add(since.unwrap_or(usize::MAX));
        back.min(log.entries().len().saturating_sub(1))
    }

    /// Name of the selected log.
    pub(crate) fn log_name(&self, world: &World) -> Option<String> {
        self.selected.map(|it| it.name(&world.view))
    }

    /// Selects the first of these rows that can be.
    fn select(&mut self, world: &mut World, places: Vec<usize>) {
        let can = |at: &usize| self.rows.get(*at).is_some_and(|it| it.subject().is_some());
        let place = places.into_iter().find(can);
        if place.is_some() {
            self.point(world, place);
        }
    }

    fn point(&mut self, world: &mut World, place: Option<usize>) {
        let before = self.log_name(world);
        self.list.at = place.unwrap_or(0);
        self.selected = place.and_then(|it| self.rows.get(it)?.subject());
        let name = self.log_name(world);
        if let Some(name) = &name {
            world.logs.open(&world.view, name);
        }
        if name != before {
            self.back = 0;
        }
    }

    fn turn(&mut self, world: &World, back: usize) {
        let log = self.log_name(world).and_then(|it| world.logs.get(&it));
        let (lines, written) = log.map_or((0, 0), |it| (it.entries().len(), it.written()));
        self.back = back.min(lines.saturating_sub(1));
        self.back_at = written;
    }

    /// Draws tree and log, beside or below each other.
    pub(crate) fn draw(&mut self, world: &World, frame: &mut Frame<'_>, area: Rect) {
        let (tree, log) = if area.width >= BESIDE {
            let [tree, _, log] = Layout::horizontal([
                Constraint::Percentage(50),
                Constraint::Length(1),
                Constraint::Fill(1),
            ])
            .areas(area);
            (tree, log)
        } else {
            let wanted = u16::try_from(self.rows.len()).unwrap_or(u16::MAX);
            let height =
                if area.height < 6 { area.height } else { wanted.clamp(3, area.height / 5 * 3) };
            let [tree, log] =
                Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(area);
            (tree, log)
        };
        self.draw_tree(world, frame, tree);
        self.log = log;
        if log.height == 0 || log.width == 0 {
            return;
        }
        let [title, body] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(log);
        let back = self.lines_back(world);
        rule(world.theme, frame, title, &log_title(world, self.selected, back));
        draw_log(world, self.selected, back, frame, body);
    }

    fn draw_tree(&mut self, world: &World, frame: &mut Frame<'_>, area: Rect) {
        let (theme, columns) = (world.theme, columns(area));
        let seen = self.list.window(self.rows.len(), area);
        if self.rows.is_empty() {
            let text = match (world.attached, self.wanted.is_all()) {
                (false, _) => "connecting",
                (true, true) => "nothing here yet; taskd run \"...\"",
                (true, false) => "nothing holds these words",
            };
            one_line(frame, area, text, theme.dim());
            return;
        }
        let lines: Vec<Line<'_>> = seen
            .filter_map(|place| {
                let row = *self.rows.get(place)?;
                let selected = self.selected.is_some() && place == self.list.at;
                let mark = match row {
                    Row::Group(..) => "",
                    _ if selected => "> ",
                    Row::Loop { id, .. } if self.marked.contains(&id) => "* ",
                    Row::Plan(..) | Row::Loop { .. } | Row::More(_) => "  ",
                };
                let (text, style) = self.row(world, row, columns.saturating_sub(2));
                let style = if selected { style.patch(theme.reversed()) } else { style };
                Some(Line::styled(pad(&format!("{mark}{text}"), columns), style))
            })
            .collect();
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn row(&self, world: &World, row: Row, columns: usize) -> (String, Style) {
        let theme = world.theme;
        match row {
            Row::Group(group, n) => {
                let needs = if group == Group::NeedsYou { theme.yellow() } else { Style::new() };
                (format!("{} ({n})", group.to_string().to_uppercase()), theme.bold().patch(needs))
            }
            Row::More(n) => (format!("and {n} more: taskd ls -a"), theme.dim()),
            Row::Plan(id, _) => (self.plan_row(world, id, columns), Style::new()),
            Row::Loop { id, below } => loop_row(world, id, below, columns),
        }
    }

    fn plan_row(&self, world: &World, id: PlanId, columns: usize) -> String {
        let Some(plan) = world.view.plans.get(&id) else { return String::new() };
        let folded = if self.folded.contains(&id) { ", folded" } else { "" };
        let progress = format!("{}{folded}", words::progress(plan));
        let room = columns.saturating_sub(width(&progress) + 1);
        let title = format!("{id}  {}", clean(&plan.title));
        if room < NAME { cut(&title, columns) } else { format!("{} {progress}", pad(&title, room)) }
    }
}

/// One line about a loop: what it does, for how long, what it cost.
pub(crate) fn loop_row(world: &World, id: LoopId, below: bool, columns: usize) -> (String, Style) {
    let theme: Theme = world.theme;
    let Some(it) = world.view.loops.get(&id) else { return (String::new(), theme.dim()) };
    let name = match it.name.split_once('.') {
        Some((_, rest)) if below => format!("  {rest}"),
        Some(_) | None => it.name.clone(),
    };
    let mut state = words::state(&world.view, it, world.now);
    if !below && it.group() == Group::Done {
        state = format!("{state}  {}", it.title);
    }
    let age = format!(" {}", pad_left(&words::age(world.now, words::since(it)), 5));
    let iterations = match it.group() {
        Group::Working => format!(" {}", pad_left(&format!("{}/{}", it.iteration, it.max()), 6)),
        Group::NeedsYou | Group::Waiting | Group::Done => String::new(),
    };
    let cost = pad_left(&words::cost(it.spent.micros, it.uncounted), 8);
    let right = match columns {
        0..40 => String::new(),
        40..60 => age,
        60.. => format!("{iterations}{age} {cost}"),
    };
    let named = NAME.min(columns / 2);
    let room = columns.saturating_sub(named + 1 + width(&right));
    let text = format!("{} {}{right}", pad(&clean(&name), named), pad(&clean(&state), room));
    (text, if it.group() == Group::Done { theme.dim() } else { Style::new() })
}
