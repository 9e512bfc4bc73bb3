//! External agents: one run of a program per iteration, in the loop's worktree.
//!
//! What it prints is noise and hints; its tree is what counts. The tree is checkpointed while it
//! works, so that a crash costs minutes and not the run.

mod acp;
mod calls;
mod heard;
mod mcp;
mod outside;
mod payer;
mod program;
mod ran;
mod reads;
mod signs;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, atomic::Ordering, mpsc},
    time::Duration,
};

use taskd_model::{AgentDoc, AgentRun, Code, Delta, Digest, Observation, Oid, Outcome, Work};
use taskd_tools::{
    agents::{AgentFact, Format, Invocation, Preset, PromptChannel, StreamParser, Through},
    supervise::{Finished, How, Ladder, Stdin, Stream},
};

use tokio::sync::watch;
use tracing::warn;

pub(crate) use self::reads::speaks_acp;
use self::{
    heard::Heard,
    payer::Payer,
    program::Place,
    ran::{Ran, question},
    signs::{Cut, Limits, Signs},
};
use super::{
    Job, Trouble, lock,
    programs::{Command, ending},
};
use crate::{gateway::Registered, trust};

/// How often the tree is saved while an agent works.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(20);
/// The preset of agents that are a command line of the person's own.
const COMMAND: &str = "command";
/// Facts the parser may be ahead of the loop that reports them.
const FACTS: usize = 1_024;

impl Job {
    /// Runs the agent once.
    pub(super) async fn agent(&self, prompt: &Digest) -> Outcome {
        if self.reader().is_some() {
            return self.reads_as_agent(prompt).await;
        }
        let mut heard = Heard::default();
        match self.run_agent(prompt, &mut heard).await {
            Ok(outcome) => outcome,
            Err(trouble) => trouble.outcome(heard.billed().unwrap_or_default()),
        }
    }

    async fn run_agent(&self, prompt: &Digest, heard: &mut Heard) -> Result<Outcome, Trouble> {
        let preset = self.preset()?;
        if preset.format == Format::Acp {
            return self.converse(&preset, prompt, heard).await;
        }
        let text = String::from_utf8_lossy(&self.ctx.blob(prompt)?).into_owned();
        let file = PromptFile::write(&self.ctx.paths.run_dir(), self.order.effect.0.0, &text)?;
        let (payer, secret) = self.payer(&preset)?;
        let calls = self.calls(&preset, payer.variable()).await?;
        heard.by_call = calls.is_some();
        let paid = (payer.variable().zip(secret), calls.as_ref());
        let seat = self.seat()?;
        let mut command = self.agent_command(&preset, &text, &file.0, &seat, paid)?;
        let _servers = self.tell_of_servers(&preset, &mut command)?;
        let outside = self.look_outside(&seat, self.order.effect.0.0).await?;
        command.env.extend(self.git_env(&outside));
        let place = Place::of(&preset, &command);
        let before = self.subject()?.checkpoint;
        let over = self.hear_out(command, (&preset, &payer), calls, heard).await?;
        let Over { finished, cut, signs, checkpoint, .. } = over;
        let mut about = AgentRun::default();
        self.mend(&seat, &mut about).await?;
        let saved = self.checkpoint(checkpoint).await?.commit;
        self.tidy_up(&seat, outside, &mut about).await?;
        let log = self.ctx.put_blob(finished.output.text().into())?;
        let ran = Ran { preset, payer, place, finished, cut, saved, before, log, about };
        self.ran(ran, &signs, heard).await
    }

    /// Runs the program to its end and hears what it says. Its tree is saved meanwhile, where that is
    /// the loop's.
    async fn hear_out(
        &self,
        mut command: Command,
        (preset, payer): (&Preset, &Payer),
        mut calls: Option<Registered>,
        heard: &mut Heard,
    ) -> Result<Over, Trouble> {
        let limits = self.limits(&mut command, calls.as_ref())?;
        let (facts, mut told) = mpsc::sync_channel(FACTS);
        let (say, said) = watch::channel(0);
        let signs = Arc::new(Signs::new());
        let parser = Arc::new(Mutex::new(StreamParser::new(preset.clone())));
        let signs_and_parser = (Arc::clone(&signs), Arc::clone(&parser));
        let on_output = self.listen(preset, (facts, say), payer.clone(), signs_and_parser);
        let (cut, why) = (OnceLock::new(), Arc::clone(&signs));
        let run = self.run_until(command, on_output, async |supervisor| {
            let why = why.cut(supervisor, said, &limits).await;
            cut.get_or_init(|| why).ladder()
        });
        tokio::pin!(run);
        let mut checkpoint = self.subject()?.checkpoint;
        let mut ticks = tokio::time::interval(CHECKPOINT_EVERY);
        ticks.reset();
        let finished = loop {
            tokio::select! {
                finished = &mut run => break finished,
                Some(call) = given_up(&mut calls) => {
                    self.tell(Observation::CallGivenUp { call }).await;
                }
                _ = ticks.tick() => {
                    self.report(&mut told, heard).await;
                    if self.reader().is_none() {
                        checkpoint = self.save(checkpoint).await;
                    }
                }
            }
        };
        drop(calls);
        self.report(&mut told, heard).await;
        let cut = cut.get().copied().filter(|_| finished.how == How::Ended);
        Ok(Over { finished, cut, signs, parser, checkpoint })
    }

