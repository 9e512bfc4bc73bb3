//! The words for what a loop does, waits for and needs.
//!
//! One function for each column, so that `ls`, `show` and JSON say the same.

use taskd_model::{
    Change, Doing, Format, Group, Limit, LoopView, PlanState, PlanView, QuestionView, QueuePhase,
    Reason, Room, Status, Time, Usage, Verdict, View, Worker, format_micros,
};

use super::{
    Scene,
    text::{clean, count},
};

/// No sign of life for so long is worth a word, in milliseconds.
const SILENT_MS: u64 = 60_000;

/// Needs that are named before the rest is counted.
const NEEDS_NAMED: usize = 3;

/// What works.
pub(crate) fn worker(it: &Worker) -> String {
    clean(it.called())
}

/// What a loop is doing.
pub(crate) fn doing(view: &View, it: &LoopView, now: Time) -> String {
    let who = worker(it.at_work());
    match &it.doing {
        Doing::NotStarted => waits_for(view, it),
        Doing::Preparing => "making its worktree".to_owned(),
        Doing::Accept => "accept, before any work".to_owned(),
        Doing::Composing => "writing its prompt".to_owned(),
        Doing::QueuedForModel | Doing::QueuedForAgent | Doing::Idle
            if let Some(of) = view.waits_for_day(it) =>
        {
            format!("tomorrow's money of {}", clean(&view.purse_name(of)))
        }
        Doing::QueuedForModel => format!("a call to {who}"),
        Doing::Calling => format!("{who} replies"),
        Doing::Tool(name) => format!("{who}: {}", clean(name)),
        Doing::QueuedForAgent => format!("a slot for {who}"),
        Doing::Agent(_) if now.ms_since(it.last_sign) >= SILENT_MS => format!("{who}, silent"),
        Doing::Agent(Some(what)) => format!("{who}: {}", clean(what)),
        Doing::Agent(None) => who,
        Doing::Asks(what) => match it.open_questions().next() {
            Some(question) => asks(question),
            None => clean(&format!("asks: {what}")),
        },
        Doing::QueuedForGate => "a slot for its gate".to_owned(),
        Doing::Gate { since, estimate_ms } => {
            let ran = now.ms_since(*since) / 1_000;
            match estimate_ms {
                Some(ms) => format!("gate, {ran} of about {} s", ms.div_ceil(1_000)),
                None => format!("gate, {ran} s"),
            }
        }
        Doing::Rebasing => "moving onto the new base".to_owned(),
        Doing::ReadyToLand => ready(it),
        Doing::InQueue { landing, phase } => queue(view, it, *landing, *phase),
        // Its row has no room for more.
        Doing::Held(why) if it.pull_request.is_some() => clean(why),
        Doing::Held(why) => {
            let plan = view.plans.get(&it.id.plan());
            let target = plan.map_or("the target", |it| it.target.as_str());
            clean(&format!("passed, not yet in {target}: {why}"))
        }
        Doing::Deferred { why, .. } => clean(why),
        Doing::Idle => "between two steps".to_owned(),
    }
}

/// What an agent asks a person, and how to answer.
pub(crate) fn asks(it: &QuestionView) -> String {
    let choices = it.choices.iter().zip(1..).map(|(name, n)| format!("{n} {name}"));
    let choices = choices.collect::<Vec<_>>().join(", ");
    if it.free {
        let answer =
            if choices.is_empty() { "\"...\"".to_owned() } else { format!("N: {choices}") };
        return clean(&format!("asks: {}  taskd answer {} {answer}", it.text, it.id));
    }
    clean(&format!("may it {}?  taskd answer {} N: {choices}", it.text, it.id))
}

