//! The script file: YAML, strictly checked, every complaint with line and column.
//!
//! ```yaml
//! loops:
//!   parse:                        # the spec's name in its plan; `*` is every loop not named
//!     - iteration: 1              # without it: every iteration not listed
//!       turns:                    # the first is turn 1
//!         - say: "I'll write the parser."
//!           delay_ms: 200         # from being accepted to the first piece
//!           chunk_ms: 5           # before every further piece: a few words, or a tool call
//!           tail_ms: 100          # from the last piece to the end of the reply
//!           tools:                # name: arguments; text instead of a map is sent as it is
//!             - write: {path: src/parse.sh, content: "exit 0"}
//!             - run: {command: "sh test.sh"}
//!           stop: tool_use        # or end, max_tokens, refusal; default: tool_use with tools, else end
//!           usage: {input: 1200, output: 300, cache_read: 0, cache_write: 0, micros: 0}
//!           fail:                 # the first attempts of this turn, one entry each
//!             - {status: 429, retry_after_ms: 2000}
//!             - {status: 503, delay_ms: 50}
//!             - {disconnect: 2}   # cut off after two pieces
//!             - {hang: 1}         # silent for ever after one piece
//!         - say: done
//!           tools: [{finish: {summary: "It parses."}}]
//! default: {say: "Nothing to do.", tools: [{finish: {summary: "nothing"}}]}
//! ```
//!
//! One list of turns answers an iteration: the loop's own for that iteration, else the loop's for
//! every iteration, else the same two under `*`. A turn past the end of that list, or without a
//! list, gets `default`; without `default` the call fails for good.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;
use serde_saphyr::{Location, MessageFormatter, Spanned, UserMessageFormatter};
use taskd_model::{StopReason, Usage};

use crate::ScriptError;

/// The largest script, in bytes.
pub const MAX_SCRIPT_BYTES: u64 = 4 * 1024 * 1024;
/// The most YAML nodes of a script.
pub const MAX_SCRIPT_NODES: usize = 100_000;
/// The longest delay a script may ask for, in milliseconds.
pub const MAX_DELAY_MS: u64 = 3_600_000;
/// The most failures of one turn.
pub const MAX_FAULTS: usize = 64;

/// Every loop that has no entry of its own.
const EVERY_LOOP: &str = "*";

/// A checked script.
pub(super) struct Script {
    loops: BTreeMap<String, Vec<Iteration>>,
    default: Option<Turn>,
}

/// One turn of a script.
pub(super) struct Turn {
    pub(super) say: String,
    pub(super) delay_ms: u64,
    pub(super) chunk_ms: u64,
    pub(super) tail_ms: u64,
    pub(super) tools: Vec<Tool>,
    pub(super) stop: Option<StopReason>,
    pub(super) usage: Option<Usage>,
    pub(super) fail: Vec<Fault>,
}

/// A tool call of a turn.
pub(super) struct Tool {
    pub(super) name: String,
    /// As the JSON text a model would write, or not write.
    pub(super) args: String,
}

/// How one attempt fails.
pub(super) struct Fault {
    pub(super) delay_ms: u64,
    pub(super) kind: FaultKind,
}

/// What happens to that attempt.
#[derive(Clone, Copy)]
pub(super) enum FaultKind {
    /// Refused with this HTTP status.
    Status { status: u16, retry_after_ms: Option<u64> },
    /// Cut off after so many pieces.
    Disconnect(usize),
    /// Silent after so many pieces.
    Hang(usize),
}

struct Iteration {
    /// `None` is every iteration not listed.
    n: Option<u32>,
    turns: Vec<Turn>,
}

