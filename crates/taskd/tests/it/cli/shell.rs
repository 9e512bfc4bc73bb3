//! What a shell sees of taskd: a line for its prompt.

use std::{fs, time::Instant};

use taskd_model::Status;

use crate::{
    landing::{agent, plan, until_ready},
    support::{Door, PATIENCE, World},
};

/// Waits until `taskd prompt` says this: the daemon writes it up to a second late.
#[track_caller]
fn until_prompt(world: &World, wanted: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let said = world.taskd(&["prompt"]).ok();
        if said == wanted {
            return;
        }
        assert!(Instant::now() < until, "waited too long for {wanted:?}: {said:?}");
    }
}

/// Proves S-5.5.3: `taskd prompt` says what works, needs a person and waits, and what was spent today,
/// without the daemon's socket and in words of one's own; it prints nothing and ends with 0 before
/// the daemon, after its stop and after its `kill -9`, and starts none.
#[test]
fn a_prompt_shows_what_goes_on_and_asks_nobody() {
    let mut world = World::new();
    assert_eq!(world.taskd(&["prompt"]).ok(), "");
    assert!(!world.state().exists(), "it starts nothing and makes nothing");
    let door = Door::new(&world, "work");
    let body =
        format!("case $TASKD_LOOP in *.works) {} ;; esac\necho x > $TASKD_LOOP.txt", door.sh());
    let run = agent(&world, "agent.sh", &body);
    world.start();
    until_prompt(&world, "");
    let specs = [("ready", ""), ("works", ""), ("later", "needs: works")];
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &specs));
    door.reached();
    until_ready(&world, "p1.ready");
    until_prompt(&world, "1 working · 1 needs you · 1 waiting\n");
    let write = "{usage: {micros: 4200000}, tools: [{write: {path: m.txt, content: x}}]}";
    let script =
        format!("loops:\n  m: [{{turns: [{write}, {{tools: [{{finish: {{summary: x}}}}]}}]}}]\n");
    let model = format!("scripted:{}", world.aside("m.yaml", &script));
    world.submit(&plan(&format!("model: {model}\nland: never"), &[("m", "")]));
    world.until_status("p2.m", &[Status::Complete]);
    let all = "1 working · 1 needs you · 1 waiting · $4.20\n";
    until_prompt(&world, all);

    let (socket, away) = (world.socket(), world.dir.path().join("away"));
    fs::rename(&socket, &away).expect("ours");
    assert_eq!(world.taskd(&["prompt"]).ok(), all);
    let format = "{\"w\": {working}, \"n\": {needs_you}} {waiting}{} {cost}";
    let said = world.taskd(&["prompt", "--format", format]).ok();
    assert_eq!(said, "{\"w\": 1, \"n\": 1} 1{} $4.20\n");
    let wrong = world.taskd(&["prompt", "--format", "{runs}"]).fails(2);
    assert!(wrong.contains("{runs}") && wrong.contains("{needs_you}"), "{wrong}");
    fs::rename(&away, &socket).expect("ours");

    world.kill();
    let figures = world.state().join("figures.json");
    assert!(figures.exists(), "nobody could remove it");
    assert_eq!(world.taskd(&["prompt"]).ok(), "", "they are of a daemon that is gone");
    world.start();
    door.reached();
    until_prompt(&world, all);
    world.stop();
    assert!(!figures.exists());
    assert_eq!(world.taskd(&["prompt"]).ok(), "");
}
