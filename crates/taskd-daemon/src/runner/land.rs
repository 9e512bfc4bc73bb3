//! Landing: build one commit on the tip, and move a ref by compare-and-swap. The gate in between
//! is in `gate`. A target that follows its remote is moved in the same way.

use std::{path::Path, time::Duration};

use taskd_git::{Candidate, Follow, Published, Repo, follow_checkout};
use taskd_model::{Code, Event, Failure, LoopId, Oid, Outcome, Part, QueueOp, Record, Reply, Seq};
use taskd_store::Filter;
use tokio::task::block_in_place;

use super::{
    Job, Trouble,
    gate::gate_commands,
    identity, lock,
    message::{Message, Proof, Verified},
};

/// Events read from the store at once.
const PAGE: usize = 500;

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
            QueueOp::Integrate(_) | QueueOp::Land(_) => {
                let subject = self.subject()?;
                let work = subject.checkpoint.ok_or_else(|| {
                    Trouble::new(Code::NothingToLand, "the loop has no work to land")
                })?;
                let base = subject.base;
                let message = self.message()?;
                self.blocking(move || {
                    let author = identity(&repo)?;
                    Ok(repo.candidate(base, work, onto, &message, &author)?)
                })
                .await?
            }
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

    /// One clean commit for a spec: what was done, why, how it was verified, where it comes from.
    fn message(&self) -> Result<String, Trouble> {
        let id = self.subject()?.id;
        let spec = self.spec_doc()?;
        let plan = self.plan_doc()?;
        let (name, change, iteration, gate) = {
            let view = self.ctx.hub.view();
            let it = view.loops.get(&id);
            let passed = it.and_then(|it| it.passed.as_ref());
            let change = passed.map(|it| it.change).unwrap_or_default();
            let seq = passed.map(|it| it.evidence);
            let gate = it.and_then(|it| it.gate.clone()).filter(|it| Some(it.seq) == seq);
            (self.name(&view), change, it.map_or(0, |it| it.iteration), gate)
        };
        let title = spec.title.lines().next().unwrap_or_default();
        let subject = if title.starts_with(&format!("{}:", spec.name)) || plan.title == title {
            title.to_owned()
        } else {
            format!("{}: {title}", spec.name)
        };
        let text = spec.text.trim();
        let why = match (text.is_empty() || text == title, plan.title == title) {
            (false, _) => text.to_owned(),
            (true, true) => format!("asked for as {}", self.order.plan),
            (true, false) => format!("it is part of {}", plan.title),
        };
        let proof = gate.as_ref().and_then(|it| Some((it.proof.as_ref()?, it.log)));
        let red_before = proof.map_or(0, |(it, _)| it.earlier.len());
        let (summary, ms) = gate.as_ref().map(|it| (it.summary.clone(), it.ms)).unwrap_or_default();
        Ok(Message {
            subject: &subject,
            said: &self.last_word(id)?,
            change: (change.files, change.added, change.removed),
            why: &why,
            verified: Verified { summary, ms, iteration, red_before },
            plan: &format!("{} {}", self.order.plan, plan.title),
            loop_name: &name,
            gate: &gate_commands(&plan.gate, &spec.accept),
            proof: proof.map(|(it, log)| Proof { gate: it.gate, tree: it.tree, log }),
        }
        .text())
    }

    /// What the loop's agent or model said last of its work: the summary of `finish`, or else its
    /// last words; empty where that is not known.
    fn last_word(&self, id: LoopId) -> Result<String, Trouble> {
        let filter = Filter { loop_id: Some(id), ..Filter::default() };
        let (mut from, mut reply, mut said) = (Seq(1), None, String::new());
        loop {
            let rows = block_in_place(|| self.ctx.store.read(from, PAGE, filter))?;
            let Some(last) = rows.last() else { break };
            from = Seq(last.seq.0 + 1);
            for row in rows.iter().filter(|it| it.kind == "effect_ended") {
                let Ok(record) = Record::decode(&row.json) else { continue };
                let Event::EffectEnded { outcome, .. } = record.event else { continue };
                if let Outcome::Replied { reply: it, .. } = outcome {
                    reply = Some(it);
                } else if let Outcome::AgentDone { run, .. } = outcome {
                    said = run.said;
                }
            }
        }
        Ok(match reply {
            Some(reply) => summary_of(&self.ctx.doc::<Reply>(&reply)?),
            None => said,
        })
    }

    pub(super) async fn publish(
        &self,
        op: QueueOp,
        commit: Oid,
        expected: Oid,
    ) -> Result<Outcome, Trouble> {
        match op {
            QueueOp::Land(_) => self.publish_to_target(commit, expected).await,
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
    async fn publish_to_target(&self, commit: Oid, expected: Oid) -> Result<Outcome, Trouble> {
        for _ in 0..LOCK_LOOKS {
            match self.try_publish(commit, expected).await {
                Err(trouble) if trouble.failure == Failure::Transient => {}
                decided => return decided,
            }
            #[expect(clippy::disallowed_methods, reason = "a lock file tells nobody when it goes")]
            tokio::time::sleep(LOCK_LOOK_EVERY).await;
        }
        match self.try_publish(commit, expected).await {
            Err(trouble) if trouble.failure == Failure::Transient => Ok(Outcome::PublishHeld {
                why: trouble.told().chars().take(MAX_WHY_CHARS).collect(),
            }),
            decided => decided,
        }
    }

    async fn try_publish(&self, commit: Oid, expected: Oid) -> Result<Outcome, Trouble> {
        let (repo, root) = self.ctx.repo(self.order.project)?;
        let target = self.order.target.clone();
        let follow = self.ctx.config_of(&root)?.follow;
        let message = format!("taskd: land {}", self.order.plan);
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

/// What a reply says of the work: the summary it calls `finish` with, or else its text.
fn summary_of(reply: &Reply) -> String {
    let summary = reply.parts.iter().find_map(|part| match part {
        Part::ToolUse { name, args, .. } if name == "finish" => {
            let args: serde_json::Value = serde_json::from_str(args).ok()?;
            Some(args["summary"].as_str()?.to_owned())
        }
        Part::Text { .. }
        | Part::ToolUse { .. }
        | Part::ToolResult { .. }
        | Part::Opaque { .. } => None,
    });
    summary.unwrap_or_else(|| {
        let texts = reply.parts.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            Part::ToolUse { .. } | Part::ToolResult { .. } | Part::Opaque { .. } => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    })
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

/// Moves a target forward from one commit to another by compare-and-swap, and the clean checkouts
/// that have it, unless `follow` forbids that. For whoever has the project's turn at targets.
pub(crate) fn move_target(
    repo: &Repo,
    target: &str,
    (from, to): (Oid, Oid),
    follow: bool,
    message: &str,
) -> Result<Moved, Trouble> {
    let checkouts = repo.checked_out_at(target)?;
    // Files first: a checkout that cannot follow keeps its target where it is.
    for (n, checkout) in checkouts.iter().enumerate() {
        let held = held_by(checkout, target, from, to, follow);
        if !matches!(held, Ok(None)) {
            for moved in &checkouts[..n] {
                follow_checkout(moved, target, to, from)?;
            }
        }
        if let Some(why) = held? {
            return Ok(Moved::Held { why });
        }
    }
    let published = repo.publish(&format!("refs/heads/{target}"), to, Some(from), message);
    if !matches!(published, Ok(Published::Done | Published::AlreadyThere)) {
        for moved in &checkouts {
            follow_checkout(moved, target, to, from)?;
        }
    }
    Ok(match published? {
        Published::Done | Published::AlreadyThere => Moved::Done,
        Published::Moved { actual } => Moved::Elsewhere { actual },
    })
}

/// Moves a person's checkout of the target, or says why it cannot follow. A checkout that is on
/// neither commit is left to the compare-and-swap.
fn held_by(
    checkout: &Path,
    target: &str,
    from: Oid,
    to: Oid,
    follow: bool,
) -> Result<Option<String>, Trouble> {
    let place = checkout.display();
    let why = if !follow {
        format!("land.follow is off and your checkout {place} is on {target}")
    } else {
        match follow_checkout(checkout, target, from, to)? {
            Follow::Followed | Follow::NotOnBranch | Follow::Moved { .. } => return Ok(None),
            Follow::Dirty { files } => {
                let first = files.first().map(ToString::to_string).unwrap_or_default();
                let more = match files.len() {
                    0 | 1 => String::new(),
                    n => format!(" and {} more", n - 1),
                };
                format!("{first}{more} changed in your checkout {place}")
            }
            Follow::Busy { with } => {
                let what = format!("{with} in your checkout {place}");
                return Err(Trouble::new(Code::CheckoutBusy, what));
            }
        }
    };
    Ok(Some(why.chars().take(MAX_WHY_CHARS).collect()))
}
