//! `taskd export`: a story as Markdown, or as lines for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use taskd_api::Output;
use taskd_model::{Event, LoopView, Record, View, format_clock_ms, format_duration_ms};

use super::{Scene, json::SCHEMA_VERSION, words};

/// Bytes of an output of a program that people are shown, its last ones.
const OUTPUT_BYTES: usize = 16 << 10;

/// Everything there is to tell.
pub(crate) struct Story<'a> {
    /// The task, or what the plan is about.
    pub(crate) task: String,
    pub(crate) loops: Vec<&'a LoopView>,
    /// Events, oldest first.
    pub(crate) records: Vec<Record>,
    /// Texts by the effect they belong to.
    pub(crate) said: BTreeMap<u64, Vec<Said>>,
}

/// A text that was sent or said.
pub(crate) struct Said {
    /// The loop's name.
    pub(crate) name: String,
    pub(crate) output: Output,
    pub(crate) is_prompt: bool,
}

impl Story<'_> {
    /// The texts that an event tells of.
    #[expect(clippy::wildcard_enum_match_arm, reason = "few events tell of texts")]
    fn told_with(&self, event: &Event) -> &[Said] {
        let effect = match event {
            Event::EffectEnded { effect, .. } | Event::QuestionAnswered { effect, .. } => {
                effect.0.0
            }
            _ => return &[],
        };
        self.said.get(&effect).map_or(&[], Vec::as_slice)
    }
}

/// For programs: each event as it is stored, then the texts it tells of.
pub(crate) fn lines(story: &Story<'_>) -> Vec<Value> {
    let mut out = Vec::new();
    for record in &story.records {
        out.push(serde_json::from_str(&record.encode()).expect("just encoded"));
        out.extend(story.told_with(&record.event).iter().map(|it| {
            json!({
                "schema_version": SCHEMA_VERSION,
                "loop": it.name,
                "effect": it.output.effect,
                "heading": it.output.heading,
                "sent": it.is_prompt,
                "text": it.output.text,
            })
        }));
    }
    out
}

/// For people.
pub(crate) fn markdown(view: &View, story: &Story<'_>, scene: &Scene) -> String {
    let mut out = Vec::new();
    for it in &story.loops {
        out.push(format!("# {} {}\n", it.name, it.title));
        let spent = words::spent(&it.spent, it.uncounted);
        let state = words::state(view, it, scene.now);
        out.push(format!("{state}. Iteration {} of {}, {spent}.\n", it.iteration, it.max()));
    }
    out.push(format!("## Task\n\n{}\n", story.task.trim_end()));
    out.push("## What happened\n".to_owned());
    let began = story.records.iter().find(|it| matches!(it.event, Event::PlanSubmitted { .. }));
    let began = began.map(|it| it.at).unwrap_or_default();
    let several = 1 < story.loops.len();
    let mut then = View::default();
    for record in &story.records {
        let line = then.narrate(record);
        then.apply(record);
        if let Some(line) = line.filter(|_| began <= record.at) {
            let clock = format_clock_ms(record.at.ms_since(began));
            let who = if several && !line.name.is_empty() {
                format!("{}: ", line.name)
            } else {
                String::new()
            };
            let wait =
                line.until.map(|it| format!("for {}", format_duration_ms(it.ms_since(record.at))));
            let detail = wait.unwrap_or(line.detail);
            let gap = if detail.is_empty() { "" } else { ", " };
            out.push(format!("- `{clock}` {who}{}{gap}{detail}", line.text));
        }
        out.extend(story.told_with(&record.event).iter().map(text));
    }
    out.join("\n") + "\n"
}

/// A text, folded up; what was cut off is said.
fn text(it: &Said) -> String {
    let text = &it.output.text;
    let from = text.len().saturating_sub(if it.is_prompt { usize::MAX } else { OUTPUT_BYTES });
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let cut = if from == 0 { String::new() } else { format!(", its last {OUTPUT_BYTES} bytes") };
    let fence = fence(text);
    let (name, heading, body) = (&it.name, &it.output.heading, text[from..].trim_end());
    let sent = if it.is_prompt { "sent, " } else { "" };
    format!(
        "\n<details><summary>{name}, {sent}{heading}{cut}</summary>\n\n{fence}\n{body}\n{fence}\n\n</details>\n"
    )
}

/// A fence that nothing in the text closes.
fn fence(text: &str) -> String {
    let longest = text.split(|it| it != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}
