//! A plan that a person sends back after it was taken apart: what stays, what ends, what begins.

use super::*;
use crate::support::Door;

/// A plan of these specs: id, task, what it needs.
fn plan_of(summary: &str, specs: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "## Summary\n{summary}\n\n## Goals\nCounting.\n\n## Not goals\nMore.\n\n## Risks\nNone.\n\n"
    );
    for (id, task, needs) in specs {
        let needs = if needs.is_empty() { String::new() } else { format!("needs: {needs}\n") };
        text.push_str(&format!("## spec {id}: The {id} of it\n{needs}type: ralph\n\n{task}\n\n"));
    }
    text
}

/// Code that stands at the door, and then writes its file.
fn held(door: &Door, name: &str) -> String {
    let run = serde_json::to_string(&door.sh()).expect("text");
    let write = format!("{{write: {{path: {name}.txt, content: x}}}}");
    format!(
        "{{turns: [{{tools: [{{run: {{command: {run}}}}}]}}, {{tools: [{write}, {{finish: {{summary: done}}}}]}}]}}"
    )
}

const FIRST: &[(&str, &str, &str)] = &[
    ("parse", "Split the input.", ""),
    ("count", "Count them.", "parse"),
    ("sort", "Sort them.", "parse"),
    ("show", "Show them.", "sort"),
];

/// `sort` is another task now, so `show`, which needs it, builds on something else; `top` is new, and
/// nothing is as before but what landed and what nobody touched.
const SECOND: &[(&str, &str, &str)] = &[
    ("parse", "Split the input.", ""),
    ("count", "Count them.", "parse"),
    ("sort", "Sort them by size.", "parse"),
    ("top", "The first ten.", "sort"),
];

/// A script in which the plan, when it is written anew, says otherwise; `count` and `sort` are coded as
/// they are told.
fn plans(world: &World, count: &str, sort: &str) -> String {
    let code = |name: &str| writes(&format!("{name}.txt"), "x\n");
    let first = plan_of("Words are counted.", FIRST);
    let second = plan_of("Words are counted and sorted by size.", SECOND);
    let loops = [
        (
            "plan".to_owned(),
            vec![
                writes("taskd-plan.md", &first),
                nothing(),
                nothing(),
                rewrites("taskd-plan.md", &second),
                nothing(),
                nothing(),
            ],
        ),
        ("parse".to_owned(), vec![code("parse")]),
        ("count".to_owned(), vec![count.to_owned()]),
        ("sort".to_owned(), vec![sort.to_owned()]),
        ("show".to_owned(), vec![code("show")]),
        ("sort-2".to_owned(), vec![code("sorted")]),
        ("top".to_owned(), vec![code("top")]),
    ];
    script(world, &loops)
}

/// Code whose model does not answer the first so many times it is asked.
fn mute(name: &str, times: usize) -> String {
    let fail = vec!["{hang: 0}"; times].join(", ");
    writes(&format!("{name}.txt"), "x\n").replacen(
        "{tools:",
        &format!("{{fail: [{fail}], tools:"),
        1,
    )
}

/// Sends the plan back, and waits until its new version waits for a person.
fn sent_back(world: &World) {
    let said = world.taskd(&["reject", "p1.plan", "-m", "sort them by size, please"]).ok();
    assert_eq!(said, "p1.plan  written anew; until that is taken apart, what it named goes on\n");
    world.until("the new version to wait for a person", |view| {
        view.loops.values().any(|it| it.iteration == 6 && it.doing == Doing::ReadyToLand)
    });
}

fn named(world: &World) -> Vec<(String, Status, bool)> {
    let view = world.view();
    let of_plan = view.loops.values().filter(|it| it.parent.is_some());
    of_plan.map(|it| (it.spec.clone(), it.status, it.is_superseded())).collect()
}

/// What the loops came to in the end, whatever happened on the way.
fn comes_to_the_new_plan(world: &World) {
    let waited = world.taskd(&["wait", "p1"]);
    assert_eq!(waited.code, 0, "{}\n{}", waited.out, world.transcript());
    let wanted = [
        ("parse", Status::Complete, false),
        ("count", Status::Complete, false),
        ("sort", Status::Stopped, true),
        ("show", Status::Stopped, true),
        ("sort-2", Status::Complete, false),
        ("top", Status::Complete, false),
    ];
    let wanted: Vec<_> = wanted.iter().map(|it| (it.0.to_owned(), it.1, it.2)).collect();
    assert_eq!(named(world), wanted, "{}", world.transcript());
    let landed = world.git(&["log", "--format=%s", "--reverse", "main"]);
    let mut landed: Vec<&str> = landed.lines().skip(2).collect();
    assert_eq!(landed.remove(0), "parse: The parse of it");
    let count = landed.iter().position(|it| *it == "count: The count of it").expect("it landed");
    landed.remove(count);
    assert_eq!(landed, ["sort-2: The sort of it", "top: The top of it"]);
    // Each began once: what stays was not done again.
    let begun = |name: &str| {
        let id = world.row(&format!("p1.{name}")).id;
        let begins = |it: &Record| {
            it.loop_id == Some(id) && matches!(it.event, Event::IterationStarted { .. })
        };
        world.events().iter().filter(|it| begins(it)).count()
    };
    assert_eq!((begun("parse"), begun("count"), begun("sort"), begun("show")), (1, 1, 1, 0));
}

