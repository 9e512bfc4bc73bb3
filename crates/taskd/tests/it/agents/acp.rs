//! Agents that speak the Agent Client Protocol, through the real daemon. The programs are scripts that
//! write the protocol's lines themselves and know nothing of our types.

mod wrong;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Instant,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use taskd_model::{Code, Event, Observation, Status};

use super::{failures, has, iterations, own_preset, plan, program, runs};
use crate::support::{Door, World};

/// The reply to the last request. `$id` is its id.
fn reply(result: &str) -> String {
    let result = result.replace('"', "\\\"");
    format!("echo \"{{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":$id,\\\"result\\\":{result}}}\"")
}

fn done() -> String {
    reply(
        r#"{"stopReason":"end_turn","usage":{"inputTokens":100,"outputTokens":7,"cachedReadTokens":30,"totalTokens":137}}"#,
    )
}

/// An update of the session, as text that the shell prints.
fn update(update: &str) -> String {
    let text = format!(
        r#"{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"s","update":{update}}}}}"#
    );
    format!("echo '{text}'")
}

/// A program of the protocol: what it does with a prompt, with a cancel, and when its input ends. It
/// writes into `log` which process begins which session.
fn agent(log: &str, prompt: &str, cancel: &str, end: &str) -> String {
    let hello = reply(
        r#"{"protocolVersion":1,"agentCapabilities":{"loadSession":true},"agentInfo":{"name":"fake","version":"1"}}"#,
    );
    let (new, loaded) = (reply(r#"{"sessionId":"s$$-$n"}"#), reply("{}"));
    format!(
        "n=0\nwhile read -r line; do\n  id=${{line#*\\\"id\\\":}}; id=${{id%%,*}}\n  case $line in\n\
         *'\"method\":\"initialize\"'*) {hello};;\n\
         *'\"method\":\"session/new\"'*) n=$((n+1)); echo \"new $$ s$$-$n\" >>{log}; {new};;\n\
         *'\"method\":\"session/load\"'*)\n    id2=${{line#*\\\"sessionId\\\":\\\"}}\n    \
         echo \"load $$ ${{id2%%\\\"*}}\" >>{log}; {loaded};;\n\
         *'\"method\":\"session/prompt\"'*) {prompt};;\n\
         *'\"method\":\"session/cancel\"'*) {cancel};;\n  esac\ndone\n{end}\n"
    )
}

const PRESET: &str = "name = \"fake\"\nargv = [\"fake-acp\"]\nformat = \"acp\"\n";

/// A world with such an agent, `fake`, and where its sessions are written down.
fn world(preset: &str, script: impl Fn(&str) -> String) -> (World, String) {
    let mut world = World::new();
    let log = world.aside("sessions", "");
    let script = script(&log);
    program(&mut world, "fake-acp", &script);
    own_preset(&world, "fake", &format!("{PRESET}{preset}"));
    (world, log)
}

/// What was begun: `new` or `load`, process, session.
fn sessions(log: &str) -> Vec<(String, i32, String)> {
    let text = fs::read_to_string(log).expect("it is there");
    let row = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut next = || words.next().expect("three words");
        (next(), next().parse().expect("a number"), next())
    };
    text.lines().map(row).collect()
}

/// Supervisor and session of each run of the log, in order.
pub(super) fn processes(world: &World) -> Vec<(i32, String)> {
    let (mut pids, mut known) = (BTreeMap::new(), Vec::new());
    for it in world.events() {
        let Event::EffectObserved { effect, fact, .. } = it.event else { continue };
        if let Observation::Process { pid, .. } = fact {
            pids.insert(effect, pid);
        } else if let Observation::Session(session) = fact {
            known.push((pids[&effect], session));
        }
    }
    known
}

#[track_caller]
fn is_gone(pid: i32) {
    assert_eq!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH), "{pid} lives");
}

const OVER: &[Status] = &[Status::Complete, Status::Blocked, Status::Failed, Status::Stopped];

