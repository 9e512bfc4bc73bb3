//! Replies that come, in whatever pieces; and what one call owes the next.

use std::time::Duration;

use futures::{StreamExt, future::join_all};
use taskd_llm::{Llm, StreamEvent, collect};

use super::{
    ADAPTERS, KEY, PROMPT, STREAM, call, call_saying, end, fixtures, open,
    server::{Say, Server, begun, chunked, plain},
    story,
};

/// Proves MC-PROV-2.
#[tokio::test]
async fn fixtures_become_their_stories() {
    for adapter in ADAPTERS {
        for (name, stream, expected) in fixtures(adapter) {
            let server = Server::start(move |_| chunked(STREAM, [&stream[..]])).await;
            let told = story(open(adapter, &server.url()).stream(call())).await;
            assert_eq!(told, expected, "{}/{name}\n{told}", adapter.folder);
        }
    }
}

#[tokio::test]
async fn byte_by_byte_nothing_changes() {
    for adapter in ADAPTERS {
        for (name, stream, expected) in fixtures(adapter) {
            let server = Server::start(move |_| chunked(STREAM, stream.chunks(1))).await;
            let told = story(open(adapter, &server.url()).stream(call())).await;
            assert_eq!(told, expected, "{}/{name}", adapter.folder);
        }
    }
}

/// Proves AY-10.4: every place of a stream with letters of two, three and four bytes.
#[tokio::test]
async fn split_at_any_place_nothing_changes() {
    for adapter in ADAPTERS {
        let (_, stream, expected) =
            fixtures(adapter).into_iter().find(|it| it.0 == "utf8").expect("a fixture");
        let length = stream.len();
        let server = Server::start(move |seen| {
            let at = place(&seen.body);
            chunked(STREAM, [&stream[..at], &stream[at..]])
        })
        .await;
        let model = open(adapter, &server.url());
        for at in 0..=length {
            let told = story(model.stream(call_saying(&format!("place-{at}-")))).await;
            assert_eq!(told, expected, "{} at {at}", adapter.folder);
        }
        let connections: Vec<_> = server.seen().iter().map(|it| it.connection).collect();
        assert!(connections.iter().all(|it| *it == 0), "one connection for all");
    }
}

/// The number between the dashes of `place-7-`.
fn place(body: &[u8]) -> usize {
    let body = String::from_utf8_lossy(body);
    let rest = body.split("place-").nth(1).expect("a place");
    rest.split('-').next().expect("a number").parse().expect("a number")
}

#[tokio::test]
async fn a_body_that_ends_early_is_no_reply() {
    for adapter in ADAPTERS {
        for (name, stream, expected) in fixtures(adapter) {
            if !expected.contains("\ndone ") {
                continue;
            }
            let text = String::from_utf8(stream).expect("text");
            let events: Vec<_> = text.split_inclusive("\n\n").collect();
            for kept in 0..events.len() {
                for neatly in [true, false] {
                    let cut = events[..kept].concat().into_bytes();
                    let server = Server::start(move |_| {
                        let mut says = begun(STREAM, [&cut[..]]);
                        says.push(if neatly {
                            Say::Bytes(b"0\r\n\r\n".to_vec())
                        } else {
                            Say::Close
                        });
                        says
                    })
                    .await;
                    let told = story(open(adapter, &server.url()).stream(call())).await;
                    let last = told.lines().last().expect("an end");
                    let place = format!("{}/{name} cut after {kept} events", adapter.folder);
                    if last.starts_with("Transient Disconnected 200") {
                        assert!(!told.contains("\ndone "), "{place}");
                    } else {
                        // Some interfaces have said all that matters before their last event.
                        let reply = |it: &str| it.split_once("\ndone ").map(|it| it.1.to_owned());
                        assert_eq!(reply(&told), reply(&expected), "{place}");
                        assert!(kept + adapter.tail >= events.len(), "{place}: {told}");
                    }
                }
            }
        }
    }
}

