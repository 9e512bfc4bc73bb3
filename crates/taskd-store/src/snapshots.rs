//! Snapshots: a *cache* any build may throw away, and a *base* that stands for deleted events.
//!
//! The payload is a file; its row, with the chain value at its position, is in the database, and
//! one digest covers them both. What a payload means is the caller's business.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension, Row};
use taskd_model::{Digest, Seq};

use crate::{
    chain::{Chain, Tip, chain_at, events_after},
    conn::{from_sql_int, sql_int},
    error::StoreError,
    home::{self, Paths},
    limits::MAX_SNAPSHOT_BYTES,
};

/// State at a position of the log, so that what is before it need not be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The last event it stands for.
    pub seq: Seq,
    /// What it was given as.
    pub payload: Vec<u8>,
    /// How to read it.
    pub kind: SnapshotKind,
}

/// How a snapshot's payload is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotKind {
    /// As this very build wrote it.
    Cache,
    /// In this version of the base format; the events before it may be gone.
    Base {
        /// The version the caller gave it.
        format: u32,
    },
}

/// A row of either table.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) seq: Seq,
    /// The build of a cache; empty for a base.
    pub(crate) stamp: String,
    pub(crate) format: u32,
    chain: Vec<u8>,
    replaced: Vec<u8>,
    digest: Vec<u8>,
    kind: &'static str,
}

const CACHE: &str = "cache";
const BASE: &str = "base";

/// The cache snapshots, newest first.
pub(crate) fn caches(conn: &Connection) -> rusqlite::Result<Vec<Head>> {
    let sql = "SELECT seq, stamp, 0, chain, x'', digest FROM snapshot ORDER BY seq DESC";
    conn.prepare(sql)?.query_map([], |row| Head::from_row(row, CACHE))?.collect()
}

/// The newest base snapshot.
pub(crate) fn newest_base(conn: &Connection) -> rusqlite::Result<Option<Head>> {
    let sql = "SELECT seq, '', format, chain, replaced, digest FROM base \
               ORDER BY seq DESC LIMIT 1";
    conn.query_row(sql, [], |row| Head::from_row(row, BASE)).optional()
}

impl Head {
    fn from_row(row: &Row<'_>, kind: &'static str) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: Seq(from_sql_int(row.get(0)?)),
            stamp: row.get(1)?,
            format: row.get(2)?,
            chain: row.get(3)?,
            replaced: row.get(4)?,
            digest: row.get(5)?,
            kind,
        })
    }

    /// Where the log goes on after it.
    pub(crate) fn tip(&self) -> Option<Tip> {
        let chain: Chain = self.chain.as_slice().try_into().ok()?;
        Some(Tip { seq: self.seq, chain })
    }

    /// Whether the log has this chain value at this position, or has nothing there any more.
    pub(crate) fn is_on_chain(&self, conn: &Connection, base: Seq) -> rusqlite::Result<bool> {
        Ok(match chain_at(conn, self.seq)? {
            Some(chain) => chain == self.chain,
            None => self.seq == base,
        })
    }

    pub(crate) fn path(&self, paths: &Paths) -> PathBuf {
        paths.snapshots.join(self.name())
    }

    /// The payload, if it is what was written, or what is wrong.
    pub(crate) fn load(&self, paths: &Paths) -> Result<Snapshot, String> {
        let path = self.path(paths);
        let size = fs::metadata(&path).map_err(|it| it.to_string())?.len();
        if size > MAX_SNAPSHOT_BYTES as u64 {
            return Err("it is larger than any snapshot".to_owned());
        }
        let payload = fs::read(&path).map_err(|it| it.to_string())?;
        let how = Seal { kind: self.kind, stamp: &self.stamp, format: self.format };
        let sealed = how.digest(self.seq, &self.chain, &self.replaced, &payload);
        if self.digest != sealed.as_bytes() {
            return Err("it does not match its digest".to_owned());
        }
        let kind = if self.kind == BASE {
            SnapshotKind::Base { format: self.format }
        } else {
            SnapshotKind::Cache
        };
        Ok(Snapshot { seq: self.seq, payload, kind })
    }

    fn name(&self) -> String {
        let hex: String = self.digest.iter().take(8).map(|it| format!("{it:02x}")).collect();
        format!("{:020}-{hex}.{}", self.seq.0, self.kind)
    }
}

/// What makes two payloads of the same bytes different snapshots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal<'a> {
    kind: &'static str,
    stamp: &'a str,
    format: u32,
}

impl<'a> Seal<'a> {
    pub(crate) fn cache(stamp: &'a str) -> Self {
        Self { kind: CACHE, stamp, format: 0 }
    }

    pub(crate) fn base(format: u32) -> Self {
        Self { kind: BASE, stamp: "", format }
    }

    fn digest(&self, seq: Seq, chain: &[u8], replaced: &[u8], payload: &[u8]) -> Digest {
        let (kind, stamp) = (self.kind.as_bytes(), self.stamp.as_bytes());
        let (format, seq) = (self.format.to_le_bytes(), seq.0.to_le_bytes());
        Digest::of_parts(&[kind, stamp, &format, &seq, chain, replaced, payload])
    }

    /// Writes the payload, durably; the digest is for its row.
    pub(crate) fn write(
        &self,
        paths: &Paths,
        tip: Tip,
        replaced: &[u8],
        payload: &[u8],
    ) -> Result<Digest, StoreError> {
        let digest = self.digest(tip.seq, &tip.chain, replaced, payload);
        let head = Head {
            seq: tip.seq,
            stamp: self.stamp.to_owned(),
            format: self.format,
            chain: tip.chain.to_vec(),
            replaced: replaced.to_vec(),
            digest: digest.as_bytes().to_vec(),
            kind: self.kind,
        };
        home::write_whole(&paths.snapshots, &head.path(paths), self.kind, payload)?;
        home::sync_dir(&paths.snapshots)?;
        Ok(digest)
    }
}

/// Removes payloads no row names any more. Callers hold the snapshot lock, so none is half made.
pub(crate) fn sweep(paths: &Paths, named: &[Head]) -> Result<(), StoreError> {
    let named: BTreeSet<String> = named.iter().map(Head::name).collect();
    let fail =
        |source: io::Error| StoreError::io("removing old snapshots", &paths.snapshots, source);
    for entry in fs::read_dir(&paths.snapshots).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours =
            [CACHE, BASE].iter().any(|it| Path::new(&name).extension().is_some_and(|e| e == *it));
        if ours && !named.contains(&name) {
            home::remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

/// The digest of the events after one position up to another, one JSON text a line.
pub(crate) fn digest_of_events(
    conn: &Connection,
    after: Seq,
    up_to: Seq,
) -> rusqlite::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut statement = events_after(conn)?;
    let count = i64::try_from(up_to.0.saturating_sub(after.0)).unwrap_or(i64::MAX);
    let mut rows = statement.query([sql_int(after.0), count])?;
    while let Some(row) = rows.next()? {
        hasher.update(row.get_ref(5)?.as_bytes()?).update(b"\n");
    }
    Ok(*hasher.finalize().as_bytes())
}
