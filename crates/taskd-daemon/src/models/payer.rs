//! Who pays for a worker, told by the name of a variable. No credential is part of it.

use std::{collections::BTreeMap, path::Path};

use taskd_api::v1;
use taskd_llm::Catalog;
use taskd_model::{Billing, Worker};
use taskd_tools::agents::{Preset, Presets};

use super::take;
use crate::runner::{Context, lock};

/// Who pays for each of these, each told once, with what is held and `given`. Of the
/// project there, if of one. With each goes what its loop type says of it.
pub(crate) fn payers<'a>(
    ctx: &Context,
    root: Option<&Path>,
    given: &BTreeMap<String, String>,
    workers: impl IntoIterator<Item = (&'a Worker, Option<Billing>)>,
) -> Vec<v1::Payer> {
    let catalog = ctx.models.catalog();
    let mut held = lock(&ctx.credentials).clone();
    let agents = ctx.agents(root);
    take(catalog, &agents, &mut held, given.clone());
    let mut rows: Vec<v1::Payer> = Vec::new();
    let person = root.and_then(|it| ctx.config_of(it).ok()).and_then(|it| it.agent_billing);
    for (it, of_type) in workers {
        let row = payer(catalog, &agents, &held, it, person.or(of_type));
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows.sort_by(|a, b| a.worker.cmp(&b.worker));
    rows
}

/// What shall pay for an agent by what the person and its loop type say together, or that they say
/// different things.
pub(crate) fn declared(
    person: Option<Billing>,
    of_type: Option<Billing>,
) -> Result<Option<Billing>, String> {
    match (person, of_type) {
        (Some(person), Some(of_type)) if person != of_type => Err(format!(
            "`agent.billing` is `{}`, and the loop type says `billing: {}`; change one of the two",
            person.word(),
            of_type.word()
        )),
        (Some(it), _) | (None, Some(it)) => Ok(Some(it)),
        (None, None) => Ok(None),
    }
}

/// That a key shall pay and is not there, and how it comes.
pub(crate) fn no_key(preset: &Preset) -> String {
    let name = &preset.name;
    match &preset.credential {
        Some(variable) => format!(
            "a key shall pay for the agent {name}, and {variable} is not set: export it and run \
             taskd again in that shell"
        ),
        None => format!("a key shall pay for the agent {name}, and its preset names none"),
    }
}

/// Why an agent cannot be paid for as was declared, with what is held and `given`; `None` if it can.
pub(crate) fn unpaid(
    ctx: &Context,
    agents: &Presets,
    run: &str,
    (person, of_type): (Option<Billing>, Option<Billing>),
    given: &BTreeMap<String, String>,
) -> Option<String> {
    let declared = match declared(person, of_type) {
        Ok(declared) => declared?,
        Err(why) => return Some(why),
    };
    let preset = agents.resolve(run).ok().filter(|_| declared == Billing::Key)?;
    let mut held = lock(&ctx.credentials).clone();
    take(ctx.models.catalog(), agents, &mut held, given.clone());
    let has = |it: &String| held.contains_key(it);
    (!preset.credential.as_ref().is_some_and(has)).then(|| no_key(&preset))
}

/// The variable that pays for an agent, or holds its login, with what is held and `given`.
pub(crate) fn paid_by(
    ctx: &Context,
    agents: &Presets,
    run: &str,
    declared: Option<Billing>,
    given: &BTreeMap<String, String>,
) -> Option<String> {
    let mut held = lock(&ctx.credentials).clone();
    take(ctx.models.catalog(), agents, &mut held, given.clone());
    variable(&agents.get(run)?.preset, declared, |it| held.contains_key(it))
}

/// Which of the variables that are there pays for an agent.
pub(crate) fn variable(
    preset: &Preset,
    declared: Option<Billing>,
    has: impl Fn(&str) -> bool,
) -> Option<String> {
    let (key, login) = (&preset.credential, &preset.login_variable);
    let wanted = match declared {
        Some(Billing::Login) => [login, &None],
        Some(Billing::Key) => [key, &None],
        None => [key, login],
    };
    wanted.into_iter().flatten().find(|it| has(it)).cloned()
}

fn payer(
    catalog: &Catalog,
    agents: &Presets,
    held: &BTreeMap<String, String>,
    worker: &Worker,
    declared: Option<Billing>,
) -> v1::Payer {
    let has = |name: &str| held.get(name).is_some_and(|it| !it.trim().is_empty());
    let row = |kind: v1::PayerKind, variable: &str, place: String| v1::Payer {
        worker: worker.to_string(),
        kind: kind.into(),
        variable: variable.to_owned(),
        place,
    };
    let name = match worker {
        Worker::Agent(name) => {
            let preset = agents.get(name).map(|it| &it.preset);
            let key = preset.and_then(|it| it.credential.as_ref());
            return match (preset.and_then(|it| variable(it, declared, has)), declared) {
                (Some(it), _) => row(v1::PayerKind::Variable, &it, String::new()),
                (None, Some(Billing::Key)) => {
                    let missing = key.map(String::as_str).unwrap_or_default();
                    row(v1::PayerKind::Nobody, missing, String::new())
                }
                (None, Some(Billing::Login) | None) => row(v1::PayerKind::Login, "", String::new()),
            };
        }
        Worker::Model(name) => name,
    };
    let provider = name.split_once('/').and_then(|(it, _)| catalog.provider(it));
    let Some(provider) = provider else {
        return row(v1::PayerKind::Free, "", String::new());
    };
    let elsewhere = provider.url_variable.as_ref().and_then(|it| held.get(it));
    let place = elsewhere.map(|it| host(it)).filter(|it| *it != host(&provider.url));
    let place = place.unwrap_or_default();
    match provider.key_variable.as_deref() {
        Some(it) if has(it) => row(v1::PayerKind::Variable, it, place),
        Some(it) if !provider.key_optional => row(v1::PayerKind::Nobody, it, place),
        Some(_) | None => row(v1::PayerKind::Free, "", place),
    }
}

/// `https://host:port` of a place, and nothing of it that may be private.
fn host(url: &str) -> String {
    let (scheme, rest) = url.trim().split_once("://").unwrap_or(("https", url.trim()));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_declare_they_declare_together() {
        let (login, key) = (Some(Billing::Login), Some(Billing::Key));
        assert_eq!(declared(None, None), Ok(None));
        assert_eq!(declared(login, None), Ok(login));
        assert_eq!(declared(None, key), Ok(key));
        assert_eq!(declared(key, key), Ok(key));
        let why = declared(login, key).unwrap_err();
        assert!(why.contains("`login`") && why.contains("`billing: key`"), "{why}");
    }

    #[test]
    fn who_pays_is_told_by_variable_and_host() {
        let catalog = Catalog::built_in();
        let agents = Presets::load(Path::new("/nonexistent"), None);
        let billed = |worker: Worker, held: &[(&str, &str)], declared: Option<Billing>| {
            let held = held.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            let it = payer(&catalog, &agents, &held, &worker, declared);
            let text = format!("{it:?}");
            assert!(!text.contains("secret"), "{text}");
            (it.kind(), it.variable, it.place)
        };
        let of = |worker, held: &[(&str, &str)]| billed(worker, held, None);
        let model = |name: &str| Worker::Model(name.to_owned());
        let agent = |name: &str| Worker::Agent(name.to_owned());
        let key = ("ANTHROPIC_API_KEY", "sk-secret");
        let told =
            |kind, variable: &str, place: &str| (kind, variable.to_owned(), place.to_owned());
        use v1::PayerKind::{Free, Login, Nobody, Variable};
        let claude = || model("anthropic/claude-haiku-4-5");
        assert_eq!(of(claude(), &[key]), told(Variable, key.0, ""));
        assert_eq!(of(claude(), &[]), told(Nobody, key.0, ""));
        for (url, shown) in [
            ("https://api.anthropic.com", ""),
            (
                "https://me:secret@proxy.example:8443/secret?secret#secret",
                "https://proxy.example:8443",
            ),
            ("http://127.0.0.1:99/v1", "http://127.0.0.1:99"),
        ] {
            let held = [key, ("ANTHROPIC_BASE_URL", url)];
            assert_eq!(of(claude(), &held), told(Variable, key.0, shown), "{url}");
        }
        assert_eq!(of(model("local/qwen3"), &[]), told(Free, "", ""));
        assert_eq!(of(model("scripted:/x.yaml"), &[key]), told(Free, "", ""));
        assert_eq!(of(agent("claude"), &[]), told(Login, "", ""));
        assert_eq!(of(agent("claude"), &[key]), told(Variable, key.0, ""));
        assert_eq!(of(agent("./x.sh"), &[key]), told(Login, "", ""));
        let token = ("CLAUDE_CODE_OAUTH_TOKEN", "sk-secret");
        assert_eq!(of(agent("claude"), &[token]), told(Variable, token.0, ""));
        assert_eq!(of(agent("claude"), &[token, key]), told(Variable, key.0, ""));
        let (login, paid) = (Some(Billing::Login), Some(Billing::Key));
        assert_eq!(billed(agent("claude"), &[token, key], login), told(Variable, token.0, ""));
        assert_eq!(billed(agent("claude"), &[key], login), told(Login, "", ""));
        assert_eq!(billed(agent("claude"), &[token], paid), told(Nobody, key.0, ""));
    }
}
