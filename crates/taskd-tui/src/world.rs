//! What every screen reads: the view, the time, the logs, how things look.
//!
//! It is changed by what the daemon says, and by nothing else.

use std::{collections::BTreeSet, path::Path};

use taskd_model::{Group, InboxItem, LoopView, ProjectId, ProjectView, Time, View};

use crate::{log::Logs, rows::Subject, theme::Theme};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// What the daemon said, folded.
    pub(crate) view: View,
    /// The path of a project, or nothing for all.
    pub(crate) scope: String,
    pub(crate) now: Time,
    pub(crate) logs: Logs,
    pub(crate) theme: Theme,
    /// The view came.
    pub(crate) attached: bool,
    /// The projects in scope.
    projects: BTreeSet<ProjectId>,
    /// Loops in scope by group.
    counts: [usize; 4],
}

impl World {
    /// A world of which nothing is known yet.
    pub(crate) fn new(scope: String) -> Self {
        Self { scope, ..Self::default() }
    }

    /// Brings what is derived from the view up to it.
    pub(crate) fn settle(&mut self) {
        let scope = self.scope.as_str();
        let inside = |it: &ProjectView| {
            let within = |dir: &str| !dir.is_empty() && Path::new(scope).starts_with(dir);
            scope.is_empty() || within(&it.root) || within(&it.git_dir)
        };
        let projects = self.view.projects.iter().filter(|(_, it)| inside(it)).map(|(id, _)| *id);
        self.projects = projects.collect();
        let mut counts = [0; 4];
        for it in self.loops() {
            counts[place(it.group())] += 1;
        }
        self.counts = counts;
    }

    /// The loops in scope.
    pub(crate) fn loops(&self) -> impl Iterator<Item = &LoopView> {
        self.view.loops.values().filter(|it| self.covers(it))
    }

    /// A loop is in scope.
    pub(crate) fn covers(&self, it: &LoopView) -> bool {
        let plan = self.view.plans.get(&it.id.plan());
        plan.is_some_and(|plan| self.projects.contains(&plan.project))
    }

    /// A project is in scope.
    pub(crate) fn has_project(&self, id: ProjectId) -> bool {
        self.projects.contains(&id)
    }

    /// How many loops in scope are in this group.
    pub(crate) fn count(&self, group: Group) -> usize {
        self.counts[place(group)]
    }

    /// What waits for a person, the oldest first.
    pub(crate) fn waiting(&self) -> Vec<&InboxItem> {
        let mut items = self.view.inbox.waiting();
        items.retain(|it| self.view.loops.get(&it.loop_id).is_some_and(|it| self.covers(it)));
        items
    }

    /// The loop that is meant, if it is one.
    pub(crate) fn loop_of(&self, subject: Option<Subject>) -> Option<&LoopView> {
        match subject? {
            Subject::Loop(id) => self.view.loops.get(&id),
            Subject::Plan(..) => None,
        }
    }
}

fn place(group: Group) -> usize {
    match group {
        Group::NeedsYou => 0,
        Group::Working => 1,
        Group::Waiting => 2,
        Group::Done => 3,
    }
}
