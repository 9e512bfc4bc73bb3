//! Events in words, for transcripts and for people who read the log. No decision is made from them.

use std::fmt;

use super::{Arranged, ChangeCause, Event, QueueEnd, Record, SpecHead};
use crate::{EffectId, Observation, Oid, Purse, SpecId, Streak, Unit, Verdict};

impl fmt::Display for QueueEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { commit, onto, with, .. } => {
                write!(f, "done: {} on {}", commit.short(), onto.short())?;
                if with.is_empty() { Ok(()) } else { write!(f, ", gated with {} more", with.len()) }
            }
            Self::Empty => f.write_str("nothing left to bring"),
            Self::Red { .. } => f.write_str("gate red"),
            Self::Conflict { .. } => f.write_str("conflict"),
            Self::Proposed { commit, url } => write!(f, "proposed: {} at {url}", commit.short()),
            Self::Held { why } => write!(f, "held: {why}"),
            Self::Failed { message } => write!(f, "failed: {message}"),
            Self::Withdrawn => f.write_str("withdrawn"),
        }
    }
}

/// Another model works.
fn changed(f: &mut fmt::Formatter<'_>, from: &str, to: &str, cause: &ChangeCause) -> fmt::Result {
    if *cause == ChangeCause::Back {
        return write!(f, "calls {to} again instead of {from}");
    }
    write!(f, "calls {to} instead of {from}: {cause}")
}

