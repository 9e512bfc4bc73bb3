//! One line for each event a person who follows a run wants to see.
//!
//! It tells what happened and never what somebody claims. Times are left to the client: it knows
//! when it began to look.

use crate::{
    Arranged, Change, EffectId, Event, Format, GateReport, LandPolicy, LoopId, Observation, Oid,
    Outcome, Owner, PlanId, Purse, QueueEnd, QueueOp, Reason, Record, Seq, Spoken, Status, Time,
    Unit, Usage, Verdict, format_duration_ms, format_micros,
};

use super::{EffectKind, EffectView, LoopView, View, may_spend, spent_of};

/// A line of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose: a loop's name, a plan's, a branch, or nothing for the daemon.
    pub name: String,
    /// What happened.
    pub text: String,
    /// More about it, possibly empty; a column of its own.
    pub detail: String,
    /// It happened within an iteration, so it is shown below it.
    pub within: bool,
    /// It lasts until then.
    pub until: Option<Time>,
}

impl Line {
    fn new(name: &str, text: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            text: text.into(),
            detail: String::new(),
            within: false,
            until: None,
        }
    }

    fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    fn within(self) -> Self {
        Self { within: true, ..self }
    }
}

impl View {
    /// The line for `record`, told from the view *before* it: narrate first, then apply.
    #[must_use]
    pub fn narrate(&self, record: &Record) -> Option<Line> {
        let itself = || Some(Line::new("", record.event.to_string()));
        match &record.event {
            Event::DaemonStarted { .. } | Event::DiskChanged { .. } => itself(),
            Event::DaemonStopped => Some(Line::new("", "daemon stopped; the work is kept")),
            Event::WorkParked => Some(Line::new("", "parked: nothing new starts")),
            Event::WorkUnparked => Some(Line::new("", "work goes on")),
            event @ Event::MainMoved { .. } => main_line(event),
            Event::PlanReleased { plan, evidence: None, .. } => Some(released(*plan)),
            Event::PlanEnded { plan } => self.plan_ended(*plan),
            Event::EffectObserved { effect, fact: Observation::Activity(text), .. } => {
                let open = self.effects.get(effect).filter(|it| it.kind == EffectKind::Agent)?;
                Some(Line::new(&self.owner_name(open.owner), text.as_str()).within())
            }
            Event::EffectObserved { effect, fact: Observation::Asked { text, .. }, .. } => {
                self.question_line(*effect, &format!("may it {text}"), record.seq)
            }
            Event::EffectEnded { effect, outcome: Outcome::Asks { question } } => {
                self.question_line(*effect, &question.text, record.seq)
            }
            Event::EffectEnded { effect, outcome } => {
                self.effect_line(self.effects.get(effect)?, outcome)
            }
            Event::NotificationFailed { .. } | Event::ProjectMoved { .. } => itself(),
            Event::QueueEntered { op } => self.entered_line(*op),
            Event::QueueLeft { op, end, .. } => self.queue_line(*op, end),
            Event::QueueArranged { how } => self.arranged_line(record, *how),
            event @ (Event::BudgetSet { .. }
            | Event::TokensSet { .. }
            | Event::BudgetWarned { .. }
            | Event::TokensWarned { .. }
            | Event::BudgetSpent { .. }
            | Event::BudgetRenewed { .. }) => self.budget_line(event),
            Event::CircuitChanged { bucket, change } => Some(Line::new(bucket, change.to_string())),
            event @ (Event::StatusChanged { .. }
            | Event::IterationStarted { .. }
            | Event::ModelChanged { .. }
            | Event::Deferred { .. }
            | Event::LimitReached { .. }
            | Event::InternalError { .. }
            | Event::GateTamperSuspected { .. }
            | Event::GateFlaked { .. }
            | Event::Reviewed { .. }
            | Event::ApprovalAsked
            | Event::Approved
            | Event::LandingSeen { .. }
            | Event::SyncAsked
            | Event::Rejected { .. }
            | Event::NoteAdded { .. }
            | Event::Spoken { .. }
            | Event::Rewound { .. }
            | Event::Retried { .. }
            | Event::QuestionAnswered { .. }
            | Event::PauseAsked
            | Event::StopAsked) => self.loop_line(self.loops.get(&record.loop_id?)?, event),
            Event::LimitsSet { .. }
            | Event::ProjectAdded { .. }
            | Event::ProjectForgotten { .. }
            | Event::PlanSubmitted { .. }
            | Event::SpecAdded { .. }
            | Event::PlanReleased { .. }
            | Event::IntegrationMoved { .. }
            | Event::EffectStarted { .. }
            | Event::EffectObserved { .. }
            | Event::IterationEnded { .. }
            | Event::DeferralOver
            | Event::NotificationSent { .. }
            | Event::Passed { .. }
            | Event::Superseded { .. }
            | Event::ResumeAsked => None,
        }
    }

