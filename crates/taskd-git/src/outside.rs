//! What a program that works in a worktree does to git besides its files: commits, branches, the
//! stash, HEAD, `.git` itself, configuration and hooks.
//!
//! A person works in the same repository at the same time, so only what is proven to be the
//! program's is undone: what happened in the worktree's own metadata, and what a reflog says was
//! done by the committer whose mail address is the run's mark. Everything else is told. What is
//! undone is kept under a ref of ours first.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use git2::{Reflog, ReflogEntry, Repository, Sort};
use taskd_model::Oid;

use crate::checkpoint::count;
use crate::error::{GitError, git, io};
use crate::files::write_own_index;
use crate::refs::on_branch;
use crate::repo::{Repo, from_git, to_git, tree};
use crate::spot::{Kind, Spot, replace};

/// A larger configuration is compared, but no copy of it is kept.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// Commits of one run are counted up to here.
const MAX_COMMITS: usize = 1_000;
/// So many places a HEAD has been at are looked at.
const MAX_TIPS: usize = 100;

/// A repository as it was before a program ran in one of its worktrees.
#[derive(Debug, Clone)]
pub struct Before {
    refs: BTreeMap<String, Oid>,
    head: Vec<u8>,
    config: Vec<(String, String)>,
    config_bytes: Option<Vec<u8>>,
    hooks: BTreeMap<String, (u64, i64, i64, u32)>,
}

/// In whose name a run does what it does to git: the mail address of its committer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    run: String,
    /// How the marks of every run in the same worktree end.
    all: String,
}

impl Mark {
    /// The mail address.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.run
    }

    fn is_of_this_run(&self, entry: &ReflogEntry<'_>) -> bool {
        entry.committer().email_bytes() == self.run.as_bytes()
    }

    fn is_of_any_run(&self, entry: &ReflogEntry<'_>) -> bool {
        entry.committer().email_bytes().ends_with(self.all.as_bytes())
    }
}

/// One thing that happened to git while a program ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trace {
    /// It made commits of its own; they are kept.
    Committed {
        /// How many, at most 1,000 are counted.
        commits: u32,
        /// Refs of ours that hold them.
        kept: Vec<String>,
    },
    /// The worktree was left elsewhere than where it was put, and is back.
    HeadMoved {
        /// The branch or the commit it was at.
        was: String,
    },
    /// It made a branch, and nobody else has moved it.
    BranchMade {
        /// Its short name.
        name: String,
        /// The ref of ours that holds its tip.
        kept: String,
        /// It is gone again; otherwise somebody has it checked out.
        removed: bool,
    },
    /// It moved a branch that was there before, or what a checkout of a person has checked out.
    RefMoved {
        /// The ref, or `HEAD`.
        name: String,
        /// Where it was, as git takes it; empty if it was not there.
        old: String,
        /// Where it is.
        now: String,
    },
    /// A branch or tag that was there before is gone; nothing tells who did that.
    RefGone {
        /// The ref.
        name: String,
        /// Where it was.
        old: Oid,
    },
    /// It put files into the stash all worktrees share; they are kept, and out of it again.
    Stashed {
        /// Refs of ours that hold them, the newest first.
        kept: Vec<String>,
    },
    /// The configuration changed; nothing tells who did that.
    Config {
        /// The keys.
        keys: Vec<String>,
        /// A copy of how it was.
        copy: Option<PathBuf>,
    },
    /// Hooks changed; nothing tells who did that.
    Hooks {
        /// Their files.
        files: Vec<String>,
    },
    /// The worktree's `.git` was something else, and is put back.
    GitReplaced {
        /// Where what was there is now.
        kept: Option<PathBuf>,
    },
}

impl Repo {
    /// The mark of one run in the worktree of this name; no other run has that number.
    #[must_use]
    pub fn mark(&self, name: &str, run: u64) -> Mark {
        // No name has a `+`.
        let all = format!("+{name}+{}@taskd.invalid", self.tag());
        Mark { run: format!("run-{run}{all}"), all }
    }

    /// Looks at the repository before a program runs.
    pub fn before(&self) -> Result<Before, GitError> {
        let config = self.git_dir().join("config");
        let small = fs::metadata(&config).is_ok_and(|it| it.len() <= MAX_CONFIG_BYTES);
        Ok(Before {
            refs: refs_of_people(&self.open()?)?,
            head: fs::read(self.git_dir().join("HEAD")).unwrap_or_default(),
            config: settings(&config),
            config_bytes: small.then(|| fs::read(&config).ok()).flatten(),
            hooks: hooks(&self.git_dir().join("hooks")),
        })
    }

