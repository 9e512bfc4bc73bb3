//! Where answers go: data to stdout, remarks to stderr. Everything printed goes through here.
//!
//! No colour and nothing that moves unless a terminal shows it.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use serde_json::Value;

use super::failure::Failure;

/// Columns when nobody knows better.
const WIDTH: usize = 80;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// JSON was asked for.
    pub(crate) json: bool,
    /// Remarks are not wanted.
    pub(crate) quiet: bool,
    /// A person reads the answer.
    pub(crate) terminal: bool,
    /// A person can be asked.
    pub(crate) can_ask: bool,
    /// Colours may be used.
    pub(crate) colour: bool,
}

impl Out {
    pub(crate) fn new(json: bool, quiet: bool, no_colour: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name: &str| std::env::var_os(name).is_some_and(|it| !it.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        Self {
            json,
            quiet,
            terminal,
            can_ask: !json && !quiet && terminal && io::stdin().is_terminal(),
            colour: !json && terminal && !no_colour && !set("NO_COLOR") && !dumb,
        }
    }

    /// Columns of the terminal, or of `COLUMNS`; 80 where there is no terminal, so that what is
    /// piped does not depend on who pipes it.
    pub(crate) fn width(&self) -> usize {
        let told = std::env::var("COLUMNS").ok().and_then(|it| it.parse().ok());
        let terminal = || {
            let size = self.terminal.then(crossterm::terminal::size);
            size.and_then(Result::ok).map(|(columns, _)| usize::from(columns))
        };
        told.or_else(terminal).filter(|it| *it > 0).unwrap_or(WIDTH)
    }

    /// The answer, or a piece of it.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// The same as it is.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// One JSON object on a line.
    pub(crate) fn object(&self, value: &Value) -> Result<(), Failure> {
        self.print(&format!("{value}\n"))
    }

    /// A remark.
    pub(crate) fn remark(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// A remark that even the quiet want to hear.
    pub(crate) fn complain(&self, text: &str) {
        // If stderr is closed, nobody wanted to know.
        io::stderr().lock().write_all(format!("{text}\n").as_bytes()).ok();
    }

    /// Lines about what is wrong; nothing if there are none.
    pub(crate) fn complain_block(&self, lines: &str) {
        if !lines.is_empty() {
            io::stderr().lock().write_all(lines.as_bytes()).ok();
        }
    }

    /// Asks, and takes one line; an end of input is an empty one.
    pub(crate) fn ask(&self, question: &str) -> Result<String, Failure> {
        let mut err = io::stderr().lock();
        err.write_all(question.as_bytes())?;
        err.flush()?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}
