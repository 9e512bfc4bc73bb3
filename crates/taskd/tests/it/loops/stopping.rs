//! Ending what runs: by a person, by a limit, with the daemon. And pausing it.

use taskd_model::{LoopView, Observation, Status};

use super::*;

const TWO_SECONDS: Duration = Duration::from_secs(2);

/// Children that hear nothing but KILL, in this session and in one of their own, keep the pipe.
fn stubborn(pipe: &Pipe) -> String {
    format!(
        "exec 9>{pipe}\n\
         (trap '' INT TERM HUP; sleep 1000 & sleep 1000) &\n\
         setsid sh -c 'trap \"\" INT TERM HUP; setsid sleep 1000 & sleep 1000' &\n\
         echo partial output\n\
         echo up >&9\n\
         sleep 60\n"
    )
}

/// Stops a loop; asserts that it was Stopped in time, and that nothing of it is left.
#[track_caller]
fn stop_in_time(world: &World, name: &str) -> LoopView {
    let asked = Instant::now();
    world.taskd(&["stop", name]).ok();
    let it = world.until_status(name, &[Status::Stopped]);
    all_gone(world, asked, TWO_SECONDS);
    let events = world.events();
    let asked = events.iter().find(|it| matches!(it.event, Event::StopAsked)).expect("asked");
    let took = it.status_since.ms_since(asked.at);
    assert!(took <= 2_000, "Stopped after {took} ms\n{}", world.transcript());
    it
}

/// Proves T1.1a, E4: a stop inside a tool call of 60 s is Stopped in 2 s, and what the command
/// started, in sessions of their own too, is gone.
#[test]
fn stopped_inside_a_tool_call() {
    let mut world = World::new();
    let pipe = Pipe::new(&world, "up");
    let tool = shell(&world, "tool.sh", &stubborn(&pipe));
    let turn = format!("{{tools: [{{run: {{command: '{tool}'}}}}]}}");
    let model = replies(&world, "m.yaml", &format!("default: {turn}\n"));
    world.start();
    world.submit(&format!(
        "---\nplan: Long\nmodel: {model}\ngate: sh test.sh\n---\n## spec a: Slow\n"
    ));
    assert_eq!(pipe.line(), "up");
    let it = stop_in_time(&world, "p1.a");
    pipe.end();
    assert_eq!(it.iteration, 1);
    assert_eq!(started(&world, it.id, "tool"), 1);
}

/// Proves T1.1a, MCP-5: a stop while a tool server works on a call is Stopped in 2 s, and what the
/// server started, in sessions of their own too, is gone.
#[test]
fn stopped_inside_a_tool_server() {
    let mut world = World::new();
    let pipe = Pipe::new(&world, "up");
    let says = |id: u8, result: &str| {
        format!("echo '{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{result}}}}}'")
    };
    let hello = says(1, "\"protocolVersion\":\"2025-06-18\"");
    let list = says(2, "\"tools\":[{\"name\":\"go\",\"inputSchema\":{\"type\":\"object\"}}]");
    let script = format!(
        "while read -r line; do case $line in *initialized*) ;; *initialize*) {hello};; *list*) {list};; \
         *call*)\n{}\n;; esac; done\n",
        stubborn(&pipe)
    );
    let server = world.aside("server.sh", &script);
    world.write(
        ".taskd/types/served.yaml",
        &format!("extends: ralph\nmcp: {{slow: {{command: [sh, {server}]}}}}\n"),
    );
    let model = replies(&world, "m.yaml", "default: {tools: [{slow__go: {}}]}\n");
    world.start();
    world.submit(&format!(
        "---\nplan: Long\nmodel: {model}\ntype: served\ngate: sh test.sh\n---\n## spec a: Slow\n"
    ));
    assert_eq!(pipe.line(), "up");
    stop_in_time(&world, "p1.a");
    pipe.end();
}

