//! A world of its own for each daemon: home, configuration, repository, state. Nothing of the
//! machine's configuration reaches it, and it leaves nothing running.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use taskd_api::{Client, v1};
use taskd_model::{Status, View};
use tempfile::TempDir;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(600);

/// What limits nobody unless a figure is about it.
const CONFIG: &str = "\
[limits]
loops = 1000
calls = 1000
requests_per_minute = 100000
burst = 100000
turns = 20

[run]
iterations = 1000
";

/// One daemon's world.
#[derive(Debug)]
pub(crate) struct World {
    dir: TempDir,
    repo: PathBuf,
    env: BTreeMap<&'static str, String>,
    daemon: Option<Child>,
}

impl World {
    /// A repository with one commit, and no daemon yet.
    pub(crate) fn new() -> Self {
        Self::with(CONFIG)
    }

    /// The same, configured like this.
    pub(crate) fn with(config: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("taskd-bench-").tempdir().expect("a temp dir");
        let at = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
        let env = BTreeMap::from([
            ("PATH", std::env::var("PATH").expect("PATH is set")),
            ("HOME", at("home")),
            ("XDG_CONFIG_HOME", at("config")),
            ("TASKD_STATE_DIR", at("state")),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ]);
        let repo = PathBuf::from(at("repo"));
        for folder in [repo.clone(), at("home").into(), at("config/taskd").into()] {
            fs::create_dir_all(folder).expect("writable");
        }
        fs::write(at("config/taskd/config.toml"), config).expect("writable");
        let world = Self { dir, repo, env, daemon: None };
        fs::write(world.repo.join("a.txt"), "one\ntwo\nthree\n").expect("writable");
        world.git(&["init", "-q", "-b", "main"]);
        world.git(&["config", "user.name", "Pat Person"]);
        world.git(&["config", "user.email", "pat@example.org"]);
        world.git(&["add", "-A"]);
        world.git(&["commit", "-q", "-m", "first"]);
        world
    }

    /// Runs git in the repository.
    pub(crate) fn git(&self, args: &[&str]) {
        let mut git = Command::new("git");
        let status = git.args(args).current_dir(&self.repo).env_clear().envs(&self.env).status();
        assert!(status.expect("git is installed").success(), "git {args:?}");
    }

    /// `taskd` with these arguments, in the repository.
    pub(crate) fn taskd(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskd"));
        command.args(args).current_dir(&self.repo).env_clear().envs(&self.env);
        command.stdin(Stdio::null());
        command
    }

    /// Starts the daemon and returns as soon as it has answered a call.
    pub(crate) async fn start(&mut self) -> Client {
        assert!(self.daemon.is_none(), "one daemon at a time");
        let log = File::options().create(true).append(true).open(self.dir.path().join("log"));
        let mut command = self.taskd(&["daemon", "run"]);
        command.stdout(Stdio::null()).stderr(log.expect("writable"));
        self.daemon = Some(command.spawn().expect("taskd runs"));
        let socket = self.socket();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(client) = Client::connect(&socket).await
                && client.status(v1::StatusRequest {}).await.is_ok()
            {
                return client;
            }
            self.still_there();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("the daemon does not answer");
    }

    fn still_there(&mut self) {
        let daemon = self.daemon.as_mut().expect("a daemon runs");
        if let Some(status) = daemon.try_wait().expect("our child") {
            panic!("the daemon ended with {status}");
        }
    }

