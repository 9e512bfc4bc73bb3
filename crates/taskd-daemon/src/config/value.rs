//! Types of values: what each accepts, and what it says it expected.

use std::net::{Ipv4Addr, SocketAddr};

use taskd_model::{
    OnConflict, format_duration_ms, format_micros, parse_bytes, parse_duration_ms, parse_micros,
    parse_tokens,
};
use toml::de::DeValue;

use crate::log::is_level;

/// Type and range of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number.
    Count {
        /// Smallest.
        min: u32,
        /// Largest.
        max: u32,
    },
    /// A duration.
    Duration {
        /// Shortest, in milliseconds.
        min_ms: u64,
        /// Longest, in milliseconds.
        max_ms: u64,
    },
    /// An amount of money.
    Money {
        /// Smallest, in micro-dollars.
        min_micros: u64,
        /// Largest, in micro-dollars.
        max_micros: u64,
    },
    /// A number of tokens; 0 is no limit.
    Tokens,
    /// A size; 0 is none.
    Bytes,
    /// `true` or `false`.
    Flag,
    /// One of these.
    Word(&'static [&'static str]),
    /// Text of one line.
    Line,
    /// A command; may have several lines.
    Command,
    /// A command or a list of commands.
    Commands,
    /// A list of globs below the repository's root.
    Globs,
    /// A list of absolute directories.
    Directories,
    /// A name as loop types have it.
    Name,
    /// `loop(n)` or `block`.
    Conflict,
    /// A level of logging, or levels of targets.
    Levels,
    /// A socket address of this machine alone; empty for none.
    Loopback,
    /// A socket address; empty for none.
    Address,
}

/// A value as it was written, before it has a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw {
    Integer(Option<i64>, String),
    Flag(bool),
    Text(String),
    List(Vec<Self>),
    Other(&'static str),
}

/// A value that is of its key's type and in its range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Count(u32),
    /// Milliseconds or micro-dollars.
    Amount(u64),
    /// 0 is no limit.
    Tokens(u64),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Conflict(OnConflict),
    Address(Option<SocketAddr>),
}

/// Longest text of one value, in bytes.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// Most items of a list.
const MAX_ITEMS: usize = 100;

impl Kind {
    /// What is allowed, for people: "it must be …".
    #[must_use]
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Duration { min_ms, max_ms } => {
                let (min, max) = (format_duration_ms(min_ms), format_duration_ms(max_ms));
                format!("a duration from {min} to {max}, written as \"90s\" or \"1h 30m\"")
            }
            Self::Money { min_micros, max_micros } => {
                let (min, max) = (format_micros(min_micros), format_micros(max_micros));
                format!("an amount from {min} to {max}, written as \"$15\" or \"$0.50\"")
            }
            Self::Tokens => {
                "a number of tokens, written as \"2M\" or \"500k\", or 0 for no limit".to_owned()
            }
            Self::Bytes => "a size, written as \"500MB\" or \"2GB\", or \"0\" for none".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Word(words) => {
                let words: Vec<_> = words.iter().map(|it| format!("\"{it}\"")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Line => "text of one line in double quotes".to_owned(),
            Self::Command => "a command in double quotes".to_owned(),
            Self::Commands => "a command in double quotes or a list of commands".to_owned(),
            Self::Globs => {
                "a list of globs below the repository's root, as [\"tests/**\"]".to_owned()
            }
            Self::Directories => "a list of absolute directories, as [\"/srv/src\"]".to_owned(),
            Self::Name => {
                "a name: a-z, 0-9, - and _, at most 40 characters, a letter or digit first"
                    .to_owned()
            }
            Self::Conflict => "\"block\", or \"loop(n)\" with n from 1".to_owned(),
            Self::Levels => {
                "error, warn, info, debug or trace, also of targets, as \"warn,taskd_git=debug\""
                    .to_owned()
            }
            Self::Loopback => {
                "a loopback address, as \"127.0.0.1:7777\" or \"[::1]:0\", or \"\" for none"
                    .to_owned()
            }
            Self::Address => {
                "an address with its port, as \"0.0.0.0:7433\", or \"\" for none".to_owned()
            }
        }
    }

