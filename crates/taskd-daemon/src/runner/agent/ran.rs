//! A run of an agent that is over, and what a person should know of it besides its end.

use std::sync::atomic::Ordering;

use taskd_model::{AgentRun, Code, Digest, Oid};
use taskd_tools::{
    agents::{Format, Preset},
    supervise::{Finished, How},
};

use super::{
    super::Trouble,
    heard::Heard,
    payer::Payer,
    program::Place,
    signs::{Cut, Signs},
};

/// A run that is over.
pub(super) struct Ran {
    pub(super) preset: Preset,
    pub(super) payer: Payer,
    pub(super) place: Place,
    pub(super) finished: Finished,
    /// Why it was ended, if it did not end by itself.
    pub(super) cut: Option<Cut>,
    pub(super) saved: Oid,
    pub(super) before: Option<Oid>,
    pub(super) log: Digest,
    pub(super) about: AgentRun,
}

impl Ran {
    /// Writes down what is to be said of it. `exit`: the status that counts; `untouched`: it left
    /// the tree as it was.
    pub(super) fn remarks(&mut self, signs: &Signs, heard: &Heard, (exit, untouched): (i32, bool)) {
        let about = &mut self.about;
        about.processes = signs.most.load(Ordering::Relaxed);
        match self.cut {
            Some(Cut::Silent) => {
                let s = self.finished.wall.as_secs();
                let text = format!(
                    "it printed nothing and changed no file for `agent.idle` and was ended after \
                     {s} s in all; raise `agent.idle` if it was at work"
                );
                about.remark(Code::AgentSilent, &text);
            }
            Some(Cut::TooMany(n)) => {
                let text = format!(
                    "{n} processes of it were alive at once, more than `agent.processes` allows; \
                     all of them were ended"
                );
                about.remark(Code::AgentFanOut, &text);
            }
            Some(Cut::LastWord | Cut::Objection) | None => {}
        }
        about.judged = exit != 0
            && !untouched
            && matches!(self.finished.how, How::Exited(1..))
            && !heard.says_it_failed();
        if about.judged {
            let text = format!("it ended with {exit} and has changed files: the gate decides");
            about.remark(Code::AgentExit, &text);
        }
        if exit == 0 && untouched {
            let text = "it ended normally and changed nothing; its output says why (`taskd logs`)";
            about.remark(Code::AgentDidNothing, text);
        }
        let lines = signs.lines.load(Ordering::Relaxed);
        let understood = signs.understood.load(Ordering::Relaxed);
        let agent = &self.preset.name;
        if self.preset.format == Format::Jsonl && 0 < lines && understood == 0 {
            let text = format!(
                "it printed {lines} lines and none was understood: its use is not counted; \
                 `taskd agents show {agent}` says whether its version was tested"
            );
            about.remark(Code::AgentNotUnderstood, &text);
        }
        self.place.compare(about);
    }

    /// What a person is asked because of it, if anything.
    pub(super) fn question(&self) -> Option<Trouble> {
        let code = self.about.remarks.iter().find(|it| it.asks())?.code;
        Some(Trouble::new(code, self.about.question()?))
    }
}
