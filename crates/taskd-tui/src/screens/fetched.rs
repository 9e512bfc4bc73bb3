//! A text that the daemon is asked for, and asked again when what it is about has changed.

use taskd_model::Time;

use crate::pager::{Kind, Pager, TextLine};

/// Milliseconds between two questions about the same.
const AGAIN_MS: u64 = 1_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) pager: Pager,
    due: Due,
}

/// Whether it is to be asked for.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// The state that is shown, and the one that was asked for.
    shown: Option<u64>,
    asked: Option<u64>,
    at: Option<Time>,
}

impl Due {
    /// Something that is in the state `now_is` shall be asked for; true once for each question.
    pub(crate) fn ask(&mut self, now_is: u64, now: Time) -> bool {
        if self.asked.is_some() || !self.is_stale(now_is) {
            return false;
        }
        if self.at.is_some_and(|at| now.ms_since(at) < AGAIN_MS) {
            return false;
        }
        (self.asked, self.at) = (Some(now_is), Some(now));
        true
    }

    /// What is shown is of another state.
    pub(crate) fn is_stale(&self, now_is: u64) -> bool {
        self.shown != Some(now_is)
    }

    /// The answer came, or did not.
    pub(crate) fn answered(&mut self, well: bool) {
        let asked = self.asked.take();
        self.shown = if well { asked } else { None };
    }

    /// What is shown may be old, whatever its state says.
    pub(crate) fn forget(&mut self) {
        self.shown = None;
    }

    /// Nothing was ever shown.
    pub(crate) fn is_new(&self) -> bool {
        self.shown.is_none()
    }
}

impl Fetched {
    pub(crate) fn new(pager: Pager) -> Self {
        Self { pager, due: Due::default() }
    }

    pub(crate) fn due(&mut self) -> &mut Due {
        &mut self.due
    }

    /// What came, or why nothing did.
    pub(crate) fn answered(&mut self, lines: Result<Vec<TextLine>, String>) {
        self.due.answered(lines.is_ok());
        match lines {
            Ok(lines) => self.pager.set(lines),
            Err(why) if self.pager.is_empty() => {
                self.pager.set(vec![TextLine::new(&why, Kind::Red)]);
            }
            // What is there is better than why nothing newer is.
            Err(_) => {}
        }
    }
}
