//! `taskd doctor`: what is found, and what `--fix` does about it and nothing else.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value;

use super::settings::own_file;
use crate::support::{Ran, World};

/// What was looked at, by its code; of several of one code the worst.
fn rows(ran: &Ran) -> BTreeMap<String, Value> {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    let badness =
        |it: &Value| ["ok", "warning", "failed"].iter().position(|word| it["state"] == *word);
    for line in ran.out.lines() {
        let row: Value = serde_json::from_str(line).expect("an object a line");
        let code = row["code"].as_str().expect("text").to_owned();
        let told = [&row["why"], &row["hint"]]
            .iter()
            .all(|it| it.as_str().is_some_and(|it| !it.is_empty()));
        assert!(row["state"] == "ok" || told, "{row}");
        if all.get(&code).is_none_or(|it| badness(it) < badness(&row)) {
            all.insert(code, row);
        }
    }
    all
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

/// A service manager that does nothing, and a service that starts a program that is gone; returns
/// its file.
fn old_service(world: &mut World) -> std::path::PathBuf {
    let bin = world.dir.path().join("bin");
    fs::create_dir_all(&bin).expect("ours");
    fs::write(bin.join("systemctl"), "#!/bin/sh\n").expect("ours");
    set_mode(&bin.join("systemctl"), 0o755);
    let path = format!("{}:{}", bin.display(), world.env["PATH"]);
    world.env.insert("PATH".to_owned(), path);
    world.taskd(&["daemon", "install"]).ok();
    let unit = world.dir.path().join("home/.config/systemd/user/taskd.service");
    let text = fs::read_to_string(&unit).expect("installed");
    fs::write(&unit, text.replace(env!("CARGO_BIN_EXE_taskd"), "/gone/taskd")).expect("ours");
    unit
}

/// Proves DR-1: what a killed daemon and an upgrade leave is found by name, with why and what to do;
/// looking changes nothing, `--fix` mends just that and says so, and then nothing is left to mend.
#[test]
fn what_is_safe_to_mend_is_mended() {
    let mut world = World::new();
    let unit = old_service(&mut world);
    world.start();
    world.kill();
    world.write(".taskd/local.toml", "[run]\niterations = 3\n");
    let (state, exclude) = (world.state(), world.repo.join(".git/info/exclude"));
    set_mode(&state, 0o755);
    let facts = state.join("daemon.json");
    let before = fs::read_to_string(&exclude).unwrap_or_default();
    let broken = ["socket", "facts", "directories", "service", "local_file"];

    let ran = world.taskd(&["doctor", "--json"]);
    assert_eq!(ran.code, 69, "no daemon answers: {ran:?}");
    let found = rows(&ran);
    assert_eq!(found["daemon"]["state"], "failed");
    for code in broken {
        assert_ne!(found[code]["state"], "ok", "{code}: {}", ran.out);
        assert_eq!(
            (&found[code]["hint"], &found[code]["fixed"]),
            (&"taskd doctor --fix".into(), &false.into())
        );
    }
    let untouched = world.socket().exists() && facts.exists() && mode(&state) == 0o755;
    assert!(untouched, "looking changes nothing");
    assert_eq!(fs::read_to_string(&exclude).unwrap_or_default(), before);

    let said = world.taskd(&["doctor", "--fix"]);
    assert_eq!(said.code, 69, "it starts none");
    for done in ["socket", "facts", "directories", "service", "local file"] {
        let is_it = |it: &&str| it.starts_with(&format!("mended   {done} "));
        assert!(said.out.lines().any(|it| is_it(&it)), "{done}: {}", said.out);
    }
    assert!(!world.socket().exists() && !facts.exists());
    assert_eq!(mode(&state), 0o700);
    let program = format!("ExecStart={} daemon run\n", env!("CARGO_BIN_EXE_taskd"));
    assert!(fs::read_to_string(&unit).expect("there").contains(&program));
    let now = fs::read_to_string(&exclude).expect("there");
    assert_eq!(now, format!("{before}/.taskd/local.toml\n"), "one line more");
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert!(state.join("taskd.db").exists());

    let again = rows(&world.taskd(&["doctor", "--fix", "--json"]));
    for code in ["socket", "facts", "service", "local_file"] {
        assert!(!again.contains_key(code), "{again:?}");
    }
    assert!(again.values().all(|it| it["fixed"] == false), "{again:?}");

    world.start();
    let ran = world.taskd(&["doctor", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let well = rows(&ran);
    let codes = "daemon store disk git clock open_files processes watches file_system leaving models \
                 directories configuration types locks sandbox";
    for code in codes.split(' ') {
        assert!(
            ["ok", "warning"].iter().any(|it| well[code]["state"] == *it),
            "{code}: {}",
            ran.out
        );
    }
    assert!(well["git"]["detail"].as_str().expect("text").starts_with("git version 2."));
}

/// Proves DR-1: nothing of a daemon that runs is taken for left over, and the exit code tells the
/// worst: 1 for what has failed.
#[test]
fn what_is_in_use_is_left_alone() {
    let mut world = World::new();
    world.start();
    world.taskd(&["doctor", "--fix"]).ok();
    assert!(world.socket().exists() && world.state().join("daemon.json").exists());
    world.taskd(&["ls"]).ok();
    fs::write(own_file(&world), "[limits]\nloops = 0\n").expect("ours");
    let ran = world.taskd(&["doctor", "--fix", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let found = rows(&ran);
    assert_eq!(found["configuration"]["state"], "failed");
    let detail = found["configuration"]["detail"].as_str().expect("text");
    assert!(detail.contains("config.toml:2:9: `limits.loops` is 0"), "{detail}");
    assert_eq!(fs::read_to_string(own_file(&world)).expect("kept"), "[limits]\nloops = 0\n");
    let said = world.taskd(&["doctor", "--fix", "--hermetic"]).fails(2);
    assert!(said.contains("cannot be used with"), "{said}");
}

/// Proves S-6.4.2: the exit code tells the worst: 0 where there are warnings only, 1 for a loop type that
/// is wrong, which is named with its place; a lock of git's in the repository is named, and left alone.
#[test]
fn the_exit_code_tells_the_worst() {
    let mut world = World::new();
    world.start();
    let lock = world.repo.join(".git/index.lock");
    fs::write(&lock, "").expect("ours");
    let ran = world.taskd(&["doctor", "--fix", "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let found = rows(&ran);
    assert_eq!(found["locks"]["state"], "warning");
    assert!(found["locks"]["detail"].as_str().expect("text").starts_with("index.lock in "));
    assert!(found["daemon"]["detail"].as_str().expect("text").starts_with("taskd 0."), "{ran:?}");
    assert!(lock.exists(), "it may be a git's that runs");
    fs::remove_file(&lock).expect("ours");
    world.write(".taskd/types/wrong.yaml", "extends: ralph\nprompt: '{{ spec.'\n");
    let ran = world.taskd(&["doctor", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let found = rows(&ran);
    assert_eq!(
        (&found["locks"]["state"], &found["types"]["state"]),
        (&"ok".into(), &"failed".into())
    );
    let detail = found["types"]["detail"].as_str().expect("text");
    assert!(detail.starts_with(".taskd/types/wrong.yaml:2:"), "{detail}");
}
