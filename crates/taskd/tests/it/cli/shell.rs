//! What a shell sees of taskd: a line for its prompt, and commands of a person's own.

use std::{fs, time::Instant};

use taskd_model::Status;

use crate::{
    agents::program,
    landing::{agent, plan, until_ready},
    support::{Door, PATIENCE, World},
};

/// Waits until `taskd prompt` says this: the daemon writes it up to a second late.
#[track_caller]
fn until_prompt(world: &World, wanted: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let said = world.taskd(&["prompt"]).ok();
        if said == wanted {
            return;
        }
        assert!(Instant::now() < until, "waited too long for {wanted:?}: {said:?}");
    }
}

/// Proves S-5.5.3: `taskd prompt` says what works, needs a person and waits, and what was spent today,
/// without the daemon's socket and in words of one's own; it prints nothing and ends with 0 before
/// the daemon, after its stop and after its `kill -9`, and starts none.
#[test]
fn a_prompt_shows_what_goes_on_and_asks_nobody() {
    let mut world = World::new();
    assert_eq!(world.taskd(&["prompt"]).ok(), "");
    assert!(!world.state().exists(), "it starts nothing and makes nothing");
    let door = Door::new(&world, "work");
    let body =
        format!("case $TASKD_LOOP in *.works) {} ;; esac\necho x > $TASKD_LOOP.txt", door.sh());
    let run = agent(&world, "agent.sh", &body);
    world.start();
    until_prompt(&world, "");
    let specs = [("ready", ""), ("works", ""), ("later", "needs: works")];
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &specs));
    door.reached();
    until_ready(&world, "p1.ready");
    until_prompt(&world, "1 working · 1 needs you · 1 waiting\n");
    let write = "{usage: {micros: 4200000}, tools: [{write: {path: m.txt, content: x}}]}";
    let script =
        format!("loops:\n  m: [{{turns: [{write}, {{tools: [{{finish: {{summary: x}}}}]}}]}}]\n");
    let model = format!("scripted:{}", world.aside("m.yaml", &script));
    world.submit(&plan(&format!("model: {model}\nland: never"), &[("m", "")]));
    world.until_status("p2.m", &[Status::Complete]);
    let all = "1 working · 1 needs you · 1 waiting · $4.20\n";
    until_prompt(&world, all);

    let (socket, away) = (world.socket(), world.dir.path().join("away"));
    fs::rename(&socket, &away).expect("ours");
    assert_eq!(world.taskd(&["prompt"]).ok(), all);
    let format = "{\"w\": {working}, \"n\": {needs_you}} {waiting}{} {cost}";
    let said = world.taskd(&["prompt", "--format", format]).ok();
    assert_eq!(said, "{\"w\": 1, \"n\": 1} 1{} $4.20\n");
    let wrong = world.taskd(&["prompt", "--format", "{runs}"]).fails(2);
    assert!(wrong.contains("{runs}") && wrong.contains("{needs_you}"), "{wrong}");
    fs::rename(&away, &socket).expect("ours");

    world.kill();
    let figures = world.state().join("figures.json");
    assert!(figures.exists(), "nobody could remove it");
    assert_eq!(world.taskd(&["prompt"]).ok(), "", "they are of a daemon that is gone");
    world.start();
    door.reached();
    until_prompt(&world, all);
    world.stop();
    assert!(!figures.exists());
    assert_eq!(world.taskd(&["prompt"]).ok(), "");
}

/// Writes the person's aliases.
fn aliases(world: &World, text: &str) {
    let dir = world.dir.path().join("home/.config/taskd");
    fs::create_dir_all(&dir).expect("ours");
    fs::write(dir.join("aliases.toml"), text).expect("ours");
}

