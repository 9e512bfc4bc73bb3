//! The product as a person meets it: the real binary, real repositories, real processes.

mod agents;
mod cli;
mod daemon;
mod documents;
mod durability;
mod errors;
mod hermetic;
mod inbox;
mod landing;
mod loops;
mod mcp;
mod models;
mod notify;
mod online;
mod page;
mod people;
#[path = "../provider/mod.rs"]
mod provider;
mod support;
mod tui;
