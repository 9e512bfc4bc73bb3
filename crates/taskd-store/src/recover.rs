//! What a store finds when it is opened: who it is, a snapshot, the events after it, all verified.
//!
//! It only reads, and writes nothing but a copy of a damaged write-ahead log. Damage to what can be
//! rebuilt is reported and passed over; damage to the log itself stops the opening.

use std::{fmt, fs};

use rusqlite::{Connection, OptionalExtension};
use taskd_model::{Record, Seq};

use crate::{
    chain::{Stored, Tip, events_after},
    conn,
    error::StoreError,
    home::Paths,
    limits::QUICK_CHECK_BYTES,
    snapshots::{self, Head, Snapshot},
    wal,
};

/// What the store knew when it was opened.
#[derive(Debug)]
pub struct Recovered {
    /// Four characters of `[a-z0-9]`, drawn when the store was made; names its refs.
    pub tag: String,
    /// Drawn when the store was made, for whoever needs numbers that differ between stores.
    pub seed: u64,
    /// The newest usable snapshot.
    pub snapshot: Option<Snapshot>,
    /// Every event after the snapshot.
    pub tail: Vec<Record>,
    /// It was closed cleanly, or is new.
    pub clean: bool,
    /// It was made just now.
    pub new: bool,
    /// The database was too large to be checked page by page after an unclean end; run
    /// [`check_all`](crate::Store::check_all) in the background.
    pub unchecked: bool,
    /// Damage that was passed over, for the daemon to report.
    pub findings: Vec<Finding>,
}

/// Something wrong that did not stop the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where: a file, an event, a blob.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.problem, self.advice)
    }
}

/// What recovery hands to the open store.
pub(crate) struct Start {
    pub(crate) tip: Tip,
    pub(crate) base: Seq,
}

/// Reads and verifies what is there, changing nothing.
pub(crate) fn recover(
    paths: &Paths,
    stamp: &str,
    new: bool,
) -> Result<(Recovered, Start), StoreError> {
    let lost = wal::inspect(&paths.wal)?;
    let conn = conn::reader(&paths.db)?;
    let look = Look { conn: &conn, paths };
    let mut findings = Vec::new();
    let (tag, seed, clean) = (look.meta("tag")?, look.meta("seed")?, look.meta("clean")? == "1");
    let seed = seed.parse().map_err(|_| look.damaged("its seed is not a number"))?;
    let unchecked = !clean && !look.quick_check()?;
    let (snapshot, from, base) = look.snapshot(&tag, stamp, &mut findings)?;
    let (tail, tip) = look.tail(from)?;
    if let Some(lost) = lost {
        let copy = wal::keep(&paths.wal, tip.seq.0)?;
        findings.push(Finding {
            place: format!("{} at byte {}", paths.wal.display(), lost.offset),
            problem: format!(
                "it is damaged, and up to {} commits behind that are gone; the log goes on after \
                 event {}; the file was kept as {}",
                lost.commits,
                tip.seq,
                copy.display()
            ),
            advice: "check the disk, and compare with the newest backup",
        });
    }
    for it in &findings {
        tracing::warn!(finding = %it, "passed over damage");
    }
    let recovered = Recovered { tag, seed, snapshot, tail, clean, new, unchecked, findings };
    Ok((recovered, Start { tip, base }))
}

struct Look<'a> {
    conn: &'a Connection,
    paths: &'a Paths,
}

