//! The pictures: what each reading command promises to show, in 80 columns and as JSON.

use super::{assert_narrow, json};
use crate::{
    landing::{agent, plan, until_landed, until_loop, until_ready},
    support::{Door, World},
};

/// A plan with one loop that is ready to land, one that works at a door, one that waits for it.
fn three(world: &mut World, door: &Door) {
    let body = format!(
        "echo edited\ncase $TASKD_LOOP in *.ready) \
         if [ $TASKD_ITERATION = 1 ]; then echo x > bad.txt; \
         else mv bad.txt ready.txt; fi ;; *.works) echo x > works.txt; {} ;; esac",
        door.sh()
    );
    let run = agent(world, "agent.sh", &body);
    world.start();
    let specs = [("ready", ""), ("works", "accept: test -f works.txt"), ("later", "needs: works")];
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &specs));
    door.reached();
    until_ready(world, "p1.ready");
}

fn line<'a>(text: &'a str, begins: &str) -> &'a str {
    let found = text.lines().find(|it| it.starts_with(begins));
    found.unwrap_or_else(|| panic!("no line begins with {begins:?}:\n{text}"))
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

/// `ls`: where this is, then what needs you, works, waits, each with its reason; `taskd` alone is
/// that and the next command.
#[test]
fn ls_shows_the_groups() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    three(&mut world, &door);
    let out = world.taskd(&["ls"]).ok();
    assert_narrow(&out);
    let tip = world.git(&["rev-parse", "--short=7", "main"]);
    has(out.lines().next().expect("a head"), &["repo", &format!("main {tip}"), "of $20.00"]);
    has(line(&out, "NEEDS YOU (1)"), &["WHY", "SINCE", "COST"]);
    has(line(&out, "p1.ready"), &["ready to land, +1 -0, gate green, 2 tests"]);
    has(line(&out, "WORKING (1)"), &["DOING", "LAST", "ITER", "BASE", "COST"]);
    has(line(&out, "p1.works"), &["agent.sh", "1/10", "1 behind"]);
    has(line(&out, "WAITING (1)"), &["FOR", "UNTIL"]);
    has(line(&out, "p1.later"), &["p1.works (working)"]);
    has(&out, &["ls -a: all", "-A: every project"]);
    let alone = world.taskd(&[]).ok();
    has(&alone, &["NEEDS YOU (1)", "next: taskd diff p1.ready"]);
    assert_eq!(world.taskd(&["ls", "-q"]).ok(), "p1.ready\np1.works\np1.later\n");
    let value = &json(&world, &["ls"])[0];
    let groups: Vec<_> =
        value["loops"].as_array().expect("loops").iter().map(|it| &it["group"]).collect();
    assert_eq!(groups, ["needs_you", "working", "waiting"]);
    assert_eq!(value["loops"][2]["waits_for"][0], "p1.works");
    assert_eq!(json(&world, &[])[0]["schema_version"], 1);
    // Elsewhere it is about everything, in another repository about nothing.
    let other = world.dir.path().join("other");
    world.git(&["init", "-q", other.to_str().expect("UTF-8")]);
    let there = ["-C", other.to_str().expect("UTF-8")];
    let out = world.taskd(&[&there[..], &["ls", "-A"]].concat()).ok();
    has(&out, &["p1.ready"]);
    door.open();
}

