//! Every key there is: its type, range, default, who may set it, and what it means.
//!
//! The one list the reader, the environment and `taskd help config` go by.

use super::value::Kind;
use crate::plan_file::head::MAX_RETRIES;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyDoc {
    /// Its name with its section: `limits.loops`.
    pub(crate) key: &'static str,
    /// Its type and range.
    pub(crate) kind: Kind,
    /// Its default as an environment variable would say it; `cores` is the number of cores, and
    /// nothing means that it is not set.
    pub(crate) default: Option<&'static str>,
    /// Who may set it.
    pub(crate) scope: Scope,
    /// What it means, for people.
    pub(crate) doc: &'static str,
    /// A daemon that runs goes on with the value it began with.
    pub(crate) restart: bool,
}

/// Who may set a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everybody.
    Any,
    /// A project may make it stricter than the person's value, not looser.
    Tighten,
    /// A project may not: it belongs to the daemon, which serves many.
    Daemon,
}

impl KeyDoc {
    /// The section and the key without it.
    #[must_use]
    pub(crate) fn parts(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').unwrap_or(("", self.key))
    }
}

/// Every key, by section.
#[must_use]
pub(crate) fn keys() -> &'static [KeyDoc] {
    &KEYS
}

/// The key of this name.
pub(super) fn find(key: &str) -> Option<&'static KeyDoc> {
    KEYS.iter().find(|it| it.key == key)
}

/// Every section, in order.
pub(super) fn sections() -> Vec<&'static str> {
    let mut all: Vec<_> = KEYS.iter().map(|it| it.parts().0).collect();
    all.dedup();
    all
}

/// Words people try, and the keys they mean.
pub(super) const MEANT: [(&str, &str); 6] = [
    ("gate.run", "gate.command"),
    ("land.land", "land.policy"),
    ("work.loop_type", "work.type"),
    ("limits.request_burst", "limits.burst"),
    ("limits.max_loops", "limits.loops"),
    ("agent.timeout", "agent.idle"),
];

/// Values of `land.policy`, from strict to loose.
pub(super) const LAND: [&str; 4] = ["never", "ask", "pr", "on-gate"];

/// Values of `plan.touches`.
const TOUCHES: [&str; 2] = ["serialise", "ignore"];
/// Values of `land.mode`.
const MODE: [&str; 3] = ["squash", "merge", "ff"];

/// Values of `agent.billing`.
const BILLING: [&str; 3] = ["login", "key", "either"];

/// Values of `log.format`.
const FORMAT: [&str; 2] = ["text", "json"];

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const CENT: u64 = 10_000;
const DOLLAR: u64 = 100 * CENT;

/// `land.pr_command` unless something else is said: with GitHub's program.
const PULL_REQUEST: &str = r#"if url=$(gh pr view "$TASKD_PR_BRANCH" --json url --jq .url 2>/dev/null); then gh pr edit "$url" --title "$TASKD_PR_TITLE" --body-file "$TASKD_PR_BODY" >/dev/null && echo "$url"; else gh pr create --head "$TASKD_PR_BRANCH" --base "$TASKD_PR_TARGET" --title "$TASKD_PR_TITLE" --body-file "$TASKD_PR_BODY"; fi"#;

const fn key(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc { key, kind, default: Some(default), scope: Scope::Any, doc, restart: false }
}

const fn unset(key: &'static str, kind: Kind, doc: &'static str) -> KeyDoc {
    KeyDoc { key, kind, default: None, scope: Scope::Any, doc, restart: false }
}

const fn at_start(key: KeyDoc) -> KeyDoc {
    KeyDoc { restart: true, ..key }
}

const fn by(scope: Scope, key: KeyDoc) -> KeyDoc {
    KeyDoc { scope, ..key }
}

const fn count(min: u32, max: u32) -> Kind {
    Kind::Count { min, max }
}

const fn time(min_ms: u64, max_ms: u64) -> Kind {
    Kind::Duration { min_ms, max_ms }
}

const MONEY: Kind = Kind::Money { min_micros: CENT, max_micros: 100_000 * DOLLAR };

use Scope::{Daemon, Tighten};

