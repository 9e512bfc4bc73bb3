//! The monitor with a thousand loops and two thousand events a second: how many pictures, for how much
//! of a core, how long a key and an event take to the screen.
//!
//! The daemon gives the view; the events are made here, as it would send them, and decoded as a client
//! decodes them. Pictures are written down for a terminal in full, and then let go.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
use taskd_api::{Watched, v1};
use taskd_model::{
    Actor, Delta, Digest, EffectId, Event, LoopId, Observation, Oid, Outcome, Owner, ProjectId,
    Reason, Record, Seq, Status, Time, Usage, View, Work,
};
use taskd_tui::App;

use crate::{
    Sizes, stats, tell,
    world::{self, World},
};

/// Events a second.
const RATE: u32 = 2_000;

/// Time between two pictures: sixty a second.
const FRAME: Duration = Duration::from_micros(16_667);

/// Time between two keys.
const KEY: Duration = Duration::from_millis(50);

/// See the module.
pub(crate) fn run(sizes: &Sizes) {
    let runtime = world::runtime();
    let (_world, client) = runtime.block_on(World::parked(sizes.loops(1_000)));
    let view = runtime.block_on(client.view("")).expect("the daemon answers");
    for _ in 0..sizes.runs {
        attached(&view, sizes.window);
    }
}

fn attached(view: &View, window: Duration) {
    let mut source = Source::new(view);
    let mut app = App::new("");
    app.on_watched(Watched::View(Box::new(view.clone())));
    for event in source.begin() {
        app.on_watched(watched(&event));
    }
    // As wide as log and list stand beside each other.
    let viewport = Viewport::Fixed(Rect::new(0, 0, 160, 50));
    let backend = CrosstermBackend::new(io::sink());
    let options = TerminalOptions { viewport };
    let mut terminal = Terminal::with_options(backend, options).expect("no terminal is asked");
    let (cpu, began) = (processor(), Instant::now());
    let mut late = Late::default();
    let (mut frames, mut next, mut key_at, mut frame_at) = (0_u32, began, began + KEY, began);
    let mut down = true;
    while began.elapsed() < window {
        let now = Instant::now();
        while next <= now {
            let event = source.next();
            app.on_watched(watched(&event));
            // As whoever runs it asks after each event.
            std::hint::black_box((app.ticks(), app.take_query()));
            late.events.push(next);
            next += Duration::from_secs(1) / RATE;
        }
        if key_at <= now {
            let code = if down { KeyCode::Down } else { KeyCode::Up };
            app.on_key(KeyEvent::new(code, KeyModifiers::NONE));
            down = !down;
            late.keys.push(key_at);
            key_at += KEY;
        }
        if frame_at <= now && app.take_dirty() {
            terminal.draw(|frame| app.draw(frame)).expect("nothing can fail");
            frames += 1;
            frame_at = (frame_at + FRAME).max(now);
            late.shown();
        }
        let wake = next.min(frame_at).min(key_at);
        std::thread::sleep(wake.saturating_duration_since(Instant::now()));
    }
    let took = began.elapsed().as_secs_f64();
    let share = (processor() - cpu).as_secs_f64() / took * 100.0;
    tell("monitor.frames", f64::from(frames) / took);
    tell("monitor.processor", share);
    tell("monitor.key.p99", stats::ms(stats::percentile(&mut late.key_times, 99)));
    tell("monitor.event.p99", stats::ms(stats::percentile(&mut late.event_times, 99)));
}

/// What is not on the screen yet, by when it was due, and how long others took.
#[derive(Default)]
struct Late {
    keys: Vec<Instant>,
    events: Vec<Instant>,
    key_times: Vec<Duration>,
    event_times: Vec<Duration>,
}

impl Late {
    fn shown(&mut self) {
        self.key_times.extend(self.keys.drain(..).map(|it| it.elapsed()));
        self.event_times.extend(self.events.drain(..).map(|it| it.elapsed()));
    }
}

/// What a client makes of what comes.
fn watched(event: &Sent) -> Watched {
    match event {
        Sent::Event(event) => {
            let record = event.record().expect("an event").expect("a known kind");
            Watched::Event(Box::new(record))
        }
        Sent::Noise(name, effect) => {
            let delta = Delta::Line("reading crates/limit/src/bucket.rs".to_owned());
            Watched::Delta { name: name.clone(), effect: *effect, delta }
        }
    }
}

/// What comes.
enum Sent {
    Event(v1::Event),
    Noise(String, EffectId),
}

/// Loops that work, and what a daemon says of them.
struct Source {
    loops: Vec<(LoopId, String, EffectId)>,
    seq: u64,
    at: u64,
    sent: usize,
}

impl Source {
    fn new(view: &View) -> Self {
        let row =
            |(id, it): (&LoopId, &taskd_model::LoopView)| (*id, it.name.clone(), EffectId(Seq(0)));
        let loops = view.loops.iter().map(row).collect();
        Self { loops, seq: view.seq.0, at: view.at.0, sent: 0 }
    }

    /// All of them run.
    fn begin(&mut self) -> Vec<Sent> {
        let ids: Vec<LoopId> = self.loops.iter().map(|it| it.0).collect();
        let mut out = Vec::new();
        for (from, to, reason) in [
            (Status::Draft, Status::Pending, Reason::Released),
            (Status::Pending, Status::Running, Reason::Started),
        ] {
            for id in &ids {
                let reason = reason.clone();
                out.push(self.event(*id, Event::StatusChanged { from, to, reason }));
            }
        }
        for at in 0..ids.len() {
            out.push(self.agent(at));
        }
        out
    }

    /// The next one: of ten six say what an agent does, two are noise, one ends a run and one begins
    /// the next.
    fn next(&mut self) -> Sent {
        let at = (self.sent / 10) % self.loops.len();
        let step = self.sent % 10;
        self.sent += 1;
        let (id, name, effect) = self.loops[at].clone();
        match step {
            0..6 => {
                let fact = Observation::Activity(format!("edit src/part{step}.rs"));
                let index = u32::try_from(self.sent).unwrap_or(u32::MAX);
                self.event(id, Event::EffectObserved { effect, index, fact })
            }
            6 | 7 => Sent::Noise(name, effect),
            8 => {
                let usage = Some(Usage { micros: 1_000, ..Usage::default() });
                let (checkpoint, log) = (Oid::from_bytes([7; 20]), Digest::of(b"log"));
                let (summary, run) = (String::new(), Box::default());
                let outcome = Outcome::AgentDone { exit: 0, summary, usage, checkpoint, log, run };
                self.event(id, Event::EffectEnded { effect, outcome })
            }
            _ => self.agent(at),
        }
    }

    fn agent(&mut self, at: usize) -> Sent {
        let id = self.loops[at].0;
        let work = Work::Agent { prompt: Digest::of(b"prompt"), cap_micros: 1, reader: None };
        let sent = self.event(id, Event::EffectStarted { owner: Owner::Loop(id), work });
        self.loops[at].2 = EffectId(Seq(self.seq));
        sent
    }

    fn event(&mut self, id: LoopId, event: Event) -> Sent {
        self.seq += 1;
        self.at += 1;
        let record = Record {
            seq: Seq(self.seq),
            at: Time(self.at),
            shard: 0,
            project: Some(ProjectId(1)),
            loop_id: Some(id),
            v: 1,
            cause: None,
            actor: Actor::Core,
            event,
        };
        Sent::Event(v1::Event::from(&record))
    }
}

/// Time this thread was on a processor.
fn processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let first = text.split(' ').next().and_then(|it| it.parse().ok());
    Duration::from_nanos(first.expect("a number"))
}
