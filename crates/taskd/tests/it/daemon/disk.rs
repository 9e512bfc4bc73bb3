//! A disk with little room and with none: what starts, what rests, and what goes on when there is
//! room again.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use nix::sys::signal::Signal;
use taskd_model::{Event, Outcome, Record, Room, Seq};

use super::signal;
use crate::{
    landing::{agent, plan, until_landed},
    support::{Door, World},
};

/// A file system of a few megabytes that holds the state directory, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    /// Says so and returns nothing where nothing can be mounted.
    fn mount(world: &mut World, megabytes: u32) -> Option<Self> {
        let dir = world.dir.path().join("small");
        fs::create_dir_all(&dir).expect("ours");
        let size = format!("size={megabytes}m,mode=700");
        let dir_name = dir.to_str().expect("UTF-8");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "taskd-test", dir_name])
            .output()
            .is_ok_and(|it| it.status.success());
        if !mounted {
            writeln!(std::io::stdout(), "NOT RUN mount").ok();
            return None;
        }
        let state = dir.join("state").to_str().expect("UTF-8").to_owned();
        world.env.insert("TASKD_STATE_DIR".to_owned(), state);
        Some(Self(dir))
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was there");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").args(["-l", self.0.to_str().expect("UTF-8")]).output().ok();
    }
}

pub(crate) fn free_bytes(path: &Path) -> u64 {
    let stat = nix::sys::statvfs::statvfs(path).expect("there");
    stat.blocks_available() * stat.fragment_size()
}

/// The person sets `disk.*` and has the daemon read it.
#[track_caller]
pub(crate) fn set_disk(world: &World, text: &str) {
    super::configure(world, &format!("[disk]\n{text}\n"));
    let pid = world.daemon.as_ref().expect("it runs").id();
    signal(pid, Signal::SIGHUP);
}

#[track_caller]
pub(crate) fn until_room(world: &World, room: Room) {
    world.until(&format!("the disk to be {room:?}"), |view| view.disk.room == room);
}

/// Where the log says that the room became this, last.
#[track_caller]
fn became(log: &[Record], room: Room) -> Seq {
    let is = |it: &&Record| matches!(&it.event, Event::DiskChanged { disk } if disk.room == room);
    log.iter().rev().find(is).unwrap_or_else(|| panic!("never {room:?}")).seq
}

/// What started between two places of the log.
fn started(log: &[Record], from: Seq, to: Seq) -> Vec<String> {
    let between = log.iter().filter(|it| from < it.seq && it.seq < to);
    let starts = between.filter(|it| matches!(it.event, Event::EffectStarted { .. }));
    starts.map(ToString::to_string).collect()
}

/// Proves P-5: with less room than the floor no new loop starts and `ls`, `why` and `doctor` say so
/// with figures, while what works goes on to its end and lands; with room again the rest starts by
/// itself.
#[test]
fn below_the_floor_nothing_new_starts() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let body = format!("echo x > $TASKD_LOOP.txt\ncase $TASKD_LOOP in p1.*) {} ;; esac", door.sh());
    let run = agent(&world, "agent.sh", &body);
    world.start();
    let head = format!("agent: {run}\nland: on-gate");
    world.submit(&plan(&head, &[("works", "")]));
    door.reached();
    // Half of it is the floor's quarter: what is left is low, not gone.
    let floor = (free_bytes(world.dir.path()) * 2) >> 20;
    set_disk(&world, &format!("floor = '{floor}MB'"));
    until_room(&world, Room::Low);
    world.submit(&plan(&head, &[("new", "")]));
    let why = world.taskd(&["why", "p2.new"]).ok();
    assert!(why.contains(" for the disk: ") && why.contains(" free at /"), "{why}");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("DISK: ") && ls.contains("nothing new starts until it is"), "{ls}");
    let doctor = world.taskd(&["doctor"]).out;
    assert!(doctor.contains("nothing new starts until it is"), "{doctor}");
    door.open();
    until_landed(&world, "p1.works");
    assert_eq!(world.row("p2.new").started_at, None);
    set_disk(&world, "floor = '1MB'");
    until_landed(&world, "p2.new");
    let log = world.events();
    let (low, enough) = (became(&log, Room::Low), became(&log, Room::Enough));
    let of_new = started(&log, low, enough).into_iter().filter(|it| it.contains("p2"));
    assert_eq!(of_new.collect::<Vec<_>>(), Vec::<String>::new());
}

