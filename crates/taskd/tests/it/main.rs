//! The product as a person meets it: the real binary, real repositories, real processes.

mod cli;
mod daemon;
mod landing;
mod loops;
mod support;
