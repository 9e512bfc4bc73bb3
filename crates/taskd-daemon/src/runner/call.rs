//! Native loops: render a request, send it, stream the reply.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::BoxStream};
use taskd_git::Repo;
use taskd_llm::{Call, CallLimits, LlmError, Resolved, StreamEvent, at_most, is_same_model};
use taskd_model::{
    Code, Delta, Digest, Heard, IterationNote, Observation, Oid, Outcome, Part, Reply, Request,
    SpecDoc, SpecId, Thinking, ToolCall, ToolDef, ToolResultDoc, Usage, Verdict,
};
use taskd_tools::files::{RECALL, ToolSpec, catalog, reads};
use tokio::time::Instant;

use super::{Context, Job, Trouble, lock};
use crate::{
    findings, models, otel,
    prompt::{
        self, Composed, Conversation, GateSaid, Left, MAX_NEEDS, Note, Prompt, Scene, Turn,
        estimate_tokens,
    },
};

/// Tool calls of one reply: the event that names them all has a size it must keep to.
const MAX_TOOL_CALLS: usize = 28;
/// Longest call; providers have limits of their own, which are shorter.
const LONGEST_CALL: Duration = Duration::from_secs(24 * 60 * 60);
/// What the last attempt of a call that keeps failing has at least.
const LAST_ATTEMPT: Duration = Duration::from_secs(30);
/// Longest reply asked for, in tokens, besides what is thought.
pub(super) const MAX_REPLY_TOKENS: u32 = 8_192;
/// Tokens of a window that are left free: estimates err, and providers add words of their own.
pub(super) const RESERVE_TOKENS: u64 = 4_096;
/// What remembering one repository's instructions takes beside them, in bytes.
const ENTRY_BYTES: usize = 128;

impl Job {
    pub(super) async fn compose(&self) -> Result<Outcome, Trouble> {
        let instructions = self.instructions().await?;
        let served = self.served().await?;
        if !self.is_wanted() {
            return Ok(Outcome::Cancelled { usage: Usage::default(), checkpoint: None });
        }
        let mut composed = self.render(instructions.as_deref(), &served, None)?;
        let mut bytes = composed.prompt.bytes();
        if let Prompt::Request(request) = &composed.prompt
            && let Some(most) = self.counted(request, estimate_tokens(bytes.len())).await
        {
            composed = self.render(instructions.as_deref(), &served, Some(most))?;
            bytes = composed.prompt.bytes();
        }
        let tokens = estimate_tokens(bytes.len());
        let request = self.ctx.put_blob(bytes)?;
        let (worst_micros, worst_tokens, context) = match &composed.prompt {
            Prompt::Request(request) => {
                let facts = self.ctx.models.facts(&request.model);
                let output = u64::from(request.max_tokens);
                let micros = facts.price.map_or(0, |it| it.worst_micros(tokens, output));
                let used = composed.context_use(facts.window);
                (micros, at_most(tokens).saturating_add(output), Some(used))
            }
            Prompt::Text(_) => (0, 0, None),
        };
        Ok(Outcome::Composed { request, tokens, worst_micros, worst_tokens, context })
    }

    /// A request that is nearly as large as its model's window is counted by its provider, if that
    /// counts: where it does not fit, answers the estimate of one that does. An estimate that cannot
    /// be checked is believed; the provider still says if it is wrong.
    async fn counted(&self, request: &Request, estimate: u64) -> Option<u64> {
        let window = self.ctx.models.facts(&request.model).window?;
        let room = u64::from(window).saturating_sub(u64::from(request.max_tokens));
        let fits = room.saturating_sub(RESERVE_TOKENS);
        if estimate.saturating_mul(4) < fits.saturating_mul(3) {
            return None;
        }
        let (ctx, name) = (Arc::clone(&self.ctx), request.model.clone());
        let model = self.blocking(move || {
            let credentials = lock(&ctx.credentials).clone();
            Ok(ctx.models.resolve(&name, &credentials)?)
        });
        let asked = model.await.ok()?.llm.count_tokens(&Arc::new(request.clone()));
        let counted = tokio::select! {
            counted = asked => counted.ok().flatten()?,
            () = self.no_longer_wanted() => return None,
        };
        (room < counted).then(|| estimate.saturating_mul(fits) / counted)
    }