/// The first iteration fails its gate, the second mends it.
const TWICE: &str = "if [ -e bad ]; then rm bad; echo b >b.txt; else echo x >bad; fi";

/// Proves ACP-1: one process serves the iterations of a loop, each with a session of its own; what it says is
/// counted and kept; it ends with the loop.
#[test]
fn a_process_serves_all_iterations_of_a_loop_with_a_fresh_session_each() {
    let mut world = World::new();
    let door = Door::new(&world, "end");
    let log = world.aside("sessions", "");
    let chunk = |text: &str| {
        update(&format!(
            r#"{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"{text}"}}}}"#
        ))
    };
    let tool = update(
        r#"{"sessionUpdate":"tool_call","toolCallId":"c","title":"write b.txt","kind":"edit"}"#,
    );
    let cost = update(
        r#"{"sessionUpdate":"usage_update","used":1,"size":2,"cost":{"amount":0.02,"currency":"USD"}}"#,
    );
    let prompt =
        format!("{TWICE}; {tool}; {}; {}; {cost}; {}", chunk("All "), chunk("done."), done());
    program(&mut world, "fake-acp", &agent(&log, &prompt, ":", &door.sh()));
    own_preset(&world, "fake", &format!("{PRESET}long_lived = true\n"));
    world.start();
    world.submit(&plan("fake", &["a"]));
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!((runs(&world), iterations(&world)), (2, 2));
    let begun = sessions(&log);
    assert_eq!(begun.len(), 2, "{begun:?}");
    assert!(begun.iter().all(|it| it.0 == "new"), "{begun:?}");
    assert_eq!(begun[0].1, begun[1].1, "one process");
    assert_ne!(begun[0].2, begun[1].2, "a fresh session");
    assert_eq!(it.session.as_deref(), Some(begun[1].2.as_str()));
    let spent = (it.spent.input, it.spent.output, it.spent.cache_read, it.spent.micros);
    assert_eq!(spent, (200, 14, 60, 40_000));
    // Its process is written down for each run.
    let known = processes(&world);
    assert_eq!(known.len(), 2);
    assert_eq!(known[0].0, known[1].0, "the same supervisor");
    has(&world.taskd(&["logs", "p1.a"]).ok(), &["edit write b.txt", "All done."]);
    // The loop is over: its input ends, and it goes by itself.
    door.reached();
    door.open();
}

/// A session that a person hands over is loaded; one that cannot be loaded is a question, and no fresh
/// start.
#[test]
fn a_session_of_a_person_is_loaded_or_asked_about() {
    let write = format!("echo b >b.txt; {}", done());
    for knows in [true, false] {
        let (mut world, log) = world("", |log| {
            let script = agent(log, &write, ":", "");
            let forgets = r#"echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32002,\"message\":\"no such session\"}}""#;
            if knows { script } else { script.replace(&reply("{}"), forgets) }
        });
        world.env.insert("COLUMNS".to_owned(), "200".to_owned());
        world.start();
        let args = ["run", "Do it", "--agent", "fake", "--session", "mine-1", "--gate", "true"];
        world.taskd(&[&args[..], &["--land", "never", "-d"]].concat()).ok();
        let it = world.until_status("p1", OVER);
        let begun: Vec<_> = sessions(&log).into_iter().map(|it| (it.0, it.2)).collect();
        let load = ("load".to_owned(), "mine-1".to_owned());
        if knows {
            assert_eq!((it.status, begun), (Status::Complete, vec![load]));
        } else {
            assert_eq!((it.status, begun), (Status::Blocked, vec![load; 3]));
            has(&world.taskd(&["show", "p1"]).ok(), &["no such session"]);
        }
    }
}

/// Without `long_lived` every iteration is a process of its own, which is gone before the gate.
#[test]
fn without_long_lived_every_iteration_is_a_process() {
    let prompt = format!("{TWICE}; {}", done());
    let (mut world, log) = world("", |log| agent(log, &prompt, ":", ""));
    world.start();
    world.submit(&plan("fake", &["a"]));
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let begun = sessions(&log);
    assert_eq!(begun.len(), 2);
    assert_ne!(begun[0].1, begun[1].1, "two processes");
    begun.iter().for_each(|it| is_gone(it.1));
}

