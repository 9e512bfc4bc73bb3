//! `land: pr`: a bare repository on disk is the remote, a script opens pull requests, and a
//! colleague merges them.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use taskd_model::{LoopView, Status};

use super::{agent, plan, prompt, refs, until_landed, until_loop};
use crate::support::{Door, World};

const URL: &str = "https://forge.example/pulls/1";

/// A remote with a clone of it that is somebody else's.
struct Forge {
    clone: PathBuf,
}

impl Forge {
    /// Makes the remote, follows it often, and opens pull requests with a script that does this
    /// besides.
    fn new(world: &mut World, besides: &str) -> Self {
        let dir = world.dir.path().to_owned();
        let (bare, clone) = (dir.join("forge.git"), dir.join("colleague"));
        let (to, from) = (bare.to_str().expect("UTF-8"), clone.to_str().expect("UTF-8"));
        world.git(&["init", "-q", "--bare", "-b", "main", to]);
        world.git(&["remote", "add", "origin", to]);
        world.git(&["push", "-q", "origin", "main"]);
        world.git(&["fetch", "-q", "origin"]);
        world.git(&["clone", "-q", to, from]);
        let here = dir.display();
        let script = format!(
            "#!/bin/sh\nset -e\n{besides}\n\
             echo \"$TASKD_PR_BRANCH into $TASKD_PR_TARGET of $TASKD_PR_REMOTE: $TASKD_PR_TITLE\
             , known $TASKD_PR_URL\" >> {here}/asked\n\
             cp \"$TASKD_PR_BODY\" {here}/body\necho some words\necho {URL}\n"
        );
        let gh = world.aside("gh.sh", &script);
        fs::set_permissions(&gh, fs::Permissions::from_mode(0o755)).expect("ours");
        let set = [("GIT__REMOTE", "origin"), ("GIT__FETCH", "100ms"), ("GIT__POLL", "100ms")];
        for (key, value) in set.into_iter().chain([("LAND__PR_COMMAND", gh.as_str())]) {
            world.env.insert(format!("TASKD_{key}"), value.to_owned());
        }
        Self { clone }
    }

    /// Runs git as the colleague.
    #[track_caller]
    fn git(&self, world: &World, args: &[&str]) -> String {
        let clone = self.clone.to_str().expect("UTF-8");
        let who = ["-c", "user.name=Cole", "-c", "user.email=cole@example.org", "-C", clone];
        world.git(&[&who, args].concat())
    }

    /// The tip of a branch of the remote.
    #[track_caller]
    fn tip(&self, world: &World, branch: &str) -> String {
        self.git(world, &["fetch", "-q", "--prune", "origin"]);
        self.git(world, &["rev-parse", &format!("origin/{branch}")])
    }

    /// Merges a branch into the remote's main; returns main's new tip.
    fn merges(&self, world: &World, how: &[&str], branch: &str) -> String {
        let branch = format!("origin/{branch}");
        self.git(world, &["fetch", "-q", "origin"]);
        self.git(world, &["checkout", "-q", "-B", "main", "origin/main"]);
        self.git(world, &[&["merge", "-q"], how, &[branch.as_str()]].concat());
        if how.contains(&"--squash") {
            self.git(world, &["commit", "-q", "-m", "squashed (#1)"]);
        }
        self.git(world, &["push", "-q", "origin", "main"]);
        self.git(world, &["rev-parse", "HEAD"])
    }
}

