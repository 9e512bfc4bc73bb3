//! A story that is taken elsewhere: nothing of it is missing there.

use serde_json::Value;
use taskd_model::{Record, View};

use crate::{
    landing::{agent, plan, prompt, until_landed},
    support::World,
};

/// Proves S-3.1.2: what is exported as lines holds each event of a plan as it is stored, which folded
/// again give the same plan and loops, and after it every text it tells of: what the agent was sent,
/// byte for byte, what it said, what the gate printed. As Markdown it is told in order, with the
/// same texts, in fences that nothing in them closes.
#[test]
fn a_story_is_whole_wherever_it_is_taken() {
    let mut world = World::new();
    world.start();
    let body = "echo 'said ```once``` in fences'\n\
                if [ $TASKD_ITERATION = 1 ]; then touch bad; else rm -f bad; fi\n\
                echo x > $TASKD_LOOP.txt";
    let run = agent(&world, "agent.sh", body);
    let head = format!("agent: {run}\nland: on-gate");
    world.submit(&plan(&head, &[("one", ""), ("two", "needs: one")]));
    until_landed(&world, "p1.two");
    let seen = world.until("its end", |it| it.plans.values().any(|it| it.ended_at.is_some()));

    let lines = world.taskd(&["export", "p1", "--format", "jsonl"]).ok();
    let lines: Vec<Value> =
        lines.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
    let (events, texts): (Vec<&Value>, Vec<&Value>) =
        lines.iter().partition(|it| it["kind"].is_string());
    let mut view = View::default();
    for it in &events {
        view.apply(&Record::decode(&it.to_string()).expect("an event"));
    }
    assert_eq!((&view.plans, &view.loops), (&seen.plans, &seen.loops));
    let of = |name: &str, heading: &str, sent: bool| -> Vec<&str> {
        let is_it = |it: &&&Value| {
            it["loop"] == *name
                && it["sent"] == sent
                && it["heading"].as_str().is_some_and(|it| it.contains(heading))
        };
        texts.iter().filter(is_it).filter_map(|it| it["text"].as_str()).collect()
    };
    let sent = of("p1.one", "to its agent", true);
    assert_eq!(sent, [prompt(&world, "p1.one", 1), prompt(&world, "p1.one", 2)]);
    assert!(of("p1.one", "iteration 1, gate", false)[0].contains("not ok 1 - bad"), "{texts:?}");
    assert!(of("p1.two", "iteration 1, agent", false)[0].contains("said ```once``` in fences"));
    let ended = |n: &Value| {
        lines.iter().position(|it| it["kind"] == "effect_ended" && it["data"]["effect"] == *n)
    };
    for (at, it) in lines.iter().enumerate().filter(|(_, it)| it["kind"].is_null()) {
        assert!(ended(&it["effect"]).is_some_and(|end| end < at), "{it}");
    }

    let text = world.taskd(&["export", "p1.one"]).ok();
    let place =
        |words: &str| text.find(words).unwrap_or_else(|| panic!("{words:?} is missing:\n{text}"));
    let order = [
        "# p1.one Work on one",
        "## Task",
        "Do one.",
        "iteration 1/",
        "not ok 1 - bad",
        "iteration 2/",
        "gate GREEN",
    ];
    assert!(order.map(place).is_sorted(), "{text}");
    assert!(text.contains("\n````\nsaid ```once``` in fences"), "{text}");
    assert!(text.contains(prompt(&world, "p1.one", 2).trim_end()), "{text}");
    assert!(!text.contains("p1.two, "), "{text}");
    assert!(world.taskd(&["export", "p9"]).fails(5).contains("p9"));
}
