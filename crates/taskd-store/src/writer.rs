//! The one writer: a bounded queue, and a thread that commits everything waiting in one sync.
//!
//! It decides nothing and skips nothing. After a failed commit it takes nothing more.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use rusqlite::{Connection, Statement, params};
use taskd_model::{Digest, MAX_EVENT_BYTES, Record, Seq};

use crate::{
    chain::{Chain, Tip},
    conn::{self, sql_int},
    error::{AppendError, StoreError},
    home::Paths,
    limits::{
        CACHE_SNAPSHOTS, GROUP_BYTES, GROUP_JOBS, IDLE_TRUNCATE_MS, MAX_BATCH_EVENTS, QUEUE_BYTES,
        QUEUE_JOBS,
    },
    reserve::Reserve,
};

/// Told once, on the writer thread, after the commit: the durable head or why not.
pub(crate) type Done = Box<dyn FnOnce(Result<Seq, AppendError>) + Send>;

/// One thing to write. It is written whole or not at all.
pub(crate) struct Job {
    op: Op,
    bytes: usize,
    done: Done,
}

enum Op {
    Append(Result<Vec<Line>, AppendError>),
    Blob { digest: Digest, bytes: Vec<u8> },
    Snapshot { seq: Seq, stamp: String, chain: Chain, digest: Digest },
    Base { seq: Seq, format: u32, chain: Chain, replaced: [u8; 32], digest: Digest },
    Prune { up_to: Seq },
    Forget(Vec<Digest>),
}

/// An event, ready to be stored.
struct Line {
    seq: Seq,
    at: i64,
    project: Option<i64>,
    loop_id: Option<String>,
    kind: &'static str,
    json: String,
}

impl Job {
    /// Encodes on the caller's thread; a refused batch still waits its turn to say so in order.
    pub(crate) fn append(batch: Vec<Record>, done: Done) -> Self {
        let lines = encode(batch);
        let bytes = lines.as_ref().map_or(0, |it| it.iter().map(|line| line.json.len()).sum());
        Self { op: Op::Append(lines), bytes, done }
    }

    pub(crate) fn blob(digest: Digest, bytes: Vec<u8>, done: Done) -> Self {
        Self { bytes: bytes.len(), op: Op::Blob { digest, bytes }, done }
    }

    pub(crate) fn snapshot(tip: Tip, stamp: String, digest: Digest, done: Done) -> Self {
        let Tip { seq, chain } = tip;
        Self { op: Op::Snapshot { seq, stamp, chain, digest }, bytes: 0, done }
    }

    pub(crate) fn base(
        tip: Tip,
        format: u32,
        replaced: [u8; 32],
        digest: Digest,
        done: Done,
    ) -> Self {
        let Tip { seq, chain } = tip;
        Self { op: Op::Base { seq, format, chain, replaced, digest }, bytes: 0, done }
    }

    pub(crate) fn prune(up_to: Seq, done: Done) -> Self {
        Self { op: Op::Prune { up_to }, bytes: 0, done }
    }

    /// Deletes small blobs.
    pub(crate) fn forget(digests: Vec<Digest>, done: Done) -> Self {
        Self { op: Op::Forget(digests), bytes: 0, done }
    }
}

fn encode(batch: Vec<Record>) -> Result<Vec<Line>, AppendError> {
    if batch.is_empty() {
        return Err(AppendError::Empty);
    }
    if batch.len() > MAX_BATCH_EVENTS {
        return Err(AppendError::BatchTooLarge { events: batch.len() });
    }
    let line = |record: Record| {
        let json = record.encode();
        if json.len() > MAX_EVENT_BYTES {
            return Err(AppendError::EventTooLarge { seq: record.seq, bytes: json.len() });
        }
        Ok(Line {
            seq: record.seq,
            at: sql_int(record.at.0),
            project: record.project.map(|it| i64::from(it.0)),
            loop_id: record.loop_id.map(|it| it.to_string()),
            kind: record.event.kind(),
            json,
        })
    };
    batch.into_iter().map(line).collect()
}

/// What callers and the writer thread share.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Something is waiting, or it is over.
    wake: Condvar,
    /// There is room again.
    room: Condvar,
    /// The last durable event.
    head: AtomicU64,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
    writer: Option<ThreadId>,
    over: Option<Over>,
}

/// Nothing more is taken.
enum Over {
    /// What is queued is still written; `clean` is what the store remembers of this end.
    Closed {
        clean: bool,
    },
    Failed(AppendError),
}

