//! How an agent program is told of the tool servers of a loop type: by a file, or by arguments.
//!
//! No value of a key is in either: they name variables, which the agent gets.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use taskd_model::McpDoc;

/// What of a run every server is told, also where the agent would keep it to itself.
const OF_THE_RUN: [&str; 10] = [
    "TASKD_ITERATION",
    "TASKD_LOOP",
    "TASKD_PLAN",
    "TASKD_PORT",
    "TASKD_PORT_COUNT",
    "TASKD_PROJECT",
    "TASKD_TARGET",
    "TASKD_TMP",
    "TASKD_WORKTREE",
    "TMPDIR",
];
/// Where the file's name goes.
const FILE: &str = "{mcp_file}";

/// How a program takes tool servers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpChannel {
    /// What it reads.
    pub format: McpFormat,
    /// Arguments that name the file, `{mcp_file}`.
    #[serde(default)]
    pub args: Vec<String>,
}

/// What a program reads of tool servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum McpFormat {
    /// A JSON file with `mcpServers`, as Claude Code and others read it.
    ClaudeJson,
    /// `-c mcp_servers.NAME...`, as Codex takes it.
    CodexConfig,
}

impl McpChannel {
    /// What is wrong with it.
    pub(super) fn contradiction(&self) -> Option<String> {
        let named = self.args.iter().any(|it| it.contains(FILE));
        match self.format {
            McpFormat::ClaudeJson if !named => {
                Some(format!("`mcp` never names its file: `{FILE}` is missing in `args`"))
            }
            McpFormat::CodexConfig if !self.args.is_empty() => {
                Some("`mcp` with format = \"codex-config\" takes no `args`".to_owned())
            }
            McpFormat::ClaudeJson | McpFormat::CodexConfig => None,
        }
    }

    /// The file it reads, if it reads one. What is `kept` are variables of the agent's own.
    #[must_use]
    pub fn file(&self, servers: &BTreeMap<String, McpDoc>, kept: &[&str]) -> Option<String> {
        if self.format == McpFormat::CodexConfig {
            return None;
        }
        let one = |(name, it): (&String, &McpDoc)| {
            let env = variables(it).map(|it| (it.to_owned(), format!("${{{it}}}").into()));
            let command = alone(it, servers, kept);
            let server = json!({
                "type": "stdio",
                "command": command[0],
                "args": command[1..],
                "env": env.collect::<serde_json::Map<_, _>>(),
            });
            (name.clone(), server)
        };
        let servers: serde_json::Map<_, _> = servers.iter().map(one).collect();
        Some(json!({ "mcpServers": servers }).to_string())
    }

    /// The arguments that tell it, behind all others.
    #[must_use]
    pub fn arguments(
        &self,
        servers: &BTreeMap<String, McpDoc>,
        kept: &[&str],
        file: &Path,
    ) -> Vec<OsString> {
        match self.format {
            McpFormat::ClaudeJson => {
                let file = file.to_string_lossy();
                self.args.iter().map(|it| it.replace(FILE, &file).into()).collect()
            }
            McpFormat::CodexConfig => {
                let one =
                    |(name, it): (&String, &McpDoc)| codex(name, it, &alone(it, servers, kept));
                servers.iter().flat_map(one).collect()
            }
        }
    }
}

/// The command without what the agent has of keys that this server was not named for: programs hand
/// on what they have. `env` comes before it only where there is something to take away.
fn alone(it: &McpDoc, servers: &BTreeMap<String, McpDoc>, kept: &[&str]) -> Vec<String> {
    let named = servers.values().flat_map(|it| it.env.iter().map(String::as_str));
    let others: BTreeSet<&str> = named
        .chain(kept.iter().copied())
        .filter(|name| it.env.iter().all(|own| own != name))
        .collect();
    let mut command: Vec<String> =
        others.iter().flat_map(|name| ["-u".to_owned(), (*name).to_owned()]).collect();
    if !command.is_empty() {
        command.insert(0, "env".to_owned());
    }
    command.extend(it.command.iter().cloned());
    command
}

fn codex(name: &str, it: &McpDoc, command: &[String]) -> Vec<OsString> {
    let texts = |list: &mut dyn Iterator<Item = &str>| {
        toml::Value::Array(list.map(|it| toml::Value::String(it.to_owned())).collect()).to_string()
    };
    let mut settings = vec![
        ("command", toml::Value::String(command[0].clone()).to_string()),
        ("args", texts(&mut command[1..].iter().map(String::as_str))),
        ("env_vars", texts(&mut variables(it))),
        // Nobody is there to be asked.
        ("default_tools_approval_mode", "\"approve\"".to_owned()),
    ];
    if let Some(tools) = &it.tools {
        settings.push(("enabled_tools", texts(&mut tools.iter().map(String::as_str))));
    }
    let argument = |(key, value): (&str, String)| {
        ["-c".into(), format!("mcp_servers.{name}.{key}={value}").into()]
    };
    settings.into_iter().flat_map(argument).collect()
}

fn variables(it: &McpDoc) -> impl Iterator<Item = &str> {
    OF_THE_RUN.into_iter().chain(it.env.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_name_variables_and_no_values() {
        let doc = McpDoc {
            command: vec!["docs".into(), "a \"b\"".into()],
            env: vec!["TOKEN".into()],
            tools: Some(vec!["get".into()]),
            timeout_ms: 0,
        };
        let servers = BTreeMap::from([("docs".to_owned(), doc)]);
        let claude = McpChannel {
            format: McpFormat::ClaudeJson,
            args: vec!["--mcp-config".into(), FILE.into()],
        };
        assert_eq!(claude.contradiction(), None);
        assert_eq!(
            claude.arguments(&servers, &[], Path::new("/r/m.json")),
            ["--mcp-config", "/r/m.json"]
        );
        let file = claude.file(&servers, &["TOKEN"]).unwrap();
        assert!(file.contains(r#""args":["a \"b\""],"command":"docs""#), "{file}");
        assert!(file.contains(r#""TASKD_LOOP":"${TASKD_LOOP}""#), "{file}");
        assert!(file.contains(r#""TOKEN":"${TOKEN}""#), "{file}");

        let codex = McpChannel { format: McpFormat::CodexConfig, args: Vec::new() };
        assert_eq!((codex.contradiction(), codex.file(&servers, &[])), (None, None));
        let told = codex.arguments(&servers, &["KEY"], Path::new("/"));
        assert!(
            told.iter().any(|it| *it == *r#"mcp_servers.docs.args=["-u", "KEY", "docs", 'a "b"']"#),
            "{told:?}"
        );
        assert!(told.iter().any(|it| *it == *r#"mcp_servers.docs.enabled_tools=["get"]"#));
        assert!(McpChannel { args: Vec::new(), ..claude }.contradiction().is_some());
        assert!(McpChannel { args: vec!["x".into()], ..codex }.contradiction().is_some());
    }
}
