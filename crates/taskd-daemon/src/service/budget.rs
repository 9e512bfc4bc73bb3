//! Budgets as people set them: of loops and plans for their whole life, of a project and of
//! everything for a day.

use std::path::Path;

use taskd_api::{ApiError, codes, v1};
use taskd_model::{Actor, Command, Purse, Target, Unit, may_spend};

use super::{Service, act::would, unresolved};
use crate::runner::chain;

/// The word for everything this daemon does.
const ALL: &str = "all";
/// The word for the repository the person is in.
const PROJECT: &str = "project";

/// What is set, and to how much; nothing is no budget.
type Amount = (Unit, Option<u64>);

impl Service {
    /// Sets what each of these may spend. A plan that is its one loop has one budget for people, and
    /// so both of them are set.
    pub(super) async fn budget(
        &self,
        actor: Actor,
        request: &v1::ActRequest,
    ) -> Result<v1::ActResponse, ApiError> {
        if request.ids.is_empty() {
            return Err(missing("no loop, plan or project was named"));
        }
        let mut response = v1::ActResponse::default();
        for id in &request.ids {
            let (name, purses) = self.purses(id, &request.scope)?;
            let of = purses[0];
            let amounts = amounts(request, of)?;
            let mut told = Vec::new();
            for (unit, amount) in &amounts {
                let amount = amount.unwrap_or(0);
                told.push(may_spend(of, *unit, amount));
                for of in purses.iter().filter(|_| !request.dry_run) {
                    response.seq = self.command(actor, set(*of, *unit, amount)).await?;
                }
            }
            response.results.push(v1::ActResult {
                id: id.clone(),
                name,
                done: !request.dry_run,
                message: would(request.dry_run, told.join(", ")),
                error: None,
            });
        }
        Ok(response)
    }

    /// What is filled for an id, and what that is called.
    fn purses(&self, id: &str, scope: &str) -> Result<(String, Vec<Purse>), ApiError> {
        let view = self.ctx().hub.view();
        if id == ALL {
            return Ok((view.purse_name(Purse::All), vec![Purse::All]));
        }
        if id == PROJECT {
            let git_dir = taskd_git::probe(Path::new(scope))
                .map_err(|it| ApiError::new(codes::REFUSED, chain(&it)))?
                .git_dir;
            let git_dir = git_dir.to_string_lossy();
            let mut known = view.projects.iter().filter(|(_, it)| !it.forgotten);
            let found = known.find(|(_, it)| it.git_dir == git_dir).map(|it| *it.0);
            let of = found.map(Purse::Project).ok_or_else(|| {
                let what = "this repository is no project of this daemon yet";
                ApiError::new(codes::NOT_FOUND, what).hint("taskd projects add")
            })?;
            return Ok((view.purse_name(of), vec![of]));
        }
        Ok(match view.resolve(id).map_err(unresolved)? {
            Target::Plan(plan) => (plan.to_string(), vec![Purse::Plan(plan)]),
            Target::Loop(one) => {
                let single = view.plans.get(&one.plan()).is_some_and(|it| it.single);
                let of_plan = single.then_some(Purse::Plan(one.plan()));
                let purses = of_plan.into_iter().chain([Purse::Loop(one)]).collect();
                (view.loop_name(one), purses)
            }
        })
    }
}

fn missing(what: &str) -> ApiError {
    ApiError::new(codes::INVALID, what).hint("taskd budget set p7 '$9'; taskd budget set all 2Mtok")
}

/// What a request sets. A budget of nothing is refused where nothing means no limit.
fn amounts(request: &v1::ActRequest, of: Purse) -> Result<Vec<Amount>, ApiError> {
    if request.no_budget {
        let money = of.is_daily().then_some((Unit::Micros, None));
        return Ok(money.into_iter().chain([(Unit::Tokens, None)]).collect());
    }
    let micros = request.micros.map(|it| (Unit::Micros, Some(it)));
    let tokens = request.tokens.map(|it| (Unit::Tokens, Some(it)));
    let amounts: Vec<Amount> = micros.into_iter().chain(tokens).collect();
    if amounts.is_empty() {
        return Err(missing("no amount was given"));
    }
    let nothing =
        |(unit, amount): &&Amount| *amount == Some(0) && (of.is_daily() || *unit == Unit::Tokens);
    if amounts.iter().any(|it| nothing(&it)) {
        let what =
            "a budget of nothing is none; `none` takes it away, and `taskd pause --all` stops";
        return Err(ApiError::new(codes::INVALID, what));
    }
    Ok(amounts)
}

fn set(of: Purse, unit: Unit, amount: u64) -> Command {
    match unit {
        Unit::Micros => Command::SetBudget { of, micros: amount },
        Unit::Tokens => Command::SetTokens { of, tokens: amount },
    }
}
