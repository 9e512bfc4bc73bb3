//! How the stories talk to the store: the only helper that calls its API in bulk.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use taskd_model::{Actor, Digest, Event, LoopId, PlanId, ProjectId, Record, Seq, SpecId, Time};
use taskd_store::{AppendError, Filter, Options, Recovered, Store, StoreError};

/// Tells a child of this binary in which directory to play its part.
pub(crate) const PART: &str = "TASKD_STORE_TEST_DIR";

pub(crate) fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

pub(crate) fn options() -> Options {
    Options { stamp: "build-1".to_owned(), ..Options::default() }
}

pub(crate) fn open(dir: &Path) -> (Store, Recovered) {
    Store::open(dir, options()).expect("the store opens")
}

pub(crate) fn refused(dir: &Path) -> StoreError {
    Store::open(dir, options()).expect_err("the store is refused")
}

/// An event whose content follows from its position.
pub(crate) fn event(seq: u64) -> Record {
    let loop_id = LoopId { spec: SpecId { plan: PlanId(1), index: (seq % 3) as u16 }, run: 1 };
    Record {
        seq: Seq(seq),
        at: Time(1_000 + seq),
        shard: 0,
        project: seq.is_multiple_of(2).then_some(ProjectId(1 + (seq % 4) as u32)),
        loop_id: (!seq.is_multiple_of(5)).then_some(loop_id),
        v: 1,
        cause: None,
        actor: Actor::Core,
        event: Event::Deferred { until: Time(seq), why: format!("reason {seq}, a little prose") },
    }
}

pub(crate) fn events(from: u64, count: u64) -> Vec<Record> {
    (from..from + count).map(event).collect()
}

/// Appends and waits.
pub(crate) fn append(store: &Store, batch: Vec<Record>) -> Result<Seq, AppendError> {
    let (tell, told) = mpsc::sync_channel(1_000);
    store.append(batch, move |it| tell.send(it).expect("somebody waits"));
    told.recv().expect("an answer")
}

/// The whole log, page by page, decoded.
pub(crate) fn all(store: &Store) -> Vec<Record> {
    let mut all = Vec::new();
    loop {
        let from = Seq(all.len() as u64 + store.first().0);
        let page = store.read(from, usize::MAX, Filter::default()).expect("a page");
        if page.is_empty() {
            return all;
        }
        all.extend(page.iter().map(|it| Record::decode(&it.json).expect("an event")));
    }
}

/// The files of the database, and the digests of their bytes. Shared memory, the lock, and an empty
/// write-ahead log say nothing.
pub(crate) fn bytes(dir: &Path) -> Vec<(PathBuf, Digest)> {
    files(dir).into_iter().map(|(path, bytes)| (path, Digest::of(&bytes))).collect()
}

/// The files of the database with their bytes.
pub(crate) fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("a directory")
        .map(|it| it.expect("an entry").path())
        .filter(|it| it.is_file())
        .filter(|it| !it.to_string_lossy().ends_with("-shm") && !it.ends_with("taskd.lock"))
        .map(|it| (it.clone(), std::fs::read(it).expect("bytes")))
        .filter(|(path, bytes)| !path.ends_with("taskd.db-wal") || !bytes.is_empty())
        .collect();
    files.sort();
    files
}

/// Changes one byte of a file.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("bytes");
    bytes[at] ^= 0x55;
    std::fs::write(path, bytes).expect("written");
}

/// The offset of a text in a file.
pub(crate) fn find(path: &Path, text: &str) -> usize {
    let bytes = std::fs::read(path).expect("bytes");
    bytes.windows(text.len()).position(|it| it == text.as_bytes()).expect("the text is there")
}

/// This binary once more, playing one part in `dir`.
#[expect(clippy::disallowed_methods, reason = "a child of the test itself")]
pub(crate) fn child(part: &str, dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("a path"));
    command.args(["--exact", part, "--nocapture", "--test-threads=1"]).env(PART, dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// SIGKILL, and wait.
pub(crate) fn kill(mut child: Child) {
    child.kill().expect("killed");
    child.wait().expect("gone");
}

/// The directory of the part this process plays, if it is such a child.
pub(crate) fn part() -> Option<PathBuf> {
    env::var_os(PART).map(PathBuf::from)
}

/// A small generator of numbers that look random and are the same every time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        let digest = Digest::of(&self.0.to_le_bytes());
        self.0 += 1;
        let mut word = [0; 8];
        word.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_le_bytes(word) % below
    }
}
