//! `taskd flakes`: what is flaky, how often it was, and where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use taskd_model::{Event, ProjectId, Record, Time, View, format_age_ms};

use super::{
    Scene,
    json::{SCHEMA_VERSION, time},
    table::Table,
    text::{clean, cut},
};

/// What is flaky, by project and name of the test.
#[derive(Debug)]
pub(crate) struct Flakes {
    rows: BTreeMap<(ProjectId, String), Row>,
    /// It counts for so long after it was last seen, in milliseconds.
    within_ms: u64,
}

#[derive(Debug)]
struct Row {
    times: u64,
    last: Time,
    event: u64,
    loops: BTreeSet<String>,
}

impl Flakes {
    pub(crate) fn new(within_ms: u64) -> Self {
        Self { rows: BTreeMap::new(), within_ms }
    }

    /// Takes in one event; of projects that are not in the view nothing is told.
    pub(crate) fn take(&mut self, view: &View, record: &Record) {
        let Event::GateFlaked { gate, tests, .. } = &record.event else { return };
        let Some(project) = record.project.filter(|it| view.projects.contains_key(it)) else {
            return;
        };
        let names = match tests.as_slice() {
            [] => vec![format!("gate {}", &gate.to_string()[..8])],
            some => some.to_vec(),
        };
        for name in names {
            let fresh = Row { times: 0, last: Time(0), event: 0, loops: BTreeSet::new() };
            let row = self.rows.entry((project, name)).or_insert(fresh);
            row.times += 1;
            (row.last, row.event) = (record.at, record.seq.0);
            row.loops.extend(record.loop_id.map(|it| view.loop_name(it)));
        }
    }

    fn is_active(&self, row: &Row, now: Time) -> bool {
        now.ms_since(row.last) <= self.within_ms
    }

    /// A row for each, the last seen first; what has not been seen for long only with `all`.
    pub(crate) fn picture(&self, all: bool, scene: &Scene) -> String {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(_, it)| std::cmp::Reverse(it.last));
        let mut table = Table::new(&["TEST", "TIMES", "LAST SEEN", "STATE", "LOOPS"], 0, 9);
        for ((_, name), it) in rows.iter().filter(|it| all || self.is_active(it.1, scene.now)) {
            let loops = it.loops.iter().map(|it| clean(it)).collect::<Vec<_>>().join(" ");
            let state = if self.is_active(it, scene.now) { "active" } else { "expired" };
            let last = format!("{} ago", scene.age(it.last));
            table.row(vec![
                clean(name),
                it.times.to_string(),
                last,
                state.to_owned(),
                cut(&loops, 40),
            ]);
        }
        if table.is_empty() {
            let within = format_age_ms(self.within_ms);
            return format!("nothing was flaky in the last {within}\n");
        }
        let mut out = table.draw(0, table.total(0).min(scene.width), scene.width);
        out.push(String::new());
        out.push(
            "A flaky test that is red is red; `gate.retries` runs a red gate again.".to_owned(),
        );
        out.iter().map(|it| cut(it, scene.width)).collect::<Vec<_>>().join("\n") + "\n"
    }

    /// The same for programs: all of them.
    pub(crate) fn json(&self, now: Time) -> Value {
        let row = |((project, name), it): (&(ProjectId, String), &Row)| {
            json!({
                "name": name,
                "project": project.0,
                "times": it.times,
                "last_seen": time(it.last),
                "active": self.is_active(it, now),
                "loops": it.loops,
                "event": it.event,
            })
        };
        json!({
            "schema_version": SCHEMA_VERSION,
            "flakes": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}
