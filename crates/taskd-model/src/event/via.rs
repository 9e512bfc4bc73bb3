//! From where a person reached the daemon.

use std::fmt;

use serde::{Deserialize, Serialize};

/// From where a person, or a program in their name, asked. A client says it of itself: it is told,
/// and decides nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The command line.
    Cli,
    /// The monitor.
    Tui,
    /// The MCP server: an interactive agent in a person's name.
    Mcp,
    /// A page.
    Page,
}

impl Via {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Tui => "tui",
            Self::Mcp => "mcp",
            Self::Page => "page",
        }
    }

    /// What that word stands for; nothing for one this build does not know.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Cli, Self::Tui, Self::Mcp, Self::Page].into_iter().find(|it| it.word() == word)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
