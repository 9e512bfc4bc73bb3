//! A provider of models for tests and benches, written by hand: HTTP/1.1 on loopback, the bytes of
//! Anthropic Messages and of OpenAI Chat Completions as their pages show them. It shares no code
//! with what it proves.
//!
//! A script decides what each request is answered with: steps of a stream, or a plain answer. Every
//! request is kept with its times. [`Allowance`] makes it refuse as a provider does.
//!
//! One thread for each connection, and no runtime: what it measures must not wait for a scheduler of
//! ours.
#![allow(dead_code, reason = "tests and benches use different parts of it")]

mod allowance;
mod bytes;
mod exact;

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, poll};

pub(crate) use self::allowance::Allowance;
#[allow(unused_imports, reason = "tests and benches use different parts of it")]
pub(crate) use self::exact::{Exact, Expected};
use self::{allowance::Meters, bytes::Writer};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a stream does next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Says this, in a piece of its own.
    Text(String),
    /// Asks for a tool; the arguments go out as they are here, JSON or not.
    Tool(&'static str, String),
    /// Literal bytes, in a piece of its own.
    Raw(String),
    /// Silence.
    Pause(Duration),
    /// Silence until the gate is open.
    Until(Gate),
    /// Silence until the other side is gone.
    Hang,
    /// The connection is closed in the middle.
    Cut,
}

/// Names and values.
pub(crate) type Headers = Vec<(String, String)>;

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A reply that does these steps; it ends as it should unless one of them ends it.
    Stream(Vec<Step>),
    /// Anything else: status, headers, body.
    Plain(u16, Headers, String),
}

/// A gate that is opened once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *held(&self.0.0) = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open; not for ever.
    pub(crate) fn wait(&self) {
        let wait = self.0.1.wait_timeout_while(held(&self.0.0), PATIENCE, |open| !*open);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }
}

/// One request, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Which request it is, from 0.
    pub(crate) n: usize,
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
    /// When its first byte was there.
    pub(crate) at: Instant,
    /// The status it was answered with.
    pub(crate) status: Option<u16>,
    /// Just before the answer's last byte was written.
    pub(crate) answered: Option<Instant>,
    /// The other side was gone before the answer was whole.
    pub(crate) gone: Option<Instant>,
}

impl Seen {
    /// A header's value, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|it| it.split_once(": "));
        lines.find(|it| it.0.eq_ignore_ascii_case(name)).map(|it| it.1)
    }

    /// `/v1/messages`
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// Which loop asks: the number in the first `Number N` of the body.
    pub(crate) fn number(&self) -> Option<usize> {
        let (_, rest) = self.body.split_once("Number ")?;
        rest.chars().map_while(|it| it.to_digit(10)).map(|it| it as usize).reduce(|a, b| a * 10 + b)
    }
}

/// A text or a call of a reply, and just before it was written.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// Of which request, from 0.
    pub(crate) n: usize,
    /// The text, or the arguments.
    pub(crate) what: String,
    pub(crate) at: Instant,
}

/// Answers requests in turn; it is called with each before it is answered.
type Script = Box<dyn Fn(&Seen) -> Answer + Send + Sync>;

struct Shared {
    script: Script,
    /// Four token classes every reply reports: input, output, read from and written to a cache. No
    /// input stands for what the limits count.
    usage: [u64; 4],
    meters: Option<Mutex<Meters>>,
    seen: Mutex<Vec<Seen>>,
    said: Mutex<Vec<Said>>,
    /// Bytes it takes for a token when it is asked to count, and how often it was asked.
    counts: Mutex<(Option<usize>, usize)>,
    changed: Condvar,
}

