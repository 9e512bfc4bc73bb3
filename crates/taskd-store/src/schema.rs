//! Making a store, recognising one, and moving an old one to the present schema.
//!
//! Forward only. A file that is not ours, or newer than we are, is refused before SQLite may touch
//! it; before the first pending migration the database is copied.

use std::{
    collections::hash_map::RandomState,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, Hasher},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use refinery::{Migration, Runner, Target};
use rusqlite::{Connection, OpenFlags, backup::Backup, params};

use crate::{
    conn,
    error::StoreError,
    home::{self, Paths},
};

/// Marks a database as taskd's: "tskd" in ASCII, at byte 68 of the file.
pub const APPLICATION_ID: u32 = 0x7473_6b64;

const HEADER_BYTES: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Every migration, in order. They live in `migrations/` at the root of the workspace.
const MIGRATIONS: &[(&str, &str)] = &[("V1__log", include_str!("../../../migrations/V1__log.sql"))];

/// Makes the database if there is none, else recognises it and migrates it. Returns whether it is
/// new.
pub(crate) fn prepare(paths: &Paths) -> Result<bool, StoreError> {
    let empty = match fs::metadata(&paths.db) {
        Ok(it) => it.len() == 0,
        Err(it) if it.kind() == io::ErrorKind::NotFound => true,
        Err(it) => return Err(StoreError::io("looking for the log", &paths.db, it)),
    };
    if empty {
        create(paths)?;
    } else {
        recognise(&paths.db)?;
        migrate(paths, MIGRATIONS)?;
    }
    Ok(empty)
}

/// The newest schema among `migrations`.
fn newest(migrations: &[(&str, &str)]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}

/// Makes a complete database beside its place, then moves it there: it is there whole or not.
fn create(paths: &Paths) -> Result<(), StoreError> {
    let orphan = fs::metadata(&paths.wal).map_or(0, |it| it.len());
    if orphan > 0 {
        let problem = "the database is gone, but its write-ahead log (taskd.db-wal) is there";
        return Err(StoreError::damaged(&paths.db, problem));
    }
    let new = paths.dir.join("taskd.db.new");
    for suffix in ["", "-journal", "-wal", "-shm"] {
        home::remove_if_there(&with_suffix(&new, suffix))?;
    }
    let doing = "making the log";
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(|source| StoreError::io(doing, &new, source))?;
    let fail = |source| StoreError::sqlite(doing, &new, source);
    let mut db = open(&new).map_err(fail)?;
    db.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID};")).map_err(fail)?;
    for version in 1..=newest(MIGRATIONS) {
        step(&mut db, &new, MIGRATIONS, version, None)?;
    }
    let (tag, seed) = draw(&paths.dir);
    let meta = "INSERT INTO meta (name, value) VALUES ('tag', ?1), ('seed', ?2), ('clean', '1')";
    db.execute(meta, params![tag, seed.to_string()]).map_err(fail)?;
    db.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(fail)?;
    db.close().map_err(|(_, source)| fail(source))?;
    settle(&new, &paths.db)
}

/// Gives a finished file its name, durably.
fn settle(from: &Path, to: &Path) -> Result<(), StoreError> {
    File::open(from)
        .and_then(|it| it.sync_all())
        .and_then(|()| fs::rename(from, to))
        .map_err(|source| StoreError::io("naming a database", to, source))?;
    home::sync_dir(to.parent().unwrap_or(Path::new(".")))
}

/// Four characters of `[a-z0-9]` for the names of refs, and a seed for whoever needs to jitter.
fn draw(dir: &Path) -> (String, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&now.as_nanos().to_le_bytes());
    hasher.update(&std::process::id().to_le_bytes());
    hasher.update(dir.as_os_str().as_bytes());
    hasher.update(&RandomState::new().build_hasher().finish().to_le_bytes());
    let mut bytes = [0; 12];
    hasher.finalize_xof().fill(&mut bytes);
    let [a, b, c, d, seed @ ..] = bytes;
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let pick = |it: u8| char::from(letters[usize::from(it) % letters.len()]);
    ([a, b, c, d].map(pick).iter().collect(), u64::from_le_bytes(seed))
}

