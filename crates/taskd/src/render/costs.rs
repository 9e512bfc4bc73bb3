//! `taskd costs`: what was spent, one row for each plan and loop, or whatever is asked for.
//!
//! All of it are sums of the same ledger: whichever way it is grouped, it comes to the same.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use taskd_model::{PlanId, PlanView, Usage, View, format_micros};

use super::{
    Scene, depth,
    json::SCHEMA_VERSION,
    table::Table,
    text::{clean, count},
    words,
};

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Plan,
    Loop,
    Model,
    Class,
    Day,
}

impl By {
    fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Loop => "loop",
            Self::Model => "model",
            Self::Class => "class",
            Self::Day => "day",
        }
    }
}

/// One group of what was used.
struct Row {
    key: String,
    usage: Usage,
    /// Some of it nobody counted.
    uncounted: bool,
}

/// One class of tokens.
pub(super) struct Class {
    /// Its name in JSON.
    pub(super) key: &'static str,
    /// Its name for people.
    pub(super) name: &'static str,
    pub(super) tokens: u64,
    pub(super) micros: u64,
}

/// The four classes of what was used.
pub(super) fn classes(it: &Usage) -> [Class; 4] {
    let class = |key, name, tokens, micros| Class { key, name, tokens, micros };
    [
        class("input", "read", it.input, it.input_micros),
        class("output", "written", it.output, it.output_micros),
        class("cache_read", "read from a cache", it.cache_read, it.cache_read_micros),
        class("cache_write", "written to a cache", it.cache_write, it.cache_write_micros),
    ]
}

/// Money that is in no class: agents name a sum only, and classes are rounded down.
pub(super) fn unclassed(it: &Usage) -> u64 {
    let known = classes(it).iter().map(|it| it.micros).fold(0, u64::saturating_add);
    it.micros.saturating_sub(known)
}

/// The same where it is worth a line: fractions of a cent beside known classes are not.
pub(super) fn not_told_apart(it: &Usage) -> Option<u64> {
    let rest = unclassed(it);
    let known = rest < it.micros;
    (if known { 5_000 } else { 1 } <= rest).then_some(rest)
}

/// The picture by plan and loop; of these plans, or of all.
pub(crate) fn costs(view: &View, plans: &[PlanId], scene: &Scene) -> String {
    let heading = ["PLAN", "TITLE", "IN", "OUT", "CACHED", "COST", "OF"];
    let mut table = Table::new(&heading, 1, 2);
    for plan in chosen(view, plans) {
        table.row(plan_row(plan));
        for it in view.loops_of(plan.id).filter(|_| !plan.single) {
            table.row(vec![
                format!("  {}", clean(&it.name)),
                clean(&it.title),
                tokens(it.spent.input),
                tokens(it.spent.output),
                tokens(it.spent.cache_read),
                words::spent(&it.spent, it.uncounted),
                format_micros(it.limits.budget_micros),
            ]);
        }
    }
    drawn(&table, view, plans, scene)
}

/// The picture with a row for each of something.
pub(crate) fn grouped(view: &View, plans: &[PlanId], by: By, scene: &Scene) -> String {
    if by == By::Class {
        return by_class(view, plans, scene);
    }
    let name = by.word().to_uppercase();
    let heading = [&name, "IN", "OUT", "CACHE READ", "CACHE WRITE", "COST"];
    let mut table = Table::new(&heading, 0, 1);
    for it in rows(view, plans, by) {
        table.row(vec![
            clean(&it.key),
            tokens(it.usage.input),
            tokens(it.usage.output),
            tokens(it.usage.cache_read),
            tokens(it.usage.cache_write),
            words::spent(&it.usage, it.uncounted),
        ]);
    }
    drawn(&table, view, plans, scene)
}

fn by_class(view: &View, plans: &[PlanId], scene: &Scene) -> String {
    let (usage, _) = total(view, plans);
    let mut table = Table::new(&["CLASS", "TOKENS", "COST"], 0, 1);
    if usage != Usage::default() {
        for it in classes(&usage) {
            table.row(vec![it.name.to_owned(), tokens(it.tokens), format_micros(it.micros)]);
        }
        if let Some(rest) = not_told_apart(&usage) {
            table.row(vec!["not told apart".to_owned(), String::new(), format_micros(rest)]);
        }
    }
    drawn(&table, view, plans, scene)
}

/// The table, its sum, and what is not in it.
fn drawn(table: &Table, view: &View, plans: &[PlanId], scene: &Scene) -> String {
    if table.is_empty() {
        return "nothing was spent yet\n".to_owned();
    }
    let mut out = table.draw(0, table.total(0).min(scene.width), scene.width);
    let (sum, uncounted) = total(view, plans);
    out.push(String::new());
    out.push(format!("in all {}", words::spent(&sum, uncounted)));
    out.extend(missing(&sum, uncounted));
    let loops = chosen(view, plans).flat_map(|it| view.loops_of(it.id));
    out.extend(depth::line(loops).map(|it| format!("counted: {it}")));
    out.join("\n") + "\n"
}

