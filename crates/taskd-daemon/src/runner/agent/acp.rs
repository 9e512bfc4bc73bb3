//! Agents that speak the Agent Client Protocol: a session for each run, a prompt, and its end.
//!
//! As with every agent, what it says is noise and hints; its tree is what counts. What it asks is
//! answered as its preset says, or by a person.

use std::{
    future::pending,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use taskd_model::{AgentRun, Code, Delta, Digest, Observation, Oid, Outcome, Record};
use taskd_tools::{
    acp::{AcpError, Permission, Said, Stop},
    agents::{AgentFact, Permissions, Preset},
    supervise::{Capture, Finished, How},
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::timeout,
};

use super::{
    super::{
        Job, Trouble,
        live::Process,
        programs::{KEEP_HEAD_BYTES, KEEP_TAIL_BYTES, ending, not_started},
    },
    CHECKPOINT_EVERY, Heard, agent_summary, question,
};

/// So long a program may take to say hello and to begin a session.
const HANDSHAKE: Duration = Duration::from_secs(60);
/// So long it may take to answer a cancel before it is ended.
const CANCEL: Duration = Duration::from_millis(500);
/// What it wrote for people, as far as the end of it is kept.
const TEXT_MAX_BYTES: usize = 64 << 10;
/// Longest words of a choice that is told, in characters.
const CHOICE_MAX_CHARS: usize = 40;

/// Why we speak no longer.
enum End {
    /// It has worked on the prompt.
    Stopped(Stop),
    /// It cannot.
    Failed(AcpError),
    /// It was silent for too long.
    Idle,
    /// The run is no longer wanted.
    Unwanted,
}

impl End {
    /// Why this was no iteration, if it was none. `excuse`: what there is for a program that failed.
    fn trouble(&self, agent: &str, excuse: impl FnOnce() -> Option<Trouble>) -> Option<Trouble> {
        match self {
            Self::Failed(error) if error.is_breach() => {
                let what = format!("the agent {agent} does not speak the Agent Client Protocol");
                Some(Trouble::of(Code::AgentProtocol, error).within(&what))
            }
            Self::Failed(_) => excuse(),
            Self::Stopped(_) | Self::Idle | Self::Unwanted => None,
        }
    }

    /// What the program says it used, with what it says that cost.
    fn used(&self, cost_micros: Option<u64>) -> Option<AgentFact> {
        let Self::Stopped(Stop { usage: Some(used), .. }) = self else { return None };
        let (input, output) = (used.input, used.output);
        let (cache_read, cache_write) = (used.cache_read, used.cache_write);
        Some(AgentFact::Usage { input, output, cache_read, cache_write, cost_micros })
    }
}

/// One run's side of the conversation.
struct Talk<'a> {
    process: &'a Process,
    permissions: Permissions,
    idle: Duration,
    said: mpsc::Receiver<Said>,
    records: broadcast::Receiver<Arc<Record>>,
    /// What it asked a person and nobody has answered, by number.
    asked: Vec<(u32, Permission)>,
    questions: u32,
    /// Everything it said, bounded.
    log: Capture,
    text: String,
    /// What its session had cost before this run, and what it has cost now.
    cost: (u64, Option<u64>),
    checkpoint: Option<Oid>,
    /// The session it goes on with.
    earlier: Option<String>,
    /// The session a person handed over: without it there is no run.
    named: Option<String>,
}

