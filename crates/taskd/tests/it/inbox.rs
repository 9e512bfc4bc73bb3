//! The inbox: what waits for a person is there, whoever answers first counts, and everybody else is
//! told who that was.

use std::process::Stdio;

use serde_json::Value;
use taskd_model::{Actor, Doing, Event, Outcome, Record, Status, Via, View};

use crate::{
    loops::large_blob,
    support::{Ran, World},
};

const OVER: &[Status] = &[Status::Complete, Status::Blocked, Status::Failed, Status::Stopped];

/// A plan of these specs, by an agent that writes a file.
fn plan(world: &World, head: &str, specs: &[&str]) -> String {
    let agent = format!("sh {}", world.aside("agent.sh", "echo b >$TASKD_LOOP.txt\n"));
    let specs: String =
        specs.iter().map(|it| format!("## spec {it}: Do it\n\nThe task.\n\n")).collect();
    format!("---\nplan: One\nagent: {agent}\ngate: sh test.sh\n{head}\n---\n{specs}")
}

/// A plan by a scripted model.
fn scripted(world: &World, script: &str, specs: &[&str]) -> String {
    let model = format!("scripted:{}", world.aside("script.yaml", script));
    let specs: String =
        specs.iter().map(|it| format!("## spec {it}: Do it\n\nThe task.\n\n")).collect();
    format!("---\nplan: One\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n{specs}")
}

/// The items of `taskd inbox --json`.
fn items(world: &World, args: &[&str]) -> Vec<Value> {
    let said = world.taskd(&[&["inbox", "--json"][..], args].concat()).ok();
    let said: Value = serde_json::from_str(&said).expect("one object");
    said["items"].as_array().expect("a list").clone()
}

#[track_caller]
fn has(text: &str, wanted: &[&str]) {
    for it in wanted {
        assert!(text.contains(it), "{it:?} is not in:\n{text}");
    }
}

/// Waits until something is asked, and says what it is called.
#[track_caller]
pub(crate) fn until_asked(world: &World, name: &str) -> String {
    let asks = |view: &View| {
        let waits = view.inbox.waiting();
        waits.iter().find(|it| view.loop_name(it.loop_id) == name).map(|it| it.name())
    };
    let view = world.until("something to be asked", |view| asks(view).is_some());
    asks(&view).expect("just seen")
}

/// Two commands at once.
fn both(world: &World, first: &[&str], second: &[&str]) -> [Ran; 2] {
    let start = |args: &[&str]| {
        let mut command = world.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("taskd runs")
    };
    let both = [start(first), start(second)];
    both.map(|it| {
        let out = it.wait_with_output().expect("it ends");
        Ran {
            code: out.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&out.stdout).into_owned(),
            err: String::from_utf8_lossy(&out.stderr).into_owned(),
        }
    })
}

/// Proves S-5.3.2, P-27, IN-1, IN-2: work that may land and a loop that is blocked are items with
/// the command that answers each; of two who say yes and no at once one counts, the other is told who
/// it was, what they said and from where, and everybody can read it later, also after a `kill -9`.
#[test]
fn of_two_who_answer_at_once_the_first_counts() {
    let mut world = World::new();
    world.env.insert("COLUMNS".to_owned(), "160".to_owned());
    world.start();
    assert_eq!(world.taskd(&["inbox"]).ok(), "nothing waits for you\n");
    world.submit(&plan(&world, "land: ask", &["a"]));
    let item = until_asked(&world, "p1.a");
    let said = world.taskd(&["inbox"]).ok();
    has(&said, &[&item, "p1.a", "landing: +1 -0, gate green", &format!("taskd land {item}")]);
    let row = &items(&world, &[])[0];
    assert_eq!((&row["kind"], &row["answer"]), (&Value::from("landing"), &Value::Null), "{row}");
    let yes = ["approve", &item];
    let no = ["reject", &item, "-m", "not so"];
    let ran = both(&world, &yes, &no);
    let codes = [ran[0].code, ran[1].code];
    assert!(codes == [0, 1] || codes == [1, 0], "{ran:?}");
    let late = &ran[usize::from(codes[0] == 0)];
    let word = if codes[0] == 0 { "approved" } else { "sent back" };
    let uid = nix::unistd::geteuid().as_raw();
    let who =
        format!("{item} is not open: it was answered already: {word}, by user {uid} from cli");
    has(&late.err, &[&who]);
    let acts = |it: &&Record| matches!(it.event, Event::Approved | Event::Rejected { .. });
    let log = world.events();
    let acts: Vec<&Record> = log.iter().filter(acts).collect();
    assert_eq!(acts.len(), 1, "{}", world.transcript());
    assert_eq!(acts[0].actor, Actor::Person { uid, via: Some(Via::Cli) });
    world.kill();
    world.start();
    has(&world.taskd(&["inbox", "-a"]).ok(), &[&format!("{word}, by user {uid} from cli")]);
    has(&world.taskd(&["inbox", &item]).ok(), &["landing of p1.a", &format!("{word}, by user")]);
    let answered = &items(&world, &[&item])[0];
    assert_eq!(answered["answer"]["via"], "cli", "{answered}");
    has(&world.taskd(&["inbox", "i1"]).fails(5), &["there is nothing called"]);
    // What is blocked is there too, with what helps.
    let broken =
        plan(&world, "land: never", &["none"]).replace("agent: sh ", "agent: no-such-agent ");
    world.submit(&broken);
    let blocked = "p2.none";
    let item = until_asked(&world, blocked);
    has(&world.taskd(&["inbox", &item]).ok(), &["blocked of", &format!("taskd resume {blocked}")]);
    world.taskd(&["stop", blocked]).ok();
    world.until("the item to go", |view| {
        view.inbox.answered.iter().any(|it| it.name() == item && it.answer.is_some())
    });
    has(&world.taskd(&["inbox", &item]).ok(), &["stopped, by user"]);
}

