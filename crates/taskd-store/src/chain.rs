//! The chain: each event's checksum covers its text and the checksum before it.
//!
//! It proves that a run of events is what was written, in that order. It is not a signature: who
//! can write the file can make a chain.

use rusqlite::{Connection, Row, Statement};
use taskd_model::{Record, Seq};

use crate::conn::sql_int;

/// Bytes of a chain value.
pub(crate) const CHAIN_BYTES: usize = 16;

/// A chain value.
pub(crate) type Chain = [u8; CHAIN_BYTES];

/// The end of a verified run of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) seq: Seq,
    pub(crate) chain: Chain,
}

impl Tip {
    /// Before the first event of the store with this tag, so that two logs never share a chain.
    pub(crate) fn genesis(tag: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"taskd log 1\n").update(tag.as_bytes());
        Self { seq: Seq(0), chain: cut(&hasher) }
    }

    /// The tip after one more event with this text.
    pub(crate) fn after(self, json: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.chain).update(json.as_bytes());
        Self { seq: self.next(), chain: cut(&hasher) }
    }

    /// The position the next event must have.
    pub(crate) fn next(self) -> Seq {
        Seq(self.seq.0.saturating_add(1))
    }
}

fn cut(hasher: &blake3::Hasher) -> Chain {
    let mut chain = [0; CHAIN_BYTES];
    hasher.finalize_xof().fill(&mut chain);
    chain
}

/// A row of the event table, as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) project: Option<i64>,
    pub(crate) loop_id: Option<String>,
    pub(crate) kind: String,
    pub(crate) json: String,
    pub(crate) chain: Vec<u8>,
}

impl Stored {
    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at: row.get(1)?,
            project: row.get(2)?,
            loop_id: row.get(3)?,
            kind: row.get(4)?,
            json: row.get(5)?,
            chain: row.get(6)?,
        })
    }

    /// The tip after this row, or what is wrong with it.
    pub(crate) fn follow(&self, tip: Tip) -> Result<Tip, String> {
        let expected = tip.next();
        if self.seq != sql_int(expected.0) {
            return Err(format!("event {expected} is missing, {} follows {}", self.seq, tip.seq));
        }
        let next = tip.after(&self.json);
        if next.chain[..] != self.chain[..] {
            return Err(format!("the text of event {expected} does not match its checksum"));
        }
        Ok(next)
    }

    /// Whether the columns readers select by say what the text says.
    pub(crate) fn agrees_with(&self, record: &Record) -> bool {
        self.seq == sql_int(record.seq.0)
            && self.at == sql_int(record.at.0)
            && self.project == record.project.map(|it| i64::from(it.0))
            && self.loop_id == record.loop_id.map(|it| it.to_string())
            && self.kind == record.event.kind()
    }
}

/// All columns of the events after a position, up to a number of them, in order.
pub(crate) fn events_after(conn: &Connection) -> rusqlite::Result<Statement<'_>> {
    conn.prepare(
        "SELECT seq, at, project, loop, kind, json, chain FROM event \
         WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )
}

/// The chain value of one event, if it is there.
pub(crate) fn chain_at(conn: &Connection, seq: Seq) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = conn.prepare("SELECT chain FROM event WHERE seq = ?1")?;
    let mut rows = statement.query([sql_int(seq.0)])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}
