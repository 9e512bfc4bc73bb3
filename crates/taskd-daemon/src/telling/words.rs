//! What `notify.command` is given: the object of `docs/schemas/notification.json`.

use jiff::Timestamp;
use serde_json::{Value, json};
use taskd_model::{InboxItem, PlanId, Time, View, WaitVerdict};

/// Version of the object.
const SCHEMA_VERSION: u32 = 1;

/// Something needs a person.
pub(super) fn needs_you(view: &View, id: &str, item: &InboxItem) -> Option<Value> {
    let (plan, one) = (view.plans.get(&item.loop_id.plan())?, view.loops.get(&item.loop_id)?);
    let name = view.loop_name(item.loop_id);
    Some(json!({
        "schema_version": SCHEMA_VERSION,
        "id": id,
        "event": "needs_you",
        "at": time(item.since),
        "text": format!("{name} needs you: {}: {}", item.kind, item.what),
        "root": view.projects.get(&plan.project).map(|it| it.root.as_str()),
        "plan": plan.id.to_string(),
        "title": one.title,
        "item": item.name(),
        "kind": item.kind,
        "loop": name,
        "what": item.what,
        "choices": item.choices,
        "free": item.free,
        "deadline": item.deadline.map(time),
        "default": item.default,
        "answers": view.answers(item),
    }))
}

/// All loops of a plan are over.
pub(super) fn plan_ended(view: &View, id: &str, (plan, at): (PlanId, Time)) -> Option<Value> {
    let it = view.plans.get(&plan)?;
    let result = view.wait_plan(plan).unwrap_or(WaitVerdict::Pending);
    let landed = format!("{} of {} landed", it.landed, it.specs);
    Some(json!({
        "schema_version": SCHEMA_VERSION,
        "id": id,
        "event": "plan_ended",
        "at": time(at),
        "text": format!("{plan} {}: {result}, {landed}", it.title),
        "root": view.projects.get(&it.project).map(|it| it.root.as_str()),
        "plan": plan.to_string(),
        "title": it.title,
        "result": result,
        "landed": it.landed,
        "specs": it.specs,
        "cost_micros": it.spent.micros,
        "uncounted": it.uncounted,
    }))
}

fn time(at: Time) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).map(|it| it.to_string()).unwrap_or_default()
}
