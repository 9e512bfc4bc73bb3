//! What makes a gate's report evidence: which commands ran, in what environment, on which tree, and
//! how each of them ended. Nothing here runs or decides anything.

use serde::{Deserialize, Serialize};

use super::GateReport;
use crate::{Digest, Oid};

/// Most bytes the names of failing tests take together: they go into the log.
const MAX_NAMES_BYTES: usize = 800;

/// Which gate was run on what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateProof {
    /// Names the commands, see [`gate_digest`].
    pub gate: Digest,
    /// Names the environment the plan was submitted with.
    pub environment: Digest,
    /// The tree that was gated.
    pub tree: Oid,
    /// Exit code of each command that ran, in order; -1 for one that did not end by itself.
    pub exits: Vec<i32>,
    /// Names of failing tests, where the output says so, as many as fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// Red runs of the same commands on the same tree right before this one, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<RedRun>,
}

/// A run of a gate that was red and was not the last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedRun {
    /// The output, bounded, as a blob.
    pub log: Digest,
    /// Names of failing tests, where the output says so, as many as fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
}

/// The digest of a gate's commands, in order. Two gates with the same digest run the same.
#[must_use]
pub fn gate_digest(commands: &[String]) -> Digest {
    let parts: Vec<&[u8]> = commands.iter().map(String::as_bytes).collect();
    Digest::of_parts(&parts)
}

/// As many of the names as an event has room for, in one line each.
#[must_use]
pub fn bounded_names(names: &[String]) -> Vec<String> {
    let mut room = MAX_NAMES_BYTES;
    let mut kept = Vec::new();
    for name in names {
        let name: String = name.chars().filter(|it| !it.is_control()).take(120).collect();
        let Some(left) = room.checked_sub(name.len()) else { break };
        room = left;
        kept.push(name);
    }
    kept
}

impl GateReport {
    /// The same commands on the same tree were red and green, one right after the other.
    #[must_use]
    pub fn is_flaky(&self) -> bool {
        self.green && self.proof.as_ref().is_some_and(|it| !it.earlier.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_do_not_run_together_and_names_are_bounded() {
        let of =
            |all: &[&str]| gate_digest(&all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_ne!(of(&["a", "b"]), of(&["ab"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
        let names = vec!["x\n".repeat(200); 50];
        let kept = bounded_names(&names);
        assert_eq!((kept.len(), kept[0].len()), (6, 120));
    }
}
