//! Main moves under loops: who is told, how often, when, and what a conflict leaves to a person.

use std::{fs, time::Instant};

use taskd_model::{Event, LoopView, PlanId, Reason, Record, Seq, Status, Work};

use super::{
    agent, checkout::files, git_in, moved, own_ref, person_commits, plan, prompt, until_landed,
    until_loop, worktree,
};
use crate::support::{Door, World};

/// Moves of main, as the log says them.
fn moves_of_main(world: &World) -> Vec<String> {
    let to = |it: &Record| {
        let Event::MainMoved { target, to, .. } = &it.event else { return None };
        (target == "main").then(|| to.to_string())
    };
    world.events().iter().filter_map(to).collect()
}

/// Where a loop's rebases went, with the event that began each.
fn rebases(world: &World, it: &LoopView) -> Vec<(Seq, String)> {
    let onto = |record: &Record| {
        let Event::EffectStarted { work: Work::Rebase { onto }, .. } = &record.event else {
            return None;
        };
        (record.loop_id == Some(it.id)).then(|| (record.seq, onto.to_string()))
    };
    world.events().iter().filter_map(onto).collect()
}

/// How often a loop became Rebasing.
fn times_rebasing(world: &World, name: &str) -> usize {
    world.statuses(name).iter().filter(|it| it.ends_with("-> rebasing")).count()
}

/// Proves T1.4b: a commit made in a repository without a remote is one event with the new tip, and
/// each loop at work is moved once, from the old tip to the new one.
#[test]
fn a_local_commit_moves_each_loop_once() {
    let mut world = World::new();
    assert_eq!(world.git(&["remote"]), "", "the premise");
    world.env.insert("TASKD_GIT__POLL".to_owned(), "100ms".to_owned());
    let (first, second) = (Door::new(&world, "first"), Door::new(&world, "second"));
    let body = format!(
        "if [ $TASKD_ITERATION = 1 ]; then echo x > bad.txt; {}; \
         else rm bad.txt; echo x > \"$TASKD_LOOP.txt\"; {}; fi",
        first.sh(),
        second.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    world.start();
    let specs = [("one", ""), ("two", ""), ("three", "")];
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &specs));
    let names = ["p1.one", "p1.two", "p1.three"];
    names.iter().for_each(|_| first.reached());
    let old = world.git(&["rev-parse", "main"]);
    for name in names {
        assert_eq!(world.row(name).base.commit.to_string(), old, "{name}");
    }
    let new = person_commits(&world, "theirs.txt", "theirs\n");
    names.iter().for_each(|_| first.open());
    names.iter().for_each(|_| second.reached());
    assert_eq!(moves_of_main(&world), [new.as_str()], "{}", world.transcript());
    for name in names {
        let it = world.row(name);
        let onto: Vec<String> = rebases(&world, &it).into_iter().map(|it| it.1).collect();
        assert_eq!(onto, [new.as_str()], "{name}\n{}", world.transcript());
        assert_eq!(times_rebasing(&world, name), 1, "{name}");
        assert_eq!(it.base.commit.to_string(), new, "{name}");
    }
    names.iter().for_each(|_| second.open());
    for name in names {
        until_landed(&world, name);
    }
}

/// Proves T1.4c: main is looked at three times and more while it stays where it is: nothing is said
/// of it, and nothing happens to the loop on it. A branch that does move, and is looked at after
/// main each time, says when.
#[test]
fn a_main_that_stays_is_no_news() {
    let mut world = World::new();
    world.env.insert("TASKD_GIT__POLL".to_owned(), "100ms".to_owned());
    world.git(&["branch", "other"]);
    let door = Door::new(&world, "work");
    let run = agent(&world, "agent.sh", &format!("echo x > mine.txt\n{}", door.sh()));
    world.start();
    let head = |target: &str| format!("agent: {run}\nland: never\ntarget: {target}");
    world.submit(&plan(&head("main"), &[("one", "")]));
    door.reached();
    world.submit(&plan(&head("other"), &[("one", "")]));
    door.reached();
    let from = world.events().last().expect("some").seq;
    let mut tips = Vec::new();
    for n in ["1", "2", "3"] {
        let tip = world.git(&["commit-tree", "-p", "other", "-m", n, "other^{tree}"]);
        world.git(&["update-ref", "refs/heads/other", &tip]);
        world.until(&format!("other to be seen at {tip}"), |view| {
            view.projects.values().any(|it| it.targets["other"].tip.to_string() == tip)
        });
        tips.push(tip);
    }
    let mut moves = Vec::new();
    for it in world.events().iter().filter(|it| from < it.seq) {
        if let Event::MainMoved { target, to, .. } = &it.event {
            assert_eq!(target, "other", "{}", world.transcript());
            moves.push(to.to_string());
            continue;
        }
        // The other plan follows its branch; and a program that runs is counted now and then.
        let follows = |plan: &PlanId| *plan == PlanId(2);
        let is_else = matches!(&it.event, Event::IntegrationMoved { plan, .. } if follows(plan))
            || matches!(it.event, Event::EffectObserved { .. });
        assert!(is_else, "{it}\n{}", world.transcript());
    }
    assert_eq!(moves, tips, "the premise: it was looked at each time");
    door.open();
    door.open();
    world.until_status("p1.one", &[Status::Complete]);
    world.until_status("p2.one", &[Status::Complete]);
}

