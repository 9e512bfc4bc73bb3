//! Which files decide about work, so that the work does not decide about itself: what a person names
//! as protected, what the gate's commands run, and what other machines run on every push.
//!
//! Looks at names only. Which of them changed, and what follows, is the runner's and the core's.

mod commands;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

pub(crate) use commands::Strictness;

/// Protected wherever there is a gate: taskd's own settings, and what continuous integration runs.
pub(crate) const ALWAYS: [&str; 20] = [
    ".taskd/**",
    ".github/**",
    ".gitlab/**",
    ".gitlab-ci.yml",
    ".circleci/**",
    ".buildkite/**",
    ".forgejo/**",
    ".gitea/**",
    ".woodpecker/**",
    ".woodpecker.yml",
    ".woodpecker.yaml",
    ".travis.yml",
    ".drone.yml",
    ".cirrus.yml",
    ".appveyor.yml",
    "appveyor.yml",
    "azure-pipelines.yml",
    "azure-pipelines.yaml",
    "bitbucket-pipelines.yml",
    "Jenkinsfile",
];

/// What becomes of a path that work changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// It decides nothing.
    None,
    /// A person looks at it. The base has no such file, so there is nothing to judge with instead.
    Asked,
    /// A person looks at it, and the gate runs with the base's.
    Restored,
}

/// Most files that are read for the scripts they call, and most bytes of one.
const MAX_READ: usize = 32;
const MAX_READ_BYTES: usize = 64 << 10;

/// The files of one base that decide about work on it.
#[derive(Debug)]
pub(crate) struct Protected {
    globs: GlobSet,
    /// The base has them, or has another file that they would be taken for.
    owned: BTreeSet<String>,
    /// A command runs them, and the base has none.
    awaited: BTreeSet<String>,
    /// The gate runs scripts of `package.json`.
    pub(crate) package_scripts: bool,
}

/// What is said about a gate before a base is looked at.
#[derive(Debug, Default)]
pub(crate) struct Said<'a> {
    /// Globs a person gave.
    pub(crate) globs: Vec<&'a str>,
    /// The gate's commands, and setup's.
    pub(crate) gate: Vec<&'a str>,
    /// The spec's `accept` commands.
    pub(crate) accept: Vec<&'a str>,
    /// Where the spec's work is expected: what `accept` runs there is the work itself.
    pub(crate) touches: Vec<&'a str>,
}

impl Protected {
    /// `in_base` says whether the base has a file of this name.
    pub(crate) fn of(said: &Said<'_>, in_base: impl Fn(&str) -> bool) -> Self {
        let mut named = commands::Named::default();
        for command in &said.gate {
            named.read(command, Strictness::Programs);
        }
        let mut accepted = commands::Named::default();
        for command in &said.accept {
            accepted.read(command, Strictness::Shell);
        }
        let touches = globs(said.touches.iter().copied());
        accepted.files.retain(|it| !touches.is_match(it));
        named.families.append(&mut accepted.families);
        named.files.append(&mut accepted.files);
        let (mut owned, mut awaited) = (BTreeSet::new(), BTreeSet::new());
        for file in named.files {
            let to = if in_base(&file) { &mut owned } else { &mut awaited };
            to.insert(file);
        }
        for family in named.families {
            // One that is added may be taken instead of the one that is there.
            let to = if family.iter().any(|it| in_base(it)) { &mut owned } else { &mut awaited };
            to.extend(family);
        }
        let given = said.globs.iter().copied();
        let globs = globs(ALWAYS.into_iter().chain(given).chain(named.globs.iter().copied()));
        Self { globs, owned, awaited, package_scripts: named.package_scripts }
    }

    /// Takes in the shell scripts that these files call: one step, and no further. `text` reads a
    /// file of the base.
    pub(crate) fn with_called(
        mut self,
        in_base: impl Fn(&str) -> bool,
        text: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Self {
        let callers: Vec<String> = self.owned.iter().take(MAX_READ).cloned().collect();
        for caller in callers {
            let Some(text) = text(&caller) else { continue };
            let text = String::from_utf8_lossy(&text[..text.len().min(MAX_READ_BYTES)]);
            let dir = caller.rsplit_once('/').map_or("", |it| it.0);
            self.owned.extend(scripts_in(&text, dir).filter(|it| in_base(it)));
        }
        self
    }

    /// What becomes of a changed path.
    pub(crate) fn care(&self, path: &str) -> Care {
        // What stands below a file's name stands in that file's place.
        let is_in = |set: &BTreeSet<String>| {
            set.contains(path) || path.match_indices('/').any(|(at, _)| set.contains(&path[..at]))
        };
        if self.globs.is_match(path) || is_in(&self.owned) {
            Care::Restored
        } else if is_in(&self.awaited) {
            Care::Asked
        } else {
            Care::None
        }
    }
}

/// Names in a text that may be those of shell scripts: below the root, and beside the file that
/// names them, as in `. "$(dirname "$0")/lib.sh"`.
fn scripts_in<'a>(text: &'a str, dir: &'a str) -> impl Iterator<Item = String> + 'a {
    let of_a_name = |it: char| it.is_alphanumeric() || "._/+-".contains(it);
    let words = text.split(move |it| !of_a_name(it)).filter(|it| it.ends_with(".sh"));
    let names = words.map(|it| it.trim_start_matches("./").trim_start_matches('/'));
    names.flat_map(move |it| {
        let beside = (!dir.is_empty()).then(|| format!("{dir}/{it}"));
        [Some(it.to_owned()), beside].into_iter().flatten()
    })
}

/// What is wrong with a glob, if something is.
pub(crate) fn wrong(glob: &str) -> Option<String> {
    GlobBuilder::new(glob).literal_separator(true).build().err().map(|it| it.kind().to_string())
}

/// A glob that names a directory names everything in it.
fn globs<'a>(all: impl Iterator<Item = &'a str>) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for text in all {
        let text = text.trim_end_matches('/');
        for text in [text.to_owned(), format!("{text}/**")] {
            // What is wrong was refused when the plan came.
            if let Ok(glob) = GlobBuilder::new(&text).literal_separator(true).build() {
                set.add(glob);
            }
        }
    }
    set.build().unwrap_or_else(|_| GlobSet::empty())
}
