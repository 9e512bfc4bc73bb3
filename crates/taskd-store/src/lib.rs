//! The store: every fact in one SQLite log, every long text in a blob, all durable when it says so.
//!
//! One writer thread commits whatever is waiting in one synced transaction; readers have their own
//! connections. It decides nothing, folds nothing, and deletes nothing that is not replaced by a
//! base snapshot. Only this crate names SQLite.
//!
//! What is durable: events, blobs, snapshots, the tag. What can be rebuilt: cache snapshots.
//!
//! What is checked when: on every open the chain of the events since the snapshot, the snapshot
//! itself, and each decoded event; after an unclean close also every page of a database of at most
//! [`limits::QUICK_CHECK_BYTES`]; everything, in [`Store::check_all`]. A page that has rotted
//! before the snapshot of a large database is therefore found by the background check, not on open.

mod blobs;
mod chain;
mod check;
mod conn;
mod cut;
mod error;
mod home;
pub mod limits;
mod readers;
mod recover;
mod reserve;
mod schema;
mod snapshots;
mod store;
mod wal;
mod writer;

pub use check::Report;
pub use error::{AppendError, StoreError};
pub use readers::{Filter, StoredEvent};
pub use recover::{Finding, Recovered};
pub use schema::APPLICATION_ID;
pub use snapshots::{Snapshot, SnapshotKind};
pub use store::{Options, Store};
