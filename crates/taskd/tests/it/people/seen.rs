//! What of a repository is the person's: looked at byte by byte, and compared with what it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
};

use super::person::{git, git_ok};
use crate::support::World;

/// What is neither compared as bytes nor the person's: objects, what is ours, and what is compared
/// by its meaning.
const NOT_AS_BYTES: [&str; 8] = [
    "objects",
    "refs",
    "packed-refs",
    "worktrees",
    "logs/refs/heads/main",
    "logs/refs/taskd",
    "gc.pid",
    "info/refs",
];

/// A file: its mode (with its kind), its bytes (or where it points), and when it was written.
type File = (u32, Vec<u8>, i64);

/// Everything of a repository that is the person's, at one moment.
#[derive(Clone)]
pub(super) struct Seen {
    /// The checkout.
    files: BTreeMap<String, File>,
    /// The git directory: HEAD, index, configuration, hooks, logs and whatever else is there.
    git: BTreeMap<String, Vec<u8>>,
    /// Every ref that is not ours, `main` too.
    refs: BTreeMap<String, String>,
    /// The index by its meaning.
    staged: BTreeMap<String, String>,
}

impl Seen {
    pub(super) fn look(world: &World, repo: &Path) -> Self {
        let refs = git_ok(world, repo, &["for-each-ref", "--format=%(refname) %(objectname)"]);
        let refs = refs.lines().filter_map(|line| line.split_once(' '));
        let refs = refs.filter(|(name, _)| !name.starts_with("refs/taskd/"));
        let staged = git_ok(world, repo, &["ls-files", "-z", "--stage"]);
        let staged = staged.split('\0').filter_map(|line| line.split_once('\t'));
        let mut git = BTreeMap::new();
        walk(
            &repo.join(".git"),
            "",
            &|it| NOT_AS_BYTES.contains(&it),
            &mut |name, (_, bytes, _)| {
                // A lock of ours is there for a moment; those that stay are looked for in the end.
                if !name.ends_with(".lock") && !name.starts_with("taskd-") {
                    git.insert(name, bytes);
                }
            },
        );
        let mut files = BTreeMap::new();
        walk(repo, "", &|it| it == ".git", &mut |name, file| {
            files.insert(name, file);
        });
        Self {
            files,
            git,
            refs: refs.map(|(name, oid)| (name.to_owned(), oid.to_owned())).collect(),
            staged: staged.map(|(entry, path)| (path.to_owned(), entry.to_owned())).collect(),
        }
    }

    /// Whether the person's checkout is on the target.
    pub(super) fn on_main(&self) -> bool {
        self.git.get("HEAD").is_some_and(|it| it.trim_ascii() == b"ref: refs/heads/main")
    }

    pub(super) fn main(&self) -> &str {
        &self.refs["refs/heads/main"]
    }

    /// What has changed since `self`, though nobody but taskd did anything. Nothing, if all of it
    /// is as ruled: the target may move forward, and a checkout that is on it follows.
    pub(super) fn changed_to(&self, now: &Self, world: &World) -> Vec<String> {
        let mut wrong = Vec::new();
        let (old, new) = (self.main(), now.main());
        let moved = old != new;
        if moved && !git(world, &world.repo, &["merge-base", "--is-ancestor", old, new]).ok {
            wrong.push(format!("main went from {old} to {new}, which does not contain it"));
        }
        let followed = moved && self.on_main();
        let mut changed = BTreeSet::new();
        if followed {
            let names = ["diff", "--name-only", "--no-renames", "-z", old, new];
            let names = git_ok(world, &world.repo, &names);
            changed = names.split('\0').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        }
        let but_main = |it: &Self| {
            it.refs
                .clone()
                .into_iter()
                .filter(|it| it.0 != "refs/heads/main")
                .collect::<BTreeMap<_, _>>()
        };
        differ("ref", &but_main(self), &but_main(now), &|_| false, &mut wrong);
        let index = |name: &str| followed && name == "index";
        let mut after = now.git.clone();
        if let (true, Some(was), Some(log)) =
            (followed, self.git.get("logs/HEAD"), after.get_mut("logs/HEAD"))
            && log.starts_with(was)
        {
            // The log of HEAD tells of the move.
            log.truncate(was.len());
        }
        differ("git file", &self.git, &after, &index, &mut wrong);
        let followers = |name: &str| changed.contains(name);
        // A checkout on the target may have followed and gone back, which writes files anew.
        let timeless = |it: &Self| {
            let time = |file: &File| if self.on_main() { 0 } else { file.2 };
            it.files.iter().map(|(k, v)| (k.clone(), (v.0, v.1.clone(), time(v)))).collect()
        };
        let (files, files_now): (BTreeMap<_, File>, BTreeMap<_, File>) =
            (timeless(self), timeless(now));
        differ("file", &files, &files_now, &followers, &mut wrong);
        differ("staged", &self.staged, &now.staged, &followers, &mut wrong);
        if followed {
            now.is_at(new, &changed, world, &mut wrong);
        }
        wrong
    }

