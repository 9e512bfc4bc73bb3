//! The terminal monitor: plans and loops in the four groups, and the live log of the one selected.
//!
//! It folds the view a daemon sends, draws it, and asks the daemon to act. It holds no truth,
//! decides nothing, and starts no daemon. [`App`] is the whole of it as data; [`run`] joins that
//! to a terminal and a socket.

mod app;
mod draw;
mod log;
mod rows;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use app::{Act, App, Step};
pub use log::{LINES_PER_LOG, LOGS};
pub use session::run;
