//! Limits the core decides by: of everything at once, and of one loop.

use serde::{Deserialize, Serialize};

use crate::usage::is_zero;

/// What a loop does about conflicts with a base that moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The loop solves them, at most so many times.
    Loop(u32),
    /// A person solves them.
    Block,
}

impl Default for OnConflict {
    fn default() -> Self {
        Self::Loop(2)
    }
}

/// Effective configuration the core decides by. It enters the log, so replay needs nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Loops at work at once.
    pub loops: u32,
    /// External agents at once.
    pub agents: u32,
    /// Gates at once.
    pub gates: u32,
    /// Model calls in flight per bucket.
    pub calls: u32,
    /// Model requests per minute per bucket.
    pub requests_per_minute: u32,
    /// Requests a full bucket lets through at once.
    pub request_burst: u32,
    /// First wait after a failed call, in milliseconds; doubles up to `backoff_max_ms`.
    pub backoff_ms: u64,
    /// Longest wait after a failed call, in milliseconds.
    pub backoff_max_ms: u64,
    /// Failed calls in a row before a loop is blocked.
    pub call_attempts: u32,
    /// Turns of one iteration before the gate is run anyway.
    pub turns: u32,
    /// How long a waiting call must wait to rise by one priority class, in milliseconds.
    pub ageing_ms: u64,
    /// Tokens read per minute per bucket; 0 for what the provider says.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input_tokens_per_minute: u64,
    /// Tokens written per minute per bucket; 0 for what the provider says.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_tokens_per_minute: u64,
    /// How long a failing call is tried again before a person is asked, in milliseconds.
    #[serde(default = "call_deadline_ms", skip_serializing_if = "is_usual_deadline")]
    pub call_deadline_ms: u64,
    /// Longest silence after refusals that name no time, in milliseconds.
    #[serde(default = "silence_max_ms", skip_serializing_if = "is_usual_silence")]
    pub silence_max_ms: u64,
    /// How many must wait to land on one branch to be gated together; 0 and 1 for never.
    #[serde(default = "batch", skip_serializing_if = "is_usual_batch")]
    pub batch: u32,
    /// How many commits of its target the base of a new iteration may lack; 0 for no limit.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub max_behind: u32,
    /// Questions one loop may ask people.
    #[serde(default = "questions", skip_serializing_if = "is_usual_questions")]
    pub questions: u32,
    /// Somebody is told when a plan ends or needs a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notify: bool,
}

fn questions() -> u32 {
    3
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
fn is_usual_questions(it: &u32) -> bool {
    *it == questions()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
fn is_zero_u32(it: &u32) -> bool {
    *it == 0
}

fn batch() -> u32 {
    4
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
fn is_usual_batch(loops: &u32) -> bool {
    *loops == batch()
}

fn silence_max_ms() -> u64 {
    5 * 60 * 1000
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
fn is_usual_silence(ms: &u64) -> bool {
    *ms == silence_max_ms()
}

fn call_deadline_ms() -> u64 {
    60 * 60 * 1000
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde wants")]
fn is_usual_deadline(ms: &u64) -> bool {
    *ms == call_deadline_ms()
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            loops: 50,
            agents: 4,
            gates: 2,
            calls: 10,
            requests_per_minute: 50,
            request_burst: 50,
            backoff_ms: 1_000,
            backoff_max_ms: 60_000,
            call_attempts: 100,
            turns: 50,
            ageing_ms: 30_000,
            input_tokens_per_minute: 0,
            output_tokens_per_minute: 0,
            call_deadline_ms: call_deadline_ms(),
            silence_max_ms: silence_max_ms(),
            batch: batch(),
            max_behind: 0,
            questions: questions(),
            notify: false,
        }
    }
}

/// Limits of one loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopLimits {
    /// Iterations.
    pub iterations: u32,
    /// Wall time from its start, in milliseconds.
    pub time_ms: u64,
    /// Spend in micro-dollars.
    pub budget_micros: u64,
    /// Tokens of all classes; 0 for as many as its money pays for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tokens: u64,
    /// Times an external agent's run is begun again after a crash.
    pub restarts: u32,
    /// What to do about conflicts.
    #[serde(default)]
    pub conflict: OnConflict,
    /// Iterations in a row that end the same way on the same tree before a person is asked; 0 for no
    /// such limit.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub same_failure: u32,
    /// Turns of one iteration before the gate is run anyway; 0 for as many as everybody has.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub turns: u32,
}

impl Default for LoopLimits {
    fn default() -> Self {
        Self {
            iterations: 10,
            time_ms: 2 * 60 * 60 * 1000,
            budget_micros: 5_000_000,
            tokens: 0,
            restarts: 3,
            conflict: OnConflict::default(),
            same_failure: 3,
            turns: 0,
        }
    }
}
