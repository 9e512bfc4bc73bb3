//! Whether providers can be called: each is asked for its models, all at once, five seconds at most.
//!
//! Nobody is asked until somebody wants to know, and an answer is good for a minute. It is for
//! people: no call is made or left because of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future;
use taskd_api::{ApiError, codes, v1};
use taskd_llm::{Listed, LlmError, Provider, ProviderFault};
use taskd_model::Digest;
use tokio::time::Instant;

use super::take;
use crate::{
    problem,
    runner::{Context, chain, lock},
};

/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(60);

/// What providers said, by provider and by a mark of place and credential: other ones are asked
/// anew.
#[derive(Debug, Default)]
pub(crate) struct Availability(Mutex<BTreeMap<String, Said>>);

#[derive(Debug, Clone)]
struct Said {
    mark: Digest,
    at: Instant,
    took: Duration,
    result: Result<Listed, Arc<LlmError>>,
}

impl Availability {
    /// What was said less than a minute ago.
    fn fresh(&self, provider: &str, mark: Digest, now: Instant) -> Option<Said> {
        let said = lock(&self.0).get(provider).cloned()?;
        (said.mark == mark && now.duration_since(said.at) < FRESH).then_some(said)
    }
}

/// Asks the providers of these names, or all that could be called; what is held and `given` is the
/// credential, and `given` is not kept.
pub(crate) async fn check(
    ctx: &Arc<Context>,
    names: &[String],
    given: &BTreeMap<String, String>,
) -> Result<Vec<v1::ProviderCheck>, ApiError> {
    let catalog = ctx.models.catalog();
    let known: Vec<&str> = catalog.providers().map(|it| it.name.as_str()).collect();
    if let Some(it) = names.iter().find(|it| catalog.provider(it).is_none()) {
        let shown: String = it.chars().take(60).collect();
        let what = format!("there is no provider `{shown}`");
        return Err(ApiError::new(codes::NOT_FOUND, what).hint(problem::suggest(it, &known)));
    }
    let mut credentials = lock(&ctx.credentials).clone();
    take(catalog, &ctx.agents(None), &mut credentials, given.clone());
    let wanted = |it: &&Provider| names.is_empty() || names.contains(&it.name);
    let asked = catalog.providers().filter(wanted).map(|it| ask(ctx, it, &credentials));
    Ok(future::join_all(asked).await)
}

async fn ask(
    ctx: &Context,
    provider: &Provider,
    credentials: &BTreeMap<String, String>,
) -> v1::ProviderCheck {
    let name = &provider.name;
    // Authorities are in a file.
    let found = tokio::task::block_in_place(|| ctx.models.provider(name, credentials));
    let (http, mark) = match found {
        Ok(found) => found,
        Err(error) => return row(provider, Err(&error)),
    };
    let start = Instant::now();
    let said = if let Some(said) = ctx.availability.fresh(name, mark, start) {
        said
    } else {
        let result = http.list().await.map_err(Arc::new);
        let said = Said { mark, at: Instant::now(), took: start.elapsed(), result };
        lock(&ctx.availability.0).insert(name.clone(), said.clone());
        said
    };
    let millis = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
    v1::ProviderCheck {
        took_ms: millis(said.took),
        age_ms: millis(said.at.elapsed()),
        ..row(provider, said.result.as_ref().map_err(|it| &**it))
    }
}

fn row(provider: &Provider, result: Result<&Listed, &LlmError>) -> v1::ProviderCheck {
    let name = provider.name.clone();
    let error = match result {
        Ok(Listed { models, more }) => {
            let models = u32::try_from(*models).ok();
            let state = v1::ProviderState::Usable.into();
            return v1::ProviderCheck { name, state, models, more_models: *more, ..blank() };
        }
        Err(error) => error,
    };
    let (state, hint) = judged(provider, error);
    let problem = if let LlmError::MissingCredential { variable, .. } = error {
        format!("{variable} is not set")
    } else {
        chain(error)
    };
    v1::ProviderCheck { name, state: state.into(), problem, hint, ..blank() }
}

fn blank() -> v1::ProviderCheck {
    v1::ProviderCheck::default()
}

/// What an error means for calls, and what to do about it.
fn judged(provider: &Provider, error: &LlmError) -> (v1::ProviderState, String) {
    use v1::ProviderState as State;
    let key = provider.key_variable.as_deref().unwrap_or_default();
    let place = match &provider.url_variable {
        Some(it) => format!("or say another place with `export {it}=...`"),
        None => "or change its `url` in models.toml".to_owned(),
    };
    match error {
        LlmError::MissingCredential { variable, .. } => {
            (State::NoCredential, format!("export {variable}=... and ask again in that shell"))
        }
        LlmError::Provider { fault, .. } => answered(fault, key, place),
        LlmError::Settings { .. }
        | LlmError::TooLarge { .. }
        | LlmError::OverCap { .. }
        | LlmError::NoReply { .. }
        | LlmError::UnknownProvider { .. }
        | LlmError::RelativePath { .. }
        | LlmError::Script(_)
        | LlmError::Cassette(_)
        | LlmError::Replayed { .. } => (State::Misconfigured, place),
    }
}

/// The same of an error that came from there, or from the way.
fn answered(fault: &ProviderFault, key: &str, place: String) -> (v1::ProviderState, String) {
    use v1::ProviderState as State;
    match fault {
        ProviderFault::Auth if key.is_empty() => {
            let hint = "it wants a credential: give it a `key_variable` in models.toml";
            (State::NotAccepted, hint.to_owned())
        }
        ProviderFault::Auth => {
            (State::NotAccepted, format!("export {key}=... with one that is valid"))
        }
        ProviderFault::RateLimited { .. } => {
            (State::Refused, "wait: it takes no calls for now".to_owned())
        }
        ProviderFault::Unreachable { .. } | ProviderFault::TimedOut { .. } => {
            (State::Unreachable, format!("start it, check network and proxy, {place}"))
        }
        ProviderFault::Certificate { .. } => {
            let hint = "`ca_file` of the provider in models.toml names your own authority";
            (State::Unreachable, hint.to_owned())
        }
        ProviderFault::Server { .. } | ProviderFault::Disconnected { .. } => {
            (State::Failing, "wait; its status page may say more".to_owned())
        }
        ProviderFault::Garbled { .. } | ProviderFault::NotAStream | ProviderFault::Refused => {
            (State::NoList, format!("calls may work all the same; check its URL, {place}"))
        }
        ProviderFault::Inexpressible { .. } | ProviderFault::ContextTooLarge => {
            (State::Misconfigured, place)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves MC-PROV-6: an answer is good for a minute, and only for that place and credential.
    #[test]
    fn an_answer_is_good_for_a_minute() {
        let known = Availability::default();
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let at = Instant::now();
        assert!(known.fresh("acme", one, at).is_none(), "nobody was asked");
        let result = Ok(Listed { models: 1, more: false });
        let said = Said { mark: one, at, took: Duration::ZERO, result };
        lock(&known.0).insert("acme".to_owned(), said);
        let last = at + FRESH - Duration::from_millis(1);
        assert!(known.fresh("acme", one, last).is_some());
        assert!(known.fresh("acme", other, last).is_none(), "another key, or another place");
        assert!(known.fresh("local", one, last).is_none());
        assert!(known.fresh("acme", one, at + FRESH).is_none());
    }
}
