//! Who waits for what, and why something does not go on.

use taskd_api::{ApiError, v1};
use taskd_core::{BucketRow, BucketState, CallWait, QueueRow, Room, RoomKind, WhyRow};
use taskd_model::{
    Actor, Doing, Fault, Group, LoopView, ProjectId, QueueOp, Reason, Status, View, format_micros,
};

use super::{Service, internal};
use crate::models;

/// Columns of a detail's label.
const LABEL: usize = 10;

impl Service {
    pub(super) async fn do_models(
        &self,
        request: v1::ModelsRequest,
    ) -> Result<v1::ModelsResponse, ApiError> {
        let told = models::told(self.ctx());
        if !request.check {
            return Ok(told);
        }
        let mut checks =
            models::check(self.ctx(), &request.providers, &request.credentials).await?;
        let buckets = self.ctx().handle.ask(|core, now| core.buckets(now)).await;
        let buckets = buckets.map_err(|it| internal(&it))?;
        let view = self.ctx().hub.view();
        for check in &mut checks {
            let ours = buckets.iter().filter(|it| is_of(&it.name, &check.name));
            check.buckets = ours.map(|it| bucket(&view, it)).collect();
        }
        Ok(v1::ModelsResponse { checks, ..told })
    }

    pub(super) async fn do_queue(&self) -> Result<v1::QueueResponse, ApiError> {
        let projects: Vec<ProjectId> = self.ctx().hub.view().queue.keys().copied().collect();
        let asked = self.ctx().handle.ask(move |core, now| {
            let rows = projects.into_iter().map(|it| (it, core.queue(it)));
            (core.buckets(now), rows.collect::<Vec<_>>())
        });
        let (buckets, lanes) = asked.await.map_err(|it| internal(&it))?;
        let view = self.ctx().hub.view();
        let landing = lanes.iter().filter_map(|(id, rows)| landing(&view, *id, rows)).collect();
        let buckets = buckets.iter().map(|it| bucket(&view, it)).collect();
        Ok(v1::QueueResponse { buckets, landing })
    }

    pub(super) async fn do_why(&self, id: &str) -> Result<v1::WhyResponse, ApiError> {
        let one = self.one_loop(id)?;
        let rows = self.ctx().handle.ask(move |core, now| (core.why(one, now), core.buckets(now)));
        let (rows, buckets) = rows.await.map_err(|it| internal(&it))?;
        let view = self.ctx().hub.view();
        let plan = &view.plans[&one.plan()];
        let spent = format_micros(plan.spent.micros);
        let budget = format_micros(plan.budget_micros);
        let mut not_the_cause = Vec::new();
        if view.waits_for(&view.loops[&one]).next().is_none() {
            not_the_cause.push("needs".to_owned());
        }
        let call = rows.last().and_then(|it| it.call.as_ref());
        let money = |it: &CallWait| matches!(it, CallWait::Money { .. } | CallWait::Day { .. });
        if !call.is_some_and(|it| money(&it.wait)) {
            not_the_cause.push(format!("budget ({spent} of {budget})"));
        }
        let bucket = call.and_then(|it| buckets.iter().find(|row| row.name == it.bucket));
        if let Some(it) = bucket.filter(|it| it.in_flight < it.limit)
            && !matches!(it.state, BucketState::Ramping { .. })
        {
            not_the_cause.push(format!("call slots ({} of {} in use)", it.in_flight, it.limit));
        }
        let next = if view.loops[&one].group() == Group::NeedsYou {
            format!("you are needed: taskd show {id}")
        } else {
            "nothing is needed from you".to_owned()
        };
        let chain = rows.iter().map(|it| link(&view, it)).collect();
        Ok(v1::WhyResponse { chain, not_the_cause, next })
    }
}

/// Who it is; what no person does is the daemon's own, whose user is told as 0.
fn uid(actor: Actor) -> u32 {
    if let Actor::Person { uid, .. } = actor { uid } else { 0 }
}

/// A bucket is called like its model: `anthropic/claude-haiku-4-5`.
pub(super) fn is_of(bucket: &str, provider: &str) -> bool {
    bucket.strip_prefix(provider).is_some_and(|rest| rest.starts_with('/'))
}

