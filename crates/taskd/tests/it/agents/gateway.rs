//! Agents whose calls go through the daemon, with the real daemon and a provider on loopback. The
//! agent is a script that speaks HTTP by hand, so that every byte is seen.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use taskd_model::{Depth, Event, Observation, Outcome, Reason, Record, Status, Usage, Work};

use super::{has, plan, program};
use crate::{
    provider::{Answer, Gate, Provider, Seen, Step, header},
    support::{World, bash, files_that_say},
};

const KEY: &str = "sk-ant-the-real-one";

/// What a call asks: a reply of at most `$max` tokens of a model that costs a dollar a million tokens
/// read, and five a million written.
const CALL: &str = r#"
call() { # file for the answer, longest reply
  body='{"model":"claude-haiku-4-5","max_tokens":'$2',"messages":[]}'
  place=${ANTHROPIC_BASE_URL#http://}
  exec 3<>/dev/tcp/${place%:*}/${place#*:} || return 1
  printf 'POST /v1/messages?beta=true HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\nx-mine: yes\r\nconnection: close\r\ncontent-length: %s\r\n\r\n%s' \
    "$ANTHROPIC_API_KEY" "${#body}" "$body" >&3
  cat <&3 >"$1"
  exec 3>&-
}
"#;

/// A world whose `claude` is a script, with a key that pays and a provider.
fn world(provider: &Provider, script: &str) -> World {
    let mut world = World::new();
    let aside = world.dir.path().display().to_string();
    let script = format!("{CALL}\naside={aside}\ncat >/dev/null\n{script}\n");
    let script = world.aside("agent.bash", &script);
    program(&mut world, "claude", &format!("exec bash {script}\n"));
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
    world
}

fn hello() -> Answer {
    Answer::Stream(vec![Step::Text("Hello".to_owned())])
}

fn said(world: &World, name: &str) -> String {
    fs::read_to_string(world.dir.path().join(name)).unwrap_or_default()
}

/// Starts of calls that were passed on.
fn passed_on(events: &[Record]) -> usize {
    let is_one =
        |it: &&Record| matches!(it.event, Event::EffectStarted { work: Work::Relay(_), .. });
    events.iter().filter(is_one).count()
}

/// Waits until so many events are such ones.
#[track_caller]
fn until_there_are(world: &World, n: usize, what: &str, is_one: impl Fn(&Event) -> bool) {
    let seen = RefCell::new(BTreeSet::new());
    world.until_event(what, |it| {
        let mut seen = seen.borrow_mut();
        is_one(&it.event) && seen.insert(it.seq) && seen.len() == n
    });
}

/// Proves W-2: a call of an agent is admitted like a loop's: with one slot, the second agent's waits
/// for the end of the first one's, `why` and `queue` say so, and how deep it is counted is told.
#[test]
fn the_calls_of_two_agents_share_one_slot() {
    let gate = Gate::default();
    let shut = gate.clone();
    let provider = Provider::new(move |seen| match seen.n {
        0 => Answer::Stream(vec![Step::Until(shut.clone()), Step::Text("Hello".to_owned())]),
        _ => hello(),
    });
    let mut world = world(&provider, "call $aside/$TASKD_LOOP 100; echo b >b.txt");
    world.env.insert("TASKD_LIMITS__CALLS".to_owned(), "1".to_owned());
    world.env.insert("COLUMNS".to_owned(), "200".to_owned());
    world.start();
    world.submit(&plan("claude", &["a", "b"]));
    provider.until("the first call", |seen| seen.len() == 1);
    until_there_are(&world, 2, "both calls", |it| {
        matches!(it, Event::EffectObserved { fact: Observation::CallWanted(_), .. })
    });
    assert_eq!((passed_on(&world.events()), provider.seen().len()), (1, 1));
    let why: Vec<String> = ["p1.a", "p1.b"].map(|it| world.taskd(&["why", it]).ok()).into();
    let of_slot = "a call slot of anthropic/claude-haiku-4-5: 1 of 1 in use";
    assert_eq!(why.iter().filter(|it| it.contains(of_slot)).count(), 1, "{why:?}");
    let of_agent = "its agent, which runs: call 1 of this run";
    assert!(why.iter().any(|it| it.contains(of_agent)), "{why:?}");
    has(&world.taskd(&["queue"]).ok(), &["anthropic/claude-haiku-4-5"]);
    has(&world.taskd(&["ls"]).ok(), &["2 of 4 agents running: claude by call"]);
    gate.open();
    for name in ["p1.a", "p1.b"] {
        world.until_status(name, &[Status::Complete]);
        assert!(said(&world, name).starts_with("HTTP/1.1 200"), "{}", said(&world, name));
    }
    let seen = provider.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].answered.unwrap() <= seen[1].at, "two at once");
    has(&world.taskd(&["costs"]).ok(), &["counted: claude by call"]);
    has(&world.taskd(&["agents", "show", "claude"]).ok(), &["counted    by call\n"]);
}

