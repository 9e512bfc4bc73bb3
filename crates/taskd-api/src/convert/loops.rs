//! Loops on the wire.

use taskd_model as model;
use taskd_model::{EffectId, OnConflict, Reason, Seq, Time, Worker};

use super::{WireError, depth, limit, narrow, need, parse, parse_some, phase, status, verdict};
use crate::v1;
use v1::DoingKind as Kind;

impl From<&model::LoopView> for v1::Loop {
    fn from(it: &model::LoopView) -> Self {
        Self {
            id: Some(it.id.into()),
            name: it.name.clone(),
            spec: it.spec.clone(),
            title: it.title.clone(),
            type_name: it.type_name.clone(),
            worker: Some((&it.worker).into()),
            instead_of: it.instead_of.clone(),
            needs: it.needs.iter().map(|it| (*it).into()).collect(),
            touches: it.touches.clone(),
            limits: Some((&it.limits).into()),
            doc: it.doc.to_string(),
            gate_key: it.gate_key.to_string(),
            accept: it.accept,
            accept_green: it.accept_green,
            status: v1::Status::from(it.status).into(),
            status_since: it.status_since.0,
            reason: it.reason.as_ref().map(Into::into),
            reason_seq: it.reason_seq.map(|it| it.0),
            doing: Some((&it.doing).into()),
            doing_since: it.doing_since.0,
            pausing: it.pausing,
            stopping: it.stopping,
            ending: it.ending.as_ref().map(Into::into),
            approval_asked: it.approval_asked.map(|it| it.0),
            suspicion: it.suspicion.as_ref().map(Into::into),
            held: it.held.clone(),
            pull_request: it.pull_request.clone(),
            queue_entry: it.queue_entry.map(|it| it.0),
            iteration: it.iteration,
            iterations: it.iterations.iter().map(Into::into).collect(),
            alike: it.alike,
            base: Some((&it.base).into()),
            checkpoint: it.checkpoint.map(|it| it.to_string()),
            change: Some((&it.change).into()),
            conflicts: it.conflicts,
            gate: it.gate.as_ref().map(Into::into),
            spent: Some((&it.spent).into()),
            uncounted: it.uncounted,
            passed: it.passed.as_ref().map(Into::into),
            integrated: it.integrated.map(|it| it.to_string()),
            landed: it.landed.as_ref().map(Into::into),
            undone: it.undone.as_ref().map(Into::into),
            trouble: it.trouble.as_ref().map(Into::into),
            counted: it.counted.map(|it| v1::Depth::from(it).into()),
            session: it.session.clone(),
            questions: it.questions.iter().map(Into::into).collect(),
            notes: it.notes.iter().map(Into::into).collect(),
            effects: it.effects.iter().map(|it| it.0.0).collect(),
            started_at: it.started_at.map(|it| it.0),
            ended_at: it.ended_at.map(|it| it.0),
            last_sign: it.last_sign.0,
            last_seq: it.last_seq.0,
            spans: Some((&it.spans).into()),
            spans_at: it.spans_at.0,
            calls: it.calls,
            failed_calls: it.failed_calls,
            rebases: it.rebases,
            flaked: it.flaked,
            writes: it.writes,
            parent: it.parent.map(Into::into),
            document: it.document.as_ref().map(Into::into),
            context: it.context.as_ref().map(Into::into),
            last_run: (!it.last_run.is_empty()).then(|| (&it.last_run).into()),
            review: it.review.as_ref().map(Into::into),
        }
    }
}

impl From<&model::ContextView> for v1::Context {
    fn from(it: &model::ContextView) -> Self {
        Self {
            tokens: it.tokens,
            window: it.of.window,
            turns_left_out: it.of.turns_left_out,
            outputs_left_out: it.of.outputs_left_out,
            bytes_left_out: it.of.bytes_left_out,
        }
    }
}

impl From<v1::Context> for model::ContextView {
    fn from(it: v1::Context) -> Self {
        let of = model::ContextUse {
            window: it.window,
            turns_left_out: it.turns_left_out,
            outputs_left_out: it.outputs_left_out,
            bytes_left_out: it.bytes_left_out,
        };
        Self { tokens: it.tokens, of }
    }
}

impl From<&model::AgentRun> for v1::AgentRun {
    fn from(it: &model::AgentRun) -> Self {
        let remark = |it: &model::Remark| v1::Remark {
            code: it.code.as_str().to_owned(),
            text: it.text.clone(),
        };
        let remarks = it.remarks.iter().map(remark).collect();
        Self { processes: it.processes, judged: it.judged, remarks, said: it.said.clone() }
    }
}

