//! What is kept of work that was replaced: going back to an earlier state without losing the later
//! one, listing what was kept, and writing it out again. Nothing of a person's is written over.

use std::fs;
use std::path::Path;

use git2::DiffOptions;
use git2::build::CheckoutBuilder;
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::checkpoint::count;
use crate::error::{GitError, git, io};
use crate::repo::{Repo, commit, from_git, tree};
use crate::worktree::{Ensure, Prepared};

/// Why something was kept. Also how its refs are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptFor {
    /// Files nobody had saved were about to be replaced.
    Salvage,
    /// The work was moved onto another base.
    BeforeRebase,
    /// The work was sent back to an earlier state.
    BeforeRewind,
    /// An agent made it in git: commits, a stash, a branch.
    Agent,
}

/// Every reason.
pub(crate) const KINDS: [KeptFor; 4] =
    [KeptFor::Salvage, KeptFor::BeforeRebase, KeptFor::BeforeRewind, KeptFor::Agent];

impl KeptFor {
    /// As its refs are called.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Salvage => "salvage",
            Self::BeforeRebase => "before-rebase",
            Self::BeforeRewind => "before-rewind",
            Self::Agent => "agent",
        }
    }
}

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The whole name of its ref.
    pub ref_name: String,
    /// Why.
    pub why: KeptFor,
    /// The worktree it is of.
    pub name: String,
    /// Which of its kind and worktree, from 1.
    pub n: u32,
    /// The commit.
    pub commit: Oid,
    /// When it was made, seconds since 1970.
    pub when: i64,
    /// Files that differ from the commit before it.
    pub files: u32,
}

impl Repo {
    /// Makes the worktree hold exactly the files of an earlier commit, standing on `base`. Files
    /// that nobody had saved are kept at `salvage/…`, the work until now at
    /// `refs/taskd/<tag>/before-rewind/<name>/<n>`. Running it again ends in the same place.
    pub fn rewind(&self, name: &str, base: Oid, to: Oid) -> Result<Prepared, GitError> {
        let loop_ref = self.own_ref(&format!("loops/{name}"));
        self.clear_ref_locks(name)?;
        let repo = self.open()?;
        commit(&repo, to)?;
        // The ref is moved last: until then everything can be asked for again.
        if let Some(tip) = self.tip_of_ref(&loop_ref)?
            && tip != to
        {
            self.keep_ref(&repo, KeptFor::BeforeRewind.word(), name, tip)?;
        }
        let prepared = self.ensure_worktree(name, Ensure::Restore { base, checkpoint: to })?;
        self.write_own_ref(&repo, &loop_ref, to)?;
        Ok(prepared)
    }

    /// Everything that is kept, by worktree, the latest of each kind last.
    pub fn kept(&self) -> Result<Vec<Kept>, GitError> {
        let repo = self.open()?;
        let mut all = Vec::new();
        for why in KINDS {
            let prefix = self.own_ref(&format!("{}/", why.word()));
            let doing = "listing the refs under";
            for found in repo.references_glob(&format!("{prefix}*")).map_err(git(doing, &prefix))? {
                let found = found.map_err(git(doing, &prefix))?;
                let Ok(ref_name) = found.name() else { continue };
                let Some((name, n)) =
                    ref_name.strip_prefix(&prefix).and_then(|it| it.rsplit_once('/'))
                else {
                    continue;
                };
                // A ref to what is no commit is damaged; the others are still worth listing.
                let (Ok(n), Ok(at)) = (n.parse(), found.peel_to_commit()) else { continue };
                let before = at.parent(0).ok().and_then(|it| it.tree().ok());
                let now = at.tree().map_err(git("reading the tree of", at.id()))?;
                let mut how = DiffOptions::new();
                how.include_typechange(true);
                let diff = repo
                    .diff_tree_to_tree(before.as_ref(), Some(&now), Some(&mut how))
                    .map_err(git("comparing with what was before it", at.id()))?;
                all.push(Kept {
                    ref_name: ref_name.to_owned(),
                    why,
                    name: name.to_owned(),
                    n,
                    commit: from_git(at.id()),
                    when: at.time().seconds(),
                    files: count(diff.deltas().len()),
                });
            }
        }
        all.sort_by(|a, b| (&a.name, a.when, a.why, a.n).cmp(&(&b.name, b.when, b.why, b.n)));
        Ok(all)
    }

    /// Writes the files of a commit into a directory that is not there, or is empty.
    pub fn write_out(&self, commit_id: Oid, dir: &Path) -> Result<(), GitError> {
        let refuse = |why| Err(GitError::DirInUse { path: dir.to_owned(), why });
        match fs::read_dir(dir) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return refuse("it is not empty");
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(dir).map_err(io("making", dir))?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
                return refuse("it is not a directory");
            }
            Err(e) => return Err(io("reading", dir)(e)),
        }
        let repo = self.open()?;
        let files = tree(&repo, commit_id)?;
        let mut how = CheckoutBuilder::new();
        how.force().target_dir(dir).update_index(false).disable_filters(true);
        repo.checkout_tree(files.as_object(), Some(&mut how))
            .map_err(git("writing files into", dir.display()))
    }
}
