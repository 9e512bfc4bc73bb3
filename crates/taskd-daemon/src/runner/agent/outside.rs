//! What a run of an agent did to git besides its files, in words for people.
//!
//! The rules are in `taskd-git`; here is when they are asked, and what is said of it.

use std::path::Path;

use taskd_git::{Before, GitError, Mark, Trace};
use taskd_model::{AgentRun, Code, Oid};
use tracing::warn;

use super::{
    super::{Job, Trouble},
    Seat,
};

/// Names in one remark.
const MAX_NAMES: usize = 5;

/// A run, as far as git is concerned.
#[derive(Debug)]
pub(super) struct Outside {
    before: Before,
    mark: Mark,
}

impl Job {
    /// Looks at the repository before a run begins. What its program does is known by `number`: that
    /// of its effect, or 0 for one that lives for several runs of its worktree.
    pub(super) async fn look_outside(&self, seat: &Seat, number: u64) -> Result<Outside, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let mark = repo.mark(&seat.name, number);
        let before = self.blocking(move || Ok(repo.before()?)).await?;
        Ok(Outside { before, mark })
    }

    /// What git says of the run: in whose name it is done, and that looking changes nothing.
    pub(super) fn git_env(
        &self,
        outside: &Outside,
    ) -> [(std::ffi::OsString, std::ffi::OsString); 3] {
        let name = {
            let view = self.ctx.hub.view();
            self.name(&view)
        };
        [
            ("GIT_COMMITTER_EMAIL".into(), outside.mark.email().into()),
            ("GIT_COMMITTER_NAME".into(), format!("taskd agent {name}").into()),
            ("GIT_OPTIONAL_LOCKS".into(), "0".into()),
        ]
    }

    /// Makes the worktree one that can be saved.
    pub(super) async fn mend(&self, seat: &Seat, run: &mut AgentRun) -> Result<(), Trouble> {
        let (repo, root) = self.ctx.repo(self.order.project)?;
        let name = seat.name.clone();
        let mended = self.blocking(move || Ok(repo.mend(&name)?)).await?;
        self.told(mended.as_slice(), &root, run);
        Ok(())
    }

    /// Undoes what the rules say, and tells the rest. Nothing of it makes the run fail: what could
    /// not be looked at is told too.
    pub(super) async fn tidy_up(
        &self,
        seat: &Seat,
        outside: Outside,
        run: &mut AgentRun,
    ) -> Result<(), Trouble> {
        let (repo, root) = self.ctx.repo(self.order.project)?;
        let (name, base) = (seat.name.clone(), seat.base);
        let Outside { before, mark } = outside;
        // Two ends at once would meet at the stash's lock.
        let _alone = self.ctx.tidying.lock().await;
        let looked = self.blocking(move || Ok(repo.after(&name, base, &before, &mark))).await?;
        match looked {
            Ok(traces) => self.told(&traces, &root, run),
            Err(error) => could_not_look(&error, run),
        }
        Ok(())
    }

    fn told(&self, traces: &[Trace], root: &Path, run: &mut AgentRun) {
        let name = {
            let view = self.ctx.hub.view();
            self.name(&view)
        };
        let then = format!("then `taskd resume {name}`");
        for trace in traces {
            if let Some((code, text)) = words(trace, root, &then) {
                run.remark(code, &text);
            }
        }
        let gone: (Vec<String>, Vec<&Oid>) = traces
            .iter()
            .filter_map(|it| match it {
                Trace::RefGone { name, old } => Some((name.clone(), old)),
                Trace::Committed { .. }
                | Trace::HeadMoved { .. }
                | Trace::BranchMade { .. }
                | Trace::RefMoved { .. }
                | Trace::Stashed { .. }
                | Trace::Config { .. }
                | Trace::Hooks { .. }
                | Trace::GitReplaced { .. } => None,
            })
            .unzip();
        if let (Some(first), Some(old)) = (gone.0.first(), gone.1.first()) {
            let names = listed(&gone.0);
            let text = format!(
                "gone while it ran, by whom nothing tells: {names}; \
                 `git -C {} update-ref {first} {old}` brings the first back",
                root.display()
            );
            run.remark(Code::RefsGone, &text);
        }
    }
}

fn could_not_look(error: &GitError, run: &mut AgentRun) {
    warn!(%error, "what an agent did to git could not be looked at");
    run.remark(error.code(), &format!("what it did to git could not be looked at: {error}"));
}

/// What is said of a trace, and under which code. `then` is what a person who was asked does last.
fn words(trace: &Trace, root: &Path, then: &str) -> Option<(Code, String)> {
    let at = root.display();
    Some(match trace {
        Trace::Committed { commits, kept } => {
            let what = if *commits == 1 { "a commit" } else { "commits" };
            let text = format!(
                "it made {what} of its own ({commits}): kept at {}; its files count as they are",
                listed(kept)
            );
            (Code::AgentCommitted, text)
        }
        Trace::HeadMoved { was } => {
            let text =
                format!("it left its worktree on {was}; HEAD is back, the files are as left");
            (Code::AgentMovedHead, text)
        }
        Trace::BranchMade { name, kept, removed } => {
            let then = if *removed {
                format!("the branch is gone; `git -C {at} branch {name} {kept}` brings it back")
            } else {
                format!("it is checked out somewhere; `git -C {at} branch -D {name}` removes it")
            };
            let text = format!("it made the branch {name}: its tip is kept at {kept}, {then}");
            (Code::AgentMadeBranch, text)
        }
        Trace::Stashed { kept } => {
            let text = format!(
                "it put files into your stash: they are kept at {} and out of it again; \
                 `git stash apply REF` brings them to a checkout",
                listed(kept)
            );
            (Code::AgentStashed, text)
        }
        Trace::GitReplaced { kept } => {
            let kept = kept.as_ref().map_or_else(String::new, |it| {
                format!(", and what was there is now {}", it.display())
            });
            let text = format!("it replaced the `.git` of its worktree; that is put back{kept}");
            (Code::AgentReplacedGit, text)
        }
        Trace::RefMoved { name, old, now } => {
            let text = moved(root, name, old, now);
            (Code::AgentMovedRefs, format!("{text}; {then}"))
        }
        Trace::Config { keys, copy } => {
            let copy = copy
                .as_deref()
                .map_or_else(String::new, |it| format!(" (as it was: {})", it.display()));
            let what = format!("the git configuration of {at} changed while it ran");
            let text = format!("{what}: {}{copy}; nothing was undone; {then}", listed(keys));
            (Code::GitSettingsChanged, text)
        }
        Trace::Hooks { files } => {
            let what = format!("git hooks of {at} changed while it ran");
            let text =
                format!("{what}: {}; nothing was undone; look at them, {then}", listed(files));
            (Code::GitSettingsChanged, text)
        }
        // Told together.
        Trace::RefGone { .. } => return None,
    })
}

/// That something of a person's is elsewhere, and how that is undone.
fn moved(root: &Path, name: &str, old: &str, now: &str) -> String {
    let at = root.display();
    if name == "HEAD" {
        return format!(
            "it switched your checkout {at} from {old} to {now}; nothing was undone: \
             `git -C {at} switch {old}` does that"
        );
    }
    if old.is_empty() {
        return format!("it moved {name}, made while it ran, to {now}; nothing was undone");
    }
    format!(
        "it moved {name} from {old} to {now}; nothing was undone: \
         `git -C {at} update-ref {name} {old} {now}` does that"
    )
}

/// The first few names, and how many there are besides.
fn listed(names: &[String]) -> String {
    let first = names[..names.len().min(MAX_NAMES)].join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
