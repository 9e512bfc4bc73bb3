//! Targets that follow a remote: one branch is fetched now and then, and a target it is ahead of is
//! moved there as landing would move it. The local branch stays the truth.
//!
//! Nothing is merged and nothing is pushed: where both sides have commits of their own a person is
//! told. What has moved is news only once the main watcher sees it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use taskd_git::{Repo, Talk};
use taskd_model::{Code, format_duration_ms};
use taskd_tools::supervise::{Ladder, Spec, Stdin};
use tokio::{
    sync::Notify,
    task::{Id, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};

use super::{Target, proposed};
use crate::runner::{Context, Following, Moved, Trouble, chain, ending, lock, move_target};

/// Longest rest after fetches that failed, unless they are further apart anyway.
const LONGEST_REST: Duration = Duration::from_secs(600);
/// Rest where nothing is to be fetched, until the configuration is looked at again.
const IDLE_REST: Duration = Duration::from_secs(60);
/// Longest fetch.
const FETCH_LIMIT: Duration = Duration::from_secs(300);
/// So much of what git says is read, in bytes, and shown, in characters.
const SAID_BYTES: usize = 4 << 10;
const MAX_WHY_CHARS: usize = 200;

/// How the targets that follow a remote are doing.
#[derive(Debug, Default)]
pub(crate) struct Remotes {
    rows: Mutex<BTreeMap<Target, Health>>,
    wake: Notify,
}

/// How one target that follows a remote is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// The remote's name; empty if the configuration cannot be read.
    pub(crate) remote: String,
    /// Fetches in a row that failed.
    pub(crate) failures: u32,
    /// What a person should know, in one line; nothing while all is well.
    pub(crate) trouble: Option<String>,
}

impl Remotes {
    /// There may be a new target.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Every target that follows a remote, and how it does.
    pub(crate) fn all(&self) -> Vec<(Target, Health)> {
        lock(&self.rows).iter().map(|(target, it)| (target.clone(), it.clone())).collect()
    }

    fn of(&self, target: &Target) -> Health {
        lock(&self.rows).get(target).cloned().unwrap_or_default()
    }

    fn set(&self, target: &Target, health: Option<Health>) {
        match health {
            Some(it) => drop(lock(&self.rows).insert(target.clone(), it)),
            None => drop(lock(&self.rows).remove(target)),
        }
    }
}

/// Fetches until the daemon stops: the targets of open plans, one at a time in each project.
pub(crate) async fn follow(ctx: Arc<Context>) {
    let mut due: BTreeMap<Target, Instant> = BTreeMap::new();
    let mut rounds: JoinSet<Duration> = JoinSet::new();
    let mut running: HashMap<Id, Target> = HashMap::new();
    loop {
        let Ok(targets) = ctx.handle.ask(|core, _| core.watched()).await else { return };
        due.retain(|it, _| targets.contains(it));
        lock(&ctx.remotes.rows).retain(|it, _| targets.contains(it));
        let now = Instant::now();
        for target in targets {
            let at = *due.entry(target.clone()).or_insert(now);
            if at <= now && !running.values().any(|it| it.0 == target.0) {
                let id = rounds.spawn(round(Arc::clone(&ctx), target.clone())).id();
                running.insert(id, target);
            }
        }
        let waiting = due.iter().filter(|(it, _)| !running.values().any(|busy| busy.0 == it.0));
        let next = waiting.map(|(_, at)| *at).min().unwrap_or_else(|| now + LONGEST_REST);
        tokio::select! {
            () = sleep_until(next) => {}
            Some(done) = rounds.join_next_with_id() => {
                let (id, rest) = match done {
                    Ok(done) => done,
                    Err(why) => {
                        error!("defect in a fetch: {why}");
                        (why.id(), LONGEST_REST)
                    }
                };
                if let Some(target) = running.remove(&id) {
                    due.insert(target, Instant::now() + rest);
                }
            }
            () = ctx.remotes.wake.notified() => {}
        }
    }
}