/// Proves PL-7: a plan that is sent back after it was taken apart is written anew, while what it named
/// goes on. When its new version is approved, what says the same stays with its work, what landed stays,
/// what says something else, or builds on that, ends as superseded with its work kept, and what is
/// new begins.
#[test]
fn a_plan_that_was_taken_apart_is_planned_again() {
    let mut world = wordy();
    let (count, sort) = (Door::new(&world, "count"), Door::new(&world, "sort"));
    let model = plans(&world, &held(&count, "count"), &held(&sort, "sort"));
    world.start();
    plan_new(&world, &model);
    world.taskd(&["approve", "p1.plan"]).ok();
    count.reached();
    sort.reached();
    // Something of it is in its worktree, so that there is something to keep.
    let kept = world.taskd(&["path", "p1.sort"]).ok();
    std::fs::write(std::path::Path::new(kept.trim()).join("begun.txt"), "begun\n").expect("ours");
    sent_back(&world);
    let told = prompts(&world, "p1.plan");
    for said in ["sort them by size, please", "- parse: complete, landed", "- sort: running"] {
        assert!(told[3].contains(said), "{said}: {}", told[3]);
    }
    let ends = named(&world).iter().filter(|it| it.1.is_over()).count();
    assert_eq!(ends, 1, "all but what has landed goes on: {:?}", named(&world));
    let said = world.row("p1.plan").gate.expect("it was checked").summary;
    assert_eq!(said, "taskd-plan.md names 4 specs: 2 as before, 2 new; 2 of before end");

    world.taskd(&["approve", "p1.plan"]).ok();
    world.until_status("p1.sort", &[Status::Stopped]);
    assert_eq!(world.row("p1.sort").reason, Some(Reason::Superseded));
    world.taskd(&["branch", "p1.sort", "kept"]).ok();
    assert_eq!(world.git(&["show", "kept:begun.txt"]), "begun", "its work is kept");
    let refused = world.taskd(&["retry", "p1.sort"]).fails(1);
    assert!(refused.contains("superseded"), "{refused}");
    count.open();
    comes_to_the_new_plan(&world);
    let tree = world.taskd(&["ls", "--tree", "-a"]).ok();
    assert!(tree.contains("4 of 4 landed") && tree.contains("superseded"), "{tree}");
}

/// Proves PL-8: a daemon that is killed before or after the new version is taken apart comes to the same
/// plan: nothing is named twice, nothing that stays is done twice, and what ends ends once.
#[test]
fn planning_again_survives_a_kill() {
    let mut world = wordy();
    let door = Door::new(&world, "decompose");
    // It answers in the fourth life, and never.
    let model = plans(&world, &mute("count", 3), &mute("sort", 9));
    world.start();
    plan_new(&world, &model);
    world.taskd(&["approve", "p1.plan"]).ok();
    let calls = |view: &taskd_model::View, name: &str| {
        view.loops.values().any(|it| it.spec == name && it.doing == Doing::Calling)
    };
    world.until("both to call", |view| calls(view, "count") && calls(view, "sort"));
    sent_back(&world);
    world.kill();
    world.env.insert("TASKD_FAULT".to_owned(), door.fault("decompose", "p1.plan"));
    world.start_with(&["--resume"]);
    world.until("both to call again", |view| calls(view, "count") && calls(view, "sort"));
    world.taskd(&["approve", "p1.plan"]).ok();
    door.reached();
    world.kill();
    world.env.remove("TASKD_FAULT");
    world.start_with(&["--resume"]);
    world.until_status("p1.sort", &[Status::Stopped]);
    world.until("the rest to call", |view| calls(view, "count"));
    world.kill();
    world.start_with(&["--resume"]);
    comes_to_the_new_plan(&world);
    let superseded = |it: &Record| matches!(it.event, Event::Superseded { .. });
    assert_eq!(world.events().iter().filter(|it| superseded(it)).count(), 2);
}