impl From<v1::AgentRun> for model::AgentRun {
    fn from(it: v1::AgentRun) -> Self {
        let remark = |it: v1::Remark| model::Remark {
            // A later daemon knows more codes.
            code: model::Code::parse(&it.code).unwrap_or(model::Code::Unlisted),
            text: it.text,
        };
        let remarks = it.remarks.into_iter().map(remark).collect();
        Self { processes: it.processes, judged: it.judged, remarks, said: it.said }
    }
}

const FORMATS: [model::Format; 3] =
    [model::Format::Plan, model::Format::Spec, model::Format::Phase];

impl From<&model::DocumentView> for v1::Document {
    fn from(it: &model::DocumentView) -> Self {
        let format = it.format.map(|it| it.word().to_owned());
        Self { artifact: it.artifact.to_string(), children: it.children.into(), format }
    }
}

impl TryFrom<v1::Document> for model::DocumentView {
    type Error = WireError;

    fn try_from(it: v1::Document) -> Result<Self, WireError> {
        Ok(Self {
            artifact: parse(&it.artifact, "Document.artifact")?,
            children: narrow(it.children, "Document.children")?,
            // A later daemon knows more of them.
            format: it.format.and_then(|it| FORMATS.into_iter().find(|known| known.word() == it)),
        })
    }
}

impl TryFrom<v1::Loop> for model::LoopView {
    type Error = WireError;

