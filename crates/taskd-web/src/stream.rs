//! What a browser is told by itself, as server-sent events: first the whole picture, then what of it
//! changes, and what is said about the one loop or plan that is open.
//!
//! It is made when the browser takes it and not before. So one that reads slowly gets the next
//! picture later and skips those between, and costs nothing; of what was said it may miss some, and
//! is told which events to ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use taskd_model::Seq;
use tokio::{
    sync::{
        broadcast::{Receiver, error::RecvError},
        watch,
    },
    time::{Instant, sleep_until},
};

use crate::{
    Faces, Page,
    world::{Said, gap},
};

/// The picture changes at most so often.
const FRAME: Duration = Duration::from_millis(100);

/// Something is sent at least so often, so that either side learns when the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What is said is sent together, up to so many bytes.
const BATCH_BYTES: usize = 32 << 10;

/// What the browser has open.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    /// A loop or a plan; nothing where it looks at all of them.
    #[serde(default)]
    about: String,
}

pub(crate) async fn stream<F: Faces>(
    State(page): State<Arc<Page<F>>>,
    request: Request,
) -> Response {
    let open: Open = match crate::body(request).await {
        Ok(it) => it,
        Err(error) => return crate::refused(&error),
    };
    let reader = Reader::new(page, open.about);
    let items = futures::stream::unfold(reader, |mut reader| async move {
        let bytes = reader.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(bytes)), reader))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(items)).into_response()
}

/// One browser.
struct Reader<F> {
    page: Arc<Page<F>>,
    about: String,
    changes: watch::Receiver<()>,
    said: Receiver<Arc<Said>>,
    /// What it was sent of the picture, each as a hash.
    sent: BTreeMap<String, u64>,
    /// It has heard of everything up to here.
    heard: Seq,
    /// The picture may be another.
    stale: bool,
    frame_at: Instant,
}

impl<F: Faces> Reader<F> {
    fn new(page: Arc<Page<F>>, about: String) -> Self {
        let (changes, said) = (page.world.changes(), page.world.hear());
        let heard = page.world.known().view.seq;
        let (sent, frame_at) = (BTreeMap::new(), Instant::now());
        Self { page, about, changes, said, sent, heard, stale: true, frame_at }
    }

    /// The next thing to send; nothing when the page is no longer served.
    async fn next(&mut self) -> Option<String> {
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            tokio::select! {
                biased;
                () = sleep_until(self.frame_at), if self.stale => {
                    self.stale = false;
                    self.frame_at = Instant::now() + FRAME;
                    if let Some(text) = self.picture() {
                        return Some(text);
                    }
                }
                changed = self.changes.changed(), if !self.stale => {
                    changed.ok()?;
                    self.stale = true;
                }
                said = self.said.recv() => match said {
                    Ok(said) => {
                        let mut text = String::new();
                        self.hear(&said, &mut text);
                        while text.len() < BATCH_BYTES && let Ok(said) = self.said.try_recv() {
                            self.hear(&said, &mut text);
                        }
                        if !text.is_empty() {
                            return Some(text);
                        }
                    }
                    Err(RecvError::Lagged(_)) => return Some(self.missed()),
                    Err(RecvError::Closed) => return None,
                },
                () = sleep_until(heartbeat) => return Some(":\n\n".to_owned()),
            }
        }
    }

    fn hear(&mut self, said: &Said, text: &mut String) {
        self.heard = self.heard.max(said.seq);
        let of_plan = || said.name.split_once('.').is_some_and(|(it, _)| it == self.about);
        let noise = said.kind == "noise";
        let wanted = said.name == self.about || (!noise && (said.name.is_empty() || of_plan()));
        if wanted && !self.about.is_empty() {
            text.push_str(&frame(said.kind, &said.data));
        }
    }

    /// It has not kept up: it goes on from now, and is told what it has not heard.
    fn missed(&mut self) -> String {
        self.said = self.said.resubscribe();
        let said = gap(self.heard, self.page.world.known().view.seq);
        self.heard = said.seq;
        frame(said.kind, &said.data)
    }

    /// What of the picture is another than what was sent; nothing if it is the same.
    fn picture(&mut self) -> Option<String> {
        let (mut rows, lost) = {
            let known = self.page.world.known();
            if !known.attached && known.lost.is_none() {
                return None;
            }
            (self.page.faces.picture(&known.view, known.now), known.lost.clone())
        };
        let lost = lost.map(|(why, attempt)| json!({ "why": why, "attempt": attempt }));
        rows.insert("lost".to_owned(), lost.unwrap_or_default());
        let gone: BTreeSet<String> =
            self.sent.keys().filter(|it| !rows.contains_key(*it)).cloned().collect();
        self.sent.retain(|it, _| !gone.contains(it));
        let mut set = Map::new();
        for (key, value) in rows {
            let mut hasher = DefaultHasher::new();
            value.to_string().hash(&mut hasher);
            let hash = hasher.finish();
            if self.sent.insert(key.clone(), hash) != Some(hash) {
                set.insert(key, value);
            }
        }
        let same = set.is_empty() && gone.is_empty();
        (!same).then(|| frame("picture", &json!({ "set": set, "gone": gone })))
    }
}

/// One event. JSON has no line breaks of its own.
fn frame(kind: &str, data: &Value) -> String {
    format!("event: {kind}\ndata: {data}\n\n")
}