/// Proves T1.1a, AY-4.11: a stop inside the stream of a model's reply is Stopped in 2 s.
#[test]
fn stopped_inside_a_model_stream() {
    let mut world = World::new();
    // The first call of the reply is in the log, and the next piece is a minute away.
    let model = replies(
        &world,
        "m.yaml",
        "default: {chunk_ms: 60000, tools: [{read: {path: a.txt}}, {finish: {summary: x}}]}\n",
    );
    world.start();
    world.submit(&format!(
        "---\nplan: Long\nmodel: {model}\ngate: sh test.sh\n---\n## spec a: Slow\n"
    ));
    world.until_event("a tool call in the stream", |it| {
        matches!(
            it.event,
            Event::EffectObserved { fact: Observation::ToolCalled { index: 0, .. }, .. }
        )
    });
    let it = stop_in_time(&world, "p1.a");
    let ends = world.events();
    let cancelled = |it: &&Record| matches!(outcome_of(it), Some(Outcome::Cancelled { .. }));
    assert_eq!(ends.iter().filter(cancelled).count(), 1, "{}", world.transcript());
    assert_eq!(started(&world, it.id, "call"), 1);
}

/// Proves T1.1a, A-6, MC-PROV-5: a stop inside an external agent is Stopped in 2 s, and what the agent
/// started, in sessions of their own too, is gone; what it wrote is kept.
#[test]
fn stopped_inside_an_agent() {
    let mut world = World::new();
    let pipe = Pipe::new(&world, "up");
    let agent = shell(&world, "agent.sh", &format!("echo half >half.txt\n{}", stubborn(&pipe)));
    world.start();
    world.submit(&format!(
        "---\nplan: Long\nagent: {agent}\ngate: sh test.sh\n---\n## spec a: Slow\n"
    ));
    assert_eq!(pipe.line(), "up");
    let it = stop_in_time(&world, "p1.a");
    pipe.end();
    let kept = it.checkpoint.expect("its work is kept").to_string();
    assert_eq!(world.git(&["show", &format!("{kept}:half.txt")]), "half");
    assert_eq!(landed_loops(&world), Vec::<String>::new());
}

/// Proves E4: a command over its time says so with what it printed, and its descendants are gone
/// 2 s later; the loop goes on.
#[test]
fn a_tool_over_its_time_leaves_nothing() {
    let mut world = World::new();
    let pipe = Pipe::new(&world, "up");
    let tool = shell(&world, "tool.sh", &stubborn(&pipe));
    let slow = format!("{{tools: [{{run: {{command: '{tool}', timeout_s: 1}}}}]}}");
    let then = "{tools: [{write: {path: b.txt, content: b}}, {finish: {summary: done}}]}";
    let model =
        replies(&world, "m.yaml", &format!("loops: {{a: [{{turns: [{slow}, {then}]}}]}}\n"));
    world.start();
    world.submit(&format!(
        "---\nplan: Long\nmodel: {model}\nland: never\ngate: sh test.sh\n---\n## spec a: Slow\n"
    ));
    let ended = world.until_event("the tool to end", |it| {
        matches!(outcome_of(it), Some(Outcome::ToolDone { .. }))
    });
    let now = Instant::now();
    assert!(pipe.end().duration_since(now) < TWO_SECONDS);
    assert_eq!(outcome_of(&ended).map(ToString::to_string).unwrap(), "tool done, with an error");
    let events = world.events();
    let began = events.iter().find(|it| matches!(work_of(it), Some(Work::Tool { .. })));
    let took = ended.at.ms_since(began.expect("it began").at);
    assert!((1_000..=3_000).contains(&took), "took {took} ms");
    world.until_status("p1.a", &[Status::Complete]);
    all_gone(&world, Instant::now(), TWO_SECONDS);
    let said = world.taskd(&["logs", "p1.a", "--tools"]).ok();
    assert_says(&said, "partial output");
    assert_says(&said, "timed out after 1 s");
}

/// Proves E4, A-6: what an agent started is gone with the daemon, whether that was stopped or
/// killed.
#[test]
fn nothing_outlives_the_daemon() {
    let mut world = World::new();
    let pipe = Pipe::new(&world, "up");
    let agent = shell(&world, "agent.sh", &stubborn(&pipe));
    world.start();
    world.submit(&format!(
        "---\nplan: Long\nagent: {agent}\ngate: sh test.sh\n---\n## spec a: Slow\n"
    ));
    assert_eq!(pipe.line(), "up");
    world.stop();
    all_gone(&world, Instant::now(), TWO_SECONDS);
    pipe.end();

    let pipe = pipe.again();
    world.start_with(&["--resume"]);
    assert_eq!(pipe.line(), "up", "the agent runs again");
    world.kill();
    all_gone(&world, Instant::now(), TWO_SECONDS);
    pipe.end();
}

