//! `taskd checkpoints`, `rewind`, `undo` and `salvage`: saved states, and what became of them.

use serde_json::{Value, json};
use taskd_api::v1;
use taskd_model::Time;

use super::{
    Scene,
    json::{SCHEMA_VERSION, time},
    table::Table,
    text::{clean, count},
};

/// Characters of a commit that are shown.
const SHORT: usize = 10;

fn short(commit: &str) -> String {
    clean(commit).chars().take(SHORT).collect()
}

/// The states of a loop's work, oldest first.
pub(crate) fn checkpoints(answer: &v1::CheckpointsResponse, scene: &Scene) -> String {
    let name = clean(&answer.name);
    if answer.checkpoints.is_empty() {
        return format!("{name} has saved nothing yet\n");
    }
    let mut table = Table::new(&["N", "ITER", "AGE", "COMMIT", "AFTER", "CHANGED"], 4, 5);
    for it in &answer.checkpoints {
        let here = if it.present { "  <- is here" } else { "" };
        table.row(vec![
            it.n.to_string(),
            it.iteration.to_string(),
            scene.age(Time(it.at)),
            short(&it.commit),
            format!("{}{here}", clean(&it.after)),
            it.files.map_or_else(|| "?".to_owned(), |n| count(n.into(), "file")),
        ]);
    }
    let lines = table.draw(0, table.total(0).min(scene.width), scene.width);
    let next = format!("next:  taskd diff {name} --from N --to N | taskd rewind {name} --to N");
    format!("{}\n\n{next}\n", lines.join("\n"))
}

fn checkpoint_json(it: &v1::Checkpoint) -> Value {
    let mut value = json!({
        "n": it.n,
        "commit": it.commit,
        "base": it.base,
        "iteration": it.iteration,
        "at": time(Time(it.at)),
        "after": it.after,
        "present": it.present,
    });
    if let Some(files) = it.files {
        value["files"] = files.into();
    }
    value
}

/// The same in JSON.
pub(crate) fn checkpoints_json(answer: &v1::CheckpointsResponse) -> Value {
    let rows: Vec<Value> = answer.checkpoints.iter().map(checkpoint_json).collect();
    json!({ "schema_version": SCHEMA_VERSION, "name": answer.name, "checkpoints": rows })
}

/// What a rewind does, and what stays done.
pub(crate) fn rewind(answer: &v1::RewindResponse) -> String {
    let name = clean(&answer.name);
    let to = answer.to.clone().unwrap_or_default();
    let state = match to.n {
        0 => format!("its base {}", short(&to.commit)),
        n => format!("checkpoint {n} ({}, after {})", short(&to.commit), clean(&to.after)),
    };
    let mut out = if answer.seq == 0 {
        format!("{name}  would go back to {state}\n")
    } else {
        format!("{name}  goes back to {state}; what came after it is kept: taskd salvage ls\n")
    };
    if !answer.stays.is_empty() {
        out.push_str("what these did outside its worktree stays done:\n");
        out.extend(answer.stays.iter().map(|it| format!("  {}\n", clean(it))));
    }
    out
}

/// The same in JSON.
pub(crate) fn rewind_json(answer: &v1::RewindResponse) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "name": answer.name,
        "to": answer.to.as_ref().map(checkpoint_json),
        "stays": answer.stays,
        "done": answer.seq != 0,
    })
}

/// What an undo takes off its target.
pub(crate) fn undo(answer: &v1::UndoResponse) -> String {
    let (name, target) = (clean(&answer.name), clean(&answer.target));
    let commit = short(&answer.commit);
    let mut out = if answer.seq == 0 {
        format!("{name}  would come off {target}: a commit that reverts {commit}, gated first\n")
    } else {
        format!("{name}  comes off {target}: a commit that reverts {commit} is in the queue\n")
    };
    out.extend(answer.files.iter().map(|it| format!("  {}\n", clean(it))));
    out.extend(answer.warnings.iter().map(|it| format!("warning: {}\n", clean(it))));
    out
}

/// The same in JSON.
pub(crate) fn undo_json(answer: &v1::UndoResponse) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "name": answer.name,
        "target": answer.target,
        "commit": answer.commit,
        "onto": answer.onto,
        "files": answer.files,
        "warnings": answer.warnings,
        "done": answer.seq != 0,
    })
}

/// What is kept of work that was replaced.
pub(crate) fn salvage(answer: &v1::SalvageResponse, scene: &Scene) -> String {
    if answer.kept.is_empty() {
        return "nothing is kept: no work was replaced\n".to_owned();
    }
    let mut table = Table::new(&["NAME", "LOOP", "AGE", "COMMIT", "FILES"], 0, 4);
    for it in &answer.kept {
        table.row(vec![
            clean(&it.name),
            clean(&it.r#loop),
            scene.age(Time(it.at)),
            short(&it.commit),
            it.files.to_string(),
        ]);
    }
    let lines = table.draw(0, table.total(0).min(scene.width), scene.width);
    format!("{}\n\nnext:  taskd salvage restore NAME --to DIR\n", lines.join("\n"))
}

fn kept_json(it: &v1::KeptWork) -> Value {
    json!({
        "name": it.name,
        "ref": it.r#ref,
        "root": it.root,
        "loop": it.r#loop,
        "why": it.why,
        "commit": it.commit,
        "at": time(Time(it.at)),
        "files": it.files,
    })
}

/// The same in JSON.
pub(crate) fn salvage_json(answer: &v1::SalvageResponse) -> Value {
    let rows: Vec<Value> = answer.kept.iter().map(kept_json).collect();
    json!({ "schema_version": SCHEMA_VERSION, "kept": rows })
}

/// What was written out, in JSON.
pub(crate) fn restore_json(answer: &v1::RestoreResponse) -> Value {
    json!({
        "schema_version": SCHEMA_VERSION,
        "kept": answer.kept.as_ref().map(kept_json),
        "to": answer.to,
    })
}