/// Proves ACP-2: a stop takes the prompt back and leaves no process, within two seconds; also of one that does not
/// care.
#[test]
fn a_stop_cancels_the_prompt_and_leaves_no_process() {
    for (obeys, trap) in [(true, ""), (false, "trap '' INT TERM; ")] {
        let mut world = World::new();
        let log = world.aside("sessions", "");
        let heard = world.aside("cancelled", "");
        let door = Door::new(&world, "prompt");
        let cancel = if obeys {
            format!("echo yes >{heard}; id=2; {}", reply(r#"{"stopReason":"cancelled"}"#))
        } else {
            ":".to_owned()
        };
        let script = agent(&log, &format!("echo b >b.txt; {}", door.sh()), &cancel, "");
        program(&mut world, "fake-acp", &format!("{trap}{script}"));
        own_preset(&world, "fake", &format!("{PRESET}long_lived = true\n"));
        world.start();
        world.submit(&plan("fake", &["a"]));
        door.reached();
        door.open();
        let asked = Instant::now();
        world.taskd(&["stop", "p1.a"]).ok();
        let it = world.until_status("p1.a", OVER);
        assert!(asked.elapsed().as_millis() < 2_000, "{:?}", asked.elapsed());
        assert_eq!(it.status, Status::Stopped);
        is_gone(sessions(&log)[0].1);
        let heard = fs::read_to_string(heard).expect("it is there");
        assert_eq!(heard.trim(), if obeys { "yes" } else { "" });
        let work = it.checkpoint.expect("its work is kept");
        assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), "b");
    }
}

/// A question of the agent, and what it does with the answer.
fn asking() -> String {
    let ask = r#"{"jsonrpc":"2.0","id":"q1","method":"session/request_permission","params":{"sessionId":"s","toolCall":{"toolCallId":"c","title":"write b.txt","kind":"edit"},"options":[{"optionId":"no","name":"Never","kind":"reject_once"},{"optionId":"all","name":"Always","kind":"allow_always"},{"optionId":"yes","name":"This once","kind":"allow_once"}]}}"#;
    format!(
        "prompt=$id; echo '{ask}'\n    read -r line\n    case $line in\n    \
         *'\"id\":\"q1\"'*'\"optionId\":\"yes\"'*) echo once >b.txt;;\n    \
         *'\"id\":\"q1\"'*'\"optionId\":\"all\"'*) echo always >b.txt;;\n    \
         *'\"id\":\"q1\"'*'\"optionId\":\"no\"'*) echo never >b.txt;;\n    \
         *) echo \"$line\" >b.txt;;\n    esac\n    id=$prompt; {}",
        done()
    )
}

