//! Configuration: layers of TOML, the environment and flags in, one plain value out.
//!
//! Defaults < system < user < project < project-local < environment < flags. All or nothing: every
//! problem is told at once, and no value is guessed. Keeps no globals and watches no files.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use taskd_model::{AgentDoc, Billing, GateSettings, LandMode, LandPolicy, Limits, LoopLimits};

use crate::log::Room;

mod error;
mod keys;
mod layers;
mod load;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use error::{ConfigError, ConfigProblem};
pub(crate) use keys::{KeyDoc, keys};
#[cfg(test)]
pub(crate) use load::load;
pub(crate) use load::{FILE, LOCAL_FILE, PROJECT_FILE, PlacedText, Places, load_here};
pub(crate) use value::Kind;

use layers::{Setting, Settings};

/// Most problems in one error: it travels in the headers of an answer, which have a limit.
const MOST_TOLD: usize = 8;

/// What is wrong, a line each; of many the first, and how to see the rest.
pub(crate) fn told(wrong: &[ConfigError]) -> String {
    let mut lines: Vec<String> = wrong.iter().take(MOST_TOLD).map(ToString::to_string).collect();
    let more = wrong.len() - lines.len();
    if 0 < more {
        lines.push(format!("and {more} more: taskd config check"));
    }
    lines.join("\n")
}

/// One file, weakest first in [`Sources::layers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// What people call the file; every error begins with it.
    pub(crate) origin: String,
    /// Its text, TOML.
    pub(crate) text: String,
    /// Who wrote it.
    pub(crate) owner: Owner,
}

/// Who wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The machine's owner or the person who runs the daemon: may set everything.
    Person,
    /// Whoever wrote the repository, which may be anybody: may only tighten security keys.
    Project,
}

/// A flag of the command line that sets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    /// As it was typed: `--budget`.
    pub(crate) name: String,
    /// The key it sets: `run.budget`.
    pub(crate) key: String,
    /// Its value, as in an environment variable.
    pub(crate) value: String,
}

/// Everything configuration is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// Files, weakest first.
    pub(crate) layers: Vec<Layer>,
    /// The environment; only `TASKD_SECTION__KEY` is looked at.
    pub(crate) env: Vec<(String, String)>,
    /// Flags, stronger than everything else.
    pub(crate) flags: Vec<Flag>,
    /// Cores of this machine: how many gates run at once unless something says otherwise.
    pub(crate) cores: u32,
}

