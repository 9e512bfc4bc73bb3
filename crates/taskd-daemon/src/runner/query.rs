//! A query of one loop to another: the request that asks it, made of what that loop knows now; the
//! wait for its end; and the call that answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use taskd_core::Rejected;
use taskd_llm::at_most;
use taskd_model::{
    Answer, Code, Event, Input, LoopId, Order, Outcome, Part, QueryEnd, Record, Reply, Saying,
    SideCall, Spoken, encode_doc,
};
use taskd_tools::files::ToolOutput;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{Job, Trouble, talk::refusal};
use crate::prompt::{Prompt, aside, estimate_tokens};

/// Tokens of what a loop knows that its answer is made from, about.
const CONTEXT_TOKENS: u64 = 12_000;
/// Longest answer a loop reads, in bytes.
const MAX_ANSWER_BYTES: usize = 8 << 10;

impl Job {
    /// Asks another loop and waits for how that ends.
    pub(super) async fn query_tool(
        &self,
        (to, name): (LoopId, String),
        question: String,
        wait: Duration,
    ) -> Result<ToolOutput, Trouble> {
        // What ends before it is looked for is found all the same.
        let ((), events) = self.ctx.hub.follow(|_| ());
        let effect = self.order.effect;
        // In an earlier life of the daemon this very call may have asked already.
        let asked = self.ctx.handle.ask(move |core, _| core.asked_by(effect)).await;
        if !matches!(asked, Ok(Some(_))) {
            let order = self.ctx.handle.ask(move |core, _| core.context_of(to)).await;
            let Ok(Some(order)) = order else { return Ok(refusal(&Rejected::NoLoop(to))) };
            if order.subject.as_ref().is_none_or(|it| it.model.is_none()) {
                return Ok(refusal(&Rejected::AgentsAreNotAsked { name }));
            }
            let call = match self.about(order).side_call(&self.own_name(), &question).await {
                Ok(call) => call,
                Err(trouble) => {
                    let text = format!("{name} cannot be asked: {}", trouble.message);
                    return Ok(ToolOutput::refused(&text, Code::QueryFailed));
                }
            };
            let text = self.ctx.put_blob(question.into_bytes())?;
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let saying = Saying::Query { to, text, call, wait_ms };
            match self.ctx.handle.input(Input::Said { effect, saying }).await {
                Ok(Ok(_)) => {}
                Ok(Err(refused)) => return Ok(refusal(&refused)),
                // The daemon ends; the next life asks again.
                Err(_) => return Ok(refusal(&Rejected::NobodyAsks)),
            }
        }
        match self.query_end(events).await? {
            Some(end) => self.answer_of(&name, &end),
            None => Ok(refusal(&Rejected::NobodyAsks)),
        }
    }

    /// How the query of this tool ends; nothing once nobody wants to know.
    async fn query_end(
        &self,
        mut events: Receiver<Arc<Record>>,
    ) -> Result<Option<QueryEnd>, Trouble> {
        let (own, effect) = (self.subject()?.id, self.order.effect);
        let is_own = |it: &Record| {
            let Event::Spoken { word: Spoken::QueryEnded { from, .. } } = &it.event else {
                return false;
            };
            *from == own
        };
        loop {
            let end = self.ctx.handle.ask(move |core, _| core.asked_by(effect).flatten()).await;
            if let Ok(Some(end)) = end {
                return Ok(Some(end));
            }
            loop {
                let event = tokio::select! {
                    event = events.recv() => event,
                    () = self.no_longer_wanted() => return Ok(None),
                };
                match event {
                    Ok(record) if is_own(&record) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return Ok(None),
                }
            }
        }
    }

    fn own_name(&self) -> String {
        self.name(&self.ctx.hub.view())
    }

    /// The same hands for another loop's work.
    fn about(&self, order: Order) -> Self {
        Self {
            ctx: Arc::clone(&self.ctx),
            order,
            ended: self.ended.clone(),
            reporter: Arc::clone(&self.reporter),
            afterwards: Mutex::default(),
        }
    }

    /// What whoever asked reads.
    fn answer_of(&self, name: &str, end: &QueryEnd) -> Result<ToolOutput, Trouble> {
        let code = match end {
            QueryEnd::Answered { reply } => {
                let reply: Reply = self.ctx.doc(reply)?;
                let text = |it: &Part| match it {
                    Part::Text { text } => Some(text.clone()),
                    Part::ToolUse { .. } | Part::ToolResult { .. } | Part::Opaque { .. } => None,
                };
                let mut text = reply.parts.iter().filter_map(text).collect::<Vec<_>>().join("\n");
                text.truncate(text.floor_char_boundary(MAX_ANSWER_BYTES));
                if text.trim().is_empty() {
                    let text = format!("{name} said nothing; go on without");
                    return Ok(ToolOutput::refused(&text, Code::QueryFailed));
                }
                return Ok(ToolOutput::said(format!("{name} answers:\n{}", text.trim())));
            }
            QueryEnd::TimedOut => Code::QueryTimeout,
            QueryEnd::Gone { .. } | QueryEnd::Expired => Code::NobodyHears,
            QueryEnd::Unpaid => Code::NoMoney,
            QueryEnd::Failed { .. } => Code::QueryFailed,
        };
        Ok(ToolOutput::refused(&format!("{name}: {end}; go on without"), code))
    }

    /// The call that would answer the question now, from what this loop knows.
    async fn side_call(&self, asker: &str, question: &str) -> Result<SideCall, Trouble> {
        let instructions = self.instructions().await?;
        let text = instructions.as_deref();
        // What cannot be made that short is told as it is.
        let short = self.render(text, &[], Some(CONTEXT_TOKENS));
        let composed = short.or_else(|_| self.render(text, &[], None))?;
        let Prompt::Request(request) = composed.prompt else {
            return Err(Trouble::new(Code::Internal, "only models are asked"));
        };
        let request = aside(*request, asker, question);
        let bytes = encode_doc(&request);
        let input_tokens = estimate_tokens(bytes.len());
        let output = u64::from(request.max_tokens);
        let price = self.ctx.models.facts(&request.model).price;
        Ok(SideCall {
            request: self.ctx.put_blob(bytes)?,
            bucket: request.model,
            input_tokens,
            worst_micros: price.map_or(0, |it| it.worst_micros(input_tokens, output)),
            worst_tokens: at_most(input_tokens).saturating_add(output),
        })
    }

    /// The call that answers a query.
    pub(super) async fn answer(&self, it: &Answer) -> Outcome {
        let cap_tokens = (0 < it.cap_tokens).then_some(it.cap_tokens);
        let caps = (it.cap_micros, cap_tokens);
        let outcome = self.call(&it.call.request, &it.call.bucket, caps).await;
        if let Outcome::Replied { reply, usage, .. } = outcome {
            return Outcome::Answered { reply, usage };
        }
        outcome
    }
}
