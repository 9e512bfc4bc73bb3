//! `taskd models --check`: whether providers can be called, and what to do where they cannot.
//!
//! Credentials are told by the name of their variable only.

use serde_json::{Value, json};
use taskd_api::v1::{self, ProviderState};

use super::{
    Scene,
    json::SCHEMA_VERSION,
    models::{Seen, credential, drawn},
    queue,
    table::Table,
    text::clean,
};

/// It answered, or says nothing against being called.
pub(crate) fn is_usable(it: &v1::ProviderCheck) -> bool {
    matches!(it.state(), ProviderState::Usable | ProviderState::NoList)
}

/// The picture: a line for each provider, then what to do, then the buckets calls do not go through.
pub(crate) fn checks(seen: &Seen<'_>, scene: &Scene) -> String {
    let mut table = Table::new(&["PROVIDER", "CREDENTIAL", "ANSWER", "MODELS", "CALLS"], 1, 5);
    for it in &seen.answer.checks {
        let provider = seen.answer.providers.iter().find(|row| row.name == it.name);
        table.row(vec![
            clean(&it.name),
            provider.map(|it| clean(&credential(seen, it))).unwrap_or_default(),
            answer(it),
            models(it),
            calls(it),
        ]);
    }
    let mut out = drawn(&table, scene);
    for it in seen.answer.checks.iter().filter(|it| !it.problem.is_empty()) {
        out.push_str(&format!("\n{}: {}\n", clean(&it.name), clean(&it.problem)));
        if !it.hint.is_empty() {
            out.push_str(&format!("  {}\n", clean(&it.hint)));
        }
    }
    let closed = seen.answer.checks.iter().flat_map(|it| &it.buckets);
    for it in closed.filter(|it| it.state() != v1::BucketState::Open) {
        out.push_str(&format!("\n{}: {}\n", clean(&it.name), queue::state(it, scene)));
    }
    out
}

fn answer(it: &v1::ProviderCheck) -> String {
    match it.state() {
        ProviderState::Usable if 0 < it.age_ms / 1_000 => {
            format!("usable, asked {} s ago", it.age_ms / 1_000)
        }
        ProviderState::Usable => format!("usable, {} ms", it.took_ms),
        state @ (ProviderState::Unspecified
        | ProviderState::NoCredential
        | ProviderState::Misconfigured
        | ProviderState::Unreachable
        | ProviderState::NotAccepted
        | ProviderState::Refused
        | ProviderState::Failing
        | ProviderState::NoList) => word(state).replace('_', " "),
    }
}

fn models(it: &v1::ProviderCheck) -> String {
    let more = if it.more_models { "+" } else { "" };
    it.models.map_or_else(|| "-".to_owned(), |n| format!("{n}{more}"))
}

/// How many of its buckets calls go through.
fn calls(it: &v1::ProviderCheck) -> String {
    let open = it.buckets.iter().filter(|it| it.state() == v1::BucketState::Open).count();
    match it.buckets.len() {
        0 => "none yet".to_owned(),
        all if all == open => "go through".to_owned(),
        all => format!("{} of {all} held", all - open),
    }
}

fn word(state: ProviderState) -> &'static str {
    match state {
        ProviderState::Unspecified => "unknown",
        ProviderState::Usable => "usable",
        ProviderState::NoCredential => "no_credential",
        ProviderState::Misconfigured => "misconfigured",
        ProviderState::Unreachable => "unreachable",
        ProviderState::NotAccepted => "not_accepted",
        ProviderState::Refused => "refused",
        ProviderState::Failing => "failing",
        ProviderState::NoList => "no_list",
    }
}

/// `models --check --json`: one object.
pub(crate) fn json(seen: &Seen<'_>) -> Value {
    let rows = seen.answer.checks.iter().map(|it| {
        let state = it.state();
        let reachable = match state {
            ProviderState::Usable
            | ProviderState::NotAccepted
            | ProviderState::Refused
            | ProviderState::Failing
            | ProviderState::NoList => Some(true),
            ProviderState::Unreachable => Some(false),
            ProviderState::Unspecified
            | ProviderState::NoCredential
            | ProviderState::Misconfigured => None,
        };
        let accepted = match state {
            ProviderState::Usable => Some(true),
            ProviderState::NotAccepted => Some(false),
            ProviderState::Unspecified
            | ProviderState::NoCredential
            | ProviderState::Misconfigured
            | ProviderState::Unreachable
            | ProviderState::Refused
            | ProviderState::Failing
            | ProviderState::NoList => None,
        };
        let provider = seen.answer.providers.iter().find(|row| row.name == it.name);
        let has = |row: &v1::ProviderRow| {
            row.key_variable.is_empty() || row.key_held || (seen.set)(&row.key_variable)
        };
        json!({
            "name": it.name,
            "state": word(state),
            "usable": is_usable(it),
            "credential": provider.is_some_and(has),
            "reachable": reachable,
            "accepted": accepted,
            "models": it.models,
            "more_models": it.more_models,
            "took_ms": it.took_ms,
            "age_ms": it.age_ms,
            "problem": (!it.problem.is_empty()).then_some(&it.problem),
            "hint": (!it.hint.is_empty()).then_some(&it.hint),
            "buckets": it.buckets.iter().map(queue::bucket_json).collect::<Vec<_>>(),
        })
    });
    json!({ "schema_version": SCHEMA_VERSION, "providers": rows.collect::<Vec<_>>() })
}
