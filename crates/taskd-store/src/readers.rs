//! Readers: a few read-only connections, handed out one at a time, never in the writer's way.
//!
//! They see only what is durable. Nothing read here is checked against the chain; that is what
//! opening and `check_all` are for.

use std::{
    path::PathBuf,
    sync::{Condvar, Mutex, PoisonError},
};

use rusqlite::{Connection, ToSql};
use taskd_model::{LoopId, ProjectId, Seq, Time};

use crate::{
    conn::{self, from_sql_int, sql_int},
    error::{AppendError, StoreError},
    limits::{MAX_READ_EVENTS, READERS},
};

/// Which events a reader wants; the default is all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of this project.
    pub project: Option<ProjectId>,
    /// Only events of this loop.
    pub loop_id: Option<LoopId>,
}

/// An event as it is stored, its text not decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Position in the log.
    pub seq: Seq,
    /// When it was decided, in milliseconds since the epoch.
    pub at: Time,
    /// Project it belongs to, if to one.
    pub project: Option<ProjectId>,
    /// Loop it belongs to, if to one.
    pub loop_id: Option<LoopId>,
    /// Its kind.
    pub kind: String,
    /// The whole record as one line of JSON; see [`taskd_model::Record::decode`].
    pub json: String,
}

/// At most [`READERS`] connections, opened when first needed.
#[derive(Debug)]
pub(crate) struct Pool {
    db: PathBuf,
    state: Mutex<Idle>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Idle {
    connections: Vec<Connection>,
    lent: usize,
    closed: bool,
}

impl Pool {
    pub(crate) fn new(db: PathBuf) -> Self {
        Self { db, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Runs `ask` with a connection of its own; waits while all are lent.
    pub(crate) fn ask<T>(
        &self,
        doing: &'static str,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let lent = self.borrow()?;
        let Some(connection) = &lent.connection else { return Err(AppendError::Closed.into()) };
        ask(connection).map_err(|source| StoreError::sqlite(doing, &self.db, source))
    }

    /// Lends no more, and waits until every connection is back and closed.
    pub(crate) fn close(&self) {
        let mut idle = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        idle.closed = true;
        self.freed.notify_all();
        while idle.lent > 0 {
            idle = self.freed.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
        idle.connections.clear();
    }

    fn borrow(&self) -> Result<Lent<'_>, StoreError> {
        let mut idle = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !idle.closed && idle.lent >= READERS {
            idle = self.freed.wait(idle).unwrap_or_else(PoisonError::into_inner);
        }
        if idle.closed {
            return Err(AppendError::Closed.into());
        }
        idle.lent += 1;
        let connection = idle.connections.pop();
        drop(idle);
        let mut lent = Lent { pool: self, connection };
        if lent.connection.is_none() {
            lent.connection = Some(conn::reader(&self.db)?);
        }
        Ok(lent)
    }
}

/// Gives the connection back, also when a callback panics.
struct Lent<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut idle = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        idle.lent -= 1;
        idle.connections.extend(self.connection.take());
        drop(idle);
        self.pool.freed.notify_all();
    }
}

/// Events from `from` to `head`, at most `max` of them.
pub(crate) fn read(
    conn: &Connection,
    from: Seq,
    head: Seq,
    max: usize,
    filter: Filter,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let limit = i64::try_from(max.min(MAX_READ_EVENTS)).unwrap_or(i64::MAX);
    let project = filter.project.map(|it| i64::from(it.0));
    let loop_id = filter.loop_id.map(|it| it.to_string());
    // A condition that is always true would keep SQLite from the index of the other.
    let mut sql = "SELECT seq, at, project, loop, kind, json FROM event \
                   WHERE seq BETWEEN ?1 AND ?2"
        .to_owned();
    let (from, head) = (sql_int(from.0), sql_int(head.0));
    let mut values: Vec<&dyn ToSql> = vec![&from, &head, &limit];
    if let Some(it) = &loop_id {
        sql.push_str(" AND loop = ?4");
        values.push(it);
    }
    if let Some(it) = &project {
        // The unary plus leaves a loop's own index in charge where both are asked for.
        sql.push_str(if loop_id.is_some() { " AND +project = ?5" } else { " AND project = ?4" });
        values.push(it);
    }
    sql.push_str(" ORDER BY seq LIMIT ?3");
    let mut statement = conn.prepare(&sql)?;
    let rows = statement.query_map(&values[..], |row| {
        let loop_id: Option<String> = row.get(3)?;
        Ok(StoredEvent {
            seq: Seq(from_sql_int(row.get(0)?)),
            at: Time(from_sql_int(row.get(1)?)),
            project: row.get::<_, Option<u32>>(2)?.map(ProjectId),
            loop_id: loop_id.and_then(|it| it.parse().ok()),
            kind: row.get(4)?,
            json: row.get(5)?,
        })
    })?;
    rows.collect()
}
