//! `cargo xtask pictures`: the pictures of the documentation, from this tree's program. A test of the
//! program makes them; here is said where to.

use anyhow::Result;

use crate::{process, repo};

/// The test that makes them.
const TEST: &str = "page::pictures::pictures_are_made_of_the_program";

pub(crate) fn run() -> Result<()> {
    let to = repo::root().join("docs/pictures");
    let mut command =
        process::cargo(&["test", "--locked", "-p", "taskd", "--test", "it", "--", "--exact", TEST]);
    process::succeed(command.env("TASKD_PICTURES", &to))?;
    println!("{} is written", to.display());
    Ok(())
}
