//! `--dry-run`: what would happen, and nothing that does.

use taskd_api::v1;
use taskd_model::{Actor, Record};

use crate::{
    landing::{agent, plan, until_ready},
    support::{Door, World},
};

/// Proves DRY-1: with `--dry-run` each command that changes something says what it would do, and nothing
/// is stored and no branch made; without it, it does that. What cannot be tried is refused.
#[test]
fn a_dry_run_changes_nothing() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!(
        "case $TASKD_LOOP in *.works) {} ;; *) echo x > $TASKD_LOOP.txt ;; esac",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    let head = format!("agent: {run}\nland: ask");
    world.submit(&plan(&head, &[("ready", ""), ("works", "")]));
    world.submit(&plan(&head, &[("again", "")]));
    door.reached();
    until_ready(&world, "p1.ready");
    until_ready(&world, "p2.again");
    let (view, ready) = (world.view(), world.row("p1.ready").id);
    let item = view.inbox.waiting().into_iter().find(|it| it.loop_id == ready);
    let item = item.expect("it asks").name();
    // Loops go on meanwhile: what counts is what a person did.
    let state = || {
        let person = |it: &&Record| matches!(it.actor, Actor::Person { .. });
        let events = world.events().iter().filter(person).count();
        (events, world.git(&["for-each-ref", "refs/heads/taskd"]))
    };
    let commands: &[&[&str]] = &[
        &["steer", "p1.works", "hurry"],
        &["budget", "set", "p1", "$9"],
        &["branch", "p1.ready"],
        &["pause", "p1.works"],
        &["resume", "p1.works"],
        &["queue", "hold", "p1.works"],
        &["queue", "release", "p1.works"],
        &["reject", "p2.again", "-m", "once more"],
        &["approve", &item],
        &["stop", "p1.works"],
        &["retry", "p1.works"],
    ];
    for command in commands {
        let before = state();
        let said = world.taskd(&[command, &["--dry-run"][..]].concat()).ok();
        assert!(said.contains("would "), "{command:?}: {said}");
        assert_eq!(state(), before, "{command:?} changed something");
        let did = world.taskd(command).ok();
        assert!(!did.contains("would "), "{command:?}: {did}");
        assert_ne!(state(), before, "{command:?} changed nothing");
    }
    let client = world.client();
    for verb in [v1::Verb::Park, v1::Verb::Unpark, v1::Verb::Forget] {
        let request =
            v1::ActRequest { verb: verb.into(), dry_run: true, ..v1::ActRequest::default() };
        let refused = world.runtime.block_on(client.act(request)).expect_err("it is done to all");
        assert_eq!(refused.code, "invalid", "{refused}");
    }
    door.open();
}
