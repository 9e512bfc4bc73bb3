//! A world of one person: a home, a repository, a daemon of their own. Nothing of the machine's
//! own configuration reaches it, and it leaves nothing running.
//!
//! Waiting is done on events with a deadline, never by sleeping.
#![expect(clippy::disallowed_methods, reason = "tests start real programs")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use taskd_api::{Client, Watched, v1};
use taskd_model::{Event, LoopView, Record, Status, View};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Longest a test waits while nothing happens: a busy machine is slow, and not wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a command printed and how it ended.
#[derive(Debug)]
#[must_use = "assert what it printed or how it ended"]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Asserts that it went well and returns what it printed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self.out
    }

    /// Asserts the exit code and returns what it said on stderr.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self.err
    }
}

/// One person's world.
pub(crate) struct World {
    /// Everything is in here.
    pub(crate) dir: TempDir,
    /// The person's repository, with one commit on `main`.
    pub(crate) repo: PathBuf,
    /// Environment of every program, complete.
    pub(crate) env: BTreeMap<String, String>,
    /// The daemon, if one was started by [`World::start`].
    pub(crate) daemon: Option<Child>,
    /// What it said until it was ready.
    pub(crate) said: String,
    pub(crate) runtime: Runtime,
}

impl World {
    /// A world with a repository that holds `test.sh`, a gate that passes unless a file `bad*`
    /// exists, and counts `*.txt` as tests.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("taskd-it-").tempdir().expect("a temp dir");
        let home = dir.path().join("home");
        let repo = dir.path().join("repo");
        fs::create_dir_all(&home).expect("writable");
        fs::create_dir_all(&repo).expect("writable");
        let path = std::env::var("PATH").expect("PATH is set");
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let env = BTreeMap::from([
            ("PATH".to_owned(), path),
            ("HOME".to_owned(), text(&home)),
            ("TASKD_STATE_DIR".to_owned(), text(&dir.path().join("state"))),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            // What repositories of this world have run was written by its person.
            ("TASKD_PROJECTS__TRUSTED".to_owned(), text(dir.path())),
        ]);
        let runtime = Runtime::new().expect("a runtime");
        let world = Self { dir, repo, env, daemon: None, said: String::new(), runtime };
        world.git(&["init", "-q", "-b", "main"]);
        world.git(&["config", "user.name", "Pat Person"]);
        world.git(&["config", "user.email", "pat@example.org"]);
        world.write("test.sh", GATE);
        world.write("a.txt", "a\n");
        world.git(&["add", "-A"]);
        world.git(&["commit", "-q", "-m", "first"]);
        world
    }

    /// The state directory of the daemon.
    pub(crate) fn state(&self) -> PathBuf {
        PathBuf::from(&self.env["TASKD_STATE_DIR"])
    }

    /// The daemon's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.state().join("taskd.sock")
    }

    /// Writes a file of the repository's checkout.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.repo.join(name);
        fs::create_dir_all(path.parent().expect("in the repository")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    /// Writes a file beside the repository and returns its path.
    pub(crate) fn aside(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("writable");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Runs git in the repository.
    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let out = Command::new("git")
            .args(args)
            .current_dir(&self.repo)
            .env_clear()
            .envs(&self.env)
            .output()
            .expect("git is installed");
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
    }

    /// The `taskd` command, not yet run, in the repository.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskd"));
        command.args(args).current_dir(&self.repo).env_clear().envs(&self.env);
        command.stdin(Stdio::null());
        command
    }

    /// Runs `taskd` in the repository.
    pub(crate) fn taskd(&self, args: &[&str]) -> Ran {
        let out = self.command(args).output().expect("taskd runs");
        Ran {
            code: out.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&out.stdout).into_owned(),
            err: String::from_utf8_lossy(&out.stderr).into_owned(),
        }
    }

    /// Starts a daemon in the foreground and returns when it is ready.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same with flags.
    #[track_caller]
    pub(crate) fn start_with(&mut self, flags: &[&str]) {
        let mut command = self.command(&["daemon", "run"]);
        command.args(flags);
        self.start_as(command);
    }

    /// The same, started by a program that becomes it.
    #[track_caller]
    pub(crate) fn start_behind(&mut self, wrapper: &[&str]) {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(env!("CARGO_BIN_EXE_taskd")).args(["daemon", "run"]);
        command.current_dir(&self.repo).env_clear().envs(&self.env).stdin(Stdio::null());
        self.start_as(command);
    }

    #[track_caller]
    fn start_as(&mut self, mut command: Command) {
        assert!(self.daemon.is_none(), "one daemon at a time");
        let mut child =
            command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("taskd runs");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        while !said.contains("ready socket=") {
            let n = log.read_line(&mut said).expect("readable");
            assert_ne!(n, 0, "the daemon ended instead of getting ready:\n{said}");
        }
        // Somebody must go on reading, or the daemon would wait for its own log.
        let copy = self.dir.path().join("daemon.log");
        std::thread::spawn(move || {
            let mut file = fs::File::options().create(true).append(true).open(copy).expect("log");
            std::io::copy(&mut log, &mut file).ok();
        });
        self.said = said;
        self.daemon = Some(child);
    }

    /// `kill -9`, and everything of the daemon's is gone when it returns.
    pub(crate) fn kill(&mut self) {
        let mut child = self.daemon.take().expect("a daemon runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it is gone");
    }

    /// Asks the daemon to stop, as `taskd daemon stop` does, and waits until it has.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.taskd(&["daemon", "stop"]).ok();
        let mut child = self.daemon.take().expect("a daemon runs");
        let status = child.wait().expect("it is gone");
        assert!(status.success(), "{status}");
    }

    /// A connection to the daemon.
    pub(crate) fn client(&self) -> Client {
        self.runtime.block_on(Client::connect(self.socket())).expect("the daemon answers")
    }

    /// Submits a plan file through the command line; returns the plan's name.
    #[track_caller]
    pub(crate) fn submit(&self, text: &str) -> String {
        let file = self.aside("plan.md", text);
        self.taskd(&["plan", "submit", &file, "-q"]).ok();
        let view = self.view();
        view.plans.keys().next_back().expect("a plan").to_string()
    }

    /// The view now.
    pub(crate) fn view(&self) -> View {
        let client = self.client();
        self.runtime.block_on(client.view("")).expect("the daemon answers")
    }

    /// A loop by name, now.
    #[track_caller]
    pub(crate) fn row(&self, name: &str) -> LoopView {
        let view = self.view();
        let found = view.loops.values().find(|it| it.name == name);
        found.unwrap_or_else(|| panic!("no loop {name}")).clone()
    }

    /// Waits until the view is as `done` says, and returns it.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, done: impl Fn(&View) -> bool) -> View {
        let client = self.client();
        let result = self.runtime.block_on(async {
            let mut watch = client.watch(Vec::new(), false);
            let mut view = View::default();
            let mut quiet_until = tokio::time::Instant::now() + PATIENCE;
            loop {
                let Ok(next) = tokio::time::timeout_at(quiet_until, watch.next()).await else {
                    return (false, view);
                };
                match next {
                    Some(Watched::View(whole)) => view = *whole,
                    Some(Watched::Event(record)) => _ = view.apply(&record),
                    Some(Watched::Ended(error)) => panic!("{what}: {error}"),
                    Some(_) => continue,
                    None => panic!("{what}: the watch ended"),
                }
                if done(&view) {
                    return (true, view);
                }
                quiet_until = tokio::time::Instant::now() + PATIENCE;
            }
        });
        let (in_time, view) = result;
        assert!(in_time, "waited too long for: {what}\n{}", self.transcript());
        view
    }

    /// Waits until a loop has one of these statuses.
    #[track_caller]
    pub(crate) fn until_status(&self, name: &str, any: &[Status]) -> LoopView {
        let view = self.until(&format!("{name} to be {any:?}"), |view| {
            view.loops.values().any(|it| it.name == name && any.contains(&it.status))
        });
        view.loops.values().find(|it| it.name == name).expect("just seen").clone()
    }

    /// Waits until an event is as `wanted` says, counting those already in the log.
    #[track_caller]
    pub(crate) fn until_event(&self, what: &str, wanted: impl Fn(&Record) -> bool) -> Record {
        let log = self.events();
        // What the log says later than this is looked at below: nothing falls between the two.
        let from = log.last().map_or(0, |it| it.seq.0);
        if let Some(found) = log.into_iter().rev().find(|it| wanted(it)) {
            return found;
        }
        let client = self.client();
        let found = self.runtime.block_on(async {
            let mut watch = client.watch(Vec::new(), false);
            let wait = async {
                loop {
                    match watch.next().await {
                        Some(Watched::Event(record)) if wanted(&record) => return *record,
                        Some(Watched::View(_)) => {
                            // What happened between the two looks is in the log.
                            let gap = read_events(&client, from + 1).await;
                            if let Some(hit) = gap.into_iter().find(|it| wanted(it)) {
                                return hit;
                            }
                        }
                        Some(_) => {}
                        None => panic!("{what}: the watch ended"),
                    }
                }
            };
            tokio::time::timeout(PATIENCE, wait).await
        });
        found.unwrap_or_else(|_| panic!("waited too long for: {what}\n{}", self.transcript()))
    }

    /// Every event of the log.
    pub(crate) fn events(&self) -> Vec<Record> {
        let client = self.client();
        self.runtime.block_on(read_events(&client, 1))
    }

    /// The log as people read it.
    pub(crate) fn transcript(&self) -> String {
        let lines: Vec<String> =
            self.events().iter().map(|it| format!("{:>4} {it}", it.seq.0)).collect();
        lines.join("\n")
    }

    /// Transitions of a loop's status, as in `pending -> running`.
    pub(crate) fn statuses(&self, name: &str) -> Vec<String> {
        let id = self.row(name).id;
        let change = |it: &Record| {
            let Event::StatusChanged { from, to, .. } = &it.event else { return None };
            (it.loop_id == Some(id)).then(|| format!("{from} -> {to}"))
        };
        self.events().iter().filter_map(change).collect()
    }
}

