//! The agent a plan names, as far as one can see what is wrong with it without starting it.

use std::{collections::BTreeMap, path::Path};

use taskd_api::v1;
use taskd_model::{AgentDoc, Billing, TypeDoc};
use taskd_tools::agents::{Format, Invocation, Preset, Presets, Source};

use crate::{
    models,
    runner::{Context, speaks_acp},
};

/// Why an agent cannot be started, and what to do about it; `None` if it perhaps can.
pub(super) fn trouble(
    ctx: &Context,
    agents: &Presets,
    run: &str,
    declared: (Option<Billing>, Option<Billing>),
    request: &v1::SubmitRequest,
) -> Option<(String, String)> {
    let env = &request.environment;
    let preset = match agents.resolve(run) {
        Ok(preset) => preset,
        Err(problem) => {
            let what = format!("the agent `{run}` cannot be used: {problem}");
            return Some((what, "correct the file; `taskd agents ls` shows all".to_owned()));
        }
    };
    if agents.get(run).is_none() {
        return misspelt(agents, run, env);
    }
    missing(&preset, env).map(|it| (it, String::new())).or_else(|| {
        let why = models::unpaid(ctx, agents, run, declared, &request.credentials)?;
        Some((why, format!("taskd agents show {run}")))
    })
}

/// Why an agent cannot go on with the session that is named; `None` if none is, or it perhaps can.
pub(super) fn no_session(
    agents: &Presets,
    run: &str,
    options: &v1::SubmitOptions,
) -> Option<(String, String)> {
    let session = options.session.as_deref()?;
    let can = |it: &Preset| it.resume_argv.is_some() || it.format == Format::Acp;
    let Some(found) = agents.get(run).filter(|it| can(&it.preset)) else {
        let what = format!("the agent `{run}` cannot go on with a session");
        return Some((what, "taskd agents show NAME says which can".to_owned()));
    };
    let (prompt, prompt_path) = ("", Path::new("prompt"));
    let run = Invocation { prompt_path, prompt, session: Some(session), through: None };
    let why = found.preset.argv(&run).err()?;
    Some((why.to_string(), "name it as the agent does".to_owned()))
}

/// Why an agent cannot be a second reader; `None` if it perhaps can.
pub(super) fn no_reader(agents: &Presets, run: &str) -> Option<(String, String)> {
    let acp = agents.get(run).is_some_and(|it| it.preset.format == Format::Acp);
    let hint = "name another agent, or a `model`: PROVIDER/NAME".to_owned();
    acp.then(|| (speaks_acp(run), hint))
}

/// One word that is no program, and nearly the name of a preset.
fn misspelt(
    agents: &Presets,
    run: &str,
    env: &BTreeMap<String, String>,
) -> Option<(String, String)> {
    let one_word = run.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
    if !one_word || is_on_path(run, env) {
        return None;
    }
    let meant = agents.nearest(run)?;
    let what = format!("there is no agent and no program `{run}`; did you mean `{meant}`?");
    Some((what, "taskd agents ls".to_owned()))
}

fn missing(preset: &Preset, env: &BTreeMap<String, String>) -> Option<String> {
    let program = preset.argv.first()?;
    let name = &preset.name;
    let there = program.contains('/') || is_on_path(program, env);
    (!there).then(|| format!("the agent `{name}` is not installed: no `{program}` on your PATH"))
}

fn is_on_path(program: &str, env: &BTreeMap<String, String>) -> bool {
    let path = env.get("PATH").map(String::as_str).unwrap_or_default();
    std::env::split_paths(path).any(|dir| dir.join(program).is_file())
}

/// The loop type has tool servers, and the agent takes none.
pub(super) fn without_servers(
    agents: &Presets,
    agent: &AgentDoc,
    loop_type: &TypeDoc,
) -> Option<v1::Problem> {
    let AgentDoc::Agent { run } = agent else { return None };
    let takes_none = agents.resolve(run).is_ok_and(|it| it.mcp.is_none());
    (takes_none && !loop_type.mcp.is_empty()).then(|| {
        let name: String = run.chars().take(60).collect();
        let message = format!(
            "{}: the agent `{name}` is told nothing of `mcp`: its preset does not say how",
            loop_type.origin
        );
        v1::Problem { warning: true, message, ..v1::Problem::default() }
    })
}

/// What a person should know of preset files before they rely on them.
pub(super) fn remarks(agents: &Presets) -> Vec<v1::Problem> {
    let warning =
        |message: String| v1::Problem { warning: true, message, ..v1::Problem::default() };
    let instead = agents.all().filter(|it| it.source == Source::Project);
    let instead = instead.filter(|it| Preset::builtin(&it.preset.name).is_some());
    let instead = instead.map(|it| {
        let (name, file) = (&it.preset.name, it.file.as_deref().unwrap_or_default());
        warning(format!("{file}: the agent `{name}` is the project's own here, and gets no key"))
    });
    agents.problems().map(|it| warning(it.to_string())).chain(instead).collect()
}