impl Script {
    /// Checks `text`; `path` is for the complaint.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ScriptError> {
        let options = serde_saphyr::options! {
            with_snippet: false,
            strict_booleans: true,
            budget: serde_saphyr::budget! { max_nodes: MAX_SCRIPT_NODES, max_documents: 1 },
        };
        let checked = serde_saphyr::from_str_with_options::<Option<ScriptDoc>>(text, options)
            .map_err(|error| {
                let message = UserMessageFormatter.format_message(error.without_snippet());
                Complaint { at: error.location(), message: message.into_owned() }
            })
            .and_then(|doc| doc.unwrap_or_default().check());
        checked.map_err(|complaint| {
            let at = complaint.at.filter(|at| at.line() > 0);
            let (line, column) = at.map_or((1, 1), |at| (at.line(), at.column()));
            let message: String = complaint
                .message
                .chars()
                .map(|it| if it.is_control() { ' ' } else { it })
                .take(400)
                .collect();
            ScriptError::Invalid { path: path.to_owned(), line, column, message }
        })
    }

    /// What the script says in this turn. Depends on nothing but its arguments.
    pub(super) fn turn(&self, loop_name: &str, iteration: u32, turn: u32) -> Option<&Turn> {
        let turns = [local_name(loop_name), EVERY_LOOP]
            .iter()
            .filter_map(|key| self.loops.get(*key))
            .find_map(|iterations| {
                let find = |n| iterations.iter().find(|it| it.n == n);
                find(Some(iteration)).or_else(|| find(None))
            })
            .map_or(&[][..], |it| &it.turns);
        let place = usize::try_from(turn).ok().and_then(|turn| turn.checked_sub(1));
        place.and_then(|place| turns.get(place)).or(self.default.as_ref())
    }
}

/// The spec's name in its plan: `p1.parse` is `parse`.
fn local_name(loop_name: &str) -> &str {
    let is_plan = |text: &str| {
        text.strip_prefix('p')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|it| it.is_ascii_digit()))
    };
    match loop_name.split_once('.') {
        Some((plan, spec)) if is_plan(plan) => spec,
        Some(_) | None => loop_name,
    }
}

/// What is wrong, and where if that is known.
struct Complaint {
    at: Option<Location>,
    message: String,
}