impl Job {
    /// Runs an agent of this kind once.
    pub(super) async fn converse(
        &self,
        preset: &Preset,
        prompt: &Digest,
        heard: &mut Heard,
    ) -> Result<Outcome, Trouble> {
        let text = String::from_utf8_lossy(&self.ctx.blob(prompt)?).into_owned();
        let (payer, secret) = self.payer(preset)?;
        let secret = payer.variable().zip(secret);
        self.tell(Observation::Counted(preset.depth(false).0)).await;
        let seat = self.seat()?;
        let mut command = self.agent_command(preset, "", Path::new(""), &seat, (secret, None))?;
        let outside = self.look_outside(&seat, 0).await?;
        command.env.extend(self.git_env(&outside));
        let idle = command.idle.take().unwrap_or(Duration::MAX);
        let process = self.process(command, preset.long_lived).await?;
        self.report_process(process.identity.as_ref()).await;
        let began = Instant::now();
        let before = self.subject()?.checkpoint;
        let mut talk = Talk {
            process: &process,
            permissions: preset.permissions.unwrap_or_default(),
            idle,
            said: process.link.listen(),
            records: self.ctx.hub.follow(|_| ()).1,
            asked: Vec::new(),
            questions: 0,
            log: Capture::new(KEEP_HEAD_BYTES, KEEP_TAIL_BYTES),
            text: String::new(),
            cost: (0, None),
            checkpoint: before,
            earlier: self.session()?,
            named: self.spec_doc()?.session,
        };
        let end = self.talk(&mut talk, &text, heard).await;
        let how = self.part(&process, preset, &end).await;
        while let Ok(said) = talk.said.try_recv() {
            self.hear(&mut talk, said, heard).await;
        }
        end.used(talk.cost.1).into_iter().for_each(|it| heard.take(it));
        let Talk { log, text, checkpoint, .. } = talk;
        let mut about = AgentRun::default();
        self.mend(&seat, &mut about).await?;
        let saved = self.checkpoint(checkpoint).await?.commit;
        self.tidy_up(&seat, outside, &mut about).await?;
        let untouched = saved == before.unwrap_or(self.subject()?.base);
        if !self.is_wanted() {
            let usage = heard.usage.unwrap_or_default();
            return Ok(Outcome::Cancelled { usage, checkpoint: Some(saved) });
        }
        let finished = Finished {
            how,
            output: log.finish(),
            wall: began.elapsed(),
            leftovers: 0,
            survivors: 0,
        };
        not_started(&finished)?;
        let log = self.ctx.put_blob(finished.output.text().into())?;
        let said = text.clone();
        let last = if text.trim().is_empty() { finished.output.text() } else { text };
        let (exit, why) = self.judge(&end, &finished, heard);
        let summary = agent_summary(why, &last);
        let excuse = || heard.excuse(&preset.name, &finished, untouched, &summary);
        if let Some(trouble) = end.trouble(&preset.name, excuse) {
            if !untouched {
                self.observe(Observation::Checkpoint(saved)).await;
            }
            return Err(question(&about).unwrap_or(trouble));
        }
        about.say(&said);
        let (usage, run) = (heard.usage, Box::new(about));
        Ok(Outcome::AgentDone { exit, summary, usage, checkpoint: saved, log, run })
    }

    /// The exit status that counts, and how it ended if not well.
    fn judge(&self, end: &End, finished: &Finished, heard: &mut Heard) -> (i32, Option<String>) {
        match end {
            End::Stopped(stop) if stop.reason == "end_turn" => (0, None),
            End::Stopped(stop) => (1, Some(format!("stopped with {}", stop.reason))),
            End::Failed(AcpError::NotLoggedIn { message }) => {
                heard.take(AgentFact::NotAccepted);
                (1, Some(message.clone()))
            }
            End::Failed(AcpError::Gone) => {
                let how = ending(finished, finished.wall).unwrap_or_else(|| "exit 0".to_owned());
                (heard.exit(&finished.how).max(1), Some(format!("it ended in the middle, {how}")))
            }
            End::Failed(error) => (1, Some(error.to_string())),
            End::Idle | End::Unwanted => (128, ending(finished, finished.wall)),
        }
    }

    /// Parts with the process as the end of the run asks for it; says how that ended, as far as it
    /// has to do with this run.
    async fn part(&self, process: &Process, preset: &Preset, end: &End) -> How {
        match end {
            End::Stopped(_) if preset.long_lived && self.is_wanted() => {
                process.park();
                How::Exited(0)
            }
            End::Stopped(_) if self.is_wanted() => {
                process.retire().await;
                How::Exited(0)
            }
            End::Failed(AcpError::Gone) => process.wait().await.how.clone(),
            End::Failed(_) => {
                process.end().await;
                How::Exited(1)
            }
            End::Idle => {
                process.end().await;
                How::Idle
            }
            End::Stopped(_) | End::Unwanted => {
                process.end().await;
                How::Ended
            }
        }
    }

    async fn talk(&self, talk: &mut Talk<'_>, prompt: &str, heard: &mut Heard) -> End {
        let opened = tokio::select! {
            opened = timeout(HANDSHAKE, self.open_session(talk)) => {
                opened.unwrap_or(Err(AcpError::Silent))
            }
            () = self.no_longer_wanted() => return End::Unwanted,
        };
        let session = match opened {
            Ok(session) => session,
            Err(error) => return End::Failed(error),
        };
        // What came before is of the session's past.
        while let Ok(said) = talk.said.try_recv() {
            if let Said::Cost(micros) = said {
                talk.cost.0 = micros;
            }
        }
        self.observe(Observation::Session(session.chars().take(200).collect())).await;
        let process = talk.process;
        let prompting = process.link.prompt(&session, prompt);
        let silence = silent(process.link.heard(), talk.idle);
        tokio::pin!(prompting, silence);
        let mut ticks = tokio::time::interval(CHECKPOINT_EVERY);
        ticks.reset();
        let end = loop {
            let waits = !talk.asked.is_empty();
            tokio::select! {
                ended = &mut prompting => break match ended {
                    Ok(stop) => End::Stopped(stop),
                    Err(error) => End::Failed(error),
                },
                Some(said) = talk.said.recv() => self.hear(talk, said, heard).await,
                _ = talk.records.recv(), if waits => self.hand_over_answers(talk),
                _ = ticks.tick() => talk.checkpoint = self.save(talk.checkpoint).await,
                () = &mut silence, if !waits => break End::Idle,
                () = self.no_longer_wanted() => break End::Unwanted,
            }
        };
        if matches!(end, End::Idle | End::Unwanted) {
            talk.asked.drain(..).for_each(|(_, it)| process.link.answer(&it, None));
            process.link.cancel(&session);
            // Whether it says so or not, it is ended next.
            timeout(CANCEL, prompting).await.map(drop).ok();
        }
        end
    }

