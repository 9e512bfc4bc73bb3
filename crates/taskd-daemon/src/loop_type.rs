//! Loop types: YAML definitions in layers, merged along `extends`, checked before anything runs.
//!
//! Reads no folder: the caller gives paths and texts. A file that is wrong takes nothing down but
//! its own type and what extends it; it never lets a lower layer's type of that name show through.

use std::collections::BTreeMap;

use taskd_model::{InputKind, InputValue, TypeDoc};

use crate::plan_file::head::is_name;
use crate::problem::{Pos, Problem, Problems, nearest};

mod artifact;
mod mcp;
mod merge;
mod read;
mod review;
#[cfg(test)]
mod tests;

/// Tools a loop type may name.
pub(crate) const KNOWN_TOOLS: [&str; 13] = [
    "read", "write", "edit", "list", "glob", "grep", "run", "ask", "share", "alert", "query",
    "finish", "stop",
];

/// Those a type has that names none: all but the one that ends other loops.
pub(crate) const DEFAULT_TOOLS: [&str; 12] = [
    "read", "write", "edit", "list", "glob", "grep", "run", "ask", "share", "alert", "query",
    "finish",
];

/// Largest definition, in bytes.
pub(crate) const MAX_TYPE_BYTES: usize = 256 * 1024;

/// How the paths of built-in types begin.
pub(crate) const BUILT_IN_FOLDER: &str = "built-in/";

const BUILT_IN: [(&str, &str); 4] = [
    ("built-in/ralph.yaml", include_str!("../types/ralph.yaml")),
    ("built-in/plan.yaml", include_str!("../types/plan.yaml")),
    ("built-in/spec.yaml", include_str!("../types/spec.yaml")),
    ("built-in/phase.yaml", include_str!("../types/phase.yaml")),
];

/// Definitions from one place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    /// Paths, as people call them, and texts, or why there is none. Files that end in neither
    /// `.yaml` nor `.yml` are passed over; a type is named by its file.
    pub(crate) files: Vec<(String, Result<String, String>)>,
    /// Whoever wrote the repository wrote them: they may not name keys.
    pub(crate) of_project: bool,
}

/// The loop types that can be used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Types {
    good: BTreeMap<String, TypeDoc>,
    /// Types whose definition is wrong, with what is.
    broken: BTreeMap<String, String>,
    /// The file of each, and what it extends.
    written: BTreeMap<String, Written>,
}

/// Where a type is written, whether it can be used or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    /// The file, as people call it.
    pub(crate) file: String,
    /// The type it extends.
    pub(crate) extends: Option<String>,
}