    /// Puts the worktree's `.git` back if it is something else now, which is moved beside the
    /// worktree. Without it nothing of the worktree could be saved.
    pub fn mend(&self, name: &str) -> Result<Option<Trace>, GitError> {
        let spot = self.spot_of_any(name)?;
        if !spot.claimed()? || !spot.dir.is_dir() {
            return Ok(None);
        }
        let link = spot.dir.join(".git");
        let wanted = spot.link();
        let kept = match fs::symlink_metadata(&link) {
            Ok(it) if it.is_file() && fs::read(&link).is_ok_and(|it| it == wanted) => {
                return Ok(None);
            }
            Ok(_) => Some(aside(&spot, &link)?),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(io("looking at", &link)(e)),
        };
        replace(&link, &wanted)?;
        Ok(Some(Trace::GitReplaced { kept }))
    }

    /// Says what happened to git since `before`, keeps what a program made there under refs of
    /// ours, and undoes what its `mark` proves to be its doing; stashes and branches of earlier runs
    /// too, which nobody could look at when we died with them. For a worktree whose files are saved
    /// and whose program is gone.
    pub fn after(
        &self,
        name: &str,
        base: Oid,
        before: &Before,
        mark: &Mark,
    ) -> Result<Vec<Trace>, GitError> {
        let spot = self.spot_of_any(name)?;
        spot.existing()?;
        self.clear_ref_locks(name)?;
        let repo = self.open()?;
        let mut traces = Vec::new();
        self.settle(&spot, base, before, &mut traces)?;
        self.stashed(&repo, name, mark, &mut traces)?;
        self.refs_since(&repo, name, before, mark, &mut traces)?;
        self.settings_since(&spot, before, &mut traces)?;
        Ok(traces)
    }

    /// The worktree of this name: a loop's, or a checkout of ours.
    fn spot_of_any(&self, name: &str) -> Result<Spot, GitError> {
        let spot = self.spot(name, Kind::Work)?;
        match spot.claimed() {
            Err(GitError::NotOurs { .. }) => self.spot(name, Kind::Scratch),
            Ok(_) | Err(_) => Ok(spot),
        }
    }

    /// Keeps the commits made in the worktree, and detaches its HEAD at `base` again.
    fn settle(
        &self,
        spot: &Spot,
        base: Oid,
        before: &Before,
        traces: &mut Vec<Trace>,
    ) -> Result<(), GitError> {
        let repo = spot.open()?;
        let head = fs::read(spot.meta.join("HEAD")).unwrap_or_default();
        let head = String::from_utf8_lossy(&head).trim().to_owned();
        let now = repo.refname_to_id("HEAD").ok();
        let mut tips: Vec<git2::Oid> = now.into_iter().collect();
        if let Some(log) = log_of(&repo, "HEAD") {
            tips.extend(log.iter().take(MAX_TIPS).map(|it| it.id_new()));
        }
        let (commits, kept) = self.keep_new(&repo, spot, base, before, tips)?;
        if 0 < commits {
            traces.push(Trace::Committed { commits, kept });
        }
        if head == base.to_string() && !spot.is_in_the_middle() {
            return spot.unset("index.lock").and_then(|()| spot.unset("HEAD.lock"));
        }
        let branch = head.strip_prefix("ref: refs/heads/");
        if branch.is_some() || commits == 0 {
            let was = branch.map_or_else(|| head.clone(), |it| format!("branch {it}"));
            traces.push(Trace::HeadMoved { was });
        }
        spot.reset_state(base)?;
        write_own_index(&repo, spot, &tree(&repo, base)?, None)
    }

    /// Gives each of these a ref of ours that leads to commits nobody had before.
    fn keep_new(
        &self,
        repo: &Repository,
        spot: &Spot,
        base: Oid,
        before: &Before,
        tips: Vec<git2::Oid>,
    ) -> Result<(u32, Vec<String>), GitError> {
        let doing = "looking for new commits in";
        let mut hidden: BTreeSet<git2::Oid> = before.refs.values().map(|it| to_git(*it)).collect();
        hidden.insert(to_git(base));
        // The log of a HEAD goes back to earlier runs.
        let earlier = self.kept_refs(repo, "agent", &spot.name)?;
        hidden.extend(earlier.into_iter().map(|it| to_git(it.1)));
        let (mut commits, mut kept) = (0, Vec::new());
        for tip in tips {
            if !hidden.insert(tip) || repo.find_commit(tip).is_err() {
                continue;
            }
            let mut walk = repo.revwalk().map_err(git(doing, spot.dir.display()))?;
            walk.set_sorting(Sort::TOPOLOGICAL).map_err(git(doing, spot.dir.display()))?;
            walk.push(tip).map_err(git(doing, tip))?;
            for known in hidden.iter().filter(|it| **it != tip) {
                // A tag of a tree, or a commit that was pruned: hides nothing.
                walk.hide(*known).ok();
            }
            let new = walk.take(MAX_COMMITS).filter(Result::is_ok).count();
            if 0 < new {
                commits += new;
                kept.push(self.keep_ref(repo, "agent", &spot.name, from_git(tip))?);
            }
        }
        Ok((count(commits), kept))
    }

