//! A person says that a model is well again.

use super::*;

/// Writes a script in which every turn of each of these loops fails so first.
fn script(world: &World, loops: &[&str], fault: &str) -> String {
    let turns = format!("[{{turns: [{{fail: [{fault}], tools: [{{finish: {{summary: x}}}}]}}]}}]");
    let loops: Vec<String> = loops.iter().map(|it| format!("  {it}: {turns}\n")).collect();
    let path = world.aside("m.yaml", &format!("loops:\n{}", loops.concat()));
    format!("scripted:{path}")
}

/// Proves MC-MW-5: a provider that fails is left alone, which is in the log; a person's word ends
/// that at once, and so it does not take the half minute that it would else.
#[test]
fn a_model_that_is_left_alone_is_called_when_a_person_says_so() {
    let mut world = World::new();
    world.start();
    let names = ["a", "b", "c", "d", "e"];
    let model = script(&world, &names, "{status: 503}, {status: 503}");
    let specs: Vec<String> = names.iter().map(|it| format!("\n## spec {it}: X\n\nDo.\n")).collect();
    world.submit(&plan(&model, "Do it.").replace("\n## spec a: A\n\nDo it.\n", &specs.concat()));
    let said = |it: &Record, what: &str| it.event.to_string() == format!("{model} {what}");
    world.until_event("left alone", |it| said(it, "left alone: its calls keep failing"));
    let said_by = world.taskd(&["models", "reset", "scriptd:"]).fails(5);
    has(&said_by, &["there is no model and no provider `scriptd:`"]);
    has(&world.taskd(&["models", "reset", "local"]).fails(5), &["local was not called yet"]);
    let told = world.taskd(&["models", "reset", &model]).ok();
    has(&told, &[&model, "well again: calls go, beginning with two"]);
    world.until_event("reset", |it| said(it, "is well again, a person says"));
    has(&world.taskd(&["events", "--json"]).ok(), &["\"circuit_changed\"", "\"reset\""]);
    world.stop();
}

/// A silence after a refusal ends at a person's word only if the person says so.
#[test]
fn a_model_that_refuses_is_asked_when_a_person_says_so() {
    let mut world = World::new();
    world.start();
    let model = script(&world, &["a"], "{status: 429, retry_after_ms: 3600000}");
    world.submit(&plan(&model, "Do it."));
    world.until_event("refused", |it| it.event.kind() == "deferred");
    let told = world.taskd(&["models", "reset", &model]).ok();
    has(&told, &["its provider refuses for now; --refusals asks it all the same"]);
    let told = world.taskd(&["models", "reset", &model, "--refusals"]).ok();
    has(&told, &["well again: calls go, one at first"]);
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_ne!(it.status, Status::Blocked, "{:?}", it.reason);
    let told = world.taskd(&["models", "reset", &model]).ok();
    has(&told, &["calls go through already"]);
}