/// `show`: one loop on one screen, with its iterations; a plan with its loops.
#[test]
fn show_shows_a_loop_and_a_plan() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    three(&mut world, &door);
    let out = world.taskd(&["show", "p1.ready"]).ok();
    assert_narrow(&out);
    has(out.lines().next().expect("a head"), &["p1.ready", "Work on ready", "needs you"]);
    has(line(&out, "plan"), &["p1 Test plan, 0 of 3 landed"]);
    has(line(&out, "now"), &["ready to land"]);
    has(line(&out, "base"), &["main", "up to date", "refs/taskd/", "/loops/p1-ready-1"]);
    has(line(&out, "gate"), &["sh test.sh", "from the plan"]);
    has(line(&out, "limits"), &["2/10 iterations", "of 2h", "of $5.00"]);
    has(line(&out, "ITER"), &["CHANGED", "GATE", "TIME", "COST"]);
    has(line(&out, "1 "), &["1 file", "+1", "red", "bad.txt"]);
    has(line(&out, "2 "), &["1 file", "green", "2 tests"]);
    has(&out, &["Do ready.", "next:  taskd diff | land | reject", "cd $(taskd path p1.ready)"]);
    let out = world.taskd(&["show", "p1.works"]).ok();
    has(line(&out, "accept"), &["test -f works.txt", "red before any work"]);
    has(line(&out, "plan"), &["unblocks later"]);
    has(&out, &["next:  taskd logs -f | diff | steer"]);
    let out = world.taskd(&["show", "p1"]).ok();
    assert_narrow(&out);
    has(&out, &["p1", "Test plan", "p1.ready", "p1.works", "p1.later"]);
    let value = &json(&world, &["show", "p1.ready"])[0];
    assert_eq!(value["loops"][0]["iterations"][0]["verdict"], "red");
    assert_eq!(value["loops"][0]["iterations"][1]["verdict"], "green");
    assert_eq!(json(&world, &["show", "p1"])[0]["loops"].as_array().map(Vec::len), Some(3));
    door.open();
}

/// `why`: the chain of causes, what is not the cause, and whether you are needed.
#[test]
fn why_shows_the_chain() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    three(&mut world, &door);
    let out = world.taskd(&["why", "p1.later"]).ok();
    assert_narrow(&out);
    has(line(&out, "p1.later waits "), &["for p1.works"]);
    has(line(&out, "  p1.works"), &["agent"]);
    has(&out, &["evidence  event ", "taskd events --from ", "not the cause: ", "budget ("]);
    has(&out, &["nothing is needed from you"]);
    let out = world.taskd(&["why", "p1.ready"]).ok();
    has(&out, &["p1.ready passed and asks you", "taskd land p1.ready", "you are needed"]);
    let value = &json(&world, &["why", "p1.later"])[0];
    assert_eq!(value["chain"][0]["subject"], "p1.later");
    assert_eq!(value["chain"][1]["subject"], "p1.works");
    door.open();
}

