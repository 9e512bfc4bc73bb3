//! Which model a name stands for: `scripted:/absolute/path.yaml` or `PROVIDER/MODEL`.
//!
//! A script is read once: editing the file changes nothing until the daemon starts again, so one
//! turn gets one reply however often it is asked for. A model behind HTTP is made once for each
//! place and credential, so its connections are used again. Nothing is chosen when a name is
//! unknown, and no credential is taken from our own environment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use taskd_model::{Digest, Request};

use crate::{
    Api, Capabilities, Cassette, Catalog, Date, Http, HttpSettings, Llm, LlmError, ModelFacts,
    Player, Price, Provider, Recorder, SCRIPTED, Scripted, Secret, Timeouts,
    catalog::base_url,
    http,
    scripted::{read_script, shortened},
};

/// The most script files kept; beyond it the one resolved first is forgotten.
pub const MAX_SCRIPTS: usize = 64;
/// Stands for a model where a provider is asked what it has.
const LISTED: &str = "list-of-models";
/// The most models behind HTTP kept, in the same way.
const MAX_HTTPS: usize = 64;

/// The models this process knows, by name.
#[derive(Debug, Default)]
pub struct Models {
    catalog: Catalog,
    cassette: Option<Cassette>,
    /// Oldest first. Held for look-ups only, never while a file is read.
    scripts: Mutex<Vec<(PathBuf, Digest, Arc<Scripted>)>>,
    /// Oldest first, by a digest of model, place and credential.
    https: Mutex<Vec<(Digest, Arc<Http>)>>,
}

/// A model that may be called, and what is known about it.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The model.
    pub llm: Arc<dyn Llm>,
    /// Its provider; `scripted` for scripts.
    pub provider: String,
    /// What it costs today; `None` is not priced.
    pub price: Option<Price>,
    /// Tokens of request and reply together, where that is known.
    pub window: Option<u32>,
    /// Longest reply, in tokens, where that is known.
    pub max_output: Option<u32>,
    /// Whose limits a call counts against: the provider, and a mark that differs from place to place
    /// and from credential to credential and says neither.
    pub identity: String,
}

/// What a name means, before anything is read or made.
enum Named<'a> {
    Script(&'a Path),
    Hosted(&'a Provider, &'a str),
}

impl Models {
    /// The models of `catalog`; with a `cassette` every call is recorded, or none is made.
    #[must_use]
    pub fn new(catalog: Catalog, cassette: Option<Cassette>) -> Self {
        Self { catalog, cassette, ..Self::default() }
    }

    /// What is known of providers and prices.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What is known today of the model called `name`; nothing of scripts and of unknown names.
    #[must_use]
    pub fn facts(&self, name: &str) -> ModelFacts {
        self.named(name).map(|it| self.facts_of(&it)).unwrap_or_default()
    }

    /// The model called `name`. `credentials` are the variables clients handed over. Reads and checks
    /// the file of a script that is new to this process, so call it where blocking is allowed.
    ///
    /// # Errors
    /// No such provider, no credential for it, a place that is none, or a script that cannot be
    /// used.
    pub fn resolve(
        &self,
        name: &str,
        credentials: &BTreeMap<String, String>,
    ) -> Result<Resolved, LlmError> {
        let named = self.named(name)?;
        let ModelFacts { window, max_output, price } = self.facts_of(&named);
        let provider = match &named {
            Named::Script(_) => SCRIPTED.trim_end_matches(':').to_owned(),
            Named::Hosted(it, _) => it.name.clone(),
        };
        let (llm, identity) = match &self.cassette {
            Some(Cassette::Replay(dir)) => {
                let player: Arc<dyn Llm> =
                    Arc::new(Player::new(dir.clone(), self.capabilities(name, credentials)));
                (player, provider.clone())
            }
            Some(Cassette::Record(dir)) => {
                let (llm, identity) = self.live(&named, credentials)?;
                let recorder: Arc<dyn Llm> = Arc::new(Recorder::new(llm, dir.clone()));
                (recorder, identity)
            }
            None => self.live(&named, credentials)?,
        };
        Ok(Resolved { llm, provider, price, window, max_output, identity })
    }

