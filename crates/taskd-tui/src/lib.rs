//! The terminal monitor: plans and loops in the four groups, one loop in focus, the inbox, the queues,
//! the costs, several loops at once.
//!
//! It folds the view a daemon sends, draws it, and asks the daemon to act. It holds no truth,
//! decides nothing, and starts no daemon. [`App`] is the whole of it as data; [`run`] joins that
//! to a terminal and a socket.

mod act;
mod app;
mod ascii;
mod draw;
mod editor;
mod fetch;
mod hear;
mod keys;
mod log;
mod markdown;
mod overlay;
mod pager;
mod query;
mod rows;
mod screens;
mod session;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod words;
mod world;

pub use act::{Act, What};
pub use app::{App, Step};
pub use log::{LINES_PER_LOG, LOGS};
pub use query::{Found, Query};
pub use session::run;