/// `diff`, `logs`, `path`, `events`, `projects`, `costs`, `doctor`, `daemon status`: what they say,
/// as text and as JSON.
#[test]
fn the_other_reading_commands_say_what_they_promise() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    three(&mut world, &door);
    let patch = world.taskd(&["diff", "p1.ready"]).ok();
    has(&patch, &["diff --git a/ready.txt b/ready.txt", "+x"]);
    let applied = world.aside("work.patch", &patch);
    world.git(&["apply", "--check", &applied]);
    has(&world.taskd(&["diff", "p1.ready", "--stat"]).ok(), &["ready.txt", "+1 -0"]);
    let logs = world.taskd(&["logs", "p1.ready"]).ok();
    has(&logs, &["=== iteration 1, gate ===", "not ok 1 - bad.txt", "=== iteration 2, agent ==="]);
    has(&logs, &["2 passed, 0 failed", "edited"]);
    let gates = world.taskd(&["logs", "p1.ready", "--gate", "-i", "1"]).ok();
    assert!(gates.contains("not ok") && !gates.contains("edited"), "{gates}");
    let path = world.taskd(&["path", "p1.ready"]).ok();
    assert!(std::path::Path::new(path.trim()).join("ready.txt").exists(), "{path}");
    let events = world.taskd(&["events", "p1.ready", "--kind", "status_changed"]).ok();
    has(&events, &["draft -> pending: base checked", "pending -> running: started"]);
    assert_narrow(&events);
    let all = json(&world, &["events"]);
    let seqs: Vec<u64> = all.iter().filter_map(|it| it["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=u64::try_from(all.len()).expect("few")).collect::<Vec<_>>());
    assert!(all.iter().all(|it| it["kind"].is_string() && it["at"].is_u64()));
    let projects = world.taskd(&["projects", "ls"]).ok();
    has(&projects, &["PROJECT", "TARGETS", "OPEN", "PLANS", "repo", "main "]);
    let single: [&[&str]; 8] = [
        &["ls", "-a", "-A"],
        &["why", "p1.ready"],
        &["diff", "p1.ready"],
        &["path", "p1.ready"],
        &["costs"],
        &["plan", "ls"],
        &["plan", "show", "p1"],
        &["daemon", "status"],
    ];
    for args in single {
        let found = json(&world, args);
        assert!(found.len() == 1 && found[0].is_object(), "{args:?}: {found:?}");
    }
    assert!(!json(&world, &["logs", "p1.ready"]).is_empty());
    assert_eq!(json(&world, &["projects", "ls"])[0]["open_plans"], 1);
    let doctor = world.taskd(&["doctor", "--json"]);
    for row in doctor.out.lines() {
        let row: serde_json::Value = serde_json::from_str(row).expect("an object a line");
        assert!(row["name"].is_string(), "{row}");
    }
    let status = world.taskd(&["daemon", "status"]).ok();
    has(&status, &["taskd ", "pid ", "loops ", "1 project", "store ", "health    well"]);
    has(&world.taskd(&["costs"]).ok(), &["p1"]);
    door.open();
}

/// Proves PR-16: a followed run tells who works, what decides, what it may spend and what lands, then
/// each step, then what to do; not on a terminal it ends with 4 when it asks. What it spent is told.
#[test]
fn a_run_tells_its_story() {
    let mut world = World::new();
    world.write("a.txt", "the person's own\n");
    let run = agent(&world, "agent.sh", "echo x > mine.txt\nrm -f bad.txt");
    world.start();
    let args = ["run", "write mine.txt", "--agent", &run, "--gate", "sh test.sh"];
    let ran = world.taskd(&args);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_narrow(&ran.out);
    let out = &ran.out;
    has(out.lines().next().expect("a head"), &["p1", "write mine.txt"]);
    has(line(out, "    from"), &["main ", "your 1 uncommitted file stays yours, not included"]);
    has(line(out, "    agent"), &["agent.sh"]);
    has(line(out, "    gate"), &["sh test.sh", "from --gate"]);
    has(line(out, "    limits"), &["10 iterations", "2h", "$5.00"]);
    has(out, &["landing: asks you first", "Ctrl-C leaves it running. `taskd stop p1` ends it"]);
    has(out, &["gate on untouched main: green", "iteration 1/10", "gate GREEN"]);
    has(out, &["ready to land: 1 file, +1 -0, 1 iteration"]);
    has(line(out, "? needs you"), &["read", "taskd diff p1"]);
    has(out, &["taskd land p1", "taskd reject p1 -m \"what is wrong\""]);
    // The person's change holds it; that is theirs to say.
    world.git(&["checkout", "-q", "a.txt"]);
    world.taskd(&["land", "p1"]).ok();
    until_landed(&world, "p1");
    let why = world.taskd(&["why", "p1"]).ok();
    has(&why, &["complete"]);
    let ls = world.taskd(&["ls", "-a"]).ok();
    has(line(&ls, "DONE (1)"), &["HOW", "ENDED"]);
    has(line(&ls, "p1"), &["landed "]);
    has(&ls, &["landed 1 today"]);
    has(line(&world.taskd(&["costs"]).ok(), "p1"), &["$"]);
}

/// What people steer with is heard in the next prompt, and `show` says what was told.
#[test]
fn steering_is_heard_and_shown() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!(
        "if [ $TASKD_ITERATION = 1 ]; then echo x > bad.txt; {}; else mv bad.txt good.txt; fi",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", "")]));
    door.reached();
    world.taskd(&["steer", "p1.one", "call", "it", "good.txt"]).ok();
    has(&world.taskd(&["show", "p1.one"]).ok(), &["told:  call it good.txt"]);
    door.open();
    until_ready(&world, "p1.one");
    has(&crate::landing::prompt(&world, "p1.one", 2), &["call it good.txt"]);
    let it = until_loop(&world, "p1.one", "to ask", |it| it.approval_asked.is_some());
    assert_eq!(it.iteration, 2);
}
