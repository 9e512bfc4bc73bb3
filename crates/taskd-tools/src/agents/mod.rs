//! External agent programs: how to start one, and what its output says.
//!
//! A program is described by data ([`Preset`], compiled in from `presets/*.toml` or a person's own),
//! not by code. [`StreamParser`] turns what it prints into [`AgentFact`]s, and [`environment`] is
//! the whole environment it gets.
//!
//! Refuses to: start anything (that is [`crate::supervise`]'s), hand on the daemon's own
//! environment, believe a number that is no number, or hold more than a line and a reply.

mod environment;
mod gateway;
mod mcp;
mod preset;
mod presets;
mod prose;
mod rules;
mod stream;

pub use environment::{ALLOWED, environment, is_allowed};
pub use gateway::{Gateway, Through};
pub use mcp::{McpChannel, McpFormat};
pub use preset::{
    ArgvError, Format, Invocation, LoginCheck, Permissions, Preset, PresetError, PromptChannel,
};
pub use presets::{Found, PresetProblem, Presets, Source};
pub(crate) use prose::{micros, one_line};
pub use rules::{
    ActivityRule, Count, LimitRule, LineRule, PayerRule, ProseUsage, ResultRule, UsageRule,
};
pub use stream::{AgentFact, LINE_MAX_BYTES, RESULT_MAX_BYTES, StreamParser};
