//! Which of its models a loop calls, when its type names more than one.
//!
//! A change happens at an iteration's boundary, because a conversation is not carried from one model
//! to another: who has to leave in mid-iteration gives that iteration up, and it counts for nothing.
//! A rate limit is never a reason: it is over within minutes, and what the provider has cached would
//! be lost. Reasons are a quota that is used up, a provider that keeps failing, and a credential that
//! is refused. Nothing here waits: [`next_at`] says when to ask again.

use taskd_model::{ChangeCause, Event, Seq, Status, Time};

use crate::{
    decide::Step,
    engine::{LoopEngine, Next},
    index::Detour,
    scheduler::Outage,
    state::State,
};

/// How long a provider must fail before an iteration that is under way is given up, in milliseconds:
/// most outages are shorter, and what the iteration has learned is worth a minute.
const GRACE_MS: u64 = 60_000;

/// What a loop that wants to call its model may call instead, if anything.
pub(crate) fn detour_of(engine: &LoopEngine) -> Option<Detour> {
    let from = engine.model()?;
    let waits = engine.status == Status::Running
        && engine.is_quiet()
        && engine.ending.is_none()
        && engine.stuck.is_none()
        && !engine.pause
        && engine.prepare.is_none()
        && !engine.is_read()
        && matches!(engine.next, Next::Call { .. });
    if !waits || engine.models.len() < 2 {
        return None;
    }
    let models: Vec<String> = engine.fit_models().filter(|it| *it != from).cloned().collect();
    (!models.is_empty()).then(|| Detour { from: from.clone(), models })
}

/// A loop that waits in mid-iteration for a model that will not be there soon, and goes to another.
pub(crate) fn detour(state: &State, now: Time) -> Option<Step> {
    if state.rests() {
        return None;
    }
    state.index().detours.iter().find_map(|(detour, loops)| {
        let cause = long_outage(state, &detour.from, now)?;
        let to = detour.models.iter().find(|it| may_begin(state, it, now))?;
        let id = *loops.first().expect("empty detours are not indexed");
        Some((Some(id), change(&state.loops()[&id], to, cause)))
    })
}

/// The change a loop makes before it begins an iteration: to the best model that can be called.
pub(crate) fn at_boundary(state: &State, engine: &LoopEngine, now: Time) -> Option<Event> {
    let current = engine.model()?;
    let to = engine.fit_models().find(|it| may_begin(state, it, now))?;
    if to == current {
        return None;
    }
    let place = |it: &String| engine.models.iter().position(|known| known == it);
    let cause = if place(to) < place(current) {
        ChangeCause::Back
    } else {
        cause_of(state.bucket(current)?.outage(now)?)
    };
    Some(change(engine, to, cause))
}

/// The change of a loop whose model refuses its calls.
pub(crate) fn away(state: &State, engine: &LoopEngine) -> Option<Event> {
    let can_now = |it: &&String| may_begin(state, it, state.now());
    let to = engine.fit_models().find(can_now).or_else(|| engine.fit_models().next())?;
    let by = Seq(state.next().0 - 1);
    Some(change(engine, to, ChangeCause::Refused { by }))
}

/// When a loop that waits may have to be given another model, if nothing else happens before.
pub(crate) fn next_at(state: &State) -> Option<Time> {
    let now = state.now();
    let at = |detour: &Detour| {
        let leaves = match state.bucket(&detour.from)?.outage(now)? {
            Outage::Window { .. } => now,
            Outage::Failing { opening, .. } => opening.since.plus_ms(GRACE_MS),
        };
        let there = detour.models.iter().filter_map(|it| free_at(state, it, now)).min()?;
        let at = leaves.max(there).max(now);
        // What else becomes of it until then is told by an event.
        let then = |it: &String| may_begin(state, it, at);
        let goes = long_outage(state, &detour.from, at).is_some() && detour.models.iter().any(then);
        goes.then_some(at)
    };
    state.index().detours.keys().filter_map(at).min()
}

fn change(engine: &LoopEngine, to: &str, cause: ChangeCause) -> Event {
    let from = engine.model().cloned().unwrap_or_default();
    let gives_up = (engine.next != Next::Iterate).then_some(engine.iteration);
    Event::ModelChanged { from, to: to.to_owned(), cause, gives_up }
}

/// An iteration may begin with this model: nothing keeps it away, or it waits for a probe and nobody
/// else is there to make it.
fn may_begin(state: &State, model: &str, now: Time) -> bool {
    free_at(state, model, now).is_some_and(|it| it <= now)
}

/// When [`may_begin`] may become true; nothing while that takes the end of a call, or others wait.
fn free_at(state: &State, model: &str, now: Time) -> Option<Time> {
    match state.bucket(model).and_then(|it| it.outage(now)) {
        None => Some(now),
        Some(Outage::Window { until, .. }) => Some(until),
        Some(Outage::Failing { probe_at, .. }) => {
            let waited_for = state.index().calls.contains_key(model);
            probe_at.filter(|_| !waited_for)
        }
    }
}

/// Why a call through `model` is not waited for any longer in mid-iteration.
fn long_outage(state: &State, model: &str, now: Time) -> Option<ChangeCause> {
    let outage = state.bucket(model)?.outage(now)?;
    let is_long = match outage {
        Outage::Window { .. } => true,
        Outage::Failing { opening, .. } => GRACE_MS <= now.ms_since(opening.since),
    };
    is_long.then(|| cause_of(outage))
}

fn cause_of(outage: Outage) -> ChangeCause {
    match outage {
        Outage::Window { by, until } => ChangeCause::Window { until, by },
        Outage::Failing { opening, .. } => {
            ChangeCause::Failing { since: opening.since, by: opening.by }
        }
    }
}
