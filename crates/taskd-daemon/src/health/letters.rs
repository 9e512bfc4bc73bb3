//! Metrics of messages between loops. The counters are folded from the log.

use std::fmt::Write as _;

use taskd_core::Coordinator;
use taskd_model::{LetterCounts, Time};

use super::calls::head;

/// How it is with messages.
#[derive(Default)]
pub(super) struct Figures {
    counts: LetterCounts,
    open: usize,
    waiting: usize,
    muted: usize,
}

impl Figures {
    pub(super) fn of(core: &Coordinator, now: Time) -> Self {
        let (waiting, muted) = (core.letters_waiting(), core.muted_senders(now));
        Self { counts: core.letter_counts(), open: core.open_queries(), waiting, muted }
    }

    /// The families.
    pub(super) fn text(&self) -> String {
        let LetterCounts { sent, refused, mutes, queries, timeouts } = self.counts;
        let mut out = String::new();
        let mut family = |name: &str, kind: &str, help: &str, value: u64| {
            head(&mut out, name, kind, help);
            _ = writeln!(out, "{name} {value}");
        };
        let counter = "counter";
        family("taskd_messages_total", counter, "Messages from loop to loop.", sent);
        let help = "Messages that were refused because there were too many.";
        family("taskd_messages_refused_total", counter, help, refused);
        family("taskd_queries_total", counter, "Questions from loop to loop.", queries);
        let help = "Questions that nobody answered in time.";
        family("taskd_query_timeouts_total", counter, help, timeouts);
        family("taskd_mutes_total", counter, "Times a loop was muted.", mutes);
        let help = "Questions that are open.";
        family("taskd_queries_open", "gauge", help, self.open as u64);
        let help = "Messages that were not told yet.";
        family("taskd_messages_waiting", "gauge", help, self.waiting as u64);
        family("taskd_senders_muted", "gauge", "Loops that are muted.", self.muted as u64);
        out
    }
}