/// Proves P-5: what worktrees and the log take counts against a quota: over it nothing new starts,
/// and the figures say why.
#[test]
fn over_the_quota_nothing_new_starts() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > x.txt");
    super::configure(&world, "[disk]\nquota = '100kB'\nfloor = '1MB'");
    world.start();
    until_room(&world, Room::Low);
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    let why = world.taskd(&["why", "p1.one"]).ok();
    assert!(why.contains("of the quota of 100 kB are used"), "{why}");
    set_disk(&world, "quota = '0'\nfloor = '1MB'");
    until_landed(&world, "p1.one");
    // Figures that come later count at once.
    set_disk(&world, "quota = '90kB'\nfloor = '1MB'");
    until_room(&world, Room::Low);
}

/// Proves F5: the file system of the state directory is filled to its last byte while a model's
/// loop and an agent work: both rest at their next safe point with the reason, nothing of them
/// starts and no model is called until there is room; then they go on by themselves, no iteration is
/// lost to it, and both land.
#[test]
fn a_full_disk_parks_work_and_room_brings_it_back() {
    let mut world = World::new();
    let Some(small) = Small::mount(&mut world, 128) else { return };
    super::configure(&world, "[disk]\nfloor = '16MB'");
    let doors = [Door::new(&world, "agent"), Door::new(&world, "model")];
    let mark = world.dir.path().join("was-there");
    let (mark, stand) = (mark.display(), doors[0].sh());
    let body = format!("if ! [ -f {mark} ]; then : > {mark}; {stand}; fi\necho a > a1.txt");
    let run = agent(&world, "agent.sh", &body);
    let waits = world.aside("waits.sh", &doors[1].sh());
    let turns = format!(
        "[{{tools: [{{run: {{command: 'sh {waits}'}}}}]}}, \
          {{tools: [{{write: {{path: m.txt, content: m}}}}, {{finish: {{summary: x}}}}]}}]"
    );
    let script = world.aside("m.yaml", &format!("loops: {{m: [{{turns: {turns}}}]}}\n"));
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("a", "")]));
    world.submit(&plan(&format!("model: scripted:{script}\nland: on-gate"), &[("m", "")]));
    doors.iter().for_each(Door::reached);
    small.fill();
    until_room(&world, Room::Full);
    let full = became(&world.events(), Room::Full);
    doors.iter().for_each(Door::open);
    let rests = |name: &str| {
        let what = format!("{name} to rest");
        world.until(&what, |view| {
            let it = view.loops.values().find(|it| it.name == name).expect("there");
            it.effects.is_empty()
        });
        let why = world.taskd(&["why", name]).ok();
        assert!(why.contains(" for the disk: "), "{why}");
        assert!(why.contains("everything rests"), "{why}");
    };
    rests("p1.a");
    rests("p2.m");
    small.free();
    until_landed(&world, "p1.a");
    until_landed(&world, "p2.m");
    let log = world.events();
    let enough = became(&log, Room::Enough);
    assert_eq!(started(&log, full, enough), Vec::<String>::new(), "nothing starts without room");
    let failed = |it: &&Record| {
        let Event::EffectEnded { outcome, .. } = &it.event else { return false };
        outcome.is_disk_full() || matches!(outcome, Outcome::AgentDone { exit: 1.., .. })
    };
    assert!(log.iter().filter(failed).count() <= 2, "{}", world.transcript());
    for name in ["p1.a", "p2.m"] {
        assert_eq!(world.row(name).iterations.len(), 1, "{name}: {}", world.transcript());
        assert!(!world.statuses(name).iter().any(|it| it.contains("blocked")));
    }
    assert_eq!(world.git(&["show", "main:a1.txt"]), "a");
    world.stop();
}
