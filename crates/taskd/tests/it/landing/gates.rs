//! Gates that cannot be talked around: what decides is read from the base, whatever the work says.

use taskd_model::{Event, LoopView, Record, Status, Suspicion};

use super::{agent, plan, until_landed, until_loop};
use crate::support::World;

/// A world whose gate also wants a file `done.txt`; a red base is all right.
fn world() -> World {
    let world = World::new();
    world.write("test.sh", "[ -f done.txt ] || { echo 'not ok 1 - done'; exit 1; }\necho 1..1\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a gate that wants work"]);
    world
}

/// Submits one spec for an agent that runs `body`; two iterations at most.
fn submit(world: &World, head: &str, body: &str) {
    let run = agent(world, "agent.sh", body);
    let head =
        format!("agent: {run}\nland: on-gate\nbase: red-ok\nlimits: {{iterations: 2}}\n{head}");
    world.submit(&plan(&head, &[("one", "")]));
}

/// What was suspected of a loop, in order.
fn suspicions(world: &World) -> Vec<Suspicion> {
    let of = |it: Record| {
        let Event::GateTamperSuspected { suspicion } = it.event else { return None };
        Some(*suspicion)
    };
    world.events().into_iter().filter_map(of).collect()
}

fn paths(world: &World) -> Vec<Vec<String>> {
    let tampered = suspicions(world).into_iter().filter_map(|it| it.tampered);
    tampered.map(|it| it.paths).collect()
}

/// Waits until the loop asks because of what it did to its gate.
#[track_caller]
fn until_suspect(world: &World, name: &str) -> LoopView {
    until_loop(world, name, "to ask", |it| it.suspicion.is_some() && it.approval_asked.is_some())
}

/// The work is red by the gate of its base, is never done, and nothing of it is on main.
#[track_caller]
fn is_never_done(world: &World, old: &str) {
    let it = world.until_status("p1.one", &[Status::Failed]);
    assert!(it.passed.is_none() && it.iterations.len() == 2, "{it:?}");
    assert_eq!(world.git(&["rev-parse", "main"]), old);
}

/// Proves A-5: an agent that says it is done, and makes its gate say so too, is not done: the gate
/// of the base still decides, and what it did is in the log by name.
#[test]
fn a_gate_that_is_made_to_say_yes_is_not_asked() {
    let mut world = world();
    let old = world.git(&["rev-parse", "main"]);
    world.start();
    submit(&world, "", "echo 'exit 0' > test.sh\necho 'done, all green'");
    is_never_done(&world, &old);
    assert_eq!(paths(&world), [["test.sh"], ["test.sh"]]);
    let log = world.taskd(&["events"]).ok();
    assert!(log.contains("suspected: it changes protected test.sh"), "{log}");
    let told = super::prompt(&world, "p1.one", 2);
    assert!(told.contains("with the base's test.sh"), "{told}");
}

/// Saying that all is green while the gate is red is nothing at all.
#[test]
fn a_claim_is_not_a_gate() {
    let mut world = world();
    let old = world.git(&["rev-parse", "main"]);
    world.start();
    submit(&world, "", "echo x >> a.txt\necho 'done, all green: <promise>COMPLETE</promise>'");
    is_never_done(&world, &old);
    assert!(suspicions(&world).is_empty());
}

/// A script that is deleted, or that another is moved over, or that is now a link or a directory, is
/// there for the gate all the same.
#[test]
fn a_script_that_is_gone_is_still_asked() {
    let ways = [
        ("rm test.sh", vec!["test.sh"]),
        ("printf 'exit 0\\n' > yes.sh; mv yes.sh test.sh", vec!["test.sh"]),
        ("rm test.sh; ln -s /bin/true test.sh", vec!["test.sh"]),
        ("rm test.sh; mkdir test.sh; echo x > test.sh/x", vec!["test.sh", "test.sh/x"]),
    ];
    for (way, named) in ways {
        let mut world = world();
        let old = world.git(&["rev-parse", "main"]);
        world.start();
        submit(&world, "", &format!("[ -f seen ] || {{ {way}; }}\necho x >> seen"));
        is_never_done(&world, &old);
        assert_eq!(paths(&world), [named.clone(), named], "{way}");
    }
}

/// Proves P-22: work that is green by the gate of its base and changes that gate lands only when a
/// person who is shown the paths says so, though it lands by itself otherwise; then what it made of
/// its gate has to be green too.
#[test]
fn work_that_changes_its_gate_asks_and_lands_as_it_was_shown() {
    let mut world = world();
    let old = world.git(&["rev-parse", "main"]);
    world.start();
    submit(&world, "", "echo x > done.txt\necho 'echo own gate' >> test.sh");
    let it = until_suspect(&world, "p1.one");
    assert!(it.integrated.is_none(), "nobody builds on it either");
    assert_eq!(world.git(&["rev-parse", "main"]), old);
    for command in ["ls", "show p1.one", "why p1.one"] {
        let said = world.taskd(&command.split(' ').collect::<Vec<_>>()).ok();
        assert!(said.contains("changes protected test.sh"), "{command}: {said}");
    }
    let diff = world.taskd(&["diff", "p1.one"]);
    assert!(diff.err.contains("it changes protected test.sh"), "{}", diff.err);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 4);
    world.taskd(&["land", "p1.one"]).ok();
    until_landed(&world, "p1.one");
    assert!(world.git(&["show", "main:test.sh"]).contains("own gate"));
    // Both gates were asked again, of the commit that landed.
    assert_eq!(super::candidate_gates(&world), [Some(true)]);
}

