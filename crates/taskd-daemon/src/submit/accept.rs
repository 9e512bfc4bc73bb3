//! `plan check`: which `accept` commands are red on the base, found out by running them there.
//!
//! Uses a checkout of its own that keeps its build caches; nothing enters the log.

use std::{ffi::OsString, path::Path, time::Duration};

use taskd_git::Repo;
use taskd_model::{Code, Digest};
use taskd_tools::{
    agents::environment,
    supervise::{How, Ladder, Spec, Stdin},
};

use super::Draft;
use crate::runner::{Context, Trouble};

/// The whole check of one command is given up after this long.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Its output decides nothing here.
const KEEP_BYTES: usize = 1 << 10;

/// Marks each row of the graph that has `accept` commands with whether they are red on the base.
pub(super) async fn colour(ctx: &Context, draft: &mut Draft) -> Result<(), Trouble> {
    let graph = draft.response.graph.iter();
    let wanted: Vec<usize> =
        graph.enumerate().filter(|(_, it)| !it.accept.is_empty()).map(|(n, _)| n).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    // One check at a time: they share the checkout.
    let _turn = ctx.checking.lock().await;
    let (git_dir, base) = (draft.probe.git_dir.clone(), draft.head.base);
    let name = Digest::of(git_dir.as_os_str().as_encoded_bytes()).to_string();
    let dir = ctx.paths.state.join("worktrees").join(format!("check-{}", &name[..12]));
    let tag = ctx.tag.clone();
    let place = tokio::task::spawn_blocking(move || -> Result<_, Trouble> {
        Ok(Repo::new(git_dir, &tag, dir)?.checkout_scratch("check", base)?)
    });
    let place = place.await.map_err(|it| Trouble::of(Code::Internal, &it))??;
    let env = environment(&draft.doc.env, &[]);
    if let Some(setup) = &draft.doc.setup
        && !is_green(ctx, setup, &place, &env).await
    {
        let what = format!("setup `{setup}` failed on {}", base.short());
        return Err(Trouble::new(Code::SetupFailed, what));
    }
    for n in wanted {
        let mut green = true;
        for command in draft.response.graph[n].accept.clone() {
            green = green && is_green(ctx, &command, &place, &env).await;
        }
        draft.response.graph[n].accept_red = Some(!green);
    }
    Ok(())
}

async fn is_green(
    ctx: &Context,
    command: &str,
    place: &Path,
    env: &[(OsString, OsString)],
) -> bool {
    let spec = Spec {
        argv: ["sh", "-c", command].map(OsString::from).to_vec(),
        cwd: place.to_owned(),
        env: env.to_vec(),
        stdin: Stdin::Null,
        timeout: Some(ACCEPT_TIMEOUT),
        idle: None,
        ladder: Ladder::STOP,
        keep_head_bytes: KEEP_BYTES,
        keep_tail_bytes: KEEP_BYTES,
    };
    ctx.launcher.start(&spec, |_, _| {}).wait().await.how == How::Exited(0)
}
