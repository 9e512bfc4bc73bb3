//! Files that a tool has changed and no checkpoint has yet.
//!
//! A tool's result is known before its files are saved, and the next call does not wait for that. What
//! writes in the worktree does, and what leaves it: whatever is undone goes back to the last
//! checkpoint, so nothing that was told to the model may be missing there.

use serde::{Deserialize, Serialize};
use taskd_model::{Digest, EffectId, Event, Outcome, Owner, Unsaved, Work};

use crate::engine::LoopEngine;

/// What is not saved of a loop, and how far saving it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnsavedFiles {
    /// The result of the tool that names all of them; nothing where any file may be one.
    wrote: Option<Digest>,
    /// The effect that saves them.
    by: Option<EffectId>,
    /// How often that failed in a row.
    pub(crate) failures: u32,
}

impl LoopEngine {
    /// Nothing of it runs but what saves its files.
    pub(crate) fn only_saves(&self) -> bool {
        let by = self.unsaved.and_then(|it| it.by);
        by.is_some() && self.open.iter().all(|it| Some(*it) == by)
    }

    /// The next call may be made although its files are being saved: it is the first try, so that
    /// what cannot be saved is not built upon for long.
    pub(crate) fn goes_on_unsaved(&self) -> bool {
        self.only_saves() && self.unsaved.is_some_and(|it| it.failures == 0)
    }

    /// Saves what is not saved, as soon as its files are there and it does not rest.
    pub(crate) fn save_step(&self) -> Option<Event> {
        let it = self.unsaved.filter(|it| it.by.is_none())?;
        let rests = self.retry_at.is_some() || self.stuck.is_some() || self.ending.is_some();
        if rests || self.preparation().is_some() {
            return None;
        }
        let work = Work::Save { wrote: it.wrote };
        Some(Event::EffectStarted { owner: Owner::Loop(self.id), work })
    }

    /// It is being saved.
    pub(crate) fn saving(&mut self, by: EffectId) {
        let it = self.unsaved.as_mut().expect("only what is not saved is being saved");
        it.by = Some(by);
    }

    /// An effect ended, wanted or not: what that says about what is saved.
    pub(crate) fn note_saved(&mut self, effect: EffectId, outcome: &Outcome) {
        if let Some(it) = self.unsaved.as_mut().filter(|it| it.by == Some(effect)) {
            it.by = None;
        }
        if let Outcome::ToolDone { result, unsaved: Some(unsaved), .. } = outcome {
            let wrote = match unsaved {
                Unsaved::Named => Some(*result),
                Unsaved::Any => None,
            };
            self.unsaved = Some(UnsavedFiles { wrote, by: None, failures: 0 });
        }
        if matches!(outcome, Outcome::Saved { .. }) {
            self.unsaved = None;
        }
    }

    /// The place is gone: whatever was in hand, all files are looked at.
    pub(crate) fn saving_lost(&mut self) {
        if let Some(it) = &mut self.unsaved {
            (it.wrote, it.by) = (None, None);
        }
    }

    /// A person wants it to try again.
    pub(crate) fn save_again(&mut self) {
        if let Some(it) = &mut self.unsaved {
            it.failures = 0;
        }
    }
}

/// May go on while files are being saved: it changes none of them.
pub(crate) fn shares(work: &Work) -> bool {
    matches!(work, Work::Compose | Work::Call { .. } | Work::Tool { reads: true, .. })
}

/// One of these saves files, and the other may go on beside that.
pub(crate) fn share(one: &Work, other: &Work) -> bool {
    let saves = |it: &Work| matches!(it, Work::Save { .. });
    (saves(one) && shares(other)) || (saves(other) && shares(one))
}
