//! Whether providers can be called, asked for and told.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;

/// Answers every question with this, and counts them.
struct Asked {
    url: String,
    times: Arc<AtomicUsize>,
}

impl Asked {
    fn new(status: &'static str, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let times = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&times);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.expect("a connection"));
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
                assert!(head.starts_with("GET ") && head.contains("/models"), "{head}");
                count.fetch_add(1, Ordering::Relaxed);
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                reader.get_mut().write_all(answer.as_bytes()).expect("it reads");
            }
        });
        Self { url, times }
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }
}

/// A place where nobody is.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}/v1", listener.local_addr().expect("bound"))
}

/// Proves MC-PROV-10: each provider is told with credential, answer, number of models and what to
/// do; a named one that cannot be called makes the exit code 1; no credential is kept or shown.
/// Proves MC-PROV-6: nobody is asked before somebody wants to know, and not twice in a minute.
#[test]
fn providers_are_asked_whether_they_can_be_called() {
    let mut world = World::new();
    let well = Asked::new("200 OK", r#"{"data":[{"id":"a"},{"id":"b"}],"has_more":false}"#);
    let refusing = Asked::new("401 No", r#"{"error":{"code":"invalid_api_key"}}"#);
    own_models(
        &world,
        &format!(
            "[providers.open]\napi = 'openai-chat'\nurl = '{}/v1'\n\
             [providers.gone]\napi = 'openai-chat'\nurl = '{}'\n",
            Asked::new("404 No", "{}").url,
            nobody()
        ),
    );
    world.start();
    for (name, value) in [
        ("ANTHROPIC_API_KEY", SECRET),
        ("ANTHROPIC_BASE_URL", &well.url),
        ("OPENAI_API_KEY", SECRET),
        ("OPENAI_BASE_URL", &refusing.url),
        ("TASKD_LOCAL_URL", &nobody()),
    ] {
        world.env.insert(name.to_owned(), value.to_owned());
    }
    world.taskd(&["models"]).ok();
    assert_eq!((well.times(), refusing.times()), (0, 0), "nobody wanted to know");

    let out = world.taskd(&["models", "--check"]).ok();
    let line = |begins: &str| {
        let words = out.lines().find(|it| it.starts_with(begins)).expect("a line");
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    has(&line("anthropic "), &["ANTHROPIC_API_KEY set usable, ", " ms 2 none yet"]);
    assert_eq!(line("openai "), "openai OPENAI_API_KEY set not accepted - none yet");
    assert_eq!(line("local "), "local TASKD_LOCAL_KEY optional unreachable - none yet");
    assert_eq!(line("open "), "open none needed no list - none yet");
    assert_eq!(line("gone "), "gone none needed unreachable - none yet");
    has(&out, &["openai: ", "  export OPENAI_API_KEY=... with one that is valid"]);
    has(&out, &["check network and proxy, or say another place with `export TASKD_LOCAL_URL=...`"]);
    has(&out, &["or change its `url` in models.toml"]);
    assert!(!out.contains(SECRET));

    let json = world.taskd(&["models", "--check", "anthropic", "openai", "--json"]);
    assert_eq!(json.code, 1, "{json:?}");
    let value: serde_json::Value = serde_json::from_str(&json.out).expect("an object");
    let rows = value["providers"].as_array().expect("a list");
    let of = |key: &str| rows.iter().map(|it| it[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["anthropic", "openai"]);
    assert_eq!(of("usable"), [true, false]);
    assert_eq!(of("accepted"), [true, false]);
    assert_eq!(of("models"), [serde_json::json!(2), serde_json::Value::Null]);
    assert_eq!((well.times(), refusing.times()), (1, 2), "openai and openai-chat are two");

    world.taskd(&["models", "--check", "anthropic"]).ok();
    has(&world.taskd(&["models", "--check", "antropic"]).fails(5), &["did you mean `anthropic`?"]);
    // What was used for the questions was not kept.
    for name in ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"] {
        world.env.remove(name);
    }
    has(&world.taskd(&["models"]).ok(), &["ANTHROPIC_API_KEY not set"]);
    let out = world.taskd(&["models", "--check", "anthropic"]);
    assert_eq!(out.code, 1);
    has(&out.out, &["no credential", "export ANTHROPIC_API_KEY=... and ask again in that shell"]);
    world.stop();
    assert!(files_that_say(&world.state(), SECRET).is_empty());
}

/// The daemon's environment names the proxy, for all but this machine's own servers.
#[test]
fn a_proxy_is_asked_for_what_is_elsewhere() {
    let mut world = World::new();
    let body = r#"{"data":[{"id":"a"}]}"#;
    let (proxy, here) = (Asked::new("200 OK", body), Asked::new("200 OK", body));
    own_models(
        &world,
        &format!(
            "[providers.there]\napi = 'openai-chat'\nurl = 'http://models.invalid/v1'\n\
             [providers.spared]\napi = 'openai-chat'\nurl = 'http://spared.invalid/v1'\n\
             [providers.here]\napi = 'openai-chat'\nurl = '{}/v1'\n",
            here.url
        ),
    );
    world.env.insert("HTTP_PROXY".to_owned(), proxy.url.clone());
    world.env.insert("NO_PROXY".to_owned(), "spared.invalid".to_owned());
    world.start();
    world.taskd(&["models", "--check", "there", "here"]).ok();
    assert_eq!((proxy.times(), here.times()), (1, 1));
    let spared = world.taskd(&["models", "--check", "spared"]);
    assert_eq!((spared.code, proxy.times()), (1, 1), "{spared:?}");
}
