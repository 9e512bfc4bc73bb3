//! Stories of programs that try to outlive us.
//!
//! This binary plays three parts: the tests, `supervise` (the supervisor process), and `daemon` (a
//! stand-in that is killed). The proof that descendants are gone is never a look at a process list:
//! every script opens a fifo that all its descendants inherit, and the fifo's reader sees the end
//! of it only when the last of them is dead.
#![allow(clippy::print_stdout, reason = "this is its own test harness")]
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, mkfifo};
use taskd_tools::supervise::{
    Finished, How, Ladder, Launcher, Past, ProcessIdentity, Running, Spec, Stdin, Stream,
    supervisor_main,
};
use tempfile::TempDir;

const TESTS: &[(&str, fn())] = &[
    ("a_timeout_leaves_nothing", a_timeout_leaves_nothing),
    ("what_forks_twice_and_leaves_the_session_is_found", forks_twice),
    ("what_ignores_int_and_term_is_killed", ignores_int_and_term),
    ("the_ladder_has_three_rungs", three_rungs),
    ("what_keeps_forking_is_ended", keeps_forking),
    ("asking_twice_is_asking_once", asking_twice),
    ("a_dropped_program_is_killed", dropped),
    ("nothing_outlives_a_killed_daemon", killed_daemon),
    ("a_recorded_supervisor_is_ended_only_if_it_is_the_same", recorded),
    ("a_killed_supervisor_is_a_lost_program", killed_supervisor),
    ("a_hundred_timeouts_leave_no_zombie", hundred_timeouts),
    ("a_program_that_reads_sees_the_end_of_its_stdin", stdin_ends),
    ("a_program_reads_the_given_file", stdin_file),
    ("a_program_reads_what_it_is_told_while_it_runs", stdin_piped),
    ("a_flood_on_one_line_costs_no_memory", flood),
    ("what_cannot_be_started_is_named", not_started),
    ("silence_is_idleness_and_output_is_not", idleness),
    ("the_environment_is_exactly_what_was_given", exact_environment),
    ("the_program_gets_default_signals", default_signals),
    ("exit_codes_and_signals_are_told_apart", exits),
    ("what_is_killed_before_it_began_is_ended", killed_at_once),
    ("nothing_stays_in_the_run_directory", run_directory_is_clean),
];

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let first = args.next();
    match first.as_deref().and_then(|it| it.to_str()) {
        Some("supervise") => supervisor_main(args),
        Some("daemon") => daemon_stand_in(&args.map(PathBuf::from).collect::<Vec<_>>()),
        Some("--list") => list_tests(),
        Some(filter) if !filter.starts_with('-') => run_tests(filter),
        Some(_) | None => run_tests(""),
    }
}

fn list_tests() -> ExitCode {
    TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
    ExitCode::SUCCESS
}

fn run_tests(filter: &str) -> ExitCode {
    let mut failed = 0;
    for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(filter)) {
        let began = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(test)).is_ok();
        failed += u32::from(!passed);
        println!(
            "test {name} ... {} ({:?})",
            if passed { "ok" } else { "FAILED" },
            began.elapsed()
        );
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Proves E4: a command over its time is ended with what it started within 2 s.
fn a_timeout_leaves_nothing() {
    let story = Story::new();
    let spec = Spec { timeout: Some(secs(1)), ..story.sh("sleep 1000 & sleep 1000") };
    let finished = story.run(&spec);
    assert_eq!(finished.how, How::TimedOut);
    assert!(finished.wall < secs(3), "{:?}", finished.wall);
    assert_eq!(finished.survivors, 0);
    story.everyone_is_gone_within(secs(2));
}

fn forks_twice() {
    let story = Story::new();
    let escape = "setsid sh -c 'setsid sleep 1000 & setsid sleep 1000 &'; echo left";
    let finished = story.run(&story.sh(escape));
    assert_eq!(finished.how, How::Exited(0));
    assert_eq!(finished.output.text(), "left\n");
    assert_eq!(finished.leftovers, 2);
    assert!(finished.wall < secs(2), "{:?}", finished.wall);
    story.everyone_is_gone_within(secs(1));

    // The same while the program lives, with descendants that listen to nothing but KILL.
    let story = Story::new();
    let deaf = r#"(setsid sh -c 'trap "" INT TERM HUP; sleep 1000 & sleep 1000' &); sleep 1000"#;
    let spec = Spec { timeout: Some(secs(1)), ..story.sh(deaf) };
    assert_eq!(story.run(&spec).how, How::TimedOut);
    story.everyone_is_gone_within(secs(1));
}

