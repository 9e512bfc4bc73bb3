//! Room that is kept for the log: a file that is there to be removed when the disk is full, so that
//! what happens can still be written down.

use std::{fs, io, path::PathBuf};

/// The file, and how large it is.
#[derive(Debug, Clone)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// Nothing is kept where `bytes` is 0.
    pub(crate) fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes }
    }

    /// Takes the room, if it is not taken already; says whether it is. A file that is not whole is
    /// no reserve and does not stay.
    pub(crate) fn make(&self) -> bool {
        if self.bytes == 0 {
            return false;
        }
        if fs::metadata(&self.path).is_ok_and(|it| self.bytes <= it.len()) {
            return true;
        }
        let made = self.allocate();
        if made.is_err() {
            self.give_up();
        }
        made.is_ok()
    }

    fn allocate(&self) -> io::Result<()> {
        let file = fs::File::create(&self.path)?;
        let bytes = i64::try_from(self.bytes).map_err(io::Error::other)?;
        #[cfg(target_os = "linux")]
        nix::fcntl::fallocate(&file, nix::fcntl::FallocateFlags::empty(), 0, bytes)?;
        #[cfg(not(target_os = "linux"))]
        io::copy(&mut io::Read::take(io::repeat(0), self.bytes), &mut &file).map(|_| bytes)?;
        file.sync_all()
    }

    /// What is missing of it, in bytes.
    pub(crate) fn owed(&self) -> u64 {
        let there = fs::metadata(&self.path).map_or(0, |it| it.len());
        self.bytes.saturating_sub(there)
    }

    /// Gives the room back; says whether there was any.
    pub(crate) fn give_up(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }
}
