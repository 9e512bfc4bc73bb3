//! `land: pr`: passed work goes to a branch of the remote, and a command asks for it with a pull
//! request. Nothing here moves a branch of the person's; whether it was taken the main watcher sees.
//!
//! Each step looks first whether it was done, so that one that was cut off is done again as it was.
//! A branch there is overwritten only while it is where we left it.

use std::{ffi::OsString, fs, path::PathBuf, time::Duration};

use taskd_git::{Repo, Talk};
use taskd_model::{Code, LandPolicy, Oid, Outcome};
use taskd_tools::supervise::{Finished, Ladder, Stdin};
use tokio::time::Instant;

use super::{
    Job, Trouble,
    programs::{Command, ending, not_started},
};
use crate::config::Config;

/// Longest push, and longest run of the command that opens a pull request.
const PUSH_LIMIT: Duration = Duration::from_secs(300);
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// Longest address, and longest line of what a program said, in characters: both go into the log.
const MAX_URL_CHARS: usize = 300;
const MAX_SAID_CHARS: usize = 200;

/// Where work is proposed.
struct Place {
    repo: Repo,
    root: PathBuf,
    remote: String,
    /// The branch it shall come to, as the remote calls it.
    into: String,
    /// The branch it is pushed to.
    branch: String,
    /// The ref of ours that says what we pushed there.
    pushed: String,
}

impl Job {
    /// The plan's work lands by pull requests.
    pub(super) fn is_proposed(&self) -> bool {
        let view = self.ctx.hub.view();
        view.plans.get(&self.order.plan).is_some_and(|it| it.land == LandPolicy::Pr)
    }

    pub(super) async fn propose(&self, commit: Oid) -> Result<Outcome, Trouble> {
        let (repo, root) = self.ctx.repo(self.order.project)?;
        let config = self.ctx.config_of(&root)?;
        let place = self.place(repo, root, &config)?;
        self.push(&place, commit).await?;
        let url = self.ask_for(&place, &config, commit).await?;
        Ok(Outcome::Proposed { url })
    }

    fn place(&self, repo: Repo, root: PathBuf, config: &Config) -> Result<Place, Trouble> {
        let gone = || {
            let what = format!(
                "the plan lands on {} by pull request, and git.remote does not name that remote",
                self.order.target
            );
            Trouble::new(Code::PullRequestFailed, what)
        };
        let remote = config.git_remote.clone().ok_or_else(gone)?;
        let into = self.order.target.strip_prefix(&format!("{remote}/")).ok_or_else(gone)?;
        let name = {
            let view = self.ctx.hub.view();
            self.name(&view)
        };
        let (into, branch) = (into.to_owned(), format!("{}{name}", config.pr_branch));
        let pushed = repo.own_ref(&format!("pushed/{}", self.worktree_name()?));
        Ok(Place { repo, root, remote, into, branch, pushed })
    }

    /// Brings the branch at the remote to `commit`, unless somebody else put something there.
    async fn push(&self, at: &Place, commit: Oid) -> Result<(), Trouble> {
        let asked = at.repo.ask_tip(&at.root, &at.remote, &at.branch);
        let told = self.ask_remote(asked, "asking the remote").await?.output.text();
        let there = told.split_whitespace().next().and_then(|it| it.parse::<Oid>().ok());
        let ours = at.repo.tip_of_ref(&at.pushed)?;
        if there.is_some() && there != Some(commit) && there != ours {
            let what = format!(
                "{} on {} has commits taskd did not push; move them elsewhere, then resume",
                at.branch, at.remote
            );
            return Err(Trouble::new(Code::NotForward, what));
        }
        if there != Some(commit) {
            let push =
                at.repo.push(&at.root, (at.remote.as_str(), at.branch.as_str()), commit, there);
            self.ask_remote(push, &format!("pushing to {}", at.branch)).await?;
        }
        if ours != Some(commit) {
            at.repo.publish(&at.pushed, commit, ours, "taskd: pushed")?;
        }
        Ok(())
    }