/// Proves MC-PROV-4.
#[tokio::test]
async fn a_request_is_the_same_bytes_whatever_the_attempt() {
    for adapter in ADAPTERS {
        let whole = (adapter.saying)("hello") + &(adapter.ending)();
        let server = Server::start(move |_| chunked(STREAM, [whole.as_bytes()])).await;
        let model = open(adapter, &server.url());
        for attempt in 0..3 {
            let mut call = call();
            call.attempt = attempt;
            assert!(end(&model, call).await.starts_with("  Text"));
        }
        let seen = server.seen();
        assert_eq!(seen.len(), 3);
        for request in &seen {
            assert_eq!(request.body, seen[0].body);
            assert_eq!(request.head, seen[0].head);
            assert_eq!(request.connection, 0, "the connection is used again");
            assert!(request.head.starts_with(&format!("POST {} HTTP/1.1", adapter.path)));
            let (name, form) = adapter.key;
            assert_eq!(request.header(name), Some(&*form.replace("{key}", KEY)));
            for (name, value) in adapter.headers {
                assert_eq!(request.header(name), Some(*value), "{name}");
            }
            assert_eq!(request.header("content-type"), Some("application/json"));
            assert_eq!(request.header("accept"), Some("text/event-stream"));
            assert_eq!(request.head.matches(KEY).count(), 1);
            let body = String::from_utf8_lossy(&request.body);
            assert!(body.contains(PROMPT) && body.contains("\"model-1\""), "{body}");
            assert!(!body.contains(KEY) && !body.contains("acme:"), "{body}");
        }
    }
}

#[tokio::test]
async fn a_connection_outlives_an_error() {
    for adapter in ADAPTERS {
        let body = (adapter.error)(adapter.codes[0], "busy");
        let server = Server::start(move |_| plain("529 Busy", &body)).await;
        let model = open(adapter, &server.url());
        for _ in 0..2 {
            end(&model, call()).await;
        }
        let connections: Vec<_> = server.seen().iter().map(|it| it.connection).collect();
        assert_eq!(connections, [0, 0]);
    }
}

