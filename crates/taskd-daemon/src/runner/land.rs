//! Landing: build one commit on the tip, and move a ref by compare-and-swap. The gate in between
//! is in `gate`. A target that follows its remote is moved in the same way.

use std::{path::Path, time::Duration};

use taskd_git::{Advance, Candidate, Follow, GitError, Manner, Repo};
use taskd_model::{Code, Failure, LoopId, Oid, Outcome, QueueOp};

use super::{Job, Trouble, identity, lock};

/// How often, and how many times, a lock of somebody else's git is looked at: 5 s in all.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(100);
const LOCK_LOOKS: u32 = 50;
/// Longest reason why a checkout holds landing, in characters: it goes into the log.
const MAX_WHY_CHARS: usize = 200;

impl Job {
    pub(super) async fn build(
        &self,
        op: QueueOp,
        onto: Oid,
        merges: Option<Oid>,
    ) -> Result<Outcome, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let candidate = match op {
            QueueOp::Refresh(plan) => {
                let theirs =
                    merges.ok_or_else(|| Trouble::new(Code::NothingToLand, "nothing to merge"))?;
                let target = self.order.target.clone();
                let message = format!("Merge {target} into the work of {plan}");
                self.blocking(move || {
                    let author = identity(&repo)?;
                    Ok(repo.merge_into(onto, theirs, &message, &author)?)
                })
                .await?
            }
            QueueOp::Undo(id) => self.revert(id, onto).await?,
            QueueOp::Integrate(_) | QueueOp::Land(_) => self.candidate(onto).await?,
        };
        Ok(match candidate {
            Candidate::Clean { commit, tree } => Outcome::Built { commit, tree },
            Candidate::Empty => Outcome::BuiltEmpty,
            Candidate::Conflict { paths } => {
                let files = self.list(paths.iter().map(ToString::to_string))?;
                let files = files
                    .ok_or_else(|| Trouble::new(Code::GitFailed, "a conflict without files"))?;
                Outcome::BuildConflict { files }
            }
        })
    }

    /// A commit that takes what a loop landed off the tip again: the difference it made, the other
    /// way round.
    async fn revert(&self, id: LoopId, onto: Oid) -> Result<Candidate, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let (name, landed) = {
            let view = self.ctx.hub.view();
            let it = view.loops.get(&id);
            (self.name(&view), it.and_then(|it| it.landed))
        };
        let landed = landed
            .ok_or_else(|| Trouble::new(Code::NothingToUndo, format!("{name} has not landed")))?;
        let plan = format!("{} {}", self.order.plan, self.plan_doc()?.title);
        self.blocking(move || {
            let author = identity(&repo)?;
            let before = before_landing(&repo, landed.commit, landed.onto, &name)?;
            let subject = repo.commit_summary(landed.commit)?.summary;
            let reverted = reverted(&repo, landed.commit, before)?;
            let message = format!(
                "Revert \"{subject}\"\n\nThis reverts {reverted}.\n\nTaskd-Plan: {plan}\n\
                 Taskd-Undoes: {name}\n"
            );
            Ok(repo.candidate(landed.commit, before, onto, &message, &author)?)
        })
        .await
    }

    pub(super) async fn publish(
        &self,
        op: QueueOp,
        commit: Oid,
        expected: Oid,
    ) -> Result<Outcome, Trouble> {
        match op {
            QueueOp::Land(_) if self.is_proposed() => self.propose(commit).await,
            QueueOp::Land(_) | QueueOp::Undo(_) => {
                self.publish_to_target(op, commit, expected).await
            }
            QueueOp::Integrate(_) | QueueOp::Refresh(_) => {
                let (repo, _) = self.ctx.repo(self.order.project)?;
                let name = repo.own_ref(&format!("plans/{}", op.plan()));
                self.blocking(move || {
                    // The ref appears with the first spec that is integrated; until then the plan
                    // stands on the target. It is moved back only by a reset, which is ours.
                    let actual = repo.tip_of_ref(&name)?;
                    let from = match actual {
                        Some(tip) if tip != commit => Some(tip),
                        _ => None,
                    };
                    repo.publish(&name, commit, from, "taskd: integrate")?;
                    Ok(Outcome::Published)
                })
                .await
            }
        }
    }

    /// Locks of somebody else's git are waited for, never stolen; what stays locked is for a
    /// person to look at.
    async fn publish_to_target(
        &self,
        op: QueueOp,
        commit: Oid,
        expected: Oid,
    ) -> Result<Outcome, Trouble> {
        for _ in 0..LOCK_LOOKS {
            match self.try_publish(op, commit, expected).await {
                Err(trouble) if trouble.failure == Failure::Transient => {}
                decided => return decided,
            }
            #[expect(clippy::disallowed_methods, reason = "a lock file tells nobody when it goes")]
            tokio::time::sleep(LOCK_LOOK_EVERY).await;
        }
        match self.try_publish(op, commit, expected).await {
            Err(trouble) if trouble.failure == Failure::Transient => Ok(Outcome::PublishHeld {
                why: trouble.told().chars().take(MAX_WHY_CHARS).collect(),
            }),
            decided => decided,
        }
    }

    async fn try_publish(
        &self,
        op: QueueOp,
        commit: Oid,
        expected: Oid,
    ) -> Result<Outcome, Trouble> {
        let (repo, root) = self.ctx.repo(self.order.project)?;
        let target = self.order.target.clone();
        let undoes = matches!(op, QueueOp::Undo(_));
        let beside = !undoes && self.order.subject.as_ref().is_some_and(|it| it.beside);
        let follow = Following::of(self.ctx.config_of(&root)?.follow, beside);
        let verb = if undoes { "undo" } else { "land" };
        let message = format!("taskd: {verb} {}", self.order.plan);
        let turn = self.ctx.turn_at_targets(self.order.project);
        self.blocking(move || {
            let _turn = lock(&turn);
            match move_target(&repo, &target, (expected, commit), follow, &message)? {
                Moved::Done => Ok(Outcome::Published),
                Moved::Held { why } => Ok(Outcome::PublishHeld { why }),
                Moved::Elsewhere { actual: Some(actual) } => Ok(Outcome::PublishMoved { actual }),
                Moved::Elsewhere { actual: None } => {
                    let gone = format!("branch {target} is gone; create it again, then resume");
                    Err(Trouble::new(Code::BranchGone, gone))
                }
            }
        })
        .await
    }
}

