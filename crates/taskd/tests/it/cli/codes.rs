//! The exit codes that `taskd help exit` and `docs/json.md` tell, each made to happen.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Status, service::InterceptorLayer, transport::Server};

use crate::{
    landing::{agent, plan, until_landed, until_ready},
    support::{Door, World},
};

/// The codes that are told, in their order.
fn told(world: &World) -> Vec<i32> {
    let text = world.taskd(&["help", "exit"]).ok();
    let code = |line: &str| line.split(' ').next().and_then(|it| it.parse().ok());
    text.lines().map(|it| code(it).unwrap_or_else(|| panic!("no code in {it:?}"))).collect()
}

/// How a command ends whose daemon answers everything with this.
fn refused(status: &Status) -> i32 {
    let world = World::new();
    std::fs::create_dir_all(world.state()).expect("ours");
    let guard = world.runtime.enter();
    let listener = UnixListener::bind(world.socket()).expect("a socket");
    drop(guard);
    let (code, message) = (status.code(), status.message().to_owned());
    let refuse = move |_: Request<()>| -> Result<Request<()>, Status> {
        Err(Status::new(code, message.clone()))
    };
    let (_, health) = tonic_health::server::health_reporter();
    let server = Server::builder().layer(InterceptorLayer::new(refuse)).add_service(health);
    let serving =
        world.runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    let ran = world.taskd(&["ls", "--json"]);
    serving.abort();
    assert!(ran.err.contains(status.message()), "{ran:?}");
    ran.code
}

/// How `wait` ends at Ctrl-C, sent once it has told what is over already.
fn interrupted(world: &World, id: &str) -> i32 {
    let child = world.command(&["wait", "p1.quick", id]).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("it runs");
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    said.read_line(&mut line).expect("text");
    assert_eq!(line, "p1.quick  landed\n");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGINT).expect("it waits");
    child.wait().expect("it ends").code().expect("a code, no signal")
}

/// Proves MC-CLI-4, P-30: every exit code that is told is what a command ends with, and none is told that
/// nothing ends with. A daemon of the test's own refuses with 75 and 77: the real one does not yet.
#[test]
fn every_exit_code_that_is_told_happens() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let mut seen = BTreeMap::new();
    seen.insert(69, world.taskd(&["ls"]).code);
    let body = format!(
        "case $TASKD_LOOP in *.quick|*.asks) echo x > $TASKD_LOOP.txt ;; *.red) echo x > bad.txt ;; \
         *.long) {} ;; esac",
        door.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    let head = |land: &str| format!("agent: {run}\nland: {land}\nlimits: {{iterations: 1}}");
    world.submit(&plan(&head("on-gate"), &[("quick", "")]));
    until_landed(&world, "p1.quick");
    seen.insert(0, world.taskd(&["wait", "p1"]).code);
    world.submit(&plan(&head("on-gate"), &[("red", "")]));
    seen.insert(3, world.taskd(&["wait", "p2"]).code);
    world.submit(&plan(&head("ask"), &[("asks", "")]));
    until_ready(&world, "p3.asks");
    seen.insert(4, world.taskd(&["wait", "p3"]).code);
    world.submit(&plan(&head("ask"), &[("long", "")]));
    door.reached();
    seen.insert(124, world.taskd(&["wait", "p4", "--timeout", "50ms"]).code);
    seen.insert(130, interrupted(&world, "p4.long"));
    world.taskd(&["stop", "p4"]).ok();
    seen.insert(1, world.taskd(&["wait", "p4"]).code);
    seen.insert(2, world.taskd(&["frobnicate"]).code);
    seen.insert(5, world.taskd(&["show", "p9"]).code);
    world.write(".taskd/config.toml", "[gate]\ncomand = \"sh test.sh\"\n");
    seen.insert(78, world.taskd(&["run", "x", "--agent", "true", "-d"]).code);
    seen.insert(75, refused(&Status::resource_exhausted("too much at once")));
    seen.insert(77, refused(&Status::permission_denied("not yours")));
    let (wanted, got): (Vec<i32>, Vec<i32>) = seen.into_iter().unzip();
    assert_eq!(got, wanted);
    assert_eq!(told(&world), wanted);
    let page = include_str!("../../../../../docs/json.md").lines();
    let page = page.filter_map(|it| it.strip_prefix("| ")?.split_once(' ')?.0.parse().ok());
    assert_eq!(page.collect::<Vec<i32>>(), wanted, "docs/json.md tells others");
}
