//! A daemon of another machine: over TLS, for whoever holds its token, and for nobody else.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use taskd_model::Status;

use super::{PATIENCE, in_time, status};
use crate::{
    landing::{agent, plan, until_landed, until_ready},
    support::World,
};

/// A certificate for `localhost` and the authority that signed it, as files; the daemon is told.
fn certified(world: &mut World) -> String {
    let key = || KeyPair::generate().expect("keys");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, key()).expect("an authority");
    let own = key();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let cert = params.signed_by(&own, &authority).expect("a certificate");
    let ca = world.aside("ca.pem", &authority.pem());
    let of_daemon = [
        ("TASKD_API__LISTEN", "127.0.0.1:0".to_owned()),
        ("TASKD_API__CERT", world.aside("cert.pem", &cert.pem())),
        ("TASKD_API__CERT_KEY", world.aside("key.pem", &own.serialize_pem())),
    ];
    for (name, value) in of_daemon {
        world.env.insert(name.to_owned(), value);
    }
    ca
}

/// Another machine, as far as programs can tell: it has nothing of ours but the token and the
/// authority.
fn elsewhere(world: &World, ca: &str) -> World {
    let mut other = World::new();
    let address = status(world)["sockets"].as_array().expect("a list").iter().find_map(|it| {
        it.as_str()?.strip_prefix("https://127.0.0.1:").map(|it| format!("https://localhost:{it}"))
    });
    let token = fs::read_to_string(world.state().join("api-token")).expect("made at the start");
    let token = other.aside("token", &token);
    let of_client = [
        ("TASKD_REMOTE", address.expect("it listens")),
        ("TASKD_TOKEN_FILE", token),
        ("TASKD_CA_FILE", ca.to_owned()),
    ];
    for (name, value) in of_client {
        other.env.insert(name.to_owned(), value);
    }
    other
}

/// A person elsewhere submits, watches, looks and lands; nothing is started on their own machine.
///
/// Proves API-1.
#[test]
fn a_daemon_of_another_machine_is_driven_over_tls() {
    let mut world = World::new();
    let ca = certified(&mut world);
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    world.start();
    let other = elsewhere(&world, &ca);
    let file = other.aside("plan.md", &plan(&format!("agent: {run}\nland: ask"), &[("a", "")]));
    let there = world.repo.display().to_string();
    let said = other.taskd(&["plan", "submit", &file]).fails(2);
    assert!(said.contains("taskd -C /srv/app"), "{said}");
    other.taskd(&["-C", &there, "plan", "submit", &file]).fails(4);
    until_ready(&world, "p1.a");
    assert!(other.taskd(&["ls"]).ok().contains("p1.a"));
    assert!(other.taskd(&["diff", "p1.a"]).ok().contains("p1.a.txt"));
    other.taskd(&["land", "p1.a"]).ok();
    until_landed(&world, "p1.a");
    other.taskd(&["wait", "p1.a"]).ok();
    assert_eq!(world.row("p1.a").status, Status::Complete);
    let refused = other.taskd(&["daemon", "stop"]).fails(2);
    assert!(refused.contains("is for this machine"), "{refused}");
    assert!(!other.socket().exists() && !other.state().join("taskd.db").exists());
    let mode = fs::metadata(world.state().join("api-token")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// Whoever has no token, another's, or does not trust the certificate gets nothing; who does not
/// speak TLS gets no answer at all.
///
/// Proves API-2.
#[test]
fn nobody_else_gets_in() {
    let mut world = World::new();
    let ca = certified(&mut world);
    world.start();
    let mut other = elsewhere(&world, &ca);
    other.taskd(&["ls"]).ok();
    let token = other.env.insert("TASKD_TOKEN".to_owned(), "0".repeat(64));
    assert_eq!(token, None);
    let said = other.taskd(&["ls"]).fails(77);
    assert!(said.contains("the token is not this daemon's"), "{said}");
    other.env.remove("TASKD_TOKEN");
    let ours = other.env.remove("TASKD_TOKEN_FILE").expect("set");
    let said = other.taskd(&["ls"]).fails(78);
    assert!(said.contains("there is no token"), "{said}");
    other.env.insert("TASKD_TOKEN_FILE".to_owned(), ours);
    other.env.remove("TASKD_CA_FILE");
    let said = other.taskd(&["ls"]).fails(69);
    assert!(said.contains("certificate"), "{said}");
    let address = other.env["TASKD_REMOTE"].replace("https://localhost", "127.0.0.1");
    let mut plain = TcpStream::connect(&address).expect("it listens");
    plain.set_read_timeout(Some(PATIENCE)).expect("a socket");
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("taken");
    let mut answer = Vec::new();
    plain.read_to_end(&mut answer).ok();
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
    // The socket is as it was.
    world.taskd(&["ls"]).ok();
}

/// Without a certificate nothing is served over the network, and nothing at all: the daemon says
/// what is missing.
///
/// Proves API-2.
#[test]
fn there_is_no_network_without_tls() {
    let mut world = World::new();
    certified(&mut world);
    let key = world.env.remove("TASKD_API__CERT_KEY").expect("set");
    let said = in_time(&world, &["daemon", "run"]).fails(78);
    assert!(said.contains("api.cert_key is not set") && said.contains("TLS or nothing"), "{said}");
    world.env.insert("TASKD_API__CERT_KEY".to_owned(), world.env["TASKD_API__CERT"].clone());
    let said = in_time(&world, &["daemon", "run"]).fails(78);
    assert!(said.contains("no certificate and its key"), "{said}");
    world.env.insert("TASKD_API__CERT_KEY".to_owned(), format!("{key}.gone"));
    let said = in_time(&world, &["daemon", "start"]).fails(1);
    assert!(said.contains("api.cert_key cannot be read"), "{said}");
    assert!(!world.socket().exists());
}
