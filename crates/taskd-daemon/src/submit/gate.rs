//! What decides about a plan's work: flag, then plan, then configuration. The project's part of the
//! last is what the base has, like everything that decides; a checkout may say anything.

use std::{path::Path, sync::Arc};

use taskd_api::v1;
use taskd_git::Repo;
use taskd_model::{GateDoc, GateSettings, Oid};

use super::Look;
use crate::{
    config::{Config, PROJECT_FILE},
    detect,
    plan_file::PlanKeys,
    protect,
};

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
    /// What decides: flag, then plan, then configuration. Nothing is never taken for a gate.
    pub(super) fn gate(
        &mut self,
        head: &PlanKeys,
        config: &Config,
        base: &Base<'_>,
    ) -> Option<GateDoc> {
        if self.options.no_gate {
            return Some(GateDoc { origin: "--no-gate".to_owned(), ..GateDoc::default() });
        }
        let flag = self
            .options
            .gate
            .clone()
            .map(|run| GateSettings { run: vec![run], ..GateSettings::default() });
        let of_plan = head.gate.as_ref().map(|it| it.value.clone());
        let config = &self.config_of_base(config, base)?;
        let of_config = config.gate.clone();
        let origin = if flag.is_some() {
            "--gate".to_owned()
        } else if of_plan.as_ref().is_some_and(|it| !it.run.is_empty()) {
            "the plan".to_owned()
        } else {
            config.origin("gate.command").unwrap_or("configuration").to_owned()
        };
        let merged = flag.unwrap_or_default().over(of_plan.unwrap_or_default()).over(of_config);
        for glob in merged.protect.iter().flatten() {
            if let Some(wrong) = protect::wrong(glob) {
                let what = format!("`{glob}` in `protect` is no glob: {wrong}");
                self.problem(what, "write globs from the repository's root, as `tests/**`");
            }
        }
        if !merged.run.is_empty() {
            return Some(GateDoc {
                quick: merged.quick,
                run: merged.run,
                timeout_ms: merged.timeout_ms.unwrap_or_default(),
                retries: merged.retries.unwrap_or_default(),
                protect: merged.protect.unwrap_or_default(),
                origin,
            });
        }
        let proposals = propose(base.repo, base.commit);
        match proposals.first() {
            Some(it) => {
                let what = format!("no gate is set; {} suggests `{}`", it.reason, it.command);
                self.problem(what, format!("--gate '{}'", it.command));
            }
            None => self.problem(
                "no gate is set, and nothing in the repository suggests one",
                "--gate 'COMMAND', gate.command in .taskd/config.toml, or --no-gate",
            ),
        }
        None
    }

    /// The configuration with the project's own file as the base has it; that its `[gate]` is
    /// another than the checkout's is told.
    fn config_of_base(&mut self, checkout: &Config, base: &Base<'_>) -> Option<Arc<Config>> {
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

/// What the repository itself suggests as a gate.
fn propose(repo: &Repo, base: Oid) -> Vec<detect::Proposal> {
    let read = |name: &str| {
        let bytes = repo.file_at(base, name.as_ref()).ok().flatten()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let names: Vec<String> =
        detect::NAMES.iter().filter(|it| read(it).is_some()).map(|it| (*it).to_owned()).collect();
    detect::propose(&names, read)
}