enum Next {
    Group(Vec<Job>),
    Idle,
    End { clean: bool },
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Queue {
    pub(crate) fn new(head: Seq) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            room: Condvar::new(),
            head: AtomicU64::new(head.0),
        }
    }

    pub(crate) fn head(&self) -> Seq {
        Seq(self.head.load(Ordering::Acquire))
    }

    /// Queues a job; waits while the queue is full, except on the writer thread itself.
    pub(crate) fn push(&self, job: Job) {
        let mut state = self.lock();
        let own = state.writer == Some(thread::current().id());
        while state.over.is_none() && !own && state.is_full(job.bytes) {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(over) = &state.over {
            let error = over.error();
            drop(state);
            return (job.done)(Err(error));
        }
        state.bytes += job.bytes;
        state.jobs.push_back(job);
        drop(state);
        self.wake.notify_one();
    }

    /// Whether this is the thread that runs the callbacks.
    pub(crate) fn is_own_thread(&self) -> bool {
        self.lock().writer == Some(thread::current().id())
    }

    /// Takes nothing more; what is queued is still written.
    pub(crate) fn close(&self, clean: bool) {
        self.lock().over.get_or_insert(Over::Closed { clean });
        self.wake.notify_all();
        self.room.notify_all();
    }

    /// Takes nothing more and drops what is queued, telling everybody why.
    fn fail(&self, error: &AppendError) {
        let mut state = self.lock();
        state.over = Some(Over::Failed(error.clone()));
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        self.room.notify_all();
        for job in jobs {
            (job.done)(Err(error.clone()));
        }
    }

    /// Everything that is waiting, up to the size of a group.
    fn take(&self, dirty: bool) -> Next {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if let Some(over) = &state.over {
                return Next::End { clean: matches!(over, Over::Closed { clean: true }) };
            }
            if !dirty {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let idle = Duration::from_millis(IDLE_TRUNCATE_MS);
            let (next, timeout) =
                self.wake.wait_timeout(state, idle).unwrap_or_else(PoisonError::into_inner);
            state = next;
            if timeout.timed_out() && state.jobs.is_empty() && state.over.is_none() {
                return Next::Idle;
            }
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while group.len() < GROUP_JOBS
            && let Some(job) =
                state.jobs.pop_front_if(|it| bytes == 0 || bytes + it.bytes <= GROUP_BYTES)
        {
            bytes += job.bytes;
            group.push(job);
        }
        state.bytes -= bytes;
        drop(state);
        self.room.notify_all();
        Next::Group(group)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self, bytes: usize) -> bool {
        !self.jobs.is_empty() && (self.jobs.len() >= QUEUE_JOBS || self.bytes + bytes > QUEUE_BYTES)
    }
}

impl Over {
    fn error(&self) -> AppendError {
        match self {
            Self::Closed { .. } => AppendError::Closed,
            Self::Failed(it) => it.clone(),
        }
    }
}

/// Runs until the queue is closed or a commit fails; the body of the writer thread.
pub(crate) fn run(
    queue: &Queue,
    conn: Connection,
    (paths, reserve): (&Paths, &Reserve),
    tip: Tip,
) -> Result<(), Arc<StoreError>> {
    queue.lock().writer = Some(thread::current().id());
    let _guard = EndOfThread(queue);
    let fail = |source| {
        let error = Arc::new(StoreError::sqlite("appending to the log", &paths.db, source));
        queue.fail(&AppendError::Failed(Arc::clone(&error)));
        error
    };
    let clean = {
        let mut statements = Statements::prepare(&conn).map_err(fail)?;
        let mut tip = tip;
        let mut dirty = false;
        loop {
            match queue.take(dirty) {
                Next::Group(jobs) => {
                    commit(queue, (paths, reserve), &mut statements, &mut tip, jobs)?;
                    dirty = true;
                }
                Next::Idle => {
                    truncate(&conn);
                    dirty = false;
                }
                Next::End { clean } => break clean,
            }
        }
    };
    if clean {
        conn.execute("UPDATE meta SET value = '1' WHERE name = 'clean'", []).map_err(fail)?;
    }
    truncate(&conn);
    conn.close().map_err(|(_, source)| fail(source))
}

/// However the thread ends, nobody waits for it in vain.
struct EndOfThread<'a>(&'a Queue);

impl Drop for EndOfThread<'_> {
    fn drop(&mut self) {
        let failed = matches!(self.0.lock().over, Some(Over::Failed(_)));
        if !failed {
            self.0.fail(&AppendError::Closed);
        }
    }
}

fn truncate(conn: &Connection) {
    match conn::truncate_wal(conn) {
        Ok(true) => {}
        Ok(false) => tracing::debug!("the write-ahead log is being read and was not cut"),
        Err(source) => tracing::warn!(error = %source, "the write-ahead log could not be cut"),
    }
}

