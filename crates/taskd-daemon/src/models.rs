//! The daemon's side of models: what it reads when it starts, what clients hand over, what it tells.
//!
//! Credentials are kept in memory and go nowhere but into the calls they pay for.

mod check;
mod payer;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use taskd_api::v1;
use taskd_llm::{
    CAPABILITIES, Cassette, Catalog, Date, LlmError, Model, Models, Provider, api_name,
    capabilities,
};
use taskd_model::{AgentDoc, Param, Params, TypeDoc, Unsupported};
use taskd_tools::agents::Presets;

pub(crate) use self::{
    check::{Availability, check},
    payer::{declared, no_key, paid_by, payers, unpaid, variable},
};
use crate::runner::{Context, chain, lock};

/// The person's own providers and models, beside `config.toml`.
const FILE: &str = "models.toml";
/// Longest such file, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;
/// `record:DIR` or `replay:DIR`, for tests; read once, when the daemon starts.
const CASSETTE: &str = "TASKD_CASSETTE";
/// Longest value of a variable that is taken, in bytes.
const MAX_VALUE_BYTES: usize = 16 * 1024;

/// What is built in, with the person's file over it; or what is wrong with that.
pub(crate) fn load(config: &Path) -> Result<Models, String> {
    let path = config.join(FILE);
    let shown = path.display().to_string();
    let built_in = Catalog::built_in();
    let catalog = match read(&path).map_err(|it| format!("{shown}: cannot be read: {it}"))? {
        Some(text) => built_in.with(&shown, &text).map_err(|it| it.to_string())?,
        None => built_in,
    };
    let cassette = match std::env::var_os(CASSETTE).filter(|it| !it.is_empty()) {
        Some(it) => {
            let parsed = Cassette::parse(&it.to_string_lossy());
            Some(parsed.map_err(|it| format!("{CASSETTE}: {}", chain(&it)))?)
        }
        None => None,
    };
    Ok(Models::new(catalog, cassette))
}

/// The file's text; nothing if there is no file.
fn read(path: &Path) -> io::Result<Option<String>> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(it) if matches!(it.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(it) => return Err(it),
    };
    // A pipe or a device would never end.
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    fs::read_to_string(path).map(Some)
}

impl Context {
    /// The presets of agents: built in, the person's, and those of the project that is checked out
    /// there.
    pub(crate) fn agents(&self, root: Option<&Path>) -> Presets {
        Presets::load(&self.paths.config, root)
    }

    /// Keeps what a client handed over, in memory.
    pub(crate) fn take_credentials(&self, given: BTreeMap<String, String>) {
        // Most acts hand nothing over, and presets are files to be read.
        if given.is_empty() {
            return;
        }
        let (agents, catalog) = (self.agents(None), self.models.catalog());
        let places: BTreeSet<&String> =
            catalog.providers().filter_map(|it| it.url_variable.as_ref()).collect();
        self.secrets.learn(given.iter().filter(|it| !places.contains(it.0)).map(|it| it.1));
        take(catalog, &agents, &mut lock(&self.credentials), given);
    }
}

/// Why a model cannot be called with what is held and `given`, and what to do about it; `None` if it
/// can. Nothing is kept.
pub(crate) fn trouble(
    ctx: &Context,
    name: &str,
    given: &BTreeMap<String, String>,
) -> Option<(String, String)> {
    let mut credentials = lock(&ctx.credentials).clone();
    take(ctx.models.catalog(), &ctx.agents(None), &mut credentials, given.clone());
    match ctx.models.resolve(name, &credentials) {
        Ok(_) => None,
        Err(LlmError::MissingCredential { provider, variable }) => Some((
            format!("no credential for provider {provider}: {variable} is not set"),
            format!("export {variable}=... and submit again in that shell"),
        )),
        Err(other) => Some((chain(&other), String::new())),
    }
}

/// What a loop type asks of its worker that the worker does not take, and why, with what is held and
/// `given`. Agents are told nothing of it: their own settings say how they work.
pub(crate) fn refused(
    ctx: &Context,
    agent: &AgentDoc,
    loop_type: &TypeDoc,
    given: &BTreeMap<String, String>,
) -> Vec<(Param, &'static str)> {
    match agent {
        AgentDoc::Agent { .. } => {
            let none = taskd_llm::Capabilities::default().refused(loop_type.params);
            none.into_iter().map(|(it, _)| (it, "an agent is set up by its own settings")).collect()
        }
        AgentDoc::Model { name } => {
            let mut credentials = lock(&ctx.credentials).clone();
            take(ctx.models.catalog(), &ctx.agents(None), &mut credentials, given.clone());
            ctx.models.capabilities(name, &credentials).refused(loop_type.params)
        }
    }
}

/// What a model is asked: all that the loop type sets, without what it takes none of, if the type
/// says that this is to be left out. Otherwise the call fails and says so.
pub(crate) fn taken(ctx: &Context, model: &str, loop_type: &TypeDoc) -> Params {
    let params = loop_type.params;
    if loop_type.unsupported == Unsupported::Refuse || params.is_empty() {
        return params;
    }
    let credentials = lock(&ctx.credentials).clone();
    let refused = ctx.models.capabilities(model, &credentials).refused(params);
    refused.into_iter().fold(params, |params, (it, _)| params.without(it))
}

/// The variable that holds the key of this model's provider, if it has one.
pub(crate) fn key_variable(ctx: &Context, model: &str) -> Option<String> {
    let (provider, _) = model.split_once('/')?;
    ctx.models.catalog().provider(provider)?.key_variable.clone()
}

