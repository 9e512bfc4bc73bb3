//! A log file and those that were moved aside: `daemon.log`, `daemon.log.1` and so on.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// A file that has grown to this many bytes is moved aside; 0 is never.
    pub(crate) file_bytes: u64,
    /// Files that were moved aside and are kept.
    pub(crate) kept: u32,
}

/// The file that is written.
pub(super) struct LogFile {
    path: PathBuf,
    room: Room,
    /// Its size, once that was looked up.
    bytes: Option<u64>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, room: Room) -> Self {
        Self { path, room, bytes: None }
    }

    /// Counts what is about to be written; whether the file has had enough before.
    pub(super) fn grows_by(&mut self, bytes: usize) -> io::Result<bool> {
        let before = match self.bytes {
            Some(known) => known,
            None => fs::metadata(&self.path)?.len(),
        };
        self.bytes = Some(before + bytes as u64);
        Ok(self.room.file_bytes != 0 && self.room.file_bytes <= before)
    }

    /// Moves it aside and makes another. The oldest goes, and what an earlier life kept beyond that.
    pub(super) fn begin_anew(&mut self) -> io::Result<File> {
        self.bytes = None;
        let kept = self.room.kept;
        for n in (kept..).map(|n| numbered(&self.path, n)).take_while(|it| it.exists()) {
            fs::remove_file(n)?;
        }
        for n in (1..kept).rev() {
            let older = numbered(&self.path, n);
            if older.exists() {
                fs::rename(older, numbered(&self.path, n + 1))?;
            }
        }
        fs::rename(&self.path, numbered(&self.path, 1))?;
        File::options().create(true).append(true).mode(0o600).open(&self.path)
    }
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_that_has_grown_is_moved_aside() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("daemon.log");
        let read = |it: &Path| fs::read_to_string(it).ok();
        fs::write(&path, "0").expect("writable");
        let mut file = LogFile::new(path.clone(), Room { file_bytes: 2, kept: 5 });
        for n in 1..8_u8 {
            // Each file has room for one more.
            assert!(!file.grows_by(1).expect("there"), "{n}");
            assert!(file.grows_by(1).expect("there"), "{n}");
            let mut new = file.begin_anew().expect("moved");
            write!(new, "{n}").expect("writable");
        }
        let all = || (1..7).map(|n| read(&numbered(&path, n))).collect::<Vec<_>>();
        let text = |it: &str| Some(it.to_owned());
        assert_eq!(read(&path).as_deref(), Some("7"));
        assert_eq!(all(), [text("6"), text("5"), text("4"), text("3"), text("2"), None]);
        // A later life keeps less.
        let mut file = LogFile::new(path.clone(), Room { file_bytes: 1, kept: 2 });
        assert!(file.grows_by(1).expect("there"));
        file.begin_anew().expect("moved");
        assert_eq!(all(), [text("7"), text("6"), None, None, None, None]);
        let mut file = LogFile::new(path.clone(), Room { file_bytes: 0, kept: 2 });
        assert!(!file.grows_by(9).expect("there") && !file.grows_by(1).expect("there"), "never");
    }
}
