//! A document that was taken apart before: what its new version names that is the same.
//!
//! The same is what says the same: title, text, settings and type, and needs that are the same too.
//! What stands above it may be worded anew; what builds on something else is something else.

use std::collections::BTreeSet;

use taskd_model::{LoopId, LoopView, SpecDoc, SpecHead, Status, decode_doc};

use super::document::Named;
use crate::runner::Context;

/// What a document names, and what of it was named before.
pub(crate) struct Apart {
    /// All it names, in order; needs by place among them.
    pub(crate) named: Named,
    /// The place in the plan of each that stays; empty where there was no version before.
    pub(crate) same: Vec<Option<u16>>,
    /// How many loops of the version before end.
    pub(crate) ends: usize,
}

/// One spec of earlier versions.
pub(super) struct Before {
    index: u16,
    /// Specs of the same document that it needs.
    needs: BTreeSet<u16>,
    doc: SpecDoc,
}

/// What came of earlier versions of a loop's document, and may stay. What failed, was stopped or is
/// superseded may not: it begins anew where it is named.
pub(super) fn before(ctx: &Context, id: LoopId) -> Vec<Before> {
    let children: Vec<LoopView> = {
        let view = ctx.hub.view();
        let Some(parent) = view.loops.get(&id) else { return Vec::new() };
        view.children(parent).cloned().collect()
    };
    let indexes: BTreeSet<u16> = children.iter().map(|it| it.id.spec.index).collect();
    let stays = |it: &&LoopView| {
        let ended = matches!(it.status, Status::Failed | Status::Stopped);
        !ended && !it.is_superseded()
    };
    let one = |it: &LoopView| {
        let bytes = ctx.blob(&it.doc).ok()?;
        let needs = it.needs.iter().copied().filter(|it| indexes.contains(it)).collect();
        Some(Before { index: it.id.spec.index, needs, doc: decode_doc(&bytes).ok()? })
    };
    children.iter().filter(stays).filter_map(one).collect()
}

/// The place in the plan of each that is the same, in the order they are named.
pub(super) fn same(named: &[(SpecHead, SpecDoc)], before: &[Before]) -> Vec<Option<u16>> {
    let mut found: Vec<Option<u16>> = Vec::new();
    for (head, doc) in named {
        let needs: Option<BTreeSet<u16>> =
            head.needs.iter().map(|it| found.get(usize::from(*it)).copied().flatten()).collect();
        let is_it = |it: &&Before| {
            let free = !found.contains(&Some(it.index));
            free && needs.as_ref() == Some(&it.needs) && says_the_same(doc, &it.doc)
        };
        let mut all: Vec<&Before> = before.iter().filter(is_it).collect();
        all.sort_by_key(|it| it.doc.name != doc.name);
        found.push(all.first().map(|it| it.index));
    }
    found
}

fn says_the_same(one: &SpecDoc, other: &SpecDoc) -> bool {
    let of =
        |it: &SpecDoc| (it.title.clone(), it.text.trim().to_owned(), it.loop_type.name.clone());
    of(one) == of(other) && one.accept == other.accept && one.touches == other.touches
}

/// A name that nobody in the plan has: `limiter`, else `limiter-2`, and so on.
pub(super) fn free_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let next = (2u32..).map(|n| format!("{name}-{n}"));
    let mut all = std::iter::once(name.to_owned()).chain(next);
    let free = all.find(|it| !taken.contains(it)).unwrap_or_else(|| name.to_owned());
    taken.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut taken = ["a", "a-2"].map(str::to_owned).into();
        assert_eq!(free_name("a", &mut taken), "a-3");
        assert_eq!(free_name("b", &mut taken), "b");
        assert_eq!(free_name("b", &mut taken), "b-2");
    }
}
