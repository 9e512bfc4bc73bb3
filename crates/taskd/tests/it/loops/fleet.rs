//! Many loops at once: what one of them does to the others, to the daemon, and to who looks on.

use std::collections::BTreeMap;

use taskd_api::Watched;
use taskd_model::{Reason, Status, View};

use super::*;

/// A plan of specs `s0` to `sN` of one worker, with `lines` for each.
fn fleet(worker: &str, n: usize, lines: impl Fn(usize) -> String) -> String {
    let specs: String =
        (0..n).map(|k| format!("## spec s{k}: Number {k}\n{}\nDo {k}.\n\n", lines(k))).collect();
    format!("---\nplan: Many\n{worker}\ngate: 'true'\nland: never\n---\n{specs}")
}

/// The daemon's process.
fn daemon_pid(world: &World) -> String {
    let status = world.taskd(&["daemon", "status", "--json"]).ok();
    serde_json::from_str::<serde_json::Value>(&status).expect("JSON")["pid"].to_string()
}

/// Programs that the daemon started, and what it has open. Connections to its own log are not
/// counted: they are few, made when somebody waits for one, and kept.
fn holds(pid: &str) -> (usize, Vec<String>) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("Linux");
    let children = tasks.filter_map(|it| fs::read_to_string(it.ok()?.path().join("children")).ok());
    let children = children.map(|it| it.split_whitespace().count()).sum();
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("Linux");
    let open = files.filter_map(|it| fs::read_link(it.ok()?.path()).ok());
    let open = open.map(|it| it.display().to_string()).filter(|it| !it.contains("/state/taskd.db"));
    (children, open.collect())
}

fn memory_kb(pid: &str, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find_map(|it| it.strip_prefix(what)).expect("a figure");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Which of a fleet it is: 7 for `p1.s7`.
fn number(name: &str) -> usize {
    name.rsplit('s').next().expect("a name").parse().expect("a number")
}

/// Takes what a watch says.
fn take(view: &mut View, item: Watched) {
    match item {
        Watched::View(whole) => *view = *whole,
        Watched::Event(record) => assert!(view.apply(&record), "a gap before {record}"),
        Watched::Ended(error) => panic!("{error}"),
        Watched::Connected { .. }
        | Watched::Unknown { .. }
        | Watched::Delta { .. }
        | Watched::Heartbeat { .. }
        | Watched::Disconnected { .. } => {}
    }
}

/// Loops at work, as far as the log was read.
fn at_work(view: &View) -> u64 {
    view.totals.of(Status::Running) + view.totals.of(Status::Rebasing)
}

/// Proves AY-6.10, S-1.2.7: fewer loops at once than are at work end none of them; the next one begins when so
/// many are done that there is room.
#[test]
fn fewer_at_once_lets_those_at_work_finish() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__AGENTS".to_owned(), "20".to_owned());
    world.start();
    world.taskd(&["config", "set", "limits.loops", "8"]).ok();
    let door = Door::new(&world, "work");
    let agent = shell(&world, "agent.sh", &format!("{}\necho x > $TASKD_LOOP.txt\n", door.sh()));
    world.submit(&fleet(&format!("agent: {agent}"), 12, |_| String::new()));
    (0..8).for_each(|_| door.reached());
    let before = world.events().last().expect("some").seq;
    world.taskd(&["config", "set", "limits.loops", "3"]).ok();
    assert_eq!(at_work(&world.view()), 8, "nobody is ended");
    for _ in 0..12 {
        door.open();
    }
    world.until("all to be complete", |it| it.totals.of(Status::Complete) == 12);
    let (mut view, mut begun) = (View::default(), 0);
    for record in world.events() {
        let was = at_work(&view);
        assert!(view.apply(&record), "{record}");
        let begins = matches!(
            record.event,
            Event::StatusChanged { from: Status::Pending, to: Status::Running, .. }
        );
        if begins && before < record.seq {
            assert!(was < 3, "one begins beside {was}: {record}");
            begun += 1;
        }
        let ended = matches!(&record.event, Event::EffectEnded { outcome, .. }
            if matches!(outcome, Outcome::Cancelled { .. } | Outcome::Failed { .. }));
        assert!(!ended, "{record}");
    }
    assert_eq!(begun, 4);
}

