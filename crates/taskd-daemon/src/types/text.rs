//! A loop type written down again: one file that needs no other and defines the same.

use std::fmt::Write as _;

use taskd_model::{
    AgentDoc, ArtifactDoc, Billing, GateSettings, InputDoc, InputKind, InputValue, McpDoc,
    OnConflict, ReviewDoc, TypeDoc, TypeLimits, Unsupported, Worker, format_duration_ms,
    format_micros, parse_duration_ms, parse_micros,
};

/// The definition as YAML. Comments, and what came from which file, are not in it.
pub(super) fn written(doc: &TypeDoc) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: String| _ = writeln!(out, "{key}: {value}");
    if !doc.description.is_empty() {
        line("description", quoted(&doc.description));
    }
    match &doc.agent {
        Some(AgentDoc::Agent { run }) => line("agent", quoted(run)),
        Some(AgentDoc::Model { name }) => line("model", quoted(name)),
        None => {}
    }
    if !doc.fallback.is_empty() {
        line("fallback", list(&doc.fallback));
    }
    let maps = [("gate", gate(&doc.gate)), ("limits", limits(&doc.limits))];
    for (key, entries) in maps {
        if !entries.is_empty() {
            line(key, format!("{{{}}}", entries.join(", ")));
        }
    }
    match doc.conflict {
        Some(OnConflict::Block) => line("conflict", "block".to_owned()),
        Some(OnConflict::Loop(n)) => line("conflict", format!("loop({n})")),
        None => {}
    }
    line("tools", list(&doc.tools));
    if let Some(it) = doc.params.thinking {
        line("thinking", it.word().to_owned());
    }
    if let Some(it) = doc.params.temperature {
        line("temperature", format!("{}.{:03}", it / 1_000, it % 1_000));
    }
    if doc.unsupported == Unsupported::Drop {
        line("unsupported", "drop".to_owned());
    }
    match doc.billing {
        Some(Billing::Login) => line("billing", "login".to_owned()),
        Some(Billing::Key) => line("billing", "key".to_owned()),
        None => {}
    }
    if doc.resume {
        line("resume", "true".to_owned());
    }
    if let Some(it) = &doc.setup {
        line("setup", quoted(it));
    }
    if let Some(it) = &doc.artifact {
        line("artifact", artifact(it));
    }
    if let Some(it) = &doc.review {
        line("review", review(it));
    }
    for (key, texts) in [("mcp", servers(doc)), ("inputs", inputs(doc))] {
        if !texts.is_empty() {
            _ = writeln!(out, "{key}:\n{}", texts.join("\n"));
        }
    }
    if let Some(it) = &doc.system {
        out.push_str(&block("system", &it.text));
    }
    out.push_str(&block("prompt", &doc.prompt.text));
    out
}

fn gate(gate: &GateSettings) -> Vec<String> {
    let GateSettings { quick, run, timeout_ms, retries, protect } = gate;
    let quick = quick.as_ref().map(|it| format!("quick: {}", quoted(it)));
    let run = (!run.is_empty()).then(|| format!("run: {}", list(run)));
    let timeout = timeout_ms.map(|it| format!("timeout: {}", duration(it)));
    let retries = retries.map(|it| format!("retries: {it}"));
    let protect = protect.as_ref().map(|it| format!("protect: {}", list(it)));
    [quick, run, timeout, retries, protect].into_iter().flatten().collect()
}

fn limits(limits: &TypeLimits) -> Vec<String> {
    let TypeLimits { iterations, time_ms, budget_micros, tokens, same_failure, turns, restarts } =
        limits;
    let count = |key: &str, it: &Option<u32>| it.map(|it| format!("{key}: {it}"));
    let all = [
        count("iterations", iterations),
        time_ms.map(|it| format!("time: {}", duration(it))),
        budget_micros.map(|it| format!("budget: {}", money(it))),
        tokens.map(|it| format!("tokens: {it}")),
        count("same_failure", same_failure),
        count("turns", turns),
        count("restarts", restarts),
    ];
    all.into_iter().flatten().collect()
}

fn servers(doc: &TypeDoc) -> Vec<String> {
    let one = |(name, it): (&String, &McpDoc)| {
        let env = (!it.env.is_empty()).then(|| format!(", env: {}", list(&it.env)));
        let tools = it.tools.as_ref().map(|it| format!(", tools: {}", list(it)));
        let timeout =
            (0 < it.timeout_ms).then(|| format!(", timeout: {}", duration(it.timeout_ms)));
        let rest: String = [env, tools, timeout].into_iter().flatten().collect();
        format!("  {name}: {{command: {}{rest}}}", list(&it.command))
    };
    doc.mcp.iter().map(one).collect()
}

fn artifact(it: &ArtifactDoc) -> String {
    let ArtifactDoc { format, sections, children, approve, reviews, repairs } = it;
    let (format, children) = (format.word(), quoted(children));
    let (sections, reviews) = (list(sections), list(reviews));
    format!(
        "{{format: {format}, sections: {sections}, children: {children}, approve: {approve}, \
         reviews: {reviews}, repairs: {repairs}}}"
    )
}

fn review(it: &ReviewDoc) -> String {
    let ReviewDoc { by, prompt, blocks } = it;
    let kind = if matches!(by, Worker::Agent(_)) { "agent" } else { "model" };
    let (by, prompt) = (quoted(&by.to_string()), quoted(prompt));
    format!("{{{kind}: {by}, prompt: {prompt}, blocks: {blocks}}}")
}

