//! Queries between loops of a plan: they are answered beside what the other one does, by both of two
//! that ask one another, after a kill; they end when nobody can answer or nobody waits. And a loop
//! that stops another one, and one that reads nothing.

use taskd_model::{Code, QueryEnd, Spoken, Status};

use crate::daemon::serving::{get, http, metric};

use super::{
    messages::{finish, requests, talkative, two},
    *,
};

const OVER: [Status; 3] = [Status::Complete, Status::Failed, Status::Blocked];

/// The turn of a script that waits at a door.
fn at(door: &Door) -> String {
    format!("{{tools: [{{run: {{command: '{}'}}}}]}}", door.sh())
}

fn query(to: &str) -> String {
    format!("{{tools: [{{query: {{to: {to}, question: What is the field called?}}}}]}}")
}

/// How queries ended, in order.
fn ends(world: &World) -> Vec<QueryEnd> {
    let end = |it: Record| {
        let Event::Spoken { word: Spoken::QueryEnded { end, .. } } = it.event else { return None };
        Some(end)
    };
    world.events().into_iter().filter_map(end).collect()
}

fn is_answering(it: &Record) -> bool {
    matches!(work_of(it), Some(Work::Answer(_)))
}

/// The words with which tools of a loop failed, in order.
fn codes(world: &World, name: &str) -> Vec<Code> {
    let id = world.row(name).id;
    let code = |it: &Record| {
        let Outcome::ToolDone { code, error: true, .. } = outcome_of(it)? else { return None };
        code.filter(|_| it.loop_id == Some(id))
    };
    world.events().iter().filter_map(code).collect()
}