/// The server. It lives as long as the process; [`Provider::close`] ends it earlier.
pub(crate) struct Provider {
    address: SocketAddr,
    shared: Arc<Shared>,
    sockets: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl Provider {
    /// Answers what `script` says.
    pub(crate) fn new(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::with([1_000, 200, 0, 0], None, script)
    }

    /// The same with these tokens in every reply, and limits.
    pub(crate) fn with(
        usage: [u64; 4],
        allowance: Option<Allowance>,
        script: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            script: Box::new(script),
            usage,
            meters: allowance.map(|it| Mutex::new(Meters::new(it))),
            seen: Mutex::default(),
            said: Mutex::default(),
            counts: Mutex::default(),
            changed: Condvar::new(),
        });
        let sockets = Arc::new(Mutex::new(Some(Vec::new())));
        let (ours, kept) = (Arc::clone(&shared), Arc::clone(&sockets));
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let mut kept = held(&kept);
                let Some(kept) = kept.as_mut() else { return };
                kept.extend(socket.try_clone());
                let ours = Arc::clone(&ours);
                std::thread::spawn(move || serve(&socket, &ours));
            }
        });
        Self { address, shared, sockets }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it counts tokens when it is asked to, so many bytes each; before, there is nobody
    /// who does. Such questions are not among the requests.
    pub(crate) fn counts(&self, bytes: usize) {
        held(&self.shared.counts).0 = Some(bytes);
    }

    /// How often it was asked to count.
    pub(crate) fn counted(&self) -> usize {
        held(&self.shared.counts).1
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        held(&self.shared.seen).clone()
    }

    /// Every text and every call so far.
    pub(crate) fn said(&self) -> Vec<Said> {
        held(&self.shared.said).clone()
    }

    /// How many seconds' worth of the limit that is nearest are left.
    pub(crate) fn left(&self) -> f64 {
        self.shared.meters.as_ref().map_or(60.0, |it| held(it).left_s())
    }

    /// Nothing of any limit is left from now on but what comes with time.
    pub(crate) fn use_up(&self) {
        self.shared.meters.iter().for_each(|it| held(it).empty());
    }

    /// Waits until the requests are as `done` says, and returns them.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, done: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let seen = held(&self.shared.seen);
        let wait = self.shared.changed.wait_timeout_while(seen, PATIENCE, |it| !done(it));
        let (seen, late) = wait.unwrap_or_else(PoisonError::into_inner);
        assert!(!late.timed_out(), "waited too long for {what}: {} requests", seen.len());
        seen.clone()
    }

    /// Nobody listens any more.
    pub(crate) fn close(&self) {
        let sockets = held(&self.sockets).take();
        for socket in sockets.into_iter().flatten() {
            socket.shutdown(Shutdown::Both).ok();
        }
        // The listener learns it from one more connection.
        TcpStream::connect(self.address).ok();
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(socket: &TcpStream, shared: &Shared) {
    socket.set_nodelay(true).ok();
    let mut buffer = Vec::new();
    while let Some((at, head, body)) = request(socket, &mut buffer) {
        if head.lines().next().is_some_and(|it| it.contains("/count_tokens")) {
            if count(socket, shared, body.len()).is_err() {
                return;
            }
            continue;
        }
        let seen = {
            let mut all = held(&shared.seen);
            let n = all.last().map_or(0, |it| it.n + 1);
            let (status, answered, gone) = (None, None, None);
            all.push(Seen { n, head, body, at, status, answered, gone });
            shared.changed.notify_all();
            all[all.len() - 1].clone()
        };
        let refusal = shared.meters.as_ref().and_then(|it| held(it).take(seen.body.len()));
        let answer = refusal.unwrap_or_else(|| (shared.script)(&seen));
        let told = say(socket, shared, &seen, answer);
        let mut all = held(&shared.seen);
        if let Some(it) = all.iter_mut().find(|it| it.n == seen.n) {
            (it.answered, it.gone) = (told.ok(), told.err());
        }
        shared.changed.notify_all();
        if told.is_err() {
            socket.shutdown(Shutdown::Both).ok();
            return;
        }
    }
}

/// Says how many tokens a body is, if it does.
fn count(mut socket: &TcpStream, shared: &Shared, bytes: usize) -> std::io::Result<()> {
    let mut counts = held(&shared.counts);
    counts.1 += 1;
    let (status, body) = match counts.0 {
        Some(each) => (200, format!("{{\"input_tokens\": {}}}", bytes / each)),
        None => (404, "{}".to_owned()),
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n");
    write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len())
}

/// The next request, with the time of its first byte.
fn request(mut socket: &TcpStream, buffer: &mut Vec<u8>) -> Option<(Instant, String, String)> {
    let mut at = None;
    let mut piece = [0; 64 * 1024];
    loop {
        if let Some(end) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|it| {
                let (name, value) = it.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
            });
            let whole = end + 4 + length.unwrap_or(0);
            if whole <= buffer.len() {
                let body = String::from_utf8_lossy(&buffer[end + 4..whole]).into_owned();
                buffer.drain(..whole);
                return Some((at.unwrap_or_else(Instant::now), head, body));
            }
        }
        match socket.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(n) => buffer.extend_from_slice(&piece[..n]),
        }
        at.get_or_insert_with(Instant::now);
    }
}

