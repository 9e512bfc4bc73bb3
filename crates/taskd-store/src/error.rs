//! What can go wrong with the store: what was being done, to which file, and what to do next.
//!
//! Nothing here prints, and no type of the SQLite library leaks out: callers see its message as a
//! source.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::ErrorCode;
use taskd_model::{Code, DecodeError, Digest, MAX_EVENT_BYTES, Seq};

use crate::limits::{MAX_BATCH_EVENTS, MAX_BLOB_BYTES, MAX_SNAPSHOT_BYTES};

type Cause = Box<dyn Error + Send + Sync>;

/// The store cannot be opened, or an operation on it failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error(
        "{} is held by {}; use that daemon, or stop it and try again",
        path.display(), pid.map_or_else(|| "another process".to_owned(), |it| format!("process {it}"))
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as the lock file says.
        pid: Option<u32>,
    },
    /// A database, but of another program.
    #[error(
        "{} is a database of another program (application id {found:#x}); nothing was changed: \
         move it away, or point taskd at another state directory", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The id it carries.
        found: u32,
    },
    /// Not a database at all.
    #[error(
        "{} is not a taskd database; nothing was changed: move it away, restore a backup, or point \
         taskd at another state directory", path.display()
    )]
    NotSqlite {
        /// The file.
        path: PathBuf,
    },
    /// A newer taskd wrote it.
    #[error(
        "{} has schema {found}, and this taskd knows up to {known}; nothing was changed: use the \
         newer taskd, or restore the copy it made ({}.before-V{})",
        path.display(), path.display(), known.saturating_add(1)
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest this build knows.
        known: i64,
    },
    /// The directory is on a filesystem whose locks and shared memory cannot be trusted.
    #[error(
        "{} is on a network filesystem ({kind}), where the log is not safe; put the state \
         directory on a local disk, or force it in the options", path.display()
    )]
    NetworkFilesystem {
        /// The directory.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Something may not be written.
    #[error(
        "{doing}: {} may not be written; make it writable for this user, or point taskd at another \
         state directory", path.display()
    )]
    ReadOnly {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Cause,
    },
    /// No room.
    #[error(
        "{doing}: no room left for {}; nothing was half written: free some space and start again",
        path.display()
    )]
    DiskFull {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Cause,
    },
    /// A file operation failed.
    #[error("{doing}: {} failed; look at the cause, then start again", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A database operation failed.
    #[error("{doing}: {} failed; look at the cause, then start again", path.display())]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: Cause,
    },
    /// The log is not what was written.
    #[error(
        "{} is damaged: {problem}; nothing was changed: copy the state directory away, then restore \
         the newest backup", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A migration failed; the database is as it was before that migration.
    #[error(
        "moving {} to schema {version} failed and was undone; the data before is in {}",
        path.display(), backup.as_ref().map_or_else(|| path.display().to_string(), |it| it.display().to_string())
    )]
    Migration {
        /// The file.
        path: PathBuf,
        /// The schema it should have got.
        version: i64,
        /// The copy made before the first pending migration.
        backup: Option<PathBuf>,
        /// Why.
        #[source]
        source: Cause,
    },
    /// An intact event this build cannot read.
    #[error(
        "{} holds an event this taskd cannot read; nothing was changed: use the newer taskd that \
         wrote it", path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Which, and why.
        #[source]
        source: DecodeError,
    },
    /// No blob has this digest.
    #[error("blob {digest} is not in the store; restore it from a backup")]
    BlobMissing {
        /// Its name.
        digest: Digest,
    },
    /// A blob's bytes do not have the digest that names them.
    #[error(
        "blob {digest} in {} is damaged: its bytes have the digest {found}; restore it from a backup",
        path.display()
    )]
    BlobDamaged {
        /// Its name.
        digest: Digest,
        /// What its bytes say.
        found: Digest,
        /// Where it is.
        path: PathBuf,
    },
    /// A blob or snapshot larger than anything reasonable.
    #[error(
        "{bytes} bytes are too many: a blob has at most {MAX_BLOB_BYTES} and a snapshot \
         {MAX_SNAPSHOT_BYTES}; cut it before storing it"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A snapshot must stand for events that are durable.
    #[error("a snapshot at {seq} is refused: the log holds events {first} to {head}")]
    SnapshotOutside {
        /// Where the snapshot would stand.
        seq: Seq,
        /// The first event that is there.
        first: Seq,
        /// The last durable event.
        head: Seq,
    },
    /// The events asked for were replaced by a base snapshot.
    #[error("events before {first} are gone, {from} was asked for; start from a fresh view")]
    Pruned {
        /// The first event asked for.
        from: Seq,
        /// The first event that is there.
        first: Seq,
    },
    /// A backup never writes over anything.
    #[error("{} exists already; name a directory that does not", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// A blocking call from a callback on the writer thread would wait for itself.
    #[error("a store callback may not wait for the store; hand the work to another thread")]
    FromWriter,
    /// The writer refused or failed.
    #[error("the log did not take it")]
    Write(#[from] AppendError),
}