    /// What the repository tells models about itself, at the loop's base.
    pub(super) async fn instructions(&self) -> Result<Option<Arc<str>>, Trouble> {
        let key = (self.order.project, self.subject()?.base);
        if let Some(known) = self.ctx.instructions.get(&key) {
            return Ok(known);
        }
        let (repo, _) = self.ctx.repo(key.0)?;
        let found = self.blocking(move || Ok(instructions_at(&repo, key.1))).await?;
        let text: Option<Arc<str>> = found.map(Into::into);
        let bytes = text.as_ref().map_or(0, |it| it.len());
        self.ctx.instructions.keep(key, text.clone(), bytes + ENTRY_BYTES);
        Ok(text)
    }

    /// The prompt, of at most so many tokens by our estimate.
    pub(super) fn render(
        &self,
        instructions: Option<&str>,
        served: &[ToolDef],
        most: Option<u64>,
    ) -> Result<Composed, Trouble> {
        let subject = self.subject()?;
        let plan = self.plan_doc()?;
        let spec = self.spec_doc()?;
        let last = match subject.history.last() {
            Some(note) => Some(self.gate_said(note)?),
            None => None,
        };
        let messages = self.messages()?;
        let needs = self.needs(&spec)?;
        let conflicts = match &subject.conflicts {
            Some(files) => self.text(files)?.lines().map(str::to_owned).collect(),
            None => Vec::new(),
        };
        let scene = Scene {
            plan: &plan,
            spec: &spec,
            gate: &plan.gate,
            iteration: subject.iteration,
            max_iterations: subject.max_iterations,
            last: last.as_ref(),
            history: &subject.history,
            messages: &messages,
            needs: &needs,
            conflicts: &conflicts,
            reviewed: subject.reviewed,
            instructions,
        };
        let loop_name = format!("{}.{}", self.order.plan, spec.name);
        let asked = Asked {
            loop_name: &loop_name,
            model: subject.model.as_deref().unwrap_or_default(),
            served,
            turns: &self.turns()?,
            most_tokens: [subject.most_tokens, most],
        };
        composed(&self.ctx, &scene, &asked)
    }

    /// What people want the loop to know.
    fn messages(&self) -> Result<Vec<Note>, Trouble> {
        let subject = self.subject()?;
        let rejections: Vec<Digest> = {
            let view = self.ctx.hub.view();
            let notes = view.loops.get(&subject.id).map(|it| it.notes.as_slice());
            notes.unwrap_or_default().iter().filter(|it| it.rejects).map(|it| it.text).collect()
        };
        let note = |note: &Digest| {
            let (from, text) = ("a person".to_owned(), self.text(note)?);
            Ok(Note { from, text, rejects: rejections.contains(note), of_loop: false })
        };
        let mut notes = subject.notes.iter().map(note).collect::<Result<Vec<_>, Trouble>>()?;
        notes.extend(self.heard(0)?);
        Ok(notes)
    }

    /// What other loops told this one after so many turns of the iteration.
    fn heard(&self, turns: usize) -> Result<Vec<Note>, Trouble> {
        let mail = &self.subject()?.mail;
        let here = mail.iter().filter(|it| usize::try_from(it.after) == Ok(turns));
        here.map(|it| self.note_of(it)).collect()
    }

    fn note_of(&self, it: &Heard) -> Result<Note, Trouble> {
        let name = {
            let view = self.ctx.hub.view();
            view.loops.get(&it.letter.from).map_or_else(String::new, |it| it.name.clone())
        };
        let more = match it.merged {
            0 => String::new(),
            n => format!(", and {n} before it"),
        };
        let from = format!("{name} ({}{more})", it.letter.kind);
        Ok(Note { from, text: self.text(&it.letter.text)?, rejects: false, of_loop: true })
    }

