//! Trees beside each other, without looking into what both have: the cost follows what differs, not
//! how many files there are. (libgit2 walks both trees to the end.)

use std::collections::{BTreeMap, BTreeSet};

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Repository, Tree};

use crate::error::{GitError, git};
use crate::path::RepoPath;

/// Mode and id of a file, link or submodule.
pub(crate) type Leaf = (i32, git2::Oid);

/// A path that is not the same in two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) path: RepoPath,
    pub(crate) old: Option<Leaf>,
    pub(crate) new: Option<Leaf>,
}

/// Every path below which the trees differ, sorted by directory.
pub(crate) fn changed(
    repo: &Repository,
    old: Option<&Tree<'_>>,
    new: &Tree<'_>,
) -> Result<Vec<Changed>, GitError> {
    let mut out = Vec::new();
    walk(repo, &mut Vec::new(), old, Some(new), &mut out)?;
    Ok(out)
}

const DIRECTORY: i32 = 0o040_000;

fn walk(
    repo: &Repository,
    path: &mut Vec<u8>,
    old: Option<&Tree<'_>>,
    new: Option<&Tree<'_>>,
    out: &mut Vec<Changed>,
) -> Result<(), GitError> {
    let mut names: BTreeMap<Vec<u8>, [Option<Leaf>; 2]> = BTreeMap::new();
    for (side, tree) in [old, new].into_iter().enumerate() {
        for entry in tree.iter().flat_map(|it| it.iter()) {
            let both = names.entry(entry.name_bytes().to_vec()).or_default();
            both[side] = Some((entry.filemode(), entry.id()));
        }
    }
    for (name, [old, new]) in names {
        if old == new {
            continue;
        }
        let length = path.len();
        path.extend_from_slice(&name);
        let leaf = |it: Option<Leaf>| it.filter(|it| it.0 != DIRECTORY);
        if leaf(old).is_some() || leaf(new).is_some() {
            let path = RepoPath::new(path.as_slice());
            out.push(Changed { path, old: leaf(old), new: leaf(new) });
        }
        let below = |it: Option<Leaf>| -> Result<Option<Tree<'_>>, GitError> {
            let Some((_, id)) = it.filter(|it| it.0 == DIRECTORY) else { return Ok(None) };
            repo.find_tree(id).map(Some).map_err(git("reading the tree", id))
        };
        let (old, new) = (below(old)?, below(new)?);
        if old.is_some() || new.is_some() {
            path.push(b'/');
            walk(repo, path, old.as_ref(), new.as_ref(), out)?;
        }
        path.truncate(length);
    }
    Ok(())
}

/// The tree with these changes made; none if one of them is in the way of what is there.
pub(crate) fn with_changes(
    repo: &Repository,
    tree: &Tree<'_>,
    changes: &[Changed],
) -> Option<git2::Oid> {
    let mut update = TreeUpdateBuilder::new();
    for it in changes {
        match it.new {
            Some((mode, id)) => {
                update.upsert(it.path.as_path(), id, file_mode(mode)?);
            }
            None => {
                update.remove(it.path.as_path());
            }
        }
    }
    update.create_updated(repo, tree).ok()
}

/// Both sides of a merge together, if no path of one touches a path of the other. Where none does no
/// rename can matter either: it takes a path that both sides changed.
pub(crate) fn merged_apart(
    repo: &Repository,
    ancestor: &Tree<'_>,
    ours: &Tree<'_>,
    theirs: &Tree<'_>,
) -> Result<Option<git2::Oid>, GitError> {
    let (left, right) =
        (changed(repo, Some(ancestor), ours)?, changed(repo, Some(ancestor), theirs)?);
    let paths = |all: &[Changed]| -> BTreeSet<Vec<u8>> {
        all.iter().map(|it| it.path.as_bytes().to_vec()).collect()
    };
    let (a, b) = (paths(&left), paths(&right));
    // A file where the other side has a directory is in the way as well.
    let meets = |path: &[u8], others: &BTreeSet<Vec<u8>>| {
        let cuts = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(n, _)| n);
        others.contains(path) || cuts.into_iter().any(|n| others.contains(&path[..n]))
    };
    if a.iter().any(|it| meets(it, &b)) || b.iter().any(|it| meets(it, &a)) {
        return Ok(None);
    }
    Ok(with_changes(repo, ours, &right))
}

fn file_mode(mode: i32) -> Option<FileMode> {
    match mode {
        0o100_644 => Some(FileMode::Blob),
        0o100_755 => Some(FileMode::BlobExecutable),
        0o120_000 => Some(FileMode::Link),
        0o160_000 => Some(FileMode::Commit),
        _ => None,
    }
}
