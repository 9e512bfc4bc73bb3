//! `taskd verify`: proves a landing again, from what is written down and by running its gate on the
//! landed tree once more.
//!
//! Nothing is believed that can be looked at: the event with the gate's report, the tree of the
//! commit, the bytes of the log, where the target stands. A commit alone is proven by what its
//! trailers say. It writes nothing but a checkout of its own, and nothing enters the log.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use taskd_api::{ApiError, codes, v1};
use taskd_git::Repo;
use taskd_model::{
    Digest, Event, Evidence, GateDoc, GateReport, LoopId, LoopView, Oid, Outcome, PlanDoc, Record,
    SpecDoc, gate_digest,
};
use taskd_store::Filter;
use taskd_tools::{
    agents::environment,
    supervise::{How, Ladder, Spec, Stdin},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Items, STREAM_ITEMS, Service, blocking};
use crate::runner::{
    GATE_TRAILER, LOOP_TRAILER, Ran, chain, environment_digest, gate_commands, gate_timeout,
    proof_of, read_gate, trailer,
};

/// Bytes of output kept of each command: enough to say what failed.
const KEEP_BYTES: usize = 128 << 10;
/// Setup is ended after this long.
const SETUP_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Files a fresh checkout gets a copy of.
const INCLUDE_FILE: &str = ".worktreeinclude";

/// What is to be proven: a commit, and what this store knows of it.
struct Claim {
    subject: String,
    commit: Oid,
    repo: Repo,
    root: PathBuf,
    known: Option<Known>,
}

/// What the log and its documents say of a landing of ours.
struct Known {
    plan: PlanDoc,
    commands: Vec<String>,
    setup: Vec<String>,
    target: String,
    evidence: Option<Evidence>,
}

/// A gate to run again.
struct Again {
    commands: Vec<String>,
    setup: Vec<String>,
    env: BTreeMap<String, String>,
    gate: GateDoc,
}

type Sender = mpsc::Sender<Result<v1::VerifyStep, tonic::Status>>;

/// Tells the steps of one claim; a client that went away hears nothing more.
struct Teller<'a> {
    items: &'a Sender,
    subject: String,
    commit: Oid,
}

impl Teller<'_> {
    async fn tell(&self, name: &str, state: v1::StepState, detail: String) {
        let step = v1::VerifyStep {
            subject: self.subject.clone(),
            commit: self.commit.to_string(),
            name: name.to_owned(),
            state: state.into(),
            detail,
        };
        self.items.send(Ok(step)).await.ok();
    }

    async fn found(&self, name: &str, found: Result<String, String>) {
        match found {
            Ok(detail) => self.tell(name, v1::StepState::Proven, detail).await,
            Err(detail) => self.tell(name, v1::StepState::Failed, detail).await,
        }
    }
}

impl Service {
    pub(super) async fn do_verify(
        &self,
        request: v1::VerifyRequest,
    ) -> Result<Items<v1::VerifyStep>, ApiError> {
        let this = self.clone();
        let (id, repository) = (request.id.clone(), request.repository.clone());
        let claims = blocking(move || this.claims(&id, &repository)).await?;
        let (items, stream) = mpsc::channel(STREAM_ITEMS);
        let this = self.clone();
        self.0.spawn(async move {
            let limit = match request.timeout_ms {
                0 => Duration::MAX,
                ms => Duration::from_millis(ms),
            };
            let all = async {
                for claim in &claims {
                    this.verify_one(claim, &request, limit, &items).await;
                }
            };
            // Whoever asked may go away: what runs for them ends.
            tokio::select! {
                () = all => {}
                () = items.closed() => {}
            }
        });
        Ok(ReceiverStream::new(stream))
    }

    /// What an id stands for: the landings of a loop or plan, or else a commit of the repository.
    fn claims(&self, id: &str, repository: &str) -> Result<Vec<Claim>, ApiError> {
        let error = match self.target(id) {
            Ok((_, loops)) => {
                let landed: Vec<LoopId> = {
                    let view = self.ctx().hub.view();
                    loops.into_iter().filter(|it| view.loops[it].landed.is_some()).collect()
                };
                if landed.is_empty() {
                    let what = format!("nothing of {id} has landed, so there is nothing to verify");
                    return Err(
                        ApiError::new(codes::NOT_FOUND, what).hint(format!("taskd why {id}"))
                    );
                }
                return landed.into_iter().map(|it| self.claim_of(it)).collect();
            }
            Err(error) => error,
        };
        let Ok((repo, root)) = self.repository(repository) else { return Err(error) };
        let Ok(Some(commit)) = repo.find_commit(id) else {
            let what = format!("{}; no commit is called so either", error.message);
            return Err(ApiError { message: what, ..error });
        };
        let ours = {
            let view = self.ctx().hub.view();
            let is_it = |it: &&LoopView| it.landed.is_some_and(|it| it.commit == commit);
            view.loops.values().find(is_it).map(|it| it.id)
        };
        if let Some(id) = ours {
            return Ok(vec![self.claim_of(id)?]);
        }
        Ok(vec![Claim { subject: commit.short(), commit, repo, root, known: None }])
    }

