//! A commit with some files of another: the work to be judged, with the judge's own files. Writes
//! objects only; no ref moves and no worktree is touched.

use git2::{Delta, DiffOptions, Index, IndexEntry, IndexTime, Tree};
use taskd_model::Oid;

use crate::{
    error::{GitError, git},
    path::RepoPath,
    repo::{Identity, Repo, commit, tree, write_commit},
};

/// A path that two trees have differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Where it is. A rename is two of them.
    pub path: RepoPath,
    /// The first tree has a file there.
    pub was_there: bool,
}

impl Repo {
    /// Every path that two commits or trees have differently, in order.
    pub fn changed(&self, from: Oid, to: Oid) -> Result<Vec<Changed>, GitError> {
        let repo = self.open()?;
        let (old, new) = (tree(&repo, from)?, tree(&repo, to)?);
        let mut options = DiffOptions::new();
        options.include_typechange(true).skip_binary_check(true);
        let diff = repo
            .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
            .map_err(git("comparing", format!("{from} with {to}")))?;
        let changed = |delta: git2::DiffDelta<'_>| {
            let was_there = delta.status() != Delta::Added;
            let file = if was_there { delta.old_file() } else { delta.new_file() };
            file.path_bytes().map(|it| Changed { path: RepoPath::new(it), was_there })
        };
        let mut found: Vec<Changed> = diff.deltas().filter_map(changed).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// The files of `work`, but with these paths as they are in `base`, as a commit on `base` that
    /// no ref names. What stands in the way of a file of the base, and what the base has not at such
    /// a path, is not in it.
    pub fn with_files_of(
        &self,
        work: Oid,
        base: Oid,
        paths: &[RepoPath],
        sign: &Identity,
    ) -> Result<Oid, GitError> {
        let repo = self.open()?;
        let doing = "putting files of the base into";
        let (work_tree, base_tree) = (tree(&repo, work)?, tree(&repo, base)?);
        let mut index = Index::new().map_err(git(doing, work))?;
        index.read_tree(&work_tree).map_err(git(doing, work))?;
        for path in paths {
            forget(&mut index, path).map_err(git(doing, path))?;
        }
        for path in paths {
            let Some(entry) = entry_in(&base_tree, path).map_err(git(doing, path))? else {
                continue;
            };
            // A file of the work may stand where the base has a directory, or the other way round.
            let mut above = path.as_path().parent();
            while let Some(dir) = above.filter(|it| !it.as_os_str().is_empty()) {
                forget(&mut index, &RepoPath::from(dir)).map_err(git(doing, path))?;
                above = dir.parent();
            }
            index
                .remove_dir(path.as_path(), 0)
                .or_else(absent)
                .and_then(|()| index.add(&entry))
                .map_err(git(doing, path))?;
        }
        let judged = index.write_tree_to(&repo).map_err(git(doing, work))?;
        let judged = repo.find_tree(judged).map_err(git("reading the tree", judged))?;
        let parent = commit(&repo, base)?;
        let message = format!("taskd: {work} with files of its base\n");
        write_commit(&repo, &judged, &[&parent], &message, &sign.signature()?)
    }
}

fn forget(index: &mut Index, path: &RepoPath) -> Result<(), git2::Error> {
    index.remove(path.as_path(), 0).or_else(absent)
}

fn absent(error: git2::Error) -> Result<(), git2::Error> {
    if error.code() == git2::ErrorCode::NotFound { Ok(()) } else { Err(error) }
}

/// What a tree has at a path, as an entry of an index; nothing for a directory.
fn entry_in(tree: &Tree<'_>, path: &RepoPath) -> Result<Option<IndexEntry>, git2::Error> {
    let found = match tree.get_path(path.as_path()) {
        Ok(found) => found,
        Err(error) => return absent(error).map(|()| None),
    };
    if found.kind() == Some(git2::ObjectType::Tree) {
        return Ok(None);
    }
    let zero = IndexTime::new(0, 0);
    Ok(Some(IndexEntry {
        ctime: zero,
        mtime: zero,
        dev: 0,
        ino: 0,
        mode: u32::try_from(found.filemode()).unwrap_or_default(),
        uid: 0,
        gid: 0,
        file_size: 0,
        id: found.id(),
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }))
}
