//! The command line: what is typed becomes calls of the API, what comes back becomes pictures.
//!
//! It holds no truth and decides nothing about loops. Errors are printed here, once; exit codes
//! come from here and nowhere else.

mod act;
pub(crate) mod agents;
mod args;
mod choose;
mod complete;
mod config;
mod daemon;
mod debug;
mod doctor;
mod editor;
mod export;
mod failure;
mod flakes;
mod follow;
mod gc;
mod help;
mod here;
mod history;
mod inbox;
pub(crate) mod init;
mod install;
mod local_file;
mod look;
mod mcp;
mod metrics;
mod money;
mod open;
mod out;
mod own;
mod paths;
mod prompt;
mod schema;
mod secrets;
mod start;
mod stream;
mod submit;
mod task;
mod types;
mod verify;
mod wait;
mod web;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser as _, error::ErrorKind};
use taskd_api::v1::Verb;

use args::{
    AgentsCommand, BudgetCommand, Cli, Command, DaemonCommand, ModelsArgs, ModelsCommand,
    PlanCommand, ProjectsCommand, QueueArgs, QueueCommand,
};
use failure::{Done, Failure};
use here::Here;
use out::Out;

/// Reads the command line, does what it says, and tells how that ended.
pub(crate) fn main() -> ExitCode {
    complete::answer();
    let args = match Cli::try_parse() {
        Ok(args) => args,
        Err(error) => match choose::instead(&error) {
            Ok(Some(args)) => args,
            Ok(None) => return usage(&error).into(),
            Err(failure) => return failure.report(wants_json()).into(),
        },
    };
    let json = args.json;
    match run(args) {
        Ok(code) => code,
        Err(failure) => ExitCode::from(failure.report(json)),
    }
}

/// As far as one can tell from a command line that cannot be read.
fn wants_json() -> bool {
    std::env::args_os().take_while(|it| it != "--").any(|it| it == "--json")
}

/// Help is an answer; everything else clap says is an error of usage.
fn usage(error: &clap::Error) -> u8 {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !asked && wants_json() {
        let text = error.render().to_string();
        // What is wrong stands before the first empty line, how it is used behind it.
        let what: Vec<&str> = text.lines().take_while(|it| !it.is_empty()).map(str::trim).collect();
        let what = what.join(" ");
        let what = what.strip_prefix("error: ").unwrap_or(&what);
        return Failure::usage(what, "taskd help all").report(true);
    }
    // A reader that went away is no error.
    error.print().ok();
    if asked { 0 } else { taskd_api::exit::USAGE }
}

