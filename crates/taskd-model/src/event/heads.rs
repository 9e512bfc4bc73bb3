//! What a submitted plan and its specs say about themselves.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Digest, LoopLimits, Oid, Param, ProjectId, ReviewHead, Seq, Time, Trace, usage::is_zero,
};

/// How passed work may land.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LandPolicy {
    /// Passed is the end.
    Never,
    /// A person says so.
    #[default]
    Ask,
    /// As soon as the gate is green.
    OnGate,
    /// Never by us: it is proposed to a remote as a pull request, and has landed when the remote's
    /// branch has it. The plan's target is that branch, as in `origin/main`.
    Pr,
}

/// What passed work looks like in the history of its target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LandMode {
    /// One commit for each spec.
    #[default]
    Squash,
    /// A commit for each iteration on the target's tip, and a merge of them that says the whole.
    Merge,
    /// A commit for each iteration on the target's tip, the last of which says the whole.
    Ff,
}

impl LandMode {
    /// It is the default.
    #[must_use]
    pub fn is_squash(&self) -> bool {
        *self == Self::Squash
    }
}

/// Priority classes of model calls, from last to first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// After everybody else, but never for ever.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before normal.
    High,
    /// Before everybody.
    Critical,
}

/// What a submitted plan says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHead {
    /// The project.
    pub project: ProjectId,
    /// What people call it, at most 200 characters.
    pub title: String,
    /// The branch it lands on.
    pub target: String,
    /// The target's tip when it was submitted.
    pub base: Oid,
    /// Same key, same plan.
    pub key: Digest,
    /// The plan's document (`PlanDoc`).
    pub doc: Digest,
    /// Names the gate's commands and environment; evidence binds to it.
    pub gate: Digest,
    /// The gate need not be green on the untouched base.
    pub base_red_ok: bool,
    /// How its work lands.
    pub land: LandPolicy,
    /// Priority of its calls.
    pub priority: Priority,
    /// Spend of all its loops, in micro-dollars.
    pub budget_micros: u64,
    /// Tokens of all its loops; 0 for as many as its money pays for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tokens: u64,
    /// Wall time from its start, in milliseconds.
    pub time_ms: u64,
    /// How many specs follow.
    pub specs: u16,
    /// It came as one sentence (`taskd run`), so its one loop is called by the plan's name.
    pub single: bool,
    /// The trace that everything done for it belongs to; older logs have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
}

/// What a submitted spec says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecHead {
    /// The plan file's own id.
    pub name: String,
    /// What people call it, at most 200 characters.
    pub title: String,
    /// Specs of the same plan it needs, by place.
    pub needs: Vec<u16>,
    /// The spec's document (`SpecDoc`).
    pub doc: Digest,
    /// Names gate, accept and environment; evidence binds to it.
    pub gate: Digest,
    /// It has `accept` commands.
    pub accept: bool,
    /// What works on it.
    pub worker: Worker,
    /// Models that work instead while an earlier one cannot, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
    /// Name of the loop type.
    pub type_name: String,
    /// Its limits.
    pub limits: LoopLimits,
    /// What the loop type sets and its worker does not take: left out, as the type says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Param>,
    /// Globs of what it touches: it does not start while another loop of the project works on
    /// some of the same. None where that is not wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<String>,
    /// Its loop writes a document that names further specs, instead of work that lands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<DocumentHead>,
    /// The spec whose document named it, by place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u16>,
    /// A second reader of its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewHead>,
}

/// What becomes of the document that a loop writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentHead {
    /// A person says whether its specs are worked on.
    pub approve: bool,
    /// Times it is looked through again after the draft, unless two in a row change nothing.
    pub reviews: u8,
    /// Wrong documents in a row, after the first, before a person is asked.
    pub repairs: u8,
}

/// What works on a spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Worker {
    /// A native loop that calls a model; the name is also its rate bucket.
    Model(String),
    /// An external agent program, by preset name.
    Agent(String),
}

impl Worker {
    /// What people call it: a model by its name, an agent by its program, without folder and arguments.
    #[must_use]
    pub fn called(&self) -> &str {
        match self {
            Self::Model(name) => name,
            Self::Agent(line) => {
                let word = line.split_whitespace().next().unwrap_or(line);
                word.rsplit('/').next().unwrap_or(word)
            }
        }
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(it) | Self::Agent(it) => f.write_str(it),
        }
    }
}

/// Why a loop's model is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeCause {
    /// The provider takes no call until then: a quota is used up.
    Window {
        /// Until when.
        until: Time,
        /// The end of the call that was refused.
        by: Seq,
    },
    /// The provider fails, and is left alone.
    Failing {
        /// Since when.
        since: Time,
        /// The end of the call that was one too many.
        by: Seq,
    },
    /// It does not accept who we are, or nobody pays there.
    Refused {
        /// The end of the call that was refused.
        by: Seq,
    },
    /// A model the loop would rather call is there again.
    Back,
}

impl ChangeCause {
    /// When it is over, where that is known.
    #[must_use]
    pub fn until(&self) -> Option<Time> {
        match self {
            Self::Window { until, .. } => Some(*until),
            Self::Failing { .. } | Self::Refused { .. } | Self::Back => None,
        }
    }
}

impl fmt::Display for ChangeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Window { .. } => "its quota is used up",
            Self::Failing { .. } => "its provider keeps failing",
            Self::Refused { .. } => "it refuses the calls",
            Self::Back => "it is there again",
        })
    }
}