/// Proves S-1.2.1: forty loops, one of which panics and one whose program dies: both are told of, the
/// others finish, and afterwards the daemon has no process more and no file more open than before.
#[test]
fn what_one_loop_does_ends_with_it() {
    let mut world = World::new();
    world.env.insert("TASKD_FAULT".to_owned(), "panic:agent:p2.s7".to_owned());
    let agent = shell(
        &world,
        "agent.sh",
        "test $TASKD_LOOP != p2.s9 || kill -9 $$\necho x > $TASKD_LOOP.txt\n",
    );
    world.start();
    let pid = daemon_pid(&world);
    // What is kept open from the first work on is no leak.
    world.submit(&fleet(&format!("agent: {agent}"), 2, |_| String::new()).replace("Many", "First"));
    world.until("the first to be complete", |it| it.totals.of(Status::Complete) == 2);
    let (_, open) = holds(&pid);
    let head = format!("agent: {agent}\nlimits: {{iterations: 2}}");
    world.submit(&fleet(&head, 40, |_| String::new()));
    let over = |it: &View| {
        let all = it.loops.values().filter(|it| it.id.plan().0 == 2);
        all.filter(|it| it.status.is_over() || it.status == Status::Blocked).count() == 40
    };
    let view = world.until("all to be over", over);
    let other: BTreeMap<&str, Status> = view
        .loops
        .values()
        .filter(|it| it.status != Status::Complete)
        .map(|it| (it.name.as_str(), it.status))
        .collect();
    let expected = [("p2.s7", Status::Failed), ("p2.s9", Status::Blocked)];
    assert_eq!(other, BTreeMap::from(expected));
    let settled = Instant::now() + PATIENCE;
    loop {
        let (children, now) = holds(&pid);
        if children == 0 && now.len() <= open.len() + 2 {
            break;
        }
        assert!(Instant::now() < settled, "{children} children; open {now:#?}, before {open:#?}");
        std::thread::yield_now();
    }
    assert_eq!(daemon_pid(&world), pid, "it is the same daemon");
}

/// Proves S-1.2.2: sixty specs with needs at random, one of which is red for good, and a daemon that is
/// killed among them: never more than four at once, nobody before what it needs, and what needs the red
/// one waits and says for what.
#[test]
fn a_graph_is_worked_off_in_its_order() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__LOOPS".to_owned(), "4".to_owned());
    world.env.insert("TASKD_LIMITS__AGENTS".to_owned(), "4".to_owned());
    let agent =
        shell(&world, "agent.sh", "test $TASKD_LOOP = p1.s20 || echo x > $TASKD_LOOP.txt\n");
    // A fixed rule that looks like chance: each needs up to two of those before it.
    let needs = |k: usize| -> Vec<usize> {
        let some = [k * 7 % 11, k * 5 % 13];
        let mut some: Vec<usize> = some.iter().filter_map(|it| k.checked_sub(it + 1)).collect();
        some.sort_unstable();
        some.dedup();
        some
    };
    let lines = |k: usize| {
        let all: Vec<String> = needs(k).iter().map(|it| format!("s{it}")).collect();
        if all.is_empty() { String::new() } else { format!("needs: {}\n", all.join(", ")) }
    };
    world.start();
    let head = format!("agent: {agent}\nlimits: {{iterations: 1}}");
    world.submit(&fleet(&head, 60, lines));
    world.until("some to be complete", |it| 5 <= it.totals.of(Status::Complete));
    world.kill();
    world.start();
    let mut hopeless: Vec<usize> = vec![20];
    for k in 21..60 {
        if needs(k).iter().any(|it| hopeless.contains(it)) {
            hopeless.push(k);
        }
    }
    let done = 60 - hopeless.len() as u64;
    let end = world.until("all that can be to be complete", |it| {
        it.totals.of(Status::Complete) == done && it.totals.of(Status::Failed) == 1
    });
    assert!(5 < hopeless.len() && hopeless.len() < 35, "some, not all: {hopeless:?}");
    for it in end.loops.values() {
        let k = number(&it.name);
        let expected = match (k == 20, needs(k).contains(&20), hopeless.contains(&k)) {
            (true, ..) => Status::Failed,
            (false, true, _) => Status::Blocked,
            // What it needs may still pass, if a person says so.
            (false, false, true) => Status::Pending,
            (false, false, false) => Status::Complete,
        };
        assert_eq!(it.status, expected, "{}", it.name);
        assert_eq!(it.status == Status::Blocked, it.reason == Some(Reason::NeedFailed));
    }
    let last = *hopeless.last().expect("some");
    let why = world.taskd(&["why", &format!("p1.s{last}")]).ok();
    assert!(why.contains("p1.s20"), "{why}");
    let mut view = View::default();
    for record in world.events() {
        assert!(view.apply(&record), "{record}");
        assert!(at_work(&view) <= 4, "{record}");
        if let (Event::IterationStarted { .. }, Some(id)) = (&record.event, record.loop_id) {
            for need in needs(number(&view.loops[&id].name)) {
                let need = view.loops.values().find(|it| number(&it.name) == need);
                let need = need.expect("it is there");
                assert!(need.is_available(), "{} begins before {}", view.loop_name(id), need.name);
            }
        }
    }
}