    /// What the model called `name` takes where it is reached with these `credentials`; nothing of
    /// scripts and of unknown names. No key is needed to know it.
    #[must_use]
    pub fn capabilities(&self, name: &str, credentials: &BTreeMap<String, String>) -> Capabilities {
        match self.named(name) {
            Ok(Named::Hosted(it, model)) => place(it, credentials).map_or_else(
                |_| Capabilities::default(),
                |url| http::capabilities(it.api, &url, model, it.takes),
            ),
            Ok(Named::Script(_)) | Err(_) => Capabilities::default(),
        }
    }

    /// The body of `request` as its provider gets it, written for where that is reached with these
    /// `credentials`; `None` for scripts, which get the request itself.
    ///
    /// # Errors
    /// No such provider, a place that is none or is not known although the body depends on it, or what
    /// its interface cannot express.
    pub fn body(
        &self,
        request: &Request,
        credentials: &BTreeMap<String, String>,
    ) -> Result<Option<Vec<u8>>, LlmError> {
        match self.named(&request.model)? {
            Named::Script(_) => Ok(None),
            Named::Hosted(it, model) => {
                let known = [&it.key_variable, &it.url_variable];
                let known = known.iter().any(|it| given(it.as_ref(), credentials).is_some());
                if it.api == Api::OpenAiChat && it.url_variable.is_some() && !known {
                    let what = "its requests depend on where it is reached, which is not known since \
                                the daemon started";
                    let (provider, what) = (it.name.clone(), what.to_owned());
                    return Err(LlmError::Settings { provider, what });
                }
                let request = Request { model: model.to_owned(), ..request.clone() };
                http::body(it.api, &place(it, credentials)?, &request).map(Some)
            }
        }
    }

    /// The way to a provider, for asking it what there is, and a mark that differs from place to place
    /// and from credential to credential and says neither.
    ///
    /// # Errors
    /// No such provider, no credential for it, a place that is none, or calls are replayed.
    pub fn provider(
        &self,
        name: &str,
        credentials: &BTreeMap<String, String>,
    ) -> Result<(Arc<Http>, Digest), LlmError> {
        let provider = self.catalog.provider(name).ok_or_else(|| self.unknown(name))?;
        if matches!(self.cassette, Some(Cassette::Replay(_))) {
            let what = "calls are replayed, and nobody is asked".to_owned();
            return Err(LlmError::Settings { provider: name.to_owned(), what });
        }
        let (settings, mark) = settings(provider, LISTED, credentials)?;
        let whole = Digest::of_parts(&[mark.to_string().as_bytes(), LISTED.as_bytes()]);
        Ok((self.http(whole, settings)?, mark))
    }

