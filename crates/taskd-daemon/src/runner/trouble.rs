//! Why an effect could not be done: the word, the line for people, and the facts for the log.
//!
//! It is made where an error of an adapter arrives, by that error's type. What follows is decided
//! in the core.

use std::{error::Error, time::Duration};

use taskd_api::ApiError;
use taskd_git::GitError;
use taskd_llm::LlmError;
use taskd_model::{Code, Failure, Fault, Order, Outcome, Usage, causes};
use taskd_store::StoreError;

/// Longest message, in characters.
const MAX_MESSAGE_CHARS: usize = 450;

/// Why an effect could not be done, in the core's terms.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What the core decides by.
    pub(crate) failure: Failure,
    /// One line for people, causes included.
    pub(crate) message: String,
    /// The facts for programs.
    pub(crate) fault: Box<Fault>,
}

impl Trouble {
    /// What went wrong, in a line.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let fault = Box::new(Fault::new(code));
        Self { failure: code.failure(None), message: message.into(), fault }
    }

    /// What an error says, with everything beneath it.
    pub(crate) fn of(code: Code, error: &dyn Error) -> Self {
        let mut trouble = Self::new(code, chain(error));
        trouble.fault.causes = causes(error);
        trouble
    }

    /// The same, with what was being done around it.
    pub(crate) fn within(mut self, doing: &str) -> Self {
        self.fault.causes.insert(0, self.message.clone());
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// What failed with this code, in a request of the API.
    pub(crate) fn code(&self) -> Code {
        self.fault.code
    }

    pub(super) fn outcome(self, usage: Usage) -> Outcome {
        let plain = |it: char| if it.is_control() { ' ' } else { it };
        let message = self.message.chars().take(MAX_MESSAGE_CHARS).map(plain).collect();
        let fault = Some(Box::new(self.fault.bounded()));
        Outcome::Failed { failure: self.failure, message, usage, fault }
    }
}

/// Writes down which try it was and how long it took, where the adapter has not.
pub(super) fn stamp(outcome: &mut Outcome, order: &Order, took: Duration) {
    let Outcome::Failed { fault: Some(fault), .. } = outcome else { return };
    let before = order.subject.as_ref().map_or(0, |it| it.attempt);
    fault.attempt = fault.attempt.max(before.saturating_add(1));
    if fault.elapsed_ms == 0 {
        fault.elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    }
}

/// An error with its causes, one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// For requests of the API that need what effects need.
impl From<Trouble> for ApiError {
    fn from(trouble: Trouble) -> Self {
        let causes = trouble.fault.causes;
        // The line holds its causes already; here they have their own place.
        let beneath = format!(": {}", causes.join(": "));
        let message = trouble.message.strip_suffix(&beneath).map(str::to_owned);
        let message = message.unwrap_or(trouble.message);
        Self { causes, ..Self::new(trouble.fault.code, message) }
    }
}

impl From<GitError> for Trouble {
    fn from(error: GitError) -> Self {
        Self::of(error.code(), &error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        // Whatever the store cannot do, the daemon says so by itself; the effect may be tried again.
        Self { failure: Failure::Resources, ..Self::of(error.code(), &error) }
    }
}

impl From<LlmError> for Trouble {
    fn from(error: LlmError) -> Self {
        Self { failure: error.class(), message: chain(&error), fault: Box::new(error.fault()) }
    }
}
