//! What a browser is told, and what it does to the daemon.

use serde_json::json;
use taskd_model::{Actor, Event, Status, Via};

use super::{Served, Stream, asking};
use crate::{
    inbox::until_asked,
    support::{Door, World},
    tui::plan,
};

/// Proves WEB-4, P-27: what waits is told with its answers; an act reaches the daemon once, however often
/// it is sent, and is known to come from the page; what cannot be done is refused with the next
/// command, and changes nothing.
#[test]
fn an_act_of_the_page_is_done_once() {
    let world = asking("echo roses > poem.txt");
    let served = Served::open(&world);
    let mut stream = Stream::new(&served, "p1.poem");
    let (_, first) = stream.next(&["picture"]);
    let set = first["set"].as_object().expect("rows");
    let item = set.iter().find(|(key, _)| key.starts_with("item/")).expect("it waits").1;
    assert_eq!((&item["kind"], &item["loop"]), (&"landing".into(), &"p1.poem".into()), "{item}");
    assert_eq!(set["loop/p1.poem"]["group"], "needs_you");
    assert_eq!(set["plan/p1"]["specs"], 1);
    let id = item["id"].as_str().expect("a name");
    let before = world.events().len();
    for (act, status, part) in [
        (json!({ "verb": "forget", "id": "p1", "key": "k" }), 400, "nothing a page can do"),
        (json!({ "verb": "land", "id": "", "key": "k" }), 400, "names one thing"),
        (json!({ "verb": "land", "id": "p1", "key": "" }), 400, "has a key"),
        (json!({ "verb": "land", "id": "p9", "key": "k1" }), 404, "p9"),
        (json!({ "verb": "land", "id": "p1", "key": "k2", "force": true }), 400, "force"),
        (
            json!({ "verb": "steer", "id": "p1", "key": "k3", "text": "x".repeat(70_000) }),
            400,
            "64 KB",
        ),
    ] {
        let said = served.post("/act", &act).refusal(status);
        assert!(said.contains(part), "{act}: {said}");
    }
    assert_eq!(world.events().len(), before, "{}", world.transcript());
    let tell = json!({ "verb": "steer", "id": "p1.poem", "text": "four lines", "key": "once" });
    for _ in 0..2 {
        assert_eq!(served.post("/act", &tell).json()["results"][0]["done"], true);
    }
    let (_, told) = stream.next(&["told"]);
    assert!(told["text"].as_str().expect("text").contains("note taken"), "{told}");
    let notes = |it: &&taskd_model::Record| matches!(it.event, Event::NoteAdded { .. });
    assert_eq!(world.events().iter().filter(notes).count(), 1);
    served.post("/act", &json!({ "verb": "land", "id": id, "key": "yes" })).json();
    stream.until("loop/p1.poem", |it| it["status"] == "complete");
    let log = world.events();
    let approved = log.iter().find(|it| matches!(it.event, Event::Approved)).expect("approved");
    let uid = nix::unistd::geteuid().as_raw();
    assert_eq!(approved.actor, Actor::Person { uid, via: Some(Via::Page) });
    let late = served.post("/act", &json!({ "verb": "land", "id": id, "key": "late" }));
    assert!(late.status == 400 || late.json()["results"][0]["error"].is_object(), "{late:?}");
}

/// Proves WEB-5: what is shown of a loop and a plan is what the commands print: its state, work, log,
/// events, cause, needs and iterations, the costs and the queues; what there is not is named.
#[test]
fn what_is_asked_is_what_the_commands_say() {
    let world = asking("echo I wrote it; echo roses > poem.txt");
    let served = Served::open(&world);
    for (question, args) in [
        (json!({ "what": "show", "id": "p1.poem" }), &["show", "p1.poem"][..]),
        (json!({ "what": "show", "id": "p1" }), &["show", "p1"]),
        (json!({ "what": "why", "id": "p1.poem" }), &["why", "p1.poem"]),
        (json!({ "what": "diff", "id": "p1.poem" }), &["diff", "p1.poem"]),
        (json!({ "what": "queue" }), &["queue"]),
        (json!({ "what": "costs", "by": "loop" }), &["costs", "--by", "loop"]),
    ] {
        let printed = world.taskd(&[args, &["--json"]].concat()).ok();
        let printed: serde_json::Value = serde_json::from_str(&printed).expect("one object");
        assert_eq!(served.ask(&question), printed, "{args:?}");
    }
    let log = served.ask(&json!({ "what": "log", "id": "p1.poem", "kind": "agent" }));
    let said = log["texts"][0]["lines"].as_array().expect("lines");
    assert!(said.contains(&"I wrote it".into()), "{log}");
    let events = served.ask(&json!({ "what": "events", "id": "p1.poem", "from": 1 }));
    let id = world.row("p1.poem").id;
    let ours: Vec<u64> =
        world.events().iter().filter(|it| it.loop_id == Some(id)).map(|it| it.seq.0).collect();
    let told: Vec<u64> = events["events"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|it| it["seq"].as_u64())
        .collect();
    assert!(ours.iter().all(|it| told.contains(it)), "{ours:?} {told:?}");
    let from = ours[1];
    let rest = served.ask(&json!({ "what": "events", "id": "p1.poem", "from": from }));
    assert_eq!(rest["events"][0]["seq"], from);
    served.post("/ask", &json!({ "what": "show", "id": "p9" })).refusal(404);
    served.post("/ask", &json!({ "what": "nothing" })).refusal(400);
}

/// Proves WEB-6: while the daemon is gone the page says so and keeps what was known; it goes on by
/// itself with the next one, and an answer given then counts.
#[test]
fn a_daemon_that_was_killed_is_waited_for() {
    let mut world = asking("echo roses > poem.txt");
    let item = until_asked(&world, "p1.poem");
    let served = Served::open(&world);
    let mut stream = Stream::new(&served, "");
    stream.until("loop/p1.poem", |_| true);
    world.kill();
    stream.until("lost", |it| it["why"].is_string());
    let refused = served.post("/act", &json!({ "verb": "land", "id": item, "key": "k" }));
    assert!(refused.refusal(503).contains("no taskd daemon answers"));
    world.start();
    stream.until("lost", serde_json::Value::is_null);
    served.post("/act", &json!({ "verb": "land", "id": item, "key": "k" })).json();
    stream.until("loop/p1.poem", |it| it["status"] == "complete");
    world.until_status("p1.poem", &[Status::Complete]);
}

/// Proves WEB-7: a line of ten megabytes is cut in what is shown, with how much is missing; the log
/// as a file has all that is kept.
#[test]
fn a_line_of_ten_megabytes_is_cut() {
    let mut world = World::new();
    world.start();
    let door = Door::new(&world, "agent");
    let script = format!(
        "head -c 10000000 /dev/zero | tr '\\0' x\necho\necho short\necho roses > poem.txt\n{}",
        door.sh()
    );
    world.submit(&plan(&world, &script, "ask"));
    door.reached();
    let served = Served::open(&world);
    door.open();
    world
        .until("it asks to land", |view| view.loops.values().any(|it| it.approval_asked.is_some()));
    let question = json!({ "what": "log", "id": "p1.poem", "kind": "agent" });
    let answer = served.post("/ask", &question);
    assert!(answer.body.len() < 100_000, "{} bytes", answer.body.len());
    let text = answer.json()["texts"].to_string();
    assert!(text.contains("bytes more)") && text.contains("short"), "{text}");
    let whole = served.post("/log", &json!({ "id": "p1.poem", "kind": "agent" }));
    let kept = world.taskd(&["logs", "p1.poem", "--agent"]).ok();
    assert_eq!(whole.body, kept);
}
