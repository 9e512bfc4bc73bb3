//! The tools: what each takes, which right it needs, and what it asks of the daemon. Answers are the
//! objects of `--json`.

mod act;
mod look;
mod wait;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use taskd_api::{ApiError, codes};
use taskd_mcp::{Answer, Progress, Tool};

use super::{
    Fleet,
    bounds::{MAX_ANSWER_BYTES, bounded},
};
use crate::cli::{args::Right, failure::Failure};

/// A tool in the list of all.
pub(super) struct Entry {
    name: &'static str,
    description: &'static str,
    /// JSON Schema of its arguments.
    schema: &'static str,
    /// What must be allowed for it; nothing for looking.
    pub(super) right: Option<Right>,
}

impl Entry {
    pub(super) fn tool(&self) -> Tool {
        Tool {
            name: self.name,
            description: self.description.to_owned(),
            schema: serde_json::from_str(self.schema).expect("a test parses every schema"),
            read_only: self.right.is_none(),
        }
    }
}

const PLAN_SCHEMA: &str = r#"{"type":"object","properties":{"document":{"type":"string","description":"text of a plan file (Markdown or YAML)"},"request":{"type":"string","description":"instead of a document: one task in words"},"directory":{"type":"string","description":"a path in the repository; default: where this server was started"},"agent":{"type":"string","description":"an agent program, as claude"},"model":{"type":"string","description":"PROVIDER/MODEL, instead of an agent"},"gate":{"type":"string","description":"the command that decides whether it passes"},"land":{"enum":["never","ask","on-gate"]},"type":{"type":"string","description":"a loop type"},"target":{"type":"string","description":"the branch"},"key":{"type":"string","description":"same key, same plan: for asking again after a broken connection"}},"additionalProperties":false}"#;

pub(super) const ALL: &[Entry] = &[
    Entry {
        name: "list",
        description: "List plans and loops: what needs a person, works, waits. `all` adds what is \
            over, `all_projects` other repositories.",
        schema: r#"{"type":"object","properties":{"all":{"type":"boolean"},"all_projects":{"type":"boolean"}},"additionalProperties":false}"#,
        right: None,
    },
    Entry {
        name: "get",
        description: "One loop or plan: status, iterations with what the gate said, diff stat, what \
            was spent, texts.",
        schema: r#"{"type":"object","properties":{"id":{"type":"string","description":"p7 or p7.limiter"}},"required":["id"],"additionalProperties":false}"#,
        right: None,
    },
    Entry {
        name: "wait",
        description: "Wait until each of these is over or needs a person, at most `timeout_s` \
            seconds (default 60, at most 600). Says how each stands.",
        schema: r#"{"type":"object","properties":{"ids":{"type":"array","items":{"type":"string"},"minItems":1},"timeout_s":{"type":"integer","minimum":0,"maximum":600}},"required":["ids"],"additionalProperties":false}"#,
        right: None,
    },
    Entry {
        name: "why",
        description: "Why a loop or plan does not go on, and what a person can do.",
        schema: r#"{"type":"object","properties":{"id":{"type":"string"}},"required":["id"],"additionalProperties":false}"#,
        right: None,
    },
    Entry {
        name: "events",
        description: "Stored events: the last `max` (default 50, at most 500), or the first `max` \
            from sequence number `from` on; of these loops or plans only, of these kinds only.",
        schema: r#"{"type":"object","properties":{"ids":{"type":"array","items":{"type":"string"}},"from":{"type":"integer","minimum":1},"kinds":{"type":"array","items":{"type":"string"}},"max":{"type":"integer","minimum":1,"maximum":500}},"additionalProperties":false}"#,
        right: None,
    },
    Entry {
        name: "plan_check",
        description: "Say what a plan would do and what is wrong with it; nothing is stored.",
        schema: PLAN_SCHEMA,
        right: None,
    },
    Entry {
        name: "plan_submit",
        description: "Submit a plan, or one task in words. Answers with the plan's id, or with what \
            is wrong and stores nothing. Costs money once it works.",
        schema: PLAN_SCHEMA,
        right: Some(Right::Submit),
    },
    Entry {
        name: "steer",
        description: "Tell a loop, or all of a plan, something: the next prompt says it.",
        schema: r#"{"type":"object","properties":{"id":{"type":"string"},"text":{"type":"string"}},"required":["id","text"],"additionalProperties":false}"#,
        right: Some(Right::Steer),
    },
    Entry {
        name: "approve",
        description: "Decide what asks for a person: `land` brings passed work to its target, \
            `resume` goes on after a pause or a question, `reject` sends passed work back with \
            `text`, which says what is wrong.",
        schema: r#"{"type":"object","properties":{"id":{"type":"string"},"decision":{"enum":["land","resume","reject"]},"text":{"type":"string"}},"required":["id","decision"],"additionalProperties":false}"#,
        right: Some(Right::Approve),
    },
];

