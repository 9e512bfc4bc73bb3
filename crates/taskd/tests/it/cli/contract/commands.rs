//! Every command with `--json`, in a world that has something of everything.

use std::{fs, os::unix::fs::PermissionsExt as _};

use taskd_model::Status;

use super::*;
use crate::{
    landing::{agent, plan, until_landed, until_ready},
    support::Door,
};

/// A plan of agents with something to land and to reject, something at work and something that
/// waits; then one of a model that reads, and is not accepted.
fn busy(world: &mut World, door: &Door) {
    let body = format!(
        "case $TASKD_LOOP in *.works) {} ;; esac\n\
         if [ $TASKD_ITERATION = 1 ]; then echo x > bad.txt; exit; fi\n\
         rm -f bad.txt; echo $TASKD_ITERATION > $TASKD_LOOP.txt",
        door.sh()
    );
    let run = agent(world, "agent.sh", &body);
    let script = "#!/bin/sh\ncase \"$1\" in --version) echo 2.1.197; exit;; esac\necho b >b.txt\n";
    let bin = world.dir.path().join("bin");
    fs::create_dir_all(&bin).expect("ours");
    let program = bin.join("claude");
    fs::rename(world.aside("claude.sh", script), &program).expect("ours");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
    let path = format!("{}:{}", bin.display(), world.env["PATH"]);
    world.env.insert("PATH".to_owned(), path);
    world.start();
    let specs = [("ready", ""), ("again", ""), ("works", ""), ("later", "needs: works")];
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &specs));
    door.reached();
    until_ready(world, "p1.ready");
    until_ready(world, "p1.again");
    let turns = "[{say: I look., tools: [{read: {path: a.txt}}]}, {fail: [{status: 400}], say: x}]";
    let text = format!("loops: {{m: [{{turns: {turns}}}]}}\n");
    let model = format!("scripted:{}", world.aside("m.yaml", &text));
    world.submit(&plan(&format!("model: {model}\nland: never"), &[("m", "")]));
    world.until_status("p2.m", &[Status::Blocked, Status::Failed, Status::Complete]);
}

fn reading(judge: &mut Judge, world: &World) {
    let reading: [&[&str]; 52] = [
        &[],
        &["ls", "-a", "-A"],
        &["show", "p1.ready"],
        &["show", "p2.m"],
        &["show", "p1"],
        &["plan", "show", "p2"],
        &["plan", "ls"],
        &["inbox"],
        &["inbox", "-a", "-A"],
        &["why", "p1.later"],
        &["why", "p2.m"],
        &["logs", "p1.ready"],
        &["diff", "p1.ready"],
        &["path", "p1.ready"],
        &["checkpoints", "p1.ready"],
        &["rewind", "p1.ready", "--to", "1", "--dry-run"],
        &["undo", "p1.ready", "--iteration", "1", "--dry-run"],
        &["salvage", "ls"],
        &["events"],
        &["events", "p2.m", "--kind", "status_changed"],
        &["costs"],
        &["costs", "p1", "p2"],
        &["costs", "--by", "plan"],
        &["costs", "--by", "loop"],
        &["costs", "--by", "model"],
        &["costs", "--by", "class"],
        &["costs", "--by", "day"],
        &["budget", "show"],
        &["budget", "show", "p1"],
        &["agents", "ls"],
        &["agents", "show", "claude"],
        &["types", "ls"],
        &["types", "show", "ralph"],
        &["types", "check", "ralph"],
        &["types", "new", "mine"],
        &["config"],
        &["config", "view", "--origin"],
        &["config", "get", "limits.loops"],
        &["config", "set", "limits.loops", "50"],
        &["config", "unset", "limits.loops"],
        &["config", "check"],
        &["config", "path"],
        &["config", "reload"],
        &["models"],
        &["queue"],
        &["metrics"],
        &["daemon", "status"],
        &["daemon", "install", "--dry-run"],
        &["daemon", "upgrade", "--dry-run"],
        &["daemon", "uninstall", "--dry-run"],
        &["daemon", "start"],
        &["projects", "ls"],
    ];
    for args in reading {
        judge.well(world, args);
    }
    let ran = world.taskd(&["doctor", "--json"]);
    judge.judge("doctor", &ran);
    judge.ends(world, 1, &["models", "--check", "anthropic", "local"]);
    let render = ["types", "render", "ralph", "a task", "--agent", "true", "--no-gate"];
    judge.well(world, &render);
    let wrong = world.aside("wrong.yaml", "extends: ralph\npromt: x\n");
    judge.ends(world, 2, &["types", "check", &wrong]);
    let test = world.taskd(&["agents", "test", "claude", "--json"]);
    judge.judge("agents test", &test);
    judge.well(world, &["help", "schema"]);
    judge.ends(world, 5, &["show", "p9"]);
    judge.ends(world, 2, &["help", "nonsense"]);
    judge.ends(world, 2, &["show"]);
}

