//! The store, on real files: what it promises, and what it does when files or processes die.
//!
//! No sleeps and no network; children are this very binary.

mod blobs;
mod crash;
mod damage;
mod full;
mod help;
mod log;
mod model;
mod refusal;
mod snapshots;
mod speed;