/// What a tool found, and whether that is a failure.
type Found = Result<(Value, bool), Failure>;

/// Does one call.
pub(super) async fn call(
    fleet: &Fleet,
    name: String,
    args: Map<String, Value>,
    progress: Progress,
) -> Answer {
    let args = Value::Object(args);
    let found = match admit(fleet, &name) {
        Err(error) => Err(error.into()),
        Ok(()) => match name.as_str() {
            "list" => look::list(fleet, args).await,
            "get" => look::get(fleet, args).await,
            "why" => look::why(fleet, args).await,
            "events" => look::events(fleet, args).await,
            "wait" => wait::wait(fleet, args, progress).await,
            "plan_check" => Box::pin(act::plan(fleet, args, true)).await,
            "plan_submit" => Box::pin(act::plan(fleet, args, false)).await,
            "steer" => act::steer(fleet, args).await,
            _ => act::approve(fleet, args).await,
        },
    };
    match found {
        Ok((value, is_error)) => {
            let value = bounded(value, MAX_ANSWER_BYTES);
            Answer { text: value.to_string(), structured: Some(value), is_error }
        }
        Err(failure) => failed(failure),
    }
}

/// The tool is there, and allowed.
fn admit(fleet: &Fleet, name: &str) -> Result<(), ApiError> {
    let entry = ALL.iter().find(|it| it.name == name).ok_or_else(|| {
        let name: String = name.chars().take(64).collect();
        let names: Vec<&str> = ALL.iter().map(|it| it.name).collect();
        let what = format!("there is no tool {name:?}");
        ApiError::new(codes::NOT_FOUND, what).hint(format!("the tools are {}", names.join(", ")))
    })?;
    match entry.right {
        Some(right) if !fleet.rights.contains(&right) => {
            let what = format!("the tool `{name}` is not allowed here");
            let hint = format!("a person allows it with `taskd mcp --allow {}`", right.word());
            Err(ApiError::new(codes::DENIED, what).hint(hint))
        }
        Some(_) | None => Ok(()),
    }
}

fn failed(failure: Failure) -> Answer {
    let error = match failure {
        Failure::Api(error) => error,
        Failure::Gone | Failure::Said(_) => ApiError::new(codes::REFUSED, "it did not work"),
    };
    let ApiError { code, message, hint, causes, .. } = error;
    let mut text = format!("error: {message} ({code})");
    causes.iter().for_each(|it| text.push_str(&format!("\nbecause: {it}")));
    if !hint.is_empty() {
        text.push_str(&format!("\nnext: {hint}"));
    }
    let error = json!({ "code": code, "message": message, "hint": hint, "causes": causes });
    Answer { text, structured: Some(json!({ "error": error })), is_error: true }
}

/// The arguments of a tool.
fn read<T: DeserializeOwned>(args: Value) -> Result<T, Failure> {
    serde_json::from_value(args).map_err(|it| {
        Failure::usage(format!("the arguments are wrong: {it}"), "look at the tool's schema")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_objects_that_refuse_what_they_do_not_name() {
        for it in ALL {
            let schema = it.tool().schema;
            assert_eq!(schema["type"], "object", "{}", it.name);
            assert_eq!(schema["additionalProperties"], false, "{}", it.name);
        }
    }
}
