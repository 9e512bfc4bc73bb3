//! The daemon's log: where its lines go, how long they are kept, and what they never hold.
//!
//! One event is one line, for people or as JSON. Lines go to stderr. Of a daemon that was started in the background that is a file, which is
//! moved aside when it has grown; stderr is then the new file, so that the last words of a panic
//! are where people look. Nobody else writes to it or cuts it.

mod file;
mod form;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use tracing_subscriber::EnvFilter;

pub(crate) use self::file::Room;
use self::{file::LogFile, form::Form};
use crate::runner::lock;

/// How much there is to choose from, from little to all.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// A shorter secret would be found in words that are none.
const MIN_SECRET_BYTES: usize = 8;

/// Values that no line may hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(Arc<Mutex<BTreeSet<String>>>);

impl Secrets {
    /// These are secrets too, from now on.
    pub(crate) fn learn<'a>(&self, values: impl IntoIterator<Item = &'a String>) {
        let values = values.into_iter().map(|it| it.trim());
        let long = values.filter(|it| MIN_SECRET_BYTES <= it.len());
        // As it is, and as it stands in JSON.
        let written =
            |it: &str| serde_json::Value::from(it).to_string().trim_matches('"').to_owned();
        lock(&self.0).extend(long.flat_map(|it| [it.to_owned(), written(it)]));
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

/// A level, or several of targets: `info,taskd_git=debug`. A target stands for those below it too.
pub(crate) fn is_level(text: &str) -> bool {
    let is_word = |it: &str| LEVELS.contains(&it);
    let is_target = |it: &str| {
        !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || b"_:".contains(&it))
    };
    text.split(',').all(|it| match it.trim().split_once('=') {
        Some((target, level)) => is_target(target) && is_word(level),
        None => is_word(it.trim()),
    })
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Begins to log, as JSON or for people. `file` is what stderr is, where that is the daemon's own.
pub(crate) fn init(level: &str, json: bool, file: Option<(PathBuf, Room)>) -> (Secrets, Levels) {
    let secrets = Secrets::default();
    let file = file.map(|(path, room)| LogFile::new(path, room));
    let lines = Lines { secrets: secrets.clone(), file };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(Mutex::new(lines))
        .with_ansi(false)
        .event_format(Form::new(json))
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
            && file.grows_by(clean.len())?
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
        secrets.learn(&["a \"quoted\" one".to_owned()]);
        assert_eq!(without(r#"{"m": "a \"quoted\" one"}"#), r#"{"m": "[secret]"}"#);
    }

    #[test]
    fn levels_are_words_and_targets() {
        for right in ["info", "warn,taskd_git=debug", "taskd_daemon::driver=trace , error"] {
            assert!(is_level(right), "{right}");
        }
        for wrong in ["", "loud", "info,", "taskd_git=loud", "=info", "a b=info", "[x]=info"] {
            assert!(!is_level(wrong), "{wrong}");
        }
    }
}
