//! A second reader that is an agent program.

use serde_json::Value;
use taskd_model::{Code, LoopView, Status, Verdict};

use super::*;

const OVER: &[Status] = &[Status::Complete, Status::Blocked, Status::Failed];

/// A type whose loops are read by the agent `reader`.
fn read_by(world: &World, reader: &str) {
    let review = format!("{{agent: '{reader}', prompt: Find the ports., blocks: true}}");
    world.write(".taskd/types/read.yaml", &format!("extends: ralph\nreview: {review}\n"));
}

fn plan(worker: &str, land: &str) -> String {
    format!(
        "---\nplan: One\n{worker}\ngate: sh test.sh\nland: {land}\ntype: read\n---\n\
         ## spec a: A server\n\nIt listens.\n"
    )
}

fn verdicts(it: &LoopView) -> Vec<Option<Verdict>> {
    it.iterations.iter().map(|it| it.verdict).collect()
}

fn is_read(record: &Record) -> bool {
    matches!(work_of(record), Some(Work::Agent { reader: Some(_), .. }))
}

/// Proves TY-8: an agent that is a second reader is told the task and the change, and runs in a
/// checkout of exactly the work; what it finds goes into the next iteration, and what finds nothing
/// lands, and commit and receipt say that it was read. Whatever it writes is thrown away: in its checkout, in the loop's own worktree, by commits.
#[test]
fn what_an_agent_finds_is_mended_and_what_it_writes_is_thrown_away() {
    let mut world = World::new();
    let dir = world.dir.path().display().to_string();
    let agent = shell(
        &world,
        "agent.sh",
        &format!("ls >{dir}/saw-$TASKD_ITERATION; echo port $TASKD_ITERATION > b.txt\n"),
    );
    let reader = shell(
        &world,
        "reader.sh",
        &format!(
            "cat >{dir}/told-$TASKD_ITERATION; pwd >>{dir}/desks; cat b.txt >>{dir}/read\n\
             work=$(git worktree list | sed -n 's/ .*//; /p1-a-1$/p')\n\
             echo $work >>{dir}/works\n\
             for at in . $work; do (cd $at; echo evil > b.txt; echo evil > evil.txt; rm a.txt); done\n\
             git add -A; git commit -qm evil\n\
             echo 'I looked.' >&2\n\
             if [ $TASKD_ITERATION = 1 ]; then echo '- b.txt:1 the port is never checked'; \
             else echo 'NO FINDINGS'; fi\n"
        ),
    );
    read_by(&world, &reader);
    world.start();
    world.submit(&plan(&format!("agent: {agent}"), "on-gate"));
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!(verdicts(&it), [Some(Verdict::Objected), Some(Verdict::Green)]);
    assert_eq!(it.iterations[0].summary, "1 finding: b.txt:1 the port is never checked");

    let told = left(&world, "told-1");
    for part in ["Find the ports.", "It listens.", "+port 1", "NO FINDINGS"] {
        assert_says(&told, part);
    }
    assert_eq!(left(&world, "read"), "port 1\nport 2\n", "exactly the work");
    let (desks, works) = (left(&world, "desks"), left(&world, "works"));
    assert_eq!((desks.lines().count(), works.lines().count()), (2, 2), "{desks}{works}");
    for (desk, work) in desks.lines().zip(works.lines()) {
        assert_ne!(desk, work);
        assert!(!PathBuf::from(desk).exists(), "{desk} is thrown away");
        assert!(work.ends_with("p1-a-1"), "it found the loop's own worktree: {work}");
    }
    assert_eq!(left(&world, "saw-2"), "a.txt\nb.txt\ntest.sh\n", "the loop goes on with its own");
    assert_eq!(world.git(&["ls-tree", "--name-only", "main"]), "a.txt\nb.txt\ntest.sh");
    assert_eq!(world.git(&["show", "main:b.txt"]), "port 2");

    let message = world.git(&["log", "-1", "--format=%B", "main"]);
    let line = message.lines().find(|it| it.starts_with("Taskd-Review: ")).expect("a trailer");
    assert!(line.ends_with(", 2 readings, 1 with findings: no findings"), "{message}");
    world.taskd(&["verify", "p1.a"]).ok();
    let receipt: Value = json(&world, &["costs", "p1", "--json"]);
    assert_eq!((&receipt["readings"], &receipt["objections"]), (&2.into(), &1.into()));
    assert_says(&world.taskd(&["costs", "p1"]).ok(), "2 readings, 1 with findings");
    let shown: Value = json(&world, &["show", "p1.a", "--json"]);
    let review = &shown["loops"][0]["review"];
    assert_eq!((&review["agent"], &review["findings"]), (&reader.as_str().into(), &0.into()));
    assert_says(&world.taskd(&["show", "p1.a"]).ok(), "no findings, iteration 2");
}

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.taskd(args).ok()).expect("JSON")
}

