//! A model behind HTTP: one provider, one model, one way of writing requests.
//!
//! Sends a call once and reads the answer. Does not retry, does not follow redirects, does not know
//! what the bytes mean: that is the [`Wire`]'s.

mod exchange;
mod forward;
mod link;
mod meter;
mod settings;
mod tap;
mod unary;
mod wait;

use std::{fmt, sync::Arc};

use futures::{
    FutureExt as _, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use taskd_model::Request;

use self::{exchange::Exchange, link::Link};
pub use self::{
    forward::{Forward, Forwarded},
    settings::{Api, HttpSettings, Secret, Timeouts},
    tap::Tap,
    unary::Listed,
};
use crate::{
    Call, Capabilities, Llm, LlmError, StreamEvent, Takes,
    anthropic::Messages,
    openai::{Chat, Dialect, Responses},
    wire::Wire,
};

/// A model behind HTTP.
pub struct Http {
    link: Arc<Link>,
}

/// Names the model; shows no key.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("provider", &self.link.provider)
            .field("model", &self.link.model)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// A model behind HTTP. Opens no connection yet; those it opens are kept for the next call.
    ///
    /// # Errors
    /// The base URL is none, the key cannot be sent, or this machine's certificates cannot be read.
    pub fn new(settings: HttpSettings) -> Result<Self, LlmError> {
        let wire = wire_of(settings.api, &settings.base_url);
        Ok(Self { link: Arc::new(Link::new(settings, wire)?) })
    }

    /// Passes a call of somebody else's on, with our credential, and waits for the head of its answer.
    ///
    /// # Errors
    /// There was no answer. One that refuses the call is an answer.
    pub fn forward(&self, call: Forward) -> BoxFuture<'static, Result<Forwarded, LlmError>> {
        forward::forward(Arc::clone(&self.link), call).boxed()
    }

    /// Asks which models there are, for at most five seconds.
    ///
    /// # Errors
    /// As those of a call.
    pub fn list(&self) -> BoxFuture<'static, Result<Listed, LlmError>> {
        unary::list(Arc::clone(&self.link)).boxed()
    }
}

/// How requests to a place are written.
fn wire_of(api: Api, base_url: &str) -> Arc<dyn Wire> {
    match api {
        Api::AnthropicMessages => Arc::new(Messages),
        Api::OpenAiChat => Arc::new(Chat { dialect: Dialect::of(base_url) }),
        Api::OpenAiResponses => Arc::new(Responses),
    }
}

/// What a model takes at a place.
pub(crate) fn capabilities(api: Api, base_url: &str, model: &str, takes: Takes) -> Capabilities {
    wire_of(api, base_url).capabilities(model).corrected(takes)
}

/// The body of a request to a place, whose `model` is the provider's own name of it.
pub(crate) fn body(api: Api, base_url: &str, request: &Request) -> Result<Vec<u8>, LlmError> {
    Ok(wire_of(api, base_url).request(request)?.body)
}

impl Llm for Http {
    fn capabilities(&self) -> Capabilities {
        self.link.capabilities
    }

    fn stream(&self, call: Call) -> BoxStream<'static, Result<StreamEvent, LlmError>> {
        // Boxed inside: the state of a call is large, and streams are moved about.
        stream::unfold(Exchange::new(Arc::clone(&self.link), call), |it| Box::pin(it.next()))
            .boxed()
    }

    fn count_tokens(
        &self,
        request: &Arc<Request>,
    ) -> BoxFuture<'static, Result<Option<u64>, LlmError>> {
        unary::count(Arc::clone(&self.link), Arc::clone(request)).boxed()
    }
}
