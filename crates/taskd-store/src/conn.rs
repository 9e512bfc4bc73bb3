//! Connections: one that writes, many that only read, each with the same few pragmas.
//!
//! The only file that says how SQLite is set up. No connection is shared between threads at once.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{
    error::StoreError,
    limits::{BUSY_MS, CACHE_KIB, WAL_FILE_BYTES, WAL_PAGES},
};

/// A number as SQLite stores it; positions and times never come near the end of its range.
pub(crate) fn sql_int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A number as it was stored.
pub(crate) fn from_sql_int(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// Opens an existing database for the one writer: write-ahead log, every commit synced, and what is
/// deleted is overwritten.
pub(crate) fn writer(path: &Path, max_pages: Option<u32>) -> Result<Connection, StoreError> {
    let doing = "opening the log for writing";
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(Duration::from_millis(BUSY_MS))?;
        conn.execute_batch(&format!(
            "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;
             PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON; PRAGMA temp_store = MEMORY;
             PRAGMA synchronous = FULL; PRAGMA cache_size = -{CACHE_KIB};
             PRAGMA secure_delete = ON;"
        ))?;
        set(&conn, "journal_mode", "WAL")?;
        set(&conn, "wal_autocheckpoint", &WAL_PAGES.to_string())?;
        set(&conn, "journal_size_limit", &WAL_FILE_BYTES.to_string())?;
        if let Some(pages) = max_pages {
            set(&conn, "max_page_count", &pages.to_string())?;
        }
        Ok(conn)
    };
    open().map_err(|source| StoreError::sqlite(doing, path, source))
}

/// Opens an existing database for reading. It never moves the write-ahead log into the database,
/// so looking at a file changes nothing in it.
pub(crate) fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(path, flags)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.busy_timeout(Duration::from_millis(BUSY_MS))?;
        let cache = CACHE_KIB / 4;
        conn.execute_batch(&format!(
            "PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; PRAGMA cell_size_check = ON;
             PRAGMA cache_size = -{cache};"
        ))?;
        Ok(conn)
    };
    open().map_err(|source| StoreError::sqlite("opening the log for reading", path, source))
}

/// Moves everything into the database and cuts the write-ahead log to nothing, unless somebody is
/// reading it just now. Says whether it was done.
pub(crate) fn truncate_wal(conn: &Connection) -> rusqlite::Result<bool> {
    conn.busy_timeout(Duration::ZERO)?;
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    conn.busy_timeout(Duration::from_millis(BUSY_MS))?;
    Ok(busy? == 0)
}

/// Sets a pragma that answers with a row.
fn set(conn: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    conn.query_row(&format!("PRAGMA {name} = {value}"), [], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use rusqlite::types::Value;

    use super::*;

    #[test]
    fn the_writer_uses_a_write_ahead_log_and_syncs_every_commit() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.db");
        drop(Connection::open(&path).expect("a database"));
        let conn = writer(&path, None).expect("a writer");
        let ask = |name: &str| {
            let sql = format!("PRAGMA {name}");
            let value: Value = conn.query_row(&sql, [], |row| row.get(0)).expect("an answer");
            if let Value::Integer(it) = value { it.to_string() } else { format!("{value:?}") }
        };
        assert_eq!(ask("journal_mode"), "Text(\"wal\")");
        assert_eq!(ask("synchronous"), "2", "FULL");
        assert_eq!(ask("foreign_keys"), "1");
        assert_eq!(ask("secure_delete"), "1");
        assert_eq!(ask("trusted_schema"), "0");
        assert_eq!(ask("wal_autocheckpoint"), WAL_PAGES.to_string());
        assert_eq!(ask("journal_size_limit"), WAL_FILE_BYTES.to_string());
        assert_eq!(ask("fullfsync"), "1");
    }
}
