//! `cargo xtask tidy`: house rules that no compiler checks.
//!
//! A rule here is mechanical and cheap. What needs judgement is a matter for review.

mod exceptions;
mod links;
mod manifests;
mod places;
mod seams;
mod sources;

use anyhow::Result;

use crate::repo::{self, File};

/// Larger things are downloaded or generated, never committed.
const MAX_BYTES: u64 = 200 * 1024;

pub(crate) fn run() -> Result<()> {
    let files = repo::files()?;
    let mut bad = Vec::new();
    for file in &files {
        if file.bytes > MAX_BYTES {
            bad.push(format!("{}: {} bytes; the limit is {MAX_BYTES}", file.path, file.bytes));
        }
    }
    sources::check(&files, &mut bad);
    seams::check(&files, &sources::test_modules(&files), &mut bad);
    manifests::check(&files, &mut bad);
    places::check(&files, &mut bad);
    links::check(&files, &mut bad);
    repo::verdict("tidy", &bad)?;
    println!("{} files, nothing to put right", files.len());
    Ok(())
}

fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|it| it.is("rs"))
}
