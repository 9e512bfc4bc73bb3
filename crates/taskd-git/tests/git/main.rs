//! Stories about real repositories in temporary directories. No network, no home directory, no
//! ambient git config, no sleeping. This file is the stage; the stories are in the modules.

mod checkpoints;
mod follows;
mod gc;
mod kept;
mod landing;
mod outside;
mod overlay;
mod pool;
mod probing;
mod properties;
mod rebasing;
mod remotes;
mod worktrees;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use taskd_git::{Checkpoint, Ensure, Identity, Repo};
use taskd_model::Oid;
use tempfile::TempDir;

/// A person's repository and a store's view of it.
pub(crate) struct Stage {
    pub(crate) temp: TempDir,
    pub(crate) root: PathBuf,
    pub(crate) repo: Repo,
}

impl Stage {
    /// A repository on `main` with one commit of these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let temp = tempfile::tempdir().expect("temp dir");
        let base = temp.path().canonicalize().expect("real path");
        let root = base.join("home").join("project");
        fs::create_dir_all(&root).expect("mkdir");
        git(&root, &["init", "-q", "-b", "main"]);
        settle_config(&root);
        for (path, text) in files {
            write(&root, path, text);
        }
        git(&root, &["add", "-A"]);
        git(&root, &["commit", "-q", "--allow-empty", "-m", "first"]);
        let repo = Repo::new(root.join(".git"), "ab12", base.join("state")).expect("good tag");
        Self { temp, root, repo }
    }

    pub(crate) fn head(&self) -> Oid {
        oid(&git(&self.root, &["rev-parse", "HEAD"]))
    }

    /// Commits these files on the person's branch.
    pub(crate) fn commit(&self, message: &str, files: &[(&str, &str)]) -> Oid {
        for (path, text) in files {
            write(&self.root, path, text);
        }
        git(&self.root, &["add", "-A"]);
        git(&self.root, &["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        let how = Ensure::Fresh { base: self.head() };
        self.repo.ensure_worktree(name, how).expect("prepared").path
    }

    pub(crate) fn restore(&self, name: &str, base: Oid, checkpoint: Oid) -> taskd_git::Prepared {
        self.repo.ensure_worktree(name, Ensure::Restore { base, checkpoint }).expect("restored")
    }

    pub(crate) fn save(&self, name: &str, base: Oid, prev: Option<Oid>) -> Checkpoint {
        self.repo.checkpoint(name, base, prev, "work\n", &ada()).expect("checkpoint")
    }

    pub(crate) fn meta(&self, name: &str) -> PathBuf {
        self.root.join(".git/worktrees").join(format!("taskd-ab12-{name}"))
    }

    pub(crate) fn file(&self, commit: Oid, path: &str) -> Option<String> {
        let bytes = self.repo.file_at(commit, Path::new(path)).expect("readable")?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

pub(crate) fn settle_config(root: &Path) {
    for (key, value) in [
        ("user.name", "Ada"),
        ("user.email", "ada@example.org"),
        ("core.autocrlf", "false"),
        ("core.excludesFile", "/dev/null"),
        ("core.attributesFile", "/dev/null"),
        ("commit.gpgSign", "false"),
    ] {
        git(root, &["config", key, value]);
    }
}

pub(crate) fn ada() -> Identity {
    Identity { name: "Ada".into(), email: "ada@example.org".into(), when: 1_700_000_000 }
}

/// Runs git as the person would, cut off from everything around the test.
#[expect(clippy::disallowed_methods, reason = "the one place in these tests that starts git")]
pub(crate) fn try_git(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("git");
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.as_bytes().starts_with(b"GIT_")) {
        command.env_remove(key);
    }
    command
        .arg("-C")
        .arg(dir)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_DATE", "1700000000 +0000")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000")
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .expect("git starts")
}

pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = try_git(dir, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?} in {}: {said}", dir.display());
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

pub(crate) fn oid(text: &str) -> Oid {
    text.trim().parse().expect("an object id")
}

pub(crate) fn write(root: &Path, path: impl AsRef<OsStr>, text: &str) {
    let full = root.join(Path::new(path.as_ref()));
    fs::create_dir_all(full.parent().expect("has a parent")).expect("mkdir");
    fs::write(full, text).expect("write");
}

pub(crate) fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).expect("readable")
}

/// Every file below a directory with its mode and content; `.git` left out.
pub(crate) fn files(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    fn walk(dir: &Path, root: &Path, found: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
        for entry in fs::read_dir(dir).expect("readable") {
            let path = entry.expect("readable").path();
            let meta = fs::symlink_metadata(&path).expect("there");
            if path.file_name() == Some(OsStr::new(".git")) {
                continue;
            }
            if meta.is_dir() {
                walk(&path, root, found);
                continue;
            }
            let content = if meta.is_symlink() {
                fs::read_link(&path).expect("link").into_os_string().as_bytes().to_vec()
            } else {
                fs::read(&path).expect("readable")
            };
            let relative = path.strip_prefix(root).expect("below").to_owned();
            found.insert(relative, (meta.permissions().mode(), content));
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}
