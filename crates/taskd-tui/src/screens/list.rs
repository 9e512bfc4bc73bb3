//! A list of rows of which one is selected.
//!
//! It knows how many there are, and not what they are.

use ratatui::layout::Rect;

use crate::keys::Move;

/// Where in a list somebody is.
#[derive(Debug, Default, Clone)]
pub(crate) struct List {
    /// The selected row.
    pub(crate) at: usize,
    /// The first row in the picture, and where it was drawn.
    first: usize,
    area: Rect,
}

impl List {
    /// Moves within `len` rows; says whether that is what was asked.
    pub(crate) fn turn(&mut self, turn: Move, len: usize) -> bool {
        let last = len.saturating_sub(1);
        let by = match turn {
            Move::Down => 1,
            Move::Up => -1,
            Move::PageDown => self.page(),
            Move::PageUp => -self.page(),
            Move::Top => isize::MIN,
            Move::Bottom => isize::MAX,
            Move::End
            | Move::Left
            | Move::Right
            | Move::Next
            | Move::Previous
            | Move::Mark
            | Move::Fold
            | Move::More => return false,
        };
        self.at = self.at.saturating_add_signed(by).min(last);
        true
    }

    /// The rows in a picture: the selected one is among them.
    pub(crate) fn window(&mut self, len: usize, area: Rect) -> std::ops::Range<usize> {
        let height = usize::from(area.height);
        self.area = area;
        let last = len.saturating_sub(height);
        self.first = self.at.saturating_sub(height / 2).min(last);
        self.first..len.min(self.first + height)
    }

    /// Rows of a picture, at least one.
    fn page(&self) -> isize {
        isize::try_from(self.area.height.saturating_sub(1).max(1)).unwrap_or(isize::MAX)
    }

    /// The row that was drawn here.
    pub(crate) fn row(&self, column: u16, row: u16, len: usize) -> Option<usize> {
        let inside = self.area.contains((column, row).into());
        let at = self.first + usize::from(row.saturating_sub(self.area.y));
        (inside && at < len).then_some(at)
    }

    /// This point is in the picture of the list.
    pub(crate) fn has(&self, column: u16, row: u16) -> bool {
        self.area.contains((column, row).into())
    }
}
