//! Pictures for terminals that know no other signs than those of ASCII.
//!
//! It is done to the whole picture, so nothing that draws needs to know.

use ratatui::buffer::Buffer;

/// Spells every other sign with one of ASCII that takes its place; letters of people's texts that
/// have none become a question mark.
pub(crate) fn spell(picture: &mut Buffer) {
    for cell in &mut picture.content {
        if !cell.symbol().is_ascii() {
            cell.set_char(instead_of(cell.symbol()));
        }
    }
}

fn instead_of(symbol: &str) -> char {
    match symbol {
        "─" | "·" => '-',
        "│" | "▏" => '|',
        "…" => '~',
        "↑" => '^',
        "↓" => 'v',
        "←" => '<',
        "→" => '>',
        _ => '?',
    }
}
