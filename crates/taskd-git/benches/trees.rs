//! Figures: how fast worktrees, checkpoints and rebases are in a repository of 50,000 files, beside
//! what git itself takes for the same.
//!
//! `cargo xtask bench` runs this with the figures of the daemon. One line of standard output is one
//! figure of one run: `figure`, its name, its value, parted by tabs. Nothing here passes or fails by
//! its speed; a figure that cannot be taken ends the program.
#![expect(
    clippy::disallowed_methods,
    reason = "makes a repository with git, and runs it beside us"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

use std::{
    fs,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use taskd_git::{Ensure, Identity, Repo, RepoPath};
use taskd_model::Oid;
use tempfile::TempDir;

/// How much of everything.
struct Sizes {
    files: usize,
    runs: usize,
    loops: usize,
}

const WHOLE: Sizes = Sizes { files: 50_000, runs: 5, loops: 50 };
/// For mending this program.
const TINY: Sizes = Sizes { files: 1_000, runs: 2, loops: 4 };

/// Files of one directory.
const A_DIRECTORY: usize = 20;
/// Rebases at work at once: the daemon has as many as it likes, this machine has cores.
const HANDS: usize = 4;

struct Place {
    dir: TempDir,
    root: PathBuf,
    repo: Repo,
    first: Oid,
    second: Oid,
    sign: Identity,
}

fn main() {
    let tiny = std::env::args().any(|it| it == "--tiny");
    let sizes = if tiny { TINY } else { WHOLE };
    let place = Place::new(&sizes);
    eprintln!("== trees: {} files", sizes.files);
    for n in 0..sizes.runs {
        place.cold(n);
    }
    place.checkpoints(&sizes);
    for _ in 0..sizes.runs.min(3) {
        place.rebases(&sizes);
    }
}

/// One figure of one run.
fn tell(figure: &str, value: f64) {
    println!("figure\ttrees.{figure}\t{value:.4}");
}

/// How long something took, in milliseconds.
fn ms<T>(what: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let made = what();
    (began.elapsed().as_secs_f64() * 1e3, made)
}

impl Place {
    fn new(sizes: &Sizes) -> Self {
        let dir = tempfile::Builder::new().prefix("taskd-trees-").tempdir().expect("a temp dir");
        let root = dir.path().join("repo");
        git(dir.path(), &["init", "-q", "-b", "main", "repo"]);
        import(&root, sizes.files);
        git(&root, &["reset", "-q", "--hard", "main"]);
        let repo = Repo::new(root.join(".git"), "be11", dir.path().join("worktrees")).expect("one");
        let oid = |name: &str| git(&root, &["rev-parse", name]).parse().expect("an id");
        let (first, second) = (oid("main"), oid("second"));
        let sign =
            Identity { name: "Pat".to_owned(), email: "pat@example.org".to_owned(), when: 1 };
        Self { dir, root, repo, first, second, sign }
    }

    fn ensure(&self, name: &str) -> PathBuf {
        let made = self.repo.ensure_worktree(name, Ensure::Fresh { base: self.first });
        made.expect("made").path
    }

    /// A worktree from nothing, by us and by git, in turns.
    fn cold(&self, n: usize) {
        let name = format!("cold-{n}");
        tell("cold", ms(|| self.ensure(&name)).0);
        let (by_git, first) = (self.dir.path().join("by-git"), self.first.to_string());
        let by_git = by_git.to_str().expect("UTF-8");
        tell(
            "cold.git",
            ms(|| git(&self.root, &["worktree", "add", "-q", "--detach", by_git, &first])).0,
        );
        git(&self.root, &["worktree", "remove", "--force", by_git]);
        self.repo.remove_worktree(&name, self.first).expect("removed");
        // From a spare that was made one commit earlier.
        assert!(self.repo.make_spare(1, self.second).expect("made"), "there was none");
        let (time, made) =
            ms(|| self.repo.ensure_worktree(&name, Ensure::Fresh { base: self.first }));
        assert!(made.expect("made").from_spare, "taken");
        tell("pool", time);
        self.repo.remove_worktree(&name, self.first).expect("removed");
    }

    /// One file changed in a worktree, many times: saved, and looked at by git.
    fn checkpoints(&self, sizes: &Sizes) {
        let dir = self.ensure("saved");
        let mut last = None;
        for n in 0..sizes.runs * 4 {
            fs::write(dir.join("d0/f0.txt"), format!("changed {n}\n")).expect("writable");
            let (time, saved) =
                ms(|| self.repo.checkpoint("saved", self.first, last, "saved", &self.sign));
            last = Some(saved.expect("saved").commit);
            tell("checkpoint.run", time);
            fs::write(dir.join("d1/f1.txt"), format!("by a tool {n}\n")).expect("writable");
            let (prev, paths) = (last.expect("saved"), [RepoPath::from("d1/f1.txt")]);
            let (time, saved) = ms(|| {
                self.repo.checkpoint_paths("saved", self.first, prev, &paths, "saved", &self.sign)
            });
            last = Some(saved.expect("saved").commit);
            tell("checkpoint.file", time);
            fs::write(dir.join("d0/f0.txt"), format!("changed again {n}\n")).expect("writable");
            tell("status", ms(|| git(&dir, &["status", "--porcelain"])).0);
        }
        self.repo.remove_worktree("saved", last.expect("one")).expect("removed");
    }

    /// Loops with a file of their own each, all moved onto a target that changed another.
    fn rebases(&self, sizes: &Sizes) {
        let mut work = Vec::new();
        for n in 0..sizes.loops {
            let name = format!("loop-{n}");
            let dir = self.ensure(&name);
            fs::write(dir.join(format!("d1/own-{n}.txt")), "mine\n").expect("writable");
            let saved = self.repo.checkpoint(&name, self.first, None, "mine", &self.sign);
            work.push((name, saved.expect("saved").commit));
        }
        let next = AtomicUsize::new(0);
        let (time, ()) = ms(|| {
            std::thread::scope(|scope| {
                for _ in 0..HANDS {
                    scope.spawn(|| {
                        while let Some((name, work)) = work.get(next.fetch_add(1, Ordering::SeqCst))
                        {
                            let moved = self.repo.rebase(name, self.first, self.second, *work);
                            assert!(moved.expect("moved").conflicts.is_empty(), "no conflict");
                        }
                    });
                }
            });
        });
        tell("rebase", time / 1e3);
        for (name, work) in &work {
            self.repo.remove_worktree(name, *work).expect("removed");
        }
    }
}

/// Two commits of so many files; the second, `second`, changes ten of them.
fn import(root: &Path, files: usize) {
    let mut child = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .spawn()
        .expect("git is installed");
    let mut out = BufWriter::new(child.stdin.take().expect("piped"));
    let file = |n: usize, what: &str| {
        let line = format!("{what} {n}: a line of a file that is about as long as code is\n");
        let text = line.repeat(10 + n % 40);
        let path = format!("d{}/f{}.txt", n / A_DIRECTORY, n % A_DIRECTORY);
        format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len())
    };
    let head = |name: &str| {
        format!("commit refs/heads/{name}\ncommitter Pat <pat@example.org> 1 +0000\ndata 2\nx\n")
    };
    out.write_all(head("main").as_bytes()).expect("read");
    for n in 0..files {
        out.write_all(file(n, "first").as_bytes()).expect("read");
    }
    out.write_all(format!("{}from refs/heads/main\n", head("second")).as_bytes()).expect("read");
    for n in 0..10 {
        out.write_all(file(n * files / 10 + 2, "second").as_bytes()).expect("read");
    }
    drop(out);
    assert!(child.wait().expect("ours").success(), "git fast-import");
}

/// Runs git and returns what it printed.
fn git(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("git").args(args).current_dir(dir).output().expect("git is installed");
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}