    /// What a person or another loop says.
    fn said_line(&self, it: &LoopView, event: &Event) -> Option<Line> {
        let line = |text: String| Line::new(&it.name, text);
        if let Event::NoteAdded { now, .. } = event {
            return Some(line(noted(*now).to_owned()));
        }
        let Event::Spoken { word } = event else { return None };
        Some(match word {
            Spoken::Told { letter } => {
                line(format!("told by {}: {}", self.loop_name(letter.from), letter.kind))
            }
            Spoken::Muted { until } => Line {
                until: Some(*until),
                ..line("sends too many messages; they are refused for a while".to_owned())
            },
            Spoken::Query { query } => line(format!("asked by {}", self.loop_name(query.from))),
            Spoken::QueryEnded { from, end, .. } => {
                line(format!("the query of {}: {end}", self.loop_name(*from)))
            }
            Spoken::Stopped { by, why, .. } => {
                line(format!("stopping, as {} wants it; its work is kept", self.loop_name(*by)))
                    .detail(why.as_str())
            }
            Spoken::Refused { .. } => return None,
        })
    }

    /// What an agent or a loop asks, and how to answer.
    fn question_line(&self, effect: EffectId, text: &str, id: Seq) -> Option<Line> {
        let name = self.owner_name(self.effects.get(&effect)?.owner);
        Some(Line::new(&name, format!("asks: {text}")).detail(format!("taskd answer {id}")))
    }

    /// What became of a budget.
    fn budget_line(&self, event: &Event) -> Option<Line> {
        if let Event::BudgetSpent { of, until } = event {
            let line = Line::new(&self.purse(*of)?, "today's budget is spent");
            return Some(Line { until: Some(*until), ..line });
        }
        if let Event::BudgetRenewed { of } = event {
            return Some(Line::new(&self.purse(*of)?, "the day's budget is renewed"));
        }
        let (of, text) = if let Event::BudgetSet { of, micros } = event {
            (*of, may_spend(*of, Unit::Micros, *micros))
        } else if let Event::TokensSet { of, tokens } = event {
            (*of, may_spend(*of, Unit::Tokens, *tokens))
        } else if let Event::BudgetWarned { of, spent_micros, budget_micros } = event {
            (*of, spent_of(Unit::Micros, *spent_micros, *budget_micros))
        } else if let Event::TokensWarned { of, spent, budget } = event {
            (*of, spent_of(Unit::Tokens, *spent, *budget))
        } else {
            return None;
        };
        Some(Line::new(&self.purse(of)?, text))
    }

    /// Whose money it is; nobody's where the plan is its one loop, which says it.
    fn purse(&self, of: Purse) -> Option<String> {
        match of {
            Purse::Plan(id) => self.plans.get(&id).filter(|it| !it.single).map(|_| id.to_string()),
            Purse::Loop(_) | Purse::Project(_) | Purse::All => Some(self.purse_name(of)),
        }
    }

