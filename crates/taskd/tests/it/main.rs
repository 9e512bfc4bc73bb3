//! The product as a person meets it: the real binary, real repositories, real processes.

mod cli;
mod daemon;
mod durability;
mod landing;
mod loops;
mod support;
mod tui;
