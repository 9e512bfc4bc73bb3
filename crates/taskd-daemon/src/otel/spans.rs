//! Spans out of events: a plan, its loops, their iterations and turns, and what was done in them.
//!
//! What a span is called by is made of what it is about, so children name their parents before those
//! have ended, in whatever life. It holds what is under way and nothing else.

use std::collections::BTreeMap;

use taskd_model::{
    Actor, EffectId, Event, LoopId, Outcome, Owner, PlanId, QueueOp, Record, Status, Time, Usage,
    Verdict, View, Work,
};

use super::{span_id, span_of};

/// One finished span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) trace: [u8; 16],
    pub(super) id: [u8; 8],
    pub(super) parent: Option<[u8; 8]>,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) start: Time,
    pub(super) end: Time,
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// Why it is an error: a code.
    pub(super) error: Option<String>,
}

/// `SpanKind` of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
}

type Attributes = Vec<(&'static str, Value)>;

fn text(key: &'static str, value: impl Into<String>) -> (&'static str, Value) {
    (key, Value::Text(value.into()))
}

/// What has begun and not ended.
pub(super) struct Spans {
    tag: String,
    /// Iterations: which, and since when.
    iterations: BTreeMap<LoopId, (u32, Time)>,
    turns: BTreeMap<LoopId, Turn>,
    effects: BTreeMap<EffectId, Effect>,
}

/// A turn of an iteration.
struct Turn {
    n: u32,
    /// The effect that begins it.
    id: EffectId,
    since: Time,
    open: bool,
}

/// An effect under way.
struct Effect {
    plan: PlanId,
    parent: [u8; 8],
    name: String,
    kind: Kind,
    since: Time,
    attributes: Attributes,
}

impl Spans {
    /// From here on; what began before is as the view says.
    pub(super) fn new(tag: &str, view: &View) -> Self {
        let open = |it: &taskd_model::LoopView| {
            let row = it.iterations.last().filter(|row| row.verdict.is_none())?;
            Some((it.id, (row.n, row.started_at)))
        };
        let iterations = view.loops.values().filter_map(open).collect();
        let (turns, effects) = (BTreeMap::new(), BTreeMap::new());
        Self { tag: tag.to_owned(), iterations, turns, effects }
    }

    /// What ended with an event; `view` has it already.
    pub(super) fn take(&mut self, view: &View, record: &Record) -> Vec<Span> {
        let at = record.at;
        let mut done = Vec::new();
        match (&record.event, record.loop_id) {
            (Event::DaemonStarted { .. }, _) => {
                self.effects.clear();
                self.turns.clear();
            }
            (Event::PlanSubmitted { plan, .. }, _) => {
                done.extend(self.submitted(view, *plan, record));
            }
            (Event::PlanEnded { plan }, _) => done.extend(self.plan(view, *plan, at)),
            (Event::IterationStarted { n }, Some(id)) => {
                self.turns.remove(&id);
                self.iterations.insert(id, (*n, at));
            }
            (Event::IterationEnded { verdict, .. }, Some(id)) => {
                done.extend(self.turn(view, id, at));
                done.extend(self.iteration(view, id, verdict_word(*verdict), at));
            }
            (Event::ModelChanged { gives_up: Some(_), .. }, Some(id)) => {
                done.extend(self.turn(view, id, at));
                done.extend(self.iteration(view, id, "given_up", at));
            }
            (Event::StatusChanged { to, .. }, Some(id)) if to.is_over() => {
                done.extend(self.turn(view, id, at));
                done.extend(self.iteration(view, id, "ended", at));
                done.extend(self.over(view, id, *to, at));
            }
            (Event::EffectStarted { owner, work }, _) => {
                done.extend(self.started(view, *owner, work, record));
            }
            (Event::EffectEnded { effect, outcome }, _) => {
                done.extend(self.ended(view, *effect, outcome, at));
            }
            _ => {}
        }
        done
    }

    /// A span of a plan's trace; nothing where the plan has none.
    fn span(&self, view: &View, plan: PlanId, it: Effect, id: [u8; 8], end: Time) -> Option<Span> {
        let trace = view.plans.get(&plan)?.trace?;
        let Effect { parent, name, kind, since, attributes, .. } = it;
        let (parent, error) = (Some(parent), None);
        Some(Span {
            trace: trace.id(),
            id,
            parent,
            name,
            kind,
            start: since,
            end,
            attributes,
            error,
        })
    }

    fn id_of_plan(&self, plan: PlanId) -> [u8; 8] {
        span_id(&[&self.tag, "plan", &plan.to_string()])
    }

    fn id_of_loop(&self, id: LoopId) -> [u8; 8] {
        span_id(&[&self.tag, "loop", &id.to_string()])
    }

    /// An iteration that was given up leaves its number to the next one.
    fn id_of_iteration(&self, id: LoopId, (n, since): (u32, Time)) -> [u8; 8] {
        let (n, since) = (n.to_string(), since.0.to_string());
        span_id(&[&self.tag, "iteration", &id.to_string(), &n, &since])
    }

    fn id_of_turn(&self, turn: &Turn) -> [u8; 8] {
        span_id(&[&self.tag, "turn", &turn.id.to_string()])
    }

    /// What a person or program asked for: the way from their command into the plan.
    fn submitted(&self, view: &View, plan: PlanId, record: &Record) -> Option<Span> {
        let trace = view.plans.get(&plan)?.trace?;
        let mut attributes = vec![text("taskd.plan", plan.to_string())];
        if let Actor::Person { via: Some(via), .. } = record.actor {
            attributes.push(text("taskd.via", via.word()));
        }
        Some(Span {
            trace: trace.id(),
            id: span_id(&[&self.tag, "submit", &plan.to_string()]),
            parent: Some(self.id_of_plan(plan)),
            name: "submit".to_owned(),
            kind: Kind::Server,
            start: record.at,
            end: record.at,
            attributes,
            error: None,
        })
    }

    /// The root, or the child of what led to the submission.
    fn plan(&self, view: &View, id: PlanId, at: Time) -> Option<Span> {
        let plan = view.plans.get(&id)?;
        let trace = plan.trace?;
        Some(Span {
            trace: trace.id(),
            id: self.id_of_plan(id),
            parent: trace.parent(),
            name: "plan".to_owned(),
            kind: Kind::Internal,
            start: plan.submitted_at,
            end: at,
            attributes: vec![
                text("taskd.plan", id.to_string()),
                ("taskd.specs", Value::Number(plan.specs.into())),
                ("taskd.landed", Value::Number(plan.landed.into())),
            ],
            error: None,
        })
    }

    fn over(&self, view: &View, id: LoopId, to: Status, at: Time) -> Option<Span> {
        let it = view.loops.get(&id)?;
        let effect = Effect {
            plan: id.plan(),
            parent: self.id_of_plan(id.plan()),
            name: format!("invoke_agent {}", it.type_name),
            kind: Kind::Internal,
            since: it.started_at.unwrap_or(at),
            attributes: vec![
                text("gen_ai.operation.name", "invoke_agent"),
                text("gen_ai.agent.name", &it.type_name),
                text("gen_ai.agent.id", &it.name),
                text("gen_ai.conversation.id", &it.name),
                text("taskd.status", to.to_string()),
            ],
        };
        let mut span = self.span(view, id.plan(), effect, self.id_of_loop(id), at)?;
        if to == Status::Failed {
            span.error = Some(to.to_string());
        }
        Some(span)
    }

    fn iteration(&mut self, view: &View, id: LoopId, verdict: &str, at: Time) -> Option<Span> {
        let (n, since) = self.iterations.remove(&id)?;
        let effect = Effect {
            plan: id.plan(),
            parent: self.id_of_loop(id),
            name: format!("iteration {n}"),
            kind: Kind::Internal,
            since,
            attributes: vec![
                ("taskd.iteration", Value::Number(n.into())),
                text("taskd.verdict", verdict),
            ],
        };
        self.span(view, id.plan(), effect, self.id_of_iteration(id, (n, since)), at)
    }

    /// The turn under way is over.
    fn turn(&mut self, view: &View, id: LoopId, at: Time) -> Option<Span> {
        let turn = self.turns.get_mut(&id).filter(|it| it.open)?;
        turn.open = false;
        let turn = &self.turns[&id];
        let effect = Effect {
            plan: id.plan(),
            parent: self.place(id),
            name: format!("turn {}", turn.n),
            kind: Kind::Internal,
            since: turn.since,
            attributes: vec![("taskd.turn", Value::Number(turn.n.into()))],
        };
        self.span(view, id.plan(), effect, self.id_of_turn(turn), at)
    }

    /// Where a loop is: in an iteration, or before and after all of them.
    fn place(&self, id: LoopId) -> [u8; 8] {
        let open = self.iterations.get(&id);
        open.map_or_else(|| self.id_of_loop(id), |it| self.id_of_iteration(id, *it))
    }

    /// An effect begins; the turn before it may end with that.
    fn started(&mut self, view: &View, owner: Owner, work: &Work, record: &Record) -> Option<Span> {
        let id = EffectId(record.seq);
        let mut over = None;
        if let Owner::Loop(owner) = owner
            && let Some(begins) = begins_turn(work)
        {
            over = self.turn(view, owner, record.at);
            let n = self.turns.get(&owner).map_or(0, |it| it.n);
            if begins {
                let turn = Turn { n: n + 1, id, since: record.at, open: true };
                self.turns.insert(owner, turn);
            }
        }
        let (plan, parent) = self.parent(view, owner, work)?;
        let (name, kind, attributes) = told(view, owner, work);
        let since = record.at;
        self.effects.insert(id, Effect { plan, parent, name, kind, since, attributes });
        over
    }

    /// The plan an effect is for, and the span it is in.
    fn parent(&self, view: &View, owner: Owner, work: &Work) -> Option<(PlanId, [u8; 8])> {
        Some(match (owner, op_of(work)) {
            (Owner::Loop(id), _) => {
                let turn = self.turns.get(&id).filter(|it| it.open);
                let parent = turn.map_or_else(|| self.place(id), |it| self.id_of_turn(it));
                (id.plan(), parent)
            }
            (Owner::Plan(plan), _) => (plan, self.id_of_plan(plan)),
            (Owner::Queue(_), Some(op)) => {
                let of_loop = op.loop_id().filter(|it| view.loops.contains_key(it));
                let of_plan = || self.id_of_plan(op.plan());
                (op.plan(), of_loop.map_or_else(of_plan, |it| self.id_of_loop(it)))
            }
            (Owner::Queue(_), None) => return None,
        })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most say nothing of their own")]
    fn ended(&mut self, view: &View, id: EffectId, outcome: &Outcome, at: Time) -> Option<Span> {
        let effect = self.effects.remove(&id)?;
        let (plan, is_call) = (effect.plan, effect.kind == Kind::Client);
        let mut span = self.span(view, plan, effect, span_of(&self.tag, id), at)?;
        if is_call {
            span.attributes.extend(used(&outcome.usage()));
        }
        match outcome {
            Outcome::Replied { by: Some(by), .. } => {
                span.attributes.push(text("gen_ai.response.model", by));
            }
            Outcome::Failed { fault, .. } => {
                let code = fault.as_ref().map_or("unknown", |it| it.code.as_str());
                span.attributes.push(text("error.type", code));
                span.error = Some(code.to_owned());
            }
            Outcome::ToolDone { error: true, code, .. } => {
                let code = code.map_or("_OTHER", |it| it.as_str());
                span.attributes.push(text("error.type", code));
                span.error = Some(code.to_owned());
            }
            Outcome::Cancelled { .. } => span.attributes.push(text("taskd.outcome", "cancelled")),
            Outcome::Gated { report: Some(it), .. }
            | Outcome::BaseChecked(it)
            | Outcome::CandidateGated(it) => {
                span.attributes.push(text("taskd.gate", if it.green { "green" } else { "red" }));
            }
            _ => {}
        }
        Some(span)
    }
}

/// Whether work begins a turn (`true`) or only ends the one before; nothing for what is part of one or
/// runs beside it.
fn begins_turn(work: &Work) -> Option<bool> {
    match work {
        Work::Compose => Some(true),
        Work::Gate
        | Work::Prepare { .. }
        | Work::AcceptBefore
        | Work::Rebase { .. }
        | Work::Decompose { .. } => Some(false),
        Work::CheckBase { .. }
        | Work::Call { .. }
        | Work::Tool { .. }
        | Work::Save { .. }
        | Work::Agent { .. }
        | Work::Relay(_)
        | Work::Answer(_)
        | Work::BuildCandidate { .. }
        | Work::GateCandidate { .. }
        | Work::Publish { .. } => None,
    }
}

fn op_of(work: &Work) -> Option<QueueOp> {
    if let Work::BuildCandidate { op, .. }
    | Work::GateCandidate { op, .. }
    | Work::Publish { op, .. } = work
    {
        Some(*op)
    } else {
        None
    }
}

/// What an effect is called, and what is said of it.
#[expect(clippy::wildcard_enum_match_arm, reason = "most say nothing of their own")]
fn told(view: &View, owner: Owner, work: &Work) -> (String, Kind, Attributes) {
    let name = if let Owner::Loop(id) = owner { view.loop_name(id) } else { String::new() };
    let of_loop = || text("gen_ai.conversation.id", &name);
    if let Work::Tool { name: tool, .. } = work {
        let attributes = vec![
            text("gen_ai.operation.name", "execute_tool"),
            text("gen_ai.tool.name", tool),
            text("gen_ai.tool.type", "function"),
            of_loop(),
        ];
        return (format!("execute_tool {tool}"), Kind::Internal, attributes);
    }
    if let Work::Agent { .. } = work {
        let agent = match owner {
            Owner::Loop(id) => view.loops.get(&id).and_then(|it| match &it.worker {
                taskd_model::Worker::Agent(name) => Some(name.clone()),
                taskd_model::Worker::Model(_) => None,
            }),
            Owner::Plan(_) | Owner::Queue(_) => None,
        };
        let agent = agent.unwrap_or_default();
        let attributes = vec![
            text("gen_ai.operation.name", "invoke_agent"),
            text("gen_ai.agent.name", &agent),
            of_loop(),
        ];
        return (format!("invoke_agent {agent}"), Kind::Client, attributes);
    }
    let bucket = match work {
        Work::Call { bucket, .. } => bucket,
        Work::Relay(it) => &it.bucket,
        Work::Answer(it) => &it.call.bucket,
        _ => return (work.verb().to_owned(), Kind::Internal, Vec::new()),
    };
    let (provider, model) = model(bucket);
    let attributes = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", provider),
        text("gen_ai.request.model", model),
        of_loop(),
    ];
    (format!("chat {model}"), Kind::Client, attributes)
}

/// The provider and the model of a bucket; where its replies stand is nobody's business.
fn model(bucket: &str) -> (&str, &str) {
    if bucket.starts_with("scripted:") {
        return ("scripted", "scripted");
    }
    bucket.split_once('/').unwrap_or(("_OTHER", bucket))
}

/// Tokens as the conventions count them: those of caches are among what was read.
fn used(it: &Usage) -> Attributes {
    let read = it.input.saturating_add(it.cache_read).saturating_add(it.cache_write);
    vec![
        ("gen_ai.usage.input_tokens", Value::Number(read)),
        ("gen_ai.usage.output_tokens", Value::Number(it.output)),
        ("gen_ai.usage.cache_read.input_tokens", Value::Number(it.cache_read)),
        ("gen_ai.usage.cache_creation.input_tokens", Value::Number(it.cache_write)),
        ("taskd.cost_microdollars", Value::Number(it.micros)),
    ]
}

fn verdict_word(it: Verdict) -> &'static str {
    match it {
        Verdict::Green => "green",
        Verdict::Red => "red",
        Verdict::Unchanged => "unchanged",
        Verdict::AgentFailed => "agent_failed",
        Verdict::Conflict => "conflict",
        Verdict::Objected => "objected",
    }
}
