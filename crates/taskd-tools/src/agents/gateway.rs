//! How a program is pointed at the daemon's gateway, and how deep a run of it is counted.
//!
//! A preset says which provider's interface the program speaks, and by which variables and arguments
//! it is told another place and another key. The key it gets is a token for one run and worth
//! nothing elsewhere.

use std::collections::BTreeMap;

use serde::Deserialize;
use taskd_model::Depth;

use super::{Format, Preset};

/// How a program is told to send its calls to us.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The provider whose interface it speaks: one of the catalog's.
    pub provider: String,
    /// Variables it gets; `{url}` and `{token}` are filled in.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Arguments that stand for `{gateway}` in its command; the same is filled in.
    #[serde(default)]
    pub args: Vec<String>,
}

/// Where the calls of one run go.
#[derive(Debug, Clone, Copy)]
pub struct Through<'a> {
    /// `http://127.0.0.1:4711`
    pub url: &'a str,
    /// What its calls are known by.
    pub token: &'a str,
}

impl Gateway {
    /// The argument that `args` stand for.
    pub(super) const PLACE: &'static str = "{gateway}";

    /// The variables of one run.
    #[must_use]
    pub fn variables(&self, through: Through<'_>) -> Vec<(String, String)> {
        self.set.iter().map(|(name, value)| (name.clone(), filled(value, through))).collect()
    }

    pub(super) fn arguments(&self, through: Through<'_>) -> Vec<String> {
        self.args.iter().map(|it| filled(it, through)).collect()
    }

    /// Everything it may fill in.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        self.set.values().chain(&self.args)
    }
}

fn filled(text: &str, through: Through<'_>) -> String {
    text.replace("{url}", through.url).replace("{token}", through.token)
}

impl Preset {
    /// How deep a run is counted, and why it is not `by call` where the program could be. `key` says
    /// that the key which pays is held.
    #[must_use]
    pub fn depth(&self, key: bool) -> (Depth, Option<String>) {
        let reports = match self.format {
            Format::Jsonl => self.lines.iter().any(|it| it.usage.is_some()),
            Format::Text => self.prose_usage.is_some(),
            Format::Acp => true,
        };
        let else_depth = if reports { Depth::ByReport } else { Depth::ByTime };
        let Some(gateway) = &self.gateway else { return (else_depth, None) };
        if let Some(name) = gateway.set.keys().find(|it| self.set.contains_key(*it)) {
            return (else_depth, Some(format!("its preset sets {name} itself")));
        }
        match &self.credential {
            Some(_) if key => (Depth::ByCall, None),
            Some(name) => {
                let why = format!("its own login is not ours to pass on; by call needs {name}");
                (else_depth, Some(why))
            }
            None => (else_depth, Some("its preset names no key".to_owned())),
        }
    }
}
