//! The whole daemon is one loop: take an input, decide, append, and release what became durable.
//!
//! It decides ahead of the disk, bounded. Answers, publications, and starts and ends of effects are
//! released by the durable head, in order. If an append fails the process ends: memory is
//! disposable, the log is not.
//!
//! This is the only place that reads the clock for the core, and the only one that holds it.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::anyhow;
use taskd_core::{Coordinator, Decided, Rejected};
use taskd_model::{
    EffectId, Event, Input, LoopId, Order, Owner, PlanId, Record, Seq, Spread, Time,
};
use taskd_store::Store;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info};

use crate::{
    hub::Hub,
    metrics::millis,
    replay::{self, Replayed},
    runner::lock,
};

/// A loop with inputs waiting that has not turned for so long is not healthy, in milliseconds.
const STUCK_MS: u64 = 5_000;

/// The plan an event belongs to, if to one.
#[expect(clippy::wildcard_enum_match_arm, reason = "few events are about a plan and no loop")]
fn plan_of(record: &Record) -> Option<PlanId> {
    record.loop_id.map(LoopId::plan).or(match &record.event {
        Event::PlanSubmitted { plan, .. }
        | Event::PlanReleased { plan, .. }
        | Event::IntegrationMoved { plan, .. }
        | Event::PlanEnded { plan }
        | Event::EffectStarted { owner: Owner::Plan(plan), .. } => Some(*plan),
        Event::SpecAdded { spec, .. } => Some(spec.plan),
        _ => None,
    })
}

/// What the log says of an event: not the words of a task, and a title may be one.
#[expect(clippy::wildcard_enum_match_arm, reason = "named are those that hold a person's words")]
fn without_titles(record: &Record) -> String {
    match &record.event {
        Event::PlanSubmitted { plan, head } => format!("{plan} submitted, {} specs", head.specs),
        Event::SpecAdded { spec, head } => format!("{spec} is {}", head.name),
        _ => record.to_string(),
    }
}

/// Inputs that may wait before senders do.
const INBOX: usize = 4_096;
/// Events decided and not yet durable before no more inputs are taken.
const MAX_UNDURABLE: usize = 8_192;
/// A snapshot is written after so many events, or after `SNAPSHOT_AFTER` with fewer.
const SNAPSHOT_EVENTS: u64 = 1_000;
const SNAPSHOT_AFTER: Duration = Duration::from_secs(5);

/// What a sender of an input learns once it is durable.
pub(crate) type Reply = Result<Seq, Rejected>;
type Question = Box<dyn FnOnce(&Coordinator, Time) + Send>;

/// What reaches the loop.
enum Message {
    Input {
        input: Input,
        reply: Option<oneshot::Sender<Reply>>,
    },
    Ask(Question),
    /// Finish what is undurable, write a snapshot, and end.
    Close(oneshot::Sender<()>),
}

/// Cheap to clone: how everybody reaches the loop.
#[derive(Clone)]
pub(crate) struct Handle {
    inbox: mpsc::Sender<Message>,
    pulse: Arc<Pulse>,
}

/// Signs of life, for health and for people.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// When the loop last turned, in milliseconds since the process began.
    turned_ms: AtomicU64,
    undurable: AtomicU64,
    /// How long it took until events were durable.
    commits: Mutex<Spread>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// The loop is gone, and with it the daemon's ability to do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon is stopping")]
pub(crate) struct Gone;

impl Handle {
    /// Hands in an input and waits until what it led to is durable.
    pub(crate) async fn input(&self, input: Input) -> Result<Reply, Gone> {
        self.hand_in(input).await?.await.map_err(|_| Gone)
    }

    /// Hands in an input; what it led to is durable when the answer comes.
    pub(crate) async fn hand_in(&self, input: Input) -> Result<oneshot::Receiver<Reply>, Gone> {
        let (reply, answer) = oneshot::channel();
        let message = Message::Input { input, reply: Some(reply) };
        self.inbox.send(message).await.map_err(|_| Gone)?;
        Ok(answer)
    }

