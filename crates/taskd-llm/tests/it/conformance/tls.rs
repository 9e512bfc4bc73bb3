//! Calls over TLS: connections that are shared and kept, and certificates that are trusted or not.
//!
//! The authority is the test's own; the server is rustls with `h2`, or with HTTP/1.1 by hand.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures::future::join_all;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use taskd_llm::{Http, HttpSettings, Llm, collect};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Barrier,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
    server::TlsStream,
};

use super::{
    ADAPTERS, Adapter, STREAM, call, complain, end, open_settings, server, server::chunked,
    settings,
};

const H2: &[u8] = b"h2";
const H1: &[u8] = b"http/1.1";

/// A server behind TLS, and the authority that vouches for it. Dropping it ends it.
struct Secure {
    url: String,
    dir: TempDir,
    /// TLS handshakes that were whole.
    handshakes: Arc<AtomicUsize>,
    /// Requests by HTTP/2.
    by_h2: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// What every connection needs.
#[derive(Clone)]
struct Shared {
    acceptor: TlsAcceptor,
    stream: Arc<str>,
    handshakes: Arc<AtomicUsize>,
    by_h2: Arc<AtomicUsize>,
    /// So many requests by HTTP/2 must be there before one is answered; the first is alone.
    together: Arc<Barrier>,
}

impl Secure {
    /// Offers these protocols as the host called `name`, and answers in the words of `adapter`.
    async fn start(adapter: &Adapter, offers: &[&[u8]], name: &str, together: usize) -> Self {
        let (config, ca) = certified(name, offers);
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("ca.pem"), ca).expect("ours");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Shared {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            stream: format!("{}{}", (adapter.saying)("hi"), (adapter.ending)()).into(),
            handshakes: Arc::default(),
            by_h2: Arc::default(),
            together: Arc::new(Barrier::new(together)),
        };
        let (handshakes, by_h2) = (Arc::clone(&shared.handshakes), Arc::clone(&shared.by_h2));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(shared.clone().connection(socket));
            }
        });
        let url = format!("https://localhost:{port}");
        Self { url, dir, handshakes, by_h2, _tasks: tasks }
    }

    fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn open(&self, adapter: &Adapter) -> Http {
        let ca_file = Some(self.ca_file());
        open_settings(HttpSettings { ca_file, ..settings(adapter, &self.url) })
    }

    fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::Relaxed)
    }
}

impl Shared {
    async fn connection(self, socket: TcpStream) {
        socket.set_nodelay(true).expect("a socket");
        let Ok(tls) = self.acceptor.accept(socket).await else { return };
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        if tls.get_ref().1.alpn_protocol() == Some(H2) {
            self.h2(tls).await;
        } else {
            let answer = |_: &server::Seen| chunked(STREAM, [self.stream.as_bytes()]);
            server::serve(tls, 0, &Mutex::default(), &answer).await;
        }
    }

    async fn h2(&self, tls: TlsStream<TcpStream>) {
        let mut connection = h2::server::handshake(tls).await.expect("HTTP/2");
        let mut streams = JoinSet::new();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let shared = self.clone();
            streams.spawn(async move {
                if 0 < shared.by_h2.fetch_add(1, Ordering::Relaxed) {
                    shared.together.wait().await;
                }
                let head = http::Response::builder().header("content-type", "text/event-stream");
                let head = head.body(()).expect("a head");
                let mut body = respond.send_response(head, false).expect("it is read");
                let bytes = Bytes::copy_from_slice(shared.stream.as_bytes());
                body.send_data(bytes, true).expect("it is read");
            });
        }
    }
}

/// A server's configuration with a certificate for `name`, and the authority's own as PEM.
fn certified(name: &str, offers: &[&[u8]]) -> (ServerConfig, String) {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, key()).expect("an authority");
    let own = key();
    let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let cert = params.signed_by(&own, &ca).expect("a certificate");
    let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], secret);
    let mut config = config.expect("a configuration");
    config.alpn_protocols = offers.iter().map(|it| it.to_vec()).collect();
    (config, ca.pem())
}

/// Fifty calls at once are one connection where HTTP/2 is offered: none is answered before all have
/// come.
#[tokio::test]
async fn calls_beside_each_other_share_a_connection() {
    const TOGETHER: usize = 50;
    for adapter in ADAPTERS {
        let server = Secure::start(adapter, &[H2, H1], "localhost", TOGETHER).await;
        let model = server.open(adapter);
        assert!(end(&model, call()).await.contains("\"hi\""), "the first");
        let all = join_all((0..TOGETHER).map(|_| end(&model, call()))).await;
        assert!(all.iter().all(|it| it.contains("\"hi\"")), "{all:?}");
        let by_h2 = server.by_h2.load(Ordering::Relaxed);
        assert_eq!((by_h2, server.handshakes()), (TOGETHER + 1, 1), "{}", adapter.folder);
    }
}

/// Proves MC-MW-8: a hundred calls after each other are one handshake, by HTTP/2 and without.
#[tokio::test]
async fn calls_after_each_other_are_one_handshake() {
    for adapter in ADAPTERS {
        for (offers, by_h2) in [(&[H2, H1][..], 100), (&[H1], 0), (&[], 0)] {
            let server = Secure::start(adapter, offers, "localhost", 1).await;
            let model = server.open(adapter);
            for _ in 0..100 {
                assert!(end(&model, call()).await.contains("\"hi\""));
            }
            let told = (server.by_h2.load(Ordering::Relaxed), server.handshakes());
            assert_eq!(told, (by_h2, 1), "{} {offers:?}", adapter.folder);
        }
    }
}

/// A certificate that nobody vouches for, or that is another host's, ends the call with what to do;
/// nothing is sent.
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told() {
    let adapter = &ADAPTERS[0];
    for (name, trusted) in [("localhost", false), ("elsewhere.example", true)] {
        let server = Secure::start(adapter, &[H2, H1], name, 1).await;
        let model = if trusted {
            server.open(adapter)
        } else {
            open_settings(settings(adapter, &server.url))
        };
        let told = collect(model.stream(call())).await;
        let error = told.result.expect_err("not trusted");
        assert_eq!(complain(&error), "Permanent Certificate");
        let text = error.to_string();
        assert!(text.starts_with("acme:model-1, send 1"), "{text}");
        assert!(text.contains("its certificate is not trusted (") && text.contains("`ca_file`"));
        assert_eq!(server.by_h2.load(Ordering::Relaxed), 0);
        let error = model.list().await.expect_err("not trusted");
        assert_eq!(complain(&error), "Permanent Certificate");
    }
}

#[test]
fn a_file_of_authorities_must_hold_some() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ca.pem");
    let refused = |expected: &str| {
        let settings = settings(&ADAPTERS[0], "https://localhost");
        let error = Http::new(HttpSettings { ca_file: Some(path.clone()), ..settings });
        let text = error.expect_err("no authorities").to_string();
        assert!(text.contains(expected) && text.contains("ca.pem"), "{text}");
    };
    refused("cannot be read");
    std::fs::write(&path, "not a certificate").expect("ours");
    refused("holds no certificate in PEM");
}
