//! Looking back: what was there after each event, as long as the log has it.

use taskd_api::{ApiError, v1};
use taskd_model::{Event, Record, Seq, Status, View};

use super::retention::cut;
use crate::{
    landing::{agent, plan, until_landed},
    support::World,
};

/// The view as the daemon says it was.
fn view_at(world: &World, at: v1::moment::At) -> Result<View, ApiError> {
    let client = world.client();
    world.runtime.block_on(client.view_at("", v1::Moment { at: Some(at) }))
}

fn after(world: &World, seq: Seq) -> View {
    view_at(world, v1::moment::At::Seq(seq.0)).expect("the log has it")
}

/// A world whose plan has landed what it could, with the view after each of its events.
fn lived() -> (World, Vec<(Record, View)>) {
    let mut world = World::new();
    world.start();
    let body = "[ $TASKD_LOOP.$TASKD_ITERATION != p1.one.1 ] || touch bad\n\
                [ $TASKD_LOOP.$TASKD_ITERATION != p1.one.2 ] || rm bad\necho x > $TASKD_LOOP.txt";
    let run = agent(&world, "agent.sh", body);
    let head = format!("agent: {run}\nland: on-gate");
    world.submit(&plan(&head, &[("one", ""), ("two", "needs: one")]));
    until_landed(&world, "p1.two");
    world.until("its end", |it| it.plans.values().any(|it| it.ended_at.is_some()));
    let mut view = View::default();
    let fold = |it: Record| {
        view.apply(&it);
        (it, view.clone())
    };
    let story = world.events().into_iter().map(fold).collect();
    (world, story)
}

/// Proves W-11: the view after any event is what had been seen then, going on through the log, back
/// again, and by the time; `show` and `ls` say it in the words of then, with ages of then, and no
/// command that would be for now. What was not there, or has not come, is refused by name.
#[test]
fn what_was_is_told_as_it_was() {
    let (world, story) = lived();
    for (record, view) in &story {
        assert_eq!(&after(&world, record.seq), view, "after event {}", record.seq);
    }
    for (record, view) in story.iter().rev().step_by(7) {
        assert_eq!(&after(&world, record.seq), view, "back after event {}", record.seq);
        let then = view_at(&world, v1::moment::At::Time(record.at.0)).expect("the log has it");
        assert!(then.at == record.at && view.seq <= then.seq, "{} {}", then.seq, view.seq);
    }

    let of = |it: &Record, wanted: Status| matches!(it.event, Event::StatusChanged { to, .. } if to == wanted);
    let running = story.iter().find(|(it, _)| of(it, Status::Running)).expect("it ran").0.clone();
    let at = running.seq.to_string();
    let shown = world.taskd(&["show", "p1.one", "--at", &at]).ok();
    let head = shown.lines().next().expect("a line");
    assert!(
        head.starts_with("AS IT WAS at ") && head.ends_with(&format!("after event {at}")),
        "{head}"
    );
    assert!(shown.contains("working, iteration"), "{shown}");
    assert!(!shown.contains("\nlanded ") && !shown.contains("next:"), "{shown}");
    let now = world.taskd(&["show", "p1.one"]).ok();
    assert!(
        now.contains("\nlanded ") && now.contains("next:") && !now.contains("AS IT WAS"),
        "{now}"
    );
    let listed = world.taskd(&["ls", "--at", &at]).ok();
    assert!(listed.contains("WORKING (1)") && listed.contains("WAITING (1)"), "{listed}");
    let json = world.taskd(&["ls", "--at", &at, "--json"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        (&json["seq"], &json["loops"][1]["status"]),
        (&running.seq.0.into(), &"pending".into())
    );

    let submitted = |it: &Record| matches!(it.event, Event::PlanSubmitted { .. });
    let first = story.iter().find(|(it, _)| submitted(it)).expect("it was submitted").0.seq;
    let before = (first.0 - 1).to_string();
    assert!(world.taskd(&["show", "p1", "--at", &before]).fails(5).contains("p1"));
    assert!(world.taskd(&["ls", "--at", &before]).ok().contains("nothing here yet"));
    let told = world.taskd(&["ls", "--at", "9999999"]).fails(5);
    assert!(told.contains("there is no event 9999999 yet"), "{told}");
    let told = world.taskd(&["ls", "--at", "2999-01-01 10:00"]).fails(5);
    assert!(told.contains("has not come yet"), "{told}");
    let told = world.taskd(&["ls", "--at", "100000h"]).fails(5);
    assert!(told.contains("the log begins with event 1") && told.contains("--at 1"), "{told}");
    world.taskd(&["show", "p1", "--at", "yesterday"]).fails(2);
}

/// Proves W-11: where old events are cut, the earliest moment that is left is told, and is there.
#[test]
fn nothing_is_told_of_what_was_cut() {
    let (mut world, story) = lived();
    world.stop();
    cut(&world);
    world.start();
    let kept = world.events();
    let earliest = Seq(kept.first().expect("events").seq.0 - 1);
    let (_, last) = story.last().expect("events");
    assert!(last.seq <= earliest, "the plan is cut");
    let mut view = after(&world, earliest);
    assert_eq!((&view.loops, &view.plans), (&last.loops, &last.plans));
    for it in &kept {
        view.apply(it);
        assert_eq!(after(&world, it.seq), view, "after event {}", it.seq);
    }
    let too_early = (earliest.0 - 1).to_string();
    let told = world.taskd(&["ls", "--at", &too_early]).fails(5);
    let begins = format!("(gc.history): it begins with event {earliest}");
    assert!(told.contains(&begins) && told.contains(&format!("--at {earliest}")), "{told}");
    let told = world.taskd(&["show", "p1", "--at", "100000h"]).fails(5);
    assert!(told.contains(&begins), "{told}");
    let shown = world.taskd(&["show", "p1.one", "--at", &earliest.to_string()]).ok();
    assert!(shown.contains("\nlanded "), "{shown}");
}
