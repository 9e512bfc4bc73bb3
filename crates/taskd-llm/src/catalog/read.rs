//! Reading a catalog's text: strict, and what is wrong is told by line and column.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::Spanned;

use super::{Catalog, Date, Model, Provider};
use crate::{Api, Price, Takes};

/// Micro-dollars of a dollar.
const DOLLAR: u64 = 1_000_000;
/// Most a million tokens may cost, in dollars.
const MAX_DOLLARS: u64 = 100_000;

/// Why a text is no catalog: the first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{origin}:{line}:{column}: {message}")]
pub struct CatalogError {
    /// The file.
    pub origin: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    providers: BTreeMap<Spanned<String>, ProviderEntry>,
    #[serde(default)]
    models: Vec<Spanned<ModelEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderEntry {
    api: ApiName,
    url: Url,
    url_variable: Option<Variable>,
    key_variable: Option<Variable>,
    #[serde(default)]
    key_optional: bool,
    models_of: Option<Spanned<String>>,
    thinking: Option<bool>,
    temperature: Option<bool>,
    ca_file: Option<FilePath>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelEntry {
    provider: Spanned<String>,
    name: Spanned<Name>,
    window: Option<NonZeroU32>,
    max_output: Option<NonZeroU32>,
    since: Option<Day>,
    input: Option<Dollars>,
    output: Option<Dollars>,
    cache_read: Option<Dollars>,
    cache_write: Option<Dollars>,
}

/// `under` with the entries of `text` over it.
pub(super) fn over(under: Catalog, origin: &str, text: &str) -> Result<Catalog, CatalogError> {
    let wrong = |at: usize, message: String| place(origin, text, at, message);
    let file: File = toml::from_str(text).map_err(|it| {
        let at = it.span().map_or(0, |it| it.start);
        wrong(at, it.message().trim().replace('\n', "; "))
    })?;
    let mut all = under;
    let mut owners = Vec::new();
    for (name, entry) in file.providers {
        let at = name.span().start;
        let name = name.into_inner();
        if !is_provider_name(&name) {
            let what = "it must be lower-case letters, digits and `-`, and not `scripted`";
            return Err(wrong(at, format!("`{}` cannot be a provider: {what}", short(&name))));
        }
        owners.extend(entry.models_of.clone());
        all.providers.insert(name.clone(), provider(name, entry));
    }
    let missing = |name: &Spanned<String>| {
        let message = format!("there is no provider `{}`", short(name.get_ref()));
        wrong(name.span().start, message)
    };
    if let Some(it) = owners.iter().find(|it| !all.providers.contains_key(it.get_ref())) {
        return Err(missing(it));
    }
    let mut seen: Vec<(String, String, Option<Date>)> = Vec::new();
    for entry in file.models {
        let at = entry.span().start;
        let entry = entry.into_inner();
        if !all.providers.contains_key(entry.provider.get_ref()) {
            return Err(missing(&entry.provider));
        }
        let name_at = entry.name.span().start;
        let it = model(entry).map_err(|message| wrong(at, message.to_owned()))?;
        let key = key(&it);
        if seen.contains(&key) {
            let message = format!("`{}` is here twice for the same day", short(&it.name));
            return Err(wrong(name_at, message));
        }
        seen.push(key.clone());
        match all.models.iter_mut().find(|known| self::key(known) == key) {
            Some(known) => *known = it,
            None => all.models.push(it),
        }
    }
    Ok(all)
}

fn key(it: &Model) -> (String, String, Option<Date>) {
    (it.provider.clone(), it.name.clone(), it.price.map(|(since, _)| since))
}

fn provider(name: String, entry: ProviderEntry) -> Provider {
    Provider {
        name,
        api: entry.api.0,
        url: entry.url.0,
        url_variable: entry.url_variable.map(|it| it.0),
        key_variable: entry.key_variable.map(|it| it.0),
        key_optional: entry.key_optional,
        models_of: entry.models_of.map(Spanned::into_inner),
        takes: Takes { thinking: entry.thinking, temperature: entry.temperature },
        ca_file: entry.ca_file.map(|it| it.0),
    }
}

fn model(entry: ModelEntry) -> Result<Model, &'static str> {
    let caches = entry.cache_read.is_some() || entry.cache_write.is_some();
    let price = match (entry.since, entry.input, entry.output) {
        (Some(since), Some(input), Some(output)) => {
            // Without a price of its own a cache saves nothing.
            let or_input = |it: Option<Dollars>| it.map_or(input.0, |it| it.0);
            let price = Price {
                input: input.0,
                output: output.0,
                cache_read: or_input(entry.cache_read),
                cache_write: or_input(entry.cache_write),
            };
            Some((since.0, price))
        }
        (None, None, None) if !caches => None,
        (Some(_) | None, Some(_) | None, Some(_) | None) => {
            return Err("a price needs `since`, `input` and `output`");
        }
    };
    Ok(Model {
        provider: entry.provider.into_inner(),
        name: entry.name.into_inner().0,
        window: entry.window.map(NonZeroU32::get),
        max_output: entry.max_output.map(NonZeroU32::get),
        price,
    })
}

/// A complaint about a place in the text.
fn place(origin: &str, text: &str, at: usize, message: String) -> CatalogError {
    let before = text.get(..at).unwrap_or(text);
    let last = before.rsplit('\n').next().unwrap_or_default();
    CatalogError {
        origin: origin.to_owned(),
        line: before.matches('\n').count() + 1,
        column: last.chars().count() + 1,
        message,
    }
}

fn short(name: &str) -> String {
    name.chars().take(60).collect()
}

fn is_provider_name(name: &str) -> bool {
    let plain = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    !name.is_empty() && name.chars().all(plain) && name != "scripted"
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct ApiName(Api);

impl TryFrom<String> for ApiName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let all = [Api::AnthropicMessages, Api::OpenAiChat, Api::OpenAiResponses];
        let found = all.into_iter().find(|it| super::api_name(*it) == text);
        let names = all.map(super::api_name).join(", ");
        found.map(Self).ok_or_else(|| format!("`{}` is none of: {names}", short(&text)))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Url(String);

impl TryFrom<String> for Url {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        base_url(&text).map(Self).ok_or(
            "it must be a URL that begins with http:// or https:// and holds no user, `?` or `#`",
        )
    }
}

/// A place a provider may be at, without a slash at the end; `None` if the text is none. Secrets in
/// it would reach messages, so there must be none.
pub(crate) fn base_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let odd = |it: char| it.is_whitespace() || it.is_control() || "@?#".contains(it);
    let plain = !rest.starts_with('/') && !rest.is_empty() && !rest.contains(odd);
    plain.then(|| text.trim_end_matches('/').to_owned())
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct FilePath(PathBuf);

impl TryFrom<String> for FilePath {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let path = PathBuf::from(text);
        if path.is_absolute() { Ok(Self(path)) } else { Err("it must be an absolute path") }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Variable(String);

impl TryFrom<String> for Variable {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let plain = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
        let begins = text.starts_with(|it: char| it.is_ascii_uppercase());
        if !begins || !text.chars().all(plain) {
            return Err("it must be the name of a variable: capitals, digits and `_`");
        }
        Ok(Self(text))
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.is_empty() || text.contains(|it: char| it.is_whitespace() || it.is_control()) {
            return Err("it must be the name of a model");
        }
        Ok(Self(text))
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "String")]
struct Day(Date);

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let part = |range| text.get(range).and_then(|it: &str| it.parse().ok());
        let dashes = text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
        let day = match (part(0..4), part(5..7), part(8..10)) {
            (Some(year), Some(month), Some(day)) if dashes => Date::new(year, month, day),
            (Some(_) | None, Some(_) | None, Some(_) | None) => None,
        };
        day.map(Self).ok_or("it must be a day, written as \"2025-09-29\"")
    }
}

/// Micro-dollars.
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "String")]
struct Dollars(u64);

impl TryFrom<String> for Dollars {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        micros(&text).map(Self).ok_or("it must be dollars, written as \"3\" or \"0.25\"")
    }
}

/// `3.75` in micro-dollars.
fn micros(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').map_or((text, None), |(it, part)| (it, Some(part)));
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    if !digits(whole) || part.is_some_and(|it| !digits(it) || 6 < it.len()) {
        return None;
    }
    let whole: u64 = whole.parse().ok().filter(|it| *it <= MAX_DOLLARS)?;
    let part: u64 = format!("{:0<6}", part.unwrap_or_default()).parse().ok()?;
    Some(whole * DOLLAR + part)
}
