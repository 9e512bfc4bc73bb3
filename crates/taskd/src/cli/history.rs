//! Going back: saved states, back to one of them, a landing taken off its target, and what is kept of
//! work that was replaced.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{Args, Subcommand};
use taskd_api::{ApiError, codes, v1};

use super::{
    failure::{Done, Failure},
    here::Here,
    utf8,
};
use crate::render::{history as picture, text::clean};

#[derive(Debug, Args)]
pub(crate) struct RewindArgs {
    /// A loop that is not over
    id: String,
    /// A number of `taskd checkpoints`, i2 for the end of iteration 2, `base`, or a commit
    #[arg(long, value_name = "STATE")]
    to: String,
    /// Why: the next prompt says it
    #[arg(short, long, default_value = "")]
    message: String,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// A loop that has landed
    id: String,
    /// Of a loop that has not: take back what it did from the beginning of this iteration on
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    iteration: Option<u32>,
    /// Say what would happen, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SalvageCommand {
    /// List what is kept
    Ls {
        /// Only of this loop or plan
        id: Option<String>,
    },
    /// Write the files of one into a directory
    Restore {
        /// Its name in the list, or its commit
        what: String,
        /// A directory that is not there, or is empty
        #[arg(long, value_name = "DIR")]
        to: OsString,
    },
}

/// `taskd checkpoints`.
pub(crate) async fn checkpoints(here: &Here, id: String) -> Done {
    let client = here.client().await?;
    let answer = client.checkpoints(v1::CheckpointsRequest { id }).await?;
    here.skew(&client);
    if here.out.json {
        here.out.object(&picture::checkpoints_json(&answer))?;
    } else {
        here.out.print(&picture::checkpoints(&answer, &here.scene()))?;
    }
    Ok(0)
}

/// `taskd rewind`.
pub(crate) async fn rewind(here: &Here, args: RewindArgs) -> Done {
    let RewindArgs { id, to, message, dry_run } = args;
    let client = here.client().await?;
    let credentials = if dry_run { BTreeMap::new() } else { here.keys(&client.providers().await?) };
    let request = v1::RewindRequest { id, to, text: message, dry_run, credentials };
    let answer = client.rewind(request).await?;
    here.skew(&client);
    if here.out.json {
        here.out.object(&picture::rewind_json(&answer))?;
    } else {
        here.out.print(&picture::rewind(&answer))?;
    }
    Ok(0)
}

/// `taskd undo`; of an iteration it is a rewind to before it.
pub(crate) async fn undo(here: &Here, args: UndoArgs) -> Done {
    let UndoArgs { id, iteration, dry_run } = args;
    if let Some(n) = iteration {
        let to = if n == 1 { "base".to_owned() } else { format!("i{}", n - 1) };
        return rewind(here, RewindArgs { id, to, message: String::new(), dry_run }).await;
    }
    let client = here.client().await?;
    let answer = client.undo(v1::UndoRequest { id, dry_run }).await?;
    here.skew(&client);
    if here.out.json {
        here.out.object(&picture::undo_json(&answer))?;
    } else {
        here.out.print(&picture::undo(&answer))?;
    }
    Ok(0)
}

/// `taskd salvage`.
pub(crate) async fn salvage(here: &Here, command: SalvageCommand) -> Done {
    let client = here.client().await?;
    match command {
        SalvageCommand::Ls { id } => {
            let request = v1::SalvageRequest { id: id.unwrap_or_default() };
            let answer = client.salvage(request).await?;
            if here.out.json {
                here.out.object(&picture::salvage_json(&answer))?;
            } else {
                here.out.print(&picture::salvage(&answer, &here.scene()))?;
            }
        }
        SalvageCommand::Restore { what, to } => {
            let to = here.directory.join(to);
            let to = std::path::absolute(&to).map_err(|it| {
                Failure::Api(ApiError::new(codes::INVALID, format!("{}: {it}", to.display())))
            })?;
            let request = v1::RestoreRequest { what, to: utf8(to.into_os_string())? };
            let answer = client.restore(request).await?;
            if here.out.json {
                here.out.object(&picture::restore_json(&answer))?;
            } else {
                here.out.print(&format!("{}\n", clean(&answer.to)))?;
            }
        }
    }
    here.skew(&client);
    Ok(0)
}
