//! Loop types where they are: the folders of the person and of the project, read anew each time.
//!
//! Nothing is held in memory, so there is nothing to reload: whoever submits, looks or checks sees
//! the files as they are then. A plan keeps what it was submitted with.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use taskd_model::AgentDoc;

use crate::{
    loop_type::{self, Layer, MAX_TYPE_BYTES, Types},
    problem::Problem,
};

mod text;

/// The folder of a project's types, from its root.
pub const OF_PROJECT: &str = ".taskd/types";
/// How people call the folder of the person's types.
pub const OF_PERSON: &str = "~/.config/taskd/types";

/// Files of one folder that are read; a folder with more is not one of types.
const MAX_FILES: usize = 1_000;

/// Whose a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Part of the program.
    BuiltIn,
    /// The person's, for all projects.
    Person,
    /// The project's, or a file that was named.
    Project,
}

/// A loop type, whether it can be used or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its file, as people call it.
    pub file: String,
    /// Whose it is.
    pub source: Source,
    /// The type it extends.
    pub extends: Option<String>,
    /// One line for people; empty if it says none.
    pub description: String,
    /// Who works, where it says so.
    pub worker: Option<String>,
    /// The whole definition with what it extends, as a file that defines the same; nothing if it
    /// cannot be used.
    pub definition: Option<String>,
    /// Why it cannot be used.
    pub why: Option<String>,
}

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The file, as people call it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub what: String,
    /// What would be right; may be empty.
    pub hint: String,
}

/// All loop types there are, and all that is wrong with their files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// By name.
    pub types: Vec<Row>,
    /// By file and line.
    pub flaws: Vec<Flaw>,
}

/// Loop types of the person and of the project at `root`.
pub(crate) fn load(config: &Path, root: Option<&Path>) -> (Types, Vec<Problem>) {
    loop_type::load(&layers(config, root))
}

/// Looks at all loop types there are here. `more` are files that count as if they lay in the
/// project's folder, each with how it was called.
#[must_use]
pub fn look(config: &Path, root: Option<&Path>, more: &[(String, PathBuf)]) -> Listing {
    let mut layers = layers(config, root);
    let named = more.iter().map(|(name, path)| (name.clone(), read(path)));
    layers.push(Layer { files: named.collect(), of_project: true });
    let (types, problems) = loop_type::load(&layers);
    let row = |(name, written): (&str, &loop_type::Written)| {
        let found = types.get(name);
        let doc = found.as_ref().ok();
        Row {
            name: name.to_owned(),
            file: written.file.clone(),
            source: source(&written.file),
            extends: written.extends.clone(),
            description: doc.map(|it| it.description.clone()).unwrap_or_default(),
            worker: doc.and_then(|it| it.agent.as_ref()).map(|it| match it {
                AgentDoc::Agent { run } => run.clone(),
                AgentDoc::Model { name } => name.clone(),
            }),
            definition: doc.map(|it| text::written(it)),
            why: found.err().map(|it| it.to_string()),
        }
    };
    let flaw = |it: Problem| Flaw {
        file: it.file,
        line: it.at.line,
        column: it.at.column,
        what: it.what,
        hint: it.hint.unwrap_or_default(),
    };
    Listing {
        types: types.all().map(row).collect(),
        flaws: problems.into_iter().map(flaw).collect(),
    }
}

/// Whether this can be the name of a loop type; if not, what one looks like.
///
/// # Errors
///
/// The rule for names.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let rule = crate::plan_file::head::NAME_RULE;
    if crate::plan_file::head::is_name(name) { Ok(()) } else { Err(rule) }
}

fn source(file: &str) -> Source {
    match file {
        it if it.starts_with(loop_type::BUILT_IN_FOLDER) => Source::BuiltIn,
        it if it.starts_with(OF_PERSON) => Source::Person,
        _ => Source::Project,
    }
}

fn layers(config: &Path, root: Option<&Path>) -> Vec<Layer> {
    let person = folder(&config.join("types"), OF_PERSON);
    let project = root.map(|it| folder(&it.join(OF_PROJECT), OF_PROJECT)).unwrap_or_default();
    let layer = |files, of_project| Layer { files, of_project };
    vec![layer(person, false), layer(project, true)]
}

/// The files of a folder with their texts. One that cannot be read is there all the same: nothing
/// of a lower layer shows through it.
fn folder(dir: &Path, shown: &str) -> Vec<(String, Result<String, String>)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let is_yaml = |it: &PathBuf| it.extension().is_some_and(|it| it == "yaml" || it == "yml");
    let mut paths: Vec<PathBuf> =
        entries.filter_map(|it| Some(it.ok()?.path())).filter(is_yaml).take(MAX_FILES).collect();
    paths.sort();
    let one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        (format!("{shown}/{name}"), read(path))
    };
    paths.iter().map(one).collect()
}

/// A file's text, or why there is none. A pipe is not waited for, and of what is too long only
/// enough is read to see that it is.
fn read(path: &Path) -> Result<String, String> {
    let is_file = fs::metadata(path).map_err(|it| it.to_string())?.is_file();
    if !is_file {
        return Err("it is no file".to_owned());
    }
    let file = fs::File::open(path).map_err(|it| it.to_string())?;
    let mut bytes = Vec::new();
    let most = MAX_TYPE_BYTES as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(|it| it.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
