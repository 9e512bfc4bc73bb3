//! The way of an agent's call through the daemon: what it adds to the first byte of the answer, beside
//! the same call made straight, and what the daemon holds of answers that nobody reads.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::{
    Sizes,
    footprint::memory_mb,
    stats, tell,
    wire::{Answer, Provider, Step},
    world::{self, World, until},
};

/// No price is known of it, so no money limits anything.
const MODEL: &str = "figures";
/// Answers at once that nobody reads.
const UNREAD: usize = 20;
/// Of each, in megabytes.
const UNREAD_MB: usize = 8;
/// How long such answers are left alone.
const LEFT_ALONE: Duration = Duration::from_secs(3);

/// A connection, and what its calls are known by.
struct Line {
    socket: TcpStream,
    token: String,
}

impl Line {
    fn new(url: &str, token: &str) -> Self {
        let place = url.strip_prefix("http://").expect("loopback");
        let socket = TcpStream::connect(place).expect("somebody listens");
        socket.set_nodelay(true).expect("a socket");
        Self { socket, token: token.to_owned() }
    }

    fn ask(&mut self, what: &str) {
        let body = format!(
            "{{\"model\":\"{MODEL}\",\"max_tokens\":100,\"messages\":[{{\"role\":\"user\",\
             \"content\":\"{what}{}\"}}]}}",
            "x".repeat(20_000)
        );
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: {}\r\n\r\n",
            self.token,
            body.len()
        );
        self.socket.write_all((head + &body).as_bytes()).expect("sent");
    }

    /// How long until the first byte of an answer; reads the whole.
    fn first_byte(&mut self) -> Duration {
        let began = Instant::now();
        self.ask("short");
        let mut answer = Vec::new();
        let mut piece = [0; 4_096];
        let mut first = None;
        while !answer.ends_with(b"0\r\n\r\n") {
            let n = self.socket.read(&mut piece).expect("an answer");
            first.get_or_insert_with(|| began.elapsed());
            assert!(0 < n, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..n]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        first.expect("a byte")
    }
}

/// Both figures.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    let provider = Provider::new(|seen| {
        if seen.body.contains("short") {
            return Answer::Stream(vec![Step::Text("Hello".to_owned())]);
        }
        let line = format!(": {}\n", "x".repeat(1_021));
        Answer::Stream(vec![Step::Raw(line.repeat(1_024)); UNREAD_MB])
    });
    let (world, place) = runtime.block_on(async {
        let mut world = World::new();
        let there = world.program(
            "claude",
            "cat >/dev/null; echo $ANTHROPIC_BASE_URL $ANTHROPIC_API_KEY >$0.new; mv $0.new $0.there; \
             exec sleep 100000",
        );
        let client = world.start().await;
        let key = ("ANTHROPIC_API_KEY", "key".to_owned());
        let credentials = [key, ("ANTHROPIC_BASE_URL", provider.url())];
        world.submit_to(&client, "agent: claude", 1, &credentials).await;
        until(&client, "the agent", |_| there.exists()).await;
        (world, std::fs::read_to_string(there).expect("what it was told"))
    });
    let (url, token) = place.trim().split_once(' ').expect("a place and a token");
    let (mut straight, mut through) = (Line::new(&provider.url(), "key"), Line::new(url, token));
    for _ in 0..sizes.runs {
        let (mut direct, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..sizes.samples {
            direct.push(straight.first_byte());
            ours.push(through.first_byte());
        }
        for (name, percent) in [("gateway.added", 50), ("gateway.added.p99", 99)] {
            let (ours, direct) =
                (stats::percentile(&mut ours, percent), stats::percentile(&mut direct, percent));
            tell(name, stats::ms(ours) - stats::ms(direct));
        }
    }
    let before = memory_mb(world.pid(), "VmRSS");
    let mut unread: Vec<Line> = (0..UNREAD).map(|_| Line::new(url, token)).collect();
    unread.iter_mut().for_each(|it| it.ask("long"));
    let begun = |it: &[crate::wire::Seen]| it.iter().filter(|it| it.body.contains("long")).count();
    provider.until("every answer", |seen| begun(seen) == UNREAD);
    std::thread::sleep(LEFT_ALONE);
    let more = memory_mb(world.pid(), "VmRSS") - before;
    tell("gateway.held", more * 1e6 / 1_024.0 / UNREAD as f64);
}
