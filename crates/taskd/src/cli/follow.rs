//! Following a plan: every line of it, from its first event, across restarts of the daemon.
//!
//! The view of before the submission is folded forward, so that nothing is missed however fast it
//! goes. Ctrl-C detaches; it ends nothing.

use taskd_api::{Client, Watched, v1};
use taskd_model::{PlanId, Record, View, WaitVerdict};

use super::{
    failure::{Done, Failure},
    here::Here,
};
use crate::render::{json, lines};

/// Tells what happens to `plan` from the state of `before` on, until it is over or needs somebody.
pub(crate) async fn follow(here: &Here, client: &Client, before: View, plan: u32) -> Done {
    let plan = PlanId(plan);
    let mut watch = client.watch(vec![plan.to_string()], false);
    let mut told = Told { here, view: before, plan, fresh: false };
    let mut lost = false;
    loop {
        let item = tokio::select! {
            item = watch.next() => item,
            _ = tokio::signal::ctrl_c() => {
                here.out.remark(&format!("\ndetached; {plan} goes on. `taskd stop {plan}` ends it"));
                return Ok(0);
            }
        };
        match item {
            Some(Watched::View(view)) => told.catch_up(client, *view).await?,
            Some(Watched::Event(record)) => told.tell(&record)?,
            Some(Watched::Disconnected { error, .. }) => {
                if !lost {
                    let why = here.unreachable(&error).message;
                    here.out.remark(&format!("{why}; waiting for it. Ctrl-C detaches"));
                }
                lost = true;
                continue;
            }
            Some(Watched::Connected { .. }) => {
                if lost {
                    here.out.remark("the daemon answers again");
                }
                lost = false;
                continue;
            }
            Some(Watched::Ended(error)) => return Err(error.into()),
            Some(Watched::Unknown { .. } | Watched::Delta { .. } | Watched::Heartbeat { .. }) => {
                continue;
            }
            None => return Ok(0),
        }
        if let Some(verdict) = told.verdict() {
            return told.end(verdict);
        }
    }
}

/// What was told so far.
struct Told<'a> {
    here: &'a Here,
    view: View,
    plan: PlanId,
    /// The view holds everything of the plan there was when we connected.
    fresh: bool,
}

impl Told<'_> {
    /// Tells what happened between our view and this one, and goes on from this one.
    async fn catch_up(&mut self, client: &Client, view: View) -> Result<(), Failure> {
        if self.view.seq < view.seq {
            let ids = vec![self.plan.to_string()];
            let from = self.view.seq.0 + 1;
            let request = v1::EventsRequest { from, ids, ..v1::EventsRequest::default() };
            let mut events = client.events(request).await?;
            while let Some(event) = events.next().await? {
                if let Some(record) = event.record()?.filter(|it| it.seq <= view.seq) {
                    self.tell(&record)?;
                }
            }
            self.view = view;
        }
        self.fresh = true;
        Ok(())
    }

    fn tell(&mut self, record: &Record) -> Result<(), Failure> {
        if record.seq <= self.view.seq {
            return Ok(());
        }
        let out = &self.here.out;
        if out.json {
            out.print(&format!("{}\n", record.encode()))?;
        } else if let Some(line) = self.line(record) {
            out.print(&line)?;
        }
        self.view.apply(record);
        Ok(())
    }

    fn line(&self, record: &Record) -> Option<String> {
        lines::line(&self.view, record, self.plan, &self.here.scene())
    }

    /// How it ended, if it has.
    fn verdict(&self) -> Option<WaitVerdict> {
        let verdict = self.view.wait_plan(self.plan).filter(|_| self.fresh)?;
        (verdict != WaitVerdict::Pending).then_some(verdict)
    }

    fn end(&self, verdict: WaitVerdict) -> Done {
        let out = &self.here.out;
        if out.json {
            out.object(&json::waited(&self.plan.to_string(), verdict))?;
        } else if verdict == WaitVerdict::NeedsYou {
            out.print(&format!("\n{}", lines::needs_you(&self.view, self.plan)))?;
        } else {
            out.print(&lines::ended(&self.view, self.plan, verdict))?;
        }
        let exit = verdict.exit().unwrap_or(0);
        // Somebody sits there and was asked: that is how a run should end.
        let asked = verdict == WaitVerdict::NeedsYou && out.terminal;
        Ok(if asked { 0 } else { exit })
    }
}
