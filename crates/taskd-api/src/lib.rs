//! The daemon's API as Rust: the generated types, what turns the view into them and back, and
//! [`Client`].
//!
//! It carries words between a daemon and its clients. It holds no truth, decides nothing, and
//! starts no daemon.

mod client;
mod convert;
mod error;
mod metrics;
mod place;
#[cfg(test)]
mod tests;
mod watch;

pub use client::{
    Client, IDEMPOTENCY_HEADER, Items, Output, TRACE_HEADER, VERSION_HEADER, VIA_HEADER,
    handed_over,
};
pub use convert::WireError;
pub use error::{ApiError, ERROR_TRAILER, codes, exit};
pub use metrics::MetricsText;
pub use place::Place;
pub use v1::taskd_server::{Taskd, TaskdServer};
pub use watch::{Watch, Watched};

/// The generated types of `proto/taskd/v1`.
pub mod v1 {
    #![allow(
        missing_debug_implementations,
        unused_qualifications,
        unreachable_pub,
        clippy::all,
        clippy::allow_attributes_without_reason,
        clippy::needless_pass_by_value,
        clippy::semicolon_if_nothing_returned,
        clippy::too_many_lines,
        clippy::uninlined_format_args,
        clippy::use_self,
        clippy::wildcard_enum_match_arm,
        reason = "generated"
    )]

    tonic::include_proto!("taskd.v1");
}

/// The descriptors of `proto/taskd/v1`, encoded, for reflection and for compatibility checks.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("taskd_descriptor");