/// How often, and for what, the script was asked.
fn asked(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.dir.path().join("asked")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until a pull request asks for a loop's work.
#[track_caller]
fn until_proposed(world: &World, name: &str, iteration: u32) -> LoopView {
    until_loop(world, name, "to be proposed", |it| {
        it.iteration == iteration && it.held.as_ref().is_some_and(|it| it.contains(URL))
    })
}

/// The person's branches, and where they are.
fn branches(world: &World) -> BTreeMap<String, String> {
    let mut all = refs(world);
    all.retain(|name, _| name.starts_with("refs/heads/"));
    all
}

/// Proves PE-6: with `land: pr` passed work is pushed to a branch of the remote and a command opens a
/// pull request with what it went through; it has landed when the remote's branch has it, squashed
/// or merged, and not before. What needs it starts at once and is proposed after it. No branch of the
/// person's moves, and their checkout stays as it is.
#[test]
fn work_lands_when_the_remote_has_it() {
    let mut world = World::new();
    let forge = Forge::new(&mut world, "");
    world.write("a.txt", "changed by the person\n");
    let before = branches(&world);
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: pr"), &[("one", ""), ("two", "needs: one")]));
    until_proposed(&world, "p1.one", 1);
    let tip = forge.tip(&world, "taskd/p1.one");
    assert_eq!(forge.git(&world, &["rev-parse", &format!("{tip}^")]), forge.tip(&world, "main"));
    assert_eq!(forge.git(&world, &["show", &format!("{tip}:p1.one.txt")]), "x");
    assert_eq!(forge.git(&world, &["show", &format!("{tip}:a.txt")]), "a");
    let told = asked(&world);
    let expected = "taskd/p1.one into main of origin: one: Work on one, known ";
    assert_eq!(told, [expected]);
    let body = fs::read_to_string(world.dir.path().join("body")).expect("written");
    assert!(body.contains("Do one.") && body.contains("gate: green"), "{body}");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains(&format!("pull request {URL}")) && !ls.contains("landed"), "{ls}");
    assert!(world.taskd(&["show", "p1.one"]).ok().contains(URL));
    let show = world.taskd(&["show", "p1.one", "--json"]).ok();
    assert!(show.contains(&format!("\"pull_request\":\"{URL}\"")), "{show}");
    assert!(world.row("p1.one").landed.is_none());

    // What needs it works, and waits for it.
    let two = until_loop(&world, "p1.two", "to be integrated", |it| it.integrated.is_some());
    assert!(two.pull_request.is_none() && asked(&world).len() == 1);
    let squashed = forge.merges(&world, &["--squash"], "taskd/p1.one");
    assert_eq!(until_landed(&world, "p1.one"), squashed);
    until_proposed(&world, "p1.two", 1);
    let second = forge.tip(&world, "taskd/p1.two");
    assert_eq!(forge.git(&world, &["rev-parse", &format!("{second}^")]), squashed);
    forge.merges(&world, &["--no-ff"], "taskd/p1.two");
    assert_eq!(until_landed(&world, "p1.two"), second);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 0);
    assert_eq!(branches(&world), before);
    assert_eq!(world.git(&["status", "--porcelain"]), " M a.txt");
}

/// Proves PE-13: whoever squashes a pull request may change it, too: it has landed with the commit whose
/// message still names its evidence. Another commit with other changes is nothing.
#[test]
fn work_that_was_changed_by_whoever_merged_it_has_landed() {
    let mut world = World::new();
    let forge = Forge::new(&mut world, "");
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: pr"), &[("one", ""), ("two", "")]));
    until_proposed(&world, "p1.one", 1);
    until_proposed(&world, "p1.two", 1);
    forge.git(&world, &["fetch", "-q", "origin"]);
    forge.git(&world, &["checkout", "-q", "-B", "main", "origin/main"]);
    let message = forge.git(&world, &["log", "-1", "--format=%B", "origin/taskd/p1.one"]);
    let file = forge.clone.join("p1.one.txt");
    fs::write(&file, "x, and a word more\n").expect("ours");
    forge.git(&world, &["add", "-A"]);
    let message = format!("one: merged (#1)\n\n* {message}\n\nReviewed by Cole\n");
    forge.git(&world, &["commit", "-q", "-m", &message]);
    forge.git(&world, &["push", "-q", "origin", "main"]);
    let tip = forge.git(&world, &["rev-parse", "HEAD"]);
    assert_eq!(until_landed(&world, "p1.one"), tip, "{}", world.transcript());
    assert!(world.row("p1.two").landed.is_none(), "the other is still proposed");
}

/// Proves PE-7: work that is sent back comes to the same branch and the same pull request; commits
/// that somebody else put on that branch are not overwritten, and a person is asked.
#[test]
fn the_same_branch_is_brought_up_to_date_and_nobody_elses() {
    let mut world = World::new();
    let forge = Forge::new(&mut world, "");
    let run = agent(&world, "agent.sh", "echo $TASKD_ITERATION > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: pr"), &[("one", "")]));
    until_proposed(&world, "p1.one", 1);
    world.taskd(&["reject", "p1.one", "-m", "once more"]).ok();
    until_proposed(&world, "p1.one", 2);
    let tip = forge.tip(&world, "taskd/p1.one");
    assert_eq!(forge.git(&world, &["show", &format!("{tip}:mine.txt")]), "2");
    assert_eq!(forge.git(&world, &["rev-list", "--count", &format!("origin/main..{tip}")]), "1");
    assert!(asked(&world)[1].ends_with(&format!("known {URL}")), "{:?}", asked(&world));

    forge.git(&world, &["checkout", "-q", "-b", "help", "origin/taskd/p1.one"]);
    fs::write(forge.clone.join("help.txt"), "h\n").expect("ours");
    forge.git(&world, &["add", "-A"]);
    forge.git(&world, &["commit", "-q", "-m", "help"]);
    forge.git(&world, &["push", "-q", "origin", "help:taskd/p1.one"]);
    let theirs = forge.tip(&world, "taskd/p1.one");
    world.taskd(&["reject", "p1.one", "-m", "again"]).ok();
    let it = world.until_status("p1.one", &[Status::Blocked]);
    assert_eq!(it.iteration, 3);
    let why = world.taskd(&["why", "p1.one"]).ok();
    assert!(why.contains("has commits taskd did not push"), "{why}");
    assert_eq!(forge.tip(&world, "taskd/p1.one"), theirs);
}