/// Proves ACP-3 IN-1 IN-2: a question of an agent waits for a person: it is listed, its answer is written down before the
/// agent has it, and the first answer counts.
#[test]
fn a_question_of_an_agent_waits_for_a_person() {
    let (mut world, _log) = world("permissions = \"ask\"\n", |log| agent(log, &asking(), ":", ""));
    world.env.insert("COLUMNS".to_owned(), "200".to_owned());
    // Nobody is silent who waits for a person.
    world.env.insert("TASKD_AGENT__IDLE".to_owned(), "1s".to_owned());
    world.start();
    world.submit(&plan("fake", &["a"]));
    let view = world.until("a question", |view| {
        view.loops.values().any(|it| it.open_questions().next().is_some())
    });
    let asked = view.loops.values().next().expect("one").open_questions().next().expect("asked");
    let (id, asked_at) = (asked.id.to_string(), asked.at);
    assert_eq!((asked.text.as_str(), asked.choices.len()), ("write b.txt", 3));
    let line = format!("may it write b.txt?  taskd answer {id} N: 1 Never, 2 Always, 3 This once");
    has(&world.taskd(&["ls"]).ok(), &["NEEDS YOU (1)", &line]);
    has(&world.taskd(&["show", "p1.a"]).ok(), &[&line]);
    let answers = format!("taskd answer i{id} N: 1 Never, 2 Always, 3 This once");
    has(&world.taskd(&["inbox"]).ok(), &["permission: may it write b.txt?", &answers]);
    has(&world.taskd(&["why", "p1.a"]).ok(), &[&format!("taskd answer {id}")]);
    has(&world.taskd(&["answer", &id, "4"]).fails(2), &["`4` is no answer", "3 This once"]);
    has(&world.taskd(&["answer", "1", "1"]).fails(1), &["question 1 is not open"]);
    assert!(world.row("p1.a").open_questions().next().is_some(), "nothing was answered");
    let now = world.view().at;
    assert!(asked_at <= now);
    has(&world.taskd(&["answer", &id, "this", "once"]).ok(), &["p1.a", "answered: This once"]);
    let late = world.taskd(&["answer", &id, "1"]).fails(1);
    has(&late, &["is not open", "answered already: This once, by user"]);
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let work = it.checkpoint.expect("its work");
    assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), "once");
    assert!(it.questions.is_empty());
    assert_eq!((runs(&world), iterations(&world)), (1, 1));
}

/// Proves ACP-3: without a person, what is asked is allowed for this once, or refused, as the preset says.
#[test]
fn a_preset_answers_for_everybody() {
    for (preset, wrote) in [("", "once"), ("permissions = \"deny\"\n", "never")] {
        let (mut world, _log) = world(preset, |log| agent(log, &asking(), ":", ""));
        world.start();
        world.submit(&plan("fake", &["a"]));
        let it = world.until_status("p1.a", OVER);
        assert_eq!(it.status, Status::Complete, "{}", world.transcript());
        let work = it.checkpoint.expect("its work");
        assert_eq!(world.git(&["show", &format!("{work}:b.txt")]), wrote);
    }
}

/// Proves ACP-4: a daemon that is killed in the middle of a prompt leaves no process, and its next life goes on with
/// the session it knew, as the loop type says. A question that was open is asked again under another number.
#[test]
fn a_killed_daemon_goes_on_with_the_session() {
    let mut world = World::new();
    let log = world.aside("sessions", "");
    let door = Door::new(&world, "prompt");
    let prompt = format!("echo c >>c.txt; {}\n{}", door.sh(), asking());
    program(&mut world, "fake-acp", &agent(&log, &prompt, ":", ""));
    own_preset(&world, "fake", &format!("{PRESET}long_lived = true\npermissions = \"ask\"\n"));
    world.write(".taskd/types/goes-on.yaml", "extends: ralph\nresume: true\n");
    world.start();
    world.submit(&plan("fake", &["a"]).replace("land: never", "land: never\ntype: goes-on"));
    let asks = |view: &taskd_model::View| {
        view.loops.values().any(|it| it.open_questions().next().is_some())
    };
    door.reached();
    door.open();
    world.until("a question", asks);
    let before = world.row("p1.a").questions[0].id;
    world.kill();
    world.start();
    door.reached();
    let begun = sessions(&log);
    assert_eq!(begun.len(), 2, "{begun:?}");
    is_gone(begun[0].1);
    assert_eq!((begun[1].0.as_str(), &begun[1].2), ("load", &begun[0].2));
    assert!(world.row("p1.a").questions.is_empty(), "nobody waits for the old answer");
    has(&world.taskd(&["answer", &before.to_string(), "1"]).fails(1), &["is not open"]);
    door.open();
    world.until("the question again", asks);
    let again = world.row("p1.a").questions[0].id;
    assert!(before < again);
    world.taskd(&["answer", &again.to_string(), "3"]).ok();
    let it = world.until_status("p1.a", OVER);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let work = it.checkpoint.expect("its work");
    assert_eq!(world.git(&["show", &format!("{work}:c.txt")]), "c\nc");
}

