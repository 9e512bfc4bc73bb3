//! Who pays for a worker, told by the name of a variable. No credential is part of it.

use std::{collections::BTreeMap, path::Path};

use taskd_api::v1;
use taskd_llm::Catalog;
use taskd_model::Worker;
use taskd_tools::agents::Presets;

use super::take;
use crate::runner::{Context, lock};

/// Who pays for each of these, each told once, with what is held and `given`. Of the
/// project there, if of one.
pub(crate) fn payers<'a>(
    ctx: &Context,
    root: Option<&Path>,
    given: &BTreeMap<String, String>,
    workers: impl IntoIterator<Item = &'a Worker>,
) -> Vec<v1::Payer> {
    let catalog = ctx.models.catalog();
    let mut held = lock(&ctx.credentials).clone();
    let agents = ctx.agents(root);
    take(catalog, &agents, &mut held, given.clone());
    let mut rows: Vec<v1::Payer> = Vec::new();
    for it in workers {
        let row = payer(catalog, &agents, &held, it);
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows.sort_by(|a, b| a.worker.cmp(&b.worker));
    rows
}

fn payer(
    catalog: &Catalog,
    agents: &Presets,
    held: &BTreeMap<String, String>,
    worker: &Worker,
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
            let variable = agents.get(name).and_then(|it| it.preset.credential.as_ref());
            return match variable.filter(|it| has(it)) {
                Some(it) => row(v1::PayerKind::Variable, it, String::new()),
                None => row(v1::PayerKind::Login, "", String::new()),
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
    fn who_pays_is_told_by_variable_and_host() {
        let catalog = Catalog::built_in();
        let agents = Presets::load(Path::new("/nonexistent"), None);
        let of = |worker: Worker, held: &[(&str, &str)]| {
            let held = held.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            let it = payer(&catalog, &agents, &held, &worker);
            let text = format!("{it:?}");
            assert!(!text.contains("secret"), "{text}");
            (it.kind(), it.variable, it.place)
        };
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
    }
}
