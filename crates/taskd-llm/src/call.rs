//! What a model is: something that answers one call with a stream of events.

use std::{fmt, sync::Arc};

use futures::{
    FutureExt as _, StreamExt,
    future::{self, BoxFuture},
    stream::BoxStream,
};
use taskd_model::{Part, RateLevels, Reply, Request, Usage};

use crate::{Capabilities, LlmError, Origin};

/// A language model.
///
/// A stream is `Accepted`, then texts, tool calls and usage, then `Done`; or an error at any place,
/// after which it is over. It ends in exactly one of the two. Dropping it closes the connection at
/// once; nothing goes on in the background. What was spent until then is the last `Usage` seen.
pub trait Llm: fmt::Debug + Send + Sync {
    /// Sends one call. The same request renders to the same bytes, whatever the attempt.
    fn stream(&self, call: Call) -> BoxStream<'static, Result<StreamEvent, LlmError>>;

    /// What it takes. A request that asks for more fails.
    fn capabilities(&self) -> Capabilities;

    /// Asks the provider how many input tokens `request` is, without having it answered; `None` where
    /// nobody counts them. Takes at most ten seconds and costs nothing.
    ///
    /// # Errors
    /// As those of a call. Whoever wants to know can estimate instead.
    fn count_tokens(
        &self,
        _request: &Arc<Request>,
    ) -> BoxFuture<'static, Result<Option<u64>, LlmError>> {
        future::ready(Ok(None)).boxed()
    }

    /// About how many input tokens `request` is, for reserving them before it is sent.
    fn count(&self, request: &Request) -> u64 {
        estimate_tokens(request)
    }
}

/// One send of one request.
#[derive(Clone)]
pub struct Call {
    /// What is asked.
    pub request: Arc<Request>,
    /// How often this turn was sent before: 0 for the first send.
    pub attempt: u32,
    /// Where the adapter ends the call by itself.
    pub limits: CallLimits,
    /// The span of this call, as a `traceparent` that the provider is told; none where nobody traces.
    pub trace: Option<String>,
}

/// Caps of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallLimits {
    /// Text and tool arguments of the reply, in bytes.
    pub max_reply_bytes: usize,
    /// Tool calls of the reply.
    pub max_tool_calls: usize,
    /// What it may cost, in micro-dollars.
    pub cap_micros: u64,
    /// Tokens of all classes it may use, where a budget counts them.
    pub cap_tokens: Option<u64>,
    /// What tokens cost, where that is known.
    pub price: Option<Price>,
}

/// What a million tokens cost, in micro-dollars, by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
    /// Tokens read from a cache.
    pub cache_read: u64,
    /// Tokens written to a cache.
    pub cache_write: u64,
}

/// Prices are for so many tokens.
const MILLION: u128 = 1_000_000;

/// What `input` tokens, which are estimated, may turn out to be: a third more.
#[must_use]
pub fn at_most(input: u64) -> u64 {
    input.saturating_add(input.div_ceil(3))
}

impl Price {
    /// What a call costs at most, in micro-dollars: it reads [`at_most`] `input` tokens, and nothing of
    /// them comes from a cache.
    #[must_use]
    pub fn worst_micros(&self, input: u64, output: u64) -> u64 {
        let input = at_most(input);
        let (cache_write, input) =
            if self.input < self.cache_write { (input, 0) } else { (0, input) };
        self.micros(&Usage { input, output, cache_write, ..Usage::default() })
    }

    /// Writes into `usage` what it costs: in all, and of each class of tokens.
    pub fn charge(&self, usage: &mut Usage) {
        let of = |tokens: u64, price: u64| {
            u64::try_from(u128::from(tokens) * u128::from(price) / MILLION).unwrap_or(u64::MAX)
        };
        usage.micros = self.micros(usage);
        usage.input_micros = of(usage.input, self.input);
        usage.output_micros = of(usage.output, self.output);
        usage.cache_read_micros = of(usage.cache_read, self.cache_read);
        usage.cache_write_micros = of(usage.cache_write, self.cache_write);
    }

    /// What `usage` costs, in micro-dollars, rounded up; its own `micros` is not looked at.
    #[must_use]
    pub fn micros(&self, usage: &Usage) -> u64 {
        let of = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let all = of(usage.input, self.input)
            + of(usage.output, self.output)
            + of(usage.cache_read, self.cache_read)
            + of(usage.cache_write, self.cache_write);
        u64::try_from(all.div_ceil(MILLION)).unwrap_or(u64::MAX)
    }
}

impl CallLimits {
    /// The built-in caps with this much to spend.
    #[must_use]
    pub fn with_cap_micros(cap_micros: u64) -> Self {
        Self {
            max_reply_bytes: 2 * 1024 * 1024,
            max_tool_calls: 64,
            cap_micros,
            cap_tokens: None,
            price: None,
        }
    }