    /// What the specs this one needs have left it. They are done, so it stays as it is.
    fn needs(&self, spec: &SpecDoc) -> Result<Vec<Left>, Trouble> {
        if !prompt::uses(&spec.loop_type, "needs") {
            return Ok(Vec::new());
        }
        let id = self.subject()?.id;
        let found: Vec<_> = {
            let view = self.ctx.hub.view();
            let own = view.loops.get(&id).map(|it| it.needs.clone()).unwrap_or_default();
            let of = |index: u16| view.latest_run(SpecId { plan: id.plan(), index });
            let needed = own.into_iter().take(MAX_NEEDS).filter_map(of);
            needed.map(|it| (it.id, it.iteration, it.name.clone(), it.title.clone())).collect()
        };
        let left = |(id, iteration, name, title)| {
            let key = (id, iteration);
            let said = match self.ctx.said.get(&key) {
                Some(said) => said,
                None => {
                    let said: Arc<str> = self.last_word(id)?.into();
                    self.ctx.said.keep(key, Arc::clone(&said), said.len() + ENTRY_BYTES);
                    said
                }
            };
            Ok(Left { name, title, said: said.to_string() })
        };
        found.into_iter().map(left).collect()
    }

    fn gate_said(&self, note: &IterationNote) -> Result<GateSaid, Trouble> {
        let findings = match &note.log {
            Some(log) if note.verdict == Verdict::Objected => self.text(log)?,
            Some(log) => findings::read(self.text(log)?.as_bytes(), Some(1)).excerpt,
            None => note.verdict.to_string(),
        };
        Ok(GateSaid { findings, summary: note.summary.clone() })
    }

    /// A text that is stored.
    pub(super) fn text(&self, blob: &Digest) -> Result<String, Trouble> {
        Ok(String::from_utf8_lossy(&self.ctx.blob(blob)?).into_owned())
    }

    fn turns(&self) -> Result<Vec<Turn>, Trouble> {
        let subject = self.subject()?;
        subject
            .turns
            .iter()
            .enumerate()
            .map(|(n, turn)| {
                let reply: Reply = self.ctx.doc(&turn.reply)?;
                let results = turn
                    .results
                    .iter()
                    .map(|it| it.as_ref().map(|digest| self.ctx.doc(digest)).transpose())
                    .collect::<Result<Vec<Option<ToolResultDoc>>, Trouble>>()?;
                Ok(Turn { reply, results, notes: self.heard(n + 1)? })
            })
            .collect()
    }

    /// A request by its digest. The same attempt after attempt, so that it is written once.
    fn request(&self, digest: &Digest) -> Result<Arc<Request>, Trouble> {
        if let Some(known) = self.ctx.requests.get(digest) {
            return Ok(known);
        }
        let bytes = self.ctx.blob(digest)?.len();
        let request: Arc<Request> = Arc::new(self.ctx.doc(digest)?);
        self.ctx.requests.keep(*digest, Arc::clone(&request), bytes);
        Ok(request)
    }

