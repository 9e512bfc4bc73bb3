//! A server on stdin and stdout: one message a line. Calls are done beside each other, so that a
//! long one keeps nobody waiting.

use std::{collections::BTreeMap, io, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    MAX_MESSAGE_BYTES, RpcError,
    lines::{Line, Lines},
    rpc::{line, reply},
    server::{Asked, Next, Progress, Server, Service},
};

/// Calls under way at once.
const MAX_CALLS: usize = 64;
/// Remarks on progress that wait to be written.
const MAX_REMARKS: usize = 64;
/// What calls under way have left when the input is at its end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
const CHUNK_BYTES: usize = 16 << 10;

/// Serves until the input is at its end.
///
/// # Errors
/// The output cannot be written; a reader that went away is no error.
pub async fn serve_stdio<S: Service>(
    server: &Server<S>,
    mut input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let (tell, mut told) = mpsc::channel(MAX_REMARKS);
    let mut desk =
        Desk { server, output, tell, calls: FuturesUnordered::new(), under_way: BTreeMap::new() };
    let mut lines = Lines::new(MAX_MESSAGE_BYTES);
    let mut buffer = vec![0; CHUNK_BYTES];
    let served = async {
        loop {
            tokio::select! {
                n = input.read(&mut buffer) => {
                    let n = n?;
                    if n == 0 {
                        break;
                    }
                    let mut heard = Vec::new();
                    lines.push(&buffer[..n], |it| heard.push(it));
                    for line in heard {
                        desk.take(line).await?;
                    }
                }
                Some(done) = desk.calls.next() => desk.answer(done).await?,
                Some(remark) = told.recv() => desk.say(&remark).await?,
            }
        }
        let rest = async {
            while let Some(done) = desk.calls.next().await {
                desk.answer(done).await?;
            }
            Ok::<(), io::Error>(())
        };
        timeout(LAST_ANSWERS, rest).await.unwrap_or(Ok(()))
    };
    match served.await {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// The id of a call as a key, and its answer unless it was cancelled.
type Done = (String, Option<Value>);

struct Desk<'a, S, W> {
    server: &'a Server<S>,
    output: W,
    tell: mpsc::Sender<Value>,
    calls: FuturesUnordered<BoxFuture<'a, Done>>,
    under_way: BTreeMap<String, oneshot::Sender<()>>,
}

impl<S: Service, W: AsyncWrite + Unpin> Desk<'_, S, W> {
    async fn take(&mut self, heard: Line) -> io::Result<()> {
        let next = match heard {
            Line::Whole(bytes) => self.server.next(&bytes),
            Line::TooLong => {
                let what = format!("a message has at most {MAX_MESSAGE_BYTES} bytes");
                Next::Reply(reply(&Value::Null, Err(RpcError::invalid(&what))))
            }
        };
        match next {
            Next::Reply(message) => self.say(&message).await,
            Next::Call(asked) if MAX_CALLS <= self.under_way.len() => {
                let error = RpcError::invalid("too many calls at once; wait for some to end");
                self.say(&reply(&asked.id, Err(error))).await
            }
            Next::Call(asked) => {
                self.begin(asked);
                Ok(())
            }
            Next::Cancel(id) => {
                // Dropping the sender ends the call.
                drop(self.under_way.remove(&id.to_string()));
                Ok(())
            }
            Next::Nothing => Ok(()),
        }
    }

    fn begin(&mut self, asked: Asked) {
        let key = asked.id.to_string();
        let (keep, cancelled) = oneshot::channel::<()>();
        self.under_way.insert(key.clone(), keep);
        let progress = Progress::new(asked.token.clone(), &self.tell);
        let server = self.server;
        let call = async move {
            tokio::select! {
                answer = server.done(asked, progress) => (key, Some(answer)),
                _ = cancelled => (key, None),
            }
        };
        self.calls.push(call.boxed());
    }

    async fn answer(&mut self, (key, answer): Done) -> io::Result<()> {
        let Some(answer) = answer else { return Ok(()) };
        self.under_way.remove(&key);
        self.say(&answer).await
    }

    async fn say(&mut self, message: &Value) -> io::Result<()> {
        self.output.write_all(line(message).as_bytes()).await?;
        self.output.flush().await
    }
}
