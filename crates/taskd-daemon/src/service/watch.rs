//! Watching: the view, then everything after it, without gap or repetition.
//!
//! A client that is slow makes its own stream wait and nobody else. One that falls too far behind
//! reads what it missed from the store.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use taskd_api::{ApiError, codes, v1};
use taskd_model::{Delta, Event, LoopId, PlanId, Record, Seq, Target};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Items, STREAM_ITEMS, Service, internal, unresolved};
use crate::hub::Noise;

/// A watch with nothing to say says so this often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Events read from the store at once.
const PAGE: usize = 500;
/// Events one `Events` call returns when it does not say how many.
const MAX_EVENTS: u32 = 100_000;

/// What a stream is about; empty is everything.
#[derive(Debug, Default)]
pub(super) struct Interest {
    loops: BTreeSet<LoopId>,
    plans: BTreeSet<PlanId>,
}

impl Interest {
    fn is_everything(&self) -> bool {
        self.loops.is_empty() && self.plans.is_empty()
    }

    /// Whether what a loop does concerns it.
    fn has_loop(&self, id: LoopId) -> bool {
        self.is_everything() || self.loops.contains(&id) || self.plans.contains(&id.plan())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "named are those of one plan alone")]
    /// Whether an event concerns it; what concerns the whole daemon concerns everybody.
    fn wants(&self, record: &Record) -> bool {
        if self.is_everything() {
            return true;
        }
        if let Some(id) = record.loop_id {
            return self.has_loop(id);
        }
        match &record.event {
            Event::PlanSubmitted { plan, .. }
            | Event::PlanReleased { plan, .. }
            | Event::IntegrationMoved { plan, .. }
            | Event::PlanEnded { plan } => self.has_plan(*plan),
            Event::SpecAdded { spec, .. } => self.has_plan(spec.plan),
            // The daemon's own events, and work of a queue, concern everybody.
            _ => true,
        }
    }

    fn has_plan(&self, plan: PlanId) -> bool {
        self.plans.contains(&plan) || self.loops.iter().any(|it| it.plan() == plan)
    }

    fn wants_noise(&self, noise: &Noise) -> bool {
        self.is_everything() || noise.loop_id.is_some_and(|it| self.has_loop(it))
    }
}

/// Where a watch goes on: opaque to clients.
fn cursor(seq: Seq) -> String {
    format!("e{seq}")
}

fn parse_cursor(text: &str) -> Result<Option<Seq>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let seq = text.strip_prefix('e').and_then(|it| it.parse().ok());
    let wrong = || ApiError::new(codes::INVALID, format!("{text:?} is no cursor of this daemon"));
    seq.map(|it| Some(Seq(it))).ok_or_else(wrong)
}

impl Service {
    pub(super) fn interest(&self, ids: &[String]) -> Result<Interest, ApiError> {
        let view = self.ctx().hub.view();
        let mut interest = Interest::default();
        for id in ids {
            match view.resolve(id).map_err(unresolved)? {
                Target::Plan(plan) => _ = interest.plans.insert(plan),
                Target::Loop(id) => _ = interest.loops.insert(id),
            }
        }
        Ok(interest)
    }

    pub(super) fn do_watch(
        &self,
        request: &v1::WatchRequest,
    ) -> Result<Items<v1::WatchItem>, ApiError> {
        let interest = self.interest(&request.ids)?;
        // Who was away for longer than the log goes back begins afresh.
        let first = self.ctx().store.first();
        let from = parse_cursor(&request.cursor)?.filter(|it| first.0 <= it.0 + 1);
        let (items, stream) = mpsc::channel(STREAM_ITEMS);
        let this = self.clone();
        let follow = Follow { this, interest, items, deltas: request.deltas };
        self.0.spawn(async move {
            // A client that went away needs no farewell.
            follow.run(from).await.ok();
        });
        Ok(ReceiverStream::new(stream))
    }

