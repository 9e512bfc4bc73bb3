//! What a screen asks the daemon that is not in the view, and what comes back.
//!
//! Questions change nothing, so one that is lost with its connection is asked again.

use taskd_api::{
    Output,
    v1::{CheckpointsResponse, DiffResponse, QueueResponse, ShowResponse},
};
use taskd_model::Record;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// What the agent or model of a loop said, and the last lines of what runs.
    Talk(String),
    /// What its tools said.
    Tools(String),
    /// What its gates said.
    Gate(String),
    /// Its work as a patch.
    Diff(String),
    /// Its task, what it was sent last, and what else is not in the view.
    Task(String),
    /// Its events between two of the log, both included.
    Events {
        /// The loop.
        name: String,
        /// The first.
        from: u64,
        /// The last.
        upto: u64,
    },
    /// The saved states of its work.
    States(String),
    /// Who waits for whom.
    Queue,
}

/// An answer.
#[derive(Debug, Clone)]
pub enum Found {
    /// Outputs, oldest first, and the last lines of what runs.
    Texts(Vec<Output>, Vec<String>),
    /// A patch.
    Diff(Box<DiffResponse>),
    /// A task, and what was sent last.
    Task(Box<ShowResponse>, Vec<Output>),
    /// Events, oldest first.
    Events(Vec<Record>),
    /// Saved states.
    States(CheckpointsResponse),
    /// Queues.
    Queue(QueueResponse),
}
