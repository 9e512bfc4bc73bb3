//! What lands: one commit for each spec, or one for each iteration with or without a merge.

use serde_json::Value;
use taskd_model::{Event, Outcome};

use super::{agent, person_commits, plan, until_landed, until_loop};
use crate::support::{Door, World};

/// An agent of three iterations: each leaves a file and adds a line to `shared.txt`; the first two
/// are red. In the second it does something that the third takes back.
fn in_three(world: &World, more: &str) -> String {
    let body = format!(
        "n=$TASKD_ITERATION; echo \"$TASKD_LOOP $n\" >> shared.txt; echo $n > \"$TASKD_LOOP-$n.txt\"
         case $n in 1) touch bad.txt ;; 2) echo x > a.txt ;; *) rm bad.txt; echo a > a.txt ;; esac
         {more}"
    );
    agent(world, "agent.sh", &body)
}

/// A field of commits of main by its format, the newest first.
fn log(world: &World, range: &str, format: &str) -> Vec<String> {
    let text = world.git(&["log", "--first-parent", &format!("--format={format}"), range]);
    text.lines().map(str::to_owned).collect()
}

/// Asserts what every landing is, whatever its shape: its records hold and its gate is green on it
/// again; every line of it says who wrote it; nothing of a checkpoint or a prompt is in what main
/// got; and it comes off again.
fn is_a_landing(world: &World, landed: &str, before: &str) {
    world.taskd(&["verify", "p1.one"]).ok();
    world.taskd(&["verify", landed]).ok();
    for (file, n) in [("p1.one-1.txt", 1), ("p1.one-2.txt", 2), ("p1.one-3.txt", 3)] {
        let said = world.taskd(&["why", &format!("{file}:1"), "--json"]).ok();
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!((&said["loop"], &said["iteration"]), (&"p1.one".into(), &n.into()), "{file}");
        assert!(said["evidence"].is_u64() && said["gate"][0].is_string(), "{said}");
    }
    let range = format!("{before}..{landed}");
    let all = world.git(&["log", "--format=%an|%cn|%B", &range]);
    let by: Vec<&str> = all.lines().filter(|it| it.contains('|')).collect();
    assert!(by.iter().all(|it| it.starts_with("Pat Person|Pat Person|one: Work on one")), "{all}");
    assert!(!all.contains("checkpoint") && all.matches("Do one.").count() == 1, "{all}");
    let trailers = world.git(&["log", "--format=%(trailers:key=Taskd-Loop,valueonly)", &range]);
    let named = trailers.lines().filter(|it| !it.is_empty()).count();
    assert_eq!(named, by.len(), "each says which loop it is of");
    let gates = world.git(&["log", "--format=%(trailers:key=Taskd-Gate,valueonly)", &range]);
    assert_eq!(gates.trim(), "sh test.sh", "the last alone says what was proven");

    let dry = world.taskd(&["undo", "p1.one", "--dry-run"]).ok();
    assert!(dry.contains("D p1.one-1.txt"), "{dry}");
    world.taskd(&["undo", "p1.one"]).ok();
    until_loop(world, "p1.one", "to be undone", |it| it.undone.is_some());
    let tree = |of: &str| world.git(&["rev-parse", &format!("{of}^{{tree}}")]);
    assert_eq!(tree("main"), tree(before));
    assert_eq!(world.git(&["rev-parse", "main^"]), landed);
}

/// Main moved while the loop worked, and the daemon is killed when it is about to publish.
fn land_late(world: &mut World, head: &str, more: &str) -> (String, String) {
    let door = Door::new(world, "third");
    let run =
        in_three(world, &format!("[ $TASKD_ITERATION != 3 ] || {{ {}; }}\n{more}", door.sh()));
    world.env.insert("TASKD_FAULT".to_owned(), "kill:publish:p1.one".to_owned());
    world.start();
    world.submit(&plan(&format!("agent: {run}\n{head}"), &[("one", "")]));
    door.reached();
    let before = person_commits(world, "theirs.txt", "theirs\n");
    door.open();
    world.daemon.take().expect("it was started").wait().expect("it kills itself");
    assert_eq!(world.git(&["rev-parse", "main"]), before);
    world.env.remove("TASKD_FAULT");
    world.start_with(&["--resume"]);
    (until_landed(world, "p1.one"), before)
}

