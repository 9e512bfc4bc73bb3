//! What it costs to run an external agent under taskd, beside the same program run bare.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};
use taskd_api::{Client, v1};
use taskd_model::{EffectId, EffectKind, Event, Status, View, Work};

use crate::{
    Sizes,
    stats::{median, ms},
    tell,
    world::{self, World, until},
};

/// What an agent does here: it reads its prompt, takes its time, and leaves something that is
/// different each time.
const WORKS: &str = "#!/bin/sh\ncat >/dev/null\nsleep 0.2\ndate +%N >b.txt\n";
/// One that stays until it is ended.
const STAYS: &str = "#!/bin/sh\ncat >/dev/null\necho up >up\nexec sleep 1000\n";

/// Wall time and processor time that one run has beside the program's own, and what a running one
/// adds to memory.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    let runs = sizes.samples.min(40);
    for _ in 0..sizes.runs {
        let place = tempfile::tempdir().expect("a temp dir");
        let works = program(place.path(), "works", WORKS);
        let (wall, cpu) = bare(&works, place.path(), runs);
        tell("agents.bare.wall", wall);
        tell("agents.bare.cpu", cpu);
        let (under, all) = runtime.block_on(under_taskd(&works, runs));
        tell("agents.wall", under - wall);
        tell("agents.cpu", all - cpu);
        let stays = program(place.path(), "stays", STAYS);
        let few = bare_memory(&stays, place.path(), 8);
        runtime.block_on(async {
            let (before, with, adds) = memory(&stays, sizes.loops(40)).await;
            tell("agents.memory.each", (with - before - adds) / f64::from(sizes.loops(40)));
            let (_, with, _) = memory(&stays, 8).await;
            tell("agents.memory.eight", with - few);
        });
    }
}

fn program(dir: &Path, name: &str, script: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, script).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path
}

/// Milliseconds of wall and of processor time of one run, nobody around it.
fn bare(program: &Path, dir: &Path, runs: u32) -> (f64, f64) {
    let cpu = children_ms();
    let mut walls: Vec<Duration> = (0..runs)
        .map(|_| {
            let began = Instant::now();
            let mut command = Command::new(program);
            command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null());
            assert!(command.status().expect("it runs").success());
            began.elapsed()
        })
        .collect();
    (ms(median(&mut walls)), (children_ms() - cpu) / f64::from(runs))
}

/// Processor time of our children that are gone, in milliseconds.
fn children_ms() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("ours");
    let of = |it: TimeVal| it.tv_sec() as f64 * 1e3 + it.tv_usec() as f64 / 1e3;
    of(usage.user_time()) + of(usage.system_time())
}

/// The same of one run under taskd: the wall time of the run alone, and the processor time of the
/// whole iteration around it, with its prompt, its checkpoint and a gate that is one `test`.
async fn under_taskd(program: &Path, runs: u32) -> (f64, f64) {
    let mut world = World::new();
    let client = world.start().await;
    let plan = format!(
        "---\nplan: Runs\nagent: {}\ngate: test ! -e b.txt\nland: never\nlimits: {{iterations: {runs}}}\n---\n\n\
         ## spec a: A\n\nDo it.\n",
        program.display()
    );
    submit(&world, &client, plan).await;
    until(&client, "the first iteration", |view| 0 < iterations(view)).await;
    let (before, cpu) = (iterations(&view(&client).await), tree_ms(world.pid()));
    until(&client, "every iteration", |view| view.loops.values().all(|it| it.status.is_over()))
        .await;
    let cpu = tree_ms(world.pid()) - cpu;
    let all = iterations(&view(&client).await) - before;
    (walls(&client).await, cpu / f64::from(all))
}

fn iterations(view: &View) -> u32 {
    view.loops.values().map(|it| it.iteration).sum()
}

async fn view(client: &Client) -> View {
    client.view("").await.expect("the daemon answers")
}

