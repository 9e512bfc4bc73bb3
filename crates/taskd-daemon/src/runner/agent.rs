//! External agents: one run of a program per iteration, in the loop's worktree.
//!
//! What it prints is noise and hints; its tree is what counts. The tree is checkpointed while it
//! works, so that a crash costs minutes and not the run.

mod calls;
mod heard;
mod payer;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use taskd_model::{AgentDoc, Code, Delta, Digest, Observation, Oid, Outcome};
use taskd_tools::{
    agents::{AgentFact, Format, Invocation, Preset, PromptChannel, StreamParser, Through},
    supervise::{Finished, How, Ladder, Stdin, Stream},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::{
    heard::{AFTER_LAST_WORD, Heard, has_said_its_last_word},
    payer::Payer,
};
use super::{
    Job, Trouble,
    programs::{Command, ending},
};
use crate::gateway::{Registered, Run};

/// How often the tree is saved while an agent works.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(20);
/// The preset of agents that are a command line of the person's own.
const COMMAND: &str = "command";
/// Facts the parser may be ahead of the loop that reports them.
const FACTS: usize = 1_024;

impl Job {
    /// Runs the agent once.
    pub(super) async fn agent(&self, prompt: &Digest) -> Outcome {
        let mut heard = Heard::default();
        match self.run_agent(prompt, &mut heard).await {
            Ok(outcome) => outcome,
            Err(trouble) => trouble.outcome(heard.billed().unwrap_or_default()),
        }
    }

    async fn run_agent(&self, prompt: &Digest, heard: &mut Heard) -> Result<Outcome, Trouble> {
        let preset = self.preset()?;
        let text = String::from_utf8_lossy(&self.ctx.blob(prompt)?).into_owned();
        let file = PromptFile::write(&self.ctx.paths.run_dir(), self.order.effect.0.0, &text)?;
        let (payer, secret) = self.payer(&preset)?;
        let mut calls = self.calls(&preset, payer.variable()).await?;
        heard.by_call = calls.is_some();
        let paid = payer.variable().zip(secret);
        let mut command = self.agent_command(&preset, &text, &file.0, (paid, calls.as_ref()))?;
        let (facts, mut told) = mpsc::sync_channel(FACTS);
        let (say, said) = watch::channel(0);
        let objection = CancellationToken::new();
        let run = calls.as_ref().map(|it| Arc::clone(&it.run));
        let listener = (payer.clone(), objection.clone(), run.clone());
        let on_output = self.listen(&preset, (facts, say), listener);
        // While its call is held it prints nothing, and that is not its silence.
        let idle = if run.is_some() { command.idle.take() } else { None };
        let silent = AtomicBool::new(false);
        let enough = async {
            tokio::select! {
                () = has_said_its_last_word(said, AFTER_LAST_WORD) => {}
                () = objection.cancelled() => {}
                () = is_silent(run, idle) => silent.store(true, Ordering::Relaxed),
            }
        };
        let run = self.run_until(command, on_output, enough);
        tokio::pin!(run);
        let before = self.subject()?.checkpoint;
        let mut checkpoint = before;
        let mut ticks = tokio::time::interval(CHECKPOINT_EVERY);
        ticks.reset();
        let mut finished = loop {
            tokio::select! {
                finished = &mut run => break finished,
                Some(call) = given_up(&mut calls) => {
                    self.tell(Observation::CallGivenUp { call }).await;
                }
                _ = ticks.tick() => {
                    self.report(&mut told, heard).await;
                    checkpoint = self.save(checkpoint).await;
                }
            }
        };
        drop(calls);
        if silent.load(Ordering::Relaxed) && finished.how == How::Ended && self.is_wanted() {
            finished.how = How::Idle;
        }
        self.report(&mut told, heard).await;
        let saved = self.checkpoint(checkpoint).await?.commit;
        let log = self.ctx.put_blob(finished.output.text().into())?;
        let usage = heard.billed();
        if !self.is_wanted() {
            let usage = usage.unwrap_or_default();
            return Ok(Outcome::Cancelled { usage, checkpoint: Some(saved) });
        }
        if let Some(trouble) = heard.payer().and_then(|it| payer.contradicts(it)) {
            return Err(trouble);
        }
        self.has_run(&preset, &finished)?;
        let exit = heard.exit(&finished.how);
        let output = finished.output.text();
        let last = heard.last_word().unwrap_or(&output);
        let how = if exit == 0 { None } else { ending(&finished, finished.wall) };
        let summary = agent_summary(how, last);
        let untouched = saved == before.unwrap_or(self.subject()?.base);
        if exit != 0
            && let Some(trouble) = heard.excuse(&preset.name, &finished, untouched, &summary)
        {
            if !untouched {
                self.observe(Observation::Checkpoint(saved)).await;
            }
            return Err(trouble);
        }
        Ok(Outcome::AgentDone { exit, summary, usage, checkpoint: saved, log })
    }

    /// There was a program, and it was started.
    fn has_run(&self, preset: &Preset, finished: &Finished) -> Result<(), Trouble> {
        match &finished.how {
            How::Exited(code @ (126 | 127)) if preset.name == COMMAND => {
                Err(self.cannot_be_run(*code, &finished.output.text()))
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

    /// The shell says that there is no such program, or that it is none. That is no iteration that
    /// failed: the next one would end the same way.
    fn cannot_be_run(&self, code: i32, output: &str) -> Trouble {
        let run = match self.spec_doc().map(|it| it.agent) {
            Ok(AgentDoc::Agent { run }) => run,
            Ok(AgentDoc::Model { .. }) | Err(_) => String::new(),
        };
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
        match self.spec_doc()?.agent {
            AgentDoc::Agent { run } => {
                let (_, root) = self.ctx.repo(self.order.project)?;
                self.ctx
                    .agents(Some(&root))
                    .resolve(&run)
                    .map_err(|it| Trouble::of(Code::AgentPreset, &it))
            }
            AgentDoc::Model { name } => {
                let what = format!("{name} is a model, not an agent program");
                Err(Trouble::new(Code::Internal, what))
            }
        }
    }

    /// The session this run goes on with: the last one, if its loop type asks for that; otherwise, in
    /// the first iteration, the one a person handed over.
    fn session(&self) -> Result<Option<String>, Trouble> {
        let (spec, subject) = (self.spec_doc()?, self.subject()?);
        let last = subject.session.clone().filter(|_| spec.loop_type.resume);
        Ok(last.or_else(|| spec.session.filter(|_| subject.iteration <= 1)))
    }

    fn agent_command(
        &self,
        preset: &Preset,
        prompt: &str,
        file: &Path,
        (paid, calls): (Option<(&str, String)>, Option<&Registered>),
    ) -> Result<Command, Trouble> {
        let session = self.session()?;
        let session = session.as_deref();
        let through =
            calls.and_then(|it| Some(Through { url: self.ctx.gateway.url()?, token: &it.token }));
        let invocation = Invocation { prompt_path: file, prompt, session, through };
        let argv = preset.argv(&invocation).map_err(|it| Trouble::of(Code::AgentPrompt, &it))?;
        let plan = self.plan_doc()?;
        let mut env = self.env(&plan);
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
        };
        let (_, root) = self.ctx.repo(self.order.project)?;
        let idle = Duration::from_millis(self.ctx.config_of(&root)?.agent_idle_ms);
        let ladder = Ladder::STOP;
        Ok(Command {
            argv,
            cwd: self.worktree()?,
            env,
            stdin,
            timeout: None,
            idle: Some(idle),
            ladder,
        })
    }

    /// A consumer of output that reads the agent's own words; what it finds waits in `facts`.
    fn listen(
        &self,
        preset: &Preset,
        (facts, said): (mpsc::SyncSender<AgentFact>, watch::Sender<u64>),
        (payer, objection, run): (Payer, CancellationToken, Option<Arc<Run>>),
    ) -> impl FnMut(Stream, &[u8]) + Send + 'static {
        let noise = self.noise();
        let mut as_lines = self.lines_as_noise();
        let prose = preset.format == Format::Text;
        let mut parser = StreamParser::new(preset.clone());
        let mut is_over = false;
        move |stream, bytes| {
            if let Some(run) = &run {
                run.gives_a_sign();
            }
            if prose || stream == Stream::Stderr {
                as_lines(stream, bytes);
            }
            if stream == Stream::Stderr {
                return;
            }
            for fact in parser.feed(bytes) {
                if let AgentFact::Activity(text) = &fact {
                    noise(Delta::Line(text.clone()));
                }
                is_over |= matches!(fact, AgentFact::Result { .. });
                if payer.contradicts(&fact).is_some() {
                    objection.cancel();
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
        if let Some(session) = session {
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

/// Returns when the run has given no sign for so long, where that is for us to see.
async fn is_silent(run: Option<Arc<Run>>, limit: Option<Duration>) {
    match (run, limit) {
        (Some(run), Some(limit)) => run.is_silent(limit).await,
        (Some(_) | None, _) => std::future::pending().await,
    }
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
