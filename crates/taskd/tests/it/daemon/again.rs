//! Calls that are made again because nobody knows whether they were heard.

use taskd_api::{ApiError, IDEMPOTENCY_HEADER, v1};
use taskd_model::Event;
use tonic::Request;

use super::{held, serving::channel};
use crate::{
    landing::{agent, plan, until_landed, until_ready},
    support::{Door, World},
};

fn steer(text: &str, key: Option<&str>) -> Request<v1::ActRequest> {
    let mut request = Request::new(v1::ActRequest {
        verb: v1::Verb::Note.into(),
        ids: vec!["p1".to_owned()],
        text: text.to_owned(),
        ..v1::ActRequest::default()
    });
    if let Some(key) = key {
        request.metadata_mut().insert(IDEMPOTENCY_HEADER, key.parse().expect("ASCII"));
    }
    request
}

/// A loop at work, held; and its plan.
fn at_work() -> (World, Door, String) {
    let mut world = World::new();
    let door = Door::new(&world, "a");
    let text = held(&world, &door);
    world.start();
    world.submit(&text);
    door.reached();
    (world, door, text)
}

/// How often a loop was told something.
fn notes(world: &World) -> usize {
    let is_note = |it: &&taskd_model::Record| matches!(it.event, Event::NoteAdded { .. });
    world.events().iter().filter(is_note).count()
}

/// Proves API-4: under one key a loop is told once, whoever asks at the same time; without one each
/// time.
#[test]
fn what_is_asked_again_under_its_key_is_done_once() {
    let (world, door, text) = at_work();
    let told = || notes(&world);
    let client = v1::taskd_client::TaskdClient::new(channel(&world));
    let ask = |text: &'static str, key: Option<&'static str>| {
        let mut client = client.clone();
        async move {
            let answer = client.act(steer(text, key)).await.map_err(ApiError::from);
            answer.map(tonic::Response::into_inner)
        }
    };
    let both = async { tokio::join!(ask("hurry", Some("k1")), ask("hurry", Some("k1"))) };
    let (one, other) = world.runtime.block_on(both);
    let one = one.expect("it is told");
    assert_eq!(one, other.expect("and answered the same"));
    assert_eq!(world.runtime.block_on(ask("hurry", Some("k1"))).expect("again"), one);
    assert_eq!(told(), 1);
    let refused = world.runtime.block_on(ask("stop that", Some("k1"))).expect_err("another");
    assert_eq!(refused.code, "refused", "{refused}");
    let long = "k".repeat(300).leak();
    assert_eq!(world.runtime.block_on(ask("x", Some(long))).expect_err("long").code, "invalid");
    assert_eq!(told(), 1);
    world.runtime.block_on(ask("hurry", Some("k2"))).expect("a new key");
    world.runtime.block_on(ask("hurry", None)).expect("no key");
    assert_eq!(told(), 3);
    // What failed is not an answer: it may be asked again.
    let ask_of = |id: &str| {
        let mut request = steer("hurry", Some("k3"));
        request.get_mut().ids = vec![id.to_owned()];
        request
    };
    let fails = world.runtime.block_on(client.clone().act(ask_of("p2")));
    assert!(fails.is_err());
    world.submit(&text.replace("Do a.", "Do a again."));
    world.runtime.block_on(client.clone().act(ask_of("p2"))).expect("it is there now");
    assert_eq!(told(), 4);
    door.open();
    door.open();
}

/// Proves API-5: what is asked for a state that was seen is done only as long as nothing has happened to
/// the loop since, of two who saw the same the first counts, and what cannot be held to that is refused.
#[test]
fn what_has_changed_since_it_was_seen_is_not_done() {
    let mut world = World::new();
    world.start();
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    let head = format!("agent: {run}\nland: ask");
    for (spec, name) in [("a", "p1.a"), ("b", "p2.b")] {
        world.submit(&plan(&head, &[(spec, "")]));
        until_ready(&world, name);
    }
    let client = world.client();
    let act = |verb: v1::Verb, ids: &[&str], since: u64| {
        world.runtime.block_on(client.act(v1::ActRequest {
            verb: verb.into(),
            ids: ids.iter().map(|it| (*it).to_owned()).collect(),
            text: "too long".to_owned(),
            unchanged_since: Some(since),
            ..v1::ActRequest::default()
        }))
    };
    let seen = world.view().seq.0;
    act(v1::Verb::Reject, &["p1.a"], seen).expect("nothing has happened since");
    let refused = act(v1::Verb::Land, &["p1.a"], seen).expect_err("somebody was first");
    assert_eq!(refused.code, "changed", "{refused}");
    assert!(refused.message.starts_with("p1.a has changed: its last event is "), "{refused}");
    let both = act(v1::Verb::Land, &["p2.b", "p1.a"], seen).expect_err("one of them has changed");
    assert_eq!(both.code, "changed", "{both}");
    assert_eq!(world.row("p2.b").landed, None, "all of them or none");
    act(v1::Verb::Land, &["p2.b"], seen).expect("this one has not");
    until_landed(&world, "p2.b");
    let all = v1::ActRequest {
        verb: v1::Verb::Stop.into(),
        all: true,
        unchanged_since: Some(seen),
        ..v1::ActRequest::default()
    };
    let refused = world.runtime.block_on(client.act(all)).expect_err("of no loop in particular");
    assert_eq!(refused.code, "invalid", "{refused}");
}

/// Proves S-5.1.3: a command that changes something is done once under its `--idempotency-key`, a task
/// too; another one under the same key is refused.
#[test]
fn a_command_is_done_once_under_its_key() {
    let (world, door, _) = at_work();
    let told = || notes(&world);
    let steer =
        |text: &str, key: &str| world.taskd(&["--idempotency-key", key, "steer", "p1", text]);
    assert_eq!(steer("hurry", "k1").ok(), steer("hurry", "k1").ok());
    assert_eq!(told(), 1);
    steer("stop that", "k1").fails(1);
    steer("hurry", "k2").ok();
    assert_eq!(told(), 2);
    let run = || {
        let args =
            ["run", "a task", "--agent", "true", "--no-gate", "-q", "--idempotency-key", "r1"];
        world.taskd(&args).ok()
    };
    assert_eq!((run(), run()), ("p2\n".to_owned(), "p2\n".to_owned()));
    assert_eq!(world.view().plans.len(), 2);
    let same = ["plan", "submit", "-q", "--idempotency-key", "k3"];
    let file =
        world.aside("other.md", "---\nplan: O\nagent: 'true'\ngate: 'true'\n---\n\n## spec a: A\n");
    let other = world
        .aside("other2.md", "---\nplan: P\nagent: 'true'\ngate: 'true'\n---\n\n## spec a: A\n");
    for file in [&file, &other] {
        assert_eq!(world.taskd(&[&same[..], &[file.as_str()]].concat()).ok(), "p3\n");
    }
    door.open();
}