/// Proves TY-8: what an agent says that it used to read is booked for the loop under its own name, and
/// its session is not the loop's.
#[test]
fn what_an_agent_uses_to_read_is_booked() {
    let mut world = World::new();
    let lines = "{\"type\":\"thread.started\",\"thread_id\":\"of-the-reader\"}\n\
         {\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"NO FINDINGS\"}}\n\
         {\"type\":\"turn.completed\",\"usage\":{\"input_tokens\":700,\"cached_input_tokens\":0,\
         \"output_tokens\":40}}\n";
    let said = world.aside("said.jsonl", lines);
    let codex = world.aside("codex", &format!("#!/bin/sh\ncat >/dev/null\ncat {said}\n"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&codex, mode).expect("it is ours");
    let path = format!("{}:{}", world.dir.path().display(), world.env["PATH"]);
    world.env.insert("PATH".to_owned(), path);
    let agent = shell(&world, "agent.sh", "echo port > b.txt\n");
    read_by(&world, "codex");
    world.start();
    world.submit(&plan(&format!("agent: {agent}"), "never"));
    let it = world.until_status("p1.a", OVER);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    assert_eq!((it.spent.input, it.spent.output, it.session), (700, 40, None));
    let costs = json(&world, &["costs", "--by", "model", "--json"]);
    let rows = costs["rows"].as_array().expect("rows");
    let of_reader = rows.iter().find(|it| it["model"] == "codex").expect("it is named");
    assert_eq!(of_reader["input"], 700, "{costs}");
}

/// Proves TY-8: a daemon that is killed while an agent reads runs it again, in a fresh checkout, and
/// nothing of the first run is left or counted; nothing passes before its word.
#[test]
fn a_kill_while_an_agent_reads_reads_again() {
    let mut world = World::new();
    let dir = world.dir.path().display().to_string();
    let door = Door::new(&world, "reads");
    let agent = shell(&world, "agent.sh", &format!("ls >{dir}/saw; echo port > b.txt\n"));
    let reader = shell(
        &world,
        "reader.sh",
        &format!(
            "work=$(git worktree list | sed -n 's/ .*//; /p1-a-1$/p')\n\
             ls . $work | grep evil >>{dir}/evil\n\
             for at in . $work; do echo evil > $at/evil.txt; done\n{}\necho NO FINDINGS\n",
            door.sh()
        ),
    );
    read_by(&world, &reader);
    world.start();
    world.submit(&plan(&format!("agent: {agent}"), "on-gate"));
    door.reached();
    assert!(world.row("p1.a").passed.is_none());
    world.kill();
    all_gone(&world, Instant::now(), Duration::from_secs(5));
    world.start_with(&["--resume"]);
    door.reached();
    assert!(world.row("p1.a").passed.is_none(), "{}", world.transcript());
    door.open();
    let it = world.until_status("p1.a", OVER);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    assert_eq!(left(&world, "evil"), "", "neither place has what the first run wrote");
    let events = world.events();
    assert_eq!(events.iter().filter(|it| is_read(it)).count(), 2);
    let said =
        |it: &&Record| matches!(outcome_of(it), Some(Outcome::Replied { found: Some(_), .. }));
    assert_eq!(events.iter().filter(said).count(), 1, "counted once");
    assert_eq!(started(&world, it.id, "gate"), 1);
    assert_eq!(world.git(&["ls-tree", "--name-only", "main"]), "a.txt\nb.txt\ntest.sh");
}

/// Proves TY-8: a stop ends the agent that reads with all it started, and its checkout goes with it.
#[test]
fn a_stop_ends_the_agent_that_reads() {
    let mut world = World::new();
    let dir = world.dir.path().display().to_string();
    let pipe = Pipe::new(&world, "alive");
    let agent = shell(&world, "agent.sh", "echo port > b.txt\n");
    let reader = shell(
        &world,
        "reader.sh",
        &format!(
            "pwd >{dir}/desk; exec >{pipe}; setsid sleep 600 & sleep 600 & echo reads; wait\n"
        ),
    );
    read_by(&world, &reader);
    world.start();
    world.submit(&plan(&format!("agent: {agent}"), "never"));
    assert_eq!(pipe.line(), "reads");
    world.taskd(&["stop", "p1.a"]).ok();
    pipe.end();
    let it = world.until_status("p1.a", &[Status::Stopped]);
    assert!(it.passed.is_none(), "{}", world.transcript());
    let desk = left(&world, "desk");
    assert!(!desk.is_empty() && !PathBuf::from(desk.trim()).exists(), "{desk}");
}

/// Submits plan `n`, whose work `reader` does not pass three times in a row, or once where that is
/// hopeless; a person is told `wanted`.
#[track_caller]
fn is_asked(world: &World, n: u32, worker: &str, reader: &str, (wanted, codes): (&str, &[Code])) {
    let reader = shell(world, &format!("reader-{n}.sh"), reader);
    read_by(world, &reader);
    world.submit(&plan(worker, "on-gate").replace("plan: One", &format!("plan: Number {n}")));
    let it = world.until_status(&format!("p{n}.a"), OVER);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert!(it.passed.is_none(), "{wanted}");
    assert_says(&it.reason.as_ref().map(ToString::to_string).unwrap_or_default(), wanted);
    let code = |record: &Record| {
        let of_it = record.loop_id == Some(it.id);
        let Some(Outcome::Failed { fault: Some(fault), .. }) = outcome_of(record) else {
            return None;
        };
        of_it.then_some(fault.code)
    };
    assert_eq!(world.events().iter().filter_map(code).collect::<Vec<_>>(), codes, "{wanted}");
    assert_eq!(iterations(world, it.id), [1], "no iteration is lost");
}

/// Proves TY-8: an agent that fails, says nothing or cannot be run has not said that it finds nothing:
/// after three times in a row a person is asked, and told why.
#[test]
fn an_agent_that_does_not_say_what_it_finds_passes_nothing() {
    let mut world = World::new();
    let agent = format!("agent: {}", shell(&world, "agent.sh", "echo port > b.txt\n"));
    world.start();
    let (early, failed) = ([Code::AgentFailedEarly; 3], [Code::ReviewFailed; 3]);
    let exit = "echo NO FINDINGS; exit 3";
    is_asked(&world, 1, &agent, exit, ("exit 3: NO FINDINGS", &early));
    let mute = "echo '- it is odd' >&2";
    is_asked(&world, 2, &agent, mute, ("did not say what it finds", &failed));
    is_asked(&world, 3, &agent, "exit 127", ("cannot be run", &[Code::AgentNotRunnable]));
    assert_eq!(landed_loops(&world), [""; 0]);
}

/// Proves TY-8: an agent that hangs while it reads is ended at its limit, with what it started, and
/// nothing passes.
#[test]
fn an_agent_that_hangs_while_it_reads_is_ended() {
    let mut world = World::new();
    world.write(".taskd/config.toml", "[agent]\nidle = \"1s\"\n");
    let write = "{tools: [{write: {path: b.txt, content: x}}, {finish: {summary: x}}]}";
    let model = replies(&world, "m.yaml", &format!("loops: {{a: [{{turns: [{write}]}}]}}\n"));
    world.start();
    let silent = ("silent for too long", &[Code::ReviewFailed; 3][..]);
    is_asked(&world, 1, &format!("model: {model}"), "sleep 600 & sleep 600", silent);
    all_gone(&world, Instant::now(), Duration::from_secs(5));
}

/// Proves TY-8: a reader that is a command line of a project's file asks as every command of it does;
/// one that cannot be a second reader is refused with its reason, and nothing is stored.
#[test]
fn an_agent_that_reads_is_agreed_to_and_must_be_able_to() {
    let mut world = World::new();
    world.env.remove("TASKD_PROJECTS__TRUSTED").expect("it was set");
    let agent = shell(&world, "agent.sh", "echo port > b.txt\n");
    let reader = shell(&world, "reader.sh", "echo NO FINDINGS\n");
    read_by(&world, &reader);
    world.start();
    let text = plan(&format!("agent: {agent}"), "never");
    let said = refused(&world, &text);
    let wanted = format!(".taskd/types/read.yaml: review is `{reader}`, and nobody has said");
    assert_says(&said, &wanted);
    for (reader, wanted) in [
        ("opencode-acp", "review by opencode-acp: the agent opencode-acp speaks ACP"),
        ("codxe", "did you mean `codex`?"),
    ] {
        read_by(&world, reader);
        assert_says(&refused(&world, &text), wanted);
    }
    read_by(&world, &reader);
    world.taskd(&["projects", "trust"]).ok();
    world.submit(&text);
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
}
