//! The same over HTTP, byte by byte.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Stdio},
};

use serde_json::Value;

use crate::support::World;

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

struct Served {
    child: Child,
    address: String,
    token: String,
}

impl Served {
    fn new(world: &World, args: &[&str]) -> Self {
        let mut command = world.command(&[&["mcp", "--http", "127.0.0.1:0"], args].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().expect("taskd runs");
        let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut line = || said.next().expect("a line").expect("text");
        let place = line();
        let address = place.strip_prefix("http://").and_then(|it| it.strip_suffix("/mcp"));
        let address = address.expect("where it is").to_owned();
        let token = line().strip_prefix("Authorization: Bearer ").expect("a token").to_owned();
        Self { child, address, token }
    }

    /// Sends one request with these headers besides the length; status and body.
    fn send(&self, verb: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.address).expect("it listens");
        let mut text = format!(
            "{verb} /mcp HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
        socket.write_all(format!("{text}\r\n{body}").as_bytes()).expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        (status, answer.split_once("\r\n\r\n").expect("a body").1.to_owned())
    }

    fn good(&self) -> [(&'static str, String); 4] {
        [
            ("Host", self.address.clone()),
            ("Authorization", format!("Bearer {}", self.token)),
            ("Accept", "application/json, text/event-stream".to_owned()),
            ("MCP-Protocol-Version", "2025-06-18".to_owned()),
        ]
    }

    /// The same with one header changed, or taken away.
    fn with(&self, name: &str, value: &str) -> u16 {
        let mut headers: Vec<_> = self.good().into();
        headers.retain(|it| it.0 != name);
        if !value.is_empty() {
            headers.push(("X", "x".to_owned()));
        }
        let mut headers: Vec<(&str, &str)> =
            headers.iter().map(|it| (it.0, it.1.as_str())).collect();
        headers.extend((!value.is_empty()).then_some((name, value)));
        self.send("POST", &headers, LIST).0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Proves MCP-3: over HTTP it answers on loopback, to whoever has the token; a missing or
/// wrong token, a page of another origin, another host and another version are turned away.
#[test]
fn over_http_only_the_token_opens() {
    let mut world = World::new();
    world.start();
    let served = Served::new(&world, &["--allow", "steer"]);
    let good = served.good();
    let good: Vec<(&str, &str)> = good.iter().map(|it| (it.0, it.1.as_str())).collect();
    let (status, body) = served.send("POST", &good, LIST);
    assert_eq!(status, 200);
    let listed: Value = serde_json::from_str(&body).expect("JSON");
    let names: Vec<_> = listed["result"]["tools"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert!(names.contains(&"steer".into()) && !names.contains(&"approve".into()), "{names:?}");
    let call = r#"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"list"}}"#;
    let (status, body) = served.send("POST", &good, call);
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &answer["result"]["isError"]), (200, &false.into()), "{body}");

    assert_eq!(served.with("Authorization", ""), 401);
    assert_eq!(served.with("Authorization", "Bearer 00000000000000000000000000000000"), 401);
    assert_eq!(served.with("Origin", "https://example.org"), 403);
    assert_eq!(served.with("Origin", "http://127.0.0.1.example.org"), 403);
    assert_eq!(served.with("Origin", "http://localhost:7000"), 200);
    assert_eq!(served.with("Host", "example.org"), 403, "a name that was bent to loopback");
    assert_eq!(served.with("MCP-Protocol-Version", "1999-01-01"), 400);
    assert_eq!(served.send("GET", &good, "").0, 405, "it has no stream of its own");
    let told = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(served.send("POST", &good, told), (202, String::new()));
    assert_eq!(served.send("POST", &good, "{").0, 400);

    let err = world.taskd(&["mcp", "--http", "0.0.0.0:0"]).fails(2);
    assert!(err.contains("not a loopback address"), "{err}");
}
