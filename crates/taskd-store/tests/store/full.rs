//! The store on a disk that is full: a small file system of its own, filled up at random places.
//! Where nothing can be mounted it says so and proves nothing.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use taskd_store::{AppendError, Options, Store, StoreError};

use crate::help::{all, append, dir, events, open, options};

/// A file system of a few megabytes, unmounted when dropped.
struct Small {
    dir: PathBuf,
}

impl Small {
    fn mount(dir: &Path, megabytes: u32) -> Option<Self> {
        let size = format!("size={megabytes}m,mode=700");
        if run("mount", &["-t", "tmpfs", "-o", &size, "taskd-test", path(dir)]) {
            return Some(Self { dir: dir.to_owned() });
        }
        writeln!(std::io::stdout(), "NOT RUN mount").ok();
        None
    }

    /// Takes all room but so many bytes.
    fn fill(&self, but: u64) {
        let stat = nix::sys::statvfs::statvfs(&self.dir).expect("mounted");
        let free = stat.blocks_available() * stat.fragment_size();
        let file = fs::File::create(self.dir.join("filler")).expect("a file");
        let bytes = vec![0; usize::try_from(free.saturating_sub(but)).expect("small")];
        // What does not fit is what was asked for.
        (&file).write_all(&bytes).ok();
    }

    fn free(&self) {
        fs::remove_file(self.dir.join("filler")).expect("it was there");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        run("umount", &["-l", path(&self.dir)]);
    }
}

#[expect(clippy::disallowed_methods, reason = "mount and umount, of the test itself")]
fn run(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|it| it.status.success())
}

fn path(dir: &Path) -> &str {
    dir.to_str().expect("UTF-8")
}

fn reserved(bytes: u64) -> Options {
    Options { reserve_bytes: bytes, ..options() }
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Proves S-1.5.3: on a file system that is filled up at random places, forty times, the log ends
/// with a clear error and every acknowledged event; it is whole when it is opened again, and goes on
/// where it was when there is room.
#[test]
fn a_disk_that_fills_up_anywhere_damages_nothing() {
    let top = dir();
    let Some(small) = Small::mount(top.path(), 8) else { return };
    let mut failed = 0;
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let home = top.path().join(format!("s{seed}"));
        let (store, _) = Store::open(&home, options()).expect("there is room");
        let mut head = 0;
        let filled_at = dice.below(30);
        for turn in 0..60 {
            if turn == filled_at {
                small.fill(dice.below(300_000));
            }
            let n = 1 + dice.below(80);
            let blob = vec![
                u8::try_from(dice.below(250)).expect("small");
                1 + usize::try_from(dice.below(20_000)).expect("small")
            ];
            store.put_blob(&blob).ok();
            match append(&store, events(head + 1, n)) {
                Ok(_) => head += n,
                Err(AppendError::Failed(cause)) => {
                    let full = matches!(*cause, StoreError::DiskFull { .. });
                    assert!(full, "seed {seed}: {cause}");
                    failed += 1;
                    break;
                }
                Err(other) => panic!("seed {seed}: {other:?}"),
            }
        }
        drop(store);
        small.free();
        let (store, found) = open(&home);
        assert_eq!(found.tail, events(1, head), "seed {seed}: what was acknowledged, and no more");
        let report = store.check_all().expect("a report");
        assert!(report.is_ok(), "seed {seed}: {report:?}");
        append(&store, events(head + 1, 5)).expect("with room it goes on");
        store.close(true).expect("closed");
        fs::remove_dir_all(&home).expect("ours");
    }
    assert!(20 <= failed, "only {failed} of 40 met a full disk");
}

/// Proves S-1.5.3: with no byte left, events are still written into the room that was kept for them;
/// the room is taken again when there is some, and the next life starts with it on a full disk.
#[test]
fn events_are_written_on_a_full_disk_from_what_was_kept() {
    let top = dir();
    let Some(small) = Small::mount(top.path(), 16) else { return };
    let home = top.path().join("s");
    let reserve = home.join("reserve");
    let (store, _) = Store::open(&home, reserved(2 << 20)).expect("there is room");
    assert_eq!(fs::metadata(&reserve).expect("kept").len(), 2 << 20);
    append(&store, events(1, 10)).expect("room");
    small.fill(0);
    let mut head = 10;
    while reserve.exists() {
        append(&store, events(head + 1, 50)).expect("the log has room");
        head += 50;
    }
    append(&store, events(head + 1, 50)).expect("and some more of it");
    head += 50;
    assert!(!store.keep_reserve() && !reserve.exists(), "half a reserve is none");
    small.free();
    assert!(store.keep_reserve() && reserve.exists());
    small.fill(0);
    drop(store);
    let (store, found) = Store::open(&home, reserved(2 << 20)).expect("what was kept is room");
    assert_eq!(found.tail, events(1, head));
    append(&store, events(head + 1, 1)).expect("it goes on");
    assert_eq!(all(&store), events(1, head + 1));
    small.free();
}