fn ignores_int_and_term() {
    let story = Story::new();
    let spec = Spec {
        timeout: Some(millis(200)),
        ladder: Ladder { int: millis(100), term: millis(100) },
        ..story.sh("trap '' INT TERM HUP QUIT USR1; while :; do sleep 1000; done")
    };
    let finished = story.run(&spec);
    assert_eq!(finished.how, How::TimedOut);
    assert!(finished.wall >= millis(400), "{:?}", finished.wall);
    story.everyone_is_gone_within(secs(1));
}

fn three_rungs() {
    let story = Story::new();
    let script = "exec 2>/dev/null; trap 'echo int' INT; trap 'echo term' TERM; echo ready; while :; do sleep 1000; done";
    let finished = story.block_on(async {
        let (running, ready) = story.start_until_ready(&story.sh(script));
        ready.await;
        running.end(Ladder { int: millis(300), term: millis(300) });
        running.wait().await
    });
    assert_eq!(finished.how, How::Ended);
    assert_eq!(finished.output.text(), "ready\nint\nterm\n");
    story.everyone_is_gone_within(secs(1));
}

fn keeps_forking() {
    let story = Story::new();
    let script = r#"trap "" INT TERM; n=0; while :; do setsid sleep 1000 & n=$((n+1)); [ $n = 50 ] && echo ready; sleep 0.005; done"#;
    let finished = story.block_on(async {
        let (running, ready) = story.start_until_ready(&story.sh(script));
        ready.await;
        running.end(Ladder { int: millis(50), term: millis(50) });
        running.wait().await
    });
    assert_eq!((finished.how, finished.survivors), (How::Ended, 0));
    story.everyone_is_gone_within(secs(1));
}

fn asking_twice() {
    let story = Story::new();
    let finished = story.block_on(async {
        let (running, ready) = story.start_until_ready(&story.sh("echo ready; sleep 1000"));
        ready.await;
        let ender = running.ender();
        running.end(Ladder::CANCEL);
        running.end(Ladder::STOP);
        ender.end(Ladder { int: Duration::ZERO, term: Duration::ZERO });
        let finished = running.wait().await;
        ender.end(Ladder::STOP);
        ender.kill();
        finished
    });
    assert_eq!(finished.how, How::Ended);
    assert!(finished.wall < secs(2), "INT was enough: {:?}", finished.wall);
}

fn dropped() {
    let story = Story::new();
    story.block_on(async {
        let (running, ready) = story.start_until_ready(&story.sh("echo ready; sleep 1000"));
        ready.await;
        drop(running);
        let (gone, is_gone) = tokio::sync::oneshot::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                story.everyone_is_gone_within(secs(5));
                gone.send(()).unwrap();
            });
        });
        is_gone.await.unwrap();
    });
}

fn killed_daemon() {
    let story = Story::new();
    drop(story.start_daemon());
    // Nobody helps: the closed pipe is all that is heard.
    story.everyone_is_gone_within(secs(2));
    let past = story.block_on(story.launcher().end_previous_life());
    assert!(past.iter().all(|(_, past)| *past != Past::Survives), "{past:?}");
    assert_eq!(story.locks(), Vec::<PathBuf>::new());
}

fn recorded() {
    let story = Story::new();
    let daemon = story.start_daemon();
    // A daemon that is neither alive nor dead: its supervisors hear nothing.
    let number = Pid::from_raw(i32::try_from(daemon.0.id()).unwrap());
    kill(number, Signal::SIGSTOP).unwrap();
    let lock = fs::read(&story.locks()[0]).unwrap();
    let identity: ProcessIdentity = serde_json::from_slice(&lock).unwrap();

    let launcher = story.launcher();
    let other = ProcessIdentity { start_time: identity.start_time + 1, ..identity.clone() };
    assert_eq!(story.block_on(launcher.end_recorded(&other)), Past::Gone);
    let other = ProcessIdentity { boot_id: "another".to_owned(), ..identity.clone() };
    assert_eq!(story.block_on(launcher.end_recorded(&other)), Past::Gone);
    assert!(identity.is_alive());

    assert_eq!(story.block_on(launcher.end_recorded(&identity)), Past::Ended);
    assert!(!identity.is_alive());
    story.everyone_is_gone_within(secs(1));
    assert_eq!(story.block_on(launcher.end_recorded(&identity)), Past::Gone);
}

