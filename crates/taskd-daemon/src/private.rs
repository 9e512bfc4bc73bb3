//! What is for us alone: directories, files, and words that nobody can guess.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use taskd_api::{ApiError, codes};

/// Makes a directory for us alone, and those above it; or takes the one that is there if it is ours.
///
/// # Errors
///
/// It cannot be made; it, or a link to it, is another user's; or others may write to it.
pub fn directory(dir: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).with_context(|| {
        format!("cannot make {}; choose another place with TASKD_STATE_DIR", dir.display())
    })?;
    let (name, found) = (dir.display(), fs::metadata(dir)?);
    let us = nix::unistd::geteuid().as_raw();
    for owner in [fs::symlink_metadata(dir)?.uid(), found.uid()] {
        if owner != us {
            let what = format!("{name} belongs to another user, whose number is {owner}");
            let hint = "choose a place of your own with TASKD_STATE_DIR";
            return Err(ApiError::new(codes::REFUSED, what).hint(hint).into());
        }
    }
    if found.mode() & OTHERS_WRITE != 0 {
        let what = format!("others may write to {name}: its mode is {:o}", found.mode() & 0o7777);
        return Err(ApiError::new(codes::REFUSED, what).hint(format!("chmod 700 {name}")).into());
    }
    Ok(())
}

/// Bits of a mode with which others than its owner may change what is in a directory.
const OTHERS_WRITE: u32 = 0o022;

/// Writes a file that only this user reads, over what is there.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// 256 bits that nobody can guess, as 64 hexadecimal digits.
///
/// # Errors
///
/// The system gives none.
pub fn token() -> io::Result<String> {
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|it| format!("{it:02x}")).collect())
}

/// A file that only this user reads, for as long as this value lives.
pub(crate) struct PrivateFile(PathBuf);

impl PrivateFile {
    /// Writes it, over what is there.
    pub(crate) fn write(path: &Path, text: &str) -> io::Result<Self> {
        // What was begun is removed, also where the disk is full.
        let it = Self(path.to_owned());
        write(path, text)?;
        Ok(it)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}
