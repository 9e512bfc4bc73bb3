//! Plan files: Markdown or YAML in, a checked graph of specs or every problem out.
//!
//! Reads no file, asks no repository, resolves no loop type and fills in no default except the
//! title. Positions are those of the text as it was given; bodies keep their lines verbatim, with
//! `\r\n` read as `\n`.

use std::ops::ControlFlow;

use taskd_model::{AgentDoc, GateSettings, LandMode, LandPolicy, OnConflict, Priority};

use crate::problem::{At, Pos, Problem, Problems};

mod graph;
pub(crate) mod head;
mod markdown;
#[cfg(test)]
mod tests;
mod yaml_form;

/// Largest plan file, in bytes.
pub(crate) const MAX_PLAN_BYTES: usize = 1024 * 1024;

/// Most specs of one plan.
pub(crate) const MAX_SPECS: usize = 1_000;

/// Longest title, in characters.
pub(crate) const MAX_TITLE_CHARS: usize = 200;

/// What a document without `## spec` is answered, until requests are served.
pub(crate) const REQUEST_REFUSED: &str = "this document has no `## spec`, so it is a request; requests \
    go to the `plan` loop type, which this version does not have; write a `## spec <id>: <title>` \
    for each task, or use `taskd run \"...\"` for one task";

/// What a document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    /// A plan with specs.
    Plan(Box<PlanFile>),
    /// Text without specs: somebody has yet to make a plan of it.
    Request(Box<PlanRequest>),
}

/// A plan file that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanFile {
    /// What it says about itself; the title is set.
    pub(crate) head: PlanKeys,
    /// What people call it: its `plan` key, else the file's name.
    pub(crate) title: String,
    /// Text before the first spec: context for every spec's prompt.
    pub(crate) context: String,
    /// The specs, in the order of the file; at least one, needs without cycles.
    pub(crate) specs: Vec<PlanSpec>,
    /// What is allowed but probably not meant.
    pub(crate) warnings: Vec<Problem>,
}

/// A document without specs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanRequest {
    /// What it says about itself.
    pub(crate) head: PlanKeys,
    /// What is asked for.
    pub(crate) text: String,
}

/// The keys of a plan; what is absent comes from flags, configuration or defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlanKeys {
    /// `plan`: the title.
    pub(crate) title: Option<At<String>>,
    /// `target`: the branch it lands on.
    pub(crate) target: Option<At<String>>,
    /// `agent` or `model`.
    pub(crate) agent: Option<At<AgentDoc>>,
    /// `gate`.
    pub(crate) gate: Option<At<GateSettings>>,
    /// `land`.
    pub(crate) land: Option<At<LandPolicy>>,
    /// `land.mode`.
    pub(crate) land_mode: Option<At<LandMode>>,
    /// `limits.budget`, in micro-dollars.
    pub(crate) budget_micros: Option<At<u64>>,
    /// `limits.tokens`, of all its loops.
    pub(crate) tokens: Option<At<u64>>,
    /// `limits.time`, in milliseconds.
    pub(crate) time_ms: Option<At<u64>>,
    /// `limits.iterations`, of each loop.
    pub(crate) iterations: Option<At<u32>>,
    /// `setup`: a command run once in every new worktree.
    pub(crate) setup: Option<At<String>>,
    /// `base: red-ok`: the gate need not be green on the untouched base.
    pub(crate) base_red_ok: bool,
    /// `priority`.
    pub(crate) priority: Option<At<Priority>>,
    /// `type`: the loop type of every spec that names none.
    pub(crate) loop_type: Option<At<String>>,
    /// `conflict`.
    pub(crate) conflict: Option<At<OnConflict>>,
}

/// One spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanSpec {
    /// Its id, unique in the plan.
    pub(crate) id: At<String>,
    /// What people call it.
    pub(crate) title: String,
    /// The task, verbatim; its title if it has no text of its own.
    pub(crate) text: String,
    /// Specs it needs, by place in the plan.
    pub(crate) needs: Vec<At<u16>>,
    /// Commands that are red before the work and green after it.
    pub(crate) accept: Vec<At<String>>,
    /// Files it is expected to stay in, as globs.
    pub(crate) touches: Vec<At<String>>,
    /// `agent` or `model`, if it has its own.
    pub(crate) agent: Option<At<AgentDoc>>,
    /// `type`, if it has its own.
    pub(crate) loop_type: Option<At<String>>,
}

/// Reads a plan file. `name` is the file as people call it: `.yaml` and `.yml` are YAML, anything
/// else (also `-`) is Markdown.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of lines; never an empty list.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Document, Vec<Problem>> {
    let mut problems = Problems::new(name);
    let ControlFlow::Continue(text) = decode(bytes, &mut problems) else {
        return Err(problems.into_list());
    };
    let draft = if is_yaml(name) {
        yaml_form::read(&text, &mut problems)
    } else {
        markdown::read(&text, &mut problems)
    };
    let specs = graph::check(draft.specs, &mut problems);
    if !problems.is_empty() {
        return Err(problems.into_list());
    }
    Ok(if specs.is_empty() {
        Document::Request(Box::new(PlanRequest { head: draft.head, text: draft.context }))
    } else {
        let title = draft.head.title.as_ref().map_or_else(|| stem(name), |it| it.value.clone());
        let warnings = draft.warnings.into_list();
        let context = draft.context;
        Document::Plan(Box::new(PlanFile { head: draft.head, title, context, specs, warnings }))
    })
}

/// What a form's reader finds; needs are still names.
#[derive(Debug)]
struct Draft {
    head: PlanKeys,
    context: String,
    specs: Vec<SpecDraft>,
    warnings: Problems,
}

/// A spec whose needs are still names.
#[derive(Debug)]
struct SpecDraft {
    id: At<String>,
    title: String,
    text: String,
    needs: Vec<At<String>>,
    accept: Vec<At<String>>,
    touches: Vec<At<String>>,
    agent: Option<At<AgentDoc>>,
    loop_type: Option<At<String>>,
}

/// The bytes as text without a byte order mark and with `\n` alone at line ends.
fn decode(bytes: &[u8], problems: &mut Problems) -> ControlFlow<(), String> {
    let top = Pos::new(1, 1);
    if bytes.len() > MAX_PLAN_BYTES {
        let what = format!("the file has {} bytes; a plan may have {MAX_PLAN_BYTES}", bytes.len());
        problems.add(top, what);
        return ControlFlow::Break(());
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|it| **it == b'\n').count() + 1;
            let start = before.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
            let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
            let what = format!("not UTF-8: the byte at position {}", error.valid_up_to());
            problems.add_hint(Pos::new(line, column), what, "save the file as UTF-8");
            return ControlFlow::Break(());
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    if text.trim().is_empty() {
        problems.add_hint(
            top,
            "the file is empty",
            "write a `## spec <id>: <title>` for each task",
        );
        return ControlFlow::Break(());
    }
    ControlFlow::Continue(text)
}

fn is_yaml(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    [".yaml", ".yml"].iter().any(|it| lower.ends_with(it))
}

/// The file's name without folders and ending.
fn stem(name: &str) -> String {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let stem = if stem.is_empty() || stem == "-" { "plan" } else { stem };
    stem.chars().filter(|it| !it.is_control()).take(MAX_TITLE_CHARS).collect()
}
