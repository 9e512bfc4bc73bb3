//! How often in a row iterations end the same way.

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::{Digest, Oid};

/// Iterations in a row that ended the same way: the same verdict, of the same tree, for the same
/// failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streak {
    /// Names that end, see [`Streak::end`].
    pub of: Digest,
    /// How many they are, the last one included.
    pub times: u32,
}

impl Streak {
    /// Names an end of an iteration: two with the same name did nothing that can be seen. `what` is
    /// what failed.
    #[must_use]
    pub fn end(verdict: Verdict, tree: Oid, what: &[u8]) -> Digest {
        Digest::of_parts(&[verdict.to_string().as_bytes(), tree.as_bytes(), what])
    }

    /// The streak after one more end.
    #[must_use]
    pub fn after(before: Option<Self>, of: Digest) -> Self {
        let same = before.filter(|it| it.of == of).map_or(0, |it| it.times);
        Self { of, times: same.saturating_add(1) }
    }
}
