//! A receipt: what one plan cost, in money, in time and in tries.
//!
//! Every figure is a sum over the loops it names. Nothing is estimated.

use serde_json::Value;
use taskd_model::{
    LoopId, LoopView, PlanView, Purse, Spans, Time, Usage, View, format_duration_ms, format_micros,
    format_readings,
};

use super::{
    Scene,
    costs::{classes, missing, not_told_apart, tokens, unclassed, used},
    json::SCHEMA_VERSION,
    table::Table,
    text::{clean, count, cut, wrap},
    words,
};

/// Room for the names of figures.
const LABEL: usize = 22;

/// What a plan, or one loop of it, cost.
pub(crate) struct Receipt {
    name: String,
    title: String,
    usage: Usage,
    uncounted: bool,
    budget_micros: u64,
    /// From its start to its end, or until now.
    wall_ms: u64,
    spans: Spans,
    calls: u64,
    failed_calls: u64,
    rebases: u64,
    /// Gates that said both red and green of one tree.
    flaked: u64,
    /// How often second readers read, and how many of those times they found something.
    readings: (u64, u64),
    iterations: u64,
    landed: Vec<String>,
}

impl Receipt {
    /// Of a plan; its time ends with `scene.now` where it goes on. Nothing if there is none.
    pub(crate) fn of(view: &View, of: Purse, scene: &Scene) -> Option<Self> {
        let plan = view.plans.get(&of.plan()?)?;
        let mut it = match of {
            Purse::Loop(id) => Self::of_loop(view.loops.get(&id)?, scene.now),
            Purse::Plan(_) | Purse::Project(_) | Purse::All => Self::new(plan, scene.now),
        };
        let its = |id: LoopId| of.loop_id().is_none_or(|it| it == id);
        for row in view.loops_of(plan.id).filter(|it| its(it.id)) {
            it.spans.add(&row.spans_until(scene.now));
            it.calls += u64::from(row.calls);
            it.failed_calls += u64::from(row.failed_calls);
            it.rebases += u64::from(row.rebases);
            it.flaked += u64::from(row.flaked);
            if let Some(review) = &row.review {
                it.readings.0 += u64::from(review.readings);
                it.readings.1 += u64::from(review.objections);
            }
            it.iterations += u64::from(row.iteration);
            it.landed.extend(row.landed.iter().map(|it| it.commit.to_string()));
        }
        Some(it)
    }

    fn new(plan: &PlanView, now: Time) -> Self {
        let gate_ms = plan.base_gate.as_ref().map_or(0, |it| it.ms);
        Self {
            name: plan.id.to_string(),
            title: plan.title.clone(),
            usage: plan.spent,
            uncounted: plan.uncounted,
            budget_micros: plan.budget_micros,
            wall_ms: plan.ended_at.unwrap_or(now).ms_since(plan.submitted_at),
            spans: Spans { gate_ms, ..Spans::default() },
            calls: 0,
            failed_calls: 0,
            rebases: 0,
            flaked: 0,
            readings: (0, 0),
            iterations: 0,
            landed: Vec::new(),
        }
    }

    fn of_loop(it: &LoopView, now: Time) -> Self {
        Self {
            name: it.name.clone(),
            title: it.title.clone(),
            usage: it.spent,
            uncounted: it.uncounted,
            budget_micros: it.limits.budget_micros,
            wall_ms: it.started_at.map_or(0, |at| it.ended_at.unwrap_or(now).ms_since(at)),
            spans: Spans::default(),
            calls: 0,
            failed_calls: 0,
            rebases: 0,
            flaked: 0,
            readings: (0, 0),
            iterations: 0,
            landed: Vec::new(),
        }
    }

