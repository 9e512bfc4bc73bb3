//! Questions that are answered at once and whole: how many tokens a request is, which models there
//! are. Asked once, within one limit of time; the same errors as calls have.

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use taskd_model::Request;
use tokio::time::Instant;

use super::{
    Link,
    exchange::{kind_of, late, millis, not_sent},
    wait::{named_wait, now_s},
};
use crate::{BodyKind, LlmError, Origin, Wait};

/// Longest a count of tokens takes.
const COUNT_TIME: Duration = Duration::from_secs(10);
/// Longest answer to it, in bytes.
const MAX_COUNT_BYTES: usize = 64 * 1024;
/// Longest a list of models takes.
const LIST_TIME: Duration = Duration::from_secs(5);
/// Longest list of models, in bytes.
const MAX_LIST_BYTES: usize = 8 * 1024 * 1024;

/// Input tokens of `request`, where the interface counts them.
pub(super) async fn count(link: Arc<Link>, request: Arc<Request>) -> Result<Option<u64>, LlmError> {
    #[derive(Deserialize)]
    struct Counted {
        input_tokens: u64,
    }
    let start = Instant::now();
    let Some(written) = link.counting(&request).map_err(|it| it.of(&whose(&link, start), 0))?
    else {
        return Ok(None);
    };
    let time = COUNT_TIME.min(link.timeouts.total);
    let answer: Counted = ask(&link, written, time, MAX_COUNT_BYTES).await?;
    Ok(Some(answer.input_tokens))
}

/// How many models the provider lists, and whether there are more.
pub(super) async fn list(link: Arc<Link>) -> Result<Listed, LlmError> {
    #[derive(Deserialize)]
    struct Models {
        data: Vec<serde::de::IgnoredAny>,
        #[serde(default)]
        has_more: bool,
    }
    let start = Instant::now();
    let written = link.listing().map_err(|it| it.of(&whose(&link, start), 0))?;
    let time = LIST_TIME.min(link.timeouts.total);
    let answer: Models = ask(&link, written, time, MAX_LIST_BYTES).await?;
    Ok(Listed { models: answer.data.len(), more: answer.has_more })
}

/// What a provider says it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Models on the first page.
    pub models: usize,
    /// There are more pages.
    pub more: bool,
}

/// The JSON object that answers `request` with status 200.
async fn ask<T: for<'de> Deserialize<'de>>(
    link: &Link,
    request: reqwest::Request,
    time: Duration,
    max_bytes: usize,
) -> Result<T, LlmError> {
    let start = Instant::now();
    let mut origin = whose(link, start);
    let asked =
        tokio::time::timeout_at(start + time, answer(link, request, max_bytes, &mut origin));
    let told = match asked.await {
        Ok(told) => told.and_then(|body| {
            serde_json::from_slice(&body)
                .map_err(|_| LlmError::garbled("an answer that is not what it should be"))
        }),
        Err(_) => Err(late(Wait::Whole, time)),
    };
    origin.elapsed_ms = millis(start.elapsed());
    told.map_err(|it| it.of(&origin, 0))
}

/// The body of the answer, if its status is 200.
async fn answer(
    link: &Link,
    request: reqwest::Request,
    max_bytes: usize,
    origin: &mut Origin,
) -> Result<Vec<u8>, LlmError> {
    let sent = link.client.execute(request).await;
    let mut response = sent.map_err(|it| not_sent(&it, link.timeouts))?;
    let status = response.status().as_u16();
    origin.status = Some(status);
    origin.body = kind_of(&response);
    let header = |name: &str| -> Option<String> {
        Some(response.headers().get(name)?.to_str().ok()?.to_owned())
    };
    let wait = named_wait(&header, now_s(&header));
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) if body.len() + bytes.len() <= max_bytes => body.extend(bytes),
            Ok(Some(_)) => return Err(LlmError::garbled("an answer that is too long")),
            Ok(None) => break,
            Err(_) if status == 200 => return Err(LlmError::cut()),
            // What the status says is known already.
            Err(_) => break,
        }
    }
    if status == 200 {
        return Ok(body);
    }
    let kind = if body.is_empty() { BodyKind::Empty } else { origin.body };
    Err(LlmError::answered(Some(status), link.wire.error_code(&body).as_deref(), wait, kind))
}

fn whose(link: &Link, start: Instant) -> Origin {
    Origin {
        provider: link.provider.clone(),
        model: link.model.clone(),
        elapsed_ms: millis(start.elapsed()),
        ..Origin::default()
    }
}
