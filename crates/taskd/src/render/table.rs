//! Tables: columns as wide as what is in them, one of which takes or gives what is left.
//!
//! Two spaces between columns, no lines, nothing behind the last one.

use super::text::{cut, pad, pad_left, width};

const GAP: usize = 2;

/// The column that gives way keeps so much.
const FLEX_MIN: usize = 8;

/// Rows below a heading.
#[derive(Debug, Default)]
pub(super) struct Table {
    heading: Vec<String>,
    /// From this column on, text is at the right end.
    right_from: usize,
    /// The column that gives way.
    flex: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heading: &[&str], flex: usize, right_from: usize) -> Self {
        let heading = heading.iter().map(|it| (*it).to_owned()).collect();
        Self { heading, right_from, flex, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.heading.len());
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Columns the column takes.
    pub(super) fn natural(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|it| it.get(column));
        cells.chain(self.heading.get(column)).map(|it| width(it)).max().unwrap_or(0)
    }

    /// Columns a whole row takes if its first column takes `first`.
    pub(super) fn total(&self, first: usize) -> usize {
        let rest: usize = (1..self.heading.len()).map(|it| GAP + self.natural(it)).sum();
        first.max(self.natural(0)) + rest
    }

    /// Heading and rows: the first column at least `first` wide, each line `line` wide if the
    /// column that gives way can see to that, and none wider than `most`.
    pub(super) fn draw(&self, first: usize, line: usize, most: usize) -> Vec<String> {
        let mut widths: Vec<usize> = (0..self.heading.len()).map(|it| self.natural(it)).collect();
        if let Some(it) = widths.first_mut() {
            *it = first.max(*it);
        }
        let total: usize = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        if let Some(it) = widths.get_mut(self.flex) {
            *it = (*it + line).saturating_sub(total).max(FLEX_MIN.min(*it));
        }
        let draw = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths).enumerate().map(|(n, (cell, width))| {
                if self.right_from <= n { pad_left(cell, *width) } else { pad(cell, *width) }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            cut(line.trim_end(), most)
        };
        std::iter::once(&self.heading).chain(&self.rows).map(draw).collect()
    }
}
