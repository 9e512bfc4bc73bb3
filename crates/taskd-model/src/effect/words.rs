//! Work, outcomes and what belongs to them in a few words each, for transcripts and lines of events.

use std::fmt;

use super::*;
use crate::Format;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Green => "green",
            Self::Red => "red",
            Self::Unchanged => "nothing changed",
            Self::AgentFailed => "agent failed",
            Self::Conflict => "conflict markers left",
            Self::Objected => "a second reader objects",
        })
    }
}

/// `left out: 3 turns, 1 output`.
impl fmt::Display for ContextUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: u32, what: &str| match n {
            0 => None,
            1 => Some(format!("1 {what}")),
            n => Some(format!("{n} {what}s")),
        };
        let parts = [count(self.turns_left_out, "turn"), count(self.outputs_left_out, "output")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() {
            return f.write_str("nothing left out");
        }
        write!(f, "left out: {}", parts.join(", "))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loop(id) => id.fmt(f),
            Self::Plan(id) => id.fmt(f),
            Self::Queue(id) => write!(f, "queue {}", id.0),
        }
    }
}

impl fmt::Display for QueueOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integrate(id) => write!(f, "integrate {id}"),
            Self::Land(id) => write!(f, "land {id}"),
            Self::Refresh(plan) => write!(f, "refresh {plan}"),
            Self::Undo(id) => write!(f, "undo {id}"),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())?;
        match self {
            Self::Prepare { mode, .. } => match mode {
                PrepareMode::Fresh => Ok(()),
                PrepareMode::Restore(at) => write!(f, ", files of {}", at.short()),
                PrepareMode::Keep(_) => write!(f, ", as it is"),
                PrepareMode::Rewind(to) => write!(f, ", back to {}", to.short()),
            },
            Self::CheckBase { base } => write!(f, " {}", base.short()),
            Self::Tool { index, name, .. } => write!(f, " {index} {name}"),
            Self::Decompose { from } => write!(f, " {}", from.short()),
            Self::Rebase { onto } => write!(f, " onto {}", onto.short()),
            Self::BuildCandidate { op, onto, .. } => write!(f, " to {op} on {}", onto.short()),
            Self::GateCandidate { op, commit, with, .. } => {
                write!(f, " to {op} {}", commit.short())?;
                if with.is_empty() { Ok(()) } else { write!(f, " and {} below", with.len()) }
            }
            Self::Publish { op, commit, .. } => write!(f, " {op} {}", commit.short()),
            Self::Relay(it) => write!(f, " {} of {}", it.call, it.agent),
            Self::Answer(it) => write!(f, " to {}", it.query),
            Self::AcceptBefore
            | Self::Compose
            | Self::Call { .. }
            | Self::Save { .. }
            | Self::Agent { .. }
            | Self::Gate => Ok(()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colour = |green: bool| if green { "green" } else { "red" };
        match self {
            Self::BaseChecked(report) => write!(f, "base {}", colour(report.green)),
            Self::Prepared { salvaged: None } => write!(f, "worktree ready"),
            Self::Prepared { salvaged: Some(it) } => {
                write!(f, "worktree ready, earlier files saved as {}", it.short())
            }
            Self::AcceptRan { green, .. } => write!(f, "accept {} before work", colour(*green)),
            Self::Composed { tokens, context, .. } => {
                write!(f, "composed, about {tokens} tokens")?;
                match context.filter(ContextUse::leaves_out) {
                    Some(it) => write!(f, "; {it}"),
                    None => Ok(()),
                }
            }
            Self::Replied { found: Some(it), .. } => write!(f, "read: {}", it.summary),
            Self::Replied { calls, by, .. } => {
                let by = by.as_ref().map(|it| format!(" by {it}")).unwrap_or_default();
                write!(f, "replied{by}, asks for {} tools", calls.len())
            }
            Self::Answered { .. } => f.write_str("gave an answer"),
            Self::Relayed { usage } => {
                write!(f, "answered, {} in, {} out", usage.input, usage.output)
            }
            Self::ToolDone { error, .. } => {
                write!(f, "tool done{}", if *error { ", with an error" } else { "" })
            }
            Self::Saved { checkpoint } => write!(f, "saved {}", checkpoint.short()),
            Self::Asks { question } => write!(f, "asks: {}", question.text),
            Self::AgentDone { exit, run, .. } => {
                match exit {
                    0 => f.write_str("agent ended")?,
                    _ => write!(f, "agent ended with {exit}")?,
                }
                run.remarks.iter().try_for_each(|it| write!(f, ", {}", it.code))
            }
            Self::Gated { report: None, .. } => write!(f, "nothing to gate"),
            Self::Gated { report: Some(it), .. } => write!(f, "gate {}", colour(it.green)),
            Self::Decomposed { children, format, .. } => {
                write!(f, "taken apart, names {children} {}s", unit(*format))
            }
            Self::Rebased { conflicts: 0, .. } => write!(f, "rebased, clean"),
            Self::Rebased { conflicts, .. } => write!(f, "rebased, {conflicts} conflicts"),
            Self::Built { commit, .. } => write!(f, "built {}", commit.short()),
            Self::BuiltEmpty => write!(f, "nothing left to bring"),
            Self::BuildConflict { .. } => write!(f, "does not merge"),
            Self::CandidateGated(report) => write!(f, "candidate {}", colour(report.green)),
            Self::Published => write!(f, "published"),
            Self::PublishMoved { actual } => write!(f, "not moved, ref at {}", actual.short()),
            Self::Proposed { url } => write!(f, "proposed at {url}"),
            Self::PublishHeld { .. } => write!(f, "not moved, checkout has changes"),
            Self::Failed { failure, .. } => match failure {
                Failure::NotBefore(ms) => write!(f, "failed, not before {ms} ms"),
                Failure::Transient => f.write_str("failed, for now"),
                Failure::RateLimited => f.write_str("failed, too much was asked for"),
                Failure::Permanent => f.write_str("failed"),
                Failure::Auth => f.write_str("failed, not accepted"),
                Failure::TooLarge => f.write_str("failed, the request is too large"),
                Failure::Resources => f.write_str("failed, short of resources"),
                Failure::OverBudget => f.write_str("ended at its budget"),
            },
            Self::Cancelled { .. } => write!(f, "cancelled"),
        }
    }
}

/// What a document names.
fn unit(format: Option<Format>) -> &'static str {
    format.map_or("spec", Format::unit)
}
