//! The tree on the left: groups, in them plans, in them loops.
//!
//! Rows are names only; what stands in them is worded when they are drawn.

use std::{cmp::Reverse, collections::BTreeSet};

use taskd_model::{Group, LoopId, LoopView, PlanId, View};

use crate::world::World;

/// Loops of the group "done" that are shown, the youngest.
pub(crate) const DONE_SHOWN: usize = 20;

/// What can be selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A plan, as it stands in one group.
    Plan(PlanId, Group),
    /// A loop.
    Loop(LoopId),
}

/// A row of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// A group and how many loops it has.
    Group(Group, usize),
    /// A plan of several specs.
    Plan(PlanId, Group),
    /// A loop; it stands below its plan, or for it.
    Loop {
        /// The loop.
        id: LoopId,
        /// Below its plan.
        below: bool,
    },
    /// So many more are done.
    More(usize),
}

impl Row {
    /// What is selected in this row, if it can be.
    pub(crate) fn subject(self) -> Option<Subject> {
        match self {
            Self::Plan(id, group) => Some(Subject::Plan(id, group)),
            Self::Loop { id, .. } => Some(Subject::Loop(id)),
            Self::Group(..) | Self::More(_) => None,
        }
    }
}

impl Subject {
    /// The plan concerned.
    pub(crate) fn plan(self) -> PlanId {
        match self {
            Self::Plan(id, _) => id,
            Self::Loop(id) => id.plan(),
        }
    }

    /// What people write for it.
    pub(crate) fn name(self, view: &View) -> String {
        match self {
            Self::Plan(id, _) => id.to_string(),
            Self::Loop(id) => view.loop_name(id),
        }
    }
}

/// The rows of what `wanted` says; loops of plans in `folded` do not stand below them, unless they
/// need a person.
pub(crate) fn rows(world: &World, wanted: &Wanted, folded: &BTreeSet<PlanId>) -> Vec<Row> {
    let view = &world.view;
    let mut groups: [(Group, Vec<&LoopView>); 4] =
        [Group::NeedsYou, Group::Working, Group::Waiting, Group::Done].map(|it| (it, Vec::new()));
    for it in world.loops().filter(|it| wanted.holds(it)) {
        let group = it.group();
        if let Some((_, loops)) = groups.iter_mut().find(|(other, _)| *other == group) {
            loops.push(it);
        }
    }
    let mut rows = Vec::new();
    for (group, mut loops) in groups {
        if loops.is_empty() {
            continue;
        }
        rows.push(Row::Group(group, loops.len()));
        let cut = group == Group::Done && wanted.is_all();
        let hidden = if cut { only_youngest(&mut loops) } else { 0 };
        let mut last = None;
        for it in loops {
            let plan = it.id.plan();
            let below = !view.plans.get(&plan).is_some_and(|it| it.single);
            if below && last != Some(plan) {
                rows.push(Row::Plan(plan, group));
            }
            last = Some(plan);
            if !below || group == Group::NeedsYou || !folded.contains(&plan) {
                rows.push(Row::Loop { id: it.id, below });
            }
        }
        if hidden > 0 {
            rows.push(Row::More(hidden));
        }
    }
    rows
}

/// Words that a row must hold, all of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Wanted(Vec<String>);

impl Wanted {
    /// From what a person typed.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.split_whitespace().map(str::to_lowercase).collect())
    }

    /// Nothing is left out.
    pub(crate) fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// The words.
    pub(crate) fn text(&self) -> String {
        self.0.join(" ")
    }

    fn holds(&self, it: &LoopView) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let (group, worker, status) = (it.group(), &it.worker, it.status);
        let text = format!("{} {} {worker} {group} {status} {}", it.name, it.title, it.type_name);
        let text = text.to_lowercase();
        self.0.iter().all(|word| text.contains(word))
    }
}

/// Where the selected subject stands; if it is gone, where it, or what stood there, is now.
pub(crate) fn find(rows: &[Row], subject: Option<Subject>, before: usize) -> Option<usize> {
    let selectable = |at: &usize| rows.get(*at).is_some_and(|it| it.subject().is_some());
    let same = |it: &Row| subject.is_some() && it.subject() == subject;
    let kin = |it: &Row| match (it, subject) {
        (Row::Plan(id, _), Some(Subject::Plan(wanted, _))) => *id == wanted,
        (Row::Plan(..) | Row::Loop { .. } | Row::Group(..) | Row::More(_), _) => false,
    };
    rows.iter()
        .position(same)
        .or_else(|| rows.iter().position(kin))
        .or_else(|| (before..rows.len()).find(selectable))
        .or_else(|| (0..before.min(rows.len())).rev().find(selectable))
}

/// Keeps the loops that ended last, plan by plan, and says how many others there are.
fn only_youngest(loops: &mut Vec<&LoopView>) -> usize {
    let hidden = loops.len().saturating_sub(DONE_SHOWN);
    loops.sort_by_key(|it| Reverse((it.ended_at, it.id)));
    loops.truncate(DONE_SHOWN);
    let mut plans: Vec<PlanId> = Vec::new();
    for it in loops.iter() {
        if !plans.contains(&it.id.plan()) {
            plans.push(it.id.plan());
        }
    }
    // Stable: within a plan the youngest stays first.
    loops.sort_by_key(|it| plans.iter().position(|plan| *plan == it.id.plan()));
    hidden
}
