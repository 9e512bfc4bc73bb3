//! Every limit of the store, with its unit in its name.
//!
//! Nothing else in this crate may hold a bare number that bounds something. The size of one event
//! is [`taskd_model::MAX_EVENT_BYTES`].

/// Events in one batch; a batch is one transaction's atom.
pub const MAX_BATCH_EVENTS: usize = 8_192;

/// Jobs (batches, small blobs, snapshot rows) the writer commits together.
pub const GROUP_JOBS: usize = 256;

/// Bytes the writer commits together; one job larger than that goes alone.
pub const GROUP_BYTES: usize = 4 << 20;

/// Jobs waiting for the writer; the next caller waits until there is room.
pub const QUEUE_JOBS: usize = 1_024;

/// Bytes waiting for the writer; the next caller waits until there is room.
pub const QUEUE_BYTES: usize = 16 << 20;

/// Events one [`read`](crate::Store::read) returns at most.
pub const MAX_READ_EVENTS: usize = 1_024;

/// Read-only connections kept for readers; more readers wait for one another.
pub const READERS: usize = 4;

/// Largest blob kept inside the database, in bytes; larger ones are files.
///
/// A file costs three syncs of its own, a row shares the one of its group; most prompts fit.
pub const INLINE_BLOB_BYTES: usize = 32 << 10;

/// Largest blob, in bytes.
pub const MAX_BLOB_BYTES: usize = 64 << 20;

/// Largest snapshot payload, in bytes.
pub const MAX_SNAPSHOT_BYTES: usize = 512 << 20;

/// Cache snapshots kept: the newest, and one in case it is damaged.
pub const CACHE_SNAPSHOTS: usize = 2;

/// Largest database that is checked page by page while opening after an unclean close, in bytes.
/// A larger one opens after the chain check alone; run [`check_all`](crate::Store::check_all).
pub const QUICK_CHECK_BYTES: u64 = 64 << 20;

/// How long the writer is idle before it truncates the write-ahead log, in milliseconds.
pub const IDLE_TRUNCATE_MS: u64 = 2_000;

/// Pages in the write-ahead log before a commit moves them into the database.
pub const WAL_PAGES: u32 = 1_000;

/// Size the write-ahead log file is cut back to after a checkpoint, in bytes.
pub const WAL_FILE_BYTES: u64 = 64 << 20;

/// How long a connection waits for a lock held by another, in milliseconds.
pub const BUSY_MS: u64 = 5_000;

/// Page cache of the writer, in KiB; readers get a quarter of it.
pub const CACHE_KIB: u32 = 16 << 10;

/// Problems one [`check_all`](crate::Store::check_all) reports before it stops counting.
pub const MAX_FINDINGS: usize = 100;

/// Events one step of a [`cut`](crate::Store::cut) reads or deletes, so that appends come between.
pub const CUT_EVENTS: u64 = 1_000;

/// Blobs one step of a cut deletes; whoever stores one waits so long.
pub const CUT_BLOBS: usize = 100;