/// Proves W-2: a refusal holds the calls of every agent until its time, and no agent hears of it.
#[test]
fn no_agent_hears_of_a_refusal() {
    let provider = Provider::new(|seen| match seen.n {
        0 => Answer::Plain(429, header("retry-after", "2"), "{\"error\":1}".to_owned()),
        _ => hello(),
    });
    let script = "for n in 1 2; do call $aside/$TASKD_LOOP.$n 100; done; echo b >b.txt";
    let mut world = world(&provider, script);
    // No second call is on its way when the first is refused.
    world.env.insert("TASKD_LIMITS__CALLS".to_owned(), "1".to_owned());
    world.start();
    world.submit(&plan("claude", &["a", "b"]));
    for name in ["p1.a", "p1.b"] {
        world.until_status(name, &[Status::Complete]);
        for n in [1, 2] {
            let answer = said(&world, &format!("{name}.{n}"));
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Hello"), "{answer}");
        }
    }
    let seen = provider.seen();
    assert_eq!(seen.iter().filter(|it| it.status == Some(429)).count(), 1);
    let refused = seen[0].answered.expect("it was answered");
    let early = |it: &&Seen| {
        let after = it.at.saturating_duration_since(refused);
        it.at > refused && after < Duration::from_secs(2)
    };
    let early: Vec<Instant> = seen.iter().filter(early).map(|it| it.at).collect();
    assert!(early.is_empty(), "{early:?}: refused at {refused:?}\n{}", world.transcript());
    assert_eq!(seen.len(), 5, "four calls, one of them twice");
}

/// Proves W-2: the provider gets the key and nobody else does; the agent's token opens nothing but its
/// own run, and only the paths of calls.
#[test]
fn the_key_goes_to_the_provider_alone() {
    let provider = Provider::new(|_| hello());
    let script = r#"
env >$aside/env
call $aside/good 100
token=$ANTHROPIC_API_KEY
ANTHROPIC_API_KEY=taskd-0 call $aside/bad 100
place=${ANTHROPIC_BASE_URL#http://}
exec 3<>/dev/tcp/${place%:*}/${place#*:}
printf 'POST /v1/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n' $token >&3
cat <&3 >$aside/elsewhere
echo b >b.txt
"#;
    let mut world = world(&provider, script);
    world.start();
    world.submit(&plan("claude", &["a"]));
    world.until_status("p1.a", &[Status::Complete]);
    let env = said(&world, "env");
    assert!(!env.contains(KEY), "{env}");
    has(&env, &["ANTHROPIC_BASE_URL=http://127.0.0.1:"]);
    let token = env.lines().find_map(|it| it.strip_prefix("ANTHROPIC_API_KEY=")).expect("a token");
    assert!(said(&world, "good").starts_with("HTTP/1.1 200"));
    let refused = said(&world, "bad");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    has(&refused, &["\"authentication_error\"", "taskd knows no run with this token"]);
    assert!(said(&world, "elsewhere").starts_with("HTTP/1.1 404"), "{}", said(&world, "elsewhere"));
    let seen = provider.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].header("x-api-key"), seen[0].header("x-mine")), (Some(KEY), Some("yes")));
    assert_eq!(seen[0].path(), "/v1/messages?beta=true");
    assert!(!seen[0].head.contains(token));
    for secret in [KEY, token] {
        let found = files_that_say(&world.state(), secret);
        assert!(found.is_empty(), "{secret} is in {found:?}");
        assert!(!said(&world, "daemon.log").contains(secret), "in the daemon's log");
    }
    // The run is over, and so is its token.
    let place = env.lines().find_map(|it| it.strip_prefix("ANTHROPIC_BASE_URL=")).expect("a URL");
    let script = format!(
        "{CALL}\nANTHROPIC_BASE_URL={place} ANTHROPIC_API_KEY={token} call {}/late 100",
        world.dir.path().display()
    );
    let script = world.aside("late.bash", &script);
    bash(&script);
    assert!(said(&world, "late").starts_with("HTTP/1.1 401"), "{}", said(&world, "late"));
}

