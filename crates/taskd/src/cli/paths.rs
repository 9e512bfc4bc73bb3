//! `taskd paths`: every place that taskd keeps something in. Looks, and touches nothing.

use std::fs;

use serde_json::json;

use super::{failure::Done, here::Here};
use crate::render::json::SCHEMA_VERSION;

/// `taskd paths`.
pub(crate) fn paths(here: &Here) -> Done {
    here.only_here("taskd paths")?;
    let all = here.paths.all();
    // A link that leads nowhere is something that is there.
    let there = all.each_ref().map(|(_, path)| fs::symlink_metadata(path).is_ok());
    let rows = all.iter().zip(there);
    if here.out.json {
        let row = |((name, path), exists): (&(&str, std::path::PathBuf), bool)| json!({ "name": name, "path": path.display().to_string(), "exists": exists });
        let rows: Vec<_> = rows.map(row).collect();
        here.out.object(&json!({ "schema_version": SCHEMA_VERSION, "paths": rows }))?;
        return Ok(0);
    }
    let scene = here.scene();
    let line = |((name, path), exists): (&(&str, std::path::PathBuf), bool)| {
        let none = if exists { "" } else { "  (none)" };
        format!("{name:<9}  {}{none}\n", scene.path(&path.display().to_string()))
    };
    here.out.print(&rows.map(line).collect::<String>())?;
    Ok(0)
}
