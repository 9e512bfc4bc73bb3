//! How exactly it is known what agents use, told of each agent that has run.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use taskd_model::{Depth, LoopView, Worker};

use super::words;

/// Each agent of these loops that has run, and how it was counted, the least exact of its runs.
fn agents<'a>(loops: impl Iterator<Item = &'a LoopView>) -> BTreeMap<String, Depth> {
    let mut all: BTreeMap<String, Depth> = BTreeMap::new();
    for it in loops {
        if let (Worker::Agent(_), Some(depth)) = (&it.worker, it.counted) {
            let known = all.entry(words::worker(&it.worker)).or_insert(depth);
            *known = depth.min(*known);
        }
    }
    all
}

/// `claude by call, codex by report`; nothing where no agent has run.
pub(super) fn line<'a>(loops: impl Iterator<Item = &'a LoopView>) -> Option<String> {
    let told = agents(loops).into_iter().map(|(name, depth)| format!("{name} {depth}"));
    let told = told.collect::<Vec<_>>();
    (!told.is_empty()).then(|| told.join(", "))
}

/// The same for programs.
pub(super) fn rows<'a>(loops: impl Iterator<Item = &'a LoopView>) -> Vec<Value> {
    let row = |(name, depth): (String, Depth)| json!({ "agent": name, "counted": depth });
    agents(loops).into_iter().map(row).collect()
}