/// Proves PE-8: red checks of the remote send the work back with what they said; until they have
/// ended nothing happens, and green ones change nothing: the work waits to be merged.
#[test]
fn red_checks_send_the_work_back() {
    let mut world = World::new();
    let forge = Forge::new(&mut world, "");
    let dir = world.dir.path().display().to_string();
    let checks = format!(
        "echo \"$TASKD_PR_URL\" >> {dir}/checked; echo the linter is unhappy; exit $(cat {dir}/checks)"
    );
    world.env.insert("TASKD_LAND__PR_CHECKS".to_owned(), checks);
    world.aside("checks", "8\n");
    let run = agent(&world, "agent.sh", "echo $TASKD_ITERATION > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: pr"), &[("one", "")]));
    until_proposed(&world, "p1.one", 1);
    // Fetched again, main was looked at with the checks still pending.
    let tip = forge.tip(&world, "main");
    forge.git(&world, &["commit", "-q", "--allow-empty", "-m", "theirs"]);
    forge.git(&world, &["push", "-q", "origin", "main"]);
    world.until("origin/main to have moved", |view| {
        view.projects.values().any(|it| it.targets["origin/main"].tip.to_string() != tip)
    });
    assert_eq!(world.row("p1.one").iteration, 1);
    world.aside("checks.new", "1\n");
    fs::rename(world.dir.path().join("checks.new"), world.dir.path().join("checks")).expect("ours");
    until_loop(&world, "p1.one", "to begin again", |it| it.iteration == 2);
    world.aside("checks.new", "0\n");
    fs::rename(world.dir.path().join("checks.new"), world.dir.path().join("checks")).expect("ours");
    let n = until_loop(&world, "p1.one", "to be proposed again", |it| {
        2 <= it.iteration && it.held.as_ref().is_some_and(|it| it.contains(URL))
    });
    let told = prompt(&world, "p1.one", 2);
    assert!(told.contains("the linter is unhappy") && told.contains(URL), "{told}");
    let checked = fs::read_to_string(world.dir.path().join("checked")).expect("written");
    assert!(checked.lines().all(|it| it == URL), "{checked}");
    forge.merges(&world, &["--squash"], "taskd/p1.one");
    until_landed(&world, "p1.one");
    assert_eq!(world.row("p1.one").iteration, n.iteration);
}

/// Proves PE-9: killed between the push and the pull request, the next life pushes nothing else, asks
/// again, and the work is on the branch once.
#[test]
fn a_proposal_that_was_cut_off_is_finished() {
    let mut world = World::new();
    let door = Door::new(&world, "gh");
    let forge = Forge::new(&mut world, &door.sh());
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: pr"), &[("one", "")]));
    door.reached();
    let tip = forge.tip(&world, "taskd/p1.one");
    world.kill();
    world.start();
    door.reached();
    door.open();
    until_proposed(&world, "p1.one", 1);
    assert_eq!(forge.tip(&world, "taskd/p1.one"), tip);
    assert_eq!(asked(&world).len(), 1);
    // And what it waits for is known to the next life, too.
    world.kill();
    let merged = forge.merges(&world, &["--ff-only"], "taskd/p1.one");
    world.start();
    assert_eq!(until_landed(&world, "p1.one"), merged);
}

/// Proves PE-10: without a remote, or before its branch was fetched, a plan with `land: pr` is refused
/// with the reason and what to do.
#[test]
fn without_a_remote_it_is_refused() {
    let mut world = World::new();
    world.start();
    let file = world.aside("plan.md", &plan("agent: 'true'\nland: pr", &[("one", "")]));
    let said = |world: &World| {
        let ran = world.taskd(&["plan", "submit", &file, "-q"]);
        assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
        format!("{}{}", ran.out, ran.err)
    };
    let told = said(&world);
    assert!(told.contains("needs a remote, and none is named") && told.contains("[git]"), "{told}");
    world.stop();
    world.env.insert("TASKD_GIT__REMOTE".to_owned(), "origin".to_owned());
    world.start();
    let told = said(&world);
    assert!(told.contains("the repository has none") && told.contains("git remote add"), "{told}");
    world.git(&["remote", "add", "origin", "/nonexistent"]);
    let told = said(&world);
    assert!(
        told.contains("has no branch `main` yet") && told.contains("git fetch origin"),
        "{told}"
    );
    assert!(world.view().plans.is_empty());
}
