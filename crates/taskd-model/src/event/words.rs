//! Events in words, for transcripts and for people who read the log. No decision is made from them.

use std::fmt;

use super::{ChangeCause, Event, QueueEnd, Record};
use crate::{Observation, Purse, Unit};

impl fmt::Display for QueueEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { commit, onto, .. } => {
                write!(f, "done: {} on {}", commit.short(), onto.short())
            }
            Self::Empty => f.write_str("nothing left to bring"),
            Self::Red { .. } => f.write_str("gate red"),
            Self::Conflict { .. } => f.write_str("conflict"),
            Self::Held { why } => write!(f, "held: {why}"),
            Self::Failed { message } => write!(f, "failed: {message}"),
            Self::Withdrawn => f.write_str("withdrawn"),
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
            Self::ProjectAdded { id, root, .. } => write!(f, "project {} is {root}", id.0),
            Self::ProjectForgotten { id } => write!(f, "project {} forgotten", id.0),
            Self::MainMoved { target, to, commits, rewritten, .. } => {
                let how = if *rewritten { "rewritten" } else { "moved" };
                write!(f, "{target} {how} +{commits} to {}", to.short())
            }
            Self::PlanSubmitted { plan, head } => {
                write!(f, "{plan} submitted, {} specs: {}", head.specs, head.title)
            }
            Self::SpecAdded { spec, head } => {
                write!(f, "{spec} is {}", head.name)?;
                for it in &head.left_out {
                    write!(f, ", without `{}`", it.key())?;
                }
                write!(f, ": {}", head.title)
            }
            Self::PlanReleased { plan, evidence, .. } => {
                write!(f, "{plan} released{}", if evidence.is_some() { ", base green" } else { "" })
            }
            Self::IntegrationMoved { plan, to } => write!(f, "{plan} integrates at {}", to.short()),
            Self::PlanEnded { plan } => write!(f, "{plan} ended"),
            Self::EffectStarted { owner, work } => write!(f, "{owner} {work} started"),
            Self::EffectObserved { effect, fact, .. } => write!(f, "{effect} {fact}"),
            Self::EffectEnded { effect, outcome } => write!(f, "{effect} {outcome}"),
            Self::StatusChanged { from, to, reason } => write!(f, "{from} -> {to}: {reason}"),
            Self::IterationStarted { n } => write!(f, "iteration {n}"),
            Self::ModelChanged { from, to, cause: ChangeCause::Back, .. } => {
                write!(f, "calls {to} again instead of {from}")
            }
            Self::ModelChanged { from, to, cause, .. } => {
                write!(f, "calls {to} instead of {from}: {cause}")
            }
            Self::IterationEnded { n, verdict, .. } => write!(f, "iteration {n} ended: {verdict}"),
            Self::Deferred { until, why } => write!(f, "waits until {}: {why}", until.0),
            Self::DeferralOver => f.write_str("waited long enough"),
            Self::LimitReached { limit } => write!(f, "limit reached: {limit}"),
            Self::InternalError { message } => write!(f, "internal error: {message}"),
            Self::Passed { evidence, .. } => write!(f, "passed on tree {}", evidence.tree.short()),
            Self::ApprovalAsked => f.write_str("asks to land"),
            Self::Approved => f.write_str("approved"),
            Self::SyncAsked => f.write_str("asked to land beside the person's changes"),
            Self::Rejected { .. } => f.write_str("rejected"),
            Self::NoteAdded { .. } => f.write_str("told something"),
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
        }
    }
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
