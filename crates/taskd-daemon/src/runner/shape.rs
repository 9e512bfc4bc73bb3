//! What a loop's work looks like where it lands: one commit, or one for each iteration on the tip,
//! with or without a merge that says the whole. The tree is the same each time, and so is what is
//! gated.
//!
//! A commit of an iteration is ours from its first word to its last: nothing that a person or an
//! agent wrote for the loop alone enters the project's history with it. It says which of how many
//! it is, so that whoever sees the last one finds where the first one stands.

use taskd_git::{Candidate, GitError, Repo};
use taskd_model::{Code, Event, LandMode, LoopId, Oid, Outcome};

use super::{
    Job, Trouble, identity,
    message::{LOOP_TRAILER, PLAN_TRAILER, STEP_TRAILER, one_line, trailer},
};

/// Most commits of one loop's work; earlier iterations are in the first of them.
const MAX_STEPS: usize = 24;

/// The state an iteration left.
#[derive(Clone, Copy)]
struct Left {
    n: u32,
    commit: Oid,
}

/// What a commit of an iteration says.
struct Words {
    subject: String,
    plan: String,
    name: String,
}

impl Job {
    /// What would land of the loop's work on `onto`.
    pub(super) async fn candidate(&self, onto: Oid) -> Result<Candidate, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let subject = self.subject()?;
        let work = subject
            .checkpoint
            .ok_or_else(|| Trouble::new(Code::NothingToLand, "the loop has no work to land"))?;
        let (id, base, plan) = (subject.id, subject.base, self.plan_doc()?);
        let message = self.message()?;
        let words = Words {
            subject: message.lines().next().unwrap_or_default().to_owned(),
            plan: format!("{} {}", self.order.plan, one_line(&plan.title)),
            name: self.name(&self.ctx.hub.view()),
        };
        let left = if plan.mode.is_squash() { Vec::new() } else { self.left(id)? };
        self.blocking(move || {
            let author = identity(&repo)?;
            let whole = repo.candidate(base, work, onto, &message, &author)?;
            let Candidate::Clean { tree, .. } = whole else { return Ok(whole) };
            if plan.mode.is_squash() {
                return Ok(whole);
            }
            let (states, numbers) = states(&repo, base, work, &left)?;
            let steps = repo.stepped(base, &states, onto, tree)?;
            let of = steps.len() + 1;
            let mut at = onto;
            for (k, (place, files)) in (1..).zip(steps) {
                at = repo.commit_tree(files, &[at], &words.step(k, of, numbers[place]), &author)?;
            }
            let commit = match plan.mode {
                LandMode::Squash | LandMode::Ff => {
                    repo.commit_tree(tree, &[at], &message, &author)?
                }
                LandMode::Merge => {
                    let last = left.last().map_or(1, |it| it.n);
                    let side = repo.commit_tree(tree, &[at], &words.step(of, of, last), &author)?;
                    repo.commit_tree(tree, &[onto, side], &message, &author)?
                }
            };
            Ok(Candidate::Clean { commit, tree })
        })
        .await
    }

    /// The states the loop's iterations left, in order, as its log has them.
    fn left(&self, id: LoopId) -> Result<Vec<Left>, Trouble> {
        let (mut found, mut told) = (Told::default(), Vec::new());
        for record in self.ctx.events_of(id) {
            told.extend(found.take(&record?.event));
        }
        Ok(told)
    }
}

/// Where the log of a loop is being read.
#[derive(Default)]
struct Told {
    n: u32,
    /// Its files are as an iteration left them.
    at_end: bool,
}

impl Told {
    /// The state an event says that an iteration left.
    fn take(&mut self, event: &Event) -> Option<Left> {
        if let Event::IterationStarted { n } = event {
            (self.n, self.at_end) = (*n, false);
        }
        let Event::EffectEnded { outcome, .. } = event else { return None };
        // The second is the same work on another base.
        let (Outcome::Gated { checkpoint, .. } | Outcome::Rebased { checkpoint, .. }) = outcome
        else {
            return None;
        };
        if matches!(outcome, Outcome::Rebased { .. }) && !self.at_end {
            return None;
        }
        self.at_end = true;
        Some(Left { n: self.n, commit: *checkpoint })
    }
}

/// The states on the way from `base` to `work` that iterations left, the oldest first, and of
/// which iteration each is; the last so many.
fn states(
    repo: &Repo,
    base: Oid,
    work: Oid,
    left: &[Left],
) -> Result<(Vec<Oid>, Vec<u32>), GitError> {
    let of = |state: &Oid| left.iter().rev().find(|it| it.commit == *state).map(|it| it.n);
    let all = repo.states(base, work)?;
    let found: Vec<(Oid, u32)> = all.iter().filter_map(|it| Some((*it, of(it)?))).collect();
    let many = found.len().saturating_sub(MAX_STEPS - 1);
    Ok(found.into_iter().skip(many).unzip())
}

impl Words {
    /// The message of the commit of iteration `n`, the `k`-th of so many.
    fn step(&self, k: usize, of: usize, n: u32) -> String {
        let Self { subject, plan, name } = self;
        format!(
            "{subject} (iteration {n})\n\n{PLAN_TRAILER}: {plan}\n{LOOP_TRAILER}: {name}\n\
             {STEP_TRAILER}: {k} of {of}\n"
        )
    }
}

/// Whose commit of an iteration it is, and which of how many; nothing if it is none.
fn step_of(message: &str) -> Option<(&str, usize, usize)> {
    let (k, of) = trailer(message, STEP_TRAILER)?.split_once(" of ")?;
    Some((trailer(message, LOOP_TRAILER)?, k.parse().ok()?, of.parse().ok()?))
}

/// What a landing stands on: the commit before the first of its commits. `commit` is the last.
pub(crate) fn stands_on(repo: &Repo, commit: Oid) -> Result<Option<Oid>, GitError> {
    let Some(mut at) = repo.first_parent(commit)? else { return Ok(None) };
    let whole = repo.message(commit)?;
    let below = repo.message(at)?;
    let Some((name, k, of)) = step_of(&below) else { return Ok(Some(at)) };
    if trailer(&whole, LOOP_TRAILER) != Some(name) || k + 1 != of || MAX_STEPS < of {
        return Ok(Some(at));
    }
    for _ in 0..k {
        let Some(before) = repo.first_parent(at)? else { return Ok(None) };
        at = before;
    }
    Ok(Some(at))
}