/// One link of the chain. Where nothing else is the root, the last thing that happened to it is.
fn link(view: &View, row: &WhyRow) -> v1::WhyRow {
    let known = view.loops.get(&row.subject);
    let cited = row.evidence.as_ref();
    let details = row.details.iter().map(|(label, text)| format!("{label:<LABEL$}{text}"));
    v1::WhyRow {
        subject: view.loop_name(row.subject),
        sentence: row.sentence.clone(),
        until: row.until.map(|it| it.0),
        seq: cited.map(|it| it.seq.0).or_else(|| known.map(|it| it.last_seq.0)),
        since: known.map(|it| it.doing_since.0),
        details: details.collect(),
        evidence: cited.map(|it| it.text.clone()).unwrap_or_default(),
        evidence_at: cited.and_then(|it| it.at).map(|it| it.0),
        fault: known.and_then(failed_by).map(v1::Fault::from),
    }
}

/// The failure a loop waits or is blocked for: not one that is over.
fn failed_by(it: &LoopView) -> Option<&Fault> {
    let trouble = it.trouble.as_ref()?;
    let present = match (&it.reason, &it.doing) {
        (Some(Reason::Stuck(why)), _) if it.status == Status::Blocked => {
            why.contains(&trouble.message)
        }
        (_, doing) => matches!(doing, Doing::Deferred { .. }),
    };
    trouble.fault.as_deref().filter(|_| present)
}

fn bucket(view: &View, it: &BucketRow) -> v1::BucketRow {
    let row = v1::BucketRow {
        name: it.name.clone(),
        in_flight: it.in_flight,
        limit: it.limit,
        waiting: it.waiting as u64,
        state: v1::BucketState::Open.into(),
        rooms: it.rooms.iter().map(room).collect(),
        next: it.next.iter().map(|it| waiting(view, it)).collect(),
        ..v1::BucketRow::default()
    };
    match it.state {
        BucketState::Open => row,
        BucketState::Refused { by, until, .. } => v1::BucketRow {
            state: v1::BucketState::Refused.into(),
            until: Some(until.0),
            seq: Some(by.0),
            ..row
        },
        BucketState::LeftAlone { by, faults, of, until, .. } => v1::BucketRow {
            state: v1::BucketState::LeftAlone.into(),
            until: until.map(|it| it.0),
            seq: Some(by.0),
            faults: Some(faults),
            looked_at: Some(of),
            ..row
        },
        BucketState::Ramping { by, slots } => v1::BucketRow {
            state: v1::BucketState::Ramping.into(),
            seq: Some(by.0),
            slots: Some(slots),
            ..row
        },
    }
}

fn room(it: &Room) -> v1::RoomRow {
    let kind = match it.kind {
        RoomKind::Requests => v1::RoomKind::Requests,
        RoomKind::Input => v1::RoomKind::Input,
        RoomKind::Output => v1::RoomKind::Output,
        RoomKind::Tokens => v1::RoomKind::Tokens,
    };
    let Room { left, per_minute, of_provider, .. } = *it;
    v1::RoomRow { kind: kind.into(), left, per_minute, of_provider }
}

fn waiting(view: &View, it: &taskd_core::WaitingCall) -> v1::WaitingRow {
    v1::WaitingRow {
        name: view.loop_name(it.id),
        priority: v1::Priority::from(it.priority).into(),
        since: it.since.0,
    }
}

/// A project's landing queue, in the order of its turns; nothing if it is empty.
fn landing(view: &View, id: ProjectId, rows: &[QueueRow]) -> Option<v1::LandingRow> {
    let known = view.queue.get(&id)?;
    let entries: Vec<v1::LandingEntry> = rows
        .iter()
        .filter_map(|row| {
            let (seq, it) = (row.entry, known.get(&row.entry)?);
            let target = view.plans.get(&it.op.plan()).map(|it| it.target.clone());
            let (name, target, refresh) = match it.op {
                QueueOp::Land(one) | QueueOp::Undo(one) => {
                    (view.loop_name(one), target.unwrap_or_default(), false)
                }
                QueueOp::Integrate(one) => (view.loop_name(one), String::new(), false),
                QueueOp::Refresh(plan) => (plan.to_string(), String::new(), true),
            };
            let phase = v1::QueuePhase::from(it.phase).into();
            let held = row.on_hold.map(|it| v1::HeldBy { uid: uid(it.by), seq: it.seq.0 });
            let (since, entry) = (it.entered_at.0, seq.0);
            Some(v1::LandingEntry { name, target, refresh, phase, since, entry, held })
        })
        .collect();
    if entries.is_empty() {
        return None;
    }
    let root = view.projects.get(&id).map(|it| it.root.clone()).unwrap_or_default();
    Some(v1::LandingRow { root, entries })
}