    pub(super) fn do_events(
        &self,
        request: v1::EventsRequest,
    ) -> Result<Items<v1::Event>, ApiError> {
        let interest = self.interest(&request.ids)?;
        let (items, stream) = mpsc::channel(STREAM_ITEMS);
        let store = Arc::clone(&self.ctx().store);
        let max = if request.max == 0 { MAX_EVENTS } else { request.max.min(MAX_EVENTS) };
        let head = store.head();
        self.0.spawn_blocking(move || {
            let mut from = Seq(request.from).max(store.first());
            let mut sent = 0;
            while from <= head && sent < max {
                let rows = match store.read(from, PAGE, taskd_store::Filter::default()) {
                    Ok(rows) if rows.is_empty() => return,
                    Ok(rows) => rows,
                    Err(error) => {
                        items.blocking_send(Err(internal(&error).to_status())).ok();
                        return;
                    }
                };
                for row in rows {
                    from = Seq(row.seq.0 + 1);
                    let kind = request.kinds.is_empty() || request.kinds.contains(&row.kind);
                    // Most of a long log is not even read.
                    if !kind || row.loop_id.is_some_and(|it| !interest.has_loop(it)) {
                        continue;
                    }
                    let Ok(record) = Record::decode(&row.json) else { continue };
                    if sent < max && interest.wants(&record) {
                        sent += 1;
                        let event = v1::Event { seq: row.seq.0, json: row.json };
                        if items.blocking_send(Ok(event)).is_err() {
                            return;
                        }
                    }
                }
            }
        });
        Ok(ReceiverStream::new(stream))
    }
}

/// One watch under way.
struct Follow {
    this: Service,
    interest: Interest,
    items: mpsc::Sender<Result<v1::WatchItem, Status>>,
    deltas: bool,
}

/// The client went away, or what it wants cannot be read.
struct Over;

impl Follow {
    async fn run(self, from: Option<Seq>) -> Result<(), Over> {
        let hub = Arc::clone(&self.this.ctx().hub);
        let mut noise = hub.follow_noise();
        let ((view, head), mut events) = hub.follow(|view| {
            let wire = from.is_none().then(|| v1::View::from(view));
            (wire, view.seq)
        });
        let mut last = head;
        if let Some(view) = view {
            self.send(v1::watch_item::Item::View(view), cursor(last)).await?;
        } else if let Some(from) = from {
            last = self.catch_up(from, head).await?;
        }
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(record) if record.seq <= last => {}
                    Ok(record) => {
                        last = record.seq;
                        self.event(&record).await?;
                    }
                    Err(RecvError::Lagged(_)) => last = self.catch_up(last, hub.head()).await?,
                    Err(RecvError::Closed) => return Ok(()),
                },
                said = noise.recv(), if self.deltas => match said {
                    Ok(said) => self.noise(&said).await?,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = heartbeat.tick() => {
                    let head = hub.head();
                    let at = hub.view().at.0;
                    let item = v1::watch_item::Item::Heartbeat(v1::Heartbeat { at, head: head.0 });
                    self.send(item, cursor(last)).await?;
                }
                () = self.items.closed() => return Err(Over),
            }
        }
    }

    /// Sends the events after `from` up to `head`, from the store.
    async fn catch_up(&self, from: Seq, head: Seq) -> Result<Seq, Over> {
        let mut last = from;
        while last < head {
            let store = Arc::clone(&self.this.ctx().store);
            let next = Seq(last.0 + 1);
            let read = move || store.read(next, PAGE, taskd_store::Filter::default());
            let rows = match tokio::task::spawn_blocking(read).await {
                Ok(Ok(rows)) if !rows.is_empty() => rows,
                Ok(Ok(_)) => return Err(Over),
                Ok(Err(error)) => {
                    self.items.send(Err(internal(&error).to_status())).await.ok();
                    return Err(Over);
                }
                Err(_) => return Err(Over),
            };
            for row in rows.iter().filter(|it| it.seq <= head) {
                last = row.seq;
                if let Ok(record) = Record::decode(&row.json) {
                    self.event(&record).await?;
                }
            }
        }
        Ok(last)
    }

    async fn event(&self, record: &Record) -> Result<(), Over> {
        if !self.interest.wants(record) {
            return Ok(());
        }
        let item = v1::watch_item::Item::Event(v1::Event::from(record));
        self.send(item, cursor(record.seq)).await
    }

    async fn noise(&self, noise: &Noise) -> Result<(), Over> {
        if !self.interest.wants_noise(noise) {
            return Ok(());
        }
        let name = {
            let view = self.this.ctx().hub.view();
            noise.loop_id.map(|id| view.loop_name(id)).unwrap_or_default()
        };
        let what = match &noise.delta {
            Delta::Text(text) => v1::delta::What::Text(text.clone()),
            Delta::Line(line) => v1::delta::What::Line(line.clone()),
        };
        let delta = v1::Delta { name, effect: noise.effect.0.0, what: Some(what) };
        self.send(v1::watch_item::Item::Delta(delta), String::new()).await
    }

    async fn send(&self, item: v1::watch_item::Item, cursor: String) -> Result<(), Over> {
        let item = v1::WatchItem { item: Some(item), cursor };
        self.items.send(Ok(item)).await.map_err(|_| Over)
    }
}