/// The median of the runs' times between the events of their beginning and their end.
async fn walls(client: &Client) -> f64 {
    let mut events = client.events(v1::EventsRequest::default()).await.expect("the log");
    let mut begun = BTreeMap::new();
    let mut walls = Vec::new();
    while let Some(it) = events.next().await.expect("the log") {
        let it = it.record().expect("readable").expect("an event of ours");
        if let Event::EffectStarted { work: Work::Agent { .. }, .. } = &it.event {
            begun.insert(EffectId(it.seq), it.at);
        } else if let Event::EffectEnded { effect, .. } = &it.event {
            let at = begun.remove(effect);
            walls.extend(at.map(|at| Duration::from_millis(it.at.ms_since(at))));
        }
    }
    ms(median(&mut walls))
}

/// Processor time of a process and of its children that are gone, in milliseconds.
fn tree_ms(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let (_, rest) = text.rsplit_once(')').expect("a name in brackets");
    let fields = rest.split_whitespace().skip(11).take(4);
    let ticks: u64 = fields.map(|it| it.parse::<u64>().expect("a number")).sum();
    ticks as f64 * 1e3 / crate::footprint::ticks_a_second()
}

/// Megabytes: the daemon alone; it with everything while so many agents run; the agents' own.
async fn memory(program: &Path, agents: u32) -> (f64, f64, f64) {
    let mut world = World::with("[limits]\nloops = 100\nagents = 100\n");
    let client = world.start().await;
    let mut plan =
        format!("---\nplan: Many\nagent: {}\ngate: 'true'\nland: never\n---\n", program.display());
    (0..agents).for_each(|n| plan += &format!("\n## spec s{n}: S{n}\n\nDo it.\n"));
    let before = share_mb(world.pid());
    submit(&world, &client, plan).await;
    until(&client, "every agent at work", |view| {
        let at_work = view.effects.values().filter(|it| it.kind == EffectKind::Agent);
        at_work.count() == agents as usize
    })
    .await;
    // Their programs are up a moment after their events.
    let own = |pid: &u32| name_of(*pid) == "sleep";
    while descendants(world.pid()).iter().filter(|it| own(it)).count() < agents as usize {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let all = descendants(world.pid());
    let theirs = all.iter().filter(|it| own(it)).map(|it| share_mb(*it)).sum();
    let with = share_mb(world.pid()) + all.iter().map(|it| share_mb(*it)).sum::<f64>();
    (before, with, theirs)
}

/// Megabytes of so many of these programs with nobody around them.
fn bare_memory(program: &Path, dir: &Path, runs: u32) -> f64 {
    let mut children: Vec<Child> = (0..runs)
        .map(|_| {
            let mut command = Command::new(program);
            command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null());
            command.spawn().expect("it runs")
        })
        .collect();
    while children.iter().any(|it| name_of(it.id()) != "sleep") {
        std::thread::sleep(Duration::from_millis(10));
    }
    let all = children.iter().map(|it| share_mb(it.id())).sum();
    for child in &mut children {
        child.kill().expect("ours");
        child.wait().expect("gone");
    }
    all
}

fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// What a process has of memory, its share of what it shares, in megabytes; 0 if it is gone.
fn share_mb(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|it| it.strip_prefix("Pss:"));
    let kb = line.and_then(|it| it.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kb.unwrap_or_default() * 1_024.0 / 1e6
}

/// Everything below a process.
fn descendants(pid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        let new: Vec<u32> =
            crate::footprint::children(parent).into_iter().filter(|it| found.insert(*it)).collect();
        open.extend(new);
    }
    found
}

async fn submit(world: &World, client: &Client, text: String) {
    let request = v1::SubmitRequest {
        source: Some(v1::submit_request::Source::Document(text)),
        file_name: "agents.md".to_owned(),
        repository: world.scope().to_owned(),
        environment: [("PATH".to_owned(), std::env::var("PATH").expect("PATH is set"))].into(),
        ..v1::SubmitRequest::default()
    };
    let answer = client.submit(request).await.expect("the plan is taken");
    assert!(answer.plan.is_some(), "{:?}", answer.problems);
    let running = |view: &View| view.loops.values().any(|it| it.status == Status::Running);
    until(client, "the plan to begin", running).await;
}