    /// The second reader that runs, if it is not the loop's own agent.
    fn reader(&self) -> Option<&str> {
        if let Work::Agent { reader, .. } = &self.order.work { reader.as_deref() } else { None }
    }

    /// Where the loop's own agent works.
    fn seat(&self) -> Result<Seat, Trouble> {
        let (name, base) = (self.worktree_name()?, self.subject()?.base);
        Ok(Seat { name, dir: self.worktree()?, base })
    }

    /// What a run that is over comes to.
    async fn ran(&self, mut ran: Ran, signs: &Signs, heard: &Heard) -> Result<Outcome, Trouble> {
        let (saved, usage) = (ran.saved, heard.billed());
        if !self.is_wanted() {
            for remark in &ran.about.remarks {
                // The end of a run nobody wants has no room for it.
                warn!(effect = %self.order.effect, "a run that was ended: {remark}");
            }
            let usage = usage.unwrap_or_default();
            return Ok(Outcome::Cancelled { usage, checkpoint: Some(saved) });
        }
        if let Some(trouble) = heard.payer().and_then(|it| ran.payer.contradicts(it)) {
            return Err(trouble);
        }
        if ran.cut == Some(Cut::Silent) {
            ran.finished.how = How::Idle;
        }
        self.did_it_run(&ran)?;
        let untouched = saved == ran.before.unwrap_or(self.subject()?.base);
        let exit = match ran.cut {
            Some(Cut::TooMany(_)) => 128,
            Some(Cut::LastWord | Cut::Silent | Cut::Objection) | None => {
                heard.exit(&ran.finished.how)
            }
        };
        let output = ran.finished.output.text();
        let last = heard.last_word().unwrap_or(&output);
        let how = match ran.cut {
            Some(Cut::TooMany(n)) => Some(format!("ended: {n} processes at once")),
            Some(Cut::LastWord | Cut::Silent | Cut::Objection) | None if exit == 0 => None,
            Some(Cut::LastWord | Cut::Silent | Cut::Objection) | None => {
                ending(&ran.finished, ran.finished.wall)
            }
        };
        let summary = agent_summary(how, last);
        ran.remarks(signs, heard, (exit, untouched));
        ran.about.say(heard.last_word().unwrap_or_default());
        if exit != 0
            && let Some(trouble) =
                heard.excuse(&ran.preset.name, &ran.finished, untouched, &summary)
        {
            if !untouched {
                self.observe(Observation::Checkpoint(saved)).await;
            }
            // What a person is asked for goes before what may pass.
            return Err(question(&ran.about).unwrap_or(trouble));
        }
        let Ran { log, about: run, .. } = ran;
        Ok(Outcome::AgentDone { exit, summary, usage, checkpoint: saved, log, run: Box::new(run) })
    }

    /// A program that could not be run has not failed at its task.
    fn did_it_run(&self, ran: &Ran) -> Result<(), Trouble> {
        match &ran.finished.how {
            How::Exited(code @ (126 | 127)) if ran.preset.name == COMMAND => {
                Err(self.cannot_be_run(*code, &ran.finished.output.text()))
            }
            How::NotStarted { .. } if ran.place.is_missing() => {
                let name = {
                    let view = self.ctx.hub.view();
                    self.name(&view)
                };
                Err(Trouble::new(Code::AgentNotRunnable, ran.place.missing(&name)))
            }
            How::NotStarted { reason } => {
                Err(Trouble::new(Code::ProgramNotStarted, reason.clone()))
            }
            How::Exited(_)
            | How::Signalled(_)
            | How::TimedOut
            | How::Idle
            | How::Ended
            | How::Lost => Ok(()),
        }
    }