    /// That these paths are on disk and in the index as they are in a commit.
    fn is_at(
        &self,
        commit: &str,
        paths: &BTreeSet<String>,
        world: &World,
        wrong: &mut Vec<String>,
    ) {
        let tree = git_ok(world, &world.repo, &["ls-tree", "-r", "-z", commit]);
        let tree: BTreeMap<&str, &str> =
            tree.split('\0').filter_map(|it| it.split_once('\t').map(|(a, b)| (b, a))).collect();
        for path in paths {
            let wanted = tree.get(path.as_str()).map(|it| it.split(' ').collect::<Vec<_>>());
            let staged = self.staged.get(path).map(|it| it.split(' ').collect::<Vec<_>>());
            let same = match (&wanted, &staged) {
                (Some(wanted), Some(staged)) => wanted[0] == staged[0] && wanted[2] == staged[1],
                (None, None) => true,
                _ => false,
            };
            if !same {
                wrong.push(format!("staged {path} did not follow: {staged:?}, not {wanted:?}"));
            }
            let file = self.files.get(path);
            let (Some(wanted), Some((_, bytes, _))) = (&wanted, file) else {
                if wanted.is_some() != file.is_some() {
                    wrong.push(format!("file {path} did not follow"));
                }
                continue;
            };
            let blob = git(world, &world.repo, &["cat-file", "blob", wanted[2]]);
            if blob.out != *bytes {
                wrong.push(format!("file {path} is not the one of {commit}"));
            }
        }
    }

    /// How the repository differs from one in which only the person was at work. Times and the
    /// bytes of the index, which hold times, differ.
    pub(super) fn beside(&self, shadow: &Self) -> Vec<String> {
        let mut wrong = Vec::new();
        let plain = |it: &Self| -> BTreeMap<String, (u32, Vec<u8>)> {
            it.files.iter().map(|(k, v)| (k.clone(), (v.0, v.1.clone()))).collect()
        };
        let main = |name: &str| name == "refs/heads/main";
        differ("shadow ref", &shadow.refs, &self.refs, &main, &mut wrong);
        differ("shadow file", &plain(shadow), &plain(self), &|_| false, &mut wrong);
        differ("shadow staged", &shadow.staged, &self.staged, &|_| false, &mut wrong);
        let index = |name: &str| name == "index";
        differ("shadow git file", &shadow.git, &self.git, &index, &mut wrong);
        wrong
    }

    /// Whether the checkout is locked: it moves with its branch just now.
    pub(super) fn moves(repo: &Path) -> bool {
        ["index.lock", "HEAD.lock"].iter().any(|it| repo.join(".git").join(it).exists())
    }

    /// Lock files of anybody's, and what stands beside them while a checkout moves.
    pub(super) fn locks(repo: &Path) -> Vec<String> {
        let mut locks = Vec::new();
        walk(&repo.join(".git"), "", &|it| it == "objects", &mut |name, _| {
            if name.ends_with(".lock") || name.starts_with("taskd-") {
                locks.push(name);
            }
        });
        locks
    }
}

/// Says what differs between two maps, but for what may.
fn differ<V: PartialEq>(
    what: &str,
    was: &BTreeMap<String, V>,
    now: &BTreeMap<String, V>,
    may: &dyn Fn(&str) -> bool,
    wrong: &mut Vec<String>,
) {
    for name in was.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
        let how = match (was.get(name), now.get(name)) {
            (Some(was), Some(now)) if was == now => continue,
            (Some(_), Some(_)) => "has changed",
            (Some(_), None) => "is gone",
            _ => "has appeared",
        };
        if !may(name) {
            wrong.push(format!("{what} {name} {how}"));
        }
    }
}

/// Every file below a directory. What goes while this looks is left out.
fn walk(dir: &Path, under: &str, skip: &dyn Fn(&str) -> bool, each: &mut dyn FnMut(String, File)) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = if under.is_empty() { name } else { format!("{under}/{name}") };
        if skip(&name) {
            continue;
        }
        let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
        if meta.is_dir() {
            walk(&entry.path(), &name, skip, each);
            continue;
        }
        let bytes = if meta.is_symlink() {
            fs::read_link(entry.path()).map(|it| it.as_os_str().as_bytes().to_vec())
        } else {
            fs::read(entry.path())
        };
        let Ok(bytes) = bytes else { continue };
        let time = meta.mtime() * 1_000_000_000 + meta.mtime_nsec();
        each(name, (meta.permissions().mode(), bytes, time));
    }
}
