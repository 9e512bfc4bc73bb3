//! Killed and started again: what was done is not done twice, and nothing is forgotten. And what a
//! panic in the middle of something costs.

use std::process::{Child, Stdio};

use taskd_model::{Doing, Limit, Reason, Seq, Status, Verdict};

use super::*;

/// Waits until the daemon has ended by itself.
#[track_caller]
fn until_dead(world: &mut World, fault: &str) {
    let mut daemon: Child = world.daemon.take().expect("it runs");
    let (tell, told) = mpsc::sync_channel(1);
    let pid = daemon.id();
    std::thread::spawn(move || tell.send(daemon.wait()));
    let ended = told.recv_timeout(PATIENCE);
    if ended.is_err() {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).ok();
    }
    assert!(ended.is_ok(), "the daemon lives, {fault} was never met");
}

/// Proves T3.3a: killed in iteration 2, a loop goes on with iteration 2, is told of iteration 1,
/// and its limit counts the iterations of both lives.
#[test]
fn iterations_go_on_where_they_were() {
    let mut world = World::new();
    let dir = world.dir.path().display().to_string();
    let door = Door::new(&world, "second");
    let agent = shell(
        &world,
        "agent.sh",
        &format!(
            "cat >{dir}/told-$TASKD_ITERATION\n\
             rm -f bad*; echo >bad-$TASKD_ITERATION.txt\n\
             if [ $TASKD_ITERATION = 2 ]; then {}; fi\n",
            door.sh()
        ),
    );
    world.start();
    world.submit(&format!(
        "---\nplan: P\nagent: {agent}\ngate: sh test.sh\nlimits: {{iterations: 3}}\n---\n\
         ## spec a: A\n\nThe task.\n"
    ));
    door.reached();
    world.kill();
    all_gone(&world, Instant::now(), Duration::from_secs(5));
    fs::remove_file(world.dir.path().join("told-2")).expect("it was told");

    world.start();
    door.reached();
    assert_says(&left(&world, "told-2"), "iteration 2 of 3");
    assert_says(&left(&world, "told-2"), "1. red: 1 of 1: bad-1.txt");
    door.open();
    let it = world.until_status("p1.a", &[Status::Failed, Status::Complete]);
    assert_says(&left(&world, "told-3"), "1. red: 1 of 1: bad-1.txt\n2. red: 1 of 1: bad-2.txt");
    assert_eq!(it.reason, Some(Reason::Limit(Limit::Iterations)));
    assert_eq!(iterations(&world, it.id), [1, 2, 3], "{}", world.transcript());
    assert_eq!(started(&world, it.id, "agent"), 4);
    let rows: Vec<_> = it.iterations.iter().map(|it| (it.n, it.verdict)).collect();
    assert_eq!(rows, [1, 2, 3].map(|n| (n, Some(Verdict::Red))));
}

/// Proves F1: a panic in an effect ends its loop within 5 s with the reason; its worktree and what
/// is in it stay, its slots are free again, and the other loop does not notice.
#[test]
fn a_panic_ends_one_loop() {
    for verb in ["compose", "call", "tool", "agent", "gate"] {
        let mut world = World::new();
        // One slot of each kind: the other loop needs the one the panic had.
        for name in ["AGENTS", "GATES", "CALLS"] {
            world.env.insert(format!("TASKD_LIMITS__{name}"), "1".to_owned());
        }
        world.env.insert("TASKD_FAULT".to_owned(), format!("panic:{verb}:p1.bad"));
        let tools = |name: &str| {
            format!(
                "{name}: [{{turns: [{{tools: [{{write: {{path: {name}.txt, content: x}}}}, \
                     {{finish: {{summary: x}}}}]}}]}}]"
            )
        };
        let script = format!("loops:\n  {}\n  {}\n", tools("left"), tools("good"));
        let model = replies(&world, "m.yaml", &script.replace("left:", "bad:"));
        let agent = shell(&world, "agent.sh", "echo e >$TASKD_LOOP.txt\n");
        let worker =
            if verb == "agent" { format!("agent: {agent}") } else { format!("model: {model}") };
        world.start();
        world.submit(&format!(
            "---\nplan: P\n{worker}\ngate: sh test.sh\nland: on-gate\n---\n\
             ## spec bad: Meets it\n\n## spec good: Does not\n"
        ));
        let good = world.until_status("p1.good", &[Status::Complete, Status::Failed]);
        assert_eq!((good.status, &good.trouble), (Status::Complete, &None), "{verb}");
        let bad = world.until_status("p1.bad", &[Status::Complete, Status::Failed]);
        let reason = bad.reason.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_says(&reason, &format!("internal error: {verb}: TASKD_FAULT asked for this"));
        let events = world.events();
        let began = events.iter().find(|it| {
            it.loop_id == Some(bad.id) && work_of(it).is_some_and(|it| it.verb() == verb)
        });
        let took = bad.status_since.ms_since(began.expect("it began").at);
        assert!(took <= 5_000, "{verb}: Failed after {took} ms");
        let place = world.taskd(&["path", "p1.bad"]).ok();
        let place = PathBuf::from(place.trim());
        assert!(place.join("a.txt").is_file(), "{verb}: {} stays", place.display());
        if verb == "gate" {
            assert!(place.join("left.txt").is_file(), "{verb}: and its work");
        }
        assert_eq!(landed_loops(&world), ["p1.good"], "{verb}");
    }
}

