//! Reading: diffs, ancestry, summaries, single files. Writes nothing.

use std::cell::Cell;
use std::path::Path;

use git2::{Delta, DiffFindOptions, DiffFormat, DiffOptions, ErrorCode, Patch};
use serde::{Deserialize, Serialize};
use taskd_model::Oid;

use crate::checkpoint::count;
use crate::error::{GitError, git};
use crate::path::RepoPath;
use crate::refs::ancestor;
use crate::repo::{Repo, commit, from_git, to_git, tree};

/// What differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// The patch, at most as many bytes as asked for, cut at a line.
    pub text: Vec<u8>,
    /// The patch is longer than `text`.
    pub truncated: bool,
    /// Lines added in all files.
    pub added: u32,
    /// Lines removed in all files.
    pub removed: u32,
    /// Each file.
    pub files: Vec<FileStat>,
}

/// What differs in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Where it is now (or was, if deleted).
    pub path: RepoPath,
    /// Where it was before it was renamed.
    pub from: Option<RepoPath>,
    /// As git writes it: A, M, D, R, T.
    pub status: char,
    /// Lines added.
    pub added: u32,
    /// Lines removed.
    pub removed: u32,
    /// Not text.
    pub binary: bool,
}

/// A commit in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitLine {
    /// The commit.
    pub id: Oid,
    /// The first line of its message.
    pub summary: String,
    /// Who wrote it.
    pub author: String,
    /// When it was committed, seconds since 1970.
    pub when: i64,
}

impl Repo {
    /// The difference between two commits or trees, with renames found; text up to `max_bytes`.
    pub fn diff(&self, from: Oid, to: Oid, max_bytes: usize) -> Result<Diff, GitError> {
        let repo = self.open()?;
        let (old, new) = (tree(&repo, from)?, tree(&repo, to)?);
        let what = || format!("{from} with {to}");
        let doing = "comparing";
        let mut options = DiffOptions::new();
        options.include_typechange(true);
        let mut diff = repo
            .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
            .map_err(git(doing, what()))?;
        let mut find = DiffFindOptions::new();
        find.renames(true);
        diff.find_similar(Some(&mut find)).map_err(git(doing, what()))?;
        let mut files = Vec::new();
        for n in 0..diff.deltas().len() {
            files.extend(file_stat(&diff, n).map_err(git(doing, what()))?);
        }
        let (text, truncated) = patch_text(&diff, max_bytes).map_err(git(doing, what()))?;
        let added = files.iter().map(|file| file.added).fold(0, u32::saturating_add);
        let removed = files.iter().map(|file| file.removed).fold(0, u32::saturating_add);
        Ok(Diff { text, truncated, added, removed, files })
    }

    /// Whether `old` is `new` or one of its ancestors.
    pub fn ancestor_of(&self, old: Oid, new: Oid) -> Result<bool, GitError> {
        ancestor(&self.open()?, old, new)
    }

    /// The commit of a branch at `tip` that has the changes of `commit`: that one itself, or since
    /// both parted one that makes the same changes, as a squash or a rebase leaves it, or whose
    /// message has the line `mark`, as a squash that was edited leaves it; with what it stands on. Of
    /// at most 500 commits, newest first.
    pub fn has_changes_of(
        &self,
        commit_id: Oid,
        tip: Oid,
        mark: Option<&str>,
    ) -> Result<Option<(Oid, Oid)>, GitError> {
        const MOST: usize = 500;
        let repo = self.open()?;
        let doing = "looking for the changes of";
        let wrong = || git(doing, commit_id);
        let parent = |id: git2::Oid| -> Result<Option<git2::Oid>, GitError> {
            Ok(repo.find_commit(id).map_err(git(doing, commit_id))?.parent_ids().next())
        };
        if ancestor(&repo, commit_id, tip)? {
            let onto = parent(to_git(commit_id))?.map_or(commit_id, from_git);
            return Ok(Some((commit_id, onto)));
        }
        let changes = |id: git2::Oid, onto: git2::Oid| -> Result<git2::Oid, GitError> {
            let (old, new) = (tree(&repo, from_git(onto))?, tree(&repo, from_git(id))?);
            let diff = repo.diff_tree_to_tree(Some(&old), Some(&new), None);
            diff.and_then(|it| it.patchid(None)).map_err(git(doing, commit_id))
        };
        let says_so = |id: git2::Oid| -> Result<bool, GitError> {
            let Some(mark) = mark else { return Ok(false) };
            let found = repo.find_commit(id).map_err(git(doing, commit_id))?;
            let message = String::from_utf8_lossy(found.message_bytes()).into_owned();
            Ok(message.lines().any(|it| it.trim() == mark))
        };
        let Some(onto) = parent(to_git(commit_id))? else { return Ok(None) };
        let ours = changes(to_git(commit_id), onto)?;
        let mut walk = repo.revwalk().map_err(wrong())?;
        walk.push(to_git(tip)).and_then(|()| walk.hide(onto)).map_err(wrong())?;
        for id in walk.take(MOST) {
            let id = id.map_err(wrong())?;
            if let Some(onto) = parent(id)?
                && (says_so(id)? || changes(id, onto)? == ours)
            {
                return Ok(Some((from_git(id), from_git(onto))));
            }
        }
        Ok(None)
    }

