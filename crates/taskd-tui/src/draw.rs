//! The picture: header, tree, log, footer, and what lies over them.
//!
//! It reads the state and the size of the terminal, and nothing else. Every size is drawn, even
//! one in which nothing fits.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Padding, Paragraph},
};
use taskd_model::{Group, LoopId, PlanId, Room, Time, format_clock_ms};

use crate::{
    app::{App, Overlay},
    log::Entry,
    rows::{Row, Subject},
    text::{clean, cut, pad, pad_left, width, wrap},
    words,
};

/// From so many columns on, the log stands beside the tree.
const BESIDE: u16 = 120;

/// Columns of the name in the tree.
const NAME: usize = 15;

const KEYS: &str = "↑↓ select  p pause  r resume  l land  s stop  PgUp log  ? help  q detach";

const HELP: &str = "\
↑ ↓  k j      select a plan or a loop
g G           the first, the last
PgUp PgDn     turn the log; End follows it
p             pause at the next safe point
r             resume
l             land what passed (asks first)
s             stop and keep the work (asks first)
q Esc Ctrl-C  detach; the daemon works on

A key on a plan acts on all its loops.";

impl App {
    /// Draws everything.
    pub fn draw(&self, frame: &mut Frame<'_>) {
        let (banner, notice) = (self.banner(), self.notice.as_deref());
        let [header, below, body, above, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(u16::from(banner.is_some())),
            Constraint::Fill(1),
            Constraint::Length(u16::from(notice.is_some())),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        one_line(frame, header, &self.header(columns(header)), bold());
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        one_line(frame, below, banner.as_deref().unwrap_or_default(), reversed);
        self.draw_body(frame, body);
        one_line(frame, above, notice.unwrap_or_default(), Style::new().fg(Color::Yellow));
        one_line(frame, footer, KEYS, dim());
        match &self.overlay {
            Overlay::None => {}
            Overlay::Help => popup(frame, "keys", HELP),
            Overlay::Confirm(question, _) => {
                popup(frame, "sure?", &format!("{}\n\ny yes   any other key: no", clean(question)));
            }
        }
    }

    fn draw_body(&self, frame: &mut Frame<'_>, area: Rect) {
        if area.width >= BESIDE {
            let [tree, _, log] = Layout::horizontal([
                Constraint::Percentage(50),
                Constraint::Length(1),
                Constraint::Fill(1),
            ])
            .areas(area);
            self.draw_tree(frame, tree);
            self.draw_log(frame, log);
            return;
        }
        let wanted = u16::try_from(self.rows.len()).unwrap_or(u16::MAX);
        let height =
            if area.height < 6 { area.height } else { wanted.clamp(3, area.height / 5 * 3) };
        let [tree, log] =
            Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(area);
        self.draw_tree(frame, tree);
        self.draw_log(frame, log);
    }

    /// Why what is seen may be old.
    fn banner(&self) -> Option<String> {
        let (why, attempt) = self.lost.as_ref()?;
        Some(format!("reconnecting (try {attempt}): {why}"))
    }

    fn header(&self, columns: usize) -> String {
        let version = self.version.as_deref().unwrap_or(&self.view.daemon_version);
        let mut left = format!("taskd {}", clean(version));
        if self.attached {
            left.push_str(&format!("  seq {}", self.view.seq));
        }
        if self.view.parked {
            left.push_str("  PARKED");
        }
        match self.view.disk.room {
            Room::Enough => {}
            Room::Low => left.push_str("  DISK LOW"),
            Room::Full => left.push_str("  DISK FULL"),
        }
        if !self.scope().is_empty() {
            left.push_str(&format!("  {}", clean(self.scope())));
        }
        let groups = self.rows.iter().filter_map(|it| match it {
            Row::Group(Group::Done, _) | Row::Plan(..) | Row::Loop { .. } | Row::More(_) => None,
            Row::Group(group, n) => Some(format!("{group} {n}")),
        });
        let right = groups.collect::<Vec<_>>().join(", ");
        let room = columns.saturating_sub(width(&left) + 2);
        if width(&right) > room { left } else { format!("{left}  {}", pad_left(&right, room)) }
    }

    fn draw_tree(&self, frame: &mut Frame<'_>, area: Rect) {
        let (height, columns) = (usize::from(area.height), columns(area));
        if self.rows.is_empty() {
            let text =
                if self.attached { "nothing here yet; taskd run \"...\"" } else { "connecting" };
            one_line(frame, area, text, dim());
            return;
        }
        let last = self.rows.len().saturating_sub(height);
        let first = self.at.saturating_sub(height / 2).min(last);
        let seen = self.rows.iter().enumerate().skip(first).take(height);
        let lines: Vec<Line<'_>> = seen
            .map(|(place, row)| {
                let selected = self.selected.is_some() && place == self.at;
                let mark = if selected { "> " } else { "  " };
                let (text, style) = self.row(*row, columns.saturating_sub(2));
                let style = if selected { style.add_modifier(Modifier::REVERSED) } else { style };
                let mark = if matches!(row, Row::Group(..)) { "" } else { mark };
                Line::styled(pad(&format!("{mark}{text}"), columns), style)
            })
            .collect();
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn row(&self, row: Row, columns: usize) -> (String, Style) {
        match row {
            Row::Group(group, n) => {
                let style =
                    if group == Group::NeedsYou { bold().fg(Color::Yellow) } else { bold() };
                (format!("{} ({n})", group.to_string().to_uppercase()), style)
            }
            Row::More(n) => (format!("and {n} more: taskd ls -a"), dim()),
            Row::Plan(id, _) => (self.plan_row(id, columns), Style::new()),
            Row::Loop { id, below } => self.loop_row(id, below, columns),
        }
    }

    fn plan_row(&self, id: PlanId, columns: usize) -> String {
        let Some(plan) = self.view.plans.get(&id) else { return String::new() };
        let progress = words::progress(plan);
        let room = columns.saturating_sub(width(&progress) + 1);
        let title = format!("{id}  {}", clean(&plan.title));
        if room < NAME { cut(&title, columns) } else { format!("{} {progress}", pad(&title, room)) }
    }

    fn loop_row(&self, id: LoopId, below: bool, columns: usize) -> (String, Style) {
        let Some(it) = self.view.loops.get(&id) else { return (String::new(), dim()) };
        let name = match it.name.split_once('.') {
            Some((_, rest)) if below => format!("  {rest}"),
            Some(_) | None => it.name.clone(),
        };
        let mut state = words::state(&self.view, it, self.now);
        if !below && it.group() == Group::Done {
            state = format!("{state}  {}", it.title);
        }
        let age = format!(" {}", pad_left(&words::age(self.now, words::since(it)), 5));
        let iterations = match it.group() {
            Group::Working => {
                format!(" {}", pad_left(&format!("{}/{}", it.iteration, it.max()), 6))
            }
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
        (text, if it.group() == Group::Done { dim() } else { Style::new() })
    }

    fn draw_log(&self, frame: &mut Frame<'_>, area: Rect) {
        if area.height == 0 || area.width == 0 {
            return;
        }
        let [title, body] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        let text = self.log_title();
        let rule = "─".repeat(columns(title).saturating_sub(width(&text)));
        one_line(frame, title, &format!("{text}{rule}"), bold());
        let (Some(name), Some(subject)) = (self.log_name(), self.selected) else { return };
        let Some(log) = self.logs.get(&name) else { return };
        let start = self.view.plans.get(&subject.plan()).map_or(self.now, |it| it.submitted_at);
        let height = usize::from(body.height);
        let mut lines: Vec<Line<'_>> = Vec::new();
        for entry in log.entries().iter().rev().skip(self.lines_back()) {
            if lines.len() >= height {
                break;
            }
            lines.extend(entry_lines(entry, start, columns(body)).into_iter().rev());
        }
        lines.truncate(height);
        lines.reverse();
        frame.render_widget(Paragraph::new(lines), body);
    }

    fn log_title(&self) -> String {
        let what = match self.selected {
            Some(Subject::Plan(id, _)) => self.view.plans.get(&id).map(|plan| {
                let cost = words::cost(plan.spent.micros, plan.uncounted);
                format!("{id}  {}  {}, {cost}", plan.title, words::progress(plan))
            }),
            Some(Subject::Loop(_)) => self.selected_loop().map(|it| {
                let (group, n, max) = (it.group(), it.iteration, it.max());
                format!("{}  {}  {group}, iteration {n}/{max}", it.name, it.title)
            }),
            None => None,
        };
        let back = match self.lines_back() {
            0 => String::new(),
            n => format!(" [{n} lines back, End follows]"),
        };
        what.map_or_else(String::new, |it| format!("── {}{back} ", clean(&it)))
    }
}

/// The lines of the terminal that one line of a log takes.
fn entry_lines(entry: &Entry, start: Time, columns: usize) -> Vec<Line<'static>> {
    let clock = if columns < 40 { 0 } else { 8 };
    let time = entry.at.map(|at| format_clock_ms(at.ms_since(start))).unwrap_or_default();
    let time = if clock == 0 { String::new() } else { format!("{}  ", pad_left(&time, clock - 2)) };
    let indent = if entry.within { "  " } else { "" };
    let who = if entry.who.is_empty() { String::new() } else { format!("{} ", entry.who) };
    let text = if entry.detail.is_empty() {
        entry.text.clone()
    } else {
        let column = if columns < 60 { 0 } else { 26_usize.saturating_sub(indent.len()) };
        let text =
            if width(&entry.text) < column { pad(&entry.text, column) } else { entry.text.clone() };
        format!("{text}  {}", entry.detail)
    };
    let room = columns.saturating_sub(clock);
    let style = style(entry);
    let lines = wrap(&format!("{who}{indent}{text}"), room).into_iter().enumerate();
    lines
        .map(|(index, part)| {
            let time = if index == 0 { time.clone() } else { " ".repeat(clock) };
            Line::from(vec![Span::styled(time, dim()), Span::styled(part, style)])
        })
        .collect()
}

fn style(entry: &Entry) -> Style {
    let starts = |them: &[&str]| them.iter().any(|it| entry.text.starts_with(it));
    if entry.is_noise() {
        dim()
    } else if starts(&["gate RED", "failed", "limit reached"]) {
        Style::new().fg(Color::Red)
    } else if starts(&["gate GREEN", "landed"]) {
        Style::new().fg(Color::Green)
    } else if starts(&["needs you", "ready to land"]) {
        Style::new().fg(Color::Yellow)
    } else {
        Style::new()
    }
}

/// Text in a box in the middle, as large as fits.
fn popup(frame: &mut Frame<'_>, title: &str, text: &str) {
    let area = frame.area();
    let longest = text.lines().map(width).max().unwrap_or(0);
    let inside = longest.min(columns(area).saturating_sub(4));
    let lines: Vec<String> = text.lines().flat_map(|it| wrap(it, inside)).collect();
    let size = |it: usize, most: u16| u16::try_from(it).unwrap_or(u16::MAX).min(most);
    let (w, h) = (size(inside + 4, area.width), size(lines.len() + 2, area.height));
    let place = Rect {
        x: area.x + (area.width - w) / 2,
        y: area.y + (area.height - h) / 2,
        width: w,
        height: h,
    };
    let block = Block::bordered().title(format!(" {title} ")).padding(Padding::horizontal(1));
    let lines: Vec<Line<'_>> = lines.into_iter().map(Line::from).collect();
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

fn one_line(frame: &mut Frame<'_>, area: Rect, text: &str, style: Style) {
    let line = Line::styled(cut(text, columns(area)), style);
    frame.render_widget(Paragraph::new(line), area);
}

fn columns(area: Rect) -> usize {
    usize::from(area.width)
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}
