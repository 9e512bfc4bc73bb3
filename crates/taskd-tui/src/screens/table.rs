//! Rows of cells in columns: as wide as what stands in them, one of them cut to what is left.
//!
//! Cells are cleaned by whoever makes them.

use crate::text::{cut, pad, pad_left, width};

/// The rows as lines of at most so many columns; column `wide` gives way, those in `right` are
/// numbers.
pub(crate) fn lines(
    rows: &[Vec<String>],
    wide: usize,
    right: &[usize],
    columns: usize,
) -> Vec<String> {
    let n = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..n)
        .map(|at| rows.iter().filter_map(|it| Some(width(it.get(at)?))).max().unwrap_or(0))
        .collect();
    let gaps = 2 * n.saturating_sub(1);
    let others: usize =
        widths.iter().enumerate().filter(|(at, _)| *at != wide).map(|it| it.1).sum();
    if let Some(it) = widths.get_mut(wide) {
        *it = (*it).min(columns.saturating_sub(others + gaps)).max(4);
    }
    let line = |row: &Vec<String>| {
        let cell = |(at, text): (usize, &String)| {
            let room = widths.get(at).copied().unwrap_or(0);
            if right.contains(&at) { pad_left(text, room) } else { pad(text, room) }
        };
        let line = row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ");
        cut(line.trim_end(), columns)
    };
    rows.iter().map(line).collect()
}
