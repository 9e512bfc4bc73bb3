//! The product as a person meets it: the real binary, real repositories, real processes.

mod cli;
mod daemon;
mod durability;
mod landing;
mod loops;
mod models;
mod support;
mod tui;
