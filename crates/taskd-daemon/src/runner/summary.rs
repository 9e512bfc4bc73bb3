//! What a loop's commit says is put together from its documents, its last gate and its agent's last
//! word. How it is worded is in `message`.

use taskd_model::{Event, LoopId, Outcome, Part, Reply, ReviewView, format_readings};

use super::{
    Job, Trouble,
    gate::gate_commands,
    message::{Message, Proof, Verified},
};

/// Most characters of a second reader's name: a command line may be long.
const MAX_READER_CHARS: usize = 60;

impl Job {
    /// One clean commit for a spec: what was done, why, how it was verified, where it comes from.
    pub(super) fn message(&self) -> Result<String, Trouble> {
        let id = self.subject()?.id;
        let spec = self.spec_doc()?;
        let plan = self.plan_doc()?;
        let (name, change, iteration, gate, review) = {
            let view = self.ctx.hub.view();
            let it = view.loops.get(&id);
            let passed = it.and_then(|it| it.passed.as_ref());
            let change = passed.map(|it| it.change).unwrap_or_default();
            let seq = passed.map(|it| it.evidence);
            let gate = it.and_then(|it| it.gate.clone()).filter(|it| Some(it.seq) == seq);
            let review = it.and_then(|it| said_by_reader(it.review.as_ref()?));
            (self.name(&view), change, it.map_or(0, |it| it.iteration), gate, review)
        };
        let title = spec.title.lines().next().unwrap_or_default();
        let subject = if title.starts_with(&format!("{}:", spec.name)) || plan.title == title {
            title.to_owned()
        } else {
            format!("{}: {title}", spec.name)
        };
        let text = spec.text.trim();
        let why = match (text.is_empty() || text == title, plan.title == title) {
            (false, _) => text.to_owned(),
            (true, true) => format!("asked for as {}", self.order.plan),
            (true, false) => format!("it is part of {}", plan.title),
        };
        let proof = gate.as_ref().and_then(|it| Some((it.proof.as_ref()?, it.log)));
        let red_before = proof.map_or(0, |(it, _)| it.earlier.len());
        let (summary, ms) = gate.as_ref().map(|it| (it.summary.clone(), it.ms)).unwrap_or_default();
        Ok(Message {
            subject: &subject,
            said: &self.last_word(id)?,
            change: (change.files, change.added, change.removed),
            why: &why,
            verified: Verified { summary, ms, iteration, red_before },
            plan: &format!("{} {}", self.order.plan, plan.title),
            loop_name: &name,
            gate: &gate_commands(&plan.gate, &spec.accept),
            proof: proof.map(|(it, log)| Proof { gate: it.gate, tree: it.tree, log }),
            review,
        }
        .text())
    }

    /// What the loop's agent or model said last of its work: the summary of `finish`, or else its
    /// last words; empty where that is not known.
    pub(super) fn last_word(&self, id: LoopId) -> Result<String, Trouble> {
        let (mut reply, mut said) = (None, String::new());
        for record in self.ctx.events_of(id) {
            let Event::EffectEnded { outcome, .. } = record?.event else { continue };
            if let Outcome::Replied { reply: it, found: None, .. } = outcome {
                reply = Some(it);
            } else if let Outcome::AgentDone { run, .. } = outcome {
                said = run.said;
            }
        }
        Ok(match reply {
            Some(reply) => summary_of(&self.ctx.doc::<Reply>(&reply)?),
            None => said,
        })
    }
}

/// Who read the work, how often, and what was found last: `codex, 2 readings, 1 with findings: no
/// findings`. Nothing before it was read.
fn said_by_reader(it: &ReviewView) -> Option<String> {
    let found = it.found.as_ref()?;
    let by: String = it.head.by.to_string().chars().take(MAX_READER_CHARS).collect();
    let readings = format_readings(it.readings.into(), it.objections.into());
    Some(format!("{by}, {readings}: {}", found.summary))
}

/// What a reply says of the work: the summary it calls `finish` with, or else its text.
fn summary_of(reply: &Reply) -> String {
    let summary = reply.parts.iter().find_map(|part| match part {
        Part::ToolUse { name, args, .. } if name == "finish" => {
            let args: serde_json::Value = serde_json::from_str(args).ok()?;
            Some(args["summary"].as_str()?.to_owned())
        }
        Part::Text { .. }
        | Part::ToolUse { .. }
        | Part::ToolResult { .. }
        | Part::Opaque { .. } => None,
    });
    summary.unwrap_or_else(|| {
        let texts = reply.parts.iter().filter_map(|part| match part {
            Part::Text { text } => Some(text.as_str()),
            Part::ToolUse { .. } | Part::ToolResult { .. } | Part::Opaque { .. } => None,
        });
        texts.collect::<Vec<_>>().join("\n")
    })
}
