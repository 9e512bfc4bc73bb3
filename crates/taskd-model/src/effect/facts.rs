//! What is known about a tree that could talk its own gate around. Facts only: what follows from
//! them is the core's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Paths that are named in an event; the rest is in a blob.
pub const NAMED_PATHS: usize = 8;
/// Longest path that is named in an event, in bytes; a longer one is cut.
pub const NAMED_PATH_BYTES: usize = 100;

/// What else a gate's report says besides its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateFacts {
    /// Protected files that the tree has otherwise than its base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tampered: Option<Tampered>,
    /// What the gate's own commands counted, without what `accept` adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<TestCounts>,
    /// Names what was red: two reports of one tree with the same tell of the same failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Digest>,
}

impl GateFacts {
    /// There is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Protected files that differ from the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tampered {
    /// The first [`NAMED_PATHS`] of them.
    pub paths: Vec<String>,
    /// How many there are.
    pub files: u32,
    /// All of them, one a line, as a blob.
    pub list: Digest,
}

/// How many tests there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    /// Tests that were run.
    pub run: u32,
    /// Tests that were skipped.
    pub skipped: u32,
}

/// Why a green gate alone does not let work land.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// It changes files that decide about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tampered: Option<Tampered>,
    /// Fewer tests, or more skipped ones, than on the base: there, and here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<(TestCounts, TestCounts)>,
}

impl Suspicion {
    /// What a report says against its tree, beside what is known of the base; nothing if nothing.
    #[must_use]
    pub fn of(facts: &GateFacts, base: Option<TestCounts>) -> Option<Self> {
        let worse = |(before, now): &(TestCounts, TestCounts)| {
            now.run < before.run || before.skipped < now.skipped
        };
        let tests = base.zip(facts.counts).filter(worse);
        let it = Self { tampered: facts.tampered.clone(), tests };
        (it != Self::default()).then_some(it)
    }
}

impl fmt::Display for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.paths.join(", "))?;
        let named = u32::try_from(self.paths.len()).unwrap_or(u32::MAX);
        match self.files.saturating_sub(named) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tampered) = &self.tampered {
            write!(f, "changes protected {tampered}")?;
        }
        let Some((before, now)) = self.tests else { return Ok(()) };
        if self.tampered.is_some() {
            f.write_str("; ")?;
        }
        let fewer = now.run < before.run;
        if fewer {
            write!(f, "runs {} of the base's {} tests", now.run, before.run)?;
        }
        if before.skipped < now.skipped {
            let and = if fewer { ", and " } else { "" };
            write!(f, "{and}skips {} where the base skips {}", now.skipped, before.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, GateFacts, Suspicion, Tampered, TestCounts};

    fn counts(run: u32, skipped: u32) -> TestCounts {
        TestCounts { run, skipped }
    }

    #[test]
    fn what_is_said_against_a_tree() {
        let said = |tampered: &[&str], files, before: Option<TestCounts>, now| {
            let paths: Vec<String> = tampered.iter().map(|it| (*it).to_owned()).collect();
            let list = Digest::of(b"");
            let tampered = (!paths.is_empty()).then_some(Tampered { paths, files, list });
            let facts = GateFacts { tampered, counts: now, failed: None };
            Suspicion::of(&facts, before).map(|it| it.to_string())
        };
        let (few, many) = (Some(counts(3, 0)), Some(counts(5, 0)));
        assert_eq!(said(&[], 0, None, few), None);
        assert_eq!(said(&[], 0, many, None), None);
        assert_eq!(said(&[], 0, few, many), None);
        assert_eq!(said(&[], 0, Some(counts(5, 2)), Some(counts(5, 2))), None);
        assert_eq!(said(&[], 0, many, few).unwrap(), "runs 3 of the base's 5 tests");
        let both = said(&["a.sh", "b"], 3, Some(counts(5, 1)), Some(counts(4, 2))).unwrap();
        assert_eq!(
            both,
            "changes protected a.sh, b and 1 more; runs 4 of the base's 5 tests, and skips 2 where \
             the base skips 1"
        );
    }
}
