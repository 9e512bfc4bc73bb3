//! What is for us alone: directories, files, and words that nobody can guess.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

/// Makes a directory for us alone, and those above it.
pub(crate) fn directory(dir: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).with_context(|| {
        format!("cannot make {}; choose another place with TASKD_STATE_DIR", dir.display())
    })
}

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
