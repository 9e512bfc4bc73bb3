//! What the daemon does without a model: every request is a loop's own turn, and no other.

use std::sync::atomic::{AtomicUsize, Ordering};

use taskd_model::{Outcome, Owner, QueueEnd, QueueOp, Reason};

use super::*;
use crate::{
    landing::{person_commits, until_landed, until_ready},
    loops::idle::quiet_for,
    support::Door,
};

/// Requests of the story: one of each loop that passes at once, three of the one that gets nowhere, and
/// the first of the one that is at work until the end.
const BEFORE: usize = 1 + 1 + 3 + 1;

fn writes(path: &str) -> Answer {
    Answer::Stream(vec![
        tool("write", &json!({"path": path, "content": "x\n"})),
        tool("finish", &json!({"summary": "wrote it"})),
    ])
}

/// Two loops pass, one is red for good, and one stands at the door in its first turn.
fn story(door: &Door) -> Provider {
    let (turns, held) = ([const { AtomicUsize::new(0) }; 5], door.sh());
    Provider::new(move |seen| {
        let loop_n = seen.number().expect("which loop");
        let turn = turns[loop_n].fetch_add(1, Ordering::SeqCst);
        match (loop_n, turn) {
            (3, 0) => Answer::Stream(vec![tool("run", &json!({"command": held}))]),
            (4, 0) => writes("bad.txt"),
            (4, _) => Answer::Stream(vec![Step::Text("I see nothing wrong.".to_owned())]),
            (n, _) => writes(&format!("n{n}.txt")),
        }
    })
}

/// Proves P-7, W-26: the daemon sees main move, takes an integration ref along, gates, lands, moves a
/// loop at work onto the new main and finds that another gets nowhere, and no model is called for any
/// of it: every request the provider had is a turn of a loop, and while no loop has one to make there
/// is none.
#[test]
fn the_daemon_itself_calls_no_model() {
    let mut world = World::new();
    world.env.insert("TASKD_GIT__POLL".to_owned(), "100ms".to_owned());
    let door = Door::new(&world, "work");
    let provider = story(&door);
    world.start();
    with_key(&mut world, &provider, KEY);
    let head = |title: &str| {
        format!("---\nplan: {title}\nmodel: {SONNET}\ngate: sh test.sh\nland: ask\n---\n")
    };
    world.submit(&format!(
        "{}## spec a: Number 1\n\nWrite.\n\n## spec b: Number 2\n\nWrite.\n\n\
         ## spec c: Number 3\n\nWrite.\n",
        head("Quiet")
    ));
    // What others integrate would be another tree under it each time.
    world.submit(&format!("{}## spec d: Number 4\n\nWrite.\n", head("Stuck")));
    door.reached();
    until_ready(&world, "p1.a");
    until_ready(&world, "p1.b");
    let stuck = world.until_status("p2.d", &[Status::Blocked, Status::Complete, Status::Failed]);
    assert_eq!(stuck.reason, Some(Reason::NoProgress(3)), "{}", world.transcript());
    assert_eq!(provider.seen().len(), BEFORE, "{}", world.transcript());

    let theirs = person_commits(&world, "theirs.txt", "theirs\n");
    world.until_event("what is integrated to follow main", |it| {
        matches!(
            &it.event,
            Event::QueueLeft { op: QueueOp::Refresh(_), end: QueueEnd::Done { .. }, .. }
        )
    });
    for name in ["p1.a", "p1.b"] {
        world.taskd(&["land", name]).ok();
        until_landed(&world, name);
    }
    assert_eq!(quiet_for(&world, Duration::from_secs(3)), None, "a loop waits in its turn");
    assert_eq!(provider.seen().len(), BEFORE, "{}", world.transcript());

    door.open();
    let it = until_ready(&world, "p1.c");
    let events = world.events();
    assert_eq!(started(&events, "rebase").len(), 1, "{}", world.transcript());
    assert_ne!(it.base.commit.to_string(), theirs, "it stands on what landed since");
    assert!(world.git(&["log", "--format=%H", &it.base.commit.to_string()]).contains(&theirs));
    assert_eq!(provider.seen().len(), BEFORE + 1, "its second turn, and no more");
    assert_eq!(provider.counted(), 0, "nobody is asked to count either");
    let calls = started(&events, "call");
    let of_loops = calls.iter().filter(|(_, work)| matches!(work, Work::Call { .. }));
    assert_eq!(of_loops.count(), BEFORE + 1);
    let owners = calls
        .iter()
        .filter(|(it, _)| matches!(&it.event, Event::EffectStarted { owner: Owner::Loop(_), .. }));
    assert_eq!(owners.count(), BEFORE + 1, "each is a loop's");
    let replies = events.iter().filter(|it| {
        let Event::EffectEnded { outcome, .. } = &it.event else { return false };
        matches!(outcome, Outcome::Replied { .. })
    });
    assert_eq!(replies.count(), BEFORE + 1, "and each was a turn");
}