/// A script whose loop `a` asks, and then writes what it shall.
const ASKS: &str = "\
loops:
  a:
    - turns:
        - tools: [{ask: {question: \"Which colour?\", choices: [red, blue]}}]
        - tools: [{write: {path: a2.txt, content: x}}, {finish: {summary: done}}]
  b:
    - turns:
        - tools: [{write: {path: b.txt, content: x}}, {finish: {summary: done}}]
";

/// Proves P-27, W-27, PR-5, IN-3: a question of a native loop waits without a slot, over a `kill -9`,
/// until a person answers it in words of their own; the answer is what the tool said, in the next
/// prompt and in the log; a second answer is refused and names the first.
#[test]
fn a_loop_asks_and_has_its_answer_after_a_crash() {
    let mut world = World::new();
    world.write("AGENTS.md", &"A line of advice that says nothing.\n".repeat(2_000));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "advice"]);
    world.env.insert("TASKD_LIMITS__LOOPS".to_owned(), "1".to_owned());
    world.env.insert("COLUMNS".to_owned(), "160".to_owned());
    world.start();
    world.submit(&scripted(&world, ASKS, &["a", "b"]));
    let item = until_asked(&world, "p1.a");
    // There is one slot, and whoever waits for a person does not have it.
    let it = world.until_status("p1.b", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let choices = format!("taskd answer {item} N: 1 red, 2 blue, or words");
    has(&world.taskd(&["inbox"]).ok(), &["question: Which colour?", &choices]);
    has(&world.taskd(&["ls"]).ok(), &["NEEDS YOU (1)", "asks: Which colour?"]);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 4, "a person is needed");
    world.kill();
    world.start();
    assert_eq!(until_asked(&world, "p1.a"), item, "the same question");
    world.until("it to ask again, once its worktree is there", |view| {
        let asks = Doing::Asks("Which colour?".to_owned());
        view.loops.values().any(|it| it.name == "p1.a" && it.doing == asks)
    });
    let said = world.taskd(&["answer", &item, "green,", "like", "the", "logo"]).ok();
    has(&said, &["p1.a", "answered: green, like the logo"]);
    has(
        &world.taskd(&["answer", &item, "2"]).fails(1),
        &["already: green, like the logo, by user"],
    );
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let composed = |it: &Record| {
        let Event::EffectEnded { outcome: Outcome::Composed { request, .. }, .. } = &it.event
        else {
            return None;
        };
        Some(large_blob(&world, &request.to_string()))
    };
    let log = world.events();
    let of_a = log.iter().filter(|record| record.loop_id == Some(it.id));
    let prompts: Vec<String> = of_a.filter_map(composed).collect();
    assert!(!prompts[0].contains("like the logo"));
    has(
        prompts.last().expect("some"),
        &["The person who gave the task answers: green, like the logo"],
    );
    let logs = world.taskd(&["logs", "p1.a", "--tools"]).ok();
    has(&logs, &["Which colour?", "answers: green, like the logo"]);
    has(&world.taskd(&["inbox", "-a"]).ok(), &["green, like the logo, by user"]);
}

/// Proves IN-4: a default counts when its time is up, and is told as that; without one a question
/// stays; a loop that has asked as often as it may is told to decide.
#[test]
fn a_default_counts_in_the_end_and_questions_are_few() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__QUESTIONS".to_owned(), "1".to_owned());
    let script = "\
loops:
  a:
    - turns:
        - tools: [{ask: {question: Which?, choices: [red, blue], default: blue, deadline_s: 1}}]
        - tools: [{ask: {question: And now?}}]
        - tools: [{write: {path: a2.txt, content: x}}, {finish: {summary: done}}]
";
    world.start();
    world.submit(&scripted(&world, script, &["a"]));
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let logs = world.taskd(&["logs", "p1.a", "--tools"]).ok();
    has(&logs, &["Your default counts: blue", "asked 1 questions, and may ask no more"]);
    let row = &items(&world, &["-a"])[0];
    assert_eq!(row["answer"]["said"], "blue", "{row}");
    assert_eq!((&row["answer"]["uid"], &row["default"]), (&Value::Null, &Value::from("blue")));
    let answers = world.events().into_iter().filter_map(|it| {
        let Event::QuestionAnswered { choice, .. } = it.event else { return None };
        Some((it.actor, choice))
    });
    assert_eq!(answers.collect::<Vec<_>>(), [(Actor::Core, Some(1))]);
}