/// Fetches the branch of one target, brings the target there, and says how long to rest then.
async fn round(ctx: Arc<Context>, target: Target) -> Duration {
    let Ok((repo, root)) = ctx.repo(target.0) else { return LONGEST_REST };
    let config = match ctx.config_of(&root) {
        Ok(config) => config,
        Err(trouble) => return failed(&ctx, &target, "", IDLE_REST, &trouble.told()),
    };
    let Some(remote) = &config.git_remote else {
        ctx.remotes.set(&target, None);
        return IDLE_REST;
    };
    let every = Duration::from_millis(config.git_fetch_ms);
    // A target that is a branch of the remote itself moves by the fetch alone.
    let theirs = target.1.strip_prefix(&format!("{remote}/"));
    let theirs = theirs.filter(|_| matches!(repo.own_tip(&target.1), Ok(None)));
    let fetched = match repo.fetch(&root, remote, theirs.unwrap_or(&target.1)) {
        Ok(Some(fetch)) => run(&ctx, fetch).await,
        Ok(None) => {
            ctx.remotes.set(&target, None);
            return every.max(IDLE_REST);
        }
        Err(why) => Err(chain(&why)),
    };
    match fetched {
        Ok(()) if theirs.is_some() => {
            let apart = proposed::look(&ctx, &target, (&repo, &root), &config).await;
            succeeded(&ctx, &target, remote, apart);
            every
        }
        Ok(()) => {
            let apart = bring(&ctx, &target, repo, remote.clone(), config.follow).await;
            succeeded(&ctx, &target, remote, apart);
            every
        }
        Err(why) => failed(&ctx, &target, remote, every, &why),
    }
}

/// Writes down that a fetch failed, and says how long to rest.
fn failed(ctx: &Context, target: &Target, remote: &str, every: Duration, why: &str) -> Duration {
    let failures = ctx.remotes.of(target).failures.saturating_add(1);
    let rest = rest(every, failures);
    let again = format_duration_ms(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX));
    let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
    let branch = &target.1;
    let trouble = format!("fetching {branch} failed {times}, every {again} now: {}", plain(why));
    warn!(project = target.0.0, remote, "{trouble}");
    let health = Health { remote: remote.to_owned(), failures, trouble: Some(trouble) };
    ctx.remotes.set(target, Some(health));
    rest
}

/// Writes down that a fetch succeeded, and what keeps the target from following, if anything does.
fn succeeded(ctx: &Context, target: &Target, remote: &str, apart: Option<String>) {
    let before = ctx.remotes.of(target);
    let (project, branch) = (target.0.0, &target.1);
    if 0 < before.failures {
        info!(project, remote, "{branch} is fetched again after {} failures", before.failures);
    }
    if let Some(why) = apart.as_ref().filter(|_| apart != before.trouble) {
        warn!(project, remote, "{why}");
    }
    let health = Health { remote: remote.to_owned(), failures: 0, trouble: apart };
    ctx.remotes.set(target, Some(health));
}

/// How long to rest after so many failures in a row of something done this often.
fn rest(every: Duration, failures: u32) -> Duration {
    let doubled = every.saturating_mul(2_u32.saturating_pow(failures));
    doubled.min(LONGEST_REST.max(every))
}

/// Moves the target to where its remote is, if nothing is lost by that; says why not otherwise.
async fn bring(
    ctx: &Context,
    target: &Target,
    repo: Repo,
    remote: String,
    follow: bool,
) -> Option<String> {
    let turn = ctx.turn_at_targets(target.0);
    let branch = target.1.clone();
    let step = move || {
        let _turn = lock(&turn);
        advance(&repo, &remote, &branch, follow)
    };
    match tokio::task::spawn_blocking(step).await {
        Ok(Ok(apart)) => apart,
        Ok(Err(trouble)) => Some(plain(&trouble.told())),
        Err(why) => Some(plain(&format!("internal error: {why}"))),
    }
}

