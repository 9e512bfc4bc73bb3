//! A daemon a person stopped: it stays stopped, its work is kept, and goes on when somebody says so.

use std::fs;

use taskd_model::{Event, Status};

use super::{held, plan, script, status};
use crate::support::{Door, World};

/// Proves S-5.4.4, N2: stopping parks what runs with its files; reading commands say so and exit 69; the
/// next start leaves it paused, new work runs beside it, and `resume` goes on where it was.
#[test]
fn a_stop_parks_work_until_somebody_resumes_it() {
    let mut world = World::new();
    let door = Door::new(&world, "a");
    world.start();
    world.submit(&held(&world, &door));
    door.reached();
    let place = world.taskd(&["path", "p1.a"]).ok();
    let began = std::path::Path::new(place.trim()).join("a-began.txt");
    world.stop();
    assert!(began.exists(), "its files are kept");
    for words in [&["ls"][..], &["show", "p1"], &["why", "p1.a"], &["events"], &["wait", "p1"]] {
        let said = world.taskd(words).fails(69);
        assert!(said.contains("stopped by a person"), "{words:?}: {said}");
        assert!(said.contains("taskd daemon start"), "{words:?}: {said}");
    }
    assert!(!world.socket().exists(), "no reading command started it");

    let said = world.taskd(&["daemon", "start"]);
    assert!(said.err.contains("taskd resume --all"), "{said:?}");
    said.ok();
    let row = world.row("p1.a");
    assert_eq!((row.status, row.iteration), (Status::Paused, 1), "{}", world.transcript());
    assert!(began.exists(), "its files are kept");
    let other = script(&world, "b.sh", "echo b > b.txt");
    world.submit(&plan("Beside", "", &[("b", format!("agent: {other}"))]));
    world.until_status("p2.b", &[Status::Complete]);
    assert_eq!(world.row("p1.a").status, Status::Paused);

    world.taskd(&["resume", "--all"]).ok();
    door.reached();
    assert!(began.exists(), "it goes on in its own files");
    door.open();
    let row = world.until_status("p1.a", &[Status::Complete]);
    assert!(row.landed.is_some());
    assert_eq!(row.iteration, 1, "{}", world.transcript());
    assert_eq!(world.git(&["log", "--format=%s", "main"]).matches("Work on a").count(), 1);
}

/// Proves N2: with `--resume` everything goes on by itself, and a crash in between changes nothing
/// about that.
#[test]
fn a_start_with_resume_goes_on_by_itself() {
    let mut world = World::new();
    let door = Door::new(&world, "a");
    world.start();
    world.submit(&held(&world, &door));
    door.reached();
    world.stop();
    world.start_with(&["--resume"]);
    door.reached();
    assert_eq!(status(&world)["parked"], false);
    world.kill();
    world.start();
    door.reached();
    assert!(!world.events().iter().any(|it| it.event == Event::PauseAsked));
    door.open();
    let row = world.until_status("p1.a", &[Status::Complete]);
    assert_eq!((row.landed.is_some(), row.iteration), (true, 1), "{}", world.transcript());
}

/// A submission may start a daemon that a person stopped; what that stop parked stays where it is.
#[test]
fn a_submission_starts_the_daemon_and_leaves_old_work_parked() {
    let mut world = World::new();
    let door = Door::new(&world, "a");
    world.start();
    world.submit(&held(&world, &door));
    door.reached();
    world.stop();
    let agent = script(&world, "b.sh", "echo b > b.txt");
    world.submit(&plan("Other", "", &[("b", format!("agent: {agent}"))]));
    world.until_status("p2.b", &[Status::Complete]);
    assert_eq!(world.row("p1.a").status, Status::Paused);
    assert!(!fs::exists(world.state().join("stopped")).expect("readable"));
}
