//! The names, descriptions and arguments of the tools, and who may use which.
//!
//! What is not in here does not exist: there is no way to add a tool at run time.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ALERT, QUERY, RECALL, SHARE, STOP, ToolError, ToolOutput, ask::ASK};

/// A tool as a model is told about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolSpec {
    /// Its name.
    pub name: &'static str,
    /// What it does, for the model.
    pub description: &'static str,
    /// JSON schema of its arguments.
    pub schema: &'static str,
    /// It changes nothing: it may run beside others and before the reply has ended.
    pub reads: bool,
}

/// The tools there are.
#[must_use]
pub fn catalog() -> &'static [ToolSpec] {
    CATALOG
}

/// The tool of that name changes nothing.
#[must_use]
pub fn reads(name: &str) -> bool {
    CATALOG.iter().chain([&RECALL]).any(|it| it.name == name && it.reads)
}

/// The tool of that name, if it exists and is on the loop's list.
///
/// # Errors
/// An error result for the model, with a suggestion.
pub fn admit(name: &str, allow: &[String]) -> Result<&'static ToolSpec, ToolError> {
    let allowed = || {
        let listed = |tool: &&ToolSpec| allow.iter().any(|it| it == tool.name);
        CATALOG.iter().filter(listed).map(|tool| tool.name.to_owned()).collect::<Vec<_>>()
    };
    let Some(tool) = CATALOG.iter().find(|tool| tool.name == name) else {
        let allowed = allowed();
        let did_you_mean_name = suggestion(name, &allowed);
        let name = name.chars().take(NAME_SHOWN_MAX_CHARS).collect();
        return Err(ToolError::UnknownTool { name, did_you_mean_name, allowed });
    };
    if allow.iter().any(|it| it == name) {
        Ok(tool)
    } else {
        Err(ToolError::NotAllowed { name: name.to_owned(), allowed: allowed() })
    }
}

/// What `run` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSpec {
    /// For `sh -c`, in the worktree.
    pub command: String,
    /// When to end it.
    pub timeout: Duration,
}

/// Reads the arguments of `run`; ask [`admit`] first whether it may be used.
///
/// # Errors
/// An error result for the model.
pub fn run_spec(args_json: &str) -> Result<RunSpec, ToolError> {
    let tool = CATALOG.iter().find(|tool| tool.name == "run").expect("the catalog has `run`");
    let args: RunArgs = parse(tool, args_json)?;
    let bad = |what: String| Err(ToolError::BadArgument { what });
    if args.command.trim().is_empty() {
        return bad("`command` is empty; give a shell command".to_owned());
    }
    if args.command.contains('\0') {
        return bad("`command` contains a NUL byte; remove it".to_owned());
    }
    if args.command.len() > RUN_COMMAND_MAX_BYTES {
        return Err(ToolError::TooLarge {
            what: "`command`".to_owned(),
            bytes: args.command.len() as u64,
            max_bytes: RUN_COMMAND_MAX_BYTES as u64,
            advice: "write a script file and run that",
        });
    }
    let timeout_s = args.timeout_s.unwrap_or(RUN_TIMEOUT_DEFAULT_S);
    if !(1..=RUN_TIMEOUT_MAX_S).contains(&timeout_s) {
        return bad(format!("`timeout_s` must be between 1 and {RUN_TIMEOUT_MAX_S} seconds"));
    }
    Ok(RunSpec { command: args.command, timeout: Duration::from_secs(timeout_s) })
}

/// `run` ends after this long unless it asks otherwise.
const RUN_TIMEOUT_DEFAULT_S: u64 = 120;
/// `run` cannot ask for more.
const RUN_TIMEOUT_MAX_S: u64 = 600;
/// Linux refuses a single argument of 128 KiB.
const RUN_COMMAND_MAX_BYTES: usize = 120 << 10;
/// More than `write` can write, escaped.
const ARGUMENTS_MAX_BYTES: usize = 8 << 20;
const NAME_SHOWN_MAX_CHARS: usize = 64;

