//! How the daemon is started, ended and made a service.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};
use taskd_model::parse_duration_ms;

#[derive(Debug, Subcommand)]
pub(crate) enum DaemonCommand {
    /// Start it in the background
    Start(StartArgs),
    /// Be the daemon, in the foreground
    Run(DaemonRunArgs),
    /// End it; work is kept, and waits
    Stop(StopArgs),
    /// End it and start it again; work goes on
    Restart(StopArgs),
    /// Say how it is
    Status,
    /// Print its log
    Logs {
        /// Go on with what is written from now on
        #[arg(short, long)]
        follow: bool,
        /// Only the last lines
        #[arg(short = 'n', long, default_value_t = 50)]
        lines: usize,
    },
    /// Make it a service of this machine: started with your session, and again when it crashes
    Install(InstallArgs),
    /// Make it a service no longer; work is kept
    Uninstall(InstallArgs),
    /// Have this program be the daemon from now on; work goes on
    Upgrade(InstallArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DebugCommand {
    /// Write one text for a report: versions, doctor, status, log; no prompt, secret or source
    Bundle {
        /// Where to; otherwise taskd-bundle.txt. A file that is there is left as it is
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    /// With systemd: let it listen, and start the daemon when the first command asks
    #[arg(long, conflicts_with = "system")]
    pub(crate) socket: bool,
    /// With systemd: a service of the machine that runs as --user, started with the machine
    #[arg(long, requires = "user")]
    pub(crate) system: bool,
    /// Whose daemon it is
    #[arg(long, requires = "system", value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Say what would be written and run, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Go on with work that a stop has parked
    #[arg(long)]
    pub(crate) resume: bool,
    /// Where health and metrics are served
    #[arg(long)]
    pub(crate) http: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct DaemonRunArgs {
    #[command(flatten)]
    pub(crate) start: StartArgs,
    /// What is logged: info, debug, or "warn,taskd_git=trace"
    #[arg(long, value_parser = taskd_daemon::settings::log_level)]
    pub(crate) log_level: Option<String>,
    /// Be the leader of a session of its own
    #[arg(long, hide = true)]
    pub(crate) detached: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// How long running work may take to come to a safe point
    #[arg(long, value_parser = parse_duration_ms, value_name = "10s")]
    pub(crate) grace: Option<u64>,
}
