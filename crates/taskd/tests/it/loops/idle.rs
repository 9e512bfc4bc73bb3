//! What loops cost that only wait.

use std::fmt::Write as _;

use taskd_api::Watched;

use super::*;

/// How long nothing is looked at but what it takes.
const WINDOW: Duration = Duration::from_secs(10);
/// So long after the last event its snapshot is written, which is five seconds after the first.
const SETTLED: Duration = Duration::from_secs(6);
/// Ticks of a second in `/proc`: the same on every Linux.
const TICKS: u64 = 100;
/// Loops that wait.
const LOOPS: usize = 100;

/// Waits so long, and says what happened meanwhile, if something did.
#[track_caller]
pub(crate) fn quiet_for(world: &World, time: Duration) -> Option<String> {
    quiet_from(world, time, || ()).0
}

/// The same, and what is looked at when the wait begins: once the daemon has told us its view, which
/// is work too.
#[track_caller]
fn quiet_from<T>(world: &World, time: Duration, look: impl FnOnce() -> T) -> (Option<String>, T) {
    let client = world.client();
    world.runtime.block_on(async {
        let mut watch = client.watch(Vec::new(), false);
        while !matches!(watch.next().await.expect("the watch goes on"), Watched::View(_)) {}
        let looked = look();
        let said = async {
            loop {
                match watch.next().await {
                    Some(Watched::Event(it)) => return format!("{} {it}", it.seq.0),
                    Some(Watched::Ended(why)) => panic!("{why}"),
                    Some(_) => {}
                    None => panic!("the watch ended"),
                }
            }
        };
        (tokio::time::timeout(time, said).await.ok(), looked)
    })
}

/// What a process has used: processor time of its own in ticks, and what children had that it has
/// waited for: page faults, of which even the shortest program has some.
fn used(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("Linux");
    let (_, rest) = text.rsplit_once(')').expect("a name in brackets");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Numbered from the state, which is the third of all.
    let n = |at: usize| fields[at].parse::<u64>().expect("a number");
    (n(11) + n(12), n(8) + n(10))
}

/// Proves A-13, P-18: a hundred loops that wait for a person take, in ten seconds, less than a hundredth of a
/// processor, start no program and write no event, and so call no model.
#[test]
fn a_hundred_loops_that_wait_take_nothing() {
    let mut world = World::new();
    let mut script = String::from("loops:\n");
    let mut specs = String::new();
    for n in 0..LOOPS {
        let ask = "{tools: [{ask: {question: 'Which?', choices: [one, other]}}]}";
        writeln!(script, "  s{n}:\n    - {{turns: [{ask}]}}").expect("text");
        writeln!(specs, "## spec s{n}: Number {n}\n\nAsk.\n").expect("text");
    }
    let model = replies(&world, "ask.yaml", &script);
    world.start();
    let pid = world.daemon.as_ref().expect("it runs").id();
    world.submit(&format!(
        "---\nplan: Many\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n{specs}"
    ));
    world.until("all of them to ask", |view| view.inbox.waiting().len() == LOOPS);
    // What is written down a little later belongs to the work, not to the wait.
    let settled = Instant::now() + PATIENCE;
    while let Some(late) = quiet_for(&world, SETTLED) {
        assert!(Instant::now() < settled, "it does not come to rest: {late}");
    }
    let calls = |world: &World| {
        world.events().iter().filter(|it| work_of(it).is_some_and(|it| it.verb() == "call")).count()
    };
    assert_eq!(calls(&world), LOOPS, "the premise");
    let (said, (ticks, programs)) = quiet_from(&world, WINDOW, || used(pid));
    assert_ne!(programs, 0, "the premise: programs it started can be seen");
    assert_eq!(said, None);
    let (ticks, programs) = (used(pid).0 - ticks, used(pid).1 - programs);
    println!("{ticks} ticks in {WINDOW:?}");
    assert!(ticks < WINDOW.as_secs() * TICKS / 100, "{ticks} ticks in {WINDOW:?}");
    assert_eq!(programs, 0, "programs were started");
    assert_eq!(running(&world), Vec::<String>::new());
    assert_eq!(calls(&world), LOOPS, "{}", world.transcript());
}