    /// How many commits `a` has that `b` has not, and the other way round.
    pub fn ahead_behind(&self, a: Oid, b: Oid) -> Result<(usize, usize), GitError> {
        self.open()?
            .graph_ahead_behind(to_git(a), to_git(b))
            .map_err(git("comparing", format!("{a} with {b}")))
    }

    /// Where two commits parted, if they have anything in common.
    pub fn merge_base(&self, a: Oid, b: Oid) -> Result<Option<Oid>, GitError> {
        crate::merge::merge_base(&self.open()?, a, b)
    }

    /// A commit in one line.
    pub fn commit_summary(&self, oid: Oid) -> Result<CommitLine, GitError> {
        let repo = self.open()?;
        Ok(line(&commit(&repo, oid)?))
    }

    /// A commit's whole message.
    pub fn message(&self, oid: Oid) -> Result<String, GitError> {
        let repo = self.open()?;
        Ok(String::from_utf8_lossy(commit(&repo, oid)?.message_bytes()).into_owned())
    }

    /// The commit before this one, on the branch it was made on; none before the first.
    pub fn first_parent(&self, oid: Oid) -> Result<Option<Oid>, GitError> {
        let repo = self.open()?;
        Ok(commit(&repo, oid)?.parent_id(0).ok().map(from_git))
    }

    /// Whether a commit has more than one before it.
    pub fn is_merge(&self, oid: Oid) -> Result<bool, GitError> {
        let repo = self.open()?;
        Ok(1 < commit(&repo, oid)?.parent_count())
    }

    /// A file as it was in a commit; none if it was not there or was no file.
    pub fn file_at(&self, commit_id: Oid, path: &Path) -> Result<Option<Vec<u8>>, GitError> {
        let repo = self.open()?;
        let found = match tree(&repo, commit_id)?.get_path(path) {
            Ok(found) => found,
            Err(e) if e.code() == ErrorCode::NotFound => return Ok(None),
            Err(e) => return Err(git("looking for", path.display())(e)),
        };
        let Some(git2::ObjectType::Blob) = found.kind() else { return Ok(None) };
        let blob = repo.find_blob(found.id()).map_err(git("reading", path.display()))?;
        Ok(Some(blob.content().to_vec()))
    }

    /// The tree of a commit.
    pub fn tree_of(&self, commit: Oid) -> Result<Oid, GitError> {
        Ok(from_git(tree(&self.open()?, commit)?.id()))
    }

    /// The last `n` commits from `tip`, newest first.
    pub fn log(&self, tip: Oid, n: usize) -> Result<Vec<CommitLine>, GitError> {
        let repo = self.open()?;
        let doing = "reading the history of";
        let mut walk = repo.revwalk().map_err(git(doing, tip))?;
        walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::TIME).map_err(git(doing, tip))?;
        walk.push(to_git(tip)).map_err(git(doing, tip))?;
        let mut lines = Vec::new();
        for id in walk.take(n) {
            let id = from_git(id.map_err(git(doing, tip))?);
            lines.push(line(&commit(&repo, id)?));
        }
        Ok(lines)
    }
}

fn line(commit: &git2::Commit<'_>) -> CommitLine {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    CommitLine {
        id: from_git(commit.id()),
        summary: text(commit.summary_bytes().unwrap_or_default()),
        author: text(commit.author().name_bytes()),
        when: commit.time().seconds(),
    }
}

fn file_stat(diff: &git2::Diff<'_>, n: usize) -> Result<Option<FileStat>, git2::Error> {
    let patch = Patch::from_diff(diff, n)?;
    let Some(delta) = diff.get_delta(n) else { return Ok(None) };
    let status = match delta.status() {
        Delta::Added => 'A',
        Delta::Deleted => 'D',
        Delta::Renamed => 'R',
        Delta::Typechange => 'T',
        Delta::Modified
        | Delta::Copied
        | Delta::Unmodified
        | Delta::Ignored
        | Delta::Untracked
        | Delta::Unreadable
        | Delta::Conflicted => 'M',
    };
    let path = |file: git2::DiffFile<'_>| file.path_bytes().map(RepoPath::new);
    let Some(now) = path(delta.new_file()).or_else(|| path(delta.old_file())) else {
        return Ok(None);
    };
    let (_, added, removed) = match &patch {
        Some(patch) => patch.line_stats()?,
        None => (0, 0, 0),
    };
    Ok(Some(FileStat {
        path: now,
        from: if status == 'R' { path(delta.old_file()) } else { None },
        status,
        added: count(added),
        removed: count(removed),
        // Known only once the patch has read the file.
        binary: patch.is_none_or(|patch| patch.delta().flags().is_binary()),
    }))
}

fn patch_text(diff: &git2::Diff<'_>, max: usize) -> Result<(Vec<u8>, bool), git2::Error> {
    let mut text = Vec::new();
    let full = Cell::new(false);
    let printed = diff.print(DiffFormat::Patch, |_, _, line| {
        let origin = matches!(line.origin(), '+' | '-' | ' ');
        if text.len() + usize::from(origin) + line.content().len() > max {
            full.set(true);
            return false;
        }
        if origin {
            text.push(u8::try_from(line.origin()).unwrap_or(b' '));
        }
        text.extend_from_slice(line.content());
        true
    });
    match printed {
        Err(_) if full.get() => Ok((text, true)),
        Err(e) => Err(e),
        Ok(()) => Ok((text, false)),
    }
}
