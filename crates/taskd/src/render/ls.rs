//! `taskd ls`: the four groups, what needs a person first.

use std::{cmp::Reverse, collections::BTreeMap};

use taskd_model::{
    EffectKind, Group, LoopView, PlanState, PlanView, ProjectView, Status, View, format_micros,
};

use super::{
    Scene, depth,
    table::Table,
    text::{clean, cut, width},
    words,
};

/// Names longer than this are cut.
const NAME_MAX: usize = 28;

/// Loops of one group that are shown unless all are asked for.
const SHOWN: usize = 30;

/// Budgets near their end that are named.
const PURSES: usize = 5;

/// Narrower than this, there is no room for everything about working loops.
const WIDE: usize = 64;

/// What `ls` is asked to show.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Show {
    /// What is over, too, and all of it.
    pub(crate) all: bool,
    /// It is about every project.
    pub(crate) everywhere: bool,
}

/// The picture.
pub(crate) fn ls(view: &View, scene: &Scene, show: Show) -> String {
    let mut out = vec![head(view, scene)];
    if view.parked {
        out.push("PARKED: nothing new starts until  taskd resume --all".to_owned());
    }
    if let Some(shortage) = view.disk.shortage() {
        out.push(format!("DISK: {}  taskd gc", clean(&shortage)));
    }
    let groups = groups(view);
    let tables: Vec<(Group, Table, usize)> = [
        (Group::NeedsYou, needs_you(view, scene, &groups, show)),
        (Group::Working, working(view, scene, &groups, show)),
        (Group::Waiting, waiting(view, scene, &groups, show)),
        (Group::Done, done(scene, &groups, show)),
    ]
    .into_iter()
    .map(|(group, table)| (group, table, groups.get(&group).map_or(0, Vec::len)))
    .collect();
    let shown = || tables.iter().filter(|(_, table, _)| !table.is_empty());
    let first = shown().map(|(_, it, _)| it.natural(0)).max().unwrap_or(0);
    let natural = shown().map(|(_, it, _)| it.total(first)).max().unwrap_or(0);
    let line = natural.min(scene.width);
    for (group, table, n) in shown() {
        out.push(String::new());
        let lines = table.draw(first, line, scene.width);
        for (at, text) in lines.iter().enumerate() {
            out.push(match (at, group) {
                (0, Group::NeedsYou) => scene.paint("33;1", text),
                (0, _) => scene.bold(text),
                (_, _) => text.clone(),
            });
        }
        if !show.all && SHOWN < *n {
            out.push(format!("… {} more {group}: taskd ls -a", n - SHOWN));
        }
    }
    out.push(String::new());
    out.extend(purses(view, scene));
    out.push(foot(view, scene, show));
    out.join("\n") + "\n"
}

/// The command most worth typing next.
pub(crate) fn next(view: &View) -> String {
    let groups = groups(view);
    let first = |group| groups.get(&group).and_then(|it: &Vec<&LoopView>| it.first());
    if let Some(it) = first(Group::NeedsYou) {
        let verb = if it.status == Status::Blocked { "why" } else { "diff" };
        return format!("taskd {verb} {}", it.name);
    }
    if let Some(it) = first(Group::Working) {
        return format!("taskd logs -f {}", it.name);
    }
    match first(Group::Waiting) {
        Some(it) => format!("taskd why {}", it.name),
        None => "taskd run \"what to do\" --agent claude".to_owned(),
    }
}

type Groups<'a> = BTreeMap<Group, Vec<&'a LoopView>>;

fn groups(view: &View) -> Groups<'_> {
    let mut groups = Groups::new();
    for it in view.loops.values() {
        groups.entry(it.group()).or_default().push(it);
    }
    // What waits longest for a person comes first, what ended last comes first; the rest keeps
    // the order of its plans.
    groups.entry(Group::NeedsYou).or_default().sort_by_key(|it| words::since(it));
    groups.entry(Group::Done).or_default().sort_by_key(|it| Reverse((it.ended_at, it.id)));
    groups
}

/// The loops of a group that are shown.
fn shown<'a>(
    groups: &'a Groups<'a>,
    group: Group,
    show: Show,
) -> impl Iterator<Item = &'a LoopView> {
    let most = if show.all { usize::MAX } else { SHOWN };
    groups.get(&group).into_iter().flatten().take(most).copied()
}

/// `NEEDS YOU (2)`.
fn heading(groups: &Groups<'_>, group: Group) -> String {
    let n = groups.get(&group).map_or(0, Vec::len);
    format!("{} ({n})", group.to_string().to_uppercase())
}

