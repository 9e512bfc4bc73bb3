//! YAML as nodes with positions, and typed reading of them that collects every problem.
//!
//! Knows no keys of its own. Values are never guessed: a number is not text and `no` is not false.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use taskd_model::{parse_duration_ms, parse_micros, parse_tokens};

use crate::problem::{At, Pos, Problems, suggest};

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) at: Pos,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Nothing was written.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// Another number; its text is lost.
    Number(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values, in the order of the text.
    Map(Vec<(At<String>, Node)>),
}

impl Node {
    /// The items, if it is a list.
    #[must_use]
    pub(crate) fn items(&self) -> Option<&[Self]> {
        if let Kind::List(items) = &self.kind { Some(items) } else { None }
    }

    /// It is a list without items.
    #[must_use]
    pub(crate) fn is_empty_list(&self) -> bool {
        self.items().is_some_and(<[Self]>::is_empty)
    }
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Flag(_) => "true or false",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Deepest nesting read: the reader is recursive and its frames are large.
const MAX_DEPTH: usize = 16;

/// Most nodes read, aliases counted each time.
const MAX_NODES: usize = 100_000;

/// Values of a map by key.
pub(crate) type Keys<'a> = BTreeMap<&'a str, (Pos, &'a Node)>;

/// Reads one YAML document. Its first line is line `first_line` of the file.
pub(crate) fn parse(text: &str, first_line: u32, problems: &mut Problems) -> Option<Node> {
    let skipped = first_line.saturating_sub(1) as usize;
    let padded = format!("{}{text}", "\n".repeat(skipped));
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(&padded, options) {
        Ok(raw) => Some(node(raw)),
        Err(error) => {
            let at = error
                .location()
                .map_or(Pos::new(skipped + 1, 1), |it| place(it.line(), it.column()));
            let (what, hint) = explain(&error.without_snippet().to_string());
            match hint {
                Some(hint) => problems.add_hint(at, what, hint),
                None => problems.add(at, what),
            }
            None
        }
    }
}

/// The parser's own words without its position and its advice to programmers.
fn explain(message: &str) -> (String, Option<&'static str>) {
    const QUOTE: &str = "put the value in double quotes";
    let what = message.lines().next().unwrap_or_default();
    let cut = [" at line ", ", set Dupl", "; use from_str_mult"];
    let what = cut.iter().fold(what, |it, mark| it.split(mark).next().unwrap_or(it));
    let quote = ["mapping values are not allowed", "unexpected character", "unknown anchor"];
    let hint = quote.iter().any(|it| what.contains(it)).then_some(QUOTE);
    (format!("not valid YAML: {what}"), hint)
}

fn place(line: u64, column: u64) -> Pos {
    let bounded = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
    Pos::new(bounded(line), bounded(column))
}

/// Typed reading: each returns nothing after noting what is wrong.
impl Problems {
    /// The values of a map by key; unknown keys are problems. `meant` maps words people try to the
    /// keys they mean.
    pub(crate) fn keys<'n>(
        &mut self,
        node: &'n Node,
        what: &str,
        known: &[&str],
        meant: &[(&str, &str)],
    ) -> Keys<'n> {
        let mut keys = Keys::new();
        match &node.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    if known.contains(&key.value.as_str()) {
                        keys.insert(&key.value, (key.at, value));
                    } else {
                        self.unknown_key(key.at, &key.value, what, known, meant);
                    }
                }
            }
            Kind::Null => {}
            other @ (Kind::Flag(_)
            | Kind::Integer(_)
            | Kind::Number(_)
            | Kind::Text(_)
            | Kind::List(_)) => {
                let hint = format!("write `key: value` with these keys: {}", known.join(", "));
                self.add_hint(node.at, format!("{what} is {}, not a map", other.name()), hint);
            }
        }
        keys
    }

    /// Notes an unknown key.
    pub(crate) fn unknown_key(
        &mut self,
        at: Pos,
        key: &str,
        what: &str,
        known: &[&str],
        meant: &[(&str, &str)],
    ) {
        let shown: String = key.chars().take(60).collect();
        let hint = match meant.iter().find(|(word, _)| word.eq_ignore_ascii_case(key)) {
            Some((_, it)) => format!("write `{it}`"),
            None => suggest(key, known),
        };
        self.add_hint(at, format!("unknown key `{shown}` in {what}"), hint);
    }

    /// Text that is not empty.
    pub(crate) fn text(&mut self, node: &Node, key: &str) -> Option<At<String>> {
        match &node.kind {
            Kind::Text(it) if !it.trim().is_empty() => Some(At::new(it.clone(), node.at)),
            Kind::Text(_) | Kind::Null => {
                self.add(node.at, format!("`{key}` is empty"));
                None
            }
            other @ (Kind::Flag(_)
            | Kind::Integer(_)
            | Kind::Number(_)
            | Kind::List(_)
            | Kind::Map(_)) => {
                let nested = matches!(other, Kind::List(_) | Kind::Map(_));
                let hint = if nested { "write one text" } else { "put it in double quotes" };
                self.add_hint(node.at, format!("`{key}` is {}, not text", other.name()), hint);
                None
            }
        }
    }

    /// One text or a list of texts.
    pub(crate) fn texts(&mut self, node: &Node, key: &str) -> Vec<At<String>> {
        match node.items() {
            Some(items) => items.iter().filter_map(|it| self.text(it, key)).collect(),
            None => self.text(node, key).into_iter().collect(),
        }
    }

    /// A whole number from 1.
    pub(crate) fn count(&mut self, node: &Node, key: &str) -> Option<At<u32>> {
        let Kind::Integer(it) = node.kind else {
            let what = format!("`{key}` is {}, not a whole number", node.kind.name());
            self.add(node.at, what);
            return None;
        };
        match u32::try_from(it) {
            Ok(it) if it > 0 => Some(At::new(it, node.at)),
            _ => {
                self.add(node.at, format!("`{key}` is {it}; it must be from 1 to {}", u32::MAX));
                None
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, node: &Node, key: &str) -> Option<bool> {
        if let Kind::Flag(it) = node.kind {
            return Some(it);
        }
        self.add_hint(
            node.at,
            format!("`{key}` is {}, not a flag", node.kind.name()),
            "write `true` or `false`",
        );
        None
    }

    /// A duration in milliseconds, not zero.
    pub(crate) fn duration_ms(&mut self, node: &Node, key: &str) -> Option<At<u64>> {
        self.unit(node, key, "`90s`, `15m`, `6h` or `1h 30m`", |it| {
            parse_duration_ms(it).map_err(|it| it.to_string())
        })
    }

    /// Money in micro-dollars, not zero.
    pub(crate) fn micros(&mut self, node: &Node, key: &str) -> Option<At<u64>> {
        self.unit(node, key, "`$15` or `$0.50`", |it| parse_micros(it).map_err(|it| it.to_string()))
    }

    /// A number of tokens, not zero; a plain number is one too.
    pub(crate) fn tokens(&mut self, node: &Node, key: &str) -> Option<At<u64>> {
        if let Kind::Integer(it) = &node.kind
            && let Ok(it @ 1..) = u64::try_from(*it)
        {
            return Some(At::new(it, node.at));
        }
        self.unit(node, key, "`2M` or `500k`", |it| parse_tokens(it).map_err(|it| it.to_string()))
    }

    fn unit(
        &mut self,
        node: &Node,
        key: &str,
        examples: &str,
        read: fn(&str) -> Result<u64, String>,
    ) -> Option<At<u64>> {
        let Kind::Text(text) = &node.kind else {
            let what = format!("`{key}` is {} without a unit", node.kind.name());
            self.add_hint(node.at, what, format!("write {examples}"));
            return None;
        };
        match read(text) {
            Ok(0) => {
                self.add_hint(node.at, format!("`{key}` is zero"), format!("write {examples}"));
            }
            Ok(it) => return Some(At::new(it, node.at)),
            Err(error) => self.add(node.at, format!("`{key}`: {error}")),
        }
        None
    }
}

/// What the deserializer gives, before keys are text.
enum Raw {
    Leaf(Kind),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

fn node(raw: Spanned<Raw>) -> Node {
    let at = place(raw.referenced.line(), raw.referenced.column());
    let kind = match raw.value {
        Raw::Leaf(kind) => kind,
        Raw::List(items) => Kind::List(items.into_iter().map(node).collect()),
        Raw::Map(entries) => Kind::Map(
            entries.into_iter().map(|(key, value)| (key_text(key), node(value))).collect(),
        ),
    };
    Node { at, kind }
}

fn key_text(key: Spanned<Raw>) -> At<String> {
    let key = node(key);
    let text = match key.kind {
        Kind::Text(it) => it,
        Kind::Flag(it) => it.to_string(),
        Kind::Integer(it) => it.to_string(),
        Kind::Number(it) => it.to_string(),
        other @ (Kind::Null | Kind::List(_) | Kind::Map(_)) => other.name().to_owned(),
    };
    At::new(text, key.at)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Kind::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Leaf(Kind::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Raw, E> {
        Ok(Raw::Leaf(Kind::Flag(it)))
    }

    fn visit_i64<E>(self, it: i64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Kind::Integer(it)))
    }

    fn visit_u64<E>(self, it: u64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Kind::Integer(i64::try_from(it).unwrap_or(i64::MAX))))
    }

    fn visit_f64<E>(self, it: f64) -> Result<Raw, E> {
        Ok(Raw::Leaf(Kind::Number(it)))
    }

    fn visit_str<E>(self, it: &str) -> Result<Raw, E> {
        Ok(Raw::Leaf(Kind::Text(it.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str, read: impl Fn(&Node, &mut Problems)) -> Vec<String> {
        let mut problems = Problems::new("f.yaml");
        if let Some(node) = parse(text, 1, &mut problems) {
            read(&node, &mut problems);
        }
        problems.into_list().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn broken_yaml_is_explained_with_its_place() {
        let broken = |text| problems_of(text, |_, _| ());
        assert_eq!(
            broken("plan: Fix: x"),
            [
                "f.yaml:1:10: not valid YAML: mapping values are not allowed in this context; put the \
              value in double quotes"
            ]
        );
        assert_eq!(broken("a: 1\na: 2"), ["f.yaml:2:1: not valid YAML: duplicate mapping key: a"]);
        assert_eq!(
            broken("a: 1\n---\nb: 2"),
            ["f.yaml:3:1: not valid YAML: multiple YAML documents detected"]
        );
        assert!(broken("touches: **/*.rs")[0].contains("double quotes"));
    }

    #[test]
    fn hostile_yaml_ends_in_an_error() {
        let read = |text: &str| problems_of(text, |_, _| ());
        assert_eq!(read(&"- ".repeat(50_000)).len(), 1);
        assert_eq!(read(&"[".repeat(50_000)).len(), 1);
        let bomb: String = (0..20)
            .map(|n| {
                format!("k{n}: &a{n} [{}]\n", vec![format!("*a{}", n.max(1) - 1); 9].join(","))
            })
            .collect();
        assert_eq!(read(&bomb.replace("*a0", "x")).len(), 1);
    }

    #[test]
    fn values_are_never_guessed() {
        let read = |text: &str| {
            problems_of(text, |node, problems| {
                problems.text(node, "k");
            })
        };
        assert_eq!(read("012"), ["f.yaml:1:1: `k` is a number, not text; put it in double quotes"]);
        assert_eq!(
            read("true"),
            ["f.yaml:1:1: `k` is true or false, not text; put it in double quotes"]
        );
        assert!(read("no").is_empty());
        assert_eq!(read("''"), ["f.yaml:1:1: `k` is empty"]);
    }

    #[test]
    fn keys_positions_and_units() {
        let texts = problems_of("time: 6\nbudget: 15\ncount: 0\nfoo: 1\n", |node, problems| {
            let keys = problems.keys(node, "limits", &["time", "budget", "count"], &[]);
            problems.duration_ms(keys["time"].1, "time");
            problems.micros(keys["budget"].1, "budget");
            problems.count(keys["count"].1, "count");
        });
        assert_eq!(
            texts,
            [
                "f.yaml:1:7: `time` is a number without a unit; write `90s`, `15m`, `6h` or `1h 30m`",
                "f.yaml:2:9: `budget` is a number without a unit; write `$15` or `$0.50`",
                "f.yaml:3:8: `count` is 0; it must be from 1 to 4294967295",
                "f.yaml:4:1: unknown key `foo` in limits; known: time, budget, count",
            ]
        );
    }
}