/// Proves T2.3c: a person solves the conflict that blocks a loop in its worktree and resumes it: it
/// is Running in the same iteration, and what they wrote is what lands.
#[test]
fn a_conflict_solved_by_a_person_goes_on_in_the_same_iteration() {
    let mut world = World::new();
    let (door, last) = (Door::new(&world, "turn"), Door::new(&world, "last"));
    let (wait, waits) = (door.sh(), last.sh());
    let model = world.aside(
        "model.yaml",
        &format!(
            r#"loops:
  one:
    - iteration: 1
      turns:
        - tools: [{{run: {{command: "echo agent > a.txt; {wait}"}}}}]
        - tools: [{{run: {{command: "echo more > more.txt; {waits}"}}}}]
        - tools: [{{finish: {{summary: "done"}}}}]
"#
        ),
    );
    world.start();
    let head = format!("model: scripted:{model}\nland: on-gate\nconflict: block");
    world.submit(&plan(&head, &[("one", "")]));
    door.reached();
    let new = person_commits(&world, "a.txt", "person\n");
    door.open();
    let it = world.until_status("p1.one", &[Status::Blocked]);
    assert_eq!((it.reason, it.iteration), (Some(Reason::Conflict), 1));
    let file = worktree(&world, "p1.one").join("a.txt");
    assert!(fs::read_to_string(&file).expect("there").contains("<<<<<<< taskd"), "the premise");
    fs::write(&file, "person and agent\n").expect("writable");
    world.taskd(&["resume", "p1.one"]).ok();
    last.reached();
    let it = world.row("p1.one");
    assert_eq!((it.status, it.iteration), (Status::Running, 1), "{}", world.transcript());
    last.open();
    let landed = until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:a.txt"]), "person and agent");
    assert_eq!(world.git(&["show", "main:more.txt"]), "more");
    assert_eq!(world.git(&["rev-parse", &format!("{landed}^")]), new);
    let begun = world.events();
    let begun = begun.iter().filter(|it| matches!(it.event, Event::IterationStarted { .. }));
    assert_eq!(begun.count(), 1, "{}", world.transcript());
}

/// An agent that changes a line of the person's in its first iteration, and in its second solves
/// the conflict it was told of.
fn slow(world: &World, first: &Door, second: &Door) -> String {
    let body = format!(
        "if [ $TASKD_ITERATION = 1 ]; then echo agent > a.txt; echo x > bad.txt; {}\n\
         else grep -q '^<<<<<<< taskd' a.txt; printf 'person\\nagent\\n' > a.txt; rm bad.txt; {}\n\
         fi",
        first.sh(),
        second.sh()
    );
    agent(world, "agent.sh", &body)
}

