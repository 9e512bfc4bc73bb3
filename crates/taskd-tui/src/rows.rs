//! The tree on the left: groups, in them plans, in them loops.
//!
//! Rows are names only; what stands in them is worded when they are drawn.

use std::{cmp::Reverse, collections::BTreeSet, path::Path};

use taskd_model::{Group, LoopId, LoopView, PlanId, ProjectId, ProjectView, View};

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

/// The rows of everything in `scope`, the path of a project or nothing for all.
pub(crate) fn rows(view: &View, scope: &str) -> Vec<Row> {
    let projects = projects(view, scope);
    let mut groups: [(Group, Vec<&LoopView>); 4] =
        [Group::NeedsYou, Group::Working, Group::Waiting, Group::Done].map(|it| (it, Vec::new()));
    for it in view.loops.values() {
        let plan = view.plans.get(&it.id.plan());
        if !plan.is_some_and(|plan| projects.contains(&plan.project)) {
            continue;
        }
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
        let hidden = if group == Group::Done { only_youngest(&mut loops) } else { 0 };
        let mut last = None;
        for it in loops {
            let plan = it.id.plan();
            let below = !view.plans.get(&plan).is_some_and(|it| it.single);
            if below && last != Some(plan) {
                rows.push(Row::Plan(plan, group));
            }
            last = Some(plan);
            rows.push(Row::Loop { id: it.id, below });
        }
        if hidden > 0 {
            rows.push(Row::More(hidden));
        }
    }
    rows
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

/// The projects in scope.
fn projects(view: &View, scope: &str) -> BTreeSet<ProjectId> {
    let inside = |it: &ProjectView| {
        let within = |dir: &str| !dir.is_empty() && Path::new(scope).starts_with(dir);
        scope.is_empty() || within(&it.root) || within(&it.git_dir)
    };
    view.projects.iter().filter(|(_, it)| inside(it)).map(|(id, _)| *id).collect()
}
