//! Repositories that somebody else wrote: what their files have run, and who agrees to it.

use std::{fs, path::PathBuf};

use taskd_model::Status;

use super::{plan, script};
use crate::support::{Door, World};

/// A world whose person agreed to nothing yet.
fn wary() -> World {
    let mut world = World::new();
    world.env.remove("TASKD_PROJECTS__TRUSTED").expect("it was set");
    world
}

fn commit(world: &World) {
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "as somebody else wrote it"]);
}

/// Submits a file's plan; what it says.
fn refused(world: &World, text: &str) -> String {
    let file = world.aside("refused.md", text);
    world.taskd(&["plan", "submit", &file, "-q"]).fails(2)
}

/// Proves S-3.2.6: commands that a repository's own files name are refused, each with its place and
/// what to type, and nothing of them has run; agreed to, they run; another one asks again, and so do
/// all once the repository was forgotten.
#[test]
fn what_a_repository_has_run_is_agreed_to_first() {
    let mut world = wary();
    let ran = |name: &str| world.dir.path().join(name);
    let (setup, teardown) = (ran("setup"), ran("teardown"));
    let touch = |path: &PathBuf| format!("touch {}", path.display());
    let config = |setup: &str| {
        format!(
            "[gate]\ncommand = \"sh test.sh\"\n[work]\nsetup = \"{setup}\"\nteardown = \"{}\"\n",
            touch(&teardown)
        )
    };
    world.write(".taskd/config.toml", &config(&touch(&setup)));
    world.write(".taskd/types/ralph.yaml", "extends: ralph\nsetup: 'true # of the type'\n");
    let preset = "name = \"own\"\nargv = [\"sh\", \"-c\", \"echo b > $TASKD_LOOP.txt\"]\nprompt = \"stdin\"\nformat = \"text\"\n";
    world.write(".taskd/agents/own.toml", preset);
    commit(&world);
    world.start();
    let text = "---\nplan: Theirs\nagent: own\nland: never\n---\n\n## spec a: A\n";
    let said = refused(&world, text);
    let wishes = [
        ".taskd/config.toml: gate.command is `sh test.sh`, and nobody has said that it may run here",
        &format!(".taskd/config.toml: work.setup is `{}`", touch(&setup)),
        &format!(".taskd/config.toml: work.teardown is `{}`", touch(&teardown)),
        ".taskd/types/ralph.yaml: setup is `true # of the type`",
        ".taskd/agents/own.toml: argv is `sh -c echo b > $TASKD_LOOP.txt`",
    ];
    for wish in wishes {
        assert!(said.contains(wish), "{wish}\n{said}");
    }
    assert_eq!(said.matches("hint: taskd projects trust").count(), wishes.len(), "{said}");
    let check = world.aside("check.md", text);
    world.taskd(&["plan", "check", &check]).fails(2);
    assert!(world.view().plans.is_empty() && !setup.exists(), "nothing is stored, nothing ran");

    let told = world.taskd(&["projects", "trust"]).ok();
    assert!(told.contains(&touch(&setup)) && told.contains("work.teardown"), "{told}");
    let told = world.taskd(&["projects", "trust"]).ok();
    assert!(told.contains("no command of its files that was not agreed to before"), "{told}");
    world.submit(text);
    world.until_status("p1.a", &[Status::Complete]);
    assert!(setup.exists());

    // Another command asks, and those that were agreed to do not.
    world.write(".taskd/config.toml", &config("true # another"));
    let said = refused(&world, &text.replace("Theirs", "More"));
    assert!(said.contains("work.setup is `true # another`"), "{said}");
    assert_eq!(said.matches("hint: taskd projects trust").count(), 1, "{said}");
    // What the person says themselves is not asked about.
    let own = "Own\nsetup: 'true'";
    world.submit(&text.replace("Theirs", own));
    world.until_status("p2.a", &[Status::Complete]);
    let root = world.repo.to_str().expect("UTF-8");
    world.taskd(&["projects", "forget", root]).ok();
    let said = refused(&world, &text.replace("Theirs", "Again"));
    assert_eq!(said.matches("hint: taskd projects trust").count(), wishes.len(), "{said}");
}

