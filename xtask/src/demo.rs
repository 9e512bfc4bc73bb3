//! `cargo xtask demo`: `taskd demo`, built from this tree. It needs no key and no network.

use anyhow::Result;

use crate::process;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut command = process::cargo(&["run", "--quiet", "--locked", "--package=taskd", "--"]);
    process::succeed(command.arg("demo").args(args))
}
