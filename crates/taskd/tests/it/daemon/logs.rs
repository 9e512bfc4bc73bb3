//! The log of a daemon in the background.

use std::{fs, io::Read as _, process::Stdio};

use taskd_model::Status;

use crate::{
    provider::{Answer, Provider, Step},
    support::{World, files_that_say},
};

/// In the header of a request, and in the environment of nobody.
const KEY: &str = "sk-sentinel-0b71d2";

/// Proves N18: a log is added to by each daemon and moved aside when it has grown, by the daemon
/// alone; whoever follows it goes on with the new one. With everything logged no key is in it, nor
/// in the environment of a tool.
#[test]
fn a_log_is_kept_in_pieces_and_holds_no_key() {
    let provider = Provider::new(|seen| {
        let command = serde_json::json!({"command": "env >env.txt; echo b >b.txt"}).to_string();
        let step = match seen.body.contains("tool_result") {
            false => Step::Tool("run", command),
            true => Step::Text("Done.".to_owned()),
        };
        Answer::Stream(vec![step])
    });
    let mut world = World::new();
    world.env.insert("TASKD_LOG__LEVEL".to_owned(), "trace".to_owned());
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), KEY.to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url());
    let log = world.state().join("daemon.log");
    world.taskd(&["daemon", "start"]).ok();
    world.submit(
        "---\nplan: Log\nmodel: anthropic/claude-sonnet-4-5\ngate: sh test.sh\nland: never\n---\n\n\
         ## spec a: A\n\nWrite b.txt.\n",
    );
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());
    let work = it.checkpoint.expect("its work");
    let env = world.git(&["show", &format!("{work}:env.txt")]);
    assert!(env.contains("TASKD_LOOP=") && !env.contains("ANTHROPIC"), "{env}");
    world.taskd(&["daemon", "stop"]).ok();
    let first = fs::read_to_string(&log).expect("the log");
    assert!(first.contains("TRACE") && first.contains("ready socket="), "everything is logged");
    assert_eq!(files_that_say(world.dir.path(), KEY), Vec::<std::path::PathBuf>::new());
    // It has grown while nobody ran.
    let old = "an old line of the log\n".repeat(500_000);
    fs::write(&log, format!("{first}{old}")).expect("ours");
    let mut command = world.command(&["daemon", "logs", "-n", "1", "--follow"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().expect("taskd runs");
    let mut said = follower.stdout.take().expect("piped");
    let mut seen = vec![0; 23];
    said.read_exact(&mut seen).expect("its last line");
    world.taskd(&["daemon", "start"]).ok();
    let moved = fs::read_to_string(log.with_extension("log.1")).expect("it was moved aside");
    assert!(moved.starts_with(&first) && moved.ends_with(&old), "nothing of it was cut");
    let now = fs::read_to_string(&log).expect("a new one");
    assert!(now.contains("ready socket=") && !now.contains("an old line"));
    while !String::from_utf8_lossy(&seen).contains("ready socket=") {
        let mut more = [0; 4_096];
        let n = said.read(&mut more).expect("it goes on");
        assert_ne!(n, 0, "the follower ended");
        seen.extend(&more[..n]);
    }
    follower.kill().expect("ours");
    follower.wait().expect("gone");
    world.taskd(&["daemon", "stop"]).ok();
}