    /// Hands in an input nobody waits for.
    pub(crate) async fn tell(&self, input: Input) -> Result<(), Gone> {
        self.inbox.send(Message::Input { input, reply: None }).await.map_err(|_| Gone)
    }

    /// Asks the core a bounded, read-only question.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Coordinator, Time) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let question: Question = Box::new(move |core, now| {
            reply.send(question(core, now)).ok();
        });
        self.inbox.send(Message::Ask(question)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    /// Ends the loop; everything decided is durable afterwards.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.inbox.send(Message::Close(done)).await.is_ok() {
            closed.await.ok();
        }
    }

    /// An idle loop need not turn; one with inputs waiting must.
    pub(crate) fn is_healthy(&self) -> bool {
        let (turned, _, waiting) = self.health();
        waiting == 0 || turned < STUCK_MS
    }

    /// How long ago the loop turned, how many events are not yet durable, how many inputs wait.
    pub(crate) fn health(&self) -> (u64, u64, usize) {
        let now = process_ms();
        let ago = now.saturating_sub(self.pulse.turned_ms.load(Ordering::Relaxed));
        let waiting = self.inbox.max_capacity() - self.inbox.capacity();
        (ago, self.pulse.undurable.load(Ordering::Relaxed), waiting)
    }

    /// How long it took in this life until events were durable.
    pub(crate) fn commits(&self) -> Spread {
        *lock(&self.pulse.commits)
    }
}

fn process_ms() -> u64 {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The only clock: wall time at the start plus monotonic time since, never before the log's last
/// record (decision D32).
#[derive(Debug)]
struct Clock {
    began: Instant,
    at_start: u64,
}

impl Clock {
    fn new(last: Time) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
        Self { began: Instant::now(), at_start: wall.max(last.0) }
    }

    fn now(&self) -> Time {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Time(self.at_start.saturating_add(since))
    }

    /// How long until `at`; nothing if it has come.
    fn until(&self, at: Time) -> Duration {
        Duration::from_millis(at.ms_since(self.now()))
    }
}

/// Where wanted work goes when it is durable.
pub(crate) trait Wanted: Send {
    fn start(&mut self, order: Order);
    fn end(&mut self, effect: EffectId);
}

/// Everything that waits for the disk, in order.
struct Undurable {
    upto: Seq,
    records: Vec<Record>,
    reply: Option<(oneshot::Sender<Reply>, Reply)>,
    start: Vec<Order>,
    end: Vec<EffectId>,
}

/// The loop and everything it owns.
pub(crate) struct Driver<W> {
    core: Coordinator,
    clock: Clock,
    store: Arc<Store>,
    hub: Arc<Hub>,
    wanted: W,
    inbox: mpsc::Receiver<Message>,
    durable: mpsc::UnboundedReceiver<Result<Seq, String>>,
    durable_tx: mpsc::UnboundedSender<Result<Seq, String>>,
    undurable: VecDeque<Undurable>,
    n_undurable: usize,
    pulse: Arc<Pulse>,
    snapshot_at: Seq,
    snapshot_due: Option<Instant>,
    panics: u32,
}

/// Makes the way in before the loop exists, so that what the loop needs can be given it.
pub(crate) struct Inbox {
    receiver: mpsc::Receiver<Message>,
    pub(crate) handle: Handle,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let (inbox, receiver) = mpsc::channel(INBOX);
        process_ms();
        Self { receiver, handle: Handle { inbox, pulse: Arc::default() } }
    }
}

