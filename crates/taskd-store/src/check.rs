//! The whole store, checked: pages, chain, columns, blobs, snapshots. For doctor and for the
//! background after an unclean end.
//!
//! It repairs nothing and runs beside the writer. It works through the log in pieces, so that the
//! write-ahead log can be cut meanwhile.

use std::path::Path;

use rusqlite::Connection;
use taskd_model::{Digest, Record, Seq};

use crate::{
    blobs::Files,
    chain::{Stored, Tip, events_after},
    conn::{self, from_sql_int, sql_int},
    error::StoreError,
    home::Paths,
    limits::{MAX_FINDINGS, MAX_READ_EVENTS},
    recover::Finding,
    snapshots,
};

const LOG_ADVICE: &str = "copy the state directory away, then restore the newest backup";
const BLOB_ADVICE: &str = "restore it from a backup";
const SNAPSHOT_ADVICE: &str = "nothing is lost while the events are there; it is written anew";

/// What a whole check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events whose place in the chain was verified.
    pub events: u64,
    /// Blobs whose bytes were verified.
    pub blobs: u64,
    /// Snapshots whose digest was verified.
    pub snapshots: u64,
    /// What is wrong; empty if all is well. At most [`MAX_FINDINGS`].
    pub findings: Vec<Finding>,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.findings.is_empty()
    }

    fn found(
        &mut self,
        place: impl Into<String>,
        problem: impl Into<String>,
        advice: &'static str,
    ) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { place: place.into(), problem: problem.into(), advice });
        }
    }
}

/// Checks everything. A step that fails is a finding of its own, and the next one still runs.
pub(crate) fn check_all(paths: &Paths, files: &Files, tag: &str) -> Result<Report, StoreError> {
    let conn = conn::reader(&paths.db)?;
    let mut report = Report::default();
    let db = paths.db.display().to_string();
    let steps = [
        integrity(&conn, &db, &mut report),
        chain(&conn, &db, tag, &mut report),
        small_blobs(&conn, &db, &mut report),
        all_snapshots(&conn, paths, &mut report),
    ];
    for failed in steps.into_iter().filter_map(Result::err) {
        report.found(&db, failed.to_string(), LOG_ADVICE);
    }
    large_blobs(files, &mut report)?;
    Ok(report)
}

fn integrity(conn: &Connection, db: &str, report: &mut Report) -> rusqlite::Result<()> {
    let limit = MAX_FINDINGS / 2;
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({limit})"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            report.found(db, line, LOG_ADVICE);
        }
    }
    Ok(())
}

/// The chain from the newest base, or from the first event.
fn chain(conn: &Connection, db: &str, tag: &str, report: &mut Report) -> rusqlite::Result<()> {
    let start = || -> rusqlite::Result<Tip> {
        let base = snapshots::newest_base(conn)?.and_then(|it| it.tip());
        Ok(base.unwrap_or_else(|| Tip::genesis(tag)))
    };
    let mut tip = start()?;
    let mut statement = events_after(conn)?;
    let page = i64::try_from(MAX_READ_EVENTS).unwrap_or(i64::MAX);
    loop {
        let rows = statement.query_map([sql_int(tip.seq.0), page], Stored::from_row)?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        // A retention cut may have overtaken us.
        let cut = rows.first().filter(|it| from_sql_int(it.seq) > tip.next().0);
        if cut.is_some() && start()?.seq > tip.seq {
            tip = start()?;
            continue;
        }
        for row in &rows {
            tip = step(row, tip, db, report);
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// One event. After a bad one the chain is taken up again from what is stored.
fn step(row: &Stored, tip: Tip, db: &str, report: &mut Report) -> Tip {
    let place = format!("event {} in {db}", row.seq);
    match row.follow(tip) {
        Ok(next) => {
            report.events += 1;
            // Kinds of a newer build are intact events too; only a known one can be compared.
            if Record::decode(&row.json).is_ok_and(|it| !row.agrees_with(&it)) {
                report.found(place, "its columns differ from its text", LOG_ADVICE);
            }
            next
        }
        Err(problem) => {
            report.found(place, problem, LOG_ADVICE);
            let seq = Seq(from_sql_int(row.seq));
            Tip { seq, chain: row.chain.as_slice().try_into().unwrap_or_default() }
        }
    }
}

fn small_blobs(conn: &Connection, db: &str, report: &mut Report) -> rusqlite::Result<()> {
    let mut statement =
        conn.prepare("SELECT id, digest, bytes FROM blob WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let page = i64::try_from(MAX_READ_EVENTS).unwrap_or(i64::MAX);
    let mut last = 0_i64;
    loop {
        let before = last;
        let mut rows = statement.query([last, page])?;
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            let (name, bytes): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
            if Digest::of(&bytes).as_bytes()[..] == name[..] {
                report.blobs += 1;
            } else {
                let name: String = name.iter().map(|it| format!("{it:02x}")).collect();
                report.found(format!("blob {name} in {db}"), "its bytes changed", BLOB_ADVICE);
            }
        }
        if last == before {
            return Ok(());
        }
    }
}

fn large_blobs(files: &Files, report: &mut Report) -> Result<(), StoreError> {
    files.each(|path, digest| {
        let name = |path: &Path| path.display().to_string();
        let Some(digest) = digest else {
            return report.found(name(&path), "it is not a blob", "move it away");
        };
        match files.get(&digest) {
            Ok(_) => report.blobs += 1,
            Err(it) => report.found(
                format!("blob {digest} in {}", name(&path)),
                it.to_string(),
                BLOB_ADVICE,
            ),
        }
    })
}

fn all_snapshots(conn: &Connection, paths: &Paths, report: &mut Report) -> rusqlite::Result<()> {
    let base = snapshots::newest_base(conn)?;
    let base_seq = base.as_ref().map_or(Seq(0), |it| it.seq);
    let heads = snapshots::caches(conn)?.into_iter().chain(base);
    for head in heads {
        let place = head.path(paths).display().to_string();
        match head.load(paths) {
            Ok(_) if head.seq < base_seq || head.is_on_chain(conn, base_seq)? => {
                report.snapshots += 1;
            }
            Ok(_) => {
                let problem = "the log has another checksum at its position";
                report.found(place, problem, SNAPSHOT_ADVICE);
            }
            Err(problem) => report.found(place, problem, SNAPSHOT_ADVICE),
        }
    }
    Ok(())
}
