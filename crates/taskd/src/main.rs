//! The `taskd` program: command line, terminal monitor and daemon in one.
//!
//! `taskd supervise …` comes first: it must not share a process with threads.

mod cli;
mod demo;
mod render;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|it| it == "supervise") {
        return taskd_tools::supervise::supervisor_main(args);
    }
    cli::main()
}
