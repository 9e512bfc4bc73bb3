//! Stories of configuration: layers in, the effective value or every complaint out.

use std::fs;

use proptest::prelude::*;
use taskd_model::{AgentDoc, Billing, LandMode, LandPolicy, Limits, LoopLimits, OnConflict};

use super::*;

fn person(text: &str) -> Layer {
    Layer { origin: "user.toml".into(), text: text.into(), owner: Owner::Person }
}

fn project(text: &str) -> Layer {
    Layer { origin: ".taskd/config.toml".into(), text: text.into(), owner: Owner::Project }
}

fn sources(layers: Vec<Layer>) -> Sources {
    Sources { layers, cores: 8, ..Sources::default() }
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn flag(name: &str, key: &str, value: &str) -> Flag {
    Flag { name: name.into(), key: key.into(), value: value.into() }
}

fn good(sources: &Sources) -> Config {
    Config::resolve(sources).unwrap_or_else(|it| panic!("{}", told(&it).join("\n")))
}

fn told(errors: &[ConfigError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn complaints(sources: &Sources) -> Vec<String> {
    told(&Config::resolve(sources).expect_err("something is wrong"))
}

#[test]
fn without_any_file_the_defaults_of_the_model_are_in_effect() {
    let config = good(&sources(vec![]));
    assert_eq!(config.limits(), Limits { gates: 8, max_behind: 50, ..Limits::default() });
    assert_eq!(config.run_limits(), LoopLimits::default());
    assert_eq!((config.plan_time_ms, config.plan_budget_micros), (21_600_000, 20_000_000));
    assert!(config.serialise_touches);
    assert_eq!((config.gate.timeout_ms, config.gate.run.len()), (Some(900_000), 0));
    assert_eq!((config.land, config.follow), (LandPolicy::Ask, true));
    assert_eq!(config.land_mode, LandMode::Squash);
    assert_eq!((config.worker.clone(), config.setup.clone()), (None, None));
    assert_eq!((config.loop_type.as_str(), config.log_level.as_str()), ("ralph", "info"));
    assert_eq!((config.git_poll_ms, config.agent_idle_ms), (5_000, 900_000));
    assert_eq!((config.git_remote.as_deref(), config.git_fetch_ms), (None, 60_000));
    assert_eq!((config.gc_keep_ms, config.gc_history_ms), (604_800_000, 7_776_000_000));
    assert_eq!((config.disk_floor_bytes, config.disk_quota_bytes), (2 << 30, 0));
    assert_eq!((config.agent_processes, config.work_port, config.work_pool), (500, 20_000, 2));
    assert_eq!(config.http_listen, None);
    assert_eq!(config.origin("limits.gates"), Some("built in"));
    assert_eq!(config.origin("gate.command"), None);
    assert_eq!(config.origin("gate.nonsense"), None);
}

#[test]
fn every_key_can_be_set_and_is_seen() {
    let text = r#"
        [limits]
        loops = 60
        agents = 5
        gates = 3
        calls = 11
        requests_per_minute = 51
        burst = 52
        input_tokens = 54
        output_tokens = 55
        turns = 53
        questions = 8
        [retry]
        first = "2s"
        longest = "30s"
        attempts = 12
        deadline = "20m"
        silence = "3m"
        [run]
        iterations = 9
        time = "1h 30m"
        budget = "$0.50"
        tokens = "1.5M"
        restarts = 0
        [plan]
        touches = "ignore"
        time = "1d"
        budget = "$40"
        tokens = 9000000
        [gate]
        command = ["cargo fmt --check", "cargo test"]
        quick = "cargo check"
        timeout = "5m"
        retries = 2
        protect = ["tests/**"]
        [land]
        mode = "ff"
        policy = "on-gate"
        follow = false
        batch = 7
        pr_branch = "work/"
        pr_command = "open-it"
        pr_checks = "check-it"
        [work]
        model = "anthropic/claude-sonnet"
        setup = "npm ci"
        teardown = "npm run drop"
        port = 30000
        pool = 4
        max_behind = 9
        type = "mine"
        conflict = "block"
        [git]
        poll = "100ms"
        remote = "upstream"
        fetch = "2s"
        [disk]
        floor = "500MB"
        quota = "1.5GB"
        [gc]
        keep = "30d"
        history = "365d"
        [agent]
        idle = "1m"
        processes = 99
        billing = "login"
        [http]
        listen = "127.0.0.1:7777"
        [api]
        listen = "0.0.0.0:7433"
        cert = "cert.pem"
        cert_key = "key.pem"
        [notify]
        command = "tell"
        [projects]
        trusted = ["/srv/src"]
        [log]
        level = "debug,taskd_git=trace"
        format = "json"
        size = "1MB"
        keep = 9
    "#;
    let config = good(&sources(vec![person(text)]));
    let limits = config.limits();
    assert_eq!((limits.loops, limits.agents, limits.gates, limits.calls), (60, 5, 3, 11));
    assert_eq!((limits.requests_per_minute, limits.request_burst, limits.turns), (51, 52, 53));
    assert_eq!((limits.input_tokens_per_minute, limits.output_tokens_per_minute), (54, 55));
    assert_eq!(
        (limits.backoff_ms, limits.backoff_max_ms, limits.call_attempts),
        (2_000, 30_000, 12)
    );
    assert_eq!((limits.call_deadline_ms, limits.silence_max_ms), (1_200_000, 180_000));
    assert_eq!((limits.batch, limits.max_behind, limits.questions), (7, 9, 8));
    let run = config.run_limits();
    assert_eq!((run.iterations, run.time_ms, run.budget_micros), (9, 5_400_000, 500_000));
    assert_eq!((run.tokens, config.plan_tokens), (1_500_000, 9_000_000));
    assert_eq!((run.restarts, run.conflict), (0, OnConflict::Block));
    assert_eq!((config.plan_time_ms, config.plan_budget_micros), (86_400_000, 40_000_000));
    assert!(!config.serialise_touches);
    assert_eq!(config.gate.run, ["cargo fmt --check", "cargo test"]);
    assert_eq!(config.gate.quick.as_deref(), Some("cargo check"));
    assert_eq!((config.gate.timeout_ms, config.gate.retries), (Some(300_000), Some(2)));
    assert_eq!(config.gate.protect.as_deref(), Some(&["tests/**".to_owned()][..]));
    assert_eq!((config.land, config.follow), (LandPolicy::OnGate, false));
    assert_eq!(config.land_mode, LandMode::Ff);
    assert_eq!((config.pr_branch.as_str(), config.pr_command.as_str()), ("work/", "open-it"));
    assert_eq!(config.pr_checks.as_deref(), Some("check-it"));
    let model = AgentDoc::Model { name: "anthropic/claude-sonnet".into() };
    assert_eq!(config.worker, Some(model));
    assert_eq!((config.setup.as_deref(), config.loop_type.as_str()), (Some("npm ci"), "mine"));
    assert_eq!(config.teardown.as_deref(), Some("npm run drop"));
    assert_eq!((config.git_poll_ms, config.agent_idle_ms), (100, 60_000));
    assert_eq!((config.git_remote.as_deref(), config.git_fetch_ms), (Some("upstream"), 2_000));
    assert_eq!((config.gc_keep_ms, config.gc_history_ms), (2_592_000_000, 31_536_000_000));
    assert_eq!((config.disk_floor_bytes, config.disk_quota_bytes), (500 << 20, 1_536 << 20));
    assert_eq!((config.agent_processes, config.work_port, config.work_pool), (99, 30_000, 4));
    assert_eq!(config.agent_billing, Some(Billing::Login));
    assert_eq!(config.http_listen.map(|it| it.port()), Some(7777));
    assert_eq!(config.api_listen.map(|it| it.port()), Some(7433));
    let pem = (config.api_cert.as_deref(), config.api_cert_key.as_deref());
    assert_eq!(pem, (Some("cert.pem"), Some("key.pem")));
    assert_eq!((config.notify_command.as_deref(), limits.notify), (Some("tell"), true));
    assert_eq!(config.trusted, [PathBuf::from("/srv/src")]);
    assert_eq!((config.log_level.as_str(), config.log_json), ("debug,taskd_git=trace", true));
    assert_eq!(config.log_room, Room { file_bytes: 1 << 20, kept: 9 });
    let unset = |it: Entry<'_>| it.origin != Some("user.toml");
    let unset: Vec<_> = config.entries().filter(|it| unset(*it)).map(|it| it.doc.key).collect();
    assert_eq!(unset, ["work.agent"]);
}

#[test]
fn stronger_layers_win_key_by_key() {
    let mut all = sources(vec![
        person("run.iterations = 2\nrun.restarts = 2\nlimits.turns = 2\nlimits.calls = 2"),
        person("run.iterations = 3\nrun.restarts = 3\nlimits.turns = 3"),
        project("run.iterations = 4\nrun.restarts = 4\ngate.command = 'make'"),
        project("run.iterations = 5"),
    ]);
    all.env = env(&[("TASKD_RUN__ITERATIONS", "6"), ("TASKD_LIMITS__TURNS", "6")]);
    all.flags = vec![flag("--iterations", "run.iterations", "7")];
    let config = good(&all);
    let (run, limits) = (config.run_limits(), config.limits());
    assert_eq!((run.iterations, run.restarts, limits.turns, limits.calls), (7, 4, 6, 2));
    assert_eq!(config.origin("run.iterations"), Some("--iterations"));
    assert_eq!(config.origin("limits.turns"), Some("TASKD_LIMITS__TURNS"));
    assert_eq!(config.origin("gate.command"), Some(".taskd/config.toml"));
}

#[test]
fn agent_and_model_are_one_choice() {
    let mut all = sources(vec![person("work.agent = 'claude'"), project("work.model = 'a/b'")]);
    let config = good(&all);
    assert_eq!(config.worker, Some(AgentDoc::Model { name: "a/b".into() }));
    assert_eq!(config.origin("work.agent"), None);
    all.flags = vec![flag("--agent", "work.agent", "codex")];
    assert_eq!(good(&all).worker, Some(AgentDoc::Agent { run: "codex".into() }));

    let both = "[work]\nagent = 'x'\nmodel = 'y'";
    let expected =
        "user.toml:3:1: both `work.agent` and `work.model` are given; keep exactly one of them";
    assert_eq!(complaints(&sources(vec![person(both)])), [expected]);
    all.flags.push(flag("--model", "work.model", "a/b"));
    let expected =
        "--model: both `work.agent` and `work.model` are given; keep exactly one of them";
    assert_eq!(complaints(&all), [expected]);
}

#[test]
fn every_complaint_is_told_at_once_with_its_place() {
    let text = "\
[limits]
lopps = 3
loops = 1001
turns = \"many\"
budget = \"$3\"
[run]
time = \"90\"
[gaet]
x = 1
[gate]
run = \"make\"
command = []
protect = [\"../x\"]
[land]
policy = \"sometimes\"
follow = \"yes\"
";
    let mut all = sources(vec![person("\"é\" = 1\ngit = 3"), project(text)]);
    all.env = env(&[
        ("TASKD_GIT__POLL", "1ms"),
        ("TASKD_GIT__PULL", "1s"),
        ("TASKD_LOG_LEVEL", "not one of ours"),
        ("HOME", "/root"),
    ]);
    let sections = "limits, retry, run, plan, gate, land, work, git, disk, gc, agent, http, api, notify, projects, log";
    let expected = [
        &format!("user.toml:1:1: unknown section [é]; known: {sections}"),
        "user.toml:2:1: `git` is a section, not a key; write [git] and its keys below",
        ".taskd/config.toml:2:1: unknown key `lopps` in [limits]; did you mean `loops`?",
        ".taskd/config.toml:3:9: `limits.loops` is 1001; it must be a whole number from 1 to 1000",
        ".taskd/config.toml:4:9: `limits.turns` is \"many\"; it must be a whole number from 1 to 10000",
        ".taskd/config.toml:5:1: unknown key `budget` in [limits]; `budget` is a key of [run] and [plan]",
        ".taskd/config.toml:7:8: `run.time` is \"90\"; it must be a duration from 1s to 30d, written as \"90s\" or \"1h 30m\"",
        ".taskd/config.toml:8:2: unknown section [gaet]; did you mean [gate]?",
        ".taskd/config.toml:11:1: unknown key `run` in [gate]; write `command`",
        ".taskd/config.toml:12:11: `gate.command` is []; it must be a command in double quotes or a list of commands",
        ".taskd/config.toml:13:11: `gate.protect` is [\"../x\"]; it must be a list of globs below the repository's root, as [\"tests/**\"]",
        ".taskd/config.toml:15:10: `land.policy` is \"sometimes\"; it must be one of \"never\", \"ask\", \"pr\", \"on-gate\"",
        ".taskd/config.toml:16:10: `land.follow` is \"yes\"; it must be true or false",
        "TASKD_GIT__POLL: `git.poll` is \"1ms\"; it must be a duration from 100ms to 10m, written as \"90s\" or \"1h 30m\"",
        "TASKD_GIT__PULL: unknown key `pull` in [git]; did you mean `poll`?",
    ];
    assert_eq!(complaints(&all), expected);
}

#[test]
fn text_that_is_no_toml_is_told_with_its_place() {
    let texts = complaints(&sources(vec![person("\u{feff}[run]\niterations = \n")]));
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].starts_with("user.toml:2:14: not valid TOML: "), "{texts:?}");
    let twice = complaints(&sources(vec![person("[run]\nrestarts = 1\nrestarts = 2")]));
    assert!(twice[0].starts_with("user.toml:3:1: not valid TOML: duplicate key"), "{twice:?}");
}

#[test]
fn a_project_may_be_stricter_but_not_looser() {
    let land = |own: &str, theirs: &str| {
        let line = |it: &str| format!("land.policy = '{it}'");
        Config::resolve(&sources(vec![person(&line(own)), project(&line(theirs))]))
    };
    assert_eq!(land("on-gate", "ask").unwrap().land, LandPolicy::Ask);
    assert_eq!(land("ask", "never").unwrap().land, LandPolicy::Never);
    assert_eq!(land("on-gate", "on-gate").unwrap().land, LandPolicy::OnGate);
    assert!(land("never", "ask").is_err());
    let expected = [
        ".taskd/config.toml:1:15: `land.policy` is \"on-gate\", looser than \"ask\" from user.toml; a project may only be stricter; write it into your own config.toml, or set TASKD_LAND__POLICY",
    ];
    assert_eq!(told(&land("ask", "on-gate").unwrap_err()), expected);

    let budget = |text: &str| Config::resolve(&sources(vec![project(text)]));
    assert_eq!(budget("run.budget = '$1'").unwrap().run_limits().budget_micros, 1_000_000);
    assert!(budget("plan.budget = '$21'").is_err());

    // No limit is the loosest there is.
    let tokens = |own: &str, theirs: &str| {
        let line = |it: &str| format!("run.tokens = {it}");
        Config::resolve(&sources(vec![person(&line(own)), project(&line(theirs))]))
    };
    assert_eq!(tokens("0", "'1.5M'").unwrap().run_limits().tokens, 1_500_000);
    assert_eq!(tokens("'2M'", "500000").unwrap().run_limits().tokens, 500_000);
    assert!(tokens("'2M'", "'3M'").is_err() && tokens("'2M'", "0").is_err());
    assert!(tokens("'2M'", "'2 million'").is_err());
}

#[test]
fn what_the_person_says_now_is_in_effect_whatever_a_project_says() {
    let mut all = sources(vec![project("[land]\npolicy = 'on-gate'\n[run]\nbudget = '$4'")]);
    assert_eq!(complaints(&all).len(), 1);
    all.env = env(&[("TASKD_LAND__POLICY", "on-gate")]);
    all.flags = vec![flag("--budget", "run.budget", "$2")];
    let config = good(&all);
    assert_eq!((config.land, config.run_limits().budget_micros), (LandPolicy::OnGate, 2_000_000));
}

#[test]
fn what_belongs_to_the_daemon_is_not_a_projects() {
    for line in ["http.listen = '127.0.0.1:80'", "log.level = 'trace'", "limits.loops = 2"] {
        let texts = complaints(&sources(vec![project(line)]));
        let expected = "cannot be set by a project: the daemon serves many; write it into your own";
        assert!(texts.len() == 1 && texts[0].contains(expected), "{texts:?}");
        assert!(Config::resolve(&sources(vec![person(line)])).is_ok());
    }
}

#[test]
fn only_this_machine_is_listened_on() {
    let listen = |text: &str| {
        let all = Sources { env: env(&[("TASKD_HTTP__LISTEN", text)]), ..sources(vec![]) };
        Config::resolve(&all).map(|it| it.http_listen.map(|it| it.to_string()))
    };
    assert_eq!(listen("").unwrap(), None);
    assert_eq!(listen("localhost:80").unwrap().as_deref(), Some("127.0.0.1:80"));
    assert_eq!(listen("[::1]:0").unwrap().as_deref(), Some("[::1]:0"));
    for text in ["0.0.0.0:80", "192.168.1.1:80", "[::]:80", "example.org:80", "127.0.0.1", ":80"] {
        assert!(listen(text).is_err(), "{text}");
    }
}

#[test]
fn the_environment_says_lists_and_numbers_as_files_do() {
    let mut all = sources(vec![]);
    all.env = env(&[
        ("TASKD_GATE__COMMAND", "cargo test -- --skip 'a b'"),
        ("TASKD_GATE__PROTECT", "[\"a/**\", \"b\"]"),
        ("TASKD_RUN__ITERATIONS", " 1_0 "),
        ("TASKD_LAND__FOLLOW", "false"),
        ("TASKD_WORK__SETUP", "a\nb"),
    ]);
    let config = good(&all);
    assert_eq!(config.gate.run, ["cargo test -- --skip 'a b'"]);
    assert_eq!(config.gate.protect, Some(vec!["a/**".into(), "b".into()]));
    assert_eq!((config.run_limits().iterations, config.follow), (10, false));
    all.env = env(&[("TASKD_GATE__COMMAND", "[ -f x ] && make")]);
    assert_eq!(good(&all).gate.run, ["[ -f x ] && make"]);
    for (name, value) in [
        ("TASKD_RUN__ITERATIONS", "-1"),
        ("TASKD_RUN__ITERATIONS", ""),
        ("TASKD_RUN__ITERATIONS", "99999999999999999999"),
        ("TASKD_GATE__COMMAND", " "),
        ("TASKD_WORK__AGENT", "a\nb"),
        ("TASKD_WORK__TYPE", "Ralph"),
        ("TASKD_WORK__CONFLICT", "loop(0)"),
        ("TASKD_RUN__BUDGET", "5"),
        ("TASKD_RUN__TIME", "0s"),
    ] {
        all.env = env(&[(name, value)]);
        assert_eq!(complaints(&all).len(), 1, "{name}={value}");
    }
}

#[test]
fn every_key_refuses_every_other_type() {
    for doc in keys() {
        for value in ["1.5", "1979-05-27", "{}", "[[1]]", "-1", "true", "\"\\u0000\""] {
            let text = format!("{} = {value}", doc.key);
            let allowed = doc.kind == Kind::Flag && value == "true";
            let read = Config::resolve(&sources(vec![person(&text)]));
            assert_eq!(read.is_ok(), allowed, "{text}");
            let errors = read.err().unwrap_or_default();
            let expected = format!("it must be {}", doc.kind.expected());
            assert!(errors.iter().all(|it| it.to_string().ends_with(&expected)), "{errors:?}");
        }
    }
}

#[test]
fn every_key_is_documented_once() {
    let mut names: Vec<_> = keys().iter().map(|it| it.key).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), keys().len());
    for doc in keys() {
        assert!(doc.doc.ends_with('.') && doc.key.contains('.'), "{}", doc.key);
    }
    assert!(keys::MEANT.iter().all(|(_, it)| names.contains(it)));
}

