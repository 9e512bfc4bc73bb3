//! `taskd show`: one loop on one screen, or the loops of a plan.

use taskd_api::v1;
use taskd_model::{
    AgentRun, ContextView, Depth, Group, IterationRow, LoopId, LoopView, PlanId, PlanView, Status,
    Verdict, View, Worker, format_duration_ms, format_micros,
};

use super::{
    Scene,
    table::Table,
    text::{clean, count, cut, pad, width, wrap},
    words,
};

/// Where the second fact of a line begins.
const SECOND: usize = 44;

/// Room for the labels.
const LABEL: usize = 10;

/// A title keeps so much room at least, beside the state.
const TITLE_MIN: usize = 12;

/// Iterations that are shown: the first ones are of no use beside the last.
const ITERATIONS: usize = 12;

/// Lines of the task that are shown.
const TASK_LINES: usize = 6;

/// Lines of what it prints now that are shown.
const TAIL: usize = 5;

/// The picture of a loop.
pub(crate) fn one(view: &View, id: LoopId, more: &v1::ShowResponse, scene: &Scene) -> String {
    let (Some(it), Some(plan)) = (view.loops.get(&id), view.plans.get(&id.plan())) else {
        return format!("{id} is gone\n");
    };
    let mut out = vec![head(it, scene), plan_line(view, it, plan)];
    out.push(now_line(view, it, scene));
    out.push(pair("base", &base(view, it, plan), &format!("ref {}", clean(&more.r#ref))));
    if !more.accept.is_empty() {
        let said = match it.accept_green {
            None => "not tried yet",
            Some(false) => "red before any work",
            Some(true) => "GREEN before any work",
        };
        out.push(pair("accept", &clean(&more.accept.join(" && ")), said));
    }
    let from = format!("from {}", clean(&more.gate_origin));
    match more.gate.as_slice() {
        [] => out.push(pair("gate", "none: always asks before landing", "")),
        gate => out.push(pair("gate", &clean(&gate.join(" && ")), &from)),
    }
    if let Some(suspicion) = &it.suspicion {
        out.push(label("suspect", &clean(&format!("it {suspicion}"))));
    }
    if let Some(review) = &it.review {
        let who = if review.head.blocks { ", blocks" } else { "" };
        let who = format!("by {}{who}", clean(&review.head.by.to_string()));
        out.push(pair("review", &clean(&review.line()), &who));
    }
    if let Some(instead_of) = &it.instead_of {
        let rather = format!("instead of {}", clean(instead_of));
        out.push(pair("model", &words::worker(&it.worker), &rather));
    }
    out.push(limits(it, scene));
    out.extend(it.context.as_ref().and_then(context));
    if let Some(url) = &it.pull_request {
        out.push(pair("asked for", &clean(url), ""));
    }
    if let Some(landed) = &it.landed {
        let text = format!("{} on {}", landed.commit.short(), landed.onto.short());
        out.push(pair("landed", &text, &format!("{} ago", scene.age(landed.at))));
    }
    if let Some(undone) = &it.undone {
        let text = format!("by {} on {}", undone.commit.short(), undone.onto.short());
        out.push(pair("undone", &text, &format!("{} ago", scene.age(undone.at))));
    }
    for question in it.open_questions() {
        out.push(pair("asks", &words::asks(question), &format!("{} ago", scene.age(question.at))));
    }
    out.extend(task(&more.text));
    out.extend(iterations(it, scene));
    out.extend(remarks(it, more, scene));
    if !scene.is_past {
        out.push(next(it, more));
    }
    let lines = out.iter().flat_map(|it| it.split('\n'));
    let lines = lines.map(|it| scene.verdicts(&cut(it, scene.width)));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// The picture of a plan with several specs.
pub(crate) fn plan(view: &View, id: PlanId, more: &v1::ShowResponse, scene: &Scene) -> String {
    let Some(it) = view.plans.get(&id) else { return format!("{id} is gone\n") };
    let landed = words::landed(view, it);
    let mut out = vec![title(&it.id.to_string(), &clean(&it.title), &landed, scene)];
    let target = view.target_of(it).map_or(it.base, |it| it.tip).short();
    let policy = format!("landing: {}", landing(it));
    out.push(pair("target", &format!("{} {target}", clean(&it.target)), &policy));
    let from = format!("from {}", clean(&more.gate_origin));
    match more.gate.as_slice() {
        [] => out.push(pair("gate", "none: always asks before landing", "")),
        gate => out.push(pair("gate", &clean(&gate.join(" && ")), &from)),
    }
    let took = it.ended_at.unwrap_or(scene.now).ms_since(it.submitted_at);
    let time = format!("{} of {}", format_duration_ms(took), format_duration_ms(it.time_ms));
    let spent = words::spent(&it.spent, it.uncounted);
    out.push(pair("limits", &time, &format!("{spent} of {}", format_micros(it.budget_micros))));
    if let Some(near) = it.budget().near().filter(|_| it.ended_at.is_none()) {
        out.push(format!("watch: {near}"));
    }
    out.push(String::new());
    let mut table = Table::new(&["SPEC", "STATE", "ITER", "BASE", "COST"], 1, 2);
    for it in view.loops_of(id) {
        table.row(vec![
            clean(&it.name),
            format!("{}: {}", it.group(), words::state(view, it, scene.now)),
            format!("{}/{}", it.iteration, it.max()),
            words::base(view, it),
            words::spent(&it.spent, it.uncounted),
        ]);
    }
    out.extend(table.draw(0, table.total(0).min(scene.width), scene.width));
    out.iter().map(|it| cut(it, scene.width)).collect::<Vec<_>>().join("\n") + "\n"
}

/// How a plan's work lands, in words.
pub(crate) fn landing(it: &PlanView) -> &'static str {
    super::submit::landing(v1::LandPolicy::from(it.land))
}

/// Name and title at the left, state at the right.
fn title(name: &str, title: &str, state: &str, scene: &Scene) -> String {
    let line = scene.width.min(78);
    let room = line.saturating_sub(width(name) + 2 + 2 + width(state)).max(TITLE_MIN);
    format!("{name}  {}  {state}", pad(title, room))
}

fn head(it: &LoopView, scene: &Scene) -> String {
    let state = match it.group() {
        Group::Working => format!("working, iteration {}/{}", it.iteration, it.max()),
        Group::Done => it.status.to_string(),
        group @ (Group::NeedsYou | Group::Waiting) => group.to_string(),
    };
    title(&clean(&it.name), &clean(&it.title), &state, scene)
}

fn plan_line(view: &View, it: &LoopView, plan: &PlanView) -> String {
    if plan.single {
        let base = clean(&plan.target);
        return pair(
            "plan",
            &format!("one task for {base}"),
            &format!("landing: {}", landing(plan)),
        );
    }
    let names = |loops: Vec<&LoopView>| {
        loops.iter().map(|it| clean(&it.spec)).collect::<Vec<_>>().join(", ")
    };
    let unblocks = names(view.unblocks(it).collect());
    let unblocks = if unblocks.is_empty() { String::new() } else { format!("unblocks {unblocks}") };
    let (id, title) = (plan.id, clean(&plan.title));
    pair("plan", &format!("{id} {title}, {}", words::landed(view, plan)), &unblocks)
}

fn now_line(view: &View, it: &LoopView, scene: &Scene) -> String {
    let state = words::state(view, it, scene.now);
    if it.status.is_over() {
        let ended = it.ended_at.map(|at| format!(", {} ago", scene.age(at))).unwrap_or_default();
        return label("now", &format!("{state}{ended}"));
    }
    let lasted = format_duration_ms(scene.now.ms_since(words::since(it)));
    let sign = if it.group() == Group::Working {
        format!(", last sign of life {} ago", scene.age(it.last_sign))
    } else {
        String::new()
    };
    label("now", &format!("{state}, {lasted}{sign}"))
}

fn base(view: &View, it: &LoopView, plan: &PlanView) -> String {
    let commit = it.base.commit.short();
    match view.behind(it) {
        0 => format!("{} {commit}, up to date", clean(&plan.target)),
        n => format!("{commit}, {} behind {}", count(n, "commit"), clean(&plan.target)),
    }
}

fn limits(it: &LoopView, scene: &Scene) -> String {
    let took = it.started_at.map_or(0, |at| it.ended_at.unwrap_or(scene.now).ms_since(at));
    let (took, most) = (format_duration_ms(took), format_duration_ms(it.limits.time_ms));
    let left = format!("{}/{} iterations   {took} of {most}", it.iteration, it.max());
    let spent = words::spent(&it.spent, it.uncounted);
    let budget = format_micros(it.limits.budget_micros);
    let whose = match &it.worker {
        Worker::Agent(_) if it.counted == Some(Depth::ByCall) => {
            format!(" (counted {})", Depth::ByCall)
        }
        Worker::Agent(_) if it.spent.micros > 0 => {
            format!(" ({}'s count)", words::worker(&it.worker))
        }
        Worker::Agent(_) | Worker::Model(_) => String::new(),
    };
    pair("limits", &left, &format!("{spent} of {budget}{whose}"))
}

/// How full the model's context is, where that is known or something of it is left out.
fn context(it: &ContextView) -> Option<String> {
    let left_out = if it.of.leaves_out() { it.of.to_string() } else { String::new() };
    let full = match it.of.window {
        Some(window) => format!("about {} of {window} tokens", it.tokens),
        None if left_out.is_empty() => return None,
        None => format!("about {} tokens", it.tokens),
    };
    Some(pair("context", &full, &left_out))
}

fn task(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.trim().lines().collect();
    let mut out: Vec<String> = lines
        .iter()
        .take(TASK_LINES)
        .enumerate()
        .map(|(n, line)| label(if n == 0 { "task" } else { "" }, &clean(line)))
        .collect();
    if TASK_LINES < lines.len() {
        out.push(label("", &format!("… {} more lines", lines.len() - TASK_LINES)));
    }
    out
}

fn iterations(it: &LoopView, scene: &Scene) -> Vec<String> {
    if it.iterations.is_empty() {
        return Vec::new();
    }
    let mut out = vec![String::new()];
    let hidden = it.iterations.len().saturating_sub(ITERATIONS);
    if hidden > 0 {
        out.push(format!("… {} before; --json has them", count(hidden as u64, "iteration")));
    }
    let mut table = Table::new(&["ITER", "CHANGED", "GATE", "TIME", "COST"], 2, 3);
    for row in it.iterations.iter().skip(hidden) {
        table.row(iteration(row, scene));
    }
    out.extend(table.draw(0, table.total(0).clamp(70, 78).min(scene.width), scene.width));
    out
}

fn iteration(row: &IterationRow, scene: &Scene) -> Vec<String> {
    let changed = match row.change.files {
        0 => String::new(),
        n => {
            let (added, removed) = (row.change.added, row.change.removed);
            let (added, removed) = (format!("+{added}"), format!("-{removed}"));
            format!("{:<7} {added:>5} {removed:>4}", count(u64::from(n), "file"))
        }
    };
    let verdict = words::verdict(row.verdict);
    let gate = match row.verdict {
        Some(Verdict::Green | Verdict::Red) => {
            format!("{verdict:<5}  {}", clean(&row.summary))
        }
        Some(_) if !row.summary.is_empty() => format!("{verdict}: {}", clean(&row.summary)),
        Some(_) | None => verdict.to_owned(),
    };
    let ms = row.verdict.map_or_else(|| scene.now.ms_since(row.started_at), |_| row.ms);
    let gate = gate.trim_end().to_owned();
    let (time, cost) = (format_duration_ms(ms), format_micros(row.micros));
    vec![row.n.to_string(), changed, gate, time, cost]
}

/// What is known of the last run of its agent, besides how it ended.
fn last_run(run: &AgentRun, scene: &Scene) -> Vec<String> {
    let mut said: Vec<String> = run.remarks.iter().map(ToString::to_string).collect();
    if 1 < run.processes {
        said.push(format!("at most {} processes at once in its last run", run.processes));
    }
    let mut out = Vec::new();
    for text in said {
        let lines = wrap(&clean(&text), scene.width.saturating_sub(7).max(20));
        let labels = std::iter::once("agent: ").chain(std::iter::repeat("       "));
        out.extend(labels.zip(lines).map(|(label, line)| format!("{label}{line}")));
    }
    out
}

/// What may come, on as many lines as it takes.
fn watch(text: &str, scene: &Scene) -> Vec<String> {
    let lines = wrap(&clean(text), scene.width.saturating_sub(7).max(20));
    let labels = std::iter::once("watch: ").chain(std::iter::repeat("       "));
    labels.zip(lines).map(|(label, line)| format!("{label}{line}")).collect()
}

/// What is worth saying besides: troubles, warnings, notes, the last lines it printed.
fn remarks(it: &LoopView, more: &v1::ShowResponse, scene: &Scene) -> Vec<String> {
    let mut out = vec![String::new()];
    if let Some(trouble) = &it.trouble {
        let age = scene.age(trouble.at);
        out.push(format!(
            "trouble: {} ({age} ago, event {})",
            clean(&trouble.message),
            trouble.seq
        ));
        if let Some(fault) = &trouble.fault {
            let facts = wrap(&clean(&fault.to_string()), scene.width.saturating_sub(4).max(20));
            out.extend(facts.iter().map(|it| format!("    {it}")));
            out.extend(fault.causes.iter().map(|it| format!("    because: {}", clean(it))));
            out.push(format!("    taskd help {}", fault.code));
        }
    }
    out.extend(last_run(&it.last_run, scene));
    if let Some(near) = it.budget().near().filter(|_| !it.status.is_over()) {
        out.push(format!("watch: {near}"));
    }
    out.extend(it.warns_of_no_progress().iter().flat_map(|it| watch(it, scene)));
    out.extend(more.warnings.iter().map(|it| format!("watch: {}", clean(it))));
    out.extend(more.notes.iter().map(|it| format!("told:  {}", clean(it))));
    let tail = more.tail.len().saturating_sub(TAIL);
    out.extend(more.tail.iter().skip(tail).map(|it| format!("  | {}", clean(it))));
    if out.len() > 1 {
        out.push(String::new());
    }
    out
}

fn next(it: &LoopView, more: &v1::ShowResponse) -> String {
    let name = &it.name;
    let verbs = match (it.group(), it.status) {
        (Group::NeedsYou, Status::Blocked) => "why | steer \"...\" | resume | retry | stop",
        (Group::NeedsYou, _) if it.writes => "diff | approve | reject -m \"...\" | stop",
        (Group::NeedsYou, _) => "diff | land | reject -m \"...\" | stop",
        (Group::Working, _) => "logs -f | diff | steer \"...\" | pause | stop",
        (Group::Waiting, Status::Paused) => "resume | stop",
        (Group::Waiting, _) => "why | pause | stop",
        (Group::Done, _) if it.landed.is_some() && it.undone.is_none() => "logs | diff | undo",
        (Group::Done, Status::Failed | Status::Stopped) => "logs | diff | retry | branch",
        (Group::Done, _) => "logs | diff",
    };
    let mut text = format!("next:  taskd {verbs}   {name}");
    if !more.worktree.is_empty() {
        text.push_str(&format!("\n       cd $(taskd path {name})"));
    }
    text
}

fn label(name: &str, text: &str) -> String {
    format!("{name:<LABEL$}{text}")
}

/// A label with two facts, the second in a column of its own if the first leaves room.
fn pair(name: &str, first: &str, second: &str) -> String {
    let room = SECOND - LABEL - 2;
    let line = format!("{}  {second}", label(name, &pad_to(first, room)));
    line.trim_end().to_owned()
}

/// Padded, never cut.
fn pad_to(text: &str, columns: usize) -> String {
    if width(text) < columns { pad(text, columns) } else { text.to_owned() }
}