fn name(it: &LoopView) -> String {
    cut(&clean(&it.name), NAME_MAX)
}

fn cost(it: &LoopView) -> String {
    words::spent(&it.spent, it.uncounted)
}

fn needs_you(view: &View, scene: &Scene, groups: &Groups<'_>, show: Show) -> Table {
    let heading = heading(groups, Group::NeedsYou);
    let mut table = Table::new(&[&heading, "WHY", "SINCE", "COST"], 1, 2);
    for it in shown(groups, Group::NeedsYou, show) {
        let why = words::needs_you(view, it, scene.now);
        table.row(vec![name(it), why, scene.age(words::since(it)), cost(it)]);
    }
    table
}

fn working(view: &View, scene: &Scene, groups: &Groups<'_>, show: Show) -> Table {
    let heading = heading(groups, Group::Working);
    let wide = WIDE <= scene.width;
    let mut table = if wide {
        Table::new(&[&heading, "DOING", "LAST", "ITER", "BASE", "COST"], 1, 2)
    } else {
        Table::new(&[&heading, "DOING", "ITER", "COST"], 1, 2)
    };
    for it in shown(groups, Group::Working, show) {
        let doing = words::doing(view, it, scene.now);
        let iteration = format!("{}/{}", it.iteration, it.max());
        table.row(if wide {
            let (last, base) = (scene.age(it.last_sign), words::base(view, it));
            vec![name(it), doing, last, iteration, base, cost(it)]
        } else {
            vec![name(it), doing, iteration, cost(it)]
        });
    }
    table
}

fn waiting(view: &View, scene: &Scene, groups: &Groups<'_>, show: Show) -> Table {
    let heading = heading(groups, Group::Waiting);
    let mut table = Table::new(&[&heading, "FOR", "UNTIL"], 1, 2);
    for it in shown(groups, Group::Waiting, show) {
        table.row(vec![name(it), words::waits_for(view, it), words::until(view, it, scene)]);
    }
    table
}

fn done(scene: &Scene, groups: &Groups<'_>, show: Show) -> Table {
    let heading = heading(groups, Group::Done);
    let mut table = Table::new(&[&heading, "HOW", "ENDED", "COST"], 1, 2);
    for it in shown(groups, Group::Done, show).filter(|_| show.all) {
        let ended = it.ended_at.map(|at| scene.age(at)).unwrap_or_default();
        table.row(vec![name(it), words::ended(it), ended, cost(it)]);
    }
    table
}

/// Where this is, what runs, what it costs. Where the line is too long it says less: not how that is
/// counted, then only the end of the path.
fn head(view: &View, scene: &Scene) -> String {
    let lines = [Room::Whole, Room::Less, Room::Least].map(|it| head_line(view, scene, it));
    let fits = lines.iter().find(|it| width(it) <= scene.width);
    cut(fits.unwrap_or(&lines[2]), scene.width)
}

/// How much the head line says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Whole,
    Less,
    Least,
}

fn head_line(view: &View, scene: &Scene, room: Room) -> String {
    let projects: Vec<&ProjectView> = view.projects.values().filter(|it| !it.forgotten).collect();
    let mut parts = Vec::new();
    match projects.as_slice() {
        [] => parts.push("no project yet".to_owned()),
        [project] => parts.push(place(view, project, scene, room)),
        several => parts.push(format!("{} projects", several.len())),
    }
    if let Some(limits) = &view.limits {
        let agents = view.effects.values().filter(|it| it.kind == EffectKind::Agent).count();
        if agents > 0 {
            let runs = |it: &&LoopView| {
                let kinds = it.effects.iter().filter_map(|id| view.effects.get(id));
                kinds.into_iter().any(|it| it.kind == EffectKind::Agent)
            };
            let counted =
                depth::line(view.loops.values().filter(runs)).filter(|_| room == Room::Whole);
            let counted = counted.map(|it| format!(": {it}")).unwrap_or_default();
            parts.push(format!("{agents} of {} agents running{counted}", limits.agents));
        }
    }
    let open = || view.plans.values().filter(|it| it.state != PlanState::Ended);
    if open().next().is_some() {
        let sum = |of: fn(&PlanView) -> u64| open().map(of).fold(0, u64::saturating_add);
        let (spent, budget) = (sum(|it| it.spent.micros), sum(|it| it.budget_micros));
        let more = if open().any(|it| it.uncounted || it.spent.unpriced > 0) { "+" } else { "" };
        let spent = format_micros(spent);
        parts.push(format!("open plans {spent}{more} of {}", format_micros(budget)));
    }
    parts.join("   ")
}

