//! Questions that are answered at once: how many tokens a request is, which models there are.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use taskd_llm::{Listed, Llm, Timeouts};
use taskd_model::{Params, Request, Thinking};

use super::{
    ADAPTERS, Adapter, KEY, PROMPT, call, complain, open, open_model, open_with,
    server::{Say, Server, begun, plain},
    timeouts,
};

const JSON: &str = "content-type: application/json";

/// What a request is sent with beside its own headers.
#[track_caller]
fn authorized(adapter: &Adapter, seen: &super::server::Seen) {
    let (name, how) = adapter.key;
    assert_eq!(seen.header(name), Some(how.replace("{key}", KEY).as_str()));
    assert_eq!(seen.header("accept"), Some("application/json"));
    for (name, value) in adapter.headers {
        assert_eq!(seen.header(name), Some(*value));
    }
}

#[tokio::test]
async fn tokens_are_counted_where_somebody_counts_them() {
    let mut counted = 0;
    for adapter in ADAPTERS {
        let body = adapter.count.map_or("{}", |it| it.1);
        let server = Server::start(move |_| plain(&format!("200 OK\r\n{JSON}"), body)).await;
        let model = open(adapter, &server.url());
        let told = model.count_tokens(&call().request).await.expect("a count");
        assert_eq!(model.capabilities().counts_tokens, adapter.count.is_some());
        let Some((path, _, tokens)) = adapter.count else {
            assert_eq!((told, server.seen().len()), (None, 0), "nobody is asked");
            continue;
        };
        counted += 1;
        assert_eq!(told, Some(tokens));
        let [seen] = &server.seen()[..] else { panic!("asked once") };
        assert!(seen.head.starts_with(&format!("POST {path} HTTP/1.1")), "{}", seen.head);
        authorized(adapter, seen);
        // What is read is asked about as it is sent; nothing that shapes only the reply.
        let asked: Value = serde_json::from_slice(&seen.body).expect("JSON");
        assert!(asked.to_string().contains(PROMPT));
        assert!(asked.to_string().contains("You write shell."));
        assert_eq!(asked["model"], "model-1");
        for absent in ["max_tokens", "max_output_tokens", "stream", "store", "temperature"] {
            assert_eq!(asked[absent], Value::Null, "{absent}");
        }
    }
    assert_eq!(counted, 2);
}

#[tokio::test]
async fn what_is_thought_is_counted_as_it_would_be_sent() {
    for (adapter, model, key) in
        [(&ADAPTERS[0], "claude-haiku-4-5", "thinking"), (&ADAPTERS[2], "gpt-5", "reasoning")]
    {
        let body = adapter.count.expect("it counts").1;
        let server = Server::start(move |_| plain(&format!("200 OK\r\n{JSON}"), body)).await;
        let params = Params { thinking: Some(Thinking::Low), temperature: None };
        let max_tokens = 20_000;
        let request = Request { params, max_tokens, ..Request::clone(&call().request) };
        let model = open_model(adapter, &server.url(), model);
        model.count_tokens(&Arc::new(request)).await.expect("a count").expect("counted");
        let asked: Value = serde_json::from_slice(&server.seen()[0].body).expect("JSON");
        assert!(asked[key].is_object(), "{asked}");
    }
}

/// Every interface lists its models.
#[tokio::test]
async fn models_are_listed_by_every_interface() {
    for adapter in ADAPTERS {
        let (path, body, models, more) = adapter.list;
        let server = Server::start(move |_| plain(&format!("200 OK\r\n{JSON}"), body)).await;
        let told = open(adapter, &server.url()).list().await.expect("a list");
        assert_eq!(told, Listed { models, more });
        let [seen] = &server.seen()[..] else { panic!("asked once") };
        assert!(seen.head.starts_with(&format!("GET {path} HTTP/1.1")), "{}", seen.head);
        assert!(seen.body.is_empty());
        authorized(adapter, seen);
    }
}

#[tokio::test]
async fn questions_fail_as_calls_do() {
    for adapter in ADAPTERS {
        let [overloaded, limited, _, auth, _] = adapter.codes;
        let cases = [
            (529, "", overloaded, "Transient Server"),
            (429, "retry-after: 2\r\n", limited, "NotBefore(2000) RateLimited"),
            (401, "", auth, "Auth Auth"),
        ];
        for (status, header, code, expected) in cases {
            let body = (adapter.error)(code, PROMPT);
            let head = format!("{status} Sorry\r\n{header}{JSON}");
            let server = Server::start(move |_| plain(&head, &body)).await;
            let model = open(adapter, &server.url());
            let error = model.list().await.expect_err("an error");
            assert_eq!(complain(&error), format!("{expected} {status} {code}"));
            if adapter.count.is_some() {
                let error = model.count_tokens(&call().request).await.expect_err("an error");
                assert_eq!(complain(&error), format!("{expected} {status} {code}"));
            }
        }
        for (head, body, expected) in [
            ("200 OK\r\ncontent-type: text/html", "<html>", "Transient Garbled 200"),
            ("200 OK\r\ncontent-type: application/json", "[]", "Transient Garbled 200"),
        ] {
            let server = Server::start(move |_| plain(head, body)).await;
            let error = open(adapter, &server.url()).list().await.expect_err("nonsense");
            assert_eq!(complain(&error), expected);
        }
        let server = Server::start(|_| vec![Say::Close]).await;
        let error = open(adapter, &server.url()).list().await.expect_err("closed");
        assert!(complain(&error).starts_with("Transient Unreachable"), "{error}");
    }
}

#[tokio::test]
async fn questions_end_in_time_and_in_bounds() {
    let short = Duration::from_millis(100);
    for adapter in ADAPTERS {
        let endless = |_: &super::server::Seen| {
            let mut says = begun(&format!("200 OK\r\n{JSON}"), [b"{".as_slice()]);
            says.push(Say::Hang);
            says
        };
        let server = Server::start(endless).await;
        let model = open_with(adapter, &server.url(), Timeouts { total: short, ..timeouts() });
        let error = model.list().await.expect_err("no end");
        assert!(complain(&error).starts_with("Transient TimedOut"), "{error}");
        if adapter.count.is_some() {
            let error = model.count_tokens(&call().request).await.expect_err("no end");
            assert!(complain(&error).starts_with("Transient TimedOut"), "{error}");
        }
        assert!(server.closed(1, Duration::from_secs(2)).await, "the connection is given up");
        let piece = vec![b' '; 1 << 20];
        let server = Server::start(move |_| {
            begun(&format!("200 OK\r\n{JSON}"), std::iter::repeat_n(piece.as_slice(), 9))
        })
        .await;
        let error = open(adapter, &server.url()).list().await.expect_err("too long");
        assert!(error.to_string().contains("an answer that is too long"), "{error}");
    }
}
