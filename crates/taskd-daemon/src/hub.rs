//! What is durable, for those who look: the view, the events as they come, the noise beside them.
//!
//! Only released events reach this place. Followers that fall behind are told so and read what they
//! missed from the store; nobody waits for them.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use taskd_model::{Delta, EffectId, LoopId, Record, Seq, Tally, View};
use tokio::sync::broadcast;

/// Events a follower may be behind before it must read from the store.
const EVENT_BACKLOG: usize = 4_096;
/// Deltas a follower may be behind before it loses some.
const DELTA_BACKLOG: usize = 1_024;
/// Lines of each running effect that are kept for those who attach late.
const TAIL_LINES: usize = 40;

/// A delta with where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    pub(crate) effect: EffectId,
    pub(crate) loop_id: Option<LoopId>,
    pub(crate) delta: Delta,
}

/// The published side of the daemon.
#[derive(Debug)]
pub(crate) struct Hub {
    view: Mutex<View>,
    /// What is counted beside it; whoever holds this never asks for the view.
    tally: Mutex<Tally>,
    events: broadcast::Sender<Arc<Record>>,
    noise: broadcast::Sender<Arc<Noise>>,
    tails: Mutex<BTreeMap<EffectId, VecDeque<String>>>,
}

impl Hub {
    pub(crate) fn new(view: View, tally: Tally) -> Self {
        Self {
            view: Mutex::new(view),
            tally: Mutex::new(tally),
            events: broadcast::channel(EVENT_BACKLOG).0,
            noise: broadcast::channel(DELTA_BACKLOG).0,
            tails: Mutex::default(),
        }
    }

    /// Publishes durable events, in order.
    pub(crate) fn publish(&self, records: &[Record]) {
        let mut view = self.view();
        for record in records {
            lock(&self.tally).apply(&view, record);
            view.apply(record);
            // Nobody may be following; that is fine.
            self.events.send(Arc::new(record.clone())).ok();
            if let taskd_model::Event::EffectEnded { effect, .. } = &record.event {
                lock(&self.tails).remove(effect);
            }
            if let taskd_model::Event::DaemonStarted { .. } = &record.event {
                lock(&self.tails).clear();
            }
        }
    }

    /// The view as of the last published event.
    pub(crate) fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }

    /// What was counted up to the last published event.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    pub(crate) fn head(&self) -> Seq {
        self.view().seq
    }

    /// What `look` sees in the view, and everything published after that moment.
    pub(crate) fn follow<T>(
        &self,
        look: impl FnOnce(&View) -> T,
    ) -> (T, broadcast::Receiver<Arc<Record>>) {
        let view = self.view();
        (look(&view), self.events.subscribe())
    }

    pub(crate) fn follow_noise(&self) -> broadcast::Receiver<Arc<Noise>> {
        self.noise.subscribe()
    }

    /// Clients that follow: nobody else listens to the noise.
    pub(crate) fn watchers(&self) -> usize {
        self.noise.receiver_count()
    }

    /// Passes noise on and keeps its tail.
    pub(crate) fn noise(&self, noise: Noise) {
        if let Delta::Line(line) = &noise.delta {
            let mut tails = lock(&self.tails);
            let tail = tails.entry(noise.effect).or_default();
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(line.clone());
        }
        self.noise.send(Arc::new(noise)).ok();
    }

    /// The last lines of a running effect.
    pub(crate) fn tail(&self, effect: EffectId) -> Vec<String> {
        lock(&self.tails).get(&effect).map(|it| it.iter().cloned().collect()).unwrap_or_default()
    }
}

/// A panic while a lock was held leaves data that is still whole: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
