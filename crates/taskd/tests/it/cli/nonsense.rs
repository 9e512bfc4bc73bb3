//! What is typed wrongly: plans, ids, bytes. Every answer says what, where, and what to type next.

use std::{collections::BTreeSet, ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use taskd_api::v1;
use taskd_model::Status;

use super::json;
use crate::{
    landing::{agent, plan, until_landed, words_of_persons},
    support::World,
};

/// A malformed plan names every mistake with line and column, ends with 2 and stores nothing.
///
/// Proves S-5.3.3.
#[test]
fn a_malformed_plan_names_line_and_column_and_stores_nothing() {
    let mut world = World::new();
    world.start();
    let file = world.aside(
        "plan.md",
        "---\nplan: T\ngate: sh test.sh\nagent: 'true'\nlimts: {time: 1h}\nland: maybe\n---\n\n\
         ## spec one: First\nneeds: three\n\nDo it.\n\n## spec one: Again\n\nDo it.\n",
    );
    let seq = world.view().seq;
    for command in ["submit", "check"] {
        let err = world.taskd(&["plan", command, &file]).fails(2);
        for (place, what) in
            [(":5:1: ", "limts"), (":6:7: ", "maybe"), (":10:8: ", "three"), (":14:9: ", "one")]
        {
            let hit = err.lines().any(|it| it.contains(place) && it.contains(what));
            assert!(hit, "plan {command}: nothing about {what} at {place}\n{err}");
        }
        assert!(err.contains("limits"), "did you mean: {err}");
        let out = world.taskd(&["plan", command, &file, "--json"]);
        assert_eq!(out.code, 2);
        let value: serde_json::Value = serde_json::from_str(out.out.trim()).expect("one object");
        assert!(value["problems"].as_array().is_some_and(|it| it.len() >= 4), "{value}");
    }
    let view = world.view();
    assert_eq!((view.seq, view.plans.len()), (seq, 0), "something was stored");
    // Not a plan at all.
    for text in ["", "\n\n", "---\nplan: T\n", "just a sentence\n", "\u{feff}# T\n"] {
        let file = world.aside("odd.md", text);
        let err = world.taskd(&["plan", "submit", &file, "--agent", "true"]).fails(2);
        assert!(err.starts_with("error: ") && !err.contains("panic"), "{text:?}: {err}");
    }
    let file = world.dir.path().join("binary.md");
    fs::write(&file, [0xff, 0xfe, 0, 1, 2]).expect("ours");
    let err = world.taskd(&["plan", "submit", file.to_str().expect("UTF-8")]).fails(2);
    assert!(err.contains("binary.md"), "{err}");
    assert_eq!(world.view().plans.len(), 0);
}

/// `plan check` says what a plan would do, and stores nothing.
#[test]
fn a_check_stores_nothing() {
    let mut world = World::new();
    world.start();
    let specs = [("one", "accept: test -f mine.txt"), ("two", "needs: one")];
    let file = world.aside("plan.md", &plan("agent: 'true'", &specs));
    let before = world.view();
    let out = world.taskd(&["plan", "check", &file]).ok();
    for part in ["Test plan", "2 specs", "sh test.sh", "SPEC", "one", "two", "nothing was stored"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let after = world.view();
    assert_eq!((before.seq, after.plans.len(), after.projects.len()), (after.seq, 0, 0));
}

/// The same file twice is the same plan; a changed one is another.
#[test]
fn the_same_file_twice_is_one_plan() {
    let mut world = World::new();
    world.start();
    let text = plan("agent: 'true'\nland: never\nlimits: {iterations: 1}", &[("one", "")]);
    let file = world.aside("plan.md", &text);
    let submit = || world.taskd(&["plan", "submit", &file, "-q"]).ok().trim().to_owned();
    assert_eq!((submit(), submit()), ("p1".to_owned(), "p1".to_owned()));
    let again = world.taskd(&["plan", "submit", &file, "-d"]);
    assert!(again.err.contains("the same plan was here before: p1"), "{again:?}");
    assert_eq!(world.view().plans.len(), 1);
    world.aside("plan.md", &text.replace("Do one.", "Do more."));
    assert_eq!(submit(), "p2");
    // A sentence typed twice is meant twice.
    let run = ["run", "x", "--agent", "true", "--gate", "sh test.sh", "-q"];
    assert_eq!(world.taskd(&run).ok().trim(), "p3");
    assert_eq!(world.taskd(&run).ok().trim(), "p4");
}

/// Proves S-5.1.2, N7: a short name finds its loop in every command that takes one; an ambiguous one is
/// listed and refused with 5, and so is one that is not there, with what is near it.
#[test]
fn short_names_work_everywhere_and_ambiguous_ones_are_listed() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    world.start();
    let specs = [("limiter", ""), ("limits", ""), ("headers", ""), ("step-1", ""), ("step-12", "")];
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &specs));
    for name in ["p1.limiter", "p1.limits", "p1.headers", "p1.step-1", "p1.step-12"] {
        crate::landing::until_ready(&world, name);
    }
    let reading: [&[&str]; 6] = [&["show"], &["why"], &["logs"], &["diff"], &["path"], &["wait"]];
    for args in reading {
        let ran = world.taskd(&[args, &["p1.head"]].concat());
        assert!(ran.code == 0 || (args == ["wait"] && ran.code == 4), "{args:?}: {ran:?}");
    }
    assert!(world.taskd(&["show", "1.head"]).ok().starts_with("p1.headers"));
    assert!(world.taskd(&["show", "p1.step-1"]).ok().starts_with("p1.step-1 "), "exact wins");
    let acting: [&[&str]; 8] = [
        &["land"],
        &["reject", "-m", "no"],
        &["pause"],
        &["resume"],
        &["stop"],
        &["approve"],
        &["events"],
        &["steer"],
    ];
    let before = words_of_persons(&world);
    for args in reading.iter().chain(&acting) {
        let tail: &[&str] = if **args == ["steer"] { &["p1.lim", "hurry"] } else { &["p1.lim"] };
        let err = world.taskd(&[args, tail].concat()).fails(5);
        assert!(err.contains("p1.limiter, p1.limits"), "{args:?}: {err}");
        let err = world.taskd(&[args, &["p1.heders", "x"][..tail.len()]].concat()).fails(5);
        assert!(err.contains("did you mean p1.headers?"), "{args:?}: {err}");
    }
    assert_eq!(words_of_persons(&world), before, "a refused verb changed something");
    world.taskd(&["land", "p1.head"]).ok();
    until_landed(&world, "p1.headers");
    for nonsense in ["p0", "p01", "p99", "p1.", ".limiter", "p1.limiter.2", "-1", "p1/limiter", "é"]
    {
        let ran = world.taskd(&["show", "--", nonsense]);
        assert_eq!(ran.code, 5, "{nonsense}: {ran:?}");
    }
    // All or none: one name that is wrong, and nothing happens to the others.
    world.taskd(&["stop", "p1.limiter", "p1.nothing"]).fails(5);
    assert_eq!(world.row("p1.limiter").status, Status::Running);
}

