//! Where the daemon keeps what it keeps, and whose those places must be.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::script;
use crate::support::{Ran, World};

/// Runs `taskd` where XDG's variables say where things are, and nothing else does.
fn taskd(world: &World, xdg: &[(&str, &Path)], args: &[&str]) -> Ran {
    let mut command = world.command(args);
    command.env_remove("TASKD_STATE_DIR").envs(xdg.iter().copied());
    let out = command.output().expect("taskd runs");
    Ran {
        code: out.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&out.stdout).into_owned(),
        err: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

fn places(world: &World, xdg: &[(&str, &Path)]) -> BTreeMap<String, PathBuf> {
    let said: Value =
        serde_json::from_str(&taskd(world, xdg, &["paths", "--json"]).ok()).expect("JSON");
    let rows = said["paths"].as_array().expect("a list").iter();
    let text = |it: &Value| it.as_str().expect("text").to_owned();
    rows.map(|it| (text(&it["name"]), PathBuf::from(text(&it["path"])))).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// Proves S-3.1.1: all that is kept is in three places that XDG's variables name, which `taskd paths`
/// lists; they are made for their owner alone, the home directory stays empty, and a variable that
/// is no absolute path does not count.
#[test]
fn everything_is_in_three_places() {
    let world = World::new();
    let place = |name: &str| world.dir.path().join(name);
    let (state, config, runtime) = (place("xdg-state"), place("xdg-config"), place("xdg-run"));
    let xdg = [
        ("XDG_STATE_HOME", state.as_path()),
        ("XDG_CONFIG_HOME", config.as_path()),
        ("XDG_RUNTIME_DIR", runtime.as_path()),
    ];
    let all = places(&world, &xdg);
    assert_eq!(all["state"], state.join("taskd"));
    assert_eq!(all["config"], config.join("taskd"));
    assert_eq!(all["socket"], runtime.join("taskd/taskd.sock"));
    assert!(!state.exists() && !runtime.exists(), "nothing is made by looking");
    let agent = script(&world, "a.sh", "echo b > b.txt");
    let work = ["run", "b", "--agent", &agent, "--gate", "sh test.sh", "--land", "on-gate"];
    let said = taskd(&world, &xdg, &work).ok();
    assert!(said.contains("landed"), "{said}");
    for (name, path) in &all {
        let inside = [&state, &config, &runtime].iter().any(|it| path.starts_with(it));
        assert!(inside, "{name} is at {}", path.display());
        assert!(path.exists() || name == "config" || name == "log", "{name}");
    }
    for name in ["state", "programs", "temporary"] {
        assert_eq!(mode(&all[name]), 0o700, "{name}");
    }
    assert_eq!(mode(&runtime.join("taskd")), 0o700);
    assert_eq!((mode(&all["socket"]), mode(&all["store"])), (0o600, 0o600));
    taskd(&world, &xdg, &["daemon", "stop"]).ok();
    let home = world.dir.path().join("home");
    let left: Vec<_> = fs::read_dir(&home).expect("readable").collect();
    assert!(left.is_empty(), "{left:?}");
    let relative = [("XDG_STATE_HOME", Path::new("here")), ("XDG_CONFIG_HOME", Path::new(""))];
    let all = places(&world, &relative);
    assert_eq!(all["state"], home.join(".local/state/taskd"));
    assert_eq!(all["config"], home.join(".config/taskd"));
}

/// Proves S-3.1.1: a state directory that others may write to is refused with what to do, also
/// behind a link, and nothing is made in it.
#[test]
fn a_state_directory_that_others_may_write_to_is_refused() {
    let mut world = World::new();
    let wide = world.dir.path().join("wide");
    fs::create_dir(&wide).expect("ours");
    fs::set_permissions(&wide, fs::Permissions::from_mode(0o777)).expect("ours");
    let link = world.dir.path().join("link");
    symlink(&wide, &link).expect("ours");
    for dir in [&wide, &link] {
        world.env.insert("TASKD_STATE_DIR".to_owned(), dir.display().to_string());
        let said = world.taskd(&["daemon", "run"]).fails(1);
        assert!(said.contains(&format!("others may write to {}", dir.display())), "{said}");
        assert!(said.contains(&format!("chmod 700 {}", dir.display())), "{said}");
        assert_eq!(fs::read_dir(&wide).expect("readable").count(), 0);
    }
    fs::set_permissions(&wide, fs::Permissions::from_mode(0o700)).expect("ours");
    world.start();
    world.stop();
}