    /// What people call an owner of work.
    fn owner_name(&self, owner: Owner) -> String {
        match owner {
            Owner::Loop(id) => self.loop_name(id),
            Owner::Plan(id) => id.to_string(),
            Owner::Queue(_) => String::new(),
        }
    }

    /// What people call a loop.
    #[must_use]
    pub fn loop_name(&self, id: LoopId) -> String {
        self.loops.get(&id).map_or_else(|| id.to_string(), |it| it.name.clone())
    }

    fn plan_ended(&self, id: PlanId) -> Option<Line> {
        let plan = self.plans.get(&id).filter(|it| !it.single)?;
        let mut text = format!("ended: {} of {} landed", plan.landed, plan.specs);
        for status in [Status::Failed, Status::Stopped] {
            let n = plan.totals.of(status);
            if n > 0 {
                text.push_str(&format!(", {n} {status}"));
            }
        }
        Some(Line::new(&id.to_string(), text).detail(money(&plan.spent, plan.uncounted)))
    }

    fn effect_line(&self, open: &EffectView, outcome: &Outcome) -> Option<Line> {
        let name = self.owner_name(open.owner);
        let line = |text: String| Line::new(&name, text);
        match outcome {
            Outcome::BaseChecked(report) => {
                let Owner::Plan(plan) = open.owner else { return None };
                Some(base_line(&name, &self.plans.get(&plan)?.target, report))
            }
            Outcome::Prepared { salvaged: None } => Some(line("worktree ready".to_owned())),
            Outcome::Prepared { salvaged: Some(it) } => {
                let detail = format!("earlier files saved as {}", it.short());
                Some(line("worktree ready".to_owned()).detail(detail))
            }
            Outcome::AcceptRan { green: false, .. } => {
                Some(line("accept before any work: red, as it should be".to_owned()))
            }
            Outcome::AcceptRan { green: true, .. } => {
                Some(line("accept before any work: GREEN".to_owned()))
            }
            Outcome::Asks { .. } => None,
            Outcome::ToolDone { error, .. } => {
                let EffectKind::Tool(tool) = &open.kind else { return None };
                let detail = if *error { "error" } else { "" };
                Some(line(format!("ran {tool}")).detail(detail).within())
            }
            Outcome::AgentDone { exit: 0, run, .. } => {
                let detail = run.remarks.first().map_or("", |it| it.text.as_str());
                let text = "agent says it is done; that decides nothing".to_owned();
                Some(line(text).detail(detail).within())
            }
            Outcome::AgentDone { exit, summary, run, .. } => {
                let then = if run.judged { "; the gate decides" } else { "" };
                Some(line(format!("agent ended with {exit}{then}")).detail(summary).within())
            }
            Outcome::Gated { markers: 1.., .. } => {
                Some(line("conflict markers are left".to_owned()).within())
            }
            Outcome::Gated { report, .. } => {
                let Owner::Loop(id) = open.owner else { return None };
                let untouched = self.plans.get(&id.plan()).and_then(|it| it.base_tests);
                Some(gate_line(&name, report.as_ref(), untouched).within())
            }
            Outcome::Rebased { conflicts, .. } => {
                let EffectKind::Rebase(onto) = &open.kind else { return None };
                Some(line(rebased(onto.commit, *conflicts)).within())
            }
            Outcome::Decomposed { children, format, .. } => Some(line(named(*children, *format))),
            Outcome::Replied { found: Some(it), .. } => {
                Some(line("second reader".to_owned()).detail(&it.summary).within())
            }
            // A loop's failure is told by what follows from it: a wait, a question, another model.
            Outcome::Failed { .. } if matches!(open.owner, Owner::Loop(_)) => None,
            Outcome::Failed { message, .. } => {
                Some(line(format!("{} failed", open.kind.verb())).detail(message))
            }
            Outcome::Composed { .. }
            | Outcome::Replied { .. }
            | Outcome::Answered { .. }
            | Outcome::Relayed { .. }
            | Outcome::Saved { .. }
            | Outcome::Built { .. }
            | Outcome::BuiltEmpty
            | Outcome::BuildConflict { .. }
            | Outcome::CandidateGated(_)
            | Outcome::Published
            | Outcome::PublishMoved { .. }
            | Outcome::Proposed { .. }
            | Outcome::PublishHeld { .. }
            | Outcome::Cancelled { .. } => None,
        }
    }

