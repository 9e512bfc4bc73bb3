//! Questions asked of the daemon, each on a connection of its own.
//!
//! Bounded: of a text only its end is taken.

use taskd_api::{
    ApiError, Client, Output, Place,
    v1::{
        CheckpointsRequest, DiffRequest, EventsRequest, LogKind, LogsRequest, QueueRequest,
        ShowRequest,
    },
};

use crate::query::{Found, Query};

/// Bytes of a text, its last ones.
const TAIL_BYTES: u64 = 256 << 10;

/// Asks it.
pub(crate) async fn fetch(place: Place, query: &Query) -> Result<Found, ApiError> {
    let client = Client::connect(place).await?;
    match query {
        Query::Talk(name) => {
            // What runs now may be over a moment later, so its lines are looked at first: then it is
            // in both rather than in neither, and whoever asked knows what ran.
            let tail = client.show(ShowRequest { id: name.clone(), at: None }).await?.tail;
            Ok(Found::Texts(texts(&client, name, LogKind::Agent).await?, tail))
        }
        Query::Tools(name) => {
            Ok(Found::Texts(texts(&client, name, LogKind::Tools).await?, Vec::new()))
        }
        Query::Gate(name) => {
            Ok(Found::Texts(texts(&client, name, LogKind::Gate).await?, Vec::new()))
        }
        Query::Diff(name) => {
            let request = DiffRequest { id: name.clone(), ..DiffRequest::default() };
            Ok(Found::Diff(Box::new(client.diff(request).await?)))
        }
        Query::Task(name) => {
            let task = client.show(ShowRequest { id: name.clone(), at: None }).await?;
            Ok(Found::Task(Box::new(task), texts(&client, name, LogKind::Prompt).await?))
        }
        Query::States(name) => {
            let request = CheckpointsRequest { id: name.clone() };
            Ok(Found::States(client.checkpoints(request).await?))
        }
        Query::Queue => Ok(Found::Queue(client.queue(QueueRequest {}).await?)),
        Query::Events { name, from, upto } => events(&client, name, *from, *upto).await,
    }
}

async fn texts(client: &Client, name: &str, kind: LogKind) -> Result<Vec<Output>, ApiError> {
    let request = LogsRequest {
        id: name.to_owned(),
        kind: kind.into(),
        tail_bytes: TAIL_BYTES,
        ..LogsRequest::default()
    };
    client.logs(request).await?.outputs().await
}

async fn events(client: &Client, name: &str, from: u64, upto: u64) -> Result<Found, ApiError> {
    let ids = vec![name.to_owned()];
    let mut items = client.events(EventsRequest { from, ids, ..EventsRequest::default() }).await?;
    let mut records = Vec::new();
    while let Some(event) = items.next().await? {
        if event.seq > upto {
            break;
        }
        records.extend(event.record()?);
    }
    Ok(Found::Events(records))
}