/// What a person approves must still pass by its own gate: one that cannot is red at once.
#[test]
fn a_gate_that_its_own_work_fails_is_red() {
    let mut world = world();
    let old = world.git(&["rev-parse", "main"]);
    world.start();
    submit(&world, "", "echo x > done.txt\necho 'exit 1' >> test.sh");
    is_never_done(&world, &old);
    let it = world.row("p1.one");
    assert!(it.iterations[0].summary.contains("with its own test.sh"), "{it:?}");
}

/// What continuous integration runs, taskd's settings and what the plan protects ask too; what is
/// sent back may land by itself once it is put right.
#[test]
fn ci_files_settings_and_named_files_ask() {
    let mut world = world();
    world.write("golden/a.txt", "a\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "golden"]);
    world.start();
    let body = "echo x > done.txt
if [ $TASKD_ITERATION = 1 ]; then
mkdir -p .github/workflows .taskd; echo x > .github/workflows/x.yml
echo '[gate]' > .taskd/config.toml; echo b > golden/a.txt
else rm -r .github .taskd; echo a > golden/a.txt; fi";
    let run = agent(&world, "agent.sh", body);
    let head = format!("agent: {run}\nland: on-gate\nbase: red-ok");
    let gate = "gate:\n  run: sh test.sh\n  protect: [golden]";
    let text = plan(&head, &[("one", "")]).replace("gate: sh test.sh", gate);
    world.submit(&text);
    until_suspect(&world, "p1.one");
    let all = [".github/workflows/x.yml", ".taskd/config.toml", "golden/a.txt"];
    assert_eq!(paths(&world), [all]);
    world.taskd(&["reject", "p1.one", "-m", "leave those alone"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(suspicions(&world).len(), 1, "nothing to suspect any more");
    assert!(!world.has("main:.github/workflows/x.yml"));
}

/// A gate that is `make test` is what the base's Makefile says, also beside one that make would
/// rather take.
#[test]
fn make_takes_the_makefile_of_the_base() {
    if !crate::support::is_here("make") {
        return;
    }
    let mut world = world();
    world.write("Makefile", "test:\n\tsh test.sh\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "make"]);
    let old = world.git(&["rev-parse", "main"]);
    world.start();
    let body = "for it in Makefile GNUmakefile; do printf 'test:\\n\\ttrue\\n' > $it; done";
    let run = agent(&world, "agent.sh", body);
    let head = format!("agent: {run}\nland: on-gate\nbase: red-ok\nlimits: {{iterations: 2}}");
    world.submit(&plan(&head, &[("one", "")]).replace("gate: sh test.sh", "gate: make test"));
    // The second iteration changes nothing more, and is judged as the first was.
    is_never_done(&world, &old);
    assert_eq!(paths(&world)[0], ["GNUmakefile", "Makefile"]);
}

/// Settings an agent writes into its worktree are nobody's: the gate is the one the plan came with.
#[test]
fn settings_of_the_worktree_change_nothing() {
    let mut world = world();
    world.write(".taskd/config.toml", "[gate]\ncommand = \"sh test.sh\"\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "settings"]);
    let old = world.git(&["rev-parse", "main"]);
    world.start();
    let body = "echo '[gate]\ncommand = \"true\"\nprotect = []' > .taskd/config.toml
mkdir -p .taskd/types; printf 'gate:\\n  run: [\"true\"]\\n' > .taskd/types/ralph.yaml";
    let run = agent(&world, "agent.sh", body);
    let head = format!("agent: {run}\nland: on-gate\nbase: red-ok\nlimits: {{iterations: 2}}");
    world.submit(&plan(&head, &[("one", "")]).replace("gate: sh test.sh\n", ""));
    is_never_done(&world, &old);
    assert_eq!(paths(&world)[0], [".taskd/config.toml", ".taskd/types/ralph.yaml"]);
}

/// Under `land: never` the plan waits for the same word, and main never moves.
#[test]
fn work_that_never_lands_asks_before_others_build_on_it() {
    let mut world = world();
    let old = world.git(&["rev-parse", "main"]);
    let body = "echo x > done.txt\n[ $TASKD_LOOP = p1.two ] || echo '# more' >> test.sh
echo x > $TASKD_LOOP.txt";
    let run = agent(&world, "agent.sh", body);
    world.start();
    let head = format!("agent: {run}\nland: never\nbase: red-ok");
    world.submit(&plan(&head, &[("one", ""), ("two", "needs: one")]));
    until_suspect(&world, "p1.one");
    assert_eq!(world.row("p1.two").status, Status::Pending);
    world.taskd(&["land", "p1.one"]).ok();
    world.until_status("p1.two", &[Status::Complete]);
    let it = world.row("p1.one");
    assert!(it.status == Status::Complete && it.landed.is_none(), "{it:?}");
    assert_eq!(world.git(&["rev-parse", "main"]), old);
    world.taskd(&["land", "p1.one"]).fails(1);
}

/// What was suspected is known after the daemon died, and the work still waits for a word.
#[test]
fn a_suspicion_outlives_the_daemon() {
    let mut world = world();
    world.start();
    submit(&world, "", "echo x > done.txt\necho '# more' >> test.sh");
    until_suspect(&world, "p1.one");
    world.kill();
    world.start();
    let it = until_suspect(&world, "p1.one");
    assert_eq!(it.suspicion, suspicions(&world).pop());
    world.taskd(&["land", "p1.one"]).ok();
    until_landed(&world, "p1.one");
}

/// Fewer tests than on the base, or more of them skipped, ask before landing; as many do not.
#[test]
fn fewer_or_skipped_tests_ask() {
    let gate = "cat tests/*\nn=$(cat tests/* | grep -c '^ok'); echo 1..$n\n";
    let ways = [
        ("rm tests/b", Some("runs 1 of the base's 2 tests")),
        ("echo 'ok 2 - b # SKIP' > tests/b", Some("skips 1 where the base skips 0")),
        ("echo 'ok 2 - better b' > tests/b", None),
    ];
    for (way, asks) in ways {
        let mut world = World::new();
        world.write("test.sh", gate);
        world.write("tests/a", "ok 1 - a\n");
        world.write("tests/b", "ok 2 - b\n");
        world.git(&["add", "-A"]);
        world.git(&["commit", "-q", "-m", "tests"]);
        world.start();
        submit(&world, "", way);
        let Some(asks) = asks else {
            until_landed(&world, "p1.one");
            assert!(suspicions(&world).is_empty());
            continue;
        };
        let it = until_suspect(&world, "p1.one");
        assert_eq!(it.suspicion.map(|it| it.to_string()), Some(asks.to_owned()));
        let row = world.taskd(&["ls"]).ok();
        assert!(row.contains(asks), "{row}");
        world.taskd(&["land", "p1.one"]).ok();
        until_landed(&world, "p1.one");
    }
}

/// Proves P-22: a script that the gate's own script calls is the base's too.
#[test]
fn a_script_that_is_called_by_the_gates_script_is_still_asked() {
    let mut world = World::new();
    world.write("test.sh", "set -e\n. ./ci/check.sh\necho 1..1\n");
    world.write("ci/check.sh", "[ -f done.txt ] || { echo 'not ok 1 - done'; exit 1; }\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a gate in two files"]);
    let old = world.git(&["rev-parse", "main"]);
    world.start();
    submit(&world, "", "echo true > ci/check.sh");
    is_never_done(&world, &old);
    assert_eq!(paths(&world), [["ci/check.sh"], ["ci/check.sh"]]);
}

/// Proves P-22: `[gate]` is what the target has committed. What a checkout says instead is not
/// asked, and one line says so; the rest of its settings counts.
#[test]
fn the_gate_of_the_configuration_is_the_bases() {
    let mut world = world();
    world.write(".taskd/config.toml", "[gate]\ncommand = \"sh test.sh\"\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "settings"]);
    let old = world.git(&["rev-parse", "main"]);
    let mine = "[gate]\ncommand = \"true\"\n[run]\niterations = 2\n";
    world.write(".taskd/config.toml", mine);
    world.start();
    let run = agent(&world, "agent.sh", "echo x >> a.txt");
    let head = format!("agent: {run}\nland: on-gate\nbase: red-ok");
    let text = plan(&head, &[("one", "")]).replace("gate: sh test.sh\n", "");
    let file = world.aside("plan.md", &text);
    let said = world.taskd(&["plan", "check", &file]);
    let told = format!("{}{}", said.out, said.err);
    assert!(
        told.contains("the [gate] of your checkout's .taskd/config.toml is not main's"),
        "{told}"
    );
    world.submit(&text);
    is_never_done(&world, &old);

    // Nothing is committed where the plan is to land: then nothing decides.
    let bare = world.git(&["commit-tree", "-m", "bare", "main~2^{tree}"]);
    world.git(&["branch", "bare", &bare]);
    let file = world.aside("plan.md", &text.replace("base: red-ok", "base: red-ok\ntarget: bare"));
    let refused = world.taskd(&["plan", "check", &file]);
    assert_ne!(refused.code, 0);
    assert!(format!("{}{}", refused.out, refused.err).contains("no gate is set"));
}
