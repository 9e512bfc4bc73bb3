//! Agent programs we speak with: one process for one run, or for all runs of a loop.
//!
//! The core knows nothing of them. A process that serves several runs waits here between two; it is
//! ended when its loop is over, when it has waited too long, and with the daemon. It is used again
//! only by the run that would start exactly the same: program, folder, environment, and with it who
//! pays.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use taskd_model::{Digest, LoopId};
use taskd_tools::{
    acp::{Abilities, Link, Outbox},
    supervise::{Ender, Finished, Ladder, ProcessIdentity, Running, Stream},
};
use tokio::{net::unix::pipe, sync::watch, time::timeout};

use super::{Context, Job, Trouble, lock, programs::Command};
use crate::hub::Hub;

/// A process that serves nobody for so long is ended.
const PARKED_MAX: Duration = Duration::from_secs(15 * 60);
/// So long a program may take to go when its input has ended.
const GRACE: Duration = Duration::from_secs(2);

/// Processes that wait for the next run of their loop.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<BTreeMap<LoopId, Arc<Process>>>);

/// Whom a process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serves {
    /// A run.
    Run,
    /// Nobody: the next run of its loop may take it.
    Nobody,
    /// Nobody any more: its input has ended, and it will be ended.
    Done,
}

/// A program we speak with.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) link: Arc<Link>,
    /// What it said it can do, once it has.
    pub(super) abilities: OnceLock<Abilities>,
    pub(super) identity: Option<ProcessIdentity>,
    /// Names all it was started with; no secret can be read from it.
    key: Digest,
    ender: Ender,
    serves: watch::Sender<Serves>,
    finished: watch::Receiver<Option<Arc<Finished>>>,
}

/// A process in the hands of one run. A run that comes to grief takes it along.
#[derive(Debug)]
pub(super) struct Lease(Arc<Process>);

impl std::ops::Deref for Lease {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.change(Serves::Run, Serves::Done) {
            self.0.ender.kill();
        }
    }
}

impl Live {
    /// Ends every process, and returns when all are gone.
    pub(super) async fn end_all(&self) {
        let all: Vec<Arc<Process>> = lock(&self.0).values().cloned().collect();
        all.iter().for_each(|it| it.ender.end(Ladder::STOP));
        for it in all {
            it.wait().await;
        }
    }

    /// The process that waits for this loop, whatever it was started with.
    fn of(&self, id: LoopId) -> Option<Arc<Process>> {
        lock(&self.0).get(&id).cloned()
    }

    fn remove(&self, id: LoopId, process: &Arc<Process>) {
        let mut all = lock(&self.0);
        if all.get(&id).is_some_and(|it| Arc::ptr_eq(it, process)) {
            all.remove(&id);
        }
    }
}

impl Process {
    /// A run takes it; only one that serves nobody can be taken.
    fn take(&self) -> bool {
        self.link.over().is_none() && self.change(Serves::Nobody, Serves::Run)
    }

    /// The run is over; the next one may have it.
    pub(super) fn park(&self) {
        self.change(Serves::Run, Serves::Nobody);
    }

    /// Nobody will ever want it again. Returns when it is gone.
    pub(super) async fn retire(&self) {
        self.serves.send_replace(Serves::Done);
        self.wait().await;
    }

    /// Ends it now. Returns when it is gone.
    pub(super) async fn end(&self) -> Arc<Finished> {
        self.ender.end(Ladder::STOP);
        self.wait().await
    }

    /// Returns when it is gone.
    pub(super) async fn wait(&self) -> Arc<Finished> {
        let mut finished = self.finished.clone();
        let told = finished.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
        match told {
            Some(told) => told,
            // Its keeper is gone with the runtime, and the program with its keeper.
            None => pending().await,
        }
    }

    fn change(&self, from: Serves, to: Serves) -> bool {
        self.serves.send_if_modified(|it| {
            let may = *it == from;
            if may {
                *it = to;
            }
            may
        })
    }

