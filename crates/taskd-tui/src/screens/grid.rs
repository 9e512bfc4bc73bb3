//! Several loops at once, each with the last lines of its log: those that were marked, or else those
//! that need a person or work.

use std::collections::BTreeSet;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    widgets::{Block, Borders},
};
use taskd_model::{Group, LoopId, LoopView};

use super::{columns, draw_log, one_line};
use crate::{
    keys::Move,
    rows::Subject,
    text::{clean, cut},
    words,
    world::World,
};

/// Columns and rows that a tile has at least.
const TILE: (u16, u16) = (38, 6);

/// Tiles there are at most, so that each has a log.
const MOST: usize = 24;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    ids: Vec<LoopId>,
    at: usize,
    tiles: Vec<Rect>,
    across: usize,
}

impl Grid {
    /// Chooses the loops, and sees to it that their logs are kept.
    pub(crate) fn arrange(&mut self, world: &mut World, marked: &BTreeSet<LoopId>) {
        let before = self.selected();
        let wanted = |it: &&LoopView| match marked.is_empty() {
            true => matches!(it.group(), Group::NeedsYou | Group::Working),
            false => marked.contains(&it.id),
        };
        let mut loops: Vec<(Group, LoopId)> =
            world.loops().filter(wanted).map(|it| (it.group(), it.id)).collect();
        if marked.is_empty() {
            loops.sort();
        }
        self.ids = loops.into_iter().map(|it| it.1).take(MOST).collect();
        let same = self.ids.iter().position(|it| Some(*it) == before);
        self.at = same.unwrap_or(self.at).min(self.ids.len().saturating_sub(1));
        for id in &self.ids {
            let name = world.view.loop_name(*id);
            world.logs.open(&world.view, &name);
        }
    }

    pub(crate) fn selected(&self) -> Option<LoopId> {
        self.ids.get(self.at).copied()
    }

    /// A loop of this name has a tile.
    pub(crate) fn has(&self, name: &str, world: &World) -> bool {
        self.ids.iter().any(|id| world.view.loops.get(id).is_some_and(|it| it.name == name))
    }

    pub(crate) fn command(&mut self, turn: Move) {
        let across = isize::try_from(self.across.max(1)).unwrap_or(1);
        let by = match turn {
            Move::Down => across,
            Move::Up => -across,
            Move::PageDown | Move::Right => 1,
            Move::PageUp | Move::Left => -1,
            Move::Top => isize::MIN,
            Move::Bottom => isize::MAX,
            Move::End | Move::Next | Move::Previous | Move::Mark | Move::Fold | Move::More => {
                return;
            }
        };
        self.at = self.at.saturating_add_signed(by).min(self.ids.len().saturating_sub(1));
    }

    /// A click selects; says whether it was on what is selected already.
    pub(crate) fn click(&mut self, column: u16, row: u16) -> bool {
        let hit = self.tiles.iter().position(|it| it.contains((column, row).into()));
        let Some(at) = hit else { return false };
        let same = at == self.at;
        self.at = at;
        same
    }

    pub(crate) fn draw(&mut self, world: &World, frame: &mut Frame<'_>, area: Rect) {
        let theme = world.theme;
        if self.ids.is_empty() {
            one_line(frame, area, "nothing works; Space in the list marks loops", theme.dim());
            return;
        }
        let most = usize::from((area.width / TILE.0).max(1));
        let high = usize::from((area.height / TILE.1).max(1));
        let across = most.min(self.ids.len().div_ceil(high)).max(1);
        self.across = across;
        let rows = self.ids.len().div_ceil(across).min(high);
        let first = (self.at / across).saturating_sub(rows - 1) * across;
        let heights = Layout::vertical(vec![Constraint::Fill(1); rows]).split(area);
        self.tiles = vec![Rect::default(); self.ids.len()];
        for (row, area) in heights.iter().enumerate() {
            let tiles = Layout::horizontal(vec![Constraint::Fill(1); across]).split(*area);
            for (column, tile) in tiles.iter().enumerate() {
                let at = first + row * across + column;
                if let Some(id) = self.ids.get(at) {
                    self.tiles[at] = *tile;
                    draw_tile(world, *id, at == self.at, frame, *tile);
                }
            }
        }
    }
}

fn draw_tile(world: &World, id: LoopId, selected: bool, frame: &mut Frame<'_>, area: Rect) {
    let theme = world.theme;
    let Some(it) = world.view.loops.get(&id) else { return };
    let mark = if selected { "> " } else { "" };
    let age = words::age(world.now, words::since(it));
    let title = format!("{mark}{}  {}  {age}", it.name, words::state(&world.view, it, world.now));
    let style = match (selected, it.group()) {
        (true, _) => theme.reversed(),
        (false, Group::NeedsYou) => theme.yellow(),
        (false, Group::Working | Group::Waiting | Group::Done) => theme.bold(),
    };
    let [line, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let text = cut(&clean(&title), columns(line).saturating_sub(1));
    one_line(frame, Rect { width: line.width.saturating_sub(1), ..line }, &text, style);
    let block = Block::new().borders(Borders::RIGHT).border_style(theme.dim());
    let inside = block.inner(body);
    frame.render_widget(block, body);
    draw_log(world, Some(Subject::Loop(id)), 0, frame, inside);
}
