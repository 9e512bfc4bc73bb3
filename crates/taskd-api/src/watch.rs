//! A watch that outlives its connection: the view, then every event once, in order.
//!
//! It reconnects with the last cursor. What it has delivered it does not deliver again, and after
//! a gap it takes the view anew rather than go on beside the truth. It gives up only when the
//! daemon says that asking again is of no use.

use std::time::Duration;

use taskd_model::{Delta, EffectId, Record, Seq, Time, View};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Streaming;

use crate::{
    ApiError, Client, Place, codes,
    v1::{self, watch_item::Item},
};

/// First pause before connecting again; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest pause before connecting again.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// A daemon that sends nothing for so long, no heartbeat either, is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// What a [`Watch`] yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// A daemon answers; its version, if it says so.
    Connected {
        /// Its version.
        version: Option<String>,
    },
    /// Everything as of one sequence number. It replaces whatever was folded before.
    View(Box<View>),
    /// The next event.
    Event(Box<Record>),
    /// An event of a kind that only a newer taskd knows.
    Unknown {
        /// Its position.
        seq: Seq,
    },
    /// Noise about a running effect.
    Delta {
        /// Name of its loop or plan.
        name: String,
        /// The effect.
        effect: EffectId,
        /// The noise.
        delta: Delta,
    },
    /// Nothing happened, and the daemon is there.
    Heartbeat {
        /// Its time.
        at: Time,
        /// The last event there is.
        head: Seq,
    },
    /// The connection is lost. It is tried again without being asked to.
    Disconnected {
        /// Why.
        error: ApiError,
        /// Failures in a row, this one counted.
        attempt: u32,
    },
    /// The last item: asking again is of no use.
    Ended(ApiError),
}

/// See [`Client::watch`]. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    place: Place,
    ids: Vec<String>,
    deltas: bool,
    cursor: String,
    /// The last event delivered, in a view or by itself.
    seq: Option<Seq>,
    stream: Option<Streaming<v1::WatchItem>>,
    attempt: u32,
    not_before: Option<Instant>,
    ended: bool,
}

impl Watch {
    /// A watch of the daemon that listens, or will listen, at this place.
    #[must_use]
    pub fn new(place: impl Into<Place>, ids: Vec<String>, deltas: bool) -> Self {
        Self {
            place: place.into(),
            ids,
            deltas,
            cursor: String::new(),
            seq: None,
            stream: None,
            attempt: 0,
            not_before: None,
            ended: false,
        }
    }

    /// Where to go on with another watch.
    #[must_use]
    pub fn cursor(&self) -> &str {
        &self.cursor
    }

    /// The next item; `None` after [`Watched::Ended`]. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Watched> {
        loop {
            if self.ended {
                return None;
            }
            match self.step().await {
                Ok(Some(item)) => return Some(item),
                Ok(None) => {}
                Err(error) => return Some(self.lost(error)),
            }
        }
    }

    /// Connects, or takes one item.
    async fn step(&mut self) -> Result<Option<Watched>, ApiError> {
        let Some(stream) = &mut self.stream else {
            return self.connect().await.map(Some);
        };
        let item = match timeout(SILENCE, stream.message()).await {
            Ok(Ok(Some(item))) => item,
            Ok(Ok(None)) => return Err(ApiError::unreachable("it ended")),
            Ok(Err(status)) => return Err(status.into()),
            Err(_) => return Err(ApiError::unreachable("it says nothing")),
        };
        self.attempt = 0;
        let watched = self.take(item.item)?;
        // Only what was understood is not asked for again.
        if !item.cursor.is_empty() {
            self.cursor = item.cursor;
        }
        Ok(watched)
    }

    async fn connect(&mut self) -> Result<Watched, ApiError> {
        if let Some(until) = self.not_before {
            sleep_until(until).await;
        }
        let client = Client::connect(self.place.clone()).await?;
        let request = v1::WatchRequest {
            cursor: self.cursor.clone(),
            ids: self.ids.clone(),
            deltas: self.deltas,
        };
        self.stream = Some(client.watch_once(request).await?);
        Ok(Watched::Connected { version: client.server_version().map(str::to_owned) })
    }

    /// What an item says, if it says anything new.
    fn take(&mut self, item: Option<Item>) -> Result<Option<Watched>, ApiError> {
        match item {
            Some(Item::View(view)) => {
                let view = View::try_from(view)?;
                self.seq = Some(view.seq);
                Ok(Some(Watched::View(Box::new(view))))
            }
            Some(Item::Event(event)) => self.take_event(&event),
            Some(Item::Delta(it)) => Ok(delta(it)),
            Some(Item::Heartbeat(it)) => {
                Ok(Some(Watched::Heartbeat { at: Time(it.at), head: Seq(it.head) }))
            }
            // A newer daemon may say more.
            None => Ok(None),
        }
    }

    fn take_event(&mut self, event: &v1::Event) -> Result<Option<Watched>, ApiError> {
        let seq = Seq(event.seq);
        let before = self.seq.unwrap_or_default();
        if seq <= before {
            return Ok(None);
        }
        // With a filter, gaps are what was asked for.
        if self.ids.is_empty() && seq.0 != before.0 + 1 {
            self.cursor.clear();
            return Err(ApiError::unreachable(&format!("events after {before} are missing")));
        }
        let record = event.record()?;
        self.seq = Some(seq);
        Ok(Some(record.map_or(Watched::Unknown { seq }, |it| Watched::Event(Box::new(it)))))
    }

    /// Goes on later, or not at all.
    fn lost(&mut self, error: ApiError) -> Watched {
        self.stream = None;
        let again = error.is_unreachable() || error.code == codes::BUSY;
        if !again {
            self.ended = true;
            return Watched::Ended(error);
        }
        self.attempt += 1;
        let doublings = (self.attempt - 1).min(10);
        let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(MAX_PAUSE);
        self.not_before = Some(Instant::now() + pause);
        Watched::Disconnected { error, attempt: self.attempt }
    }
}

fn delta(it: v1::Delta) -> Option<Watched> {
    let delta = match it.what? {
        v1::delta::What::Text(text) => Delta::Text(text),
        v1::delta::What::Line(line) => Delta::Line(line),
    };
    Some(Watched::Delta { name: it.name, effect: EffectId(Seq(it.effect)), delta })
}
