//! Tools by which a loop tells other loops of its plan something. Whether a message is taken is the
//! core's to say; when its answer comes, the message is durable. What is refused is a result the
//! model reads.

use taskd_core::Rejected;
use taskd_model::{Input, LoopId, LoopView, Saying};
use taskd_tools::files::{Talk, ToolOutput, admit, talk_spec};

use super::{Job, Trouble};

/// Loops that are named to somebody who names one there is not.
const MAX_NAMED: usize = 20;

impl Job {
    /// Sends one message.
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
                let (to, said) = match self.other_loop(&to)? {
                    Ok(found) => found,
                    Err(output) => return Ok(output),
                };
                let (text, bytes) = self.letter(text)?;
                (Saying::Share { to, text, bytes }, said)
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

    /// The loop of this plan that is meant, and what is said to whoever tells it something.
    fn other_loop(&self, name: &str) -> Result<Result<(LoopId, String), ToolOutput>, Trouble> {
        let own = self.subject()?.id;
        let view = self.ctx.hub.view();
        let of_plan = || view.loops.values().filter(|it| it.id.plan() == own.plan());
        let meant = |it: &&LoopView| it.name == name || it.spec == name;
        let Some(found) = of_plan().filter(meant).max_by_key(|it| it.id.run) else {
            let others = of_plan().filter(|it| it.id != own && !it.status.is_over());
            let names: Vec<&str> = others.take(MAX_NAMED).map(|it| it.name.as_str()).collect();
            let there = if names.is_empty() {
                "no other loop of this plan is at work".to_owned()
            } else {
                format!("there are: {}", names.join(", "))
            };
            let name: String = name.chars().take(60).collect();
            let text = format!("this plan has no loop `{name}`; {there}");
            return Ok(Err(ToolOutput::refused(&text, taskd_model::Code::NoSuchLoop)));
        };
        let when = if found.passed.is_some() {
            "has passed its gate and reads it only if it is sent back"
        } else if found.started_at.is_none() {
            "has not begun and reads it in its first prompt"
        } else {
            "reads it before its next turn"
        };
        Ok(Ok((found.id, format!("Sent. {} {when}.", found.name))))
    }
}

fn refusal(refused: &Rejected) -> ToolOutput {
    ToolOutput::refused(&refused.to_string(), refused.code())
}