    /// Returns when it serves nobody and never will again.
    async fn is_done(&self, hub: &Hub, id: LoopId) {
        let mut serves = self.serves.subscribe();
        loop {
            let now = *serves.borrow_and_update();
            if now == Serves::Done {
                return;
            }
            let forgotten = async {
                // Elapsing is what is waited for.
                timeout(PARKED_MAX, is_over(hub, id)).await.ok();
            };
            tokio::select! {
                changed = serves.changed() => changed.expect("we hold the sender"),
                () = forgotten, if now == Serves::Nobody => {
                    self.change(Serves::Nobody, Serves::Done);
                }
            }
        }
    }
}

/// Returns when the loop is over.
async fn is_over(hub: &Hub, id: LoopId) {
    let over = |view: &taskd_model::View| view.loops.get(&id).is_none_or(|it| it.status.is_over());
    let (mut is_over, mut records) = hub.follow(over);
    while !is_over {
        match records.recv().await {
            Ok(record) if record.loop_id != Some(id) => {}
            Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                is_over = over(&hub.view());
            }
            Err(tokio::sync::broadcast::error::RecvError::Closed) => pending().await,
        }
    }
}

impl Job {
    /// The process for this run: the one that waits for it, or a new one.
    pub(super) async fn process(
        &self,
        mut command: Command,
        long_lived: bool,
    ) -> Result<Lease, Trouble> {
        let id = self.subject()?.id;
        if long_lived {
            // It is another one in each run, and this process sees several.
            command.env.retain(|(name, _)| name != "TASKD_ITERATION");
        }
        let key = key(&command);
        if let Some(waiting) = self.ctx.live.of(id) {
            if long_lived && waiting.key == key && waiting.take() {
                return Ok(Lease(waiting));
            }
            waiting.end().await;
        }
        let (link, outbox) = Link::new();
        let feed = Arc::clone(&link);
        let mut running =
            self.ctx.launcher.start(&command.spec(), move |stream, bytes| match stream {
                Stream::Stdout => feed.feed(bytes),
                Stream::Stderr => feed.aside(bytes),
            });
        let input = running.stdin();
        let (tell, finished) = watch::channel(None);
        let process = Arc::new(Process {
            link,
            abilities: OnceLock::new(),
            identity: running.identity().cloned(),
            key,
            ender: running.ender(),
            serves: watch::channel(Serves::Run).0,
            finished,
        });
        if long_lived {
            lock(&self.ctx.live.0).insert(id, Arc::clone(&process));
        }
        let kept = Kept { ctx: Arc::clone(&self.ctx), id, process: Arc::clone(&process) };
        #[expect(clippy::disallowed_methods, reason = "`Process::wait` is told of its end")]
        tokio::spawn(kept.keep(running, outbox, input, tell));
        Ok(Lease(process))
    }
}

/// A process and whoever looks after it until it is gone.
struct Kept {
    ctx: Arc<Context>,
    id: LoopId,
    process: Arc<Process>,
}

impl Kept {
    async fn keep(
        self,
        running: Running,
        outbox: Outbox,
        input: Option<pipe::Sender>,
        tell: watch::Sender<Option<Arc<Finished>>>,
    ) {
        let it = &self.process;
        let write = async {
            if let Some(input) = input {
                outbox.write_to(input).await;
            }
            pending::<()>().await;
        };
        let dismiss = async {
            it.is_done(&self.ctx.hub, self.id).await;
            it.link.hang_up();
            // Elapsing is what is waited for.
            timeout(GRACE, pending::<()>()).await.ok();
            it.ender.end(Ladder::STOP);
            pending::<()>().await;
        };
        let finished = tokio::select! {
            finished = running.wait() => finished,
            () = write => return,
            () = dismiss => return,
        };
        it.link.gone();
        self.ctx.live.remove(self.id, it);
        tell.send_replace(Some(Arc::new(finished)));
    }
}

/// Names a command with all it is started with.
fn key(command: &Command) -> Digest {
    let mut all = Vec::new();
    let mut put = |text: &std::ffi::OsStr| {
        all.extend(text.as_encoded_bytes());
        all.push(0);
    };
    put(command.cwd.as_os_str());
    command.argv.iter().for_each(|it| put(it));
    command.env.iter().for_each(|(name, value)| {
        put(name);
        put(value);
    });
    Digest::of(&all)
}
