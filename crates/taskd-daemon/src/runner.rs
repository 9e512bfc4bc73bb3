//! Makes what runs equal to what is wanted: starts effects, asks them to end, reports how they did.
//!
//! It decides nothing and retries nothing. Every effect is one task that ends in exactly one
//! outcome; a panic in it is an outcome too.

mod agent;
mod call;
mod document;
mod elsewhere;
mod fault;
mod gate;
mod history;
mod judge;
mod land;
mod live;
mod mcp;
mod message;
pub(crate) mod place;
pub(crate) mod pool;
mod programs;
mod propose;
mod query;
mod recent;
mod relay;
mod reporter;
mod review;
mod shape;
mod stack;
mod summary;
mod talk;
mod teardown;
mod tenancy;
mod tool;
mod trouble;
mod worktree;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use futures::FutureExt as _;
use serde::de::DeserializeOwned;
use taskd_git::{GitError, Identity, Repo};
use taskd_llm::Models;
use taskd_model::{
    Code, Delta, Digest, EffectId, Input, LoopId, Observation, Oid, Order, Outcome, Owner, PlanDoc,
    ProjectId, Request, SpecDoc, Subject, Usage, View, Work, decode_doc, encode_doc,
};
use taskd_store::Store;
use taskd_tools::supervise::Launcher;
use tokio::{
    runtime,
    sync::{oneshot, watch},
    task::block_in_place,
};
use tracing::error;

pub(crate) use self::{
    agent::speaks_acp,
    call::{Asked, composed, instructions_at},
    fault::is_blind,
    gate::{Ran, environment_digest, gate_commands, gate_timeout},
    land::{Following, Moved, before_landing, filtered, move_target},
    message::{
        GATE_TRAILER, LOOP_TRAILER, PLAN_TRAILER, evidence_line, proof_of, read_gate, trailer,
    },
    programs::ending,
    reporter::Reporter,
    tool::answer_doc,
    trouble::{Trouble, chain},
};
use crate::{
    config::Config,
    disk,
    driver::{Handle, Wanted, panic_text},
    gateway::{Gateway, Told},
    hub::{Hub, Noise},
    log::{Levels, Secrets},
    metrics::Life,
    models, otel,
    paths::Paths,
    watcher::{self, remote::Remotes},
};

/// Blobs kept in memory, in bytes: the last turns of a few hundred loops.
const BLOB_BYTES: usize = 8 << 20;
/// Requests kept in memory, in bytes.
const REQUEST_BYTES: usize = 16 << 20;
/// `AGENTS.md` and the like kept in memory, in bytes.
const INSTRUCTION_BYTES: usize = 1 << 20;
/// What is kept of the last words of loops, in bytes.
const SAID_BYTES: usize = 1 << 20;

/// What files and the environment say when the daemon starts.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Effective configuration without any project's.
    pub(crate) config: Arc<Config>,
    /// What names of models mean; stays as it is until the next start.
    pub(crate) models: Models,
    /// What no line of the log may hold.
    pub(crate) secrets: Secrets,
    /// How much is logged.
    pub(crate) levels: Levels,
}

