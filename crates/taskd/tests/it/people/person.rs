//! A person at work in their own checkout, by chance.
#![expect(clippy::disallowed_methods, reason = "a person runs git")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use taskd_model::Digest;

use crate::support::World;

/// Numbers that look random and are the same every time.
pub(super) struct Dice(pub(super) u64, pub(super) u64);

impl Dice {
    /// A number below `below`.
    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.1 += 1;
        let digest = Digest::of(&[self.0.to_le_bytes(), self.1.to_le_bytes()].concat());
        let mut word = [0; 8];
        word.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_le_bytes(word) % below
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let n = self.roll(from.len() as u64);
        &from[usize::try_from(n).expect("small")]
    }
}

/// How a git ended.
pub(super) struct Said {
    pub(super) ok: bool,
    pub(super) out: Vec<u8>,
    pub(super) err: String,
}

/// Runs git in a directory; it writes nothing that it need not.
pub(super) fn git(world: &World, dir: &Path, args: &[&str]) -> Said {
    dated(world, dir, args, 0)
}

fn dated(world: &World, dir: &Path, args: &[&str], step: u64) -> Said {
    let date = format!("{} +0000", 1_700_000_000 + step);
    let out = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .envs(&world.env)
        .envs([("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output()
        .expect("git is installed");
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    Said { ok: out.status.success(), out: out.stdout, err }
}

/// What a git says that has to succeed.
#[track_caller]
pub(super) fn git_ok(world: &World, dir: &Path, args: &[&str]) -> String {
    let said = git(world, dir, args);
    assert!(said.ok, "git {args:?}: {}", said.err);
    String::from_utf8_lossy(&said.out).into_owned()
}

/// Something a person does in a checkout.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Edit { file: String, text: String, stage: bool },
    Remove { file: String },
    Run { file: String },
    Link { file: String },
    Git(Vec<String>),
}

/// Branches of the person's.
const BRANCHES: [&str; 3] = ["side", "feature/one", "feature/two"];
/// Files that everybody knows.
const FILES: [&str; 4] = ["a.txt", "src/b.txt", "src/deep/c.txt", "tool.sh"];

impl Act {
    /// What the person does next; `away` stays off the target.
    pub(super) fn draw(dice: &mut Dice, step: u64, away: bool) -> Self {
        let git = |words: &[&str]| Self::Git(words.iter().map(|it| (*it).to_owned()).collect());
        let (text, message) = (format!("person {step}\n"), format!("person: {step}"));
        let file = (*dice.pick(&FILES)).to_owned();
        match dice.roll(26) {
            0..4 => Self::Edit { file, text, stage: false },
            4..6 => Self::Edit { file, text, stage: true },
            6 => Self::Edit { file: format!("mine/new-{step}"), text, stage: false },
            7 => Self::Edit { file: format!("mine-{step}"), text, stage: true },
            8 => Self::Remove { file },
            9 => Self::Run { file },
            10 => Self::Link { file },
            11..14 => git(&["commit", "-q", "-a", "-m", &message]),
            14 => git(&["commit", "-q", "-m", &message]),
            15 => git(&["stash", "push", "-q"]),
            16 => git(&["stash", "push", "-q", "--include-untracked"]),
            17 => git(&["stash", "pop", "-q"]),
            18 if !away => git(&["switch", "-q", "main"]),
            18..20 => git(&["switch", "-q", *dice.pick(&BRANCHES)]),
            20 => git(&["checkout", "-q", "--detach"]),
            21 => git(&["tag", &format!("tag-{step}")]),
            22 => git(&["branch", "-f", &format!("mark-{}", step % 3)]),
            23 => git(&["config", "person.step", &step.to_string()]),
            24 => git(&["reset", "-q", "--hard"]),
            _ => match dice.roll(4) {
                0 => git(&["pack-refs", "--all"]),
                1 => git(&["gc", "-q"]),
                2 => git(&["commit", "-q", "--amend", "--allow-empty", "-m", &message]),
                _ => git(&["reset", "-q"]),
            },
        }
    }

    /// Whether it makes the last commit anew.
    pub(super) fn amends(&self) -> bool {
        matches!(self, Self::Git(words) if words.iter().any(|it| it == "--amend"))
    }

    /// Whether it puts the branch where it was when git began to look: a landing between the two is
    /// taken back, by git.
    pub(super) fn resets(&self) -> bool {
        matches!(self, Self::Git(words) if words[0] == "reset")
    }

    /// Whether it makes one commit on top of the last.
    pub(super) fn commits(&self) -> bool {
        matches!(self, Self::Git(words) if words[0] == "commit") && !self.amends()
    }

    /// Does it; says how a git of it failed.
    pub(super) fn perform(&self, world: &World, dir: &Path, step: u64) -> Option<String> {
        match self {
            Self::Edit { file, text, stage } => {
                let path = dir.join(file);
                fs::create_dir_all(path.parent().expect("below the checkout")).ok()?;
                fs::remove_file(&path).ok();
                fs::write(&path, text).expect("writable");
                if *stage {
                    let said = dated(world, dir, &["add", "--", file], step);
                    return (!said.ok).then_some(said.err);
                }
            }
            Self::Remove { file } => drop(fs::remove_file(dir.join(file))),
            Self::Run { file } => {
                let path = dir.join(file);
                if fs::symlink_metadata(&path).is_ok_and(|it| it.is_file()) {
                    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
                }
            }
            Self::Link { file } => {
                let path = dir.join(file);
                if fs::symlink_metadata(&path).is_ok() {
                    fs::remove_file(&path).expect("ours");
                    symlink("somewhere", path).expect("ours");
                }
            }
            Self::Git(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let said = dated(world, dir, &words, step);
                return (!said.ok).then_some(said.err);
            }
        }
        None
    }
}

/// Makes the person's repository: a few files, a branch or two.
pub(super) fn settle(world: &World) {
    world.write("src/b.txt", "b\n");
    world.write("src/deep/c.txt", "c\n");
    world.write("tool.sh", "true\n");
    world.write(".gitignore", "*.log\n");
    world.write("build.log", "ignored\n");
    symlink("a.txt", world.repo.join("link")).expect("ours");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "person: files"]);
    for branch in BRANCHES {
        world.git(&["branch", branch]);
    }
}
