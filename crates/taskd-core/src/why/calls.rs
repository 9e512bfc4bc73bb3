//! The sentences about model calls that wait. The figures come from `calls`.

use taskd_model::{LoopId, Purse, Unit};

use crate::{
    CallWait, Coordinator, Evidence, Place, Room, RoomKind, WantedCall, WhyRow, engine::LoopEngine,
};

impl Coordinator {
    /// One link of the chain: what the call of `id` waits for; and the next link, if it is another
    /// loop.
    pub(super) fn call_row(&self, id: LoopId, call: WantedCall) -> (WhyRow, Option<LoopId>) {
        let name = self.name_of(id);
        let until = match call.wait {
            CallWait::Refused { until, .. }
            | CallWait::Room { until, .. }
            | CallWait::Retry { until, .. }
            | CallWait::Day { until, .. } => Some(until),
            CallWait::LeftAlone { until, .. } => until,
            CallWait::Slots { .. } | CallWait::Turn { .. } | CallWait::Money { .. } => None,
        };
        let head = if let CallWait::Turn { head } = call.wait { Some(head) } else { None };
        let row = WhyRow {
            subject: id,
            sentence: format!("{name} waits for {}", waited_for(&call)),
            until,
            evidence: evidence(&call),
            details: self.details(id, &call),
            call: Some(call),
        };
        (row, head.filter(|it| *it != id))
    }

    fn details(&self, id: LoopId, call: &WantedCall) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        if let Some(relay) = self.state().engine(id).and_then(LoopEngine::waiting_relay) {
            let n = relay.wanted.call;
            rows.push(("asked by", format!("its agent, which runs: call {n} of this run")));
        }
        if let Some(place) = call.place.filter(|it| 1 < it.of) {
            let told = matches!(call.wait, CallWait::Turn { .. });
            rows.push(("queue", self.place(&place, !told)));
        }
        let then = match call.wait {
            CallWait::Refused { .. } => "starts with 1 call; each answer doubles that".to_owned(),
            CallWait::LeftAlone { until: Some(_), .. } => {
                "one call goes as a probe; three answers in a row let all go".to_owned()
            }
            CallWait::LeftAlone { until: None, .. } => {
                "a probe is under way; three answers in a row let all go".to_owned()
            }
            CallWait::Slots { limit, usual, .. } if limit < usual => {
                format!("each answer doubles {limit}, up to {usual}")
            }
            CallWait::Slots { .. }
            | CallWait::Room { .. }
            | CallWait::Turn { .. }
            | CallWait::Retry { .. }
            | CallWait::Money { .. } => return rows,
            CallWait::Day { of, .. } => {
                let name = if of == Purse::All { "all" } else { "project" };
                format!("it goes on by itself, or at once with: taskd budget set {name}")
            }
        };
        rows.push(("then", then));
        rows
    }

    /// `2nd of 3, after p6.billing; first go 1 of other plans`.
    fn place(&self, it: &Place, plans: bool) -> String {
        let mut text = format!("{} of {}", ordinal(it.place), it.of);
        if let Some(after) = it.after {
            text.push_str(&format!(", after {}", self.name_of(after)));
        }
        let mut first = Vec::new();
        if plans && 0 < it.other_plans {
            first.push(format!("{} of other plans", it.other_plans));
        }
        if 0 < it.higher {
            first.push(format!("{} of a higher priority", it.higher));
        }
        if !first.is_empty() {
            text.push_str(&format!("; first go {}", first.join(", ")));
        }
        text
    }
}

