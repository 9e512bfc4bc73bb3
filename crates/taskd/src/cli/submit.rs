//! `taskd run` and `taskd plan`: what a person hands in, checked first, told, then followed.
//!
//! Everything is asked of the daemon once without storing, so that questions come before facts. What
//! the daemon's providers name and our environment holds is handed over each time; the daemon keeps
//! it only with what it stores.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::Path,
};

use taskd_api::{Client, handed_over, v1};
use taskd_model::Digest;
use taskd_tools::agents::{ALLOWED, Found, Presets};

use super::{
    args::{Land, PlanArgs, PlanNewArgs, RunArgs, WorkArgs},
    failure::{Done, Failure},
    follow,
    here::{Here, now, variable},
    secrets, task, utf8,
};
use crate::render::{json, submit as picture};

/// The loop type that turns a request into a plan.
const PLAN_TYPE: &str = "plan";

/// `taskd run`.
pub(crate) async fn run(here: &Here, args: RunArgs) -> Done {
    sentence(here, args.task, args.work, args.session).await
}

/// `taskd plan new`: a sentence for the loop type that writes plans, or another that is named.
pub(crate) async fn plan_new(here: &Here, mut args: PlanNewArgs) -> Done {
    args.work.type_name.get_or_insert_with(|| PLAN_TYPE.to_owned());
    sentence(here, args.request, args.work, None).await
}

/// What came as one sentence, over stdin, in a file, or from an editor.
async fn sentence(
    here: &Here,
    typed: Option<String>,
    work: WorkArgs,
    session: Option<String>,
) -> Done {
    let text = task::task(here, typed, work.allow_secrets)?;
    let mut request = request(here, &work)?;
    request.options.get_or_insert_default().session = session;
    request.source = Some(v1::submit_request::Source::Request(text));
    request.idempotency_key = here.key.clone().unwrap_or_else(fresh_key);
    let client = here.client_or_start().await?;
    submit(here, &client, request, &work, "").await
}

/// `taskd plan submit`: without a key of its own, the content is the key.
pub(crate) async fn plan_submit(here: &Here, args: PlanArgs) -> Done {
    let (mut request, name) = plan_request(here, &args)?;
    request.file_name.clone_from(&name);
    request.idempotency_key = here.key.clone().unwrap_or_default();
    let client = here.client_or_start().await?;
    submit(here, &client, request, &args.work, &name).await
}

/// `taskd plan check`: stores nothing.
pub(crate) async fn plan_check(here: &Here, args: PlanArgs) -> Done {
    let (mut request, name) = plan_request(here, &args)?;
    request.check_only = true;
    request.try_accept = true;
    let client = here.client().await?;
    request.credentials = here.keys(&client.providers().await?);
    let answer = client.submit(request).await?;
    here.skew(&client);
    if here.out.json {
        here.out.object(&json::submitted(&answer))?;
    } else {
        here.out.complain_block(&picture::problems(&answer, &name));
        if is_right(&answer) {
            here.out.print(&picture::check(&answer, &here.scene()))?;
        }
    }
    Ok(if is_right(&answer) { 0 } else { taskd_api::exit::USAGE })
}

/// What a plan file asks for, and how the file is called.
pub(super) fn plan_request(
    here: &Here,
    args: &PlanArgs,
) -> Result<(v1::SubmitRequest, String), Failure> {
    let (text, name) = if args.file == "-" {
        (task::stdin()?, "stdin".to_owned())
    } else {
        (task::file(here, &args.file, "taskd help plan-file")?, utf8(args.file.clone())?)
    };
    if !args.work.allow_secrets {
        secrets::refuse(&text, &name)?;
    }
    let mut request = request(here, &args.work)?;
    request.source = Some(v1::submit_request::Source::Document(text));
    Ok((request, name))
}

/// What a program hands in: checked, and submitted unless that is all or something is wrong. Nobody
/// is asked and nothing is told.
pub(crate) async fn hand_in(
    here: &Here,
    client: &Client,
    source: v1::submit_request::Source,
    work: &WorkArgs,
    key: Option<String>,
    check_only: bool,
) -> Result<v1::SubmitResponse, Failure> {
    let (text, name) = match &source {
        v1::submit_request::Source::Request(text) => (text, "the task"),
        v1::submit_request::Source::Document(text) => (text, "the plan"),
    };
    secrets::refuse(text, name)?;
    let mut request = request(here, work)?;
    // Without a key of its own, a plan's content is the key.
    request.idempotency_key = match (&source, key) {
        (_, Some(key)) => key,
        (v1::submit_request::Source::Request(_), None) => fresh_key(),
        (v1::submit_request::Source::Document(_), None) => String::new(),
    };
    request.source = Some(source);
    let providers = client.providers().await?;
    request.credentials = handed_over(&providers, variable);
    let checked = client.submit(v1::SubmitRequest { check_only: true, ..request.clone() }).await?;
    if check_only || !is_right(&checked) {
        return Ok(checked);
    }
    let agents = Presets::load(&here.paths.config, here.repository());
    let wanted = wanted(&checked, &agents, &providers);
    request
        .credentials
        .extend(wanted.into_iter().filter_map(|it| Some((it.clone(), variable(&it)?))));
    Ok(client.submit(request).await?)
}