    /// Takes what carries the mark out of the stash.
    fn stashed(
        &self,
        repo: &Repository,
        name: &str,
        mark: &Mark,
        traces: &mut Vec<Trace>,
    ) -> Result<(), GitError> {
        const STASH: &str = "refs/stash";
        let (locking, doing) = ("locking the ref", "taking an agent's files out of");
        let Some(log) = log_of(repo, STASH) else { return Ok(()) };
        if !log.iter().any(|it| mark.is_of_any_run(&it)) {
            return Ok(());
        }
        drop(log);
        let mut change = repo.transaction().map_err(git(locking, STASH))?;
        change.lock_ref(STASH).map_err(|e| self.locked(locking, STASH, e))?;
        // From here on nobody else changes it.
        let mut log = repo.reflog(STASH).map_err(git(doing, STASH))?;
        let mut kept = Vec::new();
        let mut n = 0;
        while let Some(entry) = log.get(n) {
            if mark.is_of_any_run(&entry) {
                kept.push(self.keep_ref(repo, "agent", name, from_git(entry.id_new()))?);
                log.remove(n, true).map_err(git(doing, STASH))?;
            } else {
                n += 1;
            }
        }
        let newest = log.get(0).map(|it| it.id_new());
        change.set_reflog(STASH, log).map_err(git(doing, STASH))?;
        match newest {
            Some(tip) => change.set_target(STASH, tip, None, "").map_err(git(doing, STASH))?,
            None => change.remove(STASH).map_err(git(doing, STASH))?,
        }
        change.commit().map_err(git(doing, STASH))?;
        traces.push(Trace::Stashed { kept });
        Ok(())
    }

    /// Branches and tags, and what the person's own checkout is on.
    fn refs_since(
        &self,
        repo: &Repository,
        name: &str,
        before: &Before,
        mark: &Mark,
        traces: &mut Vec<Trace>,
    ) -> Result<(), GitError> {
        let now = refs_of_people(repo)?;
        for (full, tip) in now.iter().filter(|(full, _)| full.starts_with("refs/heads/")) {
            let old = before.refs.get(full);
            let log = log_of(repo, full);
            let entries = || log.iter().flat_map(|it| it.iter());
            if entries().next().is_some() && entries().all(|it| mark.is_of_any_run(&it)) {
                let kept = self.keep_ref(repo, "agent", name, *tip)?;
                let removed = self.remove_branch(repo, full, *tip)?;
                let name = full["refs/heads/".len()..].to_owned();
                traces.push(Trace::BranchMade { name, kept, removed });
            } else if old != Some(tip) && entries().any(|it| mark.is_of_this_run(&it)) {
                let name = full.clone();
                let (old, now) = (old.map_or_else(String::new, Oid::to_string), tip.to_string());
                traces.push(Trace::RefMoved { name, old, now });
            }
        }
        for (full, old) in before.refs.iter().filter(|(full, _)| !now.contains_key(*full)) {
            if !full.starts_with("refs/remotes/") {
                traces.push(Trace::RefGone { name: full.clone(), old: *old });
            }
        }
        let head = fs::read(self.git_dir().join("HEAD")).unwrap_or_default();
        let log = log_of(repo, "HEAD").filter(|_| head != before.head);
        if log.is_some_and(|it| it.iter().any(|it| mark.is_of_this_run(&it))) {
            let plain = |head: &[u8]| {
                let head = String::from_utf8_lossy(head);
                head.trim().trim_start_matches("ref: refs/heads/").to_owned()
            };
            let (old, now) = (plain(&before.head), plain(&head));
            traces.push(Trace::RefMoved { name: "HEAD".to_owned(), old, now });
        }
        Ok(())
    }

    /// Removes a branch that is at `tip` and checked out nowhere.
    fn remove_branch(&self, repo: &Repository, full: &str, tip: Oid) -> Result<bool, GitError> {
        let doing = "removing the branch";
        if on_branch(self.git_dir(), full) || self.linked()?.iter().any(|it| on_branch(it, full)) {
            return Ok(false);
        }
        let mut change = repo.transaction().map_err(git(doing, full))?;
        change.lock_ref(full).map_err(|e| self.locked(doing, full, e))?;
        if repo.refname_to_id(full).ok() != Some(to_git(tip)) {
            return Ok(false);
        }
        change.remove(full).map_err(git(doing, full))?;
        change.commit().map_err(git(doing, full))?;
        Ok(true)
    }

