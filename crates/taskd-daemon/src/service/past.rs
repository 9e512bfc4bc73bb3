//! Looking back: the view as it was at a moment, folded anew from what the log keeps.
//!
//! One moment at a time, so that looking back takes one core at most, however many look. What was
//! looked at last is kept: who goes on from there waits for what lies between only.

use std::sync::Arc;

use jiff::Timestamp;
use taskd_api::{ApiError, codes, v1};
use taskd_model::{Record, Seq, Time, View};
use taskd_store::{Filter, Store};
use tokio::sync::Mutex;

use super::{Service, blocking, internal};
use crate::{daemon::now_ms, replay};

/// Events read from the store at once.
const PAGE: usize = 1_000;

/// What was looked at last; nothing before the first time.
#[derive(Debug, Default)]
pub(crate) struct Past(Arc<Mutex<View>>);

/// A moment of the log.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After this event.
    Seq(Seq),
    /// After the last event that was not later.
    Time(Time),
}

impl Moment {
    fn of(it: &v1::Moment) -> Result<Self, ApiError> {
        match it.at {
            Some(v1::moment::At::Seq(seq)) => Ok(Self::Seq(Seq(seq))),
            Some(v1::moment::At::Time(time)) => Ok(Self::Time(Time(time))),
            None => Err(ApiError::new(codes::INVALID, "a moment is an event's number or a time")),
        }
    }

    /// Whether an event had happened by then.
    fn has(self, seq: Seq, at: Time) -> bool {
        match self {
            Self::Seq(moment) => seq <= moment,
            Self::Time(moment) => at <= moment,
        }
    }
}

impl Service {
    /// What `look` sees in the view as it was then, or as it is now.
    pub(super) async fn seen<T: Send + 'static>(
        &self,
        at: Option<v1::Moment>,
        look: impl FnOnce(&View) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let Some(at) = at else { return look(&self.ctx().hub.view()) };
        let moment = Moment::of(&at)?;
        let store = Arc::clone(&self.ctx().store);
        let mut last = Arc::clone(&self.0.past.0).lock_owned().await;
        blocking(move || {
            // Taken, so that nothing half folded stays after a failure.
            *last = view_at(std::mem::take(&mut *last), &store, moment)?;
            look(&last)
        })
        .await
    }
}

/// The view at that moment, from `known` if that is on the way there.
fn view_at(known: View, store: &Store, moment: Moment) -> Result<View, ApiError> {
    let head = store.head();
    match moment {
        Moment::Seq(seq) if head < seq => {
            let what = format!("the log ends with event {head}: there is no event {seq} yet");
            return Err(ApiError::new(codes::NOT_FOUND, what).hint(format!("--at {head}")));
        }
        Moment::Time(at) if now_ms() < at.0 => {
            let what = format!("{} has not come yet", told(at));
            return Err(ApiError::new(codes::NOT_FOUND, what).hint(format!("--at {head}")));
        }
        Moment::Seq(_) | Moment::Time(_) => {}
    }
    let is_kept = store.first().0 <= known.seq.0 + 1;
    let is_before = Seq(0) < known.seq && moment.has(known.seq, known.at);
    let mut view = if is_kept && is_before {
        known
    } else {
        replay::view_at_base(store).map_err(|it| internal(it.as_ref()))?
    };
    let begins = (view.seq, view.at);
    if moment.has(view.seq, view.at) {
        go_on(&mut view, store, moment)?;
        if Seq(0) < view.seq {
            return Ok(view);
        }
    }
    Err(too_early(store, begins))
}

/// Applies what had happened by then.
fn go_on(view: &mut View, store: &Store, moment: Moment) -> Result<(), ApiError> {
    loop {
        let next = Seq(view.seq.0 + 1);
        let rows = store.read(next, PAGE, Filter::default()).map_err(|it| internal(&it))?;
        for row in &rows {
            if !moment.has(row.seq, row.at) {
                return Ok(());
            }
            view.apply(&Record::decode(&row.json).map_err(|it| internal(&it))?);
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// It was before anything that is known.
fn too_early(store: &Store, (base, at): (Seq, Time)) -> ApiError {
    let (seq, at, why) = match base {
        Seq(0) => {
            let first =
                store.read(Seq(1), 1, Filter::default()).ok().and_then(|it| it.into_iter().next());
            (Seq(1), first.map_or(Time(0), |it| it.at), "the log begins")
        }
        _ => (base, at, "what was before is older than what the log keeps (gc.history): it begins"),
    };
    ApiError::new(codes::NOT_FOUND, format!("{why} with event {seq}, {}", told(at)))
        .hint(format!("--at {seq}"))
}

/// A time as programs write it.
fn told(at: Time) -> String {
    let at = i64::try_from(at.0).ok().and_then(|it| Timestamp::from_millisecond(it).ok());
    at.map_or_else(|| "that time".to_owned(), |it| it.to_string())
}