/// Proves MC-PROV-3.
#[tokio::test]
async fn calls_beside_each_other_never_cross() {
    for adapter in ADAPTERS {
        let server = Server::start(|seen| {
            let n = place(&seen.body);
            let whole = (adapter.saying)(&format!("you are {n}")) + &(adapter.ending)();
            let half = whole.len() * (n + 1) / 105;
            let (head, rest) = whole.as_bytes().split_at(half);
            chunked(STREAM, [head, rest])
        })
        .await;
        let model = open(adapter, &server.url());
        let calls = (0..100).map(|n| {
            let stream = model.stream(call_saying(&format!("place-{n}-")));
            async move { (n, story(stream).await) }
        });
        for (n, told) in join_all(calls).await {
            let said = format!("  Text {{ text: \"you are {n}\" }}\n");
            assert!(told.ends_with(&said), "{n}: {told}");
        }
        assert_eq!(server.seen().len(), 100);
    }
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection_at_once() {
    const SOON: Duration = Duration::from_millis(100);
    for adapter in ADAPTERS {
        let hello = (adapter.saying)("hello");
        // Nothing, the headers only, or a part of the reply.
        for events in [0, 1, 3] {
            let hello = hello.clone();
            let server = Server::start(move |_| {
                let mut says = match events {
                    0 => Vec::new(),
                    1 => begun(STREAM, []),
                    _ => begun(STREAM, [hello.as_bytes()]),
                };
                says.push(Say::Hang);
                says
            })
            .await;
            let model = open(adapter, &server.url());
            let mut stream = model.stream(call());
            if events == 0 {
                let asked = async {
                    while server.seen().is_empty() {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    item = stream.next() => panic!("{item:?}"),
                    () = asked => {}
                }
            }
            // Of a part of the reply, all that comes: what is used may be said before the text.
            for _ in 0..events {
                let event = stream.next().await.expect("an event").expect("no error");
                if matches!(event, StreamEvent::Text(_)) {
                    break;
                }
            }
            assert!(!server.closed(1, Duration::ZERO).await, "open while it is wanted");
            drop(stream);
            assert!(server.closed(1, SOON).await, "{} after {events}", adapter.folder);
            assert_eq!(server.seen().len(), 1);
        }
    }
}

#[tokio::test]
async fn caps_hold_in_mid_stream() {
    for adapter in ADAPTERS {
        let server = Server::start(|_| {
            let text = "x".repeat(40_000);
            let mut says = begun(STREAM, [(adapter.saying)(&text).as_bytes()]);
            says.push(Say::Hang);
            says
        })
        .await;
        let model = open(adapter, &server.url());

        let mut poor = call();
        poor.limits.cap_micros = 5000;
        let cut = collect(model.stream(poor)).await;
        let error = cut.result.expect_err("over its cap");
        assert_eq!(super::complain(&error), "OverBudget OverCap");
        let about = cut.usage.output;
        assert!((10_000..10_100).contains(&about), "{about} tokens are about 40 kB");
        assert!(cut.usage.micros > 5000, "what was spent is known: {:?}", cut.usage);
        assert!(matches!(cut.events.last(), Some(StreamEvent::Usage(_))));

        let mut short = call();
        short.limits.price = None;
        short.limits.cap_tokens = Some(6000);
        let cut = collect(model.stream(short)).await;
        assert_eq!(super::complain(&cut.result.expect_err("over its cap")), "OverBudget OverCap");
        assert!(cut.usage.tokens() > 6000, "what was used is known: {:?}", cut.usage);

        let mut small = call();
        small.limits.max_reply_bytes = 30_000;
        let cut = collect(model.stream(small)).await;
        assert_eq!(super::complain(&cut.result.expect_err("too large")), "Permanent TooLarge");
        assert!(server.closed(3, Duration::from_secs(2)).await, "nothing is read on");
    }
}

#[tokio::test]
async fn what_the_provider_says_replaces_the_estimate() {
    for adapter in ADAPTERS {
        let whole = (adapter.saying)(&"x".repeat(8000)) + &(adapter.ending)();
        let server = Server::start(move |_| chunked(STREAM, [whole.as_bytes()])).await;
        let model = open(adapter, &server.url());
        let done = collect(model.stream(call())).await;
        done.result.expect("a reply");
        assert_eq!((done.usage.input, done.usage.output, done.usage.micros), (9, 7, 16));

        let mut free = call();
        free.limits.price = None;
        let done = collect(model.stream(free)).await;
        assert_eq!((done.usage.micros, done.usage.unpriced), (0, 1));
    }
}

/// Proves MC-PROV-9: what a provider does not say is not nothing: it is an estimate and called one.
#[tokio::test]
async fn a_use_that_is_not_said_is_an_estimate_and_called_one() {
    for adapter in ADAPTERS {
        let said = format!("{}{}", (adapter.saying)("some words"), (adapter.ending)());
        let unsaid = said.replace("usage", "used");
        assert_ne!(said, unsaid);
        for (stream, estimated) in [(said, 0), (unsaid, 1)] {
            let server = Server::start(move |_| chunked(STREAM, [stream.as_bytes()])).await;
            let told = collect(open(adapter, &server.url()).stream(call())).await;
            told.result.expect("a reply");
            assert_eq!(told.usage.estimated, estimated, "{}", adapter.folder);
            assert!(told.usage.input > 0 && told.usage.output > 0, "{:?}", told.usage);
            assert_eq!(told.usage.unpriced, 0);
        }
        // One that breaks off is an estimate too, as far as it was not said.
        let begun = (adapter.saying)("some words");
        let server = Server::start(move |_| chunked(STREAM, [begun.as_bytes()])).await;
        let told = collect(open(adapter, &server.url()).stream(call())).await;
        told.result.expect_err("no end");
        assert_eq!(told.usage.estimated, 1, "{}", adapter.folder);
    }
}
