//! The page: who may come in, what it says and does, and how it looks to a browser.

mod answers;
mod browser;
mod crowd;
mod guard;
mod pictures;
mod seen;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::TcpStream,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::World;

/// Longest anything may take to be said.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A page that is served, and what opens it.
pub(crate) struct Served {
    child: Child,
    /// `127.0.0.1:7`.
    pub(crate) address: String,
    /// What the address holds.
    pub(crate) token: String,
    /// What the browser holds, once the token was used.
    pub(crate) key: String,
}

/// An answer: its status, its head, its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    /// What was refused, and the next command.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.json()["error"];
        let text = |name: &str| error[name].as_str().expect("text").to_owned();
        assert!(!text("hint").is_empty(), "{self:?}");
        text("message")
    }
}

impl Served {
    /// Serves it, and does not open it.
    pub(crate) fn closed(world: &World) -> Self {
        let mut command = world.command(&["web"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("taskd runs");
        let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = said.next().expect("a line").expect("text");
        let (address, token) = line.split_once("/#").expect("an address with a token");
        let address = address.strip_prefix("http://").expect("a place").to_owned();
        Self { child, address, token: token.to_owned(), key: String::new() }
    }

    /// Serves it, and opens it.
    pub(crate) fn open(world: &World) -> Self {
        let mut it = Self::closed(world);
        let answer = it.enter(&it.token.clone());
        assert_eq!(answer.status, 200, "{answer:?}");
        it.key = answer.json()["key"].as_str().expect("a key").to_owned();
        it
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    pub(crate) fn own(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that opens it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/#{}", self.address, self.token)
    }

    /// Sends one request with these headers besides the length, and reads its whole answer.
    pub(crate) fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut socket = self.begin(line, headers, body);
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).expect("it answers");
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("a body");
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Answer { status, head: head.to_lowercase(), body }
    }

    /// Sends one request, and reads nothing yet.
    fn begin(&self, line: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).expect("it listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        write_request(&mut socket, line, headers, body);
        socket
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[("Host", &self.address)], "")
    }

    pub(crate) fn enter(&self, token: &str) -> Answer {
        let headers = [("Host", self.address.as_str()), ("Origin", &self.own())];
        self.send("POST /enter", &headers, &json!({ "token": token }).to_string())
    }

    /// As the page itself sends it.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let (own, bearer) = (self.own(), format!("Bearer {}", self.key));
        let headers =
            [("Host", self.address.as_str()), ("Origin", &own), ("Authorization", &bearer)];
        self.send(&format!("POST {path}"), &headers, &body.to_string())
    }

    pub(crate) fn ask(&self, question: &Value) -> Value {
        let answer = self.post("/ask", question);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn write_request(
    socket: &mut impl std::io::Write,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) {
    let mut text =
        format!("{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    socket.write_all(format!("{text}\r\n{body}").as_bytes()).expect("it reads");
}

/// A body that was sent in chunks.
fn unchunked(body: &str) -> String {
    let (mut rest, mut out) = (body.as_bytes(), Vec::new());
    while let Some(at) = rest.windows(2).position(|it| it == b"\r\n") {
        let size = std::str::from_utf8(&rest[..at]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let Some(piece) = rest.get(at + 2..at + 2 + size).filter(|it| !it.is_empty()) else {
            break;
        };
        out.extend(piece);
        rest = &rest[(at + 4 + size).min(rest.len())..];
    }
    String::from_utf8(out).expect("text")
}

/// What a stream says, one event after the other.
pub(crate) struct Stream {
    lines: BufReader<TcpStream>,
    /// A heartbeat is not what is waited for.
    until: Instant,
}

impl Stream {
    /// Follows what is said about one loop or plan.
    pub(crate) fn new(served: &Served, about: &str) -> Self {
        let (own, bearer) = (served.own(), format!("Bearer {}", served.key));
        let headers =
            [("Host", served.address.as_str()), ("Origin", &own), ("Authorization", &bearer)];
        let body = json!({ "about": about }).to_string();
        Self::over(served.begin("POST /stream", &headers, &body))
    }

    /// Reads what comes over a socket.
    pub(crate) fn over(socket: TcpStream) -> Self {
        Self { lines: BufReader::new(socket), until: Instant::now() + 2 * PATIENCE }
    }

    /// The next event of one of these kinds.
    #[track_caller]
    pub(crate) fn next(&mut self, kinds: &[&str]) -> (String, Value) {
        let mut kind = String::new();
        loop {
            let mut line = String::new();
            let n = self.lines.read_line(&mut line).expect("readable");
            assert!(Instant::now() < self.until, "waited too long for {kinds:?}");
            assert_ne!(n, 0, "the stream ended before {kinds:?}");
            let line = line.trim_end();
            if let Some(it) = line.strip_prefix("event: ") {
                kind = it.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ")
                && kinds.contains(&kind.as_str())
            {
                return (kind, serde_json::from_str(data).expect("JSON"));
            }
        }
    }

    /// Reads until the picture has this key as `done` says.
    #[track_caller]
    pub(crate) fn until(&mut self, key: &str, done: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (_, picture) = self.next(&["picture"]);
            if let Some(it) = picture["set"].get(key).filter(|it| done(it)) {
                return it.clone();
            }
        }
    }
}

/// A world with a loop that asks to land, by an agent that does this.
pub(crate) fn asking(script: &str) -> World {
    let mut world = World::new();
    world.start();
    world.submit(&crate::tui::plan(&world, script, "ask"));
    world
        .until("it asks to land", |view| view.loops.values().any(|it| it.approval_asked.is_some()));
    world
}
