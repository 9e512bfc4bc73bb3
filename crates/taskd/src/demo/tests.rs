//! The pieces of the demo, each without a daemon.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use taskd_model::{
    Actor, Digest, EffectId, Event, Failure, LandPolicy, LoopId, LoopLimits, Oid, Outcome, Owner,
    PlanHead, PlanId, Priority, ProjectId, Record, Seq, SpecHead, SpecId, Time, Usage, Verdict,
    Work, Worker,
};

use super::{
    follow::{cut, missing, seconds},
    place::plan_text,
    script::{RETRY_AFTER_MS, Scripts, asset},
    seed::{Choices, MAX_KILL_AFTER_MS, SPECS, Step, VICTIMS},
    sentences::sentence,
    server::socket_in,
    story::Story,
};

/// Enough seeds to meet every victim.
const SEEDS: std::ops::Range<u64> = 0..60;

/// The turns of an iteration of a script.
fn turns(script: &Value, spec: &str, iteration: u32) -> Vec<Value> {
    let iterations = script["loops"][spec].as_array().expect("a list of iterations");
    let found = iterations.iter().find(|it| it["iteration"] == iteration);
    found.expect("that iteration")["turns"].as_array().expect("a list of turns").clone()
}

#[test]
fn a_seed_says_everything() {
    assert_eq!(Choices::new(7, false), Choices::new(7, false));
    assert_ne!(Choices::new(7, false).delays, Choices::new(8, false).delays);
    for victim in VICTIMS {
        let met = SEEDS.clone().any(|it| Choices::new(it, false).victim == victim);
        assert!(met, "no seed kills {victim:?}");
    }
}

#[test]
fn there_is_room_for_every_kill() {
    let both = |it| [Choices::new(it, false), Choices::new(it, false).recorded()];
    for choices in SEEDS.flat_map(both) {
        let seed = choices.seed;
        let script: Value = serde_json::from_str(&Scripts::new(&choices).model).expect("JSON");
        let victim = choices.victim;
        let turns = turns(&script, victim.spec, victim.iteration);
        let turn = &turns[victim.turn as usize - 1];
        match victim.step {
            Step::Call => {
                let delay = turn["delay_ms"].as_u64().expect("a delay");
                assert!(MAX_KILL_AFTER_MS + 300 < delay, "seed {seed}: {delay} ms");
            }
            Step::Run => {
                let command = turn["tools"][0]["run"]["command"].as_str().expect("a command");
                assert!(command.starts_with("sleep 1;"), "seed {seed}: {command}");
            }
        }
        assert!(choices.kill_after_ms <= MAX_KILL_AFTER_MS);
    }
}

#[test]
fn the_busy_provider_refuses_once_and_top_alone_asks_it() {
    let scripts = Scripts::new(&Choices::new(7, false));
    let busy: Value = serde_json::from_str(&scripts.busy).expect("JSON");
    let fails: Vec<Value> = turns(&busy, "top", 1)
        .iter()
        .flat_map(|it| it["fail"].as_array().expect("a list").clone())
        .collect();
    assert_eq!(fails.len(), 1);
    assert_eq!(fails[0]["status"], 429);
    assert_eq!(fails[0]["retry_after_ms"], RETRY_AFTER_MS);
    let model: Value = serde_json::from_str(&scripts.model).expect("JSON");
    assert!(model["loops"].get("top").is_none());
}

#[test]
fn a_broken_script_lacks_one_fix_and_nothing_else() {
    let of = |broken| -> Value {
        serde_json::from_str(&Scripts::new(&Choices::new(7, broken)).model).expect("JSON")
    };
    let (whole, broken) = (of(false), of(true));
    assert_eq!(turns(&whole, "parse", 2).len(), turns(&broken, "parse", 2).len() + 1);
    for spec in ["count", "json", "bench"] {
        assert_eq!(turns(&whole, spec, 1).len(), turns(&broken, spec, 1).len());
    }
}

#[test]
fn the_plan_keeps_its_specs_in_any_order() {
    for seed in SEEDS {
        let choices = Choices::new(seed, false);
        let text = plan_text(asset!("plan.md"), &choices, Path::new("/d"));
        let sections: Vec<&str> = text.split("\n## spec ").skip(1).collect();
        let names: Vec<&str> =
            sections.iter().filter_map(|it| Some(it.split_once(':')?.0)).collect();
        let wanted: Vec<&str> = choices.order.iter().map(|it| SPECS[*it]).collect();
        assert_eq!(names, wanted);
        assert!(text.contains("model: scripted:/d/busy.json") && !text.contains('@'), "{text}");
    }
}