#[test]
fn what_is_shown_is_what_would_be_written() {
    let text = "gate.command = ['a \"b\"', \"c\\nd\"]\nrun.budget = '$3'\nlimits.loops = 0x10";
    let first = good(&sources(vec![person(text)]));
    let shown = |it: &Config| {
        let lines = it.entries().filter_map(|it| Some(format!("{} = {}", it.doc.key, it.value?)));
        lines.collect::<Vec<_>>().join("\n")
    };
    let again = good(&sources(vec![person(&shown(&first))]));
    assert_eq!(again.gate, first.gate);
    assert_eq!((again.limits(), again.run_limits()), (first.limits(), first.run_limits()));
    assert_eq!(first.limits().loops, 16);
}

#[test]
fn files_are_read_where_they_are_and_absence_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("repo");
    let mut places = Places::new(&dir.path().join("user"), Some(&root));
    assert_eq!(places.system.to_str(), Some("/etc/taskd/config.toml"));
    places.system = dir.path().join("system.toml");
    let read = |places: &Places| load(places, vec![], vec![]);
    assert_eq!(read(&places).unwrap().run_limits(), LoopLimits::default());

    fs::create_dir_all(root.join(".taskd")).unwrap();
    fs::create_dir_all(&places.user_dir).unwrap();
    fs::write(&places.system, "run.restarts = 1\nrun.iterations = 1\nlimits.turns = 1").unwrap();
    fs::write(places.user_dir.join("config.toml"), "run.iterations = 2").unwrap();
    fs::write(root.join(".taskd/config.toml"), "gate.command = 'a'\nwork.setup = 'b'").unwrap();
    fs::write(root.join(".taskd/local.toml"), "work.setup = 'c'").unwrap();
    let config = read(&places).unwrap();
    assert_eq!((config.run_limits().restarts, config.run_limits().iterations), (1, 2));
    assert_eq!(config.origin("gate.command"), Some(".taskd/config.toml"));
    assert_eq!(config.origin("work.setup"), Some(".taskd/local.toml"));
    assert!(config.origin("run.restarts").is_some_and(|it| it.ends_with("system.toml")));

    places.project_root = None;
    assert_eq!(read(&places).unwrap().gate.run.len(), 0);
}

