//! What worktrees will not hold: submodules and the content of Git LFS come from elsewhere, and only
//! a setup command fetches them.

use taskd_api::v1;
use taskd_git::Repo;
use taskd_model::Oid;

/// Says what no setup command seems to fetch. What cannot be looked at is said by what fails next.
pub(super) fn remarks(repo: &Repo, base: Oid, setup: &[&str]) -> Vec<v1::Problem> {
    let Ok(found) = repo.elsewhere(base) else { return Vec::new() };
    let fetches = |word: &str| setup.iter().any(|it| it.contains(word));
    let warning = |message: String, hint: &str| v1::Problem {
        message,
        hint: hint.to_owned(),
        warning: true,
        ..v1::Problem::default()
    };
    let mut remarks = Vec::new();
    if let Some(first) = found.submodules.first().filter(|_| !fetches("submodule")) {
        let message = match found.submodules.len() {
            1 => {
                format!("{first} is a submodule: worktrees and gates have an empty directory there")
            }
            n => format!(
                "{first} and {} more are submodules: worktrees and gates have empty directories there",
                n - 1
            ),
        };
        remarks.push(warning(message, "put `git submodule update --init` into `setup`"));
    }
    if let Some(rules) = found.lfs.filter(|_| !fetches("lfs")) {
        let message = format!(
            "{rules} gives files to Git LFS: worktrees and gates have their pointers, not their content"
        );
        remarks.push(warning(message, "put `git lfs pull` into `setup`"));
    }
    remarks
}
