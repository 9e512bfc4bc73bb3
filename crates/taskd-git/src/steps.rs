//! Work that lands in steps: which states of it there were, what each of them is on another base, and
//! commits of them. In memory; no ref is written.

use taskd_model::Oid;

use crate::error::{GitError, git};
use crate::merge::merged_onto;
use crate::repo::{Identity, Repo, commit, from_git, to_git, tree, write_commit};

/// Most states of one piece of work that are looked at.
const MAX_STATES: usize = 10_000;

impl Repo {
    /// The states of a piece of work between its base and its last one, both left out, the oldest
    /// first; none if it does not stand on that base.
    pub fn states(&self, base: Oid, work: Oid) -> Result<Vec<Oid>, GitError> {
        let repo = self.open()?;
        let mut found = Vec::new();
        let mut at = commit(&repo, work)?;
        while found.len() < MAX_STATES {
            let Ok(before) = at.parent(0) else { return Ok(Vec::new()) };
            if before.id() == to_git(base) {
                found.reverse();
                return Ok(found);
            }
            found.push(from_git(before.id()));
            at = before;
        }
        Ok(Vec::new())
    }

    /// What these states of work that began at `base` are on `onto`: the place of each that goes
    /// there by itself and changes something, with its tree. One that is like the one before it,
    /// or like `last`, is left out, and so is one that does not merge: what it did is in the next.
    pub fn stepped(
        &self,
        base: Oid,
        states: &[Oid],
        onto: Oid,
        last: Oid,
    ) -> Result<Vec<(usize, Oid)>, GitError> {
        let repo = self.open()?;
        let mut before = from_git(tree(&repo, onto)?.id());
        let mut steps = Vec::new();
        for (n, state) in states.iter().enumerate() {
            let Ok(files) = merged_onto(&repo, base, *state, onto)? else { continue };
            let files = from_git(files.id());
            if files != before && files != last {
                steps.push((n, files));
                before = files;
            }
        }
        Ok(steps)
    }

    /// A commit of a tree on these parents.
    pub fn commit_tree(
        &self,
        files: Oid,
        parents: &[Oid],
        message: &str,
        author: &Identity,
    ) -> Result<Oid, GitError> {
        let repo = self.open()?;
        let found = repo.find_tree(to_git(files)).map_err(git("reading the tree", files))?;
        let parents =
            parents.iter().map(|it| commit(&repo, *it)).collect::<Result<Vec<_>, GitError>>()?;
        let parents: Vec<_> = parents.iter().collect();
        write_commit(&repo, &found, &parents, message, &author.signature()?)
    }
}
