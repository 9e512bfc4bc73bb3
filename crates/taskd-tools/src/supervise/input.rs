//! What a program can read on its stdin: nothing, a file, or what the daemon writes to it.
//!
//! What is written goes through a named pipe in the run directory, whose name is gone as soon as the
//! supervisor has opened it: the supervisor's own stdin is the control pipe, and no descriptor is
//! inherited by anybody it is not meant for. Refuses to wait for a writer or a reader.

use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe::Sender;

use super::launcher::Stdin;
use super::wire::Orders;

/// What the daemon writes to a program. Dropping it is the end of the program's input.
#[derive(Debug)]
pub struct Input(Sender);

impl Input {
    /// Makes the pipe. We hold both ends, so a program that is gone breaks nothing: what is written
    /// to it is never read, and the writer is dropped with its [`super::Running`].
    pub(super) fn create(orders: &Orders) -> io::Result<Self> {
        let path = orders.pipe_path();
        remove_file(&path).ok();
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let both = OpenOptions::new().read(true).write(true).open(&path)?;
        Ok(Self(Sender::from_file(both)?))
    }

    /// Writes all of it; waits while the program reads nothing.
    ///
    /// # Errors
    /// The pipe cannot be written.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }
}

/// The supervisor's side: opens what the program will read.
pub(super) fn open(orders: &Orders) -> Result<File, String> {
    let path = match &orders.stdin {
        Stdin::Null => Path::new("/dev/null").to_owned(),
        Stdin::File(path) => path.clone(),
        Stdin::Piped => orders.pipe_path(),
    };
    let opened = if orders.stdin == Stdin::Piped { open_pipe(&path) } else { File::open(&path) };
    opened.map_err(|error| format!("could not open {}: {error}", path.display()))
}

/// A daemon that died a moment ago has closed its end: then this is an empty file and no wait.
fn open_pipe(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    remove_file(path)?;
    fcntl(&file, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(file)
}
