//! Worktrees: prepare one, checkpoint it, move it onto another base.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use taskd_git::{Checkpoint, Ensure, Repo, RepoPath};
use taskd_model::{Code, Digest, Observation, Oid, Outcome, PrepareMode, ToolResultDoc, Work};

use super::{
    Job, Trouble, identity,
    programs::{Command, ending, not_started},
};

/// A setup command is ended after this long.
const SETUP_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Names of ignored files a fresh worktree gets a copy of.
const INCLUDE_FILE: &str = ".worktreeinclude";

/// Whether the setup of one worktree was run to its end, in a file beside it. One that failed or was
/// cut off is run again, and so is one of other commands, and one for a commit that points to other
/// submodules or contents of Git LFS than this one: what it fetched is not what is needed now.
pub(super) struct SetUp {
    file: PathBuf,
    /// The commands, and the commit they are run for.
    what: String,
    is_done: bool,
}

impl SetUp {
    pub(super) fn of(
        repo: &Repo,
        (dir, commit): (&Path, Oid),
        commands: &[String],
        fresh: bool,
    ) -> Self {
        let parts: Vec<&[u8]> = commands.iter().map(String::as_bytes).collect();
        let (file, commands) = (dir.with_extension("set-up"), Digest::of_parts(&parts).to_string());
        if fresh {
            // Of an earlier worktree of this name.
            fs::remove_file(&file).ok();
        }
        let noted = fs::read_to_string(&file).unwrap_or_default();
        let is_done = match noted.split_once(' ') {
            // Which commit it was for was not always noted.
            None => noted == commands,
            Some((was, at)) => {
                let same = |at: Oid| repo.points_elsewhere(at, commit).is_ok_and(|it| !it);
                was == commands && at.parse().is_ok_and(same)
            }
        };
        Self { file, what: format!("{commands} {commit}"), is_done }
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    fn note(self) -> Result<(), Trouble> {
        fs::write(&self.file, self.what).map_err(|it| {
            Trouble::of(Code::of_io(&it), &it).within(&format!("writing {}", self.file.display()))
        })
    }
}

impl Job {
    pub(super) async fn prepare(&self, base: Oid, mode: PrepareMode) -> Result<Outcome, Trouble> {
        let (repo, root) = self.ctx.repo(self.order.project)?;
        let name = self.worktree_name()?;
        let make = move |repo: &Repo, name: &str| match mode {
            PrepareMode::Fresh => repo.ensure_worktree(name, Ensure::Fresh { base }),
            PrepareMode::Restore(checkpoint) => {
                repo.ensure_worktree(name, Ensure::Restore { base, checkpoint })
            }
            PrepareMode::Keep(checkpoint) => {
                repo.ensure_worktree(name, Ensure::Keep { base, checkpoint })
            }
            PrepareMode::Rewind(to) => repo.rewind(name, base, to),
        };
        let commands = self.setup_commands()?;
        let making = self.ctx.pool.making(self.order.project, base);
        let (prepared, set_up) = self
            .blocking(move || {
                let prepared = make(&repo, &name)?;
                let at = (prepared.path.as_path(), base);
                let set_up = SetUp::of(&repo, at, &commands, prepared.created);
                if !set_up.is_done() {
                    repo.copy_included(&root, &name, INCLUDE_FILE.as_ref())?;
                }
                Ok((prepared, set_up))
            })
            .await?;
        making.done(prepared.created);
        self.setup(&prepared.path, set_up).await?;
        Ok(Outcome::Prepared { salvaged: prepared.salvaged })
    }

    /// A worktree that somebody removed is made again from the loop's last checkpoint (decision D3)
    /// before anything is done in it.
    pub(super) async fn ensure_worktree(&self) -> Result<(), Trouble> {
        let works_in_it = matches!(
            self.order.work,
            Work::AcceptBefore
                | Work::Tool { .. }
                | Work::Save { .. }
                | Work::Agent { .. }
                | Work::Gate
                | Work::Rebase { .. }
        );
        if works_in_it { self.worktree_again().await } else { Ok(()) }
    }

    /// The worktree is there, from the last checkpoint if somebody removed it.
    pub(super) async fn worktree_again(&self) -> Result<(), Trouble> {
        if !self.worktree()?.exists() {
            let subject = self.subject()?;
            self.prepare(subject.base, PrepareMode::Keep(subject.checkpoint)).await?;
        }
        Ok(())
    }

    /// The plan's and the type's setup command, as far as there are any.
    pub(super) fn setup_commands(&self) -> Result<Vec<String>, Trouble> {
        let of_type = match &self.order.subject {
            Some(_) => self.spec_doc()?.loop_type.setup,
            None => None,
        };
        Ok(self.plan_doc()?.setup.into_iter().chain(of_type).collect())
    }

