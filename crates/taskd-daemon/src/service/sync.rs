//! `taskd sync`: passed work that changes in a person's checkout hold comes to its target all the
//! same, where those changes are to other files. What is in the way is named; nothing of it is
//! touched.
//!
//! The landing queue does it, as always: what was gated on an older tip is gated again, and what
//! got into the way since this was asked holds it again.

use std::path::Path;

use taskd_api::{ApiError, codes, v1};
use taskd_git::{Candidate, Follow, could_sync};
use taskd_model::{Actor, Command, LandPolicy, LoopId, LoopView, Oid, ProjectId, View};

use super::{Service, in_scope, unresolved};
use crate::runner::{Trouble, filtered, identity};

/// Files named in one answer; of more, how many.
const MAX_NAMED: usize = 10;

/// What a checkout holds of one loop.
struct Held {
    asked_as: String,
    name: String,
    id: LoopId,
    project: ProjectId,
    target: String,
    tip: Oid,
    /// What its work was built on, the work, and that as a commit which is gated already.
    base: Oid,
    work: Oid,
    built: Option<Oid>,
    held: bool,
}

impl Service {
    pub(super) async fn sync(
        &self,
        actor: Actor,
        request: &v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        let rows = self.held(request)?;
        let this = self.clone();
        let looked = super::blocking(move || {
            Ok(rows.into_iter().map(|it| (this.in_the_way(&it), it)).collect::<Vec<_>>())
        });
        let looked = looked.await?;
        let mut response = v1::ActResponse { results: Vec::new(), seq: self.ctx().hub.head().0 };
        let mut free = Vec::new();
        for (way, it) in looked {
            let mut row = v1::ActResult {
                id: it.asked_as.clone(),
                name: it.name.clone(),
                ..v1::ActResult::default()
            };
            match way {
                _ if !it.held => "no checkout holds it".clone_into(&mut row.message),
                Ok(None) => {
                    let now = if request.dry_run { "would land" } else { "lands" };
                    row.done = !request.dry_run;
                    row.message = format!("{now} on {} beside your other changes", it.target);
                    free.push(it.id);
                }
                Ok(Some(way)) => {
                    let hint = format!("commit, stash or move them, then: taskd sync {}", it.name);
                    row.error = Some((&ApiError::new(codes::REFUSED, way).hint(hint)).into());
                }
                Err(trouble) => row.error = Some((&ApiError::from(trouble)).into()),
            }
            response.results.push(row);
        }
        if !request.dry_run && !free.is_empty() {
            response.seq = self.command(actor, Command::Sync(free)).await?;
        }
        Ok(response)
    }

    /// What is asked about: what is named, or all that is held.
    fn held(&self, request: &v1::ActRequest) -> Result<Vec<Held>, ApiError> {
        let view = self.ctx().hub.view();
        let mut named: Vec<(String, LoopId)> = Vec::new();
        if request.all {
            let plans = in_scope(self.ctx(), &view, &request.scope)?;
            let held = view.loops.values().filter(|it| is_held(&view, it));
            let held = held.filter(|it| plans.contains(&it.id.plan()));
            named.extend(held.map(|it| (it.name.clone(), it.id)));
        }
        for id in &request.ids {
            let target = view.resolve(id).map_err(unresolved)?;
            named.extend(view.loops_in(target).into_iter().map(|it| (id.clone(), it)));
        }
        let row = |(asked_as, id): (String, LoopId)| {
            let (it, plan): (&LoopView, _) = (&view.loops[&id], &view.plans[&id.plan()]);
            let tip = view.projects.get(&plan.project)?.targets.get(&plan.target)?.tip;
            let work = it.passed.as_ref().map(|it| it.checkpoint);
            Some(Held {
                asked_as,
                name: it.name.clone(),
                id,
                project: plan.project,
                target: plan.target.clone(),
                tip,
                base: it.base.commit,
                held: is_held(&view, it) && work.is_some(),
                work: work.unwrap_or(it.base.commit),
                built: it.integrated,
            })
        };
        Ok(named.into_iter().filter_map(row).collect())
    }

    /// What keeps held work from its target, if anything does. Nothing is changed.
    fn in_the_way(&self, it: &Held) -> Result<Option<String>, Trouble> {
        if !it.held {
            return Ok(None);
        }
        let (repo, _) = self.ctx().repo(it.project)?;
        let built = match it.built {
            Some(built) if repo.ancestor_of(it.tip, built)? => built,
            // Somebody moved the target meanwhile: this is what the queue will build on it.
            _ => match repo.candidate(it.base, it.work, it.tip, "sync", &identity(&repo)?)? {
                Candidate::Clean { commit, .. } => commit,
                // The queue says so in its own words, and its loop mends it.
                Candidate::Empty | Candidate::Conflict { .. } => return Ok(None),
            },
        };
        for root in repo.checked_out_at(&it.target)? {
            match could_sync(&root, &it.target, it.tip, built)? {
                Follow::Followed | Follow::NotOnBranch | Follow::Moved { .. } => {}
                Follow::Dirty { files } => {
                    let names: Vec<String> = files.iter().map(ToString::to_string).collect();
                    return Ok(Some(in_way(&names, &root)));
                }
                Follow::Filtered { file, filter } => {
                    return Ok(Some(filtered(&file.to_string(), &filter, &it.target, &root)));
                }
                Follow::Busy { with } => {
                    return Ok(Some(format!("{with} in your checkout {}", root.display())));
                }
            }
        }
        Ok(None)
    }
}

/// A checkout holds it; a pull request is for the remote to take.
fn is_held(view: &View, it: &LoopView) -> bool {
    let by_us = view.plans.get(&it.id.plan()).is_some_and(|it| it.land != LandPolicy::Pr);
    by_us && it.held.is_some() && !it.status.is_over()
}

fn in_way(files: &[String], root: &Path) -> String {
    let mut text = files.iter().take(MAX_NAMED).cloned().collect::<Vec<_>>().join(", ");
    if MAX_NAMED < files.len() {
        text.push_str(&format!(" and {} more", files.len() - MAX_NAMED));
    }
    format!("in the way: {text}, changed or not tracked in your checkout {}", root.display())
}
