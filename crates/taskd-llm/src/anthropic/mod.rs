//! Anthropic's Messages interface: `POST /v1/messages`, streamed.
//!
//! Pure: writes requests and reads replies; the transport sends and receives.

mod generation;
mod levels;
mod reader;
mod request;

use serde::Deserialize;
use taskd_model::{RateLevels, Request, Usage};

use self::reader::MessagesReader;
use crate::{
    CallLimits, Capabilities, LlmError,
    wire::{HttpRequest, Reader, Wire},
};

/// What the parts of a reply are marked with that only this interface understands.
const PROVIDER: &str = "anthropic";
const VERSION: &str = "2023-06-01";

/// The Messages interface.
#[derive(Debug)]
pub(crate) struct Messages;

impl Wire for Messages {
    fn request(&self, request: &Request) -> Result<HttpRequest, LlmError> {
        Ok(HttpRequest {
            path: "/v1/messages",
            headers: vec![("anthropic-version", VERSION.to_owned())],
            body: request::body(request)?,
        })
    }

    fn counting(&self, request: &Request) -> Result<Option<HttpRequest>, LlmError> {
        Ok(Some(HttpRequest {
            path: "/v1/messages/count_tokens",
            headers: vec![("anthropic-version", VERSION.to_owned())],
            body: request::counting(request)?,
        }))
    }

    fn listing(&self) -> (&'static str, Vec<(&'static str, String)>) {
        ("/v1/models?limit=1000", vec![("anthropic-version", VERSION.to_owned())])
    }

    fn capabilities(&self, model: &str) -> Capabilities {
        generation::capabilities(model)
    }

    fn authorize(&self, key: &str) -> Vec<(&'static str, String)> {
        vec![("x-api-key", key.to_owned())]
    }

    fn reader(&self, limits: CallLimits) -> Box<dyn Reader> {
        Box::new(MessagesReader::new(limits))
    }

    fn levels(&self, header: &dyn Fn(&str) -> Option<String>, now_s: u64) -> RateLevels {
        levels::levels(header, now_s)
    }

    fn usage(&self, object: &[u8], so_far: Usage) -> Option<Usage> {
        reader::usage(object, so_far)
    }

    fn error_code(&self, body: &[u8]) -> Option<String> {
        error_code(body)
    }
}

/// `error.type` of `{"type": "error", "error": {"type": "overloaded_error", …}}`.
fn error_code(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(rename = "type")]
        kind: String,
    }
    serde_json::from_slice::<Body>(body).ok().map(|it| it.error.kind)
}