    fn named<'a>(&'a self, name: &'a str) -> Result<Named<'a>, LlmError> {
        if let Some(path) = name.strip_prefix(SCRIPTED) {
            let path = Path::new(path);
            if !path.is_absolute() {
                return Err(LlmError::RelativePath { model: shortened(name) });
            }
            return Ok(Named::Script(path));
        }
        let parts = name.split_once('/').filter(|(_, model)| !model.is_empty());
        let found = parts.and_then(|(it, model)| Some((self.catalog.provider(it)?, model)));
        let found = found.map(|(provider, model)| Named::Hosted(provider, model));
        found.ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> LlmError {
        let hosted = self.catalog.providers().map(|it| format!("{}/MODEL", it.name));
        let all: Vec<String> = hosted.chain([format!("{SCRIPTED}/absolute/path.yaml")]).collect();
        LlmError::UnknownProvider { model: shortened(name), known: all.join(", ") }
    }

    fn facts_of(&self, named: &Named<'_>) -> ModelFacts {
        match named {
            Named::Script(_) => ModelFacts::default(),
            Named::Hosted(it, model) => self.catalog.facts(&it.name, model, Date::today()),
        }
    }

    /// The model itself, and whose limits it counts against.
    fn live(
        &self,
        named: &Named<'_>,
        credentials: &BTreeMap<String, String>,
    ) -> Result<(Arc<dyn Llm>, String), LlmError> {
        match named {
            Named::Script(path) => Ok((self.script(path)?, SCRIPTED.to_owned())),
            Named::Hosted(provider, model) => {
                let (settings, mark) = settings(provider, model, credentials)?;
                let identity = format!("{} {}", provider.name, &mark.to_string()[..8]);
                let whole = Digest::of_parts(&[mark.to_string().as_bytes(), model.as_bytes()]);
                Ok((self.http(whole, settings)?, identity))
            }
        }
    }

    fn script(&self, path: &Path) -> Result<Arc<Scripted>, LlmError> {
        if let Some(known) = self.find(|(at, _, _)| at == path) {
            return Ok(known);
        }
        let bytes = read_script(path)?;
        let digest = Digest::of(&bytes);
        let script = match self.find(|(_, it, _)| *it == digest) {
            Some(same) => same,
            None => Arc::new(Scripted::parse(path, &bytes)?),
        };
        Ok(self.keep(path, digest, script))
    }

    fn http(&self, mark: Digest, settings: HttpSettings) -> Result<Arc<Http>, LlmError> {
        let mut https = self.https.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = https.iter().find(|(it, _)| *it == mark) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(Http::new(settings)?);
        if https.len() == MAX_HTTPS {
            https.remove(0);
        }
        https.push((mark, Arc::clone(&made)));
        Ok(made)
    }

    fn find(
        &self,
        wanted: impl Fn(&(PathBuf, Digest, Arc<Scripted>)) -> bool,
    ) -> Option<Arc<Scripted>> {
        let scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.iter().find(|it| wanted(it)).map(|(_, _, script)| Arc::clone(script))
    }

    /// Keeps `script`, unless another thread was first: then its one is the answer.
    fn keep(&self, path: &Path, digest: Digest, script: Arc<Scripted>) -> Arc<Scripted> {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, first)) = scripts.iter().find(|(at, _, _)| at == path) {
            return Arc::clone(first);
        }
        if scripts.len() == MAX_SCRIPTS {
            scripts.remove(0);
        }
        scripts.push((path.to_owned(), digest, Arc::clone(&script)));
        script
    }
}

/// What was handed over by the name of `variable`.
fn given(variable: Option<&String>, credentials: &BTreeMap<String, String>) -> Option<String> {
    let value = credentials.get(variable?)?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Where a provider is with these credentials.
fn place(provider: &Provider, credentials: &BTreeMap<String, String>) -> Result<String, LlmError> {
    match given(provider.url_variable.as_ref(), credentials) {
        None => Ok(provider.url.clone()),
        Some(url) => base_url(&url).ok_or_else(|| LlmError::Settings {
            provider: provider.name.clone(),
            what: format!(
                "{} is no URL that begins with http:// or https:// and holds no user, `?` or `#`",
                provider.url_variable.as_deref().unwrap_or_default()
            ),
        }),
    }
}

/// How a provider's model is reached with these credentials, and a digest of place and credential.
fn settings(
    provider: &Provider,
    model: &str,
    credentials: &BTreeMap<String, String>,
) -> Result<(HttpSettings, Digest), LlmError> {
    let base_url = place(provider, credentials)?;
    let key = given(provider.key_variable.as_ref(), credentials);
    if let (None, Some(variable), false) = (&key, &provider.key_variable, provider.key_optional) {
        let (provider, variable) = (provider.name.clone(), variable.clone());
        return Err(LlmError::MissingCredential { provider, variable });
    }
    let secret = key.as_deref().unwrap_or_default();
    let mark =
        Digest::of_parts(&[provider.name.as_bytes(), base_url.as_bytes(), secret.as_bytes()]);
    let settings = HttpSettings {
        provider: provider.name.clone(),
        model: model.to_owned(),
        api: provider.api,
        base_url,
        key: key.map(Secret::new),
        timeouts: Timeouts::default(),
        takes: provider.takes,
        ca_file: provider.ca_file.clone(),
    };
    Ok((settings, mark))
}

#[cfg(test)]
mod tests;
