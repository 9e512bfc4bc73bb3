//! Styles: sixteen colours at most, and none where none are wanted.
//!
//! A colour never says what the words beside it do not say.

use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    /// Colours may be used.
    pub(crate) colour: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self { colour: true }
    }
}

impl Theme {
    fn fg(self, style: Style, colour: Color) -> Style {
        if self.colour { style.fg(colour) } else { style }
    }

    /// Titles.
    pub(crate) fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is there if one looks for it.
    pub(crate) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What is selected, and banners.
    pub(crate) fn reversed(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// It went wrong.
    pub(crate) fn red(self) -> Style {
        self.fg(Style::new(), Color::Red)
    }

    /// It went well.
    pub(crate) fn green(self) -> Style {
        self.fg(Style::new(), Color::Green)
    }

    /// It wants a person.
    pub(crate) fn yellow(self) -> Style {
        self.fg(Style::new(), Color::Yellow)
    }

    /// Where something begins.
    pub(crate) fn cyan(self) -> Style {
        self.fg(Style::new(), Color::Cyan)
    }
}
