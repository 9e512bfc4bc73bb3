//! How much a start has to replay, and with which database.

use std::fs;

use taskd_api::v1;

use crate::support::World;

/// Events a start replays at most, besides those of the last input.
const REPLAYED_AT_MOST: u64 = 1_000;

impl World {
    /// How many events the daemon said it replayed when it started.
    fn replayed(&self) -> u64 {
        let said = self.said.split("replayed events=").nth(1).expect("it says so");
        said.split_whitespace().next().expect("a number").parse().expect("a number")
    }
}

/// Proves S-1.3.3: after a kill in the middle of thousands of events few are replayed, after a
/// clean stop none.
#[test]
fn snapshots_bound_what_a_start_replays() {
    let mut world = World::new();
    world.start();
    let client = world.client();
    let verbs = [v1::Verb::Park, v1::Verb::Unpark].into_iter().cycle().take(2_500);
    for verb in verbs {
        let request = v1::ActRequest { verb: verb.into(), ..v1::ActRequest::default() };
        world.runtime.block_on(client.act(request)).expect("acts");
    }
    let before = world.view().seq.0;
    assert!(2_500 < before);
    world.kill();
    world.start();
    assert!(world.replayed() <= REPLAYED_AT_MOST, "{}", world.replayed());
    assert!(before < world.view().seq.0, "the numbers go on");
    world.stop();
    world.start();
    assert_eq!(world.replayed(), 0);
}

/// Proves X41: one driver in what is built, and the program starts with it.
#[test]
fn there_is_one_database_driver_and_the_daemon_uses_it() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    let lock = fs::read_to_string(lock).expect("the lock file");
    let drivers = ["libsqlite3-sys", "sqlite3-sys", "sqlx-sqlite", "sqlite", "limbo", "turso"];
    let built = drivers.iter().filter(|it| lock.contains(&format!("name = \"{it}\"\n")));
    assert_eq!(built.collect::<Vec<_>>(), [&"libsqlite3-sys"]);
    let mut world = World::new();
    world.start();
    let header = fs::read(world.state().join("taskd.db")).expect("the log");
    assert!(header.starts_with(b"SQLite format 3\0"));
}