/// Proves LM-1: with `mode: merge` a spec lands as a merge commit on the tip, whose other side is a
/// commit for each iteration; it is proven, explained and undone like any other, and a daemon
/// killed at its publication lands it once.
#[test]
fn a_merge_has_the_iterations_on_its_side() {
    let mut world = World::new();
    let (landed, before) = land_late(&mut world, "land: {policy: on-gate, mode: merge}", "");
    assert_eq!(world.git(&["rev-parse", "main"]), landed);
    assert_eq!(world.git(&["rev-parse", "main^1"]), before);
    assert_eq!(log(&world, "main", "%s"), ["one: Work on one", "person: theirs.txt", "first"]);
    let side = log(&world, &format!("{before}..main^2"), "%s");
    let of = |n: u32| format!("one: Work on one (iteration {n})");
    assert_eq!(side, [of(3), of(2), of(1)]);
    assert_eq!(world.git(&["diff", "main", "main^2"]), "", "the merge adds nothing of its own");
    let first = world.git(&["show", "--format=", "--name-only", "main^2~2"]);
    assert_eq!(first, "bad.txt\np1.one-1.txt\nshared.txt");
    is_a_landing(&world, &landed, &before);
    let message = world.git(&["log", "-1", "--format=%B", "main"]);
    let reverts = format!("This reverts commit {landed}, reversing\nchanges made to {before}.");
    assert!(message.contains(&reverts), "{message}");
}

/// Proves LM-2: with `land.mode = "ff"` in the configuration a spec lands as one commit for each
/// iteration in a line on the tip, the last of which says the whole; it is proven, explained and
/// undone as one, and a daemon killed at its publication lands it once.
#[test]
fn a_line_has_a_commit_for_each_iteration() {
    let mut world = World::new();
    world.write(".taskd/config.toml", "[land]\nmode = \"ff\"\n");
    let (landed, before) = land_late(&mut world, "land: on-gate", "");
    assert_eq!(
        super::line_of_main(&world)[..4].join("\n"),
        "one: Work on one\none: Work on one (iteration 2)\none: Work on one (iteration 1)\nperson: theirs.txt"
    );
    assert_eq!(world.git(&["rev-parse", "main~3"]), before);
    assert_eq!(world.git(&["show", "main~2:shared.txt"]), "p1.one 1");
    assert_eq!(
        log(&world, "main~3..main~1", "%(trailers:key=Taskd-Step,valueonly)").concat(),
        "2 of 31 of 3"
    );
    is_a_landing(&world, &landed, &before);
    let message = world.git(&["log", "-1", "--format=%B", "main"]);
    assert!(message.contains(&format!("This reverts commits {before}..{landed}.")), "{message}");
}

/// An iteration that does not go onto the new tip by itself, though the whole does, is not a commit
/// of its own: what it did is in the next one.
#[test]
fn an_iteration_that_does_not_merge_is_in_the_next() {
    let mut world = World::new();
    let door = Door::new(&world, "third");
    let run = in_three(&world, &format!("[ $TASKD_ITERATION != 3 ] || {{ {}; }}", door.sh()));
    world.start();
    // The second iteration has a.txt otherwise, and the third as it was.
    world.submit(&plan(
        &format!("agent: {run}\nland: {{policy: on-gate, mode: ff}}"),
        &[("one", "")],
    ));
    door.reached();
    person_commits(&world, "a.txt", "person\n");
    door.open();
    until_landed(&world, "p1.one");
    let subjects = log(&world, "main", "%s");
    assert_eq!(subjects[..2], ["one: Work on one", "one: Work on one (iteration 1)"]);
    assert_eq!(world.git(&["show", "main:a.txt"]), "person");
    assert_eq!(world.git(&["show", "main:shared.txt"]), "p1.one 1\np1.one 2\np1.one 3");
}