const CATALOG: &[ToolSpec] = &[
    ToolSpec {
        name: "read",
        description: "Read a text file of the worktree. Returns numbered lines, at most 2000 at \
            once and 256 KiB; use offset (first line, counted from 1) and limit for more. A file \
            must be read before it can be edited or overwritten.",
        schema: r#"{"type":"object","properties":{"path":{"type":"string","description":"relative to the worktree"},"offset":{"type":"integer","minimum":1},"limit":{"type":"integer","minimum":1}},"required":["path"],"additionalProperties":false}"#,
        reads: true,
    },
    ToolSpec {
        name: "write",
        description: "Create a file, or replace a whole file that you have read. Creates missing \
            directories. At most 1 MiB.",
        schema: r#"{"type":"object","properties":{"path":{"type":"string","description":"relative to the worktree"},"content":{"type":"string"}},"required":["path","content"],"additionalProperties":false}"#,
        reads: false,
    },
    ToolSpec {
        name: "edit",
        description: "Replace text in a file that you have read. `old` must occur exactly once, \
            with its exact whitespace and without line numbers; set `all` to replace every \
            occurrence.",
        schema: r#"{"type":"object","properties":{"path":{"type":"string","description":"relative to the worktree"},"old":{"type":"string"},"new":{"type":"string"},"all":{"type":"boolean"}},"required":["path","old","new"],"additionalProperties":false}"#,
        reads: false,
    },
    ToolSpec {
        name: "list",
        description: "List one directory of the worktree, sorted, with sizes; directories end in /.",
        schema: r#"{"type":"object","properties":{"path":{"type":"string","description":"relative to the worktree; default: its root"}},"additionalProperties":false}"#,
        reads: true,
    },
    ToolSpec {
        name: "glob",
        description: "Find files by name, e.g. `src/**/*.rs`. A pattern without / matches at any \
            depth. Ignored files (.gitignore) are left out. At most 1000.",
        schema: r#"{"type":"object","properties":{"pattern":{"type":"string"},"path":{"type":"string","description":"directory to search, relative to the worktree"}},"required":["pattern"],"additionalProperties":false}"#,
        reads: true,
    },
    ToolSpec {
        name: "grep",
        description: "Search file contents with a regular expression, line by line. `path` is a \
            file or directory, `glob` limits the file names. Ignored and binary files are left \
            out. At most 200 matches, as path:line:text.",
        schema: r#"{"type":"object","properties":{"pattern":{"type":"string"},"path":{"type":"string","description":"relative to the worktree"},"glob":{"type":"string","description":"e.g. *.rs"},"ignore_case":{"type":"boolean"}},"required":["pattern"],"additionalProperties":false}"#,
        reads: true,
    },
    ToolSpec {
        name: "run",
        description: "Run a shell command in the worktree and return its output and exit code. \
            Nothing it starts survives it. It has no input.",
        schema: r#"{"type":"object","properties":{"command":{"type":"string"},"timeout_s":{"type":"integer","minimum":1,"maximum":600,"description":"seconds; default 120"}},"required":["command"],"additionalProperties":false}"#,
        reads: false,
    },
    ASK,
    SHARE,
    ALERT,
    QUERY,
    STOP,
    ToolSpec {
        name: "finish",
        description: "Say that the work is done. The gate then decides whether it passes.",
        schema: r#"{"type":"object","properties":{"summary":{"type":"string","description":"what was done, in a few sentences"}},"required":["summary"],"additionalProperties":false}"#,
        reads: false,
    },
];

/// What models call our tools when they are used to other ones.
const KNOWN_AS: &[(&str, &str)] = &[
    ("bash", "run"),
    ("cat", "read"),
    ("complete_task", "finish"),
    ("create_file", "write"),
    ("done", "finish"),
    ("edit_file", "edit"),
    ("execute", "run"),
    ("find", "glob"),
    ("list_directory", "list"),
    ("list_dir", "list"),
    ("ls", "list"),
    ("open", "read"),
    ("query_loop", "query"),
    ("read_file", "read"),
    ("rg", "grep"),
    ("run_command", "run"),
    ("search", "grep"),
    ("sh", "run"),
    ("share_data", "share"),
    ("shell", "run"),
    ("str_replace", "edit"),
    ("view", "read"),
    ("write_file", "write"),
];

fn suggestion(name: &str, allowed: &[String]) -> Option<String> {
    let name: String = name.chars().take(NAME_SHOWN_MAX_CHARS).collect();
    let lower = name.to_ascii_lowercase();
    let known = KNOWN_AS.iter().find(|(other, _)| *other == lower).map(|(_, ours)| *ours);
    let names: Vec<&str> = allowed.iter().map(String::as_str).collect();
    match known {
        Some(ours) => names.contains(&ours).then(|| ours.to_owned()),
        None => similar::get_close_matches(lower.as_str(), &names, 1, 0.6)
            .first()
            .map(|it| (*it).to_owned()),
    }
}

