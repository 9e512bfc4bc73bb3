//! What a shell command runs, as far as its words say: scripts, and the files of programs that read
//! one of a fixed name. No shell: what only running it would tell is not found.

use std::collections::BTreeSet;

/// How deep `sh -c '…'` is followed.
const MAX_DEPTH: u8 = 4;
/// Programs that run the program they are given.
const WRAPPERS: [&str; 9] =
    ["env", "exec", "command", "time", "nice", "nohup", "sudo", "timeout", "!"];
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "ash"];
const INTERPRETERS: [&str; 8] =
    ["python", "python3", "node", "ruby", "perl", "php", "Rscript", "lua"];
const PACKAGE_RUNNERS: [&str; 4] = ["npm", "pnpm", "yarn", "bun"];

/// What counts as a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Whatever is run.
    Programs,
    /// Only scripts for a shell: what else `accept` runs is most likely the work.
    Shell,
}

/// What commands name.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) files: BTreeSet<String>,
    /// Names of which a program takes the first that is there.
    pub(super) families: BTreeSet<Vec<String>>,
    pub(super) globs: BTreeSet<&'static str>,
    pub(super) package_scripts: bool,
}

impl Named {
    /// Takes in one command line.
    pub(super) fn read(&mut self, line: &str, strictness: Strictness) {
        self.read_in(line, strictness, &mut String::new(), 0);
    }

    fn read_in(&mut self, line: &str, strictness: Strictness, dir: &mut String, depth: u8) {
        for words in simple_commands(line) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.command(&words, strictness, dir, depth);
        }
    }

    fn command(&mut self, words: &[&str], strictness: Strictness, dir: &mut String, depth: u8) {
        let Some((program, args)) = program_of(words) else { return };
        let name = program.rsplit('/').next().unwrap_or(program);
        let any = strictness == Strictness::Programs;
        if program.contains('/') && (any || program.ends_with(".sh")) {
            self.file(dir, program);
        }
        match name {
            "cd" => {
                if let Some(to) = args.first() {
                    *dir = joined(dir, to).unwrap_or_default();
                }
            }
            "." | "source" => {
                if let Some(file) = args.first() {
                    self.file(dir, file);
                }
            }
            "make" | "gmake" => {
                let at = value_of(args, &["-C", "--directory"]).unwrap_or_default();
                let names = ["GNUmakefile", "makefile", "Makefile"];
                self.program(dir, at, value_of(args, &["-f", "--file", "--makefile"]), &names);
            }
            "just" => {
                let at = value_of(args, &["-d", "--working-directory"]).unwrap_or_default();
                let names = ["justfile", "Justfile", "JUSTFILE", ".justfile"];
                self.program(dir, at, value_of(args, &["-f", "--justfile"]), &names);
            }
            "task" => {
                let names = ["Taskfile.yml", "taskfile.yml", "Taskfile.yaml", "taskfile.yaml"];
                self.program(dir, "", value_of(args, &["-t", "--taskfile"]), &names);
            }
            "rake" => self.program(dir, "", value_of(args, &["-f"]), &["Rakefile", "rakefile"]),
            "tox" => self.program(dir, "", value_of(args, &["-c"]), &["tox.ini"]),
            "nox" => self.program(dir, "", value_of(args, &["-f"]), &["noxfile.py"]),
            // It may name another program to run tests with.
            "cargo" => self.globs.extend([".cargo/**", ".config/nextest.toml"]),
            _ if PACKAGE_RUNNERS.contains(&name) => {
                let first = args.iter().find(|it| !it.starts_with('-'));
                self.package_scripts |= !matches!(first, Some(&("install" | "ci" | "add")) | None);
            }
            _ if SHELLS.contains(&name) => self.shell(args, strictness, dir, depth),
            _ if any && INTERPRETERS.contains(&name) => self.interpreter(args, dir),
            _ => {}
        }
    }

    /// `sh -eu file`, `bash -o pipefail file`, `sh -c '…'`.
    fn shell(&mut self, args: &[&str], strictness: Strictness, dir: &str, depth: u8) {
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            if matches!(*word, "-o" | "-O" | "+o" | "+O") {
                rest.next();
            } else if word.starts_with('-') && !word.starts_with("--") && word.contains('c') {
                if let Some(line) = rest.next().filter(|_| depth < MAX_DEPTH) {
                    self.read_in(line, strictness, &mut dir.to_owned(), depth + 1);
                }
                return;
            } else if !word.starts_with(['-', '+']) {
                return self.file(dir, word);
            }
        }
    }

    /// `python -X dev file`, but not `python -m module` or `node -e '…'`.
    fn interpreter(&mut self, args: &[&str], dir: &str) {
        let mut rest = args.iter();
        while let Some(word) = rest.next() {
            match *word {
                "-m" | "-c" | "-e" | "-p" | "--eval" | "--print" | "--test" => return,
                "-W" | "-X" | "-r" | "--require" | "--import" | "--loader" | "-I" => {
                    rest.next();
                }
                word if word.starts_with('-') => {}
                word => return self.file(dir, word),
            }
        }
    }

    /// A program that reads the file it is given, or else the first of these names.
    fn program(&mut self, dir: &str, at: &str, given: Option<&str>, names: &[&str]) {
        let Some(dir) = joined(dir, at) else { return };
        if let Some(file) = given {
            return self.file(&dir, file);
        }
        self.families.insert(names.iter().filter_map(|it| joined(&dir, it)).collect());
    }

    fn file(&mut self, dir: &str, path: &str) {
        self.files.extend(joined(dir, path).filter(|it| !it.is_empty()));
    }
}

/// The program and its arguments, without assignments and without what only starts it.
fn program_of<'a>(words: &'a [&'a str]) -> Option<(&'a str, &'a [&'a str])> {
    let mut rest = words;
    while let Some((first, args)) = rest.split_first() {
        let assigns = first.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|it| it == b'_' || it.is_ascii_alphanumeric())
        });
        let keyword =
            ["if", "then", "else", "elif", "while", "until", "do", "{", "("].contains(first);
        if assigns || keyword {
            rest = args;
        } else if WRAPPERS.contains(first) {
            // Its own options, and how long `timeout` waits.
            let own = args.iter().take_while(|it| {
                it.starts_with('-') || it.starts_with(|c: char| c.is_ascii_digit())
            });
            rest = &args[own.count()..];
        } else {
            return Some((first, args));
        }
    }
    None
}

/// The value of the first of these options that is given.
fn value_of<'a>(args: &[&'a str], names: &[&str]) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(n, word)| {
        names.iter().find_map(|name| {
            if word == name {
                return args.get(n + 1).copied();
            }
            let rest = word.strip_prefix(name)?;
            let long = name.starts_with("--");
            if long { rest.strip_prefix('=') } else { Some(rest).filter(|it| !it.is_empty()) }
        })
    })
}

/// A path of the repository, seen from a directory of it; nothing if it leads out, or is only known
/// when the command runs.
fn joined(dir: &str, path: &str) -> Option<String> {
    if path.starts_with(['/', '~']) || path.contains('$') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The words of each simple command of a line, quotes taken off.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let (mut word, mut quote) = (None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => {
                if let Some(next) = chars.next().filter(|it| *it != '\n') {
                    word.get_or_insert_default().push(next);
                }
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() || ";&|()<>`".contains(c) => {
                let last = all.last_mut().expect("there is always one");
                last.extend(word.take());
                if c == '\n' || ";&|()`".contains(c) {
                    all.push(Vec::new());
                }
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    all.last_mut().expect("there is always one").extend(word);
    all.retain(|it| !it.is_empty());
    all
}