    /// The repository a path is in, and its checkout. It need not be a project.
    pub(super) fn repository(&self, path: &str) -> Result<(Repo, PathBuf), ApiError> {
        let error = |it: taskd_git::GitError| ApiError::of(it.code(), &it);
        if path.is_empty() {
            return Err(ApiError::new(codes::NOT_FOUND, "this is not in a git repository"));
        }
        let probe = taskd_git::probe(Path::new(path)).map_err(error)?;
        let name = Digest::of(probe.git_dir.as_os_str().as_encoded_bytes()).to_string();
        let dir = self.ctx().paths.state.join("worktrees").join(format!("check-{}", &name[..12]));
        let repo = Repo::new(probe.git_dir, &self.ctx().tag, dir).map_err(error)?;
        Ok((repo, probe.root))
    }

    fn claim_of(&self, id: LoopId) -> Result<Claim, ApiError> {
        let (name, landed, doc, plan_doc, project, target) = {
            let view = self.ctx().hub.view();
            let (it, plan) = (&view.loops[&id], &view.plans[&id.plan()]);
            let landed = it.landed.expect("only what landed is verified");
            (it.name.clone(), landed, it.doc, plan.doc, plan.project, plan.target.clone())
        };
        let plan: PlanDoc = self.ctx().doc(&plan_doc).map_err(ApiError::from)?;
        let spec: SpecDoc = self.ctx().doc(&doc).map_err(ApiError::from)?;
        let (_, root) = self.ctx().repo(project).map_err(ApiError::from)?;
        let (repo, _) = self.repository(&root.to_string_lossy())?;
        let known = Known {
            commands: gate_commands(&plan.gate, &spec.accept),
            setup: plan.setup.iter().cloned().chain(spec.loop_type.setup).collect(),
            plan,
            target,
            evidence: landed.evidence,
        };
        Ok(Claim { subject: name, commit: landed.commit, repo, root, known: Some(known) })
    }

    async fn verify_one(
        &self,
        claim: &Claim,
        request: &v1::VerifyRequest,
        limit: Duration,
        items: &Sender,
    ) {
        let teller = Teller { items, subject: claim.subject.clone(), commit: claim.commit };
        let (repo, commit) = (claim.repo.clone(), claim.commit);
        let read = blocking(move || {
            let error = |it: taskd_git::GitError| ApiError::of(it.code(), &it);
            Ok((repo.tree_of(commit).map_err(error)?, repo.message(commit).map_err(error)?))
        });
        let (tree, message) = match read.await {
            Ok(read) => read,
            Err(error) => return teller.found("commit", Err(error.message)).await,
        };
        if let Some(known) = &claim.known {
            self.verify_records(&teller, claim, known, tree).await;
        }
        let said = verify_trailers(&message, tree, claim.known.as_ref());
        let gate = said.as_ref().ok().and_then(|it| it.1.clone());
        teller.found("trailers", said.map(|it| it.0)).await;
        if request.recorded {
            return;
        }
        let again = match (&claim.known, gate) {
            (Some(known), _) => Again {
                commands: known.commands.clone(),
                setup: known.setup.clone(),
                env: known.plan.env.clone(),
                gate: known.plan.gate.clone(),
            },
            (None, Some(commands)) => {
                let config = self.ctx().config_of(&claim.root).ok();
                Again {
                    commands,
                    setup: config.and_then(|it| it.setup.clone()).into_iter().collect(),
                    env: request.environment.clone(),
                    gate: GateDoc::default(),
                }
            }
            (None, None) => return,
        };
        let run = tokio::time::timeout(limit, self.run_again(claim, &again));
        let found = run.await.unwrap_or_else(|_| {
            Err(format!("it was not over after {} s and was ended", limit.as_secs()))
        });
        teller.found("gate", found).await;
    }

