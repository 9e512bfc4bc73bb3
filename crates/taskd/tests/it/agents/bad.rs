//! Agents as nobody wants them: each ends in a word of its own, what it did and printed is kept, and
//! a person is told what to do next.

use std::time::Instant;

use taskd_model::{AgentRun, LoopView, Verdict};

use super::*;

/// A plan of one spec, `p1.a`, for an agent of the world, until it is over or asks.
#[track_caller]
fn comes_to(world: &World, agent: &str) -> LoopView {
    world.submit(&plan(agent, &["a"]));
    over(world)
}

#[track_caller]
pub(super) fn over(world: &World) -> LoopView {
    world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed])
}

/// Codes of what is told of a run.
pub(super) fn codes(run: &AgentRun) -> Vec<Code> {
    run.remarks.iter().map(|it| it.code).collect()
}

/// What is told of each run that ended, the first first.
pub(super) fn ended(world: &World) -> Vec<(i32, Box<AgentRun>)> {
    let run = |event| {
        let Event::EffectEnded { outcome: Outcome::AgentDone { exit, run, .. }, .. } = event else {
            return None;
        };
        Some((exit, run))
    };
    world.events().into_iter().filter_map(|it| run(it.event)).collect()
}

fn verdicts(it: &LoopView) -> Vec<Verdict> {
    it.iterations.iter().filter_map(|it| it.verdict).collect()
}

/// What `show` says, on a wide terminal.
pub(super) fn shown(world: &mut World) -> String {
    world.env.insert("COLUMNS".to_owned(), "500".to_owned());
    world.taskd(&["show", "p1.a"]).ok()
}

/// A file of the loop's work.
pub(super) fn work(world: &World, it: &LoopView, file: &str) -> String {
    world.git(&["show", &format!("{}:{file}", it.checkpoint.expect("saved"))])
}

/// A preset of the person's own that gets its prompt as an argument and reads nothing.
fn silent_preset(world: &mut World, name: &str, script: &str) {
    program(world, name, script);
    let text = format!(
        "name = \"{name}\"\nargv = [\"{name}\", \"{{prompt}}\"]\nprompt = \"argument\"\n\
         format = \"text\"\n"
    );
    own_preset(world, name, &text);
}

/// An agent that exits 1 having done everything is judged by its gate, for better and
/// for worse, and its status is told.
#[test]
fn work_that_is_done_counts_although_its_agent_failed() {
    let mut world = World::new();
    let script = "if [ $TASKD_ITERATION = 1 ]; then echo x >bad.txt; else mv bad.txt good.txt; fi\n\
                  echo all done; echo oops >&2; exit 3\n";
    silent_preset(&mut world, "mine", script);
    world.start();
    let it = comes_to(&world, "mine");
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!(verdicts(&it), [Verdict::Red, Verdict::Green]);
    assert_eq!(codes(&it.last_run), [Code::AgentExit]);
    assert_eq!(
        it.last_run.remarks[0].text,
        "it ended with 3 and has changed files: the gate decides"
    );
    has(&world.taskd(&["logs", "p1.a", "--agent"]).ok(), &["all done", "oops"]);
}

/// An agent that exits 0 having done nothing has an iteration without a change, and is told of.
#[test]
fn nothing_is_not_done() {
    let mut world = World::new();
    world.env.insert("TASKD_RUN__ITERATIONS".to_owned(), "1".to_owned());
    silent_preset(&mut world, "mine", "echo I have finished everything.\n");
    world.start();
    let it = comes_to(&world, "mine");
    assert_eq!((it.status, verdicts(&it)), (Status::Failed, vec![Verdict::Unchanged]));
    assert_eq!(codes(&it.last_run), [Code::AgentDidNothing]);
    has(&world.taskd(&["logs", "p1.a", "--agent"]).ok(), &["I have finished everything."]);
    has(&shown(&mut world), &["(agent_did_nothing)"]);
}

/// Proves A-7: an agent has no terminal to ask on, nothing to read, and does not wait for either.
#[test]
fn nobody_answers_an_agent_that_asks() {
    let mut world = World::new();
    let script = "cat >b.txt\n(: </dev/tty) 2>why.txt || echo none >tty.txt\n\
                  read -r _ _ _ parent _ session terminal _ </proc/self/stat\n\
                  echo $((session - parent)) $terminal >session.txt\n";
    silent_preset(&mut world, "mine", script);
    world.start();
    let it = comes_to(&world, "mine");
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!(
        (work(&world, &it, "b.txt"), work(&world, &it, "tty.txt")),
        (String::new(), "none".into())
    );
    // Its session is its supervisor's, which has no terminal.
    assert_eq!(work(&world, &it, "session.txt"), "0 0");
}

/// An agent whose output is not what it was still works; that nothing of it was understood is told.
#[test]
fn output_that_nobody_understands_is_told() {
    let mut world = World::new();
    let script = "cat >/dev/null; echo '{\"kind\":\"v2\"}'; echo 'all good'; echo b >b.txt\n";
    program(&mut world, "claude", script);
    world.start();
    let it = comes_to(&world, "claude");
    assert_eq!((it.status, it.uncounted), (Status::Complete, true), "{}", world.transcript());
    assert_eq!(codes(&it.last_run), [Code::AgentNotUnderstood]);
    has(&shown(&mut world), &["it printed 2 lines and none was understood", "agents show claude"]);
}