/// Proves A-7: an agent, a gate and a tool that read their stdin see its end.
#[test]
fn whoever_reads_stdin_sees_its_end() {
    let mut world = World::new();
    let agent = shell(&world, "agent.sh", "cat >prompt.txt\n");
    let turn = "{tools: [{run: {command: 'cat; echo read >tool.txt'}}, {finish: {summary: x}}]}";
    let model = replies(&world, "m.yaml", &format!("default: {turn}\n"));
    world.start();
    world.submit(&format!(
        "---\nplan: Readers\nland: never\ngate: cat && sh test.sh\n---\n\
         ## spec a: Agent\nagent: {agent}\n\nREAD ME\n\n## spec m: Model\nmodel: {model}\n"
    ));
    for name in ["p1.a", "p1.m"] {
        world.until_status(name, &[Status::Complete]);
    }
    let work = world.row("p1.a").passed.expect("passed").checkpoint.to_string();
    assert_says(&world.git(&["show", &format!("{work}:prompt.txt")]), "READ ME");
}

/// Proves A-7, MC-PROV-5: an agent that waits for ever is ended when it has been silent for its idle time, and
/// that is an iteration that failed, not the end.
#[test]
fn a_silent_agent_is_ended() {
    let mut world = World::new();
    world.env.insert("TASKD_AGENT__IDLE".to_owned(), "1s".to_owned());
    let pipe = Pipe::new(&world, "up");
    let script = format!(
        "if [ $TASKD_ITERATION = 1 ]; then exec 9>{pipe}; setsid sleep 1000 & sleep 1000; fi\n\
         echo b >b.txt\n"
    );
    let agent = shell(&world, "agent.sh", &script);
    world.start();
    world.submit(&format!(
        "---\nplan: Silent\nagent: {agent}\nland: never\ngate: sh test.sh\n---\n## spec a: A\n"
    ));
    pipe.end();
    let it = world.until_status("p1.a", &[Status::Complete]);
    let rows: Vec<String> = it
        .iterations
        .iter()
        .map(|it| format!("{}: {}", it.verdict.expect("over"), it.summary))
        .collect();
    assert_eq!(rows, ["agent failed: silent for too long", "green: 2 tests"]);
}

/// Proves N20: a loop that a person paused is still paused in the daemon's next life, and goes on
/// when the person says so.
#[test]
fn paused_stays_paused() {
    let mut world = World::new();
    let door = Door::new(&world, "tool");
    let tool = shell(&world, "tool.sh", &door.sh());
    let turns = format!(
        "[{{tools: [{{run: {{command: '{tool}'}}}}]}}, \
          {{tools: [{{write: {{path: b.txt, content: b}}}}, {{finish: {{summary: x}}}}]}}]"
    );
    let model = replies(&world, "m.yaml", &format!("loops: {{a: [{{turns: {turns}}}]}}\n"));
    world.start();
    world.submit(&format!(
        "---\nplan: Pause\nmodel: {model}\nland: never\ngate: sh test.sh\n---\n## spec a: A\n"
    ));
    door.reached();
    world.taskd(&["pause", "p1.a"]).ok();
    door.open();
    world.until_status("p1.a", &[Status::Paused]);
    world.kill();
    world.start();
    let it = world.row("p1.a");
    assert_eq!((it.status, it.iteration), (Status::Paused, 1), "{}", world.transcript());
    let life = |it: &Record| matches!(it.event, Event::DaemonStarted { .. });
    let events = world.events();
    let began = events.iter().rposition(life).expect("it lives");
    assert!(events[began..].iter().all(|it| work_of(it).is_none()), "{}", world.transcript());

    world.taskd(&["resume", "p1.a"]).ok();
    let it = world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(iterations(&world, it.id), [1]);
    assert_eq!(started(&world, it.id, "tool"), 2, "the first is not repeated");
}