/// Proves N7: many plans with one title, submitted at once, are as many plans with numbers of their
/// own, and none of them is short for another.
#[test]
fn many_plans_with_one_title_have_numbers_of_their_own() {
    const MANY: u32 = 300;
    let mut world = World::new();
    world.start();
    let client = world.client();
    let repository = world.repo.to_str().expect("UTF-8").to_owned();
    let numbers: BTreeSet<u32> = world.runtime.block_on(async {
        let park = v1::ActRequest { verb: v1::Verb::Park.into(), ..v1::ActRequest::default() };
        client.act(park).await.expect("it parks");
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..MANY {
            let options = v1::SubmitOptions {
                agent: Some("true".to_owned()),
                gate: Some("sh test.sh".to_owned()),
                ..v1::SubmitOptions::default()
            };
            let request = v1::SubmitRequest {
                source: Some(v1::submit_request::Source::Request("the same title".to_owned())),
                repository: repository.clone(),
                options: Some(options),
                environment: [("PATH".to_owned(), world.env["PATH"].clone())].into(),
                idempotency_key: n.to_string(),
                ..v1::SubmitRequest::default()
            };
            let client = client.clone();
            tasks.spawn_on(
                async move { client.submit(request).await.expect("taken").plan.expect("stored") },
                &world.runtime.handle().clone(),
            );
        }
        tasks.join_all().await.into_iter().collect()
    });
    assert_eq!(numbers, (1..=MANY).collect());
    let names: BTreeSet<String> = world.view().loops.values().map(|it| it.name.clone()).collect();
    assert_eq!(names.len(), usize::try_from(MANY).expect("small"));
    let shown = json(&world, &["show", "p3"]);
    assert_eq!(shown[0]["name"], "p3", "not p30");
    world.taskd(&["show", "p301"]).fails(5);
}

/// Bytes that are no text are refused as such: no panic, nothing stored.
///
/// Proves S-5.1.2.
#[test]
fn arguments_that_are_no_text_are_refused() {
    let mut world = World::new();
    world.start();
    let odd = OsStr::from_bytes(b"pl\xffan");
    let cases: [&[&str]; 7] = [
        &["show"],
        &["run"],
        &["plan", "submit"],
        &["plan", "check"],
        &["wait"],
        &["projects", "add"],
        &["help"],
    ];
    let dir = world.dir.path().join(odd);
    fs::write(world.repo.join(odd), plan("agent: 'true'", &[("one", "")])).expect("ours");
    for args in cases {
        let out = world.command(args).arg(odd).output().expect("it runs");
        let err = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains("UTF-8"), "{args:?}: {err}");
    }
    // A repository in a directory whose name is no text.
    fs::rename(&world.repo, &dir).expect("ours");
    let file = world.aside("plan.md", &plan("agent: 'true'", &[("one", "")]));
    let mut command = world.command(&["plan", "submit", &file]);
    let out = command.current_dir(&dir).output().expect("it runs");
    let err = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{err}");
    assert!(err.contains("is not UTF-8"), "{err}");
    fs::rename(&dir, &world.repo).expect("ours");
    assert!(world.view().plans.is_empty());
}

/// A worker that is not there is found when the plan is read, not when it is paid for.
#[test]
fn a_worker_that_is_not_there_is_refused() {
    let mut world = World::new();
    // Perhaps it is installed here.
    world.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    world.start();
    let cases: [(&[&str], &str); 4] = [
        (&["--agent", "./nothing.sh"], "./nothing.sh"),
        (&["--agent", "codex"], "codex"),
        (&["--model", "scripted:nothing.yaml"], "nothing.yaml"),
        (&["--model", "no-such-provider/x"], "no-such-provider"),
    ];
    for (worker, named) in cases {
        let start: &[&str] = &["run", "x", "--gate", "sh test.sh", "-d"];
        let err = world.taskd(&[start, worker].concat()).fails(2);
        assert!(err.contains(named), "{worker:?}: {err}");
    }
    let err = world.taskd(&["run", "x", "--gate", "sh test.sh", "-d"]).fails(2);
    assert!(err.contains("--agent claude"), "nobody is chosen silently: {err}");
    let err = world.taskd(&["run", "x", "--agent", "true", "-d"]).fails(2);
    assert!(err.contains("no gate is set"), "{err}");
    assert!(world.view().plans.is_empty());
}