/// Proves ACP-1: a process that waits between two iterations ends with the daemon, however that ends;
/// one that died meanwhile is started again.
#[test]
fn a_process_that_waits_ends_with_the_daemon() {
    let mut world = World::new();
    let log = world.aside("sessions", "");
    let door = Door::new(&world, "prompt");
    let prompt = format!("echo x >>bad; {}; {}", door.sh(), done());
    program(&mut world, "fake-acp", &agent(&log, &prompt, ":", ""));
    own_preset(&world, "fake", &format!("{PRESET}long_lived = true\n"));
    world.start();
    world.submit(&plan("fake", &["a"]));
    for round in 0..3 {
        door.reached();
        world.taskd(&["pause", "p1.a"]).ok();
        door.open();
        world.until_status("p1.a", &[Status::Paused]);
        let begun = sessions(&log);
        assert_eq!(begun.len(), round + 1, "{begun:?}");
        let pid = begun[round].1;
        assert_eq!(kill(Pid::from_raw(pid), None), Ok(()), "it waits");
        match round {
            0 => world.stop(),
            1 => world.kill(),
            _ => kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it is ours"),
        }
        if round < 2 {
            world.start();
            is_gone(pid);
        }
        world.taskd(&["resume", "p1.a"]).ok();
    }
    door.reached();
    let pids: BTreeSet<i32> = sessions(&log).iter().map(|it| it.1).collect();
    assert_eq!(pids.len(), 4, "each was started again");
    door.open();
    world.taskd(&["stop", "p1.a"]).ok();
    world.until_status("p1.a", OVER);
}

/// What is known of such an agent, and a conformance run of it.
#[test]
fn an_agent_that_speaks_acp_is_shown_and_tested() {
    let write = format!("[ -e ~/.here ] && echo b >b.txt; {}", done());
    let fails = r#"echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32000,\"message\":\"log in\"}}""#;
    let prompt = format!("if [ -e ~/.here ]; then {write}; else {fails}; fi");
    let (mut world, _log) =
        world("long_lived = true\npermissions = \"ask\"\n", |log| agent(log, &prompt, ":", ""));
    world.aside("home/.here", "");
    let shown = world.taskd(&["agents", "show", "fake"]).ok();
    has(
        &shown,
        &[
            "prompt     acp",
            "process    one for all runs of a loop",
            "if it asks a person is asked",
            "resume     if it offers that",
        ],
    );
    let told = world.taskd(&["agents", "test", "fake"]).ok();
    has(
        &told,
        &[
            "| speaks ACP | yes | fake 1 |",
            "| works on a prompt | yes | end_turn after",
            "| does what it is asked | yes | b.txt is there |",
            "| reports usage | yes | 130 tokens read, 7 written |",
            "| goes on with a session | yes | end_turn",
            "| gone 2 s after a stop | yes |",
            "| no orphans after a stop | yes |",
            "| no login: fails | yes | it is not logged in: log in |",
        ],
    );
    // One that is of another kind altogether.
    program(&mut world, "fake-acp", "echo hello; exit 3\n");
    let ran = world.taskd(&["agents", "test", "fake"]);
    has(&ran.out, &["| speaks ACP | no | exit 3 after", "| does what it is asked | no |"]);
    assert_eq!(ran.code, 1);
}

/// One that wants a login is a question to a person at once.
#[test]
fn an_agent_that_wants_a_login_asks_a_person() {
    let fails = r#"echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32000,\"message\":\"log in first\"}}""#;
    let (mut world, _log) = world("", |log| agent(log, fails, ":", ""));
    world.env.insert("COLUMNS".to_owned(), "200".to_owned());
    world.start();
    world.submit(&plan("fake", &["a"]));
    assert_eq!(world.until_status("p1.a", OVER).status, Status::Blocked);
    let told: Vec<Code> = failures(&world).into_iter().map(|it| it.0).collect();
    assert_eq!(told, [Code::AgentNotAccepted]);
    has(&world.taskd(&["show", "p1.a"]).ok(), &["log in first"]);
}
