//! Documents of loops: the gate that says whether one is right, and its taking apart.
//!
//! The form is checked by the daemon and never by a command; a command of the loop type may look at
//! the rest. Nothing but the document's own file counts, and an empty one is never right.

use std::sync::Arc;

use taskd_model::{ArtifactDoc, Format, GateReport, Oid, Outcome, PlanDoc, SpecDoc, encode_doc};

use super::{Job, Trouble, gate::short};
use crate::submit::{self, Apart};

/// Other files named in a finding.
const MAX_NAMED: usize = 10;

impl Job {
    /// Whether the document in `checkpoint` is right.
    pub(super) async fn gate_document(
        &self,
        artifact: &ArtifactDoc,
        (base, checkpoint, tree): (Oid, Oid, Oid),
        plan: &PlanDoc,
        spec: &SpecDoc,
    ) -> Result<GateReport, Trouble> {
        let format = artifact.format;
        let mut wrong = self.other_files(format, base, checkpoint).await?;
        let unit = format.unit();
        let named = match self.named(format, checkpoint, plan, spec).await? {
            Ok(apart) => names(&apart, unit),
            Err(found) => {
                wrong.extend(found);
                String::new()
            }
        };
        let own = &spec.loop_type.gate;
        if wrong.is_empty() && !own.run.is_empty() {
            let dir = self.worktree()?;
            let gate = own.clone().into_doc();
            return self.run_gate((&dir, tree), plan, &gate, &[]).await;
        }
        let green = wrong.is_empty();
        let summary = match (green, wrong.len()) {
            (true, _) => format!("{} names {named}", format.file()),
            (false, 1) => wrong[0].clone(),
            (false, n) => format!("{n} things are wrong with {}", format.file()),
        };
        let log = if green { summary.clone() } else { wrong.join("\n") };
        Ok(GateReport {
            green,
            summary: short(&summary),
            log: self.ctx.put_blob(log.into())?,
            tests: None,
            ms: 0,
            facts: Box::default(),
            proof: None,
        })
    }

    /// Takes the document apart, and stores what it names.
    pub(super) async fn decompose(&self, from: Oid) -> Result<Outcome, Trouble> {
        let (plan, spec) = (self.plan_doc()?, self.spec_doc()?);
        let Some(artifact) = &spec.loop_type.artifact else {
            return Err(Trouble::new(taskd_model::Code::Internal, "its type writes no document"));
        };
        let text = self.document(artifact.format, from).await?.unwrap_or_default();
        let Apart { named, same, .. } =
            match self.named(artifact.format, from, &plan, &spec).await? {
                Ok(apart) => apart,
                Err(wrong) => {
                    // It was right when it was gated: types or configuration are others now.
                    let why = format!("{}: {}", artifact.format.file(), wrong.join("; "));
                    return Err(Trouble::new(taskd_model::Code::PlanInvalid, short(&why)));
                }
            };
        let mut specs = Vec::new();
        for (mut head, doc) in named {
            head.doc = self.ctx.put_blob(encode_doc(&doc))?;
            specs.push(head);
        }
        let children = u16::try_from(specs.len()).unwrap_or(u16::MAX);
        let (artifact, format) = (self.ctx.put_blob(text)?, Some(artifact.format));
        Ok(Outcome::Decomposed { artifact, children, format, specs, same })
    }

    /// What the document in a commit names, or what is wrong with it.
    async fn named(
        &self,
        format: Format,
        commit: Oid,
        plan: &PlanDoc,
        spec: &SpecDoc,
    ) -> Result<Result<Apart, Vec<String>>, Trouble> {
        let Some(text) = self.document(format, commit).await? else {
            return Ok(Err(vec![format!("there is no {}", format.file())]));
        };
        let (ctx, id) = (Arc::clone(&self.ctx), self.subject()?.id);
        let (plan, spec) = (plan.clone(), spec.clone());
        self.blocking(move || Ok(submit::take_apart(&ctx, (id, &plan), &spec, &text))).await
    }

    async fn document(&self, format: Format, commit: Oid) -> Result<Option<Vec<u8>>, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        self.blocking(move || Ok(repo.file_at(commit, format.file().as_ref())?)).await
    }

    /// Changes to other files than the document.
    async fn other_files(
        &self,
        format: Format,
        base: Oid,
        checkpoint: Oid,
    ) -> Result<Vec<String>, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let changed = self.blocking(move || Ok(repo.changed(base, checkpoint)?)).await?;
        let others = changed.iter().filter(|it| it.path.as_bytes() != format.file().as_bytes());
        let names: Vec<String> = others.map(|it| it.path.to_string()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let more = match names.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let shown = names[..names.len().min(MAX_NAMED)].join(", ");
        let only = format.file();
        Ok(vec![format!("only {only} may change; take back what was done to {shown}{more}")])
    }
}

/// `3 specs`, and what that means for those that were named before.
fn names(apart: &Apart, unit: &str) -> String {
    let all = count(apart.named.len(), unit);
    let stay = apart.same.iter().flatten().count();
    match apart.same.len() - stay {
        _ if apart.same.is_empty() => all,
        new => format!("{all}: {stay} as before, {new} new; {} of before end", apart.ends),
    }
}

fn count(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}
