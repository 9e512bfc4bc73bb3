//! What a person changed by hand in a loop's worktree while it rested: saved under a ref, and told
//! to the loop in its next prompt, in their name. The files stay as they are: the loop goes on from
//! them, and its gate judges them with the rest.

use std::{path::Path, time::UNIX_EPOCH};

use taskd_api::ApiError;
use taskd_model::{Actor, Command, LoopId, SpecDoc, Status, Time};
use tracing::warn;

use super::{Service, blocking, internal};
use crate::runner::{Trouble, identity, worktree_name};

/// Files named to the loop; of more, how many.
const MAX_NAMED: usize = 50;
/// The clock of files may lag behind ours by so much, in milliseconds.
const CLOCK_LAG_MS: u64 = 10;

impl Service {
    /// Looks for changes by hand in the worktrees of these loops, as far as nothing works there.
    /// What cannot be looked at keeps nobody from going on.
    pub(super) async fn tell_edits(&self, actor: Actor, ids: &[LoopId]) {
        for id in ids.iter().copied() {
            if let Err(why) = self.tell_edits_of(actor, id).await {
                warn!(%id, "cannot look for changes by hand: {}", why.message);
            }
        }
    }

    async fn tell_edits_of(&self, actor: Actor, id: LoopId) -> Result<(), ApiError> {
        let this = self.clone();
        let Some(text) = blocking(move || Ok(this.edits(id)?)).await? else { return Ok(()) };
        let note = self.ctx().store.queue_blob(text.into_bytes()).map_err(|it| internal(&it))?;
        self.command(actor, Command::Note { id, note, now: false }).await?;
        Ok(())
    }

    /// Saves what was changed by hand; says what a prompt shall say of it. Nothing if nothing was.
    fn edits(&self, id: LoopId) -> Result<Option<String>, Trouble> {
        let (it, project) = {
            let view = self.ctx().hub.view();
            let Some(it) = view.loops.get(&id) else { return Ok(None) };
            (it.clone(), view.plans[&id.plan()].project)
        };
        let passed = it.passed.as_ref().filter(|_| it.queue_entry.is_none());
        let rests = matches!(it.status, Status::Paused | Status::Blocked);
        // What it has not begun has nothing to be compared with.
        let began = 0 < it.iteration && it.effects.is_empty();
        let since = match (passed, rests) {
            (Some(passed), _) => passed.at.max(it.status_since),
            (None, true) => it.status_since,
            (None, false) => return Ok(None),
        };
        let (repo, _) = self.ctx().repo(project)?;
        let spec: SpecDoc = self.ctx().doc(&it.doc)?;
        let name = worktree_name(id, &spec.name);
        let dir = repo.worktree_path(&name);
        if !began || !dir.exists() {
            return Ok(None);
        }
        let (base, before) = (it.base.commit, it.checkpoint);
        let message = format!("taskd: changed by hand in {}", it.name);
        let saved = repo.checkpoint(&name, base, before, &message, &identity(&repo)?)?;
        let diff = repo.diff(before.unwrap_or(base), saved.commit, 0)?;
        let by_hand: Vec<String> = diff
            .files
            .iter()
            .map(|file| file.path.to_string())
            .filter(|path| is_later(&dir.join(path), since))
            .collect();
        if by_hand.is_empty() {
            return Ok(None);
        }
        // The loop's own ref goes on with the loop; this one stays.
        let kept = repo.own_ref(&format!("by-hand/{name}-{}", it.last_seq.0));
        repo.publish(&kept, saved.commit, None, "taskd: changed by hand")?;
        let mut text = String::from("A person changed these files by hand, and means it:\n");
        by_hand.iter().take(MAX_NAMED).for_each(|path| text.push_str(&format!("- {path}\n")));
        if MAX_NAMED < by_hand.len() {
            text.push_str(&format!("- and {} more\n", by_hand.len() - MAX_NAMED));
        }
        Ok(Some(text))
    }
}

/// A file was written since then; of one that is gone, its directory was.
fn is_later(path: &Path, since: Time) -> bool {
    let there = path.ancestors().find_map(|it| std::fs::symlink_metadata(it).ok());
    let written = there.and_then(|it| it.modified().ok());
    let at = written.and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    let at = at.and_then(|it| u64::try_from(it.as_millis()).ok());
    at.is_some_and(|at| since.0 <= at.saturating_add(CLOCK_LAG_MS))
}
