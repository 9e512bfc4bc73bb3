//! Commands of a person's own: names for commands of ours, in `aliases.toml` beside their
//! configuration, and programs `taskd-NAME` on their `PATH`. Ours always come first, and a project can
//! name none.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use clap::{CommandFactory as _, Parser as _};
use serde::Deserialize;
use taskd_api::{ApiError, codes};
use taskd_daemon::paths::Paths;

use super::{
    args::{self, Cli},
    failure::Failure,
};

/// The file, beside `config.toml`.
const FILE: &str = "aliases.toml";
/// What the name of a program begins with that is a command.
const PREFIX: &str = "taskd-";

/// What an alias stands for.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    /// Split at spaces.
    Line(String),
    /// Each as it is.
    List(Vec<String>),
}

impl Words {
    fn list(self) -> Vec<String> {
        match self {
            Self::Line(text) => text.split_whitespace().map(str::to_owned).collect(),
            Self::List(words) => words,
        }
    }
}

/// Aliases, by name.
type Aliases = BTreeMap<String, Vec<String>>;

/// What `words` stand for, all of the command line from the first one that is no flag of ours; a
/// program takes our place.
pub(super) fn find(cli: &Cli, words: &[OsString]) -> Result<Cli, Failure> {
    let (first, rest) = words.split_first().expect("clap gives the word it does not know");
    let name = first.to_str().unwrap_or_default();
    if let Some(meant) = aliases()?.remove(name) {
        return alias(name, &meant, rest);
    }
    match program(name) {
        Some(program) => Err(become_it(cli, &program, rest)),
        None => Err(unknown(&first.to_string_lossy())),
    }
}

/// The same command line with what an alias stands for in its place.
fn alias(name: &str, meant: &[String], rest: &[OsString]) -> Result<Cli, Failure> {
    let typed: Vec<OsString> = env::args_os().collect();
    // Everything before the alias is flags of ours.
    let before = &typed[..typed.len() - rest.len() - 1];
    let meant = meant.iter().map(OsString::from);
    let all = before.iter().cloned().chain(meant).chain(rest.iter().cloned());
    let cli = Cli::try_parse_from(all).map_err(|it| Failure::Said(super::usage(&it)))?;
    if let Some(args::Command::Own(words)) = &cli.command {
        let to = words.first().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
        let what = format!("the alias `{name}` is `{to} …`, and there is no command `{to}`");
        let hint = "an alias stands for a command of taskd, never for another alias";
        return Err(Failure::usage(what, hint));
    }
    Ok(cli)
}

/// Runs a program in our place, and comes back only with why it could not. What was said before its
/// name is handed on: the directory as its own, the rest as variables.
fn become_it(cli: &Cli, program: &Path, rest: &[OsString]) -> Failure {
    #[expect(clippy::disallowed_methods, reason = "a person's own command, in our place")]
    let mut command = Command::new(program);
    command.args(rest);
    if let Some(directory) = &cli.directory {
        command.current_dir(directory);
    }
    let flags = [(cli.json, "TASKD_JSON"), (cli.quiet, "TASKD_QUIET"), (cli.no_color, "NO_COLOR")];
    command.envs(flags.iter().filter(|it| it.0).map(|it| (it.1, "1")));
    if let Ok(ours) = env::current_exe() {
        command.env("TASKD_PROGRAM", ours);
    }
    let why = command.exec();
    let what = format!("{} cannot be started: {why}", program.display());
    Failure::failed(what, "mend it, or take it off your PATH")
}

/// No such command; the nearest of all there are.
fn unknown(name: &str) -> Failure {
    let ours = commands();
    let begun: Vec<&str> =
        ours.iter().filter(|it| it.starts_with(name)).map(String::as_str).collect();
    if !name.is_empty() && !begun.is_empty() {
        let what = format!("`{name}` could be several commands: {}", begun.join(", "));
        return Failure::usage(what, "type more of it");
    }
    let own = aliases().unwrap_or_default().into_keys().chain(programs());
    let near = ours.into_iter().chain(own).min_by_key(|it| strsim::osa_distance(it, name));
    let near = near.filter(|it| strsim::osa_distance(it, name) <= 2);
    let hint = near.map_or_else(|| "taskd help all".to_owned(), |it| format!("taskd {it}"));
    Failure::usage(format!("there is no command `{name}`, and no program taskd-{name}"), hint)
}