/// Proves PR-12: a request becomes three landed specs with two words of a person, and they are asked
/// for nothing else; the checkout has what landed and nothing besides.
#[test]
fn two_words_bring_a_request_to_its_target() {
    let mut world = World::new();
    let spec = |id: &str| format!("## spec {id}: The {id} of it\\ntype: ralph\\n\\nDo it.\\n\\n");
    let specs: String = ["one", "two", "three"].iter().map(|it| spec(it)).collect();
    let sections = ["Summary", "Goals", "Not goals", "Risks"];
    let sections: String = sections.iter().map(|it| format!("## {it}\\nIt.\\n\\n")).collect();
    let code = |id: &str| {
        format!(
            "  {id}: [{{turns: [{{tools: [{{write: {{path: {id}.txt, content: x}}}}, {{finish: {{summary: d}}}}]}}]}}]\n"
        )
    };
    let code: String = ["one", "two", "three"].iter().map(|it| code(it)).collect();
    let script = format!(
        "loops:\n  plan:\n    - {{iteration: 1, turns: [{{tools: [{{write: {{path: taskd-plan.md, content: \"{sections}{specs}\"}}}}, {{finish: {{summary: d}}}}]}}]}}\n{code}default: {{say: it is right}}\n"
    );
    let model = format!("scripted:{}", world.aside("script.yaml", &script));
    world.start();
    let how = ["--model", &model, "--gate", "sh test.sh", "--land", "ask", "-d"];
    world.taskd(&[&["plan", "new", "a wish"][..], &how].concat()).ok();
    let item = until_asked(&world, "p1.plan");
    has(&world.taskd(&["inbox"]).ok(), &["plan: taskd-plan.md names 3 specs"]);
    world.taskd(&["approve", &item]).ok();
    let ready = |view: &View| view.inbox.waiting().len() == 3;
    world.until("all three to wait", ready);
    world.taskd(&["land", "p1"]).ok();
    assert_eq!(world.taskd(&["wait", "p1"]).code, 0, "{}", world.transcript());
    let view = world.view();
    let kinds: Vec<&str> = view.inbox.answered.iter().map(|it| it.kind.word()).collect();
    assert_eq!(kinds, ["plan", "landing", "landing", "landing"], "{}", world.transcript());
    assert!(view.inbox.waiting().is_empty());
    let words = |it: &Record| matches!(it.actor, Actor::Person { .. }) && it.cause.is_none();
    let words = world.events().iter().filter(|it| words(it)).count();
    assert_eq!(words, 4, "the project, the request, a yes, a landing: {}", world.transcript());
    assert_eq!(world.git(&["status", "--porcelain", "--ignored"]), "");
    assert_eq!(world.git(&["ls-files"]), "a.txt\none.txt\ntest.sh\nthree.txt\ntwo.txt");
}
