//! What a preset says about the lines its program prints: data only.
//!
//! Paths are JSON pointers (RFC 6901). Nothing here reads anything; `stream` and `prose` do.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What to take from the lines that look like this. The first rule that fits a line is the only one.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineRule {
    /// Pointer and value: all must be equal.
    pub when: BTreeMap<String, Value>,
    /// Pointer and words: the text there contains them, whatever their case.
    #[serde(default)]
    pub says: BTreeMap<String, String>,
    /// Where the session id is.
    pub session: Option<String>,
    /// Where the numbers are.
    pub usage: Option<UsageRule>,
    /// Where the final text is.
    pub result: Option<ResultRule>,
    /// It says that its allowance is used up.
    pub limit: Option<LimitRule>,
    /// It says that it is not logged in, or that its key is not accepted.
    #[serde(default)]
    pub not_accepted: bool,
    /// Where it says who pays.
    pub payer: Option<PayerRule>,
    /// What to show people.
    #[serde(default)]
    pub activity: Vec<ActivityRule>,
}

/// Where a line says who pays for the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayerRule {
    /// The name of what pays.
    pub name: String,
    /// Names that mean the program's own login.
    pub login: Vec<String>,
}

/// Where a line says until when the allowance is used up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRule {
    /// Seconds since the epoch; lines that do not say so need none.
    pub until: Option<String>,
}

/// Where the numbers of a line are, and what they count.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageRule {
    /// What they count.
    pub count: Count,
    /// With `latest_of`: what names the thing they belong to.
    pub key: Option<String>,
    /// Input tokens.
    pub input: Option<String>,
    /// Output tokens.
    pub output: Option<String>,
    /// Tokens read from a cache.
    pub cache_read: Option<String>,
    /// Tokens written to a cache.
    pub cache_write: Option<String>,
    /// Cost in US dollars.
    pub cost_usd: Option<String>,
    /// Its input tokens include those read from a cache.
    #[serde(default)]
    pub input_includes_cache_read: bool,
}

/// What the numbers of a line count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// The run so far: they replace everything before.
    Total,
    /// Something new: they are added.
    Add,
    /// One thing (`key`) so far: they replace what was said of the same thing before, and are added
    /// to the rest.
    LatestOf,
}

/// Where the final text of a line is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultRule {
    /// The first of these that is a text.
    #[serde(default)]
    pub text: Vec<String>,
    /// It failed.
    #[serde(default)]
    pub error: bool,
    /// It failed if all of these are equal.
    #[serde(default)]
    pub error_if: BTreeMap<String, Value>,
    /// Not final yet: keep it for a line that says `kept`.
    #[serde(default)]
    pub keep: bool,
    /// The text that was kept last is final now.
    #[serde(default)]
    pub kept: bool,
}

/// What to show people of a line: `verb object`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivityRule {
    /// Once for each element here; the other pointers then start at the element.
    pub each: Option<String>,
    /// Only elements for which all of these are equal.
    #[serde(default)]
    pub when: BTreeMap<String, Value>,
    /// A pointer, or a word after `=`; shown in lower case.
    pub verb: Option<String>,
    /// The first of these that is a text; its first line is shown.
    pub object: Vec<String>,
}

/// Numbers in prose: a line that starts so, with `12.3k sent` or `$0.01 message` in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProseUsage {
    /// How the line starts.
    pub starts: String,
    /// What follows the input tokens.
    pub input: Option<String>,
    /// What follows the output tokens.
    pub output: Option<String>,
    /// What follows the tokens read from a cache.
    pub cache_read: Option<String>,
    /// What follows the tokens written to a cache.
    pub cache_write: Option<String>,
    /// What follows the cost in US dollars.
    pub cost_usd: Option<String>,
}

impl LineRule {
    /// The rule is for this line.
    pub(super) fn fits(&self, value: &Value) -> bool {
        let says = |(pointer, words): (&String, &String)| {
            let text = value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            text.to_lowercase().contains(&words.to_lowercase())
        };
        fits(value, &self.when) && self.says.iter().all(says)
    }
}

/// All pointers lead to equal values.
pub(super) fn fits(value: &Value, when: &BTreeMap<String, Value>) -> bool {
    when.iter().all(|(pointer, wanted)| value.pointer(pointer) == Some(wanted))
}
