//! The daemon's log: where its lines go, how long they are kept, and what they never hold.
//!
//! Lines go to stderr. Of a daemon that was started in the background that is a file, which is
//! moved aside when it has grown; stderr is then the new file, so that the last words of a panic
//! are where people look. Nobody else writes to it or cuts it.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tracing_subscriber::EnvFilter;

use crate::runner::lock;

/// A file that has grown to this is moved aside.
const MAX_BYTES: u64 = 10 << 20;
/// Files that were moved aside and are kept.
const KEPT: u32 = 5;
/// A shorter secret would be found in words that are none.
const MIN_SECRET_BYTES: usize = 8;

/// Values that no line may hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(Arc<Mutex<BTreeSet<String>>>);

impl Secrets {
    /// These are secrets too, from now on.
    pub(crate) fn learn<'a>(&self, values: impl IntoIterator<Item = &'a String>) {
        let values = values.into_iter().map(|it| it.trim());
        let long = values.filter(|it| MIN_SECRET_BYTES <= it.len()).map(str::to_owned);
        lock(&self.0).extend(long);
    }

    /// A text without any of them.
    pub(crate) fn without<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        let secrets = lock(&self.0);
        if secrets.is_empty() {
            return Cow::Borrowed(line);
        }
        let text = String::from_utf8_lossy(line);
        let Some(_) = secrets.iter().find(|it| text.contains(it.as_str())) else {
            return Cow::Borrowed(line);
        };
        let clean = secrets.iter().fold(text.into_owned(), |text, it| text.replace(it, "[secret]"));
        Cow::Owned(clean.into_bytes())
    }
}

/// How much is logged; may be said anew while the daemon runs.
#[derive(Clone, Default)]
pub(crate) struct Levels(Option<Arc<dyn Fn(EnvFilter) + Send + Sync>>);

impl std::fmt::Debug for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Levels").field(&self.0.is_some()).finish()
    }
}

impl Levels {
    /// From now on this much.
    pub(crate) fn set(&self, level: &str) {
        if let Some(set) = &self.0 {
            set(filter(level));
        }
    }
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Begins to log. `file` is what stderr is, where that is the daemon's own.
pub(crate) fn init(level: &str, file: Option<PathBuf>) -> (Secrets, Levels) {
    let secrets = Secrets::default();
    let lines = Lines { secrets: secrets.clone(), file: file.map(LogFile::new) };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(Mutex::new(lines))
        .with_ansi(false)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    // A second daemon in one process (tests) keeps the first one's subscriber.
    subscriber.try_init().ok();
    let set = move |filter| {
        // It fails only when nothing logs any more.
        handle.reload(filter).ok();
    };
    (secrets, Levels(Some(Arc::new(set))))
}

/// Takes one line a write.
struct Lines {
    secrets: Secrets,
    file: Option<LogFile>,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let clean = self.secrets.without(line);
        if let Some(file) = &mut self.file
            && file.grows_by(clean.len(), MAX_BYTES)?
        {
            // A log that cannot be moved aside goes on where it is.
            file.begin_anew().and_then(|it| become_stderr(&it)).ok();
        }
        io::stderr().write_all(&clean)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// From here on what is written to stdout and stderr goes there.
fn become_stderr(file: &File) -> io::Result<()> {
    nix::unistd::dup2_stdout(file)?;
    nix::unistd::dup2_stderr(file)?;
    Ok(())
}

/// A log file and those that were moved aside: `daemon.log`, `daemon.log.1` and so on.
struct LogFile {
    path: PathBuf,
    /// Its size, once that was looked up.
    bytes: Option<u64>,
}

impl LogFile {
    fn new(path: PathBuf) -> Self {
        Self { path, bytes: None }
    }

    /// Counts what is about to be written; whether the file has had enough before.
    fn grows_by(&mut self, bytes: usize, max_bytes: u64) -> io::Result<bool> {
        let before = match self.bytes {
            Some(known) => known,
            None => fs::metadata(&self.path)?.len(),
        };
        self.bytes = Some(before + bytes as u64);
        Ok(max_bytes <= before)
    }

    fn begin_anew(&mut self) -> io::Result<File> {
        self.bytes = None;
        for n in (1..KEPT).rev() {
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
    use super::*;

    #[test]
    fn no_line_holds_a_secret() {
        let secrets = Secrets::default();
        let without = |line: &str| {
            String::from_utf8(secrets.without(line.as_bytes()).into_owned()).expect("text")
        };
        assert_eq!(without("sk-sentinel"), "sk-sentinel");
        secrets.learn(&[
            "sk-sentinel".to_owned(),
            "short".to_owned(),
            "token-sentinel\n".to_owned(),
        ]);
        assert_eq!(without("a sk-sentinel, token-sentinel."), "a [secret], [secret].");
        assert_eq!(without("short sk-"), "short sk-");
    }

    #[test]
    fn a_file_that_has_grown_is_moved_aside() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("daemon.log");
        let read = |it: &Path| fs::read_to_string(it).ok();
        fs::write(&path, "0").expect("writable");
        let mut file = LogFile::new(path.clone());
        for n in 1..8_u8 {
            // Each file has room for one more.
            assert!(!file.grows_by(1, 2).expect("there"), "{n}");
            assert!(file.grows_by(1, 2).expect("there"), "{n}");
            let mut new = file.begin_anew().expect("moved");
            write!(new, "{n}").expect("writable");
        }
        assert_eq!(read(&path).as_deref(), Some("7"));
        let kept: Vec<_> = (1..7).map(|n| read(&numbered(&path, n))).collect();
        let text = |it: &str| Some(it.to_owned());
        assert_eq!(kept, [text("6"), text("5"), text("4"), text("3"), text("2"), None]);
    }
}
