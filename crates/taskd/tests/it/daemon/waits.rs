//! What the scheduler does, as people and scrapers see it.

use taskd_model::{Doing, Event, Outcome};

use super::{
    serving::{get, http, metric},
    *,
};

/// Proves W-7: a refusal holds every loop of its model, and each of them is told why: by whom, until
/// when, and which event says so. It is counted once, also after a restart.
#[test]
fn a_refusal_is_told_with_its_event() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__CALLS".to_owned(), "1".to_owned());
    // Whichever calls first is refused, and the other waits because of it.
    let script = "default: {say: x, fail: [{status: 429, retry_after_ms: 300000}]}\n";
    let model = format!("scripted:{}", world.aside("script.yaml", script));
    world.start_served();
    world.submit(&format!(
        "---\nplan: Waits\nmodel: {model}\ngate: 'true'\nland: never\n---\n\
         ## spec s1: One\n\n## spec s2: Two\n"
    ));
    let refused = world.until_event("a refusal", |it| {
        let Event::EffectEnded { outcome, .. } = &it.event else { return false };
        matches!(outcome, Outcome::Failed { .. })
    });
    let view = world.until("the other to wait", |view| {
        view.loops.values().any(|it| it.doing == Doing::QueuedForModel)
    });
    let waits = |it: &&taskd_model::LoopView| it.doing == Doing::QueuedForModel;
    let waiter = view.loops.values().find(waits).expect("just seen").name.clone();
    let event = format!("event {}", refused.seq.0);
    for name in ["p1.s1", "p1.s2"] {
        let why = world.taskd(&["why", name]).ok();
        // However long the model's name is, and where its line is broken.
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["which refused a call, until ", "evidence it refused a call at ", &event] {
            assert!(why.contains(part), "{part:?} is missing:\n{why}");
        }
        assert!(why.contains("not the cause: needs, budget ("), "{why}");
        assert!(why.contains("call slots (0 of 1 in use)"), "{why}");
    }
    let queue = world.taskd(&["queue"]).ok();
    for part in ["refused until ", &event, &waiter, "0 of 1", "requests ", "no landing queue"] {
        assert!(queue.contains(part), "{part:?} is missing:\n{queue}");
    }
    let json = world.taskd(&["queue", "--json"]).ok();
    let value: Value = serde_json::from_str(&json).expect("an object");
    let bucket = &value["buckets"][0];
    assert_eq!((&bucket["state"], &bucket["seq"]), (&"refused".into(), &refused.seq.0.into()));
    assert_eq!((&bucket["waiting"], &bucket["next"][0]["name"]), (&1.into(), &waiter.into()));
    let status = world.taskd(&["daemon", "status"]).ok();
    assert!(status.contains(&format!("{model}, no key needed")), "{status}");

    let row = |name: &str| format!("taskd_calls_{name}{{bucket=\"{model}\"}}");
    for _ in 0..2 {
        let (code, text) = get(&http(&world), "/metrics");
        assert_eq!(code, 200);
        assert_eq!(metric(&text, &row("refused_total")), 1);
        assert_eq!(metric(&text, &row("admitted_total")), 1);
        assert_eq!(metric(&text, &row("in_flight")), 0);
        world.kill();
        world.start_served();
    }
}