/// A loop type that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TypeError {
    /// Nothing defines it.
    #[error("there is no loop type `{name}`; {hint}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// What was probably meant, and what there is.
        hint: String,
    },
    /// Its definition is wrong.
    #[error("loop type `{name}` cannot be used: {why}")]
    Broken {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What is wrong with a value given for an input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InputError {
    /// The type has no such input.
    #[error("loop type `{loop_type}` has no input `{input}`; {hint}")]
    Unknown {
        /// The type.
        loop_type: String,
        /// The input.
        input: String,
        /// What was probably meant.
        hint: String,
    },
    /// It must be given.
    #[error("loop type `{loop_type}` needs the input `{input}`; give it with `--set {input}=...`")]
    Missing {
        /// The type.
        loop_type: String,
        /// The input.
        input: String,
    },
    /// The value is of another kind.
    #[error("input `{input}` is {expected}, not {value:?}")]
    Kind {
        /// The input.
        input: String,
        /// What it holds.
        expected: &'static str,
        /// What was given.
        value: String,
    },
}

/// Loads the built-in types and those of `layers`; a later layer overrides an earlier one's type
/// of the same name as a whole.
#[must_use]
pub(crate) fn load(layers: &[Layer]) -> (Types, Vec<Problem>) {
    let files = BUILT_IN.map(|(path, text)| (path.into(), Ok(text.into()))).into();
    let built_in = Layer { files, of_project: false };
    let mut found = Vec::new();
    let mut stray = Vec::new();
    for layer in std::iter::once(&built_in).chain(layers) {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for (path, text) in &layer.files {
            let Some(name) = type_name(path) else { continue };
            let mut problems = Problems::new(path);
            if !is_name(name) {
                let hint = crate::plan_file::head::NAME_RULE;
                problems.add_hint(Pos::new(1, 1), format!("`{name}` is no type name"), hint);
            } else if let Some(other) = names.insert(name.to_owned(), path.clone()) {
                let what = format!("`{name}` is already defined by {other}");
                problems.add_hint(Pos::new(1, 1), what, "keep one of the two files");
            }
            if problems.is_empty() {
                found.push(match text {
                    Ok(text) => read::read(name, path, text, layer.of_project),
                    Err(why) => read::unread(name, path, why),
                });
            } else {
                stray.append(&mut problems.into_list());
            }
        }
    }
    let (types, mut problems) = merge::resolve(found);
    problems.append(&mut stray);
    problems.sort_by(|a, b| (&a.file, a.at).cmp(&(&b.file, b.at)));
    (types, problems)
}

impl Types {
    /// Those that can be used.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.good.keys().map(String::as_str).collect()
    }

    /// Every type there is, by name, with where it is written; those that cannot be used too.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Written)> {
        self.written.iter().map(|(name, it)| (name.as_str(), it))
    }

    /// The type of this name.
    ///
    /// # Errors
    ///
    /// There is none, or its definition is wrong.
    pub(crate) fn get(&self, name: &str) -> Result<&TypeDoc, TypeError> {
        if let Some(found) = self.good.get(name) {
            return Ok(found);
        }
        let owned = crate::plan_file::head::shown(name);
        if let Some(why) = self.broken.get(name) {
            return Err(TypeError::Broken { name: owned, why: why.clone() });
        }
        let known = self.names();
        let meant = nearest(name, &known).map(|it| format!("did you mean `{it}`? "));
        let hint = format!("{}known: {}", meant.unwrap_or_default(), known.join(", "));
        Err(TypeError::Unknown { name: owned, hint })
    }
}

/// Values of the type's inputs: those given as text, checked, and the defaults of the others.
///
/// # Errors
///
/// Everything that is wrong with what was given.
pub(crate) fn bind_inputs(
    doc: &TypeDoc,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, InputValue>, Vec<InputError>> {
    let mut errors = Vec::new();
    let known: Vec<&str> = doc.inputs.keys().map(String::as_str).collect();
    for input in given.keys().filter(|it| !doc.inputs.contains_key(*it)) {
        errors.push(InputError::Unknown {
            loop_type: doc.name.clone(),
            input: input.clone(),
            hint: crate::problem::suggest(input, &known),
        });
    }
    let mut values = BTreeMap::new();
    for (input, what) in &doc.inputs {
        let value = match given.get(input) {
            Some(text) => input_value(what.kind, text).ok_or_else(|| InputError::Kind {
                input: input.clone(),
                expected: kind_name(what.kind),
                value: text.chars().take(60).collect(),
            }),
            None if what.required => {
                Err(InputError::Missing { loop_type: doc.name.clone(), input: input.clone() })
            }
            None => Ok(what.default.clone().unwrap_or_else(|| empty(what.kind))),
        };
        match value {
            Ok(value) => drop(values.insert(input.clone(), value)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn input_value(kind: InputKind, text: &str) -> Option<InputValue> {
    match kind {
        InputKind::String => Some(InputValue::Text(text.to_owned())),
        InputKind::Integer => text.trim().parse().ok().map(InputValue::Number),
        InputKind::Boolean => text.trim().parse().ok().map(InputValue::Flag),
    }
}

/// What an input holds that is neither required nor given and has no default.
fn empty(kind: InputKind) -> InputValue {
    match kind {
        InputKind::String => InputValue::Text(String::new()),
        InputKind::Integer => InputValue::Number(0),
        InputKind::Boolean => InputValue::Flag(false),
    }
}

fn kind_name(kind: InputKind) -> &'static str {
    match kind {
        InputKind::String => "text",
        InputKind::Integer => "a whole number",
        InputKind::Boolean => "`true` or `false`",
    }
}

/// The type a file defines.
fn type_name(path: &str) -> Option<&str> {
    let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
    file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"))
}
