//! Whether a loop gets on: the same failure of the same tree is not tried for ever, whatever differs
//! is progress, and who waits is not stuck.

use taskd_model::{Limit, Reason, Status};

use super::{outcomes::peak_memory_kib, *};

/// A plan of one spec `a`.
fn plan_for(worker: &str, head: &str) -> String {
    format!("---\nplan: One\n{worker}\n{head}\n---\n## spec a: Do it\n\nThe task.\n")
}

/// A gate that fails with other numbers each time, and names no test.
const NOISY: &str = "n=$(cat /proc/sys/kernel/random/uuid)\n\
                     [ -f wrong ] && { echo \"cannot read /tmp/$n: took $RANDOM ms\"; exit 1; }\n\
                     echo fine\n";

/// Proves F6, PR-14: three iterations that end with the same failure of the same tree are enough;
/// a person is asked and told what failed, `kill -9` in between changes no count, and after a word
/// of theirs it is counted anew. What a gate prints otherwise each time is no progress.
#[test]
fn the_same_failure_of_the_same_tree_stops_a_loop() {
    let mut world = World::new();
    world.write("test.sh", NOISY);
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a noisy gate"]);
    let door = Door::new(&world, "third");
    let agent = shell(
        &world,
        "agent.sh",
        &format!("[ $TASKD_ITERATION = 3 ] && {{ {}; }}\necho x >wrong\n", door.sh()),
    );
    world.start();
    world.submit(&plan_for(&format!("agent: {agent}"), "gate: bash test.sh\nland: on-gate"));
    door.reached();
    assert_eq!(world.row("p1.a").alike, 2, "{}", world.transcript());
    let watch = "watch: the gate was red twice; a third time with the same tree stops it as \"no\n       \
                 progress\" and asks you";
    assert_says(&world.taskd(&["show", "p1.a"]).ok(), watch);
    world.kill();
    world.start_with(&["--resume"]);
    door.reached();
    door.open();
    let it = world.until_status("p1.a", &[Status::Blocked, Status::Failed]);
    assert_eq!(it.reason, Some(Reason::NoProgress(3)), "{}", world.transcript());
    assert_eq!(iterations(&world, it.id), [1, 2, 3], "seven more were allowed");
    assert_says(&world.taskd(&["ls"]).ok(), "no progress: the gate was red 3 times");
    assert_eq!(world.taskd(&["wait", "p1"]).code, 4);
    world.taskd(&["steer", "p1.a", "look at what it reads"]).ok();
    world.taskd(&["resume", "p1.a"]).ok();
    world.until("it to ask again", |view| {
        view.loops.values().any(|it| it.iteration == 6 && it.status == Status::Blocked)
    });
    let it = world.row("p1.a");
    assert_eq!((it.reason, it.alike), (Some(Reason::NoProgress(3)), 3));
}

/// Proves P-23: another tree, or another failure of the same tree, is progress, however often the gate
/// is red; so such a loop ends by its own limits.
#[test]
fn whatever_differs_is_progress() {
    let mut world = World::new();
    // The second spec leaves its tree as it is; the gate fails by turns.
    let turn = world.dir.path().join("turn");
    let gate = format!(
        "[ -f fine ] && {{ n=$(cat {0} 2>/dev/null || echo 0); echo $((1 - n)) >{0}\n\
         echo \"not ok 1 - test_$n\"; exit 1; }}\n[ -f bad ] && {{ echo 'not ok 1 - bad'; exit 1; }}\n\
         echo '1 passed, 0 failed'\n",
        turn.display()
    );
    world.write("test.sh", &gate);
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a gate"]);
    let agent = shell(
        &world,
        "agent.sh",
        "case $TASKD_LOOP in *.tree) echo $TASKD_ITERATION >bad;; *) echo x >fine;; esac\n",
    );
    world.start();
    world.submit(&format!(
        "---\nplan: Two\nagent: {agent}\ngate: sh test.sh\nland: never\nlimits: {{iterations: 5}}\n\
         ---\n## spec tree: Other trees\n\nOne.\n\n## spec tests: Other tests\n\nTwo.\n"
    ));
    for name in ["p1.tree", "p1.tests"] {
        let it = world.until_status(name, &[Status::Blocked, Status::Failed]);
        assert_eq!(it.reason, Some(Reason::Limit(Limit::Iterations)), "{}", world.transcript());
        assert_eq!(iterations(&world, it.id), [1, 2, 3, 4, 5]);
    }
}

