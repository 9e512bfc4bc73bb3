//! Projects and plans on the wire.

use taskd_model as model;
use taskd_model::{PlanId, ProjectId, Seq, Time};

use super::{WireError, land, narrow, need, parse, plan_state, priority, totals, write_totals};
use crate::v1;

impl From<&model::ProjectView> for v1::Project {
    fn from(it: &model::ProjectView) -> Self {
        let tip =
            |it: &model::TargetView| v1::TargetTip { tip: it.tip.to_string(), height: it.height };
        Self {
            git_dir: it.git_dir.clone(),
            root: it.root.clone(),
            forgotten: it.forgotten,
            targets: it.targets.iter().map(|(name, it)| (name.clone(), tip(it))).collect(),
            day: Some((&it.day).into()),
        }
    }
}

impl TryFrom<v1::Project> for model::ProjectView {
    type Error = WireError;

    fn try_from(it: v1::Project) -> Result<Self, WireError> {
        let targets = it.targets.into_iter().map(|(name, it)| {
            let tip = parse(&it.tip, "TargetTip.tip")?;
            Ok((name, model::TargetView { tip, height: it.height }))
        });
        Ok(Self {
            git_dir: it.git_dir,
            root: it.root,
            forgotten: it.forgotten,
            targets: targets.collect::<Result<_, WireError>>()?,
            day: need(it.day, "Project.day")?.into(),
        })
    }
}

impl From<&model::DayView> for v1::DayBudget {
    fn from(it: &model::DayView) -> Self {
        Self {
            budget_micros: it.budget.micros,
            budget_tokens: it.budget.tokens,
            day: it.day,
            spent_micros: it.spent.micros,
            spent_tokens: it.spent.tokens,
            closed_until: it.closed.map(|it| it.until.0),
            closed_by: it.closed.map(|it| it.by.0),
        }
    }
}

impl From<v1::DayBudget> for model::DayView {
    fn from(it: v1::DayBudget) -> Self {
        let closed = it.closed_until.zip(it.closed_by);
        Self {
            budget: model::Amount { micros: it.budget_micros, tokens: it.budget_tokens },
            day: it.day,
            spent: model::Amount { micros: it.spent_micros, tokens: it.spent_tokens },
            closed: closed.map(|(until, by)| model::ClosedView { until: Time(until), by: Seq(by) }),
        }
    }
}

impl From<&model::PlanView> for v1::Plan {
    fn from(it: &model::PlanView) -> Self {
        Self {
            id: it.id.0,
            title: it.title.clone(),
            project: it.project.0,
            target: it.target.clone(),
            land: v1::LandPolicy::from(it.land).into(),
            priority: v1::Priority::from(it.priority).into(),
            state: v1::PlanState::from(it.state).into(),
            base: it.base.to_string(),
            base_red_ok: it.base_red_ok,
            base_gate: it.base_gate.as_ref().map(Into::into),
            base_tests: it.base_tests,
            integration: Some(v1::Integration {
                tip: it.integration.tip.to_string(),
                height: it.integration.height,
                target_height: it.integration.target_height,
            }),
            refreshing: it.refreshing.map(|it| it.0),
            budget_micros: it.budget_micros,
            tokens: it.tokens,
            time_ms: it.time_ms,
            spent: Some((&it.spent).into()),
            uncounted: it.uncounted,
            gate_ms: it.gate_ms,
            submitted_at: it.submitted_at.0,
            released_at: it.released_at.map(|it| it.0),
            ended_at: it.ended_at.map(|it| it.0),
            single: it.single,
            specs: it.specs.into(),
            landed: it.landed,
            totals: write_totals(&it.totals),
            key: it.key.to_string(),
            doc: it.doc.to_string(),
            gate: it.gate.to_string(),
            ledger: write_ledger(&it.ledger),
            trace: it.trace.map(|it| it.to_string()).unwrap_or_default(),
        }
    }
}

fn write_ledger(it: &model::Ledger) -> Vec<v1::LedgerRow> {
    let row = |(model, day, usage): (&str, u32, &model::Usage)| v1::LedgerRow {
        model: model.to_owned(),
        day,
        usage: Some(usage.into()),
    };
    it.rows().map(row).collect()
}

fn ledger(rows: Vec<v1::LedgerRow>) -> Result<model::Ledger, WireError> {
    let mut ledger = model::Ledger::default();
    for it in rows {
        ledger.book(&it.model, it.day, &need(it.usage, "LedgerRow.usage")?.into());
    }
    Ok(ledger)
}

impl TryFrom<v1::Plan> for model::PlanView {
    type Error = WireError;

    fn try_from(it: v1::Plan) -> Result<Self, WireError> {
        let integration = need(it.integration, "Plan.integration")?;
        Ok(Self {
            id: PlanId(it.id),
            title: it.title,
            project: ProjectId(it.project),
            target: it.target,
            land: land(it.land)?,
            priority: priority(it.priority)?,
            state: plan_state(it.state)?,
            base: parse(&it.base, "Plan.base")?,
            base_red_ok: it.base_red_ok,
            base_gate: it.base_gate.map(TryInto::try_into).transpose()?,
            base_tests: it.base_tests,
            integration: model::Integration {
                tip: parse(&integration.tip, "Integration.tip")?,
                height: integration.height,
                target_height: integration.target_height,
            },
            refreshing: it.refreshing.map(Seq),
            budget_micros: it.budget_micros,
            tokens: it.tokens,
            time_ms: it.time_ms,
            spent: need(it.spent, "Plan.spent")?.into(),
            uncounted: it.uncounted,
            gate_ms: it.gate_ms,
            submitted_at: Time(it.submitted_at),
            released_at: it.released_at.map(Time),
            ended_at: it.ended_at.map(Time),
            single: it.single,
            specs: narrow(it.specs, "Plan.specs")?,
            landed: it.landed,
            totals: totals(&it.totals)?,
            key: parse(&it.key, "Plan.key")?,
            doc: parse(&it.doc, "Plan.doc")?,
            gate: parse(&it.gate, "Plan.gate")?,
            ledger: ledger(it.ledger)?,
            trace: match it.trace.as_str() {
                "" => None,
                trace => Some(parse(trace, "Plan.trace")?),
            },
        })
    }
}

impl From<&model::GateView> for v1::GateResult {
    fn from(it: &model::GateView) -> Self {
        Self {
            green: it.green,
            summary: it.summary.clone(),
            log: it.log.to_string(),
            tests: it.tests,
            ms: it.ms,
            at: it.at.0,
            seq: it.seq.0,
            proof: it.proof.as_deref().map(v1::GateProof::from),
        }
    }
}

impl TryFrom<v1::GateResult> for model::GateView {
    type Error = WireError;

    fn try_from(it: v1::GateResult) -> Result<Self, WireError> {
        Ok(Self {
            green: it.green,
            summary: it.summary,
            log: parse(&it.log, "GateResult.log")?,
            tests: it.tests,
            ms: it.ms,
            at: Time(it.at),
            seq: Seq(it.seq),
            proof: it.proof.map(model::GateProof::try_from).transpose()?.map(Box::new),
        })
    }
}
