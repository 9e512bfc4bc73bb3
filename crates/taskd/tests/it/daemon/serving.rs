//! Where the daemon is reached, by whom, and what it answers to supervisors and to tools.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        process::CommandExt as _,
    },
};

use taskd_model::Status;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::{PATIENCE, bytes, held, in_time, plan, script, status};
use crate::support::{Door, World};

/// One HTTP request; status and everything after the head.
#[track_caller]
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let (code, _, body) = get_as(address, path, "*/*");
    (code, body)
}

/// The same for who accepts this; the head too.
#[track_caller]
pub(crate) fn get_as(address: &str, path: &str, accept: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let code = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status line");
    (code, head.to_owned(), body.to_owned())
}

/// Where `/metrics` is.
#[track_caller]
pub(crate) fn http(world: &World) -> String {
    let listens = status(world)["sockets"].clone();
    let found = listens.as_array().expect("a list").iter();
    let http = found.filter_map(|it| it.as_str()?.strip_prefix("http://")).next();
    http.expect("an address").to_owned()
}

/// The value of a metric.
#[track_caller]
pub(crate) fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
}

pub(super) fn channel(world: &World) -> Channel {
    let place = format!("unix://{}", world.socket().display());
    let endpoint = Endpoint::from_shared(place).expect("an address");
    world.runtime.block_on(endpoint.connect()).expect("it answers")
}

/// Whether we may become somebody else.
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

/// Somebody else than the one who runs the tests.
const NOBODY: u32 = 65_534;

/// A copy of the binary, and of everything on the way to it, that everybody may run. `cp` makes it:
/// a file this process had open for writing could not be run while other tests fork.
fn binary_for_all(world: &World) -> String {
    let place = world.dir.path().join("taskd");
    let mut copy = std::process::Command::new("cp");
    let copied = copy.arg(env!("CARGO_BIN_EXE_taskd")).arg(&place).status().expect("cp runs");
    assert!(copied.success());
    for it in [world.dir.path(), &place] {
        fs::set_permissions(it, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    place.to_str().expect("UTF-8").to_owned()
}

/// Everything the daemon keeps is its owner's alone, and so is its socket; one who gets at the
/// socket all the same is turned away by who he is.
///
/// Proves N17.
#[test]
fn only_its_own_user_gets_in() {
    let world = World::new();
    world.taskd(&["daemon", "start"]).ok();
    let state = world.state();
    let mode = |name: &str| fs::metadata(state.join(name)).expect("it is there").mode() & 0o777;
    assert_eq!([mode("."), mode("taskd.sock"), mode("run")], [0o700, 0o600, 0o700]);
    assert_eq!([mode("taskd.db"), mode("daemon.log"), mode("blobs")], [0o600, 0o600, 0o700]);
    if !is_root() {
        writeln!(std::io::stderr(), "NOT RUN: only root can be somebody else").ok();
        return;
    }
    let taskd = binary_for_all(&world);
    for (place, mode) in [(state.clone(), 0o755), (state.join("taskd.sock"), 0o666)] {
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).expect("ours");
    }
    let visit = |uid: u32| {
        let mut command = std::process::Command::new(&taskd);
        command.args(["daemon", "status"]).env_clear().envs(&world.env).current_dir("/");
        let out = command.uid(uid).gid(uid).output().expect("it runs");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    assert_eq!(visit(0).0, Some(0), "its own user is served");
    let (code, said) = visit(NOBODY);
    assert_eq!(code, Some(69), "{said}");
    let log = fs::read_to_string(state.join("daemon.log")).expect("the log");
    assert!(log.contains("refused a connection of another user"), "{log}");
    assert!(log.contains(&format!("peer=Ok({NOBODY})")), "{log}");
}

/// The state folder that cannot be made or written is named, with what to do.
#[test]
fn a_state_folder_that_cannot_be_written_is_named() {
    let mut world = World::new();
    fs::write(world.state(), "in the way").expect("writable");
    for words in [["daemon", "run"], ["daemon", "start"]] {
        let said = in_time(&world, &words).fails(1);
        assert!(said.contains(&world.state().display().to_string()), "{said}");
        assert!(said.contains("TASKD_STATE_DIR"), "{said}");
    }
    assert_eq!(fs::read(world.state()).expect("still there"), b"in the way");
    fs::remove_file(world.state()).expect("ours");
    if !is_root() {
        writeln!(std::io::stderr(), "NOT RUN: needs to be root to be kept out").ok();
        return;
    }
    world.start();
    world.stop();
    let taskd = binary_for_all(&world);
    let run = || {
        let mut command = std::process::Command::new(&taskd);
        command.args(["daemon", "run"]).env_clear().envs(&world.env).current_dir("/");
        let out = command.uid(NOBODY).gid(NOBODY).output().expect("it runs");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    fs::set_permissions(world.state(), fs::Permissions::from_mode(0o755)).expect("ours");
    let before = bytes(&world.state());
    let (code, said) = run();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&world.state().display().to_string()), "{said}");
    assert_eq!(before, bytes(&world.state()));
}

/// Health as gRPC has it, and reflection that knows every service.
#[test]
fn health_and_reflection_answer() {
    let mut world = World::new();
    world.start();
    let channel = channel(&world);
    for service in ["", "taskd.v1.Taskd"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = world.runtime.block_on(HealthClient::new(channel.clone()).check(request));
        let status = answer.expect("it is known").into_inner().status();
        assert_eq!(status.as_str_name(), "SERVING", "{service}");
    }
    let request = HealthCheckRequest { service: "somebody.Else".to_owned() };
    let answer = world.runtime.block_on(HealthClient::new(channel.clone()).check(request));
    assert_eq!(answer.expect_err("unknown").code(), tonic::Code::NotFound);

    let ask = |what: MessageRequest| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(what) };
        let mut client = ServerReflectionClient::new(channel.clone());
        world.runtime.block_on(async {
            let stream = tokio_stream::once(request);
            let answers = client.server_reflection_info(stream).await.expect("it answers");
            let mut answers = answers.into_inner();
            let first = answers.message().await.expect("readable").expect("one answer");
            first.message_response.expect("something")
        })
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices("*".into()))
    else {
        panic!("no list")
    };
    let names: Vec<_> = list.service.into_iter().map(|it| it.name).collect();
    for name in ["taskd.v1.Taskd", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|it| it == name), "{names:?}");
    }
    let symbol = MessageRequest::FileContainingSymbol("taskd.v1.Taskd.Submit".into());
    let MessageResponse::FileDescriptorResponse(files) = ask(symbol) else { panic!("no file") };
    assert!(!files.file_descriptor_proto.is_empty());
}

