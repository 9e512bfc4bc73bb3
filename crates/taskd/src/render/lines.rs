//! A run as it goes on: one line for each thing that happened, with its clock.

use taskd_model::{
    Group, Line, LoopView, PlanId, Record, Status, Time, View, WaitVerdict, format_clock_ms,
};

use super::{
    Scene,
    text::{clean, cut, width, wrap},
    words,
};

/// Columns of the clock, and what follows it.
const CLOCK: usize = 7;

/// A detail starts here at the earliest, behind a short text.
const DETAIL: usize = 10;

/// Whole blocks for so many loops that need a person; the others are counted.
const BLOCKS: usize = 3;

/// The line for `record` if it is about `plan`; told from the view before it.
pub(crate) fn line(view: &View, record: &Record, plan: PlanId, scene: &Scene) -> Option<String> {
    let it = view.plans.get(&plan)?;
    let told = view.narrate(record)?;
    let id = plan.to_string();
    let ours = match record.loop_id {
        Some(id) => id.plan() == plan,
        None => {
            told.name.is_empty()
                || told.name == id
                || told.name.starts_with(&format!("{id}."))
                || (told.name == it.target && record.project == Some(it.project))
        }
    };
    ours.then(|| draw(&told, record.at.ms_since(it.submitted_at), it.single, &id, scene))
}

/// What a person is asked when nothing goes on without them.
pub(crate) fn needs_you(view: &View, plan: PlanId) -> String {
    let loops: Vec<&LoopView> =
        view.loops_of(plan).filter(|it| it.group() == Group::NeedsYou).collect();
    let mut out: Vec<String> = loops.iter().take(BLOCKS).map(|it| block(it)).collect();
    if BLOCKS < loops.len() {
        out.push(format!("  and {} more: taskd ls\n", loops.len() - BLOCKS));
    }
    out.join("\n")
}

/// The last line of a plan that is over; nothing where the lines before have said it all.
pub(crate) fn ended(view: &View, plan: PlanId, verdict: WaitVerdict) -> String {
    match verdict {
        WaitVerdict::Pending | WaitVerdict::Landed | WaitVerdict::NeedsYou => String::new(),
        WaitVerdict::Passed => {
            let name = view.loops_of(plan).next().map_or_else(String::new, |it| it.name.clone());
            format!("passed, and lands nowhere.  taskd diff {name}\n")
        }
        WaitVerdict::Stopped => format!("stopped; the work is kept.  taskd diff {plan}\n"),
        WaitVerdict::Failed | WaitVerdict::Limit => {
            let bad = view.loops_of(plan).find(|it| it.status == Status::Failed);
            let name = bad.map_or_else(|| plan.to_string(), |it| it.name.clone());
            format!("{verdict}.  taskd why {name}   taskd logs {name}\n")
        }
    }
}

fn block(it: &LoopView) -> String {
    let name = &it.name;
    let question = it.open_questions().next();
    let rows = if let Some(question) = question {
        [
            ("what", words::asks(question)),
            ("answer", format!("taskd answer {} 1", question.id)),
            ("end", format!("taskd stop {name}")),
        ]
    } else if it.status == Status::Blocked {
        [
            ("why", format!("taskd why {name}")),
            ("go on", format!("taskd resume {name}")),
            ("end", format!("taskd stop {name}")),
        ]
    } else if it.writes {
        [
            ("read", format!("taskd diff {name}")),
            ("go on", format!("taskd approve {name}")),
            ("redo", format!("taskd reject {name} -m \"what is wrong\"")),
        ]
    } else {
        [
            ("read", format!("taskd diff {name}")),
            ("land", format!("taskd land {name}")),
            ("redo", format!("taskd reject {name} -m \"what is wrong\"")),
        ]
    };
    let lines = rows.iter().enumerate().map(|(n, (word, command))| {
        let mark = if n == 0 { "? needs you" } else { "" };
        format!("{mark:<14}{word:<7}{command}\n")
    });
    lines.collect()
}

fn draw(line: &Line, ms: u64, single: bool, plan: &str, scene: &Scene) -> String {
    let mut text = String::new();
    if !single && !line.name.is_empty() {
        let short = line.name.strip_prefix(&format!("{plan}.")).unwrap_or(&line.name);
        text.push_str(&format!("{:<10}  ", clean(short)));
    }
    if line.within {
        text.push_str("  ");
    }
    let before = width(&text);
    text.push_str(&clean(&line.text));
    if let Some(until) = line.until {
        text.push_str(&format!(", until {}", scene.clock(until)));
    }
    if !line.detail.is_empty() {
        let missing = (before + DETAIL).saturating_sub(width(&text));
        text.push_str(&format!("{}  {}", " ".repeat(missing), clean(&line.detail)));
    }
    let room = scene.width.saturating_sub(CLOCK).max(20);
    // What an agent says it does may be long; how something ended is told whole.
    let lines = if line.within || width(&text) <= room {
        vec![cut(&text, room)]
    } else {
        wrap(&text, room.saturating_sub(4))
    };
    let clock = format_clock_ms(ms);
    let lines = lines.iter().enumerate().map(|(n, text)| {
        if n == 0 { format!("{clock:>5}  {text}") } else { format!("{:CLOCK$}    {text}", "") }
    });
    scene.verdicts(&(lines.collect::<Vec<_>>().join("\n") + "\n"))
}

/// One stored event on one line.
pub(crate) fn event(record: &Record, scene: &Scene) -> String {
    let whose = record.loop_id.map(|it| it.to_string()).unwrap_or_default();
    let at: Time = record.at;
    let text = clean(&record.event.to_string());
    cut(&format!("{:>6}  {}  {whose:<8}  {text}", record.seq.0, scene.stamp(at)), scene.width)
}
