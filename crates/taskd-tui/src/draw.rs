//! The frame around the screens: header, banner, footer, and what lies over them.
//!
//! Every size is drawn, even one in which nothing fits.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Clear, Padding, Paragraph},
};
use taskd_model::{Group, Room};

use crate::{
    app::App,
    ascii,
    keys::{self, Place},
    overlay::{Overlay, Palette, Pick},
    screens::{columns, one_line},
    text::{clean, cut, pad, pad_left, width, wrap},
};

/// Less than this shows one line only.
const LEAST: (u16, u16) = (16, 4);

/// From so many columns on, the header names every screen.
const NAMES: usize = 70;

impl App {
    /// Draws everything.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        self.draw_all(frame);
        if self.ascii {
            ascii::spell(frame.buffer_mut());
        }
    }

    fn draw_all(&mut self, frame: &mut Frame<'_>) {
        self.settle();
        let theme = self.world.theme;
        let area = frame.area();
        if area.width < LEAST.0 || area.height < LEAST.1 {
            self.places.clear();
            let text = format!("{} need you", self.world.count(Group::NeedsYou));
            one_line(frame, area, &text, theme.bold());
            return;
        }
        let (banner, notice) = (self.banner(), self.told());
        let [header, below, body, above, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(u16::from(banner.is_some())),
            Constraint::Fill(1),
            Constraint::Length(u16::from(notice.is_some())),
            Constraint::Length(1),
        ])
        .areas(area);
        self.draw_header(frame, header);
        one_line(frame, below, banner.as_deref().unwrap_or_default(), theme.reversed());
        let world = &self.world;
        match self.place {
            Place::Loops => self.loops.draw(world, frame, body),
            Place::Inbox => self.inbox.draw(world, frame, body),
            Place::Queue => self.queue.draw(world, frame, body),
            Place::Costs => self.costs.draw(world, frame, body),
            Place::Grid => self.grid.draw(world, frame, body),
            Place::Focus => {
                if let Some(it) = &mut self.focus {
                    it.draw(world, frame, body);
                }
            }
        }
        one_line(frame, above, notice.as_deref().unwrap_or_default(), theme.yellow());
        self.draw_footer(frame, footer);
        self.draw_overlay(frame);
    }

    /// Why what is seen may be old.
    fn banner(&self) -> Option<String> {
        let (why, attempt) = self.lost.as_ref()?;
        Some(format!("reconnecting (try {attempt}): {why}"))
    }

    /// What there is to say: of what was done last, or of what is left out.
    fn told(&self) -> Option<String> {
        let left_out = || if self.place == Place::Loops { self.loops.told() } else { None };
        self.notice.clone().or_else(left_out)
    }

    fn draw_header(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let theme = self.world.theme;
        let all = columns(area);
        self.places.clear();
        let mut spans: Vec<Span<'_>> = Vec::new();
        let mut used = 0;
        if all >= NAMES {
            let version = self.version.as_deref().unwrap_or(&self.world.view.daemon_version);
            let text = format!("taskd {} ", clean(version));
            used += width(&text);
            spans.push(Span::raw(text));
        }
        let waiting = self.world.waiting().len();
        for (n, place) in (1..).zip(Place::TOP) {
            let open = place == self.place;
            let few = all < NAMES;
            if few && !open {
                continue;
            }
            let more = if place == Place::Inbox && waiting > 0 {
                format!(" {waiting}")
            } else {
                String::new()
            };
            let (left, right) = if open { ("[", "]") } else { (" ", " ") };
            let text = format!("{left}{n} {}{more}{right}", place.word());
            let w = width(&text);
            let x = area.x.saturating_add(u16::try_from(used).unwrap_or(u16::MAX));
            let hit = Rect { x, width: u16::try_from(w).unwrap_or(0), ..area };
            self.places.push((hit.intersection(area), place));
            used += w;
            spans.push(Span::styled(text, if open { theme.bold() } else { Style::new() }));
        }
        if let Some(focus) = &self.focus {
            let text = cut(&format!("[{}]", clean(&focus.name)), all.saturating_sub(used));
            used += width(&text);
            spans.push(Span::styled(text, theme.bold()));
        }
        let right = self.header_right(all.saturating_sub(used + 1));
        spans.push(Span::raw(pad_left(&right, all.saturating_sub(used))));
        frame.render_widget(Paragraph::new(Line::from(spans)), area);
    }

    /// As much as fits of: warnings, groups, project, sequence number.
    fn header_right(&self, room: usize) -> String {
        let world = &self.world;
        let mut parts: Vec<String> = Vec::new();
        if world.attached {
            parts.push(format!("seq {}", world.view.seq));
        }
        if world.view.parked {
            parts.insert(0, "PARKED".to_owned());
        }
        match world.view.disk.room {
            Room::Enough => {}
            Room::Low => parts.insert(0, "DISK LOW".to_owned()),
            Room::Full => parts.insert(0, "DISK FULL".to_owned()),
        }
        let groups = [Group::NeedsYou, Group::Working, Group::Waiting];
        let groups = groups.into_iter().filter(|it| world.count(*it) > 0);
        let groups = groups.map(|it| format!("{it} {}", world.count(it))).collect::<Vec<_>>();
        let more = [groups.join(", "), clean(&world.scope)];
        let mut text = parts.join("  ");
        for it in more.into_iter().filter(|it| !it.is_empty()) {
            let gap = if text.is_empty() { "" } else { "  " };
            let longer = format!("{it}{gap}{text}");
            if width(&longer) <= room {
                text = longer;
            }
        }
        text
    }

    fn draw_footer(&self, frame: &mut Frame<'_>, area: Rect) {
        let theme = self.world.theme;
        let Overlay::Input(input) = &self.overlay else {
            one_line(frame, area, &keys::footer(self.place, columns(area)), theme.dim());
            return;
        };
        let label = format!("{}> ", input.goal.label());
        let label = cut(&label, columns(area) / 2);
        let text = input.editor.shown(columns(area).saturating_sub(width(&label)));
        let line = Line::from(vec![Span::styled(label, theme.bold()), Span::raw(text)]);
        frame.render_widget(Paragraph::new(line), area);
    }

    fn draw_overlay(&self, frame: &mut Frame<'_>) {
        match &self.overlay {
            Overlay::None | Overlay::Input(_) => {}
            Overlay::Help(line) => self.draw_help(frame, *line),
            Overlay::Confirm(question, _) => {
                let text = [clean(question), String::new(), "y yes   any other key: no".to_owned()];
                popup(frame, "sure?", &text, None);
            }
            Overlay::Pick(pick) => draw_pick(frame, pick),
            Overlay::Palette(palette) => self.draw_palette(frame, palette),
        }
    }

    fn draw_help(&self, frame: &mut Frame<'_>, line: usize) {
        let help = keys::help(self.place);
        let height = usize::from(frame.area().height).saturating_sub(2);
        let first = line.min(help.len().saturating_sub(height));
        let more = if help.len() > height { ", ↓ for more" } else { "" };
        let title = format!("keys: {}{more}", self.place.word());
        popup(frame, &title, &help[first..], None);
    }

    fn draw_palette(&self, frame: &mut Frame<'_>, palette: &Palette) {
        let height = usize::from(frame.area().height).saturating_sub(5).clamp(1, 14);
        let room = columns(frame.area()).saturating_sub(4).clamp(1, 72);
        let offers = palette.offers(&self.world, self.place);
        let first = (palette.at + 1).saturating_sub(height);
        let mut lines = vec![pad(&format!(": {}", palette.editor.shown(room - 2)), room)];
        if offers.is_empty() {
            lines.push("nothing is called that".to_owned());
        }
        let shown = offers.iter().skip(first).take(height).map(|(text, _)| cut(text, room));
        lines.extend(shown);
        popup(frame, "command, or a loop", &lines, Some(1 + palette.at - first));
    }
}