/// What all effects share.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) store: Arc<Store>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) handle: Handle,
    pub(crate) launcher: Launcher,
    pub(crate) models: Models,
    /// Where agents' calls come in.
    pub(crate) gateway: Gateway,
    /// What providers said when they were asked.
    pub(crate) availability: models::Availability,
    pub(crate) paths: Paths,
    /// The store's tag: names our refs.
    pub(crate) tag: String,
    /// Effective configuration without any project's.
    pub(crate) config: Mutex<Arc<Config>>,
    /// Secrets clients handed over, by name of their variable. Memory only.
    pub(crate) credentials: Mutex<BTreeMap<String, String>>,
    /// Their values, kept out of the log.
    pub(crate) secrets: Secrets,
    /// How much is logged.
    pub(crate) levels: Levels,
    /// Scratch checkouts in use, by project.
    scratch: Mutex<BTreeSet<(ProjectId, u32)>>,
    /// What worktrees have besides their files.
    places: Mutex<place::Blocks>,
    /// Worktrees in which teardown runs.
    tearing: Mutex<BTreeSet<String>>,
    /// Spare worktrees.
    pool: pool::Pool,
    running: Mutex<BTreeMap<EffectId, watch::Sender<bool>>>,
    /// How targets that follow a remote are doing.
    pub(crate) remotes: Remotes,
    /// Where traces go, if anywhere.
    pub(crate) otel: Option<otel::Settings>,
    /// What is measured of this life.
    pub(crate) life: Arc<Life>,
    /// How much room there is.
    pub(crate) disk: disk::Watched,
    /// Who is in loops' worktrees.
    tenancies: tenancy::Tenancies,
    /// Who may move targets of a project, and the checkouts that have them.
    turns: Mutex<BTreeMap<ProjectId, Arc<Mutex<()>>>>,
    /// Configuration is read by one at a time: what was read later counts later.
    pub(crate) reading: tokio::sync::Mutex<()>,
    /// `plan check` tries `accept` commands one plan at a time.
    pub(crate) checking: tokio::sync::Mutex<()>,
    /// What agents did to git is looked at one run at a time.
    tidying: tokio::sync::Mutex<()>,
    idle: tokio::sync::Notify,
    /// Agent programs that outlive a run.
    live: live::Live,
    /// Blobs that will be wanted again.
    blobs: recent::Recent<Digest, Arc<[u8]>>,
    /// Requests that were sent: an attempt after a failure sends the same one.
    requests: recent::Recent<Digest, Arc<Request>>,
    /// What repositories tell models about themselves, by project and commit.
    instructions: recent::Recent<(ProjectId, Oid), Option<Arc<str>>>,
    /// What loops said last of their work, by iteration.
    said: recent::Recent<(LoopId, u32), Arc<str>>,
    /// Only in tests.
    fault: fault::Fault,
    /// The daemon ends: effects are ended without an outcome, and the next life asks again.
    closing: AtomicBool,
}

