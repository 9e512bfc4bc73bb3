//! `taskd open`: a person goes on with an agent's session by hand, in the loop's worktree.
//!
//! We become the agent: with this shell's own environment, and what its preset sets. What is changed
//! there is the loop's work when it goes on.

use std::{os::unix::process::CommandExt as _, process::Command};

use taskd_api::{ApiError, v1};
use taskd_model::{LoopId, LoopView, Status, Worker};
use taskd_tools::agents::{Presets, Source};

use super::{
    failure::{Done, Failure},
    here::Here,
};

/// `taskd open ID`.
pub(crate) async fn open(here: &Here, id: &str) -> Done {
    let client = here.client().await?;
    let view = client.view("").await?;
    here.skew(&client);
    let shown = client.show(v1::ShowRequest { id: id.to_owned(), at: None }).await?;
    let one = shown.r#loop.map(LoopId::try_from).transpose().map_err(ApiError::from)?;
    let one = one.and_then(|it| view.loops.get(&it));
    let Some(one) = one else {
        return Err(Failure::usage(format!("{id} has more than one loop"), "name one of them"));
    };
    let argv = argv(here, one)?;
    let path = client.path(v1::PathRequest { id: one.name.clone() }).await?.path;
    drop(client);
    let [program, args @ ..] = &argv.line[..] else { return Ok(0) };
    here.out.remark(&format!(
        "{path}: {}; `taskd resume {}` goes on with it",
        argv.line.join(" "),
        one.name
    ));
    #[expect(clippy::disallowed_methods, reason = "we become what a person works with")]
    let mut command = Command::new(program);
    let error = command.args(args).envs(argv.set).current_dir(&path).exec();
    Err(Failure::failed(format!("cannot start {program}: {error}"), "taskd agents ls"))
}

/// What is started.
struct Argv {
    line: Vec<String>,
    set: std::collections::BTreeMap<String, String>,
}

fn argv(here: &Here, one: &LoopView) -> Result<Argv, Failure> {
    let name = &one.name;
    if matches!(one.status, Status::Running | Status::Pending) {
        let what = format!("{name} is at work, and two would write to the same files");
        return Err(Failure::failed(what, format!("taskd pause {name}")));
    }
    let Worker::Agent(agent) = &one.worker else {
        let what = format!("{name} is worked on by a model; there is no session to open");
        return Err(Failure::failed(what, format!("cd \"$(taskd path {name})\"")));
    };
    let Some(session) = &one.session else {
        let what = format!("{agent} told no session of {name}");
        return Err(Failure::failed(what, format!("cd \"$(taskd path {name})\"")));
    };
    let presets = Presets::load(&here.paths.config, here.repository());
    let found = presets.get(agent).filter(|it| it.source != Source::Project);
    let preset = found.map(|it| &it.preset);
    let line = preset.map(|it| it.open(session)).transpose();
    let line = line.map_err(|it| Failure::failed(it.to_string(), ""))?.flatten();
    let (Some(preset), Some(line)) = (preset, line) else {
        let what = format!("the preset of {agent} does not say how a session is opened");
        return Err(Failure::failed(what, "set `open_argv` in a preset of your own"));
    };
    Ok(Argv { line, set: preset.set.clone() })
}