/// Reads the arguments of a tool; nothing at all is an empty object.
pub(super) fn parse<T: DeserializeOwned>(tool: &ToolSpec, args_json: &str) -> Result<T, ToolError> {
    if args_json.len() > ARGUMENTS_MAX_BYTES {
        return Err(ToolError::ArgumentsTooLong {
            tool: tool.name,
            bytes: args_json.len(),
            max_bytes: ARGUMENTS_MAX_BYTES,
        });
    }
    let text = if args_json.trim().is_empty() { "{}" } else { args_json };
    // A sequence would be taken for the fields in order.
    if !text.trim_start().starts_with('{') {
        let source = serde::de::Error::custom("this is not an object");
        return Err(ToolError::arguments(tool, source));
    }
    serde_json::from_str(text).map_err(|source| ToolError::arguments(tool, source))
}

pub(super) fn finish(args: &FinishArgs) -> Result<ToolOutput, ToolError> {
    if args.summary.trim().is_empty() {
        let what = "`summary` is empty; say what was done".to_owned();
        return Err(ToolError::BadArgument { what });
    }
    Ok(ToolOutput::text("The gate decides now.".to_owned()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadArgs {
    pub(super) path: String,
    pub(super) offset: Option<u64>,
    pub(super) limit: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteArgs {
    pub(super) path: String,
    pub(super) content: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EditArgs {
    pub(super) path: String,
    pub(super) old: String,
    pub(super) new: String,
    #[serde(default)]
    pub(super) all: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArgs {
    pub(super) path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GlobArgs {
    pub(super) pattern: String,
    pub(super) path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrepArgs {
    pub(super) pattern: String,
    pub(super) path: Option<String>,
    pub(super) glob: Option<String>,
    #[serde(default)]
    pub(super) ignore_case: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunArgs {
    command: String,
    timeout_s: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishArgs {
    summary: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn schemas_are_objects_and_refuse_what_they_do_not_name() {
        for tool in catalog() {
            let schema: serde_json::Value = serde_json::from_str(tool.schema).unwrap();
            assert_eq!(schema["type"], "object", "{}", tool.name);
            assert_eq!(schema["additionalProperties"], false, "{}", tool.name);
        }
        let reading: Vec<_> = catalog().iter().filter(|it| it.reads).map(|it| it.name).collect();
        assert_eq!(reading, ["read", "list", "glob", "grep", "query"]);
    }

    #[test]
    fn the_list_is_enforced_and_names_are_suggested() {
        let say = |name, list: &[&str]| admit(name, &allow(list)).unwrap_err().for_model();
        assert_eq!(
            say("run", &["read", "grep"]),
            "error: the tool `run` is not allowed in this loop; the tools are: read, grep"
        );
        assert_eq!(
            say("raed", &["read", "grep"]),
            "error: there is no tool `raed` here (did you mean `read`?); the tools are: read, grep"
        );
        assert!(say("Bash", &["run"]).contains("did you mean `run`?"));
        assert!(!say("Bash", &["read"]).contains("did you mean"));
        assert!(say(&"x".repeat(10_000), &["read"]).len() < 200);
        assert!(admit("read", &allow(&["read"])).is_ok());
        // A list may name what does not exist; that does not make it exist.
        assert!(admit("fetch", &allow(&["fetch"])).is_err());
    }

    #[test]
    fn run_has_bounds() {
        let spec = run_spec(r#"{"command":"make"}"#).unwrap();
        assert_eq!((spec.command.as_str(), spec.timeout.as_secs()), ("make", 120));
        assert_eq!(run_spec(r#"{"command":"x","timeout_s":600}"#).unwrap().timeout.as_secs(), 600);
        for bad in [
            r#"{"command":"x","timeout_s":601}"#,
            r#"{"command":"x","timeout_s":0}"#,
            r#"{"command":"x","timeout_s":-1}"#,
            r#"{"command":"  "}"#,
            r#"{"command":"a\u0000b"}"#,
            r#"{"cmd":"x"}"#,
            r#"["x"]"#,
            "null",
            "",
            "{",
        ] {
            assert!(run_spec(bad).is_err(), "{bad}");
        }
        let text = run_spec(r#"{"cmd":"x"}"#).unwrap_err().for_model();
        assert!(text.contains("unknown field `cmd`, expected `command` or `timeout_s`"), "{text}");
    }
}
