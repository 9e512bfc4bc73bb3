//! From what a person types to a plan or a loop.
//!
//! An exact name wins. Names may be shortened to what is unique; numbers never are. Nothing is
//! guessed: what is near is suggested and not taken.

use std::fmt;

use crate::{LoopId, PlanId};

use super::{LoopView, View};

/// How many names are offered at most.
const OFFERED: usize = 5;

/// How many loops, the youngest, are looked through for something to suggest.
const LOOKED_THROUGH: usize = 1_000;

/// What an id means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A plan with its loops.
    Plan(PlanId),
    /// One loop; for a plan that came as one sentence, its one loop.
    Loop(LoopId),
}

/// Why an id means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveError {
    /// There is no such thing.
    NotFound {
        /// What was typed.
        id: String,
        /// Names near it.
        did_you_mean: Vec<String>,
    },
    /// It is short for several.
    Ambiguous {
        /// What was typed.
        id: String,
        /// Their names.
        candidates: Vec<String>,
    },
}

impl std::error::Error for ResolveError {}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { id, did_you_mean } if did_you_mean.is_empty() => {
                write!(f, "there is no {id:?}")
            }
            Self::NotFound { id, did_you_mean } => {
                write!(f, "there is no {id:?}; did you mean {}?", did_you_mean.join(", "))
            }
            Self::Ambiguous { id, candidates } => {
                write!(f, "{id:?} is short for {}", candidates.join(", "))
            }
        }
    }
}

impl View {
    /// What `text` means: `p7`, `7`, `p7.limiter`, `p7.lim`, `p7.limiter.2`.
    ///
    /// # Errors
    ///
    /// There is no such plan or loop, or the name is short for several.
    pub fn resolve(&self, text: &str) -> Result<Target, ResolveError> {
        let typed = text.trim();
        let (head, rest) = match typed.split_once('.') {
            Some((head, rest)) => (head, Some(rest)),
            None => (typed, None),
        };
        let Some(plan) = plan_number(head).filter(|it| self.plans.contains_key(it)) else {
            return Err(self.not_found(typed, None));
        };
        match rest {
            None => Ok(self.whole(plan)),
            Some(rest) => self.resolve_loop(typed, plan, rest),
        }
    }

    /// The loops a target stands for: a plan's latest runs, or the one.
    #[must_use]
    pub fn loops_in(&self, target: Target) -> Vec<LoopId> {
        match target {
            Target::Loop(id) => vec![id],
            Target::Plan(plan) => {
                let is_latest = |it: &&LoopView| self.latest_run(it.id.spec) == Some(*it);
                self.loops_of(plan).filter(is_latest).map(|it| it.id).collect()
            }
        }
    }

    /// A plan, or the one loop that is called by its name.
    fn whole(&self, plan: PlanId) -> Target {
        let single = self.plans.get(&plan).is_some_and(|it| it.single);
        let only = self.loops_of(plan).next_back().filter(|_| single);
        only.map_or(Target::Plan(plan), |it| Target::Loop(it.id))
    }

    fn resolve_loop(&self, typed: &str, plan: PlanId, rest: &str) -> Result<Target, ResolveError> {
        let exact = format!("{plan}.{rest}");
        if let Some(it) = self.loops_of(plan).find(|it| it.name == exact) {
            return Ok(Target::Loop(it.id));
        }
        let (name, run) = match rest.rsplit_once('.') {
            Some((name, run)) if is_number(run) => (name, Some(run)),
            _ => (rest, None),
        };
        let candidates = self.shortened(plan, name);
        let [only] = candidates.as_slice() else {
            return Err(if candidates.is_empty() {
                self.not_found(typed, Some(plan))
            } else {
                let names = candidates.iter().map(|it| it.name.clone());
                let candidates = names.take(OFFERED).collect();
                ResolveError::Ambiguous { id: typed.to_owned(), candidates }
            });
        };
        let found = match run {
            None => self.latest_run(only.id.spec),
            Some(run) => self
                .loops_of(plan)
                .find(|it| it.id.spec == only.id.spec && it.id.run.to_string() == run),
        };
        let found = found.ok_or_else(|| self.not_found(typed, Some(plan)))?;
        Ok(Target::Loop(found.id))
    }

    /// First runs of the plan's specs called `name`, or else of those whose names begin with it.
    fn shortened(&self, plan: PlanId, name: &str) -> Vec<&LoopView> {
        if name.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<&LoopView> = self
            .loops_of(plan)
            .filter(|it| self.plans.get(&plan).is_some_and(|it| !it.single) && begins(it, name))
            .collect();
        found.dedup_by_key(|it| it.id.spec);
        match found.iter().find(|it| it.spec == name) {
            Some(exact) => vec![*exact],
            None => found,
        }
    }

    fn not_found(&self, typed: &str, plan: Option<PlanId>) -> ResolveError {
        let mut near: Vec<(usize, String)> = match plan {
            Some(plan) => self.loops_of(plan).filter_map(|it| nearness(typed, it)).collect(),
            None => {
                let loops = self.loops.values().rev().take(LOOKED_THROUGH);
                loops.filter_map(|it| nearness(typed, it)).collect()
            }
        };
        // The sort is stable, so of the equally near the youngest comes first.
        near.sort_by_key(|(distance, _)| *distance);
        let did_you_mean = near.into_iter().map(|(_, name)| name).take(OFFERED).collect();
        ResolveError::NotFound { id: typed.to_owned(), did_you_mean }
    }
}

/// Whether a loop's spec may be meant by `name`. What ends in a digit is not shortened to fewer.
fn begins(it: &LoopView, name: &str) -> bool {
    it.spec.strip_prefix(name).is_some_and(|rest| {
        let cuts_number = name.ends_with(|c: char| c.is_ascii_digit())
            && rest.starts_with(|c: char| c.is_ascii_digit());
        !cuts_number
    })
}

/// How far `typed` is from a loop's name, if that is near.
fn nearness(typed: &str, it: &LoopView) -> Option<(usize, String)> {
    let typed = typed.to_lowercase();
    let distance = strsim::osa_distance(&typed, &it.name).min(match typed.split_once('.') {
        Some((_, rest)) if !rest.is_empty() => strsim::osa_distance(rest, &it.spec) + 1,
        Some(_) => usize::MAX,
        None => strsim::osa_distance(&typed, &it.spec),
    });
    let most = (typed.chars().count() / 3).max(1);
    (distance <= most).then(|| (distance, it.name.clone()))
}

/// `p7` or `7`.
fn plan_number(text: &str) -> Option<PlanId> {
    let digits = text.strip_prefix('p').unwrap_or(text);
    let canonical = is_number(digits) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| canonical).map(PlanId)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}