/// Looks at the first bytes only: SQLite has not opened the file yet.
fn recognise(db: &Path) -> Result<(), StoreError> {
    let mut header = Vec::new();
    let limit = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
    File::open(db)
        .and_then(|it| it.take(limit).read_to_end(&mut header))
        .map_err(|source| StoreError::io("looking at the log", db, source))?;
    let id = match header.get(68..72) {
        Some(&[a, b, c, d]) if header.starts_with(MAGIC) => u32::from_be_bytes([a, b, c, d]),
        _ => return Err(StoreError::NotSqlite { path: db.to_path_buf() }),
    };
    if id == APPLICATION_ID {
        Ok(())
    } else {
        Err(StoreError::Foreign { path: db.to_path_buf(), found: id })
    }
}

/// Moves the database to the newest of `migrations`, one transaction each, after copying it.
fn migrate(paths: &Paths, migrations: &[(&str, &str)]) -> Result<(), StoreError> {
    let db = &paths.db;
    let fail = |source| StoreError::sqlite("reading the schema", db, source);
    let found: i64 = {
        let look = conn::reader(db)?;
        let sql = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
        look.query_row(sql, [], |row| row.get(0)).map_err(fail)?
    };
    let known = newest(migrations);
    if found > known {
        return Err(StoreError::NewerSchema { path: db.clone(), found, known });
    }
    if found == known {
        return Ok(());
    }
    let first = found.saturating_add(1);
    let copy = with_suffix(db, &format!(".before-V{first}"));
    copy_db(db, &copy)?;
    tracing::info!(from = found, to = known, copy = %copy.display(), "moving the log to a new schema");
    let mut writer = open(db).map_err(fail)?;
    for version in first..=known {
        step(&mut writer, db, migrations, version, Some(&copy))?;
    }
    Ok(())
}

/// One migration with its line of history in one transaction: refinery's grouped mode, one at a
/// time, because ungrouped it commits the two apart and a kill between them would be for ever.
fn step(
    db: &mut Connection,
    path: &Path,
    migrations: &[(&str, &str)],
    version: i64,
    backup: Option<&Path>,
) -> Result<(), StoreError> {
    let mut run = || -> Result<(), refinery::Error> {
        let all: Result<Vec<_>, _> =
            migrations.iter().map(|(name, sql)| Migration::unapplied(name, sql)).collect();
        let target = Target::Version(i32::try_from(version).unwrap_or(i32::MAX));
        Runner::new(&all?).set_grouped(true).set_target(target).run(db)?;
        Ok(())
    };
    run().map_err(|source| StoreError::Migration {
        path: path.to_path_buf(),
        version,
        backup: backup.map(Path::to_path_buf),
        source: source.into(),
    })
}

/// Copies a database as it is at one moment, durably and under its final name or not at all.
pub(crate) fn copy_db(from: &Path, to: &Path) -> Result<(), StoreError> {
    let doing = "copying the log";
    let temporary = with_suffix(to, ".part");
    home::remove_if_there(&temporary)?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(|source| StoreError::io(doing, &temporary, source))?;
    let source = conn::reader(from)?;
    let copy = || -> rusqlite::Result<()> {
        let mut target = open(&temporary)?;
        // All pages in one step: one read transaction, which no writer can make start again.
        Backup::new(&source, &mut target)?.step(-1)?;
        target.close().map_err(|(_, it)| it)
    };
    copy().map_err(|it| StoreError::sqlite(doing, &temporary, it))?;
    settle(&temporary, to)
}