/// Proves S-3.2.6: what becomes another command after the plan came is not run: a preset blocks its
/// loop with what to type, and goes on when that was typed; a teardown is left out, and the log says
/// so. What an agent writes into its worktree changes nothing.
#[test]
fn what_changes_later_is_not_run() {
    let mut world = wary();
    let door = Door::new(&world, "own");
    let evil = world.dir.path().join("evil");
    let body = format!(
        "echo '[work]\nteardown = \"touch {}\"' > .taskd/local.toml; {}; echo > bad.txt",
        evil.display(),
        door.sh()
    );
    let first = script(&world, "first.sh", &body);
    let second = script(&world, "second.sh", "rm -f bad.txt .taskd/local.toml; echo b > b.txt");
    let preset = |run: &str| {
        format!("name = \"own\"\nargv = [\"{run}\"]\nprompt = \"stdin\"\nformat = \"text\"\n")
    };
    let config = |teardown: &str| format!("[work]\nsetup = \"true\"\nteardown = \"{teardown}\"\n");
    world.write(".taskd/agents/own.toml", &preset(&first));
    world.write(".taskd/config.toml", &config("true"));
    commit(&world);
    world.start();
    world.taskd(&["projects", "trust"]).ok();
    let text = plan("Later", "", &[("a", "agent: own".to_owned())]);
    // A checkout with changes would hold what lands.
    world.submit(&text.replace("on-gate", "never"));
    door.reached();
    world.write(".taskd/agents/own.toml", &preset(&second));
    world.write(".taskd/config.toml", &config(&format!("touch {}", evil.display())));
    door.open();
    world.until_status("p1.a", &[Status::Blocked]);
    let why = world.taskd(&["why", "p1.a"]).out;
    assert!(why.contains("taskd projects trust"), "{why}");
    // The preset alone is agreed to.
    let theirs = fs::read(world.repo.join(".taskd/config.toml")).expect("there");
    world.write(".taskd/config.toml", &config("true"));
    world.taskd(&["projects", "trust"]).ok();
    fs::write(world.repo.join(".taskd/config.toml"), theirs).expect("ours");
    world.taskd(&["resume", "p1.a"]).ok();
    world.until_status("p1.a", &[Status::Complete, Status::Blocked]);
    world.stop();
    let log = fs::read_to_string(world.dir.path().join("daemon.log")).expect("its log");
    assert!(log.contains("not torn down: .taskd/config.toml: work.teardown is"), "{log}");
    assert!(!evil.exists());
}

/// Proves S-3.2.6: a directory that the person's own configuration names is trusted with all that is
/// in it; no project can say so of itself, and what a preset's name stands for is the person's.
#[test]
fn a_directory_of_the_persons_own_is_trusted() {
    let mut world = wary();
    world.write(
        ".taskd/config.toml",
        "[gate]\ncommand = \"sh test.sh\"\n[projects]\ntrusted = [\"/\"]\n",
    );
    commit(&world);
    world.start();
    let agent = script(&world, "a.sh", "echo b > b.txt");
    let text = format!("---\nplan: T\nagent: {agent}\nland: on-gate\n---\n\n## spec a: A\n");
    let file = world.aside("t.md", &text);
    let said = world.taskd(&["plan", "submit", &file, "-q"]).fails(78);
    assert!(said.contains("`projects.trusted` cannot be set by a project"), "{said}");
    world.write(".taskd/config.toml", "[gate]\ncommand = \"sh test.sh\"\n");
    commit(&world);
    assert!(refused(&world, &text).contains("gate.command is `sh test.sh`"));
    let dir = format!("[\"{}\"]", world.dir.path().display());
    world.taskd(&["config", "set", "projects.trusted", &dir]).ok();
    world.submit(&text);
    world.until_status("p1.a", &[Status::Complete]);
}
