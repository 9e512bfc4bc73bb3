//! Running effects and landing queues on the wire.

use std::collections::BTreeMap;

use taskd_model as model;
use taskd_model::{EffectId, EffectKind, Owner, PlanId, ProjectId, QueueEntry, QueueOp, Seq, Time};

use super::{WireError, need, phase};
use crate::v1;
use v1::EffectKind as Kind;

type Queues = BTreeMap<ProjectId, BTreeMap<Seq, QueueEntry>>;

pub(super) fn write_queue(queues: &Queues) -> Vec<v1::QueueEntry> {
    let write = |project: &ProjectId, entry: &Seq, it: &QueueEntry| v1::QueueEntry {
        project: project.0,
        entry: entry.0,
        op: Some(it.op.into()),
        entered_at: it.entered_at.0,
        phase: v1::QueuePhase::from(it.phase).into(),
    };
    let of_project = |(project, queue)| {
        let queue: &BTreeMap<Seq, QueueEntry> = queue;
        queue.iter().map(move |(entry, it)| write(project, entry, it))
    };
    queues.iter().flat_map(of_project).collect()
}

pub(super) fn read_queue(entries: Vec<v1::QueueEntry>) -> Result<Queues, WireError> {
    let mut queues = Queues::new();
    for it in entries {
        let entry = QueueEntry {
            op: need(it.op, "QueueEntry.op")?.try_into()?,
            entered_at: Time(it.entered_at),
            phase: phase(it.phase)?,
        };
        queues.entry(ProjectId(it.project)).or_default().insert(Seq(it.entry), entry);
    }
    Ok(queues)
}

impl From<QueueOp> for v1::QueueOp {
    fn from(it: QueueOp) -> Self {
        use v1::queue_op::Op;
        let op = match it {
            QueueOp::Integrate(id) => Op::Integrate(id.into()),
            QueueOp::Land(id) => Op::Land(id.into()),
            QueueOp::Refresh(plan) => Op::Refresh(plan.0),
            QueueOp::Undo(id) => Op::Undo(id.into()),
        };
        Self { op: Some(op) }
    }
}

impl TryFrom<v1::QueueOp> for QueueOp {
    type Error = WireError;

    fn try_from(it: v1::QueueOp) -> Result<Self, WireError> {
        use v1::queue_op::Op;
        Ok(match need(it.op, "QueueOp.op")? {
            Op::Integrate(id) => Self::Integrate(id.try_into()?),
            Op::Land(id) => Self::Land(id.try_into()?),
            Op::Refresh(plan) => Self::Refresh(PlanId(plan)),
            Op::Undo(id) => Self::Undo(id.try_into()?),
        })
    }
}

pub(super) fn write(id: EffectId, it: &model::EffectView) -> v1::RunningEffect {
    use v1::running_effect::Owner as O;
    let kind = match &it.kind {
        EffectKind::CheckBase => Kind::CheckBase,
        EffectKind::Prepare => Kind::Prepare,
        EffectKind::Accept => Kind::Accept,
        EffectKind::Compose => Kind::Compose,
        EffectKind::Call => Kind::Call,
        EffectKind::Tool(_) => Kind::Tool,
        EffectKind::Save => Kind::Save,
        EffectKind::Agent => Kind::Agent,
        EffectKind::Gate => Kind::Gate,
        EffectKind::Rebase(_) => Kind::Rebase,
        EffectKind::Build(_) => Kind::Build,
        EffectKind::GateCandidate(_) => Kind::GateCandidate,
        EffectKind::Publish(_) => Kind::Publish,
        EffectKind::Relay(_) => Kind::Relay,
        EffectKind::Answer(_) => Kind::Answer,
        EffectKind::Decompose => Kind::Decompose,
    };
    v1::RunningEffect {
        id: id.0.0,
        owner: Some(match it.owner {
            Owner::Loop(id) => O::Loop(id.into()),
            Owner::Plan(id) => O::Plan(id.0),
            Owner::Queue(id) => O::Queue(id.0),
        }),
        kind: kind.into(),
        tool: if let EffectKind::Tool(name) = &it.kind { Some(name.clone()) } else { None },
        onto: if let EffectKind::Rebase(base) = &it.kind { Some(base.into()) } else { None },
        op: it.kind.op().map(Into::into),
        since: it.since.0,
        activity: it.activity.clone(),
        used: Some((&it.used).into()),
        model: if let EffectKind::Relay(name) | EffectKind::Answer(name) = &it.kind {
            Some(name.clone())
        } else {
            None
        },
    }
}

pub(super) fn read(it: v1::RunningEffect) -> Result<(EffectId, model::EffectView), WireError> {
    use v1::running_effect::Owner as O;
    let wire_kind = it.kind();
    let op = || -> Result<QueueOp, WireError> { need(it.op, "RunningEffect.op")?.try_into() };
    let kind = match wire_kind {
        Kind::CheckBase => EffectKind::CheckBase,
        Kind::Prepare => EffectKind::Prepare,
        Kind::Accept => EffectKind::Accept,
        Kind::Compose => EffectKind::Compose,
        Kind::Call => EffectKind::Call,
        Kind::Tool => EffectKind::Tool(need(it.tool, "RunningEffect.tool")?),
        Kind::Save => EffectKind::Save,
        Kind::Agent => EffectKind::Agent,
        Kind::Gate => EffectKind::Gate,
        Kind::Rebase => EffectKind::Rebase(need(it.onto, "RunningEffect.onto")?.try_into()?),
        Kind::Build => EffectKind::Build(op()?),
        Kind::GateCandidate => EffectKind::GateCandidate(op()?),
        Kind::Publish => EffectKind::Publish(op()?),
        Kind::Decompose => EffectKind::Decompose,
        Kind::Relay => EffectKind::Relay(need(it.model, "RunningEffect.model")?),
        Kind::Answer => EffectKind::Answer(need(it.model, "RunningEffect.model")?),
        Kind::Unspecified => {
            let problem = format!("is unknown: {}", it.kind);
            return Err(WireError::new("RunningEffect.kind", problem));
        }
    };
    let effect = model::EffectView {
        owner: match need(it.owner, "RunningEffect.owner")? {
            O::Loop(id) => Owner::Loop(id.try_into()?),
            O::Plan(id) => Owner::Plan(PlanId(id)),
            O::Queue(id) => Owner::Queue(ProjectId(id)),
        },
        kind,
        since: Time(it.since),
        activity: it.activity,
        used: need(it.used, "RunningEffect.used")?.into(),
    };
    Ok((EffectId(Seq(it.id)), effect))
}