fn killed_supervisor() {
    let story = Story::new();
    let finished = story.block_on(async {
        let (running, ready) =
            story.start_until_ready(&story.sh("sleep 1000 & sleep 1000 & echo ready; wait"));
        ready.await;
        let supervisor = i32::try_from(running.identity().unwrap().pid).unwrap();
        kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
        running.wait().await
    });
    assert_eq!(finished.how, How::Lost);
    assert_eq!(finished.leftovers, 3);
    story.everyone_is_gone_within(secs(1));
}

/// Proves E4: after a hundred of them no zombie is left.
fn hundred_timeouts() {
    let story = Story::new();
    let spec = Spec { timeout: Some(millis(300)), ..story.sh("sleep 1000 & sleep 1000") };
    let hows = story.block_on(async {
        let running: Vec<_> = (0..100).map(|_| story.launcher().start(&spec, |_, _| {})).collect();
        let mut hows = Vec::new();
        for one in running {
            hows.push(one.wait().await.how);
        }
        hows
    });
    assert_eq!(hows, vec![How::TimedOut; 100]);
    story.everyone_is_gone_within(secs(1));
    assert_eq!(
        waitpid(None, Some(WaitPidFlag::WNOHANG)),
        Err(Errno::ECHILD),
        "no child, dead or alive"
    );
}

fn stdin_ends() {
    let story = Story::new();
    let spec = Spec { timeout: Some(secs(20)), ..story.sh("cat; echo end") };
    let finished = story.run(&spec);
    assert_eq!((finished.how, finished.output.text()), (How::Exited(0), "end\n".to_owned()));
}

fn stdin_file() {
    let story = Story::new();
    let prompt = story.dir.path().join("prompt");
    fs::write(&prompt, "do it").unwrap();
    let spec = Spec { stdin: Stdin::File(prompt), ..story.sh("cat; echo .") };
    assert_eq!(story.run(&spec).output.text(), "do it.\n");

    let missing = story.dir.path().join("missing");
    let spec = Spec { stdin: Stdin::File(missing), ..story.sh("cat") };
    assert!(
        matches!(story.run(&spec).how, How::NotStarted { reason } if reason.contains("missing"))
    );
}

fn stdin_piped() {
    use tokio::io::AsyncWriteExt as _;
    let story = Story::new();
    let spec = Spec { stdin: Stdin::Piped, ..story.sh("while read -r it; do echo got $it; done") };
    let (say, heard) = mpsc::sync_channel(8);
    let finished = story.block_on(async {
        let mut running = story.launcher().start(&spec, move |_, bytes| {
            say.send(String::from_utf8_lossy(bytes).into_owned()).unwrap();
        });
        let mut pipe = running.stdin().expect("it was asked for");
        assert!(running.stdin().is_none(), "once");
        pipe.write_all(b"one\n").await.unwrap();
        let hear = || heard.recv_timeout(secs(10)).unwrap();
        assert_eq!(tokio::task::block_in_place(hear), "got one\n");
        pipe.write_all(b"two\n").await.unwrap();
        drop(pipe);
        running.wait().await
    });
    assert_eq!(
        (finished.how, finished.output.text().as_str()),
        (How::Exited(0), "got one\ngot two\n")
    );
    assert_eq!(story.locks(), Vec::<PathBuf>::new());

    // What never reads is ended all the same.
    let spec = Spec { timeout: Some(millis(300)), stdin: Stdin::Piped, ..story.sh("sleep 1000") };
    let finished = story.block_on(async {
        let mut running = story.launcher().start(&spec, |_, _| {});
        let mut pipe = running.stdin().unwrap();
        tokio::select! {
            _ = pipe.write_all(&[b'x'; 1 << 20]) => panic!("nobody reads that"),
            finished = running.wait() => finished,
        }
    });
    assert_eq!(finished.how, How::TimedOut);
    assert_eq!(story.locks(), Vec::<PathBuf>::new());
}

