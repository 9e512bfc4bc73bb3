//! Configuration: what it changes, and when it is read again.

use std::fs;

use nix::sys::signal::Signal;
use taskd_model::{Event, LandPolicy, Outcome, Status, Verdict};

use super::{Foreground, configure, held, pid, plan, script, serving, signal};
use crate::support::{Door, World};

/// A hangup reads the configuration again: what is wrong is refused whole and named, and what was
/// in effect stays; what is right is in effect at once.
///
/// Proves S-5.4.2, AY-6.4.
#[test]
fn a_hangup_reads_the_configuration_again() {
    let world = World::new();
    configure(&world, "[limits]\ncalls = 7\n");
    let daemon = Foreground::start(world.command(&["daemon", "run"]));
    daemon.until("ready socket=");
    let calls = || world.view().limits.expect("set").calls;
    assert_eq!(calls(), 7);

    configure(&world, "[limits]\ncalls = 3\nloops = 4\ncolour = 1\n");
    signal(daemon.pid(), Signal::SIGHUP);
    daemon.until("configuration not taken");
    assert_eq!(calls(), 7, "all or nothing");

    configure(&world, "[limits]\ncalls = 3\n");
    signal(daemon.pid(), Signal::SIGHUP);
    let line = daemon.until("configuration read again");
    assert!(line.contains("limits.calls"), "{line}");
    assert_eq!(calls(), 3);
    assert_eq!(pid(&world), daemon.pid());
    signal(daemon.pid(), Signal::SIGTERM);
    assert!(daemon.ended().0.success());

    configure(&world, "[limits]\ncalls = \"many\"\n");
    let (status, said) = Foreground::start(world.command(&["daemon", "run"])).ended();
    assert_eq!(status.code(), Some(78), "{said}");
    assert!(said.contains("config.toml") && said.contains("limits.calls"), "{said}");
}

/// Proves X42, S-1.4.2: every section of the configuration changes something that can be seen.
#[test]
fn every_section_of_the_configuration_is_wired() {
    let world = World::new();
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound").to_string()
    };
    let agent = script(&world, "a.sh", "test $TASKD_ITERATION = 1 || sleep 1000\necho a > bad.txt");
    configure(
        &world,
        &format!(
            "[limits]\nloops = 3\n[retry]\nfirst = \"7s\"\n[run]\niterations = 4\n[plan]\nbudget = \"$3\"\n\
             [gate]\ncommand = \"sh test.sh\"\n[land]\npolicy = \"never\"\n\
             [work]\nagent = \"{agent}\"\n[agent]\nidle = \"1s\"\n[git]\npoll = \"100ms\"\n\
             [http]\nlisten = \"{address}\"\n[log]\nlevel = \"debug\"\n"
        ),
    );
    world.taskd(&["daemon", "start"]).ok();
    assert_eq!(serving::get(&address, "/healthz").0, 200, "http");
    let view = world.view();
    let limits = view.limits.expect("set");
    assert_eq!((limits.loops, limits.backoff_ms), (3, 7_000), "limits, retry");
    let file = world.aside("p.md", "---\nplan: P\n---\n\n## spec a: Work on a\n\nDo a.\n");
    world.taskd(&["plan", "submit", &file, "-q"]).ok();
    let plan = world.view().plans.into_values().next().expect("a plan");
    assert_eq!(plan.land, LandPolicy::Never, "land");
    assert_eq!(plan.budget_micros, 3_000_000, "plan");
    let row = world.row("p1.a");
    assert_eq!(row.limits.iterations, 4, "run");
    assert_eq!(row.worker.to_string(), agent, "work");
    // The first iteration is red by the gate's word; the second agent says nothing for a second.
    let gated = world.until_event("the gate's word", |it| {
        matches!(&it.event, Event::IterationEnded { n: 1, .. })
    });
    let Event::IterationEnded { verdict, summary, .. } = gated.event else { unreachable!() };
    assert!(matches!(verdict, Verdict::Red), "gate: {verdict:?} {summary}");
    world.until_event("the silent agent's end", |it| {
        let Event::EffectEnded { outcome, .. } = &it.event else { return false };
        matches!(outcome, Outcome::AgentDone { summary, .. } if summary.contains("silent"))
    });
    world.taskd(&["stop", "p1"]).ok();
    world.until_status("p1.a", &[Status::Stopped]);
    world.taskd(&["daemon", "stop"]).ok();
    let log = fs::read_to_string(world.state().join("daemon.log")).expect("the log");
    assert!(log.contains("DEBUG"), "log");
    sees_main_by_polling(&world);
}

