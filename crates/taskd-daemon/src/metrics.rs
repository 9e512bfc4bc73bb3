//! Figures for people and scrapers: gathered when somebody asks, from what is folded and counted
//! anyway. Nothing here is on the way of an event.

mod catalogue;
mod life;
mod sheet;
#[cfg(test)]
mod tests;

use taskd_api::{ApiError, v1};
use taskd_core::{BucketRow, Coordinator};
use taskd_model::{
    BudgetView, LetterCounts, Purse, QueuePhase, Spread, Status, Tally, Time, Unit, Usage, View,
};

pub(crate) use self::life::{Life, count, millis};
use self::sheet::Sheet;
use crate::{
    runner::Context,
    watcher::{Target, remote::Health},
};

/// A class of tokens: its label, and how many of them were used.
type Class = (&'static str, fn(&Usage) -> u64);

/// The classes of tokens, as label values.
const CLASSES: [Class; 4] = [
    ("input", |it| it.input),
    ("output", |it| it.output),
    ("cache_read", |it| it.cache_read),
    ("cache_write", |it| it.cache_write),
];

/// Every family, each also where it has no samples; of one loop type, what is told by type.
///
/// # Errors
///
/// There never was a loop of that type; or the daemon ends.
pub(crate) async fn told(ctx: &Context, loop_type: &str) -> Result<v1::MetricsResponse, ApiError> {
    let asked = ctx.handle.ask(|core, now| (Core::of(core, now), now)).await;
    let (core, now) = asked.map_err(|it| crate::service::internal(&it))?;
    let mut sheet = Sheet::default();
    let tally = ctx.hub.tally().clone();
    if !loop_type.is_empty() && !tally.types.contains_key(loop_type) {
        let what = format!("no loop of the type {loop_type} was ever added");
        return Err(ApiError::new(taskd_api::codes::NOT_FOUND, what).hint("taskd types ls"));
    }
    of_log(&mut sheet, &tally);
    {
        let view = ctx.hub.view();
        of_loops(&mut sheet, &view);
        days(&mut sheet, &view, now);
    }
    calls(&mut sheet, &core.buckets, &tally);
    core.messages(&mut sheet);
    of_daemon(&mut sheet, ctx);
    Ok(v1::MetricsResponse { families: sheet.families(loop_type), at: now.0 })
}

/// What only the core knows.
struct Core {
    buckets: Vec<BucketRow>,
    letters: LetterCounts,
    queries: usize,
    waiting: usize,
    hearers: usize,
    muted: usize,
}

impl Core {
    fn of(core: &Coordinator, now: Time) -> Self {
        Self {
            buckets: core.buckets(now),
            letters: core.letter_counts(),
            queries: core.open_queries(),
            waiting: core.letters_waiting(),
            hearers: core.alert_hearers(),
            muted: core.muted_senders(now),
        }
    }

    /// What loops say to one another.
    fn messages(&self, sheet: &mut Sheet) {
        let LetterCounts { sent, refused, mutes, queries, timeouts, told } = self.letters;
        sheet.one("taskd_messages_total", sent);
        sheet.one("taskd_messages_told_total", told);
        sheet.one("taskd_messages_refused_total", refused);
        sheet.one("taskd_queries_total", queries);
        sheet.one("taskd_query_timeouts_total", timeouts);
        sheet.one("taskd_mutes_total", mutes);
        sheet.one("taskd_queries_open", self.queries as u64);
        sheet.one("taskd_messages_waiting", self.waiting as u64);
        sheet.one("taskd_alert_hearers", self.hearers as u64);
        sheet.one("taskd_senders_muted", self.muted as u64);
    }
}

/// What is folded from the log.
fn of_log(sheet: &mut Sheet, tally: &Tally) {
    sheet.one("taskd_starts_total", tally.starts);
    sheet.one("taskd_plans_total", tally.plans);
    sheet.one("taskd_target_moves_total", tally.target_moves);
    for (code, n) in &tally.failures {
        sheet.row("taskd_failures_total", &[code], *n);
    }
    for (name, it) in &tally.types {
        sheet.row("taskd_loops_added_total", &[name], it.added);
        for (status, n) in &it.ends {
            sheet.row("taskd_loop_ends_total", &[name, &status.to_string()], *n);
        }
        for (metric, counts) in [
            ("taskd_iterations_total", &it.iterations),
            ("taskd_tools_total", &it.tools),
            ("taskd_agent_runs_total", &it.agent_runs),
            ("taskd_rebases_total", &it.rebases),
        ] {
            counts.iter().for_each(|(word, n)| sheet.row(metric, &[name, word], *n));
        }
        sheet.row("taskd_loop_cost_microdollars_total", &[name], it.used.micros);
        for (class, of) in CLASSES {
            sheet.row("taskd_loop_tokens_total", &[name, class], of(&it.used));
        }
    }
    for (of, it) in &tally.gates {
        sheet.row("taskd_gates_total", &[of, "green"], it.green);
        sheet.row("taskd_gates_total", &[of, "red"], it.red);
        sheet.spread("taskd_gate_seconds", &[of], &it.took);
    }
    for (op, it) in &tally.landings {
        for (end, n) in &it.ends {
            sheet.row("taskd_landings_total", &[op, end], *n);
        }
        sheet.spread("taskd_landing_seconds", &[op], &it.took);
    }
}

/// How it is now.
fn of_loops(sheet: &mut Sheet, view: &View) {
    for (status, n) in view.totals() {
        sheet.row("taskd_loops", &[&status.to_string()], n);
    }
    let mut by_type = std::collections::BTreeMap::<(&str, Status), u64>::new();
    for it in view.loops.values() {
        *by_type.entry((&it.type_name, it.status)).or_default() += 1;
    }
    for ((name, status), n) in by_type {
        sheet.row("taskd_type_loops", &[name, &status.to_string()], n);
    }
    let open: u64 = view.totals().filter(|(status, _)| !status.is_over()).map(|(_, n)| n).sum();
    sheet.one("taskd_loops_open", open);
    for (phase, word) in [
        (QueuePhase::Waiting, "waiting"),
        (QueuePhase::Building, "building"),
        (QueuePhase::Gating, "gating"),
        (QueuePhase::Publishing, "publishing"),
    ] {
        let entries = view.queue.values().flat_map(|it| it.values());
        let n = entries.filter(|it| it.phase == phase).count();
        sheet.row("taskd_landing_queue", &[word], n as u64);
    }
    sheet.one("taskd_log_seq", view.seq.0);
    sheet.one("taskd_effects_running", view.effects.len() as u64);
    sheet.one("taskd_spent_micros", view.plans.values().map(|it| it.spent.micros).sum());
}

/// Budgets of a day: everybody's, and each project's.
fn days(sheet: &mut Sheet, view: &View, now: Time) {
    let rows: Vec<BudgetView> = view.days().filter_map(|(of, _)| view.budget(of, now)).collect();
    for it in &rows {
        let (of, project) = match it.of {
            Purse::Project(id) => ("project", id.0.to_string()),
            Purse::All | Purse::Plan(_) | Purse::Loop(_) => ("all", String::new()),
        };
        let labels = [of, project.as_str()];
        for (unit, budget, spent) in [
            (Unit::Micros, "taskd_day_budget_micros", "taskd_day_spent_micros"),
            (Unit::Tokens, "taskd_day_budget_tokens", "taskd_day_spent_tokens"),
        ] {
            if let Some(limit) = it.limit(unit) {
                sheet.row(budget, &labels, limit);
                sheet.row(spent, &labels, it.spent.get(unit));
            }
        }
        sheet.row("taskd_day_budget_closed", &labels, u64::from(it.closed_until.is_some()));
    }
}

/// A figure of a bucket, and how to get it.
type OfBucket = (&'static str, fn(&BucketRow) -> u64);

/// Model calls: a row for each model that was ever called or is waited for.
fn calls(sheet: &mut Sheet, buckets: &[BucketRow], tally: &Tally) {
    let figures: [OfBucket; 8] = [
        ("taskd_calls_in_flight", |it| it.in_flight.into()),
        ("taskd_calls_waiting", |it| it.waiting as u64),
        ("taskd_call_circuit_state", |it| it.circuit.into()),
        ("taskd_calls_admitted_total", |it| it.counts.admitted),
        ("taskd_calls_refused_total", |it| it.counts.refused),
        ("taskd_calls_failed_total", |it| it.counts.failed),
        ("taskd_call_cost_microdollars_total", |it| it.counts.used.micros),
        ("taskd_calls_unpriced_total", |it| it.counts.used.unpriced.into()),
    ];
    for it in buckets {
        for (metric, of) in figures {
            sheet.row(metric, &[&it.name], of(it));
        }
        for (class, of) in CLASSES {
            sheet.row("taskd_call_tokens_total", &[&it.name, class], of(&it.counts.used));
        }
        let (n, ms) = (it.counts.admitted, it.counts.waited_ms);
        sheet.sum("taskd_call_wait_seconds", &[&it.name], n, ms);
    }
    each(sheet, "taskd_call_seconds", &tally.calls);
}

fn each<'a>(
    sheet: &mut Sheet,
    metric: &str,
    rows: impl IntoIterator<Item = (&'a String, &'a Spread)>,
) {
    rows.into_iter().for_each(|(label, it)| sheet.spread(metric, &[label], it));
}

/// The daemon itself.
fn of_daemon(sheet: &mut Sheet, ctx: &Context) {
    let (_, undurable, inputs) = ctx.handle.health();
    sheet.one("taskd_events_undurable", undurable);
    sheet.one("taskd_inputs_waiting", inputs as u64);
    sheet.one("taskd_watchers", ctx.hub.watchers() as u64);
    sheet.spread("taskd_log_commit_seconds", &[], &ctx.handle.commits());
    each(sheet, "taskd_call_first_byte_seconds", &ctx.life.first_bytes());
    for (method, it) in ctx.life.api() {
        sheet.row("taskd_api_calls_total", &[&method, "ok"], it.ok);
        sheet.row("taskd_api_calls_total", &[&method, "refused"], it.refused);
        sheet.spread("taskd_api_seconds", &[&method], &it.took);
    }
    let (sent, dropped) = ctx.life.spans.get();
    sheet.one("taskd_spans_sent_total", sent);
    sheet.one("taskd_spans_dropped_total", dropped);
    let rows = ctx.remotes.all();
    let labels = |it: &Target| [it.0.0.to_string(), it.1.clone()];
    let apart = |it: &Health| u64::from(it.failures == 0 && it.trouble.is_some());
    for (target, it) in rows {
        let [project, target] = labels(&target);
        sheet.row("taskd_fetch_failures", &[&project, &target], it.failures.into());
        sheet.row("taskd_target_apart", &[&project, &target], apart(&it));
    }
}
