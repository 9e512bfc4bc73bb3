//! `taskd why`: the chain of causes, each a step further in.

use taskd_api::v1;
use taskd_model::{Fault, Time, format_age_ms};

use super::{
    Scene,
    text::{clean, cut, wrap},
};

/// The picture.
pub(crate) fn why(answer: &v1::WhyResponse, scene: &Scene) -> String {
    let mut out = Vec::new();
    for (depth, row) in answer.chain.iter().enumerate() {
        let indent = "  ".repeat(depth);
        let text = format!("{}{}", sentence(row, scene), until(row, scene));
        let room = scene.width.saturating_sub(indent.len() + 4).max(20);
        for (n, line) in wrap(&text, room).iter().enumerate() {
            out.push(format!("{indent}{}{line}", if n == 0 { "" } else { "    " }));
        }
        for detail in &row.details {
            out.push(format!("{indent}  {}", clean(detail)));
        }
        if let Some(fault) = row.fault.clone().map(Fault::from) {
            let label = "failed    ";
            let room = scene.width.saturating_sub(indent.len() + 2 + label.len()).max(20);
            for (n, line) in wrap(&clean(&fault.to_string()), room).iter().enumerate() {
                out.push(format!("{indent}  {:<10}{line}", if n == 0 { label } else { "" }));
            }
            out.push(format!("{indent}  {:<10}taskd help {}", "", fault.code));
        }
        if let Some(seq) = row.seq.filter(|_| depth + 1 == answer.chain.len()) {
            let said = evidence(row, scene);
            out.push(format!("{indent}  evidence  {said}event {seq}   taskd events --from {seq}"));
        }
    }
    if !answer.not_the_cause.is_empty() {
        out.push(String::new());
        let all = answer.not_the_cause.iter().map(|it| clean(it)).collect::<Vec<_>>().join(", ");
        let label = "not the cause: ";
        let lines = wrap(&all, scene.width.min(80).saturating_sub(label.len()).max(20));
        for (n, line) in lines.iter().enumerate() {
            let label = if n == 0 { label } else { "" };
            out.push(format!("{label:<15}{line}"));
        }
    }
    if !answer.next.is_empty() {
        out.push(clean(&answer.next));
    }
    out.iter().map(|it| cut(it, scene.width)).collect::<Vec<_>>().join("\n") + "\n"
}

/// `p8.metrics waits 22m for p8.limiter to pass`: the age goes behind the verb where there is one.
fn sentence(row: &v1::WhyRow, scene: &Scene) -> String {
    let text = clean(&row.sentence);
    let Some(since) = row.since else { return text };
    let age = scene.age(Time(since));
    match text.split_once(" waits for ") {
        Some((who, what)) => format!("{who} waits {age} for {what}"),
        None => format!("{text} ({age})"),
    }
}

/// `it refused a call at 13:20, `: what the event says, before its number.
fn evidence(row: &v1::WhyRow, scene: &Scene) -> String {
    let at = row.evidence_at.map(|it| format!(" at {}", scene.clock(Time(it))));
    match row.evidence.as_str() {
        "" => String::new(),
        text => format!("{}{}, ", clean(text), at.unwrap_or_default()),
    }
}

/// `, until 14:00 (in 39m)`.
fn until(row: &v1::WhyRow, scene: &Scene) -> String {
    let Some(until) = row.until.map(Time) else { return String::new() };
    let left = format_age_ms(until.ms_since(scene.now));
    format!(", until {} (in {left})", scene.clock(until))
}
