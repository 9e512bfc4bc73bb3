//! Calls that fail: what is said about it, and when.

use std::time::Duration;

use taskd_llm::{Http, HttpSettings, Llm, LlmError, Secret, Takes, Timeouts};
use tokio::{net::TcpListener, time::Instant};

use super::{
    ADAPTERS, Adapter, KEY, PROMPT, STREAM, call, complain, end, open, open_with,
    server::{Say, Server, begun, chunked, plain},
    story, timeouts,
};

/// Far below every wait that is not the one looked at, and enough for a busy machine.
const PROMPTLY: Duration = Duration::from_secs(2);
const NOON: &str = "date: Tue, 01 Jan 2030 12:00:00 GMT";
const JSON: &str = "content-type: application/json";

/// What is said about an answer with this head and body.
async fn verdict(adapter: &Adapter, head: &str, body: &str) -> String {
    let (head, body) = (head.to_owned(), body.to_owned());
    let server = Server::start(move |_| plain(&head, &body)).await;
    let told = story(open(adapter, &server.url()).stream(call())).await;
    assert!(!told.contains("accepted"), "{told}");
    assert_eq!(server.seen().len(), 1, "asked once");
    told.trim_end().to_owned()
}

/// Proves AY-2.3 X37.
#[tokio::test]
async fn answers_are_judged_by_status_and_code_and_never_by_prose() {
    for adapter in ADAPTERS {
        let [overloaded, limited, billing, credential, large] = adapter.codes;
        let cases = [
            ("429 X", "retry-after: 7", limited, "NotBefore(7000) RateLimited 429"),
            (
                "429 X",
                "retry-after: Tue, 01 Jan 2030 12:00:30 GMT",
                limited,
                "NotBefore(30000) RateLimited 429",
            ),
            (
                "429 X",
                "retry-after: Tue, 01 Jan 2030 11:00:00 GMT",
                limited,
                "NotBefore(0) RateLimited 429",
            ),
            ("429 X", "retry-after: 99999999", limited, "NotBefore(604800000) RateLimited 429"),
            (
                "429 X",
                "retry-after-ms: 250\r\nretry-after: 7",
                limited,
                "NotBefore(250) RateLimited 429",
            ),
            ("429 X", "", limited, "RateLimited RateLimited 429"),
            ("429 X", "retry-after: soon", limited, "RateLimited RateLimited 429"),
            ("429 X", "", billing, "Auth Auth 429"),
            ("529 X", "", overloaded, "Transient Server 529"),
            ("529 X", "retry-after: 2", overloaded, "NotBefore(2000) Server 529"),
            ("500 X", "", "unheard_of", "Transient Server 500"),
            ("401 X", "", credential, "Auth Auth 401"),
            ("403 X", "retry-after: 2", "unheard_of", "Auth Auth 403"),
            ("400 X", "", "unheard_of", "Permanent Refused 400"),
            ("400 X", "", large, "TooLarge ContextTooLarge 400"),
            ("413 X", "", large, "TooLarge ContextTooLarge 413"),
            ("302 X", "location: /elsewhere", "unheard_of", "Permanent Refused 302"),
            ("200 OK", "", overloaded, "Transient Server 200"),
        ];
        let quoting = format!("overloaded rate limit too long {KEY} {PROMPT} retry in 5 seconds");
        for (status, header, code, expected) in cases {
            let gap = if header.is_empty() { "" } else { "\r\n" };
            let head = format!("{status}\r\n{NOON}\r\n{JSON}{gap}{header}");
            for prose in ["", "no", &quoting] {
                let told = verdict(adapter, &head, &(adapter.error)(code, prose)).await;
                assert_eq!(told, format!("{expected} {code}"), "{head} {prose}");
            }
        }
    }
}

#[tokio::test]
async fn bodies_that_are_not_the_providers_are_told_apart() {
    let page = format!("<html>{KEY} overloaded_error {PROMPT}</html>");
    let cases = [
        ("200 OK\r\ncontent-type: text/html", &*page, "Permanent NotAStream 200"),
        ("200 OK\r\ncontent-type: application/json", "{}", "Permanent NotAStream 200"),
        ("200 OK", "", "Permanent NotAStream 200"),
        ("204 No Content", "", "Transient Server 204"),
        ("502 X\r\ncontent-type: text/html", &*page, "Transient Server 502"),
        ("404 X\r\ncontent-type: text/html", &*page, "Permanent Refused 404"),
        ("503 X\r\ncontent-type: application/json", "{\"error\": ", "Transient Server 503"),
        ("503 X", "", "Transient Server 503"),
        ("413 X\r\ncontent-type: text/html", &*page, "TooLarge ContextTooLarge 413"),
    ];
    for adapter in ADAPTERS {
        for (head, body, expected) in &cases {
            assert_eq!(verdict(adapter, head, body).await, *expected, "{head}");
        }
    }
}

