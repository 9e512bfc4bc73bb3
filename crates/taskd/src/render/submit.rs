//! What a submission says before anything happens: who works, who pays, what decides, what lands.

use taskd_api::v1;
use taskd_model::{format_duration_ms, format_micros};

use super::{
    Scene,
    table::Table,
    text::{clean, count, cut, pad, width, wrap},
};

/// Room for the labels, and where the second fact of a line begins.
const LABEL: usize = 8;
const SECOND: usize = 38;

/// The head of a run.
pub(crate) fn head(answer: &v1::SubmitResponse, who: &Who, scene: &Scene) -> String {
    let plan = answer.plan.map(|it| format!("p{it}")).unwrap_or_default();
    let mut out =
        vec![format!("{}  {}", scene.bold(&plan), cut(&clean(&answer.title), title_room(scene)))];
    out.push(line("from", &from(answer), "", scene));
    let workers: Vec<String> = answer.payers.iter().map(|it| paid(it, scene)).collect();
    if workers.is_empty() {
        out.push(line(&who.label, &scene.path(&answer.worker), "", scene));
    }
    let room = scene.width.saturating_sub(4 + LABEL).max(20);
    let lines = workers.iter().flat_map(|it| wrap(it, room));
    for (n, it) in lines.enumerate() {
        out.push(line(if n == 0 { &who.label } else { "" }, &it, "", scene));
    }
    out.push(gate(answer, scene));
    out.push(limits(answer, scene));
    if answer.names.len() > 1 {
        out.push(line("specs", &specs(answer), "", scene));
    }
    if !who.detached {
        out.push(format!(
            "    Ctrl-C leaves it running. `taskd stop {plan}` ends it and keeps the work."
        ));
    }
    out.join("\n") + "\n"
}

/// A worker, and who pays for it: `claude, its own login pays (no API key is handed on)`.
pub(super) fn paid(it: &v1::Payer, scene: &Scene) -> String {
    let variable = clean(&it.variable);
    let pays = match it.kind() {
        v1::PayerKind::Variable => format!("paid by {variable}"),
        v1::PayerKind::Login => "its own login pays (no API key is handed on)".to_owned(),
        v1::PayerKind::Free | v1::PayerKind::Unspecified => "no key needed".to_owned(),
        v1::PayerKind::Nobody => format!("{variable} is missing"),
    };
    let place = if it.place.is_empty() { String::new() } else { format!(", at {}", it.place) };
    format!("{}, {pays}{}", scene.path(&it.worker), clean(&place))
}

/// Who works, as the client knows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    /// `agent` or `model`.
    pub(crate) label: String,
    /// Nobody will follow.
    pub(crate) detached: bool,
}

/// What `plan check` says of a plan that could be taken.
pub(crate) fn check(answer: &v1::SubmitResponse, scene: &Scene) -> String {
    let n = count(answer.graph.len() as u64, "spec");
    let mut out = vec![format!("{}  {n}", clean(&answer.title))];
    out.push(line("from", &from(answer), "", scene));
    out.push(gate(answer, scene));
    out.push(limits(answer, scene));
    out.push(String::new());
    let mut table = Table::new(&["SPEC", "TITLE", "AFTER", "WORKER", "ACCEPT"], 1, 9);
    for row in &answer.graph {
        let accept = match (row.accept.is_empty(), row.accept_red) {
            (true, _) => "",
            (false, None) => "not tried",
            (false, Some(true)) => "red",
            (false, Some(false)) => "GREEN already",
        };
        table.row(vec![
            clean(&row.name),
            clean(&row.title),
            clean(&row.needs.join(", ")),
            clean(&row.worker),
            accept.to_owned(),
        ]);
    }
    out.extend(table.draw(0, table.total(0).min(scene.width), scene.width));
    out.push(String::new());
    out.push("nothing was stored".to_owned());
    out.join("\n") + "\n"
}

