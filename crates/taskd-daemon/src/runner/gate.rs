//! Gates: the commands that decide. Run by us, on exactly one tree, never reported by an agent.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use taskd_model::{
    Change, Code, Digest, GateDoc, GateFacts, GateProof, GateReport, Oid, Outcome, PlanDoc, RedRun,
    SpecDoc, TestCounts, bounded_names, encode_doc, gate_digest,
};
use taskd_tools::supervise::{Finished, How};

use super::{
    Context, Job, Trouble, lock,
    programs::{Command, ending, not_started},
    shape::stands_on,
    worktree::SetUp,
};
use crate::findings;

/// A gate command without a limit of its own is ended after this long.
const GATE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Most scratch checkouts a project has; each keeps its build caches.
const MAX_SCRATCH: u32 = 64;

/// A scratch checkout in use; free again when dropped.
pub(super) struct Scratch<'a> {
    ctx: &'a Context,
    project: taskd_model::ProjectId,
    pub(super) n: u32,
}

impl<'a> Scratch<'a> {
    pub(super) fn take(ctx: &'a Context, project: taskd_model::ProjectId) -> Result<Self, Trouble> {
        let mut used = lock(&ctx.scratch);
        let n = (0..MAX_SCRATCH)
            .find(|n| !used.contains(&(project, *n)))
            .ok_or_else(|| Trouble::new(Code::ScratchBusy, "all scratch checkouts are in use"))?;
        used.insert((project, n));
        Ok(Self { ctx, project, n })
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        lock(&self.ctx.scratch).remove(&(self.project, self.n));
    }
}

impl Job {
    pub(super) async fn check_base(&self, base: Oid) -> Result<Outcome, Trouble> {
        let plan = self.plan_doc()?;
        let report = self.gate_commit(base, &plan, &[]).await?;
        Ok(Outcome::BaseChecked(report))
    }

