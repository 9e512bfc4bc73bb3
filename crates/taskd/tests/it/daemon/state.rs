//! What readers see while much happens: every status counted, never back in time, never half.

use std::thread;

use taskd_api::Watched;
use taskd_model::{Status, View};

use super::{PATIENCE, configure, plan, script, status};
use crate::support::{Door, World};

fn total(view: &View, of: Status) -> u64 {
    view.totals().find(|(status, _)| *status == of).expect("a number for each").1
}

/// Proves T3.1e: a loop whose work is being moved and one that needs a person are in the totals,
/// as everybody sees them.
#[test]
fn rebasing_and_blocked_loops_are_counted() {
    let mut world = World::new();
    let door = Door::new(&world, "a");
    let agent = script(&world, "a.sh", &format!("echo mine > a.txt\n{}", door.sh()));
    world.start();
    let head = "conflict: block\n";
    world.submit(&plan("Conflict", head, &[("a", format!("agent: {agent}"))]));
    door.reached();
    assert_eq!(status(&world)["loops"]["running"], 1);
    world.write("a.txt", "theirs\n");
    world.git(&["commit", "-q", "-a", "-m", "theirs"]);
    let tip = world.git(&["rev-parse", "main"]);
    world.until("main to be seen", |it| {
        it.projects.values().any(|it| it.targets["main"].tip.to_string() == tip)
    });
    let client = world.client();
    let rebasing = async {
        let mut watch = client.watch(Vec::new(), false);
        let mut view = View::default();
        while total(&view, Status::Rebasing) != 1 {
            match watch.next().await {
                Some(Watched::View(whole)) => {
                    // Whoever follows from here on misses nothing.
                    door.open();
                    view = *whole;
                }
                Some(Watched::Event(record)) => _ = view.apply(&record),
                Some(_) => {}
                None => panic!("the watch ended"),
            }
        }
        assert_eq!(total(&view, Status::Running), 0, "each loop is counted once");
    };
    let in_time = async { tokio::time::timeout(PATIENCE, rebasing).await };
    world.runtime.block_on(in_time).expect("a loop that is rebasing is counted");
    let view = world.until("blocked", |it| total(it, Status::Blocked) == 1);
    let all: u64 = view.totals().map(|it| it.1).sum();
    assert_eq!(all, 1, "each loop is counted once");
    assert_eq!(status(&world)["loops"]["blocked"], 1);
    assert!(world.taskd(&["daemon", "status"]).ok().contains("1 blocked"));
}

/// Proves AY-1.4: readers beside a busy plan never go back, and what each of them sees is the fold
/// of the log up to one event, so never half of a turn.
#[test]
fn readers_never_go_back_and_never_see_half() {
    let mut world = World::new();
    configure(&world, "[limits]\nrequests_per_minute = 100000\nburst = 100000\n");
    world.start();
    let door = Door::new(&world, "z");
    let quick = |name: &str| script(&world, &format!("{name}.sh"), &format!("echo x > {name}.txt"));
    let mut specs: Vec<_> =
        ["a", "b", "c", "d"].map(|it| (it, format!("agent: {}", quick(it)))).into();
    let last = script(&world, "z.sh", &format!("{}\necho z > z.txt", door.sh()));
    specs.push(("z", format!("agent: {last}")));
    let text = plan("Read", "", &specs);
    let read = || {
        let mut seen: Vec<View> = vec![world.view()];
        while !seen.last().is_some_and(|it| it.plans.values().any(|it| it.ended_at.is_some())) {
            let view = world.view();
            if seen.last() != Some(&view) {
                seen.push(view);
            }
        }
        seen
    };
    let seen: Vec<Vec<View>> = thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
        world.submit(&text);
        door.reached();
        door.open();
        readers.into_iter().map(|it| it.join().expect("a reader")).collect()
    });
    let log = world.events();
    let mut distinct = 0;
    for views in &seen {
        distinct += views.len();
        assert!(views.is_sorted_by_key(|it| it.seq), "a reader went back");
        let mut fold = View::default();
        let mut next = log.iter();
        for view in views {
            while fold.seq < view.seq {
                fold.apply(next.next().expect("the log goes that far"));
            }
            assert!(*view == fold, "at {} a reader saw something else", view.seq);
        }
    }
    assert!(40 < distinct, "the readers saw the plan at work: {distinct}");
}
