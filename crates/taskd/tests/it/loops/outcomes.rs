//! How iterations and loops end: what counts as work, what stops a plan before it costs money,
//! what an agent may do wrong.

use taskd_model::{Doing, Group, Limit, Reason, Status, Verdict};

use super::*;

/// A plan of one spec `a` worked on by a shell script.
fn plan_for(agent: &str, head: &str) -> String {
    format!("---\nplan: One\nagent: {agent}\n{head}\n---\n## spec a: Do it\n\nThe task.\n")
}

/// `verdict: summary` of each iteration.
fn verdicts(world: &World, name: &str) -> Vec<String> {
    let rows = world.row(name).iterations;
    let text = |it: &taskd_model::IterationRow| match it.verdict {
        Some(verdict) => format!("{verdict}: {}", it.summary),
        None => "open".to_owned(),
    };
    rows.iter().map(text).collect()
}

#[test]
fn an_agent_that_does_not_exist_needs_you_and_says_its_name() {
    let mut world = World::new();
    world.start();
    world.submit(&plan_for("no-such-agent --fast", "gate: sh test.sh"));
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Failed]);
    let reason = it.reason.as_ref().map(ToString::to_string).unwrap_or_default();
    assert_eq!(it.status, Status::Blocked, "{reason}");
    assert_says(&reason, "no-such-agent");
    assert_says(&reason, "taskd resume p1.a");
    assert_eq!(started(&world, it.id, "agent"), 1, "asking again would change nothing");
    assert_eq!(world.taskd(&["wait", "p1.a"]).code, 4);
}