/// An agent that updates itself while it runs is told of; one that is uninstalled is asked for, with
/// the program and the path it was looked for on.
#[test]
fn a_program_that_changes_or_goes_away_is_told() {
    let mut world = World::new();
    let script = "if [ $TASKD_ITERATION = 1 ]; then echo x >bad.txt; echo '# new' >>\"$0\"\n\
                  else echo y >bad.txt; rm \"$0\"; fi\nexit 0\n";
    silent_preset(&mut world, "mine", script);
    world.start();
    let it = comes_to(&world, "mine");
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    let runs: Vec<_> = ended(&world).iter().map(|it| codes(&it.1)).collect();
    assert_eq!(runs, [[Code::AgentUpdated]; 2]);
    assert_eq!(failures(&world), [(Code::AgentNotRunnable, Failure::Permanent)]);
    let said = shown(&mut world);
    has(&said, &["no program `mine` on the PATH", "/bin:", "then `taskd resume p1.a`"]);
    // Nothing is lost, and a resume goes on.
    silent_preset(&mut world, "mine", "rm bad.txt; echo b >b.txt\n");
    world.taskd(&["resume", "p1.a"]).ok();
    assert_eq!(world.until_status("p1.a", &[Status::Complete]).status, Status::Complete);
}

/// Proves P-9: what an agent starts is counted, and more than `agent.processes` ends the run with
/// all of it.
#[test]
fn a_run_that_becomes_too_many_is_ended() {
    let mut world = World::new();
    world.env.insert("TASKD_AGENT__PROCESSES".to_owned(), "20".to_owned());
    let pids = world.aside("pids", "");
    let script = format!(
        "if [ $TASKD_ITERATION = 1 ]; then\n\
         for i in 1 2 3 4 5 6 7 8 9 10 11 12; do\n\
         setsid sh -c 'echo $$ >>{pids}; sleep 1000; :' &\ndone\n\
         sleep 1000\nfi\necho b >b.txt\n"
    );
    silent_preset(&mut world, "mine", &script);
    world.start();
    let it = comes_to(&world, "mine");
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!(verdicts(&it), [Verdict::AgentFailed, Verdict::Green]);
    let ended = ended(&world);
    assert_eq!((ended[0].0, codes(&ended[0].1)), (128, vec![Code::AgentFanOut]));
    assert!((21..=26).contains(&ended[0].1.processes), "{}", ended[0].1.processes);
    assert!(ended[1].1.processes <= 2, "{}", ended[1].1.processes);
    let pids = fs::read_to_string(&pids).expect("they ran");
    let lives = |pid: &&str| fs::metadata(format!("/proc/{pid}")).is_ok();
    assert_eq!((pids.lines().count(), pids.lines().filter(lives).count()), (12, 0));
    let at_once = format!("ended: {} processes at once", ended[0].1.processes);
    assert_eq!(it.iterations[0].summary, at_once);
}

/// Proves P-15: what an agent leaves behind when it ends by itself, forked twice and in a session of
/// its own, deaf to INT and TERM, is gone before its gate begins.
#[test]
fn what_an_agent_leaves_behind_is_gone() {
    let mut world = World::new();
    let pid = world.aside("pid", "");
    let script = format!(
        "(setsid sh -c 'trap \"\" INT TERM HUP; echo $$ >{pid}; echo up; while :; do sleep 1; done' &) \
         | head -n 1\necho b >b.txt\n"
    );
    silent_preset(&mut world, "mine", &script);
    world.start();
    let began = Instant::now();
    let it = comes_to(&world, "mine");
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let left = fs::read_to_string(&pid).expect("it ran");
    let stat = format!("/proc/{}/stat", left.trim());
    assert!(!left.trim().is_empty() && fs::metadata(stat).is_err(), "{left} lives");
    assert!(began.elapsed().as_secs() < 30, "nobody waited for it");
}

/// An agent that prints nothing but changes files is at work; when it changes none any more it is
/// ended, and what it did is kept.
#[test]
fn an_agent_that_changes_files_is_not_silent() {
    let mut world = World::new();
    world.env.insert("TASKD_AGENT__IDLE".to_owned(), "2s".to_owned());
    let script = "[ $TASKD_ITERATION = 1 ] || { echo c >c.txt; exit 0; }\n\
                  for i in 1 2 3 4 5 6 7 8; do sleep 0.5; echo $i >>b.txt; done\nexec sleep 1000\n";
    silent_preset(&mut world, "mine", script);
    world.start();
    let it = comes_to(&world, "mine");
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    assert_eq!(verdicts(&it), [Verdict::AgentFailed, Verdict::Green]);
    assert_eq!(codes(&ended(&world)[0].1), [Code::AgentSilent]);
    assert_eq!(it.iterations[0].summary, "silent for too long");
    assert_eq!(work(&world, &it, "b.txt"), "1\n2\n3\n4\n5\n6\n7\n8");
}

/// Proves A-8: one line of 400 MB costs the daemon little memory; what is kept of it says how much
/// is not there, and the run goes on.
#[test]
fn a_line_of_400_mb_is_cut() {
    let mut world = World::new();
    let script = "cat >/dev/null; echo first words; head -c 400000000 /dev/zero | tr '\\0' x\n\
                  echo; echo last words; echo b >b.txt\n";
    program(&mut world, "claude", script);
    world.start();
    let peak = |world: &World| -> u64 {
        let pid = world.daemon.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).expect("Linux says so");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    let before = peak(&world);
    let it = comes_to(&world, "claude");
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let grown = peak(&world) - before;
    assert!(grown < 48 << 10, "the daemon grew by {grown} KiB");
    let said = world.taskd(&["logs", "p1.a", "--agent"]).ok();
    assert!(said.len() < 300_000, "{} bytes", said.len());
    has(&said, &["first words", "[… 399737", " bytes left out …]", "last words"]);
}