/// Proves T2.3d, A-11, P-3, W-21: main moves thirty times while an agent runs. Every move is seen,
/// the rows say how far behind the loop is, and nothing in its worktree changes; after the run
/// there is one rebase, onto the last tip. Its conflict is told by path, and the tip from before
/// is kept.
#[test]
fn thirty_commits_during_an_iteration_are_one_rebase_after_it() {
    let mut world = World::new();
    let (first, second) = (Door::new(&world, "first"), Door::new(&world, "second"));
    let run = slow(&world, &first, &second);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    first.reached();
    let old = world.git(&["rev-parse", "main"]);
    let dir = worktree(&world, "p1.one");
    let before = files(&dir, &|_| false);
    let mut tips = Vec::new();
    for n in 1..=30 {
        let file = if n == 15 { "a.txt".to_owned() } else { format!("theirs-{n}.txt") };
        tips.push(person_commits(&world, &file, "person\n"));
    }
    let new = tips[29].clone();
    assert_eq!(moves_of_main(&world), tips);
    let behind = || {
        let ls = world.taskd(&["ls", "--json"]).ok();
        let ls: serde_json::Value = serde_json::from_str(&ls).expect("an object");
        let said = world.taskd(&["show", "p1.one"]).ok();
        let base = said.lines().find(|it| it.starts_with("base")).expect("a line").to_owned();
        (ls["loops"][0]["behind"].clone(), base)
    };
    let (n, base) = behind();
    assert_eq!(n, 30);
    assert!(base.contains(&old[..7]) && base.contains("30 commits behind main"), "{base}");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("30 behind"), "{ls}");
    assert!(before == files(&dir, &|_| false), "its worktree changed while its agent ran");
    assert_eq!(git_in(&world, &dir, &["rev-parse", "HEAD"]), old);
    assert!(rebases(&world, &world.row("p1.one")).is_empty(), "{}", world.transcript());

    first.open();
    second.reached();
    let it = world.row("p1.one");
    let rebased = rebases(&world, &it);
    let onto: Vec<&str> = rebased.iter().map(|it| it.1.as_str()).collect();
    assert_eq!(onto, [new.as_str()], "{}", world.transcript());
    assert_eq!(times_rebasing(&world, "p1.one"), 1);
    let ended = world.events();
    let ended = ended.iter().find(|it| matches!(it.event, Event::IterationEnded { .. }));
    assert!(ended.expect("the first").seq < rebased[0].0, "{}", world.transcript());
    assert_eq!((it.iteration, it.base.commit.to_string()), (2, new.clone()));
    let (n, base) = behind();
    assert_eq!(n, 0);
    assert!(base.contains(&new[..7]) && base.contains("up to date"), "{base}");
    let told = prompt(&world, "p1.one", 2);
    assert!(told.contains("solve the conflicts") && told.contains("- a.txt"), "{told}");
    let kept = own_ref(&world, "/before-rebase/p1-one-1/1");
    assert_eq!(world.git(&["show", &format!("{kept}:a.txt")]), "agent");
    assert_eq!(world.git(&["merge-base", &kept, &new]), old, "it stands where it stood");

    second.open();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:a.txt"]), "person\nagent");
    assert_eq!(world.git(&["rev-parse", "main^"]), new);
}

/// Proves T2.3e: killed while a rebase writes the files of a worktree, half of them there: the next
/// life completes it. HEAD is on the new main, no file of either side is missing, nothing of git's
/// own is half done, and the iteration goes on.
#[test]
fn a_kill_in_the_middle_of_a_rebase_is_made_good() {
    const MANY: usize = 12_000;
    let mut world = World::new();
    let (door, second) = (Door::new(&world, "turn"), Door::new(&world, "gate"));
    let script = moved::script(&world, &door);
    let extra = format!("[ ! -f mine.txt ] || {{ {}; }}", second.sh());
    world.start();
    world.submit(
        &plan(&format!("model: scripted:{script}\nland: on-gate"), &[("one", "")])
            .replace("gate: sh test.sh", &format!("gate: ['{extra}', 'sh test.sh']")),
    );
    door.reached();
    let dir = worktree(&world, "p1.one");
    let name = |n: usize| format!("many/{n:05}");
    for n in 0..MANY {
        world.write(&name(n), &format!("file {n}\n"));
    }
    world.git(&["add", "many"]);
    let new = person_commits(&world, "theirs.txt", "theirs\n");
    door.open();
    let begun = Instant::now();
    while !dir.join(name(0)).exists() {
        assert!(begun.elapsed().as_secs() < 60, "no rebase:\n{}", world.transcript());
        std::thread::yield_now();
    }
    world.kill();
    assert!(!dir.join(name(MANY - 1)).exists(), "the premise: it was in the middle");
    world.start();
    second.reached();
    assert_eq!(git_in(&world, &dir, &["rev-parse", "HEAD"]), new);
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    assert_eq!(
        [read("mine.txt"), read("extra.txt"), read("more.txt"), read("theirs.txt")],
        ["mine\n", "untracked\n", "more\n", "theirs\n"]
    );
    for n in 0..MANY {
        assert_eq!(read(&name(n)), format!("file {n}\n"));
    }
    let git_dir = git_in(&world, &dir, &["rev-parse", "--absolute-git-dir"]);
    for file in ["MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD", "index.lock"] {
        assert!(!fs::exists(format!("{git_dir}/{file}")).expect("readable"), "{file}");
    }
    second.open();
    let it = until_loop(&world, "p1.one", "to land", |it| it.landed.is_some());
    assert_eq!(it.iteration, 1);
    assert_eq!(world.git(&["rev-parse", "main^"]), new);
    assert_eq!(
        world.git(&["diff", "--name-only", "main^", "main"]),
        "extra.txt\nmine.txt\nmore.txt"
    );
}

