//! The link against lines as a program prints them, without a program.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

fn line(link: &Link, message: &Value) {
    link.feed(format!("{message}\n").as_bytes());
}

/// What was written next.
fn written(outbox: &mut Outbox) -> Value {
    serde_json::from_slice(&outbox.0.try_recv().unwrap()).unwrap()
}

/// Polls once.
fn step<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_session_a_prompt_and_its_end() {
    let (link, mut outbox) = Link::new();
    let mut hello = pin!(link.initialize());
    assert!(step(hello.as_mut()).is_pending());
    let asked = written(&mut outbox);
    assert_eq!(
        (&asked["method"], &asked["params"]["protocolVersion"]),
        (&"initialize".into(), &1.into())
    );
    let offers = &asked["params"]["clientCapabilities"];
    assert_eq!(
        offers,
        &json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false})
    );
    let able = json!({"protocolVersion": 1, "agentCapabilities": {"loadSession": true},
        "agentInfo": {"name": "x\ny", "version": "2"}});
    line(&link, &json!({"jsonrpc": "2.0", "id": asked["id"], "result": able}));
    let told = Abilities { loads_sessions: true, name: Some("x".to_owned()) };
    assert_eq!(step(hello.as_mut()), Poll::Ready(Ok(told)));

    let mut said = link.listen();
    let mut prompt = pin!(link.prompt("s", "do it"));
    assert!(step(prompt.as_mut()).is_pending());
    let asked = written(&mut outbox);
    assert_eq!(asked["params"]["prompt"], json!([{"type": "text", "text": "do it"}]));
    let update = json!({"sessionUpdate": "tool_call", "title": "t"});
    let update = json!({"method": "session/update", "params": {"update": update}});
    line(&link, &update);
    line(&link, &update);
    assert_eq!(said.try_recv(), Ok(Said::Activity("t".to_owned())));
    assert_eq!(said.try_recv(), Err(mpsc::error::TryRecvError::Empty), "told once");
    line(&link, &json!({"id": "a", "method": "fs/read_text_file", "params": {}}));
    let refused = written(&mut outbox);
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&"a".into(), &NO_METHOD.into()));
    let usage =
        json!({"inputTokens": 5, "outputTokens": 6, "cachedReadTokens": 7, "totalTokens": 18});
    let end = json!({"stopReason": "end_turn", "usage": usage});
    line(&link, &json!({"id": asked["id"], "result": end}));
    let usage = Some(Used { input: 5, output: 6, cache_read: 7, cache_write: 0 });
    let stop = Stop { reason: "end_turn".to_owned(), usage };
    assert_eq!(step(prompt.as_mut()), Poll::Ready(Ok(stop)));
    // A reply that came twice is no harm.
    line(&link, &json!({"id": asked["id"], "result": {}}));
    assert_eq!(link.over(), None);
}

#[test]
fn a_question_that_nobody_hears_is_cancelled() {
    let (link, mut outbox) = Link::new();
    let option = json!({"optionId": "o", "name": "Yes", "kind": "allow_always"});
    let params = json!({"toolCall": {"title": "t"}, "options": [option]});
    let ask = json!({"id": 7, "method": "session/request_permission", "params": params});
    line(&link, &ask);
    let cancelled = json!({"outcome": {"outcome": "cancelled"}});
    assert_eq!(written(&mut outbox)["result"], cancelled);
    let mut said = link.listen();
    line(&link, &ask);
    let Ok(Said::Asks(asks)) = said.try_recv() else { panic!("it asks") };
    assert_eq!(asks.choice(false), None);
    link.answer(&asks, asks.choice(true).map(|it| it.id.as_str()));
    let told = written(&mut outbox);
    let selected = json!({"outcome": {"outcome": "selected", "optionId": "o"}});
    assert_eq!((&told["id"], &told["result"]), (&7.into(), &selected));
}

#[test]
fn whoever_breaks_the_protocol_is_done_for() {
    let broken = |feed: &dyn Fn(&Link)| {
        let (link, _outbox) = Link::new();
        let mut waits = pin!(link.new_session(Path::new("/w")));
        assert!(step(waits.as_mut()).is_pending());
        feed(&link);
        let Poll::Ready(Err(why)) = step(waits.as_mut()) else { panic!("it is told") };
        assert_eq!(
            link.over(),
            Some(why.clone()).filter(|_| !matches!(why, AcpError::Reply { .. }))
        );
        why
    };
    let garbage = broken(&|it| (0..=ASIDES_MAX).for_each(|_| it.feed(b"[1]\n")));
    assert_eq!(garbage, AcpError::Garbage { line: "[1]".to_owned() });
    for id in [json!(4), json!("0"), json!(-1), Value::Null] {
        let why = broken(&|it| line(it, &json!({"id": id, "result": {}})));
        assert_eq!(why, AcpError::UnknownReply { id: id.to_string() });
    }
    let long = vec![b'x'; LINE_MAX_BYTES / 2 + 1];
    assert_eq!(broken(&|it| (0..2).for_each(|_| it.feed(&long))), AcpError::LineTooLong);
    let why = broken(&|it| line(it, &json!({"id": 0, "result": {}})));
    assert!(matches!(why, AcpError::Reply { missing: "sessionId", .. }));
    let deaf = broken(&|it| (0..OUTBOX).for_each(|_| it.cancel("s")));
    assert_eq!(deaf, AcpError::Deaf);
    assert_eq!(broken(&Link::gone), AcpError::Gone);
}

#[test]
fn a_refusal_is_told_and_breaks_nothing() {
    let (link, mut outbox) = Link::new();
    for (code, is_login) in [(AUTH_REQUIRED, true), (-32_603, false)] {
        let mut waits = pin!(link.prompt("s", "p"));
        assert!(step(waits.as_mut()).is_pending());
        let id = written(&mut outbox)["id"].clone();
        line(&link, &json!({"id": id, "error": {"code": code, "message": "no\nway"}}));
        let Poll::Ready(Err(why)) = step(waits.as_mut()) else { panic!("it is told") };
        assert_eq!(matches!(&why, AcpError::NotLoggedIn { message } if message == "no"), is_login);
        assert!(!why.is_breach() && link.over().is_none());
    }
}