    /// Its values may hold words or places of a person's.
    pub(crate) fn is_words(self) -> bool {
        match self {
            Self::Line | Self::Command | Self::Commands | Self::Globs | Self::Directories => true,
            Self::Count { .. }
            | Self::Duration { .. }
            | Self::Money { .. }
            | Self::Tokens
            | Self::Bytes
            | Self::Flag
            | Self::Word(_)
            | Self::Name
            | Self::Conflict
            | Self::Levels
            | Self::Loopback
            | Self::Address => false,
        }
    }

    /// What a person types for a value, as a file would say it.
    ///
    /// # Errors
    ///
    /// It is none: what it is, and what it must be.
    pub(crate) fn written(self, text: &str) -> Result<String, String> {
        let raw = self.raw(text);
        match self.read(&raw) {
            Some(_) => Ok(raw.shown()),
            None => Err(format!("{}; it must be {}", raw.found(), self.expected())),
        }
    }

    /// What an editor checks with; what a schema cannot say is in the words.
    pub(crate) fn schema(self) -> serde_json::Value {
        use serde_json::json;
        match self {
            Self::Count { min, max } => {
                json!({ "type": "integer", "minimum": min, "maximum": max })
            }
            Self::Flag => json!({ "type": "boolean" }),
            Self::Word(words) => json!({ "enum": words }),
            Self::Tokens => json!({ "type": ["string", "integer"], "minimum": 0 }),
            Self::Commands => json!({
                "oneOf": [
                    { "type": "string", "minLength": 1 },
                    { "type": "array", "minItems": 1, "items": { "type": "string" } },
                ]
            }),
            Self::Globs | Self::Directories => {
                json!({ "type": "array", "items": { "type": "string" } })
            }
            Self::Duration { .. }
            | Self::Money { .. }
            | Self::Bytes
            | Self::Line
            | Self::Command
            | Self::Name
            | Self::Conflict
            | Self::Levels
            | Self::Loopback
            | Self::Address => json!({ "type": "string", "examples": [self.expected()] }),
        }
    }

    /// What an environment variable or a flag says, as a file would.
    pub(super) fn raw(self, text: &str) -> Raw {
        let as_file = || DeValue::parse(text.trim()).map(|it| Raw::of(it.get_ref()));
        match self {
            Self::Count { .. } | Self::Flag => match as_file() {
                Ok(it @ (Raw::Integer(..) | Raw::Flag(_))) => it,
                Ok(Raw::Text(_) | Raw::List(_) | Raw::Other(_)) | Err(_) => {
                    Raw::Text(text.to_owned())
                }
            },
            Self::Commands | Self::Globs | Self::Directories
                if text.trim_start().starts_with('[') =>
            {
                as_file().unwrap_or_else(|_| Raw::Text(text.to_owned()))
            }
            Self::Globs | Self::Directories => Raw::List(vec![Raw::Text(text.to_owned())]),
            Self::Commands
            | Self::Duration { .. }
            | Self::Money { .. }
            | Self::Tokens
            | Self::Bytes
            | Self::Word(_)
            | Self::Line
            | Self::Command
            | Self::Name
            | Self::Conflict
            | Self::Levels
            | Self::Loopback
            | Self::Address => Raw::Text(text.to_owned()),
        }
    }

    /// The value, if it is allowed.
    pub(super) fn read(self, raw: &Raw) -> Option<Value> {
        match (self, raw) {
            (Self::Count { min, max }, Raw::Integer(Some(it), _)) => {
                u32::try_from(*it).ok().filter(|it| (min..=max).contains(it)).map(Value::Count)
            }
            (Self::Tokens, Raw::Integer(Some(it), _)) => u64::try_from(*it).ok().map(Value::Tokens),
            (Self::Flag, Raw::Flag(it)) => Some(Value::Flag(*it)),
            (Self::Commands | Self::Globs | Self::Directories, Raw::List(items)) => {
                self.read_list(items)
            }
            (Self::Commands, Raw::Text(it)) => Some(Value::Texts(vec![command(it)?])),
            (_, Raw::Text(it)) => self.read_text(it),
            (_, Raw::Integer(..) | Raw::Flag(_) | Raw::List(_) | Raw::Other(_)) => None,
        }
    }