/// `~/src/gate  main 91bc4de`.
fn place(view: &View, project: &ProjectView, scene: &Scene, room: Room) -> String {
    let root = scene.path(&project.root);
    let root = match root.rsplit_once('/') {
        Some((_, last)) if room == Room::Least => format!("…/{last}"),
        Some(_) | None => root,
    };
    let newest = view.plans.values().next_back().map(|it| it.target.as_str());
    let target = newest.and_then(|name| project.targets.get_key_value(name));
    match target.or_else(|| project.targets.iter().next()) {
        Some((name, target)) => format!("{root}  {} {}", clean(name), target.tip.short()),
        None => root,
    }
}

/// What ended today, and how to see more.
/// Budgets of what is not over that come to their end.
fn purses(view: &View, scene: &Scene) -> Vec<String> {
    let days = view.days().filter_map(|(of, _)| {
        let it = view.budget(of, scene.now)?;
        let what = match it.closed_until {
            Some(until) => format!("today's budget is spent until {}", scene.clock(until)),
            None => format!("{} today", it.near()?),
        };
        Some((view.purse_name(of), what))
    });
    let near = |plan: &PlanView| plan.budget().near();
    let plans = view.plans.values().filter(|it| it.state != PlanState::Ended);
    let plans = plans.filter_map(|it| Some((it.id.to_string(), near(it)?)));
    let loops = view.loops.values().filter(|it| !it.status.is_over());
    // A plan that is its one loop is told of once.
    let told = |it: &&LoopView| {
        let plan = view.plans.get(&it.id.plan()).filter(|it| it.single);
        plan.is_some_and(|it| near(it).is_some())
    };
    let loops = loops.filter(|it| !told(it));
    let loops = loops.filter_map(|it| Some((it.name.clone(), it.budget().near()?)));
    let line =
        |(name, text): (String, String)| cut(&format!("{}  {text}", clean(&name)), scene.width);
    days.chain(plans).chain(loops).take(PURSES).map(line).collect()
}

fn foot(view: &View, scene: &Scene, show: Show) -> String {
    let midnight = scene.midnight();
    let ended = |it: &&LoopView| it.ended_at.is_some_and(|at| midnight <= at);
    // What a document names is counted, not the document.
    let today = view.loops.values().filter(ended).filter(|it| it.document.is_none());
    let (mut landed, mut passed, mut failed, mut stopped) = (0_u64, 0_u64, 0_u64, 0_u64);
    for it in today {
        match it.status {
            Status::Complete if it.landed.is_some() => landed += 1,
            Status::Complete => passed += 1,
            Status::Failed => failed += 1,
            Status::Draft
            | Status::Pending
            | Status::Running
            | Status::Paused
            | Status::Rebasing
            | Status::Blocked
            | Status::Stopped => stopped += 1,
        }
    }
    let counts = [("landed", landed), ("passed", passed), ("failed", failed), ("stopped", stopped)];
    let counts = counts.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{word} {n}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let mut text = match counts.as_str() {
        "" if view.loops.is_empty() => "nothing here yet.".to_owned(),
        "" => "nothing ended today.".to_owned(),
        counts => format!("{counts} today."),
    };
    if !show.all {
        text.push_str("  ls -a: all");
    }
    if !show.everywhere {
        text.push_str("   -A: every project");
    }
    cut(&text, scene.width)
}

/// `taskd plan ls`: newest last.
pub(crate) fn plans(view: &View, scene: &Scene) -> String {
    let mut table = Table::new(&["PLAN", "TITLE", "STATE", "LANDED", "AGE", "COST"], 1, 3);
    for it in view.plans.values() {
        let needs = view.loops_of(it.id).filter(|it| it.group() == Group::NeedsYou).count();
        let state = match it.state {
            _ if needs > 0 => "needs you",
            PlanState::Checking => "checking its base",
            PlanState::Open => "open",
            PlanState::Ended => "ended",
        };
        table.row(vec![
            it.id.to_string(),
            clean(&it.title),
            state.to_owned(),
            match it.specs {
                0 => "no specs yet".to_owned(),
                specs => format!("{} of {specs}", it.landed),
            },
            scene.age(it.submitted_at),
            words::spent(&it.spent, it.uncounted),
        ]);
    }
    if table.is_empty() {
        return "no plan yet: taskd run \"what to do\", or taskd plan submit FILE\n".to_owned();
    }
    table.draw(0, table.total(0).min(scene.width), scene.width).join("\n") + "\n"
}
