//! Landing when a person says so, sending back, and never landing.

use taskd_model::{LoopView, Status};

use super::{
    agent, line_of_main, person_commits, plan, prompt, until_landed, until_loop, until_ready,
    words_of_persons,
};
use crate::support::{Door, World};

const BY_NAME: &str = "echo x > \"${TASKD_LOOP#p1.}.txt\"";

/// With `land: ask` what others need is on the integration ref and they start on it; `land p1`
/// brings all of it home in the order of needs, as exactly the commits that were gated.
#[test]
fn dependents_start_before_landing_and_all_land_in_need_order() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", &format!("{BY_NAME}\nls *.txt > seen-by-$TASKD_LOOP"));
    let old = world.git(&["rev-parse", "main"]);
    world.start();
    let specs = [("last", "needs: first, middle"), ("middle", "needs: first"), ("first", "")];
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &specs));
    let names = ["p1.first", "p1.middle", "p1.last"];
    let gated: Vec<String> = names
        .iter()
        .map(|name| until_ready(&world, name).integrated.expect("just seen").to_string())
        .collect();
    assert_eq!(world.git(&["rev-parse", "main"]), old, "nothing landed yet");
    let seen = world.git(&["show", &format!("{}:seen-by-p1.last", gated[2])]);
    assert!(seen.contains("first.txt") && seen.contains("middle.txt"), "{seen}");
    assert_eq!(world.taskd(&["wait", "p1"]).code, 4);
    world.taskd(&["land", "p1"]).ok();
    let landed: Vec<String> = names.iter().map(|name| until_landed(&world, name)).collect();
    assert_eq!(landed, gated);
    let subjects = ["last: Work on last", "middle: Work on middle", "first: Work on first"];
    assert_eq!(line_of_main(&world)[..3], subjects);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 0);
}

/// Passed work that is sent back goes on with the person's words in its next prompt.
#[test]
fn rejected_work_is_told_why_and_asks_again() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo $TASKD_ITERATION > mine.txt");
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", "")]));
    until_ready(&world, "p1.one");
    let note = "the name is wrong: say \u{bb}count\u{ab}, not mine";
    world.taskd(&["reject", "p1.one", "-m", note]).ok();
    until_loop(&world, "p1.one", "to ask again", |it| {
        it.iteration == 2 && it.approval_asked.is_some() && it.integrated.is_some()
    });
    let told = prompt(&world, "p1.one", 2);
    assert!(told.contains(note), "{told}");
    assert!(!prompt(&world, "p1.one", 1).contains(note));
    world.taskd(&["land", "p1.one"]).ok();
    until_landed(&world, "p1.one");
    assert_eq!(world.git(&["show", "main:mine.txt"]), "2");
    assert_eq!(line_of_main(&world).len(), 2, "what was sent back is not there");
}

/// `land: never`: passed is the end, `wait` says 0, main has not moved, and `land` is refused.
#[test]
fn never_means_never() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > mine.txt");
    let old = world.git(&["rev-parse", "main"]);
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: never"), &[("one", "")]));
    world.until_status("p1.one", &[Status::Complete]);
    assert_eq!(world.taskd(&["wait", "p1"]).code, 0);
    let it: LoopView = world.row("p1.one");
    assert!(it.landed.is_none() && it.passed.is_some());
    assert_ne!(world.taskd(&["land", "p1.one"]).code, 0);
    assert_eq!(world.git(&["rev-parse", "main"]), old);
    let own = super::own_ref(&world, "/plans/p1");
    assert_eq!(world.git(&["show", &format!("{own}:mine.txt")]), "x");
}

/// What is said of a loop and of its plan: the row of `ls -a`, whether `show` has a line on its
/// landing, its commit in `ls --json`, and how many specs `plan ls` says have landed.
fn told(world: &World, plan: &str) -> (String, bool, Option<String>, String) {
    let name = format!("{plan}.one");
    let row = |text: &str, begins: &str| {
        let row = text.lines().find(|it| it.starts_with(begins));
        row.unwrap_or_else(|| panic!("no {begins} in {text}")).to_owned()
    };
    let ls = row(&world.taskd(&["ls", "-a"]).ok(), &name);
    let show = world.taskd(&["show", &name]).ok().lines().any(|it| it.starts_with("landed"));
    let json: serde_json::Value =
        serde_json::from_str(&world.taskd(&["ls", "-a", "--json"]).ok()).expect("an object");
    let loops = json["loops"].as_array().expect("a list");
    let it = loops.iter().find(|it| it["name"] == name.as_str()).expect("there");
    let commit = it["landed"].as_str().map(str::to_owned);
    (ls, show, commit, row(&world.taskd(&["plan", "ls"]).ok(), plan))
}