/// Proves W-2: what an agent used is what the provider said of each call, whatever the agent says, and also
/// when it is ended in the middle.
#[test]
fn what_is_booked_is_what_the_provider_said() {
    let provider = Provider::with([1_000, 200, 500, 0], None, |_| hello());
    let script = r#"
call $aside/1 100; call $aside/2 100
echo '{"type":"result","subtype":"success","is_error":false,"result":"ok","total_cost_usd":9.5,"usage":{"input_tokens":7,"output_tokens":7}}'
[ $TASKD_LOOP = p1.a ] || { echo >$aside/there; read never; sleep 60; }
echo b >b.txt
"#;
    // A program that has said its last word is ended; this one has not.
    let script = script.replace("echo '{", "[ $TASKD_LOOP = p1.a ] && echo '{");
    let mut world = world(&provider, &script);
    world.start();
    world.submit(&plan("claude", &["a", "b"]));
    let done = world.until_status("p1.a", &[Status::Complete]);
    until_there_are(&world, 4, "four answers", |it| {
        matches!(it, Event::EffectEnded { outcome: Outcome::Relayed { .. }, .. })
    });
    world.taskd(&["stop", "p1.b"]).ok();
    let stopped = world.until_status("p1.b", &[Status::Stopped]);
    for it in [done, stopped] {
        let Usage { input, output, cache_read, micros, unpriced, estimated, .. } = it.spent;
        assert_eq!((input, output, cache_read), (2_000, 400, 1_000), "{}", it.name);
        // A dollar a million tokens read, five written, ten cents from a cache.
        assert_eq!((micros, unpriced, estimated), (2 * (1_000 + 1_000 + 50), 0, 0));
        assert_eq!((it.counted, it.uncounted), (Some(Depth::ByCall), false));
    }
    let by_model = world.taskd(&["costs", "--by", "model"]).ok();
    has(&by_model, &["anthropic/claude-haiku-4-5"]);
}

/// Proves W-2: the calls of one run, also several at once, draw on one budget; a plan that does not
/// pay for the next one ends the run in its middle and asks, and with more money it goes on.
#[test]
fn a_budget_ends_a_run_in_its_middle() {
    let provider = Provider::new(|_| hello());
    // Each call costs $0.002 and may cost $0.005: the third one is too much for $0.0075. The first two
    // are made side by side.
    let script = r#"
n=$(cat $aside/n 2>/dev/null || echo 0); n=$((n + 1)); echo $n >$aside/n
call $aside/$n.1 1000 & call $aside/$n.2 500; wait
call $aside/$n.3 1000
[ $n = 2 ] && echo b >b.txt
"#;
    let mut world = world(&provider, script);
    world.start();
    let text =
        plan("claude", &["a"]).replace("land: never", "land: never\nlimits: {budget: $0.009}");
    world.submit(&text);
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Complete, Status::Failed]);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    assert!(matches!(it.reason, Some(Reason::Limit(_))), "{:?}", it.reason);
    assert_eq!(provider.seen().len(), 2, "{}", world.transcript());
    assert_eq!(it.spent.micros, 4_000);
    let answer = said(&world, "1.3");
    assert!(!answer.contains("200 OK"), "{answer}");
    world.taskd(&["budget", "set", "p1", "$1"]).ok();
    world.taskd(&["budget", "set", "p1.a", "$1"]).ok();
    if world.row("p1.a").status == Status::Blocked {
        world.taskd(&["resume", "p1.a"]).ok();
    }
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    assert_eq!((it.status, it.spent.micros), (Status::Complete, 10_000), "{}", world.transcript());
    assert_eq!(it.iteration, 1, "the budget cost no iteration");
}