/// The effective configuration. What each key means is in [`keys()`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// `[limits]`: what the daemon does at once, and how fast.
    limits: Limits,
    /// `[run]` and `work.conflict`: limits of one loop.
    run: LoopLimits,
    /// `[plan] time`: wall time of a plan from its start, in milliseconds. Default 6 h.
    pub(crate) plan_time_ms: u64,
    /// `[plan] budget`: spend of all loops of a plan, in micro-dollars. Default $20.
    pub(crate) plan_budget_micros: u64,
    /// `[plan] tokens`: tokens of all loops of a plan; 0 is no limit. Default 0.
    pub(crate) plan_tokens: u64,
    /// `[plan] touches`: specs whose `touches` overlap work one after another. Default: true.
    pub(crate) serialise_touches: bool,
    /// `[gate]`: what decides whether work passes, where it says so. The timeout is always set, by
    /// default to 15 min.
    pub(crate) gate: GateSettings,
    /// `[land] policy`: how passed work lands. Default: ask.
    pub(crate) land: LandPolicy,
    /// `[land] mode`: what it looks like where it lands. Default: one commit for each spec.
    pub(crate) land_mode: LandMode,
    /// `[land] follow`: a clean checkout of the target follows it. Default: true.
    pub(crate) follow: bool,
    /// `[land] pr_branch`: what branches for pull requests begin with. Default `taskd/`.
    pub(crate) pr_branch: String,
    /// `[land] pr_command`: opens or updates a pull request. Default: with `gh`.
    pub(crate) pr_command: String,
    /// `[land] pr_checks`: what a remote found. Default: none, nobody is asked.
    pub(crate) pr_checks: Option<String>,
    /// `[work] agent` or `model`: who works, if anything says so. No default: never guessed.
    pub(crate) worker: Option<AgentDoc>,
    /// `[work] setup`: command run once in every new worktree. Default: none.
    pub(crate) setup: Option<String>,
    /// `[work] teardown`: command run in a worktree when its loop is over. Default: none.
    pub(crate) teardown: Option<String>,
    /// `[work] port`: first of the ports that worktrees get, ten each. Default 20000.
    pub(crate) work_port: u32,
    /// `[work] pool`: spare worktrees of a project. Default 2.
    pub(crate) work_pool: u32,
    /// `[work] type`: name of the loop type. Default `ralph`.
    pub(crate) loop_type: String,
    /// `[git] poll`: how often the target is looked at, in milliseconds. Default 5 s.
    pub(crate) git_poll_ms: u64,
    /// `[git] remote`: the remote the target follows. Default: none, nothing is fetched.
    pub(crate) git_remote: Option<String>,
    /// `[git] fetch`: how often it is fetched, in milliseconds. Default 60 s.
    pub(crate) git_fetch_ms: u64,
    /// `[disk] floor`: free space below which nothing new starts, in bytes. Default 2 GB.
    pub(crate) disk_floor_bytes: u64,
    /// `[disk] quota`: what the state directory may take, in bytes; 0 is no quota. Default 0.
    pub(crate) disk_quota_bytes: u64,
    /// `[gc] keep`: how long clean worktrees of landed work stay, in milliseconds. Default 7 d.
    pub(crate) gc_keep_ms: u64,
    /// `[gc] history`: how long events of what ended stay, in milliseconds. Default 90 d.
    pub(crate) gc_history_ms: u64,
    /// `[agent] idle`: silence, without a file changed, after which an external agent is stopped,
    /// in milliseconds. Default 15 min.
    pub(crate) agent_idle_ms: u64,
    /// `[agent] processes`: processes of one run of an external agent before it is ended.
    /// Default 500.
    pub(crate) agent_processes: u32,
    /// `[agent] billing`: what pays for external agents. Default: a key where there is one.
    pub(crate) agent_billing: Option<Billing>,
    /// `[http] listen`: loopback address of the web pages. Default: none, no listener.
    pub(crate) http_listen: Option<SocketAddr>,
    /// `[api] listen`: where clients of the network are served. Default: nowhere.
    pub(crate) api_listen: Option<SocketAddr>,
    /// `[api] cert`: file with the certificate for that.
    pub(crate) api_cert: Option<String>,
    /// `[api] cert_key`: file with its private key.
    pub(crate) api_cert_key: Option<String>,
    /// `[notify] command`: told when a plan ends or needs a person. Default: none.
    pub(crate) notify_command: Option<String>,
    /// `[projects] trusted`: directories whose projects may run commands of their own unasked.
    /// Default: none.
    pub(crate) trusted: Vec<PathBuf>,
    /// `[log] level`: a level, or levels of targets. Default `info`.
    pub(crate) log_level: String,
    /// `[log] format`: `json` is one object a line. Default `text`.
    pub(crate) log_json: bool,
    /// `[log] size` and `keep`: how much of it is kept. Default 10 MB, and five files beside it.
    pub(crate) log_room: Room,
    settings: BTreeMap<&'static str, Setting>,
}

/// One key as it is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// What the key means.
    pub(crate) doc: &'static KeyDoc,
    /// Its value as TOML; nothing if it is not set.
    pub(crate) value: Option<&'a str>,
    /// Where the value comes from; nothing if it is not set.
    pub(crate) origin: Option<&'a str>,
}

impl Config {
    /// The effective configuration of these sources.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with any of them, in the order of layers and lines.
    pub(crate) fn resolve(sources: &Sources) -> Result<Self, Vec<ConfigError>> {
        layers::merge(sources).map(|it| Self::of(&it))
    }

    /// Limits of the daemon, for the core.
    #[must_use]
    pub(crate) fn limits(&self) -> Limits {
        self.limits.clone()
    }

    /// Limits of one loop, unless its plan or its type say otherwise.
    #[must_use]
    pub(crate) fn run_limits(&self) -> LoopLimits {
        self.run.clone()
    }

    /// Where the value of `key` (`gate.command`) comes from: a file as its layer names it,
    /// `TASKD_GATE__COMMAND`, `--gate`, or `built in`. Nothing if it is not set.
    #[must_use]
    pub(crate) fn origin(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(|it| it.origin.as_str())
    }

    /// The commands a key says, each as it is run; none if it is not set.
    #[must_use]
    pub(crate) fn commands(&self, key: &str) -> Vec<String> {
        self.settings.get(key).map(Setting::texts).unwrap_or_default()
    }

