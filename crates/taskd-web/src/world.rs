//! What is known of the daemon: its view, folded, and what it says by the way.
//!
//! One watch serves every browser. What it says is told to all of them through a ring of fixed size:
//! who does not read loses the oldest, and learns so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use taskd_api::{ApiError, Watch, Watched};
use taskd_model::{Delta, Record, Seq, Time, View};
use tokio::sync::{broadcast, watch};

/// Things said that are kept for who is slow.
const RING: usize = 512;

/// Bytes of one piece of noise; the whole of it is in the logs once its effect is over.
const NOISE_BYTES: usize = 4 << 10;

/// Something said about one loop or plan.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whose: a loop's name, a plan's, or nothing for everybody's.
    pub(crate) name: String,
    /// The event it comes from, or the last one before it.
    pub(crate) seq: Seq,
    /// Its kind: `told`, `noise` or `gap`.
    pub(crate) kind: &'static str,
    pub(crate) data: Value,
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) view: View,
    /// The view came.
    pub(crate) attached: bool,
    /// The daemon's time, as far as it was said.
    pub(crate) now: Time,
    /// Why there is no connection, and how often it was tried.
    pub(crate) lost: Option<(String, u32)>,
}

/// See above.
pub(crate) struct World {
    known: Mutex<Known>,
    changed: watch::Sender<()>,
    said: broadcast::Sender<Arc<Said>>,
}

impl Default for World {
    fn default() -> Self {
        let (said, _) = broadcast::channel(RING);
        Self { known: Mutex::default(), changed: watch::Sender::new(()), said }
    }
}

impl World {
    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says when anything is another than it was.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// All that is said from now on.
    pub(crate) fn hear(&self) -> broadcast::Receiver<Arc<Said>> {
        self.said.subscribe()
    }

    /// Follows the daemon; returns why that is of no use any more.
    pub(crate) async fn follow(&self, mut watch: Watch) -> ApiError {
        loop {
            match watch.next().await {
                Some(Watched::Ended(error)) => return error,
                Some(item) => self.take(item),
                None => return ApiError::new(taskd_api::codes::UNREACHABLE, "the watch ended"),
            }
        }
    }

    fn take(&self, item: Watched) {
        let mut known = self.known();
        let said = match item {
            Watched::Connected { .. } => {
                known.lost = None;
                None
            }
            Watched::View(view) => known.take_view(*view),
            Watched::Event(record) => known.take_record(&record),
            Watched::Unknown { seq } => {
                known.view.seq = known.view.seq.max(seq);
                None
            }
            // Nothing of the picture changes by it.
            Watched::Delta { name, effect, delta } => {
                let seq = known.view.seq;
                drop(known);
                let data = noise(&name, effect.0.0, &delta);
                // Where nobody listens, nobody is told.
                self.said.send(Arc::new(Said { name, seq, kind: "noise", data })).ok();
                return;
            }
            Watched::Heartbeat { at, .. } => {
                known.now = known.now.max(at);
                None
            }
            Watched::Disconnected { error, attempt } => {
                known.lost = Some((error.message, attempt));
                None
            }
            Watched::Ended(_) => None,
        };
        drop(known);
        if let Some(said) = said {
            self.said.send(Arc::new(said)).ok();
        }
        self.changed.send_replace(());
    }
}

impl Known {
    /// The view anew; what was said between the two is missed.
    fn take_view(&mut self, view: View) -> Option<Said> {
        let before = self.view.seq;
        let missed = self.attached && before < view.seq;
        self.attached = true;
        self.now = self.now.max(view.at);
        self.view = view;
        missed.then(|| gap(before, self.view.seq))
    }

    fn take_record(&mut self, record: &Record) -> Option<Said> {
        let line = self.view.narrate(record);
        self.view.apply(record);
        self.now = self.now.max(self.view.at);
        let line = line?;
        let data = json!({
            "name": line.name,
            "seq": record.seq,
            "at": record.at.0,
            "text": line.text,
            "detail": line.detail,
            "within": line.within,
            "until": line.until.map(|it| it.0),
        });
        Some(Said { name: line.name, seq: record.seq, kind: "told", data })
    }
}

/// Something of what was said is missing: everything after the one, up to the other.
pub(crate) fn gap(after: Seq, to: Seq) -> Said {
    let data = json!({ "from": after.0 + 1, "to": to.0 });
    Said { name: String::new(), seq: to, kind: "gap", data }
}

fn noise(name: &str, effect: u64, delta: &Delta) -> Value {
    let (text, line) = match delta {
        Delta::Text(text) => (text, false),
        Delta::Line(text) => (text, true),
    };
    let end = (0..=NOISE_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    let (shown, rest) = text.split_at(end.unwrap_or(0));
    json!({ "name": name, "effect": effect, "text": shown, "line": line, "cut": rest.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_cut_at_a_character() {
        let long = format!("a{}", "\u{e9}".repeat(NOISE_BYTES));
        let said = noise("p1", 7, &Delta::Line(long.clone()));
        let shown = said["text"].as_str().expect("text");
        assert_eq!(shown.len(), NOISE_BYTES - 1);
        assert_eq!(said["cut"], long.len() - shown.len());
        assert_eq!(noise("p1", 7, &Delta::Text("x".to_owned()))["cut"], 0);
    }
}
