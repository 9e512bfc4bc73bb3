//! The Model Context Protocol, both ways and no more of it than we use: a server of tools over stdio
//! and streamable HTTP, and a client of one.
//!
//! It knows messages, not what tools do, and starts no program: the server's tools are a [`Service`],
//! the client is handed what a program prints. Everything read has a limit before it is kept.
//!
//! Resources, prompts, sampling, sessions and the protocol of 2026-07-28, which has no handshake, are
//! not here.

mod client;
mod http;
mod lines;
mod rpc;
mod server;
mod stdio;

pub use client::{Called, Client, Ear, Fault, Listed, ear};
pub use http::{HttpError, PATH, serve_http};
pub use rpc::{Message, RpcError};
pub use server::{Answer, Progress, Server, Service, Tool};
pub use stdio::serve_stdio;

/// Versions with a handshake that we speak, the newest first. What is used of them is the same in
/// all.
pub const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// Longest message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
