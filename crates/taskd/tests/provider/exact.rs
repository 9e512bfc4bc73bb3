//! A script of calls in their order, each with its whole body. A call that is not the next one of
//! the script, and what is left of the script in the end, fail the test.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::{Answer, Headers, Provider, Seen, held};

/// A call that is expected next.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    /// The whole body.
    pub(crate) body: Value,
    /// What it is answered with.
    pub(crate) answer: Answer,
}

/// What is left of a script, and what did not fit.
#[derive(Debug, Default)]
struct Script {
    left: VecDeque<Expected>,
    calls: usize,
    problems: Vec<String>,
}

/// A provider that takes exactly the calls of its script.
pub(crate) struct Exact {
    pub(crate) provider: Provider,
    script: Arc<Mutex<Script>>,
}

impl Exact {
    pub(crate) fn new(calls: Vec<Expected>) -> Self {
        let script = Arc::new(Mutex::new(Script { left: calls.into(), ..Script::default() }));
        let ours = Arc::clone(&script);
        Self { provider: Provider::new(move |seen| held(&ours).next(seen)), script }
    }

    /// What did not fit, each with its first difference; what is left counts too.
    pub(crate) fn problems(&self) -> Vec<String> {
        let script = held(&self.script);
        let mut problems = script.problems.clone();
        if !script.left.is_empty() {
            problems.push(format!("{} expected calls were never made", script.left.len()));
        }
        problems
    }

    /// Asserts that every call of the script was made, in its order, and no other.
    #[track_caller]
    pub(crate) fn is_done(&self) {
        let problems = self.problems();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }
}

impl Script {
    fn next(&mut self, seen: &Seen) -> Answer {
        self.calls += 1;
        let n = self.calls;
        let body: Value = serde_json::from_str(&seen.body).unwrap_or(Value::Null);
        let Some(next) = self.left.front() else {
            self.problems.push(format!("call {n} is one too many: {}", seen.body));
            return refusal();
        };
        if let Some(difference) = difference("", &next.body, &body) {
            self.problems.push(format!("call {n} is not the expected one: {difference}"));
            return refusal();
        }
        self.left.pop_front().expect("just looked at").answer
    }
}

/// Ends the loop instead of having it try again.
fn refusal() -> Answer {
    Answer::Plain(400, Headers::new(), "{}".to_owned())
}

/// The first place where `is` differs from `expected`, with both values.
fn difference(at: &str, expected: &Value, is: &Value) -> Option<String> {
    match (expected, is) {
        (Value::Object(a), Value::Object(b)) => a
            .keys()
            .chain(b.keys())
            .find_map(|key| difference(&format!("{at}/{key}"), &expected[key], &is[key])),
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len())).find_map(|n| {
            let item = |it: &[Value]| it.get(n).cloned().unwrap_or(Value::Null);
            difference(&format!("{at}/{n}"), &item(a), &item(b))
        }),
        (a, b) => (a != b).then(|| format!("{at}: expected {a}, it is {b}")),
    }
}