/// An agent that fails after doing everything is judged by its gate, and does not land by itself:
/// its status is a doubt that a person settles.
#[test]
fn an_agent_that_fails_after_doing_everything_does_not_land_by_itself() {
    let mut world = World::new();
    let agent = shell(
        &world,
        "agent.sh",
        "echo b >b.txt; echo $TASKD_ITERATION >c.txt; echo all done; exit 1\n",
    );
    world.start();
    world.submit(&plan_for(&agent, "gate: sh test.sh\nland: on-gate\nlimits: {iterations: 2}"));
    world.until_event("a person to be asked", |it| matches!(it.event, Event::ApprovalAsked));
    assert_eq!(verdicts(&world, "p1.a"), ["green: 3 tests"]);
    assert_eq!(landed_loops(&world), Vec::<String>::new());
    let it = world.row("p1.a");
    assert_eq!((it.status, it.last_run.judged), (Status::Running, true));
    let kept = it.checkpoint.expect("its work is kept").to_string();
    assert_eq!(world.git(&["show", &format!("{kept}:b.txt")]), "b");
    world.taskd(&["land", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(landed_loops(&world), ["p1.a"]);
}

#[test]
fn nothing_changed_is_no_work_and_never_lands() {
    let mut world = World::new();
    let agent = shell(&world, "agent.sh", "echo I am done, all tests pass\n");
    world.start();
    let before = world.git(&["rev-parse", "main"]);
    world.submit(&plan_for(&agent, "gate: sh test.sh\nland: on-gate\nlimits: {iterations: 2}"));
    let it = world.until_status("p1.a", &[Status::Failed, Status::Complete]);
    let rows: Vec<_> = it.iterations.iter().map(|it| it.verdict).collect();
    assert_eq!(rows, [Some(Verdict::Unchanged), Some(Verdict::Unchanged)]);
    assert_eq!(Verdict::Unchanged.to_string(), "nothing changed");
    assert_eq!(it.reason, Some(Reason::Limit(Limit::Iterations)));
    assert_eq!(world.git(&["rev-parse", "main"]), before);
    assert_eq!(world.taskd(&["wait", "p1.a"]).code, 3, "a limit");
}

#[test]
fn iterations_are_limited_and_wait_says_so() {
    let mut world = World::new();
    let agent = shell(&world, "agent.sh", "echo $TASKD_ITERATION >bad.txt\n");
    world.start();
    world.submit(&plan_for(&agent, "gate: sh test.sh\nlimits: {iterations: 3}"));
    let it = world.until_status("p1.a", &[Status::Failed, Status::Complete]);
    assert_eq!(it.reason, Some(Reason::Limit(Limit::Iterations)));
    assert_eq!(verdicts(&world, "p1.a"), vec!["red: 1 of 1: bad.txt"; 3]);
    assert_eq!(iterations(&world, it.id), [1, 2, 3]);
    assert_eq!(world.taskd(&["wait", "p1.a"]).code, 3);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 3);
}

#[test]
fn a_flood_of_output_is_bounded() {
    let mut world = World::new();
    let flood = "echo first words; head -c 50000000 /dev/zero | tr '\\0' x; echo; \
                 head -c 5000000 /dev/zero | tr '\\0' y >&2; echo last words; echo b >b.txt\n";
    let agent = shell(&world, "agent.sh", flood);
    world.start();
    let before = peak_memory_kib(&world);
    world.submit(&plan_for(&agent, "gate: sh test.sh\nland: never"));
    world.until_status("p1.a", &[Status::Complete]);
    let grown = peak_memory_kib(&world) - before;
    assert!(grown < 48 << 10, "the daemon grew by {grown} KiB");
    let said = world.taskd(&["logs", "p1.a", "--agent"]).ok();
    assert!(said.len() < 300_000, "{} bytes", said.len());
    assert_says(&said, "first words");
    assert_says(&said, "last words");
}

pub(super) fn peak_memory_kib(world: &World) -> u64 {
    let pid = world.daemon.as_ref().expect("it runs").id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("Linux says so");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn accept_that_is_green_before_any_work_needs_you() {
    let mut world = World::new();
    let agent = shell(&world, "agent.sh", "echo b >$TASKD_LOOP.txt\n");
    world.start();
    let plan = format!(
        "---\nplan: Accept\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n\
         ## spec green: Done before\naccept: test -f a.txt\n\nThe task.\n\n\
         ## spec red: To do\naccept: test -f p1.red.txt\n\nThe task.\n"
    );
    world.submit(&plan);
    let it = world.until_status("p1.green", &[Status::Blocked, Status::Complete]);
    assert_eq!(it.reason, Some(Reason::AcceptGreen));
    assert_eq!((it.iteration, started(&world, it.id, "agent")), (0, 0), "before money is spent");
    assert_eq!(world.taskd(&["wait", "p1.green"]).code, 4);
    // Red before, green after: that is what it is for.
    let it = world.until_status("p1.red", &[Status::Complete]);
    assert_eq!((it.accept_green, it.iteration), (Some(false), 1));
    // A person who knows better says so.
    world.taskd(&["resume", "p1.green"]).ok();
    world.until_status("p1.green", &[Status::Complete]);
}

#[test]
fn work_that_does_not_meet_its_accept_has_not_passed() {
    let mut world = World::new();
    let agent = shell(&world, "agent.sh", "echo b >b$TASKD_ITERATION.txt\n");
    world.start();
    world.submit(&format!(
        "---\nplan: Accept\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n\
         ## spec a: To do\naccept: test -f b2.txt\n\nThe task.\n"
    ));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    let rows: Vec<_> = it.iterations.iter().map(|it| it.verdict).collect();
    assert_eq!(rows, [Some(Verdict::Red), Some(Verdict::Green)]);
}

#[test]
fn a_red_base_stops_the_plan_before_any_agent() {
    let mut world = World::new();
    world.write("bad.txt", "broken before anybody came\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "break it"]);
    let mark = world.dir.path().join("ran");
    let agent = shell(&world, "agent.sh", &format!("echo ran >>{}; rm bad.txt\n", mark.display()));
    world.start();
    world.submit(&plan_for(&agent, "gate: sh test.sh\nland: never"));
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Complete]);
    assert_eq!((it.status, it.reason), (Status::Blocked, Some(Reason::BaseRed)));
    assert_eq!(left(&world, "ran"), "", "no agent was started");
    assert_eq!(world.statuses("p1.a"), ["draft -> blocked"]);
    let gate = world.view().plans.values().next().unwrap().base_gate.clone().expect("it ran");
    assert_eq!((gate.green, gate.summary.as_str()), (false, "1 of 1: bad.txt"));
    assert_eq!(world.taskd(&["wait", "p1"]).code, 4);
}

#[test]
fn a_red_base_may_be_the_task() {
    let mut world = World::new();
    world.write("bad.txt", "broken before anybody came\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "break it"]);
    let agent = shell(&world, "agent.sh", "rm bad.txt\n");
    world.start();
    world.submit(&plan_for(&agent, "gate: sh test.sh\nland: on-gate\nbase: red-ok"));
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(verdicts(&world, "p1.a"), ["green: 1 test"]);
    assert_eq!(landed_loops(&world), ["p1.a"]);
}

#[test]
fn without_a_gate_nothing_lands_by_itself() {
    let mut world = World::new();
    let agent = shell(&world, "agent.sh", "echo b >b.txt\n");
    world.start();
    let file = world.aside("plan.md", &plan_for(&agent, "land: on-gate"));
    world.taskd(&["plan", "submit", &file, "--no-gate", "-q"]).ok();
    let ready = |it: &taskd_model::View| {
        it.loops.values().any(|it| it.doing == Doing::ReadyToLand || it.status.is_over())
    };
    world.until("work that asks to land", ready);
    let it = world.row("p1.a");
    assert_eq!((it.status, it.group()), (Status::Running, Group::NeedsYou));
    assert_eq!(landed_loops(&world), Vec::<String>::new());
    assert_eq!(world.taskd(&["wait", "p1.a"]).code, 4);
    world.taskd(&["land", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(landed_loops(&world), ["p1.a"]);
}

/// Proves N12: `finish` ends the turns, and the gate starts when the files are saved; what the model had planned
/// for later is not asked for.
#[test]
fn finish_ends_the_turns() {
    let mut world = World::new();
    let finish = "{tools: [{finish: {summary: done}}, {write: {path: b.txt, content: b}}]}";
    let never = "{tools: [{write: {path: bad.txt, content: no}}]}";
    let model =
        replies(&world, "m.yaml", &format!("loops: {{a: [{{turns: [{finish}, {never}]}}]}}\n"));
    world.start();
    world.submit(&format!(
        "---\nplan: Finish\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n## spec a: A\n"
    ));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let works = world.events();
    let works: Vec<&str> = works
        .iter()
        .filter(|record| record.loop_id == Some(it.id))
        .filter_map(|record| work_of(record).map(Work::verb))
        .take_while(|it| *it != "gate")
        .collect();
    assert_eq!(works, ["prepare worktree", "compose", "call", "tool", "save"]);
    assert_eq!(started(&world, it.id, "call"), 1);
}

/// Proves N13, MC-PROV-11, AY-4.8: a tool outside the loop type's list is not run; the model reads that as an error
/// and goes on.
#[test]
fn a_tool_that_is_not_listed_is_not_run() {
    let mut world = World::new();
    world.write(".taskd/types/careful.yaml", "extends: ralph\ntools: [read, write, finish]\n");
    let mark = world.dir.path().join("ran");
    let turns = |name: &str| {
        format!(
            "{name}: [{{turns: [{{tools: [{{run: {{command: 'echo $TASKD_LOOP >>{}'}}}}]}}, \
              {{tools: [{{write: {{path: made-{name}.txt, content: b}}}}, {{finish: {{summary: x}}}}]}}]}}]",
            mark.display()
        )
    };
    let script = format!("loops:\n  {}\n  {}\n", turns("a"), turns("c"));
    let model = replies(&world, "m.yaml", &script);
    world.start();
    world.submit(&format!(
        "---\nplan: Tools\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n\
         ## spec a: Listed\n\nTask.\n\n## spec c: Not listed\ntype: careful\n\nTask.\n"
    ));
    world.until_status("p1.c", &[Status::Complete]);
    let said = world.taskd(&["logs", "p1.c", "--tools"]).ok();
    assert_says(&said, "`run`");
    assert_says(&said, "not");
    let id = world.row("p1.c").id;
    let is_of_c = |it: &&Record| it.loop_id == Some(id);
    let events = world.events();
    let tools = events.iter().filter(is_of_c).filter_map(outcome_of);
    let tools: Vec<String> = tools
        .filter(|it| matches!(it, Outcome::ToolDone { .. }))
        .map(ToString::to_string)
        .collect();
    assert_eq!(tools, ["tool done, with an error", "tool done"]);

    // The same call where it is listed.
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(left(&world, "ran"), "p1.a\n");
}

/// Proves E5: reading a sparse file of 10 GB costs little memory; binary files are named as such,
/// pipes and what lies outside are refused, all as results the model can read.
#[test]
fn odd_files_cost_nothing_to_read() {
    let mut world = World::new();
    world.write(".gitignore", "odd/\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "ignore odd files"]);
    let door = Door::new(&world, "made");
    let make = format!(
        "mkdir odd; yes text | head -n 4000 >odd/sparse; truncate -s 10G odd/sparse\n\
         printf '\\177ELF\\000\\000' >odd/binary; mkfifo odd/pipe; ln -s /dev/zero odd/zero\n{}\n",
        door.sh()
    );
    let make = shell(&world, "make.sh", &make);
    let read = |name: &str| format!("{{read: {{path: odd/{name}}}}}");
    let reads = ["sparse", "binary", "pipe", "zero"].map(read).join(", ");
    let turns = format!(
        "[{{tools: [{{run: {{command: '{make}'}}}}]}}, {{tools: [{reads}]}}, \
          {{tools: [{{write: {{path: b.txt, content: b}}}}, {{finish: {{summary: x}}}}]}}]"
    );
    let model = replies(&world, "m.yaml", &format!("loops: {{a: [{{turns: {turns}}}]}}\n"));
    world.start();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n## spec a: A\n"
    ));
    door.reached();
    let before = peak_memory_kib(&world);
    door.open();
    world.until_status("p1.a", &[Status::Complete]);
    let grown = peak_memory_kib(&world) - before;
    assert!(grown < 16 << 10, "the daemon grew by {grown} KiB");
    let said = world.taskd(&["logs", "p1.a", "--tools"]).ok();
    for words in [
        "     1\ttext\n",
        "`odd/binary` is a binary file",
        "`odd/pipe` is a pipe, socket or device",
    ] {
        assert_says(&said, words);
    }
    assert!(said.len() < 300_000, "{} bytes", said.len());
}