    /// The picture.
    pub(crate) fn picture(&self, scene: &Scene) -> String {
        let mut out = vec![format!("{}  {}", clean(&self.name), clean(&self.title)), String::new()];
        let mut table = Table::new(&[&format!("{:<LABEL$}", "MONEY"), "TOKENS", "COST"], 0, 1);
        for it in classes(&self.usage) {
            table.row(vec![it.name.to_owned(), tokens(it.tokens), format_micros(it.micros)]);
        }
        if let Some(rest) = not_told_apart(&self.usage) {
            table.row(vec!["not told apart".to_owned(), String::new(), format_micros(rest)]);
        }
        let sum = words::spent(&self.usage, self.uncounted);
        table.row(vec!["in all".to_owned(), String::new(), sum]);
        let budget = format_micros(self.budget_micros);
        table.row(vec!["it may spend".to_owned(), String::new(), budget]);
        out.extend(table.draw(0, table.total(0).min(scene.width), scene.width));
        out.extend(missing(&self.usage, self.uncounted));
        out.extend(self.times());
        out.push(String::new());
        out.push("WORK".to_owned());
        let work = |name: &str, what: &str| format!("{name:<LABEL$}  {what}");
        out.push(work("calls", &format!("{}, {} failed", self.calls, self.failed_calls)));
        out.push(work("iterations", &self.iterations.to_string()));
        out.push(work("rebases", &self.rebases.to_string()));
        if 0 < self.flaked {
            out.push(work("flaky gates", &format!("{}: taskd flakes", self.flaked)));
        }
        if 0 < self.readings.0 {
            out.push(work("second readers", &format_readings(self.readings.0, self.readings.1)));
        }
        out.extend(self.landings(scene));
        out.iter().map(|it| cut(it, scene.width)).collect::<Vec<_>>().join("\n") + "\n"
    }

    fn times(&self) -> Vec<String> {
        let mut out = vec![String::new(), "TIME".to_owned()];
        let time = |name: &str, ms| format!("{name:<LABEL$}  {}", format_duration_ms(ms));
        let Spans { queue_ms, call_ms, gate_ms, person_ms } = self.spans;
        out.push(time("from start to end", self.wall_ms));
        out.push(time("waiting for a model", queue_ms));
        out.push(time("model calls, agents", call_ms));
        out.push(time("gates", gate_ms));
        out.push(time("waiting for you", person_ms));
        out
    }

    /// How many commits landed, and which.
    fn landings(&self, scene: &Scene) -> Vec<String> {
        let mut text = count(self.landed.len() as u64, "commit");
        for (n, commit) in self.landed.iter().enumerate() {
            text.push_str(if n == 0 { ": " } else { " " });
            text.push_str(commit.get(..7).unwrap_or(commit));
        }
        let lines = wrap(&text, scene.width.saturating_sub(LABEL + 2).max(LABEL));
        let name = |n: usize| if n == 0 { "landed" } else { "" };
        lines.iter().enumerate().map(|(n, it)| format!("{:<LABEL$}  {it}", name(n))).collect()
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let classes = classes(&self.usage).map(|it| (it.key.to_owned(), Value::from(it.micros)));
        let mut micros: serde_json::Map<String, Value> = classes.into_iter().collect();
        micros.insert("other".to_owned(), unclassed(&self.usage).into());
        let mut object = used(&self.usage, self.uncounted);
        object["schema_version"] = SCHEMA_VERSION.into();
        object["name"] = self.name.as_str().into();
        object["title"] = self.title.as_str().into();
        object["class_micros"] = micros.into();
        object["budget_micros"] = self.budget_micros.into();
        object["queue_ms"] = self.spans.queue_ms.into();
        object["call_ms"] = self.spans.call_ms.into();
        object["gate_ms"] = self.spans.gate_ms.into();
        object["person_ms"] = self.spans.person_ms.into();
        object["calls"] = self.calls.into();
        object["failed_calls"] = self.failed_calls.into();
        object["rebases"] = self.rebases.into();
        object["flaky_gates"] = self.flaked.into();
        object["readings"] = self.readings.0.into();
        object["objections"] = self.readings.1.into();
        object["wall_ms"] = self.wall_ms.into();
        object["iterations"] = self.iterations.into();
        object["landed"] = self.landed.clone().into();
        object
    }
}