/// Runs the word counter's tests on `files`.
#[expect(clippy::disallowed_methods, reason = "tests start real programs")]
fn tested(files: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().expect("a temp dir");
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("below the dir")).expect("writable");
        fs::write(path, text).expect("writable");
    }
    let mut command = std::process::Command::new("sh");
    let ran = command.arg("test.sh").current_dir(dir.path()).output().expect("sh runs");
    let text = String::from_utf8(ran.stdout).expect("UTF-8");
    let last = text.lines().last().unwrap_or_default().to_owned();
    assert_eq!(ran.status.success(), last.ends_with(" 0 failed"), "{text}");
    last
}

#[test]
fn the_word_counter_grows_with_its_tests() {
    let mut files = vec![
        ("test.sh", asset!("repo/test.sh")),
        ("words.sh", asset!("repo/words.sh")),
        ("tests/usage.sh", asset!("repo/tests/usage.sh")),
    ];
    assert_eq!(tested(&files), "3 passed, 0 failed");
    files.extend([
        ("words.sh", asset!("words/parse.sh")),
        ("lib/parse.sh", asset!("lib/parse-first.sh")),
        ("tests/parse.sh", asset!("tests/parse.sh")),
    ]);
    assert_eq!(tested(&files), "5 passed, 2 failed");
    files.push(("lib/parse.sh", asset!("lib/parse.sh")));
    assert_eq!(tested(&files), "7 passed, 0 failed");
    files.extend([
        ("words.sh", asset!("words/count.sh")),
        ("tests/count.sh", asset!("tests/count.sh")),
    ]);
    assert_eq!(tested(&files), "11 passed, 0 failed");
    let top = [("lib/top.sh", asset!("lib/top.sh")), ("tests/top.sh", asset!("tests/top.sh"))];
    let json = [("lib/json.sh", asset!("lib/json.sh")), ("tests/json.sh", asset!("tests/json.sh"))];
    // Either of the two may come first; together they need the merged file.
    let alone = |words, new: &[(&'static str, &'static str)]| {
        tested(&[&files[..], new, &[("words.sh", words)]].concat())
    };
    assert_eq!(alone(asset!("words/top.sh"), &top), "14 passed, 0 failed");
    assert_eq!(alone(asset!("words/json.sh"), &json), "13 passed, 0 failed");
    files.extend(top);
    files.extend(json);
    files.push(("words.sh", asset!("words/both.sh")));
    files.push(("bench.sh", asset!("lib/bench.sh")));
    files.push(("tests/bench.sh", asset!("tests/bench.sh")));
    assert_eq!(tested(&files), "17 passed, 0 failed");
}

#[test]
fn the_daemon_says_where_it_listens() {
    let line = "2026-11-21T09:20:41Z  INFO taskd_daemon::daemon: ready socket=/t/a b/s.sock \
                http=Some(127.0.0.1:40157)";
    assert_eq!(socket_in(line).as_deref(), Some(Path::new("/t/a b/s.sock")));
    let line = "INFO ready socket=/t/s.sock http=None";
    assert_eq!(socket_in(line).as_deref(), Some(Path::new("/t/s.sock")));
    assert_eq!(socket_in("INFO stopped"), None);
}

#[test]
fn numbers_and_lines_are_short() {
    assert_eq!(
        (seconds(0), seconds(2_049), seconds(12_050)),
        ("0.0 s".into(), "2.0 s".into(), "12.1 s".into())
    );
    assert_eq!((cut("abc", 3), cut("ab cd", 4)), ("abc".to_owned(), "ab…".to_owned()));
}

/// A log made by hand, with one plan of the specs `parse` and `top`.
struct Log(Vec<Record>);

const TOP: LoopId = loop_id(1);

const fn loop_id(index: u16) -> LoopId {
    LoopId { spec: SpecId { plan: PlanId(1), index }, run: 1 }
}

fn oid(n: u8) -> Oid {
    format!("{n:040x}").parse().expect("an object id")
}

impl Log {
    fn new() -> Self {
        let mut log = Self(Vec::new());
        log.add(0, None, Event::DaemonStarted { version: "1".to_owned() });
        let digest = Digest::of(b"");
        let head = PlanHead {
            project: ProjectId(1),
            title: "Word counter".to_owned(),
            target: "main".to_owned(),
            base: oid(1),
            key: digest,
            doc: digest,
            gate: digest,
            base_red_ok: false,
            land: LandPolicy::OnGate,
            priority: Priority::Normal,
            budget_micros: 1,
            tokens: 0,
            time_ms: 1,
            specs: 2,
            single: false,
            trace: None,
        };
        log.add(0, None, Event::PlanSubmitted { plan: PlanId(1), head: Box::new(head) });
        for (index, name) in [(0, "parse"), (1, "top")] {
            let head = SpecHead {
                writes: None,
                parent: None,
                review: None,
                name: name.to_owned(),
                title: name.to_owned(),
                needs: (0..index).collect(),
                doc: digest,
                gate: digest,
                accept: false,
                worker: Worker::Model("scripted:/m".to_owned()),
                fallback: Vec::new(),
                type_name: "ralph".to_owned(),
                left_out: Vec::new(),
                touches: Vec::new(),
                limits: LoopLimits::default(),
            };
            let spec = loop_id(index).spec;
            log.add(0, None, Event::SpecAdded { spec, head: Box::new(head) });
        }
        log
    }

