//! A description of an agent program, and the command line it makes.
//!
//! Refuses unknown keys, placeholders that do not exist, and rules that contradict themselves; all
//! of that when it is read, none of it when an agent is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::LazyLock;

use serde::Deserialize;

use super::gateway::{Gateway, Through};
use super::mcp::McpChannel;
use super::rules::{Count, LineRule, ProseUsage};

/// How to run an agent program without a person, and how to read what it prints.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Its name.
    pub name: String,
    /// Program and arguments. `{prompt_file}` and `{prompt}` stand for the prompt's path and text.
    pub argv: Vec<String>,
    /// The same for going on with an earlier session, `{session}`.
    pub resume_argv: Option<Vec<String>>,
    /// The same for a person who goes on with a session by hand, `{session}`.
    pub open_argv: Option<Vec<String>>,
    /// How it gets its prompt.
    #[serde(default)]
    pub prompt: PromptChannel,
    /// What it prints.
    pub format: Format,
    /// The variable its credential goes into, if it needs one.
    pub credential: Option<String>,
    /// The variable that holds its login where nobody can log in, if it knows one. It is handed over
    /// where no key pays.
    pub login_variable: Option<String>,
    /// Variables it always gets.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// How its calls are sent through the daemon, if they can be.
    pub gateway: Option<Gateway>,
    /// What of the home directory it reads and writes, from `~/`: its login, settings, sessions. Told
    /// to people; nothing else is kept from it.
    #[serde(default)]
    pub home: Vec<String>,
    /// Hosts it connects to by itself. Told to people; nothing else is kept from it.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// How one sees that it is logged in, without a call of its provider.
    pub login: Option<LoginCheck>,
    /// A command that prints its version.
    pub version: Option<Vec<String>>,
    /// The first and the last version this was written for; a part that is not there is any.
    pub tested: Option<[String; 2]>,
    /// How it is told of tool servers, if it takes any.
    pub mcp: Option<McpChannel>,
    /// What to take from its lines, for `jsonl`.
    #[serde(default, rename = "line")]
    pub lines: Vec<LineRule>,
    /// Where its numbers are, for `text`.
    pub prose_usage: Option<ProseUsage>,
    /// What is said when it asks whether it may, for `acp`; `allow` if nothing is said.
    pub permissions: Option<Permissions>,
    /// One process serves all iterations of a loop, for `acp`.
    #[serde(default)]
    pub long_lived: bool,
}

/// What an agent is told that asks whether it may do something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permissions {
    /// It may: its worktree and the gate are the fence.
    #[default]
    Allow,
    /// A person is asked.
    Ask,
    /// It may not.
    Deny,
}

/// How one sees that a program is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum LoginCheck {
    /// A command that ends with 0 if it is.
    Command(Vec<String>),
    /// A file that is there if it is; `~` is the home directory.
    File(String),
}

/// How a program gets its prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptChannel {
    /// On its stdin: the runner gives it the prompt's file.
    Stdin,
    /// As an argument, `{prompt}`.
    Argument,
    /// As a file named by an argument, `{prompt_file}`.
    File,
    /// In a message of the protocol: not to be written down, `format = "acp"` says it.
    #[default]
    #[serde(skip)]
    Message,
}

/// What a program prints on its stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Prose; the end of it is the result.
    Text,
    /// One JSON object a line.
    Jsonl,
    /// The Agent Client Protocol, on its stdin and stdout.
    Acp,
}

/// What is different in each run.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// Where the prompt is.
    pub prompt_path: &'a Path,
    /// The prompt itself.
    pub prompt: &'a str,
    /// The session to go on with.
    pub session: Option<&'a str>,
    /// Where its calls go, if through the daemon.
    pub through: Option<Through<'a>>,
}

/// A preset that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PresetError {
    /// It is not the TOML we expect; the source names line and column.
    #[error("this is not an agent preset")]
    Toml(#[source] Box<toml::de::Error>),
    /// It contradicts itself.
    #[error("the agent preset `{name}` is wrong: {why}")]
    Wrong {
        /// The preset.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// A command line that no system takes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArgvError {
    /// The prompt is too long for an argument.
    #[error(
        "the prompt has {bytes} bytes; as an argument of `{name}` it may have {max_bytes}: use a preset with prompt = \"file\" or \"stdin\""
    )]
    PromptTooLong {
        /// The preset.
        name: String,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max_bytes: usize,
    },
    /// It contains a NUL byte.
    #[error("the prompt contains a NUL byte and cannot be an argument of `{name}`")]
    Nul {
        /// The preset.
        name: String,
    },
    /// An agent's session id is put on a command line only if it looks like one.
    #[error(
        "the session id of `{name}` is not one: letters, digits, `-`, `_`, `.` and `:` only, not `-` first"
    )]
    Session {
        /// The preset.
        name: String,
    },
}

