//! A target that follows a remote: a bare repository on disk, and a colleague who pushes to it.

use std::{
    fs,
    io::Read as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use taskd_model::{Event, Status};

use super::{
    Foreground, held, script,
    serving::{get, http, metric},
    signal, within,
};
use crate::{
    landing::{plan, until_landed, until_main_is},
    support::{Door, World},
};

/// A remote, and a clone of it that is somebody else's.
struct Colleague {
    bare: PathBuf,
    clone: PathBuf,
}

impl Colleague {
    /// Makes a bare repository with the person's branches, and gives it a name in theirs.
    fn new(world: &World, remote: &str) -> Self {
        let place = |what: &str| world.dir.path().join(format!("{remote}-{what}"));
        let (bare, clone) = (place("bare.git"), place("clone"));
        let (to, from) = (bare.to_str().expect("UTF-8"), clone.to_str().expect("UTF-8"));
        world.git(&["init", "-q", "--bare", "-b", "main", to]);
        world.git(&["push", "-q", to, "refs/heads/*:refs/heads/*"]);
        world.git(&["remote", "add", remote, to]);
        world.git(&["clone", "-q", to, from]);
        Self { bare, clone }
    }

    /// Commits a file on a branch of the remote, and returns the commit.
    #[track_caller]
    fn pushes(&self, world: &World, branch: &str, file: &str, text: &str) -> String {
        let clone = self.clone.to_str().expect("UTF-8");
        let git = |args: &[&str]| {
            let who = ["-c", "user.name=Cole", "-c", "user.email=cole@example.org", "-C", clone];
            world.git(&[&who, args].concat())
        };
        git(&["checkout", "-q", branch]);
        fs::write(self.clone.join(file), text).expect("writable");
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", &format!("colleague: {file}")]);
        git(&["push", "-q", "origin", branch]);
        git(&["rev-parse", "HEAD"])
    }
}

/// Lets targets follow this remote, fetched this often.
fn follow(world: &mut World, remote: &str, every: &str) {
    world.env.insert("TASKD_GIT__REMOTE".to_owned(), remote.to_owned());
    world.env.insert("TASKD_GIT__FETCH".to_owned(), every.to_owned());
}

fn refs_of_remotes(world: &World) -> String {
    world.git(&["for-each-ref", "--format=%(refname)", "refs/remotes"])
}

const FAILURES: &str = "taskd_fetch_failures{project=\"1\",target=\"main\"}";
const APART: &str = "taskd_target_apart{project=\"1\",target=\"main\"}";

/// Proves T1.4a: each push to the remote's main is one move with old and new tip, seen within the
/// interval and a second; every loop at work is brought onto it, and a clean checkout follows.
#[test]
fn a_push_to_the_remote_is_one_move_of_main() {
    let mut world = World::new();
    let colleague = Colleague::new(&world, "origin");
    follow(&mut world, "origin", "2s");
    let names = ["a", "b"];
    let doors = names.map(|it| Door::new(&world, it));
    let agents = [0, 1].map(|n| {
        let body = format!(
            "if [ $TASKD_ITERATION = 1 ]; then {}; echo > bad.txt\n\
             else rm bad.txt; cp two.txt {}.txt; fi",
            doors[n].sh(),
            names[n]
        );
        format!("agent: {}", script(&world, &format!("{}.sh", names[n]), &body))
    });
    world.start();
    world.submit(&plan("land: never", &[("a", &agents[0]), ("b", &agents[1])]));
    doors.iter().for_each(Door::reached);

    let old = world.git(&["rev-parse", "main"]);
    let seen = |tip: &str| {
        let since = Instant::now();
        world.until_event(
            "main to have moved",
            |it| matches!(&it.event, Event::MainMoved { to, .. } if to.to_string() == tip),
        );
        since.elapsed()
    };
    let first = colleague.pushes(&world, "main", "one.txt", "1\n");
    let took = seen(&first);
    assert!(took < Duration::from_secs(3), "seen after {took:?}");
    let second = colleague.pushes(&world, "main", "two.txt", "2\n");
    let took = seen(&second);
    assert!(took < Duration::from_secs(3), "seen after {took:?}");
    doors.iter().for_each(Door::open);
    for name in ["p1.a", "p1.b"] {
        let it = world.until_status(name, &[Status::Complete, Status::Blocked, Status::Failed]);
        assert_eq!(it.status, Status::Complete, "{:?}\n{}", it.reason, world.transcript());
        let statuses = world.statuses(name);
        let told = statuses.iter().filter(|it| it.ends_with("-> rebasing")).count();
        assert!(1 <= told, "{statuses:?}");
    }

    let moves: Vec<_> = world
        .events()
        .into_iter()
        .filter_map(|it| {
            let Event::MainMoved { target, from, to, commits, rewritten } = it.event else {
                return None;
            };
            let from = from.expect("known").to_string();
            Some((target, from, to.to_string(), commits, rewritten))
        })
        .collect();
    let main = || "main".to_owned();
    let expected = [(main(), old, first.clone(), 1, false), (main(), first, second, 1, false)];
    assert_eq!(moves, expected);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert!(world.repo.join("two.txt").exists(), "the checkout has followed");
}

/// Proves T1.4d: a remote that is away is tried less and less often and told of, in the log, by
/// `doctor` and as a metric; work goes on, and when the remote is back all that is over.
#[test]
fn a_remote_that_is_away_is_told_of_and_comes_back() {
    let mut world = World::new();
    let colleague = Colleague::new(&world, "origin");
    follow(&mut world, "origin", "100ms");
    let door = Door::new(&world, "a");
    let daemon = Foreground::start(world.command(&["daemon", "run", "--http", "127.0.0.1:0"]));
    daemon.until("ready socket=");
    world.submit(&held(&world, &door));
    door.reached();
    let away = world.dir.path().join("away.git");
    fs::rename(&colleague.bare, &away).expect("ours");
    for told in ["once, every 200ms", "2 times, every 400ms", "3 times, every 800ms", "4 times"] {
        daemon.until(&format!("fetching main failed {told}"));
    }
    let line = daemon.until("fetching main failed 5 times");
    assert!(line.contains("fatal:") && line.contains("WARN"), "{line}");
    let said = world.taskd(&["doctor"]).out;
    assert!(said.contains("warning  remote") && said.contains("main failed"), "{said}");
    assert!(said.contains("try `git fetch` there"), "{said}");
    let address = http(&world);
    assert!(5 <= metric(&get(&address, "/metrics").1, FAILURES));
    assert!(world.taskd(&["ls"]).ok().contains("p1.a"));

    fs::rename(&away, &colleague.bare).expect("ours");
    daemon.until("main is fetched again");
    let tip = colleague.pushes(&world, "main", "one.txt", "1\n");
    until_main_is(&world, &tip);
    let said = world.taskd(&["doctor"]).out;
    assert!(said.contains("main follows origin") && !said.contains("main failed"), "{said}");
    assert_eq!(metric(&get(&address, "/metrics").1, FAILURES), 0);
    door.open();
    until_landed(&world, "p1.a");
    assert_eq!(world.git(&["rev-parse", "main^"]), tip);
    signal(daemon.pid(), Signal::SIGTERM);
    assert!(daemon.ended().0.success());
}

/// Proves T1.4e: branch, remote and interval are the person's to choose; other branches and other
/// remotes are not fetched, nor are tags, and no hook runs.
#[test]
fn branch_remote_and_interval_are_chosen() {
    let mut world = World::new();
    world.git(&["branch", "dev"]);
    let other = Colleague::new(&world, "origin");
    let colleague = Colleague::new(&world, "upstream");
    other.pushes(&world, "dev", "other.txt", "x\n");
    world.write(".taskd/config.toml", "[git]\nremote = \"upstream\"\nfetch = \"100ms\"\n");
    let hook = script(&world, "hook.sh", "touch \"$(dirname $0)/ran\"");
    fs::copy(hook, world.repo.join(".git/hooks/reference-transaction")).expect("ours");
    let door = Door::new(&world, "a");
    let agent = script(&world, "a.sh", &format!("{}\necho b > b.txt", door.sh()));
    world.start();
    let file = plan("land: never\ntarget: dev", &[("a", &format!("agent: {agent}"))]);
    world.submit(&file);
    door.reached();
    // By default it would be fetched again after a minute.
    let since = Instant::now();
    for n in 1..3 {
        let tip = colleague.pushes(&world, "dev", &format!("{n}.txt"), "x\n");
        world.until("dev to have moved", |view| {
            view.projects.values().any(|it| it.targets["dev"].tip.to_string() == tip)
        });
    }
    assert!(since.elapsed() < Duration::from_secs(30));
    assert_eq!(refs_of_remotes(&world), "refs/remotes/upstream/dev");
    assert!(!world.repo.join(".git/FETCH_HEAD").exists());
    assert!(!world.repo.join(".git/hooks/ran").exists(), "a hook of the person's ran");
    door.open();
    world.until_status("p1.a", &[Status::Complete]);
}

/// A remote that nobody named is left alone.
#[test]
fn nothing_is_fetched_unless_a_remote_is_named() {
    let mut world = World::new();
    let colleague = Colleague::new(&world, "origin");
    colleague.pushes(&world, "main", "one.txt", "1\n");
    let agent = script(&world, "a.sh", "echo b > b.txt");
    world.start();
    world.submit(&plan("land: on-gate", &[("a", &format!("agent: {agent}"))]));
    until_landed(&world, "p1.a");
    assert_eq!(refs_of_remotes(&world), "");
}

/// A checkout with changes keeps its target where it is, and so do commits the remote has not; a
/// person is told, and the first of both mends itself.
#[test]
fn what_cannot_follow_is_told_and_left_alone() {
    let mut world = World::new();
    let colleague = Colleague::new(&world, "origin");
    follow(&mut world, "origin", "100ms");
    let door = Door::new(&world, "a");
    let daemon = Foreground::start(world.command(&["daemon", "run", "--http", "127.0.0.1:0"]));
    daemon.until("ready socket=");
    world.submit(&held(&world, &door));
    door.reached();
    let old = world.git(&["rev-parse", "main"]);
    world.write("a.txt", "mine\n");
    let tip = colleague.pushes(&world, "main", "a.txt", "theirs\n");
    daemon.until("main cannot follow origin: a.txt changed in your checkout");
    assert_eq!(world.git(&["rev-parse", "main"]), old);
    assert_eq!(fs::read_to_string(world.repo.join("a.txt")).expect("there"), "mine\n");
    world.git(&["checkout", "-q", "a.txt"]);
    until_main_is(&world, &tip);
    assert_eq!(fs::read_to_string(world.repo.join("a.txt")).expect("there"), "theirs\n");

    world.write("mine.txt", "mine\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "mine"]);
    let mine = world.git(&["rev-parse", "main"]);
    colleague.pushes(&world, "main", "one.txt", "1\n");
    daemon.until("main and origin/main both have commits the other has not");
    assert_eq!(world.git(&["rev-parse", "main"]), mine);
    assert_eq!(metric(&get(&http(&world), "/metrics").1, APART), 1);
    let said = world.taskd(&["doctor"]).out;
    assert!(said.contains("warning  remote") && said.contains("merge or rebase"), "{said}");
    let bare = colleague.bare.to_str().expect("UTF-8");
    world.git(&["pull", "-q", "--rebase", bare, "main"]);
    world.git(&["push", "-q", bare, "main"]);
    until_main_is(&world, &world.git(&["rev-parse", "main"]));
    door.open();
    until_landed(&world, "p1.a");
    signal(daemon.pid(), Signal::SIGTERM);
    assert!(daemon.ended().0.success());
}

/// A fetch that hangs holds up neither the work nor the end of the daemon, and ends with it.
#[test]
fn a_fetch_that_hangs_holds_up_nothing() {
    let mut world = World::new();
    let _colleague = Colleague::new(&world, "origin");
    follow(&mut world, "origin", "100ms");
    let hung = world.dir.path().join("hung");
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
    nix::unistd::mkfifo(&hung, mode).expect("a pipe can be made");
    let body = format!("exec 3> {}\nexec sleep 1000", hung.display());
    let program = script(&world, "hangs.sh", &body);
    world.git(&["config", "remote.origin.uploadpack", &program]);
    let (first, second) = (Door::new(&world, "first"), Door::new(&world, "second"));
    let [a, b] = [("a.sh", &first), ("b.sh", &second)].map(|(name, door)| {
        let body = format!("{}\necho x > $TASKD_LOOP.txt", door.sh());
        format!("agent: {}", script(&world, name, &body))
    });
    let daemon = Foreground::start(world.command(&["daemon", "run"]));
    daemon.until("ready socket=");
    world.submit(&plan("land: never", &[("a", &a), ("b", &b)]));
    let mut hanging = within("the fetch", move || fs::File::open(hung).expect("a pipe"));
    first.reached();
    second.reached();
    first.open();
    world.until_status("p1.a", &[Status::Complete]);
    signal(daemon.pid(), Signal::SIGTERM);
    assert!(daemon.ended().0.success());
    let left = within("the fetch to end", move || {
        let mut left = String::new();
        hanging.read_to_string(&mut left).map(|_| left)
    });
    assert_eq!(left.expect("readable"), "");
}
