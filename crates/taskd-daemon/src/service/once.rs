//! A call that changes something, made again under the same key: it is done once, and answered twice.
//!
//! Answers are kept for this life of the daemon, the last so many of them. A submission has a key of its
//! own that is in the log, and holds for good.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use prost::Message;
use taskd_api::{ApiError, IDEMPOTENCY_HEADER, codes};
use taskd_model::Digest;
use tokio::sync::OnceCell;
use tonic::Request;

use crate::runner::lock;

/// So many answers are kept.
const KEPT: usize = 1_000;
/// Longest key, in bytes.
const MAX_KEY_BYTES: usize = 200;

/// Calls that were made under a key, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Once(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    by_key: HashMap<String, Call>,
    order: VecDeque<String>,
}

#[derive(Debug, Clone)]
struct Call {
    /// What was asked for.
    request: Digest,
    /// What was answered, encoded; nothing until it was.
    answer: Arc<OnceCell<Vec<u8>>>,
}

impl Once {
    /// Makes the call, or answers as it was answered before. Who asks the same at the same time waits
    /// for the one answer. A call that failed may be made again.
    ///
    /// # Errors
    ///
    /// The call's own; the key is too long, or was used for something else.
    pub(super) async fn make<Q: Message, A: Message + Default>(
        &self,
        request: Request<Q>,
        call: impl AsyncFnOnce(Q) -> Result<A, ApiError>,
    ) -> Result<A, ApiError> {
        let key = request.metadata().get(IDEMPOTENCY_HEADER).and_then(|it| it.to_str().ok());
        let Some(key) = key.map(str::to_owned) else { return call(request.into_inner()).await };
        let request = request.into_inner();
        if MAX_KEY_BYTES < key.len() {
            let what = format!("an idempotency key has at most {MAX_KEY_BYTES} bytes");
            return Err(ApiError::new(codes::INVALID, what));
        }
        let known = self.call(&key, Digest::of(&request.encode_to_vec()))?;
        let first = async || Ok::<_, ApiError>(call(request).await?.encode_to_vec());
        let answer = known.get_or_try_init(first).await?;
        A::decode(answer.as_slice()).map_err(|it| super::internal(&it))
    }

    fn call(&self, key: &str, request: Digest) -> Result<Arc<OnceCell<Vec<u8>>>, ApiError> {
        let mut calls = lock(&self.0);
        if let Some(known) = calls.by_key.get(key) {
            if known.request == request {
                return Ok(Arc::clone(&known.answer));
            }
            let what = "this idempotency key was used for another request";
            return Err(ApiError::new(codes::REFUSED, what).hint("take a new key"));
        }
        if calls.order.len() == KEPT
            && let Some(oldest) = calls.order.pop_front()
        {
            calls.by_key.remove(&oldest);
        }
        let call = Call { request, answer: Arc::default() };
        calls.order.push_back(key.to_owned());
        calls.by_key.insert(key.to_owned(), call.clone());
        Ok(call.answer)
    }
}
