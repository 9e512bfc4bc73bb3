//! Who may come in, and what a browser may do with what it is sent.

use serde_json::json;

use super::{Served, asking};
use crate::support::World;

/// Proves WEB-1: the printed address opens the page once; without it, with another one, used again,
/// or of a page that is no longer served nothing is told and nothing done.
#[test]
fn the_address_opens_the_page_once() {
    let world = asking("echo roses > poem.txt");
    let mut served = Served::closed(&world);
    let ask = json!({ "what": "show", "id": "p1" });
    assert!(served.post("/ask", &ask).refusal(403).contains("not open"));
    for (token, part) in [("", "not the one"), ("0", "not the one"), ("x", "not the one")] {
        assert!(served.enter(token).refusal(403).contains(part));
    }
    // What is not understood uses nothing up.
    let own = served.own();
    let headers = [("Host", served.address.as_str()), ("Origin", &own)];
    assert!(served.send("POST /enter", &headers, "{}").refusal(400).contains("token"));
    let answer = served.enter(&served.token);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!answer.head.contains("set-cookie"), "a cookie would go to every port: {answer:?}");
    served.key = answer.json()["key"].as_str().expect("a key").to_owned();
    assert_ne!(served.key, served.token);
    assert!(served.enter(&served.token).refusal(403).contains("used already"));
    assert_eq!(served.ask(&ask)["name"], "p1.poem");
    // Another one has other keys, and the address is in no log.
    let mut other = Served::closed(&world);
    other.key.clone_from(&served.key);
    assert!(other.post("/ask", &ask).refusal(403).contains("not open"));
    let log = std::fs::read_to_string(world.dir.path().join("daemon.log")).unwrap_or_default();
    assert!(!log.contains(&served.token) && !log.contains(&served.key));
}

/// Proves WEB-2: a page of another origin, also one on another port of this machine, a name that was
/// bent to loopback, and a request without an origin are turned away, and nothing happens; every
/// answer forbids a browser everything but the page's own files.
#[test]
fn who_is_not_the_page_is_turned_away() {
    let world = asking("echo roses > poem.txt");
    let served = Served::open(&world);
    let act = json!({ "verb": "land", "id": "p1", "key": "k" }).to_string();
    let (host, own) = (served.address.as_str(), served.own());
    let bearer = format!("Bearer {}", served.key);
    let before = world.events().len();
    let port = served.address.rsplit_once(':').expect("a port").1;
    let rebound = format!("example.org:{port}");
    for (host, origin, key) in [
        (host, "https://example.org", &*bearer),
        (host, "http://127.0.0.1:1", &*bearer),
        (host, &*format!("http://localhost:{port}"), &*bearer),
        (host, "null", &*bearer),
        (host, "", &*bearer),
        (&*rebound, &*format!("http://{rebound}"), &*bearer),
        (&*format!("127.0.0.1.example.org:{port}"), &*own, &*bearer),
        (host, &*own, "Bearer 00"),
        (host, &*own, ""),
    ] {
        for path in ["/act", "/ask", "/stream", "/log"] {
            let mut headers = vec![("Host", host)];
            headers.extend((!origin.is_empty()).then_some(("Origin", origin)));
            headers.extend((!key.is_empty()).then_some(("Authorization", key)));
            let answer = served.send(&format!("POST {path}"), &headers, &act);
            answer.refusal(403);
            sealed(&answer.head);
        }
    }
    for (line, status) in
        [("GET /act", 405), ("GET /ask", 405), ("GET /nothing", 404), ("GET /../etc/passwd", 404)]
    {
        let answer = served.send(line, &[("Host", host)], "");
        assert_eq!(answer.status, status, "{line}");
        sealed(&answer.head);
    }
    // A browser that asks whether another page may is not told that it may.
    let asks = [("Host", host), ("Origin", "https://example.org")];
    let answer = served.send("OPTIONS /act", &asks, "");
    assert!(answer.status == 403 && !answer.head.contains("access-control"), "{answer:?}");
    assert_eq!(world.events().len(), before, "nothing happened: {}", world.transcript());
    assert!(world.row("p1.poem").landed.is_none());
}

#[track_caller]
fn sealed(head: &str) {
    for part in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; \
         connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(head.contains(part), "{part:?} is missing:\n{head}");
    }
}

/// Proves WEB-3: all files of the page come from the program, each with its type; none names another
/// place, has code or style within the document, or makes markup of text.
#[test]
fn nothing_of_the_page_comes_from_elsewhere() {
    let mut world = World::new();
    world.start();
    let served = Served::closed(&world);
    let mut names = vec!["/".to_owned()];
    let mut seen = 0;
    while seen < names.len() {
        let name = names[seen].clone();
        seen += 1;
        let answer = served.get(&name);
        assert_eq!(answer.status, 200, "{name}");
        sealed(&answer.head);
        let kind = match name.rsplit_once('.').map_or("html", |it| it.1) {
            "js" => "text/javascript",
            "css" => "text/css",
            "svg" => "image/svg+xml",
            _ => "text/html",
        };
        assert!(answer.head.contains(&format!("content-type: {kind}")), "{name}: {answer:?}");
        let text = answer.body.replace("http://www.w3.org/2000/svg", "");
        for never in ["//", "@import", "url("] {
            // A comment of a script begins with two slashes.
            let found = text.lines().any(|it| {
                it.contains(never) && !(never == "//" && it.trim_start().starts_with("// "))
            });
            assert!(!found, "{name} says {never:?}");
        }
        for never in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!text.contains(never), "{name} says {never:?}");
        }
        if kind == "text/html" {
            assert!(!text.contains("style=") && !text.contains("<style") && !text.contains(" on"));
            assert_eq!(text.matches("<script").count(), text.matches("src=\"").count());
        }
        let words = text.split(['"', '\'']).filter(|it| {
            let name = it.trim_start_matches("./");
            !name.contains(['/', ' ', ':'])
                && [".js", ".css", ".svg"].iter().any(|end| name.ends_with(end))
        });
        for word in words {
            let name = format!("/{}", word.trim_start_matches("./"));
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    assert!(names.len() >= 8, "{names:?}");
}

/// `taskd web` without a daemon says so, and a port that is taken is named.
#[test]
fn what_cannot_be_served_is_told() {
    let mut world = World::new();
    let err = world.taskd(&["web"]).fails(69);
    assert!(err.contains("taskd daemon start"), "{err}");
    world.start();
    let served = Served::closed(&world);
    let port = served.address.rsplit_once(':').expect("a port").1;
    let err = world.taskd(&["web", "--port", port]).fails(1);
    assert!(err.contains(&served.address) && err.contains("hint: taskd web"), "{err}");
}
