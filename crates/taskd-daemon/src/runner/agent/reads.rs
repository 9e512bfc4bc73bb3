//! An agent as second reader: it runs in a checkout of exactly the work it reads, and what it says at
//! last is what it finds.
//!
//! The checkout is made for the run and goes with it. Nothing keeps a program from writing elsewhere as
//! its person, so the loop's own files are set back to what was gated before anything goes on.

use taskd_git::Repo;
use taskd_model::{
    AgentRun, Code, Digest, Outcome, Part, PrepareMode, Reply, StopReason, Usage, encode_doc,
};
use taskd_tools::agents::Format;
use tokio::task::block_in_place;
use tracing::warn;

use super::{
    super::{Job, Trouble, gate::Scratch, lock},
    Over, PromptFile, Seat, agent_summary,
    heard::Heard,
    program::Place,
    ran::{Ran, question},
    signs::Cut,
};
use crate::runner::programs::ending;

impl Job {
    /// Runs the agent that is the loop's second reader, once.
    pub(super) async fn reads_as_agent(&self, prompt: &Digest) -> Outcome {
        let mut heard = Heard::default();
        let read = self.read_at_desk(prompt, &mut heard).await;
        read.unwrap_or_else(|trouble| trouble.outcome(heard.billed().unwrap_or_default()))
    }

    async fn read_at_desk(&self, prompt: &Digest, heard: &mut Heard) -> Result<Outcome, Trouble> {
        let scratch = Scratch::take(&self.ctx, self.order.project)?;
        let name = format!("review-{}", scratch.n);
        let read = self.read_in(&name, prompt, heard).await;
        let cleared = self.clear_desk(name).await;
        drop(scratch);
        block_in_place(|| self.ctx.sweep_places());
        cleared.and(read)
    }

    async fn read_in(
        &self,
        name: &str,
        prompt: &Digest,
        heard: &mut Heard,
    ) -> Result<Outcome, Trouble> {
        let preset = self.preset()?;
        if preset.format == Format::Acp {
            return Err(Trouble::new(Code::AgentPreset, speaks_acp(&preset.name)));
        }
        let text = String::from_utf8_lossy(&self.ctx.blob(prompt)?).into_owned();
        let number = self.order.effect.0.0;
        let file = PromptFile::write(&self.ctx.paths.run_dir(), number, &text)?;
        let (payer, secret) = self.payer(&preset)?;
        let seat = self.desk(name).await?;
        let calls = self.calls(&preset, payer.variable()).await?;
        heard.by_call = calls.is_some();
        let paid = (payer.variable().zip(secret), calls.as_ref());
        let mut command = self.agent_command(&preset, &text, &file.0, &seat, paid)?;
        let outside = self.look_outside(&seat, number).await?;
        command.env.extend(self.git_env(&outside));
        let place = Place::of(&preset, &command);
        let over = self.hear_out(command, (&preset, &payer), calls, heard).await?;
        let Over { finished, cut, parser, .. } = over;
        for fact in lock(&parser).finish() {
            heard.take(fact);
        }
        let mut about = AgentRun::default();
        self.mend(&seat, &mut about).await?;
        self.tidy_up(&seat, outside, &mut about).await?;
        let log = self.ctx.put_blob(finished.output.text().into())?;
        let (saved, before) = (seat.base, Some(seat.base));
        let ran = Ran { preset, payer, place, finished, cut, saved, before, log, about };
        self.has_read(&ran, heard)
    }

    /// What a reader that has ended comes to.
    fn has_read(&self, ran: &Ran, heard: &Heard) -> Result<Outcome, Trouble> {
        let usage = heard.billed();
        if !self.is_wanted() {
            let usage = usage.unwrap_or_default();
            return Ok(Outcome::Cancelled { usage, checkpoint: None });
        }
        if let Some(trouble) = heard.payer().and_then(|it| ran.payer.contradicts(it)) {
            return Err(trouble);
        }
        self.did_it_run(ran)?;
        if let Some(trouble) = question(&ran.about) {
            return Err(trouble);
        }
        for remark in &ran.about.remarks {
            warn!(effect = %self.order.effect, "a second reader: {remark}");
        }
        let said = heard.last_word().map(str::trim);
        let how = match ran.cut {
            Some(Cut::TooMany(n)) => Some(format!("ended: {n} processes at once")),
            Some(Cut::Silent) => Some("silent for too long".to_owned()),
            Some(Cut::LastWord | Cut::Objection) | None => {
                let failed = heard.exit(&ran.finished.how) != 0;
                let how = ending(&ran.finished, ran.finished.wall);
                failed.then(|| how.unwrap_or_else(|| "it says that it failed".to_owned()))
            }
        };
        let (None, Some(said)) = (&how, said) else {
            let (output, agent) = (ran.finished.output.text(), &ran.preset.name);
            let failed = how.is_some();
            let summary = agent_summary(how, said.unwrap_or(&output));
            let what = format!("the second reader {agent} did not say what it finds: {summary}");
            let excuse = heard.excuse(agent, &ran.finished, failed, &summary);
            return Err(excuse.unwrap_or_else(|| Trouble::new(Code::ReviewFailed, what)));
        };
        let found = Some(Box::new(self.found_in(said)?));
        let reply = Reply {
            parts: vec![Part::Text { text: said.to_owned() }],
            stop: StopReason::End,
            model: None,
        };
        let reply = self.ctx.put_blob(encode_doc(&reply))?;
        // What is not told has a price nobody knows.
        let usage = usage.unwrap_or(Usage { unpriced: 1, ..Usage::default() });
        Ok(Outcome::Replied { reply, calls: Vec::new(), usage, by: None, found })
    }

    /// A checkout of the work that is read; one that a crash left behind goes first.
    async fn desk(&self, name: &str) -> Result<Seat, Trouble> {
        let none = || Trouble::new(Code::Internal, "there is no work to be read");
        let base = self.subject()?.checkpoint.ok_or_else(none)?;
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let of = name.to_owned();
        let make = move |repo: &Repo| {
            repo.remove_scratch(&of)?;
            repo.checkout_scratch(&of, base)
        };
        let dir = self.blocking(move || Ok(make(&repo)?)).await?;
        Ok(Seat { name: name.to_owned(), dir, base })
    }

    /// The checkout goes, and the loop's own files are those that were gated. What stood there instead
    /// is kept under a ref.
    async fn clear_desk(&self, name: String) -> Result<(), Trouble> {
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let of = name.clone();
        if let Err(why) = self.blocking(move || Ok(repo.remove_scratch(&of)?)).await {
            warn!("the checkout {name} stays: {}; `taskd gc`", why.told());
        }
        let subject = self.subject()?;
        let Some(work) = subject.checkpoint else { return Ok(()) };
        self.prepare(subject.base, PrepareMode::Restore(work)).await.map(drop)
    }
}

/// Why an agent cannot be a second reader.
pub(crate) fn speaks_acp(agent: &str) -> String {
    format!("the agent {agent} speaks ACP, and a second reader is a program that is run once")
}
