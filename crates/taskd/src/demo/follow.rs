//! Follows the daemon's events, kills the daemon at the chosen moment, starts it again, and goes on.
//!
//! Prints what is finished, a line each. What the daemon had told before the kill is kept, to be
//! compared with the log afterwards.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "it picks a few kinds of events; what a new kind means to people is the view's matter"
)]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use taskd_api::{Client, Items, Watch, Watched, v1};
use taskd_model::{
    EffectId, Event, LoopId, Outcome, Owner, PlanId, Record, Seq, Status, Time, View, WaitVerdict,
    Work,
};
use tokio::time::{Instant as Deadline, timeout_at};

use super::{
    print,
    seed::{Choices, Step},
    server::Server,
};

/// The whole show takes less than this or has failed.
const SHOW_TIMEOUT: Duration = Duration::from_secs(120);
/// Lines of progress fit a terminal of 80 columns.
const MAX_LINE_CHARS: usize = 79;

/// What was seen.
#[derive(Debug)]
pub(super) struct Followed {
    /// The whole log, as the daemon has it in the end.
    pub(super) log: Vec<Record>,
    /// The kill, if the moment came.
    pub(super) kill: Option<Kill>,
}

/// The kill and what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kill {
    /// Since the plan was submitted, in milliseconds.
    pub(super) at_ms: u64,
    /// From the start of the new daemon to its first answer, in milliseconds.
    pub(super) back_ms: u64,
    /// Events the daemon had told before, each once.
    pub(super) told: u64,
    /// Those of them that are not in the log afterwards as they were told.
    pub(super) lost: u64,
}

/// The moment to kill at.
#[derive(Debug, Clone, Copy)]
struct Armed {
    at: Deadline,
    effect: EffectId,
}

/// A watch and everything it has told.
pub(super) struct Follower {
    watch: Watch,
    view: View,
    told: Vec<Record>,
    /// When the plan came, by the log and by our own clock.
    began: Option<(Time, Instant)>,
    turns: Turns,
    armed: Option<Armed>,
    kill: Option<Kill>,
}

impl Follower {
    /// Begins to watch a daemon that serves.
    pub(super) async fn begin(client: Client) -> anyhow::Result<Self> {
        let mut watch = client.watch(Vec::new(), false);
        let view = loop {
            match watch.next().await {
                Some(Watched::View(view)) => break *view,
                Some(Watched::Ended(why)) => return Err(why.into()),
                Some(_) => {}
                None => bail!("the watch ended before it began"),
            }
        };
        // What was there before the watch counts as told, too.
        let told = read_log(&client, view.seq).await?;
        Ok(Self {
            watch,
            view,
            told,
            began: None,
            turns: Turns::default(),
            armed: None,
            kill: None,
        })
    }

    /// Follows until nothing of the plan moves by itself any more.
    pub(super) async fn follow(
        &mut self,
        plan: PlanId,
        choices: &Choices,
        server: &mut Server,
    ) -> anyhow::Result<Followed> {
        let end = Deadline::now() + SHOW_TIMEOUT;
        while !self.is_over(plan) {
            let deadline = self.armed.map_or(end, |it| it.at.min(end));
            match timeout_at(deadline, self.watch.next()).await {
                Ok(Some(Watched::Event(record))) => self.take(*record, choices)?,
                Ok(Some(Watched::Ended(why))) => return Err(why.into()),
                // After a gap it tells where everything is; the log is compared in the end anyway.
                Ok(Some(Watched::View(view))) => self.view = *view,
                Ok(Some(_)) => {}
                Ok(None) => bail!("the watch ended"),
                Err(_) if self.armed.is_some() => self.kill(server).await?,
                Err(_) => bail!("not over after {} s", SHOW_TIMEOUT.as_secs()),
            }
        }
        let client = server.client().context("the daemon is gone")?;
        let log = read_log(client, Seq(u64::MAX)).await?;
        if let Some(kill) = &mut self.kill {
            let told = usize::try_from(kill.told).unwrap_or(usize::MAX);
            kill.lost = missing(&self.told[..told.min(self.told.len())], &log);
        }
        Ok(Followed { log, kill: self.kill.clone() })
    }

    fn is_over(&self, plan: PlanId) -> bool {
        self.view.wait_plan(plan).is_some_and(|it| it != WaitVerdict::Pending)
            && self.view.effects.is_empty()
    }

    fn take(&mut self, record: Record, choices: &Choices) -> anyhow::Result<()> {
        if matches!(record.event, Event::PlanSubmitted { .. }) {
            self.began = Some((record.at, Instant::now()));
        }
        if let Some(text) = self.line(&record) {
            print(&text)?;
        }
        self.view.apply(&record);
        self.turns.apply(&record);
        self.arm(&record, choices);
        self.told.push(record);
        Ok(())
    }

    /// Looks whether this is where the kill comes.
    fn arm(&mut self, record: &Record, choices: &Choices) {
        if let Event::EffectEnded { effect, .. } = &record.event
            && self.armed.is_some_and(|it| it.effect == *effect)
        {
            // Too late on this machine: the next step of that loop will do.
            self.armed = None;
        }
        let Event::EffectStarted { owner: Owner::Loop(id), work } = &record.event else { return };
        if self.kill.is_some() || self.armed.is_some() {
            return;
        }
        let victim = choices.victim;
        let is_step = match (work, victim.step) {
            (Work::Call { .. }, _) => true,
            (Work::Tool { name, .. }, Step::Run) => name == "run",
            _ => false,
        };
        let at = self.turns.of(*id);
        let wanted = (victim.iteration, victim.turn, victim.step == Step::Run);
        let here = (at.iteration, at.turn, matches!(work, Work::Tool { .. }));
        let spec = self.view.loops.get(id).map(|it| it.spec.as_str());
        if is_step && spec == Some(victim.spec) && wanted <= here {
            let at = Deadline::now() + Duration::from_millis(choices.kill_after_ms);
            self.armed = Some(Armed { at, effect: EffectId(record.seq) });
        }
    }