#[track_caller]
fn passes(world: &World, name: &str) {
    let it = world.until_status(name, &OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
}

/// Proves T1.1b, T1.2a: a loop that stands in a command answers what another asks: its model is
/// told its context and the question, without tools, and is paid by it; the asker goes on with the
/// words of that model, and the command never noticed. Both tools are in the first request of the
/// built-in type.
#[test]
fn a_loop_in_mid_turn_answers() {
    let mut world = talkative();
    let (first, second) = (Door::new(&world, "first"), Door::new(&world, "second"));
    world.start();
    two(
        &world,
        &format!(
            "loops:\n  a: [{{turns: [{}, {}, {}]}}]\n  b: [{{turns: [{}, {}]}}]\n  \
             b.asked: [{{turns: [{{say: I call it rest., usage: {{input: 5, output: 7}}}}]}}]\n",
            at(&first),
            query("b"),
            finish("one.txt"),
            at(&second),
            finish("two.txt")
        ),
    );
    first.reached();
    second.reached();
    let before = world.row("p1.b").spent.output;
    first.open();
    passes(&world, "p1.a");
    let b = world.row("p1.b");
    assert_eq!((b.status, b.iteration), (Status::Running, 1), "it stands where it stood");
    assert_eq!(b.spent.output, before + 7, "it pays");

    let asked = requests(&world, "p1.a");
    for tool in ["\"share\"", "\"query\""] {
        assert_says(&asked[0], tool);
    }
    assert_says(asked.last().expect("some"), "p1.b answers:\\nI call it rest.");
    let events = world.events();
    let answering = events.iter().find(|it| is_answering(it)).expect("it answered");
    assert_eq!(answering.loop_id, Some(b.id));
    let Some(Work::Answer(work)) = work_of(answering) else { unreachable!("just seen") };
    let request = large_blob(&world, &work.call.request.to_string());
    for known in [
        "# The other",
        "You called run",
        "It has not ended yet.",
        "p1.a, another worker",
        "What is the field called?",
    ] {
        assert_says(&request, known);
    }
    assert_says_nothing_of(&request, "input_schema");
    assert_says_nothing_of(&request, "\"name\":\"finish\"");
    second.open();
    passes(&world, "p1.b");
    assert_eq!(started(&world, b.id, "tool"), 2, "{}", world.transcript());
}

/// Proves T1.1b: two loops that ask one another at once both get their answers, with one model call
/// at a time.
#[test]
fn two_that_ask_one_another_both_get_answers() {
    let mut world = talkative();
    world.env.insert("TASKD_LIMITS__CALLS".to_owned(), "1".to_owned());
    let doors = [Door::new(&world, "a"), Door::new(&world, "b")];
    world.start();
    let turns = |door: &Door, other: &str, file: &str| {
        format!("[{{turns: [{}, {}, {}]}}]", at(door), query(other), finish(file))
    };
    let says = |text: &str| format!("[{{turns: [{{say: {text}, delay_ms: 700}}]}}]");
    two(
        &world,
        &format!(
            "loops:\n  a: {}\n  b: {}\n  a.asked: {}\n  b.asked: {}\n",
            turns(&doors[0], "b", "one.txt"),
            turns(&doors[1], "p1.a", "two.txt"),
            says("It is rest."),
            says("It is left.")
        ),
    );
    doors.iter().for_each(Door::reached);
    doors.iter().for_each(Door::open);
    for name in ["p1.a", "p1.b"] {
        passes(&world, name);
    }
    assert_says(requests(&world, "p1.a").last().expect("some"), "p1.b answers:\\nIt is left.");
    assert_says(requests(&world, "p1.b").last().expect("some"), "p1.a answers:\\nIt is rest.");
    assert_eq!(ends(&world).len(), 2, "{}", world.transcript());
}

/// Proves T2.1a: killed while a query is open it is asked again in the next life, answered once, and
/// its asker goes on; when its asker is stopped it has expired, and the call that would answer it
/// ends.
#[test]
fn an_open_query_survives_a_kill() {
    let mut world = talkative();
    let doors = ["a", "b", "again"].map(|it| Door::new(&world, it));
    world.start();
    two(
        &world,
        &format!(
            "loops:\n  a: [{{turns: [{}, {}, {}, {}]}}]\n  b: [{{turns: [{}, {}, {}]}}]\n  \
             b.asked: [{{turns: [{{say: I call it rest., delay_ms: 4000}}]}}]\n",
            at(&doors[0]),
            query("b"),
            query("b"),
            finish("one.txt"),
            at(&doors[1]),
            at(&doors[2]),
            finish("two.txt")
        ),
    );
    doors[0].reached();
    doors[1].reached();
    doors[0].open();
    world.until_event("the call that answers", is_answering);
    world.kill();
    world.start();
    // What stood at the door was interrupted, and is not run again.
    doors[2].reached();
    world.until_event("an answer", |it| {
        let Event::Spoken { word: Spoken::QueryEnded { end, .. } } = &it.event else {
            return false;
        };
        matches!(end, QueryEnd::Answered { .. })
    });
    let asked = |it: &&Record| matches!(it.event, Event::Spoken { word: Spoken::Query { .. } });
    let first = world.events().iter().find(asked).expect("it asked").seq;
    let of_first =
        |it: &&Record| matches!(work_of(it), Some(Work::Answer(work)) if work.query == first);
    assert_eq!(world.events().iter().filter(of_first).count(), 2, "{}", world.transcript());

    // The second query of its asker.
    let of_second = |it: &Record| is_answering(it) && !of_first(&it);
    world.until_event("the next call that answers", of_second);
    assert_eq!(world.events().iter().filter(asked).count(), 2, "{}", world.transcript());
    assert_says(requests(&world, "p1.a").last().expect("some"), "p1.b answers:\\nI call it rest.");
    world.taskd(&["stop", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Stopped]);
    let ends = ends(&world);
    assert_eq!(ends.len(), 2, "{}", world.transcript());
    assert_eq!(ends[1], QueryEnd::Expired);
    doors[2].open();
    passes(&world, "p1.b");
}

/// Proves T1.1e: when a loop is stopped a query to it fails at once, long before its time, and what
/// is said to it later is refused; whoever asked goes on.
#[test]
fn a_query_to_a_loop_that_ends_fails_at_once() {
    let mut world = talkative();
    let doors = [Door::new(&world, "a"), Door::new(&world, "b")];
    world.start();
    let ask = "{tools: [{query: {to: b, question: And now?, timeout_s: 300}}]}";
    two(
        &world,
        &format!(
            "loops:\n  a: [{{turns: [{}, {ask}, {{tools: [{{share: {{to: b, text: Hello.}}}}]}}, {}]}}]\n  \
             b: [{{turns: [{}, {}]}}]\n  b.asked: [{{turns: [{{say: Late., delay_ms: 200000}}]}}]\n",
            at(&doors[0]),
            finish("one.txt"),
            at(&doors[1]),
            finish("two.txt")
        ),
    );
    doors.iter().for_each(Door::reached);
    doors[0].open();
    world.until_event("the call that answers", is_answering);
    world.taskd(&["stop", "p1.b"]).ok();
    passes(&world, "p1.a");
    let why = "is stopped: by a person".to_owned();
    assert_eq!(ends(&world), [QueryEnd::Gone { why }]);
    assert_eq!(codes(&world, "p1.a"), [Code::NobodyHears, Code::AlreadyOver]);
}

/// Proves T1.1e: one that waits for a person is not asked, and the asker reads so at once; nor is one
/// that passed.
#[test]
fn who_does_not_work_answers_nothing() {
    let mut world = talkative();
    let doors = ["a", "c"].map(|it| Door::new(&world, it));
    let script = format!(
        "loops:\n  a: [{{turns: [{}, {}, {}, {}, {}]}}]\n  \
         b: [{{turns: [{{tools: [{{ask: {{question: Which one?}}}}]}}, {}]}}]\n",
        at(&doors[0]),
        query("b"),
        at(&doors[1]),
        query("b"),
        finish("one.txt"),
        finish("two.txt")
    );
    world.start();
    two(&world, &script);
    doors[0].reached();
    let question = world
        .until_event("the question", |it| matches!(outcome_of(it), Some(Outcome::Asks { .. })));
    doors[0].open();
    doors[1].reached();
    assert_says(requests(&world, "p1.a").last().expect("some"), "p1.b waits for a person, and");
    world.taskd(&["answer", &format!("i{}", question.seq), "this one"]).ok();
    passes(&world, "p1.b");
    doors[1].open();
    passes(&world, "p1.a");
    assert_eq!(codes(&world, "p1.a"), [Code::NobodyHears, Code::AlreadyOver]);
    assert_eq!(ends(&world), []);
}

/// A loop whose type lets it may end another one of its plan: that is Stopped, with the name of who
/// did it, and its work is kept. Others have no such tool.
#[test]
fn a_loop_may_stop_another_where_its_type_says_so() {
    let mut world = talkative();
    world.write(".taskd/types/lead.yaml", "extends: ralph\ntools: [write, run, stop, finish]\n");
    let doors = [Door::new(&world, "a"), Door::new(&world, "b")];
    let script = format!(
        "loops:\n  a: [{{turns: [{}, {{tools: [{{stop: {{to: b, reason: Not needed any more.}}}}]}}, {}]}}]\n  \
         b: [{{turns: [{{tools: [{{write: {{path: kept.txt, content: x}}}}, \
         {{stop: {{to: a, reason: Me neither.}}}}]}}, {}]}}]\n",
        at(&doors[0]),
        finish("one.txt"),
        at(&doors[1]),
    );
    let model = replies(&world, "m.yaml", &script);
    world.start();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n\
         ## spec a: The one\ntype: lead\n\nIt leads.\n\n## spec b: The other\n"
    ));
    doors.iter().for_each(Door::reached);
    assert_eq!(codes(&world, "p1.b"), [Code::ToolNotAllowed]);
    doors[0].open();
    let b = world.until_status("p1.b", &[Status::Stopped]);
    assert_eq!(b.reason.expect("one").to_string(), "by p1.a");
    passes(&world, "p1.a");
    let said = world.events().into_iter().find_map(|it| {
        let Event::Spoken { word: Spoken::Stopped { why, .. } } = it.event else { return None };
        Some(why)
    });
    assert_eq!(said.as_deref(), Some("Not needed any more."));
    assert_says(&world.taskd(&["diff", "p1.b"]).ok(), "kept.txt");
    assert_says(&world.taskd(&["events"]).ok(), "stopped by p1/0/1: Not needed any more.");
    assert_says(&world.taskd(&["why", "p1.b"]).ok(), "p1.b is stopped: by p1.a");
}