/// Linux refuses a single argument of 128 KiB.
const ARGUMENT_MAX_BYTES: usize = 120 << 10;
const SESSION_MAX_BYTES: usize = 256;

const BUILTIN: &[(&str, &str)] = &[
    ("aider", include_str!("../../presets/aider.toml")),
    ("claude", include_str!("../../presets/claude.toml")),
    ("claude-acp", include_str!("../../presets/claude-acp.toml")),
    ("codex", include_str!("../../presets/codex.toml")),
    ("codex-acp", include_str!("../../presets/codex-acp.toml")),
    ("command", include_str!("../../presets/command.toml")),
    ("gemini", include_str!("../../presets/gemini.toml")),
    ("gemini-acp", include_str!("../../presets/gemini-acp.toml")),
    ("opencode", include_str!("../../presets/opencode.toml")),
    ("opencode-acp", include_str!("../../presets/opencode-acp.toml")),
];

impl Preset {
    /// The names [`Preset::builtin`] knows without a command line.
    pub const BUILTIN_NAMES: &[&str] = &[
        "aider",
        "claude",
        "claude-acp",
        "codex",
        "codex-acp",
        "gemini",
        "gemini-acp",
        "opencode",
        "opencode-acp",
    ];

    /// A preset that comes with taskd; `command` needs a command line and is not one of them.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        Self::BUILTIN_NAMES.contains(&name).then(|| Self::compiled_in(name))
    }

    /// Any shell command line as an agent; the prompt is its stdin.
    #[must_use]
    pub fn command(command_line: &str) -> Self {
        let mut preset = Self::compiled_in("command");
        for argument in &mut preset.argv {
            if argument == "{command}" {
                command_line.clone_into(argument);
            }
        }
        preset
    }

    /// Reads a person's own preset.
    ///
    /// # Errors
    /// It is not TOML, has unknown keys, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, PresetError> {
        let preset: Self = toml::from_str(text).map_err(|e| PresetError::Toml(Box::new(e)))?;
        match preset.contradiction() {
            None => Ok(preset),
            Some(why) => Err(PresetError::Wrong { name: preset.name, why }),
        }
    }

    /// Program and arguments of one run. With a session the run goes on with it, if the program can.
    ///
    /// # Errors
    /// The prompt or the session cannot be an argument.
    pub fn argv(&self, run: &Invocation) -> Result<Vec<OsString>, ArgvError> {
        let name = || self.name.clone();
        if self.prompt == PromptChannel::Argument {
            let (bytes, max_bytes) = (run.prompt.len(), ARGUMENT_MAX_BYTES);
            if bytes > max_bytes {
                return Err(ArgvError::PromptTooLong { name: name(), bytes, max_bytes });
            }
            if run.prompt.contains('\0') {
                return Err(ArgvError::Nul { name: name() });
            }
        }
        let template = match (run.session, &self.resume_argv) {
            (Some(session), Some(_)) if !is_session(session) => {
                return Err(ArgvError::Session { name: name() });
            }
            (Some(_), Some(resume)) => resume,
            (Some(_), None) | (None, _) => &self.argv,
        };
        // The command of `command` is the person's own text, braces and all.
        if self.name == COMMAND {
            return Ok(template.iter().map(OsString::from).collect());
        }
        let through = match (&self.gateway, run.through) {
            (Some(gateway), Some(through)) => gateway.arguments(through),
            (Some(_) | None, _) => Vec::new(),
        };
        let filled = template.iter().flat_map(|argument| {
            if argument == Gateway::PLACE {
                through.iter().map(OsString::from).collect()
            } else {
                vec![fill(argument, run)]
            }
        });
        Ok(filled.collect())
    }

    /// Program and arguments for a person who goes on with a session by hand; nothing if it has none.
    ///
    /// # Errors
    /// The session cannot be an argument.
    pub fn open(&self, session: &str) -> Result<Option<Vec<String>>, ArgvError> {
        if !is_session(session) {
            return Err(ArgvError::Session { name: self.name.clone() });
        }
        let filled =
            |it: &Vec<String>| it.iter().map(|it| it.replace("{session}", session)).collect();
        Ok(self.open_argv.as_ref().map(filled))
    }

    fn compiled_in(name: &str) -> Self {
        // Asked for with every spec of a plan, and always the same.
        static PARSED: LazyLock<BTreeMap<&str, Preset>> = LazyLock::new(|| {
            let parse =
                |text| toml::from_str(text).expect("a test parses every preset of the list");
            BUILTIN.iter().map(|(name, text)| (*name, parse(text))).collect()
        });
        PARSED.get(name).expect("only names of the list are asked for").clone()
    }

    fn contradiction(&self) -> Option<String> {
        if self.name == COMMAND || self.name.is_empty() {
            return Some("it needs a name of its own".to_owned());
        }
        let login = match &self.login {
            Some(LoginCheck::Command(argv)) => Some(argv),
            Some(LoginCheck::File(_)) | None => None,
        };
        let others = [self.resume_argv.as_ref(), self.open_argv.as_ref(), self.version.as_ref()];
        let commands = others.into_iter().chain([Some(&self.argv), login]);
        if commands.flatten().any(Vec::is_empty) {
            return Some("`argv` is empty".to_owned());
        }
        if self.tested.as_ref().is_some_and(|it| it.iter().any(|it| !is_version(it))) {
            return Some("`tested` is the first and the last version, as in \"2.1\"".to_owned());
        }
        if self.open_argv.as_ref().is_some_and(|it| !it.iter().any(|it| it.contains("{session}"))) {
            return Some("`open_argv` does not name the `{session}`".to_owned());
        }
        if let Some(path) = self.home.iter().find(|it| !it.starts_with("~/")) {
            return Some(format!("`home` has `{path}`: what is in it begins with `~/`"));
        }
        let resume = self.resume_argv.iter().flatten();
        let words = self.argv.iter().chain(resume.clone()).filter(|it| *it != Gateway::PLACE);
        for placeholder in words.flat_map(|it| placeholders(it)) {
            if !matches!(placeholder, "{prompt}" | "{prompt_file}" | "{session}") {
                return Some(format!("there is no placeholder `{placeholder}`"));
            }
        }
        let wanted = match self.prompt {
            PromptChannel::Stdin | PromptChannel::Message => None,
            PromptChannel::Argument => Some("{prompt}"),
            PromptChannel::File => Some("{prompt_file}"),
        };
        for argv in [Some(&self.argv), self.resume_argv.as_ref()].into_iter().flatten() {
            let mut text = argv.iter().flat_map(|it| placeholders(it));
            if let Some(wanted) = wanted
                && !text.any(|it| it == wanted)
            {
                return Some(format!("its prompt is never handed over: `{wanted}` is missing"));
            }
        }
        if self.argv.iter().any(|it| it.contains("{session}")) {
            return Some("`{session}` belongs into `resume_argv`".to_owned());
        }
        if self.resume_argv.is_some() && !resume.clone().any(|it| it.contains("{session}")) {
            return Some("`resume_argv` does not name the `{session}`".to_owned());
        }
        let mcp = self.mcp.as_ref().and_then(McpChannel::contradiction);
        mcp.or_else(|| self.contradicting_gateway()).or_else(|| self.contradicting_rule())
    }

    fn contradicting_gateway(&self) -> Option<String> {
        let gateway = self.gateway.as_ref()?;
        let unknown = |it: &&str| !matches!(*it, "{url}" | "{token}");
        if let Some(it) = gateway.texts().flat_map(|it| placeholders(it)).find(unknown) {
            return Some(format!(
                "`gateway` has no placeholder `{it}`: it has {{url}} and {{token}}"
            ));
        }
        let told = |argv: &Vec<String>| argv.iter().any(|it| it == Gateway::PLACE);
        let mut argvs = [Some(&self.argv), self.resume_argv.as_ref()].into_iter().flatten();
        if !gateway.args.is_empty() && !argvs.all(told) {
            return Some("`gateway` has arguments, and a command has no `{gateway}`".to_owned());
        }
        None
    }

    fn contradicting_protocol(&self) -> Option<String> {
        let no_prompt = self.prompt == PromptChannel::Message;
        if self.format != Format::Acp {
            if self.permissions.is_some() || self.long_lived {
                return Some("`permissions` and `long_lived` are for format = \"acp\"".to_owned());
            }
            let why = "`prompt` is missing: \"stdin\", \"argument\" or \"file\"";
            return no_prompt.then(|| why.to_owned());
        }
        if !no_prompt || self.resume_argv.is_some() {
            let why = "format = \"acp\" hands over prompt and session by itself: \
                       `prompt` and `resume_argv` are for the others";
            return Some(why.to_owned());
        }
        if self.gateway.is_some() {
            let why = "`gateway` is a run's, and a program with format = \"acp\" may serve several";
            return Some(why.to_owned());
        }
        if self.argv.iter().any(|it| it.contains("{prompt")) {
            return Some("format = \"acp\" has no prompt in `argv`".to_owned());
        }
        None
    }

    fn contradicting_rule(&self) -> Option<String> {
        if let Some(why) = self.contradicting_protocol() {
            return Some(why);
        }
        if self.format != Format::Jsonl && !self.lines.is_empty() {
            return Some("`line` rules are for format = \"jsonl\"".to_owned());
        }
        if self.format != Format::Text && self.prose_usage.is_some() {
            return Some("`prose_usage` is for format = \"text\"".to_owned());
        }
        let keyless = |line: &&LineRule| {
            let usage = line.usage.as_ref();
            usage.is_some_and(|it| (it.count == Count::LatestOf) != it.key.is_some())
        };
        if self.lines.iter().any(|line| keyless(&line)) {
            return Some("`key` belongs to count = \"latest_of\", and only to that".to_owned());
        }
        if self.lines.iter().any(|line| line.when.is_empty()) {
            return Some("a `line` rule without `when` fits every line".to_owned());
        }
        let of_line = |line: &'_ LineRule| -> Vec<String> {
            let until = line.limit.as_ref().and_then(|it| it.until.clone());
            let payer = line.payer.as_ref().map(|it| it.name.clone());
            let texts = line.when.keys().chain(line.says.keys()).chain(&line.session);
            texts.cloned().chain(until).chain(payer).collect()
        };
        let pointers = self.lines.iter().flat_map(of_line);
        let mut wrong = pointers.filter(|it| !it.starts_with('/'));
        wrong.next().map(|it| format!("`{it}` is not a JSON pointer: it starts with `/`"))
    }
}