/// A plain connection, synced, without a write-ahead log of its own making.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA fullfsync = ON; PRAGMA synchronous = FULL;",
    )?;
    Ok(db)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut text = OsString::from(path);
    text.push(suffix);
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: (&str, &str) = ("V2__more", "CREATE TABLE more (x INTEGER) STRICT;");
    const BROKEN: (&str, &str) = ("V3__broken", "CREATE TABLE half (x); SELECT no_such_thing();");

    fn store() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().expect("a directory");
        let (paths, _lock) = home::take(dir.path(), false).expect("a home");
        assert!(prepare(&paths).expect("a new store"));
        let db = open(&paths.db).expect("a connection");
        db.execute("INSERT INTO blob (digest, bytes) VALUES (x'01', x'02')", []).expect("data");
        (dir, paths)
    }

    fn tables(path: &Path) -> Vec<String> {
        let db = conn::reader(path).expect("a connection");
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
        let mut statement = db.prepare(sql).expect("a statement");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<rusqlite::Result<_>>().expect("names")
    }

    /// Proves S-3.4.2.
    #[test]
    fn a_pending_migration_runs_after_a_copy() {
        let (_dir, paths) = store();
        migrate(&paths, &[MIGRATIONS[0], NEXT]).expect("a migration");
        assert!(tables(&paths.db).contains(&"more".to_owned()));
        let copy = paths.dir.join("taskd.db.before-V2");
        assert!(!tables(&copy).contains(&"more".to_owned()));
        let db = conn::reader(&copy).expect("the copy opens");
        let n: i64 = db.query_row("SELECT count(*) FROM blob", [], |row| row.get(0)).expect("n");
        assert_eq!(n, 1, "the copy has the data");
        recognise(&copy).expect("the copy is a store");
        let modified = || fs::metadata(&copy).and_then(|it| it.modified()).expect("a time");
        let before = modified();
        migrate(&paths, &[MIGRATIONS[0], NEXT]).expect("nothing to do");
        assert_eq!(before, modified(), "no second copy when nothing is pending");
    }

    /// Proves S-3.4.2.
    #[test]
    fn a_failing_migration_is_undone_and_the_ones_before_it_stay() {
        let (_dir, paths) = store();
        let error = migrate(&paths, &[MIGRATIONS[0], NEXT, BROKEN]).expect_err("it is broken");
        assert!(matches!(error, StoreError::Migration { version: 3, .. }), "{error}");
        assert!(error.to_string().contains("before-V2"), "{error}");
        let now = tables(&paths.db);
        assert!(now.contains(&"more".to_owned()) && !now.contains(&"half".to_owned()), "{now:?}");
        migrate(&paths, &[MIGRATIONS[0], NEXT]).expect("it is at version 2");
    }

    #[test]
    fn an_edited_migration_is_refused() {
        let (_dir, paths) = store();
        let edited = ("V1__log", "CREATE TABLE other (x);");
        let error = migrate(&paths, &[edited, NEXT]).expect_err("history differs");
        assert!(matches!(error, StoreError::Migration { .. }), "{error}");
        assert!(!tables(&paths.db).contains(&"more".to_owned()));
    }

    #[test]
    fn a_newer_schema_is_refused_untouched() {
        let (_dir, paths) = store();
        migrate(&paths, &[MIGRATIONS[0], NEXT]).expect("a migration");
        let before = fs::read(&paths.db).expect("bytes");
        let error = prepare(&paths).expect_err("it is newer");
        assert!(matches!(error, StoreError::NewerSchema { found: 2, known: 1, .. }), "{error}");
        assert!(error.to_string().contains("taskd.db.before-V2"), "{error}");
        assert_eq!(before, fs::read(&paths.db).expect("bytes"));
    }

    #[test]
    fn a_log_without_its_database_is_not_replaced() {
        let (_dir, paths) = store();
        fs::remove_file(&paths.db).expect("removed");
        fs::write(&paths.wal, b"frames").expect("written");
        let error = prepare(&paths).expect_err("half of it is missing");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(!paths.db.exists());
    }
}
