//! The summary and the verdict: what became of each spec, of the daemon, and of main.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use taskd_model::{LoopView, PlanId, Reason, Record, Status, format_micros};

use super::{
    follow::{Kill, cut, seconds},
    place::Main,
    seed::SPECS,
    sentences::sentence,
    story::Story,
};

/// Everything the summary is made of.
#[derive(Debug)]
pub(super) struct Report<'a> {
    story: Story,
    kill: Option<Kill>,
    main: &'a Main,
    plan: PlanId,
    calls: &'static str,
}

impl<'a> Report<'a> {
    pub(super) fn new(log: &[Record], kill: Option<Kill>, main: &'a Main, plan: PlanId) -> Self {
        Self { story: Story::of(log), kill, main, plan, calls: "scripted" }
    }

    /// The same, with what kind of calls the models answered.
    pub(super) fn with_calls(self, calls: &'static str) -> Self {
        Self { calls, ..self }
    }

    /// Everything the demo promises came true.
    pub(super) fn is_good(&self) -> bool {
        self.problems().is_empty()
    }

    /// What did not come true.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut waiting = 0;
        for it in self.loops().filter(|it| it.status != Status::Complete) {
            // What could not start says less than what it waits for.
            if it.status == Status::Pending || it.reason == Some(Reason::NeedFailed) {
                waiting += 1;
                continue;
            }
            let why = it.reason.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
            problems.push(format!("{} {}{why}", it.name, it.status));
        }
        if waiting != 0 {
            problems.push(format!("{waiting} more could not start"));
        }
        let (specs, commits) = (self.loops().count(), self.main.commits.len());
        if specs != SPECS.len() {
            problems.push(format!("{specs} specs instead of {}", SPECS.len()));
        }
        if commits != self.story.landings.len() {
            let landed = self.story.landings.len();
            problems.push(format!("{landed} landed, but main has {commits} commits"));
        }
        match &self.kill {
            None => problems.push("the daemon was not killed".to_owned()),
            Some(kill) if kill.lost != 0 => problems.push(format!("{} events lost", kill.lost)),
            Some(_) => {}
        }
        if self.story.repeated != 0 {
            problems.push(format!("{} done twice", self.story.repeated));
        }
        if !self.main.green {
            problems.push("sh test.sh fails on main".to_owned());
        }
        problems
    }

    /// The plan's loops, in the order people read them.
    fn loops(&self) -> impl Iterator<Item = &LoopView> {
        let mut all: Vec<&LoopView> = self.story.view.loops_of(self.plan).collect();
        all.sort_by_key(|it| SPECS.iter().position(|name| *name == it.spec));
        all.into_iter()
    }

    pub(super) fn text(&self, repo: &Path, keep: bool) -> String {
        let mut lines = vec![String::new()];
        lines.push(self.head());
        lines.extend(self.rows());
        lines.push(String::new());
        lines.push(self.kill_line());
        lines.push(self.cost_line());
        lines.push(String::new());
        lines.extend(self.log_lines());
        lines.push(String::new());
        lines.push(self.tests_line());
        lines.extend(self.verdict_lines());
        lines.push(String::new());
        let look = if keep {
            format!("look     cd {} && git log", repo.display())
        } else {
            "look     taskd demo --keep                     taskd demo --events".to_owned()
        };
        lines.push(look);
        lines.push("yours    cd your-repo && taskd run \"...\" --agent claude".to_owned());
        lines.join("\n")
    }

    fn head(&self) -> String {
        let plan = self.story.view.plans.get(&self.plan);
        let title = plan.map_or("", |it| it.title.as_str());
        let (landed, all) = (self.story.landings.len(), self.loops().count());
        let took = seconds(self.story.took_ms(self.plan));
        let left = format!("{}  {title}", self.plan);
        format!("{left:<50}{landed} of {all} landed in {took}")
    }

    fn rows(&self) -> Vec<String> {
        let files: BTreeMap<String, BTreeSet<String>> =
            self.main.commits.iter().map(|it| (it.id.clone(), it.files.clone())).collect();
        let mut rows = Vec::new();
        for it in self.loops() {
            let mark = if it.status == Status::Complete { '+' } else { '!' };
            // The first row says what the number is.
            let n = match (rows.is_empty(), it.iteration) {
                (true, 1) => "1 iteration".to_owned(),
                (true, n) => format!("{n} iterations"),
                (false, n) => n.to_string(),
            };
            let text = sentence(&self.story, it, &files);
            let row = format!(" {mark} {:<6} {n:<13} {text}", it.spec);
            rows.push(row.trim_end().to_owned());
        }
        rows
    }

    fn kill_line(&self) -> String {
        let Some(Kill { at_ms, back_ms, told, lost }) = &self.kill else {
            return "kill -9  not done: its moment did not come".to_owned();
        };
        let (at, repeated) = (seconds(*at_ms), self.story.repeated);
        format!(
            "kill -9  at {at}; serving again after {back_ms} ms; lost {lost} of {told} events; \
             {repeated} repeated"
        )
    }

    fn cost_line(&self) -> String {
        let plan = self.story.view.plans.get(&self.plan);
        let cost = format_micros(plan.map_or(0, |it| it.spent.micros));
        let Self { story, calls, .. } = self;
        format!("cost     {} {calls} calls, {cost}; no network, no key", story.calls)
    }

    /// `git log` with the loop and the gate behind each commit.
    fn log_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for commit in &self.main.commits {
            let landing = self.story.landings.iter().find(|it| it.commit.to_string() == commit.id);
            let (name, gate) = landing.map_or((String::new(), String::new()), |it| {
                let count = |n: u32| format!("gate {:>5}", format!("{n}/{n}"));
                (self.story.view.loop_name(it.id), it.tests.map_or_else(String::new, count))
            });
            let branch = if lines.is_empty() { "(main) " } else { "" };
            let left = cut(&format!("* {} {branch}{}", short(&commit.id), commit.subject), 50);
            lines.push(format!("{left:<51} {name:<9} {gate}").trim_end().to_owned());
        }
        lines
    }

    fn tests_line(&self) -> String {
        let place = format!("on main {}, in a fresh clone", short(&self.main.tip));
        format!("$ sh test.sh     {place:<38} {}", self.main.tests)
    }

    fn verdict_lines(&self) -> Vec<String> {
        let problems = self.problems();
        if problems.is_empty() {
            let line = "main is GREEN.   your repositories, daemon and settings were not touched";
            return vec![line.to_owned()];
        }
        let mut lines: Vec<String> = problems.iter().map(|it| format!("FAILED   {it}")).collect();
        lines.push(if self.main.green {
            "main has only what passed its gate, but not all that was promised.".to_owned()
        } else {
            "main is RED.".to_owned()
        });
        lines
    }
}

fn short(id: &str) -> &str {
    id.get(..7).unwrap_or(id)
}