/// Commits a group and tells everybody, in the order they came.
fn commit(
    queue: &Queue,
    (paths, reserve): (&Paths, &Reserve),
    statements: &mut Statements<'_>,
    tip: &mut Tip,
    jobs: Vec<Job>,
) -> Result<(), Arc<StoreError>> {
    let (ops, dones): (Vec<Op>, Vec<Done>) = jobs.into_iter().map(|it| (it.op, it.done)).unzip();
    let mut result = statements.group(*tip, &ops);
    // What happens while the disk is full can still be written down.
    if result.as_ref().is_err_and(is_full) && reserve.give_up() {
        tracing::warn!("the disk is full: the log goes on in the room kept for it");
        result = statements.group(*tip, &ops);
    }
    match result {
        Ok((next, refusals)) => {
            *tip = next;
            queue.head.store(next.seq.0, Ordering::Release);
            for (done, refusal) in dones.into_iter().zip(refusals) {
                done(refusal);
            }
            Ok(())
        }
        Err(source) => {
            let error = Arc::new(StoreError::sqlite("appending to the log", &paths.db, source));
            let told = AppendError::Failed(Arc::clone(&error));
            for done in dones {
                done(Err(told.clone()));
            }
            queue.fail(&told);
            Err(error)
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// What the writer says to SQLite, prepared once.
struct Statements<'a> {
    begin: Statement<'a>,
    commit: Statement<'a>,
    rollback: Statement<'a>,
    event: Statement<'a>,
    blob: Statement<'a>,
    snapshot: Statement<'a>,
    trim: Statement<'a>,
    base: Statement<'a>,
    prune: Statement<'a>,
    forget: Statement<'a>,
}

impl<'a> Statements<'a> {
    fn prepare(conn: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            begin: conn.prepare("BEGIN IMMEDIATE")?,
            commit: conn.prepare("COMMIT")?,
            rollback: conn.prepare("ROLLBACK")?,
            event: conn.prepare(
                "INSERT INTO event (seq, at, project, loop, kind, json, chain) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            blob: conn.prepare(
                "INSERT INTO blob (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            )?,
            snapshot: conn.prepare(
                "INSERT OR REPLACE INTO snapshot (seq, stamp, chain, digest) \
                 VALUES (?1, ?2, ?3, ?4)",
            )?,
            trim: conn.prepare(
                "DELETE FROM snapshot WHERE seq NOT IN \
                 (SELECT seq FROM snapshot ORDER BY seq DESC LIMIT ?1)",
            )?,
            base: conn.prepare(
                "INSERT OR REPLACE INTO base (seq, format, chain, replaced, digest) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            prune: conn.prepare("DELETE FROM event WHERE seq <= ?1")?,
            forget: conn.prepare("DELETE FROM blob WHERE digest = ?1")?,
        })
    }

    /// One transaction: the new tip and an answer for each, or nothing at all.
    fn group(
        &mut self,
        tip: Tip,
        ops: &[Op],
    ) -> rusqlite::Result<(Tip, Vec<Result<Seq, AppendError>>)> {
        self.begin.execute([])?;
        let mut tip = tip;
        let mut write = || {
            let mut answers = Vec::with_capacity(ops.len());
            for op in ops {
                answers.push(self.write(&mut tip, op)?);
            }
            self.commit.execute([])?;
            Ok(answers)
        };
        match write() {
            Ok(answers) => Ok((tip, answers)),
            Err(error) => {
                // SQLite may have rolled back by itself; then there is nothing left to undo.
                drop(self.rollback.execute([]));
                Err(error)
            }
        }
    }

    fn write(&mut self, tip: &mut Tip, op: &Op) -> rusqlite::Result<Result<Seq, AppendError>> {
        match op {
            Op::Append(Err(refused)) => return Ok(Err(refused.clone())),
            Op::Append(Ok(lines)) => {
                let mut expected = *tip;
                for line in lines {
                    if line.seq != expected.next() {
                        let (expected, found) = (expected.next(), line.seq);
                        return Ok(Err(AppendError::Gap { expected, found }));
                    }
                    expected.seq = line.seq;
                }
                for line in lines {
                    let next = tip.after(&line.json);
                    let Line { at, project, loop_id, kind, json, .. } = line;
                    let seq = sql_int(next.seq.0);
                    self.event
                        .execute(params![seq, at, project, loop_id, kind, json, next.chain])?;
                    *tip = next;
                }
            }
            Op::Blob { digest, bytes } => {
                self.blob.execute(params![digest.as_bytes(), bytes])?;
            }
            Op::Snapshot { seq, stamp, chain, digest } => {
                self.snapshot.execute(params![sql_int(seq.0), stamp, chain, digest.as_bytes()])?;
                self.trim.execute([i64::try_from(CACHE_SNAPSHOTS).unwrap_or(i64::MAX)])?;
            }
            Op::Base { seq, format, chain, replaced, digest } => {
                let digest = digest.as_bytes();
                self.base.execute(params![sql_int(seq.0), format, chain, replaced, digest])?;
            }
            Op::Prune { up_to } => {
                self.prune.execute([sql_int(up_to.0)])?;
            }
            Op::Forget(digests) => {
                for digest in digests {
                    self.forget.execute([digest.as_bytes()])?;
                }
            }
        }
        Ok(Ok(tip.seq))
    }
}
