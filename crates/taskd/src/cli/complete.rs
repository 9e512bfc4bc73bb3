//! What a shell offers at the Tab key: commands and flags from the same definition that is parsed,
//! and the ids of what there is, from a daemon that runs. It never starts one, and where nobody
//! answers in time it offers nothing and says nothing.

use std::{ffi::OsStr, path::Path, time::Duration};

use clap::CommandFactory as _;
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::Shells,
};
use taskd_api::Client;
use taskd_daemon::{paths::Paths, settings};
use taskd_model::{InboxItem, InboxKind, LoopView, View};

use super::{
    args::{Cli, Shell},
    failure::{Done, Failure},
    here::{Here, now, variable},
};
use crate::render::{
    text::{clean, cut},
    words,
};

/// The variable by which a shell asks, instead of running a command.
const VARIABLE: &str = "TASKD_COMPLETE";

/// How long a daemon may take to say what there is. Who presses Tab waits for it.
const PATIENCE: Duration = Duration::from_millis(80);

/// The same where a person is asked to choose.
const LONGER: Duration = Duration::from_secs(5);

/// Most columns of what stands beside an id.
const MAX_HELP: usize = 60;

/// Answers a shell, if it is one that asks: then this ends the process.
pub(crate) fn answer() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// `taskd completions SHELL`: what a shell reads once, to ask from then on.
pub(crate) fn completions(here: &Here, shell: Shell) -> Done {
    let shells = Shells::builtins();
    let shell = shells.completer(shell.word()).expect("every shell of ours is one of theirs");
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, "taskd", "taskd", "taskd", &mut script)?;
    let script = String::from_utf8(script).map_err(std::io::Error::other)?;
    here.out.print(&script)?;
    Ok(0)
}

/// `taskd man`: the manual as one page, or a page for each command in a directory.
pub(crate) fn man(here: &Here, directory: Option<&Path>) -> Done {
    let command = Cli::command();
    let Some(directory) = directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        here.out.print(&String::from_utf8_lossy(&page))?;
        return Ok(0);
    };
    let directory = here.directory.join(directory);
    let wrong = |it: std::io::Error| {
        let what = format!("no manual was written to {}: {it}", directory.display());
        Failure::usage(what, "name a directory you may write to")
    };
    std::fs::create_dir_all(&directory).map_err(wrong)?;
    // What `taskd help all` lists has a page, too.
    let command = command.mut_subcommands(|it| it.hide(false));
    clap_mangen::generate_to(command, &directory).map_err(wrong)?;
    here.out.remark(&format!("man -l {}", directory.join("taskd.1").display()));
    Ok(0)
}

/// Offers loops and plans, whatever became of them.
pub(super) fn anything() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| offer(typed, |view| ids(view, |_| true)))
}

/// Offers loops and plans that are not over.
pub(super) fn alive() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        offer(typed, |view| ids(view, |it| !it.status.is_over()))
    })
}

/// Offers what waits for a yes or a no: loops that passed, plans that were written, and both as the
/// inbox calls them.
pub(super) fn passed() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        offer(typed, |view| {
            let asks = |it: &InboxItem| matches!(it.kind, InboxKind::Landing | InboxKind::Plan);
            let waiting = |it: &LoopView| {
                view.inbox.open.get(&it.id).is_some_and(|items| items.iter().any(asks))
            };
            let mut found = ids(view, waiting);
            found.extend(inbox(view, asks));
            found
        })
    })
}

/// Offers items of the inbox that are open.
pub(super) fn items() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| offer(typed, |view| inbox(view, |_| true)))
}

/// Offers questions that are open.
pub(super) fn questions() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        offer(typed, |view| inbox(view, |it| it.kind.is_asked()))
    })
}

/// Offers keys of the configuration.
pub(super) fn keys() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| {
        let all = settings::known_keys().map(|(key, doc)| candidate(key.to_owned(), doc));
        begin_with(typed, all.collect())
    })
}

/// Plans of which a loop is wanted, and those loops; the newest first.
fn ids(view: &View, wanted: impl Fn(&LoopView) -> bool) -> Vec<CompletionCandidate> {
    let loops: Vec<&LoopView> = view.loops.values().filter(|it| wanted(it)).collect();
    let plans = view.plans.values().filter(|plan| {
        let mut of = loops.iter().filter(|it| it.id.spec.plan == plan.id);
        // The name of a plan's only loop says the same as the plan's.
        of.next().is_some_and(|it| it.name != plan.id.to_string())
    });
    let plans = plans.map(|it| (it.id.to_string(), it.title.clone()));
    let loops = loops
        .iter()
        .map(|it| (it.name.clone(), format!("{}: {}", it.title, words::state(view, it, now()))));
    let mut all: Vec<_> = plans.chain(loops).collect();
    all.reverse();
    all.into_iter().map(|(id, what)| candidate(id, &what)).collect()
}

fn inbox(view: &View, wanted: impl Fn(&InboxItem) -> bool) -> Vec<CompletionCandidate> {
    let open = view.inbox.open.values().flatten().filter(|it| wanted(it));
    open.map(|it| candidate(it.name(), &it.what)).collect()
}

fn candidate(id: String, what: &str) -> CompletionCandidate {
    CompletionCandidate::new(id).help(Some(cut(&clean(what), MAX_HELP).into()))
}

/// What begins as typed, of what the daemon has.
fn offer(
    typed: &OsStr,
    pick: impl FnOnce(&View) -> Vec<CompletionCandidate>,
) -> Vec<CompletionCandidate> {
    let all = look().map(|view| pick(&view)).unwrap_or_default();
    begin_with(typed, all)
}

fn begin_with(typed: &OsStr, mut all: Vec<CompletionCandidate>) -> Vec<CompletionCandidate> {
    let typed = typed.as_encoded_bytes();
    all.retain(|it| it.get_value().as_encoded_bytes().starts_with(typed));
    let placed = |(place, it): (usize, CompletionCandidate)| it.display_order(Some(place));
    all.into_iter().enumerate().map(placed).collect()
}

/// The view of a daemon that runs and answers in time.
fn look() -> Option<View> {
    let paths = Paths::from_env().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let asked = async {
        let client = Client::connect(&paths.socket).await.ok()?;
        client.view("").await.ok()
    };
    let patience = if variable(VARIABLE).is_some() { PATIENCE } else { LONGER };
    let answer = runtime.block_on(async { tokio::time::timeout(patience, asked).await });
    runtime.shutdown_background();
    answer.ok().flatten()
}
