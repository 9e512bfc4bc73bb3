//! From the model to the wire and back, without loss.
//!
//! Reading is strict: what the wire cannot mean is an error that names the field. Nothing is
//! filled in.

mod effects;
mod inbox;
mod loops;
mod plans;
mod proof;
mod review;
mod suspicion;

use std::str::FromStr;

use taskd_model as model;

use crate::v1;

/// A message that does not say what it has to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the daemon sent something this taskd cannot read: {field} {problem}")]
pub struct WireError {
    field: &'static str,
    problem: String,
}

impl WireError {
    fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

/// A field that is always set.
fn need<T>(value: Option<T>, field: &'static str) -> Result<T, WireError> {
    value.ok_or_else(|| WireError::new(field, "is missing"))
}

/// A number that fits.
fn narrow<T: TryFrom<u32>>(value: u32, field: &'static str) -> Result<T, WireError> {
    T::try_from(value).map_err(|_| WireError::new(field, format!("is out of range: {value}")))
}

/// A commit or digest as text.
fn parse<T: FromStr<Err: ToString>>(text: &str, field: &'static str) -> Result<T, WireError> {
    text.parse().map_err(|it: T::Err| WireError::new(field, it.to_string()))
}

/// The same, if it is set.
fn parse_some<T: FromStr<Err: ToString>>(
    text: Option<&String>,
    field: &'static str,
) -> Result<Option<T>, WireError> {
    text.map(|it| parse(it, field)).transpose()
}

/// Pairs the variants of two enums, with a function that reads the number on the wire.
macro_rules! pairs {
    ($($read:ident: $model:ident = $wire:ident { $($a:ident = $b:ident),* $(,)? })*) => {$(
        impl From<model::$model> for v1::$wire {
            fn from(it: model::$model) -> Self {
                match it {
                    $(model::$model::$a => Self::$b,)*
                }
            }
        }

        fn $read(value: i32) -> Result<model::$model, WireError> {
            match v1::$wire::try_from(value) {
                $(Ok(v1::$wire::$b) => Ok(model::$model::$a),)*
                Ok(v1::$wire::Unspecified) | Err(_) => {
                    Err(WireError::new(stringify!($wire), format!("is unknown: {value}")))
                }
            }
        }
    )*};
}

pairs! {
    status: Status = Status {
        Draft = Draft, Pending = Pending, Running = Running, Paused = Paused, Rebasing = Rebasing,
        Blocked = Blocked, Complete = Complete, Failed = Failed, Stopped = Stopped,
    }
    land: LandPolicy = LandPolicy { Never = Never, Ask = Ask, OnGate = OnGate, Pr = Pr }
    priority: Priority = Priority { Low = Low, Normal = Normal, High = High, Critical = Critical }
    plan_state: PlanState = PlanState { Checking = Checking, Open = Open, Ended = Ended }
    phase: QueuePhase = QueuePhase {
        Waiting = Waiting, Building = Building, Gating = Gating, Publishing = Publishing,
    }
    verdict: Verdict = Verdict {
        Green = Green, Red = Red, Unchanged = Unchanged, AgentFailed = AgentFailed,
        Conflict = Conflict, Objected = Objected,
    }
    inbox_kind: InboxKind = InboxKind {
        Plan = Plan, Landing = Landing, Permission = Permission, Question = Question,
        Budget = Budget, Conflict = Conflict, Held = Held, Blocked = Blocked,
    }
    depth: Depth = Depth { ByTime = ByTime, ByReport = ByReport, ByCall = ByCall }
    limit: Limit = LimitKind {
        Iterations = Iterations, Time = Time, Budget = Budget, PlanBudget = PlanBudget,
        PlanTime = PlanTime, Restarts = Restarts,
    }
}

impl v1::LandPolicy {
    /// The model's policy; `None` for one this build does not know.
    #[must_use]
    pub fn model(self) -> Option<model::LandPolicy> {
        land(self.into()).ok()
    }
}

impl v1::Priority {
    /// The model's priority; `None` for one this build does not know.
    #[must_use]
    pub fn model(self) -> Option<model::Priority> {
        priority(self.into()).ok()
    }
}

/// Copies fields of the same name and type, both ways.
macro_rules! same {
    ($($model:ident = $wire:ident { $($field:ident),* })*) => {$(
        impl From<&model::$model> for v1::$wire {
            fn from(it: &model::$model) -> Self {
                Self { $($field: it.$field),* }
            }
        }

        impl From<v1::$wire> for model::$model {
            fn from(it: v1::$wire) -> Self {
                Self { $($field: it.$field),* }
            }
        }
    )*};
}

same! {
    Limits = Limits {
        loops, agents, gates, calls, requests_per_minute, request_burst, backoff_ms,
        backoff_max_ms, call_attempts, turns, ageing_ms, input_tokens_per_minute,
        output_tokens_per_minute, call_deadline_ms, silence_max_ms, batch, max_behind,
        questions, notify
    }
    Usage = Usage {
        input, output, cache_read, cache_write, micros, unpriced, estimated, input_micros,
        output_micros, cache_read_micros, cache_write_micros
    }
    Spans = Spans { queue_ms, call_ms, gate_ms, person_ms }
    Change = Change { files, added, removed }
}

fn write_totals(it: &model::Totals) -> Vec<v1::StatusCount> {
    let count = |(status, count): (&model::Status, &u64)| v1::StatusCount {
        status: v1::Status::from(*status).into(),
        count: *count,
    };
    it.0.iter().map(count).collect()
}

fn totals(rows: &[v1::StatusCount]) -> Result<model::Totals, WireError> {
    let rows = rows.iter().map(|it| Ok((status(it.status)?, it.count)));
    Ok(model::Totals(rows.collect::<Result<_, WireError>>()?))
}

impl From<model::LoopId> for v1::LoopId {
    fn from(it: model::LoopId) -> Self {
        Self { plan: it.plan().0, index: it.spec.index.into(), run: it.run.into() }
    }
}

impl TryFrom<v1::LoopId> for model::LoopId {
    type Error = WireError;