    /// What the daemon said last.
    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("a daemon runs");
        daemon.kill().expect("it can be killed");
        daemon.wait().expect("it is gone");
    }

    /// The daemon's process.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon runs").id()
    }

    /// Where the daemon listens.
    pub(crate) fn socket(&self) -> PathBuf {
        Path::new(&self.env["TASKD_STATE_DIR"]).join("taskd.sock")
    }

    /// The repository, as a scope.
    pub(crate) fn scope(&self) -> &str {
        self.repo.to_str().expect("UTF-8")
    }

    /// Bytes of the log's files.
    pub(crate) fn store_bytes(&self) -> u64 {
        let files = fs::read_dir(&self.env["TASKD_STATE_DIR"]).expect("the state");
        let sizes = files.filter_map(|it| it.ok()?.metadata().ok()).filter(fs::Metadata::is_file);
        sizes.map(|it| it.len()).sum()
    }

    /// A file beside the repository, by its path.
    pub(crate) fn aside(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("writable");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// One of the person's own agent presets.
    pub(crate) fn preset(&self, name: &str, text: &str) {
        let folder = Path::new(&self.env["XDG_CONFIG_HOME"]).join("taskd/agents");
        fs::create_dir_all(&folder).expect("writable");
        fs::write(folder.join(format!("{name}.toml")), text).expect("writable");
    }

    /// A script for the embedded model; the answer is the model's name.
    pub(crate) fn script(&self, text: &str) -> String {
        let path = self.dir.path().join("script.yaml");
        fs::write(&path, text).expect("writable");
        format!("scripted:{}", path.display())
    }

    /// Submits a plan with so many specs, named `s0`, `s1` and so on; its gate is `true`.
    pub(crate) async fn submit(&self, client: &Client, model: &str, specs: u32) {
        self.submit_for(client, model, specs, &[]).await;
    }

    /// The same, paid with these credentials.
    pub(crate) async fn submit_for(
        &self,
        client: &Client,
        model: &str,
        specs: u32,
        credentials: &[(&str, String)],
    ) {
        self.submit_to(client, &format!("model: {model}"), specs, credentials).await;
    }

    /// The same for whatever works.
    pub(crate) async fn submit_to(
        &self,
        client: &Client,
        worker: &str,
        specs: u32,
        credentials: &[(&str, String)],
    ) {
        let mut text = format!(
            "---\nplan: Figures\n{worker}\ngate: 'true'\nland: ask\n---\nMany of a kind.\n"
        );
        for n in 0..specs {
            write!(text, "\n## spec s{n}: Number {n}\n\nDo it.\n").expect("a String takes all");
        }
        self.submit_text(client, text, credentials).await;
    }

    /// Submits a plan file, paid with these credentials.
    pub(crate) async fn submit_text(
        &self,
        client: &Client,
        text: String,
        credentials: &[(&str, String)],
    ) {
        let request = v1::SubmitRequest {
            source: Some(v1::submit_request::Source::Document(text)),
            file_name: "figures.md".to_owned(),
            repository: self.scope().to_owned(),
            environment: [("PATH".to_owned(), self.env["PATH"].clone())].into(),
            credentials: credentials.iter().map(|it| (it.0.to_owned(), it.1.clone())).collect(),
            ..v1::SubmitRequest::default()
        };
        let answer = client.submit(request).await.expect("the plan is taken");
        assert!(answer.plan.is_some(), "{:?}", answer.problems);
    }

    /// A program on the `PATH` of everything. The answer is a file beside it that it may write, called
    /// `$0.there`.
    pub(crate) fn program(&mut self, name: &str, script: &str) -> PathBuf {
        let bin = self.dir.path().join("bin");
        fs::create_dir_all(&bin).expect("writable");
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
        self.env.insert("PATH", format!("{}:{}", bin.display(), self.env["PATH"]));
        bin.join(format!("{name}.there"))
    }

    /// A daemon that holds so many loops and starts none of them.
    pub(crate) async fn parked(loops: u32) -> (Self, Client) {
        let mut world = Self::new();
        let client = world.start().await;
        act(&client, v1::Verb::Park, &[]).await;
        let model = world.script("default: {say: Nothing to do.}\n");
        world.submit(&client, &model, loops).await;
        (world, client)
    }

    /// A daemon with so many paused loops of a released plan. They stay so when it starts again.
    pub(crate) async fn paused(loops: u32) -> (Self, Client) {
        let (world, client) = Self::parked(loops).await;
        act(&client, v1::Verb::Pause, &["p1".to_owned()]).await;
        act(&client, v1::Verb::Unpark, &[]).await;
        until(&client, "every loop paused, the plan released", |view| {
            let paused = view.loops.values().all(|it| it.status == Status::Paused);
            paused && view.plans.values().all(|it| it.released_at.is_some())
        })
        .await;
        (world, client)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's last words:\n{}", self.last_words());
        }
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().ok();
            daemon.wait().ok();
        }
    }
}

/// One act; it must succeed.
pub(crate) async fn act(client: &Client, verb: v1::Verb, ids: &[String]) -> u64 {
    client.act(request(verb, ids)).await.expect("the daemon acts").seq
}

/// An act on these loops or plans; a note says something.
pub(crate) fn request(verb: v1::Verb, ids: &[String]) -> v1::ActRequest {
    let text = if verb == v1::Verb::Note { "look at the tests first" } else { "" };
    v1::ActRequest {
        verb: verb.into(),
        ids: ids.to_vec(),
        text: text.to_owned(),
        ..v1::ActRequest::default()
    }
}

/// Waits until the view is as `done` says.
pub(crate) async fn until(client: &Client, what: &str, done: impl Fn(&View) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let view = client.view("").await.expect("the daemon answers");
        if done(&view) {
            return;
        }
        let totals: Vec<_> = view.totals().collect();
        assert!(Instant::now() < deadline, "waited too long for {what}: {totals:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The last event there is.
pub(crate) async fn head(client: &Client) -> u64 {
    client.status(v1::StatusRequest {}).await.expect("the daemon answers").seq
}

/// A runtime for the client's side.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}
