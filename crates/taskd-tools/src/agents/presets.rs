//! All presets a person has: built in, their own, and the project's. One resolution for everybody.
//!
//! A later file stands for the whole preset of its name; nothing is merged. A file that is wrong
//! makes its name stand for nothing: what it was meant to replace must not run in its place.
//!
//! A project's file comes from whoever wrote the repository. It may say how a program is started and
//! read, as the project's gate may, but it cannot name a credential, give variables values (an
//! address a key would be sent to), or have commands run by looking at it. A preset of the project
//! gets no key, also if it has the name of one that does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::preset::{Preset, PresetError};

/// Longest file, in bytes.
const FILE_MAX_BYTES: u64 = 64 << 10;
/// More files than this in one directory are not read.
const FILES_MAX: usize = 200;

/// Who wrote a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// It comes with taskd.
    BuiltIn,
    /// The person, beside their configuration.
    Person,
    /// The project, in its checkout.
    Project,
}

/// A preset and where it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The preset.
    pub preset: Preset,
    /// Who wrote it.
    pub source: Source,
    /// Its file as people name it; nothing for one that is built in.
    pub file: Option<String>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PresetProblem {
    /// The file as people name it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for PresetProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)
    }
}

/// Every preset there is, by name.
#[derive(Debug, Clone, Default)]
pub struct Presets {
    found: BTreeMap<String, Result<Found, PresetProblem>>,
}

impl Presets {
    /// Those that are built in, those of `config` (`~/.config/taskd`), and those of a project.
    #[must_use]
    pub fn load(config: &Path, root: Option<&Path>) -> Self {
        let built_in = Preset::BUILTIN_NAMES.iter().filter_map(|name| {
            let preset = Preset::builtin(name)?;
            let found = Found { preset, source: Source::BuiltIn, file: None };
            Some(((*name).to_owned(), Ok(found)))
        });
        let mut presets = Self { found: built_in.collect() };
        let shown = config.join("agents").display().to_string();
        presets.add(&config.join("agents"), &shown, Source::Person);
        if let Some(root) = root {
            // What leads out of the repository is not the project's.
            let inside = [".taskd", ".taskd/agents"].map(|it| root.join(it));
            let is_dir =
                |it: &std::path::PathBuf| it.symlink_metadata().is_ok_and(|it| it.is_dir());
            if inside.iter().all(is_dir) {
                presets.add(&inside[1], ".taskd/agents", Source::Project);
            }
        }
        presets
    }

    /// The preset of this name; nothing if there is none, or its file is wrong.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Found> {
        self.found.get(name)?.as_ref().ok()
    }

    /// What a plan's `agent:` means: the preset of that name, or a command line.
    ///
    /// # Errors
    /// There is a file for it, and that is wrong.
    pub fn resolve(&self, run: &str) -> Result<Preset, PresetProblem> {
        match self.found.get(run) {
            Some(Ok(found)) => Ok(found.preset.clone()),
            Some(Err(problem)) => Err(problem.clone()),
            None => Ok(Preset::command(run)),
        }
    }

    /// All that can be used, by name.
    pub fn all(&self) -> impl Iterator<Item = &Found> {
        self.found.values().filter_map(|it| it.as_ref().ok())
    }

    /// What is wrong with files.
    pub fn problems(&self) -> impl Iterator<Item = &PresetProblem> {
        self.found.values().filter_map(|it| it.as_ref().err())
    }

    /// Variables that hold what agents are paid with.
    #[must_use]
    pub fn credentials(&self) -> BTreeSet<String> {
        let both = |it: &Found| [it.preset.credential.clone(), it.preset.login_variable.clone()];
        self.all().flat_map(both).flatten().collect()
    }

    /// A name that was perhaps meant, at most two letters away.
    #[must_use]
    pub fn nearest(&self, word: &str) -> Option<&str> {
        let near = self
            .all()
            .map(|it| (strsim::osa_distance(word, &it.preset.name), it.preset.name.as_str()));
        near.filter(|(far, name)| *far <= 2 && *far < name.len()).min().map(|it| it.1)
    }

    fn add(&mut self, dir: &Path, shown: &str, source: Source) {
        let Ok(entries) = std::fs::read_dir(dir) else { return };
        let mut paths: Vec<_> = entries.filter_map(|it| Some(it.ok()?.path())).collect();
        paths.sort();
        for path in
            paths.iter().filter(|it| it.extension().is_some_and(|it| it == "toml")).take(FILES_MAX)
        {
            let Some(name) = path.file_stem().and_then(|it| it.to_str()) else { continue };
            let file = format!("{shown}/{name}.toml");
            let read = read(path, &file, source).and_then(|text| parse(&text, name, &file, source));
            self.found.insert(name.to_owned(), read);
        }
    }
}