/// What a sum does not hold, a line each.
pub(super) fn missing(usage: &Usage, uncounted: bool) -> Vec<String> {
    let mut out = Vec::new();
    if uncounted {
        out.push("+ and uncounted: an agent did not say what it used".to_owned());
    }
    if usage.unpriced > 0 {
        let (calls, are) = (count(u64::from(usage.unpriced), "call"), usage.unpriced != 1);
        let are = if are { "are" } else { "is" };
        out.push(format!("+ {calls} of a model without a price {are} not in this"));
    }
    if usage.estimated > 0 {
        let calls = count(u64::from(usage.estimated), "call");
        out.push(format!("~ {calls} estimated: the provider did not say what was used"));
    }
    out
}

/// The same for programs.
pub(crate) fn json(view: &View, plans: &[PlanId], by: By) -> Value {
    let (sum, uncounted) = total(view, plans);
    let rows: Vec<Value> = if by == By::Class {
        let class =
            |it: &Class| json!({ "class": it.key, "tokens": it.tokens, "cost_micros": it.micros });
        let rest = json!({ "class": "other", "tokens": 0, "cost_micros": unclassed(&sum) });
        classes(&sum).iter().map(class).chain([rest]).collect()
    } else {
        let row = |it: &Row| {
            let mut row = used(&it.usage, it.uncounted);
            row[by.word()] = it.key.as_str().into();
            row
        };
        rows(view, plans, by).iter().map(row).collect()
    };
    let loops = chosen(view, plans).flat_map(|it| view.loops_of(it.id));
    json!({
        "schema_version": SCHEMA_VERSION,
        "by": by.word(),
        "agents": depth::rows(loops),
        "rows": rows,
        "total": used(&sum, uncounted),
    })
}

/// What was used, for programs.
pub(super) fn used(it: &Usage, uncounted: bool) -> Value {
    json!({
        "input": it.input,
        "output": it.output,
        "cache_read": it.cache_read,
        "cache_write": it.cache_write,
        "cost_micros": it.micros,
        "unpriced": it.unpriced,
        "estimated": it.estimated,
        "uncounted": uncounted,
    })
}

fn chosen<'a>(view: &'a View, plans: &'a [PlanId]) -> impl Iterator<Item = &'a PlanView> {
    view.plans.values().filter(|it| plans.is_empty() || plans.contains(&it.id))
}

fn total(view: &View, plans: &[PlanId]) -> (Usage, bool) {
    let mut sum = Usage::default();
    chosen(view, plans).for_each(|it| sum.add(&it.spent));
    (sum, chosen(view, plans).any(|it| it.uncounted))
}

fn rows(view: &View, plans: &[PlanId], by: By) -> Vec<Row> {
    match by {
        By::Plan => {
            let row = |it: &PlanView| Row {
                key: it.id.to_string(),
                usage: it.spent,
                uncounted: it.uncounted,
            };
            chosen(view, plans).map(row).collect()
        }
        By::Loop => {
            let loops = chosen(view, plans).flat_map(|it| view.loops_of(it.id));
            let row = |it: &taskd_model::LoopView| Row {
                key: it.name.clone(),
                usage: it.spent,
                uncounted: it.uncounted,
            };
            loops.map(row).collect()
        }
        By::Model | By::Day | By::Class => of_ledger(view, plans, by),
    }
}

fn of_ledger(view: &View, plans: &[PlanId], by: By) -> Vec<Row> {
    let mut groups: BTreeMap<String, (Usage, bool)> = BTreeMap::new();
    for (model, on, usage) in chosen(view, plans).flat_map(|it| it.ledger.rows()) {
        let key = if by == By::Day { day(on) } else { model.to_owned() };
        groups.entry(key).or_default().0.add(usage);
    }
    if by == By::Model {
        // What nobody counted is in no ledger, but it is known who used it.
        let loops = chosen(view, plans).flat_map(|it| view.loops_of(it.id));
        for it in loops.filter(|it| it.uncounted) {
            groups.entry(it.worker.to_string()).or_default().1 = true;
        }
    }
    groups.into_iter().map(|(key, (usage, uncounted))| Row { key, usage, uncounted }).collect()
}

/// `2026-11-20`.
fn day(days: u32) -> String {
    let at = Timestamp::from_second(i64::from(days) * 86_400);
    at.map_or_else(
        |_| format!("day {days}"),
        |it| it.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string(),
    )
}

fn plan_row(plan: &PlanView) -> Vec<String> {
    vec![
        plan.id.to_string(),
        clean(&plan.title),
        tokens(plan.spent.input),
        tokens(plan.spent.output),
        tokens(plan.spent.cache_read),
        words::spent(&plan.spent, plan.uncounted),
        format_micros(plan.budget_micros),
    ]
}

/// `950`, `12k`, `3.4M`.
pub(super) fn tokens(n: u64) -> String {
    match n {
        0..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{}.{}M", n / 1_000_000, n / 100_000 % 10),
    }
}