/// One line for each problem: `plan.md:3:7: message`, with its hint below.
pub(crate) fn problems(answer: &v1::SubmitResponse, file: &str) -> String {
    problem_lines(&answer.problems, file)
}

/// The same of any answer.
pub(crate) fn problem_lines(problems: &[v1::Problem], file: &str) -> String {
    let mut out = String::new();
    for it in problems {
        let word = if it.warning { "warning" } else { "error" };
        let place = match (file, it.line) {
            ("", 0) => String::new(),
            (file, 0) => format!("{file}: "),
            (file, at) => format!("{file}:{at}:{}: ", it.column),
        };
        out.push_str(&format!("{word}: {}{}\n", clean(&place), clean(&it.message)));
        if !it.hint.is_empty() {
            out.push_str(&format!("hint: {}\n", clean(&it.hint)));
        }
    }
    out
}

/// Commands that a project's files have run: where each stands, and the whole of it.
pub(crate) fn wishes(wishes: &[v1::Wish]) -> String {
    let lines = |it: &v1::Wish| {
        let lines = it.command.lines().map(|it| format!("    {}\n", clean(it)));
        format!("  {}\n{}", clean(&it.place), lines.collect::<String>())
    };
    wishes.iter().map(lines).collect()
}

/// How work lands, in words.
pub(crate) fn landing(policy: v1::LandPolicy) -> &'static str {
    match policy {
        v1::LandPolicy::Never => "never",
        v1::LandPolicy::Ask | v1::LandPolicy::Unspecified => "asks you first",
        v1::LandPolicy::OnGate => "when the gate is green",
        v1::LandPolicy::Pr => "as a pull request",
    }
}

/// What lands, in words, where it is not one commit for each spec.
fn shape(mode: &str) -> &'static str {
    match mode {
        "merge" => ", as a merge",
        "ff" => ", commit by commit",
        _ => "",
    }
}

fn from(answer: &v1::SubmitResponse) -> String {
    let base: String = clean(&answer.base).chars().take(7).collect();
    let mut text = format!("{} {base}", clean(&answer.target));
    match answer.dirty {
        0 => {}
        1 => text.push_str("; your 1 uncommitted file stays yours, not included"),
        n => text.push_str(&format!("; your {n} uncommitted files stay yours, not included")),
    }
    text
}

fn gate(answer: &v1::SubmitResponse, scene: &Scene) -> String {
    match answer.gate.as_str() {
        "" => line("gate", "none: always asks before landing", "", scene),
        gate => line("gate", &clean(gate), &format!("from {}", clean(&answer.gate_origin)), scene),
    }
}

fn limits(answer: &v1::SubmitResponse, scene: &Scene) -> String {
    let landing = format!("landing: {}{}", landing(answer.land()), shape(&answer.land_mode));
    let several = answer.graph.len() > 1;
    let text = match &answer.limits {
        Some(it) if !several => {
            let iterations = count(u64::from(it.iterations), "iteration");
            let (time, money) = (format_duration_ms(it.time_ms), format_micros(it.budget_micros));
            format!("{iterations}, {time}, {money}")
        }
        Some(_) | None => {
            let time = format_duration_ms(answer.plan_time_ms);
            format!("{}, {time} in all", format_micros(answer.plan_budget_micros))
        }
    };
    line("limits", &text, &landing, scene)
}

fn specs(answer: &v1::SubmitResponse) -> String {
    answer.graph.iter().map(|it| clean(&it.name)).collect::<Vec<_>>().join(", ")
}

fn title_room(scene: &Scene) -> usize {
    scene.width.saturating_sub(6).max(20)
}

/// A label with one or two facts.
fn line(label: &str, first: &str, second: &str, scene: &Scene) -> String {
    let room = SECOND - LABEL;
    let first = if width(first) < room { pad(first, room) } else { format!("{first}  ") };
    let text = format!("    {label:<LABEL$}{first}{second}");
    cut(text.trim_end(), scene.width)
}