static KEYS: [KeyDoc; 65] = [
    by(Daemon, key("limits.loops", count(1, 1_000), "50", "Loops at work at once.")),
    by(
        Daemon,
        key(
            "limits.agents",
            count(1, 100),
            "4",
            "External agents at once; free memory may admit fewer.",
        ),
    ),
    by(Daemon, key("limits.gates", count(1, 256), "cores", "Gates at once.")),
    by(Daemon, key("limits.calls", count(1, 1_000), "10", "Calls in flight of each model.")),
    by(
        Daemon,
        key(
            "limits.requests_per_minute",
            count(1, 100_000),
            "50",
            "Requests a minute to each model.",
        ),
    ),
    by(
        Daemon,
        key(
            "limits.burst",
            count(1, 100_000),
            "50",
            "Requests at once to each model, after a pause.",
        ),
    ),
    by(
        Daemon,
        key(
            "limits.input_tokens",
            count(0, 1_000_000_000),
            "0",
            "Tokens a minute each model reads; 0 for what its provider says.",
        ),
    ),
    by(
        Daemon,
        key(
            "limits.output_tokens",
            count(0, 1_000_000_000),
            "0",
            "Tokens a minute each model writes; 0 for what its provider says.",
        ),
    ),
    by(
        Daemon,
        key(
            "limits.turns",
            count(1, 10_000),
            "50",
            "Turns of one iteration before the gate is run anyway.",
        ),
    ),
    by(Daemon, key("limits.questions", count(0, 100), "3", "Questions one loop may ask people.")),
    by(
        Daemon,
        key(
            "retry.first",
            time(SECOND / 10, HOUR),
            "1s",
            "Rest after a call that failed; doubles with each failure in a row.",
        ),
    ),
    by(Daemon, key("retry.longest", time(SECOND / 10, HOUR), "60s", "Longest such rest.")),
    by(
        Daemon,
        key(
            "retry.attempts",
            count(1, 10_000),
            "100",
            "Failures in a row of one call before a person is asked.",
        ),
    ),
    by(
        Daemon,
        key(
            "retry.deadline",
            time(SECOND, 7 * DAY),
            "1h",
            "How long one call may fail before a person is asked.",
        ),
    ),
    by(
        Daemon,
        key(
            "retry.silence",
            time(SECOND, DAY),
            "5m",
            "Longest silence of a model after refusals that name no time.",
        ),
    ),
    key("run.iterations", count(1, 1_000), "10", "Iterations of one loop."),
    key("run.time", time(SECOND, 30 * DAY), "2h", "Wall time of one loop from its start."),
    by(Tighten, key("run.budget", MONEY, "$5", "Spend of one loop.")),
    by(Tighten, key("run.tokens", Kind::Tokens, "0", "Tokens of one loop; 0 is no limit.")),
    key(
        "run.restarts",
        count(0, 100),
        "3",
        "Times an external agent's run is begun again after a crash.",
    ),
    key("plan.time", time(SECOND, 30 * DAY), "6h", "Wall time of a plan from its start."),
    by(Tighten, key("plan.budget", MONEY, "$20", "Spend of all loops of a plan.")),
    by(
        Tighten,
        key("plan.tokens", Kind::Tokens, "0", "Tokens of all loops of a plan; 0 is no limit."),
    ),
    key(
        "plan.touches",
        Kind::Word(&TOUCHES),
        "serialise",
        "Whether specs whose `touches` overlap work one after another.",
    ),
    unset(
        "gate.command",
        Kind::Commands,
        "What decides whether work passes: run in order, each must end with 0.",
    ),
    unset("gate.quick", Kind::Command, "Run before the gate, to fail fast."),
    key("gate.timeout", time(SECOND, DAY), "15m", "Longest run of one command of the gate."),
    key(
        "gate.retries",
        count(0, MAX_RETRIES),
        "0",
        "How often a red gate is run again on the same files before it counts as red.",
    ),
    unset("gate.protect", Kind::Globs, "Files an agent must not change."),
    by(
        Tighten,
        key(
            "land.policy",
            Kind::Word(&LAND),
            "ask",
            "How passed work lands: not at all, when a person says so, as a pull request, or as soon as \
             it passed.",
        ),
    ),
    key(
        "land.mode",
        Kind::Word(&MODE),
        "squash",
        "What lands: one commit for each spec, or one for each iteration with or without a merge.",
    ),
    by(
        Daemon,
        key(
            "land.batch",
            count(1, 16),
            "4",
            "So many wait to land on one branch until they are gated in one; 1 is never.",
        ),
    ),
    key(
        "land.follow",
        Kind::Flag,
        "true",
        "A clean checkout of the target follows it; otherwise `taskd sync` moves it.",
    ),
    key(
        "land.pr_branch",
        Kind::Line,
        "taskd/",
        "What the names of branches begin with that work is pushed to for a pull request.",
    ),
    key(
        "land.pr_command",
        Kind::Command,
        PULL_REQUEST,
        "Opens a pull request, or brings the one there is up to date, and prints its address.",
    ),
    unset(
        "land.pr_checks",
        Kind::Command,
        "Asks a remote what it found about a pull request: ends with 0 for nothing, 8 for not yet, \
         anything else sends the work back with what it printed.",
    ),
    unset("work.agent", Kind::Line, "The external agent that works: a preset or a command line."),
    unset("work.model", Kind::Line, "The model that works, as provider/model."),
    unset("work.setup", Kind::Command, "Run once in every new worktree."),
    unset("work.teardown", Kind::Command, "Run in a worktree when its loop is over."),
    by(
        Daemon,
        key(
            "work.port",
            count(1_024, 60_000),
            "20000",
            "First of the ports worktrees get, ten each.",
        ),
    ),
    key(
        "work.pool",
        count(0, 16),
        "2",
        "Spare worktrees of a project with a thousand files or more.",
    ),
    by(
        Daemon,
        key(
            "work.max_behind",
            count(0, 100_000),
            "50",
            "Commits of its target the base of a new iteration may lack; 0 is no limit.",
        ),
    ),
    key("work.type", Kind::Name, "ralph", "The loop type."),
    key("work.conflict", Kind::Conflict, "loop(2)", "Who solves conflicts with a moved base."),
    key("git.poll", time(100, 10 * MINUTE), "5s", "How often the target branch is looked at."),
    unset(
        "git.remote",
        Kind::Line,
        "The remote whose branch the target follows while plans are open.",
    ),
    key("git.fetch", time(100, DAY), "60s", "How often that branch is fetched."),
    by(
        Daemon,
        key(
            "disk.floor",
            Kind::Bytes,
            "2GB",
            "Free space below which no loop starts; below a quarter of it everything rests.",
        ),
    ),
    by(
        Daemon,
        key(
            "disk.quota",
            Kind::Bytes,
            "0",
            "What worktrees and the log may take before no loop starts; 0 is no quota.",
        ),
    ),
    by(
        Daemon,
        key(
            "gc.keep",
            time(SECOND, 3_650 * DAY),
            "7d",
            "How long clean worktrees of landed work stay, and what else `taskd gc` takes away.",
        ),
    ),
    by(
        Daemon,
        key(
            "gc.history",
            time(0, 3_650 * DAY),
            "90d",
            "How long the log keeps the events of what ended, and texts that only they name.",
        ),
    ),
    key(
        "agent.idle",
        time(SECOND, DAY),
        "15m",
        "Silence (no output, no file changed) after which an external agent is stopped.",
    ),
    by(
        Daemon,
        key(
            "agent.processes",
            count(1, 100_000),
            "500",
            "Processes of one run of an external agent, itself included, before it is ended.",
        ),
    ),
    by(
        Daemon,
        key(
            "agent.billing",
            Kind::Word(&BILLING),
            "either",
            "What pays for external agents: their own login, the key of their preset, or that key \
             where there is one.",
        ),
    ),
    by(
        Daemon,
        at_start(key(
            "http.listen",
            Kind::Loopback,
            "",
            "Where the web pages are served; empty is nowhere.",
        )),
    ),
    by(
        Daemon,
        at_start(key(
            "api.listen",
            Kind::Address,
            "",
            "Where clients of the network are served, over TLS; empty is nowhere.",
        )),
    ),
    by(Daemon, at_start(unset("api.cert", Kind::Line, "File with the certificate for that, PEM."))),
    by(Daemon, at_start(unset("api.cert_key", Kind::Line, "File with its private key, PEM."))),
    by(
        Daemon,
        unset(
            "notify.command",
            Kind::Command,
            "Is given one JSON object on stdin when a plan ends or something needs a person.",
        ),
    ),
    by(
        Daemon,
        unset(
            "projects.trusted",
            Kind::Directories,
            "Directories whose projects may run the commands their own files name, without asking.",
        ),
    ),
    by(Daemon, key("log.level", Kind::Levels, "info", "What the daemon's log holds.")),
    by(
        Daemon,
        at_start(key(
            "log.format",
            Kind::Word(&FORMAT),
            "text",
            "What its lines are: for people, or JSON, one object a line.",
        )),
    ),
    by(
        Daemon,
        at_start(key(
            "log.size",
            Kind::Bytes,
            "10MB",
            "A file of it that has grown to this is moved aside; 0 is never.",
        )),
    ),
    by(
        Daemon,
        at_start(key("log.keep", count(1, 1_000), "5", "Files of it that are kept beside it.")),
    ),
];
