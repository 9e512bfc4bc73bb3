//! Reading the files configuration is made of. The only IO here; everything else is in `resolve`.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use super::{Config, ConfigError, ConfigProblem, Flag, Layer, Owner, Sources};
use crate::problem::Pos;

/// Longest file, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// The person's own file, in their directory.
pub(crate) const FILE: &str = "config.toml";
/// A project's own configuration, below its root.
pub(crate) const PROJECT_FILE: &str = ".taskd/config.toml";
/// What a project says on this machine alone, below its root.
pub(crate) const LOCAL_FILE: &str = ".taskd/local.toml";

/// Where configuration is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// The system's file.
    pub(crate) system: PathBuf,
    /// The directory of the user's `config.toml`: `$XDG_CONFIG_HOME/taskd`.
    pub(crate) user_dir: PathBuf,
    /// A project's root, for its own configuration.
    pub(crate) project_root: Option<PathBuf>,
    /// What one of these files says, instead of what stands in it.
    pub(crate) instead: Option<PlacedText>,
}

/// A file's place and a text for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlacedText {
    /// The place of the file.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) text: String,
}

impl Places {
    /// The system's file is `/etc/taskd/config.toml`.
    #[must_use]
    pub(crate) fn new(user_dir: &Path, project_root: Option<&Path>) -> Self {
        Self {
            system: PathBuf::from("/etc/taskd/config.toml"),
            user_dir: user_dir.to_owned(),
            project_root: project_root.map(Path::to_owned),
            instead: None,
        }
    }
}

/// The effective configuration of files and of this process's environment.
///
/// # Errors
///
/// As [`load`].
pub(crate) fn load_here(places: &Places) -> Result<Config, Vec<ConfigError>> {
    // A variable that is no text is none of ours.
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    load(places, std::env::vars_os().filter_map(text).collect(), Vec::new())
}

/// The effective configuration of files, environment and flags.
///
/// # Errors
///
/// Everything that is wrong: files that are there but cannot be read, and all [`Config::resolve`]
/// finds.
pub(crate) fn load(
    places: &Places,
    env: Vec<(String, String)>,
    flags: Vec<Flag>,
) -> Result<Config, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut layers = person_layers(places, &mut errors);
    if let Some(root) = &places.project_root {
        for name in [PROJECT_FILE, LOCAL_FILE] {
            layers.extend(read(places, &root.join(name), name, Owner::Project, &mut errors));
        }
    }
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = u32::try_from(cores).unwrap_or(u32::MAX);
    let resolved = Config::resolve(&Sources { layers, env, flags, cores });
    match resolved {
        Ok(config) if errors.is_empty() => Ok(config),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

/// Files of the system and of the user, as far as there are any.
fn person_layers(places: &Places, errors: &mut Vec<ConfigError>) -> Vec<Layer> {
    let user = places.user_dir.join(FILE);
    let read = |path: &Path, errors: &mut Vec<ConfigError>| {
        read(places, path, &path.display().to_string(), Owner::Person, errors)
    };
    [read(&places.system, errors), read(&user, errors)].into_iter().flatten().collect()
}

/// A file, or what counts instead of it. Both of a project's are the project's: a repository can carry
/// either.
fn read(
    places: &Places,
    path: &Path,
    origin: &str,
    owner: Owner,
    errors: &mut Vec<ConfigError>,
) -> Option<Layer> {
    let instead = places.instead.as_ref().filter(|it| it.path == path);
    match instead.map_or_else(|| read_text(path), |it| fitting(it.text.clone())) {
        Ok(text) => text.map(|text| Layer { origin: origin.to_owned(), text, owner }),
        Err((at, problem)) => {
            errors.push(ConfigError { origin: origin.to_owned(), at, problem, hint: None });
            None
        }
    }
}

/// A text that is short enough to be a file's.
fn fitting(text: String) -> Result<Option<String>, (Option<Pos>, ConfigProblem)> {
    fits(text.len() as u64).map(|()| Some(text))
}

fn fits(bytes: u64) -> Result<(), (Option<Pos>, ConfigProblem)> {
    let limit = MAX_FILE_BYTES;
    if bytes <= limit { Ok(()) } else { Err((None, ConfigProblem::TooLong { bytes, limit })) }
}

/// The file's text; nothing if there is no file.
fn read_text(path: &Path) -> Result<Option<String>, (Option<Pos>, ConfigProblem)> {
    let unreadable = |error| (None, ConfigProblem::Unreadable(error));
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    // A pipe or a device would never end.
    if !found.is_file() {
        return Err(unreadable(io::Error::other("it is no regular file")));
    }
    fits(found.len())?;
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|it| **it == b'\n').count() + 1;
        let start = before.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        (Some(Pos::new(line, column)), ConfigProblem::Syntax("it is not UTF-8".to_owned()))
    })
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
