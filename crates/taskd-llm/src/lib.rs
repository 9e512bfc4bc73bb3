//! Language models: one call in, a stream of events out.
//!
//! This crate never retries, never decides how long to wait before asking again, and never logs
//! prompt text. It classifies failures ([`LlmError::class`]); what is done about them is decided
//! elsewhere. [`Http`] speaks to providers; [`Scripted`] reads its replies from a file. Which model a
//! name stands for, where it is and what it costs is said by a [`Catalog`].

mod anthropic;
mod call;
mod capability;
mod cassette;
mod catalog;
mod error;
mod http;
mod models;
mod openai;
mod reply;
mod scripted;
mod sse;
mod wire;

pub use call::{
    Call, CallLimits, Collected, Llm, Price, StreamEvent, at_most, collect, estimate_tokens,
};
pub use capability::{CAPABILITIES, Capabilities, Takes, capabilities};
pub use cassette::{Cassette, CassetteError, Nearest, Player, Recorder};
pub use catalog::{
    Catalog, CatalogError, Date, Model, ModelFacts, Provider, api_name, is_same_model,
};
pub use error::{BodyKind, LlmError, Origin, ProviderFault, ScriptError, Wait};
pub use http::{Api, Forward, Forwarded, Http, HttpSettings, Listed, Secret, Tap, Timeouts};
pub use models::{MAX_SCRIPTS, Models, Resolved};
pub use scripted::{
    MAX_DELAY_MS, MAX_FAULTS, MAX_SCRIPT_BYTES, MAX_SCRIPT_NODES, SCRIPTED, Scripted,
};
