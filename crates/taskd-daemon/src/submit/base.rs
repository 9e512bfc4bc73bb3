//! What the project's configuration says of the gate is read from the base, like everything that
//! decides: a checkout may say anything.

use std::{path::Path, sync::Arc};

use taskd_api::v1;
use taskd_git::Repo;
use taskd_model::Oid;

use super::Look;
use crate::config::{Config, PROJECT_FILE};

/// What a plan begins with.
pub(super) struct Base<'a> {
    pub(super) repo: &'a Repo,
    /// The person's checkout.
    pub(super) root: &'a Path,
    /// The branch.
    pub(super) target: &'a str,
    /// Its tip.
    pub(super) commit: Oid,
}

impl Look<'_> {
    /// The configuration with the project's own file as the base has it; that its `[gate]` is
    /// another than the checkout's is told.
    pub(super) fn config_of_base(
        &mut self,
        checkout: &Config,
        base: &Base<'_>,
    ) -> Option<Arc<Config>> {
        let target = base.target;
        let text = base.repo.file_at(base.commit, PROJECT_FILE.as_ref()).ok().flatten();
        let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
        let config = match self.ctx.config_at(base.root, text) {
            Ok(config) => config,
            Err(wrong) => {
                self.problem(format!("on {target}: {wrong}"), format!("mend it on {target}"));
                return None;
            }
        };
        if config.gate != checkout.gate {
            let message = format!("the [gate] of your checkout's {PROJECT_FILE} is not {target}'s");
            self.problems.push(v1::Problem {
                message: format!("{message}, and is not used"),
                hint: format!("commit it to {target}, or say what decides with --gate"),
                warning: true,
                ..v1::Problem::default()
            });
        }
        Some(config)
    }
}
