//! One line about a loop or a plan: what it does, what it waits for, how it ended.
//!
//! Derived from the view and the time, and never stored.

use taskd_model::{
    Doing, Group, LoopView, PlanView, QueuePhase, Status, Time, View, format_age_ms,
    format_duration_ms, format_micros,
};

/// A loop that gave no sign for so long is called silent, in milliseconds.
const SILENT_MS: u64 = 60_000;

/// What a loop does, or waits for, or came to.
pub(crate) fn state(view: &View, it: &LoopView, now: Time) -> String {
    let text = match it.group() {
        Group::NeedsYou => needs_you(it),
        Group::Working => working(it, now),
        Group::Waiting => waiting(view, it, now),
        Group::Done => done(it),
    };
    match (it.stopping, it.pausing) {
        (true, _) => format!("stopping: {text}"),
        (false, true) => format!("pausing: {text}"),
        (false, false) => text,
    }
}

/// Since when a loop is as it is, or when it gave its last sign.
pub(crate) fn since(it: &LoopView) -> Time {
    match it.group() {
        Group::Working => it.last_sign,
        Group::Done => it.ended_at.unwrap_or(it.status_since),
        Group::NeedsYou | Group::Waiting => it.status_since.max(it.doing_since),
    }
}

/// How old something is.
pub(crate) fn age(now: Time, since: Time) -> String {
    format_age_ms(now.ms_since(since))
}

/// What a loop or a plan cost.
pub(crate) fn cost(micros: u64, uncounted: bool) -> String {
    match (micros, uncounted) {
        (0, true) => "?".to_owned(),
        (_, true) => format!("{}+?", format_micros(micros)),
        (_, false) => format_micros(micros),
    }
}

/// How far a plan is: `2 of 5 landed`.
pub(crate) fn progress(plan: &PlanView) -> String {
    format!("{} of {} landed", plan.landed, plan.specs)
}

/// The size of a loop's work and what its gate said: `+131 -9, gate green, 221 tests`.
pub(crate) fn work(it: &LoopView) -> String {
    let mut out = format!("+{} -{}", it.change.added, it.change.removed);
    if let Some(gate) = &it.gate {
        out.push_str(if gate.green { ", gate green" } else { ", gate RED" });
        if let Some(n) = gate.tests {
            out.push_str(&format!(", {n} tests"));
        }
    }
    out
}

/// What one wants to know of a loop at a glance, a few words each: what it does, since when it was
/// not heard of, what its gate said, what it cost, how old its base is, when it wakes.
pub(crate) fn facts(view: &View, it: &LoopView, now: Time) -> Vec<String> {
    let mut out = vec![state(view, it, now), format!("last sign {} ago", age(now, it.last_sign))];
    out.push(match &it.gate {
        Some(gate) if gate.green => format!("gate green: {}", gate.summary),
        Some(gate) => format!("gate RED: {}", gate.summary),
        None => "no gate yet".to_owned(),
    });
    let cost = cost(it.spent.micros, it.uncounted);
    out.push(match it.limits.budget_micros {
        0 => cost,
        budget => format!("{cost} of {}", format_micros(budget)),
    });
    out.push(match view.behind(it) {
        0 => "base up to date".to_owned(),
        n => format!("base {n} behind"),
    });
    if let Doing::Deferred { until, .. } = &it.doing
        && *until > now
    {
        out.push(format!("wakes in {}", format_duration_ms(until.ms_since(now) / 1_000 * 1_000)));
    }
    out
}

fn needs_you(it: &LoopView) -> String {
    match &it.doing {
        Doing::ReadyToLand => match &it.suspicion {
            Some(suspicion) => format!("your word: it {suspicion}"),
            None if it.writes => {
                let said = it.gate.as_ref().map_or("its document", |it| it.summary.as_str());
                format!("your word: {said}")
            }
            None => format!("ready to land, {}", work(it)),
        },
        Doing::Held(why) => format!("landing is held: {why}"),
        Doing::Asks(what) => match it.open_questions().next() {
            Some(it) if it.free => format!("asks: {what}: taskd answer {}", it.id),
            Some(it) => format!("may it {what}: taskd answer {}", it.id),
            None => format!("asks: {what}"),
        },
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
        | Doing::InQueue { .. }
        | Doing::Deferred { .. }
        | Doing::Idle => reason(it),
    }
}