/// Proves S-5.5.2: an alias in the person's own file stands for a command of taskd, with flags of ours
/// before it and more words behind it, and help lists it; one that leads to another alias or to itself
/// is refused, one with a name that taskd has makes the file wrong, and a project has none.
#[test]
fn a_person_has_names_of_their_own_for_commands() {
    let mut world = World::new();
    world.start();
    let run = agent(&world, "agent.sh", "echo x > b.txt");
    world.submit(&plan(&format!("agent: {run}\nland: ask"), &[("one", "")]));
    until_ready(&world, "p1.one");
    aliases(&world, "mine = \"plan ls\"\nlook = [\"show\"]\na = \"b\"\nb = \"a\"\nme2 = \"me2\"\n");
    assert_eq!(world.taskd(&["mine"]).ok(), world.taskd(&["plan", "ls"]).ok());
    assert_eq!(
        world.taskd(&["--json", "mine", "-A"]).ok(),
        world.taskd(&["plan", "ls", "-A", "--json"]).ok()
    );
    assert!(world.taskd(&["look", "p1.one"]).ok().starts_with("p1.one "));
    let help = world.taskd(&["help"]).ok();
    assert!(
        help.contains("\nYour own:\n") && help.contains("your alias for: taskd plan ls\n"),
        "{help}"
    );
    assert_eq!(world.taskd(&["help", "mine"]).ok(), "mine is your alias for: taskd plan ls\n");
    let wrong = world.taskd(&["mine", "--nonsense"]).fails(2);
    assert!(wrong.contains("--nonsense"), "{wrong}");
    for (typed, to) in [("a", "b"), ("b", "a"), ("me2", "me2")] {
        let said = world.taskd(&[typed]).fails(2);
        assert!(said.contains(&format!("the alias `{typed}` is `{to} …`")), "{said}");
        assert!(said.contains("never for another alias"), "{said}");
    }

    for name in ["ls", "list", "checkp"] {
        aliases(&world, &format!("mine = \"plan ls\"\n{name} = \"show p1\"\n"));
        let said = world.taskd(&["mine"]).fails(78);
        assert!(said.contains("aliases.toml") && said.contains(&format!("`{name}` ")), "{said}");
        assert!(!world.taskd(&[name, "--help"]).ok().contains("p1"), "ours come first");
        assert!(world.taskd(&["help"]).err.contains("aliases.toml"));
    }
    aliases(&world, "mine = 7\n");
    assert!(world.taskd(&["mine"]).fails(78).contains("aliases.toml"));
    aliases(&world, "");
    world.write(".taskd/aliases.toml", "mine = \"plan ls\"\n");
    let said = world.taskd(&["mine"]).fails(2);
    assert!(said.contains("there is no command `mine`, and no program taskd-mine"), "{said}");
}

/// Proves S-5.1.3: a program `taskd-NAME` on the `PATH` is the command NAME where taskd has none: it
/// gets its words as they are and flags of taskd before them as variables, and its exit code is the
/// command's; what is neither is told with what is nearest.
#[test]
fn a_program_on_the_path_is_a_command() {
    let mut world = World::new();
    let body = "printf '<%s>' \"$@\"\necho \" $TASKD_JSON $TASKD_QUIET $(basename \"$(pwd)\")\"\n\
                \"$TASKD_PROGRAM\" --version\nexit 7\n";
    program(&mut world, "taskd-hello", body);
    let touched = world.dir.path().join("touched");
    program(&mut world, "taskd-paths", &format!("touch {}\n", touched.display()));
    fs::write(world.dir.path().join("bin/taskd-plain"), "no program\n").expect("ours");
    fs::create_dir(world.repo.join("sub")).expect("ours");
    let ran = world.taskd(&["--json", "-C", "sub", "hello", "--json", "-C", "a b", "--", "ls"]);
    let version = world.taskd(&["--version"]).ok();
    assert_eq!((ran.code, ran.out), (7, format!("<--json><-C><a b><--><ls> 1  sub\n{version}")));
    world.taskd(&["paths"]).ok();
    world.taskd(&["path"]).fails(2);
    assert!(!touched.exists(), "ours come first");

    let help = world.taskd(&["help", "all"]).ok();
    assert!(help.contains("\nhello               your program taskd-hello\n"), "{help}");
    assert!(!help.contains("taskd-paths") && !help.contains("taskd-plain"), "{help}");
    assert!(world.taskd(&["help", "hello"]).ok().ends_with("/bin/taskd-hello\n"));
    for (typed, meant) in
        [("hellow", "taskd hello"), ("shwo", "taskd show"), ("plain", "taskd plan")]
    {
        let said = world.taskd(&[typed]).fails(2);
        assert!(said.contains(&format!("no command `{typed}`")), "{said}");
        assert!(said.ends_with(&format!("hint: {meant}\n")), "{said}");
    }
    let said = world.taskd(&["--json", "qqqqqq"]).fails(2);
    let said: serde_json::Value = serde_json::from_str(&said).expect("one object");
    assert_eq!(said["error"]["hint"], "taskd help all");
    let said = world.taskd(&["st"]).fails(2);
    assert!(said.contains("`st` could be several commands: steer, stop"), "{said}");

    // Where one stands says nothing of what may run.
    let path = format!(".:{}", world.env["PATH"]);
    world.env.insert("PATH".to_owned(), path);
    let hello = world.dir.path().join("bin/taskd-hello");
    fs::copy(hello, world.repo.join("taskd-here")).expect("ours");
    world.taskd(&["here"]).fails(2);
}