fn draw_pick(frame: &mut Frame<'_>, pick: &Pick) {
    let height = usize::from(frame.area().height).saturating_sub(4).max(1);
    let room = columns(frame.area()).saturating_sub(4);
    let first = (pick.at + 1).saturating_sub(height);
    let shown = pick.rows.iter().skip(first).take(height);
    let lines: Vec<String> = shown.map(|(text, _)| cut(text, room)).collect();
    popup(frame, &pick.title, &lines, Some(pick.at - first));
}

/// Text in a box in the middle, as large as fits; a line of it may be selected.
fn popup(frame: &mut Frame<'_>, title: &str, text: &[String], selected: Option<usize>) {
    let area = frame.area();
    let longest = text.iter().map(|it| width(it)).chain([width(title) + 2]).max().unwrap_or(0);
    let inside = longest.min(columns(area).saturating_sub(4));
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (at, it) in text.iter().enumerate() {
        let here = selected == Some(at);
        let style = if here { crate::theme::Theme::default().reversed() } else { Style::new() };
        let part = |part: String| Line::styled(if here { pad(&part, inside) } else { part }, style);
        lines.extend(wrap(it, inside).into_iter().map(part));
    }
    let size = |it: usize, most: u16| u16::try_from(it).unwrap_or(u16::MAX).min(most);
    let (w, h) = (size(inside + 4, area.width), size(lines.len() + 2, area.height));
    let place = Rect {
        x: area.x + (area.width - w) / 2,
        y: area.y + (area.height - h) / 2,
        width: w,
        height: h,
    };
    let title = format!(" {} ", cut(title, columns(area).saturating_sub(4)));
    let block = Block::bordered().title(title).padding(Padding::horizontal(1));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}
