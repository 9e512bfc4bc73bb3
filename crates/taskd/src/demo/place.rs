//! The demo's own folder: a repository with one commit, the plan, the scripts, the environment.
//!
//! Everything below is started with exactly that environment, so nothing of the caller's settings
//! reaches the demo and nothing of the demo reaches them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{self, Command, Output},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, bail};

use super::{
    cassette::Source,
    script::{Scripts, asset},
    seed::{Choices, SPECS},
};

/// The daemon's socket lies in here, and its path must fit into 107 bytes.
const MAX_DIR_BYTES: usize = 70;

/// Where programs are looked for if nobody says.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The files of the first commit.
const FILES: [(&str, &str); 4] = [
    ("words.sh", asset!("repo/words.sh")),
    ("test.sh", asset!("repo/test.sh")),
    ("tests/usage.sh", asset!("repo/tests/usage.sh")),
    ("write-docs.sh", asset!("repo/write-docs.sh")),
];

/// The folder; removed when dropped unless it is kept.
#[derive(Debug)]
pub(super) struct Place {
    dir: PathBuf,
    repo: PathBuf,
    env: BTreeMap<String, String>,
    kept: AtomicBool,
}

/// What main looks like in the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Main {
    /// Its commits after the first, the last one first.
    pub(super) commits: Vec<Commit>,
    /// Where it is.
    pub(super) tip: String,
    /// The last line of `sh test.sh` on a fresh clone.
    pub(super) tests: String,
    /// It ended with 0.
    pub(super) green: bool,
}

/// A commit of main.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) id: String,
    pub(super) subject: String,
    /// What it changed.
    pub(super) files: BTreeSet<String>,
}

impl Place {
    /// Makes the folder and everything in it.
    pub(super) fn make(choices: &Choices, source: &Source) -> anyhow::Result<Self> {
        let mut place = Self::empty(&format!("demo-{}", choices.seed))?;
        place.env.extend(source.variable().map(|(name, value)| (name.to_owned(), value)));
        place.make_repo(choices)?;
        if !matches!(source, Source::Replay(_)) {
            let scripts = Scripts::new(choices);
            place.write(&place.dir.join("model.json"), &scripts.model)?;
            place.write(&place.dir.join("busy.json"), &scripts.busy)?;
        }
        let plan = plan_text(asset!("plan.md"), choices, &place.dir);
        place.write(&place.plan_file(), &plan)?;
        Ok(place)
    }

    /// Makes the folder, with a repository that has no commit yet.
    pub(super) fn empty(name: &str) -> anyhow::Result<Self> {
        let dir = make_dir(name)?;
        let env = environment(&dir)?;
        let place = Self { repo: dir.join("word-counter"), dir, env, kept: AtomicBool::new(false) };
        for name in ["home", "config", "tmp"] {
            place.make_dir(&place.dir.join(name))?;
        }
        place.make_dir(&place.repo)?;
        place.git(&["init", "-q", "."])?;
        // Older gits do not know `init -b`.
        place.git(&["symbolic-ref", "HEAD", "refs/heads/main"])?;
        place.git(&["config", "user.name", "Demo Person"])?;
        place.git(&["config", "user.email", "person@demo.invalid"])?;
        place.git(&["config", "commit.gpgsign", "false"])?;
        Ok(place)
    }

