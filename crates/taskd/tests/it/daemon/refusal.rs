//! What the daemon will not start on, and that it then leaves everything as it was.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
};

use super::{bytes, in_time, pid};
use crate::support::World;

/// A second daemon is told who runs; the first does not notice.
#[test]
fn a_second_daemon_is_refused_and_names_the_first() {
    let mut world = World::new();
    world.start();
    let first = pid(&world);
    let said = in_time(&world, &["daemon", "run"]).fails(1);
    assert!(said.contains(&format!("already running (pid {first})")), "{said}");
    assert_eq!(pid(&world), first);
    let starts = world.events().into_iter().filter(|it| it.event.kind() == "daemon_started");
    assert_eq!(starts.count(), 1);
}

/// What is at the socket's place and is no socket is refused by name and not touched; what a killed
/// daemon left there is replaced.
#[test]
fn a_foreign_file_at_the_sockets_place_is_not_touched() {
    let mut world = World::new();
    world.start();
    world.stop();
    let socket = world.socket();
    let target = world.dir.path().join("precious");
    fs::write(&target, "precious\n").expect("writable");
    let places: [(&str, &dyn Fn()); 3] = [
        ("a file", &|| fs::write(&socket, "precious\n").expect("writable")),
        ("a link", &|| symlink(&target, &socket).expect("writable")),
        ("a folder", &|| fs::create_dir(&socket).expect("writable")),
    ];
    for (what, put) in places {
        put();
        let before = fs::symlink_metadata(&socket).expect("there");
        for words in [["daemon", "run"], ["daemon", "start"]] {
            let said = in_time(&world, &words).fails(1);
            let named = format!("{} exists and is no socket", socket.display());
            assert!(said.contains(&named) && said.contains("move it away"), "{what}: {said}");
        }
        let after = fs::symlink_metadata(&socket).expect("still there");
        assert_eq!(before.modified().expect("a time"), after.modified().expect("a time"), "{what}");
        assert_eq!(before.file_type(), after.file_type(), "{what}");
        if before.is_dir() {
            fs::remove_dir(&socket).expect("ours");
        } else {
            assert_eq!(fs::read(&socket).expect("readable"), b"precious\n", "{what}");
            fs::remove_file(&socket).expect("ours");
        }
    }
    drop(UnixListener::bind(&socket).expect("a socket nobody listens on any more"));
    world.start();
}

/// A store with a few events and no snapshot, closed in order.
fn store(world: &mut World) {
    world.start();
    world.stop();
    for entry in fs::read_dir(world.state().join("snapshots")).expect("readable").flatten() {
        fs::remove_file(entry.path()).expect("ours");
    }
}

fn put(path: &Path, at: usize, new: &[u8]) {
    let mut bytes = fs::read(path).expect("readable");
    bytes[at..at + new.len()].copy_from_slice(new);
    fs::write(path, bytes).expect("writable");
}

fn find(path: &Path, text: &str) -> usize {
    let bytes = fs::read(path).expect("readable");
    bytes.windows(text.len()).position(|it| it == text.as_bytes()).expect("the text is there")
}

/// Offset of the application id in a database's header.
const APPLICATION_ID: usize = 68;

/// What is spoilt, how, and what must be said about it.
type Spoilt<'a> = (&'a str, &'a dyn Fn(&Path), &'a str, &'a str);

/// Proves S-3.4.1: what is no database, another program's database, and a log that is not what was
/// written are refused by `run` and by `start` with what to do, and not a byte is changed.
#[test]
fn a_store_that_is_not_ours_or_not_whole_is_refused_untouched() {
    let spoil: [Spoilt; 4] = [
        (
            "no database",
            &|db| fs::write(db, "dear diary").expect("writable"),
            "taskd.db",
            "move it away",
        ),
        (
            "another program's",
            &|db| put(db, APPLICATION_ID, b"note"),
            "database of another program",
            "move it away, or point taskd at another state directory",
        ),
        (
            "a changed event",
            &|db| put(db, find(db, "daemon_started"), b"daemon_strayed"),
            "is damaged",
            "restore the newest backup",
        ),
        (
            "a torn file",
            &|db| {
                let half = fs::metadata(db).expect("there").len() / 2;
                fs::File::options().write(true).open(db).expect("ours").set_len(half).expect("cut");
            },
            "taskd.db",
            "backup",
        ),
    ];
    for (what, spoil, names, advises) in spoil {
        let mut world = World::new();
        store(&mut world);
        spoil(&world.state().join("taskd.db"));
        let before = bytes(&world.state());
        for words in [["daemon", "run"], ["daemon", "start"]] {
            let said = in_time(&world, &words).fails(1);
            assert!(said.contains(names), "{what}: {said}");
            assert!(said.contains(advises), "{what}: {said}");
            assert!(said.contains(&world.state().display().to_string()), "{what}: {said}");
        }
        assert_eq!(before, bytes(&world.state()), "{what}: something was changed");
        assert!(!world.socket().exists(), "{what}");
    }
}

/// Proves S-1.3.6: one changed byte in a snapshot or a blob does not stop the daemon, and `doctor`
/// names the file; one in an event it needs does.
#[test]
fn one_changed_byte_is_named_by_doctor() {
    let mut world = World::new();
    world.start();
    // Large enough to be a file of its own.
    let context = "A line of context.\n".repeat(1_000);
    let agent = super::script(&world, "a.sh", "echo a > work.txt");
    let text = super::plan("Large", "", &[("a", format!("agent: {agent}"))]);
    world.submit(&text.replacen("\n## spec", &format!("\n{context}\n## spec"), 1));
    world.until("p1 to be over", |it| it.plans.values().any(|it| it.ended_at.is_some()));
    let well = world.taskd(&["doctor"]).ok();
    assert!(well.contains("chain whole"), "{well}");
    world.stop();
    let state = world.state();
    let some_file = |name: &str| {
        let files = bytes(&state.join(name));
        files.into_keys().next_back().unwrap_or_else(|| panic!("no {name}"))
    };
    let blob = some_file("blobs");
    let blob_name = {
        let dir = blob.parent().and_then(Path::file_name).expect("a folder").to_string_lossy();
        format!("{dir}{}", blob.file_name().expect("a name").to_string_lossy())
    };

    let intact = fs::read(&blob).expect("readable");
    put(&blob, 100, &[!intact[100]]);
    world.start();
    let told = world.taskd(&["doctor"]);
    assert!(told.out.contains(&blob_name), "{blob_name}: {}", told.out);
    world.stop();
    fs::write(&blob, intact).expect("ours");

    let snapshot = some_file("snapshots");
    put(&snapshot, 100, &[!fs::read(&snapshot).expect("readable")[100]]);
    world.start();
    assert!(world.row("p1.a").landed.is_some(), "nothing is lost:\n{}", world.transcript());
    let told = world.taskd(&["doctor"]);
    assert!(told.out.contains(&snapshot.display().to_string()), "{}", told.out);
    world.stop();

    let db = world.state().join("taskd.db");
    put(&db, find(&db, "plan_ended"), b"plan_ENDED");
    for it in bytes(&world.state().join("snapshots")).into_keys() {
        fs::remove_file(it).expect("ours");
    }
    let said = in_time(&world, &["daemon", "run"]).fails(1);
    assert!(said.contains("event ") && said.contains("restore"), "{said}");
}
