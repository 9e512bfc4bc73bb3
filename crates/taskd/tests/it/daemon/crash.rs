//! Being killed: what was acknowledged is in the log, and everything goes on to its one end.

use std::fs;

use taskd_api::{Watched, v1};
use taskd_model::{Digest, Event, Record, Seq, Status, View};

use super::{Foreground, Leash, configure, ended, in_time, pid, plan, script, serving, signal};
use crate::support::{Door, World};

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 += 1;
        let digest = Digest::of(&self.0.to_le_bytes());
        let mut word = [0; 8];
        word.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_le_bytes(word) % below
    }
}

/// The fold of the log, which is what everybody must see.
fn fold(log: &[Record]) -> View {
    let mut view = View::default();
    for record in log {
        view.apply(record);
    }
    view
}

/// The log, which must have no gap.
#[track_caller]
fn whole_log(world: &World) -> Vec<Record> {
    let log = world.events();
    let gapless = log.iter().enumerate().all(|(n, it)| it.seq.0 == n as u64 + 1);
    assert!(gapless, "{}", world.transcript());
    log
}

/// Five loops, some after others, each in two turns of a model that takes a little time.
fn busy(world: &World, n: usize) -> String {
    let needs = ["", "", "needs: a\n", "needs: a, b\n", ""];
    let names = ["a", "b", "c", "d", "e"];
    let mut loops = String::new();
    for name in names {
        loops.push_str(&format!(
            "  {name}:\n  - turns:\n    - say: I begin.\n      delay_ms: 5\n      tools:\n      \
             - write: {{path: {name}{n}.txt, content: \"{name}\\n\"}}\n      \
             - run: {{command: \"sh test.sh\"}}\n    \
             - say: It is done.\n      tail_ms: 5\n      tools: [{{finish: {{summary: done}}}}]\n"
        ));
    }
    let script = world.aside(&format!("replies-{n}.yaml"), &format!("loops:\n{loops}"));
    let specs: Vec<_> =
        names.iter().zip(needs).map(|(it, needs)| (*it, needs.to_owned())).collect();
    let head = format!("model: scripted:{script}\n");
    let text = plan(&format!("Busy {n}"), &head, &specs);
    text.replace("needs: a\n\n\n", "needs: a\n\n").replace("needs: a, b\n\n\n", "needs: a, b\n\n")
}

/// What is known to be durable, because somebody was told.
#[derive(Default)]
struct Known {
    log: Vec<Record>,
    /// Heads that answers to commands named.
    acknowledged: u64,
}

impl Known {
    /// The log begins with all of it, and what is shown is the fold of the log.
    #[track_caller]
    fn check(&mut self, world: &World) {
        let log = whole_log(world);
        let n = self.log.len();
        assert!(n <= log.len(), "event {n} was seen, the log ends at {}", log.len());
        assert!(log[..n] == self.log[..], "what was seen is not what is in the log");
        assert!(self.acknowledged <= log.len() as u64, "an answered command is not in the log");
        let view = world.view();
        let upto = usize::try_from(view.seq.0).expect("small");
        let now = whole_log(world);
        assert!(view == fold(&now[..upto]), "the view is not the fold of the log");
        self.log = log;
    }

    /// Follows until `k` more events were seen or nothing is left to do, and tells a loop something
    /// on the way.
    fn follow(&mut self, world: &World, k: usize) {
        let client = world.client();
        let wanted = self.log.len() + k;
        let in_time = world.runtime.block_on(async {
            let mut watch = client.watch(Vec::new(), false);
            let mut view = View::default();
            let mut told = false;
            let follow = async {
                while self.log.len() < wanted {
                    match watch.next().await {
                        Some(Watched::View(whole)) => {
                            view = *whole;
                            let from = self.log.len() as u64 + 1;
                            self.log.extend(read(&client, from, view.seq).await);
                        }
                        Some(Watched::Event(record)) => {
                            view.apply(&record);
                            self.log.push(*record);
                        }
                        Some(Watched::Ended(error)) => panic!("{error}"),
                        Some(_) => continue,
                        None => panic!("the watch ended"),
                    }
                    let Some(open) = view.loops.values().find(|it| !it.status.is_over()) else {
                        return;
                    };
                    if !told {
                        told = true;
                        let request = v1::ActRequest {
                            verb: v1::Verb::Note.into(),
                            ids: vec![open.name.clone()],
                            text: format!("note at {}", view.seq),
                            ..v1::ActRequest::default()
                        };
                        // It may be over by now, which is an answer too.
                        if let Ok(answer) = client.act(request).await {
                            self.acknowledged = self.acknowledged.max(answer.seq);
                        }
                    }
                }
            };
            tokio::time::timeout(super::PATIENCE, follow).await
        });
        assert!(in_time.is_ok(), "nothing happens any more:\n{}", world.transcript());
    }
}

