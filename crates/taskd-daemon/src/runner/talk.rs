//! Tools by which a loop says something to other loops of its plan. Whether a message is taken is the
//! core's to say; when its answer comes, the message is durable. What is refused is a result the
//! model reads.

use taskd_core::Rejected;
use taskd_model::{Input, LoopView, Saying};
use taskd_tools::files::{Talk, ToolOutput, admit, talk_spec};

use super::{Job, Trouble};

/// Loops that are named to somebody who names one there is not.
const MAX_NAMED: usize = 20;

impl Job {
    /// Says one thing, and waits for the answer where there is one.
    pub(super) async fn talk_tool(
        &self,
        name: &str,
        args: &str,
        allow: &[String],
    ) -> Result<ToolOutput, Trouble> {
        let talk = match admit(name, allow).and_then(|_| talk_spec(name, args)) {
            Ok(talk) => talk,
            Err(error) => return Ok(ToolOutput::error(&error)),
        };
        let (saying, said) = match talk {
            Talk::Share { to, text } => {
                let other = match self.other_loop(&to)? {
                    Ok(found) => found,
                    Err(output) => return Ok(output),
                };
                let (text, bytes) = self.letter(text)?;
                let said = format!("Sent. {} {}.", other.name, when_it_reads(&other));
                (Saying::Share { to: other.id, text, bytes }, said)
            }
            Talk::Stop { to, reason } => {
                let other = match self.other_loop(&to)? {
                    Ok(found) => found,
                    Err(output) => return Ok(output),
                };
                let said = format!("{} ends; its work is kept.", other.name);
                (Saying::Stop { to: other.id, why: reason }, said)
            }
            Talk::Query { to, question, wait } => {
                return match self.other_loop(&to)? {
                    Ok(other) => self.query_tool((other.id, other.name), question, wait).await,
                    Err(output) => Ok(output),
                };
            }
            Talk::Alert { topic, text } => {
                let (text, bytes) = self.letter(text)?;
                let said = "Sent. Each loop at work reads it before its next turn.".to_owned();
                (Saying::Alert { topic, text, bytes }, said)
            }
        };
        let input = Input::Said { effect: self.order.effect, saying };
        Ok(match self.ctx.handle.input(input).await {
            Ok(Ok(_)) => ToolOutput::said(said),
            Ok(Err(refused)) => refusal(&refused),
            // The daemon ends; the next life asks again.
            Err(_) => refusal(&Rejected::NobodyAsks),
        })
    }

    fn letter(&self, text: String) -> Result<(taskd_model::Digest, u32), Trouble> {
        let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        Ok((self.ctx.put_blob(text.into_bytes())?, bytes))
    }

    /// The loop of this plan that is meant.
    fn other_loop(&self, name: &str) -> Result<Result<LoopView, ToolOutput>, Trouble> {
        let own = self.subject()?.id;
        let view = self.ctx.hub.view();
        let of_plan = || view.loops.values().filter(|it| it.id.plan() == own.plan());
        let meant = |it: &&LoopView| it.name == name || it.spec == name;
        if let Some(found) = of_plan().filter(meant).max_by_key(|it| it.id.run) {
            return Ok(Ok(found.clone()));
        }
        let others = of_plan().filter(|it| it.id != own && !it.status.is_over());
        let names: Vec<&str> = others.take(MAX_NAMED).map(|it| it.name.as_str()).collect();
        let there = if names.is_empty() {
            "no other loop of this plan is at work".to_owned()
        } else {
            format!("there are: {}", names.join(", "))
        };
        let name: String = name.chars().take(60).collect();
        let text = format!("this plan has no loop `{name}`; {there}");
        Ok(Err(ToolOutput::refused(&text, taskd_model::Code::NoSuchLoop)))
    }
}

/// When a loop reads what is shared with it.
fn when_it_reads(it: &LoopView) -> &'static str {
    if it.passed.is_some() {
        "has passed its gate and reads it only if it is sent back"
    } else if it.started_at.is_none() {
        "has not begun and reads it in its first prompt"
    } else {
        "reads it before its next turn"
    }
}

pub(super) fn refusal(refused: &Rejected) -> ToolOutput {
    ToolOutput::refused(&refused.to_string(), refused.code())
}
