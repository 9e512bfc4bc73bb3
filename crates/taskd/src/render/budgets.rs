//! `taskd budget show`: every budget, what is spent of it and what is left, in money and in tokens.

use serde_json::{Value, json};
use taskd_model::{BudgetView, Purse, Time, Unit, Usage, View, format_tokens, next_midnight};

use super::{
    Scene,
    json::{SCHEMA_VERSION, time},
    table::Table,
    text::clean,
    words,
};

/// What nobody counted, or what has no price, of a loop or a plan.
fn uncounted(view: &View, of: Purse) -> (Usage, bool) {
    let found = match of {
        Purse::Plan(id) => view.plans.get(&id).map(|it| (it.spent, it.uncounted)),
        Purse::Loop(id) => view.loops.get(&id).map(|it| (it.spent, it.uncounted)),
        Purse::Project(_) | Purse::All => None,
    };
    found.unwrap_or_default()
}

/// An amount in a column that is headed by what it is.
fn amount(unit: Unit, amount: u64) -> String {
    match unit {
        Unit::Micros => unit.format(amount),
        Unit::Tokens => format!("{} tok", format_tokens(amount)),
    }
}

/// The table: a row for each unit of a budget. What is for a day says when it is renewed.
pub(crate) fn picture(view: &View, purses: &[Purse], scene: &Scene) -> String {
    let mut table = Table::new(&["BUDGET", "", "SPENT", "LEFT", "OF"], 1, 2);
    for it in purses.iter().filter_map(|of| view.budget(*of, scene.now)) {
        let mut name = clean(&view.purse_name(it.of));
        let tightest = it.tightest().map(|it| it.0);
        for unit in Unit::ALL {
            let Some(limit) = it.limit(unit) else { continue };
            let note = if tightest == Some(unit) { note(&it, scene) } else { String::new() };
            table.row(vec![
                std::mem::take(&mut name),
                note,
                spent(view, &it, unit),
                amount(unit, limit.saturating_sub(it.spent.get(unit))),
                amount(unit, limit),
            ]);
        }
        if tightest.is_none() {
            table.row(vec![
                name,
                "no budget".to_owned(),
                amount(Unit::Micros, it.spent.micros),
                String::new(),
                String::new(),
            ]);
        }
    }
    if table.is_empty() {
        return "nothing is open; taskd costs says what was spent\n".to_owned();
    }
    let lines = table.draw(0, table.total(0).min(scene.width), scene.width);
    lines.join("\n") + "\n"
}

fn spent(view: &View, it: &BudgetView, unit: Unit) -> String {
    match unit {
        Unit::Micros if !it.of.is_daily() => {
            let (usage, uncounted) = uncounted(view, it.of);
            words::spent(&usage, uncounted)
        }
        Unit::Micros | Unit::Tokens => amount(unit, it.spent.get(unit)),
    }
}

/// How near its end it is, and from when on there is more of it.
fn note(it: &BudgetView, scene: &Scene) -> String {
    let near = it.near();
    if !it.of.is_daily() {
        return near.unwrap_or_default();
    }
    let until = scene.clock(it.closed_until.unwrap_or(next_midnight(scene.now)));
    match (it.closed_until, near) {
        (Some(_), _) => format!("spent for today, renewed {until}"),
        (None, Some(near)) => format!("{near}, renewed {until}"),
        (None, None) => format!("renewed {until}"),
    }
}

/// The same for programs: one object each. What is not limited is absent.
pub(crate) fn json(view: &View, purses: &[Purse], now: Time) -> Vec<Value> {
    let object = |it: BudgetView| {
        let (usage, uncounted) = uncounted(view, it.of);
        let level = match it.of {
            Purse::Loop(_) => "loop",
            Purse::Plan(_) => "plan",
            Purse::Project(_) => "project",
            Purse::All => "all",
        };
        let mut object = json!({
            "schema_version": SCHEMA_VERSION,
            "name": view.purse_name(it.of),
            "level": level,
            "cost_micros": it.spent.micros,
            "tokens": it.spent.tokens,
            "unpriced": usage.unpriced,
            "uncounted": uncounted,
        });
        let names = [
            (Unit::Micros, "budget_micros", "left_micros", "percent"),
            (Unit::Tokens, "budget_tokens", "left_tokens", "percent_tokens"),
        ];
        for (unit, budget, left, percent) in names {
            if let Some(limit) = it.limit(unit) {
                let spent = it.spent.get(unit);
                let part = u128::from(spent) * 100 / u128::from(limit.max(1));
                object[budget] = limit.into();
                object[left] = limit.saturating_sub(spent).into();
                object[percent] = u64::try_from(part).unwrap_or(u64::MAX).into();
            }
        }
        if it.of.is_daily() {
            object["renewed"] = time(it.closed_until.unwrap_or(next_midnight(now))).into();
            object["closed"] = it.closed_until.is_some().into();
        }
        object
    };
    purses.iter().filter_map(|of| view.budget(*of, now)).map(object).collect()
}