    fn arranged_line(&self, record: &Record, how: Arranged) -> Option<Line> {
        let name = match record.loop_id {
            Some(id) => self.loop_name(id),
            None => self.projects.get(&record.project?)?.root.clone(),
        };
        let text = match how {
            Arranged::Held => "held in the landing queue".to_owned(),
            Arranged::Released => "released in the landing queue".to_owned(),
            Arranged::Moved { before: None } => "goes first in the landing queue".to_owned(),
            Arranged::Moved { before: Some(other) } => {
                format!("goes before {} in the landing queue", self.loop_name(other))
            }
        };
        Some(Line::new(&name, text))
    }

    fn entered_line(&self, op: QueueOp) -> Option<Line> {
        match op {
            QueueOp::Land(id) => Some(Line::new(&self.loop_name(id), "in the queue to land")),
            QueueOp::Undo(id) => Some(Line::new(&self.loop_name(id), "in the queue to be undone")),
            QueueOp::Integrate(_) | QueueOp::Refresh(_) => None,
        }
    }

    fn undo_line(&self, id: LoopId, end: &QueueEnd) -> Option<Line> {
        let it = self.loops.get(&id)?;
        Some(match end {
            QueueEnd::Done { commit, onto, .. } => {
                Line::new(&it.name, format!("undone by {}", commit.short()))
                    .detail(format!("gated on {}", onto.short()))
            }
            QueueEnd::Empty
            | QueueEnd::Red { .. }
            | QueueEnd::Conflict { .. }
            | QueueEnd::Proposed { .. }
            | QueueEnd::Held { .. }
            | QueueEnd::Failed { .. }
            | QueueEnd::Withdrawn => {
                let why = it.trouble.as_ref().map_or("not undone", |it| it.message.as_str());
                Line::new(&it.name, why.to_owned())
            }
        })
    }

    fn queue_line(&self, op: QueueOp, end: &QueueEnd) -> Option<Line> {
        if let QueueOp::Undo(id) = op {
            return self.undo_line(id, end);
        }
        let plan = self.plans.get(&op.plan())?;
        let (name, place) = match op {
            QueueOp::Land(id) | QueueOp::Undo(id) => (self.loop_name(id), plan.target.clone()),
            QueueOp::Integrate(id) => (self.loop_name(id), format!("the work of {}", plan.id)),
            QueueOp::Refresh(id) => (id.to_string(), format!("the new {}", plan.target)),
        };
        let landing = matches!(op, QueueOp::Land(_));
        let line = |text: String| Line::new(&name, text);
        match end {
            QueueEnd::Done { commit, onto, with, .. } if landing => {
                let line = line(format!("landed {} on {place}", commit.short()));
                let on = format!("gated on {}", onto.short());
                let names: Vec<String> = with.iter().map(|it| self.loop_name(*it)).collect();
                Some(line.detail(match &names[..] {
                    [] => on,
                    [one] => format!("{on}, in one with {one}"),
                    [one, more @ ..] => format!("{on}, in one with {one} and {} more", more.len()),
                }))
            }
            QueueEnd::Done { commit, .. } => match op {
                QueueOp::Refresh(_) => Some(line(format!("took in {place}"))),
                QueueOp::Integrate(_) | QueueOp::Land(_) if plan.specs > 1 => {
                    Some(line(format!("passed, joined {place} as {}", commit.short())))
                }
                QueueOp::Integrate(_) | QueueOp::Land(_) | QueueOp::Undo(_) => None,
            },
            QueueEnd::Empty if landing => Some(line(format!("{place} has it already"))),
            QueueEnd::Empty | QueueEnd::Withdrawn => None,
            QueueEnd::Red { .. } => Some(line(format!("gate RED together with {place}"))),
            QueueEnd::Conflict { .. } => Some(line(format!("does not merge with {place}"))),
            QueueEnd::Proposed { url, .. } => Some(line(format!("pull request {url}"))),
            QueueEnd::Held { why } => Some(line("landing is held".to_owned()).detail(why)),
            QueueEnd::Failed { message } => Some(line("landing failed".to_owned()).detail(message)),
        }
    }

