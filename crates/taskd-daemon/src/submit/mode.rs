//! What passed work looks like where it lands: the plan's word, then the configuration's.

use taskd_model::{LandMode, LandPolicy};

use super::Look;
use crate::{config::Config, plan_file::PlanKeys};

impl Look<'_> {
    /// A plan that asks for more than a remote would keep is told so.
    pub(super) fn check_mode(&mut self, head: &PlanKeys, config: &Config) {
        let asked = head.land_mode.as_ref().map(|it| it.value).unwrap_or_default();
        if !asked.is_squash() && self.land(head, config) == LandPolicy::Pr {
            let what =
                format!("a pull request is one commit, so `mode: {}` says nothing", word(asked));
            self.problem(what, "leave `mode` out; the remote decides how it is merged");
        }
    }

    /// A pull request is one commit whatever the configuration says.
    pub(super) fn mode(&self, head: &PlanKeys, config: &Config) -> LandMode {
        if self.land(head, config) == LandPolicy::Pr {
            return LandMode::Squash;
        }
        head.land_mode.as_ref().map_or(config.land_mode, |it| it.value)
    }
}

/// A mode as it is written in plans and configuration.
pub(super) fn word(mode: LandMode) -> &'static str {
    match mode {
        LandMode::Squash => "squash",
        LandMode::Merge => "merge",
        LandMode::Ff => "ff",
    }
}
