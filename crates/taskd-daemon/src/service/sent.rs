//! What a loop's workers were sent: each request as it was stored before it went out.
//!
//! Secrets that the daemon knows are taken out; nothing else is changed.

use std::fmt::Write as _;

use taskd_api::{ApiError, codes, v1};
use taskd_model::{
    Digest, EffectId, Event, LoopId, Outcome, Part, Record, Request, Role, Work, decode_doc,
};

use super::{Service, internal, texts::Section};
use crate::runner::lock;

/// Whom something was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// The loop's own model.
    Model,
    /// Its agent.
    Agent,
    /// The model that reads its work once the gate is green.
    Reader,
    /// Its model, beside its work: another loop asks.
    Aside,
}

/// Something that was sent, however many attempts that took.
#[derive(Debug)]
struct Sent {
    iteration: u32,
    to: To,
    effect: EffectId,
    text: Digest,
}

/// What the log says of what was sent, oldest first.
#[derive(Debug, Default)]
struct Calls {
    iteration: u32,
    /// The gate has judged this iteration: who is asked now reads.
    judged: bool,
    all: Vec<Sent>,
}

impl Calls {
    #[expect(clippy::wildcard_enum_match_arm, reason = "few events say what was sent")]
    fn take(&mut self, record: &Record) {
        let (to, text) = match &record.event {
            Event::IterationStarted { n } => {
                (self.iteration, self.judged) = (*n, false);
                return;
            }
            Event::EffectEnded { outcome: Outcome::Gated { .. }, .. } => {
                self.judged = true;
                return;
            }
            Event::EffectStarted { work: Work::Call { request, .. }, .. } => {
                (if self.judged { To::Reader } else { To::Model }, *request)
            }
            Event::EffectStarted { work: Work::Agent { prompt, .. }, .. } => (To::Agent, *prompt),
            Event::EffectStarted { work: Work::Answer(it), .. } => (To::Aside, it.call.request),
            _ => return,
        };
        let iteration = self.iteration;
        let is_again = |it: &&mut Sent| (it.iteration, it.to, it.text) == (iteration, to, text);
        let effect = EffectId(record.seq);
        match self.all.iter_mut().rev().find(is_again) {
            // Another attempt, which sends the same bytes.
            Some(it) if to != To::Agent => it.effect = effect,
            Some(_) | None => self.all.push(Sent { iteration, to, effect, text }),
        }
    }
}

impl Service {
    /// The call that is asked for, or the last one; nothing where nothing was sent yet.
    pub(super) fn sent(
        &self,
        id: LoopId,
        asked: &v1::LogsRequest,
    ) -> Result<Vec<Section>, ApiError> {
        let mut calls = Calls::default();
        for record in self.ctx().events_of(id) {
            calls.take(&record.map_err(|it| internal(&it))?);
        }
        let wanted = match asked.iteration {
            0 => calls.all.last().map_or(0, |it| it.iteration),
            n => n,
        };
        let of_it: Vec<&Sent> = calls.all.iter().filter(|it| it.iteration == wanted).collect();
        let n = match asked.call {
            0 => of_it.len(),
            n => usize::try_from(n).unwrap_or(usize::MAX),
        };
        if let Some(it) = n.checked_sub(1).and_then(|n| of_it.get(n)) {
            let place = format!("iteration {wanted}, call {n} of {}", of_it.len());
            return Ok(vec![self.sent_section(it, &place, asked.wire)?]);
        }
        if asked.iteration == 0 && asked.call == 0 {
            return Ok(Vec::new());
        }
        let name = self.ctx().hub.view().loop_name(id);
        let what = format!("iteration {wanted} of {name} has sent {} calls", of_it.len());
        Err(ApiError::new(codes::NOT_FOUND, what).hint(format!("taskd logs {name} --prompt")))
    }

    fn sent_section(&self, it: &Sent, place: &str, wire: bool) -> Result<Section, ApiError> {
        let stored = self.text(&it.text)?;
        let (heading, text) = match it.to {
            To::Agent => (format!("{place}, to its agent"), stored),
            To::Model | To::Reader | To::Aside => {
                let request: Request = decode_doc(stored.as_bytes()).map_err(|it| internal(&it))?;
                let of_whom = match it.to {
                    To::Reader => "second reader".to_owned(),
                    To::Aside => "asked by another loop".to_owned(),
                    To::Model | To::Agent => format!("turn {}", request.turn),
                };
                let heading = format!("{place}, {of_whom}, to {}", request.model);
                let text = if wire { self.as_sent(&request, stored)? } else { readable(&request) };
                (heading, text)
            }
        };
        let text = self.ctx().secrets.without(text.as_bytes());
        Ok(Section {
            iteration: it.iteration,
            kind: v1::LogKind::Prompt,
            heading,
            effect: it.effect.0.0,
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// The body that goes to its provider; a script gets what is stored.
    fn as_sent(&self, request: &Request, stored: String) -> Result<String, ApiError> {
        let credentials = lock(&self.ctx().credentials).clone();
        let body = self.ctx().models.body(request, &credentials);
        let body = body.map_err(|it| {
            let hint = format!("taskd logs {} --prompt, without --wire", request.loop_name);
            ApiError::of(it.code(), &it).hint(hint)
        })?;
        Ok(body.map_or(stored, |it| String::from_utf8_lossy(&it).into_owned()))
    }
}

/// A request as people read it: everything but what its tools are said to do.
fn readable(request: &Request) -> String {
    let Request { model, system, messages, tools, max_tokens, params, .. } = request;
    let mut out = format!("{model}, at most {max_tokens} tokens of reply");
    if let Some(thinking) = params.thinking {
        _ = write!(out, ", thinking {}", thinking.word());
    }
    if let Some(it) = params.temperature {
        _ = write!(out, ", temperature {}.{:03}", it / 1_000, it % 1_000);
    }
    let tools: Vec<&str> = tools.iter().map(|it| it.name.as_str()).collect();
    _ = writeln!(
        out,
        "\ntools: {}",
        if tools.is_empty() { "none".into() } else { tools.join(", ") }
    );
    if !system.is_empty() {
        _ = writeln!(out, "\n--- system ---\n{}", system.trim_end());
    }
    for message in messages {
        let who = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        _ = writeln!(out, "\n--- {who} ---");
        for part in &message.content {
            _ = match part {
                Part::Text { text } => writeln!(out, "{}", text.trim_end()),
                Part::ToolUse { id, name, args } => writeln!(out, "-> {name} {args} ({id})"),
                Part::ToolResult { id, text, is_error } => {
                    let is = if *is_error { ", an error" } else { "" };
                    writeln!(out, "<- {id}{is}\n{}", text.trim_end())
                }
                Part::Opaque { provider, json } => {
                    writeln!(out, "[{} bytes that only {provider} reads]", json.len())
                }
            };
        }
    }
    out
}
