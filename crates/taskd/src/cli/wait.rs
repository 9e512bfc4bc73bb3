//! `taskd wait`: until everything named is over or needs somebody.
//!
//! The exit code is the worst of them: a person is needed (4), failed or stopped (1), a limit (3),
//! all well (0); 124 when the time is up.

use std::{collections::BTreeMap, time::Duration};

use taskd_api::{ApiError, Watched, codes};
use taskd_model::{ResolveError, Target, View, WaitVerdict};
use tokio::time::{Instant, timeout_at};

use super::{
    args::WaitArgs,
    failure::{Done, Failure},
    here::Here,
};
use crate::render::json;

pub(crate) async fn wait(here: &Here, args: WaitArgs) -> Done {
    let client = here.client().await?;
    let mut watch = client.watch(args.ids.clone(), false);
    let until = args.timeout.map(|ms| Instant::now() + Duration::from_millis(ms));
    let mut view = View::default();
    let mut told = BTreeMap::new();
    loop {
        let next = async {
            match until {
                Some(until) => timeout_at(until, watch.next()).await.ok(),
                None => Some(watch.next().await),
            }
        };
        let item = tokio::select! {
            item = next => item,
            _ = tokio::signal::ctrl_c() => return Err(Failure::Said(130)),
        };
        match item {
            None => {
                let what = format!("{} not over yet", args.ids.join(", "));
                return Err(ApiError::new(codes::TIMEOUT, what).hint("taskd why ID").into());
            }
            Some(Some(Watched::View(new))) => view = *new,
            Some(Some(Watched::Event(record))) => _ = view.apply(&record),
            Some(Some(Watched::Ended(error))) => return Err(error.into()),
            Some(Some(
                Watched::Connected { .. }
                | Watched::Unknown { .. }
                | Watched::Delta { .. }
                | Watched::Heartbeat { .. }
                | Watched::Disconnected { .. },
            )) => continue,
            Some(None) => return Ok(0),
        }
        if look(here, &view, &args.ids, &mut told)? {
            return Ok(exit(told.into_values()));
        }
    }
}

/// Tells what is new, and whether that is all.
fn look(
    here: &Here,
    view: &View,
    ids: &[String],
    told: &mut BTreeMap<String, WaitVerdict>,
) -> Result<bool, Failure> {
    let mut all = true;
    for id in ids {
        let verdict = match view.resolve(id).map_err(|it| unresolved(&it))? {
            Target::Plan(plan) => view.wait_plan(plan),
            Target::Loop(one) => view.wait_loop(one),
        };
        let verdict = verdict.unwrap_or(WaitVerdict::Pending);
        if verdict == WaitVerdict::Pending {
            told.remove(id);
            all = false;
        } else if told.insert(id.clone(), verdict) != Some(verdict) {
            if here.out.json {
                here.out.object(&json::waited(id, verdict))?;
            } else if !here.out.quiet {
                here.out.print(&format!("{id}  {verdict}\n"))?;
            }
        }
    }
    Ok(all)
}

/// An id that names nothing, or several things.
pub(crate) fn unresolved(error: &ResolveError) -> ApiError {
    let code = match error {
        ResolveError::NotFound { .. } => codes::NOT_FOUND,
        ResolveError::Ambiguous { .. } => codes::AMBIGUOUS,
    };
    ApiError::new(code, error.to_string()).hint("taskd ls -a")
}

fn exit(verdicts: impl Iterator<Item = WaitVerdict>) -> u8 {
    const WORST_FIRST: [u8; 4] = [4, 1, 3, 0];
    let codes: Vec<u8> = verdicts.filter_map(WaitVerdict::exit).collect();
    WORST_FIRST.into_iter().find(|it| codes.contains(it)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts() {
        let exit = |verdicts: &[WaitVerdict]| exit(verdicts.iter().copied());
        assert_eq!(exit(&[WaitVerdict::Landed, WaitVerdict::Passed]), 0);
        assert_eq!(exit(&[WaitVerdict::Limit, WaitVerdict::Landed]), 3);
        assert_eq!(exit(&[WaitVerdict::Limit, WaitVerdict::Stopped]), 1);
        assert_eq!(exit(&[WaitVerdict::Failed, WaitVerdict::NeedsYou]), 4);
    }
}