#[tokio::test]
async fn an_endless_error_is_read_no_further_than_needed() {
    let much = vec![b' '; 70 * 1024];
    for adapter in ADAPTERS {
        let much = much.clone();
        let server = Server::start(move |_| {
            let mut says = begun("529 X", [&much[..]]);
            says.push(Say::Hang);
            says
        })
        .await;
        let (error, took) = failure(&open(adapter, &server.url())).await;
        assert_eq!(complain(&error), "Transient Server 529");
        assert!(took < PROMPTLY, "{took:?}");
        assert!(server.closed(1, PROMPTLY).await);
    }
}

#[tokio::test]
async fn limits_are_told_with_an_answer_of_any_status() {
    for adapter in ADAPTERS {
        let head = format!("{STREAM}\r\n{NOON}\r\n{}", adapter.levels);
        let whole = (adapter.saying)("hello") + &(adapter.ending)();
        let server = Server::start(move |_| chunked(&head, [whole.as_bytes()])).await;
        let told = story(open(adapter, &server.url()).stream(call())).await;
        let levels = "levels RateLevels { requests: Some(Level { limit: 50, remaining: 0, \
                      reset_ms: 30000 }), input_tokens: None, output_tokens: None, tokens: None }";
        assert!(told.starts_with(&format!("accepted\n{levels}\n")), "{told}");

        let head = format!("429 X\r\n{NOON}\r\n{}", adapter.levels);
        let told = verdict(adapter, &head, "").await;
        assert_eq!(told, format!("{levels}\nRateLimited RateLimited 429"));
    }
}

#[tokio::test]
async fn an_error_in_mid_stream_is_judged_by_its_code() {
    for adapter in ADAPTERS {
        let [overloaded, limited, billing, credential, large] = adapter.codes;
        let cases = [
            (overloaded, "Transient Server 200"),
            (limited, "RateLimited RateLimited 200"),
            (billing, "Auth Auth 200"),
            (credential, "Auth Auth 200"),
            (large, "TooLarge ContextTooLarge 200"),
            ("unheard_of", "Transient Server 200"),
        ];
        for (code, expected) in cases {
            for prose in ["", "authentication_error, your key is wrong", KEY] {
                let text = (adapter.saying)("hello") + &(adapter.error_event)(code, prose);
                let server = Server::start(move |_| chunked(STREAM, [text.as_bytes()])).await;
                let told = story(open(adapter, &server.url()).stream(call())).await;
                assert!(told.contains("text \"hello\"\n"), "{told}");
                assert!(told.contains(adapter.midway), "what came has its price: {told}");
                assert!(told.ends_with(&format!("{expected} {code}\n")), "{told}");
            }
        }
    }
}

