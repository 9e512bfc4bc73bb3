//! The daemon: one loop that decides, a runner that works, servers that answer.
//!
//! The only crate that sees both the core and the adapters. Start at [`daemon::run`]; the loop is in
//! `driver`, what effects do in `runner`, what people ask for in `service`.

mod config;
pub mod daemon;
mod detect;
mod disk;
mod door;
mod driver;
pub mod figures;
mod findings;
mod gateway;
mod gc;
mod health;
mod hub;
mod log;
mod loop_type;
mod metrics;
mod models;
mod otel;
pub mod paths;
mod plan_file;
pub mod private;
mod problem;
mod projects;
mod prompt;
mod protect;
mod reload;
mod replay;
mod retention;
mod runner;
mod service;
pub mod settings;
mod submit;
mod systemd;
mod telling;
mod trust;
pub mod types;
mod watcher;
mod yaml;