fn flood() {
    const BYTES: u64 = 400_000_000;
    let story = Story::new();
    let spec = story.sh(&format!("yes x | tr -d '\\n' | head -c {BYTES}; echo >&2 end"));
    let before_kib = peak_memory_kib();
    let (heard, largest, finished) = story.block_on(async {
        let seen = Arc::new(Mutex::new((0, 0)));
        let sees = Arc::clone(&seen);
        let running = story.launcher().start(&spec, move |_, bytes: &[u8]| {
            let mut sees = sees.lock().unwrap();
            *sees = (sees.0 + bytes.len() as u64, sees.1.max(bytes.len()));
        });
        let finished = running.wait().await;
        let (heard, largest) = *seen.lock().unwrap();
        (heard, largest, finished)
    });
    assert_eq!(finished.how, How::Exited(0));
    assert_eq!((heard, finished.output.total_bytes), (BYTES + 4, BYTES + 4));
    assert!(largest <= 8192, "{largest}");
    assert_eq!((finished.output.head.len(), finished.output.tail.len()), (1000, 1000));
    assert!(finished.output.truncated);
    assert!(finished.output.text().contains("\n[… 399998004 bytes left out …]\n"));
    let grown_kib = peak_memory_kib() - before_kib;
    assert!(grown_kib < 16 * 1024, "grew by {grown_kib} KiB");
}

fn not_started() {
    let story = Story::new();
    let reason = |spec: &Spec| match story.run(spec).how {
        How::NotStarted { reason } => reason,
        other @ (How::Exited(_) | How::Signalled(_) | How::TimedOut | How::Idle) => {
            panic!("{other:?}")
        }
        other @ (How::Ended | How::Lost) => panic!("{other:?}"),
    };
    let spec = story.sh("true");
    assert_eq!(
        reason(&Spec { argv: vec!["no-such-agent".into()], ..spec.clone() }),
        "program `no-such-agent` not found"
    );
    assert!(
        reason(&Spec { cwd: "/no/such/place".into(), ..spec.clone() }).contains("/no/such/place")
    );
    assert_eq!(reason(&Spec { argv: vec![], ..spec.clone() }), "no program was given");

    let plain = story.dir.path().join("plain");
    fs::write(&plain, "x").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let denied = reason(&Spec { argv: vec![plain.into()], ..spec.clone() });
    assert!(denied.contains("Permission denied"), "{denied}");

    let nowhere = Launcher { run_dir: story.dir.path().join("none"), ..story.launcher() };
    let finished = story.block_on(async { nowhere.start(&spec, |_, _| {}).wait().await });
    assert!(matches!(finished.how, How::NotStarted { .. }), "{finished:?}");
    assert!(finished.output.text().contains("No such file or directory"), "{finished:?}");

    let long = "x".repeat(3_000_000);
    let too_long = reason(&Spec { argv: vec!["true".into(), long.into()], ..spec });
    assert!(too_long.contains("could not start"), "{too_long}");
}

fn idleness() {
    let story = Story::new();
    let spec = Spec { idle: Some(millis(300)), ..story.sh("echo one; sleep 1000") };
    let finished = story.run(&spec);
    assert_eq!((finished.how, finished.output.text()), (How::Idle, "one\n".to_owned()));
    story.everyone_is_gone_within(secs(1));

    let story = Story::new();
    let busy = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo >&2 $i; sleep 0.25; done";
    let spec = Spec { idle: Some(secs(2)), ..story.sh(busy) };
    assert_eq!(story.run(&spec).how, How::Exited(0));
}

fn exact_environment() {
    let story = Story::new();
    let mut spec = story.sh("");
    spec.argv = vec!["env".into()];
    let mut lines: Vec<_> = spec
        .env
        .iter()
        .map(|(name, value)| format!("{}={}", name.display(), value.display()))
        .collect();
    let finished = story.run(&spec);
    let text = finished.output.text();
    let mut got: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    got.sort_unstable();
    assert_eq!(got, lines);
}

fn default_signals() {
    let story = Story::new();
    let finished = story.run(&story.sh("exec grep -E '^Sig(Blk|Ign)' /proc/self/status"));
    let text = finished.output.text();
    let masks: Vec<_> = text
        .lines()
        .map(|line| u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap())
        // glibc keeps 32 and 33 for itself and leaves them ignored in what `posix_spawn` starts.
        .map(|mask| mask & !(0b11 << 31))
        .collect();
    assert_eq!(masks, [0, 0], "{text}");
}

fn exits() {
    let story = Story::new();
    assert_eq!(story.run(&story.sh("exit 7")).how, How::Exited(7));
    let story = Story::new();
    assert_eq!(story.run(&story.sh("kill -TERM $$")).how, How::Signalled(15));
    let story = Story::new();
    assert_eq!(story.run(&story.sh("exec sh -c 'kill -40 $$'")).how, How::Signalled(0));
}