/// Checks, asks, submits, tells, follows.
async fn submit(
    here: &Here,
    client: &Client,
    mut request: v1::SubmitRequest,
    work: &WorkArgs,
    file: &str,
) -> Done {
    here.skew(client);
    let providers = client.providers().await?;
    // The check sees every key; what is kept is what this plan's workers are paid with.
    request.credentials = here.keys(&providers);
    let checked = check(here, client, &mut request, file).await?;
    ask_landing(here, &mut request, &checked, work)?;
    let before = if follows(here, work) { Some(client.view("").await?) } else { None };
    let agents = Presets::load(&here.paths.config, here.repository());
    let wanted = wanted(&checked, &agents, &providers);
    let presets = wanted.iter().filter_map(|it| Some((it.clone(), variable(it)?)));
    request.credentials = handed_over(&providers, variable);
    request.credentials.extend(presets);
    let answer = client.submit(request).await?;
    if !is_right(&answer) {
        return refuse(here, &answer, file);
    }
    here.out.complain_block(&picture::problems(&answer, file));
    let name = answer.plan.map(|it| format!("p{it}")).unwrap_or_default();
    let label = match (&work.how.agent, &work.how.model) {
        (Some(_), _) => "agent",
        (None, Some(_)) => "model",
        (None, None) => "worker",
    };
    if here.out.json {
        here.out.object(&json::submitted(&answer))?;
    } else if here.out.quiet {
        here.out.print(&format!("{name}\n"))?;
    } else {
        let label = label.to_owned();
        let who = picture::Who { label, detached: before.is_none() };
        here.out.print(&picture::head(&answer, &who, &here.scene()))?;
        if answer.already_known {
            here.out.remark(&format!("the same plan was here before: {name}; nothing was stored"));
        }
    }
    match (before, answer.plan) {
        (Some(before), Some(plan)) => {
            if !here.out.json {
                here.out.print("\n")?;
            }
            follow::follow(here, client, before, plan).await
        }
        (None, _) | (_, None) => Ok(0),
    }
}

/// Asks what would happen; where the daemon proposes a gate, the person may take it.
async fn check(
    here: &Here,
    client: &Client,
    request: &mut v1::SubmitRequest,
    file: &str,
) -> Result<v1::SubmitResponse, Failure> {
    let ask = |request: &v1::SubmitRequest| {
        client.submit(v1::SubmitRequest { check_only: true, ..request.clone() })
    };
    let mut answer = ask(request).await?;
    if here.out.can_ask && agree(here, client, request, &answer).await? {
        answer = ask(request).await?;
    }
    if let Some(gate) = proposed_gate(&answer).filter(|_| here.out.can_ask) {
        let why = answer.problems.iter().find(|it| !it.warning).map(|it| it.message.as_str());
        here.out.complain(&crate::render::text::clean(why.unwrap_or_default()));
        let question = format!("gate [Enter: {gate}; or another command; n: none] ");
        let said = here.out.ask(&question)?;
        let options = request.options.get_or_insert_default();
        match said.as_str() {
            "" => options.gate = Some(gate),
            "n" | "no" | "none" => options.no_gate = true,
            other => options.gate = Some(other.to_owned()),
        }
        answer = ask(request).await?;
    }
    if is_right(&answer) {
        return Ok(answer);
    }
    refuse(here, &answer, file).and(Err(Failure::Said(taskd_api::exit::USAGE)))
}