    fn try_from(it: v1::Loop) -> Result<Self, WireError> {
        let needs = it.needs.into_iter().map(|it| narrow(it, "Loop.needs"));
        let iterations = it.iterations.into_iter().map(TryInto::try_into);
        let notes = it.notes.into_iter().map(TryInto::try_into);
        let questions = it.questions.into_iter().map(TryInto::try_into);
        Ok(Self {
            id: need(it.id, "Loop.id")?.try_into()?,
            name: it.name,
            spec: it.spec,
            title: it.title,
            type_name: it.type_name,
            worker: need(it.worker, "Loop.worker")?.try_into()?,
            instead_of: it.instead_of,
            needs: needs.collect::<Result<_, _>>()?,
            touches: it.touches,
            limits: need(it.limits, "Loop.limits")?.into(),
            doc: parse(&it.doc, "Loop.doc")?,
            gate_key: parse(&it.gate_key, "Loop.gate_key")?,
            accept: it.accept,
            accept_green: it.accept_green,
            status: status(it.status)?,
            status_since: Time(it.status_since),
            reason: it.reason.map(TryInto::try_into).transpose()?,
            reason_seq: it.reason_seq.map(Seq),
            doing: need(it.doing, "Loop.doing")?.try_into()?,
            doing_since: Time(it.doing_since),
            pausing: it.pausing,
            stopping: it.stopping,
            ending: it.ending.map(TryInto::try_into).transpose()?,
            approval_asked: it.approval_asked.map(Time),
            suspicion: it.suspicion.map(TryInto::try_into).transpose()?,
            held: it.held,
            pull_request: it.pull_request,
            queue_entry: it.queue_entry.map(Seq),
            iteration: it.iteration,
            iterations: iterations.collect::<Result<_, WireError>>()?,
            alike: it.alike,
            base: need(it.base, "Loop.base")?.try_into()?,
            checkpoint: parse_some(it.checkpoint.as_ref(), "Loop.checkpoint")?,
            change: need(it.change, "Loop.change")?.into(),
            conflicts: it.conflicts,
            gate: it.gate.map(TryInto::try_into).transpose()?,
            spent: need(it.spent, "Loop.spent")?.into(),
            uncounted: it.uncounted,
            passed: it.passed.map(TryInto::try_into).transpose()?,
            integrated: parse_some(it.integrated.as_ref(), "Loop.integrated")?,
            landed: it.landed.map(TryInto::try_into).transpose()?,
            undone: it.undone.map(TryInto::try_into).transpose()?,
            trouble: it.trouble.map(Into::into),
            counted: it.counted.map(depth).transpose()?,
            session: it.session,
            questions: questions.collect::<Result<_, WireError>>()?,
            notes: notes.collect::<Result<_, WireError>>()?,
            effects: it.effects.into_iter().map(|it| EffectId(Seq(it))).collect(),
            started_at: it.started_at.map(Time),
            ended_at: it.ended_at.map(Time),
            last_sign: Time(it.last_sign),
            last_seq: Seq(it.last_seq),
            spans: need(it.spans, "Loop.spans")?.into(),
            spans_at: Time(it.spans_at),
            calls: it.calls,
            failed_calls: it.failed_calls,
            rebases: it.rebases,
            flaked: it.flaked,
            writes: it.writes,
            parent: it.parent.map(|it| narrow(it, "Loop.parent")).transpose()?,
            document: it.document.map(TryInto::try_into).transpose()?,
            context: it.context.map(Into::into),
            last_run: it.last_run.map(Into::into).unwrap_or_default(),
            review: it.review.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<&Worker> for v1::Worker {
    fn from(it: &Worker) -> Self {
        let kind = match it {
            Worker::Model(it) => v1::worker::Kind::Model(it.clone()),
            Worker::Agent(it) => v1::worker::Kind::Agent(it.clone()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Worker> for Worker {
    type Error = WireError;

    fn try_from(it: v1::Worker) -> Result<Self, WireError> {
        Ok(match need(it.kind, "Worker.kind")? {
            v1::worker::Kind::Model(it) => Self::Model(it),
            v1::worker::Kind::Agent(it) => Self::Agent(it),
        })
    }
}

impl From<&model::LoopLimits> for v1::LoopLimits {
    fn from(it: &model::LoopLimits) -> Self {
        Self {
            iterations: it.iterations,
            time_ms: it.time_ms,
            budget_micros: it.budget_micros,
            tokens: it.tokens,
            restarts: it.restarts,
            conflict_loop: match it.conflict {
                OnConflict::Loop(most) => Some(most),
                OnConflict::Block => None,
            },
            same_failure: it.same_failure,
            turns: it.turns,
        }
    }
}

impl From<v1::LoopLimits> for model::LoopLimits {
    fn from(it: v1::LoopLimits) -> Self {
        Self {
            iterations: it.iterations,
            time_ms: it.time_ms,
            budget_micros: it.budget_micros,
            tokens: it.tokens,
            restarts: it.restarts,
            conflict: it.conflict_loop.map_or(OnConflict::Block, OnConflict::Loop),
            same_failure: it.same_failure,
            turns: it.turns,
        }
    }
}

impl From<&Reason> for v1::Reason {
    fn from(it: &Reason) -> Self {
        use v1::ReasonKind as K;
        let (kind, limit, detail) = match it {
            Reason::Released => (K::Released, None, None),
            Reason::Started => (K::Started, None, None),
            Reason::BaseMoved => (K::BaseMoved, None, None),
            Reason::Rebased => (K::Rebased, None, None),
            Reason::Person => (K::Person, None, None),
            Reason::Conflict => (K::Conflict, None, None),
            Reason::AcceptGreen => (K::AcceptGreen, None, None),
            Reason::Malformed => (K::Malformed, None, None),
            Reason::Superseded => (K::Superseded, None, None),
            Reason::NeedFailed => (K::NeedFailed, None, None),
            Reason::BaseRed => (K::BaseRed, None, None),
            Reason::NoProgress(times) => (K::NoProgress, None, Some(times.to_string())),
            Reason::Limit(limit) => (K::Limit, Some(v1::LimitKind::from(*limit).into()), None),
            Reason::Stuck(why) => (K::Stuck, None, Some(why.clone())),
            Reason::Done => (K::Done, None, None),
            Reason::AlreadyThere => (K::AlreadyThere, None, None),
            Reason::Internal(what) => (K::Internal, None, Some(what.clone())),
            Reason::Loop(name) => (K::Loop, None, Some(name.clone())),
        };
        Self { kind: kind.into(), limit, detail, text: it.to_string() }
    }
}

impl TryFrom<v1::Reason> for Reason {
    type Error = WireError;

    fn try_from(it: v1::Reason) -> Result<Self, WireError> {
        use v1::ReasonKind as K;
        Ok(match it.kind() {
            K::Released => Self::Released,
            K::Started => Self::Started,
            K::BaseMoved => Self::BaseMoved,
            K::Rebased => Self::Rebased,
            K::Person => Self::Person,
            K::Conflict => Self::Conflict,
            K::AcceptGreen => Self::AcceptGreen,
            K::Malformed => Self::Malformed,
            K::Superseded => Self::Superseded,
            K::NeedFailed => Self::NeedFailed,
            K::BaseRed => Self::BaseRed,
            K::NoProgress => {
                Self::NoProgress(parse(&need(it.detail, "Reason.detail")?, "Reason.detail")?)
            }
            K::Limit => Self::Limit(limit(need(it.limit, "Reason.limit")?)?),
            K::Stuck => Self::Stuck(need(it.detail, "Reason.detail")?),
            K::Done => Self::Done,
            K::AlreadyThere => Self::AlreadyThere,
            K::Internal => Self::Internal(need(it.detail, "Reason.detail")?),
            K::Loop => Self::Loop(need(it.detail, "Reason.detail")?),
            K::Unspecified => {
                return Err(WireError::new("Reason.kind", format!("is unknown: {}", it.kind)));
            }
        })
    }
}

impl From<&model::Doing> for v1::Doing {
    fn from(it: &model::Doing) -> Self {
        use model::Doing as D;
        let plain = |kind: Kind| Self { kind: kind.into(), ..Self::default() };
        let text = |kind: Kind, text: &String| Self { text: Some(text.clone()), ..plain(kind) };
        match it {
            D::NotStarted => plain(Kind::NotStarted),
            D::Preparing => plain(Kind::Preparing),
            D::Accept => plain(Kind::Accept),
            D::Composing => plain(Kind::Composing),
            D::QueuedForModel => plain(Kind::QueuedForModel),
            D::Calling => plain(Kind::Calling),
            D::Tool(name) => text(Kind::Tool, name),
            D::QueuedForAgent => plain(Kind::QueuedForAgent),
            D::Agent(activity) => Self { text: activity.clone(), ..plain(Kind::Agent) },
            D::Asks(what) => text(Kind::Asks, what),
            D::QueuedForGate => plain(Kind::QueuedForGate),
            D::Gate { since, estimate_ms } => {
                Self { time: Some(since.0), estimate_ms: *estimate_ms, ..plain(Kind::Gate) }
            }
            D::Rebasing => plain(Kind::Rebasing),
            D::ReadyToLand => plain(Kind::ReadyToLand),
            D::InQueue { landing, phase } => Self {
                landing: *landing,
                phase: v1::QueuePhase::from(*phase).into(),
                ..plain(Kind::InQueue)
            },
            D::Held(why) => text(Kind::Held, why),
            D::Deferred { until, why } => Self { time: Some(until.0), ..text(Kind::Deferred, why) },
            D::Idle => plain(Kind::Idle),
        }
    }
}

impl TryFrom<v1::Doing> for model::Doing {
    type Error = WireError;

    fn try_from(it: v1::Doing) -> Result<Self, WireError> {
        let kind = it.kind();
        let time = need(it.time, "Doing.time").map(Time);
        let text = need(it.text.clone(), "Doing.text");
        Ok(match kind {
            Kind::NotStarted => Self::NotStarted,
            Kind::Preparing => Self::Preparing,
            Kind::Accept => Self::Accept,
            Kind::Composing => Self::Composing,
            Kind::QueuedForModel => Self::QueuedForModel,
            Kind::Calling => Self::Calling,
            Kind::Tool => Self::Tool(text?),
            Kind::QueuedForAgent => Self::QueuedForAgent,
            Kind::Agent => Self::Agent(it.text),
            Kind::Asks => Self::Asks(text?),
            Kind::QueuedForGate => Self::QueuedForGate,
            Kind::Gate => Self::Gate { since: time?, estimate_ms: it.estimate_ms },
            Kind::Rebasing => Self::Rebasing,
            Kind::ReadyToLand => Self::ReadyToLand,
            Kind::InQueue => Self::InQueue { landing: it.landing, phase: phase(it.phase)? },
            Kind::Held => Self::Held(text?),
            Kind::Deferred => Self::Deferred { until: time?, why: text? },
            Kind::Idle => Self::Idle,
            Kind::Unspecified => {
                return Err(WireError::new("Doing.kind", format!("is unknown: {}", it.kind)));
            }
        })
    }
}

impl From<&model::Base> for v1::Base {
    fn from(it: &model::Base) -> Self {
        Self { commit: it.commit.to_string(), height: it.height }
    }
}

impl TryFrom<v1::Base> for model::Base {
    type Error = WireError;

    fn try_from(it: v1::Base) -> Result<Self, WireError> {
        Ok(Self { commit: parse(&it.commit, "Base.commit")?, height: it.height })
    }
}

impl From<&model::IterationRow> for v1::Iteration {
    fn from(it: &model::IterationRow) -> Self {
        Self {
            n: it.n,
            started_at: it.started_at.0,
            verdict: it.verdict.map(|it| v1::Verdict::from(it).into()),
            summary: it.summary.clone(),
            log: it.log.map(|it| it.to_string()),
            change: Some((&it.change).into()),
            ms: it.ms,
            micros: it.micros,
        }
    }
}

impl TryFrom<v1::Iteration> for model::IterationRow {
    type Error = WireError;

    fn try_from(it: v1::Iteration) -> Result<Self, WireError> {
        Ok(Self {
            n: it.n,
            started_at: Time(it.started_at),
            verdict: it.verdict.map(verdict).transpose()?,
            summary: it.summary,
            log: parse_some(it.log.as_ref(), "Iteration.log")?,
            change: need(it.change, "Iteration.change")?.into(),
            ms: it.ms,
            micros: it.micros,
        })
    }
}

impl From<&model::PassedView> for v1::PassedWork {
    fn from(it: &model::PassedView) -> Self {
        Self {
            checkpoint: it.checkpoint.to_string(),
            tree: it.tree.to_string(),
            evidence: it.evidence.0,
            tests: it.tests,
            change: Some((&it.change).into()),
            at: it.at.0,
        }
    }
}

impl TryFrom<v1::PassedWork> for model::PassedView {
    type Error = WireError;

    fn try_from(it: v1::PassedWork) -> Result<Self, WireError> {
        Ok(Self {
            checkpoint: parse(&it.checkpoint, "PassedWork.checkpoint")?,
            tree: parse(&it.tree, "PassedWork.tree")?,
            evidence: Seq(it.evidence),
            tests: it.tests,
            change: need(it.change, "PassedWork.change")?.into(),
            at: Time(it.at),
        })
    }
}

impl From<&model::Trouble> for v1::Trouble {
    fn from(it: &model::Trouble) -> Self {
        let fault = it.fault.as_deref().map(v1::Fault::from);
        Self { message: it.message.clone(), at: it.at.0, seq: it.seq.0, fault }
    }
}

impl From<v1::Trouble> for model::Trouble {
    fn from(it: v1::Trouble) -> Self {
        let fault = it.fault.map(|it| Box::new(it.into()));
        Self { message: it.message, at: Time(it.at), seq: Seq(it.seq), fault }
    }
}

impl From<&model::Fault> for v1::Fault {
    fn from(it: &model::Fault) -> Self {
        Self {
            code: it.code.as_str().to_owned(),
            provider: it.provider.clone(),
            model: it.model.clone(),
            status: it.status.map(u32::from),
            r#type: it.kind.clone(),
            body: it.body.map(|it| it.as_str().to_owned()),
            attempt: it.attempt,
            elapsed_ms: it.elapsed_ms,
            causes: it.causes.clone(),
        }
    }
}

impl From<v1::Fault> for model::Fault {
    fn from(it: v1::Fault) -> Self {
        Self {
            code: model::Code::parse(&it.code).unwrap_or(model::Code::Unlisted),
            provider: it.provider,
            model: it.model,
            status: it.status.and_then(|it| u16::try_from(it).ok()),
            kind: it.r#type,
            body: it.body.map(|it| model::BodyKind::parse(&it)),
            attempt: it.attempt,
            elapsed_ms: it.elapsed_ms,
            causes: it.causes,
        }
    }
}

impl From<&model::Note> for v1::Note {
    fn from(it: &model::Note) -> Self {
        Self { at: it.at.0, text: it.text.to_string(), rejects: it.rejects }
    }
}

impl TryFrom<v1::Note> for model::Note {
    type Error = WireError;

    fn try_from(it: v1::Note) -> Result<Self, WireError> {
        Ok(Self { at: Time(it.at), text: parse(&it.text, "Note.text")?, rejects: it.rejects })
    }
}

impl From<&model::QuestionView> for v1::Question {
    fn from(it: &model::QuestionView) -> Self {
        Self {
            id: it.id.0,
            effect: it.effect.0.0,
            n: it.n,
            text: it.text.clone(),
            choices: it.choices.clone(),
            at: it.at.0,
            answer: it.answer.map(u32::from),
            free: it.free,
            deadline: it.deadline.map(|it| it.0),
            default_answer: it.default.clone(),
            said: it.said.clone(),
        }
    }
}

impl TryFrom<v1::Question> for model::QuestionView {
    type Error = WireError;

    fn try_from(it: v1::Question) -> Result<Self, WireError> {
        Ok(Self {
            id: Seq(it.id),
            effect: EffectId(Seq(it.effect)),
            n: it.n,
            text: it.text,
            choices: it.choices,
            at: Time(it.at),
            answer: it.answer.map(|it| narrow(it, "Question.answer")).transpose()?,
            free: it.free,
            deadline: it.deadline.map(Time),
            default: it.default_answer,
            said: it.said,
        })
    }
}