    /// The event, the tree, the log, the target.
    async fn verify_records(&self, teller: &Teller<'_>, claim: &Claim, known: &Known, tree: Oid) {
        let this = self.clone();
        let (repo, commit) = (claim.repo.clone(), claim.commit);
        let (target, evidence) = (known.target.clone(), known.evidence);
        let gate = gate_digest(&known.commands);
        let env = environment_digest(&known.plan.env);
        let looked = blocking(move || {
            let mut steps = Vec::new();
            match evidence {
                Some(evidence) => {
                    let report = this.report_at(evidence);
                    let said = report.as_ref().map_err(Clone::clone);
                    steps.push((
                        "evidence",
                        said.and_then(|it| verify_report(it, evidence, gate, env)),
                    ));
                    steps.push(("tree", verify_tree(&repo, commit, tree, evidence.tree, &target)));
                    if let Ok(report) = report {
                        steps.push(("log", this.verify_log(report.log)));
                    }
                }
                None => {
                    steps.push(("evidence", Err("no event says which gate let it land".into())));
                }
            }
            steps.push(("target", verify_target(&repo, commit, &target)));
            Ok(steps)
        });
        match looked.await {
            Ok(steps) => {
                for (name, found) in steps {
                    teller.found(name, found).await;
                }
            }
            Err(error) => teller.found("evidence", Err(error.message)).await,
        }
    }

    /// The gate's report an event holds.
    fn report_at(&self, evidence: Evidence) -> Result<GateReport, String> {
        let seq = evidence.seq;
        if seq < self.ctx().store.first() {
            let what = "it is older than what the log keeps (gc.history)";
            return Err(format!("{what}; the commit's receipt says it: taskd verify COMMIT"));
        }
        let rows = self.ctx().store.read(seq, 1, Filter::default()).map_err(|it| chain(&it))?;
        let row = rows.first().filter(|it| it.seq == seq);
        let row = row.ok_or_else(|| format!("event {seq} is not in the log"))?;
        let record = Record::decode(&row.json).map_err(|it| it.to_string())?;
        let none = || format!("event {seq} holds no report of a gate");
        let Event::EffectEnded { outcome, .. } = record.event else { return Err(none()) };
        if let Outcome::Gated { report: Some(report), .. }
        | Outcome::CandidateGated(report)
        | Outcome::BaseChecked(report) = outcome
        {
            return Ok(report);
        }
        Err(none())
    }

    fn verify_log(&self, log: Digest) -> Result<String, String> {
        let bytes = self.ctx().store.get_blob(&log).map_err(|it| chain(&it))?;
        let is = Digest::of(&bytes);
        if is != log {
            return Err(format!("the gate's output is {is}, the report says {log}"));
        }
        Ok(format!(
            "the gate's output is there, {} bytes, and is what the report says",
            bytes.len()
        ))
    }

    /// Runs the gate on exactly the commit's files.
    async fn run_again(&self, claim: &Claim, again: &Again) -> Result<String, String> {
        if again.commands.is_empty() {
            return Err(
                "its gate has no command, so nothing can be proven by running it".to_owned()
            );
        }
        // One at a time: they share the checkout.
        let _turn = self.ctx().checking.lock().await;
        let (repo, commit, root) = (claim.repo.clone(), claim.commit, claim.root.clone());
        let place = blocking(move || {
            let error = |it: taskd_git::GitError| ApiError::of(it.code(), &it);
            let place = repo.checkout_scratch("verify", commit).map_err(error)?;
            repo.copy_included(&root, "verify", INCLUDE_FILE.as_ref()).map_err(error)?;
            Ok(place)
        });
        let place = place.await.map_err(|it| it.message)?;
        for command in &again.setup {
            let mut ran = Ran::default();
            self.run_command(command, &place, again, SETUP_TIMEOUT, &mut ran).await?;
            if ran.exits != [0] {
                return Err(format!("setup `{command}` failed: {}", ran.summary));
            }
        }
        let began = tokio::time::Instant::now();
        let mut ran = Ran::default();
        for command in &again.commands {
            if !self
                .run_command(command, &place, again, gate_timeout(&again.gate), &mut ran)
                .await?
            {
                return Err(format!("the gate is red on this tree: {}", ran.summary));
            }
        }
        let (n, took) = (ran.exits.len(), began.elapsed().as_secs_f32());
        let commands = if n == 1 { "1 command".to_owned() } else { format!("{n} commands") };
        Ok(format!("run again on this tree: green, {commands}, {took:.1} s, {}", ran.summary))
    }