impl Look<'_> {
    fn meta(&self, name: &str) -> Result<String, StoreError> {
        let sql = "SELECT value FROM meta WHERE name = ?1";
        let value = self.conn.query_row(sql, [name], |row| row.get(0)).optional();
        value
            .map_err(self.fail("reading about the store"))?
            .ok_or_else(|| self.damaged(format!("its {name} is missing")))
    }

    /// Checks page by page unless the database is too large; says whether it did.
    fn quick_check(&self) -> Result<bool, StoreError> {
        let db = &self.paths.db;
        let size = fs::metadata(db).map_err(|it| StoreError::io("measuring the log", db, it))?;
        if size.len() > QUICK_CHECK_BYTES {
            return Ok(false);
        }
        let sql = "PRAGMA quick_check(1)";
        let answer: String = self
            .conn
            .query_row(sql, [], |row| row.get(0))
            .map_err(self.fail("checking the log"))?;
        if answer == "ok" { Ok(true) } else { Err(self.damaged(answer)) }
    }

    /// The newest usable snapshot, the tip to replay from, and where the base stands.
    fn snapshot(
        &self,
        tag: &str,
        stamp: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<(Option<Snapshot>, Tip, Seq), StoreError> {
        let fail = self.fail("reading the snapshots");
        let base = snapshots::newest_base(self.conn).map_err(&fail)?;
        let base_seq = base.as_ref().map_or(Seq(0), |it| it.seq);
        let caches = snapshots::caches(self.conn).map_err(&fail)?;
        self.reaches(base_seq, caches.first())?;
        for head in caches {
            if head.stamp != stamp || head.seq < base_seq {
                continue;
            }
            if let Some((snapshot, tip)) = self.load(&head, base_seq, findings)? {
                return Ok((Some(snapshot), tip, base_seq));
            }
        }
        if let Some(head) = base {
            if let Some((snapshot, tip)) = self.load(&head, base_seq, findings)? {
                return Ok((Some(snapshot), tip, base_seq));
            }
            let sql = "SELECT count(*) FROM event WHERE seq = 1";
            let whole: i64 = self.conn.query_row(sql, [], |row| row.get(0)).map_err(&fail)?;
            if whole == 0 {
                let path = head.path(self.paths);
                let problem = "it stands for events that are gone, and cannot be used";
                return Err(StoreError::damaged(&path, problem));
            }
        }
        Ok((None, Tip::genesis(tag), base_seq))
    }

    /// A snapshot is only ever taken of durable events: a log that ends before one has lost some.
    fn reaches(&self, base: Seq, newest: Option<&Head>) -> Result<(), StoreError> {
        let sql = "SELECT coalesce(max(seq), 0) FROM event";
        let last: i64 = self
            .conn
            .query_row(sql, [], |row| row.get(0))
            .map_err(self.fail("looking for the end of the log"))?;
        let last = conn::from_sql_int(last).max(base.0);
        match newest.filter(|it| it.seq.0 > last) {
            Some(it) => {
                let problem = format!("it ends at event {last}, but had event {}", it.seq);
                Err(self.damaged(problem))
            }
            None => Ok(()),
        }
    }

    /// Loads one snapshot, or reports why it is passed over.
    fn load(
        &self,
        head: &Head,
        base: Seq,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<(Snapshot, Tip)>, StoreError> {
        let on_chain =
            head.is_on_chain(self.conn, base).map_err(self.fail("reading the snapshots"))?;
        let loaded = match (head.load(self.paths), head.tip()) {
            (Ok(snapshot), Some(tip)) if on_chain => Ok((snapshot, tip)),
            (Ok(_), _) => Err("the log has another checksum at its position".to_owned()),
            (Err(problem), _) => Err(problem),
        };
        let problem = match loaded {
            Ok(it) => return Ok(Some(it)),
            Err(it) => it,
        };
        findings.push(Finding {
            place: head.path(self.paths).display().to_string(),
            problem: format!("the snapshot cannot be used: {problem}"),
            advice: "nothing is lost: the log was read from further back; check the disk",
        });
        Ok(None)
    }

    /// Every event after a tip, verified and decoded.
    fn tail(&self, from: Tip) -> Result<(Vec<Record>, Tip), StoreError> {
        let doing = "replaying the log";
        let mut statement = events_after(self.conn).map_err(self.fail(doing))?;
        let mut rows =
            statement.query([conn::sql_int(from.seq.0), i64::MAX]).map_err(self.fail(doing))?;
        let (mut tail, mut tip) = (Vec::new(), from);
        while let Some(row) = rows.next().map_err(self.fail(doing))? {
            let stored = Stored::from_row(row).map_err(self.fail(doing))?;
            tip = stored.follow(tip).map_err(|problem| self.damaged(problem))?;
            let record = Record::decode(&stored.json)
                .map_err(|source| StoreError::Unreadable { path: self.paths.db.clone(), source })?;
            if !stored.agrees_with(&record) {
                let problem = format!("the columns of event {} differ from its text", tip.seq);
                return Err(self.damaged(problem));
            }
            tail.push(record);
        }
        Ok((tail, tip))
    }

    fn fail(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
        move |source| StoreError::sqlite(doing, &self.paths.db, source)
    }

    fn damaged(&self, problem: impl Into<String>) -> StoreError {
        StoreError::damaged(&self.paths.db, problem)
    }
}