impl Complaint {
    fn at(at: Location, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into() }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptDoc {
    #[serde(default)]
    loops: LoopsDoc,
    default: Option<Spanned<TurnDoc>>,
}

#[derive(Default)]
struct LoopsDoc(Vec<(Spanned<String>, Vec<Spanned<IterationDoc>>)>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IterationDoc {
    iteration: Option<u32>,
    turns: Vec<Spanned<TurnDoc>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnDoc {
    say: Option<String>,
    delay_ms: Option<Spanned<u64>>,
    chunk_ms: Option<Spanned<u64>>,
    tail_ms: Option<Spanned<u64>>,
    #[serde(default)]
    tools: Vec<ToolDoc>,
    stop: Option<StopReason>,
    usage: Option<UsageDoc>,
    #[serde(default)]
    fail: Vec<Spanned<FaultDoc>>,
}

struct ToolDoc(Tool);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct UsageDoc {
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
    micros: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultDoc {
    status: Option<u16>,
    retry_after_ms: Option<Spanned<u64>>,
    disconnect: Option<usize>,
    hang: Option<usize>,
    delay_ms: Option<Spanned<u64>>,
}

impl ScriptDoc {
    fn check(self) -> Result<Script, Complaint> {
        if self.loops.0.is_empty() && self.default.is_none() {
            let message = "a script needs `loops` or `default`".to_owned();
            return Err(Complaint { at: None, message });
        }
        let mut loops = BTreeMap::new();
        for (name, iterations) in self.loops.0 {
            let at = name.referenced;
            let name = name.value;
            if name.is_empty() || (name.contains('*') && name != EVERY_LOOP) {
                let message = format!("{name:?} is no loop: write a spec's name, or `*` alone");
                return Err(Complaint::at(at, message));
            }
            loops.insert(name, check_iterations(iterations)?);
        }
        let default = self.default.map(TurnDoc::check).transpose()?;
        Ok(Script { loops, default })
    }
}

fn check_iterations(docs: Vec<Spanned<IterationDoc>>) -> Result<Vec<Iteration>, Complaint> {
    let mut iterations: Vec<Iteration> = Vec::new();
    for doc in docs {
        let (at, IterationDoc { iteration: n, turns }) = (doc.referenced, doc.value);
        if n == Some(0) {
            return Err(Complaint::at(at, "iterations count from 1"));
        }
        if iterations.iter().any(|it| it.n == n) {
            let which = n.map_or("every iteration".to_owned(), |n| format!("iteration {n}"));
            return Err(Complaint::at(at, format!("{which} is listed twice")));
        }
        if turns.is_empty() {
            return Err(Complaint::at(at, "an iteration needs a turn"));
        }
        let turns = turns.into_iter().map(TurnDoc::check).collect::<Result<_, _>>()?;
        iterations.push(Iteration { n, turns });
    }
    Ok(iterations)
}

impl TurnDoc {
    fn check(doc: Spanned<Self>) -> Result<Turn, Complaint> {
        let (at, doc) = (doc.referenced, doc.value);
        let say = doc.say.unwrap_or_default();
        if say.is_empty() && doc.tools.is_empty() {
            return Err(Complaint::at(at, "a turn needs `say`, `tools` or both"));
        }
        if doc.fail.len() > MAX_FAULTS {
            return Err(Complaint::at(at, format!("a turn fails at most {MAX_FAULTS} times")));
        }
        Ok(Turn {
            say,
            delay_ms: check_delay(doc.delay_ms)?,
            chunk_ms: check_delay(doc.chunk_ms)?,
            tail_ms: check_delay(doc.tail_ms)?,
            tools: doc.tools.into_iter().map(|it| it.0).collect(),
            stop: doc.stop,
            usage: doc.usage.map(Usage::from),
            fail: doc.fail.into_iter().map(FaultDoc::check).collect::<Result<_, _>>()?,
        })
    }
}

impl FaultDoc {
    fn check(doc: Spanned<Self>) -> Result<Fault, Complaint> {
        let (at, doc) = (doc.referenced, doc.value);
        let retry_after_ms = match doc.retry_after_ms {
            Some(ms) => Some(check_delay(Some(ms))?),
            None => None,
        };
        let kind = match (doc.status, doc.disconnect, doc.hang) {
            (Some(status), None, None) => FaultKind::Status { status, retry_after_ms },
            (None, Some(pieces), None) => FaultKind::Disconnect(pieces),
            (None, None, Some(pieces)) => FaultKind::Hang(pieces),
            _ => {
                let message = "a failure is one of `status`, `disconnect` and `hang`";
                return Err(Complaint::at(at, message));
            }
        };
        match kind {
            FaultKind::Status { status, .. } if !(400..=599).contains(&status) => {
                return Err(Complaint::at(at, format!("status {status} is not a failure")));
            }
            FaultKind::Status { status: 429 | 500..=599, .. } => {}
            FaultKind::Status { .. } | FaultKind::Disconnect(_) | FaultKind::Hang(_) => {
                if retry_after_ms.is_some() {
                    let message = "`retry_after_ms` goes with status 429 or 5xx";
                    return Err(Complaint::at(at, message));
                }
            }
        }
        Ok(Fault { delay_ms: check_delay(doc.delay_ms)?, kind })
    }
}

fn check_delay(ms: Option<Spanned<u64>>) -> Result<u64, Complaint> {
    match ms {
        Some(ms) if ms.value > MAX_DELAY_MS => {
            let message = format!("{} ms is more than the {MAX_DELAY_MS} ms allowed", ms.value);
            Err(Complaint::at(ms.referenced, message))
        }
        Some(ms) => Ok(ms.value),
        None => Ok(0),
    }
}

impl From<UsageDoc> for Usage {
    fn from(doc: UsageDoc) -> Self {
        let UsageDoc { input, output, cache_read, cache_write, micros } = doc;
        Self { input, output, cache_read, cache_write, micros, ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for LoopsDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Loops;

        impl<'de> Visitor<'de> for Loops {
            type Value = LoopsDoc;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("loops by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LoopsDoc, A::Error> {
                let mut loops = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    loops.push(entry);
                }
                Ok(LoopsDoc(loops))
            }
        }

        deserializer.deserialize_map(Loops)
    }
}

impl<'de> Deserialize<'de> for ToolDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneTool;

        impl<'de> Visitor<'de> for OneTool {
            type Value = ToolDoc;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one tool call such as `run: {command: \"sh test.sh\"}`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ToolDoc, A::Error> {
                let expected = || serde::de::Error::custom("one tool call per list item");
                let (name, args) = map.next_entry::<String, Value>()?.ok_or_else(expected)?;
                if name.is_empty() || map.next_key::<String>()?.is_some() {
                    return Err(expected());
                }
                let args = match args {
                    Value::Null => "{}".to_owned(),
                    Value::String(verbatim) => verbatim,
                    Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                        args.to_string()
                    }
                };
                Ok(ToolDoc(Tool { name, args }))
            }
        }

        deserializer.deserialize_map(OneTool)
    }
}
