//! A model of git: commits, trees and refs, with just enough content for merges to mean something.
//!
//! A file is a number and its text is a version. Merging is three-way by file; a file changed on
//! both sides gets a version with the marker bit. The same files are the same tree.

use std::collections::{BTreeMap, BTreeSet};

use taskd_model::{Digest, Oid, ProjectId};

pub(crate) type Files = BTreeMap<u8, u32>;

/// Set in a version that holds conflict markers.
const MARKED: u32 = 1 << 31;

#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) parents: Vec<Oid>,
    pub(crate) tree: Oid,
    pub(crate) files: Files,
}

#[derive(Debug, Default)]
pub(crate) struct Git {
    commits: BTreeMap<Oid, Commit>,
    versions: u32,
    /// The person's branches.
    pub(crate) targets: BTreeMap<(ProjectId, String), Oid>,
}

/// How a compare-and-swap ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Swap {
    Moved,
    Already,
    Elsewhere(Oid),
}

impl Git {
    pub(crate) fn commit(&mut self, parents: &[Oid], files: Files) -> Oid {
        let id = oid(&[b"commit", &(self.commits.len() as u64).to_le_bytes()]);
        let tree = tree_of(&files);
        self.commits.insert(id, Commit { parents: parents.to_vec(), tree, files });
        id
    }

    pub(crate) fn get(&self, id: Oid) -> &Commit {
        self.commits.get(&id).expect("a commit that was made")
    }

    pub(crate) fn files(&self, id: Oid) -> Files {
        self.get(id).files.clone()
    }

    /// A text nobody has written before.
    pub(crate) fn new_version(&mut self) -> u32 {
        self.versions += 1;
        self.versions
    }

    pub(crate) fn is_ancestor(&self, old: Oid, new: Oid) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![new];
        while let Some(id) = open.pop() {
            if id == old {
                return true;
            }
            if seen.insert(id) {
                open.extend(&self.get(id).parents);
            }
        }
        false
    }

    /// Moves a target from `expected` to `new`; looks first whether that has happened.
    pub(crate) fn swap(&mut self, target: &(ProjectId, String), expected: Oid, new: Oid) -> Swap {
        let actual = self.targets[target];
        if actual == new || (actual != expected && self.is_ancestor(new, actual)) {
            return Swap::Already;
        }
        if actual != expected {
            return Swap::Elsewhere(actual);
        }
        self.targets.insert(target.clone(), new);
        Swap::Moved
    }

    /// `ours` and `theirs` merged, and how many files conflict.
    pub(crate) fn merge(&mut self, base: &Files, ours: &Files, theirs: &Files) -> (Files, u32) {
        let mut merged = Files::new();
        let mut conflicts = 0;
        let names: BTreeSet<u8> =
            base.keys().chain(ours.keys()).chain(theirs.keys()).copied().collect();
        for name in names {
            let (b, o, t) = (base.get(&name), ours.get(&name), theirs.get(&name));
            let version = if o == t || b == t {
                o.copied()
            } else if b == o {
                t.copied()
            } else {
                conflicts += 1;
                Some(self.new_version() | MARKED)
            };
            if let Some(version) = version {
                merged.insert(name, version);
            }
        }
        (merged, conflicts)
    }
}

pub(crate) fn tree_of(files: &Files) -> Oid {
    let mut bytes = Vec::new();
    for (name, version) in files {
        bytes.push(*name);
        bytes.extend(version.to_le_bytes());
    }
    oid(&[b"tree", &bytes])
}

pub(crate) fn markers(files: &Files) -> u32 {
    u32::try_from(files.values().filter(|it| **it & MARKED != 0).count()).unwrap_or(u32::MAX)
}

pub(crate) fn is_marked(version: u32) -> bool {
    version & MARKED != 0
}

/// Files that differ.
pub(crate) fn difference(one: &Files, other: &Files) -> u32 {
    let names: BTreeSet<&u8> = one.keys().chain(other.keys()).collect();
    let differ = names.into_iter().filter(|it| one.get(it) != other.get(it)).count();
    u32::try_from(differ).unwrap_or(u32::MAX)
}

fn oid(parts: &[&[u8]]) -> Oid {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&Digest::of_parts(parts).as_bytes()[..20]);
    Oid::from_bytes(bytes)
}