/// What a waiting loop waits for.
pub(crate) fn waits_for(view: &View, it: &LoopView) -> String {
    match it.status {
        Status::Paused => format!("paused: taskd resume {}", it.name),
        Status::Draft | Status::Pending => {
            let needs: Vec<&LoopView> = view.waits_for(it).collect();
            let plan = view.plans.get(&it.id.plan());
            if plan.is_some_and(|it| it.state == PlanState::Checking) {
                let target = plan.map_or("the base", |it| it.target.as_str());
                format!("gate on untouched {}", clean(target))
            } else if let (true, Some((other, glob))) = (needs.is_empty(), view.held_by(it)) {
                format!("{} works on {}", clean(&other.name), clean(glob))
            } else if needs.is_empty() {
                let short = view.disk.room != Room::Enough;
                match (view.parked, short) {
                    (true, _) => "parked: taskd resume --all",
                    (false, true) => "room on the disk",
                    (false, false) => "a slot",
                }
                .to_owned()
            } else {
                let named = needs.iter().take(NEEDS_NAMED);
                let named = named.map(|need| format!("{} ({})", clean(&need.name), need.group()));
                let mut text = named.collect::<Vec<_>>().join(", ");
                if NEEDS_NAMED < needs.len() {
                    text.push_str(&format!(", {} more", needs.len() - NEEDS_NAMED));
                }
                text
            }
        }
        Status::Running
        | Status::Rebasing
        | Status::Blocked
        | Status::Complete
        | Status::Failed
        | Status::Stopped => doing(view, it, it.last_sign),
    }
}

/// Until when a waiting loop waits, if that is known.
pub(crate) fn until(view: &View, it: &LoopView, scene: &Scene) -> String {
    let day = view.waits_for_day(it).and_then(|of| view.budget(of, scene.now));
    if let Some(at) = day.and_then(|it| it.closed_until) {
        return scene.clock(at);
    }
    match &it.doing {
        Doing::Deferred { until, .. } => scene.clock(*until),
        Doing::NotStarted
        | Doing::Preparing
        | Doing::Accept
        | Doing::Composing
        | Doing::QueuedForModel
        | Doing::Calling
        | Doing::Tool(_)
        | Doing::QueuedForAgent
        | Doing::Agent(_)
        | Doing::QueuedForGate
        | Doing::Gate { .. }
        | Doing::Rebasing
        | Doing::ReadyToLand
        | Doing::InQueue { .. }
        | Doing::Held(_)
        | Doing::Asks(_)
        | Doing::Idle => String::new(),
    }
}

/// Why a loop needs a person.
pub(crate) fn needs_you(view: &View, it: &LoopView, now: Time) -> String {
    if it.status != Status::Blocked {
        return doing(view, it, now);
    }
    let reason = match &it.reason {
        Some(Reason::Conflict) if it.conflicts > 0 => {
            format!("{} not solved", count(u64::from(it.conflicts), "conflict"))
        }
        Some(Reason::Limit(limit @ (Limit::Budget | Limit::PlanBudget))) => {
            out_of_money(view, it, *limit)
        }
        Some(Reason::NoProgress(_)) if let Some(same) = it.same_again() => {
            format!("no progress: {same} with the same tree")
        }
        Some(reason) => reason.to_string(),
        None => "blocked".to_owned(),
    };
    match &it.trouble {
        Some(trouble) if !reason.contains(&trouble.message) => {
            clean(&format!("{reason}: {}", trouble.message))
        }
        Some(_) | None => clean(&reason),
    }
}

/// Whose money it is that has run out, and how much it was.
fn out_of_money(view: &View, it: &LoopView, limit: Limit) -> String {
    let of_plan = view.plans.get(&it.id.plan()).filter(|_| limit == Limit::PlanBudget);
    let (whose, budget) = match of_plan {
        Some(plan) => (plan.id.to_string(), plan.budget()),
        None => (it.name.clone(), it.budget()),
    };
    let told = budget.tightest().map(|(unit, spent, limit)| {
        format!("{} of {} spent; ", unit.format(spent), unit.format(limit))
    });
    format!("{}taskd budget set {whose}", told.unwrap_or_default())
}

/// How a loop ended.
pub(crate) fn ended(it: &LoopView) -> String {
    if it.is_superseded() {
        return "superseded".to_owned();
    }
    let reason = it.reason.as_ref().map(ToString::to_string).unwrap_or_default();
    match (it.status, &it.landed) {
        (Status::Complete, Some(_)) if let Some(undone) = &it.undone => {
            format!("undone by {}", undone.commit.short())
        }
        (Status::Complete, Some(landed)) => format!("landed {}", landed.commit.short()),
        (Status::Complete, None) if it.reason == Some(Reason::AlreadyThere) => clean(&reason),
        (Status::Complete, None) if let Some(document) = it.document => {
            let unit = document.format.map_or("spec", Format::unit);
            format!("named {}", count(u64::from(document.children), unit))
        }
        (Status::Complete, None) => "passed, lands nowhere".to_owned(),
        (Status::Failed, _) => format!("failed: {}", clean(&reason)),
        (status, _) => status.to_string(),
    }
}