    fn loop_line(&self, it: &LoopView, event: &Event) -> Option<Line> {
        let line = |text: String| Line::new(&it.name, text);
        let line = match event {
            Event::StatusChanged { from, to, reason } => {
                return self.status_line(it, *from, *to, reason);
            }
            Event::IterationStarted { n } => line(begun(it, *n)),
            event @ Event::ModelChanged { cause, .. } => {
                Line { until: cause.until(), ..line(event.to_string()) }
            }
            Event::Deferred { until, why } => {
                Line { until: Some(*until), ..line(format!("waits: {why}")) }
            }
            Event::LimitReached { limit } => line(format!("limit reached: {limit}")),
            Event::InternalError { message } => defect(line, message),
            Event::GateTamperSuspected { suspicion } => {
                line(format!("it {suspicion}")).detail("a person decides, whatever the gate says")
            }
            Event::GateFlaked { tests, .. } => line(flaky(tests)),
            event @ (Event::Reviewed { .. } | Event::ApprovalAsked) => it.comes_out(event),
            Event::Approved => line("approved".to_owned()),
            Event::LandingSeen { commit, .. } => {
                line(format!("landed as {}, seen on its target", commit.short()))
            }
            Event::SyncAsked => line("lands beside your changes".to_owned()),
            Event::Rejected { .. } => line("sent back".to_owned()),
            event @ (Event::Rewound { .. } | Event::Retried { .. }) => it.goes_back(event),
            Event::NoteAdded { .. } | Event::Spoken { .. } => return self.said_line(it, event),
            event @ Event::QuestionAnswered { .. } => {
                line(format!("answered: {}", it.answer_in(event)?))
            }
            Event::PauseAsked => line("pausing at the next safe point".to_owned()),
            Event::StopAsked => line("stopping; its work is kept".to_owned()),
            Event::DaemonStarted { .. }
            | Event::DaemonStopped
            | Event::WorkParked
            | Event::WorkUnparked
            | Event::DiskChanged { .. }
            | Event::LimitsSet { .. }
            | Event::ProjectAdded { .. }
            | Event::ProjectMoved { .. }
            | Event::ProjectForgotten { .. }
            | Event::MainMoved { .. }
            | Event::PlanSubmitted { .. }
            | Event::SpecAdded { .. }
            | Event::PlanReleased { .. }
            | Event::IntegrationMoved { .. }
            | Event::PlanEnded { .. }
            | Event::EffectStarted { .. }
            | Event::EffectObserved { .. }
            | Event::EffectEnded { .. }
            | Event::IterationEnded { .. }
            | Event::Superseded { .. }
            | Event::DeferralOver
            | Event::Passed { .. }
            | Event::ResumeAsked
            | Event::BudgetSet { .. }
            | Event::BudgetWarned { .. }
            | Event::TokensSet { .. }
            | Event::TokensWarned { .. }
            | Event::BudgetSpent { .. }
            | Event::BudgetRenewed { .. }
            | Event::CircuitChanged { .. }
            | Event::QueueEntered { .. }
            | Event::QueueLeft { .. }
            | Event::NotificationSent { .. }
            | Event::NotificationFailed { .. }
            | Event::QueueArranged { .. } => return None,
        };
        Some(line)
    }

