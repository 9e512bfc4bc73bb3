//! What people see: the one fold of the log that clients share.
//!
//! [`View::apply`] is total, and its cost does not grow with what is idle. It decides nothing,
//! reads no clock, and refuses to guess: an event about something it never heard of changes
//! nothing but the sequence number.

mod effects;
mod fold;
mod inbox;
mod ledger;
mod money;
mod narrate;
mod parts;
mod progress;
mod question;
mod queue;
mod resolve;
mod review;
mod superseded;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Disk, EffectId, Limits, LoopId, Oid, PlanId, ProjectId, Seq, SpecId, Status, Time, touches,
};

pub use inbox::{ANSWERED, AnswerView, Inbox, InboxItem, InboxKind, inbox_number};
pub use ledger::{Ledger, Spans};
pub use money::{BudgetView, ClosedView, DayView, may_spend, nears, spent_of};
pub use narrate::Line;
pub use parts::{
    Base, ContextView, DocumentView, Doing, EffectKind, EffectView, GateView, Integration,
    IterationRow, Landed, LoopView, Note, PassedView, PlanState, PlanView, ProjectView, QueueEntry,
    QueuePhase, ReviewView, TargetView, Totals, Trouble,
};
pub use question::QuestionView;
pub use resolve::{ResolveError, Target};
pub use review::format_readings;
pub use verdict::{Group, WaitVerdict};

/// Rows of iterations kept from the start of a loop, and again from its end.
pub const ITERATION_ROWS: usize = 50;

/// Notes of people kept for each loop, the last ones.
pub const NOTES: usize = 20;

/// Everything a client may show, as of one sequence number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The last event it holds.
    pub seq: Seq,
    /// When that was.
    pub at: Time,
    /// Nothing new starts until somebody says so.
    pub parked: bool,
    /// The room on the disk.
    #[serde(default)]
    pub disk: Disk,
    /// Version of the daemon that opened the log last.
    pub daemon_version: String,
    /// When it did.
    pub daemon_started_at: Time,
    /// Effective configuration, once it was set.
    pub limits: Option<Limits>,
    /// Repositories, forgotten ones too: their plans keep a home.
    pub projects: BTreeMap<ProjectId, ProjectView>,
    /// Plans.
    pub plans: BTreeMap<PlanId, PlanView>,
    /// Loops; those of one plan lie side by side.
    pub loops: BTreeMap<LoopId, LoopView>,
    /// Landing queues, by entry; no project without one.
    pub queue: BTreeMap<ProjectId, BTreeMap<Seq, QueueEntry>>,
    /// Effects that run.
    pub effects: BTreeMap<EffectId, EffectView>,
    /// Loops by status.
    pub totals: Totals,
    /// The day's budget of everything.
    #[serde(default)]
    pub day: DayView,
    /// What waits for a person.
    #[serde(default)]
    pub inbox: Inbox,
    /// Events that somebody is still to be told of: items that wait, and plans that ended.
    #[serde(default)]
    pub untold: BTreeSet<Seq>,
}

impl View {
    /// The loops of a plan, in the order of its file, later runs after earlier ones.
    pub fn loops_of(&self, plan: PlanId) -> impl DoubleEndedIterator<Item = &LoopView> {
        let id = |index, run| LoopId { spec: SpecId { plan, index }, run };
        self.loops.range(id(0, 0)..=id(u16::MAX, u16::MAX)).map(|(_, it)| it)
    }

    /// The latest run of a spec.
    #[must_use]
    pub fn latest_run(&self, spec: SpecId) -> Option<&LoopView> {
        let id = |run| LoopId { spec, run };
        self.loops.range(id(0)..=id(u16::MAX)).next_back().map(|(_, it)| it)
    }

    /// The loop whose document named this one's spec.
    #[must_use]
    pub fn parent(&self, it: &LoopView) -> Option<&LoopView> {
        self.latest_run(SpecId { plan: it.id.plan(), index: it.parent? })
    }

