//! Being told: a command of the person's has one object for each thing that needs them and for each
//! plan that ends; again after a failure and after a `kill -9`, under the same id, and nothing waits
//! for it.

use std::fs;

use boon::{Compiler, Schemas};
use serde_json::Value;
use taskd_model::{Event, Status};

use crate::support::{Door, World};

/// The person's configuration names this script as the command. It is told in `told`, a line each.
fn told_by(world: &World, script: &str) -> String {
    let told = world.aside("told", "");
    let script = world.aside("tell.sh", &script.replace("TOLD", &told));
    let dir = world.dir.path().join("home/.config/taskd");
    fs::create_dir_all(&dir).expect("ours");
    let text = format!("[notify]\ncommand = \"sh {script}\"\n");
    fs::write(dir.join("config.toml"), text).expect("ours");
    told
}

/// What the command was given, in order.
fn lines(told: &str) -> Vec<Value> {
    let text = fs::read_to_string(told).expect("it is there");
    text.lines().map(|it| serde_json::from_str(it).expect("an object a line")).collect()
}

fn plan(world: &World) -> String {
    let agent = format!("sh {}", world.aside("agent.sh", "echo b >$TASKD_LOOP.txt\n"));
    format!(
        "---\nplan: Told\nagent: {agent}\ngate: sh test.sh\nland: ask\n---\n## spec a: Do it\n\nThe task.\n"
    )
}

/// Waits until so many were told.
fn until_told(world: &World, n: usize) {
    let told = || {
        let sent = |it: &taskd_model::Record| matches!(it.event, Event::NotificationSent { .. });
        world.events().iter().filter(|it| sent(it)).count()
    };
    while told() < n {
        let before = world.view().seq;
        if told() < n {
            world.until("something to happen", |view| before < view.seq);
        }
    }
}

/// Proves NT-1, P-27: what needs a person and the end of a plan are told once each, by the published schema;
/// a command that fails is tried again, and that is in the log.
#[test]
fn what_needs_a_person_and_the_end_of_a_plan_are_told() {
    let mut world = World::new();
    let state = world.aside("failed-once", "");
    fs::remove_file(&state).expect("ours");
    let once =
        format!("if [ ! -e {state} ]; then touch {state}; echo no way >&2; exit 3; fi; cat >>TOLD");
    let told = told_by(&world, &once);
    world.start();
    world.submit(&plan(&world));
    until_told(&world, 1);
    let first = &lines(&told)[0];
    let item = world.view().inbox.waiting().first().expect("it waits").name();
    assert_eq!((&first["event"], &first["kind"]), (&"needs_you".into(), &"landing".into()));
    assert_eq!(
        (&first["item"], &first["loop"]),
        (&item.as_str().into(), &"p1.a".into()),
        "{first}"
    );
    assert_eq!(first["answers"], format!("taskd land {item}"));
    let sent =
        world.until_event("it to be told", |it| matches!(it.event, Event::NotificationSent { .. }));
    let Event::NotificationSent { of, tries } = sent.event else { unreachable!("just seen") };
    assert_eq!((format!("i{of}"), tries), (item.clone(), 2), "the first try failed");
    world.taskd(&["land", &item]).ok();
    world.until_status("p1.a", &[Status::Complete]);
    until_told(&world, 2);
    let all = lines(&told);
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!((&all[1]["event"], &all[1]["result"]), (&"plan_ended".into(), &"landed".into()));
    assert_eq!((&all[1]["landed"], &all[1]["plan"]), (&1.into(), &"p1".into()), "{}", all[1]);
    let schema = world.taskd(&["help", "schema", "notification"]).ok();
    let schema: Value = serde_json::from_str(&schema).expect("one object");
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.enable_format_assertions();
    compiler.add_resource("n", schema).expect("a new one");
    let index = compiler.compile("n", &mut schemas).expect("a schema");
    for it in &all {
        schemas.validate(it, index).unwrap_or_else(|why| panic!("{it}: {why:#}"));
        for field in ["id", "event", "text", "plan", "title", "at"] {
            let mut less = it.clone();
            less.as_object_mut().expect("an object").remove(field);
            assert!(schemas.validate(&less, index).is_err(), "passes without {field}");
        }
    }
    assert!(world.view().untold.is_empty());
}

/// Proves NT-2: a daemon that is killed while somebody is being told tells it again under the same id;
/// meanwhile work lands; what a project names as a command is refused.
#[test]
fn killed_before_it_was_told_it_is_told_again_under_the_same_id() {
    let mut world = World::new();
    let door = Door::new(&world, "told");
    let told = told_by(&world, &format!("cat >>TOLD; {}", door.sh()));
    world.start();
    world.submit(&plan(&world));
    door.reached();
    let before = lines(&told);
    assert_eq!(before.len(), 1, "{before:?}");
    world.kill();
    world.start();
    door.reached();
    let again = lines(&told);
    assert_eq!(again.len(), 2, "{again:?}");
    assert_eq!(again[0], again[1], "the same object with the same id");
    // The command is not over, and nobody waits for it.
    world.taskd(&["land", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Complete]);
    door.open();
    world.write(".taskd/config.toml", "[notify]\ncommand = \"touch pwned\"\n");
    let refused = world.taskd(&["run", "x", "--agent", "true", "--gate", "true", "-d"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.err.contains("notify.command"), "{refused:?}");
}

/// Proves NT-3: a command that never works is tried three times, then it is in the log that nobody could
/// be told and why; the item waits on, and can be answered.
#[test]
fn whoever_cannot_be_told_is_in_the_log() {
    let mut world = World::new();
    told_by(&world, "echo out of reach; exit 1");
    world.start();
    world.submit(&plan(&world));
    let failed = |it: &taskd_model::Record| matches!(it.event, Event::NotificationFailed { .. });
    let failed = world.until_event("nobody to be told", failed);
    let Event::NotificationFailed { tries, why, of } = failed.event else { unreachable!("seen") };
    assert_eq!((tries, why.as_str()), (3, "exit 1: out of reach"));
    world.taskd(&["land", &format!("i{of}")]).ok();
    world.until_status("p1.a", &[Status::Complete]);
}