impl<W: Wanted> Driver<W> {
    pub(crate) fn new(
        inbox: Inbox,
        replayed: Replayed,
        store: Arc<Store>,
        hub: Arc<Hub>,
        wanted: W,
    ) -> Self {
        #[expect(clippy::disallowed_methods, reason = "bounded by what is undurable")]
        let (durable_tx, durable) = mpsc::unbounded_channel();
        Self {
            core: replayed.core,
            clock: Clock::new(replayed.last),
            store,
            hub,
            wanted,
            inbox: inbox.receiver,
            durable,
            durable_tx,
            undurable: VecDeque::new(),
            n_undurable: 0,
            pulse: inbox.handle.pulse,
            snapshot_at: replayed.snapshot_at,
            snapshot_due: None,
            panics: 0,
        }
    }

    /// Turns until it is closed.
    ///
    /// # Errors
    ///
    /// An event could not be made durable, or the core failed twice: the process must end.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut closing = None;
        loop {
            self.pulse.turned_ms.store(process_ms(), Ordering::Relaxed);
            self.pulse.undurable.store(self.n_undurable as u64, Ordering::Relaxed);
            if closing.is_some() && self.undurable.is_empty() {
                break;
            }
            let deadline = self.core.next_deadline().map(|at| self.clock.until(at));
            let takes_input = closing.is_none() && self.n_undurable < MAX_UNDURABLE;
            tokio::select! {
                biased;
                upto = self.durable.recv() => {
                    let upto = upto.expect("the driver keeps a sender");
                    self.release(upto.map_err(|why| anyhow!("the log cannot be written: {why}"))?);
                }
                message = self.inbox.recv(), if takes_input => match message {
                    Some(Message::Input { input, reply }) => self.handle(&input, reply).await?,
                    Some(Message::Ask(question)) => question(&self.core, self.clock.now()),
                    Some(Message::Close(done)) => closing = Some(done),
                    None => break,
                },
                () = sleep(deadline), if takes_input => self.handle(&Input::Tick, None).await?,
                () = sleep(self.snapshot_due.map(|at| at.saturating_duration_since(Instant::now()))),
                    if self.undurable.is_empty() => self.snapshot(),
            }
            let behind = self.core.head().0 - self.snapshot_at.0;
            if SNAPSHOT_EVENTS <= behind && self.undurable.is_empty() {
                self.snapshot();
            }
        }
        self.snapshot();
        if let Some(done) = closing {
            done.send(()).ok();
        }
        Ok(())
    }

    /// One input; a defect met on the way fails the loop concerned and nothing else.
    async fn handle(
        &mut self,
        input: &Input,
        reply: Option<oneshot::Sender<Reply>>,
    ) -> anyhow::Result<()> {
        let before = self.core.head();
        let Err(why) = self.decide(input, reply) else { return Ok(()) };
        let defect = self.rebuild(input, before, &why).await?;
        self.decide(&defect, None).map_err(|why| anyhow!("the core failed twice: {why}"))
    }

    /// Decides, appends, and remembers what to release. `Err` is what a panic said.
    fn decide(
        &mut self,
        input: &Input,
        reply: Option<oneshot::Sender<Reply>>,
    ) -> Result<(), String> {
        let now = self.clock.now();
        let decided = catch_unwind(AssertUnwindSafe(|| self.core.handle(now, input)))
            .map_err(|panic| panic_text(&*panic))?;
        let (decided, answer) = match decided {
            Ok(mut decided) => {
                let answer = decided.refused.take().map_or(Ok(self.core.head()), Err);
                (decided, answer)
            }
            Err(rejected) => (Decided::default(), Err(rejected)),
        };
        let start = decided.start.iter().filter_map(|id| self.core.order(*id)).collect();
        self.n_undurable += decided.records.len();
        self.undurable.push_back(Undurable {
            upto: self.core.head(),
            records: decided.records.clone(),
            reply: reply.map(|it| (it, answer)),
            start,
            end: decided.end,
        });
        if decided.records.is_empty() {
            // Even an answer without events waits its turn behind what came before.
            self.release(self.store.head());
            return Ok(());
        }
        let (durable, pulse) = (self.durable_tx.clone(), Arc::clone(&self.pulse));
        let began = Instant::now();
        self.store.append(decided.records, move |result| {
            lock(&pulse.commits).note(millis(began.elapsed()));
            durable.send(result.map_err(|it| it.to_string())).ok();
        });
        Ok(())
    }

    /// Lets out everything up to the durable head.
    fn release(&mut self, head: Seq) {
        while self.undurable.front().is_some_and(|it| it.upto <= head) {
            let it = self.undurable.pop_front().expect("just seen");
            self.n_undurable -= it.records.len();
            self.hub.publish(&it.records);
            self.log(&it.records);
            if !it.records.is_empty() && self.snapshot_due.is_none() {
                self.snapshot_due = Some(Instant::now() + SNAPSHOT_AFTER);
            }
            if let Some((reply, answer)) = it.reply {
                reply.send(answer).ok();
            }
            it.end.into_iter().for_each(|id| self.wanted.end(id));
            it.start.into_iter().for_each(|order| self.wanted.start(order));
        }
    }

    /// Writes a line for each event, with what it belongs to.
    fn log(&self, records: &[Record]) {
        for record in records {
            if matches!(record.event, Event::EffectObserved { .. }) {
                continue;
            }
            let (plan, name, trace) = {
                let view = self.hub.view();
                let plan = plan_of(record).and_then(|it| view.plans.get(&it));
                let name = record.loop_id.map(|it| view.loop_name(it));
                let trace = plan.and_then(|it| it.trace).map(|it| it.name());
                (plan.map(|it| it.id.to_string()), name, trace)
            };
            info!(seq = record.seq.0, plan, "loop" = name, trace, "{}", without_titles(record));
        }
    }

    /// Stores core and view as they are. Only called with nothing undurable, so they agree.
    fn snapshot(&mut self) {
        self.snapshot_due = None;
        let seq = self.core.head();
        if seq <= self.snapshot_at {
            return;
        }
        let payload = replay::payload(&self.core, &self.hub.view(), &self.hub.tally());
        match self.store.snapshot(seq, &payload) {
            Ok(()) => debug!(seq = seq.0, bytes = payload.len(), "snapshot"),
            Err(why) => error!("no snapshot: {why}"),
        }
        self.snapshot_at = seq;
    }

    /// A panic in the core appended nothing: rebuild it from the log, and say whom it concerns.
    async fn rebuild(&mut self, input: &Input, before: Seq, why: &str) -> anyhow::Result<Input> {
        self.panics += 1;
        error!("defect while deciding: {why}");
        anyhow::ensure!(self.panics == 1, "the core failed twice: {why}");
        while self.store.head() < before {
            let upto = self.durable.recv().await.expect("the driver keeps a sender");
            self.release(upto.map_err(|why| anyhow!("the log cannot be written: {why}"))?);
        }
        let mut replayed = Replayed::base(&self.store)?;
        replayed.go_on(&self.store, before)?;
        self.core = replayed.core;
        let id = concerned(input, &self.core)
            .ok_or_else(|| anyhow!("the core failed on {input:?}: {why}"))?;
        Ok(Input::Panicked { id, message: why.chars().take(400).collect() })
    }
}

/// The loop an input is about.
fn concerned(input: &Input, core: &Coordinator) -> Option<LoopId> {
    match input {
        Input::Ended { effect, .. }
        | Input::Observed { effect, .. }
        | Input::Said { effect, .. } => core.order(*effect)?.subject.map(|it| it.id),
        Input::Panicked { id, .. } => Some(*id),
        Input::Started { .. }
        | Input::Stopped
        | Input::Limits(_)
        | Input::Disk(_)
        | Input::Command { .. }
        | Input::MainSeen { .. }
        | Input::LandingSeen { .. }
        | Input::Notified { .. }
        | Input::Tick => None,
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the loop's own deadline")]
async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}
