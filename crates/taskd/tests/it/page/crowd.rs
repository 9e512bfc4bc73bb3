//! Many loops, and a browser that does not read.

use std::{io::Read as _, net::TcpStream};

use serde_json::json;
use tokio::net::TcpSocket;

use super::{PATIENCE, Served, Stream, write_request};
use crate::{
    landing::{agent, plan},
    support::{Door, World},
};

/// How many talk.
const LOOPS: usize = 50;

fn memory_kb(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|it| it.starts_with("VmRSS:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number")
}

/// A stream whose reader takes next to nothing: its kernel keeps a few kilobytes for it.
fn slow(world: &World, served: &Served, about: &str) -> TcpStream {
    let it = world.runtime.block_on(async {
        let it = TcpSocket::new_v4().expect("a socket");
        it.set_recv_buffer_size(4096).expect("a size");
        it.connect(served.address.parse().expect("an address")).await.expect("it listens")
    });
    let mut it = it.into_std().expect("a socket");
    it.set_nonblocking(false).expect("it may wait");
    it.set_read_timeout(Some(PATIENCE)).expect("a time");
    let (own, bearer) = (served.own(), format!("Bearer {}", served.key));
    let headers = [("Host", served.address.as_str()), ("Origin", &own), ("Authorization", &bearer)];
    write_request(&mut it, "POST /stream", &headers, &json!({ "about": about }).to_string());
    it
}

/// Proves A-9: a browser that reads nothing while fifty loops talk costs daemon and page a bounded
/// amount of memory; when it reads on it is told which events it has not heard, asks for exactly
/// those, and has the picture as it is.
#[test]
fn a_browser_that_does_not_read_misses_and_asks() {
    let mut world = World::new();
    for (name, value) in [("LOOPS", "50"), ("CALLS", "50"), ("AGENTS", "50")] {
        world.env.insert(format!("TASKD_LIMITS__{name}"), value.to_owned());
    }
    let door = Door::new(&world, "talk");
    let line = "x".repeat(1_000);
    let body = format!(
        "{}\nn=0\nwhile [ $n -lt 400 ]; do echo \"$n {line}\"; n=$((n + 1)); done\n\
         case $TASKD_LOOP in *.l0) n=0; while [ $n -lt 12000 ]; do echo \"$n {line}\"; n=$((n + 1)); done ;; esac\n\
         {}",
        door.sh(),
        door.sh()
    );
    let run = agent(&world, "talk.sh", &body);
    world.start();
    let names: Vec<String> = (0..LOOPS).map(|n| format!("l{n}")).collect();
    let specs: Vec<(&str, &str)> = names.iter().map(|it| (it.as_str(), "")).collect();
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &specs));
    names.iter().for_each(|_| door.reached());
    let served = Served::open(&world);
    let mut socket = slow(&world, &served, "p1.l0");
    let mut first = [0; 1];
    socket.read_exact(&mut first).expect("it begins");
    let daemon = world.daemon.as_ref().expect("it runs").id().to_string();
    let before = (memory_kb(&daemon), memory_kb(&served.pid()));
    names.iter().for_each(|_| door.open());
    names.iter().for_each(|_| door.reached());
    let mut told = Vec::new();
    for n in 0..3 {
        let tell = json!({ "verb": "steer", "id": "p1.l0", "text": format!("word {n}"), "key": format!("k{n}") });
        let answer = served.post("/act", &tell);
        told.push(answer.json()["seq"].as_u64().expect("an event"));
    }
    let grown = (
        memory_kb(&daemon).saturating_sub(before.0),
        memory_kb(&served.pid()).saturating_sub(before.1),
    );
    assert!(grown.0 < 64 << 10 && grown.1 < 24 << 10, "daemon and page grew by {grown:?} KB");
    let mut stream = Stream::over(socket);
    let (mut heard, mut gaps) = (Vec::new(), Vec::new());
    let is_in = |seq: &u64, gaps: &[(u64, u64)]| gaps.iter().any(|it| (it.0..=it.1).contains(seq));
    while !told.iter().all(|it| heard.contains(it) || is_in(it, &gaps)) {
        let (kind, it) = stream.next(&["gap", "told"]);
        let number = |name: &str| it[name].as_u64().expect("an event");
        match kind.as_str() {
            "gap" => gaps.push((number("from"), number("to"))),
            _ => heard.push(number("seq")),
        }
    }
    assert!(!gaps.is_empty(), "it was told everything: {heard:?}");
    let mut missed = Vec::new();
    for (from, to) in &gaps {
        let answer = served.ask(&json!({ "what": "events", "id": "p1.l0", "from": from }));
        let rows = answer["events"].as_array().expect("rows").iter();
        missed.extend(rows.filter_map(|it| it["seq"].as_u64()).filter(|it| it <= to));
    }
    let known = |it: &u64| heard.contains(it) || missed.contains(it);
    assert!(told.iter().all(known), "{told:?} {heard:?} {missed:?}");
    // And it goes on from there.
    let tell = json!({ "verb": "steer", "id": "p1.l0", "text": "last word", "key": "last" });
    let seq = served.post("/act", &tell).json()["seq"].as_u64().expect("an event");
    while !heard.contains(&seq) {
        heard.extend(stream.next(&["told"]).1["seq"].as_u64());
    }
    assert!(heard.is_sorted(), "{heard:?}");
    names.iter().for_each(|_| door.open());
}