    /// What the run may do; the silence of an agent is ours to watch, since files count too.
    fn limits(&self, command: &mut Command, calls: Option<&Registered>) -> Result<Limits, Trouble> {
        let (_, root) = self.ctx.repo(self.order.project)?;
        let processes = self.ctx.config_of(&root)?.agent_processes;
        let idle = command.idle.take().unwrap_or(Duration::MAX);
        let calls = calls.map(|it| Arc::clone(&it.run));
        Ok(Limits { worktree: command.cwd.clone(), idle, processes, calls })
    }

    /// The shell says that there is no such program, or that it is none. That is no iteration that
    /// failed: the next one would end the same way.
    fn cannot_be_run(&self, code: i32, output: &str) -> Trouble {
        let run = self.program().unwrap_or_default();
        let name = {
            let view = self.ctx.hub.view();
            self.name(&view)
        };
        let said = agent_summary(Some(format!("exit {code}")), output);
        let run: String = run.chars().take(120).collect();
        let what = format!(
            "the agent `{run}` cannot be run ({said}); \
             install it on the PATH the plan was submitted with, then `taskd resume {name}`"
        );
        Trouble::new(Code::AgentNotRunnable, what)
    }

    fn preset(&self) -> Result<Preset, Trouble> {
        let run = self.program()?;
        let (repo, root) = self.ctx.repo(self.order.project)?;
        let agents = self.ctx.agents(Some(&root));
        let wish = agents.get(&run).and_then(trust::of_preset);
        let open = self.ctx.untrusted(&root, repo.git_dir(), wish.into_iter().collect());
        // It was agreed to when the plan came, and is another one now.
        if let Some(it) = open.first() {
            return Err(trust::refused(it));
        }
        agents.resolve(&run).map_err(|it| Trouble::of(Code::AgentPreset, &it))
    }

    /// The preset or the command line that runs.
    fn program(&self) -> Result<String, Trouble> {
        if let Some(reader) = self.reader() {
            return Ok(reader.to_owned());
        }
        match self.spec_doc()?.agent {
            AgentDoc::Agent { run } => Ok(run),
            AgentDoc::Model { name } => {
                let what = format!("{name} is a model, not an agent program");
                Err(Trouble::new(Code::Internal, what))
            }
        }
    }

    /// The session this run goes on with: the last one, if its loop type asks for that; otherwise, in
    /// the first iteration, the one a person handed over.
    fn session(&self) -> Result<Option<String>, Trouble> {
        if self.reader().is_some() {
            return Ok(None);
        }
        let (spec, subject) = (self.spec_doc()?, self.subject()?);
        let last = subject.session.clone().filter(|_| spec.loop_type.resume);
        Ok(last.or_else(|| spec.session.filter(|_| subject.iteration <= 1)))
    }

    fn agent_command(
        &self,
        preset: &Preset,
        prompt: &str,
        file: &Path,
        seat: &Seat,
        (paid, calls): (Option<(&str, String)>, Option<&Registered>),
    ) -> Result<Command, Trouble> {
        let session = self.session()?;
        let session = session.as_deref();
        let through =
            calls.and_then(|it| Some(Through { url: self.ctx.gateway.url()?, token: &it.token }));
        let invocation = Invocation { prompt_path: file, prompt, session, through };
        let argv = preset.argv(&invocation).map_err(|it| Trouble::of(Code::AgentPrompt, &it))?;
        let plan = self.plan_doc()?;
        let cwd = seat.dir.clone();
        let mut env = self.env(&plan, &cwd)?;
        env.extend(preset.set.iter().map(|(name, value)| (name.into(), value.into())));
        if let (Some(through), Some(gateway)) = (through, &preset.gateway) {
            // The key stays here.
            let variables = gateway.variables(through).into_iter();
            env.extend(variables.map(|(name, value)| (name.into(), value.into())));
        } else {
            env.extend(paid.map(|(name, secret)| (name.into(), secret.into())));
        }
        let stdin = match preset.prompt {
            PromptChannel::Stdin => Stdin::File(file.to_owned()),
            PromptChannel::Argument | PromptChannel::File => Stdin::Null,
            PromptChannel::Message => Stdin::Piped,
        };
        let (_, root) = self.ctx.repo(self.order.project)?;
        let idle = Duration::from_millis(self.ctx.config_of(&root)?.agent_idle_ms);
        let ladder = Ladder::STOP;
        Ok(Command { argv, cwd, env, stdin, timeout: None, idle: Some(idle), ladder })
    }

