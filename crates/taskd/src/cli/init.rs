//! `taskd init`: a first `.taskd/config.toml`, from what there is. It asks nothing, changes no other
//! file, and a file that is there stays as it is.
//!
//! What would decide and where work would start is the daemon's to say: it is asked as for a plan that
//! is only checked.

use clap::Args;
use taskd_api::{Client, v1};
use taskd_daemon::settings::{self, Setting};
use taskd_model::Digest;

use super::{
    agents,
    args::{FileArgs, HowArgs, WorkArgs},
    config,
    failure::{Done, Failure},
    here::{Here, variable},
    local_file, submit,
};
use crate::render::{config::Answer, init as picture};

#[derive(Debug, Args)]
#[command(
    after_help = "It asks nothing. Where .taskd/config.toml is there already, it changes nothing."
)]
pub(crate) struct InitArgs {
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What was found for one key, and why.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its name with its section: `gate.command`.
    pub(crate) key: &'static str,
    /// Its value as text; nothing if none was found, or somebody else says it.
    pub(crate) value: Option<String>,
    /// Where it is from, or why there is none.
    pub(crate) reason: String,
}

/// `taskd init`.
pub(crate) async fn init(here: &Here, args: &InitArgs) -> Done {
    here.only_here("taskd init")?;
    let Some(root) = here.repository() else {
        let what = format!("{} is in no git repository", here.directory.display());
        return Err(Failure::usage(what, "git init, or cd to one"));
    };
    let mut file = config::file_of(here, FileArgs { project: true, local: false })?;
    if file.exists {
        if here.out.json {
            here.out.object(&Answer { files: vec![file], ..Answer::default() }.json())?;
        } else {
            here.out.print(&picture::there(&settings::origin(&file)))?;
        }
        return Ok(0);
    }
    let client = here.client_or_start().await?;
    here.skew(&client);
    let known = config::all(here)?;
    let worker = worker(here, &client, &known).await?;
    let (target, gate) = look(here, &client, &known, &worker).await?;
    let found = [gate, worker];
    let text = picture::text(&found);
    let keys = config::right(here, &file.path, &text)?;
    if !args.dry_run {
        config::write(&file.path, &text)?;
        file.exists = true;
        trust(here, &client, &found[0]).await?;
    }
    if here.out.json {
        let is_ours = |it: &Setting| found.iter().any(|of| of.key == it.key && of.value.is_some());
        let keys = keys.into_iter().filter(is_ours).collect();
        here.out.object(&Answer { keys, files: vec![file], ..Answer::default() }.json())?;
    } else if args.dry_run {
        here.out.print(&text)?;
    } else {
        let unnamed = !local_file::is_left_alone(root);
        here.out.print(&picture::wrote(&settings::origin(&file), &target, &found, unnamed))?;
    }
    Ok(0)
}

/// Somebody else's word for a key: then it is not ours to say.
fn said(known: &[Setting], key: &'static str) -> Option<Found> {
    let it = known.iter().find(|it| it.key == key)?;
    // Where that is said may be a path that is nobody else's business.
    let reason = format!("it is {} already, by your own settings", it.value.as_ref()?);
    Some(Found { key, value: None, reason })
}

/// Who works: an agent that is here and that something pays for, or else a model whose key is set.
async fn worker(here: &Here, client: &Client, known: &[Setting]) -> Result<Found, Failure> {
    if let Some(it) = said(known, AGENT).or_else(|| said(known, MODEL)) {
        return Ok(it);
    }
    let mut usable = agents::usable(here).await?.into_iter();
    if let Some((name, payer)) = usable.next() {
        let others: Vec<String> = usable.map(|it| it.0).collect();
        let others = match others.as_slice() {
            [] => String::new(),
            names => format!("; also here: {}", names.join(", ")),
        };
        let reason = format!("installed, billed to {payer}{others}");
        return Ok(Found { key: AGENT, value: Some(name), reason });
    }
    let models = client.models(v1::ModelsRequest::default()).await?;
    let has_key = |it: &&v1::ProviderRow| {
        !it.key_variable.is_empty() && variable(&it.key_variable).is_some_and(|it| !it.is_empty())
    };
    for it in models.providers.iter().filter(has_key) {
        if let Some(model) = models.models.iter().find(|of| of.provider == it.name) {
            let value = Some(format!("{}/{}", it.name, model.name));
            let reason = format!("billed to {}; others: taskd models", it.key_variable);
            return Ok(Found { key: MODEL, value, reason });
        }
    }
    let reason = "no agent is installed and logged in, and no model's key is set".to_owned();
    Ok(Found { key: AGENT, value: None, reason })
}

/// Where work would start and land, and what would decide about it.
async fn look(
    here: &Here,
    client: &Client,
    known: &[Setting],
    worker: &Found,
) -> Result<(String, Found), Failure> {
    let (mut agent, mut model) = (None, None);
    match (&worker.value, worker.key) {
        (Some(name), MODEL) => model = Some(name.clone()),
        (Some(name), _) => agent = Some(name.clone()),
        // The rest is looked at all the same.
        (None, _) => agent = Some("true".to_owned()),
    }
    let how = HowArgs { agent, model, no_gate: true, ..HowArgs::default() };
    let mut request = submit::request(here, &WorkArgs { how, ..WorkArgs::default() })?;
    request.source = Some(v1::submit_request::Source::Request("what there is".to_owned()));
    request.check_only = true;
    request.credentials = here.keys(&client.providers().await?);
    let answer = client.submit(request.clone()).await?;
    if !submit::is_right(&answer) {
        return submit::refuse(here, &answer, "").and(Err(Failure::Said(taskd_api::exit::USAGE)));
    }
    if let Some(it) = said(known, GATE) {
        return Ok((answer.target, it));
    }
    request.options.get_or_insert_default().no_gate = false;
    let gateless = client.submit(request).await?;
    let value = submit::proposed_gate(&gateless);
    let told = gateless.problems.iter().find(|it| !it.warning).map(|it| it.message.as_str());
    let told = told.and_then(|it| it.strip_prefix("no gate is set")).unwrap_or_default();
    let reason = told.trim_start_matches([';', ',', ' ']).trim_start_matches("and ");
    let reason = reason.split(" suggests `").next().unwrap_or_default().to_owned();
    Ok((answer.target, Found { key: GATE, value, reason }))
}

/// Who had this written has said that it may run.
async fn trust(here: &Here, client: &Client, gate: &Found) -> Result<(), Failure> {
    let Some(command) = &gate.value else { return Ok(()) };
    let digests = vec![Digest::of(command.as_bytes()).to_string()];
    let trust = v1::TrustProject { path: here.work_directory()?, digests, ..Default::default() };
    let what = Some(v1::projects_request::What::Trust(trust));
    client.projects(v1::ProjectsRequest { what }).await?;
    Ok(())
}

const GATE: &str = "gate.command";
const AGENT: &str = "work.agent";
const MODEL: &str = "work.model";
