//! Second readers, judged by the log alone: who is asked, about what, and what follows from it.

use taskd_model::{Found, Oid, Outcome, ReviewHead, Verdict, Work, Worker};

use super::{LoopRow, Tally, check};

/// What is known of a loop's second reader.
#[derive(Debug, Clone, Default)]
pub(super) struct Read {
    /// The tree whose gate was green and that nobody has judged yet.
    asked: Option<Oid>,
    /// What was found last, and in which tree.
    known: Option<(Oid, Found)>,
}

impl Read {
    /// Nobody wants to know any more.
    pub(super) fn forget(&mut self) {
        self.asked = None;
    }
}

impl LoopRow {
    fn reader(&self) -> Option<&ReviewHead> {
        self.head.review.as_ref().filter(|_| self.head.writes.is_none())
    }

    /// Work of its own ended.
    pub(super) fn read_ended(&mut self, work: &Work, outcome: &Outcome, tally: &mut Tally) {
        match (work, outcome) {
            (Work::Gate, Outcome::Gated { tree, change, markers, report, .. }) => {
                let green = report.as_ref().is_some_and(|it| it.green);
                let passes = green && *markers == 0 && 0 < change.files;
                self.read.asked = self.reader().and(Some(*tree)).filter(|_| passes);
            }
            (
                Work::Call { .. } | Work::Agent { .. },
                Outcome::Replied { found: Some(found), .. },
            ) => {
                tally.read += 1;
                self.read.known = self.read.asked.map(|tree| (tree, found.as_ref().clone()));
            }
            _ => {}
        }
    }

    /// The model that it may call now, or the agent that it may run.
    pub(super) fn may_call(&self) -> Result<&str, String> {
        let (Some(tree), Some(reader)) = (self.read.asked, self.reader()) else {
            return Ok(&self.model);
        };
        let known = self.read.known.as_ref().is_some_and(|it| it.0 == tree);
        check(!known, || "the same tree is read twice".to_owned())?;
        match &reader.by {
            Worker::Model(name) | Worker::Agent(name) => Ok(name),
        }
    }

    /// The agent that this work runs, if it is whose turn it is.
    pub(super) fn may_run<'a>(&'a self, work: &'a Work) -> Result<&'a str, String> {
        let (agent, wanted) = (self.run_by(work), self.may_call()?);
        check(wanted == agent, || format!("{agent} runs, not {wanted}"))?;
        Ok(agent)
    }

    /// The agent that this work runs.
    pub(super) fn run_by<'a>(&'a self, work: &'a Work) -> &'a str {
        match work {
            Work::Agent { reader: Some(name), .. } => name,
            _ => &self.model,
        }
    }

    /// An iteration of it ended: what is read ends as was found.
    pub(super) fn read_and_ended(
        &mut self,
        verdict: Verdict,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let Some(reader) = self.reader().cloned() else {
            return check(verdict != Verdict::Objected, || "nobody reads it".to_owned());
        };
        let Some(tree) = self.read.asked.take() else {
            let unread = matches!(verdict, Verdict::Green | Verdict::Objected);
            return check(!unread, || format!("it ends {verdict}, and nobody read it"));
        };
        let Some((of, found)) = self.read.known.clone().filter(|it| it.0 == tree) else {
            return Err(format!("it ends {verdict} before it was read"));
        };
        let objects = reader.blocks && 0 < found.count;
        let expected = if objects { Verdict::Objected } else { Verdict::Green };
        check(verdict == expected, || format!("it ends {verdict}, and {} was found", found.count))?;
        if objects {
            tally.objected += 1;
            self.progress.read(of, found.log);
        }
        Ok(())
    }
}