/// What stands behind "waits for".
fn waited_for(call: &WantedCall) -> String {
    let bucket = &call.bucket;
    match &call.wait {
        CallWait::Refused { window: true, .. } => format!("the usage window of {bucket}"),
        CallWait::Refused { window: false, .. } => format!("{bucket}, which refused a call"),
        CallWait::LeftAlone { faults, of, .. } => {
            format!("{bucket}, which failed {faults} of {of} calls and is left alone")
        }
        CallWait::Slots { in_flight, limit, usual, .. } if limit < usual => format!(
            "a call slot of {bucket}: {in_flight} of {limit} in use, {usual} when all is well"
        ),
        CallWait::Slots { in_flight, limit, .. } => {
            format!("a call slot of {bucket}: {in_flight} of {limit} in use")
        }
        CallWait::Room { room, wanted, .. } => no_room(bucket, room, *wanted),
        CallWait::Turn { .. } => {
            let before = call.place.map_or(0, |it| it.place.saturating_sub(1));
            let others = call.place.map_or(0, |it| it.other_plans);
            let (calls, go) = if before == 1 { ("call", "goes") } else { ("calls", "go") };
            match others {
                0 => format!("its turn at {bucket}: {before} {calls} of its plan {go} first"),
                n if n == before => {
                    format!("its turn at {bucket}: {n} {calls} of other plans {go} first")
                }
                n => format!(
                    "its turn at {bucket}: {before} calls go first, {n} of them of other plans"
                ),
            }
        }
        CallWait::Retry { why, .. } => format!("another try ({why})"),
        CallWait::Money { of, unit, budget, spent, reserved, .. } => {
            let (what, use_) = match unit {
                Unit::Micros => ("money", "cost"),
                Unit::Tokens => ("tokens", "use"),
            };
            let (reserved, left) = (unit.format(*reserved), budget.saturating_sub(*spent));
            let left = unit.format(left);
            let whose = whose(*of);
            format!(
                "{what} {whose}: calls in flight may {use_} {reserved} of the {left} that are left"
            )
        }
        CallWait::Day { of, budget, spent, .. } => {
            let figures = Unit::ALL.into_iter().filter(|unit| 0 < budget.get(*unit));
            let figures = figures.map(|unit| {
                format!("{} of {}", unit.format(spent.get(unit)), unit.format(budget.get(unit)))
            });
            let figures = figures.collect::<Vec<_>>().join(" and ");
            format!("money: today's budget {} is spent, {figures}", whose(*of))
        }
    }
}

/// Of whom a budget is.
fn whose(of: Purse) -> &'static str {
    match of {
        Purse::Loop(_) => "of its own",
        Purse::Plan(_) => "of its plan",
        Purse::Project(_) => "of its project",
        Purse::All => "of everything",
    }
}

/// `room for 1000 input tokens at fast: 0 of our 2000 a minute are left`.
fn no_room(bucket: &str, room: &Room, wanted: u64) -> String {
    let whose = if room.of_provider { "the provider's" } else { "our" };
    let Room { left, per_minute, .. } = room;
    let things = match room.kind {
        RoomKind::Requests => {
            return format!("{bucket}, whose pace is {whose} {per_minute} requests a minute");
        }
        RoomKind::Input => "input tokens",
        RoomKind::Output => "output tokens",
        RoomKind::Tokens => "tokens",
    };
    format!("room for {wanted} {things} at {bucket}: {left} of {whose} {per_minute} a minute left")
}

fn evidence(call: &WantedCall) -> Option<Evidence> {
    let (seq, at, text) = match &call.wait {
        CallWait::Refused { by, at, .. } => (*by, Some(*at), "it refused a call"),
        CallWait::LeftAlone { by, at, .. } => (*by, Some(*at), "it failed once too often"),
        CallWait::Slots { by, limit, usual, .. } if limit < usual => {
            ((*by)?, None, "it began again with few calls")
        }
        CallWait::Slots { by, .. } => ((*by)?, None, "the oldest call in flight"),
        CallWait::Room { by, room, .. } if room.of_provider => {
            ((*by)?, None, "the provider said what is left")
        }
        CallWait::Room { by, .. } => ((*by)?, None, "the last call that was sent"),
        CallWait::Retry { by, .. } => (*by, None, "it rests before it tries again"),
        CallWait::Money { by, .. } => ((*by)?, None, "the oldest call in flight"),
        CallWait::Day { by, .. } => (*by, None, "it did not pay for the next call"),
        CallWait::Turn { .. } => return None,
    };
    Some(Evidence { seq, at, text: text.to_owned() })
}

/// `1st`, `2nd`, `11th`.
fn ordinal(n: usize) -> String {
    let end = match (n % 100, n % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{n}{end}")
}