    fn status_line(
        &self,
        it: &LoopView,
        from: Status,
        to: Status,
        reason: &Reason,
    ) -> Option<Line> {
        let line = |text: String| Some(Line::new(&it.name, text));
        match to {
            Status::Blocked => line(format!("needs you: {reason}")),
            Status::Failed => line(format!("failed: {reason}")),
            Status::Stopped if *reason == Reason::Superseded => {
                line(format!("{reason}; its work is kept"))
            }
            Status::Stopped => line("stopped".to_owned()),
            Status::Paused => line("paused".to_owned()),
            Status::Running | Status::Pending
                if matches!(from, Status::Paused | Status::Blocked) =>
            {
                line("goes on".to_owned())
            }
            Status::Complete => {
                let never = self
                    .plans
                    .get(&it.id.plan())
                    .is_some_and(|plan| plan.land == LandPolicy::Never);
                if !never || it.writes {
                    return None;
                }
                line(format!("passed, and lands nowhere: {}", it.sum()))
            }
            Status::Draft | Status::Pending | Status::Running | Status::Rebasing => None,
        }
    }
}

impl LoopView {
    /// What came of its work: it may land, or its document is right.
    fn comes_out(&self, event: &Event) -> Line {
        let line = |text: String| Line::new(&self.name, text);
        if let Event::Reviewed { n, .. } = event {
            let drafted = || "its document is right".to_owned();
            return line(if *n == 0 { drafted() } else { event.to_string() }).within();
        }
        if self.writes {
            return line("its document waits for your word".to_owned());
        }
        line(format!("ready to land: {}", self.sum()))
    }

    /// A person sent it back, or wants it tried again.
    fn goes_back(&self, event: &Event) -> Line {
        let again = matches!(event, Event::Retried { .. });
        let kept = "what came after it is kept: taskd salvage ls";
        Line::new(&self.name, event.to_string()).detail(if again {
            "with fresh limits"
        } else {
            kept
        })
    }

    /// What the next iteration is told about the last one.
    fn told(&self) -> String {
        let Some(last) = self.iterations.last() else { return String::new() };
        match last.verdict {
            Some(Verdict::Red) => {
                let failed = last.summary.split_once(" of ").and_then(|(n, _)| n.parse().ok());
                match failed {
                    Some(n) => format!(", told about the {}", count(n, "failure")),
                    None => ", told what the gate said".to_owned(),
                }
            }
            Some(Verdict::Unchanged) => ", told that nothing changed".to_owned(),
            Some(Verdict::Conflict) => ", told about the conflict".to_owned(),
            Some(Verdict::Objected) => ", told what the second reader found".to_owned(),
            Some(Verdict::AgentFailed) => ", after the agent failed".to_owned(),
            Some(Verdict::Green) | None => String::new(),
        }
    }

    /// The sum of its work: `3 files, +131 -9, 2 iterations, $0.84`.
    fn sum(&self) -> String {
        let Change { files, added, removed } = self.change;
        let files = count(u64::from(files), "file");
        let iterations = count(u64::from(self.iteration), "iteration");
        let cost = money(&self.spent, self.uncounted);
        format!("{files}, +{added} -{removed}, {iterations}, {cost}")
    }
}

impl EffectKind {
    /// A word or two for people.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::CheckBase => "gate on the untouched base",
            Self::Prepare => "worktree",
            Self::Accept => "accept",
            Self::Compose => "prompt",
            Self::Call => "model call",
            Self::Tool(_) => "tool",
            Self::Save => "saving files",
            Self::Agent => "agent",
            Self::Relay(_) => "agent's call",
            Self::Answer(_) => "answer to another loop",
            Self::Gate => "gate",
            Self::Decompose => "document",
            Self::Rebase(_) => "rebase",
            Self::Build(_) => "candidate",
            Self::GateCandidate(_) => "gate of the candidate",
            Self::Publish(_) => "landing",
        }
    }
}

