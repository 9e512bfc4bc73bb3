//! The Tab key and the manual.

#![expect(clippy::disallowed_methods, reason = "tests start real shells")]

use std::{
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Output},
};

use taskd_model::Status;

use crate::{
    landing::{agent, plan, until_ready},
    support::{World, is_here},
};

/// What a shell is answered for the last of these words: a line each, of what it would insert and
/// what it would say about it.
fn asked(world: &World, words: &[&str]) -> Vec<(String, String)> {
    let mut command = world.command(&[]);
    command.env("TASKD_COMPLETE", "fish").args(["--", "taskd"]).args(words);
    let out = command.output().expect("taskd runs");
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    let text = String::from_utf8(out.stdout).expect("UTF-8");
    let pair = |line: &str| {
        let (id, about) = line.split_once('\t').unwrap_or((line, ""));
        (id.to_owned(), about.to_owned())
    };
    text.lines().map(pair).collect()
}

/// Only what would be inserted.
fn offered(world: &World, words: &[&str]) -> Vec<String> {
    asked(world, words).into_iter().map(|it| it.0).collect()
}

/// A plan with a loop that passed, and one that is paused.
fn world() -> World {
    let mut world = World::new();
    let run = agent(&world, "agent.sh", "echo x > $TASKD_LOOP.txt");
    world.start();
    let specs = [("ready", ""), ("later", "needs: ready")];
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &specs));
    until_ready(&world, "p1.ready");
    world.taskd(&["pause", "p1.later"]).ok();
    world.until_status("p1.later", &[Status::Paused]);
    world
}

/// Ids of what there is are offered, with what they are; each verb offers what it can be used for.
///
/// Proves S-5.5.1.
#[test]
fn tab_offers_what_there_is() {
    let world = world();
    assert_eq!(offered(&world, &["show", "p1."]), ["p1.later", "p1.ready"]);
    assert_eq!(offered(&world, &["pause", "p"]), ["p1.later", "p1.ready", "p1"]);
    let mut yes = offered(&world, &["land", ""]);
    yes.retain(|it| !it.starts_with('-'));
    assert_eq!(yes[..2], ["p1.ready", "p1"]);
    assert!(yes[2].starts_with('i') && yes.len() == 3, "{yes:?}");
    let about = asked(&world, &["show", "p1.r"]).remove(0).1;
    assert!(about.starts_with("Work on ready: ready to land"), "{about}");
    assert_eq!(offered(&world, &["config", "get", "limits.l"]), ["limits.loops"]);
    assert_eq!(offered(&world, &["chec"]), ["checkpoints"]);
    assert_eq!(offered(&world, &["ls", "--tr"]), ["--tree"]);
}

/// Without a daemon, and with one that says nothing, there is no id, no word and no new daemon.
///
/// Proves S-5.5.1.
#[test]
fn tab_is_silent_where_nobody_answers() {
    let world = World::new();
    assert_eq!(offered(&world, &["show", "p"]), [""; 0]);
    assert!(!world.socket().exists(), "reading starts nothing");
    let dir = world.socket().parent().expect("a directory").to_owned();
    std::fs::create_dir_all(&dir).expect("ours");
    let _mute = UnixListener::bind(world.socket()).expect("free");
    assert_eq!(offered(&world, &["show", "p"]), [""; 0]);
    assert_eq!(offered(&world, &["chec"]), ["checkpoints"]);
}

/// The scripts work in the shells they are for, as far as those are here.
///
/// Proves S-5.5.1.
#[test]
fn the_shells_themselves_complete() {
    let world = world();
    let bash = "source <(taskd completions bash)
        complete -p taskd > /dev/null || exit 7
        declare -F | grep -o '_clap_complete_taskd' > /dev/null || exit 8
        COMP_WORDS=(taskd show p1.r) COMP_CWORD=2 COMP_TYPE=9 COMP_LINE='taskd show p1.r'
        COMP_POINT=15 _CLAP_IFS=$'\\n'
        _clap_complete_taskd taskd p1.r show; echo \"${COMPREPLY[@]}\"";
    let fish = "taskd completions fish | source; complete -C 'taskd show p1.r'";
    let zsh = "autoload -Uz compinit; compinit -D -u; source <(taskd completions zsh)
        _describe() { print -l -- ${(P)3} }
        words=(taskd show p1.r) CURRENT=3; $_comps[taskd]";
    for (shell, script) in [("bash", bash), ("fish", fish), ("zsh", zsh)] {
        if is_here(shell) {
            let out = run(&world, shell, script);
            let text = String::from_utf8_lossy(&out.stdout);
            assert!(out.status.success() && text.contains("p1.ready"), "{shell}: {out:?}");
        }
    }
}

fn run(world: &World, shell: &str, script: &str) -> Output {
    let bin = Path::new(env!("CARGO_BIN_EXE_taskd")).parent().expect("a directory");
    let path = format!("{}:{}", bin.display(), world.env["PATH"]);
    let mut command = Command::new(shell);
    command.args(["-c", script]).env_clear().envs(&world.env).env("PATH", path);
    command.current_dir(&world.repo).output().expect("it runs")
}

/// The manual has a page for each command, and each page says what the help says.
///
/// Proves S-5.1.5.
#[test]
fn every_command_has_its_page_of_the_manual() {
    let world = World::new();
    let page = world.taskd(&["man"]).ok();
    assert!(
        page.contains(".TH taskd 1") && page.contains("Plans in, landed commits out"),
        "{page}"
    );
    let dir = world.dir.path().join("man");
    world.taskd(&["man", &dir.display().to_string()]).ok();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect("it was written");
    assert!(read("taskd-run.1").contains("Have one task done"));
    assert!(read("taskd-config-set.1").contains("limits.loops"));
    let all = world.taskd(&["help", "all"]).ok();
    let names = all.lines().take_while(|it| !it.is_empty());
    for name in names.filter(|it| !it.starts_with(' ')) {
        let name = name.split(' ').next().expect("a word");
        assert!(read(&format!("taskd-{name}.1")).contains(name));
    }
    world.taskd(&["man", "/proc/nowhere"]).fails(2);
}