/// The base of a loop's iteration, as the log says it: where its worktree stood when it began.
fn base_of(world: &World, name: &str) -> String {
    world.row(name).base.commit.to_string()
}

/// Proves P-3: with nothing that tells of moved refs and a poll of minutes, main moves while an
/// agent runs: the next iteration begins on it all the same, because it is looked at before.
#[test]
fn an_iteration_begins_on_main_as_it_is() {
    let mut world = World::new();
    world.env.insert("TASKD_GIT__POLL".to_owned(), "10m".to_owned());
    world.env.insert("TASKD_FAULT".to_owned(), "blind:refs".to_owned());
    let (first, second) = (Door::new(&world, "first"), Door::new(&world, "second"));
    let run = slow(&world, &first, &second);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    first.reached();
    let old = base_of(&world, "p1.one");
    world.write("theirs.txt", "theirs\n");
    world.write("a.txt", "person\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "theirs"]);
    let new = world.git(&["rev-parse", "HEAD"]);
    assert!(moves_of_main(&world).is_empty(), "the premise: nobody saw it");
    assert_ne!(old, new);
    first.open();
    second.reached();
    assert_eq!(base_of(&world, "p1.one"), new, "{}", world.transcript());
    assert_eq!(moves_of_main(&world), [new]);
    let iterations = world.row("p1.one").iteration;
    assert_eq!(iterations, 2);
    second.open();
    until_landed(&world, "p1.one");
}

/// Proves P-3: an iteration does not begin on a base that lacks more commits than it may: it waits
/// until the new main is merged into the work of its plan, says so, and begins on that.
#[test]
fn an_iteration_does_not_begin_on_a_base_that_is_too_old() {
    let mut world = World::new();
    world.env.insert("TASKD_WORK__MAX_BEHIND".to_owned(), "2".to_owned());
    let (first, second) = (Door::new(&world, "first"), Door::new(&world, "second"));
    let gate = Door::new(&world, "gate");
    let body = format!(
        "[ $TASKD_LOOP = p1.two ] || {{ echo x > one.txt; exit 0; }}\n\
         if [ $TASKD_ITERATION = 1 ]; then echo x > bad.txt; {}; \
         else rm bad.txt; echo x > two.txt; {}; fi",
        first.sh(),
        second.sh()
    );
    let run = agent(&world, "agent.sh", &body);
    // Only main, merged into the work of the plan, has the work of one and the third commit.
    let extra = format!("[ ! -f one.txt ] || [ ! -f theirs-3.txt ] || {{ {}; }}", gate.sh());
    world.start();
    let text = plan(&format!("agent: {run}\nland: ask"), &[("one", ""), ("two", "")]);
    world.submit(&text.replace("gate: sh test.sh", &format!("gate: ['{extra}', 'sh test.sh']")));
    first.reached();
    until_loop(&world, "p1.one", "to ask", |it| it.approval_asked.is_some());
    world.taskd(&["queue", "hold", "--all"]).ok();
    let mut tip = String::new();
    for n in 1..=3 {
        tip = person_commits(&world, &format!("theirs-{n}.txt"), "person\n");
    }
    first.open();
    until_loop(&world, "p1.two", "to end its first iteration", |it| {
        it.iterations.first().is_some_and(|it| it.verdict.is_some())
    });
    let why = world.taskd(&["why", "p1.two"]).ok();
    let waits = "for the new main, 3 commits ahead (work.max_behind 2)";
    assert!(why.contains(waits), "{why}\n{}", world.transcript());
    assert!(world.taskd(&["ls"]).ok().contains(" behind"), "{}", world.transcript());
    assert_eq!(world.row("p1.two").iteration, 1);
    world.taskd(&["queue", "release", "--all"]).ok();
    gate.reached();
    assert_eq!(world.row("p1.two").iteration, 1, "{}", world.transcript());
    gate.open();
    second.reached();
    let base = base_of(&world, "p1.two");
    assert_eq!(world.git(&["merge-base", &base, &tip]), tip, "it holds the new main");
    second.open();
}