/// What the first of several commits changes of its gate is seen when the last is gated on a new
/// tip: what decides is what stood below all of them.
#[test]
fn a_gate_that_an_early_iteration_changed_is_seen() {
    let mut world = World::new();
    let more = "[ $TASKD_ITERATION != 1 ] || echo '# mine' >> test.sh";
    let run = in_three(&world, more);
    world.start();
    world.submit(&plan(
        &format!("agent: {run}\nland: {{policy: on-gate, mode: ff}}"),
        &[("one", "")],
    ));
    until_loop(&world, "p1.one", "to ask", |it| {
        it.suspicion.is_some() && it.approval_asked.is_some()
    });
    person_commits(&world, "theirs.txt", "theirs\n");
    world.taskd(&["land", "p1.one"]).ok();
    until_landed(&world, "p1.one");
    let reports: Vec<Vec<String>> = world
        .events()
        .into_iter()
        .filter_map(|it| {
            let Event::EffectEnded { outcome: Outcome::CandidateGated(it), .. } = it.event else {
                return None;
            };
            Some(it.facts.tampered.map(|it| it.paths).unwrap_or_default())
        })
        .collect();
    assert_eq!(reports, [["test.sh"]], "{}", world.transcript());
}

/// Several that wait are gated in one, each with commits of its own, and each comes off by itself.
#[test]
fn several_land_in_one_with_commits_of_their_own() {
    let mut world = World::new();
    let body = "n=$TASKD_ITERATION; echo $n > \"$TASKD_LOOP-$n.txt\"
        if [ $n = 1 ]; then touch bad.txt; else rm bad.txt; fi";
    let run = agent(&world, "agent.sh", body);
    world.start();
    world.taskd(&["projects", "add", "."]).ok();
    world.taskd(&["queue", "hold", "--all"]).ok();
    let names = ["a", "b", "c", "d"];
    world.submit(&plan(
        &format!("agent: {run}\nland: {{policy: on-gate, mode: ff}}"),
        &names.map(|it| (it, "")),
    ));
    world.until("four to be queued", |view| view.queue.values().any(|it| it.len() == 4));
    person_commits(&world, "theirs.txt", "theirs\n");
    world.taskd(&["queue", "release", "--all"]).ok();
    for name in names {
        until_landed(&world, &format!("p1.{name}"));
    }
    assert_eq!(super::candidate_gates(&world), [Some(true)], "{}", world.transcript());
    assert_eq!(super::line_of_main(&world).len(), 2 + 2 * names.len());
    world.taskd(&["verify", "p1.b"]).ok();
    world.taskd(&["undo", "p1.b"]).ok();
    until_loop(&world, "p1.b", "to be undone", |it| it.undone.is_some());
    let files = world.git(&["show", "--format=", "--name-status", "main"]);
    assert_eq!(files, "D\tp1.b-1.txt\nD\tp1.b-2.txt");
}

/// A pull request is one commit: a plan that asks for another shape is told so, and one that does
/// not know of shapes is not. What a plan will look like is in the answer.
#[test]
fn a_plan_says_what_will_land() {
    let mut world = World::new();
    world.start();
    let check = |land: &str| {
        let text = plan(&format!("agent: sh -c true\nland: {land}"), &[("one", "")]);
        let file = world.aside("plan.md", &text);
        world.taskd(&["plan", "check", &file, "--json"])
    };
    let mode = |land: &str| {
        let said: Value = serde_json::from_str(&check(land).ok()).expect("JSON");
        (said["land"].clone(), said["land_mode"].clone())
    };
    assert_eq!(mode("ask"), ("ask".into(), "squash".into()));
    assert_eq!(mode("{mode: merge}"), ("ask".into(), "merge".into()));
    assert_eq!(mode("{policy: never, mode: ff}"), ("never".into(), "ff".into()));
    let wrong = check("{mode: rebase}");
    assert!(wrong.code != 0 && wrong.out.contains("`mode` cannot be `rebase`"), "{wrong:?}");
    world.git(&["remote", "add", "origin", "."]);
    world.git(&["fetch", "-q", "origin"]);
    world.write(".taskd/config.toml", "[git]\nremote = \"origin\"\n");
    let wrong = check("{policy: pr, mode: ff}");
    assert!(wrong.code != 0 && wrong.out.contains("a pull request is one commit"), "{wrong:?}");
}
