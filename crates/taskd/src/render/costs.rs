//! `taskd costs`: what was spent, by plan and loop.

use taskd_model::{PlanView, View, format_micros};

use super::{Scene, table::Table, text::clean, words};

/// The picture.
pub(crate) fn costs(view: &View, scene: &Scene) -> String {
    let heading = ["PLAN", "TITLE", "IN", "OUT", "CACHED", "COST", "OF"];
    let mut table = Table::new(&heading, 1, 2);
    for plan in view.plans.values() {
        table.row(plan_row(plan));
        for it in view.loops_of(plan.id).filter(|_| !plan.single) {
            table.row(vec![
                format!("  {}", clean(&it.name)),
                clean(&it.title),
                tokens(it.spent.input),
                tokens(it.spent.output),
                tokens(it.spent.cache_read),
                words::cost(it.spent.micros, it.uncounted),
                format_micros(it.limits.budget_micros),
            ]);
        }
    }
    if table.is_empty() {
        return "nothing was spent yet\n".to_owned();
    }
    let mut out = table.draw(0, table.total(0).min(scene.width), scene.width);
    let sum = view.plans.values().map(|it| it.spent.micros).fold(0, u64::saturating_add);
    let uncounted = view.plans.values().any(|it| it.uncounted);
    out.push(String::new());
    out.push(format!("in all {}", words::cost(sum, uncounted)));
    if uncounted {
        out.push("+ and uncounted: an agent did not say what it used".to_owned());
    }
    out.join("\n") + "\n"
}

fn plan_row(plan: &PlanView) -> Vec<String> {
    vec![
        plan.id.to_string(),
        clean(&plan.title),
        tokens(plan.spent.input),
        tokens(plan.spent.output),
        tokens(plan.spent.cache_read),
        words::cost(plan.spent.micros, plan.uncounted),
        format_micros(plan.budget_micros),
    ]
}

/// `950`, `12k`, `3.4M`.
fn tokens(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{}.{}M", n / 1_000_000, n / 100_000 % 10),
    }
}