/// Why a batch is not in the log. Nothing of it was written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Events must follow one another and the log's head.
    #[error("event {found} does not follow: the log expects {expected}")]
    Gap {
        /// What would have followed.
        expected: Seq,
        /// What came.
        found: Seq,
    },
    /// A batch without events.
    #[error("an empty batch was appended")]
    Empty,
    /// An event over the limit: prose belongs into blobs.
    #[error("event {seq} has {bytes} bytes, at most {MAX_EVENT_BYTES} are allowed")]
    EventTooLarge {
        /// Its position.
        seq: Seq,
        /// Its encoded size.
        bytes: usize,
    },
    /// A batch over the limit.
    #[error("a batch of {events} events was appended, at most {MAX_BATCH_EVENTS} are allowed")]
    BatchTooLarge {
        /// How many events it has.
        events: usize,
    },
    /// A commit failed, this one or one before; the store takes nothing more.
    #[error("the log cannot be written any more; the daemon has to end and start again")]
    Failed(#[source] Arc<StoreError>),
    /// The store was closed, or its writer ended.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The word for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Locked { .. } => Code::StoreLocked,
            Self::Foreign { .. } | Self::NotSqlite { .. } => Code::StoreNotOurs,
            Self::NewerSchema { .. } | Self::Unreadable { .. } => Code::StoreNewer,
            Self::NetworkFilesystem { .. } => Code::StoreNetwork,
            Self::ReadOnly { .. } => Code::FileDenied,
            Self::DiskFull { .. } => Code::DiskFull,
            Self::Io { source, .. } => Code::of_io(source),
            Self::Damaged { .. } | Self::BlobMissing { .. } | Self::BlobDamaged { .. } => {
                Code::StoreDamaged
            }
            Self::Migration { .. } => Code::StoreMigration,
            Self::Write(AppendError::Failed(of)) => of.code(),
            Self::Sqlite { .. }
            | Self::TooLarge { .. }
            | Self::SnapshotOutside { .. }
            | Self::Pruned { .. }
            | Self::Exists { .. }
            | Self::FromWriter
            | Self::Write(
                AppendError::Gap { .. }
                | AppendError::Empty
                | AppendError::EventTooLarge { .. }
                | AppendError::BatchTooLarge { .. }
                | AppendError::Closed,
            ) => Code::StoreFailed,
        }
    }

    /// Sorts a failure of the file system.
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = path.to_path_buf();
        let kind = source.kind();
        if matches!(kind, Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge) {
            Self::DiskFull { doing, path, source: source.into() }
        } else if matches!(kind, Kind::PermissionDenied | Kind::ReadOnlyFilesystem) {
            Self::ReadOnly { doing, path, source: source.into() }
        } else {
            Self::Io { doing, path, source }
        }
    }

    /// Sorts a failure of SQLite.
    pub(crate) fn sqlite(doing: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        let code = source.sqlite_error_code();
        let path = path.to_path_buf();
        match code {
            Some(ErrorCode::DiskFull) => Self::DiskFull { doing, path, source: source.into() },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { doing, path, source: source.into() }
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, problem: format!("{doing}: {source}") }
            }
            Some(ErrorCode::NotADatabase) => Self::NotSqlite { path },
            _ => Self::Sqlite { doing, path, source: source.into() },
        }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), problem: problem.into() }
    }
}
