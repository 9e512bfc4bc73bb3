//! Specs as a graph: ids are good and unique, needs exist and have no cycle.
//!
//! Knows nothing of the text the specs came from except positions.

use std::collections::BTreeMap;

use super::head::{NAME_RULE, is_name, shown};
use super::{MAX_SPECS, PlanSpec, SpecDraft};
use crate::problem::{At, Problems, suggest};

/// Checks ids and needs and turns needs into places. What is returned is of use only if there are
/// no problems.
pub(super) fn check(drafts: Vec<SpecDraft>, problems: &mut Problems) -> Vec<PlanSpec> {
    if let Some(first) = drafts.get(MAX_SPECS) {
        let what = format!("the plan has {} specs; it may have {MAX_SPECS}", drafts.len());
        problems.add_hint(first.id.at, what, "split it into several plans");
        return Vec::new();
    }
    let mut places = BTreeMap::new();
    for (place, draft) in drafts.iter().enumerate() {
        check_id(&draft.id, problems);
        let first = *places.entry(draft.id.value.clone()).or_insert(place);
        if first != place && !draft.id.value.is_empty() {
            let line = drafts[first].id.at.line;
            let what = format!("spec `{}` is there twice", shown(&draft.id.value));
            problems.add_hint(draft.id.at, what, format!("the first is on line {line}"));
        }
    }
    let names: Vec<&str> = places.keys().map(String::as_str).collect();
    let needs: Vec<Vec<At<u16>>> =
        drafts.iter().map(|it| resolve(it, &places, &names, problems)).collect();
    check_cycles(&drafts, &needs, problems);
    drafts.into_iter().zip(needs).map(|(draft, needs)| finished(draft, needs)).collect()
}

fn finished(draft: SpecDraft, needs: Vec<At<u16>>) -> PlanSpec {
    let SpecDraft { id, title, text, needs: _, accept, touches, agent, loop_type } = draft;
    PlanSpec { id, title, text, needs, accept, touches, agent, loop_type }
}

fn check_id(id: &At<String>, problems: &mut Problems) {
    let text = id.value.as_str();
    let digits = |it: &str| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit());
    if !is_name(text) {
        problems.add_hint(id.at, format!("`{}` is no spec id", shown(text)), NAME_RULE);
    } else if digits(text) {
        let what = format!("spec id `{text}` looks like a run number (`p7.limiter.2` is run 2)");
        problems.add_hint(id.at, what, "use a word, as `limiter`");
    } else if text.strip_prefix('p').is_some_and(digits) {
        let what = format!("spec id `{text}` looks like a plan number");
        problems.add_hint(id.at, what, format!("use a word, or `part{}`", &text[1..]));
    }
}

fn resolve(
    draft: &SpecDraft,
    places: &BTreeMap<String, usize>,
    names: &[&str],
    problems: &mut Problems,
) -> Vec<At<u16>> {
    let mut needs: Vec<At<u16>> = Vec::new();
    for need in &draft.needs {
        if problems.is_full() {
            break;
        }
        let Some(place) = places.get(&need.value).and_then(|it| u16::try_from(*it).ok()) else {
            let what = format!("there is no spec `{}` in this plan", shown(&need.value));
            let hint = if names.len() > 20 { suggest_near(&need.value, names) } else { None };
            let hint = hint.unwrap_or_else(|| suggest(&need.value, names));
            problems.add_hint(need.at, what, hint);
            continue;
        };
        if needs.iter().any(|it| it.value == place) {
            problems.add(need.at, format!("`{}` is needed twice", shown(&need.value)));
        } else {
            needs.push(At::new(place, need.at));
        }
    }
    needs
}

/// Too many names to list them all.
fn suggest_near(word: &str, names: &[&str]) -> Option<String> {
    match crate::problem::nearest(word, names) {
        Some(_) => None,
        None => Some(format!("it has {} specs, none of a like name", names.len())),
    }
}

/// Notes every cycle once: what can be finished is taken away until only cycles are left.
fn check_cycles(drafts: &[SpecDraft], needs: &[Vec<At<u16>>], problems: &mut Problems) {
    let mut open: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut wanted_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (place, needs) in needs.iter().enumerate() {
        for need in needs {
            wanted_by[usize::from(need.value)].push(place);
        }
    }
    let mut gone = vec![false; needs.len()];
    let mut ready: Vec<usize> = (0..needs.len()).filter(|it| open[*it] == 0).collect();
    loop {
        while let Some(place) = ready.pop() {
            if std::mem::replace(&mut gone[place], true) {
                continue;
            }
            for next in &wanted_by[place] {
                open[*next] -= 1;
                if open[*next] == 0 {
                    ready.push(*next);
                }
            }
        }
        let Some(start) = gone.iter().position(|it| !it) else { return };
        let cycle = cycle_from(start, needs, &gone);
        note_cycle(&cycle, drafts, needs, problems);
        ready.extend(cycle);
    }
}

/// Follows the first open need of each spec until one comes again.
fn cycle_from(start: usize, needs: &[Vec<At<u16>>], gone: &[bool]) -> Vec<usize> {
    let mut path = vec![start];
    let mut seen = vec![None; needs.len()];
    seen[start] = Some(0);
    let mut here = start;
    while let Some(next) = needs[here].iter().map(|it| usize::from(it.value)).find(|it| !gone[*it])
    {
        if let Some(first) = seen[next] {
            return path.split_off(first);
        }
        seen[next] = Some(path.len());
        path.push(next);
        here = next;
    }
    path
}

fn note_cycle(
    cycle: &[usize],
    drafts: &[SpecDraft],
    needs: &[Vec<At<u16>>],
    problems: &mut Problems,
) {
    // Told from the spec that comes first in the file.
    let first = cycle.iter().enumerate().min_by_key(|(_, place)| **place).map_or(0, |(n, _)| n);
    let turned = || cycle.iter().cycle().skip(first).take(cycle.len() + 1);
    let mut shown: Vec<&str> = turned().map(|it| drafts[*it].id.value.as_str()).collect();
    if shown.len() > 12 {
        let end = shown.len() - 4;
        shown.splice(6..end, ["..."]);
    }
    let (Some(place), Some(next)) = (turned().next(), turned().nth(1)) else { return };
    let at = needs[*place]
        .iter()
        .find(|it| usize::from(it.value) == *next)
        .map_or(drafts[*place].id.at, |it| it.at);
    let what = format!("needs go round in a circle: {}", shown.join(" needs "));
    problems.add_hint(at, what, "take one of these needs away");
}
