//! Programs that never outlive us: each runs under its own small supervisor process.
//!
//! The daemon's half is [`Launcher`]: it starts `taskd supervise …`, reads what the program prints
//! (bounded), and asks for the end. The other half is [`supervisor_main`], which adopts every
//! descendant of the program and ends them all when the program is done, when it is asked to, or
//! when the daemon is gone. What an earlier life left behind is ended by
//! [`Launcher::end_previous_life`] and [`Launcher::end_recorded`].
//!
//! Refuses to: run anything through a shell of its own choosing, retry, pass on its own
//! environment, or signal a process it cannot prove to be ours.

mod capture;
mod driver;
#[cfg(any(not(target_os = "linux"), test))]
mod elsewhere;
mod identity;
mod launcher;
#[cfg(target_os = "linux")]
mod linux;
mod past;
mod wire;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

pub use capture::Captured;
pub use identity::{ProcessIdentity, identity_of, living_below};
pub use launcher::{
    Ender, Finished, How, Launcher, OUTPUT_CHUNK_MAX_BYTES, Running, Spec, Stdin, Stream,
};
pub use past::Past;
pub use wire::Ladder;

/// The whole life of a supervisor process: call this before starting any thread, with what follows
/// `taskd supervise` on the command line.
///
/// The program's fate goes into the report file, not into the exit code, which is 0 whenever a
/// report was written.
#[must_use]
pub fn supervisor_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match wire::Orders::parse(args).and_then(|orders| supervise(&orders)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Our stderr is the program's: the daemon shows it with the program's output.
            writeln!(std::io::stderr(), "taskd supervise: {error}").ok();
            ExitCode::from(error.exit_code())
        }
    }
}

#[cfg(target_os = "linux")]
fn supervise(orders: &wire::Orders) -> Result<(), wire::SuperviseError> {
    linux::supervise(orders)
}

#[cfg(not(target_os = "linux"))]
fn supervise(orders: &wire::Orders) -> Result<(), wire::SuperviseError> {
    elsewhere::supervise(orders)
}
