//! The gate of a candidate: of one commit, or of the top of several that are gated in one.

use taskd_model::{GateFacts, GateReport, Oid, Outcome, PlanDoc, QueueOp, SpecDoc};

use super::{
    Job, Trouble,
    gate::{cancelled, short},
    shape::stands_on,
};

impl Job {
    pub(super) async fn gate_candidate(
        &self,
        op: QueueOp,
        commit: Oid,
    ) -> Result<Outcome, Trouble> {
        let plan = self.plan_doc()?;
        let below = self.order.beside.iter().map(|it| self.ctx.doc::<SpecDoc>(it));
        let below = below.collect::<Result<Vec<_>, _>>()?;
        // Without the work what it was to do is not done: an undo has the plan's gate alone.
        let report = if self.order.subject.is_none() || matches!(op, QueueOp::Undo(_)) {
            self.gate_commit(commit, &plan, &[]).await?
        } else if let Some(report) = self.tampered_below(commit, &plan, &below).await? {
            report
        } else {
            let own = self.spec_doc()?;
            let accept = below.into_iter().flat_map(|it| it.accept).chain(own.accept).collect();
            self.gate_work(commit, &plan, &SpecDoc { accept, ..own }).await?
        };
        if !self.is_wanted() {
            return Ok(cancelled());
        }
        Ok(Outcome::CandidateGated(report))
    }

    /// A commit below the top that changes what decides makes the whole red, without a gate: the
    /// search for the red one comes to gate it as a top, and then a person is asked.
    async fn tampered_below(
        &self,
        top: Oid,
        plan: &PlanDoc,
        below: &[SpecDoc],
    ) -> Result<Option<GateReport>, Trouble> {
        let mut at = top;
        for spec in below.iter().rev() {
            let Some(work) = self.below(at).await? else { return Ok(None) };
            let Some(base) = self.below(work).await? else { return Ok(None) };
            if let Some(found) = self.tampering(base, work, plan, spec).await? {
                let paths = found.fact.paths.join(", ");
                let summary = short(&format!("{} below it changes {paths}", spec.name));
                let log = self.ctx.put_blob(summary.clone().into())?;
                let facts = Box::<GateFacts>::default();
                let report = GateReport {
                    green: false,
                    summary,
                    log,
                    tests: None,
                    ms: 0,
                    facts,
                    proof: None,
                };
                return Ok(Some(report));
            }
            at = work;
        }
        Ok(None)
    }

    async fn below(&self, commit: Oid) -> Result<Option<Oid>, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        self.blocking(move || Ok(stands_on(&repo, commit)?)).await
    }
}