#[test]
fn files_that_cannot_be_read_are_told_together_with_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let mut places = Places::new(dir.path(), Some(dir.path()));
    places.system = dir.path().join("system.toml");
    fs::write(&places.system, b"# \xc3\xa9\n# \xff").unwrap();
    fs::create_dir_all(dir.path().join("config.toml")).unwrap();
    fs::create_dir_all(dir.path().join(".taskd")).unwrap();
    fs::write(dir.path().join(".taskd/config.toml"), "x.y = 1").unwrap();
    fs::write(dir.path().join(".taskd/local.toml"), " ".repeat(300_000)).unwrap();
    let texts = told(&load(&places, vec![], vec![]).unwrap_err());
    assert!(texts[0].ends_with("system.toml:2:3: not valid TOML: it is not UTF-8"), "{texts:?}");
    assert!(texts[1].ends_with("config.toml: cannot be read: it is no regular file"), "{texts:?}");
    assert!(texts[2].contains("local.toml: the file has 300000 bytes; it may have"), "{texts:?}");
    assert!(texts[3].starts_with(".taskd/config.toml:1:1: unknown section [x]"), "{texts:?}");
    assert_eq!(texts.len(), 4, "{texts:?}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,300}", value in "(?s).{0,40}") {
        let mut all = sources(vec![person(&text), project(&text)]);
        all.env = keys()
            .iter()
            .map(|it| (format!("TASKD_{}", it.key.replace('.', "__")), value.clone()))
            .collect();
        let _ignored = Config::resolve(&all);
    }
}