/// Proves T2.2e: a loop type sets how often the same failure may come, how many turns an iteration has
/// and how many tokens a loop may use; who waits, for a provider or for a person, is not counted, be
/// the limit ever so tight.
#[test]
fn a_type_says_how_soon_and_waiting_is_not_counted() {
    let mut world = World::new();
    let limits = |it: &str| format!("extends: ralph\nlimits: {{{it}}}\n");
    world.write(".taskd/types/once.yaml", &limits("same_failure: 1"));
    world.write(".taskd/types/short.yaml", &limits("turns: 2, same_failure: 2"));
    world.write(".taskd/types/poor.yaml", &limits("tokens: 1000"));
    let write = |name: &str| format!("{{tools: [{{write: {{path: {name}, content: x}}}}]}}");
    let refused = "fail: [{status: 429}, {status: 429}, {status: 429}], ";
    let waits = write("w.txt").replacen('{', &format!("{{{refused}"), 1);
    let turns = [write("bad.txt"), write("x.txt"), write("never.txt")].join(", ");
    let text = format!(
        "loops:\n  waits: [{{turns: [{waits}, {{say: done}}]}}]\n  short: [{{turns: [{turns}]}}]\n  \
         poor: [{{turns: [{turns}]}}]\n"
    );
    let model = replies(&world, "m.yaml", &text);
    world.start();
    // Each on its own: work that joins a plan is another base for the others, and another tree.
    for (name, kind) in [("waits", "once"), ("short", "short"), ("poor", "poor")] {
        let head = format!("plan: {name}\nmodel: {model}\ngate: sh test.sh\nland: never");
        world.submit(&format!("---\n{head}\n---\n## spec {name}: S\ntype: {kind}\n\nIt.\n"));
    }
    let it = world.until_status("p1.waits", &[Status::Blocked, Status::Failed, Status::Complete]);
    assert_eq!((it.status, it.failed_calls), (Status::Complete, 3), "{}", world.transcript());
    let it = world.until_status("p2.short", &[Status::Blocked, Status::Failed]);
    assert_eq!(it.reason, Some(Reason::NoProgress(2)), "{}", world.transcript());
    assert_eq!((it.iteration, started(&world, it.id, "call")), (2, 4), "two turns each");
    let it = world.until_status("p3.poor", &[Status::Blocked, Status::Failed]);
    assert_eq!(it.reason, Some(Reason::Limit(Limit::Budget)), "{}", world.transcript());
}

/// Proves E9: ten loops of ten iterations each, whose gates print a megabyte every time: no prompt
/// grows beyond what one has, however many came before it, what was printed is kept, and the daemon
/// does not hold it.
#[test]
fn megabytes_of_gate_output_leave_prompts_and_memory_small() {
    let mut world = World::new();
    let gate = "[ -f bad ] || { echo '1 passed, 0 failed'; exit; }\n\
                head -c 1000000 /dev/urandom | base64 -w 99; echo \"not ok 1 - $(cat bad)\"; exit 1\n";
    world.write("test.sh", gate);
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a loud gate"]);
    let agent = prompts::listener(&world, "echo $TASKD_LOOP $TASKD_ITERATION >bad\n");
    let head = "land: never\nlimits: {iterations: 10}\ngate: sh test.sh";
    let specs: String = (0..10).map(|n| format!("## spec s{n}: S\n\nThe task.\n\n")).collect();
    world.start();
    let before = peak_memory_kib(&world);
    world.submit(&format!("---\nplan: Loud\nagent: {agent}\n{head}\n---\n{specs}"));
    for n in 0..10 {
        let it = world.until_status(&format!("p1.s{n}"), &[Status::Failed, Status::Blocked]);
        assert_eq!((it.status, it.iteration), (Status::Failed, 10), "{:?}", it.reason);
    }
    let grown = peak_memory_kib(&world) - before;
    assert!(
        grown < 64 << 10,
        "a hundred megabytes were printed, and the daemon grew by {grown} KiB"
    );
    let told = |n, iteration| left(&world, &format!("told-p1.s{n}-{iteration}")).len();
    for n in 0..10 {
        assert!(0 < told(n, 10));
        let most = (1..=10).map(|it| told(n, it)).max().expect("ten");
        assert!(most < 16 << 10, "a prompt has {most} bytes");
    }
    let first = world.row("p1.s0").iterations[0].log.expect("it is kept").to_string();
    assert!(100_000 < large_blob(&world, &first).len(), "what a gate printed is kept");
}
