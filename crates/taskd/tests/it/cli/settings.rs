//! `taskd config`: what is in effect and who said so, and how it is changed.

use std::{fs, path::PathBuf};

use crate::support::World;

pub(crate) fn own_file(world: &World) -> PathBuf {
    let dir = world.dir.path().join("home/.config/taskd");
    fs::create_dir_all(&dir).expect("writable");
    dir.join("config.toml")
}

fn settings(world: &World, args: &[&str]) -> serde_json::Value {
    let said = world.taskd(&[&["config"], args, &["--json"]].concat()).ok();
    serde_json::from_str(&said).expect("JSON")
}

/// Proves S-3.2.4, MC-CFG-1: every key in effect with who says so, the strongest last: built in, the person's
/// file, the project's, the project's on this machine, the environment.
#[test]
fn what_is_in_effect_says_where_it_comes_from() {
    let mut world = World::new();
    fs::write(own_file(&world), "[run]\niterations = 7\ntime = \"1h\"\nbudget = \"$4\"\n")
        .expect("ours");
    world.write(".taskd/config.toml", "[run]\niterations = 5\ntime = \"50m\"\n");
    world.write(".taskd/local.toml", "[run]\ntime = \"40m\"\n");
    world.env.insert("TASKD_LAND__POLICY".to_owned(), "never".to_owned());
    let shown = world.taskd(&["config", "view", "--origin"]).ok();
    let line = |key: &str| shown.lines().find(|it| it.starts_with(key)).expect("it is there");
    assert_eq!(line("iterations = "), format!("{:<40} # .taskd/config.toml", "iterations = 5"));
    assert_eq!(line("time = "), format!("{:<40} # .taskd/local.toml", "time = \"40m\""));
    let own = own_file(&world);
    assert_eq!(line("budget = "), format!("{:<40} # {}", "budget = \"$4\"", own.display()));
    assert_eq!(line("policy = "), format!("{:<40} # TASKD_LAND__POLICY", "policy = \"never\""));
    assert_eq!(line("loops = "), format!("{:<40} # built in", "loops = 50"));
    // What it prints is a file that says the same.
    let plain = world.aside("all.toml", &world.taskd(&["config"]).ok());
    assert_eq!(world.taskd(&["config", "check", &plain]).ok(), "nothing is wrong\n");
    assert_eq!(world.taskd(&["config", "get", "run.time"]).ok(), "40m\n");
    let unset = world.taskd(&["config", "get", "git.remote"]);
    assert_eq!((unset.code, unset.out.as_str()), (1, ""), "{}", unset.err);
    let wrong = world.taskd(&["config", "get", "run.iteration"]).fails(2);
    assert!(wrong.contains("did you mean `run.iterations`?"), "{wrong}");
    let key = &settings(&world, &["get", "run.iterations"])["keys"][0];
    assert_eq!(
        (key["value"].as_str(), key["origin"].as_str()),
        (Some("5"), Some(".taskd/config.toml"))
    );
}

/// Proves CF-1, S-3.2.1, S-3.2.6: a key is set in a file that else stays as it is, comments too; what is wrong changes
/// nothing; what a stronger file overrules is said.
#[test]
fn a_key_is_set_or_nothing_is() {
    let world = World::new();
    let own = own_file(&world);
    fs::write(&own, "# mine\n[run]\niterations = 7 # enough\n").expect("ours");
    let said = world.taskd(&["config", "set", "run.iterations", "9"]).ok();
    assert_eq!(said, format!("run.iterations = 9   written to {}\n", own.display()));
    let text = || fs::read_to_string(&own).expect("it is there");
    assert_eq!(text(), "# mine\n[run]\niterations = 9 # enough\n");
    let wrong = world.taskd(&["config", "set", "run.iterations", "many"]).fails(2);
    assert!(
        wrong.contains("`run.iterations` is \"many\"; it must be a whole number from"),
        "{wrong}"
    );
    let wrong = world.taskd(&["config", "set", "run.iteration", "3"]).fails(2);
    assert!(wrong.contains("did you mean `run.iterations`?"), "{wrong}");
    let loose = world.taskd(&["config", "set", "--project", "run.budget", "$900"]).fails(78);
    assert!(loose.contains("looser than"), "{loose}");
    assert!(!world.repo.join(".taskd/config.toml").exists());
    assert_eq!(text(), "# mine\n[run]\niterations = 9 # enough\n", "nothing is changed");

    world.taskd(&["config", "set", "--project", "run.iterations", "4"]).ok();
    let said = world.taskd(&["config", "set", "run.iterations", "8"]).ok();
    let all_the_same = "run.iterations is 4 here all the same: .taskd/config.toml says so";
    assert!(said.contains(all_the_same), "{said}");
    world.taskd(&["config", "unset", "--project", "run.iterations"]).ok();
    assert_eq!(world.taskd(&["config", "get", "run.iterations"]).ok(), "8\n");
    world.taskd(&["config", "set", "--local", "run.iterations", "3"]).ok();
    assert_eq!(
        world.git(&["status", "--porcelain", ".taskd/local.toml"]),
        "",
        "not to be committed"
    );
    world.taskd(&["config", "unset", "--local", "run.iterations"]).ok();
    // What is no file to be set in is left alone.
    fs::write(&own, format!("#{}\n", " ".repeat(300_000))).expect("ours");
    let long = world.taskd(&["config", "set", "run.iterations", "5"]).fails(78);
    assert!(long.contains("config.toml: the file has 300"), "{long}");
    fs::remove_file(&own).expect("ours");
    let paths = world.taskd(&["config", "path"]).ok();
    let third = paths.lines().nth(2).expect("the project's");
    assert!(third.starts_with("project") && third.ends_with(".taskd/config.toml"), "{paths}");
}

/// Proves AY-6.7, MC-CFG-2, MC-CFG-4: what is wrong is told with file, line and column, all of it, and is 78; the schema for
/// editors knows the same keys and ranges.
#[test]
fn a_file_is_checked_before_it_counts() {
    let world = World::new();
    let file = world.aside("new.toml", "[run]\niterations = 0\ncolour = 1\n\n[lmits]\nloops = 3\n");
    let said = world.taskd(&["config", "check", &file]).fails(78);
    for wrong in [
        "config.toml:2:14: `run.iterations` is 0; it must be a whole number from 1",
        "config.toml:3:1: unknown key `colour` in [run]",
        "config.toml:5:2: unknown section [lmits]; did you mean [limits]?",
    ] {
        assert!(said.contains(wrong), "{wrong}\n{said}");
    }
    assert_eq!(world.taskd(&["config", "check"]).ok(), "nothing is wrong\n");
    let schema: serde_json::Value =
        serde_json::from_str(&world.taskd(&["config", "schema"]).ok()).expect("JSON");
    let of = &schema["properties"]["run"]["properties"]["iterations"];
    assert_eq!((of["type"].as_str(), of["minimum"].as_u64()), (Some("integer"), Some(1)));
}