fn inputs(doc: &TypeDoc) -> Vec<String> {
    let one = |(name, it): (&String, &InputDoc)| {
        let kind = match it.kind {
            InputKind::String => "string",
            InputKind::Integer => "integer",
            InputKind::Boolean => "boolean",
        };
        let required = if it.required { ", required: true" } else { "" };
        let default = it.default.as_ref().map(|it| match it {
            InputValue::Flag(it) => format!(", default: {it}"),
            InputValue::Number(it) => format!(", default: {it}"),
            InputValue::Text(it) => format!(", default: {}", quoted(it)),
        });
        format!("  {name}: {{type: {kind}{required}{}}}", default.unwrap_or_default())
    };
    doc.inputs.iter().map(one).collect()
}

/// A text as it is, line by line; one that YAML would not give back so is quoted.
fn block(key: &str, text: &str) -> String {
    let odd =
        |it: char| it.is_control() && it != '\n' || "\u{85}\u{2028}\u{2029}\u{feff}".contains(it);
    if text.contains(odd) || text.trim().is_empty() {
        return format!("{key}: {}\n", quoted(text));
    }
    let keep = match text.len() - text.trim_end_matches('\n').len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    let indent = |it: &str| if it.is_empty() { "\n".to_owned() } else { format!("  {it}\n") };
    let body = text.strip_suffix('\n').unwrap_or(text);
    // Lines that begin with a space would be taken for deeper ones without the number.
    let number = if text.starts_with([' ', '\n']) { "2" } else { "" };
    format!("{key}: |{number}{keep}\n{}", body.split('\n').map(indent).collect::<String>())
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|it| quoted(it)).collect::<Vec<_>>().join(", "))
}

/// A text as one value: plain where nobody could take it for something else. JSON is YAML.
fn quoted(text: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "._/-".contains(it);
    let begins = text.starts_with(|it: char| it.is_ascii_alphabetic());
    let words = text.split(' ').all(|it| !it.is_empty() && it.chars().all(plain));
    let said = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let taken = said.contains(&text.to_ascii_lowercase().as_str());
    if begins && words && !taken {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}

fn duration(ms: u64) -> String {
    let text = format_duration_ms(ms);
    if parse_duration_ms(&text) == Ok(ms) { text } else { format!("{ms}ms") }
}

fn money(micros: u64) -> String {
    let text = format_micros(micros);
    if parse_micros(&text) == Ok(micros) {
        return text;
    }
    format!("${}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::loop_type::{Layer, load};

    fn read(text: &str) -> TypeDoc {
        let files = vec![("t.yaml".to_owned(), Ok(text.to_owned()))];
        let (types, problems) = load(&[Layer { files, of_project: false }]);
        assert_eq!(problems, [], "{text}");
        types.get("t").expect("nothing is wrong").clone()
    }

    /// The same, but for where its templates stand.
    fn same(first: &TypeDoc, mut second: TypeDoc) {
        second.prompt.line = first.prompt.line;
        second.prompt.file.clone_from(&first.prompt.file);
        if let (Some(second), Some(first)) = (&mut second.system, &first.system) {
            (second.line, second.file) = (first.line, first.file.clone());
        }
        assert_eq!(*first, second);
    }

    const ALL: &str = "\
extends: ralph
description: 'A: \"second\" reader # before'
model: x/y
fallback: [a/b, c/d]
gate: {quick: cargo check --tests, run: [cargo test, 'true'], timeout: 1h30m20s, retries: 2, protect: [.github/**, a]}
limits: {iterations: 8, time: 90061001ms, budget: $5.000001, tokens: 2M, same_failure: 3, turns: 9, restarts: 1}
conflict: loop(3)
tools: {remove: [run]}
thinking: high
temperature: 0.05
unsupported: drop
billing: key
resume: true
setup: 'make deps # all'
review: {model: a/b, prompt: 'What: is it?', blocks: true}
mcp: {docs: {command: [docs, --stdio], env: [TOKEN], tools: [get], timeout: 5s}, web: {command: w, tools: []}}
inputs: {module: {required: true}, n: {type: integer, default: -3}, deep: {type: boolean, default: true}, s: {default: 'no'}}
";

    #[test]
    fn what_is_written_down_is_read_as_the_same() {
        let doc = read(ALL);
        same(&doc, read(&written(&doc)));
        let by_agent = read(&ALL.replace("review: {model: a/b", "review: {agent: sh x.sh"));
        assert_ne!(by_agent.review, doc.review);
        same(&by_agent, read(&written(&by_agent)));
        for name in ["ralph", "plan", "spec", "phase"] {
            let it = read(&format!("extends: {name}\n"));
            same(&it, read(&written(&it)));
        }
    }

    proptest! {
        #[test]
        fn templates_are_written_as_they_are(text in "[ a-z#:|{\"'\n\u{e9}-]{0,40}x[ \n]{0,4}") {
            // A template may be anything the engine takes.
            let text = text.replace(['{', '}'], "(");
            let quoted = serde_json::Value::from(text.as_str());
            let doc = read(&format!("prompt: {quoted}\ntools: []\n"));
            let again = written(&doc);
            same(&doc, read(&again));
        }
    }
}
