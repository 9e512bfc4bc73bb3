//! An HTTP/1.1 server written by hand: it says literal bytes in given pieces and remembers what it
//! was asked. It shares no code with what it tests.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
    task::JoinSet,
};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Which connection it came by, from 0.
    pub(crate) connection: usize,
    /// Request line and headers, names in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|it| it.split_once(": "));
        lines.find(|it| it.0 == name).map(|it| it.1)
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// Literal bytes, sent at once.
    Bytes(Vec<u8>),
    /// Nothing for as long as the other side is there.
    Hang,
    /// The connection is closed.
    Close,
}

/// The server. Dropping it ends it.
pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// How many connections the other side has closed.
    closed: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers every request as `answer` says.
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Vec<Say> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (closing, closed) = watch::channel(0);
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        let count = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).expect("a socket");
                let connection = count.fetch_add(1, Ordering::Relaxed);
                let (kept, answer, closing) =
                    (Arc::clone(&kept), Arc::clone(&answer), closing.clone());
                connections.spawn(async move {
                    serve(socket, connection, &kept, &*answer).await;
                    closing.send_modify(|it| *it += 1);
                });
            }
        });
        Self { address, seen, closed, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic before").clone()
    }

    /// Waits until the other side has closed `connections`; false if it has not within `time`.
    pub(crate) async fn closed(&self, connections: usize, time: Duration) -> bool {
        let mut closed = self.closed.clone();
        let enough = closed.wait_for(|it| *it >= connections);
        tokio::time::timeout(time, enough).await.is_ok()
    }
}

pub(super) async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    seen: &Mutex<Vec<Seen>>,
    answer: &(dyn Fn(&Seen) -> Vec<Say> + Send + Sync),
) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut socket, &mut buffer, connection).await {
        seen.lock().expect("no panic before").push(request.clone());
        for say in answer(&request) {
            match say {
                Say::Bytes(bytes) => {
                    if socket.write_all(&bytes).await.is_err() {
                        return;
                    }
                    // Lets the other side take this piece before the next one is there.
                    tokio::task::yield_now().await;
                }
                Say::Hang => {
                    let mut rest = [0; 64];
                    while socket.read(&mut rest).await.is_ok_and(|it| it > 0) {}
                    return;
                }
                Say::Close => return,
            }
        }
    }
}

/// The next request; `None` when the other side is gone.
async fn read(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    connection: usize,
) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|it| {
                let (name, value) = it.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse().ok())?
            });
            let whole = end + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                let body = buffer[end + 4..whole].to_vec();
                buffer.drain(..whole);
                return Some(Seen { connection, head, body });
            }
        }
        let mut piece = vec![0; 16 * 1024];
        match socket.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => buffer.extend_from_slice(&piece[..n]),
        }
    }
}

/// An answer whose body is the given pieces, each a chunk of its own, and ends as it should.
pub(crate) fn chunked<'a>(head: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Say> {
    let mut says = begun(head, pieces);
    says.push(Say::Bytes(b"0\r\n\r\n".to_vec()));
    says
}

/// The same, but the body does not end.
pub(crate) fn begun<'a>(head: &str, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Say> {
    let head = format!("HTTP/1.1 {head}\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut says = vec![Say::Bytes(head.into_bytes())];
    for piece in pieces.into_iter().filter(|it| !it.is_empty()) {
        let mut bytes = format!("{:x}\r\n", piece.len()).into_bytes();
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
        says.push(Say::Bytes(bytes));
    }
    says
}

/// An answer of known length.
pub(crate) fn plain(head: &str, body: &str) -> Vec<Say> {
    let text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    vec![Say::Bytes(text.into_bytes())]
}
