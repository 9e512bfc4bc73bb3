//! One sentence about each loop, made of what happened to it and cut to the width of a terminal.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use taskd_model::{LoopId, LoopView, Status, Verdict, Worker};

use super::{
    follow::{cut, seconds},
    story::{Clash, Cut, CutOff, Story, Tale, Wait},
};

/// What is left of 80 columns beside name and iterations.
const MAX_CHARS: usize = 56;

/// A part of the sentence. Its place in the sentence is where it is pushed; if there is no room for
/// all, those of the highest weight stay.
struct Part {
    weight: u8,
    text: String,
}

/// The sentence about a loop. `files` says what each commit of main changed.
pub(super) fn sentence(
    story: &Story,
    it: &LoopView,
    files: &BTreeMap<String, BTreeSet<String>>,
) -> String {
    let nothing = Tale::default();
    let tale = story.tales.get(&it.id).unwrap_or(&nothing);
    let mut parts = Vec::new();
    let mut push = |weight, text: Option<String>| {
        parts.extend(text.map(|text| Part { weight, text }));
    };
    push(9, ended(story, it));
    push(1, after(story, it));
    push(7, waited(&tale.waits));
    for clash in &tale.clashes {
        push(8, Some(clashed(story, it.id, clash, files)));
    }
    for cut in &tale.cuts {
        push(if cut.what == CutOff::Agent { 3 } else { 6 }, Some(was_cut(cut)));
    }
    push(6, gates(tale));
    push(4, moved(story, tale));
    push(5, agent(&it.worker));
    fitted(&parts)
}

/// How it ended, if it did not land.
fn ended(story: &Story, it: &LoopView) -> Option<String> {
    if it.status == Status::Complete {
        return None;
    }
    let needs: Vec<&str> = story.view.waits_for(it).map(|it| it.spec.as_str()).collect();
    if it.iteration == 0 && !needs.is_empty() {
        return Some(format!("not started: {} did not pass", needs.join(" and ")));
    }
    let reason = it.reason.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    Some(format!("{}{reason}", it.status))
}

fn after(story: &Story, it: &LoopView) -> Option<String> {
    if it.iteration == 0 {
        return None;
    }
    let needs: Vec<&str> = story.view.needs(it).map(|it| it.spec.as_str()).collect();
    (!needs.is_empty()).then(|| format!("after {}", needs.join(" and ")))
}

fn waited(waits: &[Wait]) -> Option<String> {
    let ms = waits.iter().filter_map(|it| it.ms).sum();
    let rate = waits.iter().all(|it| it.why.contains("429"));
    let what = match (waits.len(), rate) {
        (0, _) => return None,
        (1, true) => "a 429".to_owned(),
        (n, true) => format!("{n} 429s"),
        (_, false) => "its provider".to_owned(),
    };
    let kept = waits.iter().all(|it| it.same_iteration);
    let kept = if kept { "no iteration lost" } else { "an iteration lost" };
    Some(format!("waited {} for {what}, {kept}", seconds(ms)))
}

fn clashed(
    story: &Story,
    id: LoopId,
    clash: &Clash,
    files: &BTreeMap<String, BTreeSet<String>>,
) -> String {
    let changed = |place: &usize| {
        let commit = story.landings.get(*place).map(|it| it.commit.to_string());
        commit.and_then(|it| files.get(&it))
    };
    let own = story.landing(id).and_then(|it| files.get(&it.commit.to_string()));
    // Of all that landed meanwhile, only what changed the same files can be in conflict.
    let shares = |place: &&usize| match (own, changed(place)) {
        (Some(own), Some(other)) => !own.is_disjoint(other),
        _ => true,
    };
    let with: BTreeSet<usize> = clash.with.iter().filter(shares).copied().collect();
    let with = names(story, &with).unwrap_or_else(|| "main".to_owned());
    match clash.solved_by {
        Some(n) => format!("conflict with {with}, solved by iteration {n}"),
        None => format!("conflict with {with}, not solved"),
    }
}

fn was_cut(cut: &Cut) -> String {
    let Cut { turn, .. } = cut;
    match (cut.what, cut.went_on) {
        (CutOff::Call, Some(on)) => {
            format!("daemon killed during turn {turn}, went on from turn {on}")
        }
        (CutOff::Command, Some(on)) => {
            format!("daemon killed during a command, went on from turn {on}")
        }
        (CutOff::Agent, _) if cut.again => "run again after the kill".to_owned(),
        (_, _) => format!("daemon killed during turn {turn}"),
    }
}

/// Red gates before a green one.
fn gates(tale: &Tale) -> Option<String> {
    let red = tale.verdicts.iter().filter(|it| **it == Verdict::Red).count();
    let green = tale.verdicts.last() == Some(&Verdict::Green);
    let times = if red == 1 { String::new() } else { format!(" {red} times") };
    (0 < red).then(|| format!("gate red{times}{}", if green { ", then green" } else { "" }))
}

fn moved(story: &Story, tale: &Tale) -> Option<String> {
    names(story, &tale.moved).map(|it| format!("rebased when {it} landed"))
}

fn agent(worker: &Worker) -> Option<String> {
    match worker {
        Worker::Agent(run) => Some(format!("agent: {run}")),
        Worker::Model(_) => None,
    }
}

/// Who landed at these places: `top`, `top, docs`, `3 others`.
fn names(story: &Story, places: &BTreeSet<usize>) -> Option<String> {
    let landed = places.iter().filter_map(|it| story.landings.get(*it));
    let names: Vec<&str> = landed.map(|it| story.spec(it.id)).collect();
    match names[..] {
        [] => None,
        [one] => Some(one.to_owned()),
        [one, two] => Some(format!("{one}, {two}")),
        [..] => Some(format!("{} others", names.len())),
    }
}

/// The heaviest parts that fit together, in their order; the heaviest of all in any case.
fn fitted(parts: &[Part]) -> String {
    let mut by_weight: Vec<usize> = (0..parts.len()).collect();
    by_weight.sort_by_key(|place| Reverse(parts[*place].weight));
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    for place in by_weight {
        let mut with = chosen.clone();
        with.insert(place);
        if chosen.is_empty() || joined(parts, &with).chars().count() <= MAX_CHARS {
            chosen = with;
        }
    }
    cut(&joined(parts, &chosen), MAX_CHARS)
}

fn joined(parts: &[Part], places: &BTreeSet<usize>) -> String {
    let texts: Vec<&str> = places.iter().map(|it| parts[*it].text.as_str()).collect();
    texts.join("; ")
}