fn advance(
    repo: &Repo,
    remote: &str,
    branch: &str,
    follow: bool,
) -> Result<Option<String>, Trouble> {
    let (Some(ours), Some(theirs)) = (repo.tip(branch)?, repo.remote_tip(remote, branch)?) else {
        return Err(Trouble::new(Code::BranchGone, format!("branch {branch} is gone")));
    };
    if repo.ancestor_of(theirs, ours)? {
        return Ok(None);
    }
    if !repo.ancestor_of(ours, theirs)? {
        return Ok(Some(format!(
            "{branch} and {remote}/{branch} both have commits the other has not; merge or rebase"
        )));
    }
    let message = format!("taskd: follow {remote}");
    Ok(match move_target(repo, branch, (ours, theirs), Following::of(follow, false), &message)? {
        // Whoever moved it meanwhile is seen at the next fetch.
        Moved::Done | Moved::Elsewhere { .. } => None,
        Moved::Held { why } => Some(format!("{branch} cannot follow {remote}: {why}")),
    })
}

/// Runs a fetch to its end, within its time. It ends when nobody waits for it any more.
async fn run(ctx: &Context, fetch: Talk) -> Result<(), String> {
    let spec = Spec {
        argv: fetch.argv.clone(),
        cwd: fetch.dir.clone(),
        env: fetch.env.clone(),
        stdin: Stdin::Null,
        timeout: Some(FETCH_LIMIT),
        idle: None,
        ladder: Ladder::STOP,
        keep_head_bytes: SAID_BYTES,
        keep_tail_bytes: 0,
    };
    let begun = Instant::now();
    let finished = ctx.launcher.start(&spec, |_, _| ()).wait().await;
    let how = ending(&finished, FETCH_LIMIT);
    fetch.ran(how.as_deref().unwrap_or("it succeeded"), begun.elapsed());
    match how {
        None => Ok(()),
        Some(how) => Err(reason(&finished.output.text()).unwrap_or(how)),
    }
}

/// The line in which git says why.
fn reason(said: &str) -> Option<String> {
    let lines = || said.lines().map(str::trim).filter(|it| !it.is_empty());
    let why = |it: &&str| it.starts_with("fatal:") || it.starts_with("error:");
    lines().find(why).or_else(|| lines().next()).map(str::to_owned)
}

/// One short line without control characters, and without who logs in at an address.
fn plain(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let Some((before, rest)) = word.split_once("://") else { return word.to_owned() };
        let host = rest.split('/').next().unwrap_or_default();
        match host.rfind('@') {
            Some(at) => format!("{before}://{}", &rest[at + 1..]),
            None => word.to_owned(),
        }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars().filter(|it| !it.is_control()).take(MAX_WHY_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{plain, reason, rest};

    #[test]
    fn the_rest_doubles_up_to_ten_minutes() {
        let of = |every_ms, n| rest(Duration::from_millis(every_ms), n).as_millis();
        assert_eq!([1, 2, 3].map(|n| of(100, n)), [200, 400, 800]);
        assert_eq!(
            [1, 3, 4, 5, 1_000].map(|n| of(60_000, n)),
            [120_000, 480_000, 600_000, 600_000, 600_000]
        );
        assert_eq!(of(3_600_000, 7), 3_600_000);
    }

    #[test]
    fn what_git_says_is_told_in_a_line_without_a_password() {
        let said = "From host\nhint: a\nfatal: unable to access 'https://pat:to@ken@host/x': no";
        let why = reason(said).expect("a line");
        assert_eq!(plain(&why), "fatal: unable to access 'https://host/x': no");
        assert_eq!(plain("see https://host/a@b\n\u{7}now"), "see https://host/a@b now");
        assert_eq!(plain(&"x".repeat(1_000)).len(), 200);
        assert_eq!(reason("\n \n"), None);
    }
}
