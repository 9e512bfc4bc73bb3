//! `taskd init`: a first configuration from what there is.

use std::fs;

use super::json;
use crate::{agents::program, support::World};

/// A world whose person agreed to nothing yet, with an agent that a key pays for.
fn world() -> World {
    let mut world = World::new();
    world.env.remove("TASKD_PROJECTS__TRUSTED").expect("it was set");
    program(&mut world, "claude", "case \"$1\" in --version) echo 2.1.197; exit;; esac\nexit 1");
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), "key-of-a-test".to_owned());
    world.start();
    world
}

/// Proves MC-CFG-5: asked nothing, `taskd init` finds the gate, the agent and the target of a
/// repository, writes them into one new file, says so and shows what it did not change; once that is
/// committed, `taskd run` takes a task without another word about gate, agent or trust.
#[test]
fn a_repository_is_made_ready_without_a_question() {
    let world = world();
    let file = world.repo.join(".taskd/config.toml");
    let text = world.taskd(&["init", "--dry-run"]).ok();
    assert!(text.contains("\n[gate]\n") && text.contains("\ncommand = \"sh test.sh\"\n"), "{text}");
    assert!(
        text.contains("# Found test.sh.\n") && text.contains("\nagent = \"claude\"\n"),
        "{text}"
    );
    assert!(!file.exists(), "nothing is written by a dry run");

    let said = world.taskd(&["init"]).ok();
    for line in [
        "wrote   .taskd/config.toml\n",
        "gate    sh test.sh: found test.sh\n",
        "agent   claude: installed, billed to ANTHROPIC_API_KEY",
        "target  main\n",
        "\n+/.taskd/local.toml\n",
        "git add .taskd/config.toml && git commit",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert_eq!(fs::read_to_string(&file).expect("written"), text);
    assert_eq!(world.git(&["status", "--porcelain", "-uall"]), "?? .taskd/config.toml");
    let exclude = fs::read_to_string(world.repo.join(".git/info/exclude")).unwrap_or_default();
    assert!(!exclude.contains("taskd"), "{exclude}");

    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "what decides here"]);
    assert_eq!(world.taskd(&["run", "write b.txt", "-q"]).ok(), "p1\n");
    assert_eq!(world.row("p1").worker.called(), "claude");
}

/// A file that is there stays byte by byte; what somebody else says already is not said again; and
/// where nothing is found that is told, in the file too.
///
/// Proves MC-CFG-5.
#[test]
fn what_is_there_is_left_alone_and_what_is_not_is_named() {
    let mut world = world();
    let file = world.repo.join(".taskd/config.toml");
    world.write(".taskd/config.toml", "# mine\n");
    let said = world.taskd(&["init"]).ok();
    assert!(said.starts_with(".taskd/config.toml is there; nothing was changed\n"), "{said}");
    assert_eq!(fs::read_to_string(&file).expect("there"), "# mine\n");
    let answer = json(&world, &["init"]).remove(0);
    assert_eq!(
        (answer["files"][0]["exists"].as_bool(), answer["keys"].as_array().map(Vec::len)),
        (Some(true), Some(0))
    );

    fs::remove_file(&file).expect("ours");
    world.taskd(&["config", "set", "gate.command", "make check"]).ok();
    world.env.remove("ANTHROPIC_API_KEY").expect("it was set");
    world.write("test.sh", "exit 0\n");
    world.write(".gitignore", "/.taskd/local.toml\n");
    let said = world.taskd(&["init"]).ok();
    assert!(said.contains("gate    not set: it is \"make check\" already"), "{said}");
    assert!(!said.contains("+/.taskd/local.toml"), "{said}");
    let text = fs::read_to_string(&file).expect("written");
    assert!(!text.contains("\ncommand = ") && text.contains("\n# command = "), "{text}");

    let outside = world.command(&["init"]).current_dir(world.dir.path()).output().expect("it runs");
    assert_eq!(outside.status.code(), Some(2), "{outside:?}");
    let said = String::from_utf8_lossy(&outside.stderr).into_owned();
    assert!(said.contains("is in no git repository") && said.contains("git init"), "{said}");
}