    async fn kill(&mut self, server: &mut Server) -> anyhow::Result<()> {
        self.armed = None;
        let at_ms = self.began.map_or(0, |(_, began)| millis(began.elapsed()));
        server.kill().await?;
        // What it had sent before is told, too, though it was not read yet.
        self.drain().await?;
        let told = self.told.len() as u64;
        let seconds = seconds(at_ms);
        print(&format!("{seconds:>6}  kill -9 of the daemon, {told} events in its log"))?;
        let back_ms = millis(server.restart().await?);
        print(&format!("{:>6}  a new daemon serves, after {back_ms} ms", self.now()))?;
        self.kill = Some(Kill { at_ms, back_ms, told, lost: 0 });
        Ok(())
    }

    /// Takes what a dead daemon had sent, up to the end of its connection.
    async fn drain(&mut self) -> anyhow::Result<()> {
        loop {
            match self.watch.next().await {
                Some(Watched::Event(record)) => {
                    self.view.apply(&record);
                    self.turns.apply(&record);
                    self.told.push(*record);
                }
                Some(Watched::Disconnected { .. }) => return Ok(()),
                Some(Watched::Ended(why)) => return Err(why.into()),
                Some(_) => {}
                None => bail!("the watch ended"),
            }
        }
    }

    fn now(&self) -> String {
        seconds(self.began.map_or(0, |(_, began)| millis(began.elapsed())))
    }

    /// What a person wants to read while it runs: what is finished, not what is going on.
    fn line(&self, record: &Record) -> Option<String> {
        let told = match &record.event {
            Event::EffectEnded { outcome, .. } => matches!(
                outcome,
                Outcome::BaseChecked(_)
                    | Outcome::Gated { .. }
                    | Outcome::Rebased { .. }
                    | Outcome::AgentDone { .. }
                    | Outcome::Failed { .. }
            ),
            Event::IterationStarted { n } => 1 < *n,
            Event::StatusChanged { to, .. } => matches!(to, Status::Blocked | Status::Failed),
            Event::QueueLeft { .. } | Event::LimitReached { .. } | Event::InternalError { .. } => {
                true
            }
            _ => false,
        };
        let line = self.view.narrate(record).filter(|_| told)?;
        let (began, _) = self.began?;
        let name = line.name.rsplit('.').next().unwrap_or_default();
        let time = seconds(record.at.ms_since(began));
        let text = format!("{time:>6}  {name:<6} {}  {}", line.text, line.detail);
        Some(cut(text.trim_end(), MAX_LINE_CHARS))
    }
}

/// The log up to `last`, from the beginning.
pub(super) async fn read_log(client: &Client, last: Seq) -> anyhow::Result<Vec<Record>> {
    let mut log: Vec<Record> = Vec::new();
    loop {
        let from = log.last().map_or(1, |it| it.seq.0 + 1);
        if last.0 < from {
            return Ok(log);
        }
        let request = v1::EventsRequest { from, ..v1::EventsRequest::default() };
        let mut items: Items<v1::Event> = client.events(request).await?;
        let before = log.len();
        while let Some(event) = items.next().await? {
            let record = event.record()?.context("an event this build does not know")?;
            if record.seq <= last {
                log.push(record);
            }
        }
        if log.len() == before {
            return Ok(log);
        }
    }
}

/// How many of `told` are not in `log` exactly as they were told.
pub(super) fn missing(told: &[Record], log: &[Record]) -> u64 {
    let log: BTreeMap<Seq, &Record> = log.iter().map(|it| (it.seq, it)).collect();
    told.iter().filter(|it| log.get(&it.seq) != Some(it)).count() as u64
}

/// At most `max` characters, with a sign that there was more.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let begin: String = text.chars().take(max.saturating_sub(1)).collect();
    format!("{}…", begin.trim_end())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `12.1 s`
pub(super) fn seconds(ms: u64) -> String {
    let tenths = (ms + 50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// Where each loop is: iteration and turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    at: BTreeMap<LoopId, Turn>,
    calls: BTreeMap<EffectId, LoopId>,
}

/// A turn of an iteration, both from 1. While nothing was asked yet, the turn is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) iteration: u32,
    pub(super) turn: u32,
    /// The model has replied in this turn.
    replied: bool,
}

impl Turns {
    pub(super) fn of(&self, id: LoopId) -> Turn {
        self.at.get(&id).copied().unwrap_or_default()
    }

    pub(super) fn apply(&mut self, record: &Record) {
        match &record.event {
            Event::IterationStarted { n } => {
                if let Some(id) = record.loop_id {
                    self.at.insert(id, Turn { iteration: *n, turn: 0, replied: true });
                }
            }
            Event::EffectStarted { owner: Owner::Loop(id), work: Work::Call { .. } } => {
                self.calls.insert(EffectId(record.seq), *id);
                let at = self.at.entry(*id).or_default();
                // Asking again without a reply is the same turn.
                at.turn += u32::from(at.replied);
                at.replied = false;
            }
            Event::EffectEnded { effect, outcome: Outcome::Replied { .. } } => {
                if let Some(at) = self.calls.get(effect).and_then(|id| self.at.get_mut(id)) {
                    at.replied = true;
                }
            }
            _ => {}
        }
    }
}