fn run(mut args: Cli) -> Result<ExitCode, Failure> {
    if let Some(Command::Own(words)) = &args.command {
        args = own::find(&args, words)?;
    }
    if let Some(Command::Doctor { hermetic: true, .. }) = &args.command {
        let out = Out::new(args.json, args.quiet, args.no_color);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(Box::pin(doctor::hermetic(&out))).map(ExitCode::from);
    }
    // A shell waits for it at each prompt: what it needs is one file.
    if let Some(Command::Prompt(it)) = &args.command {
        let out = Out::new(args.json, args.quiet, args.no_color);
        return Ok(prompt::prompt(&out, it)?.into());
    }
    let here = Here::new(&args)?;
    // The daemon makes a runtime of its own, after it has a session of its own.
    if let Some(Command::Daemon(DaemonCommand::Run(run))) = &args.command {
        return Ok(daemon::run(&here, run)?.into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = match args.command {
        Some(Command::Demo(args)) => {
            runtime.block_on(Box::pin(crate::demo::run(args))).map_err(Failure::from)
        }
        command => runtime.block_on(Box::pin(dispatch(&here, command))).map(ExitCode::from),
    };
    // A terminal that is being read from is not waited for.
    runtime.shutdown_background();
    done
}

async fn plan(here: &Here, command: PlanCommand) -> Done {
    match command {
        PlanCommand::New(it) => submit::plan_new(here, it).await,
        PlanCommand::Submit(it) => submit::plan_submit(here, it).await,
        PlanCommand::Check(it) => submit::plan_check(here, it).await,
        PlanCommand::Show { id } => look::show(here, &id, None).await,
        PlanCommand::Ls(it) => look::plans(here, it).await,
    }
}

async fn projects(here: &Here, command: ProjectsCommand) -> Done {
    match command {
        ProjectsCommand::Ls => look::projects(here).await,
        ProjectsCommand::Add { path } => look::project_add(here, path).await,
        ProjectsCommand::Move { old, new } => look::project_move(here, old, new).await,
        ProjectsCommand::Trust { path } => look::project_trust(here, path).await,
        ProjectsCommand::Forget { path } => look::project_forget(here, path).await,
    }
}

async fn queue(here: &Here, command: Option<QueueCommand>) -> Done {
    match command {
        None => look::queue(here).await,
        Some(QueueCommand::Hold(it)) => act::verb(here, Verb::Hold, it).await,
        Some(QueueCommand::Release(it)) => act::verb(here, Verb::Release, it).await,
        Some(QueueCommand::Move { id, before, dry, .. }) => act::turn(here, id, before, dry).await,
    }
}

async fn budget(here: &Here, command: BudgetCommand) -> Done {
    match command {
        BudgetCommand::Show { ids, scope } => money::budgets(here, &ids, scope).await,
        BudgetCommand::Set { id, amount, dry } => act::budget(here, id, amount, dry).await,
    }
}

async fn dispatch(here: &Here, command: Option<Command>) -> Done {
    let Some(command) = command else { return look::overview(here).await };
    match command {
        Command::Run(it) => submit::run(here, it).await,
        Command::Plan(it) => plan(here, it).await,
        Command::Ls(it) => look::ls(here, it).await,
        Command::Show(it) => look::show(here, &it.id, it.at).await,
        Command::Why { id } => look::why(here, &id).await,
        Command::Logs(it) => stream::logs(here, it).await,
        Command::Diff(it) => look::diff(here, it).await,
        Command::Export(it) => export::export(here, it).await,
        Command::Flakes(it) => flakes::flakes(here, it).await,
        Command::Verify(it) => verify::verify(here, it).await,
        Command::Steer(it) => act::steer(here, it).await,
        Command::Inbox(it) => inbox::inbox(here, it).await,
        Command::Answer(it) => {
            act::text(here, Verb::Answer, vec![it.question], it.answer.join(" "), it.dry).await
        }
        Command::Approve(it) | Command::Land(it) => act::verb(here, Verb::Land, it).await,
        Command::Reject(it) => act::text(here, Verb::Reject, it.ids, it.message, it.dry).await,
        Command::Sync(it) => act::sync(here, it).await,
        Command::Branch(it) => {
            act::text(here, Verb::Branch, vec![it.id], it.name.unwrap_or_default(), it.dry).await
        }
        Command::Pause(it) => act::verb(here, Verb::Pause, it).await,
        Command::Resume(it) => act::verb(here, Verb::Resume, it).await,
        Command::Stop(it) => act::verb(here, Verb::Stop, it).await,
        Command::Wait(it) => wait::wait(here, it).await,
        Command::Costs(it) => money::costs(here, it).await,
        Command::Budget(it) => budget(here, it).await,
        Command::Agents(AgentsCommand::Ls) => agents::ls(here).await,
        Command::Agents(AgentsCommand::Show { name }) => agents::show(here, &name).await,
        Command::Agents(AgentsCommand::Test { name }) => agents::test(here, &name).await,
        Command::Types(it) => types::dispatch(here, it).await,
        Command::Init(it) => init::init(here, &it).await,
        Command::Config { command } => config::dispatch(here, command).await,
        Command::Models(ModelsArgs {
            command: Some(ModelsCommand::Reset { names, refusals, dry }),
            ..
        }) => act::reset(here, names, refusals, dry).await,
        Command::Models(it) => look::models(here, it).await,
        Command::Queue(QueueArgs { command }) => queue(here, command).await,
        Command::Metrics(it) => metrics::metrics(here, it).await,
        Command::Tui(it) => look::tui(here, it).await,
        Command::Web(it) => web::web(here, it).await,
        Command::Mcp(it) => mcp::mcp(here, it).await,
        Command::Doctor { fix, .. } => doctor::doctor(here, fix).await,
        Command::Debug(it) => debug::dispatch(here, it).await,
        Command::Daemon(it) => daemon::dispatch(here, it).await,
        Command::Open { id } => open::open(here, &id).await,
        Command::Checkpoints { id } => history::checkpoints(here, id).await,
        Command::Rewind(it) => history::rewind(here, it).await,
        Command::Retry(it) => act::retry(here, it).await,
        Command::Undo(it) => history::undo(here, it).await,
        Command::Salvage(it) => history::salvage(here, it).await,
        Command::Path { id } => look::path(here, &id).await,
        Command::Paths => paths::paths(here),
        Command::Gc(it) => gc::gc(here, it).await,
        Command::Events(it) => stream::events(here, it).await,
        Command::Completions { shell } => complete::completions(here, shell),
        Command::Man { pages } => complete::man(here, pages.as_deref()),
        Command::Projects(it) => projects(here, it).await,
        Command::Demo(_) | Command::Prompt(_) | Command::Own(_) => Ok(0),
        Command::Help { topic, name } => help::help(here, topic.as_deref(), name.as_deref()),
    }
}

/// A text of the command line, which must be UTF-8 to be sent.
fn utf8(text: OsString) -> Result<String, Failure> {
    text.into_string().map_err(|it| {
        Failure::usage(format!("{} is not UTF-8", it.to_string_lossy()), "rename it, or cd there")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