/// Proves W-2: the answer comes through byte for byte, whatever it is, and errors do too.
#[test]
fn an_answer_comes_through_byte_for_byte() {
    let strange = "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":\
        {\"input_tokens\":3,\"output_tokens\":1}}}\n\n: \u{1F600} \u{0}\u{7f}\n\ndata: ";
    let strange = format!("{strange}{}\n", "é\"usage\":".repeat(40_000));
    let sent = strange.clone();
    let overloaded =
        "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}";
    let provider = Provider::new(move |seen| match seen.n {
        0 => Answer::Plain(200, header("content-type", "text/event-stream"), sent.clone()),
        _ => Answer::Plain(529, header("x-theirs", "kept"), overloaded.to_owned()),
    });
    let mut world = world(&provider, "call $aside/1 100; call $aside/2 100; echo b >b.txt");
    world.start();
    world.submit(&plan("claude", &["a"]));
    let it = world.until_status("p1.a", &[Status::Complete]);
    let answer = said(&world, "1");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    has(head, &["HTTP/1.1 200", "content-type: text/event-stream"]);
    assert!(body == strange, "{} bytes of {}", body.len(), strange.len());
    let failed = said(&world, "2");
    has(&failed, &["HTTP/1.1 529", "x-theirs: kept"]);
    assert!(failed.ends_with(overloaded), "{failed}");
    assert_eq!(it.spent.input, 3);
}

/// Proves W-2: with a login of its own, or an address its preset sets itself, an agent is counted by what
/// it reports; both is told, and it gets neither our address nor a token.
#[test]
fn without_a_key_an_agent_is_counted_by_its_report() {
    let provider = Provider::new(|_| hello());
    let mut world = world(&provider, "env >$aside/env; echo b >b.txt");
    world.env.remove("ANTHROPIC_API_KEY");
    world.env.insert("COLUMNS".to_owned(), "200".to_owned());
    world.start();
    world.submit(&plan("claude", &["a"]));
    let it = world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(it.counted, Some(Depth::ByReport));
    assert!(!said(&world, "env").contains("ANTHROPIC_"), "{}", said(&world, "env"));
    let shown = world.taskd(&["agents", "show", "claude"]).ok();
    let why = "by report: time, tokens and money it reports; its own login is not ours to pass on; by call needs \
               ANTHROPIC_API_KEY";
    has(&shown, &[why]);
    has(&world.taskd(&["costs"]).ok(), &["counted: claude by report"]);
    world.submit(&plan("'cat >/dev/null; echo b >b.txt'", &["x"]));
    let it = world.until_status("p2.x", &[Status::Complete]);
    assert_eq!(it.counted, Some(Depth::ByTime));
}

/// Proves W-2: killed while a call of an agent is answered, the daemon keeps what that had cost; the run
/// waits for its key, which was in memory only, and is begun again by call.
#[test]
fn a_call_is_lost_with_its_daemon_and_what_it_cost_is_not() {
    let provider = Provider::new(|seen| match seen.n {
        0 => Answer::Stream(vec![Step::Text("Hello".to_owned()), Step::Hang]),
        _ => hello(),
    });
    let mut world = world(&provider, "call $aside/1 100; echo b >b.txt");
    world.start();
    world.submit(&plan("claude", &["a"]));
    world.until_event("what it has cost", |it| {
        matches!(it.event, Event::EffectObserved { fact: Observation::UsageSoFar(_), .. })
    });
    world.kill();
    world.start();
    let it = world.until_status("p1.a", &[Status::Blocked]);
    assert_eq!((it.spent.input, it.spent.output), (1_000, 1), "{}", world.transcript());
    world.taskd(&["resume", "p1.a"]).ok();
    let it = world.until_status("p1.a", &[Status::Complete]);
    assert_eq!((it.spent.input, it.spent.output), (2_000, 201), "{}", world.transcript());
    assert_eq!((provider.seen().len(), it.iteration), (2, 1));
    assert_eq!(it.counted, Some(Depth::ByCall));
}