fn read(path: &Path, file: &str, source: Source) -> Result<String, PresetProblem> {
    let wrong = |what: String| PresetProblem { file: file.to_owned(), line: 1, column: 1, what };
    // A link in a repository could lead to anything, and problems quote what they find.
    let about = match source {
        Source::Project => path.symlink_metadata(),
        Source::BuiltIn | Source::Person => path.metadata(),
    };
    let about = about.map_err(|it| wrong(format!("cannot be read: {it}")))?;
    if !about.is_file() {
        return Err(wrong("it is no regular file".to_owned()));
    }
    if about.len() > FILE_MAX_BYTES {
        return Err(wrong(format!("it is longer than {FILE_MAX_BYTES} bytes")));
    }
    std::fs::read_to_string(path).map_err(|it| wrong(format!("cannot be read: {it}")))
}

/// What only the person's own file may say, and where this one says it.
#[derive(Deserialize)]
struct Personal {
    credential: Option<Spanned<Value>>,
    login_variable: Option<Spanned<Value>>,
    set: Option<Spanned<Value>>,
    gateway: Option<Spanned<Value>>,
    login: Option<Spanned<Value>>,
    version: Option<Spanned<Value>>,
}

fn parse(text: &str, name: &str, file: &str, source: Source) -> Result<Found, PresetProblem> {
    let at = |span: Option<Range<usize>>, what: String| {
        let (line, column) = place(text, span.map_or(0, |it| it.start));
        PresetProblem { file: file.to_owned(), line, column, what }
    };
    let preset = Preset::parse(text).map_err(|error| match error {
        PresetError::Toml(error) => at(error.span(), error.message().to_owned()),
        PresetError::Wrong { why, .. } => at(quoted_key(text, &why), why),
    })?;
    if preset.name != name {
        let what = format!("its name is `{}`, but the file is called `{name}.toml`", preset.name);
        return Err(at(quoted_key(text, "`name`"), what));
    }
    if source == Source::Project
        && let Ok(personal) = toml::from_str::<Personal>(text)
    {
        let Personal { credential, login_variable, set, gateway, login, version } = personal;
        let keys = [
            ("credential", credential),
            ("login_variable", login_variable),
            ("set", set),
            ("gateway", gateway),
            ("login", login),
            ("version", version),
        ];
        if let Some((key, value)) = keys.into_iter().find_map(|(key, it)| Some((key, it?))) {
            let what = format!(
                "a project's preset cannot have `{key}`: only your own file may hand over keys and \
                 run commands; copy it to ~/.config/taskd/agents/ under another name if you trust it"
            );
            return Err(at(Some(value.span()), what));
        }
    }
    Ok(Found { preset, source, file: Some(file.to_owned()) })
}

/// Where the key is that a sentence quotes first.
fn quoted_key(text: &str, why: &str) -> Option<Range<usize>> {
    let key = why.split('`').nth(1)?;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let word = line.trim_start().trim_start_matches('[');
        if word.strip_prefix(key).is_some_and(|it| it.trim_start().starts_with(['=', ']', '.'])) {
            return Some(start..start + key.len());
        }
        start += line.len();
    }
    text.find(key).map(|it| it..it + key.len())
}

