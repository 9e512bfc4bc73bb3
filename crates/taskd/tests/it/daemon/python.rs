//! The API from another language: the example of `docs/api.md`, with a client made from the protocol.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    landing::{agent, plan},
    support::World,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// Python, if it can make clients of gRPC.
fn python() -> Option<Command> {
    let mut probe = Command::new("python3");
    let probe = probe.args(["-c", "import grpc_tools.protoc, grpc"]).stderr(Stdio::null());
    if probe.status().is_ok_and(|it| it.success()) {
        return Some(Command::new("python3"));
    }
    writeln!(std::io::stdout(), "NOT RUN python3 with grpcio and grpcio-tools").ok();
    None
}

/// A client that was made from the protocol and shares no code with us reads the view, follows what
/// happens to the end of a plan, and reads the details of an error.
///
/// Proves API-3.
#[test]
fn a_client_in_another_language_follows_a_plan() {
    let Some(mut protoc) = python() else { return };
    let mut world = World::new();
    let made = world.dir.path().join("made");
    std::fs::create_dir(&made).expect("ours");
    let proto = root().join("proto");
    protoc.args(["-m", "grpc_tools.protoc", "-I"]).arg(&proto);
    for out in ["--python_out", "--grpc_python_out"] {
        protoc.arg(format!("{out}={}", made.display()));
    }
    let files = ["taskd", "view", "history"].map(|it| proto.join(format!("taskd/v1/{it}.proto")));
    assert!(protoc.args(files).status().expect("it runs").success());
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("a", "")]));
    let example = |plan: &str| {
        let mut example = python().expect("it was here");
        example.arg(root().join("docs/examples/python/watch.py")).arg(world.socket()).arg(plan);
        example.env("PYTHONPATH", &made).output().expect("it runs")
    };
    let out = example("p1");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{out:?}");
    assert!(text.contains("p1.a") && text.ends_with("p1 is over\n"), "{text}");
    let out = example("p9");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && text.starts_with("not_found: "), "{text}");
}
