//! External agents: one run of a program per iteration, in the loop's worktree.
//!
//! What it prints is noise and hints; its tree is what counts. The tree is checkpointed while it
//! works, so that a crash costs minutes and not the run.

use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use taskd_model::{AgentDoc, Code, Delta, Digest, Observation, Oid, Outcome, Usage};
use taskd_tools::{
    agents::{AgentFact, Format, Invocation, Preset, PromptChannel, StreamParser},
    supervise::{How, Ladder, Stdin, Stream},
};

use super::{
    Job, Trouble, lock,
    programs::{Command, ending},
};

/// How often the tree is saved while an agent works.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(20);
/// The preset of agents that are a command line of the person's own.
const COMMAND: &str = "command";
/// Facts the parser may be ahead of the loop that reports them.
const FACTS: usize = 1_024;

impl Job {
    /// Runs the agent once.
    pub(super) async fn agent(&self, prompt: &Digest) -> Outcome {
        let mut usage = None;
        match self.run_agent(prompt, &mut usage).await {
            Ok(outcome) => outcome,
            Err(trouble) => trouble.outcome(usage.unwrap_or_default()),
        }
    }

    async fn run_agent(
        &self,
        prompt: &Digest,
        usage: &mut Option<Usage>,
    ) -> Result<Outcome, Trouble> {
        let preset = self.preset()?;
        let text = String::from_utf8_lossy(&self.ctx.blob(prompt)?).into_owned();
        let file = PromptFile::write(&self.ctx.paths.run_dir(), self.order.effect.0.0, &text)?;
        let command = self.agent_command(&preset, &text, &file.0)?;
        let (facts, mut heard) = mpsc::sync_channel(FACTS);
        let on_output = self.listen(&preset, facts);
        let run = self.run(command, on_output);
        tokio::pin!(run);
        let mut checkpoint = self.subject()?.checkpoint;
        let mut ticks = tokio::time::interval(CHECKPOINT_EVERY);
        ticks.reset();
        let finished = loop {
            tokio::select! {
                finished = &mut run => break finished,
                _ = ticks.tick() => {
                    self.report(&mut heard, usage).await;
                    checkpoint = self.save(checkpoint).await;
                }
            }
        };
        self.report(&mut heard, usage).await;
        let saved = self.checkpoint(checkpoint).await?.commit;
        let log = self.ctx.put_blob(finished.output.text().into())?;
        if !self.is_wanted() {
            let usage = usage.unwrap_or_default();
            return Ok(Outcome::Cancelled { usage, checkpoint: Some(saved) });
        }
        let exit = match &finished.how {
            How::Exited(code @ (126 | 127)) if preset.name == COMMAND => {
                return Err(self.cannot_be_run(*code, &finished.output.text()));
            }
            How::Exited(code) => *code,
            How::NotStarted { reason } => {
                return Err(Trouble::new(Code::ProgramNotStarted, reason.clone()));
            }
            How::Signalled(_) | How::TimedOut | How::Idle | How::Ended | How::Lost => 128,
        };
        let summary = agent_summary(ending(&finished, finished.wall), &finished.output.text());
        Ok(Outcome::AgentDone { exit, summary, usage: *usage, checkpoint: saved, log })
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
                Ok(Preset::builtin(&run).unwrap_or_else(|| Preset::command(&run)))
            }
            AgentDoc::Model { name } => {
                let what = format!("{name} is a model, not an agent program");
                Err(Trouble::new(Code::Internal, what))
            }
        }
    }

    fn agent_command(
        &self,
        preset: &Preset,
        prompt: &str,
        file: &Path,
    ) -> Result<Command, Trouble> {
        let session = self.subject()?.session.as_deref();
        let invocation = Invocation { prompt_path: file, prompt, session };
        let argv = preset.argv(&invocation).map_err(|it| Trouble::of(Code::AgentPrompt, &it))?;
        let plan = self.plan_doc()?;
        let mut env = self.env(&plan);
        if let Some(name) = &preset.credential
            && let Some(secret) = lock(&self.ctx.credentials).get(name)
        {
            env.push((name.into(), secret.into()));
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
        facts: mpsc::SyncSender<AgentFact>,
    ) -> impl FnMut(Stream, &[u8]) + Send + 'static {
        let noise = self.noise();
        let mut as_lines = self.lines_as_noise();
        let prose = preset.format == Format::Text;
        let mut parser = StreamParser::new(preset.clone());
        move |stream, bytes| {
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
                // Facts beyond the bound are hints we can do without.
                facts.try_send(fact).ok();
            }
        }
    }

    /// Reports what the agent said of itself since the last time.
    async fn report(&self, heard: &mut mpsc::Receiver<AgentFact>, usage: &mut Option<Usage>) {
        let mut session = None;
        let before = *usage;
        for fact in heard.try_iter() {
            match fact {
                AgentFact::Session(id) => session = Some(id),
                AgentFact::Usage { input, output, cache_read, cache_write, cost_micros } => {
                    let micros = cost_micros.unwrap_or(0);
                    let unpriced = u32::from(cost_micros.is_none());
                    let tokens =
                        Usage { input, output, cache_read, cache_write, ..Usage::default() };
                    *usage = Some(Usage { micros, unpriced, ..tokens });
                }
                AgentFact::Activity(_)
                | AgentFact::Limit { .. }
                | AgentFact::NotAccepted
                | AgentFact::Result { .. } => {}
            }
        }
        if let Some(session) = session {
            self.observe(Observation::Session(session.chars().take(200).collect())).await;
        }
        if let Some(now) = usage
            && before != Some(*now)
        {
            self.observe(Observation::UsageSoFar(*now)).await;
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