#[test]
fn a_prompt_that_cannot_be_rendered_needs_you() {
    let mut world = World::new();
    world.write(
        ".taskd/types/deep.yaml",
        "extends: ralph\nprompt: |\n  {{ spec.title[iteration] }}\n",
    );
    world.start();
    world.submit("---\nplan: P\nagent: 'true'\ngate: sh test.sh\ntype: deep\n---\n## spec a: A\n");
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Blocked);
    assert_says(&it.reason.expect("there is one").to_string(), "deep.yaml:3: the prompt");
}

/// Proves F2: killed with loops in a model's stream, a tool, an agent, a gate and a candidate's
/// gate, all go on in their worktrees in their iteration, and each lands once.
#[test]
fn killed_in_five_places_at_once() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__GATES".to_owned(), "8".to_owned());
    let dir = world.dir.path().display().to_string();
    let [tool, agent, gate, candidate, late] =
        ["tool", "agent", "gate", "candidate", "late"].map(|name| Door::new(&world, name));
    // Nobody stays at a door in the second life.
    let at = |door: &Door| format!("{{ [ -e {dir}/second-life ] || {{ {}; }}; }}", door.sh());
    let check = format!(
        "case $TASKD_LOOP in\n\
         p1.g) [ ! -f g.txt ] || {};;\n\
         p1.l) [ ! -f f.txt ] || {};;\n\
         esac\nsh test.sh\n",
        at(&gate),
        at(&candidate)
    );
    let check = shell(&world, "check.sh", &check);
    let run = shell(&world, "tool.sh", &at(&tool));
    let last = |name: &str| {
        format!("tools: [{{write: {{path: {name}.txt, content: x}}}}, {{finish: {{summary: x}}}}]")
    };
    let first = format!("{{write: {{path: t1.txt, content: x}}}}, {{run: {{command: '{run}'}}}}");
    let script = format!(
        "loops:\n  s: [{{turns: [{{say: hello, tail_ms: 3000, {}}}]}}]\n  \
         t: [{{turns: [{{tools: [{first}]}}, {{{}}}]}}]\n  \
         g: [{{turns: [{{{}}}]}}]\n  f: [{{turns: [{{{}}}]}}]\n",
        last("s"),
        last("t"),
        last("g"),
        last("f"),
    );
    let model = replies(&world, "m.yaml", &script);
    // Works on its old base until `f` is on main, so its candidate is a tree nobody has gated.
    let slow = shell(&world, "slow.sh", &format!("echo l >l.txt; {}\n", at(&late)));
    let external =
        shell(&world, "agent.sh", &format!("echo half >e1.txt; {}; echo e >e.txt\n", at(&agent)));
    world.start();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: {check}\nland: on-gate\n---\n\
         ## spec l: Late\nagent: {slow}\n\n## spec e: External\nagent: {external}\n\n\
         ## spec f: First\n\n## spec s: Streams\n\n## spec t: Uses a tool\n\n## spec g: Gates\n"
    ));
    late.reached();
    world.until_status("p1.f", &[Status::Complete]);
    late.open();
    for door in [&tool, &agent, &gate, &candidate] {
        door.reached();
    }
    let s = world.row("p1.s").id;
    world.until("s to be in the stream", |view| view.loops[&s].doing == Doing::Calling);
    world.kill();
    all_gone(&world, Instant::now(), Duration::from_secs(5));
    world.aside("second-life", "");
    world.start();
    for name in ["p1.s", "p1.t", "p1.e", "p1.g", "p1.l"] {
        let it = world.until_status(name, &[Status::Complete, Status::Blocked, Status::Failed]);
        assert_eq!(it.status, Status::Complete, "{name}: {:?}\n{}", it.reason, world.transcript());
        assert_eq!(iterations(&world, it.id), [1], "{name}");
    }
    let mut landed = landed_loops(&world);
    landed.sort();
    assert_eq!(landed, ["p1.e", "p1.f", "p1.g", "p1.l", "p1.s", "p1.t"]);
    let files = world.git(&["ls-tree", "--name-only", "main"]);
    for name in ["e1.txt", "e.txt", "f.txt", "g.txt", "l.txt", "s.txt", "t1.txt", "t.txt"] {
        assert!(files.lines().any(|it| it == name), "{name} is not in:\n{files}");
    }
    // A command that was interrupted is not repeated; the model is told.
    let tools = started(&world, world.row("p1.t").id, "tool");
    assert_eq!(tools, 3, "two of the first turn, one of the second");
}