/// Tools that share so many things with `b`.
fn shares(from: &str, n: std::ops::Range<u32>) -> String {
    let share = |n| format!("{{share: {{to: b, text: {from}{n}}}}}");
    format!("{{tools: [{}]}}", n.map(share).collect::<Vec<_>>().join(", "))
}

/// Proves F4: a loop that never reads, with a hundred messages waiting. What more is shared with it is
/// refused, and counted; of alerts the newest waits; another loop reads one meanwhile, at once; and a
/// stop reaches it.
#[test]
fn one_that_never_reads_holds_up_nobody() {
    let mut world = talkative();
    world.write(
        ".taskd/types/lead.yaml",
        "extends: ralph\ntools: [write, run, share, alert, stop, finish]\n",
    );
    let names = ["a", "b", "c", "a-again", "c-again"];
    let [a, b, c, a_again, c_again] = names.map(|it| Door::new(&world, it));
    let alerts =
        "{tools: [{alert: {topic: api, text: First.}}, {alert: {topic: api, text: Second.}}]}";
    let script = format!(
        "loops:\n  a: [{{turns: [{}, {}, {}, {}, {alerts}, {{tools: [{{stop: {{to: b, reason: Deaf.}}}}]}}, {}]}}]\n  \
         b: [{{turns: [{}]}}]\n  c: [{{turns: [{}, {}, {}, {}, {}]}}]\n",
        at(&a),
        shares("a", 0..26),
        shares("a", 26..52),
        at(&a_again),
        finish("one.txt"),
        at(&b),
        at(&c),
        shares("c", 0..26),
        shares("c", 26..52),
        at(&c_again),
        finish("two.txt"),
    );
    let model = replies(&world, "m.yaml", &script);
    world.start_served();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n\
         ## spec a: The one\ntype: lead\n\nIt leads.\n\n## spec b: Deaf\n\n## spec c: Another\n"
    ));
    [&a, &b, &c].into_iter().for_each(Door::reached);
    [&a, &c].into_iter().for_each(Door::open);
    [&a_again, &c_again].into_iter().for_each(Door::reached);
    let full = codes(&world, "p1.a").into_iter().chain(codes(&world, "p1.c"));
    assert_eq!(full.collect::<Vec<_>>(), [Code::MailboxFull; 4], "{}", world.transcript());
    let (_, text) = get(&http(&world), "/metrics");
    assert_eq!(metric(&text, "taskd_messages_total"), 100);
    assert_eq!(metric(&text, "taskd_messages_refused_total"), 4);
    assert_eq!(metric(&text, "taskd_messages_waiting"), 100);

    a_again.open();
    passes(&world, "p1.a");
    assert_eq!(world.until_status("p1.b", &[Status::Stopped]).status, Status::Stopped);
    assert_eq!(requests(&world, "p1.b").len(), 1, "it never read");
    c_again.open();
    passes(&world, "p1.c");
    let last = requests(&world, "p1.c").pop().expect("some");
    assert_says(&last, "p1.a (alert, api, and 1 before it): Second.");
    assert_says_nothing_of(&last, "First.");
}