    /// A consumer of output that reads the agent's own words; what it finds waits in `facts`.
    fn listen(
        &self,
        preset: &Preset,
        (facts, said): (mpsc::SyncSender<AgentFact>, watch::Sender<u64>),
        payer: Payer,
        (signs, parser): (Arc<Signs>, Arc<Mutex<StreamParser>>),
    ) -> impl FnMut(Stream, &[u8]) + Send + 'static {
        let noise = self.noise();
        let mut as_lines = self.lines_as_noise();
        let prose = preset.format == Format::Text;
        let mut is_over = false;
        move |stream, bytes| {
            signs.printed();
            if prose || stream == Stream::Stderr {
                as_lines(stream, bytes);
            }
            if stream == Stream::Stderr {
                return;
            }
            let mut parser = lock(&parser);
            let found = parser.feed(bytes);
            signs.lines.store(parser.lines(), Ordering::Relaxed);
            for fact in found {
                signs.understood.fetch_add(1, Ordering::Relaxed);
                // Prose was passed on line by line above.
                if let AgentFact::Activity(text) = &fact
                    && !prose
                {
                    noise(Delta::Line(text.clone()));
                }
                is_over |= matches!(fact, AgentFact::Result { .. });
                if payer.contradicts(&fact).is_some() {
                    signs.objection.cancel();
                }
                // Facts beyond the bound are hints we can do without.
                facts.try_send(fact).ok();
            }
            if is_over {
                said.send_modify(|it| *it += 1);
            }
        }
    }

    /// Reports what the agent said of itself since the last time.
    async fn report(&self, told: &mut mpsc::Receiver<AgentFact>, heard: &mut Heard) {
        let mut session = None;
        let before = heard.usage;
        for fact in told.try_iter() {
            match fact {
                AgentFact::Session(id) => session = Some(id),
                fact @ (AgentFact::Usage { .. }
                | AgentFact::Activity(_)
                | AgentFact::Limit { .. }
                | AgentFact::NotAccepted
                | AgentFact::Payer { .. }
                | AgentFact::Result { .. }) => heard.take(fact),
            }
        }
        if let Some(session) = session.filter(|_| self.reader().is_none()) {
            self.observe(Observation::Session(session.chars().take(200).collect())).await;
        }
        if let Some(now) = heard.usage
            && before != Some(now)
            && !heard.by_call
        {
            self.observe(Observation::UsageSoFar(now)).await;
        }
    }

    async fn save(&self, before: Option<Oid>) -> Option<Oid> {
        // A tree that cannot be saved now is saved at the next tick or at the end.
        let Ok(saved) = self.checkpoint(before).await else { return before };
        if before != Some(saved.commit) && saved.changed {
            self.observe(Observation::Checkpoint(saved.commit)).await;
        }
        Some(saved.commit)
    }
}

/// Where a run works: a worktree, and the commit its HEAD is at.
struct Seat {
    name: String,
    dir: PathBuf,
    base: Oid,
}

/// A program that has ended, and what was heard and seen of it.
struct Over {
    finished: Finished,
    /// Why it was ended, if it did not end by itself.
    cut: Option<Cut>,
    signs: Arc<Signs>,
    parser: Arc<Mutex<StreamParser>>,
    /// The tree of the loop as last saved.
    checkpoint: Option<Oid>,
}

/// The next call that the agent gave up while it waited.
async fn given_up(calls: &mut Option<Registered>) -> Option<u32> {
    calls.as_mut()?.given_up.recv().await
}

/// The prompt as a file for the time of one run.
struct PromptFile(PathBuf);

impl PromptFile {
    fn write(dir: &Path, n: u64, text: &str) -> Result<Self, Trouble> {
        let path = dir.join(format!("prompt-{n}"));
        std::fs::write(&path, text).map_err(|it| {
            let doing = format!("writing the prompt to {}", path.display());
            Trouble::of(Code::of_io(&it), &it).within(&doing)
        })?;
        Ok(Self(path))
    }
}

impl Drop for PromptFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// One line about how the agent ended: how, and the last thing it printed.
fn agent_summary(how: Option<String>, output: &str) -> String {
    let last = output.lines().rev().map(str::trim).find(|it| !it.is_empty()).unwrap_or("");
    let text = match how {
        None => last.to_owned(),
        Some(how) if last.is_empty() => how,
        Some(how) => format!("{how}: {last}"),
    };
    text.chars().take(150).collect()
}
