//! Starts other programs at the root of the repository. Refuses to hide what it runs.

use std::{
    io::{BufRead as _, BufReader, ErrorKind},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::repo;

/// `cargo` itself, the one that runs us.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = program(&cargo);
    command.args(args).env("INSTA_UPDATE", "no");
    command
}

#[expect(clippy::disallowed_methods, reason = "a build tool: its children die with the terminal")]
fn program(name: &std::ffi::OsStr) -> Command {
    let mut command = Command::new(name);
    command.current_dir(repo::root());
    command
}

pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Runs to the end and hands every line of standard output on, to us and to the terminal.
pub(crate) fn succeed_reading(command: &mut Command, mut each: impl FnMut(&str)) -> Result<()> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("starting {command:?}"))?;
    let stdout = child.stdout.take().context("standard output is piped")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.with_context(|| format!("reading from {command:?}"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        each(&line);
    }
    let status = child.wait().with_context(|| format!("waiting for {command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// What a program prints, quietly.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(output.stdout)
}

/// Whether a program can be started at all; `--version` is asked of it.
pub(crate) fn is_installed(name: &str) -> Result<bool> {
    let mut command = program(name.as_ref());
    match command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => bail!("starting {name}: {error}"),
    }
}