    /// Adds an event at `ms`; its position.
    fn add(&mut self, ms: u64, loop_id: Option<LoopId>, event: Event) -> Seq {
        let seq = Seq(self.0.len() as u64 + 1);
        self.0.push(Record {
            seq,
            at: Time(ms),
            shard: 0,
            project: Some(ProjectId(1)),
            loop_id,
            v: 1,
            cause: None,
            actor: Actor::Core,
            event,
        });
        seq
    }

    fn call(&mut self, ms: u64, request: &str) -> EffectId {
        let work = Work::Call {
            request: Digest::of(request.as_bytes()),
            bucket: "scripted:/m".to_owned(),
            cap_micros: 1,
            cap_tokens: 0,
            reserved_micros: 0,
            reserved_tokens: 0,
            input_tokens: 0,
            output_tokens: 0,
        };
        EffectId(self.add(ms, Some(TOP), Event::EffectStarted { owner: Owner::Loop(TOP), work }))
    }

    fn end(&mut self, ms: u64, effect: EffectId, outcome: Outcome) {
        self.add(ms, Some(TOP), Event::EffectEnded { effect, outcome });
    }

    fn replied(&mut self, ms: u64, effect: EffectId) {
        let reply = Digest::of(b"reply");
        self.end(
            ms,
            effect,
            Outcome::Replied {
                reply,
                calls: Vec::new(),
                usage: Usage::default(),
                by: None,
                found: None,
            },
        );
    }

    fn sentence(&self) -> String {
        let story = Story::of(&self.0);
        sentence(&story, &story.view.loops[&TOP], &BTreeMap::new())
    }
}

#[test]
fn a_wait_is_measured_and_its_iteration_counted() {
    let mut log = Log::new();
    log.add(0, Some(TOP), Event::IterationStarted { n: 1 });
    let call = log.call(100, "a");
    let message = "the provider limits our rate (429)".to_owned();
    let failure = Failure::NotBefore(2_000);
    log.end(200, call, Outcome::Failed { failure, message, usage: Usage::default(), fault: None });
    log.call(2_230, "a");
    assert!(
        log.sentence().contains("waited 2.0 s for a 429, no iteration lost"),
        "{}",
        log.sentence()
    );
}

#[test]
fn a_killed_turn_is_named_and_where_it_went_on() {
    let mut log = Log::new();
    log.add(0, Some(TOP), Event::IterationStarted { n: 1 });
    let first = log.call(0, "a");
    log.replied(10, first);
    log.call(20, "b");
    log.add(30, None, Event::DaemonStarted { version: "1".to_owned() });
    let again = log.call(40, "b");
    log.replied(50, again);
    let text = log.sentence();
    assert!(text.contains("daemon killed during turn 2, went on from turn 2"), "{text}");
    assert_eq!(Story::of(&log.0).repeated, 0);
}

#[test]
fn what_is_done_twice_is_counted() {
    let mut log = Log::new();
    log.add(0, Some(TOP), Event::IterationStarted { n: 1 });
    let first = log.call(0, "a");
    log.replied(10, first);
    // The same effect ends again, and the same request is answered again.
    log.replied(20, first);
    let again = log.call(30, "a");
    log.replied(40, again);
    assert_eq!(Story::of(&log.0).repeated, 2);
}

#[test]
fn red_gates_are_told() {
    let mut log = Log::new();
    for (n, verdict) in [(1, Verdict::Red), (2, Verdict::Green)] {
        log.add(0, Some(TOP), Event::IterationStarted { n });
        let (summary, log_blob, change) = (String::new(), None, taskd_model::Change::default());
        let ended =
            Event::IterationEnded { n, verdict, summary, log: log_blob, change, streak: None };
        log.add(0, Some(TOP), ended);
    }
    assert!(log.sentence().contains("gate red, then green"), "{}", log.sentence());
}

#[test]
fn a_lost_event_is_missed() {
    let told = Log::new().0;
    assert_eq!(missing(&told, &told), 0);
    assert_eq!(missing(&told, &told[..told.len() - 1]), 1);
    let mut other = told.clone();
    other[0].at = Time(99);
    assert_eq!(missing(&told, &other), 1);
}