async fn read(client: &taskd_api::Client, from: u64, upto: Seq) -> Vec<Record> {
    let request = v1::EventsRequest { from, ..v1::EventsRequest::default() };
    let mut items = client.events(request).await.expect("the daemon answers");
    let mut records = Vec::new();
    while let Some(event) = items.next().await.expect("readable") {
        if event.seq <= upto.0 {
            records.push(event.record().expect("an event").expect("a known kind"));
        }
    }
    records
}

/// Proves P-16, X8 AY-1.6: killed thirty times while it is busy, at points that events decide, the daemon
/// comes back each time with everything anybody was told, without a gap, showing exactly the fold
/// of its log; and in the end every spec of every plan has landed once.
#[test]
fn thirty_kills_lose_nothing_and_repeat_nothing() {
    const KILLS: usize = 30;
    let mut world = World::new();
    configure(&world, "[limits]\nrequests_per_minute = 100000\nburst = 100000\n");
    let mut dice = Dice(7);
    let mut known = Known::default();
    let mut plans = 0;
    for _ in 0..KILLS {
        world.start();
        known.check(&world);
        if fold(&known.log).loops.values().all(|it| it.status.is_over()) {
            plans += 1;
            let text = busy(&world, plans);
            world.submit(&text);
        }
        known.follow(&world, 1 + usize::try_from(dice.roll(40)).expect("small"));
        world.kill();
    }
    world.start();
    known.check(&world);
    world.until("every plan to be over", |it| it.plans.values().all(|it| it.ended_at.is_some()));
    known.check(&world);
    let view = fold(&known.log);
    for it in view.loops.values() {
        assert_eq!(it.status, Status::Complete, "{}\n{}", it.name, world.transcript());
        assert!(it.landed.is_some(), "{}", it.name);
    }
    assert!(2 <= plans, "the kills left time to work: {plans} plans");
    let landed = world.git(&["log", "--format=%(trailers:key=Taskd-Loop,valueonly,separator=)"]);
    let mut landed: Vec<_> = landed.lines().filter(|it| !it.is_empty()).collect();
    landed.sort_unstable();
    let mut names: Vec<_> = view.loops.values().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(landed, names, "each once");
    world.git(&["fsck", "--strict"]);
    let starts = known.log.iter().filter(|it| it.event.kind() == "daemon_started");
    assert_eq!(starts.count(), KILLS + 1);
    let doctor = world.taskd(&["doctor"]).out;
    assert!(doctor.contains("chain whole"), "{doctor}");
}

/// Proves P-16, S-1.3.5: after a kill a start ends what the last life left running before it begins
/// anything, goes on with the same iteration, and says what it recovered.
#[test]
fn a_start_after_a_kill_ends_what_was_left_and_says_so() {
    let world = World::new();
    let (leash, door) = (Leash::new(&world), Door::new(&world, "a"));
    let body = format!(
        "{}\ntrap '' INT TERM\nsetsid sleep 1000 &\n{}\necho a > left.txt",
        leash.sh(),
        door.sh()
    );
    let agent = script(&world, "a.sh", &body);
    world.taskd(&["daemon", "start"]).ok();
    world.submit(&plan("Left", "", &[("a", format!("agent: {agent}"))]));
    door.reached();
    let first = pid(&world);
    signal(first, nix::sys::signal::Signal::SIGKILL);
    leash.gone();
    world.taskd(&["daemon", "start"]).ok();
    assert_ne!(pid(&world), first);
    door.reached();
    door.open();
    let row = world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(row.iteration, 1);
    let log = fs::read_to_string(world.state().join("daemon.log")).expect("the log");
    let said: Vec<_> = log.lines().filter(|it| it.contains("recovered")).collect();
    assert_eq!(said.len(), 2, "{log}");
    assert!(said[0].contains("events=0") && said[0].contains("clean=true"), "{}", said[0]);
    assert!(said[1].contains("clean=false") && said[1].contains("replayed="), "{}", said[1]);
    world.taskd(&["daemon", "stop"]).ok();
}

/// How many events the last start replayed, as it says.
fn replayed(world: &World) -> u64 {
    let log = fs::read_to_string(world.state().join("daemon.log")).expect("the log");
    let line = log.lines().rfind(|it| it.contains("recovered")).expect("it says so");
    let number = line.split("replayed=").nth(1).and_then(|it| it.split(' ').next());
    number.expect("a number").parse().expect("a number")
}