    /// A loop's work as a candidate: what decides about it is what the commit it stands on has.
    pub(super) async fn gate_work(
        &self,
        commit: Oid,
        plan: &PlanDoc,
        spec: &SpecDoc,
    ) -> Result<GateReport, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let base = self.blocking(move || Ok(stands_on(&repo, commit)?)).await?;
        let found = match base {
            Some(base) => self.tampering(base, commit, plan, spec).await?,
            None => None,
        };
        let own = self.gate_commit(commit, plan, &spec.accept);
        match found {
            Some(found) => self.judge_twice(found, plan, &spec.accept, own).await,
            None => own.await,
        }
    }

    /// Gates a commit in a scratch checkout: exactly its files, and the caches of earlier gates.
    pub(super) async fn gate_commit(
        &self,
        commit: Oid,
        plan: &PlanDoc,
        accept: &[String],
    ) -> Result<GateReport, Trouble> {
        let scratch = Scratch::take(&self.ctx, self.order.project)?;
        let report = self.gate_in(&scratch, commit, plan, accept).await;
        drop(scratch);
        tokio::task::block_in_place(|| self.ctx.sweep_places());
        report
    }

    async fn gate_in(
        &self,
        scratch: &Scratch<'_>,
        commit: Oid,
        plan: &PlanDoc,
        accept: &[String],
    ) -> Result<GateReport, Trouble> {
        let name = format!("gate-{}", scratch.n);
        let (repo, root) = self.ctx.repo(self.order.project)?;
        let commands = self.setup_commands()?;
        let (dir, tree, set_up) = self
            .blocking(move || {
                let fresh = !repo.worktree_path(&name).exists();
                let dir = repo.checkout_scratch(&name, commit)?;
                let set_up = SetUp::of(&repo, (&dir, commit), &commands, fresh);
                Ok((dir, repo.tree_of(commit)?, set_up))
            })
            .await?;
        if !set_up.is_done() {
            self.include(&root, &dir).await?;
        }
        self.setup(&dir, set_up).await?;
        self.run_gate((&dir, tree), plan, &plan.gate, accept).await
    }

    /// Copies what `.worktreeinclude` names into a scratch checkout.
    async fn include(&self, root: &Path, dir: &Path) -> Result<(), Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let root = root.to_owned();
        self.blocking(move || {
            repo.copy_included(&root, &name, ".worktreeinclude".as_ref())?;
            Ok(())
        })
        .await
    }

    pub(super) async fn accept_before(&self) -> Result<Outcome, Trouble> {
        let plan = self.plan_doc()?;
        let spec = self.spec_doc()?;
        let dir = self.worktree()?;
        let gate = GateDoc { timeout_ms: plan.gate.timeout_ms, ..GateDoc::default() };
        let ran = self.run_once(&dir, &plan, &gate, &spec.accept).await?;
        if !self.is_wanted() {
            return Ok(cancelled());
        }
        Ok(Outcome::AcceptRan { green: ran.green, log: self.ctx.put_blob(ran.log.into())? })
    }

    /// Checkpoints the worktree and gates exactly that tree.
    pub(super) async fn gate(&self) -> Result<Outcome, Trouble> {
        let subject = self.subject()?;
        let saved = self.checkpoint(subject.checkpoint).await?;
        let change = Change { files: saved.files, added: saved.added, removed: saved.removed };
        let markers = u32::try_from(saved.conflict_markers.len()).unwrap_or(u32::MAX);
        let (checkpoint, tree) = (saved.commit, saved.tree);
        let gated = |report| Outcome::Gated { checkpoint, tree, change, markers, report };
        if !saved.changed {
            return Ok(gated(None));
        }
        if let Some(why) = self.cannot_land(&saved).await? {
            let (summary, log) = (short(&why), self.ctx.put_blob(why.into())?);
            let (tests, facts, proof) = (None, Box::default(), None);
            let report = GateReport { green: false, summary, log, tests, ms: 0, facts, proof };
            return Ok(gated(Some(report)));
        }
        let plan = self.plan_doc()?;
        let spec = self.spec_doc()?;
        if let Some(artifact) = &spec.loop_type.artifact {
            let what = (subject.base, checkpoint, tree);
            let report = self.gate_document(artifact, what, &plan, &spec).await?;
            return Ok(gated(Some(report)));
        }
        let dir = self.worktree()?;
        let found = self.tampering(subject.base, checkpoint, &plan, &spec).await?;
        let own = self.run_gate((&dir, tree), &plan, &plan.gate, &spec.accept);
        let report = match found {
            Some(found) => self.judge_twice(found, &plan, &spec.accept, own).await?,
            None => own.await?,
        };
        if !self.is_wanted() {
            return Ok(cancelled());
        }
        Ok(gated(Some(report)))
    }

    /// Runs the gate on the files in `dir`, which are `tree`. A red run is not believed before it was
    /// repeated as often as the plan says; every run is in the report.
    pub(super) async fn run_gate(
        &self,
        (dir, tree): (&Path, Oid),
        plan: &PlanDoc,
        gate: &GateDoc,
        accept: &[String],
    ) -> Result<GateReport, Trouble> {
        let commands = gate_commands(gate, accept);
        let began = Instant::now();
        let mut earlier = Vec::new();
        let mut ran = self.run_once(dir, plan, gate, &commands).await?;
        while !ran.green && earlier.len() < gate.retries as usize && self.is_wanted() {
            earlier.push(RedRun { log: self.ctx.put_blob(ran.log.into())?, failed: ran.failed });
            ran = self.run_once(dir, plan, gate, &commands).await?;
        }
        let proof = GateProof {
            gate: gate_digest(&commands),
            environment: environment_digest(&plan.env),
            tree,
            exits: ran.exits,
            failed: ran.failed,
            earlier,
        };
        Ok(GateReport {
            green: ran.green,
            summary: short(&ran.summary),
            log: self.ctx.put_blob(ran.log.into())?,
            tests: ran.tests,
            ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            facts: Box::new(GateFacts { tampered: None, counts: ran.counts, failed: ran.failure }),
            proof: Some(Box::new(proof)),
        })
    }

    /// Runs the commands in order and stops at the first that is not green.
    async fn run_once(
        &self,
        dir: &Path,
        plan: &PlanDoc,
        gate: &GateDoc,
        commands: &[String],
    ) -> Result<Ran, Trouble> {
        let timeout = gate_timeout(gate);
        // What `accept` adds says nothing about tests that are gone.
        let of_gate = usize::from(gate.quick.is_some()) + gate.run.len();
        let mut ran = Ran {
            green: true,
            summary: "no gate command".to_owned(),
            counts: (!gate.run.is_empty()).then_some(TestCounts { run: 0, skipped: 0 }),
            ..Ran::default()
        };
        for (n, command) in commands.iter().enumerate() {
            let env = self.env(plan, dir)?;
            let spec = Command::shell(command, PathBuf::from(dir), env, timeout);
            let finished = self.run(spec, self.lines_as_noise()).await;
            not_started(&finished)?;
            let counts = ran.counts;
            let goes_on = ran.take(command, &finished, timeout);
            if of_gate <= n {
                ran.counts = counts;
            }
            if !goes_on {
                break;
            }
        }
        Ok(ran)
    }
}

