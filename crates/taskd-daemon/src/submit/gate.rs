//! What decides about a plan: flag, then plan, then its loop type, then configuration.
//!
//! A plan has one gate. It runs on the base before any work, on each spec's work and on what lands,
//! so what is green can be held against what was green before.

use taskd_git::Repo;
use taskd_model::{GateDoc, GateSettings, Oid};

use super::Look;
use crate::{
    config::Config,
    detect,
    loop_type::Types,
    plan_file::{PlanFile, PlanKeys},
    protect,
};

/// A gate as a plan's loop types give it.
#[derive(Debug, Clone, Default)]
pub(super) struct OfTypes {
    settings: GateSettings,
    /// The type that gives it.
    name: String,
    /// Another type that gives another one: then neither is taken.
    other: Option<String>,
}

impl Look<'_> {
    /// The gate of the plan's loop types. A type that cannot be used is told elsewhere.
    pub(super) fn gates_of_types(
        &self,
        plan: &PlanFile,
        types: &Types,
        config: &Config,
    ) -> OfTypes {
        let mut found: Option<OfTypes> = None;
        for spec in &plan.specs {
            let name = self.type_name(spec, &plan.head, config);
            let Ok(doc) = types.get(&name) else { continue };
            if doc.artifact.is_some() {
                // Its gate is about its document.
                continue;
            }
            // What a type protects counts for its own specs, whatever the gate is.
            let settings = GateSettings { protect: None, ..doc.gate.clone() };
            match &mut found {
                None => found = Some(OfTypes { settings, name, other: None }),
                Some(it) if it.settings == settings => {}
                Some(it) => it.other = Some(name),
            }
        }
        found.unwrap_or_default()
    }

    /// What decides. Nothing is never taken for a gate.
    pub(super) fn gate(
        &mut self,
        head: &PlanKeys,
        of_types: OfTypes,
        config: &Config,
        repo: &Repo,
        base: Oid,
    ) -> Option<GateDoc> {
        if self.options.no_gate {
            return Some(GateDoc { origin: "--no-gate".to_owned(), ..GateDoc::default() });
        }
        let flag = self.options.gate.clone();
        let flag = flag.map(|run| GateSettings { run: vec![run], ..GateSettings::default() });
        let of_plan = head.gate.as_ref().map(|it| it.value.clone());
        let named = flag.is_some() || of_plan.as_ref().is_some_and(|it| !it.run.is_empty());
        let of_type = self.one_of(of_types, named)?;
        let origin = if flag.is_some() {
            "--gate".to_owned()
        } else if named {
            "the plan".to_owned()
        } else if of_type.settings.run.is_empty() {
            config.origin("gate.command").unwrap_or("configuration").to_owned()
        } else {
            format!("loop type {}", of_type.name)
        };
        let merged = flag
            .unwrap_or_default()
            .over(of_plan.unwrap_or_default())
            .over(of_type.settings)
            .over(config.gate.clone());
        for glob in merged.protect.iter().flatten() {
            if let Some(wrong) = protect::wrong(glob) {
                let what = format!("`{glob}` in `protect` is no glob: {wrong}");
                self.problem(what, "write globs from the repository's root, as `tests/**`");
            }
        }
        if merged.run.is_empty() {
            self.propose_gate(repo, base);
            return None;
        }
        Some(GateDoc { origin, ..merged.into_doc() })
    }

    /// The gate all types agree on. Where they do not, the plan must say; then theirs is left out.
    fn one_of(&mut self, of_types: OfTypes, named: bool) -> Option<OfTypes> {
        let Some(other) = &of_types.other else { return Some(of_types) };
        let what = format!("the loop types {} and {other} have different gates", of_types.name);
        if named {
            self.warning(format!("{what}; neither is taken, since another one is named"));
            return Some(OfTypes::default());
        }
        self.problem(
            format!("{what}, and a plan has one"),
            "write `gate:` into the plan's head, or submit two plans",
        );
        None
    }

    fn warning(&mut self, message: String) {
        let problem = taskd_api::v1::Problem { message, warning: true, ..Default::default() };
        self.problems.push(problem);
    }

    fn propose_gate(&mut self, repo: &Repo, base: Oid) {
        let proposals = propose(repo, base);
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