async fn read_events(client: &Client, from: u64) -> Vec<Record> {
    let request = v1::EventsRequest { from, ..v1::EventsRequest::default() };
    let mut items = client.events(request).await.expect("the daemon answers");
    let mut records = Vec::new();
    while let Some(event) = items.next().await.expect("readable") {
        records.push(event.record().expect("an event").expect("a known kind"));
    }
    records
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            child.kill().ok();
            child.wait().ok();
        } else if self.socket().exists() {
            // A daemon that was started in the background.
            self.taskd(&["daemon", "stop"]).code.to_string();
        }
    }
}

const GATE: &str = "n=0
for file in *.txt; do [ -f \"$file\" ] && n=$((n + 1)); done
for file in bad*; do
  [ -f \"$file\" ] && { echo \"not ok 1 - $file\"; exit 1; }
done
echo \"$n passed, 0 failed\"
";

/// A place in a script where it waits for the test: it says that it is there, then waits until the
/// door is opened. Scripts may meet at one door; each opening lets one of them through.
pub(crate) struct Door {
    here: PathBuf,
    go: PathBuf,
    // Open for both directions, so that neither side waits for the other to open it.
    heard: fs::File,
    said: fs::File,
}

impl Door {
    /// Makes a door, in files beside the repository.
    pub(crate) fn new(world: &World, name: &str) -> Self {
        let pipe = |end: &str| {
            let path = world.dir.path().join(format!("door-{name}-{end}"));
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
            nix::unistd::mkfifo(&path, mode).expect("a pipe can be made");
            let file = fs::File::options().read(true).write(true).open(&path).expect("it is ours");
            (path, file)
        };
        let ((here, heard), (go, said)) = (pipe("here"), pipe("go"));
        Self { here, go, heard, said }
    }

    /// What a shell does at the door.
    pub(crate) fn sh(&self) -> String {
        format!("echo > {}; read _ < {}", self.here.display(), self.go.display())
    }

    /// The fault with which this work of a loop stands at the door before it begins.
    pub(crate) fn fault(&self, verb: &str, name: &str) -> String {
        let here = self.here.display().to_string();
        format!("wait:{verb}:{name}@{}", here.strip_suffix("-here").expect("its name"))
    }

    /// Returns when one more script stands at the door.
    #[track_caller]
    pub(crate) fn reached(&self) {
        let wanted = nix::poll::PollFlags::POLLIN;
        let mut polled = [nix::poll::PollFd::new(self.heard.as_fd(), wanted)];
        let patience = u16::try_from(PATIENCE.as_millis()).expect("about a minute");
        let n = nix::poll::poll(&mut polled, patience).expect("pollable");
        assert_eq!(n, 1, "nothing came to the door {}", self.here.display());
        (&self.heard).read_exact(&mut [0]).expect("readable");
    }

    /// Lets one through, now or when it comes.
    pub(crate) fn open(&self) {
        (&self.said).write_all(b"\n").expect("writable");
    }
}

/// Runs a script of bash's, as somebody else on this machine would.
pub(crate) fn bash(script: &str) {
    let ran = Command::new("bash").arg(script).status().expect("bash is installed");
    assert!(ran.success(), "{ran}");
}

/// Files under `dir` that hold these bytes.
pub(crate) fn files_that_say(dir: &Path, bytes: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("readable").filter_map(Result::ok) {
        let kind = entry.file_type().expect("known");
        if kind.is_dir() {
            found.extend(files_that_say(&entry.path(), bytes));
        } else if kind.is_file() {
            let content = fs::read(entry.path()).unwrap_or_default();
            if content.windows(bytes.len()).any(|it| it == bytes.as_bytes()) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Whether a program can be run; says so if not.
pub(crate) fn is_here(name: &str) -> bool {
    let path = std::env::var_os("PATH").expect("PATH is set");
    let here = std::env::split_paths(&path).any(|it| it.join(name).is_file());
    if !here {
        writeln!(std::io::stdout(), "NOT RUN {name}").ok();
    }
    here
}
