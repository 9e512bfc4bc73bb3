//! What loops of a plan tell one another, and what a person says in the middle of a turn: in whose
//! requests it is, how often, and after a kill.

use taskd_model::{Code, Spoken, Status};

use super::*;

/// Requests a loop sent, oldest first, as text.
pub(super) fn requests(world: &World, name: &str) -> Vec<String> {
    let id = world.row(name).id;
    let composed = |it: &Record| {
        let Outcome::Composed { request, .. } = outcome_of(it)? else { return None };
        (it.loop_id == Some(id)).then(|| large_blob(world, &request.to_string()))
    };
    world.events().iter().filter_map(composed).collect()
}

/// A world whose requests are large enough to be files.
pub(super) fn talkative() -> World {
    let world = World::new();
    world.write("AGENTS.md", &"Indent with exactly seven spaces.\n".repeat(1_200));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "say how"]);
    world
}

/// Two specs of one plan that no gate holds up.
pub(super) fn two(world: &World, script: &str) {
    let model = replies(world, "m.yaml", script);
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n\
         ## spec a: The one\n\n## spec b: The other\n"
    ));
}

pub(super) fn finish(file: &str) -> String {
    format!("{{tools: [{{write: {{path: {file}, content: x}}}}, {{finish: {{summary: x}}}}]}}")
}

fn sent(world: &World) -> Vec<Record> {
    let is_it = |it: &Record| matches!(it.event, Event::Spoken { word: Spoken::Told { .. } });
    world.events().into_iter().filter(is_it).collect()
}

/// Proves T1.1c, T2.1b: what a loop shares and what it alerts to is in the log before it hears that
/// it was sent; it is in the other's next request, after the turn that was under way, with its name.
#[test]
fn what_a_loop_says_is_in_the_others_next_request() {
    let mut world = talkative();
    let (first, second) = (Door::new(&world, "first"), Door::new(&world, "second"));
    let run = |door: &Door| format!("{{tools: [{{run: {{command: '{}'}}}}]}}", door.sh());
    world.start();
    two(
        &world,
        &format!(
            "loops:\n  a: [{{turns: [{}, {{tools: [{{share: {{to: b, text: The field is called rest.}}}}, \
             {{alert: {{topic: api, text: The old API is gone.}}}}]}}, {}]}}]\n  \
             b: [{{turns: [{}, {}]}}]\n",
            run(&first),
            finish("one.txt"),
            run(&second),
            finish("two.txt")
        ),
    );
    first.reached();
    second.reached();
    first.open();
    world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    second.open();
    let b = world.until_status("p1.b", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(b.status, Status::Complete, "{}", world.transcript());

    let events = world.events();
    let told: Vec<_> = sent(&world).iter().map(|it| (it.loop_id, it.seq)).collect();
    assert_eq!(told.iter().map(|it| it.0).collect::<Vec<_>>(), [Some(b.id); 2]);
    let a = world.row("p1.a").id;
    let acknowledged = events.iter().filter(|it| it.loop_id == Some(a)).filter(|it| {
        matches!(outcome_of(it), Some(Outcome::ToolDone { checkpoint: None, unsaved: None, .. }))
    });
    let acknowledged: Vec<_> = acknowledged.map(|it| it.seq).collect();
    assert!(told.iter().zip(&acknowledged).all(|(told, it)| told.1 < *it), "{told:?}");

    let requests = requests(&world, "p1.b");
    assert_eq!(requests.len(), 2, "{}", world.transcript());
    let said =
        ["p1.a (share): The field is called rest.", "p1.a (alert, api): The old API is gone."];
    for it in said {
        assert_says_nothing_of(&requests[0], it);
        assert_says(&requests[1], it);
    }
    let turn = requests[1].find("\"tool_use\"").expect("the turn is told");
    assert!(
        turn < requests[1].find(said[0]).expect("just seen"),
        "after the turn: {}",
        requests[1]
    );
    for tool in ["\"share\"", "\"alert\""] {
        assert_says(&requests[0], tool);
    }
}

/// Proves T2.1c: a message that waits survives `kill -9` and is told then; one that was told is not
/// told again in the same context, and its sender does not send it twice.
#[test]
fn a_message_is_told_once_whatever_is_killed() {
    let mut world = talkative();
    let doors = ["one", "two", "three"].map(|it| Door::new(&world, it));
    let run = |door: &Door| format!("{{tools: [{{run: {{command: '{}'}}}}]}}", door.sh());
    world.start();
    two(
        &world,
        &format!(
            "loops:\n  a: [{{turns: [{{tools: [{{share: {{to: b, text: Only once.}}}}]}}, {}]}}]\n  \
             b: [{{turns: [{}, {}, {}]}}]\n",
            run(&doors[0]),
            run(&doors[1]),
            run(&doors[2]),
            finish("two.txt")
        ),
    );
    doors[0].reached();
    doors[1].reached();
    assert_eq!(sent(&world).len(), 1, "{}", world.transcript());
    world.kill();
    world.start();
    // The tool that was interrupted is not run again; the next turn is there.
    doors[2].reached();
    world.kill();
    world.start();
    let b = world.until_status("p1.b", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(b.status, Status::Complete, "{}", world.transcript());
    assert_eq!(sent(&world).len(), 1, "{}", world.transcript());
    let requests = requests(&world, "p1.b");
    assert_says_nothing_of(&requests[0], "Only once.");
    for later in &requests[1..] {
        assert_eq!(later.matches("Only once.").count(), 1, "{later}");
    }
}

/// Proves T1.2c: where there is nobody to talk to, the tools answer with an error that says so, and
/// the loop goes on and passes.
#[test]
fn alone_the_tools_answer_with_an_error() {
    let mut world = World::new();
    let model = replies(
        &world,
        "m.yaml",
        &format!(
            "loops: {{a: [{{turns: [{{tools: [{{share: {{to: b, text: x}}}}, \
             {{alert: {{topic: x, text: x}}}}, {{share: {{to: p1, text: x}}}}]}}, {}]}}]}}\n",
            finish("one.txt")
        ),
    );
    world.start();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n## spec a: Alone\n"
    ));
    world.until_status("p1.a", &[Status::Complete]);
    let codes: Vec<_> = world
        .events()
        .iter()
        .filter_map(|it| {
            let Outcome::ToolDone { code, error: true, .. } = outcome_of(it)? else { return None };
            Some(*code)
        })
        .collect();
    let wanted = [Code::NoSuchLoop, Code::NobodyHears, Code::NoSuchLoop].map(Some);
    assert_eq!(codes, wanted, "{}", world.transcript());
}

