//! What real agent programs printed, with the version in the file's name, and what we make of it.
//!
//! They ran against a local server that speaks their provider's wire format. Machine paths, ids and
//! times were replaced; nothing else was.
#![allow(clippy::unwrap_used, reason = "a failing test may panic")]

use taskd_tools::agents::{AgentFact, Preset, StreamParser};

const CLAUDE_SESSION: &str = "5f0c4a3e-2b7d-4d7a-9f52-0d9be6a1c001";
const CODEX_SESSION: &str = "0199a213-81c0-7800-8aa1-bbab2a035a53";

macro_rules! stream {
    ($name:literal) => {
        include_str!(concat!("streams/", $name, ".jsonl"))
    };
}

const KEY: &str = "ANTHROPIC_API_KEY pays";
const LOGIN: &str = "its login pays (none)";

/// One line for each fact, for people.
fn told(name: &str, text: &str) -> Vec<String> {
    let mut parser = StreamParser::new(Preset::builtin(name).unwrap());
    let mut facts = parser.feed(text.as_bytes());
    facts.extend(parser.finish());
    facts.into_iter().map(line).collect()
}

fn line(fact: AgentFact) -> String {
    match fact {
        AgentFact::Session(it) => format!("session {it}"),
        AgentFact::Usage { input, output, cache_read, cache_write, cost_micros } => {
            let cost = cost_micros.map_or_else(String::new, |it| format!(" {it} micros"));
            format!("used {input} {output} {cache_read} {cache_write}{cost}")
        }
        AgentFact::Activity(it) => it,
        AgentFact::Limit { until: Some(it) } => format!("limit until {it}"),
        AgentFact::Limit { until: None } => "limit".to_owned(),
        AgentFact::NotAccepted => "not accepted".to_owned(),
        AgentFact::Payer { name, login: true } => format!("its login pays ({name})"),
        AgentFact::Payer { name, login: false } => format!("{name} pays"),
        AgentFact::Result { text, is_error: true } => format!("failed: {text}"),
        AgentFact::Result { text, is_error: false } => format!("done: {text}"),
    }
}

#[test]
fn claude_works() {
    assert_eq!(
        told("claude", stream!("claude-2.1.197")),
        [
            &format!("session {CLAUDE_SESSION}"),
            KEY,
            "I write the file.",
            "used 1000 1 300 200",
            "bash echo b >b.txt",
            "I wrote b.txt.",
            "used 2000 2 600 400",
            // The last line counts what was written, too.
            "used 2000 100 600 400 15300 micros",
            "done: I wrote b.txt.",
        ]
    );
}

#[test]
fn claude_has_used_its_window_up() {
    let said = "failed: You've hit your session limit · resets 5:50pm (UTC)";
    let session = format!("session {CLAUDE_SESSION}");
    assert_eq!(
        told("claude", stream!("claude-2.1.197-window")),
        [&session, LOGIN, "limit until 1795284000", "limit", "used 0 0 0 0 0 micros", said]
    );
    let told = told("claude", stream!("claude-2.1.197-429"));
    assert_eq!(told[..3], [&session, KEY, "limit"], "with a key nobody says until when");
    assert!(told.last().unwrap().starts_with("failed: API Error: Request rejected (429)"));
}

#[test]
fn claude_is_not_accepted() {
    let session = format!("session {CLAUDE_SESSION}");
    let refused = ["refused authentication_failed", "not accepted"];
    assert_eq!(
        told("claude", stream!("claude-2.1.197-401")),
        [&session, KEY, refused[0], refused[1], refused[0], refused[1]]
    );
    let none = told("claude", stream!("claude-2.1.197-no-login"));
    assert_eq!(none[..3], [&session, LOGIN, "not accepted"]);
    assert_eq!(none.last().unwrap(), "failed: Not logged in · Please run /login");
    let poor = told("claude", stream!("claude-2.1.197-no-money"));
    assert_eq!(poor[..3], [&session, KEY, "not accepted"]);
    assert_eq!(poor.last().unwrap(), "failed: Credit balance is too low");
}

#[test]
fn codex_works() {
    assert_eq!(
        told("codex", stream!("codex-0.169.0")),
        [
            &format!("session {CODEX_SESSION}"),
            "run /bin/bash -lc 'echo b >b.txt'",
            "I wrote b.txt.",
            "used 1400 100 600 0",
            "done: I wrote b.txt.",
        ]
    );
}

#[test]
fn codex_has_used_its_window_up() {
    let told = told("codex", stream!("codex-0.169.0-window"));
    assert!(told[1].starts_with("error You’ve hit your usage limit."), "{told:?}");
    assert_eq!(told[2], "limit");
    assert!(told[3].starts_with("failed: You’ve hit your usage limit."), "{told:?}");
}

#[test]
fn codex_is_not_accepted_or_was_asked_nonsense() {
    let refused = told("codex", stream!("codex-0.169.0-401"));
    assert!(refused[1].starts_with("error Reconnecting... 1/5"), "{refused:?}");
    assert_eq!(refused[refused.len() - 2], "not accepted");
    assert!(refused.last().unwrap().starts_with("failed: unexpected status 401"), "{refused:?}");
    let wrong = told("codex", stream!("codex-0.169.0-400"));
    assert!(wrong.last().unwrap().starts_with("failed: {\"error\""), "{wrong:?}");
    assert!(!wrong.contains(&"not accepted".to_owned()) && !wrong.contains(&"limit".to_owned()));
}
