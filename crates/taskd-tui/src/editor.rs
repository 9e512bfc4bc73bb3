//! One line that a person types.
//!
//! It knows keys and characters, and nothing of what the line is for.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::text::{clean, split, width};

/// Characters a line may have.
const MOST: usize = 4_000;

/// A line being typed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Editor {
    text: Vec<char>,
    /// Characters before the cursor.
    cursor: usize,
}

impl Editor {
    /// What was typed.
    pub(crate) fn text(&self) -> String {
        self.text.iter().collect()
    }

    /// A key; says whether it was one for editing.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a keyboard has many keys that edit nothing"
    )]
    pub(crate) fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('u') if control => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('w') if control => self.drop_word(),
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char(it) if !control => self.insert(it),
            KeyCode::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.text.remove(self.cursor);
            }
            KeyCode::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.text.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }

    /// What was pasted; a line is one line.
    pub(crate) fn paste(&mut self, text: &str) {
        for it in text.chars() {
            self.insert(if it.is_control() { ' ' } else { it });
        }
    }

    /// The line in so many columns, with the cursor in it.
    pub(crate) fn shown(&self, columns: usize) -> String {
        let before = clean(&self.text[..self.cursor].iter().collect::<String>());
        let after = clean(&self.text[self.cursor..].iter().collect::<String>());
        let mut before = before.as_str();
        while width(before) + 1 > columns && !before.is_empty() {
            let first = before.chars().next().map_or(0, char::len_utf8);
            before = &before[first..];
        }
        let room = columns.saturating_sub(width(before) + 1);
        format!("{before}▏{}", split(&after, room).0)
    }

    fn insert(&mut self, it: char) {
        if self.text.len() < MOST {
            self.text.insert(self.cursor, it);
            self.cursor += 1;
        }
    }

    fn drop_word(&mut self) {
        let before = &self.text[..self.cursor];
        let end = before.iter().rposition(|it| *it != ' ').map_or(0, |it| it + 1);
        let start = before[..end].iter().rposition(|it| *it == ' ').map_or(0, |it| it + 1);
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[(KeyCode, KeyModifiers)]) -> Editor {
        let mut it = Editor::default();
        it.paste("one two\nthree");
        keys.iter().for_each(|(code, with)| assert!(it.key(KeyEvent::new(*code, *with))));
        it
    }

    #[test]
    fn a_line_is_edited() {
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        assert_eq!(typed(&[]).text(), "one two three");
        assert_eq!(typed(&[(KeyCode::Char('w'), control)]).text(), "one two ");
        assert_eq!(typed(&[(KeyCode::Backspace, none)]).text(), "one two thre");
        assert_eq!(typed(&[(KeyCode::Char('u'), control)]).text(), "");
        let it = typed(&[
            (KeyCode::Home, none),
            (KeyCode::Right, none),
            (KeyCode::Delete, none),
            (KeyCode::Char('漢'), none),
        ]);
        assert_eq!(it.text(), "o漢e two three");
        assert_eq!(it.shown(80), "o漢▏e two three");
        assert_eq!(typed(&[]).shown(6), "three▏");
        assert!(!Editor::default().key(KeyEvent::new(KeyCode::Enter, none)));
    }
}