impl Context {
    pub(crate) fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        handle: Handle,
        launcher: Launcher,
        paths: Paths,
        tag: String,
        settings: Settings,
    ) -> Self {
        let Settings { config, models, secrets, levels } = settings;
        let otel = otel::Settings::from_env(&secrets);
        Self {
            store,
            hub,
            handle,
            launcher,
            models,
            gateway: Gateway::default(),
            availability: models::Availability::default(),
            paths,
            tag,
            config: Mutex::new(config),
            credentials: Mutex::default(),
            secrets,
            levels,
            scratch: Mutex::default(),
            places: Mutex::default(),
            tearing: Mutex::default(),
            pool: pool::Pool::default(),
            remotes: Remotes::default(),
            turns: Mutex::default(),
            otel,
            life: Arc::default(),
            disk: disk::Watched::default(),
            tenancies: tenancy::Tenancies::default(),
            running: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            checking: tokio::sync::Mutex::default(),
            tidying: tokio::sync::Mutex::default(),
            idle: tokio::sync::Notify::new(),
            live: live::Live::default(),
            blobs: recent::Recent::new(BLOB_BYTES),
            requests: recent::Recent::new(REQUEST_BYTES),
            instructions: recent::Recent::new(INSTRUCTION_BYTES),
            said: recent::Recent::new(SAID_BYTES),
            fault: fault::Fault::from_env(),
            closing: AtomicBool::new(false),
        }
    }

    /// The repository of a project.
    pub(crate) fn repo(&self, project: ProjectId) -> Result<(Repo, PathBuf), Trouble> {
        let view = self.hub.view();
        let it = view.projects.get(&project).ok_or_else(|| {
            let what = format!("project {} is not known any more", project.0);
            Trouble::new(Code::NoSuchProject, what)
        })?;
        let (git_dir, root) = (PathBuf::from(&it.git_dir), PathBuf::from(&it.root));
        drop(view);
        let repo = Repo::new(git_dir, &self.tag, self.paths.worktrees(project.0))?;
        Ok((repo.with_checkout(&root), root))
    }

    /// Whoever moves a target of a project holds this meanwhile: landing and a fetch at once would
    /// meet in a person's checkout.
    pub(crate) fn turn_at_targets(&self, project: ProjectId) -> Arc<Mutex<()>> {
        Arc::clone(lock(&self.turns).entry(project).or_default())
    }

    /// Returns when no target is being moved any more: a person's checkout must not be left in the
    /// middle of it.
    pub(crate) fn end_moves(&self) {
        let turns: Vec<_> = lock(&self.turns).values().map(Arc::clone).collect();
        for turn in turns {
            drop(lock(&turn));
        }
    }

    /// Reads a blob. Like every step that waits for the disk it says so to the runtime, which lets
    /// other tasks go on meanwhile.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Arc<[u8]>, Trouble> {
        if let Some(bytes) = self.blobs.get(digest) {
            return Ok(bytes);
        }
        let bytes: Arc<[u8]> = block_in_place(|| self.store.get_blob(digest))?.into();
        self.blobs.keep(*digest, Arc::clone(&bytes), bytes.len());
        Ok(bytes)
    }

    /// Stores a blob; it is durable before any event of an input handed in after this.
    pub(crate) fn put_blob(&self, bytes: Vec<u8>) -> Result<Digest, Trouble> {
        let kept: Arc<[u8]> = bytes.as_slice().into();
        let digest = block_in_place(|| self.store.queue_blob(bytes))?;
        self.blobs.keep(digest, Arc::clone(&kept), kept.len());
        Ok(digest)
    }

    /// Reads a document.
    pub(crate) fn doc<T: DeserializeOwned>(&self, digest: &Digest) -> Result<T, Trouble> {
        let bytes = self.blob(digest)?;
        decode_doc(&bytes).map_err(|it| {
            Trouble::of(Code::StoreDamaged, &it).within(&format!("document {digest}"))
        })
    }

    /// From now on the end of an effect is nobody's business but the next life's.
    pub(crate) fn begin_closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn effects_running(&self) -> usize {
        lock(&self.running).len()
    }

    /// Asks everything that runs to end, and waits until it has.
    pub(crate) async fn end_all(&self) {
        loop {
            let idle = self.idle.notified();
            {
                let running = lock(&self.running);
                if running.is_empty() {
                    break;
                }
                running.values().for_each(|end| _ = end.send_replace(true));
            }
            idle.await;
        }
        self.live.end_all().await;
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wanted set, made to run.
#[derive(Debug)]
pub(crate) struct Runner {
    ctx: Arc<Context>,
    runtime: runtime::Handle,
}

impl Runner {
    pub(crate) fn new(ctx: Arc<Context>, runtime: runtime::Handle) -> Self {
        Self { ctx, runtime }
    }
}

impl Wanted for Runner {
    fn start(&mut self, order: Order) {
        let (end, ended) = watch::channel(false);
        let effect = order.effect;
        lock(&self.ctx.running).insert(effect, end);
        let ctx = Arc::clone(&self.ctx);
        let reporter = Arc::new(Reporter::new(ctx.handle.clone(), effect));
        let afterwards = Mutex::default();
        let job = Job { ctx: Arc::clone(&ctx), order, ended, reporter, afterwards };
        self.runtime.spawn(async move {
            let since = tokio::time::Instant::now();
            let mut outcome = match AssertUnwindSafe(job.perform()).catch_unwind().await {
                Ok(outcome) => outcome,
                Err(panic) => job.defect(&panic_text(&*panic)).await,
            };
            outcome = ctx.ended_with_disk(outcome).await;
            trouble::stamp(&mut outcome, &job.order, since.elapsed());
            if leads_to_iteration(&job.order.work) {
                // What begins next begins on the target as it is now, whatever the watcher saw.
                let target = (job.order.project, job.order.target.clone());
                watcher::look_now(&ctx, &target).await;
            }
            if !ctx.closing.load(Ordering::SeqCst) {
                // Only a loop that is gone does not take it; then the next life asks again.
                ctx.handle.tell(Input::Ended { effect, outcome }).await.ok();
            }
            if let Some(answer) = lock(&job.afterwards).take() {
                answer.send(Told::AskAgain).ok();
            }
            lock(&ctx.running).remove(&effect);
            ctx.idle.notify_waiters();
        });
    }

    fn end(&mut self, effect: EffectId) {
        if let Some(end) = lock(&self.ctx.running).get(&effect) {
            end.send_replace(true);
        }
    }
}

/// After this an iteration may begin.
fn leads_to_iteration(work: &Work) -> bool {
    match work {
        Work::CheckBase { .. }
        | Work::Prepare { .. }
        | Work::AcceptBefore
        | Work::Gate
        | Work::BuildCandidate { .. }
        | Work::GateCandidate { .. } => true,
        Work::Rebase { .. }
        | Work::Compose
        | Work::Call { .. }
        | Work::Tool { .. }
        | Work::Save { .. }
        | Work::Agent { .. }
        | Work::Relay(_)
        | Work::Answer(_)
        | Work::Decompose { .. }
        | Work::Publish { .. } => false,
    }
}

/// One effect under way.
pub(crate) struct Job {
    pub(crate) ctx: Arc<Context>,
    pub(crate) order: Order,
    ended: watch::Receiver<bool>,
    reporter: Arc<Reporter>,
    /// A call of an agent that is asked for again once the end of this one is handed in.
    afterwards: Mutex<Option<oneshot::Sender<Told>>>,
}

impl Job {
    async fn perform(&self) -> Outcome {
        let _tenant = self.moves_in().await;
        if let Err(trouble) = self.ensure_worktree().await {
            return trouble.outcome(Usage::default());
        }
        self.ctx.fault.strike(self.order.work.verb(), || {
            let view = self.ctx.hub.view();
            self.name(&view)
        });
        let result = match &self.order.work {
            Work::CheckBase { base } => self.check_base(*base).await,
            Work::Prepare { base, mode } => self.prepare(*base, *mode).await,
            Work::AcceptBefore => self.accept_before().await,
            Work::Compose if self.reads() => self.compose_review().await,
            Work::Compose => self.compose().await,
            Work::Call { request, bucket, cap_micros, cap_tokens, .. } => {
                let cap_tokens = (0 < *cap_tokens).then_some(*cap_tokens);
                return self.call(request, bucket, (*cap_micros, cap_tokens)).await;
            }
            Work::Tool { index, name, args, .. } => self.tool(*index, name, args).await,
            Work::Save { wrote } => self.save_files(wrote.as_ref()).await,
            Work::Agent { prompt, .. } => return self.agent(prompt).await,
            Work::Relay(relay) => return self.relay(relay).await,
            Work::Answer(answer) => return self.answer(answer).await,
            Work::Gate => self.gate().await,
            Work::Decompose { from } => self.decompose(*from).await,
            Work::Rebase { onto } => self.rebase(*onto).await,
            Work::BuildCandidate { op, onto, merges } => self.build(*op, *onto, *merges).await,
            Work::GateCandidate { op, commit, .. } => self.gate_candidate(*op, *commit).await,
            Work::Publish { op, commit, expected } => self.publish(*op, *commit, *expected).await,
        };
        result.unwrap_or_else(|trouble| trouble.outcome(Usage::default()))
    }

    /// A panic in an effect of a loop fails that loop and nothing else; elsewhere it is a failure
    /// a person must look at.
    async fn defect(&self, why: &str) -> Outcome {
        let verb = self.order.work.verb();
        error!(effect = %self.order.effect, "defect in {verb}: {why}");
        let message = format!("{verb}: {why}").chars().take(400).collect();
        if let Owner::Loop(id) = self.order.owner {
            self.ctx.handle.tell(Input::Panicked { id, message }).await.ok();
            return Outcome::Cancelled { usage: Usage::default(), checkpoint: None };
        }
        Trouble::new(Code::Internal, format!("internal error: {message}")).outcome(Usage::default())
    }

    /// Reports a fact and waits until it is durable.
    pub(crate) async fn observe(&self, fact: Observation) {
        self.reporter.observe(fact).await;
    }

    /// Reports a fact that nothing of the job waits for.
    pub(crate) async fn tell(&self, fact: Observation) {
        self.reporter.tell(fact).await;
    }

    /// Passes noise on, also from where the job itself cannot be.
    pub(crate) fn noise(&self) -> impl Fn(Delta) + Clone + Send + Sync + 'static {
        let hub = Arc::clone(&self.ctx.hub);
        let effect = self.order.effect;
        let loop_id = self.order.subject.as_ref().map(|it| it.id);
        move |delta| hub.noise(Noise { effect, loop_id, delta })
    }

    /// Returns when the effect is no longer wanted.
    pub(crate) async fn no_longer_wanted(&self) {
        let mut ended = self.ended.clone();
        if ended.wait_for(|it| *it).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        !*self.ended.borrow()
    }

    pub(crate) fn subject(&self) -> Result<&Subject, Trouble> {
        let none = || Trouble::new(Code::Internal, "this effect has no loop");
        self.order.subject.as_ref().ok_or_else(none)
    }

    pub(crate) fn plan_doc(&self) -> Result<PlanDoc, Trouble> {
        self.ctx.doc(&self.order.plan_doc)
    }

    pub(crate) fn spec_doc(&self) -> Result<SpecDoc, Trouble> {
        self.ctx.doc(&self.subject()?.spec_doc)
    }

    /// The name of the loop's worktree and refs.
    pub(crate) fn worktree_name(&self) -> Result<String, Trouble> {
        let subject = self.subject()?;
        let spec = self.spec_doc()?;
        Ok(worktree_name(subject.id, &spec.name))
    }

    /// What people call the loop.
    pub(crate) fn name(&self, view: &View) -> String {
        let id = self.order.subject.as_ref().map(|it| it.id);
        id.and_then(|id| view.loops.get(&id))
            .map_or_else(|| self.order.plan.to_string(), |it| it.name.clone())
    }

    pub(crate) fn put_doc<T: serde::Serialize>(&self, doc: &T) -> Result<Digest, Trouble> {
        self.ctx.put_blob(encode_doc(doc))
    }

    /// Runs a blocking step off the async threads.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        step: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        match tokio::task::spawn_blocking(step).await {
            Ok(result) => result,
            Err(failed) => {
                let why = failed.try_into_panic().map_or_else(
                    |_| "the daemon is stopping".to_owned(),
                    |panic| panic_text(&*panic),
                );
                Err(Trouble::new(Code::Internal, format!("internal error: {why}")))
            }
        }
    }
}

/// `p7-limiter-1`: the same after every restart.
pub(crate) fn worktree_name(id: LoopId, spec: &str) -> String {
    format!("{}-{spec}-{}", id.plan(), id.run)
}

/// The person's identity, now.
pub(crate) fn identity(repo: &Repo) -> Result<Identity, GitError> {
    repo.identity(i64::try_from(epoch_s()).unwrap_or(i64::MAX))
}

/// Seconds since the epoch, now.
pub(crate) fn epoch_s() -> u64 {
    epoch_ms() / 1_000
}

/// Milliseconds since the epoch, now.
pub(crate) fn epoch_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