/// Puts what was given over what is held: what nobody reads is not kept. A key and the place it is
/// for belong together, so a key that comes without a place takes an earlier place away.
fn take(
    catalog: &Catalog,
    agents: &Presets,
    held: &mut BTreeMap<String, String>,
    mut given: BTreeMap<String, String>,
) {
    let presets = agents.credentials();
    let variables = catalog.variables();
    given.retain(|name, value| {
        let is_read = variables.contains(name.as_str()) || presets.contains(name);
        is_read && !value.trim().is_empty() && value.len() <= MAX_VALUE_BYTES
    });
    for it in catalog.providers() {
        let comes = it.key_variable.as_ref().is_some_and(|it| given.contains_key(it));
        if let Some(place) = it.url_variable.as_ref().filter(|_| comes) {
            held.remove(place);
        }
    }
    held.extend(given);
}

/// Everything there is to tell about models. No credential is part of it.
pub(crate) fn told(ctx: &Context) -> v1::ModelsResponse {
    let catalog = ctx.models.catalog();
    let held: BTreeSet<String> = lock(&ctx.credentials).keys().cloned().collect();
    let providers: Vec<v1::ProviderRow> =
        catalog.providers().map(|it| provider_row(it, &held)).collect();
    let today = Date::today();
    let mut seen = BTreeSet::new();
    let once = |it: &&Model| seen.insert((it.provider.clone(), it.name.clone()));
    let models = catalog.models().filter(once).map(|it| model_row(catalog, it, today)).collect();
    let mut interfaces = Vec::new();
    for it in catalog.providers() {
        let row = v1::InterfaceRow {
            name: api_name(it.api).to_owned(),
            capabilities: std::iter::zip(CAPABILITIES, capabilities(it.api))
                .map(|(name, available)| v1::Capability { name: name.to_owned(), available })
                .collect(),
        };
        if !interfaces.contains(&row) {
            interfaces.push(row);
        }
    }
    v1::ModelsResponse { providers, models, interfaces, checks: Vec::new() }
}

fn provider_row(it: &Provider, held: &BTreeSet<String>) -> v1::ProviderRow {
    let is_held = |it: &Option<String>| it.as_ref().is_some_and(|it| held.contains(it));
    v1::ProviderRow {
        name: it.name.clone(),
        interface: api_name(it.api).to_owned(),
        url: it.url.clone(),
        url_held: is_held(&it.url_variable),
        url_variable: it.url_variable.clone().unwrap_or_default(),
        key_held: is_held(&it.key_variable),
        key_variable: it.key_variable.clone().unwrap_or_default(),
        key_optional: it.key_optional,
        models_of: it.models_of.clone().unwrap_or_default(),
    }
}

fn model_row(catalog: &Catalog, it: &Model, today: Date) -> v1::ModelRow {
    let facts = catalog.facts(&it.provider, &it.name, today);
    let of_it = |other: &&Model| other.provider == it.provider && other.name == it.name;
    let prices = catalog.models().filter(of_it).filter_map(|it| it.price);
    let since = prices.map(|(since, _)| since).filter(|it| *it <= today).max();
    let price = facts.price.map(|price| v1::PriceRow {
        input: price.input,
        output: price.output,
        cache_read: price.cache_read,
        cache_write: price.cache_write,
        since: since.map(|it| it.to_string()).unwrap_or_default(),
    });
    v1::ModelRow {
        provider: it.provider.clone(),
        name: it.name.clone(),
        window: facts.window,
        max_output: facts.max_output,
        price,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents() -> Presets {
        Presets::load(Path::new("/nonexistent"), None)
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_what_somebody_reads_is_kept() {
        let catalog = Catalog::built_in();
        let mut held = BTreeMap::new();
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        let given = [
            ("ANTHROPIC_API_KEY", "sk"),
            ("TASKD_LOCAL_URL", "http://x"),
            ("OPENAI_API_KEY", " "),
            ("TASKD_LOCAL_KEY", long.as_str()),
            ("GITHUB_TOKEN", "t"),
        ];
        take(&catalog, &agents(), &mut held, map(&given));
        assert_eq!(held, map(&given[..2]));
        take(&catalog, &agents(), &mut held, BTreeMap::new());
        assert_eq!(held, map(&given[..2]), "who has nothing takes nothing away");
    }

    #[test]
    fn a_key_without_its_place_takes_the_place_away() {
        let catalog = Catalog::built_in();
        let mut held = BTreeMap::new();
        let both = [("ANTHROPIC_API_KEY", "a"), ("ANTHROPIC_BASE_URL", "http://proxy")];
        take(&catalog, &agents(), &mut held, map(&both));
        take(&catalog, &agents(), &mut held, map(&[("OPENAI_API_KEY", "o")]));
        assert_eq!(held.len(), 3);
        take(&catalog, &agents(), &mut held, map(&[("ANTHROPIC_API_KEY", "b")]));
        assert_eq!(held, map(&[("ANTHROPIC_API_KEY", "b"), ("OPENAI_API_KEY", "o")]));
        take(&catalog, &agents(), &mut held, map(&both));
        assert_eq!(held.get("ANTHROPIC_BASE_URL").map(String::as_str), Some("http://proxy"));
    }

    #[test]
    fn a_file_that_is_wrong_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        load(dir.path()).expect("no file is needed");
        let path = dir.path().join(FILE);
        fs::write(&path, "[[models]]\nprovider = 'nobody'\nname = 'x'\n").expect("ours");
        let said = load(dir.path()).expect_err("no such provider");
        let wanted = format!("{}:2:12: there is no provider `nobody`", path.display());
        assert_eq!(said, wanted);
        fs::write(&path, [0xff]).expect("ours");
        let said = load(dir.path()).expect_err("no text");
        assert!(said.contains("models.toml: cannot be read: "), "{said}");
        fs::remove_file(&path).expect("ours");
        fs::create_dir(&path).expect("ours");
        assert!(load(dir.path()).is_err());
    }
}