/// Shows what the project's files would have run, if that is all that is in the way, and asks whether
/// it may; says whether it may now.
async fn agree(
    here: &Here,
    client: &Client,
    request: &v1::SubmitRequest,
    answer: &v1::SubmitResponse,
) -> Result<bool, Failure> {
    let errors = answer.problems.iter().filter(|it| !it.warning).count();
    if answer.wishes.is_empty() || errors != answer.wishes.len() {
        return Ok(false);
    }
    here.out.complain("this project's own files would have these run on your machine, as you:");
    here.out.complain_block(&picture::wishes(&answer.wishes));
    let said = here.out.ask("may they, here, from now on? [y/N] ")?;
    if !matches!(said.as_str(), "y" | "Y" | "yes") {
        return Ok(false);
    }
    let trust = v1::TrustProject {
        path: request.repository.clone(),
        digests: answer.wishes.iter().map(|it| it.digest.clone()).collect(),
        target: answer.target.clone(),
    };
    let what = Some(v1::projects_request::What::Trust(trust));
    client.projects(v1::ProjectsRequest { what }).await?;
    Ok(true)
}

/// How to land is asked once, on a terminal, when no flag says so and the gate may decide.
fn ask_landing(
    here: &Here,
    request: &mut v1::SubmitRequest,
    checked: &v1::SubmitResponse,
    work: &WorkArgs,
) -> Result<(), Failure> {
    let open = work.land.is_none() && checked.land() == v1::LandPolicy::Ask;
    if !here.out.can_ask || !open || work.detach || checked.gate.is_empty() {
        return Ok(());
    }
    let question = "landing [Enter: ask me; g: by itself when the gate is green; n: never] ";
    let land = match here.out.ask(question)?.as_str() {
        "g" | "gate" | "on-gate" => Land::OnGate,
        "n" | "never" => Land::Never,
        _ => return Ok(()),
    };
    request.options.get_or_insert_default().land = Some(v1::LandPolicy::from(land).into());
    Ok(())
}

/// A gate that may be taken as it is: the hint is nothing but the flag.
pub(super) fn proposed_gate(answer: &v1::SubmitResponse) -> Option<String> {
    let mut errors = answer.problems.iter().filter(|it| !it.warning);
    let (only, None) = (errors.next()?, errors.next()) else { return None };
    let gate = only.hint.strip_prefix("--gate '")?.strip_suffix('\'')?;
    (!gate.contains('\'')).then(|| gate.to_owned())
}

pub(super) fn is_right(answer: &v1::SubmitResponse) -> bool {
    answer.problems.iter().all(|it| it.warning)
}

pub(super) fn refuse(here: &Here, answer: &v1::SubmitResponse, file: &str) -> Done {
    if here.out.json {
        here.out.object(&json::submitted(answer))?;
    } else {
        here.out.complain_block(&picture::problems(answer, file));
    }
    Err(Failure::Said(taskd_api::exit::USAGE))
}

/// Somebody reads what happens next.
fn follows(here: &Here, work: &WorkArgs) -> bool {
    !work.detach && !here.out.quiet
}

/// What every submission carries.
pub(super) fn request(here: &Here, work: &WorkArgs) -> Result<v1::SubmitRequest, Failure> {
    let agent = work.how.agent.as_deref().map(|it| agent(&here.directory, it)).transpose()?;
    let model = work.how.model.as_deref().map(|it| model(&here.directory, it)).transpose()?;
    let options = v1::SubmitOptions {
        agent,
        model,
        gate: work.how.gate.clone(),
        no_gate: work.how.no_gate,
        land: work.land.map(|it| v1::LandPolicy::from(it).into()),
        type_name: work.type_name.clone(),
        inputs: work.how.set.iter().cloned().collect(),
        base_red_ok: work.base_red_ok,
        priority: work.priority.map(|it| v1::Priority::from(it).into()),
        target: work.target.clone(),
        budget_micros: work.budget,
        time_ms: work.time,
        iterations: work.iterations,
        session: None,
    };
    Ok(v1::SubmitRequest {
        repository: here.work_directory()?,
        options: Some(options),
        // What this machine has is nothing to a program of another.
        environment: if here.is_elsewhere() { BTreeMap::new() } else { environment() },
        ..v1::SubmitRequest::default()
    })
}

/// What the daemon may know of our environment.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let one = |name: &&str| Some(((*name).to_owned(), env::var(name).ok()?));
    ALLOWED.iter().filter_map(one).collect()
}

/// The variables that hold what the workers of a checked plan are paid with.
fn wanted(
    checked: &v1::SubmitResponse,
    agents: &Presets,
    providers: &[v1::ProviderRow],
) -> BTreeSet<String> {
    checked.graph.iter().flat_map(|it| secrets_of(&it.worker, agents, providers)).collect()
}