/// Proves P-28: `steer` waits for the turn's end; `steer --now` ends a command, or the run of an
/// agent, that is under way, and the same iteration goes on with what was said.
#[test]
fn steered_now_a_turn_ends_for_it() {
    let mut world = talkative();
    let pipe = Pipe::new(&world, "up");
    let slow = format!("exec 9>{pipe}; echo up >&9; sleep 1000");
    let script = format!(
        "loops: {{a: [{{turns: [{{tools: [{{run: {{command: '{slow}'}}}}]}}, {}]}}]}}\n",
        finish("one.txt")
    );
    let model = replies(&world, "m.yaml", &script);
    world.start();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n## spec a: A\n"
    ));
    assert_eq!(pipe.line(), "up");
    world.taskd(&["steer", "p1", "in your own time"]).ok();
    let out = world.taskd(&["steer", "p1", "--now", "that takes too long"]).ok();
    assert_says(&out, "told; its turn ends for it");
    pipe.end();
    let a = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!((a.status, a.iteration), (Status::Complete, 1), "{}", world.transcript());
    let requests = requests(&world, "p1.a");
    assert_eq!(requests.len(), 2, "{}", world.transcript());
    for said in ["a person: in your own time", "a person: that takes too long"] {
        assert_says_nothing_of(&requests[0], said);
        assert_says(&requests[1], said);
    }
    assert_says(&requests[1], "or a person stepped in");

    let pipe = Pipe::new(&world, "agent-up");
    let agent = prompts::listener(
        &world,
        &format!(
            "cp {dir}/told-$TASKD_LOOP-1 {dir}/last\n\
             if grep -q 'a person: be quick' {dir}/last; then echo >two.txt; exit 0; fi\n\
             exec 9>{pipe}; echo up >&9; sleep 1000\n",
            dir = world.dir.path().display()
        ),
    );
    world.submit(&format!(
        "---\nplan: P\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n## spec b: B\n"
    ));
    assert_eq!(pipe.line(), "up");
    world.taskd(&["steer", "p2.b", "be quick", "--now"]).ok();
    let b = world.until_status("p2.b", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!((b.status, b.iteration), (Status::Complete, 1), "{}", world.transcript());
    assert_eq!(started(&world, b.id, "agent"), 2, "{}", world.transcript());
}
