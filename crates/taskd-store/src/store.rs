//! The open store: one handle, shared by every thread.
//!
//! It orders the steps of opening and closing and passes everything else on. Blocking calls say so.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use taskd_model::{Digest, Record, Seq};

use crate::{
    blobs::{self, Files},
    chain::{Tip, chain_at},
    check::{self, Report},
    conn,
    cut::Fresh,
    error::{AppendError, StoreError},
    home::{self, Lock, Paths},
    limits::{INLINE_BLOB_BYTES, MAX_BLOB_BYTES, MAX_SNAPSHOT_BYTES},
    readers::{self, Filter, Pool, StoredEvent},
    recover::{self, Recovered},
    reserve::Reserve,
    schema,
    snapshots::{self, Seal},
    writer::{self, Job, Queue},
};

/// How to open a store.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Names this build; cache snapshots of any other are passed over.
    pub stamp: String,
    /// Open it on a network filesystem all the same.
    pub allow_network_filesystem: bool,
    /// Room that is kept free for events while the disk is full, in bytes; 0 for none.
    pub reserve_bytes: u64,
    /// Most pages of 4096 bytes the database may have; a full one is like a full disk.
    pub max_pages: Option<u32>,
}

/// An open store; it owns the writer thread and the lock on its directory. Dropping it without
/// [`close`](Self::close) writes what is queued and counts as an unclean end.
#[derive(Debug)]
pub struct Store {
    pub(crate) paths: Paths,
    tag: String,
    stamp: String,
    reserve: Reserve,
    queue: Arc<Queue>,
    pub(crate) readers: Pool,
    pub(crate) files: Files,
    pub(crate) fresh: Fresh,
    /// The last event a base snapshot stands for.
    base: AtomicU64,
    /// One snapshot is written at a time.
    pub(crate) snapshots: Mutex<()>,
    writer: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<Result<(), Arc<StoreError>>>,
    /// Let go only after the writer has ended.
    _lock: Lock,
}