    /// Sends one request that may cost so much, and use so many tokens. What it used is reported
    /// however it ends.
    pub(super) async fn call(
        &self,
        request: &Digest,
        model: &str,
        caps: (u64, Option<u64>),
    ) -> Outcome {
        let mut usage = Usage::default();
        match self.stream(request, model, caps, &mut usage).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Outcome::Cancelled { usage, checkpoint: None },
            Err(trouble) => trouble.outcome(usage),
        }
    }

    async fn stream(
        &self,
        request: &Digest,
        model: &str,
        (cap_micros, cap_tokens): (u64, Option<u64>),
        usage: &mut Usage,
    ) -> Result<Option<Outcome>, Trouble> {
        let ctx = Arc::clone(&self.ctx);
        let name = model.to_owned();
        let request = self.request(request)?;
        let (request, Resolved { llm, price, .. }) = self
            .blocking(move || {
                let credentials = lock(&ctx.credentials).clone();
                let model = ctx.models.resolve(&name, &credentials)?;
                Ok((request, model))
            })
            .await?;
        let call = Call {
            request,
            attempt: self.subject()?.attempt,
            trace: self.trace_parent(),
            limits: CallLimits {
                max_tool_calls: MAX_TOOL_CALLS,
                cap_tokens,
                price,
                ..CallLimits::with_cap_micros(cap_micros)
            },
        };
        let mut events = self.timed(model, llm.stream(call));
        let noise = self.noise();
        let end = self.call_ends();
        let mut calls = Vec::new();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.no_longer_wanted() => return Ok(None),
                () = tokio::time::sleep_until(end) => {
                    let why = "the time for trying it is over";
                    return Err(Trouble::new(Code::TimeoutTotal, why));
                }
            };
            match event {
                None => return Err(Trouble::new(Code::StreamBroken, "the stream has no end")),
                Some(Err(error)) => return Err(self.refusal(model, error)),
                Some(Ok(StreamEvent::Accepted | StreamEvent::Thinking(_))) => {}
                Some(Ok(StreamEvent::Levels(levels))) => {
                    self.tell(Observation::Levels(levels)).await;
                }
                Some(Ok(StreamEvent::Text(text))) => noise(Delta::Text(text)),
                Some(Ok(StreamEvent::Usage(so_far))) => {
                    // What reading the prompt costs is written down at once: it is owed even if
                    // we are killed now. The rest follows with the end.
                    if usage.micros == 0 && 0 < so_far.micros {
                        self.tell(Observation::UsageSoFar(so_far)).await;
                    }
                    *usage = so_far;
                }
                // Who reads is offered no tools, and uses none.
                Some(Ok(StreamEvent::ToolCall { .. })) if self.reads() => {}
                Some(Ok(StreamEvent::ToolCall { index, name, args, .. })) => {
                    let call = self.tool_call(&name, &args)?;
                    calls.push(call.clone());
                    self.observe(Observation::ToolCalled { index, call }).await;
                }
                Some(Ok(StreamEvent::Done(reply))) => {
                    let found = self.found(&reply)?.map(Box::new);
                    let calls = self.calls_of(&reply, calls)?;
                    let by = reply.model.clone().filter(|it| !is_same_model(model, it));
                    let reply = self.put_doc(&reply)?;
                    let usage = *usage;
                    return Ok(Some(Outcome::Replied { reply, calls, usage, by, found }));
                }
            }
        }
    }

    /// The span of this call, for the provider: only where traces are sent.
    fn trace_parent(&self) -> Option<String> {
        self.ctx.otel.as_ref()?;
        let view = self.ctx.hub.view();
        let trace = view.plans.get(&self.order.plan)?.trace?;
        Some(otel::parent_of(&trace, &self.ctx.tag, self.order.effect))
    }

    /// The same events; when the first piece of the reply comes, that is noted.
    fn timed(
        &self,
        model: &str,
        events: BoxStream<'static, Result<StreamEvent, LlmError>>,
    ) -> BoxStream<'static, Result<StreamEvent, LlmError>> {
        let (life, sent) = (Arc::clone(&self.ctx.life), Instant::now());
        let mut bucket = Some(model.to_owned());
        let noted = events.inspect(move |event| {
            let is_piece = match event {
                Ok(
                    StreamEvent::Thinking(_)
                    | StreamEvent::Text(_)
                    | StreamEvent::ToolCall { .. }
                    | StreamEvent::Done(_),
                ) => true,
                Ok(StreamEvent::Accepted | StreamEvent::Levels(_) | StreamEvent::Usage(_))
                | Err(_) => false,
            };
            if let Some(bucket) = bucket.take_if(|_| is_piece) {
                life.first_byte(&bucket, sent.elapsed());
            }
        });
        noted.boxed()
    }

    /// When this call ends at the latest. One that failed before has what is left of the time for
    /// trying, and a little at least.
    fn call_ends(&self) -> Instant {
        let now = Instant::now();
        let left = self.subject().ok().and_then(|it| it.call_left_ms).map(Duration::from_millis);
        now + left.map_or(LONGEST_CALL, |it| it.max(LAST_ATTEMPT))
    }

    /// A failed call; where a person can do something about it, with what.
    fn refusal(&self, model: &str, error: LlmError) -> Trouble {
        let variable = models::key_variable(&self.ctx, model);
        let mut trouble = Trouble::from(error);
        let variable = variable.filter(|_| {
            let refused = [Code::AuthFailed, Code::PermissionDenied, Code::QuotaExhausted];
            refused.contains(&trouble.code())
        });
        if let Some(it) = variable {
            trouble.message.push_str(&format!(
                "; for another one `export {it}=...` and run `taskd resume ID` in that shell"
            ));
        }
        if trouble.code() == Code::ContextTooLarge {
            trouble.message.push_str(
                "; if a smaller one is refused too, set the model's `window` in models.toml, \
                 restart the daemon and `taskd resume ID`",
            );
        }
        trouble
    }

    fn tool_call(&self, name: &str, args: &str) -> Result<ToolCall, Trouble> {
        let reads = reads(name);
        let args = self.ctx.put_blob(args.as_bytes().to_vec())?;
        let name = name.chars().take(64).collect();
        Ok(ToolCall { name, args, reads })
    }

    /// The calls of the whole reply: those seen in the stream, and any that only the end names.
    fn calls_of(&self, reply: &Reply, mut seen: Vec<ToolCall>) -> Result<Vec<ToolCall>, Trouble> {
        if self.reads() {
            return Ok(Vec::new());
        }
        let all: Vec<(&String, &String)> = reply
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::ToolUse { name, args, .. } => Some((name, args)),
                Part::Text { .. } | Part::ToolResult { .. } | Part::Opaque { .. } => None,
            })
            .collect();
        for (name, args) in all.into_iter().skip(seen.len()) {
            seen.push(self.tool_call(name, args)?);
        }
        Ok(seen)
    }
}

