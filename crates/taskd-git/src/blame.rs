//! Whose a line is: the commit that wrote it, and where it stood in another version of its file.
//! Reads the history and one file of the checkout; writes nothing.

use std::path::Path;

use git2::{BlameOptions, DiffOptions, ErrorCode, Patch, Sort};
use taskd_model::Oid;

use crate::error::{GitError, git};
use crate::refs::ancestor;
use crate::repo::{Repo, commit, from_git, to_git};

/// A line and the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlamedLine {
    /// The commit; nothing for a line that is not committed.
    pub commit: Option<Oid>,
    /// What the file was called there.
    pub path: String,
    /// Which line it was there, from 1.
    pub line: u32,
}

impl Repo {
    /// Who wrote a line of a file as it is in HEAD, or in `text` if that is given: the file as it
    /// is in the checkout. Nothing if there is no such file or line.
    pub fn blame_line(
        &self,
        path: &Path,
        line: u32,
        text: Option<&[u8]>,
    ) -> Result<Option<BlamedLine>, GitError> {
        let repo = self.open()?;
        let doing = "looking whose line it is in";
        let what = || path.display().to_string();
        let mut options = BlameOptions::new();
        let blamed = match repo.blame_file(path, Some(&mut options)) {
            Ok(blamed) => blamed,
            Err(e) if e.code() == ErrorCode::NotFound => return Ok(None),
            Err(e) => return Err(git(doing, what())(e)),
        };
        let blamed = match text {
            Some(text) => blamed.blame_buffer(text).map_err(git(doing, what()))?,
            None => blamed,
        };
        let Some(hunk) = usize::try_from(line).ok().and_then(|it| blamed.get_line(it)) else {
            return Ok(None);
        };
        let id = hunk.final_commit_id();
        let offset = usize::try_from(line).unwrap_or(0).saturating_sub(hunk.final_start_line());
        let there = hunk.path().unwrap_or(path).to_string_lossy().into_owned();
        let line = u32::try_from(hunk.orig_start_line() + offset).unwrap_or(u32::MAX);
        let commit = (!id.is_zero()).then(|| from_git(id));
        Ok(Some(BlamedLine { commit, path: there, line }))
    }

    /// Which line of a file in `to` is line `line` of it in `from`; nothing if `to` has no such
    /// line.
    pub fn same_line(
        &self,
        (from, to): (Oid, Oid),
        path: &Path,
        line: u32,
    ) -> Result<Option<u32>, GitError> {
        let (Some(new), Some(old)) = (self.file_at(from, path)?, self.file_at(to, path)?) else {
            return Ok(None);
        };
        let doing = "comparing two versions of";
        let mut options = DiffOptions::new();
        options.context_lines(0).force_text(true);
        let patch = Patch::from_buffers(&old, None, &new, None, Some(&mut options))
            .map_err(git(doing, path.display()))?;
        let mut shift = 0_i64;
        for n in 0..patch.num_hunks() {
            let (hunk, _) = patch.hunk(n).map_err(git(doing, path.display()))?;
            // Of a hunk without lines on our side the start is the line before it.
            let begins = hunk.new_start() + u32::from(hunk.new_lines() == 0);
            if line < begins {
                break;
            }
            if line < begins + hunk.new_lines() {
                return Ok(None);
            }
            shift += i64::from(hunk.old_lines()) - i64::from(hunk.new_lines());
        }
        Ok(u32::try_from(i64::from(line) + shift).ok())
    }

    /// The commit a person names: an id, the beginning of one, a branch. Nothing if there is none.
    pub fn find_commit(&self, name: &str) -> Result<Option<Oid>, GitError> {
        let repo = self.open()?;
        let found = repo.revparse_single(name).and_then(|it| it.peel_to_commit());
        Ok(found.ok().map(|it| from_git(it.id())))
    }

    /// The commit after `below`, up to `tip`, whose tree is `tree`; nothing if none of the next
    /// few has it, or `below` is not below `tip`.
    pub fn carries_tree(&self, tip: Oid, below: Oid, tree: Oid) -> Result<Option<Oid>, GitError> {
        let repo = self.open()?;
        let doing = "reading the history of";
        if !ancestor(&repo, below, tip)? {
            return Ok(None);
        }
        let mut walk = repo.revwalk().map_err(git(doing, tip))?;
        walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE).map_err(git(doing, tip))?;
        walk.push(to_git(tip)).map_err(git(doing, tip))?;
        walk.hide(to_git(below)).map_err(git(doing, below))?;
        for id in walk.take(MAX_TOGETHER) {
            let id = from_git(id.map_err(git(doing, tip))?);
            if from_git(commit(&repo, id)?.tree_id()) == tree {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

/// Most commits that are looked at for the one whose tree was gated.
const MAX_TOGETHER: usize = 1_024;