    async fn run_command(
        &self,
        command: &str,
        place: &Path,
        again: &Again,
        timeout: Duration,
        ran: &mut Ran,
    ) -> Result<bool, String> {
        let spec = Spec {
            argv: ["sh", "-c", command].map(std::ffi::OsString::from).to_vec(),
            cwd: place.to_owned(),
            env: environment(&again.env, &[]),
            stdin: Stdin::Null,
            timeout: Some(timeout),
            idle: None,
            ladder: Ladder::STOP,
            keep_head_bytes: KEEP_BYTES,
            keep_tail_bytes: KEEP_BYTES,
        };
        let finished = self.ctx().launcher.start(&spec, |_, _| {}).wait().await;
        if let How::NotStarted { reason } = &finished.how {
            return Err(reason.clone());
        }
        Ok(ran.take(command, &finished, timeout))
    }
}

fn verify_report(
    report: &GateReport,
    evidence: Evidence,
    gate: Digest,
    env: Digest,
) -> Result<String, String> {
    let seq = evidence.seq;
    if !report.green {
        return Err(format!("event {seq} says that the gate was red"));
    }
    let Some(proof) = &report.proof else {
        return Ok(format!("event {seq}: green; it is too old to say more"));
    };
    if proof.tree != evidence.tree {
        return Err(format!("event {seq} is about tree {}, not {}", proof.tree, evidence.tree));
    }
    if proof.environment != env {
        return Err(format!("event {seq} names another environment than its plan's"));
    }
    let exits: Vec<String> = proof.exits.iter().map(ToString::to_string).collect();
    let whose =
        if proof.gate == gate { "its gate" } else { "a gate of more than its own commands" };
    Ok(format!("event {seq}: {whose} was green, exit {}", exits.join(" ")))
}

fn verify_tree(
    repo: &Repo,
    commit: Oid,
    tree: Oid,
    gated: Oid,
    target: &str,
) -> Result<String, String> {
    if tree == gated {
        return Ok(format!("the commit's tree is the one that was gated, {}", tree.short()));
    }
    let tip = tip(repo, target)?;
    match repo.carries_tree(tip, commit, gated) {
        Ok(Some(top)) => Ok(format!(
            "it was gated together with what landed with it, as {}: tree {}",
            top.short(),
            gated.short()
        )),
        Ok(None) => Err(format!("the commit's tree is {tree}, the gate was green on {gated}")),
        Err(error) => Err(chain(&error)),
    }
}

fn tip(repo: &Repo, target: &str) -> Result<Oid, String> {
    let tip = repo.tip(target).map_err(|it| chain(&it))?;
    tip.ok_or_else(|| format!("branch {target} is gone"))
}

fn verify_target(repo: &Repo, commit: Oid, target: &str) -> Result<String, String> {
    let tip = tip(repo, target)?;
    match repo.ancestor_of(commit, tip) {
        Ok(true) => Ok(format!("it is on {target}")),
        Ok(false) => Err(format!("it is not on {target} any more, which is at {}", tip.short())),
        Err(error) => Err(chain(&error)),
    }
}

/// What the commit says of itself, and the gate it names.
fn verify_trailers(
    message: &str,
    tree: Oid,
    known: Option<&Known>,
) -> Result<(String, Option<Vec<String>>), String> {
    let Some(gate) = trailer(message, GATE_TRAILER) else {
        return match known {
            Some(_) => Ok(("its message names no gate".to_owned(), None)),
            None => Err(format!("it has no {GATE_TRAILER} trailer: taskd did not land it")),
        };
    };
    let gate = read_gate(gate);
    if let Some(known) = known
        && known.commands != gate
    {
        return Err("its message names another gate than its plan".to_owned());
    }
    let by = trailer(message, LOOP_TRAILER).unwrap_or("a loop without a name");
    let Some(proof) = proof_of(message) else {
        return Ok((format!("by {by}; its message names no evidence"), Some(gate)));
    };
    if proof.gate != gate_digest(&gate) {
        return Err("the gate in its message is not the one its evidence names".to_owned());
    }
    let how =
        if proof.tree == tree { "as this very tree" } else { "before it was put on the target" };
    Ok((format!("by {by}; its gate was green {how}"), Some(gate)))
}
