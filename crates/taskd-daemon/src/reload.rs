//! Configuration read again: by a signal, by a call, or because a file is another. All or nothing.
//!
//! Only what the daemon holds: what belongs to a project is read by each submission.

use std::{path::PathBuf, sync::Arc, time::Duration};

use taskd_api::{ApiError, codes};
use taskd_model::Input;
use tracing::{error, info};

use crate::{
    config::{self, Config, Places},
    runner::{Context, lock},
};

/// How often the files are looked at: two times `stat`, whatever the file system tells.
/// After two of them that say the same a change counts, which is within a second.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What is another since the configuration was read before.
#[derive(Debug, Default)]
pub(crate) struct Reloaded {
    /// Keys that count from now on.
    pub(crate) changed: Vec<String>,
    /// Keys whose old value counts until the daemon is started again.
    pub(crate) needs_restart: Vec<String>,
}

/// Reads the configuration again, and says which keys changed.
///
/// # Errors
///
/// Something is wrong with it: nothing changes.
pub(crate) async fn reload(ctx: &Arc<Context>) -> Result<Reloaded, ApiError> {
    let _one = ctx.reading.lock().await;
    let places = Places::new(&ctx.paths.config, None);
    let read = tokio::task::spawn_blocking(move || config::load_here(&places));
    let config = match read.await {
        Ok(Ok(config)) => Arc::new(config),
        Ok(Err(wrong)) => return Err(ApiError::new(codes::CONFIG, config::told(&wrong))),
        Err(why) => return Err(ApiError::new(codes::INTERNAL, why.to_string())),
    };
    let before = std::mem::replace(&mut *lock(&ctx.config), Arc::clone(&config));
    let reply = ctx.handle.input(Input::Limits(config.limits())).await;
    reply.map_err(|it| ApiError::new(codes::INTERNAL, it.to_string()))?.ok();
    ctx.disk.scan_soon();
    ctx.levels.set(&config.log_level);
    Ok(difference(&config, &before))
}

fn difference(config: &Config, before: &Config) -> Reloaded {
    let mut found = Reloaded::default();
    for (new, old) in config.entries().zip(before.entries()) {
        if new.value != old.value {
            let keys = if new.doc.restart { &mut found.needs_restart } else { &mut found.changed };
            keys.push(new.doc.key.to_owned());
        }
    }
    found
}

/// Says in the log what came of it.
pub(crate) fn told(result: Result<Reloaded, ApiError>) {
    match result {
        Ok(Reloaded { changed, needs_restart }) => {
            info!(?changed, ?needs_restart, "configuration read again");
        }
        Err(why) => error!("configuration not taken: {why}"),
    }
}

/// What tells one state of a file from another: its number, its length, when it was written.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Reads again when a file is another, until the daemon stops. What is still being written is left
/// until it has stayed as it is from one look to the next.
pub(crate) async fn watch(ctx: Arc<Context>) {
    let places = Places::new(&ctx.paths.config, None);
    let files = [places.system, places.user_dir.join(config::FILE)];
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut taken = files.each_ref().map(stamp);
    let mut before = taken;
    loop {
        looks.tick().await;
        let now = files.each_ref().map(stamp);
        if now != taken && now == before {
            taken = now;
            told(reload(&ctx).await);
        }
        before = now;
    }
}

fn stamp(file: &PathBuf) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let it = std::fs::metadata(file).ok()?;
    Some((it.ino(), it.len(), it.mtime(), it.mtime_nsec()))
}
