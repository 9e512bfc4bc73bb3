//! `taskd agents`: each agent program, whether it can be used, who pays, and what is counted.

use std::path::PathBuf;

use serde_json::{Value, json as value};
use taskd_model::Depth;
use taskd_tools::agents::{Format, Found, Permissions, Preset, PromptChannel, Source};

use crate::cli::agents::conform::Check;

use super::{Scene, json::SCHEMA_VERSION, table::Table, text::clean};

/// Whether the version that is here is one the preset was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tested {
    Within,
    Outside,
    /// The program or the preset does not say.
    Unknown,
}

/// Whether the program is logged in by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    Yes,
    No,
    /// Nobody can tell.
    Unknown,
}

impl Login {
    pub(crate) fn of(there: bool) -> Self {
        if there { Self::Yes } else { Self::No }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "-",
        }
    }
}

/// An agent program as it is here.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) found: Found,
    pub(crate) program: Option<PathBuf>,
    pub(crate) version: Option<String>,
    pub(crate) tested: Tested,
    pub(crate) login: Login,
    /// The variable of its key is set here.
    pub(crate) key_set: bool,
}

impl Agent {
    fn program(&self) -> String {
        self.program.as_ref().map_or_else(|| "no".to_owned(), |it| it.display().to_string())
    }

    /// Who pays for a run that is submitted from here; nothing if nobody does.
    pub(crate) fn billed(&self) -> Option<String> {
        match (&self.found.preset.credential, self.login) {
            (Some(name), _) if self.key_set => Some(name.clone()),
            (_, Login::Yes | Login::Unknown) => Some("its own login".to_owned()),
            (_, Login::No) => None,
        }
    }

    /// How deep a run is counted that is submitted from here, and why not by call where that could be.
    fn depth(&self) -> (Depth, Option<String>) {
        let preset = &self.found.preset;
        preset.depth(preset.credential.is_some() && self.billed() == preset.credential)
    }

    /// The same in words.
    fn how_counted(&self) -> String {
        let (depth, why) = self.depth();
        let what = match depth {
            Depth::ByCall | Depth::ByTime => depth.to_string(),
            Depth::ByReport => format!("{depth}: {}", self.counted()),
        };
        why.map_or(what.clone(), |why| format!("{what}; {why}"))
    }

    /// Who pays, in words.
    pub(crate) fn billed_to(&self) -> String {
        self.billed().unwrap_or_else(|| "nobody".to_owned())
    }

    fn counted(&self) -> &'static str {
        let preset = &self.found.preset;
        if preset.format == Format::Acp {
            return "time, what it reports";
        }
        let usage = || preset.lines.iter().filter_map(|it| it.usage.as_ref());
        let prose = preset.prose_usage.as_ref();
        let money = usage().any(|it| it.cost_usd.is_some())
            || prose.is_some_and(|it| it.cost_usd.is_some());
        match (money, usage().next().is_some() || prose.is_some()) {
            (true, _) => "time, tokens and money it reports",
            (false, true) => "time, tokens it reports",
            (false, false) => "time",
        }
    }

    fn prompt(&self) -> &'static str {
        match self.found.preset.prompt {
            PromptChannel::Stdin => "stdin",
            PromptChannel::Argument => "an argument",
            PromptChannel::File => "a file",
            PromptChannel::Message => "acp",
        }
    }

    fn source(&self) -> String {
        match self.found.source {
            Source::BuiltIn => "built in".to_owned(),
            Source::Person | Source::Project => self.found.file.clone().unwrap_or_default(),
        }
    }

    fn version(&self) -> String {
        let version = self.version.as_deref().unwrap_or("-");
        match self.tested {
            Tested::Outside => format!("{version}, not tested"),
            Tested::Within | Tested::Unknown => version.to_owned(),
        }
    }
}

/// `taskd agents ls`.
pub(crate) fn table(agents: &[Agent], scene: &Scene) -> String {
    let heading = ["AGENT", "INSTALLED", "VERSION", "LOGIN", "BILLED TO", "COUNTED"];
    let mut table = Table::new(&heading, 1, heading.len());
    for it in agents {
        let there = it.program.is_some();
        let known = |text: String| if there { text } else { "-".to_owned() };
        table.row(vec![
            clean(&it.found.preset.name),
            clean(&it.program()),
            clean(&known(it.version())),
            known(it.login.word().to_owned()),
            clean(&known(it.billed_to())),
            known(it.depth().0.to_string()),
        ]);
    }
    table.draw(0, table.total(0).min(scene.width), scene.width).join("\n") + "\n"
}