fn submitting(judge: &mut Judge, world: &World) {
    let run = agent(world, "quick.sh", "echo x > $TASKD_LOOP.txt");
    let head = format!("agent: {run}\nland: on-gate");
    let file = world.aside("quick.md", &plan(&head, &[("one", "accept: test -f p3.one.txt")]));
    judge.well(world, &["plan", "check", &file]);
    let wrong = world.aside("wrong.md", "---\nplan: T\nagent: 'true'\nlimts: {time: 1h}\n---\n");
    judge.ends(world, 2, &["plan", "check", &wrong]);
    judge.well(world, &["plan", "submit", &file]);
    until_landed(world, "p3.one");
    judge.well(world, &["metrics", "--type", "ralph"]);
    judge.well(world, &["paths"]);
    judge.well(world, &["debug", "bundle", "../bundle.txt"]);
    judge.well(world, &["flakes", "-A", "-a"]);
    judge.well(world, &["verify", "p3.one"]);
    judge.well(world, &["export", "p3"]);
    judge.well(world, &["why", "p3.one.txt:1"]);
    judge.ends(world, 1, &["verify", "--recorded", "main~1"]);
    judge.well(world, &["undo", "p3.one", "--dry-run"]);
    let task = ["run", "write it", "--agent", &run, "--gate", "sh test.sh", "--land", "ask"];
    judge.ends(world, 4, &task);
    judge.ends(world, 4, &["wait", "p4", "p3"]);
}

fn acting(judge: &mut Judge, world: &World, door: &Door) {
    judge.well(world, &["steer", "p1.works", "call", "it", "good.txt"]);
    // Nobody asks here; an answer that counts is told as every other verb is.
    judge.ends(world, 1, &["answer", "1", "1"]);
    judge.well(world, &["budget", "set", "p1", "$9"]);
    judge.well(world, &["budget", "set", "p1", "9Mtok"]);
    judge.well(world, &["budget", "set", "all", "9Mtok"]);
    judge.well(world, &["budget", "set", "all", "$90"]);
    judge.well(world, &["budget", "show", "p1", "all"]);
    judge.well(world, &["reject", "p1.again", "-m", "once more"]);
    judge.ends(world, 5, &["land", "p1.ready", "p1.nothing"]);
    judge.ends(world, 1, &["land", "p1.ready", "p1.works"]);
    judge.well(world, &["sync", "--dry-run", "p1.ready"]);
    judge.well(world, &["branch", "p1.ready"]);
    judge.ends(world, 1, &["branch", "p1.ready"]);
    judge.well(world, &["approve", "p4"]);
    until_landed(world, "p4");
    judge.well(world, &["why", "p4.txt:1"]);
    judge.well(world, &["rewind", "p1.again", "--to", "i1"]);
    world.until("the work to be kept", |_| {
        world.taskd(&["salvage", "ls"]).ok().contains("p1-again-1/before-rewind/1")
    });
    let to = world.dir.path().join("kept");
    let to = to.to_str().expect("UTF-8");
    judge.well(world, &["salvage", "ls", "p1"]);
    judge.well(world, &["salvage", "restore", "p1-again-1/before-rewind/1", "--to", to]);
    judge.well(world, &["retry", "p2.m", "--dry-run"]);
    judge.ends(world, 1, &["retry", "p3.one"]);
    judge.well(world, &["pause", "p1.later"]);
    judge.well(world, &["resume", "p1.later"]);
    judge.well(world, &["gc", "--dry-run"]);
    judge.well(world, &["stop", "p1", "--dry-run"]);
    judge.well(world, &["queue"]);
    judge.well(world, &["queue", "hold", "p1.later"]);
    judge.well(world, &["queue", "release", "p1.later"]);
    judge.ends(world, 1, &["queue", "release", "p1.later"]);
    judge.ends(world, 1, &["queue", "move", "p1.later", "--first"]);
    let model = format!("scripted:{}", world.dir.path().join("m.yaml").display());
    judge.well(world, &["models", "reset", &model]);
    door.open();
    let other = world.dir.path().join("other");
    let other = other.to_str().expect("UTF-8");
    world.git(&["clone", "-q", ".", other]);
    judge.well(world, &["projects", "add", other]);
    judge.well(world, &["projects", "trust", other]);
    judge.well(world, &["ls", "--at", "1"]);
    judge.ends(world, 5, &["projects", "move", "/nowhere", other]);
    judge.ends(world, 1, &["projects", "move", other, other]);
    judge.well(world, &["projects", "forget", other]);
}

/// Proves P-30, MC-CLI-3: every command with `--json` answers with what its published schema says, objects
/// one a line with a version, events with their place in the log; what is not published is not
/// printed, and no schema passes an answer that lacks a field or has another type in its place.
#[test]
fn every_answer_keeps_to_its_published_schema() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    busy(&mut world, &door);
    let mut judge = Judge::new(&world);
    reading(&mut judge, &world);
    submitting(&mut judge, &world);
    acting(&mut judge, &world, &door);
    let run = agent(&world, "planner.sh", "echo x > taskd-plan.md");
    judge.well(&world, &["plan", "new", "a wish", "--agent", &run, "--gate", "true", "-d"]);
    judge.well(&world, &["init", "--dry-run"]);
    // Restarting, it is in the background; it is ended as it would be by a person.
    judge.well(&world, &["daemon", "restart"]);
    let mut before = world.daemon.take().expect("it was there");
    before.wait().expect("it is gone");
    world.taskd(&["daemon", "stop"]).ok();
    judge.finish();
}