    /// The loops of what this one's document named, in its order.
    pub fn children<'a>(&'a self, it: &'a LoopView) -> impl Iterator<Item = &'a LoopView> {
        let index = it.id.spec.index;
        self.loops_of(it.id.plan()).filter(move |other| other.parent == Some(index))
    }

    /// The loops this one needs, latest runs.
    pub fn needs<'a>(&'a self, it: &'a LoopView) -> impl Iterator<Item = &'a LoopView> {
        let plan = it.id.plan();
        it.needs.iter().filter_map(move |index| self.latest_run(SpecId { plan, index: *index }))
    }

    /// The loops this one needs whose work is not on the plan's integration ref yet.
    pub fn waits_for<'a>(&'a self, it: &'a LoopView) -> impl Iterator<Item = &'a LoopView> {
        self.needs(it).filter(|need| !need.is_available())
    }

    /// The loop that works on something this one touches too, and this one's glob: it waits for that
    /// one before it begins.
    #[must_use]
    pub fn held_by<'a>(&'a self, it: &'a LoopView) -> Option<(&'a LoopView, &'a str)> {
        if it.status != Status::Pending || it.touches.is_empty() {
            return None;
        }
        let project = self.plans.get(&it.id.plan())?.project;
        let works = |other: &&LoopView| {
            matches!(other.status, Status::Running | Status::Rebasing)
                && (other.passed.is_none() || other.queue_entry.is_some())
                && self.plans.get(&other.id.plan()).is_some_and(|it| it.project == project)
        };
        let others = self.loops.values().filter(works);
        others
            .filter_map(|other| Some((other, touches::shared(&it.touches, &other.touches)?)))
            .next()
    }

    /// The loops that need this one.
    pub fn unblocks<'a>(&'a self, it: &'a LoopView) -> impl Iterator<Item = &'a LoopView> {
        self.loops_of(it.id.plan()).filter(|other| other.needs.contains(&it.id.spec.index))
    }

    /// The branch a plan lands on.
    #[must_use]
    pub fn target_of(&self, plan: &PlanView) -> Option<&TargetView> {
        self.projects.get(&plan.project)?.targets.get(&plan.target)
    }

    /// How many commits the loop's base lacks of what it will be landed on. Passed work lacks
    /// nothing: the landing queue puts it on the tip.
    #[must_use]
    pub fn behind(&self, it: &LoopView) -> u64 {
        if it.passed.is_some() {
            return 0;
        }
        let Some(plan) = self.plans.get(&it.id.plan()) else { return 0 };
        self.reach(plan).saturating_sub(it.base.height)
    }

    /// Place of a loop in its project's landing queue, from 1, and the queue's length.
    #[must_use]
    pub fn queue_place(&self, it: &LoopView) -> Option<(usize, usize)> {
        let project = self.plans.get(&it.id.plan())?.project;
        let queue = self.queue.get(&project)?;
        let entry = it.queue_entry?;
        Some((queue.range(..=entry).count(), queue.len()))
    }

    /// A number for each status, zero where there is none.
    pub fn totals(&self) -> impl Iterator<Item = (Status, u64)> {
        Status::ALL.into_iter().map(|status| (status, self.totals.of(status)))
    }

    /// Height of the target on the scale of the plan's integration ref.
    fn reach(&self, plan: &PlanView) -> u64 {
        let target = self.target_of(plan).map_or(0, |it| it.height);
        plan.integration.height + target.saturating_sub(plan.integration.target_height)
    }

    /// Height of a commit a loop is put on: the integration ref's tip or the target's.
    fn height_of(&self, plan: PlanId, commit: Oid) -> Option<u64> {
        let plan = self.plans.get(&plan)?;
        if plan.integration.tip == commit {
            return Some(plan.integration.height);
        }
        let is_target = self.target_of(plan).is_some_and(|it| it.tip == commit);
        is_target.then(|| self.reach(plan))
    }
}