impl fmt::Display for Arranged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held => f.write_str("held"),
            Self::Released => f.write_str("released"),
            Self::Moved { before: None } => f.write_str("first"),
            Self::Moved { before: Some(other) } => write!(f, "before {other}"),
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, .. } => write!(f, "process {pid}"),
            Self::ToolCalled { index, call } => write!(f, "asks for tool {index} {}", call.name),
            Self::UsageSoFar(it) => write!(f, "used {} in, {} out", it.input, it.output),
            Self::Levels(_) => f.write_str("told what is left of the limits"),
            Self::Session(it) => write!(f, "session {it}"),
            Self::Checkpoint(it) => write!(f, "checkpoint {}", it.short()),
            Self::Activity(it) => f.write_str(it),
            Self::Asked { n, text, .. } => write!(f, "question {n}: may it {text}"),
            Self::Counted(depth) => write!(f, "is counted {depth}"),
            Self::CallWanted(it) => write!(f, "asks for call {} of {}", it.call, it.bucket),
            Self::CallGivenUp { call } => write!(f, "gave up call {call}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DaemonStarted { version } => write!(f, "daemon {version} started"),
            Self::DaemonStopped => f.write_str("daemon stopped"),
            Self::WorkParked => f.write_str("work parked"),
            Self::WorkUnparked => f.write_str("work goes on"),
            Self::DiskChanged { disk } => write!(f, "{disk}"),
            Self::LimitsSet { .. } => f.write_str("limits set"),
            Self::ProjectAdded { .. } | Self::ProjectMoved { .. } => place(f, self),
            Self::ProjectForgotten { id } => write!(f, "project {} forgotten", id.0),
            Self::MainMoved { target, to, commits, rewritten, .. } => {
                let how = if *rewritten { "rewritten" } else { "moved" };
                write!(f, "{target} {how} +{commits} to {}", to.short())
            }
            Self::PlanSubmitted { plan, head } => {
                write!(f, "{plan} submitted, {} specs: {}", head.specs, head.title)
            }
            Self::SpecAdded { spec, head } => added(f, *spec, head),
            Self::PlanReleased { plan, evidence: Some(_), .. } => {
                write!(f, "{plan} released, base green")
            }
            Self::PlanReleased { plan, .. } => write!(f, "{plan} released"),
            Self::IntegrationMoved { plan, to } => write!(f, "{plan} integrates at {}", to.short()),
            Self::PlanEnded { plan } => write!(f, "{plan} ended"),
            Self::EffectStarted { owner, work } => write!(f, "{owner} {work} started"),
            Self::EffectObserved { effect, fact, .. } => write!(f, "{effect} {fact}"),
            Self::EffectEnded { effect, outcome } => write!(f, "{effect} {outcome}"),
            Self::StatusChanged { from, to, reason } => write!(f, "{from} -> {to}: {reason}"),
            Self::IterationStarted { n } => write!(f, "iteration {n}"),
            Self::ModelChanged { from, to, cause, .. } => changed(f, from, to, cause),
            Self::IterationEnded { n, verdict, streak, .. } => ended(f, *n, *verdict, *streak),
            Self::Deferred { until, why } => write!(f, "waits until {}: {why}", until.0),
            Self::DeferralOver => f.write_str("waited long enough"),
            Self::LimitReached { limit } => write!(f, "limit reached: {limit}"),
            Self::InternalError { message } => write!(f, "internal error: {message}"),
            Self::Passed { evidence, .. } => write!(f, "passed on tree {}", evidence.tree.short()),
            Self::Reviewed { n, unchanged, done, .. } => reviewed(f, *n, *unchanged, *done),
            Self::GateTamperSuspected { suspicion } => write!(f, "suspected: it {suspicion}"),
            Self::GateFlaked { effect, tests, .. } => flaked(f, *effect, tests),
            Self::ApprovalAsked => f.write_str("asks to land"),
            Self::Approved => f.write_str("approved"),
            Self::LandingSeen { commit, .. } => write!(f, "seen on its target: {}", commit.short()),
            Self::SyncAsked => f.write_str("asked to land beside the person's changes"),
            Self::Rejected { .. } => f.write_str("rejected"),
            Self::NoteAdded { now: false, .. } => f.write_str("told something"),
            Self::NoteAdded { now: true, .. } => f.write_str("told something, now"),
            Self::Spoken { word } => word.fmt(f),
            Self::Rewound { to, iteration, .. } => rewound(f, *to, *iteration),
            Self::Retried { .. } | Self::Superseded { .. } => again(f, self),
            Self::QuestionAnswered { effect, n, .. } => write!(f, "{effect} question {n} answered"),
            Self::PauseAsked => f.write_str("asked to pause"),
            Self::ResumeAsked => f.write_str("asked to go on"),
            Self::StopAsked => f.write_str("asked to stop"),
            Self::BudgetSet { of, micros } => set(f, *of, Unit::Micros, *micros),
            Self::BudgetWarned { of, spent_micros, budget_micros } => {
                warned(f, *of, Unit::Micros, (*spent_micros, *budget_micros))
            }
            Self::TokensSet { of, tokens } => set(f, *of, Unit::Tokens, *tokens),
            Self::TokensWarned { of, spent, budget } => {
                warned(f, *of, Unit::Tokens, (*spent, *budget))
            }
            Self::BudgetSpent { of, until } => {
                write!(f, "today's budget of {of} is spent until {}", until.0)
            }
            Self::BudgetRenewed { of } => write!(f, "the budget of {of} is renewed"),
            Self::CircuitChanged { bucket, change } => write!(f, "{bucket} {change}"),
            Self::QueueEntered { op } => write!(f, "queued to {op}"),
            Self::QueueLeft { entry, op, end } => write!(f, "q{entry} {op}: {end}"),
            Self::NotificationSent { .. } | Self::NotificationFailed { .. } => told(f, self),
            Self::QueueArranged { how } => write!(f, "{how} in the landing queue"),
        }
    }
}

/// Where a project is.
#[expect(clippy::wildcard_enum_match_arm, reason = "only events about places come here")]
fn place(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    match event {
        Event::ProjectAdded { id, root, .. } => write!(f, "project {} is {root}", id.0),
        Event::ProjectMoved { id, root, .. } => write!(f, "project {} moved to {root}", id.0),
        _ => Ok(()),
    }
}

