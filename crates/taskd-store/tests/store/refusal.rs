//! What the store will not open or write to, and that it then leaves everything as it was.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    process::{Command, Stdio},
};

use rusqlite::Connection;
use taskd_store::{AppendError, Options, Store, StoreError};

use crate::help::{all, append, bytes, child, dir, events, kill, open, options, part, refused};

#[test]
fn a_second_open_is_told_who_has_it() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Locked { pid: Some(it), .. } if it == std::process::id()));
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    store.close(true).expect("closed");
    open(dir.path()).0.close(true).expect("the lock was let go");
}

/// The child: holds the store until it is killed.
#[test]
fn part_holder() {
    let Some(dir) = part() else { return };
    let (_store, _) = Store::open(&dir, options()).expect("the store opens");
    writeln!(std::io::stdout().lock(), "open").expect("told");
    loop {
        std::thread::park();
    }
}

#[test]
fn another_process_is_named_and_its_death_lets_go() {
    let dir = dir();
    let mut holder = child("refusal::part_holder", dir.path()).spawn().expect("a child");
    let mut lines = BufReader::new(holder.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|it| it.is_ok_and(|it| it.ends_with("open"))), "the child has it");
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Locked { pid: Some(it), .. } if it == holder.id()));
    kill(holder);
    open(dir.path());
}

#[test]
fn what_is_no_database_is_left_alone() {
    for content in [&b"dear diary"[..], &[0; 5_000]] {
        let dir = dir();
        fs::write(dir.path().join("taskd.db"), content).expect("written");
        let error = refused(dir.path());
        assert!(matches!(error, StoreError::NotSqlite { .. }), "{error}");
        assert_eq!(fs::read(dir.path().join("taskd.db")).expect("bytes"), content);
    }
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    for id in [0, 0x1234] {
        let dir = dir();
        let other = Connection::open(dir.path().join("taskd.db")).expect("a database");
        let sql = format!(
            "PRAGMA application_id = {id}; PRAGMA journal_mode = WAL; CREATE TABLE theirs (x);
             INSERT INTO theirs VALUES (1)"
        );
        other.execute_batch(&sql).expect("data, some of it in a write-ahead log");
        let before = bytes(dir.path());
        let error = refused(dir.path());
        assert!(matches!(error, StoreError::Foreign { found, .. } if found == id), "{error}");
        assert_eq!(before, bytes(dir.path()));
    }
}

/// Proves S-3.4.1: a newer schema is refused with advice, and not a byte is changed.
#[test]
fn a_newer_schema_is_left_alone_also_when_only_the_write_ahead_log_knows() {
    let dir = dir();
    open(dir.path()).0.close(true).expect("closed");
    let newer = Connection::open(dir.path().join("taskd.db")).expect("a connection");
    let sql = "INSERT INTO refinery_schema_history SELECT 99, 'x', applied_on, checksum \
               FROM refinery_schema_history";
    newer.execute(sql, []).expect("a line of history");
    let before = bytes(dir.path());
    assert!(before.iter().any(|(path, _)| path.ends_with("taskd.db-wal")));
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::NewerSchema { found: 99, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("newer taskd"), "{error}");
    assert_eq!(before, bytes(dir.path()));
}

#[test]
fn an_event_of_a_newer_build_stops_the_opening_with_advice() {
    let dir = dir();
    let (store, first) = open(dir.path());
    append(&store, events(1, 1)).expect("taken");
    store.close(true).expect("closed");
    let json = events(2, 1)[0].encode().replace("\"deferred\"", "\"teleported\"");
    let db = Connection::open(dir.path().join("taskd.db")).expect("a connection");
    let mut chain: Vec<u8> =
        db.query_row("SELECT chain FROM event", [], |row| row.get(0)).expect("a chain");
    chain.extend_from_slice(json.as_bytes());
    let chain = blake3::hash(&chain);
    let sql = "INSERT INTO event SELECT 2, 1002, 3, 'p1/2/1', 'teleported', ?1, ?2";
    db.execute(sql, (json, &chain.as_bytes()[..16])).expect("an intact event");
    let error = refused(dir.path());
    assert!(matches!(error, StoreError::Unreadable { .. }), "{error} {}", first.tag);
    let source = std::error::Error::source(&error).expect("a source").to_string();
    assert!(source.contains("teleported") && error.to_string().contains("newer"), "{source}");
}