/// How much of a plan is on its target; what is being written where nothing is there to land yet.
pub(crate) fn landed(view: &View, plan: &PlanView) -> String {
    if plan.specs > 0 {
        return format!("{} of {} landed", plan.landed, plan.specs);
    }
    let document = view.loops_of(plan.id).find(|it| it.writes && it.document.is_none());
    match document {
        Some(it) if it.status.is_over() => format!("no specs: {} {}", clean(&it.name), it.status),
        Some(it) if it.group() == Group::NeedsYou => format!("{} needs you", clean(&it.name)),
        Some(it) => format!("{} is being written", clean(&it.name)),
        None => "no specs".to_owned(),
    }
}

/// One line on where a loop is, whichever group it is in.
pub(crate) fn state(view: &View, it: &LoopView, now: Time) -> String {
    match it.group() {
        Group::NeedsYou => needs_you(view, it, now),
        Group::Working => doing(view, it, now),
        Group::Waiting => waits_for(view, it),
        Group::Done => ended(it),
    }
}

/// Since when a loop is where it is.
pub(crate) fn since(it: &LoopView) -> Time {
    it.approval_asked.unwrap_or(it.status_since.max(it.doing_since))
}

/// What a loop's base lacks.
pub(crate) fn base(view: &View, it: &LoopView) -> String {
    match view.behind(it) {
        0 => {
            let plan = view.plans.get(&it.id.plan());
            plan.map_or_else(String::new, |plan| clean(&plan.target))
        }
        n => format!("{n} behind"),
    }
}

/// Money spent, with a word for what nobody counted.
pub(crate) fn cost(micros: u64, uncounted: bool) -> String {
    match (micros, uncounted) {
        (0, true) => "uncounted".to_owned(),
        (_, true) => format!("{}+", format_micros(micros)),
        (_, false) => format_micros(micros),
    }
}

/// The same of what was used: calls without a known price are no cost of nothing.
pub(crate) fn spent(usage: &Usage, uncounted: bool) -> String {
    match (usage.micros, usage.unpriced) {
        (0, 1..) if !uncounted => "no price".to_owned(),
        (micros, unpriced) => cost(micros, uncounted || unpriced > 0),
    }
}

/// `+131 -9`.
pub(crate) fn change(it: &Change) -> String {
    format!("+{} -{}", it.added, it.removed)
}

/// How an iteration's gate ended.
pub(crate) fn verdict(it: Option<Verdict>) -> &'static str {
    match it {
        None => "running",
        Some(Verdict::Green) => "green",
        Some(Verdict::Red) => "red",
        Some(Verdict::Unchanged) => "nothing changed",
        Some(Verdict::AgentFailed) => "agent failed",
        Some(Verdict::Conflict) => "conflict",
        Some(Verdict::Objected) => "objected",
    }
}

fn ready(it: &LoopView) -> String {
    if let Some(suspicion) = &it.suspicion {
        return clean(&format!("your word: it {suspicion}"));
    }
    if it.writes {
        return clean(&format!("your word: {}", document(it)));
    }
    let mut text = format!("ready to land, {}", change(&it.change));
    match &it.passed {
        Some(passed) => {
            text.push_str(", gate green");
            if let Some(n) = passed.tests {
                text.push_str(&format!(", {}", count(u64::from(n), "test")));
            }
        }
        None => text.push_str(", no gate"),
    }
    text
}

/// What the gate said of a loop's document.
fn document(it: &LoopView) -> &str {
    it.gate.as_ref().map_or("its document is right", |it| it.summary.as_str())
}

fn queue(view: &View, it: &LoopView, landing: bool, phase: QueuePhase) -> String {
    let goal = if landing { "to land" } else { "to join its plan" };
    match phase {
        QueuePhase::Waiting => match view.queue_place(it) {
            Some((1, _)) | None => format!("next {goal}"),
            Some((place, of)) => format!("number {place} of {of} {goal}"),
        },
        QueuePhase::Building => format!("{goal}: making its commit"),
        QueuePhase::Gating => format!("{goal}: gate on its commit"),
        QueuePhase::Publishing => format!("{goal}: moving the ref"),
    }
}
