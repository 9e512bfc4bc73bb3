//! `taskd prompt`: one line for the prompt of a shell, from a file that the daemon keeps.
//!
//! A person waits for it at each prompt: it connects to nobody, starts nothing and never complains of
//! a daemon that is not there.

use clap::Args;
use taskd_daemon::{figures::Figures, paths::Paths};
use taskd_model::format_micros;

use super::{
    failure::Done,
    here::{now, variable},
    out::Out,
};

#[derive(Debug, Args)]
#[command(after_help = SNIPPETS)]
pub(crate) struct PromptArgs {
    /// What to print, with {working}, {needs_you}, {waiting} and {cost} (of today, UTC)
    #[arg(long, value_name = "TEXT", value_parser = parse_format)]
    pub(crate) format: Option<String>,
}

const SNIPPETS: &str = "\
Without --format it prints what is not zero, `3 working · 1 needs you · $4.20`, and nothing where
nothing goes on. The figures are of all projects, at most a second old.

bash          PS1='$(taskd prompt)'\" $PS1\"
zsh           setopt prompt_subst; RPROMPT='$(taskd prompt)'
fish          function fish_right_prompt; taskd prompt; end
tmux          set -g status-right '#(taskd prompt)'
starship      [custom.taskd]
              command = \"taskd prompt\"
              when = true";

/// What may stand between braces.
const NAMES: [&str; 4] = ["working", "needs_you", "waiting", "cost"];

/// `taskd prompt`.
pub(crate) fn prompt(out: &Out, args: &PromptArgs) -> Done {
    // What a daemon elsewhere does is known to those who ask it.
    if variable("TASKD_REMOTE").is_some_and(|it| !it.is_empty()) {
        return Ok(0);
    }
    let Some(figures) = Paths::from_env().ok().and_then(|it| Figures::read(&it)) else {
        return Ok(0);
    };
    let cost = format_micros(figures.spent_at(now()));
    let line = match &args.format {
        Some(format) => filled(format, &figures, &cost),
        None => short(&figures, &cost),
    };
    if !line.is_empty() {
        out.print(&format!("{line}\n"))?;
    }
    Ok(0)
}

/// What is not zero, if anything goes on.
fn short(it: &Figures, cost: &str) -> String {
    let needs = if it.needs_you == 1 { "needs you" } else { "need you" };
    let counts = [(it.working, "working"), (it.needs_you, needs), (it.waiting, "waiting")];
    let counts = counts.into_iter().filter(|(n, _)| 0 < *n);
    let mut parts: Vec<String> = counts.map(|(n, what)| format!("{n} {what}")).collect();
    if !parts.is_empty() && cost != "$0.00" {
        parts.push(cost.to_owned());
    }
    parts.join(" · ")
}

fn filled(format: &str, it: &Figures, cost: &str) -> String {
    let values = [it.working, it.needs_you, it.waiting].map(|n| n.to_string());
    let values = values.iter().map(String::as_str).chain([cost]);
    let fill =
        |text: String, (name, value): (&str, &str)| text.replace(&format!("{{{name}}}"), value);
    NAMES.into_iter().zip(values).fold(format.to_owned(), fill)
}

/// A text in which every name between braces is one we know. Other braces stay as they are.
fn parse_format(text: &str) -> Result<String, String> {
    let named = text.split('{').skip(1).filter_map(|it| it.split_once('}')).map(|it| it.0);
    let is_name =
        |it: &&str| !it.is_empty() && it.chars().all(|it| it.is_ascii_lowercase() || it == '_');
    match named.filter(is_name).find(|it| !NAMES.contains(it)) {
        Some(other) => {
            Err(format!("there is no {{{other}}}; there are {{{}}}", NAMES.join("}, {")))
        }
        None => Ok(text.to_owned()),
    }
}