    fn try_from(it: v1::LoopId) -> Result<Self, WireError> {
        let index = narrow(it.index, "LoopId.index")?;
        let spec = model::SpecId { plan: model::PlanId(it.plan), index };
        Ok(Self { spec, run: narrow(it.run, "LoopId.run")? })
    }
}

impl From<&model::Record> for v1::Event {
    fn from(it: &model::Record) -> Self {
        Self { seq: it.seq.0, json: it.encode() }
    }
}

impl From<&model::View> for v1::View {
    fn from(it: &model::View) -> Self {
        Self {
            seq: it.seq.0,
            at: it.at.0,
            parked: it.parked,
            daemon_version: it.daemon_version.clone(),
            daemon_started_at: it.daemon_started_at.0,
            limits: it.limits.as_ref().map(Into::into),
            projects: it.projects.iter().map(|(id, it)| (id.0, it.into())).collect(),
            plans: it.plans.values().map(Into::into).collect(),
            loops: it.loops.values().map(Into::into).collect(),
            queue: effects::write_queue(&it.queue),
            effects: it.effects.iter().map(|(id, it)| effects::write(*id, it)).collect(),
            totals: write_totals(&it.totals),
            day: Some((&it.day).into()),
            disk: Some((&it.disk).into()),
            inbox: inbox::write(&it.inbox),
            untold: it.untold.iter().map(|it| it.0).collect(),
        }
    }
}

impl TryFrom<v1::View> for model::View {
    type Error = WireError;

    fn try_from(it: v1::View) -> Result<Self, WireError> {
        let projects = it.projects.into_iter();
        let projects = projects.map(|(id, it)| Ok((model::ProjectId(id), it.try_into()?)));
        let plans = it.plans.into_iter().map(model::PlanView::try_from);
        let loops = it.loops.into_iter().map(model::LoopView::try_from);
        Ok(Self {
            seq: model::Seq(it.seq),
            at: model::Time(it.at),
            parked: it.parked,
            daemon_version: it.daemon_version,
            daemon_started_at: model::Time(it.daemon_started_at),
            limits: it.limits.map(Into::into),
            projects: projects.collect::<Result<_, WireError>>()?,
            plans: plans.map(|it| it.map(|it| (it.id, it))).collect::<Result<_, _>>()?,
            loops: loops.map(|it| it.map(|it| (it.id, it))).collect::<Result<_, _>>()?,
            queue: effects::read_queue(it.queue)?,
            effects: it.effects.into_iter().map(effects::read).collect::<Result<_, _>>()?,
            totals: totals(&it.totals)?,
            day: need(it.day, "View.day")?.into(),
            disk: it.disk.map(Into::into).unwrap_or_default(),
            inbox: inbox::read(it.inbox)?,
            untold: it.untold.into_iter().map(model::Seq).collect(),
        })
    }
}

impl From<&model::Disk> for v1::Disk {
    fn from(it: &model::Disk) -> Self {
        let room = match it.room {
            model::Room::Enough => v1::Room::Enough,
            model::Room::Low => v1::Room::Low,
            model::Room::Full => v1::Room::Full,
        };
        Self {
            room: room.into(),
            free_bytes: it.free_bytes,
            again_bytes: it.again_bytes,
            used_bytes: it.used_bytes,
            quota_bytes: it.quota_bytes,
            place: it.place.clone(),
        }
    }
}

impl From<v1::Disk> for model::Disk {
    fn from(it: v1::Disk) -> Self {
        let room = match it.room() {
            v1::Room::Enough | v1::Room::Unspecified => model::Room::Enough,
            v1::Room::Low => model::Room::Low,
            v1::Room::Full => model::Room::Full,
        };
        Self {
            room,
            free_bytes: it.free_bytes,
            again_bytes: it.again_bytes,
            used_bytes: it.used_bytes,
            quota_bytes: it.quota_bytes,
            place: it.place,
        }
    }
}