/// What supervisors and scrapers ask on loopback, with figures that are those of the log; a place
/// that others could reach is refused.
#[test]
fn health_and_metrics_are_served_on_loopback_alone() {
    let mut world = World::new();
    let door = Door::new(&world, "a");
    world.start();
    let sockets = status(&world)["sockets"].to_string();
    assert!(!sockets.contains("http"), "nothing listens unasked: {sockets}");
    world.stop();
    world.start_served();
    let http = http(&world);
    assert!(http.starts_with("127.0.0.1:"), "{http}");
    let facts = fs::read_to_string(world.state().join("daemon.json")).expect("facts");
    let facts: serde_json::Value = serde_json::from_str(&facts).expect("JSON");
    assert_eq!(facts["http"].as_str(), Some(http.as_str()));
    assert_eq!(get(&http, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(&http, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(get(&http, "/nothing").0, 404);
    let nobody = metric(&get(&http, "/metrics").1, "taskd_watchers");
    assert_eq!(nobody, 0, "what the daemon follows itself is no client");
    world.submit(&held(&world, &door));
    door.reached();
    let view = world.until("the agent to be seen", |it| it.effects.len() == 1);
    let (code, text) = get(&http, "/metrics");
    assert_eq!(code, 200);
    assert_eq!(metric(&text, "taskd_loops{status=\"running\"}"), 1);
    assert_eq!(metric(&text, "taskd_effects_running"), 1);
    assert!(view.seq.0 <= metric(&text, "taskd_log_seq"));
    door.open();
    world.until_status("p1.a", &[Status::Complete]);
    world.stop();
    assert!(TcpStream::connect(&http).is_err(), "nobody listens any more");

    for open in ["0.0.0.0:0", "192.0.2.1:80"] {
        let said = in_time(&world, &["daemon", "run", "--http", open]).fails(1);
        assert!(said.contains("loopback"), "{said}");
    }
}

/// Proves T3.1d: commands reach what they show and change through the daemon's socket alone: where
/// there is a socket and nothing else, all of them work, and none makes a store or finds one.
#[test]
fn commands_need_the_socket_and_nothing_else() {
    let mut world = World::new();
    let door = Door::new(&world, "a");
    world.start();
    let elsewhere = world.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("writable");
    symlink(world.socket(), elsewhere.join("taskd.sock")).expect("writable");
    let file = world.aside("plan.md", &held(&world, &door));
    let run = |words: &[&str]| {
        let mut command = world.command(words);
        let out = command.env("TASKD_STATE_DIR", &elsewhere).output().expect("taskd runs");
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.success(), "{words:?}: {said}");
    };
    run(&["plan", "submit", &file, "-q"]);
    door.reached();
    for words in [
        &["ls"][..],
        &["show", "p1.a"],
        &["why", "p1.a"],
        &["logs", "p1.a"],
        &["diff", "p1.a"],
        &["path", "p1.a"],
        &["events"],
        &["costs"],
        &["doctor"],
        &["projects", "ls"],
        &["daemon", "status"],
        &["plan", "check", &file],
        &["steer", "p1.a", "hello"],
        &["pause", "p1.a"],
        &["resume", "p1.a"],
    ] {
        run(words);
    }
    door.open();
    run(&["wait", "p1.a"]);
    let left: Vec<_> = fs::read_dir(&elsewhere).expect("readable").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    // And without a daemon they touch nothing.
    world.stop();
    let before = bytes(&world.state());
    for words in [&["ls"][..], &["show", "p1.a"], &["events"], &["doctor"], &["pause", "p1.a"]] {
        world.taskd(words).fails(69);
    }
    assert_eq!(before, bytes(&world.state()));
}

/// Proves E13: a loop that lands leaves nothing in the repository but our refs, worktree metadata
/// and what landed; the store is in no worktree, and no file is written unasked.
#[test]
fn the_repository_gets_our_refs_and_what_lands_and_nothing_else() {
    let mut world = World::new();
    world.git(&["checkout", "-q", "-b", "mine"]);
    world.write("mine.txt", "not committed\n");
    world.write("a.txt", "changed\n");
    let listing = |world: &World| {
        let files = bytes(&world.repo).into_iter();
        let ours = |path: &str| {
            [".git/objects/", ".git/refs/taskd/", ".git/worktrees/", ".git/logs/refs/heads/"]
                .iter()
                .any(|it| path.starts_with(it))
                || [".git/refs/heads/main", ".git/packed-refs"].contains(&path)
        };
        let short = |path: std::path::PathBuf| {
            let path = path.strip_prefix(&world.repo).expect("in it");
            path.to_str().expect("UTF-8").to_owned()
        };
        let all = files.map(|(path, bytes)| (short(path), bytes));
        all.filter(|(path, _)| !ours(path)).collect::<Vec<_>>()
    };
    let before = listing(&world);
    let refs = |world: &World| world.git(&["for-each-ref", "--format=%(refname)"]);
    world.start();
    let agent = script(&world, "a.sh", "echo a > work.txt");
    world.submit(&plan("Land", "", &[("a", format!("agent: {agent}"))]));
    world.until("p1 to be over", |it| it.plans.values().any(|it| it.ended_at.is_some()));
    assert!(world.row("p1.a").landed.is_some(), "{}", world.transcript());
    assert_eq!(world.git(&["show", "main:work.txt"]), "a");
    world.stop();
    assert_eq!(before, listing(&world), "files of the repository");
    for name in refs(&world).lines() {
        let theirs = ["refs/heads/main", "refs/heads/mine"].contains(&name);
        assert!(theirs || name.starts_with("refs/taskd/"), "{name}");
    }
    let worktrees = world.git(&["worktree", "list", "--porcelain"]);
    for place in worktrees.lines().filter_map(|it| it.strip_prefix("worktree ")) {
        assert!(!world.state().starts_with(place), "the store is in {place}");
    }
}
