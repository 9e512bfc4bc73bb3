//! Nobody shares what must not be shared, also with those that are ending.

use std::collections::BTreeMap;

use taskd_core::Coordinator;
use taskd_model::{Hold, LoopId, ProjectId};

use crate::ledger::check;

pub(crate) fn exclusive(core: &Coordinator) -> Result<(), String> {
    let mut writers: BTreeMap<LoopId, u32> = BTreeMap::new();
    let mut readers: BTreeMap<LoopId, u32> = BTreeMap::new();
    let mut hands: BTreeMap<ProjectId, u32> = BTreeMap::new();
    for (_, hold) in core.holds() {
        match hold {
            Hold::WorktreeExclusive(id) => *writers.entry(id).or_default() += 1,
            Hold::WorktreeShared(id) => *readers.entry(id).or_default() += 1,
            Hold::Repository(id) => *hands.entry(id).or_default() += 1,
            Hold::CallSlot(_) | Hold::AgentSlot | Hold::GateSlot => {}
        }
    }
    for (id, count) in writers {
        let alone = count == 1 && !readers.contains_key(&id);
        check(alone, || format!("{id}: somebody works beside a writer"))?;
    }
    check(hands.values().all(|it| *it == 1), || "two hands on one repository".to_owned())
}
