//! A model behind HTTP: one provider, one model, one way of writing requests.
//!
//! Sends a call once and reads the answer. Does not retry, does not follow redirects, does not know
//! what the bytes mean: that is the [`Wire`]'s.

mod settings;

use std::{fmt, sync::Arc};

use futures::{StreamExt, stream, stream::BoxStream};

pub use self::settings::{Api, HttpSettings, Secret, Timeouts};
use crate::{Call, Llm, LlmError, StreamEvent, wire::Wire};

/// A model behind HTTP.
pub struct Http {
    settings: HttpSettings,
    wire: Arc<dyn Wire>,
}

/// Names the model; shows no key.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("provider", &self.settings.provider)
            .field("model", &self.settings.model)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// A model behind HTTP. Opens no connection yet.
    ///
    /// # Errors
    /// The base URL is none, the key cannot be sent, or this machine's certificates cannot be read.
    pub fn new(settings: HttpSettings) -> Result<Self, LlmError> {
        let wire = wire_of(settings.api).ok_or_else(|| LlmError::Settings {
            provider: settings.provider.clone(),
            what: format!("its interface {:?} is not in this release", settings.api),
        })?;
        Ok(Self { settings, wire })
    }
}

/// How requests to `api` are written.
fn wire_of(api: Api) -> Option<Arc<dyn Wire>> {
    match api {
        Api::AnthropicMessages | Api::OpenAiChat | Api::OpenAiResponses => None,
    }
}

impl Llm for Http {
    fn stream(&self, _call: Call) -> BoxStream<'static, Result<StreamEvent, LlmError>> {
        let _ = &self.wire;
        stream::empty().boxed()
    }
}