/// What is about to begin when each life but the last is killed, in the order it happens.
const LIVES: [&str; 19] = [
    "check base:p1",
    "prepare worktree:p1.n",
    "accept before work:p1.n",
    "compose:p1.n",
    "call:p1.n",
    "tool:p1.n",
    "gate:p1.n",
    "publish:p1.n",
    "prepare worktree:p1.e",
    "compose:p1.e",
    "agent:p1.e",
    "gate:p1.e",
    "build candidate:p1.e",
    "publish:p1.e",
    "gate:p1.r",
    "rebase:p1.r",
    "agent:p1.r",
    "build candidate:p1.r",
    "publish:p1.r",
];

/// Proves A-2, F2: killed when each kind of work begins, three loops count each iteration once,
/// no agent runs twice at a time, and nothing lands twice.
#[test]
fn killed_at_each_kind_of_work() {
    let mut world = World::new();
    for (name, value) in [("RUN__RESTARTS", "100"), ("LIMITS__GATES", "4")] {
        world.env.insert(format!("TASKD_{name}"), value.to_owned());
    }
    let dir = world.dir.path().display().to_string();
    let turns = "[{tools: [{run: {command: 'echo x >n1.txt'}}]}, \
                  {tools: [{write: {path: n2.txt, content: x}}, {finish: {summary: x}}]}]";
    let model = replies(&world, "m.yaml", &format!("loops: {{n: [{{turns: {turns}}}]}}\n"));
    // Only one agent of a loop at a time gets this lock; it is gone with its holder.
    let alone = |work: &str| {
        format!(
            "exec 8>{dir}/lock-$TASKD_LOOP\nflock -n 8 || echo $TASKD_LOOP >>{dir}/twice\n{work}\n"
        )
    };
    let quick = shell(&world, "e.sh", &alone("echo e >e.txt"));
    let door = Door::new(&world, "r");
    let slow = shell(
        &world,
        "r.sh",
        &alone(&format!(
            "if [ $TASKD_ITERATION = 1 ]; then {}; echo >bad.txt; \
             else rm bad.txt; echo r >r.txt; fi",
            door.sh()
        )),
    );
    let plan = format!(
        "---\nplan: P\ngate: sh test.sh\nland: on-gate\n---\n\
         ## spec r: Two iterations\nagent: {slow}\n\n\
         ## spec n: Native\nmodel: {model}\naccept: test -f n2.txt\n\n\
         ## spec e: External\nagent: {quick}\nneeds: n\n"
    );
    for (n, life) in LIVES.into_iter().enumerate() {
        world.env.insert("TASKD_FAULT".to_owned(), format!("kill:{life}"));
        if n == 0 {
            world.start();
            let file = world.aside("plan.md", &plan);
            // It may die before it answers; the plan is in the log then.
            world.taskd(&["plan", "submit", &file, "-q"]).code.to_string();
        } else {
            // It may die before it is ready.
            let mut daemon = world.command(&["daemon", "run"]);
            world.daemon = Some(daemon.stderr(Stdio::null()).spawn().expect("it starts"));
        }
        if life == "gate:p1.r" {
            door.open();
        }
        until_dead(&mut world, life);
    }
    world.env.remove("TASKD_FAULT");
    world.start();
    for (name, numbers) in [("p1.n", vec![1]), ("p1.e", vec![1]), ("p1.r", vec![1, 2])] {
        let it = world.until_status(name, &[Status::Complete, Status::Blocked, Status::Failed]);
        assert_eq!(it.status, Status::Complete, "{name}: {:?}\n{}", it.reason, world.transcript());
        assert_eq!(iterations(&world, it.id), numbers, "{name}\n{}", world.transcript());
        let ended: Vec<u32> = it.iterations.iter().map(|it| it.n).collect();
        assert_eq!(ended, numbers, "{name}");
    }
    let mut landed = landed_loops(&world);
    landed.sort();
    assert_eq!(landed, ["p1.e", "p1.n", "p1.r"]);
    assert_eq!(left(&world, "twice"), "", "an agent ran twice at a time");
    let is_start = |it: &&Record| matches!(it.event, Event::DaemonStarted { .. });
    let started = world.events().iter().filter(is_start).count();
    assert_eq!(started, LIVES.len() + 1);
}