/// Proves S-1.2.4: thirty loops in whatever phase they are in are paused; each comes to rest, none of
/// its tools is interrupted, and after they went on no tool was run twice.
#[test]
fn who_is_paused_rests_between_tools() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__BURST".to_owned(), "1000".to_owned());
    let counts = world.dir.path().join("counts");
    fs::create_dir(&counts).expect("writable");
    let steps: String = (0..6)
        .map(|n| {
            let file = counts.display();
            format!(
                "{{tools: [{{run: {{command: 'echo {n} >> {file}/$TASKD_LOOP; sleep 0.05'}}}}]}}, "
            )
        })
        .collect();
    let loop_of = |k: usize| {
        let write = format!("{{write: {{path: s{k}.txt, content: x}}}}");
        format!("  s{k}: [{{turns: [{steps}{{tools: [{write}, {{finish: {{summary: x}}}}]}}]}}]\n")
    };
    let all: String = (0..30).map(loop_of).collect();
    let model = replies(&world, "m.yaml", &format!("loops:\n{all}"));
    world.start();
    world.submit(&fleet(&format!("model: {model}"), 30, |_| String::new()));
    world.until("some to be in the middle", |it| {
        3 <= it.loops.values().filter(|it| it.iteration == 1).count()
    });
    world.taskd(&["pause", "p1"]).ok();
    world.until("all to rest", |it| it.loops.values().all(|it| it.status == Status::Paused));
    assert!(world.view().effects.is_empty(), "nothing runs");
    world.taskd(&["resume", "p1"]).ok();
    world.until("all to be complete", |it| it.totals.of(Status::Complete) == 30);
    for k in 0..30 {
        let done = fs::read_to_string(counts.join(format!("p1.s{k}"))).expect("it ran");
        assert_eq!(done, "0\n1\n2\n3\n4\n5\n", "s{k}: each once, in order");
    }
}

/// Proves N17, P-17, S-1.2.3, S-1.2.6: while twenty agents print five megabytes each, somebody who watches and
/// reads nothing costs the daemon less than 64 MB and holds up nobody; when they read on, they come to
/// what is the case without a gap.
#[test]
fn who_reads_nothing_costs_little_and_misses_nothing() {
    let mut world = World::new();
    world.env.insert("TASKD_LIMITS__AGENTS".to_owned(), "8".to_owned());
    let agent = shell(
        &world,
        "agent.sh",
        "yes 'a line of no meaning, and a few words more' | head -c 5000000\necho x > $TASKD_LOOP.txt\n",
    );
    world.start();
    let pid = daemon_pid(&world);
    world.submit(&fleet(&format!("agent: {agent}"), 2, |_| String::new()).replace("Many", "First"));
    world.until("the first to be complete", |it| it.totals.of(Status::Complete) == 2);
    let mut stuck = world.client().watch(Vec::new(), true);
    let first = world.runtime.block_on(stuck.next()).expect("it is told what there is");
    let mut seen = View::default();
    take(&mut seen, first);
    let before = memory_kb(&pid, "VmRSS");
    world.submit(&fleet(&format!("agent: {agent}"), 20, |_| String::new()));
    let end = world.until("all to be complete", |it| it.totals.of(Status::Complete) == 22);
    let grown = memory_kb(&pid, "VmHWM").saturating_sub(before);
    assert!(grown < 64_000, "{grown} kB more");
    while seen.seq < end.seq {
        let item = world.runtime.block_on(stuck.next()).expect("it goes on");
        take(&mut seen, item);
    }
    let of = |it: &View| -> BTreeMap<LoopId, Status> {
        it.loops.values().map(|it| (it.id, it.status)).collect()
    };
    assert_eq!(of(&seen), of(&end));
}
