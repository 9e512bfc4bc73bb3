//! What a service manager that follows systemd's protocol hears of us and hands to us: that we are
//! ready, that we end, that the loop still turns; and a socket that it listens on. Where there is none
//! nothing is said to nobody.

use std::{os::unix::net::UnixListener, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use sd_notify::NotifyState;
use tracing::warn;

use crate::runner::Context;

/// So many signs of life fit between two that must not be missed.
const SIGNS: u32 = 3;

/// Says that clients are served.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// Says that the end has begun.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Gives a sign of life as often as is wanted, as long as the loop turns; then the manager ends us, and
/// starts us again.
pub(crate) async fn watchdog(ctx: Arc<Context>) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|it| !it.is_zero()) else {
        return std::future::pending().await;
    };
    let mut signs = tokio::time::interval((within / SIGNS).max(Duration::from_millis(1)));
    loop {
        signs.tick().await;
        if ctx.handle.is_healthy() {
            tell(NotifyState::Watchdog);
        } else {
            warn!("the driver does not turn; the service manager hears no sign of life");
        }
    }
}

fn tell(what: NotifyState<'_>) {
    if let Err(why) = sd_notify::notify(&[what]) {
        warn!("the service manager cannot be told: {why}");
    }
}

/// The socket that the manager listens on for us, if it does.
///
/// # Errors
///
/// It is not the one that clients look for.
pub(crate) fn socket(wanted: &Path) -> anyhow::Result<Option<UnixListener>> {
    let handed = listenfd::ListenFd::from_env().take_unix_listener(0);
    let Some(socket) = handed.context("taking the socket of the service manager")? else {
        return Ok(None);
    };
    let at = socket.local_addr().context("asking where the socket is")?;
    let at = at.as_pathname().unwrap_or(Path::new("a socket without a name"));
    anyhow::ensure!(
        at == wanted,
        "the service manager listens at {}, and clients look for {}; set ListenStream= to that",
        at.display(),
        wanted.display()
    );
    socket.set_nonblocking(true).context("preparing the socket")?;
    Ok(Some(socket))
}
