//! What a person wants to know first: does it need me, and how did it end.
//!
//! Both are derived from the view and never stored.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{LandPolicy, LoopId, PlanId, Reason, Status};

use super::{Doing, LoopView, QueuePhase, View};

/// The four groups people see, in the order they see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Nothing goes on without a person.
    NeedsYou,
    /// Something of it runs.
    Working,
    /// It goes on by itself, later.
    Waiting,
    /// Over.
    Done,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeedsYou => "needs you",
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Done => "done",
        })
    }
}

/// What `wait` says about a loop or a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitVerdict {
    /// It may still change by itself.
    Pending,
    /// All of it is on the target.
    Landed,
    /// All of it passed, and it lands nowhere.
    Passed,
    /// Some of it failed.
    Failed,
    /// A person ended some of it.
    Stopped,
    /// Some of it reached a limit.
    Limit,
    /// Nothing goes on without a person.
    NeedsYou,
}

impl WaitVerdict {
    /// The exit code of `wait`; `None` while there is none.
    #[must_use]
    pub fn exit(self) -> Option<u8> {
        match self {
            Self::Pending => None,
            Self::Landed | Self::Passed => Some(0),
            Self::Failed | Self::Stopped => Some(1),
            Self::Limit => Some(3),
            Self::NeedsYou => Some(4),
        }
    }
}

impl fmt::Display for WaitVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Landed => "landed",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Limit => "limit reached",
            Self::NeedsYou => "needs you",
        })
    }
}

impl LoopView {
    /// Which group people see it in.
    #[must_use]
    pub fn group(&self) -> Group {
        match self.status {
            Status::Complete | Status::Failed | Status::Stopped => Group::Done,
            Status::Blocked => Group::NeedsYou,
            Status::Draft | Status::Pending | Status::Paused => Group::Waiting,
            Status::Running | Status::Rebasing => self.doing.group(),
        }
    }

    fn verdict(&self, land: LandPolicy) -> WaitVerdict {
        match self.status {
            Status::Complete if self.landed.is_none() && land == LandPolicy::Never => {
                WaitVerdict::Passed
            }
            Status::Complete => WaitVerdict::Landed,
            Status::Failed if matches!(self.reason, Some(Reason::Limit(_))) => WaitVerdict::Limit,
            Status::Failed => WaitVerdict::Failed,
            Status::Stopped => WaitVerdict::Stopped,
            Status::Draft
            | Status::Pending
            | Status::Running
            | Status::Paused
            | Status::Rebasing
            | Status::Blocked => match self.group() {
                Group::NeedsYou => WaitVerdict::NeedsYou,
                Group::Working | Group::Waiting | Group::Done => WaitVerdict::Pending,
            },
        }
    }
}

impl Doing {
    fn group(&self) -> Group {
        match self {
            Self::ReadyToLand | Self::Held(_) | Self::Asks(_) => Group::NeedsYou,
            Self::NotStarted
            | Self::QueuedForModel
            | Self::QueuedForAgent
            | Self::QueuedForGate
            | Self::Deferred { .. }
            | Self::InQueue { phase: QueuePhase::Waiting, .. } => Group::Waiting,
            Self::Preparing
            | Self::Accept
            | Self::Composing
            | Self::Calling
            | Self::Tool(_)
            | Self::Agent(_)
            | Self::Gate { .. }
            | Self::Rebasing
            | Self::InQueue { .. }
            | Self::Idle => Group::Working,
        }
    }
}

impl View {
    /// What `wait` says about a loop; `None` if there is none.
    ///
    /// A loop that waits for one that needs a person needs that person too.
    #[must_use]
    pub fn wait_loop(&self, id: LoopId) -> Option<WaitVerdict> {
        let it = self.loops.get(&id)?;
        let verdict = it.verdict(self.plans.get(&id.plan())?.land);
        if verdict != WaitVerdict::Pending || self.moves(it) {
            return Some(verdict);
        }
        let (mut seen, mut todo) = (BTreeSet::new(), vec![it]);
        while let Some(it) = todo.pop() {
            todo.extend(self.goes_after(it).filter(|need| seen.insert(need.id)));
        }
        let needs = || seen.iter().filter_map(|need| self.loops.get(need));
        let needs_you = needs().any(|need| need.group() == Group::NeedsYou);
        let stuck = needs_you && !needs().any(|need| self.moves(need));
        Some(if stuck { WaitVerdict::NeedsYou } else { verdict })
    }

    /// What `wait` says about a plan; `None` if there is none.
    ///
    /// It is pending while anything of it may change by itself, even if some of it needs a
    /// person: whoever waits is told once.
    #[must_use]
    pub fn wait_plan(&self, id: PlanId) -> Option<WaitVerdict> {
        let plan = self.plans.get(&id)?;
        let latest = || {
            let is_latest = |it: &&LoopView| self.latest_run(it.id.spec) == Some(*it);
            self.loops_of(id).filter(is_latest)
        };
        if latest().any(|it| self.moves(it)) {
            return Some(WaitVerdict::Pending);
        }
        // The need that did not pass says more than what could not start without it.
        // Nothing moves, so one that has not started waits for another and has nothing to say.
        // A document is no work: what it names has the last word.
        let says_it = |it: &&LoopView| {
            let named = it.writes && it.status == Status::Complete;
            let waits = it.status == Status::Pending || it.reason == Some(Reason::NeedFailed);
            !waits && !named && !it.is_superseded()
        };
        let verdicts = latest().filter(says_it).map(|it| it.verdict(plan.land));
        Some(verdicts.max_by_key(|it| it.rank()).unwrap_or(WaitVerdict::Pending))
    }

    /// It may change by itself: nothing of it waits for a person or for another loop.
    fn moves(&self, it: &LoopView) -> bool {
        match it.status {
            Status::Complete
            | Status::Failed
            | Status::Stopped
            | Status::Paused
            | Status::Blocked => false,
            Status::Draft => true,
            Status::Pending => self.waits_for(it).next().is_none(),
            Status::Running | Status::Rebasing => {
                // Passed work goes after its needs, also where they were taken back after it passed.
                let passed = it.passed.is_some() && it.effects.is_empty();
                let lands_after = it.queue_entry.is_none() && (it.integrated.is_some() || passed);
                let waits = lands_after && self.goes_after(it).next().is_some();
                it.group() != Group::NeedsYou && !waits
            }
        }
    }

    /// What a loop goes on after: to begin it wants its needs where it may start from them, to land
    /// it wants them landed.
    fn goes_after<'a>(&'a self, it: &'a LoopView) -> impl Iterator<Item = &'a LoopView> {
        let lands = it.integrated.is_some();
        self.needs(it).filter(move |need| {
            let lands = lands && !need.writes;
            !need.is_available() || (lands && need.landed.is_none())
        })
    }
}

impl WaitVerdict {
    /// Of several, the one with the highest rank is the plan's.
    fn rank(self) -> u8 {
        match self {
            Self::Landed => 0,
            Self::Passed => 1,
            Self::Stopped => 2,
            Self::Limit => 3,
            Self::Failed => 4,
            Self::Pending => 5,
            Self::NeedsYou => 6,
        }
    }
}