/// An iteration ended, perhaps not for the first time this way.
fn ended(
    f: &mut fmt::Formatter<'_>,
    n: u32,
    verdict: Verdict,
    streak: Option<Streak>,
) -> fmt::Result {
    write!(f, "iteration {n} ended: {verdict}")?;
    match streak {
        Some(Streak { times: times @ 2.., .. }) => write!(f, ", {times} times the same"),
        Some(_) | None => Ok(()),
    }
}

/// A loop that is tried again, or whose document was.
fn again(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    if let Event::Superseded { by } = event {
        return write!(f, "superseded by the document of {by}");
    }
    let Event::Retried { to, gate, .. } = event else { return Ok(()) };
    retried(f, *to, *gate)
}

/// A loop that is tried again.
fn retried(f: &mut fmt::Formatter<'_>, to: Option<(Oid, Oid)>, gate: bool) -> fmt::Result {
    match to {
        Some((to, _)) => write!(f, "tried again from {}", to.short()),
        None => f.write_str(if gate { "its gate is tried again" } else { "tried again" }),
    }
}

/// Whether somebody could be told.
fn told(f: &mut fmt::Formatter<'_>, event: &Event) -> fmt::Result {
    if let Event::NotificationFailed { of, tries, why } = event {
        return write!(f, "not told of event {of}, tried {tries} times: {why}");
    }
    let Event::NotificationSent { of, .. } = event else { return Ok(()) };
    write!(f, "told of event {of}")
}

/// A document was looked through once more.
fn reviewed(f: &mut fmt::Formatter<'_>, n: u8, unchanged: bool, done: bool) -> fmt::Result {
    match n {
        0 => f.write_str("document drafted")?,
        n => write!(f, "document reviewed, time {n}")?,
    }
    f.write_str(if unchanged { ", unchanged" } else { "" })?;
    f.write_str(if done { ", done" } else { "" })
}

/// A spec, and what its loop leaves out.
fn added(f: &mut fmt::Formatter<'_>, spec: SpecId, head: &SpecHead) -> fmt::Result {
    write!(f, "{spec} is {}", head.name)?;
    for it in &head.left_out {
        write!(f, ", without `{}`", it.key())?;
    }
    write!(f, ": {}", head.title)
}

/// A loop that was sent back.
fn rewound(f: &mut fmt::Formatter<'_>, to: Oid, iteration: u32) -> fmt::Result {
    match iteration {
        0 => write!(f, "rewound to its base {}", to.short()),
        n => write!(f, "rewound to {} of iteration {n}", to.short()),
    }
}

fn flaked(f: &mut fmt::Formatter<'_>, effect: EffectId, tests: &[String]) -> fmt::Result {
    write!(f, "{effect} gate is flaky: red and green on one tree")?;
    if tests.is_empty() { Ok(()) } else { write!(f, ": {}", tests.join(", ")) }
}

/// A budget that is nearly spent.
fn warned(
    f: &mut fmt::Formatter<'_>,
    of: Purse,
    unit: Unit,
    (spent, budget): (u64, u64),
) -> fmt::Result {
    let word = if unit == Unit::Tokens { "used" } else { "spent" };
    write!(f, "{} of the {} of {of} {word}", unit.format(spent), unit.format(budget))
}

/// A budget that was set, or taken away.
fn set(f: &mut fmt::Formatter<'_>, of: Purse, unit: Unit, amount: u64) -> fmt::Result {
    match (amount, unit) {
        (0, Unit::Tokens) => write!(f, "no budget of tokens for {of}"),
        (0, Unit::Micros) if of.is_daily() => write!(f, "no budget of money for {of}"),
        (_, _) => write!(f, "budget of {of} set to {}", unit.format(amount)),
    }
}

impl fmt::Display for Record {
    /// One line of a transcript: the loop in front where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.event, self.loop_id) {
            (Event::EffectStarted { .. } | Event::QueueEntered { .. }, _) | (_, None) => {
                self.event.fmt(f)
            }
            (event, Some(id)) => write!(f, "{id} {event}"),
        }
    }
}
