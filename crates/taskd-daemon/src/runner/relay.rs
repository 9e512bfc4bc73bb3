//! A call of an agent that was admitted: passed on with the key, its answer passed back.
//!
//! The answer goes through as it comes: one piece waits at most, and the next is read when that is
//! gone. What it uses is counted beside it. A refusal because too much was asked for is not passed
//! back; whoever waits for the answer asks again when this effect has ended and its bucket is closed.

use std::{io, time::Duration};

use axum::body::Bytes;
use taskd_llm::{CallLimits, Forwarded, LlmError, Tap};
use taskd_model::{Failure, Observation, Outcome, RateLevels, Relay, Usage};
use tokio::sync::{mpsc, oneshot};

use super::{Job, Trouble, lock};
use crate::gateway::{Answer, Told, Waiting, provider};

/// What is read of an answer that refuses the call before it is passed back, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// How long is waited until a connection that is broken off can be told so.
const TO_BREAK_OFF: Duration = Duration::from_secs(1);
/// Pieces of an answer that wait to be taken.
const PIECES: usize = 1;

type Pieces = mpsc::Sender<Result<Bytes, io::Error>>;

/// Why nothing more is read of an answer.
enum End {
    /// It is whole.
    Whole,
    /// Nobody waits for it any more.
    Unwanted,
}

impl Job {
    /// Passes one call on. What it used is reported however it ends.
    pub(super) async fn relay(&self, relay: &Relay) -> Outcome {
        let mut usage = Usage::default();
        let waiting = self.ctx.gateway.take(relay.agent, relay.call);
        let ended = match waiting {
            Some(waiting) => self.pass_on(relay, waiting, &mut usage).await,
            // Whoever asked is gone.
            None => Ok(End::Unwanted),
        };
        match ended {
            Ok(End::Whole) => Outcome::Relayed { usage },
            Ok(End::Unwanted) => Outcome::Cancelled { usage, checkpoint: None },
            Err(trouble) => trouble.outcome(usage),
        }
    }

    async fn pass_on(
        &self,
        relay: &Relay,
        waiting: Waiting,
        usage: &mut Usage,
    ) -> Result<End, Trouble> {
        let Waiting { call, input_tokens, mut answer } = waiting;
        let name = relay.bucket.split_once('/').map_or("", |it| it.0);
        let sent = async { provider(&self.ctx, name).await?.forward(call).await };
        let sent = tokio::select! {
            sent = sent => sent,
            () = self.no_longer_wanted() => return Ok(End::Unwanted),
            () = answer.closed() => return Ok(End::Unwanted),
        };
        let mut head = match sent {
            Ok(head) => head,
            Err(error) => {
                answer.send(Told::Unreachable).ok();
                return Err(error.into());
            }
        };
        if head.levels != RateLevels::default() {
            self.tell(Observation::Levels(head.levels)).await;
        }
        if !(200..300).contains(&head.status) {
            return self.refused(&mut head, answer).await;
        }
        let mut tap = head.tap(self.caps(relay), input_tokens);
        let pieces = begin(&mut head, answer);
        let ended = self.hand_on(&mut head, &pieces, Some(&mut tap)).await;
        tap.end();
        *usage = tap.usage();
        if ended.is_err() || matches!(ended, Ok(End::Unwanted)) {
            // Whoever reads must not take what came for the whole.
            let broken = pieces.send(Err(io::ErrorKind::ConnectionAborted.into()));
            tokio::time::timeout(TO_BREAK_OFF, broken).await.ok();
        }
        ended
    }

    fn caps(&self, relay: &Relay) -> CallLimits {
        CallLimits {
            cap_tokens: (0 < relay.cap_tokens).then_some(relay.cap_tokens),
            price: self.ctx.models.facts(&relay.bucket).price,
            ..CallLimits::with_cap_micros(relay.cap_micros)
        }
    }

    /// Hands on every piece of an answer.
    async fn hand_on(
        &self,
        head: &mut Forwarded,
        pieces: &Pieces,
        mut tap: Option<&mut Tap>,
    ) -> Result<End, Trouble> {
        let mut told = false;
        loop {
            // Nothing is read before what was read is taken.
            let room = tokio::select! {
                room = pieces.reserve() => room,
                () = self.no_longer_wanted() => return Ok(End::Unwanted),
            };
            let Ok(room) = room else { return Ok(End::Unwanted) };
            let piece = tokio::select! {
                piece = head.chunk() => piece?,
                () = self.no_longer_wanted() => return Ok(End::Unwanted),
                () = pieces.closed() => return Ok(End::Unwanted),
            };
            let Some(piece) = piece else { return Ok(End::Whole) };
            if let Some(tap) = &mut tap {
                tap.look(&piece)?;
            }
            room.send(Ok(piece));
            // What reading the request costs is owed even if we are killed now.
            if let Some(tap) = tap.as_deref().filter(|it| !told && it.usage() != Usage::default()) {
                told = true;
                self.tell(Observation::UsageSoFar(tap.usage())).await;
            }
        }
    }

    /// An answer that is none. It is passed back as it is, unless it says that too much was asked for.
    async fn refused(
        &self,
        head: &mut Forwarded,
        answer: oneshot::Sender<Told>,
    ) -> Result<End, Trouble> {
        let (mut read, mut body) = (Vec::new(), Vec::new());
        while body.len() < MAX_ERROR_BYTES {
            // What the status says is known already: a body that breaks off changes nothing.
            let Ok(Some(piece)) = head.chunk().await else { break };
            body.extend_from_slice(&piece);
            read.push(piece);
        }
        let error: LlmError = head.refusal(&body);
        if matches!(error.class(), Failure::NotBefore(_) | Failure::RateLimited) {
            *lock(&self.afterwards) = Some(answer);
            return Err(error.into());
        }
        let pieces = begin(head, answer);
        for piece in read {
            pieces.send(Ok(piece)).await.ok();
        }
        self.hand_on(head, &pieces, None).await?;
        Err(error.into())
    }
}

/// The head of an answer goes to whoever waits; its body follows.
fn begin(head: &mut Forwarded, answer: oneshot::Sender<Told>) -> Pieces {
    let (pieces, body) = mpsc::channel(PIECES);
    let headers = std::mem::take(&mut head.headers);
    answer.send(Told::Answer(Answer { status: head.status, headers, body })).ok();
    pieces
}