/// The child: tries to open, and says how it was refused.
#[test]
fn part_visitor() {
    let Some(dir) = part() else { return };
    let error = Store::open(&dir, options()).expect_err("it cannot be written");
    let what = if matches!(error, StoreError::ReadOnly { .. }) { "read-only" } else { "other" };
    writeln!(std::io::stdout().lock(), "\n{what}: {error}").expect("told");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a child of the test itself")]
fn a_directory_that_may_not_be_written_says_so() {
    let dir = dir();
    open(dir.path()).0.close(true).expect("closed");
    let before = bytes(dir.path());
    // Nobody is kept out of anything as root, so the visitor is somebody else. It gets a copy of
    // this binary, because it may not be able to read the place where it was built; `cp` makes it,
    // because a file this process had open for writing could not be run while others fork.
    let home = tempfile::tempdir().expect("a directory");
    let binary = home.path().join("tests");
    let this = std::env::current_exe().expect("a path");
    let copied = Command::new("cp").arg(this).arg(&binary).status().expect("it ran");
    assert!(copied.success());
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("open to all");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).expect("set");
    let template = child("refusal::part_visitor", dir.path());
    let mut visitor = Command::new(&binary);
    visitor.args(template.get_args()).env(crate::help::PART, dir.path()).stderr(Stdio::null());
    if fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
        chown(dir.path(), Some(65_534), Some(65_534)).expect("given away");
        visitor.uid(65_534).gid(65_534);
    }
    let output = visitor.output().expect("it ran");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).expect("set");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("read-only: ") && text.contains("may not be written"), "{text}");
    assert_eq!(before, bytes(dir.path()));
}

#[test]
fn a_full_database_fails_for_good_and_holds_nothing_half() {
    let dir = dir();
    let full = Options { max_pages: Some(40), ..options() };
    let (store, _) = Store::open(dir.path(), full).expect("the store opens");
    let mut head = 0;
    let error = loop {
        match append(&store, events(head + 1, 50)) {
            Ok(_) => head += 50,
            Err(error) => break error,
        }
    };
    let AppendError::Failed(cause) = &error else { panic!("{error:?}") };
    assert!(matches!(**cause, StoreError::DiskFull { .. }), "{cause}");
    assert!(head >= 50 && store.head().0 == head);
    for it in [append(&store, events(head + 1, 1)), append(&store, events(1, 1))] {
        assert!(matches!(it, Err(AppendError::Failed(_))), "every later append fails");
    }
    assert!(store.put_blob(b"x").is_err());
    assert_eq!(all(&store), events(1, head), "what was durable can still be read");
    assert!(store.close(true).is_err(), "such an end is not clean");
    let (store, found) = open(dir.path());
    assert_eq!((found.clean, found.tail), (false, events(1, head)));
    append(&store, events(head + 1, 50)).expect("with room it goes on");
}

/// The child: appends until the system refuses, and says so.
#[test]
fn part_filler() {
    let Some(dir) = part() else { return };
    let (store, _) = Store::open(&dir, options()).expect("the store opens");
    let blob = store.put_blob(&vec![1; 400_000]).expect_err("no room");
    assert!(matches!(blob, StoreError::DiskFull { .. }), "{blob:?}");
    let mut head = store.head().0;
    while append(&store, events(head + 1, 20)).is_ok() {
        head += 20;
    }
    writeln!(std::io::stdout().lock(), "\nfull {head}").expect("told");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a child of the test itself")]
fn a_file_that_may_not_grow_is_like_a_full_disk() {
    let dir = dir();
    open(dir.path()).0.close(true).expect("closed");
    let filler = child("refusal::part_filler", dir.path());
    let mut shell = Command::new("sh");
    // Files of at most 256 KiB, and an error instead of a signal.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\""]);
    shell.arg(filler.get_program()).args(filler.get_args()).env(crate::help::PART, dir.path());
    let output = shell.output().expect("it ran");
    let text = String::from_utf8_lossy(&output.stdout);
    let head = text.lines().find_map(|it| it.strip_prefix("full "));
    let head: u64 = head.unwrap_or_else(|| panic!("{text}")).parse().expect("a number");
    let (store, found) = open(dir.path());
    assert_eq!(found.tail, events(1, head), "acknowledged is there, refused is not");
    let report = store.check_all().expect("a report");
    assert!(report.is_ok() && report.blobs == 0, "{report:?}");
}