/// `taskd agents show`.
pub(crate) fn show(it: &Agent) -> String {
    let preset = &it.found.preset;
    let tested = match (&preset.tested, it.tested) {
        (Some([first, last]), Tested::Outside) => format!("{first} to {last}; this one is not"),
        (Some([first, last]), Tested::Within | Tested::Unknown) => format!("{first} to {last}"),
        (None, _) => "nobody has run it: the preset is from its documentation".to_owned(),
    };
    let resume = match preset.format {
        Format::Acp => "if it offers that",
        Format::Text | Format::Jsonl if preset.resume_argv.is_some() => "by session id",
        Format::Text | Format::Jsonl => "no",
    };
    let key = match &preset.credential {
        Some(name) if it.key_set => format!("{name} set"),
        Some(name) => format!("{name} not set"),
        None => "none".to_owned(),
    };
    let mut rows = vec![
        ("preset", it.source()),
        ("installed", it.program()),
        ("version", it.version.clone().unwrap_or_else(|| "-".to_owned())),
        ("tested", tested),
        ("logged in", it.login.word().to_owned()),
        ("key", key),
        ("billed to", it.billed_to()),
        ("counted", it.how_counted()),
        ("prompt", it.prompt().to_owned()),
        ("resume", resume.to_owned()),
    ];
    if preset.format == Format::Acp {
        let process = if preset.long_lived { "one for all runs of a loop" } else { "one a run" };
        rows.push(("process", process.to_owned()));
        rows.push(("if it asks", permissions(preset).to_owned()));
    }
    let told = |list: &[String]| if list.is_empty() { "-".to_owned() } else { list.join(", ") };
    rows.push(("home", told(&preset.home)));
    rows.push(("hosts", told(&preset.hosts)));
    rows.push(("command", preset.argv.join(" ")));
    let lines = rows.iter().map(|(name, text)| format!("{name:<10} {}\n", clean(text)));
    format!("{}\n", clean(&preset.name)) + &lines.collect::<String>()
}

/// What an agent is told that asks whether it may do something.
fn permissions(preset: &Preset) -> &'static str {
    match preset.permissions.unwrap_or_default() {
        Permissions::Allow => "it may",
        Permissions::Ask => "a person is asked",
        Permissions::Deny => "it may not",
    }
}

/// `taskd agents test`: a table of Markdown, to be pasted.
pub(crate) fn conformance(it: &Agent, checks: &[Check]) -> String {
    let version = it.version.as_deref().unwrap_or("of unknown version");
    let mut text =
        format!("{} {version}\n\n| check | | seen |\n|---|---|---|\n", it.found.preset.name);
    for Check { name, good, seen } in checks {
        let good = match good {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        text.push_str(&format!("| {name} | {good} | {} |\n", clean(seen).replace('|', "/")));
    }
    text
}

/// The same with `--json`.
pub(crate) fn conformance_json(it: &Agent, checks: &[Check]) -> Value {
    let check = |it: &Check| value!({ "name": it.name, "good": it.good, "seen": it.seen });
    value!({
        "schema_version": SCHEMA_VERSION,
        "agent": it.found.preset.name,
        "version": it.version,
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
    })
}

/// Both with `--json`: one object.
pub(crate) fn json(agents: &[Agent], problems: &[String]) -> Value {
    let row = |it: &Agent| {
        let preset = &it.found.preset;
        value!({
            "name": preset.name,
            "source": match it.found.source {
                Source::BuiltIn => "built_in",
                Source::Person => "person",
                Source::Project => "project",
            },
            "file": it.found.file,
            "program": it.program.as_ref().map(|it| it.display().to_string()),
            "version": it.version,
            "tested": match it.tested {
                Tested::Within => Some(true),
                Tested::Outside => Some(false),
                Tested::Unknown => None,
            },
            "tested_versions": preset.tested,
            "logged_in": match it.login {
                Login::Yes => Some(true),
                Login::No => Some(false),
                Login::Unknown => None,
            },
            "credential": preset.credential.as_ref().map(|name| value!({ "variable": name, "set": it.key_set })),
            "billed_to": it.billed_to(),
            "counted": it.counted(),
            "depth": it.depth().0,
            "depth_why": it.depth().1,
            "prompt": it.prompt(),
            "resume": preset.resume_argv.is_some() || preset.format == Format::Acp,
            "permissions": (preset.format == Format::Acp).then(|| permissions(preset)),
            "long_lived": preset.long_lived,
            "home": preset.home,
            "hosts": preset.hosts,
            "argv": preset.argv,
        })
    };
    value!({
        "schema_version": SCHEMA_VERSION,
        "agents": agents.iter().map(row).collect::<Vec<_>>(),
        "problems": problems,
    })
}
