//! Core, view and what is counted at one place in the log: rebuilt from a snapshot and the events after it, and
//! stored as one.

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use taskd_core::{Coordinator, Snapshot};
use taskd_model::{Record, Seq, Tally, Time, View};
use taskd_store::{Filter, Recovered, SnapshotKind, Store};
use tracing::warn;

/// How a base snapshot is written. A later build reads it too: what is added to core or view has a
/// default, and anything else is another format.
pub(crate) const BASE_FORMAT: u32 = 1;

/// Events read from the store at once.
const PAGE: usize = 1_000;

#[derive(Serialize, Deserialize)]
struct Stored {
    core: Snapshot,
    view: View,
    /// Bases of before it was counted have none.
    #[serde(default, skip_serializing_if = "is_nothing")]
    tally: Tally,
}

/// What is read of a base for looking back.
#[derive(Deserialize)]
struct Seen {
    view: View,
}

fn is_nothing(tally: &Tally) -> bool {
    *tally == Tally::default()
}

/// Core and view as a snapshot's payload.
pub(crate) fn payload(core: &Coordinator, view: &View, tally: &Tally) -> Vec<u8> {
    let stored = Stored { core: core.snapshot(), view: view.clone(), tally: tally.clone() };
    serde_json::to_vec(&stored).expect("a snapshot is plain data")
}

/// What people saw where the log that is kept begins; nothing where it begins with its first event.
///
/// # Errors
///
/// The base snapshot cannot be read.
pub(crate) fn view_at_base(store: &Store) -> anyhow::Result<View> {
    let Some(base) = store.base()? else { return Ok(View::default()) };
    let seen: Seen = serde_json::from_slice(&base.payload).context("reading the snapshot")?;
    Ok(seen.view)
}

/// Core and view at one place in the log.
#[derive(Default)]
pub(crate) struct Replayed {
    pub(crate) core: Coordinator,
    pub(crate) view: View,
    pub(crate) tally: Tally,
    /// When the last event was decided.
    pub(crate) last: Time,
    /// The last event of the snapshot it began with.
    pub(crate) snapshot_at: Seq,
}

impl Replayed {
    /// From what opening the store found. A cache that cannot be read costs time, nothing else.
    ///
    /// # Errors
    ///
    /// The log holds what this build does not know.
    pub(crate) fn open(store: &Store, recovered: &Recovered) -> anyhow::Result<Self> {
        let mut it = match &recovered.snapshot {
            None => Self::default(),
            Some(found) => match Self::from_snapshot(found) {
                Err(why) if found.kind == SnapshotKind::Cache => {
                    warn!("replaying the whole log: {why:#}");
                    let mut it = Self::base(store)?;
                    it.go_on(store, store.head())?;
                    return Ok(it);
                }
                read => read?,
            },
        };
        recovered.tail.iter().for_each(|record| it.apply(record));
        Ok(it)
    }

    /// Where the log that is kept begins.
    ///
    /// # Errors
    ///
    /// The base snapshot cannot be read.
    pub(crate) fn base(store: &Store) -> anyhow::Result<Self> {
        store.base()?.map_or_else(|| Ok(Self::default()), |it| Self::from_snapshot(&it))
    }

    fn from_snapshot(snapshot: &taskd_store::Snapshot) -> anyhow::Result<Self> {
        if let SnapshotKind::Base { format } = snapshot.kind {
            ensure!(
                format <= BASE_FORMAT,
                "the log begins with a snapshot of format {format}, and this taskd reads up to \
                 {BASE_FORMAT}; install the version that wrote it, or a later one"
            );
        }
        let stored: Stored =
            serde_json::from_slice(&snapshot.payload).context("reading the snapshot")?;
        let Stored { core, view, tally } = stored;
        let core = Coordinator::restore(core);
        Ok(Self { core, last: view.at, view, tally, snapshot_at: snapshot.seq })
    }

    /// Applies what the store has up to `head`.
    ///
    /// # Errors
    ///
    /// An event is missing, or this build does not know it.
    pub(crate) fn go_on(&mut self, store: &Store, head: Seq) -> anyhow::Result<()> {
        self.go_on_while(store, |it| it.seq <= head)?;
        let at = self.core.head();
        ensure!(at == head, "the log ends at {at} and not at {head}");
        Ok(())
    }

    /// Applies what the store has, up to the first event that is none of those.
    ///
    /// # Errors
    ///
    /// An event cannot be read.
    pub(crate) fn go_on_while(
        &mut self,
        store: &Store,
        mut wanted: impl FnMut(&Record) -> bool,
    ) -> anyhow::Result<()> {
        loop {
            let from = Seq(self.core.head().0 + 1);
            let rows = store.read(from, PAGE, Filter::default())?;
            for row in &rows {
                let record = Record::decode(&row.json)?;
                if !wanted(&record) {
                    return Ok(());
                }
                self.apply(&record);
            }
            if rows.is_empty() {
                return Ok(());
            }
        }
    }

    fn apply(&mut self, record: &Record) {
        self.core.apply(record);
        self.tally.apply(&self.view, record);
        self.view.apply(record);
        self.last = record.at;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What the first version wrote after two specs had landed. It is never written anew: a log that
    /// begins with one like it must open for ever.
    const BASE_1: &[u8] = include_bytes!("replay/base-1.json");

    fn base(format: u32) -> anyhow::Result<Replayed> {
        Replayed::from_snapshot(&taskd_store::Snapshot {
            seq: Seq(62),
            payload: BASE_1.to_vec(),
            kind: SnapshotKind::Base { format },
        })
    }

    #[test]
    fn a_base_of_the_first_version_is_read() {
        let it = base(1).expect("readable");
        assert_eq!((it.core.head(), it.view.seq, it.snapshot_at), (Seq(62), Seq(62), Seq(62)));
        let landed: Vec<&str> = it
            .view
            .loops
            .values()
            .filter(|it| it.landed.is_some())
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(landed, ["p1.one", "p1.two"]);
        let again = payload(&it.core, &it.view, &it.tally);
        let plain = |it: &[u8]| serde_json::from_slice::<Value>(it).expect("JSON");
        assert_holds(&plain(&again), &plain(BASE_1), "it");
    }

    /// Everything of `old` is in `new`, which may say more.
    fn assert_holds(new: &Value, old: &Value, place: &str) {
        match (new, old) {
            (Value::Object(new), Value::Object(old)) => {
                for (key, old) in old {
                    let place = format!("{place}.{key}");
                    assert_holds(new.get(key).unwrap_or_else(|| panic!("{place}")), old, &place);
                }
            }
            _ => assert_eq!(new, old, "{place}"),
        }
    }

    #[test]
    fn a_base_of_a_later_version_is_refused() {
        let error = base(BASE_FORMAT + 1).err().expect("refused").to_string();
        assert!(error.contains("install the version that wrote it"), "{error}");
    }
}