    /// Runs the setup commands unless they were run here before, to their end.
    pub(super) async fn setup(&self, dir: &Path, set_up: SetUp) -> Result<(), Trouble> {
        if set_up.is_done() {
            return Ok(());
        }
        let plan = self.plan_doc()?;
        for command in &self.setup_commands()? {
            let env = self.env(&plan, dir)?;
            let spec = Command::shell(command, dir.to_owned(), env, SETUP_TIMEOUT);
            let finished = self.run(spec, self.lines_as_noise()).await;
            not_started(&finished)?;
            if let Some(how) = ending(&finished, SETUP_TIMEOUT) {
                let output = finished.output.text();
                let last = output.lines().rev().find(|it| !it.trim().is_empty()).unwrap_or("");
                let what = format!("setup `{command}` failed ({how}): {last}");
                return Err(Trouble::new(Code::SetupFailed, what));
            }
        }
        set_up.note()
    }

    /// The same where the ground has moved to a commit that points elsewhere.
    async fn setup_again(&self, onto: Oid) -> Result<(), Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let (dir, commands) = (self.worktree()?, self.setup_commands()?);
        let set_up = SetUp::of(&repo, (&dir, onto), &commands, false);
        self.setup(&dir, set_up).await
    }

    /// Where the loop's worktree is.
    pub(super) fn worktree(&self) -> Result<PathBuf, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        Ok(repo.worktree_path(&self.worktree_name()?))
    }

    /// Saves the files as they are, also where nobody wants the loop to go on: it is short, and what
    /// was done is not to be lost. Only the files a tool's result names are looked at, if it is given.
    pub(super) async fn save_files(&self, wrote: Option<&Digest>) -> Result<Outcome, Trouble> {
        let prev = self.subject()?.checkpoint;
        let saved = match (prev, wrote) {
            (Some(prev), Some(result)) => {
                let result: ToolResultDoc = self.ctx.doc(result)?;
                self.checkpoint_paths(prev, result.wrote).await?
            }
            (prev, _) => self.checkpoint(prev).await?,
        };
        Ok(Outcome::Saved { checkpoint: saved.commit })
    }

    /// Saves the worktree's files as a commit under our refs.
    pub(super) async fn checkpoint(&self, prev: Option<Oid>) -> Result<Checkpoint, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let name = self.worktree_name()?;
        let base = self.subject()?.base;
        let message = format!("taskd: checkpoint of {}", self.subject()?.id);
        self.blocking(move || {
            let sign = identity(&repo)?;
            Ok(repo.checkpoint(&name, base, prev, &message, &sign)?)
        })
        .await
    }

    /// The same after a tool that can have changed only these files since the last checkpoint.
    pub(super) async fn checkpoint_paths(
        &self,
        prev: Oid,
        wrote: Vec<String>,
    ) -> Result<Checkpoint, Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let name = self.worktree_name()?;
        let base = self.subject()?.base;
        let message = format!("taskd: checkpoint of {}", self.subject()?.id);
        self.blocking(move || {
            let sign = identity(&repo)?;
            let paths: Vec<_> = wrote.iter().map(|it| RepoPath::from(it.as_str())).collect();
            Ok(repo.checkpoint_paths(&name, base, prev, &paths, &message, &sign)?)
        })
        .await
    }

    pub(super) async fn rebase(&self, onto: Oid) -> Result<Outcome, Trouble> {
        let subject = self.subject()?;
        // A rebase that began goes on from the work it began with, whatever the files say now.
        let work = match subject.rebase_from {
            Some(work) => work,
            None => {
                let saved = self.checkpoint(subject.checkpoint).await?.commit;
                self.observe(Observation::Checkpoint(saved)).await;
                saved
            }
        };
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let (name, base) = (self.worktree_name()?, subject.base);
        let commands = self.setup_commands()?;
        let (rebased, points_elsewhere) = self
            .blocking(move || {
                let points_elsewhere = !commands.is_empty() && repo.points_elsewhere(base, onto)?;
                Ok((repo.rebase(&name, base, onto, work)?, points_elsewhere))
            })
            .await?;
        if points_elsewhere {
            self.setup_again(onto).await?;
        }
        let files = self.list(rebased.conflicts.iter().map(ToString::to_string))?;
        Ok(Outcome::Rebased {
            checkpoint: rebased.checkpoint,
            conflicts: u32::try_from(rebased.conflicts.len()).unwrap_or(u32::MAX),
            files,
        })
    }

    /// Names, one a line, as a blob; nothing if there are none.
    pub(super) fn list(
        &self,
        names: impl Iterator<Item = String>,
    ) -> Result<Option<Digest>, Trouble> {
        let text: Vec<String> = names.collect();
        if text.is_empty() {
            return Ok(None);
        }
        self.ctx.put_blob(text.join("\n").into()).map(Some)
    }
}