    fn read_list(self, items: &[Raw]) -> Option<Value> {
        let empty_is_wrong = self == Self::Commands;
        if items.len() > MAX_ITEMS || (empty_is_wrong && items.is_empty()) {
            return None;
        }
        let item = |it: &Raw| {
            let Raw::Text(text) = it else { return None };
            if self == Self::Commands {
                command(text)
            } else if self == Self::Directories {
                line(text).filter(|it| it.starts_with('/'))
            } else {
                glob(text)
            }
        };
        items.iter().map(item).collect::<Option<_>>().map(Value::Texts)
    }

    fn read_text(self, text: &str) -> Option<Value> {
        let word = text.trim();
        match self {
            Self::Duration { min_ms, max_ms } => amount(parse_duration_ms(word), min_ms, max_ms),
            Self::Money { min_micros, max_micros } => {
                amount(parse_micros(word), min_micros, max_micros)
            }
            Self::Tokens => parse_tokens(word).ok().map(Value::Tokens),
            Self::Bytes => parse_bytes(word).ok().map(Value::Amount),
            Self::Word(words) => words.contains(&word).then(|| Value::Text(word.to_owned())),
            Self::Line => line(text).map(Value::Text),
            Self::Command => command(text).map(Value::Text),
            Self::Name => name(word).map(Value::Text),
            Self::Conflict => conflict(word).map(Value::Conflict),
            Self::Levels => is_level(word).then(|| Value::Text(word.to_owned())),
            Self::Loopback => address(word)
                .filter(|it| it.is_none_or(|it| it.ip().is_loopback()))
                .map(Value::Address),
            Self::Address => address(word).map(Value::Address),
            Self::Count { .. } | Self::Flag | Self::Commands | Self::Globs | Self::Directories => {
                None
            }
        }
    }
}

impl Raw {
    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::Integer(it) => {
                let parsed = i64::from_str_radix(it.as_str(), it.radix()).ok();
                Self::Integer(parsed, it.to_string())
            }
            DeValue::Boolean(it) => Self::Flag(*it),
            DeValue::String(it) => Self::Text(it.to_string()),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|it| Self::of(it.get_ref())).collect())
            }
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// As TOML, whole.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Integer(_, text) => text.clone(),
            Self::Flag(it) => it.to_string(),
            Self::Text(it) => toml::Value::String(it.clone()).to_string(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::shown).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Other(it) => (*it).to_owned(),
        }
    }

    /// For an error: one line, short.
    pub(super) fn found(&self) -> String {
        let shown = match self {
            Self::Text(it) => format!("\"{it}\""),
            Self::Integer(..) | Self::Flag(_) | Self::List(_) | Self::Other(_) => self.shown(),
        };
        short(&shown)
    }
}

/// What a person wrote, on one line and short enough to be quoted.
pub(super) fn short(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    let mut short: String = text.chars().filter(|it| !it.is_control()).take(MAX_CHARS).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        short.push_str("...");
    }
    short
}

fn amount<E>(read: Result<u64, E>, min: u64, max: u64) -> Option<Value> {
    read.ok().filter(|it| (min..=max).contains(it)).map(Value::Amount)
}

fn command(text: &str) -> Option<String> {
    let text = text.trim();
    let bad = |it: char| it.is_control() && it != '\n' && it != '\t';
    let fits = !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.contains(bad);
    fits.then(|| text.to_owned())
}

fn line(text: &str) -> Option<String> {
    command(text).filter(|it| !it.contains('\n'))
}

fn glob(text: &str) -> Option<String> {
    let inside = |it: &String| !it.starts_with('/') && it.split('/').all(|part| part != "..");
    line(text).filter(inside)
}

fn name(text: &str) -> Option<String> {
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let fits = text.len() <= 40
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|it| plain(it) || it == b'_' || it == b'-');
    fits.then(|| text.to_owned())
}

fn conflict(text: &str) -> Option<OnConflict> {
    if text == "block" {
        return Some(OnConflict::Block);
    }
    let times = text.strip_prefix("loop(")?.strip_suffix(')')?;
    times.parse().ok().filter(|it| *it > 0).map(OnConflict::Loop)
}

/// Outer nothing: not allowed. Inner nothing: no listener.
fn address(text: &str) -> Option<Option<SocketAddr>> {
    if text.is_empty() {
        return Some(None);
    }
    let address = match text.strip_prefix("localhost:") {
        Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)),
        None => text.parse().ok()?,
    };
    Some(Some(address))
}