/// A tool as a model is told about it.
/// What is asked besides the scene.
pub(crate) struct Asked<'a> {
    /// The loop, as people address it.
    pub(crate) loop_name: &'a str,
    /// The model, as people write it; empty where an agent works.
    pub(crate) model: &'a str,
    /// Tools of the type's servers.
    pub(crate) served: &'a [ToolDef],
    /// Finished turns of the iteration.
    pub(crate) turns: &'a [Turn],
    /// Most tokens a request may have, as refusals and counts taught.
    pub(crate) most_tokens: [Option<u64>; 2],
}

/// The prompt of a loop's next turn, as it is sent.
pub(crate) fn composed(
    ctx: &Context,
    scene: &Scene<'_>,
    asked: &Asked<'_>,
) -> Result<Composed, Trouble> {
    let tools = catalog().iter().map(tool_def).collect::<Result<Vec<_>, _>>()?;
    let recall = tool_def(&RECALL)?;
    let facts = ctx.models.facts(asked.model);
    let params = models::taken(ctx, asked.model, &scene.spec.loop_type);
    let wanted = MAX_REPLY_TOKENS + params.thinking.map_or(0, Thinking::tokens);
    // A reply that may take all of a small window leaves nothing to be asked.
    let longest = facts.max_output.or(facts.window.map(|it| it / 4));
    let max_tokens = longest.map_or(wanted, |it| it.min(wanted));
    let conversation = Conversation {
        loop_name: asked.loop_name,
        model: asked.model,
        max_tokens,
        params,
        tools: &tools,
        served: asked.served,
        recall: Some(&recall),
        most_tokens: most_tokens(facts.window, max_tokens, asked.most_tokens),
        turns: asked.turns,
        moved: &[],
    };
    prompt::compose(scene, &conversation).map_err(|it| Trouble::of(it.code(), &it))
}

/// What a repository tells models about itself at a commit.
pub(crate) fn instructions_at(repo: &Repo, base: Oid) -> Option<String> {
    let first = |name: &str| repo.file_at(base, name.as_ref()).ok().flatten();
    let found = first("AGENTS.md").or_else(|| first("CLAUDE.md"))?;
    Some(String::from_utf8_lossy(&found).into_owned())
}

fn tool_def(it: &ToolSpec) -> Result<ToolDef, Trouble> {
    let schema = serde_json::from_str(it.schema).map_err(|why| {
        Trouble::of(Code::Internal, &why).within(&format!("schema of tool {}", it.name))
    })?;
    Ok(ToolDef { name: it.name.to_owned(), description: it.description.to_owned(), schema })
}

/// Most tokens a request may have: what the window leaves, or what a refusal or a count taught, if
/// that is less; nothing where none is known.
fn most_tokens(window: Option<u32>, max_tokens: u32, learned: [Option<u64>; 2]) -> Option<u64> {
    let taken = u64::from(max_tokens) + RESERVE_TOKENS;
    let left = window.map(|it| u64::from(it).saturating_sub(taken));
    left.into_iter().chain(learned.into_iter().flatten()).min()
}