/// What a target was before a loop's work landed on it: the commit before the first of those that
/// are of this loop. Beside others of a batch, that is not the tip the batch was built on.
pub(crate) fn before_landing(
    repo: &Repo,
    landed: Oid,
    onto: Oid,
    name: &str,
) -> Result<Oid, GitError> {
    let trailer = format!("Taskd-Loop: {name}");
    let mut at = landed;
    loop {
        let Some(before) = repo.first_parent(at)? else { return Ok(onto) };
        let is_of_it = repo.message(before)?.lines().any(|it| it.trim_end() == trailer);
        if before == onto || !is_of_it {
            return Ok(before);
        }
        at = before;
    }
}

/// What is taken off a target again, as git says it: a commit, a merge, or several commits.
fn reverted(repo: &Repo, landed: Oid, before: Oid) -> Result<String, GitError> {
    Ok(if repo.is_merge(landed)? {
        format!("commit {landed}, reversing\nchanges made to {before}")
    } else if repo.first_parent(landed)? == Some(before) {
        format!("commit {landed}")
    } else {
        format!("commits {before}..{landed}")
    })
}

/// Whether checkouts of a target move with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Following {
    /// The configuration forbids it.
    Never,
    /// Clean ones do.
    Clean,
    /// By a person's word: also beside changes to other files.
    Beside,
}

impl Following {
    /// What the configuration and a person say.
    pub(crate) fn of(follow: bool, beside: bool) -> Self {
        match (follow, beside) {
            (_, true) => Self::Beside,
            (true, false) => Self::Clean,
            (false, false) => Self::Never,
        }
    }
}

/// What became of moving a target.
pub(crate) enum Moved {
    /// It is there, and the checkouts that have it.
    Done,
    /// A person's checkout cannot follow, so nothing moved.
    Held {
        /// Which, and why.
        why: String,
    },
    /// The target is not where it was to be moved from.
    Elsewhere {
        /// Where it is; nothing if the branch is gone.
        actual: Option<Oid>,
    },
}

/// Moves a target forward from one commit to another by compare-and-swap, and the checkouts that
/// have it, as `follow` says. For whoever has the project's turn at targets.
pub(crate) fn move_target(
    repo: &Repo,
    target: &str,
    (from, to): (Oid, Oid),
    follow: Following,
    message: &str,
) -> Result<Moved, Trouble> {
    let manner = match follow {
        Following::Clean => Manner::Clean,
        Following::Beside => Manner::Beside,
        Following::Never => {
            if let Some(checkout) = repo.checked_out_at(target)?.first() {
                let place = checkout.display();
                let why = format!("land.follow is off and your checkout {place} is on {target}");
                return Ok(Moved::Held { why: short(&why) });
            }
            Manner::Clean
        }
    };
    Ok(match repo.advance(target, (from, to), manner, message)? {
        Advance::Done => Moved::Done,
        Advance::Elsewhere { actual } => Moved::Elsewhere { actual },
        Advance::Stopped { root, why } => Moved::Held { why: short(&stopped(&root, target, why)?) },
    })
}

fn short(why: &str) -> String {
    why.chars().take(MAX_WHY_CHARS).collect()
}

/// Why a person's checkout cannot follow. What passes by itself is trouble.
fn stopped(checkout: &Path, target: &str, why: Follow) -> Result<String, Trouble> {
    let place = checkout.display();
    Ok(match why {
        Follow::Dirty { files } => {
            let first = files.first().map(ToString::to_string).unwrap_or_default();
            let more = match files.len() {
                0 | 1 => String::new(),
                n => format!(" and {} more", n - 1),
            };
            format!("{first}{more} changed in your checkout {place}")
        }
        Follow::Filtered { file, filter } => filtered(&file.to_string(), &filter, target, checkout),
        Follow::Busy { with } => {
            let what = format!("{with} in your checkout {place}");
            return Err(Trouble::new(Code::CheckoutBusy, what));
        }
        Follow::Followed | Follow::NotOnBranch | Follow::Moved { .. } => {
            let what = format!("your checkout {place} has just moved");
            return Err(Trouble::new(Code::CheckoutBusy, what));
        }
    })
}

/// Why a checkout stays where a file would go through a program of the person's, and what to do.
pub(crate) fn filtered(file: &str, filter: &str, target: &str, root: &Path) -> String {
    format!(
        "{file} goes through your filter {filter}, which is not run unasked; switch away from \
         {target}, land, and switch back in {}",
        root.display()
    )
}