/// The variables a worker's secrets are in. Plain commands and scripted models have none.
fn secrets_of(worker: &str, agents: &Presets, providers: &[v1::ProviderRow]) -> Vec<String> {
    if let Some(Found { preset, .. }) = agents.get(worker) {
        return [&preset.credential, &preset.login_variable]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
    }
    let name = worker.split_once('/').map(|it| it.0);
    let provider = providers.iter().find(|it| Some(it.name.as_str()) == name);
    let key = provider.filter(|it| !it.key_variable.is_empty() && !it.key_optional);
    key.map(|it| it.key_variable.clone()).into_iter().collect()
}

/// `./x.sh` means the file that is here, wherever the agent is started.
fn agent(directory: &Path, line: &str) -> Result<String, Failure> {
    let (program, rest) = line.split_once(' ').unwrap_or((line, ""));
    let relative = program.starts_with("./") || program.starts_with("../");
    if !relative {
        return Ok(line.to_owned());
    }
    let path = directory
        .join(program)
        .canonicalize()
        .map_err(|it| Failure::usage(format!("the agent {program} cannot be started: {it}"), ""))?;
    let path = shell_word(&utf8(path.into_os_string())?);
    Ok(if rest.is_empty() { path } else { format!("{path} {rest}") })
}

/// `scripted:replies.yaml` means the file that is here.
fn model(directory: &Path, name: &str) -> Result<String, Failure> {
    let Some(path) = name.strip_prefix("scripted:").filter(|it| Path::new(it).is_relative()) else {
        return Ok(name.to_owned());
    };
    let path = directory
        .join(path)
        .canonicalize()
        .map_err(|it| Failure::usage(format!("the script {path} cannot be read: {it}"), ""))?;
    Ok(format!("scripted:{}", utf8(path.into_os_string())?))
}

/// A word a shell takes as it is.
fn shell_word(text: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "/._-+@%".contains(it);
    if text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A key no other run has.
fn fresh_key() -> String {
    let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let (pid, now) = (std::process::id(), now().0);
    let parts = [&pid.to_le_bytes()[..], &now.to_le_bytes()[..], &nanos.to_le_bytes()[..]];
    Digest::of_parts(&parts).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(message: &str, hint: &str) -> v1::Problem {
        let (message, hint) = (message.to_owned(), hint.to_owned());
        v1::Problem { message, hint, ..v1::Problem::default() }
    }

    #[test]
    fn only_a_whole_gate_is_offered() {
        let answer = |problems| v1::SubmitResponse { problems, ..v1::SubmitResponse::default() };
        let found = answer(vec![problem("no gate is set; …", "--gate 'cargo test'")]);
        assert_eq!(proposed_gate(&found).as_deref(), Some("cargo test"));
        let none = answer(vec![problem("no gate", "--gate 'COMMAND', or --no-gate")]);
        assert_eq!(proposed_gate(&none), None);
        let more = answer(vec![problem("no gate", "--gate 'a'"), problem("no agent", "")]);
        assert_eq!(proposed_gate(&more), None, "asking would not be enough");
    }

    #[test]
    fn relative_agents_and_scripts_are_found_from_here() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::write(root.join("it's.sh"), "").unwrap();
        std::fs::write(root.join("x.yaml"), "").unwrap();
        let found = agent(&root, "./it's.sh --fast").unwrap();
        assert_eq!(found, format!("'{}/it'\\''s.sh' --fast", root.display()));
        assert_eq!(agent(&root, "claude").unwrap(), "claude");
        assert!(agent(&root, "./none.sh").is_err());
        let found = model(&root, "scripted:x.yaml").unwrap();
        assert_eq!(found, format!("scripted:{}/x.yaml", root.display()));
        assert_eq!(model(&root, "anthropic/x").unwrap(), "anthropic/x");
    }

    #[test]
    fn a_worker_is_paid_by_a_variable() {
        let row = |name: &str, key: &str, key_optional| v1::ProviderRow {
            name: name.to_owned(),
            key_variable: key.to_owned(),
            key_optional,
            ..v1::ProviderRow::default()
        };
        let providers =
            [row("acme", "ACME_KEY", false), row("local", "K", true), row("free", "", false)];
        let agents = Presets::load(Path::new("/nonexistent"), None);
        let of = |worker| secrets_of(worker, &agents, &providers);
        assert_eq!(of("claude"), ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]);
        assert_eq!(of("codex"), ["OPENAI_API_KEY"]);
        assert_eq!(of("acme/big"), ["ACME_KEY"]);
        for none in ["local/qwen3", "free/x", "scripted:/acme/x.yaml", "./x.sh", "acme", "other/x"]
        {
            assert_eq!(of(none), Vec::<String>::new(), "{none}");
        }
    }
}
