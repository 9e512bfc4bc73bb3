//! What a person wants done, by a name of a loop, a plan, or an item of the inbox.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};
use taskd_api::{
    ApiError, codes,
    v1::{ActRequest, Verb},
};

use crate::{Faces, Page, as_json, body, refused};

/// The longest key the daemon takes.
const KEY_BYTES: usize = 200;

/// What may be done from a page, by the names of the commands.
const VERBS: &[(&str, Verb)] = &[
    ("answer", Verb::Answer),
    ("budget", Verb::Budget),
    ("hold", Verb::Hold),
    ("land", Verb::Land),
    ("pause", Verb::Pause),
    ("reject", Verb::Reject),
    ("release", Verb::Release),
    ("resume", Verb::Resume),
    ("retry", Verb::Retry),
    ("steer", Verb::Note),
    ("stop", Verb::Stop),
    ("sync", Verb::Sync),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    verb: String,
    /// `p7`, `p7.limiter`, `i57`.
    id: String,
    #[serde(default)]
    text: String,
    /// For `budget`.
    #[serde(default)]
    micros: Option<u64>,
    /// Of the page's own choice: what is sent twice under it is done once.
    key: String,
}

pub(crate) async fn act<F: Faces>(State(page): State<Arc<Page<F>>>, request: Request) -> Response {
    let done = match body::<Act>(request).await {
        Ok(it) => perform(&page, it).await,
        Err(error) => Err(error),
    };
    done.map_or_else(|it| refused(&it), |it| as_json(StatusCode::OK, &it))
}

async fn perform<F: Faces>(page: &Page<F>, it: Act) -> Result<Value, ApiError> {
    let verb = VERBS.iter().find(|(name, _)| *name == it.verb).map(|(_, verb)| *verb);
    let invalid = |what: String| ApiError::new(codes::INVALID, what).hint("load the page again");
    let verb = verb.ok_or_else(|| {
        let names: Vec<&str> = VERBS.iter().map(|(name, _)| *name).collect();
        invalid(format!("{:?} is nothing a page can do; {}", it.verb, names.join(", ")))
    })?;
    if it.id.is_empty() || it.key.is_empty() || KEY_BYTES < it.key.len() {
        return Err(invalid("an act names one thing, and has a key of its own".to_owned()));
    }
    let client = page.client().await?.once(&it.key)?;
    // What goes on may have waited for what our environment holds.
    let goes_on = matches!(verb, Verb::Resume | Verb::Reject | Verb::Retry);
    let credentials =
        if goes_on { page.faces.credentials(&client.providers().await?) } else { BTreeMap::new() };
    let answer = client
        .act(ActRequest {
            verb: verb.into(),
            ids: vec![it.id],
            text: it.text,
            micros: it.micros,
            credentials,
            ..ActRequest::default()
        })
        .await?;
    let results: Vec<Value> = answer.results.iter().map(|it| page.faces.acted(it)).collect();
    Ok(json!({ "results": results, "seq": answer.seq }))
}
