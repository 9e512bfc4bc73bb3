//! Which providers and models are known, where they are reached, and what they cost.
//!
//! Plain data: what is built in, and what a person's `models.toml` adds or replaces. It holds names
//! of variables, never their values, and asks nobody.

mod read;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

pub use self::read::CatalogError;
pub(crate) use self::read::base_url;
use crate::{Api, Price, Takes};

/// What is built in.
const BUILT_IN: &str = include_str!("catalog.toml");

/// Providers and models, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    providers: BTreeMap<String, Provider>,
    /// At most one for each provider, name and date.
    models: Vec<Model>,
}

/// Somebody who answers calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// What people write before the slash.
    pub name: String,
    /// Its interface.
    pub api: Api,
    /// Where it is, without a slash at the end.
    pub url: String,
    /// The client's variable that says another place.
    pub url_variable: Option<String>,
    /// The client's variable that holds the credential; `None` if it takes none.
    pub key_variable: Option<String>,
    /// It may be called without a credential.
    pub key_optional: bool,
    /// The provider whose models and prices it has too.
    pub models_of: Option<String>,
    /// What its models take, where its interface does not tell.
    pub takes: Takes,
    /// Authorities that are trusted beside this machine's own: a PEM file, by its absolute path.
    pub ca_file: Option<PathBuf>,
}

/// A model, and its price from a date on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its provider.
    pub provider: String,
    /// Its name, without a date.
    pub name: String,
    /// Tokens of request and reply together, where that is known.
    pub window: Option<u32>,
    /// Longest reply, in tokens, where that is known.
    pub max_output: Option<u32>,
    /// What it costs, and since when; `None` is not priced.
    pub price: Option<(Date, Price)>,
}

/// What is known of a model on one day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelFacts {
    /// Tokens of request and reply together.
    pub window: Option<u32>,
    /// Longest reply, in tokens.
    pub max_output: Option<u32>,
    /// What it costs that day.
    pub price: Option<Price>,
}

/// A day, as `20250929`: later days are larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(u32);

impl Catalog {
    /// What is built in.
    #[must_use]
    pub fn built_in() -> Self {
        let built_in = Self::default().with("catalog.toml", BUILT_IN);
        built_in.expect("what is built in is read by a test")
    }

    /// This catalog with the entries of a file over it: a provider of the same name is replaced as a
    /// whole, and so is a model of the same provider, name and date. `origin` names the file in
    /// errors.
    ///
    /// # Errors
    /// The text is no catalog; says where.
    pub fn with(self, origin: &str, text: &str) -> Result<Self, CatalogError> {
        read::over(self, origin, text)
    }

    /// The provider of this name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.providers.get(name)
    }

    /// Every provider, by name.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.providers.values()
    }

    /// Every entry, in the order of the files.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter()
    }

    /// Every variable a client may hand over: keys and places.
    #[must_use]
    pub fn variables(&self) -> BTreeSet<&str> {
        self.providers
            .values()
            .flat_map(|it| [it.key_variable.as_deref(), it.url_variable.as_deref()])
            .flatten()
            .collect()
    }

    /// What is known of a provider's model on a day. Of the names that match, the longest counts; of
    /// its prices the latest that has begun.
    #[must_use]
    pub fn facts(&self, provider: &str, model: &str, on: Date) -> ModelFacts {
        let owner = self.provider(provider).and_then(|it| it.models_of.as_deref());
        let own = self.best(provider, model);
        let Some((at, name)) = own.or_else(|| self.best(owner?, model)) else {
            return ModelFacts::default();
        };
        let of_it = |it: &&Model| it.provider == at && it.name == name;
        let entries: Vec<&Model> = self.models.iter().filter(of_it).collect();
        let since = |it: &&&Model| it.price.map(|(since, _)| since);
        let begun = |it: &&&Model| since(it).is_none_or(|since| since <= on);
        let current = entries.iter().filter(begun).max_by_key(since);
        let Some(it) = current.or_else(|| entries.iter().min_by_key(since)) else {
            return ModelFacts::default();
        };
        let price = it.price.filter(|(since, _)| *since <= on).map(|(_, price)| price);
        ModelFacts { window: it.window, max_output: it.max_output, price }
    }

    /// The provider and the longest name of it that `model` goes by.
    fn best<'a>(&'a self, provider: &'a str, model: &str) -> Option<(&'a str, &'a str)> {
        let ours = self.models.iter().filter(|it| it.provider == provider);
        let names = ours.map(|it| it.name.as_str()).filter(|it| is_variant(it, model));
        names.max_by_key(|it| it.len()).map(|it| (provider, it))
    }
}

/// `model` is `name`, or `name` with a date behind it: `-20250929` or `-2025-09-29`.
fn is_variant(name: &str, model: &str) -> bool {
    let Some(rest) = model.strip_prefix(name) else { return false };
    let Some(date) = rest.strip_prefix('-') else { return rest.is_empty() };
    let shape: String = date.chars().map(|it| if it.is_ascii_digit() { '0' } else { it }).collect();
    shape == "00000000" || shape == "0000-00-00"
}

/// Whether `answered`, a provider's word, is the model that people call `PROVIDER/MODEL`, with a date
/// behind it or not.
#[must_use]
pub fn is_same_model(asked: &str, answered: &str) -> bool {
    let name = asked.split_once('/').map_or(asked, |(_, name)| name);
    is_variant(name, answered) || is_variant(answered, name)
}

impl Date {
    /// A day of the calendar; `None` if there is none such.
    #[must_use]
    pub fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u32::from(leap),
            _ => return None,
        };
        let fits = (1..=days).contains(&day) && (1970..=9_999).contains(&year);
        fits.then_some(Self(year * 10_000 + month * 100 + day))
    }

    /// Today in UTC, by the machine's clock.
    #[must_use]
    pub fn today() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::of_days(since.as_secs() / 86_400)
    }

    /// So many days after 1970-01-01. Years are counted from March, so that a leap day is the last
    /// one; 400 of them have 146097 days.
    fn of_days(days: u64) -> Self {
        let days = days + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (year, month) = if month < 10 {
            (era * 400 + year, month + 3)
        } else {
            (era * 400 + year + 1, month - 9)
        };
        Self(u32::try_from(year * 10_000 + month * 100 + day).unwrap_or(u32::MAX))
    }
}

/// `2025-09-29`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// An interface's name, as the catalog writes it.
#[must_use]
pub fn api_name(api: Api) -> &'static str {
    match api {
        Api::AnthropicMessages => "anthropic-messages",
        Api::OpenAiChat => "openai-chat",
        Api::OpenAiResponses => "openai-responses",
    }
}

#[cfg(test)]
mod tests;