/// One run of a gate.
#[derive(Default)]
pub(crate) struct Ran {
    pub(crate) green: bool,
    pub(crate) summary: String,
    pub(crate) log: String,
    pub(crate) tests: Option<u32>,
    /// Tests that were run and skipped, while every output says so.
    pub(crate) counts: Option<TestCounts>,
    pub(crate) exits: Vec<i32>,
    /// Failing tests, as many as a report may name.
    pub(crate) failed: Vec<String>,
    /// Names what was red.
    pub(crate) failure: Option<Digest>,
}

impl Ran {
    /// Takes in how a command ended; says whether the next one may run.
    pub(crate) fn take(&mut self, command: &str, finished: &Finished, timeout: Duration) -> bool {
        let output = finished.output.text();
        let how = ending(finished, timeout);
        self.log.push_str(&format!("$ {command}\n{output}"));
        if !output.ends_with('\n') && !output.is_empty() {
            self.log.push('\n');
        }
        let code = if let How::Exited(code) = finished.how { Some(code) } else { None };
        self.exits.push(code.unwrap_or(-1));
        let found = findings::read(output.as_bytes(), code);
        if let Some(n) = found.tests {
            self.tests = Some(self.tests.unwrap_or(0) + n);
        }
        // Half an output has half the counts.
        self.counts = self.counts.filter(|_| !finished.output.truncated).map(|it| more(it, &found));
        self.summary = match (self.tests, how.is_some()) {
            // All commands together are the gate; the last one alone is not.
            (Some(1), false) => "1 test".to_owned(),
            (Some(n), false) => format!("{n} tests"),
            (_, _) => found.summary,
        };
        let Some(how) = how else { return true };
        self.log.push_str(&format!("[{how}]\n"));
        if matches!(finished.how, How::TimedOut) {
            self.summary = format!("`{command}` {how}");
        }
        self.failed = bounded_names(&found.failed);
        let place = self.exits.len().to_le_bytes();
        self.failure = Some(Digest::of_parts(&[&place, found.likeness.as_bytes()]));
        self.green = false;
        false
    }
}

/// The commands a gate runs, in order.
pub(crate) fn gate_commands(gate: &GateDoc, accept: &[String]) -> Vec<String> {
    gate.quick.iter().chain(&gate.run).chain(accept).cloned().collect()
}

/// How long one command of a gate may take.
pub(crate) fn gate_timeout(gate: &GateDoc) -> Duration {
    match gate.timeout_ms {
        0 => GATE_TIMEOUT,
        ms => Duration::from_millis(ms),
    }
}

/// Names an environment.
pub(crate) fn environment_digest(env: &BTreeMap<String, String>) -> Digest {
    Digest::of(&encode_doc(env))
}

/// What a command counted, added to what those before it did.
fn more(sum: TestCounts, found: &findings::Findings) -> TestCounts {
    TestCounts {
        run: sum.run.saturating_add(found.tests.unwrap_or(0)),
        skipped: sum.skipped.saturating_add(found.skipped),
    }
}

pub(super) fn cancelled() -> Outcome {
    Outcome::Cancelled { usage: taskd_model::Usage::default(), checkpoint: None }
}

/// At most 200 bytes, on a character boundary.
pub(super) fn short(text: &str) -> String {
    let end = (0..=text.len().min(200)).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].to_owned()
}
