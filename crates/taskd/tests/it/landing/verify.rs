//! `taskd verify`: a landing is proven again, and what is not true any more is found.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use serde_json::Value;

use super::{agent, plan, refs, until_landed};
use crate::support::World;

/// A world with one landed loop. Its gate counts its runs in `runs`, and is red once `broken` is
/// there; both are beside the repository.
fn landed() -> (World, String) {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    let dir = world.dir.path().display().to_string();
    let gate = format!("gate: echo run >> {dir}/runs && test ! -f {dir}/broken && sh test.sh");
    world.start();
    let text = plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]);
    world.submit(&text.replace("gate: sh test.sh", &gate));
    let commit = until_landed(&world, "p1.one");
    (world, commit)
}

fn runs(world: &World) -> usize {
    fs::read_to_string(world.dir.path().join("runs")).expect("the gate ran").lines().count()
}

/// The answer of `verify --json`: whether it is proven, and the steps that are not.
fn verify(world: &World, args: &[&str], exit: i32) -> (bool, Vec<String>, Vec<String>) {
    let args: Vec<&str> = ["verify", "--json"].iter().chain(args).copied().collect();
    let ran = world.taskd(&args);
    assert_eq!(ran.code, exit, "{}{}", ran.out, ran.err);
    let answer: Value = serde_json::from_str(&ran.out).expect("JSON");
    let steps = answer["steps"].as_array().expect("steps").iter();
    let names = |holds: bool| {
        let of = steps.clone().filter(move |it| it["proven"] == holds);
        of.map(|it| it["name"].as_str().expect("a name").to_owned()).collect()
    };
    (answer["proven"] == true, names(true), names(false))
}

/// Proves W-10: a landing is proven again from its records, evidence, tree, log and target, and by
/// running its gate once more on the landed tree; a gate that is red now, a target that lost the
/// commit and a commit that taskd did not land are told apart. No ref but our own is written.
#[test]
fn a_landing_is_proven_again_and_what_is_not_true_is_found() {
    let (world, commit) = landed();
    let (before, ran) = (refs(&world), runs(&world));
    let all = ["evidence", "tree", "log", "target", "trailers", "gate"];
    assert_eq!(verify(&world, &["p1.one"], 0), (true, all.map(str::to_owned).to_vec(), vec![]));
    assert_eq!(runs(&world), ran + 1, "the gate ran again");
    let recorded = verify(&world, &["--recorded", "p1.one"], 0);
    assert_eq!((recorded.0, recorded.1.len(), runs(&world)), (true, 5, ran + 1));
    // The same by its commit, also by the beginning of its name.
    assert_eq!(verify(&world, &[&commit[..9]], 0).1.len(), 6);
    assert_eq!(refs(&world), before);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    let text = world.taskd(&["verify", "p1.one", "--recorded"]).ok();
    assert!(text.contains("  ok      log       the gate's output is there"), "{text}");
    assert!(text.ends_with("the records hold; nothing was run\n"), "{text}");
    fs::write(world.dir.path().join("broken"), "").expect("ours");
    assert_eq!(verify(&world, &["p1.one"], 1).2, ["gate"]);
    fs::remove_file(world.dir.path().join("broken")).expect("ours");
    let root = world.git(&["rev-list", "--max-parents=0", "main"]);
    assert_eq!(verify(&world, &[&root], 1).2, ["trailers"]);
    world.git(&["reset", "-q", "--hard", &root]);
    assert_eq!(verify(&world, &["--recorded", "p1.one"], 1).2, ["target"]);
    assert!(world.taskd(&["verify", "p1.nothing"]).fails(5).contains("no commit is called so"));
}

/// Proves W-10: the commit alone is enough. A store that never saw the landing runs the gate its
/// trailers name; a commit whose trailers were changed is not believed.
#[test]
fn a_commit_alone_is_enough() {
    let (mut world, commit) = landed();
    world.stop();
    fs::remove_dir_all(world.state()).expect("ours");
    world.start();
    let ran = runs(&world);
    let (proven, steps, _) = verify(&world, &[&commit], 0);
    assert_eq!(
        (proven, steps.join(" "), runs(&world)),
        (true, "trailers gate".to_owned(), ran + 1)
    );
    let message = world.git(&["log", "-1", "--format=%B", &commit]);
    let forged = message.replace("Taskd-Gate: ", "Taskd-Gate: true ");
    assert_ne!(message, forged);
    world.git(&["commit", "-q", "--amend", "-m", &forged]);
    assert_eq!(verify(&world, &["HEAD"], 1).2, ["trailers"]);
    assert_eq!(runs(&world), ran + 1, "a gate that is not believed is not run");
}

/// Whoever asked goes away in the middle: the gate they waited for ends.
#[test]
fn a_verification_ends_with_who_asked() {
    let mut world = World::new();
    let dir = world.dir.path().display().to_string();
    let fifo = world.dir.path().join("alive");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("ours");
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    let stay = format!("[ ! -f {dir}/stay ] || {{ exec 3>{dir}/alive; echo up >&3; sleep 600; }}");
    world.start();
    let text = plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]);
    world.submit(&text.replace("gate: sh test.sh", &format!("gate: ['{stay}', 'sh test.sh']")));
    until_landed(&world, "p1.one");
    fs::write(world.dir.path().join("stay"), "").expect("ours");
    let mut asks = world.command(&["verify", "p1.one"]);
    let mut asks = asks.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("taskd");
    let mut alive = BufReader::new(fs::File::open(&fifo).expect("a fifo"));
    let mut line = String::new();
    alive.read_line(&mut line).expect("the gate runs");
    assert_eq!(line, "up\n");
    asks.kill().expect("it runs");
    asks.wait().expect("ours");
    // The pipe ends when the gate, and everything it started, is gone.
    assert_eq!(alive.read_to_string(&mut line).expect("it ends"), 0);
    fs::remove_file(world.dir.path().join("stay")).expect("ours");
    world.taskd(&["verify", "p1.one", "--timeout", "1m"]).ok();
}