    fn settings_since(
        &self,
        spot: &Spot,
        before: &Before,
        traces: &mut Vec<Trace>,
    ) -> Result<(), GitError> {
        let now = settings(&self.git_dir().join("config"));
        let differ = |one: &[(String, String)], other: &[(String, String)]| {
            one.iter().filter(|it| !other.contains(it)).map(|it| it.0.clone()).collect::<Vec<_>>()
        };
        let mut keys = differ(&before.config, &now);
        keys.extend(differ(&now, &before.config));
        // Tracking is what every `git push -u` of a person writes.
        keys.retain(|it| !it.starts_with("branch."));
        keys.sort_unstable();
        keys.dedup();
        if !keys.is_empty() {
            let copy = spot.meta.join("taskd-config-before");
            let copy = match &before.config_bytes {
                Some(bytes) => replace(&copy, bytes).map(|()| Some(copy))?,
                None => None,
            };
            traces.push(Trace::Config { keys, copy });
        }
        let now = hooks(&self.git_dir().join("hooks"));
        let names: BTreeSet<_> = now.keys().chain(before.hooks.keys()).collect();
        let changed = names.into_iter().filter(|it| now.get(*it) != before.hooks.get(*it));
        let files: Vec<String> = changed.cloned().collect();
        if !files.is_empty() {
            traces.push(Trace::Hooks { files });
        }
        Ok(())
    }

    /// The metadata of every linked worktree.
    fn linked(&self) -> Result<Vec<PathBuf>, GitError> {
        let dir = self.git_dir().join("worktrees");
        match fs::read_dir(&dir) {
            Ok(entries) => Ok(entries.flatten().map(|it| it.path()).collect()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(io("reading", &dir)(e)),
        }
    }
}

/// Moves something out of the worktree, to a free name beside it.
fn aside(spot: &Spot, what: &Path) -> Result<PathBuf, GitError> {
    let mut name = spot.dir.clone().into_os_string();
    name.push(".git-aside");
    let free = |n: &u32| {
        let mut name = name.clone();
        name.push(format!("-{n}"));
        let path = PathBuf::from(name);
        fs::symlink_metadata(&path).is_err().then_some(path)
    };
    let to = (1..).find_map(|n| free(&n)).expect("some name is free");
    fs::rename(what, &to).map_err(io("moving away", what))?;
    Ok(to)
}

/// Branches, tags and remote branches, with the commits they are at.
fn refs_of_people(repo: &Repository) -> Result<BTreeMap<String, Oid>, GitError> {
    let doing = "listing the refs of";
    let mut refs = BTreeMap::new();
    for found in repo.references().map_err(git(doing, repo.path().display()))? {
        // One that cannot be read is broken, and nobody's to compare.
        let Ok(found) = found else { continue };
        let Ok(name) = found.name() else { continue };
        let wanted = ["refs/heads/", "refs/tags/", "refs/remotes/"];
        if wanted.iter().any(|it| name.starts_with(it))
            && let Some(tip) = found.target()
        {
            refs.insert(name.to_owned(), from_git(tip));
        }
    }
    Ok(refs)
}

/// The log of a ref, if there is one. libgit2 would make an empty one, in a person's repository.
fn log_of(repo: &Repository, name: &str) -> Option<Reflog> {
    let dir = if name == "HEAD" { repo.path() } else { repo.commondir() };
    let there = dir.join("logs").join(name).is_file();
    there.then(|| repo.reflog(name).ok()).flatten()
}

/// The settings of one file; one that cannot be read has a single one that says so.
fn settings(file: &Path) -> Vec<(String, String)> {
    let read = || -> Result<Vec<(String, String)>, git2::Error> {
        let config = git2::Config::open(file)?;
        let mut all = Vec::new();
        let mut entries = config.entries(None)?;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let value = if entry.has_value() { text(entry.value_bytes()) } else { String::new() };
            all.push((text(entry.name_bytes()), value));
        }
        Ok(all)
    };
    read().unwrap_or_else(|e| vec![("the file itself".to_owned(), e.message().to_owned())])
}

/// Hooks that would run, as far as one look at each file tells.
fn hooks(dir: &Path) -> BTreeMap<String, (u64, i64, i64, u32)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.filter(|it| !it.file_name().as_bytes().ends_with(b".sample"));
    let state = |path: &Path| {
        let it = fs::metadata(path).ok()?;
        Some((it.len(), it.mtime(), it.mtime_nsec(), it.mode()))
    };
    files
        .filter_map(|it| Some((it.file_name().to_string_lossy().into_owned(), state(&it.path())?)))
        .collect()
}