fn rebased(onto: Oid, conflicts: u32) -> String {
    let how = match conflicts {
        0 => "clean".to_owned(),
        n => format!("{} in conflict", count(u64::from(n), "file")),
    };
    format!("rebased onto {}, {how}", onto.short())
}

/// A person told a loop something.
fn noted(now: bool) -> &'static str {
    if now {
        "note taken; its turn ends, the next prompt tells it"
    } else {
        "note taken; the next prompt tells it"
    }
}

fn main_line(event: &Event) -> Option<Line> {
    let Event::MainMoved { target, commits, rewritten, .. } = event else { return None };
    let text = match (*rewritten, *commits) {
        (true, _) => format!("{target} was rewritten"),
        (false, 0) => format!("{target} moved"),
        (false, n) => format!("{target} moved +{n}"),
    };
    Some(Line::new(target, text))
}

fn base_line(name: &str, target: &str, report: &GateReport) -> Line {
    let text =
        format!("gate on untouched {target}: {}", if report.green { "green" } else { "RED" });
    match report.tests {
        Some(n) if report.green => Line::new(name, format!("{text}, {}", tests(n))),
        Some(_) | None if report.green => Line::new(name, text),
        Some(_) | None => Line::new(name, text).detail(report.summary.as_str()),
    }
}

fn gate_line(name: &str, report: Option<&GateReport>, untouched: Option<u32>) -> Line {
    let Some(report) = report else {
        return Line::new(name, "nothing changed, so nothing to gate");
    };
    if !report.green {
        return Line::new(name, "gate RED").detail(report.summary.as_str());
    }
    if report.ms == 0 {
        // A document, whose form was looked at and nothing run.
        return Line::new(name, "gate GREEN").detail(report.summary.as_str());
    }
    let took = format_duration_ms(report.ms);
    let detail = match (report.tests, untouched) {
        (Some(n), Some(before)) if n > before => {
            format!("{}, {} more than before, {took}", tests(n), n - before)
        }
        (Some(n), Some(before)) if n < before => {
            format!("{}, {} FEWER than before, {took}", tests(n), before - n)
        }
        (Some(n), _) => format!("{}, {took}", tests(n)),
        (None, _) => took,
    };
    Line::new(name, "gate GREEN").detail(detail)
}

fn tests(n: u32) -> String {
    count(u64::from(n), "test")
}

/// `1 file`, `2 files`.
fn count(n: u64, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

fn begun(it: &LoopView, n: u32) -> String {
    format!("iteration {n}/{}{}", it.max(), it.told())
}

/// What is told of a defect of ours.
fn defect(line: impl Fn(String) -> Line, message: &str) -> Line {
    line("a defect of taskd ends it".to_owned()).detail(message)
}

/// Cost for people, with what nobody counted, or what has no known price, named.
fn money(spent: &Usage, uncounted: bool) -> String {
    let told = match (spent.micros, uncounted) {
        (0, true) => return "uncounted".to_owned(),
        (_, true) => format!("{} and uncounted", format_micros(spent.micros)),
        (_, false) => format_micros(spent.micros),
    };
    match (spent.micros, spent.unpriced) {
        (_, 0) => told,
        (0, _) => "no price known".to_owned(),
        (_, _) => format!("{told} and calls without a price"),
    }
}

/// What a document names.
fn named(children: u16, format: Option<Format>) -> String {
    format!("names {}", count(u64::from(children), format.map_or("spec", Format::unit)))
}

/// The untouched base was not asked.
fn released(plan: PlanId) -> Line {
    Line::new(&plan.to_string(), "released").detail("the untouched base need not be green")
}

/// Until when another model works, where that is known.
fn flaky(tests: &[String]) -> String {
    let of = if tests.is_empty() { String::new() } else { format!(": {}", tests.join(", ")) };
    format!("the gate is flaky, red and green on one tree{of}")
}
