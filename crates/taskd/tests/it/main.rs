//! The product as a person meets it: the real binary, real repositories, real processes.

mod landing;
mod support;
