//! A list of rows of which one is selected.
//!
//! It knows how many there are, and not what they are.

use ratatui::layout::Rect;

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
    /// Moves by so many rows of `len`.
    pub(crate) fn step(&mut self, by: isize, len: usize) {
        self.at = self.at.saturating_add_signed(by).min(len.saturating_sub(1));
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
    pub(crate) fn page(&self) -> isize {
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
