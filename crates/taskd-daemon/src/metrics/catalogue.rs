//! Every metric there is, in the order in which they are told. `docs/metrics.md` is this table.

use taskd_api::v1::{MetricKind, MetricSince};

/// One metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metric {
    /// As it is asked for; of a counter it ends with `_total`.
    pub(super) name: &'static str,
    pub(super) kind: MetricKind,
    pub(super) labels: &'static [&'static str],
    pub(super) since: MetricSince,
    pub(super) help: &'static str,
}

const fn of(
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    since: MetricSince,
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, since, help }
}

use MetricKind::{Counter, Gauge, Histogram, Summary};
use MetricSince::{Log, Now, Start};

/// All of them.
#[rustfmt::skip]
pub(super) const METRICS: &[Metric] = &[
    // Loops.
    of("taskd_loops", Gauge, &["status"], Now, "Loops by status."),
    of("taskd_type_loops", Gauge, &["type", "status"], Now, "Loops by type and status."),
    of("taskd_plans_total", Counter, &[], Log, "Plans that were submitted."),
    of("taskd_loops_added_total", Counter, &["type"], Log, "Loops that were added."),
    of("taskd_loop_ends_total", Counter, &["type", "status"], Log, "Times a loop was over, by how it ended."),
    of("taskd_iterations_total", Counter, &["type", "verdict"], Log, "Iterations that ended."),
    of("taskd_tools_total", Counter, &["type", "outcome"], Log, "Tools of native loops that ran."),
    of("taskd_agent_runs_total", Counter, &["type", "outcome"], Log, "Runs of external agents."),
    of("taskd_rebases_total", Counter, &["type", "outcome"], Log, "Times a loop's work was moved to a new base."),
    of("taskd_loop_cost_microdollars_total", Counter, &["type"], Log, "Cost of what loops used, as far as prices are known, in micro-dollars."),
    of("taskd_loop_tokens_total", Counter, &["type", "class"], Log, "Tokens that loops used."),
    // Gates and landing.
    of("taskd_gates_total", Counter, &["of", "verdict"], Log, "Gates that were run: on bases, on work of loops, on candidates for landing."),
    of("taskd_gate_seconds", Histogram, &["of"], Log, "How long gates took."),
    of("taskd_landing_queue", Gauge, &["phase"], Now, "Entries of landing queues."),
    of("taskd_landings_total", Counter, &["op", "end"], Log, "Entries that left a landing queue, by what was wanted and how it ended."),
    of("taskd_landing_seconds", Histogram, &["op"], Log, "From entering a landing queue to leaving it."),
    of("taskd_target_moves_total", Counter, &[], Log, "Times a target branch was seen at another commit."),
    of("taskd_fetch_failures", Gauge, &["project", "target"], Now, "Fetches of a target's remote in a row that failed."),
    of("taskd_target_apart", Gauge, &["project", "target"], Now, "1 while a target cannot follow its remote."),
    // The scheduler of model calls.
    of("taskd_calls_in_flight", Gauge, &["bucket"], Now, "Model calls in flight."),
    of("taskd_calls_waiting", Gauge, &["bucket"], Now, "Model calls that wait for admission."),
    of("taskd_call_circuit_state", Gauge, &["bucket"], Now, "0 calls go through, 1 only probes do, 2 nobody calls."),
    of("taskd_calls_admitted_total", Counter, &["bucket"], Log, "Model calls that were sent."),
    of("taskd_calls_refused_total", Counter, &["bucket"], Log, "Model calls the provider refused because too much was asked for."),
    of("taskd_calls_failed_total", Counter, &["bucket"], Log, "Model calls the provider failed."),
    of("taskd_call_tokens_total", Counter, &["bucket", "class"], Log, "Tokens of model calls."),
    of("taskd_call_cost_microdollars_total", Counter, &["bucket"], Log, "Cost of model calls with a known price, in micro-dollars."),
    of("taskd_calls_unpriced_total", Counter, &["bucket"], Log, "Model calls that used something for which no price is known."),
    of("taskd_call_wait_seconds", Summary, &["bucket"], Log, "How long model calls waited before they were sent."),
    of("taskd_call_first_byte_seconds", Histogram, &["bucket"], Start, "From sending a model call to the first piece of its reply."),
    of("taskd_call_seconds", Histogram, &["bucket"], Log, "How long model calls took, whatever their end."),
    // What loops say to one another.
    of("taskd_loops_open", Gauge, &[], Now, "Loops that are not over: others of their plan reach them."),
    of("taskd_alert_hearers", Gauge, &[], Now, "Loops that hear alerts: they have begun and are not over."),
    of("taskd_messages_total", Counter, &[], Log, "Messages from loop to loop, one for each receiver."),
    of("taskd_messages_told_total", Counter, &[], Log, "Messages that their receivers were told."),
    of("taskd_messages_waiting", Gauge, &[], Now, "Messages that were not told yet."),
    of("taskd_messages_refused_total", Counter, &[], Log, "Messages that were refused because there were too many."),
    of("taskd_queries_total", Counter, &[], Log, "Questions from loop to loop."),
    of("taskd_queries_open", Gauge, &[], Now, "Questions that are open."),
    of("taskd_query_timeouts_total", Counter, &[], Log, "Questions that nobody answered in time."),
    of("taskd_mutes_total", Counter, &[], Log, "Times a loop was muted."),
    of("taskd_senders_muted", Gauge, &[], Now, "Loops that are muted."),
    // Money.
    of("taskd_spent_micros", Gauge, &[], Now, "Spend of all plans in micro-dollars."),
    of("taskd_day_budget_micros", Gauge, &["of", "project"], Now, "What may be spent each day, in micro-dollars."),
    of("taskd_day_spent_micros", Gauge, &["of", "project"], Now, "What of that is spent today."),
    of("taskd_day_budget_tokens", Gauge, &["of", "project"], Now, "Tokens that may be used each day."),
    of("taskd_day_spent_tokens", Gauge, &["of", "project"], Now, "What of that is used today."),
    of("taskd_day_budget_closed", Gauge, &["of", "project"], Now, "1 while it did not pay for a call."),
    // The daemon itself.
    of("taskd_starts_total", Counter, &[], Log, "Daemons that opened the log."),
    of("taskd_failures_total", Counter, &["code"], Log, "Steps that failed, by code: taskd help errors."),
    of("taskd_log_seq", Gauge, &[], Now, "Last event of the log."),
    of("taskd_log_commit_seconds", Histogram, &[], Start, "From handing events to the log to their being durable."),
    of("taskd_effects_running", Gauge, &[], Now, "Effects that run."),
    of("taskd_events_undurable", Gauge, &[], Now, "Events decided and not yet durable."),
    of("taskd_inputs_waiting", Gauge, &[], Now, "Inputs that wait for the driver."),
    of("taskd_watchers", Gauge, &[], Now, "Clients that follow."),
    of("taskd_api_calls_total", Counter, &["method", "outcome"], Start, "Calls of the API."),
    of("taskd_spans_sent_total", Counter, &[], Start, "Spans that a collector of traces took."),
    of("taskd_spans_dropped_total", Counter, &[], Start, "Spans that no collector took, and that were dropped."),
    of("taskd_api_seconds", Histogram, &["method"], Start, "From a call of the API to the head of its answer."),
];