    /// Runs the command that opens a pull request or brings it up to date; says where it is.
    async fn ask_for(&self, at: &Place, config: &Config, commit: Oid) -> Result<String, Trouble> {
        let plan = self.plan_doc()?;
        let message = self.message()?;
        let (title, body) = message.split_once('\n').unwrap_or((&message, ""));
        let known = {
            let view = self.ctx.hub.view();
            let id = self.subject()?.id;
            view.loops.get(&id).and_then(|it| it.pull_request.clone())
        };
        let dir = at.repo.worktree_path(&self.worktree_name()?);
        let file = dir.with_extension("pull-request.md");
        let failed = |what: String| Trouble::new(Code::PullRequestFailed, what);
        let told = format!("{}\n\n{}", body.trim(), self.receipt(commit));
        fs::create_dir_all(file.parent().unwrap_or(&at.root))
            .and_then(|()| fs::write(&file, told.trim_start()))
            .map_err(|it| Trouble::of(Code::of_io(&it), &it).within("writing the pull request"))?;
        let text = |it: &str| OsString::from(it);
        let mut env = self.env(&plan, &dir)?;
        env.extend([
            (text("TASKD_PR_BRANCH"), text(&at.branch)),
            (text("TASKD_PR_TARGET"), text(&at.into)),
            (text("TASKD_PR_REMOTE"), text(&at.remote)),
            (text("TASKD_PR_COMMIT"), text(&commit.to_string())),
            (text("TASKD_PR_TITLE"), text(title)),
            (text("TASKD_PR_BODY"), file.into_os_string()),
            (text("TASKD_PR_URL"), text(&known.unwrap_or_default())),
        ]);
        self.ctx.allowed((&at.repo, &at.root), config, "land.pr_command")?;
        let command = Command::shell(&config.pr_command, at.root.clone(), env, COMMAND_LIMIT);
        let finished = self.run(command, self.lines_as_noise()).await;
        not_started(&finished)?;
        let said = finished.output.text();
        if let Some(how) = ending(&finished, COMMAND_LIMIT) {
            let what = format!("land.pr_command failed ({how}): {}", last_line(&said));
            return Err(failed(what));
        }
        let mut lines = said.lines().map(str::trim);
        let url = lines.find(|it| it.starts_with("https://") || it.starts_with("http://"));
        let none = || failed("land.pr_command printed no line with an address".to_owned());
        Ok(url.ok_or_else(none)?.chars().take(MAX_URL_CHARS).collect())
    }

    /// What its work went through, for whoever looks at the pull request.
    fn receipt(&self, commit: Oid) -> String {
        let view = self.ctx.hub.view();
        let found = self.order.subject.as_ref().and_then(|it| view.loops.get(&it.id));
        let Some(it) = found else { return String::new() };
        let mut lines = vec![format!("taskd: {} as {}", it.name, commit.short())];
        if let Some(gate) = &it.gate {
            let colour = if gate.green { "green" } else { "red" };
            lines.push(format!("gate: {colour}, {} (event {})", gate.summary, gate.seq.0));
        }
        let (n, micros) = (it.iteration, it.spent.micros);
        lines.push(format!(
            "iterations: {n}, cost: ${}.{:02}",
            micros / 1_000_000,
            micros / 10_000 % 100
        ));
        lines.join("\n") + "\n"
    }

    /// Runs a git that talks to the remote to its end.
    async fn ask_remote(&self, talk: Talk, doing: &str) -> Result<Finished, Trouble> {
        let command = Command {
            argv: talk.argv.clone(),
            cwd: talk.dir.clone(),
            env: talk.env.clone(),
            stdin: Stdin::Null,
            timeout: Some(PUSH_LIMIT),
            idle: None,
            ladder: Ladder::STOP,
        };
        let begun = Instant::now();
        let finished = self.run(command, |_, _| ()).await;
        let how = ending(&finished, PUSH_LIMIT);
        talk.ran(how.as_deref().unwrap_or("it succeeded"), begun.elapsed());
        not_started(&finished)?;
        match how {
            None => Ok(finished),
            Some(how) => {
                let said = last_line(&finished.output.text());
                Err(Trouble::new(Code::PushFailed, format!("{doing} failed ({how}): {said}")))
            }
        }
    }
}

/// The last line that says something, in bounds.
fn last_line(said: &str) -> String {
    let last = said.lines().rev().map(str::trim).find(|it| !it.is_empty()).unwrap_or_default();
    last.chars().filter(|it| !it.is_control()).take(MAX_SAID_CHARS).collect()
}
