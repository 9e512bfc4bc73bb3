//! Questions about money: what it cost, and how much it may cost. They change nothing.

use taskd_api::{ApiError, codes};
use taskd_model::{PlanId, PlanState, Purse, Target, View};

use super::{
    args::{By, CostsArgs, ScopeArgs},
    failure::{Done, Failure},
    here::Here,
};
use crate::render::{budgets, costs, json, receipt::Receipt};

/// `taskd costs`: a table, or a receipt for each id.
pub(crate) async fn costs(here: &Here, args: CostsArgs) -> Done {
    let client = here.client().await?;
    // What is named is found wherever it is.
    let view = if args.plans.is_empty() {
        here.view(&client, args.scope).await?
    } else {
        client.view("").await?
    };
    let named = args.plans.iter().map(|id| purse(&view, id)).collect::<Result<Vec<_>, _>>()?;
    let scene = here.scene();
    let Some(by) = args.by else {
        if !named.is_empty() {
            return receipts(here, &view, &named);
        }
        if here.out.json {
            let mut object = json::ls(&view, scene.now);
            for (key, value) in
                costs::json(&view, &[], costs::By::Plan).as_object().into_iter().flatten()
            {
                object[key] = value.clone();
            }
            here.out.object(&object)?;
        } else {
            here.out.print(&costs::costs(&view, &[], &scene))?;
        }
        return Ok(0);
    };
    let plans: Vec<PlanId> = named.iter().filter_map(|it| it.plan()).collect();
    if here.out.json {
        here.out.object(&costs::json(&view, &plans, by.into()))?;
    } else {
        here.out.print(&costs::grouped(&view, &plans, by.into(), &scene))?;
    }
    Ok(0)
}

fn receipts(here: &Here, view: &View, named: &[Purse]) -> Done {
    let scene = here.scene();
    for (n, receipt) in named.iter().filter_map(|of| Receipt::of(view, *of, &scene)).enumerate() {
        if here.out.json {
            here.out.object(&receipt.json())?;
        } else {
            let gap = if n == 0 { "" } else { "\n" };
            here.out.print(&format!("{gap}{}", receipt.picture(&scene)))?;
        }
    }
    Ok(0)
}

/// `taskd budget show`.
pub(crate) async fn budgets(here: &Here, ids: &[String], scope: ScopeArgs) -> Done {
    let client = here.client().await?;
    let (view, purses) = if ids.is_empty() {
        let view = here.view(&client, scope).await?;
        let days = view.days().map(|(of, _)| of);
        let purses = days.chain(open(&view)).collect();
        (view, purses)
    } else {
        let view = client.view("").await?;
        let mut purses = Vec::new();
        for id in ids {
            if let Some(of) = day(here, &view, id)? {
                purses.push(of);
                continue;
            }
            let of = purse(&view, id)?;
            purses.push(of);
            if let Purse::Plan(plan) = of {
                purses.extend(loops(&view, plan));
            }
        }
        (view, purses)
    };
    if here.out.json {
        let rows = budgets::json(&view, &purses, here.scene().now);
        rows.iter().try_for_each(|it| here.out.object(it))?;
    } else {
        here.out.print(&budgets::picture(&view, &purses, &here.scene()))?;
    }
    Ok(0)
}

/// The budget of a day that a word stands for: of everything, or of the repository here.
fn day(here: &Here, view: &View, id: &str) -> Result<Option<Purse>, Failure> {
    if id == "all" {
        return Ok(Some(Purse::All));
    }
    if id != "project" {
        return Ok(None);
    }
    let root = here.scope(ScopeArgs::default())?;
    let known = view.projects.iter().find(|(_, it)| !it.forgotten && it.root == root);
    let of = known.map(|(id, _)| Purse::Project(*id)).ok_or_else(|| {
        let what = "this repository is no project of this daemon";
        Failure::Api(ApiError::new(codes::NOT_FOUND, what).hint("taskd projects ls"))
    })?;
    Ok(Some(of))
}

/// The plans that are not over, each with its loops.
fn open(view: &View) -> Vec<Purse> {
    let plans = view.plans.values().filter(|it| it.state != PlanState::Ended);
    plans.flat_map(|it| [Purse::Plan(it.id)].into_iter().chain(loops(view, it.id))).collect()
}

/// The loops of a plan, unless it is its one loop.
fn loops(view: &View, plan: PlanId) -> impl Iterator<Item = Purse> + '_ {
    let several = view.plans.get(&plan).is_some_and(|it| !it.single);
    view.loops_of(plan).filter(move |_| several).map(|it| Purse::Loop(it.id))
}

/// What an id means; a plan that is its one loop is that plan.
fn purse(view: &View, id: &str) -> Result<Purse, Failure> {
    let target = view.resolve(id).map_err(|it| {
        Failure::Api(ApiError::new(codes::NOT_FOUND, it.to_string()).hint("taskd ls -a"))
    })?;
    Ok(match target {
        Target::Plan(plan) => Purse::Plan(plan),
        Target::Loop(one) if view.plans.get(&one.plan()).is_some_and(|it| it.single) => {
            Purse::Plan(one.plan())
        }
        Target::Loop(one) => Purse::Loop(one),
    })
}

impl From<By> for costs::By {
    fn from(it: By) -> Self {
        match it {
            By::Plan => Self::Plan,
            By::Loop => Self::Loop,
            By::Model => Self::Model,
            By::Class => Self::Class,
            By::Day => Self::Day,
        }
    }
}
