//! Tools that change something: what a person could type, without questions.

use std::path::PathBuf;

use clap::ValueEnum as _;
use serde::Deserialize;
use serde_json::{Value, json};
use taskd_api::v1;

use super::{Found, read};
use crate::{
    cli::{
        args::{HowArgs, Land, WorkArgs},
        failure::Failure,
        here::Here,
        mcp::Fleet,
        submit,
    },
    render::json as object,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanArgs {
    document: Option<String>,
    request: Option<String>,
    directory: Option<PathBuf>,
    agent: Option<String>,
    model: Option<String>,
    gate: Option<String>,
    land: Option<String>,
    r#type: Option<String>,
    target: Option<String>,
    key: Option<String>,
}

/// Checks a plan, and submits it unless that is all.
pub(super) async fn plan(fleet: &Fleet, args: Value, check_only: bool) -> Found {
    let args: PlanArgs = read(args)?;
    let here = place(&fleet.here, args.directory)?;
    let land = args.land.as_deref().map(|it| Land::from_str(it, false));
    let land = land.transpose().map_err(|it| Failure::usage(format!("`land`: {it}"), ""))?;
    let how =
        HowArgs { agent: args.agent, model: args.model, gate: args.gate, ..HowArgs::default() };
    let work =
        WorkArgs { how, land, type_name: args.r#type, target: args.target, ..WorkArgs::default() };
    let source = match (args.document, args.request) {
        (Some(text), None) => v1::submit_request::Source::Document(text),
        (None, Some(text)) => v1::submit_request::Source::Request(text),
        (Some(_), Some(_)) | (None, None) => {
            let what = "exactly one of `document` and `request` is needed";
            return Err(Failure::usage(what, "taskd help plan-file"));
        }
    };
    let client = if check_only { here.client().await? } else { here.client_or_start().await? };
    let answer = submit::hand_in(&here, &client, source, &work, args.key, check_only).await?;
    let is_wrong = answer.problems.iter().any(|it| !it.warning);
    Ok((object::submitted(&answer), is_wrong))
}

/// The same person in another directory.
fn place(here: &Here, directory: Option<PathBuf>) -> Result<Here, Failure> {
    let Some(named) = directory else { return Ok(here.clone()) };
    let directory = here.directory.join(named);
    let directory = directory
        .canonicalize()
        .map_err(|it| Failure::usage(format!("{}: {it}", directory.display()), ""))?;
    Ok(Here { directory, ..here.clone() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SteerArgs {
    id: String,
    text: String,
}

pub(super) async fn steer(fleet: &Fleet, args: Value) -> Found {
    let SteerArgs { id, text } = read(args)?;
    act(fleet, v1::Verb::Note, id, text).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApproveArgs {
    id: String,
    decision: Decision,
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Land,
    Resume,
    Reject,
}

pub(super) async fn approve(fleet: &Fleet, args: Value) -> Found {
    let ApproveArgs { id, decision, text } = read(args)?;
    let verb = match decision {
        Decision::Land => v1::Verb::Land,
        Decision::Resume => v1::Verb::Resume,
        Decision::Reject => v1::Verb::Reject,
    };
    act(fleet, verb, id, text).await
}

async fn act(fleet: &Fleet, verb: v1::Verb, id: String, text: String) -> Found {
    let client = fleet.here.client().await?;
    let mut request =
        v1::ActRequest { verb: verb.into(), ids: vec![id], text, ..v1::ActRequest::default() };
    if verb != v1::Verb::Land {
        request.credentials = fleet.here.keys(&client.providers().await?);
    }
    let answer = client.act(request).await?;
    let is_error = answer.results.iter().any(|it| it.error.is_some());
    let results: Vec<Value> = answer.results.iter().map(object::acted).collect();
    Ok((json!({ "schema_version": object::SCHEMA_VERSION, "results": results }), is_error))
}