impl Store {
    /// Opens the store in `dir`, making it if there is none. Blocks: checks, migrates, replays.
    ///
    /// # Errors
    ///
    /// Another process has it, it is not ours, newer than us, damaged, or cannot be written. A
    /// refused store is left as it was found.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovered), StoreError> {
        let reserve = Reserve::new(dir.join("reserve"), options.reserve_bytes);
        match Self::open_with(dir, options.clone(), reserve.clone()) {
            // With what was kept there is room for an orderly start.
            Err(StoreError::DiskFull { .. }) if reserve.give_up() => {
                Self::open_with(dir, options, reserve)
            }
            opened => opened,
        }
    }

    fn open_with(
        dir: &Path,
        options: Options,
        reserve: Reserve,
    ) -> Result<(Self, Recovered), StoreError> {
        let (paths, lock) = home::take(dir, options.allow_network_filesystem)?;
        let new = schema::prepare(&paths)?;
        let (recovered, start) = recover::recover(&paths, &options.stamp, new)?;
        let conn = conn::writer(&paths.db, options.max_pages)?;
        conn.execute("UPDATE meta SET value = '0' WHERE name = 'clean'", [])
            .map_err(|it| StoreError::sqlite("marking the log as open", &paths.db, it))?;
        let queue = Arc::new(Queue::new(start.tip.seq));
        reserve.make();
        let (shared, files, kept) = (Arc::clone(&queue), paths.clone(), reserve.clone());
        let thread = thread::Builder::new()
            .name("taskd-log".to_owned())
            .spawn(move || writer::run(&shared, conn, (&files, &kept), start.tip))
            .map_err(|it| StoreError::io("starting the log's writer", &paths.db, it))?;
        let store = Self {
            readers: Pool::new(paths.db.clone()),
            files: Files::new(&paths),
            fresh: Fresh::default(),
            tag: recovered.tag.clone(),
            stamp: options.stamp,
            reserve,
            queue,
            base: AtomicU64::new(start.base.0),
            snapshots: Mutex::default(),
            writer: Mutex::new(Some(Running { thread, _lock: lock })),
            paths,
        };
        Ok((store, recovered))
    }

    /// Queues a batch of events that must follow the head; it becomes durable whole or not at all.
    ///
    /// `done` is told once, on the writer thread after the commit, in the order of the calls, with
    /// the batch's last position or later. It must be quick and must not wait for the store; a
    /// channel is the right thing to put into it. (On a store that is closed or has failed it is
    /// told at once by the caller's own thread.)
    ///
    /// Returns at once unless [`limits::QUEUE_JOBS`](crate::limits::QUEUE_JOBS) jobs or
    /// [`limits::QUEUE_BYTES`](crate::limits::QUEUE_BYTES) are waiting for the disk: then it waits
    /// for room, and that is the only backpressure there is.
    pub fn append(
        &self,
        batch: Vec<Record>,
        done: impl FnOnce(Result<Seq, AppendError>) + Send + 'static,
    ) {
        self.queue.push(Job::append(batch, Box::new(done)));
    }

    /// Takes the room for events again that a full disk took, if there is some; says whether it is
    /// there. Blocks.
    pub fn keep_reserve(&self) -> bool {
        self.reserve.make()
    }

    /// Bytes of the room for events that were given up and are not taken again yet.
    #[must_use]
    pub fn reserve_owed(&self) -> u64 {
        self.reserve.owed()
    }

    /// The last durable event.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.queue.head()
    }

    /// The first event that is there: 1, or the one after the newest base snapshot.
    #[must_use]
    pub fn first(&self) -> Seq {
        Seq(self.base.load(Ordering::Acquire).saturating_add(1))
    }

    /// Durable events from `from` on, at most `max` of them and never more than
    /// [`limits::MAX_READ_EVENTS`](crate::limits::MAX_READ_EVENTS). Blocks for a read, never for
    /// the writer.
    ///
    /// # Errors
    ///
    /// The events are gone (start from a fresh view), or the read failed.
    pub fn read(
        &self,
        from: Seq,
        max: usize,
        filter: Filter,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let head = self.head();
        let events = self
            .readers
            .ask("reading events", |conn| readers::read(conn, from, head, max, filter))?;
        // Asked afterwards: a cut between the two must not look like a gap.
        let first = self.first();
        if from.0.max(1) < first.0 {
            return Err(StoreError::Pruned { from, first });
        }
        Ok(events)
    }

    /// Stores bytes under their digest; durable when it returns. Blocks for one sync.
    ///
    /// # Errors
    ///
    /// The bytes are too many, the disk is full, or the store has failed or is closed.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        if bytes.len() > INLINE_BLOB_BYTES {
            return self.put_file(bytes);
        }
        let digest = Digest::of(bytes);
        self.fresh.put(digest);
        self.wait(|done| Job::blob(digest, bytes.to_vec(), done))?;
        Ok(digest)
    }

    /// Stores bytes under their digest before any event that is appended after this returns: a log
    /// that holds the event holds the blob. A small blob (at most
    /// [`limits::INLINE_BLOB_BYTES`](crate::limits::INLINE_BLOB_BYTES)) is queued like
    /// [`append`](Self::append), which saves waiting for a sync; until it is committed nobody can
    /// read it, and if that fails nothing after it is taken either. A large one is written at once.
    ///
    /// # Errors
    ///
    /// The bytes are too many, or a large blob could not be written.
    pub fn queue_blob(&self, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        if bytes.len() > INLINE_BLOB_BYTES {
            return self.put_file(&bytes);
        }
        let digest = Digest::of(&bytes);
        self.fresh.put(digest);
        self.queue.push(Job::blob(digest, bytes, Box::new(drop)));
        Ok(digest)
    }

    /// The bytes of a blob, verified. Blocks for a read.
    ///
    /// # Errors
    ///
    /// There is no such blob, or its bytes are not what was stored.
    pub fn get_blob(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let small = self.readers.ask("reading a blob", |conn| blobs::small(conn, digest))?;
        if let Some(bytes) = small {
            return blobs::verify(digest, bytes, self.paths.db.clone());
        }
        self.files.get(digest)?.ok_or(StoreError::BlobMissing { digest: *digest })
    }

    /// Keeps `payload` as the state after event `seq`, for this build only. The newest
    /// [`limits::CACHE_SNAPSHOTS`](crate::limits::CACHE_SNAPSHOTS) are kept. Blocks for two syncs;
    /// appends go on meanwhile.
    ///
    /// # Errors
    ///
    /// `seq` is not a durable event, or the disk failed.
    pub fn snapshot(&self, seq: Seq, payload: &[u8]) -> Result<(), StoreError> {
        let _one = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let tip = self.tip_at(seq, payload)?;
        let digest = Seal::cache(&self.stamp).write(&self.paths, tip, &[], payload)?;
        self.wait(|done| Job::snapshot(tip, self.stamp.clone(), digest, done))?;
        self.sweep()
    }

    /// Keeps `payload` as what stands for every event up to `seq` for good, with the chain value
    /// there and the digest of the events it replaces. `format` is the caller's version of it. The
    /// events can then be deleted with [`cut`](Self::cut). Blocks for two syncs.
    ///
    /// # Errors
    ///
    /// `seq` is not a durable event, or the disk failed.
    pub fn base_snapshot(&self, seq: Seq, format: u32, payload: &[u8]) -> Result<(), StoreError> {
        let _one = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let tip = self.tip_at(seq, payload)?;
        let before = Seq(self.base.load(Ordering::Acquire));
        let replaced = self.readers.ask("digesting what a base replaces", |conn| {
            snapshots::digest_of_events(conn, before, seq)
        })?;
        let seal = Seal::base(format);
        let digest = seal.write(&self.paths, tip, &replaced, payload)?;
        self.wait(|done| Job::base(tip, format, replaced, digest, done))?;
        self.base.store(seq.0, Ordering::Release);
        self.sweep()
    }

    /// Copies the whole store, as it is now, into a directory that does not exist yet. The copy can
    /// be opened like any store. Blocks long; appends go on meanwhile.
    ///
    /// # Errors
    ///
    /// The target exists, or something could not be read or written.
    pub fn backup_to(&self, dir: &Path) -> Result<(), StoreError> {
        // Snapshots must not be swept away between their rows and their files.
        let _one = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::symlink_metadata(dir).is_ok() {
            return Err(StoreError::Exists { path: dir.to_path_buf() });
        }
        home::make_private(dir)?;
        let copy = Paths::of(dir);
        home::make_private(&copy.snapshots)?;
        // The database last but one: a backup without it is none, and it names only blobs that
        // were there before it was read.
        let mut failed = None;
        schema::copy_db(&self.paths.db, &copy.db)?;
        let files = Files::new(&copy);
        home::make_private(&copy.blobs)?;
        self.files.each(|_, digest| {
            let Some(digest) = digest.filter(|_| failed.is_none()) else { return };
            let copied = self
                .files
                .get(&digest)
                .and_then(|bytes| bytes.map_or(Ok(()), |bytes| files.put(&digest, &bytes)));
            failed = copied.err();
        })?;
        failed.map_or(Ok(()), Err)?;
        for head in self.heads()? {
            let (from, to) = (head.path(&self.paths), head.path(&copy));
            fs::copy(&from, &to).map_err(|it| StoreError::io("copying a snapshot", &to, it))?;
        }
        home::sync_dir(&copy.snapshots)?;
        home::sync_dir(dir)
    }

    /// Checks the whole chain, every page, blob and snapshot, beside the running writer. Blocks
    /// long.
    ///
    /// # Errors
    ///
    /// The check itself could not be done; damage is in the report.
    pub fn check_all(&self) -> Result<Report, StoreError> {
        check::check_all(&self.paths, &self.files, &self.tag)
    }

    /// Writes what is queued, empties the write-ahead log, and lets go of the directory; `clean`
    /// is remembered. Whoever is still reading is waited for. A second call does nothing.
    ///
    /// # Errors
    ///
    /// A commit had failed before, or the end could not be written.
    pub fn close(&self, clean: bool) -> Result<(), StoreError> {
        if self.queue.is_own_thread() {
            return Err(StoreError::FromWriter);
        }
        self.readers.close();
        self.queue.close(clean);
        let running = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return Ok(()) };
        match running.thread.join() {
            Ok(ended) => ended.map_err(|it| AppendError::Failed(it).into()),
            Err(_panic) => Err(AppendError::Closed.into()),
        }
    }

    fn put_file(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        if bytes.len() > MAX_BLOB_BYTES {
            return Err(StoreError::TooLarge { bytes: bytes.len() });
        }
        let digest = Digest::of(bytes);
        self.fresh.put(digest);
        self.files.put(&digest, bytes)?;
        Ok(digest)
    }

    /// Queues a job and waits until it is durable.
    pub(crate) fn wait(&self, job: impl FnOnce(writer::Done) -> Job) -> Result<(), StoreError> {
        if self.queue.is_own_thread() {
            return Err(StoreError::FromWriter);
        }
        let (tell, told) = mpsc::sync_channel(1);
        self.queue.push(job(Box::new(move |it| drop(tell.send(it)))));
        told.recv().unwrap_or(Err(AppendError::Closed))?;
        Ok(())
    }

    /// The chain value at a durable event.
    fn tip_at(&self, seq: Seq, payload: &[u8]) -> Result<Tip, StoreError> {
        if payload.len() > MAX_SNAPSHOT_BYTES {
            return Err(StoreError::TooLarge { bytes: payload.len() });
        }
        let (first, head) = (self.first(), self.head());
        let outside = StoreError::SnapshotOutside { seq, first, head };
        if seq < first || seq > head {
            return Err(outside);
        }
        let chain = self.readers.ask("reading a checksum", |conn| chain_at(conn, seq))?;
        let chain = chain.and_then(|it| it.as_slice().try_into().ok()).ok_or(outside)?;
        Ok(Tip { seq, chain })
    }

    fn heads(&self) -> Result<Vec<snapshots::Head>, StoreError> {
        self.readers.ask("reading the snapshots", |conn| {
            let mut heads = snapshots::caches(conn)?;
            heads.extend(snapshots::newest_base(conn)?);
            Ok(heads)
        })
    }

    fn sweep(&self) -> Result<(), StoreError> {
        snapshots::sweep(&self.paths, &self.heads()?)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Whoever cares about the end calls `close`; after it this does nothing.
        if let Err(error) = self.close(false) {
            tracing::warn!(error = %error, "the log did not end well");
        }
    }
}
