//! What a loop does to the world outside the models: programs, files, external agents.
//!
//! [`supervise`] runs programs that never outlive us, [`files`] is the closed set of tools of a native
//! loop, [`agents`] describes external agent programs, and [`acp`] speaks with those that have a
//! protocol for it. They classify failures; they never retry, never decide what a failure means for a
//! loop, and never log a prompt, a file's content or a program's output.

pub mod acp;
pub mod agents;
pub mod files;
pub mod supervise;