/// Says an answer: when its last byte went out, or when it was seen that nobody listens.
fn say(
    socket: &TcpStream,
    shared: &Shared,
    seen: &Seen,
    answer: Answer,
) -> Result<Instant, Instant> {
    let write = |bytes: &[u8]| {
        let at = Instant::now();
        (&*socket).write_all(bytes).map(|()| at).map_err(|_| Instant::now())
    };
    let status = match &answer {
        Answer::Stream(_) => 200,
        Answer::Plain(status, ..) => *status,
    };
    if let Some(it) = held(&shared.seen).iter_mut().find(|it| it.n == seen.n) {
        it.status = Some(status);
    }
    let steps = match answer {
        Answer::Plain(status, headers, body) => {
            let (headers, length) = (lines(&headers), body.len());
            let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}");
            return write(format!("{head}\r\n\r\n{body}").as_bytes());
        }
        Answer::Stream(steps) => steps,
    };
    let levels = shared.meters.as_ref().map(|it| held(it).levels());
    let levels = lines(&levels.unwrap_or_default());
    write(
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{levels}\
             transfer-encoding: chunked\r\n\r\n"
        )
        .as_bytes(),
    )?;
    let [input, output, read, written] = shared.usage;
    let input = if input == 0 { allowance::tokens_of(seen.body.len()) } else { input };
    let mut writer = Writer::of(seen, [input, output, read, written]);
    let said = |what: String, bytes: &str| -> Result<(), Instant> {
        let at = write(&chunk(bytes))?;
        held(&shared.said).push(Said { n: seen.n, what, at });
        Ok(())
    };
    write(&chunk(&writer.begin()))?;
    for step in steps {
        match step {
            Step::Text(text) => {
                let bytes = writer.text(&text);
                said(text, &bytes)?;
            }
            Step::Tool(name, args) => {
                let bytes = writer.tool(name, &args);
                said(args, &bytes)?;
            }
            Step::Raw(bytes) => _ = write(&chunk(&bytes))?,
            Step::Pause(time) => silence(socket, time)?,
            Step::Until(gate) => gate.wait(),
            Step::Hang => {
                let mut rest = [0; 64];
                while (&*socket).read(&mut rest).is_ok_and(|it| 0 < it) {}
                return Err(Instant::now());
            }
            Step::Cut => return Err(Instant::now()),
        }
    }
    let mut last = chunk(&writer.end());
    last.extend_from_slice(b"0\r\n\r\n");
    write(&last)
}

fn lines(headers: &Headers) -> String {
    headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// `retry-after: 1`, for an answer.
pub(crate) fn header(name: &str, value: &str) -> Headers {
    vec![(name.to_owned(), value.to_owned())]
}

fn chunk(bytes: &str) -> Vec<u8> {
    format!("{:x}\r\n{bytes}\r\n", bytes.len()).into_bytes()
}

/// Silence, unless the other side goes.
fn silence(socket: &TcpStream, time: Duration) -> Result<(), Instant> {
    let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let time = u16::try_from(time.as_millis()).expect("about a minute at most");
    let heard = poll(&mut polled, time).expect("pollable");
    let gone = 0 < heard && !socket.peek(&mut [0]).is_ok_and(|it| 0 < it);
    if gone { Err(Instant::now()) } else { Ok(()) }
}