const COMMAND: &str = "command";

fn is_version(text: &str) -> bool {
    text.split('.').all(|it| it.parse::<u64>().is_ok())
}

fn is_session(text: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-_.:".contains(&it);
    (1..=SESSION_MAX_BYTES).contains(&text.len())
        && !text.starts_with('-')
        && text.bytes().all(plain)
}

/// Every `{word}` in an argument.
fn placeholders(argument: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = argument;
    while let Some(start) = rest.find('{') {
        let Some(end) = rest[start..].find('}') else { break };
        let inner = &rest[start + 1..start + end];
        if !inner.is_empty() && inner.bytes().all(|it| it.is_ascii_lowercase() || it == b'_') {
            found.push(&rest[start..=start + end]);
        }
        rest = &rest[start + 1..];
    }
    found
}

/// Fills in once, from left to right: a placeholder in the prompt is prompt.
fn fill(argument: &str, run: &Invocation) -> OsString {
    let mut filled = OsString::new();
    let mut rest = argument;
    while let Some(start) = rest.find('{') {
        filled.push(&rest[..start]);
        let tail = &rest[start..];
        let (value, used): (OsString, usize) =
            if let Some(after) = tail.strip_prefix("{prompt_file}") {
                (run.prompt_path.into(), tail.len() - after.len())
            } else if let Some(after) = tail.strip_prefix("{prompt}") {
                (run.prompt.into(), tail.len() - after.len())
            } else if let Some(after) = tail.strip_prefix("{session}") {
                (run.session.unwrap_or_default().into(), tail.len() - after.len())
            } else {
                ("{".into(), 1)
            };
        filled.push(value);
        rest = &tail[used..];
    }
    filled.push(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(preset: &Preset, prompt: &str, session: Option<&str>) -> Result<String, ArgvError> {
        let run = Invocation { prompt_path: Path::new("/p/1.md"), prompt, session, through: None };
        let words = preset.argv(&run)?;
        Ok(words.iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_preset_that_comes_with_us_is_sound() {
        for (name, text) in BUILTIN {
            let preset = Preset::compiled_in(name);
            assert_eq!(preset.name, *name);
            assert_eq!(Preset::builtin(name).is_some(), *name != COMMAND);
            if *name != COMMAND {
                Preset::parse(text).unwrap();
            }
        }
        assert_eq!(Preset::BUILTIN_NAMES.len() + 1, BUILTIN.len());
        assert!(Preset::builtin("copilot").is_none());
    }

    #[test]
    fn command_lines() {
        let claude = Preset::builtin("claude").unwrap();
        assert_eq!(
            argv(&claude, "x", None).unwrap(),
            "claude -p --output-format stream-json --verbose --dangerously-skip-permissions"
        );
        assert!(
            argv(&claude, "x", Some("01-ab"))
                .unwrap()
                .starts_with("claude -p --resume 01-ab --output")
        );
        for bad in ["--help", "a b", "", "é", &"x".repeat(300)] {
            assert!(
                matches!(argv(&claude, "x", Some(bad)), Err(ArgvError::Session { .. })),
                "{bad}"
            );
        }
        let codex = Preset::builtin("codex").unwrap();
        assert_eq!(
            argv(&codex, "x", None).unwrap(),
            "codex exec --json --sandbox workspace-write -"
        );
        assert_eq!(
            argv(&codex, "x", Some("t1")).unwrap(),
            "codex exec --json --sandbox workspace-write resume t1 -"
        );
        let aider = Preset::builtin("aider").unwrap();
        assert!(argv(&aider, "x", Some("s")).unwrap().ends_with("--message-file /p/1.md"));
        let command = Preset::command("my-agent --fast '{prompt}' | tee {x}");
        assert_eq!(
            argv(&command, "x", None).unwrap(),
            "sh -c my-agent --fast '{prompt}' | tee {x}"
        );
    }

    const OWN: &str = "name = \"own\"\nargv = [\"own\", \"--ask={prompt}!{\"]\nprompt = \"argument\"\nformat = \"text\"\n";

    #[test]
    fn a_prompt_is_never_filled_in_twice_and_has_bounds() {
        let own = Preset::parse(OWN).unwrap();
        assert_eq!(
            argv(&own, "use {session} {prompt}", None).unwrap(),
            "own --ask=use {session} {prompt}!{"
        );
        let long = "x".repeat(130_000);
        assert!(matches!(
            argv(&own, &long, None),
            Err(ArgvError::PromptTooLong { bytes: 130_000, .. })
        ));
        assert!(matches!(argv(&own, "a\0b", None), Err(ArgvError::Nul { .. })));
    }

    #[test]
    fn contradictions_are_named_when_it_is_read() {
        let say = |text: String| match Preset::parse(&text).unwrap_err() {
            PresetError::Wrong { why, .. } => why,
            PresetError::Toml(error) => error.to_string(),
        };
        let with = |more: &str| say(format!("{OWN}{more}"));
        assert!(with("colour = 1\n").contains("unknown field `colour`"));
        assert!(say(OWN.replace("{prompt}", "{promt}")).contains("no placeholder `{promt}`"));
        assert!(say(OWN.replace("{prompt}", "")).contains("`{prompt}` is missing"));
        assert!(
            say(OWN.replace("\"argument\"", "\"file\"")).contains("`{prompt_file}` is missing")
        );
        assert!(
            say(OWN.replace("\"own\"\nargv", "\"command\"\nargv")).contains("a name of its own")
        );
        assert!(with("resume_argv = [\"{prompt}\"]\n").contains("does not name the `{session}`"));
        assert!(with("[[line]]\nwhen = { \"/a\" = 1 }\n").contains("jsonl"));
        let json = OWN.replace("\"text\"", "\"jsonl\"");
        assert!(say(OWN.replace("prompt = \"argument\"", "")).contains("`prompt` is missing"));
        assert!(with("long_lived = true\n").contains("are for format = \"acp\""));
        let acp = OWN.replace("\"text\"", "\"acp\"");
        assert!(say(acp.clone()).contains("hands over prompt and session by itself"));
        let acp = acp.replace("prompt = \"argument\"\n", "");
        assert!(say(acp.clone()).contains("no prompt in `argv`"));
        let acp = acp.replace("{prompt}", "");
        let own = Preset::parse(&format!("{acp}permissions = \"ask\"\nlong_lived = true\n"));
        let own = own.unwrap();
        assert_eq!((own.permissions, own.long_lived), (Some(Permissions::Ask), true));
        assert!(with("tested = [\"2\", \"x\"]\n").contains("first and the last version"));
        assert!(with("login = []\n").contains("`argv` is empty"));
        assert!(say(format!("{json}[[line]]\nwhen = {{}}\n")).contains("fits every line"));
        assert!(say(format!("{json}[[line]]\nwhen = {{ type = 1 }}\n")).contains("JSON pointer"));
        let keyless = "[[line]]\nwhen = { \"/a\" = 1 }\nusage = { count = \"latest_of\" }\n";
        assert!(say(format!("{json}{keyless}")).contains("latest_of"));
    }
}