fn killed_at_once() {
    let story = Story::new();
    let finished = story.block_on(async {
        let running = story.launcher().start(&story.sh("sleep 1000"), |_, _| {});
        running.kill();
        running.wait().await
    });
    assert_eq!((finished.how, finished.survivors), (How::Ended, 0));
}

fn run_directory_is_clean() {
    let story = Story::new();
    story.run(&story.sh("true"));
    let left: Vec<_> =
        fs::read_dir(story.run_dir()).unwrap().map(|it| it.unwrap().path()).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

/// A place for one test, and a fifo that tells when the last descendant is gone.
struct Story {
    dir: TempDir,
    runtime: tokio::runtime::Runtime,
    all_gone: Mutex<mpsc::Receiver<()>>,
}

impl Story {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        let fifo = dir.path().join("witness");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let (tell, all_gone) = mpsc::sync_channel(1);
        thread::spawn(move || {
            // Opens when the first script does, ends when nobody has it open any more.
            let mut nothing = Vec::new();
            if let Ok(mut fifo) = fs::File::open(&fifo) {
                fifo.read_to_end(&mut nothing).unwrap();
                tell.send(()).ok();
            }
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        Self { dir, runtime, all_gone: all_gone.into() }
    }

    fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn launcher(&self) -> Launcher {
        launcher(&self.run_dir())
    }

    fn sh(&self, script: &str) -> Spec {
        sh(script, self.dir.path())
    }

    fn run(&self, spec: &Spec) -> Finished {
        self.block_on(async { self.launcher().start(spec, |_, _| {}).wait().await })
    }

    fn start_until_ready(&self, spec: &Spec) -> (Running, impl Future<Output = ()> + use<>) {
        start_until_ready(&self.launcher(), spec)
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn everyone_is_gone_within(&self, limit: Duration) {
        self.all_gone.lock().unwrap().recv_timeout(limit).expect("descendants are still there");
    }

    /// A stand-in daemon whose program is running.
    fn start_daemon(&self) -> StandIn {
        #[expect(clippy::disallowed_methods, reason = "it is the one who starts programs")]
        let mut daemon = Command::new(env::current_exe().unwrap())
            .arg("daemon")
            .args([self.run_dir(), self.dir.path().to_owned()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        StandIn(daemon)
    }

    fn locks(&self) -> Vec<PathBuf> {
        fs::read_dir(self.run_dir()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

/// A stand-in daemon; killed when it is dropped, also by a test that fails.
struct StandIn(std::process::Child);

impl Drop for StandIn {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn daemon_stand_in(args: &[PathBuf]) -> ExitCode {
    let [run_dir, dir] = args else { return ExitCode::FAILURE };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let deaf = r#"setsid sh -c 'trap "" INT TERM HUP; (setsid sleep 1000 &); sleep 1000' & echo ready; sleep 1000"#;
        let (running, ready) = start_until_ready(&launcher(run_dir), &sh(deaf, dir));
        ready.await;
        println!("ready");
        running.wait().await;
    });
    ExitCode::SUCCESS
}

/// Starts it; the future ends when it has printed `ready`.
fn start_until_ready(
    launcher: &Launcher,
    spec: &Spec,
) -> (Running, impl Future<Output = ()> + use<>) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (mut tell, mut seen) = (Some(tell), Vec::new());
    let running = launcher.start(spec, move |stream, bytes| {
        if stream != Stream::Stdout {
            return;
        }
        seen.extend_from_slice(bytes);
        if seen.windows(6).any(|it| it == b"ready\n")
            && let Some(tell) = tell.take()
        {
            tell.send(()).ok();
        }
    });
    (running, async move { told.await.expect("it never said ready") })
}

fn launcher(run_dir: &Path) -> Launcher {
    Launcher {
        program: env::current_exe().unwrap(),
        prefix: vec!["supervise".into()],
        run_dir: run_dir.to_owned(),
    }
}

fn sh(script: &str, dir: &Path) -> Spec {
    let witness: OsString = dir.join("witness").into();
    Spec {
        argv: vec!["sh".into(), "-c".into(), format!("exec 9>\"$WITNESS\"\n{script}").into()],
        cwd: dir.to_owned(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("WITNESS".into(), witness)],
        stdin: Stdin::Null,
        timeout: None,
        idle: None,
        ladder: Ladder::STOP,
        keep_head_bytes: 1000,
        keep_tail_bytes: 1000,
    }
}

fn peak_memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
