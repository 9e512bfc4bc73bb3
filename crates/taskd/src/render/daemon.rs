//! The daemon about itself: `daemon status`, `projects ls`.

use taskd_api::v1;
use taskd_model::{Time, format_duration_ms};

use super::{
    Scene,
    table::Table,
    text::{clean, count},
};

/// `taskd daemon status`.
pub(crate) fn status(it: &v1::StatusResponse, scene: &Scene) -> String {
    let up = format_duration_ms(scene.now.ms_since(Time(it.started_at)));
    let mut out = vec![format!("taskd {}, pid {}, up {up}", clean(&it.version), it.pid)];
    if it.parked {
        out.push("parked    nothing new starts until  taskd resume --all".to_owned());
    }
    let totals = it.totals.iter().filter(|it| it.count > 0).map(|it| {
        let status = it.status().as_str_name().trim_start_matches("STATUS_").to_lowercase();
        format!("{} {status}", it.count)
    });
    let totals = totals.collect::<Vec<_>>().join(", ");
    let totals = if totals.is_empty() { "none".to_owned() } else { totals };
    out.push(format!("loops     {totals}"));
    let projects = count(it.projects.into(), "project");
    let (effects, watchers) =
        (count(it.effects.into(), "effect"), count(it.watchers.into(), "watcher"));
    out.push(format!("serving   {projects}, {effects} running, {watchers}"));
    let place = scene.path(&it.store_path);
    let (size, free) = (bytes(it.store_bytes), bytes(it.disk_free_bytes));
    out.push(format!("store     {place}, {size}, event {}; {free} free", it.seq));
    out.extend(it.sockets.iter().map(|it| format!("listens   {}", scene.path(it))));
    let workers = it.payers.iter().map(|it| super::submit::paid(it, scene));
    out.extend(workers.map(|it| format!("works     {it}")));
    if let Some(driver) = &it.driver {
        out.push(format!("health    {}", health(driver)));
    }
    out.join("\n") + "\n"
}

/// `taskd projects ls`.
pub(crate) fn projects(rows: &[v1::ProjectRow], scene: &Scene) -> String {
    if rows.is_empty() {
        return "no project yet; `taskd run` registers the current repository by itself\n"
            .to_owned();
    }
    let mut table = Table::new(&["PROJECT", "TARGETS", "OPEN", "PLANS"], 0, 2);
    for it in rows {
        let targets = it.targets.iter().map(|(name, target)| {
            let tip: String = target.tip.chars().take(7).collect();
            clean(&format!("{name} {tip}"))
        });
        table.row(vec![
            scene.path(&it.root),
            targets.collect::<Vec<_>>().join(", "),
            it.open_plans.to_string(),
            it.plans.to_string(),
        ]);
    }
    table.draw(0, table.total(0).min(scene.width), scene.width).join("\n") + "\n"
}

fn health(it: &v1::DriverHealth) -> String {
    let mut text = if it.healthy { "well" } else { "NOT WELL" }.to_owned();
    let turned = format_duration_ms(it.last_turn_ms);
    text.push_str(&format!(", last turn {turned} ago, {} inputs waiting", it.inputs_waiting));
    if !it.quarantined.is_empty() {
        text.push_str(&format!("; set aside: {}", clean(&it.quarantined.join(", "))));
    }
    text
}

/// `212 GB`.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, size)| *size <= n);
    unit.map_or_else(|| format!("{n} B"), |(name, size)| format!("{} {name}", n / size))
}