fn working(it: &LoopView, now: Time) -> String {
    let worker = it.at_work().called();
    let silent = now.ms_since(it.last_sign) >= SILENT_MS;
    match &it.doing {
        Doing::Preparing => "making its worktree".to_owned(),
        Doing::Accept => "accept before any work".to_owned(),
        Doing::Composing => "composing its prompt".to_owned(),
        Doing::Calling if silent => format!("{worker}, silent"),
        Doing::Calling => format!("{worker} replies"),
        Doing::Tool(name) => format!("tool {name}"),
        Doing::Agent(_) if silent => format!("{worker}, silent"),
        Doing::Agent(Some(activity)) => format!("{worker}: {activity}"),
        Doing::Agent(None) => worker.to_owned(),
        Doing::Gate { since, estimate_ms } => {
            let past = format_duration_ms(now.ms_since(*since) / 1_000 * 1_000);
            match estimate_ms {
                Some(ms) => format!("gate, {past} of about {}", format_duration_ms(*ms)),
                None => format!("gate, {past}"),
            }
        }
        Doing::Rebasing => "moving to a new base".to_owned(),
        Doing::InQueue { landing, phase } => {
            let what = if *landing { "landing" } else { "joining its plan's work" };
            let phase = match phase {
                QueuePhase::Waiting => "waits",
                QueuePhase::Building => "building",
                QueuePhase::Gating => "gate",
                QueuePhase::Publishing => "moving the branch",
            };
            format!("{what}: {phase}")
        }
        Doing::NotStarted
        | Doing::QueuedForModel
        | Doing::QueuedForAgent
        | Doing::QueuedForGate
        | Doing::ReadyToLand
        | Doing::Held(_)
        | Doing::Asks(_)
        | Doing::Deferred { .. }
        | Doing::Idle => "between two steps".to_owned(),
    }
}

fn waiting(view: &View, it: &LoopView, now: Time) -> String {
    if it.status == Status::Paused {
        return "paused".to_owned();
    }
    if it.status == Status::Draft {
        return "gate on the untouched base".to_owned();
    }
    let mut needs = view.waits_for(it);
    if let Some(first) = needs.next() {
        let others = needs.count();
        let more = if others == 0 { String::new() } else { format!(" and {others} more") };
        return format!("for {} ({}){more}", first.name, first.group());
    }
    if let Some((other, glob)) = view.held_by(it) {
        return format!("for {}, which works on {glob}", other.name);
    }
    match &it.doing {
        Doing::Deferred { until, why } if *until > now => {
            format!("{why}, {} more", format_duration_ms(until.ms_since(now) / 1_000 * 1_000))
        }
        Doing::Deferred { why, .. } => why.clone(),
        Doing::QueuedForModel => format!("for a call of {}", it.worker.called()),
        Doing::QueuedForAgent => format!("for a slot for {}", it.worker.called()),
        Doing::QueuedForGate => "for a slot for its gate".to_owned(),
        Doing::InQueue { .. } => match view.queue_place(it) {
            Some((place, of)) => format!("in the landing queue, {place} of {of}"),
            None => "in the landing queue".to_owned(),
        },
        Doing::NotStarted
        | Doing::Preparing
        | Doing::Accept
        | Doing::Composing
        | Doing::Calling
        | Doing::Tool(_)
        | Doing::Agent(_)
        | Doing::Gate { .. }
        | Doing::Rebasing
        | Doing::ReadyToLand
        | Doing::Held(_)
        | Doing::Asks(_)
        | Doing::Idle => "for a slot".to_owned(),
    }
}

fn done(it: &LoopView) -> String {
    match (&it.landed, it.status) {
        (Some(landed), _) => format!("landed {}, {}", landed.commit.short(), work(it)),
        (None, Status::Failed) => format!("failed: {}", reason(it)),
        (None, Status::Stopped) if it.is_superseded() => "superseded; its work is kept".to_owned(),
        (None, Status::Stopped) => "stopped; its work is kept".to_owned(),
        (
            None,
            Status::Complete
            | Status::Draft
            | Status::Pending
            | Status::Running
            | Status::Paused
            | Status::Rebasing
            | Status::Blocked,
        ) => format!("passed, {}", work(it)),
    }
}

fn reason(it: &LoopView) -> String {
    it.reason.as_ref().map_or_else(|| it.status.to_string(), ToString::to_string)
}
