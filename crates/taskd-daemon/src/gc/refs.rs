//! Refs of work that landed: they kept it until it was on its target, and a while longer.

use taskd_git::GitError;
use taskd_model::{Oid, PlanState, SpecDoc, format_age_ms};

use super::{Fate, Item, Known, known, look::Sweep, plan_of};
use crate::runner::{epoch_s, worktree_name};

/// Looks at the refs of one project. `stays` names the worktrees that are there still.
pub(super) fn sweep(sweep: &Sweep<'_>, stays: &[String]) -> Result<Vec<Item>, GitError> {
    let known = known(sweep.ctx, sweep.project);
    let older_ms = sweep.asked.older_ms.unwrap_or(sweep.keep_ms);
    let mut items = Vec::new();
    for (rest, oid) in sweep.repo.own_refs()? {
        let mut parts = rest.split('/');
        let (Some(kind), Some(name)) = (parts.next(), parts.next()) else { continue };
        let word = match kind {
            "loops" | "before-rebase" if !stays.iter().any(|it| it == name) => {
                let of = known.iter().find(|it| is_of(sweep, name, it));
                of.and_then(|of| landed_long_ago(sweep, of, older_ms))
            }
            "plans" => plan_landed(sweep, name, oid, older_ms)?,
            // What was saved because nothing else had it stays until a person takes it away.
            _ => None,
        };
        let Some(reason) = word else { continue };
        let mut fate = Fate::Would;
        if !sweep.asked.dry_run {
            let gone = sweep.repo.remove_own_ref(&rest, oid)?;
            fate = if gone { Fate::Removed } else { Fate::Failed };
        }
        let place = sweep.repo.own_ref(&rest);
        let what = format!("ref {rest}");
        items.push(Item { what, place, bytes: 0, fate, reason, saved: Vec::new() });
    }
    Ok(items)
}

fn is_of(sweep: &Sweep<'_>, name: &str, of: &Known) -> bool {
    plan_of(name) == Some(of.id.plan())
        && sweep
            .ctx
            .doc::<SpecDoc>(&of.doc)
            .is_ok_and(|spec| worktree_name(of.id, &spec.name) == name)
}

/// Why a loop's refs may go, if they may: what landed is on its target still.
fn landed_long_ago(sweep: &Sweep<'_>, of: &Known, older_ms: u64) -> Option<String> {
    let landed = of.landed.filter(|_| of.status.is_over())?;
    let over_ms = (epoch_s() * 1_000).saturating_sub(of.ended_at?.0);
    let tip = sweep.repo.tip(&of.target).ok()??;
    let there = sweep.repo.ancestor_of(landed, tip).unwrap_or(false);
    (older_ms <= over_ms && there).then(|| {
        let over = format_age_ms(over_ms);
        format!("landed on {} as {}, over for {over}", of.target, landed.short())
    })
}

/// Why a plan's integration ref may go, if it may: everything on it is on the target.
fn plan_landed(
    sweep: &Sweep<'_>,
    name: &str,
    oid: Oid,
    older_ms: u64,
) -> Result<Option<String>, GitError> {
    let Some(id) = plan_of(name) else { return Ok(None) };
    let target = {
        let view = sweep.ctx.hub.view();
        let plan = view.plans.get(&id).filter(|it| it.project == sweep.project);
        let over_ms = |at: u64| (epoch_s() * 1_000).saturating_sub(at);
        let ended = plan.filter(|it| {
            it.state == PlanState::Ended && it.ended_at.is_some_and(|at| older_ms <= over_ms(at.0))
        });
        let Some(plan) = ended else { return Ok(None) };
        plan.target.clone()
    };
    let Some(tip) = sweep.repo.tip(&target)? else { return Ok(None) };
    let there = sweep.repo.ancestor_of(oid, tip)?;
    Ok(there.then(|| format!("all of it is on {target}")))
}
