//! Why an effect could not be done: the word, the line for people, and the facts for the log.
//!
//! It is made where an error of an adapter arrives, by that error's type. What follows is decided
//! in the core.

use std::{error::Error, time::Duration};

use taskd_api::ApiError;
use taskd_git::GitError;
use taskd_llm::LlmError;
use taskd_model::{Code, Failure, Fault, Order, Outcome, Usage};
use taskd_store::StoreError;

/// Longest message, in characters.
const MAX_MESSAGE_CHARS: usize = 450;

/// Why an effect could not be done, in the core's terms.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What the core decides by.
    pub(crate) failure: Failure,
    /// What could not be done, in one line.
    pub(crate) message: String,
    /// Why, from the outermost; none is in `message`.
    causes: Vec<String>,
    /// The facts for programs.
    fault: Box<Fault>,
}

impl Trouble {
    /// What went wrong, in a line.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        let fault = Box::new(Fault::new(code));
        Self { failure: code.failure(None), message: message.into(), causes: Vec::new(), fault }
    }

    /// What an error says, with everything beneath it.
    pub(crate) fn of(code: Code, error: &dyn Error) -> Self {
        let causes = sources(error).collect();
        Self { causes, ..Self::new(code, error.to_string()) }
    }

    /// The same, with what was being done around it.
    pub(crate) fn within(mut self, doing: &str) -> Self {
        let message = std::mem::replace(&mut self.message, doing.to_owned());
        self.causes.insert(0, message);
        self
    }

    /// Everything in one line.
    pub(crate) fn told(&self) -> String {
        let all = std::iter::once(&self.message).chain(&self.causes);
        all.map(String::as_str).collect::<Vec<_>>().join(": ")
    }

    /// The word for it.
    pub(crate) fn code(&self) -> Code {
        self.fault.code
    }

    /// The end of an effect that met it.
    pub(crate) fn ended(self, usage: Usage) -> Outcome {
        self.outcome(usage)
    }

    pub(super) fn outcome(self, usage: Usage) -> Outcome {
        let plain = |it: char| if it.is_control() { ' ' } else { it };
        let message = self.told().chars().take(MAX_MESSAGE_CHARS).map(plain).collect();
        let fault = Fault { causes: self.causes, ..*self.fault };
        let fault = Some(Box::new(fault.bounded()));
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
    std::iter::once(error.to_string()).chain(sources(error)).collect::<Vec<_>>().join(": ")
}

fn sources(error: &dyn Error) -> impl Iterator<Item = String> {
    let sources = std::iter::successors(error.source(), |it| (*it).source());
    sources.map(ToString::to_string)
}

/// For requests of the API that need what effects need.
impl From<Trouble> for ApiError {
    fn from(trouble: Trouble) -> Self {
        let fault = Fault { causes: trouble.causes, ..*trouble.fault }.bounded();
        Self { causes: fault.causes, ..Self::new(fault.code, trouble.message) }
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
        let fault = error.fault();
        Self { failure: error.class(), fault: Box::new(fault), ..Self::of(error.code(), &error) }
    }
}