/// With `git.poll = "100ms"` a target that moves where no watch of files sees it is seen again and
/// again; by default that takes five seconds each time.
fn sees_main_by_polling(world: &World) {
    let door = Door::new(world, "poll");
    world.taskd(&["daemon", "start", "--resume"]).ok();
    world.submit(&held(world, &door));
    door.reached();
    let first = world.git(&["rev-parse", "main"]);
    let second = world.git(&["commit-tree", "-p", "main", "-m", "moved", "main^{tree}"]);
    // A watch of a folder hears of what is done to the file there, not under its other name.
    let link = world.dir.path().join("main");
    fs::hard_link(world.repo.join(".git/refs/heads/main"), &link).expect("a loose ref");
    let mut began = None;
    for tip in [&second, &first, &second] {
        use std::io::Write as _;
        let mut file = fs::File::options().write(true).open(&link).expect("ours");
        file.write_all(format!("{tip}\n").as_bytes()).expect("written");
        world.until("main to be seen", |it| {
            it.projects.values().any(|it| it.targets["main"].tip.to_string() == *tip)
        });
        began.get_or_insert_with(std::time::Instant::now);
    }
    let took = began.expect("just set").elapsed();
    assert!(took.as_secs() < 8, "git: two more looks took {took:?}");
    world.taskd(&["stop", "p2"]).ok();
    world.taskd(&["daemon", "stop"]).ok();
}

/// Proves AY-6.4, AY-6.6, CF-2, T4.2b, T4.2c: the daemon reads its configuration again by itself when its file is
/// another, and when `config set` or `config reload` says so; what needs a restart is named, what is
/// wrong is refused whole, and what counted stays.
#[test]
fn a_changed_file_is_read_again() {
    let world = World::new();
    configure(&world, "[limits]\ncalls = 7\n");
    let daemon = Foreground::start(world.command(&["daemon", "run"]));
    daemon.until("ready socket=");
    let calls = || world.view().limits.expect("set").calls;
    configure(&world, "[limits]\ncalls = 3\n[log]\nlevel = \"debug\"\n");
    let line = daemon.until("configuration read again");
    assert!(line.contains("limits.calls") && line.contains("log.level"), "{line}");
    assert_eq!(calls(), 3);
    configure(&world, "[limits]\ncalls = 5\ncolour = 1\n");
    daemon.until("configuration not taken");
    assert_eq!(calls(), 3, "all or nothing");
    let refused = world.taskd(&["config", "reload"]).fails(78);
    assert!(refused.contains("config.toml:3:1: unknown key `colour`"), "{refused}");

    configure(&world, "[limits]\ncalls = 3\n");
    daemon.until("configuration read again");
    let set = world.taskd(&["config", "set", "limits.calls", "4"]);
    assert!(set.err.contains("in effect now: limits.calls"), "{} {}", set.code, set.err);
    assert_eq!(calls(), 4);
    let set = world.taskd(&["config", "set", "http.listen", "127.0.0.1:0"]);
    assert!(set.err.contains("after `taskd daemon restart`: http.listen"), "{}", set.err);
    signal(daemon.pid(), Signal::SIGTERM);
    assert!(daemon.ended().0.success());
}

/// A way to save this text as the configuration; the number is another each time.
type Way<'a> = &'a dyn Fn(u32, &str);

