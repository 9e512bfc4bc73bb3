//! The screens, each a small state machine: commands and what the daemon says go in, a picture
//! comes out. None of them knows the terminal, or another screen.

pub(crate) mod costs;
pub(crate) mod events;
pub(crate) mod fetched;
pub(crate) mod focus;
pub(crate) mod grid;
pub(crate) mod inbox;
pub(crate) mod list;
pub(crate) mod loops;
pub(crate) mod queue;
pub(crate) mod table;
pub(crate) mod talk;

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::Paragraph,
};
use taskd_model::{Time, format_clock_ms};

use crate::{
    log::Entry,
    rows::Subject,
    text::{clean, cut, pad, pad_left, width, wrap},
    theme::Theme,
    words,
    world::World,
};

/// One line, cut.
pub(crate) fn one_line(frame: &mut Frame<'_>, area: Rect, text: &str, style: Style) {
    let line = Line::styled(cut(text, columns(area)), style);
    frame.render_widget(Paragraph::new(line), area);
}

/// Columns of an area.
pub(crate) fn columns(area: Rect) -> usize {
    usize::from(area.width)
}

/// The title of a log, with a rule behind it.
pub(crate) fn rule(theme: Theme, frame: &mut Frame<'_>, area: Rect, text: &str) {
    let text = if text.is_empty() { String::new() } else { format!("── {text} ") };
    let line = "─".repeat(columns(area).saturating_sub(width(&text)));
    one_line(frame, area, &format!("{text}{line}"), theme.bold());
}

/// What a log's title says: the subject, and how it is.
pub(crate) fn log_title(world: &World, subject: Option<Subject>, back: usize) -> String {
    let what = match subject {
        Some(Subject::Plan(id, _)) => world.view.plans.get(&id).map(|plan| {
            let cost = words::cost(plan.spent.micros, plan.uncounted);
            format!("{id}  {}  {}, {cost}", plan.title, words::progress(plan))
        }),
        Some(Subject::Loop(_)) => world.loop_of(subject).map(|it| {
            let (group, n, max) = (it.group(), it.iteration, it.max());
            format!("{}  {}  {group}, iteration {n}/{max}", it.name, it.title)
        }),
        None => None,
    };
    let back = match back {
        0 => String::new(),
        n => format!(" [{n} lines back, End follows]"),
    };
    what.map_or_else(String::new, |it| format!("{}{back}", clean(&it)))
}

/// The last lines of a log, but for so many.
pub(crate) fn draw_log(
    world: &World,
    subject: Option<Subject>,
    back: usize,
    frame: &mut Frame<'_>,
    area: Rect,
) {
    let Some(subject) = subject else { return };
    let Some(log) = world.logs.get(&subject.name(&world.view)) else { return };
    let start = world.view.plans.get(&subject.plan()).map_or(world.now, |it| it.submitted_at);
    let height = usize::from(area.height);
    let mut lines: Vec<Line<'_>> = Vec::new();
    for entry in log.entries().iter().rev().skip(back) {
        if lines.len() >= height {
            break;
        }
        lines.extend(entry_lines(world.theme, entry, start, columns(area)).into_iter().rev());
    }
    lines.truncate(height);
    lines.reverse();
    frame.render_widget(Paragraph::new(lines), area);
}

/// The lines of the terminal that one line of a log takes.
fn entry_lines(theme: Theme, entry: &Entry, start: Time, columns: usize) -> Vec<Line<'static>> {
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
    let style = entry.kind().style(theme);
    let lines = wrap(&format!("{who}{indent}{text}"), room).into_iter().enumerate();
    lines
        .map(|(index, part)| {
            let time = if index == 0 { time.clone() } else { " ".repeat(clock) };
            Line::from(vec![Span::styled(time, theme.dim()), Span::styled(part, style)])
        })
        .collect()
}
