//! Where a plan with `land: pr` starts and lands: a branch of the remote, as it was last fetched.

use taskd_git::Repo;

use crate::config::Config;

/// The remote's branch for this one (`origin/main` for `main`), or what is missing and what to do.
pub(super) fn target(
    repo: &Repo,
    config: &Config,
    branch: &str,
) -> Result<String, (String, String)> {
    let Some(remote) = &config.git_remote else {
        let what = "`land: pr` needs a remote, and none is named";
        let hint = "set `remote = \"origin\"` under [git] in .taskd/config.toml";
        return Err((what.to_owned(), hint.to_owned()));
    };
    match repo.has_remote(remote) {
        Ok(true) => {}
        Ok(false) => {
            let what = "`land: pr` needs a remote, and the repository has none";
            return Err((what.to_owned(), format!("git remote add {remote} URL")));
        }
        Err(why) => return Err((why.to_string(), "git.remote names the remote".to_owned())),
    }
    let short = branch.strip_prefix(&format!("{remote}/")).unwrap_or(branch);
    let full = format!("{remote}/{short}");
    if !matches!(repo.own_tip(&full), Ok(None)) {
        let what = format!("`{full}` is a branch of yours and one of {remote}");
        return Err((what, format!("git branch -m {full} another-name")));
    }
    match repo.remote_tip(remote, short) {
        Ok(Some(_)) => Ok(full),
        Ok(None) => Err((
            format!("{remote} has no branch `{short}` yet, as far as git knows here"),
            format!("git fetch {remote}"),
        )),
        Err(why) => Err((why.to_string(), format!("git fetch {remote}"))),
    }
}