#[tokio::test]
async fn garbage_is_an_error_and_has_an_end() {
    for adapter in ADAPTERS {
        let line = vec![b'x'; 1024 * 1024];
        let server = Server::start(move |_| {
            let mut says = begun(STREAM, [&b"data: "[..], &line, &line, &line, &line, &line]);
            says.push(Say::Hang);
            says
        })
        .await;
        let told = end(&open(adapter, &server.url()), call()).await;
        assert_eq!(told, "Permanent TooLarge");
        assert!(server.closed(1, PROMPTLY).await);

        for data in ["<html>", "{", adapter.garbage] {
            let text = format!("data: {data}\n\n");
            let server = Server::start(move |_| chunked(STREAM, [text.as_bytes()])).await;
            let told = end(&open(adapter, &server.url()), call()).await;
            assert_eq!(told, "Transient Garbled 200", "{data}");
        }

        let server = Server::start(|_| vec![Say::Bytes(b"SSH-2.0-x\r\n".to_vec())]).await;
        assert_eq!(end(&open(adapter, &server.url()), call()).await, "Transient Unreachable");
        let server = Server::start(|_| vec![Say::Close]).await;
        assert_eq!(end(&open(adapter, &server.url()), call()).await, "Transient Unreachable");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_a_passing_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    for adapter in ADAPTERS {
        assert_eq!(end(&open(adapter, &url), call()).await, "Transient Unreachable");
        let nowhere = open(adapter, "http://nowhere.invalid");
        assert_eq!(end(&nowhere, call()).await, "Transient Unreachable");
    }
}

/// Proves S-1.1.8, AY-4.10: every wait, each the only short one: what is waited for is named, and nothing waits longer.
#[tokio::test]
async fn each_stall_ends_by_its_own_limit() {
    const SHORT: Duration = Duration::from_millis(60);
    let first = Timeouts { first_event: SHORT, ..timeouts() };
    let idle = Timeouts { idle: SHORT, ..timeouts() };
    let total = Timeouts { total: SHORT, ..timeouts() };
    for adapter in ADAPTERS {
        let hello = (adapter.saying)("hello");
        let silent = Vec::new;
        let headers = || begun(STREAM, []);
        let comment = || begun(STREAM, [&b": wait\n\n"[..]]);
        let half = || begun(STREAM, [hello.as_bytes()]);
        let error = || begun("529 X", [&b"{"[..]]);
        let cases = [
            (first, silent(), "Transient TimedOut", "no first event"),
            (first, headers(), "Transient TimedOut 200", "no first event"),
            (first, comment(), "Transient TimedOut 200", "no first event"),
            (idle, half(), "Transient TimedOut 200", "no further byte"),
            (total, silent(), "Transient TimedOut", "no end of the reply"),
            (total, half(), "Transient TimedOut 200", "no end of the reply"),
            (idle, error(), "Transient Server 529", "529"),
        ];
        for (timeouts, mut says, expected, word) in cases {
            says.push(Say::Hang);
            let server = Server::start(move |_| says.clone()).await;
            let model = open_with(adapter, &server.url(), timeouts);
            let (error, took) = failure(&model).await;
            assert_eq!(complain(&error), expected, "{error}");
            assert!(error.to_string().contains(word), "{error}");
            assert!(took >= SHORT, "{error}");
            assert!(took < PROMPTLY, "{took:?} {error}");
            assert!(server.closed(1, PROMPTLY).await, "{error}");
        }

        // Accepts, and says nothing to the TLS client.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let timeouts = Timeouts { connect: SHORT, ..timeouts() };
        let model = open_with(adapter, &url, timeouts);
        let (error, took) = failure(&model).await;
        assert_eq!(complain(&error), "Transient TimedOut");
        assert!(error.to_string().contains("no connection within 60 ms"), "{error}");
        assert!(took >= SHORT && took < PROMPTLY, "{took:?}");
    }
}

/// How a call fails, and after how long.
async fn failure(model: &Http) -> (LlmError, Duration) {
    let start = Instant::now();
    let ended = taskd_llm::collect(model.stream(call())).await;
    (ended.result.expect_err("a failure"), start.elapsed())
}

#[tokio::test]
async fn an_error_says_whose_it_is_and_when() {
    for adapter in ADAPTERS {
        let body = (adapter.error)(adapter.codes[0], "x");
        let head = format!("529 X\r\n{JSON}\r\nretry-after: 2");
        let server = Server::start(move |_| plain(&head, &body)).await;
        let model = open(adapter, &server.url());
        let mut third = call();
        third.attempt = 2;
        let error = taskd_llm::collect(model.stream(third)).await.result.expect_err("an error");
        let origin = error.origin().expect("a provider's").clone();
        assert_eq!((origin.attempt, origin.status), (2, Some(529)));
        assert_eq!(origin.code.as_deref(), Some(adapter.codes[0]));
        assert_eq!(origin.body, taskd_llm::BodyKind::Json);
        let told = error.to_string();
        let (who, what) = told.split_once(": a problem").expect(&told);
        assert!(who.starts_with("acme:model-1, send 3"), "{told}");
        assert_eq!(
            what,
            format!(" of the provider's own (529 {}); ask again in 2000 ms", adapter.codes[0])
        );
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let cases = [
        ("", "no URL"),
        ("api.example", "no URL"),
        ("ftp://api.example", "https://"),
        ("https://user:sk-sentinel-7f3a@api.example", "credential"),
        ("https://api.example/?key=sk-sentinel-7f3a", "`?`"),
    ];
    for adapter in ADAPTERS {
        let settings = |url: &str, key: &str| HttpSettings {
            provider: "acme".to_owned(),
            model: "model-1".to_owned(),
            api: adapter.api,
            base_url: url.to_owned(),
            key: Some(Secret::new(key.to_owned())),
            timeouts: Timeouts::default(),
            takes: Takes::default(),
            ca_file: None,
        };
        for (url, expected) in cases {
            let settings = settings(url, KEY);
            super::clean(&format!("{settings:?}"));
            let error = Http::new(settings).expect_err("unusable");
            assert_eq!(complain(&error), "Permanent Settings");
            assert!(error.to_string().contains(expected), "{error}");
        }
        let error = Http::new(settings("http://localhost", &format!("{KEY}\n{KEY}")));
        assert!(error.expect_err("unusable").to_string().contains("its key cannot be a header"));
    }
}