/// Proves X9: after an end in order nothing is replayed; after a kill never more than a thousand
/// events and what was not yet written when it came.
#[test]
fn a_clean_end_leaves_nothing_to_replay() {
    let world = World::new();
    world.taskd(&["daemon", "start"]).ok();
    let act = |verb: v1::Verb| {
        let request = v1::ActRequest { verb: verb.into(), ..v1::ActRequest::default() };
        world.runtime.block_on(world.client().act(request)).expect("taken");
    };
    for _ in 0..700 {
        act(v1::Verb::Park);
        act(v1::Verb::Unpark);
    }
    let log = whole_log(&world);
    assert!(1_400 < log.len(), "{}", log.len());
    signal(pid(&world), nix::sys::signal::Signal::SIGKILL);
    world.taskd(&["daemon", "start"]).ok();
    let after_a_kill = replayed(&world);
    assert!(after_a_kill <= 1_000, "{after_a_kill}");
    assert_eq!(whole_log(&world)[..log.len()], log[..]);
    world.taskd(&["daemon", "stop"]).ok();
    world.taskd(&["daemon", "start", "--resume"]).ok();
    assert_eq!(replayed(&world), 0);
    assert_eq!(whole_log(&world)[..log.len()], log[..]);
    world.taskd(&["daemon", "stop"]).ok();
}

/// Proves N22: a daemon that cannot write its log ends with an error instead of seeming well, and
/// with room again it has everything it ever acknowledged. One that hangs is told from one that is
/// well.
#[test]
fn a_daemon_that_cannot_work_is_not_taken_for_one_that_can() {
    let mut world = World::new();
    world.start();
    world.stop();
    // Files of at most 256 KiB, and an error instead of a signal.
    let line = format!(
        "trap '' XFSZ; ulimit -f 512; exec {} daemon run --resume",
        env!("CARGO_BIN_EXE_taskd")
    );
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &line]).current_dir(&world.repo).env_clear().envs(&world.env);
    let daemon = Foreground::start(command);
    daemon.until("ready socket=");
    let client = world.client();
    let mut acknowledged = 0;
    let verbs = [v1::Verb::Park, v1::Verb::Unpark].into_iter().cycle().take(10_000);
    let failed = verbs.map(|it| v1::ActRequest { verb: it.into(), ..v1::ActRequest::default() });
    let failed = failed
        .map(|it| world.runtime.block_on(client.act(it)))
        .find_map(|it| it.map(|answer| acknowledged = answer.seq).err());
    let failed = failed.expect("the file may not grow for ever");
    let (status, log) = daemon.ended();
    assert_eq!(status.code(), Some(70), "{failed}\n{log}");
    assert!(log.contains("the log cannot be written"), "{log}");
    assert!(world.taskd(&["daemon", "status"]).code == 69);

    world.start_with(&["--resume", "--http", "127.0.0.1:0"]);
    assert!(acknowledged <= whole_log(&world).len() as u64);
    let http = serving::http(&world);
    assert_eq!(serving::get(&http, "/healthz").0, 200);
    let daemon = pid(&world);
    signal(daemon, nix::sys::signal::Signal::SIGSTOP);
    let said = in_time(&world, &["daemon", "status"]);
    signal(daemon, nix::sys::signal::Signal::SIGCONT);
    assert_ne!(said.code, 0, "{}", said.out);
    assert!(said.err.contains("does not answer"), "{}", said.err);
    assert_eq!(pid(&world), daemon, "it goes on");
    world.kill();
    world.start();
    let child = world.daemon.take().expect("it runs");
    signal(child.id(), nix::sys::signal::Signal::SIGINT);
    assert!(ended(child).success());
}

/// Proves X11: an event alone is durable at once, however little follows it.
#[test]
fn a_lone_event_does_not_wait_for_company() {
    let mut world = World::new();
    world.start();
    let client = world.client();
    let mut fastest = super::PATIENCE;
    let mut acknowledged = 0;
    for n in 0..50 {
        let verb = if n % 2 == 0 { v1::Verb::Park } else { v1::Verb::Unpark };
        let request = v1::ActRequest { verb: verb.into(), ..v1::ActRequest::default() };
        let began = std::time::Instant::now();
        let answer = world
            .runtime
            .block_on(async { tokio::time::timeout(super::PATIENCE, client.act(request)).await });
        acknowledged = answer.expect("in time").expect("taken").seq;
        fastest = fastest.min(began.elapsed());
    }
    world.kill();
    world.start();
    assert!(acknowledged <= whole_log(&world).len() as u64, "what was answered is durable");
    let parks = whole_log(&world).iter().filter(|it| it.event == Event::WorkParked).count();
    assert_eq!(parks, 25);
    assert!(fastest.as_millis() <= 10, "with nothing to wait for it took {fastest:?}");
}