    fn make_dir(&self, dir: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))
    }

    pub(super) fn write(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    fn make_repo(&self, choices: &Choices) -> anyhow::Result<()> {
        self.make_dir(&self.repo.join("tests"))?;
        for (name, text) in FILES {
            let pause = format!("{}.{}", choices.agent_pause / 10, choices.agent_pause % 10);
            self.write(&self.repo.join(name), &text.replace("@PAUSE@", &pause))?;
        }
        make_executable(&self.repo.join("write-docs.sh"))?;
        self.commit_all("a script without options, and a test runner")?;
        self.git(&["tag", "start"])?;
        Ok(())
    }

    /// Everything in the repository becomes a commit of main.
    pub(super) fn commit_all(&self, message: &str) -> anyhow::Result<()> {
        self.git(&["add", "."])?;
        self.git(&["commit", "-q", "-m", message])?;
        Ok(())
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn repo(&self) -> &Path {
        &self.repo
    }

    /// The complete environment of everything the demo starts.
    pub(super) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    pub(super) fn daemon_log(&self) -> PathBuf {
        self.dir.join("daemon.log")
    }

    pub(super) fn plan_file(&self) -> PathBuf {
        self.dir.join("plan.md")
    }

    pub(super) fn plan_text(&self) -> anyhow::Result<String> {
        let file = self.plan_file();
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
    }

    /// What a submission carries: what any client may hand over.
    pub(super) fn submitted_env(&self) -> BTreeMap<String, String> {
        let allowed = |(name, value): (&String, &String)| {
            taskd_tools::agents::is_allowed(name).then(|| (name.clone(), value.clone()))
        };
        self.env.iter().filter_map(allowed).collect()
    }

    /// Looks at main with git's and the shell's eyes, without the daemon.
    pub(super) fn gate_main(&self) -> anyhow::Result<Main> {
        let log = self.git(&["log", "--name-only", "--format=%x00%H%x09%s", "start..main"])?;
        let commits = log.split('\0').filter_map(Commit::parse).collect();
        let tip = self.git(&["rev-parse", "main"])?.trim().to_owned();
        let clone = self.dir.join("clone");
        let clone_text = clone.to_string_lossy().into_owned();
        self.git(&["clone", "-q", "--no-local", "--branch", "main", ".", &clone_text])?;
        let mut tests = self.command("sh", &clone);
        let ran = tests.arg("test.sh").output().context("running sh test.sh on main")?;
        let printed = String::from_utf8_lossy(&ran.stdout);
        let tests = printed.lines().last().unwrap_or("it printed nothing").to_owned();
        Ok(Main { commits, tip, tests, green: ran.status.success() })
    }

    pub(super) fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        let said = self.command("git", &self.repo).args(args).output();
        let Output { status, stdout, stderr } = said.context("starting git; is it installed?")?;
        if !status.success() {
            let said = String::from_utf8_lossy(&stderr);
            bail!("git {} failed: {}", args.join(" "), said.trim());
        }
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }

    #[expect(clippy::disallowed_methods, reason = "its own git and sh, in its own environment")]
    fn command(&self, program: &str, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.env).current_dir(dir).stdin(process::Stdio::null());
        command
    }

    /// Whatever happens from now on, the folder stays.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    pub(super) fn remove(&self) {
        // Programs that were just killed may still be writing: what is left then is in /tmp.
        fs::remove_dir_all(&self.dir).ok();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) {
            self.remove();
        }
    }
}

impl Commit {
    /// Reads `<id>\t<subject>\n\n<file>\n…`.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (id, subject) = lines.next()?.split_once('\t')?;
        let files = lines.filter(|it| !it.is_empty()).map(str::to_owned).collect();
        Some(Self { id: id.to_owned(), subject: subject.to_owned(), files })
    }
}

/// A new folder for us alone, below the place for temporary files.
fn make_dir(name: &str) -> anyhow::Result<PathBuf> {
    let wanted = env::temp_dir();
    let long = MAX_DIR_BYTES < wanted.as_os_str().len() + 40;
    let parent = if long { PathBuf::from("/tmp") } else { wanted };
    for n in 0..100_u32 {
        let dir = parent.join(format!("taskd-{name}-{}", process::id().wrapping_add(n)));
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            // The daemon knows repositories by their real path.
            Ok(()) => return dir.canonicalize().context("finding our own folder"),
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            Err(why) => {
                let parent = parent.display();
                return Err(why).with_context(|| format!("making a folder in {parent}"));
            }
        }
    }
    bail!("{} is full of old folders; remove taskd-{name}-* there", parent.display())
}

fn environment(dir: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let path = match env::var("PATH") {
        Err(env::VarError::NotPresent) => USUAL_PATH.to_owned(),
        told => told.context("reading PATH")?,
    };
    let under = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let fixed = [
        ("PATH", path),
        ("HOME", under("home")),
        ("LANG", "C.UTF-8".to_owned()),
        ("TMPDIR", under("tmp")),
        ("TASKD_STATE_DIR", under("state")),
        ("XDG_CONFIG_HOME", under("config")),
        ("XDG_CACHE_HOME", under("home/.cache")),
        ("XDG_DATA_HOME", under("home/.local/share")),
        ("XDG_STATE_HOME", under("home/.local/state")),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
    ];
    Ok(fixed.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn make_executable(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("making {} executable", path.display()))
}

/// The plan with its models named and its specs in the seed's order.
pub(super) fn plan_text(template: &str, choices: &Choices, dir: &Path) -> String {
    let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let text = template.replace("@MODEL@", &at("model.json")).replace("@BUSY@", &at("busy.json"));
    let mut parts = text.split("\n## spec ");
    let head = parts.next().unwrap_or_default().trim_end();
    let specs: Vec<&str> = parts.map(str::trim_end).collect();
    let named = |place: &usize| {
        let start = format!("{}:", SPECS[*place]);
        specs.iter().find(|it| it.starts_with(&start))
    };
    let ordered = choices.order.iter().filter_map(named);
    let sections: String = ordered.map(|it| format!("\n\n## spec {it}")).collect();
    format!("{head}{sections}\n")
}