/// Line and column of a byte, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "name = \"own\"\nargv = [\"own\"]\nprompt = \"stdin\"\nformat = \"text\"\n";

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for it in ["config/agents", "root/.taskd/agents"] {
                std::fs::create_dir_all(dir.path().join(it)).unwrap();
            }
            Self(dir)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).unwrap();
        }

        fn load(&self) -> Presets {
            let root = self.0.path().join("root");
            Presets::load(&self.0.path().join("config"), Some(&root))
        }

        fn problem(&self) -> String {
            let presets = self.load();
            let told: Vec<_> = presets.problems().map(ToString::to_string).collect();
            told.concat().replace(&self.0.path().display().to_string(), "")
        }
    }

    #[test]
    fn later_files_stand_for_the_whole_preset() {
        let place = Place::new();
        let of = |presets: &Presets, name: &str| presets.get(name).map(|it| it.source);
        assert_eq!(of(&place.load(), "claude"), Some(Source::BuiltIn));
        let claude = OWN.replace("own", "claude");
        place.write("config/agents/claude.toml", &format!("{claude}credential = \"MY_KEY\"\n"));
        assert_eq!(of(&place.load(), "claude"), Some(Source::Person));
        assert!(place.load().credentials().contains("MY_KEY"));
        place.write("root/.taskd/agents/claude.toml", &claude);
        place.write("root/.taskd/agents/own.toml", OWN);
        let presets = place.load();
        assert_eq!(
            (of(&presets, "claude"), of(&presets, "own")),
            (Some(Source::Project), Some(Source::Project))
        );
        // It has the name of one that is given a key, and is given none.
        assert_eq!(presets.resolve("claude").unwrap().credential, None);
        assert!(!presets.credentials().contains("MY_KEY"));
        assert_eq!(presets.resolve("sh x.sh").unwrap(), Preset::command("sh x.sh"));
    }

    #[test]
    fn a_projects_file_gets_no_key_and_runs_nothing() {
        for (line, key) in [
            ("credential = \"ANTHROPIC_API_KEY\"\n", "credential"),
            ("[set]\nANTHROPIC_BASE_URL = \"http://evil.example\"\n", "set"),
            ("login = [\"sh\", \"-c\", \"steal\"]\n", "login"),
            ("version = [\"sh\", \"-c\", \"steal\"]\n", "version"),
        ] {
            let place = Place::new();
            place.write("root/.taskd/agents/own.toml", &format!("{OWN}{line}"));
            let told = place.problem();
            assert!(told.starts_with(".taskd/agents/own.toml:5:"), "{told}");
            assert!(told.contains(&format!("cannot have `{key}`")), "{told}");
            assert!(place.load().get("own").is_none() && place.load().resolve("own").is_err());
            place.write("root/.taskd/agents/own.toml", OWN);
            place
                .write("config/agents/mine.toml", &format!("{}{line}", OWN.replace("own", "mine")));
            assert_eq!(place.problem(), "", "the person may");
        }
    }

    #[test]
    fn links_of_a_repository_are_not_followed() {
        let place = Place::new();
        place.write("secret.toml", "password = \"hunter2\"\n");
        let link = place.0.path().join("root/.taskd/agents/x.toml");
        std::os::unix::fs::symlink(place.0.path().join("secret.toml"), link).unwrap();
        assert_eq!(place.problem(), ".taskd/agents/x.toml:1:1: it is no regular file");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_replaces_nothing() {
        let place = Place::new();
        let say = |text: &str| {
            place.write("config/agents/codex.toml", text);
            place.problem()
        };
        let codex = OWN.replace("own", "codex");
        assert!(
            say(&codex.replace("format", "fromat")).starts_with("/config/agents/codex.toml:4:1: ")
        );
        assert!(place.load().resolve("codex").is_err(), "what is built in is no way out");
        let told = say(&codex.replace("\"stdin\"", "\"file\""));
        assert!(told.contains("`{prompt_file}` is missing"), "{told}");
        let told = say(&format!("{codex}tested = [\"1\", \"b\"]\n"));
        assert!(told.starts_with("/config/agents/codex.toml:5:1: `tested` is"), "{told}");
        let told = say(OWN);
        assert!(told.starts_with("/config/agents/codex.toml:1:1: its name is `own`"), "{told}");
    }

    #[test]
    fn near_names() {
        let presets = Place::new().load();
        for (typed, meant) in [
            ("claud", Some("claude")),
            ("Claude", Some("claude")),
            ("coedx", Some("codex")),
            ("vim", None),
            ("", None),
        ] {
            assert_eq!(presets.nearest(typed), meant, "{typed}");
        }
    }
}
