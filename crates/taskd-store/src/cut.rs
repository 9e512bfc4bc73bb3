//! A retention cut: a base snapshot takes the place of the events before it, and blobs that only
//! they named are deleted.
//!
//! The base is durable before anything goes, so a kill in between leaves only what the next cut
//! takes away.

use std::{
    collections::{BTreeSet, HashSet},
    mem,
    sync::{Mutex, PoisonError},
};

use taskd_model::{Digest, Seq};

use crate::{
    chain::events_after,
    conn::{from_sql_int, sql_int},
    error::StoreError,
    limits::{CUT_BLOBS, CUT_EVENTS},
    snapshots::{self, Snapshot},
    store::Store,
    writer::Job,
};

/// Blobs that were put of late: an event that names them may be on its way.
#[derive(Debug, Default)]
pub(crate) struct Fresh(Mutex<[HashSet<Digest>; 2]>);

impl Fresh {
    /// Before the blob is stored, so that it is not deleted meanwhile.
    pub(crate) fn put(&self, digest: Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[0].insert(digest);
    }

    /// What was put before the cut before this one is not fresh any more.
    fn turn(&self) {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets[1] = mem::take(&mut sets[0]);
    }

    /// Those that are not fresh go to `delete`; whatever is put from now on is put after it.
    fn without(
        &self,
        names: &[Digest],
        delete: impl FnOnce(&[Digest]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |it: &Digest| sets.iter().any(|set| set.contains(it));
        let old: Vec<Digest> = names.iter().filter(|it| !is_fresh(it)).copied().collect();
        delete(&old)
    }
}

impl Store {
    /// The newest base snapshot, if there is one. Blocks for a read.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn base(&self) -> Result<Option<Snapshot>, StoreError> {
        let head = self.readers.ask("reading the base snapshot", snapshots::newest_base)?;
        head.map(|it| {
            it.load(&self.paths)
                .map_err(|problem| StoreError::damaged(&it.path(&self.paths), problem))
        })
        .transpose()
    }

    /// Deletes what the newest base snapshot stands for: its events, a few at a time so that
    /// appends go on, and the blobs that neither a later event nor the snapshot names. Blobs that
    /// were put since the cut before the last one stay. Says how many events it deleted. A kill in
    /// between is no harm: call it again. Blocks long; appends go on.
    ///
    /// # Errors
    ///
    /// The base snapshot cannot be read back, or the disk failed.
    pub fn cut(&self) -> Result<u64, StoreError> {
        let _one = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.base()?.map_or(Ok(0), |base| self.cut_before(&base));
        self.fresh.turn();
        done
    }

    fn cut_before(&self, base: &Snapshot) -> Result<u64, StoreError> {
        let mut names = BTreeSet::new();
        let events = self.each_event(Seq(0), base.seq, |json| collect(json, &mut names))?;
        if events == 0 {
            return Ok(0);
        }
        let mut kept = BTreeSet::new();
        collect(&base.payload, &mut kept);
        self.each_event(base.seq, self.head(), |json| collect(json, &mut kept))?;
        let names: Vec<Digest> = names.difference(&kept).copied().collect();
        for some in names.chunks(CUT_BLOBS) {
            self.fresh.without(some, |old| self.delete_blobs(old))?;
        }
        self.prune(base.seq)?;
        Ok(events)
    }

    fn delete_blobs(&self, digests: &[Digest]) -> Result<(), StoreError> {
        digests.iter().try_for_each(|it| self.files.delete(it))?;
        self.wait(|done| Job::forget(digests.to_vec(), done))
    }

    /// Every event after `after` up to `up_to` that is there; says how many.
    fn each_event(
        &self,
        after: Seq,
        up_to: Seq,
        mut see: impl FnMut(&[u8]),
    ) -> Result<u64, StoreError> {
        let (mut after, mut count) = (after, 0);
        while after < up_to {
            let last = self.readers.ask("reading what events name", |conn| {
                let mut last = None;
                let mut statement = events_after(conn)?;
                let mut rows = statement.query([sql_int(after.0), sql_int(CUT_EVENTS)])?;
                while let Some(row) = rows.next()? {
                    let seq = Seq(from_sql_int(row.get(0)?));
                    if seq > up_to {
                        break;
                    }
                    see(row.get_ref(5)?.as_bytes()?);
                    (last, count) = (Some(seq), count + 1);
                }
                Ok(last)
            })?;
            let Some(last) = last else { break };
            after = last;
        }
        Ok(count)
    }

    /// Deletes events a few at a time, so that appends go on.
    fn prune(&self, up_to: Seq) -> Result<(), StoreError> {
        loop {
            let first = self.readers.ask("deleting replaced events", |conn| {
                let sql = "SELECT coalesce(min(seq), 0) FROM event";
                conn.query_row(sql, [], |row| row.get(0)).map(from_sql_int)
            })?;
            if first == 0 || first > up_to.0 {
                return Ok(());
            }
            let some = Seq(up_to.0.min(first.saturating_add(CUT_EVENTS - 1)));
            self.wait(|done| Job::prune(some, done))?;
        }
    }
}

/// Adds the digests a JSON text names: strings of 64 hexadecimal digits.
fn collect(json: &[u8], names: &mut BTreeSet<Digest>) {
    for word in json.split(|it| *it == b'"') {
        if word.len() == 64
            && let Some(digest) = std::str::from_utf8(word).ok().and_then(|it| it.parse().ok())
        {
            names.insert(digest);
        }
    }
}