/// Proves P-2: work that passed and is done, that waits for a word, or that has the word and is held
/// by the person's changes has not landed, and no view says that it has. It has landed when main
/// has it, and then every view says so.
#[test]
fn done_is_not_landed() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > \"$TASKD_LOOP.txt\"");
    world.start();
    for land in ["never", "ask"] {
        world.submit(&plan(&format!("agent: {run}\nland: {land}"), &[("one", "")]));
    }
    world.until_status("p1.one", &[Status::Complete]);
    until_ready(&world, "p2.one");
    world.write("a.txt", "changed by the person\n");
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    until_loop(&world, "p3.one", "to be held", |it| it.held.is_some() && it.integrated.is_some());
    for (name, says) in [("p1", "passed, lands nowhere"), ("p2", ""), ("p3", "not yet in main")] {
        let (ls, show, json, plans) = told(&world, name);
        assert!(ls.contains(says) && !ls.contains("landed"), "{ls}");
        assert!(!show && json.is_none() && plans.contains("0 of 1"), "{name}: {json:?} {plans}");
        assert!(!world.has(&format!("main:{name}.one.txt")));
    }
    world.git(&["checkout", "-q", "a.txt"]);
    world.taskd(&["land", "p2", "p3"]).ok();
    for name in ["p2", "p3"] {
        let commit = until_landed(&world, &format!("{name}.one"));
        world.git(&["merge-base", "--is-ancestor", &commit, "main"]);
        let (ls, show, json, plans) = told(&world, name);
        assert!(ls.contains(&format!("landed {}", &commit[..7])), "{ls}");
        assert!(show && plans.contains("1 of 1"), "{plans}");
        assert_eq!(json, Some(commit));
        assert!(world.has(&format!("main:{name}.one.txt")));
    }
    let (ls, show, json, _) = told(&world, "p1");
    assert!(!ls.contains("landed") && !show && json.is_none(), "{ls}");
}

/// A person commits while work waits for their word: the integration ref takes that commit in, and
/// what lands stands on it.
#[test]
fn waiting_work_takes_in_what_the_person_commits() {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", BY_NAME);
    world.start();
    let specs = [("one", ""), ("two", "needs: one")];
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &specs));
    until_ready(&world, "p1.one");
    until_ready(&world, "p1.two");
    let mine = person_commits(&world, "mine.txt", "mine\n");
    world.until("the integration ref to have it", |view| {
        let tip = view.plans.values().next().expect("one").integration.tip;
        let base = world.git(&["merge-base", &mine, &tip.to_string()]);
        base == mine
    });
    world.taskd(&["land", "p1"]).ok();
    until_landed(&world, "p1.one");
    until_landed(&world, "p1.two");
    assert_eq!(world.git(&["rev-parse", "main~2"]), mine);
    assert_eq!(line_of_main(&world).len(), 4);
}

/// Proves N8: what makes no sense now is refused by name, with what the loop is, and changes
/// nothing.
#[test]
fn verbs_that_make_no_sense_now_are_refused() {
    let mut world = World::new();
    let door = Door::new(&world, "work");
    let run = agent(&world, "agent.sh", &format!("{BY_NAME}\n{}", door.sh()));
    world.start();
    world.submit(&plan(&format!("agent: {run}\nland: on-gate"), &[("one", "")]));
    door.reached();
    let refused = |args: &[&str], sentence: &str| {
        let before = words_of_persons(&world);
        let said = world.taskd(args).fails(1);
        assert!(said.contains(sentence), "{args:?}: {said}");
        assert_eq!(words_of_persons(&world), before, "{args:?} changed something");
    };
    refused(&["resume", "p1.one"], "p1.one is running; there is nothing to resume");
    refused(&["land", "p1.one"], "p1.one has not passed its gate");
    refused(&["reject", "p1.one", "-m", "no"], "p1.one has not passed its gate");
    refused(&["land", "p1"], "no loop of p1 can be landed");
    door.open();
    until_landed(&world, "p1.one");
    refused(&["pause", "p1.one"], "p1.one is complete already");
    refused(&["stop", "p1.one"], "p1.one is complete already");
    refused(&["resume", "p1.one"], "p1.one is complete already");
    refused(&["steer", "p1.one", "hurry"], "p1.one is complete already");
}