    /// Whether a call that has used so much may go on.
    ///
    /// # Errors
    /// It has used more than one of its caps.
    pub(crate) fn allow(&self, usage: &Usage) -> Result<(), LlmError> {
        if self.cap_micros < usage.micros {
            let (spent, cap) = (usage.micros, self.cap_micros);
            return Err(LlmError::OverCap { spent, cap, unit: "micro-dollars" });
        }
        let spent = usage.tokens();
        match self.cap_tokens {
            Some(cap) if cap < spent => Err(LlmError::OverCap { spent, cap, unit: "tokens" }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Never shows prompt text.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Request { loop_name, iteration, turn, .. } = &*self.request;
        f.debug_struct("Call")
            .field("loop_name", loop_name)
            .field("iteration", iteration)
            .field("turn", turn)
            .field("attempt", &self.attempt)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Something that happens during a call.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent {
    /// The provider took the request: from here on it may cost something.
    Accepted,
    /// A piece of text.
    Text(String),
    /// A tool call is complete; the reply may still go on.
    ToolCall {
        /// Place of the call in its reply, from 0.
        index: u16,
        /// The model's name for this call.
        id: String,
        /// Tool name as the model wrote it.
        name: String,
        /// The arguments, as the JSON text the model wrote; it may not be JSON at all.
        args: String,
    },
    /// Spend of this call so far, cumulative.
    Usage(Usage),
    /// What the provider says is left of its limits; comes right after `Accepted`, or before the
    /// error if the provider refuses.
    Levels(RateLevels),
    /// A piece of reasoning the model shows; the whole of it is in the reply if it wants it back.
    Thinking(String),
    /// The whole reply; the last event.
    Done(Reply),
}

/// A stream read to its end.
#[derive(Debug)]
pub struct Collected {
    /// Everything before the end, in order.
    pub events: Vec<StreamEvent>,
    /// The last usage seen.
    pub usage: Usage,
    /// How it ended.
    pub result: Result<Reply, LlmError>,
}

/// Reads `stream` to its end.
pub async fn collect(mut stream: BoxStream<'static, Result<StreamEvent, LlmError>>) -> Collected {
    let mut events = Vec::new();
    let mut usage = Usage::default();
    let mut pieces = 0;
    let result = loop {
        match stream.next().await {
            Some(Ok(StreamEvent::Done(reply))) => break Ok(reply),
            Some(Ok(event)) => {
                match &event {
                    StreamEvent::Usage(so_far) => usage = *so_far,
                    StreamEvent::Text(_) | StreamEvent::ToolCall { .. } => pieces += 1,
                    StreamEvent::Accepted
                    | StreamEvent::Levels(_)
                    | StreamEvent::Thinking(_)
                    | StreamEvent::Done(_) => {}
                }
                events.push(event);
            }
            Some(Err(error)) => break Err(error),
            None => break Err(LlmError::cut().of(&Origin::default(), pieces)),
        }
    };
    Collected { events, usage, result }
}

/// Bytes that are about one token.
pub(crate) const BYTES_PER_TOKEN: u64 = 4;
/// Tokens that frame a message or a tool, about.
const TOKENS_PER_FRAME: u64 = 8;

/// An estimate that needs no network and no vocabulary: a quarter of the bytes, and some framing.
#[must_use]
pub fn estimate_tokens(request: &Request) -> u64 {
    let mut bytes = request.system.len();
    let mut frames = request.messages.len() + request.tools.len();
    for part in request.messages.iter().flat_map(|it| &it.content) {
        frames += 1;
        bytes += part_bytes(part);
    }
    for tool in &request.tools {
        bytes += tool.name.len() + tool.description.len() + tool.schema.to_string().len();
    }
    tokens_of(bytes) + TOKENS_PER_FRAME * frames as u64
}

/// Tokens of a reply, by the same measure.
pub(crate) fn estimate_reply_tokens(reply: &Reply) -> u64 {
    tokens_of(reply.parts.iter().map(part_bytes).sum())
}

fn part_bytes(part: &Part) -> usize {
    match part {
        Part::Text { text } | Part::ToolResult { text, .. } => text.len(),
        Part::ToolUse { name, args, .. } => name.len() + args.len(),
        Part::Opaque { json, .. } => json.len(),
    }
}

fn tokens_of(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves P-8: four classes, each at its own price; together never more than the whole.
    #[test]
    fn each_class_has_its_price() {
        let price =
            Price { input: 3_000_000, output: 15_000_001, cache_read: 300_000, cache_write: 1 };
        let (input, output, cache_read, cache_write) = (1_000, 7, 10, 5);
        let mut usage = Usage { input, output, cache_read, cache_write, ..Usage::default() };
        price.charge(&mut usage);
        let classes = [
            usage.input_micros,
            usage.output_micros,
            usage.cache_read_micros,
            usage.cache_write_micros,
        ];
        assert_eq!(classes, [3_000, 105, 3, 0]);
        // What is rounded down in each is rounded up in the sum.
        assert_eq!(usage.micros, 3_109);
    }
}