    /// Every key as it is in effect, in the order of [`keys()`].
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        keys().iter().map(|doc| {
            let setting = self.settings.get(doc.key);
            Entry {
                doc,
                value: setting.map(|it| it.shown.as_str()),
                origin: setting.map(|it| it.origin.as_str()),
            }
        })
    }

    fn of(from: &Settings) -> Self {
        let agent = from.text("work.agent").map(|run| AgentDoc::Agent { run });
        let model = || from.text("work.model").map(|name| AgentDoc::Model { name });
        Self {
            limits: Limits {
                loops: from.count("limits.loops"),
                agents: from.count("limits.agents"),
                gates: from.count("limits.gates"),
                calls: from.count("limits.calls"),
                requests_per_minute: from.count("limits.requests_per_minute"),
                request_burst: from.count("limits.burst"),
                turns: from.count("limits.turns"),
                input_tokens_per_minute: u64::from(from.count("limits.input_tokens")),
                output_tokens_per_minute: u64::from(from.count("limits.output_tokens")),
                backoff_ms: from.amount("retry.first"),
                backoff_max_ms: from.amount("retry.longest"),
                call_attempts: from.count("retry.attempts"),
                call_deadline_ms: from.amount("retry.deadline"),
                silence_max_ms: from.amount("retry.silence"),
                batch: from.count("land.batch"),
                max_behind: from.count("work.max_behind"),
                questions: from.count("limits.questions"),
                notify: from.text("notify.command").is_some(),
                ..Limits::default()
            },
            run: run_limits(from),
            plan_time_ms: from.amount("plan.time"),
            plan_budget_micros: from.amount("plan.budget"),
            plan_tokens: from.tokens("plan.tokens"),
            serialise_touches: from.text("plan.touches").as_deref() != Some("ignore"),
            gate: GateSettings {
                quick: from.text("gate.quick"),
                run: from.texts("gate.command").unwrap_or_default(),
                timeout_ms: Some(from.amount("gate.timeout")),
                retries: Some(from.count("gate.retries")),
                protect: from.texts("gate.protect"),
            },
            land: from.land("land.policy"),
            land_mode: from.land_mode("land.mode"),
            follow: from.flag("land.follow"),
            pr_branch: from.text("land.pr_branch").unwrap_or_default(),
            pr_command: from.text("land.pr_command").unwrap_or_default(),
            pr_checks: from.text("land.pr_checks"),
            worker: agent.or_else(model),
            setup: from.text("work.setup"),
            teardown: from.text("work.teardown"),
            work_port: from.count("work.port"),
            work_pool: from.count("work.pool"),
            loop_type: from.text("work.type").unwrap_or_default(),
            git_poll_ms: from.amount("git.poll"),
            git_remote: from.text("git.remote"),
            git_fetch_ms: from.amount("git.fetch"),
            disk_floor_bytes: from.amount("disk.floor"),
            disk_quota_bytes: from.amount("disk.quota"),
            gc_keep_ms: from.amount("gc.keep"),
            gc_history_ms: from.amount("gc.history"),
            agent_idle_ms: from.amount("agent.idle"),
            agent_processes: from.count("agent.processes"),
            agent_billing: billing(from),
            http_listen: from.address("http.listen"),
            api_listen: from.address("api.listen"),
            api_cert: from.text("api.cert"),
            api_cert_key: from.text("api.cert_key"),
            notify_command: from.text("notify.command"),
            trusted: directories(from, "projects.trusted"),
            log_level: from.text("log.level").unwrap_or_default(),
            log_json: from.text("log.format").as_deref() == Some("json"),
            log_room: Room { file_bytes: from.amount("log.size"), kept: from.count("log.keep") },
            settings: from.clone().into_map(),
        }
    }
}

fn billing(from: &Settings) -> Option<Billing> {
    match from.text("agent.billing").as_deref() {
        Some("login") => Some(Billing::Login),
        Some("key") => Some(Billing::Key),
        Some(_) | None => None,
    }
}

fn directories(from: &Settings, key: &str) -> Vec<PathBuf> {
    from.texts(key).unwrap_or_default().into_iter().map(PathBuf::from).collect()
}

/// Limits of one loop, unless its plan or its type say otherwise.
fn run_limits(from: &Settings) -> LoopLimits {
    LoopLimits {
        iterations: from.count("run.iterations"),
        time_ms: from.amount("run.time"),
        budget_micros: from.amount("run.budget"),
        tokens: from.tokens("run.tokens"),
        restarts: from.count("run.restarts"),
        conflict: from.conflict("work.conflict"),
        ..LoopLimits::default()
    }
}