/// Proves AY-6.3: however an editor saves, the daemon has it.
#[test]
fn every_way_of_saving_is_noticed() {
    let world = World::new();
    configure(&world, "[limits]\ncalls = 100\n");
    let dir = world.dir.path().join("home/.config/taskd");
    let file = dir.join("config.toml");
    let daemon = Foreground::start(world.command(&["daemon", "run"]));
    daemon.until("ready socket=");
    let link = |n: u32, text: &str| {
        let real = world.dir.path().join(format!("real-{n}.toml"));
        fs::write(&real, text).expect("ours");
        std::os::unix::fs::symlink(&real, dir.join("next")).expect("ours");
        fs::rename(dir.join("next"), &file).expect("ours");
    };
    let ways: [Way<'_>; 5] = [
        &|_, text| fs::write(&file, text).expect("ours"),
        &|_, text| {
            fs::write(dir.join("next"), text).expect("ours");
            fs::rename(dir.join("next"), &file).expect("ours");
        },
        &link,
        &|_, text| {
            fs::remove_file(&file).expect("ours");
            fs::write(&file, text).expect("ours");
        },
        &|n, text| {
            let next = dir.with_extension("next");
            fs::create_dir(&next).expect("ours");
            fs::write(next.join("config.toml"), text).expect("ours");
            fs::rename(&dir, dir.with_extension(format!("old-{n}"))).expect("ours");
            fs::rename(next, &dir).expect("ours");
        },
    ];
    for n in 1..=15 {
        let way = ways[usize::try_from(n).expect("few") % ways.len()];
        way(n, &format!("[limits]\ncalls = {n}\n"));
        while world.view().limits.expect("set").calls != n {
            daemon.until("configuration read again");
        }
    }
    signal(daemon.pid(), Signal::SIGTERM);
    assert!(daemon.ended().0.success());
}

/// Projects' own files count too, and cannot speak for the daemon.
#[test]
fn a_project_says_what_is_its_own_business() {
    let mut world = World::new();
    let door = Door::new(&world, "a");
    world.write(".taskd/config.toml", "[run]\niterations = 2\n");
    world.start();
    world.submit(&held(&world, &door));
    assert_eq!(world.row("p1.a").limits.iterations, 2);
    door.reached();
    world.write(".taskd/config.toml", "[limits]\ncalls = 999\n");
    let file = world.aside("q.md", &plan("Q", "", &[("q", "agent: true".to_owned())]));
    let said = world.taskd(&["plan", "submit", &file, "-q"]).fails(78);
    assert!(said.contains("limits.calls"), "{said}");
    world.taskd(&["stop", "p1"]).ok();
}

/// Proves AY-6.5: read again a hundred times while a dozen loops work, each time as another one,
/// configuration is in the log whole each time, in order, and each loop keeps what its plan began
/// with.
#[test]
fn a_storm_of_reloads_tears_nothing() {
    let world = World::new();
    let whole = |n: u32| {
        let limits = format!("loops = 20\nagents = 20\ncalls = {n}\nturns = {n}\nburst = {n}");
        let file = world.dir.path().join("home/.config/taskd/config.toml");
        let next = file.with_extension("next");
        fs::write(&next, format!("[limits]\n{limits}\n[run]\niterations = {n}\n")).expect("ours");
        fs::rename(next, file).expect("ours");
    };
    configure(&world, "");
    whole(7);
    let door = Door::new(&world, "all");
    let agent = script(&world, "a.sh", &format!("{}\necho x > $TASKD_LOOP.txt", door.sh()));
    world.taskd(&["daemon", "start"]).ok();
    let names: Vec<String> = (0..12).map(|it| format!("s{it}")).collect();
    let specs: Vec<_> = names.iter().map(|it| (it.as_str(), format!("agent: {agent}"))).collect();
    world.submit(&plan("Storm", "", &specs));
    names.iter().for_each(|_| door.reached());
    let client = world.client();
    for n in 1..=100 {
        whole(n);
        let read = client.reload(taskd_api::v1::ReloadRequest {});
        world.runtime.block_on(read).expect("it is right");
        if n % 8 == 0 {
            door.open();
        }
    }
    let view =
        world.until("all to be over", |it| it.plans.values().all(|it| it.ended_at.is_some()));
    for row in view.loops.values() {
        assert_eq!((row.status, row.limits.iterations), (Status::Complete, 7), "{}", row.name);
    }
    let limits = |it: &taskd_model::Record| {
        let Event::LimitsSet { limits } = &it.event else { return None };
        assert_eq!([limits.calls, limits.turns], [limits.request_burst; 2], "torn at {}", it.seq);
        Some(limits.calls)
    };
    let set: Vec<u32> = world.events().iter().filter_map(limits).collect();
    assert_eq!(set, std::iter::once(7).chain(1..=100).collect::<Vec<_>>());
}
