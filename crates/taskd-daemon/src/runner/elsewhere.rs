//! Work that cannot land whatever its gate says: conflict markers of ours, and what belongs to another
//! repository or to Git LFS. The loop is told instead of its gate's findings.

use std::fmt::Display;

use taskd_git::Checkpoint;

use super::{Job, Trouble};

impl Job {
    /// Why what is in the loop's worktree cannot land, if it cannot.
    pub(super) async fn cannot_land(&self, saved: &Checkpoint) -> Result<Option<String>, Trouble> {
        if !saved.conflict_markers.is_empty() {
            let names = listed(&saved.conflict_markers);
            return Ok(Some(format!("Conflict markers are left in: {names}")));
        }
        if !saved.raw.is_empty() {
            let names = listed(&saved.raw);
            return Ok(Some(format!(
                "Changed content of Git LFS cannot land from here: {names}\n\
                 Put these files back as they were (`git checkout -- FILE`, then `git lfs pull` if \
                 their content is needed), and say in your summary what should change in them."
            )));
        }
        let (repo, _) = self.ctx.repo(self.order.project)?;
        let (name, base) = (self.worktree_name()?, self.subject()?.base);
        let changed = self.blocking(move || Ok(repo.changed_submodules(&name, base)?)).await?;
        if changed.is_empty() {
            return Ok(None);
        }
        let names = listed(&changed);
        Ok(Some(format!(
            "Changes in submodules cannot land from here: {names}\n\
             Put them back (`git restore --staged -- PATH`, then `git submodule update --force`), and \
             say in your summary what should change in them."
        )))
    }
}

fn listed(names: &[impl Display]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