    /// The session of this run: a fresh one, or the one it goes on with.
    async fn open_session(&self, talk: &Talk<'_>) -> Result<String, AcpError> {
        let process = talk.process;
        let abilities = match process.abilities.get() {
            Some(known) => known.clone(),
            None => {
                let told = process.link.initialize().await?;
                process.abilities.get_or_init(|| told).clone()
            }
        };
        let worktree = self.worktree().map_err(|_| AcpError::Gone)?;
        if let Some(session) = &talk.earlier {
            let loaded = if abilities.loads_sessions {
                process.link.load_session(&worktree, session).await
            } else {
                Err(AcpError::CannotLoad)
            };
            match loaded {
                Ok(()) => return Ok(session.clone()),
                // It has forgotten one of its own: the tree is what counts.
                Err(AcpError::Refused { .. } | AcpError::CannotLoad)
                    if talk.named.as_ref() != Some(session) => {}
                Err(error) => return Err(error),
            }
        }
        process.link.new_session(&worktree).await
    }

    async fn hear(&self, talk: &mut Talk<'_>, said: Said, heard: &mut Heard) {
        let noise = self.noise();
        match said {
            Said::Text(text) => {
                talk.log.push(text.as_bytes());
                talk.text.push_str(&text);
                let excess = talk.text.len().saturating_sub(TEXT_MAX_BYTES);
                talk.text.drain(..talk.text.ceil_char_boundary(excess));
                noise(Delta::Text(text));
            }
            Said::Activity(line) | Said::Aside(line) => {
                talk.log.push(line.as_bytes());
                talk.log.push(b"\n");
                noise(Delta::Line(line));
            }
            Said::Cost(micros) => {
                let cost = micros.saturating_sub(talk.cost.0);
                talk.cost.1 = Some(cost);
                let (input, output, cache_read, cache_write) = (0, 0, 0, 0);
                let cost_micros = Some(cost);
                heard.take(AgentFact::Usage {
                    input,
                    output,
                    cache_read,
                    cache_write,
                    cost_micros,
                });
                if let Some(now) = heard.usage {
                    self.observe(Observation::UsageSoFar(now)).await;
                }
            }
            Said::Asks(permission) => self.permit(talk, permission).await,
        }
    }

    /// Answers as the preset says, or asks a person.
    async fn permit(&self, talk: &mut Talk<'_>, permission: Permission) {
        let allow = match talk.permissions {
            Permissions::Ask if !permission.choices.is_empty() => {
                talk.questions += 1;
                let n = talk.questions;
                let short = |it: &str| it.chars().take(CHOICE_MAX_CHARS).collect();
                let choices = permission.choices.iter().map(|it| short(&it.name)).collect();
                let text = permission.text.clone();
                talk.asked.push((n, permission));
                return self.observe(Observation::Asked { n, text, choices }).await;
            }
            Permissions::Allow => true,
            Permissions::Ask | Permissions::Deny => false,
        };
        let choice = permission.choice(allow).map(|it| it.id.as_str());
        talk.process.link.answer(&permission, choice);
    }

    /// Hands over what people have answered. It is durable by then.
    fn hand_over_answers(&self, talk: &mut Talk<'_>) {
        let view = self.ctx.hub.view();
        let id = self.order.subject.as_ref().map(|it| it.id);
        let Some(it) = id.and_then(|id| view.loops.get(&id)) else { return };
        let ours = it.questions.iter().filter(|it| it.effect == self.order.effect);
        for question in ours {
            let Some(choice) = question.answer else { continue };
            let place = talk.asked.iter().position(|it| it.0 == question.n);
            if let Some((_, asked)) = place.map(|it| talk.asked.remove(it)) {
                let choice = asked.choices.get(usize::from(choice)).map(|it| it.id.as_str());
                talk.process.link.answer(&asked, choice);
            }
        }
    }
}

/// Returns when a program has given no sign of life for so long.
async fn silent(mut heard: watch::Receiver<u64>, idle: Duration) {
    while let Ok(heard) = timeout(idle, heard.changed()).await {
        if heard.is_err() {
            return pending().await;
        }
    }
}