/// Proves T1.1d, AY-4.11: main moves while a tool runs; the loop is told at its next safe point, before it
/// asks the model again, and not before. An agent is told between its iterations.
#[test]
fn a_moved_main_is_seen_at_the_next_safe_point() {
    let mut world = World::new();
    world.env.insert("TASKD_GIT__POLL".to_owned(), "100ms".to_owned());
    let (tool, agent) = (Door::new(&world, "tool"), Door::new(&world, "agent"));
    let run = shell(&world, "tool.sh", &tool.sh());
    let turns = format!(
        "[{{tools: [{{run: {{command: '{run}'}}}}]}}, \
          {{tools: [{{write: {{path: m.txt, content: x}}}}, {{finish: {{summary: x}}}}]}}]"
    );
    let model = replies(&world, "m.yaml", &format!("loops: {{m: [{{turns: {turns}}}]}}\n"));
    let external = shell(
        &world,
        "agent.sh",
        &format!(
            "if [ $TASKD_ITERATION = 1 ]; then {}; echo >bad.txt\n\
             else ls >seen.txt; rm bad.txt; fi\n",
            agent.sh()
        ),
    );
    world.start();
    world.submit(&format!(
        "---\nplan: P\ngate: sh test.sh\nland: never\n---\n\
         ## spec m: Native\nmodel: {model}\n\n## spec a: External\nagent: {external}\n"
    ));
    tool.reached();
    agent.reached();
    world.write("from-a-person.md", "hello\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a person works too"]);
    let tip = world.git(&["rev-parse", "main"]);
    let moved = world.until_event(
        "main to have moved",
        |it| matches!(&it.event, Event::MainMoved { to, .. } if to.to_string() == tip),
    );
    tool.open();
    agent.open();
    for (name, before, after) in [("p1.m", "tool", "call"), ("p1.a", "agent", "agent")] {
        let it = world.until_status(name, &[Status::Complete, Status::Blocked, Status::Failed]);
        assert_eq!(it.status, Status::Complete, "{:?}\n{}", it.reason, world.transcript());
        let events = world.events();
        let own: Vec<_> = events.iter().filter(|record| record.loop_id == Some(it.id)).collect();
        let rebasing =
            |it: &&&Record| matches!(it.event, Event::StatusChanged { to: Status::Rebasing, .. });
        let rebased = own.iter().find(rebasing).expect("it was told");
        assert!(moved.seq < rebased.seq, "{}", world.transcript());
        let began = |from: Seq, verb: &str| {
            let is =
                |it: &&&Record| from < it.seq && work_of(it).is_some_and(|it| it.verb() == verb);
            own.iter().find(is).unwrap_or_else(|| panic!("no {verb}")).seq
        };
        let first = began(Seq(0), before);
        let ended = own
            .iter()
            .find(|it| matches!(it.event, Event::EffectEnded { effect, .. } if effect.0 == first));
        let ended = ended.expect("it ended").seq;
        assert!(ended < rebased.seq, "{name}: not in the middle of it\n{}", world.transcript());
        assert!(rebased.seq < began(ended, after), "{name}: before it is asked again");
    }
    let work = world.row("p1.a").passed.expect("passed").checkpoint.to_string();
    assert_says(&world.git(&["show", &format!("{work}:seen.txt")]), "from-a-person.md");
}
