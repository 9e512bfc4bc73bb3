//! Where a command lacks the id it is about: a person chooses one of those there are, a program is
//! told which there are. What is offered is what the Tab key would offer there.

use std::{env, ffi::OsString};

use clap::{
    ArgMatches, Command, CommandFactory as _, Parser as _,
    error::{ContextKind, ContextValue, ErrorKind},
};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::{args::Cli, failure::Failure, here::variable, out::Out};

/// What is offered at once.
const SHOWN: usize = 20;

/// The command line with the id that a person chooses; nothing if that is not what is wrong with it, or
/// there is nothing to choose from.
///
/// # Errors
///
/// Nobody can be asked, or nothing was chosen.
pub(super) fn instead(error: &clap::Error) -> Result<Option<Cli>, Failure> {
    let (Some(ContextValue::Strings(lacks)), ErrorKind::MissingRequiredArgument) =
        (error.get(ContextKind::InvalidArg), error.kind())
    else {
        return Ok(None);
    };
    let [lacks] = lacks.as_slice() else { return Ok(None) };
    // What a daemon elsewhere has is not known to the Tab key.
    if variable("TASKD_REMOTE").is_some_and(|it| !it.is_empty()) {
        return Ok(None);
    }
    let typed: Vec<OsString> = env::args_os().collect();
    let mut command = Cli::command();
    command.build();
    let Ok(matches) = Cli::command().ignore_errors(true).try_get_matches_from(&typed) else {
        return Ok(None);
    };
    let (name, command) = meant(&command, &matches);
    // One that may be left out beside a flag is shown otherwise where it is lacking.
    let bare = |it: &str| it.replace(['<', '>', '[', ']'], "");
    let arg = command.get_positionals().find(|it| bare(&it.to_string()) == bare(lacks));
    let Some(completer) = arg.and_then(|it| it.get::<ArgValueCompleter>()) else {
        return Ok(None);
    };
    let mut there = completer.complete("".as_ref());
    there.truncate(SHOWN);
    if there.is_empty() {
        return Ok(None);
    }
    let is_set = |flag: &str| matches.get_flag(flag);
    let out = Out::new(is_set("json"), is_set("quiet"), is_set("no_color"));
    let id = if out.can_ask { ask(&out, &name, &there)? } else { return Err(told(&name, &there)) };
    let all = typed.into_iter().chain([id]);
    Cli::try_parse_from(all).map(Some).map_err(|it| Failure::Said(super::usage(&it)))
}

/// The command that was typed, by all of its words.
fn meant<'a>(command: &'a Command, matches: &ArgMatches) -> (String, &'a Command) {
    let (mut name, mut command, mut matches) = ("taskd".to_owned(), command, matches);
    while let Some((word, below)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(word) else { break };
        name = format!("{name} {word}");
        (command, matches) = (found, below);
    }
    (name, command)
}

fn ask(out: &Out, name: &str, there: &[CompletionCandidate]) -> Result<OsString, Failure> {
    let width = there.iter().map(|it| it.get_value().len()).max().unwrap_or(0);
    for (n, it) in there.iter().enumerate() {
        let help = it.get_help().map(ToString::to_string).unwrap_or_default();
        let id = it.get_value().to_string_lossy();
        out.complain(&format!("{:>3}  {id:<width$}  {help}", n + 1));
    }
    let said = out.ask(&format!("{name}: which [1-{}, or an id] ", there.len()))?;
    if said.is_empty() {
        return Err(Failure::usage("nothing was chosen", format!("{name} ID")));
    }
    let chosen = said.parse().ok().and_then(|n: usize| there.get(n.checked_sub(1)?));
    Ok(chosen.map_or_else(|| said.into(), |it| it.get_value().to_owned()))
}

fn told(name: &str, there: &[CompletionCandidate]) -> Failure {
    let ids: Vec<_> = there.iter().map(|it| it.get_value().to_string_lossy()).collect();
    let what = format!("`{name}` needs an id; there are: {}", ids.join(", "));
    Failure::usage(what, format!("{name} {}", ids[0]))
}