/// Our commands, by every name they have.
fn commands() -> BTreeSet<String> {
    let cli = Cli::command();
    let names = cli.get_subcommands().flat_map(|it| it.get_name_and_visible_aliases());
    names.map(str::to_owned).collect()
}

/// The aliases of this person, all right or none.
fn aliases() -> Result<Aliases, Failure> {
    let Ok(paths) = Paths::from_env() else { return Ok(Aliases::new()) };
    let file = paths.config.join(FILE);
    let wrong = |what: String| {
        let what = format!("{}: {what}", file.display());
        Failure::Api(ApiError::new(codes::CONFIG, what).hint("correct the file: taskd help shell"))
    };
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(it) if it.kind() == std::io::ErrorKind::NotFound => return Ok(Aliases::new()),
        Err(it) => return Err(wrong(it.to_string())),
    };
    let read: BTreeMap<String, Words> =
        toml::from_str(&text).map_err(|it| wrong(it.to_string().trim_end().to_owned()))?;
    let ours = commands();
    for name in read.keys() {
        let begun: Vec<&String> = ours.iter().filter(|it| it.starts_with(name)).collect();
        if let [one] = begun.as_slice() {
            return Err(wrong(format!("`{name}` means `taskd {one}` already")));
        }
        if ours.contains(name) {
            return Err(wrong(format!("`{name}` is a command of taskd")));
        }
        if name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace) {
            return Err(wrong(format!("`{name}` is no word that can be a command")));
        }
    }
    Ok(read.into_iter().map(|(name, words)| (name, words.list())).collect())
}

/// The program that is a command of this name.
fn program(name: &str) -> Option<PathBuf> {
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let file = format!("{PREFIX}{name}");
    directories().into_iter().map(|it| it.join(&file)).find(|it| is_program(it))
}

/// Names of programs on the `PATH` that are commands. Ours of the same name come first.
fn programs() -> BTreeSet<String> {
    let ours = commands();
    let entries = directories().into_iter().filter_map(|it| fs::read_dir(it).ok());
    let name = |it: fs::DirEntry| {
        let name = it.file_name().to_str()?.strip_prefix(PREFIX)?.to_owned();
        (is_program(&it.path()) && !ours.contains(&name)).then_some(name)
    };
    entries.flatten().filter_map(|it| name(it.ok()?)).collect()
}

fn directories() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // What is not absolute depends on where one stands, and that may be anybody's repository.
    env::split_paths(&path).filter(|it| it.is_absolute()).collect()
}

fn is_program(path: &Path) -> bool {
    let found = fs::metadata(path);
    found.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// What `taskd help` says of them; nothing where there are none.
pub(super) fn listed() -> Result<String, Failure> {
    let mut text = String::new();
    for (name, words) in aliases()? {
        text.push_str(&format!("{name:<19} your alias for: taskd {}\n", words.join(" ")));
    }
    for name in programs() {
        text.push_str(&format!("{name:<19} your program {PREFIX}{name}\n"));
    }
    Ok(if text.is_empty() { text } else { format!("\nYour own:\n{text}") })
}

/// What `taskd help NAME` says of one; nothing if there is none of that name.
pub(super) fn told(name: &str) -> Result<Option<String>, Failure> {
    if let Some(words) = aliases()?.remove(name) {
        return Ok(Some(format!("{name} is your alias for: taskd {}\n", words.join(" "))));
    }
    let program = program(name).filter(|_| !commands().contains(name));
    Ok(program.map(|it| format!("{name} is your program {}\n", it.display())))
}
