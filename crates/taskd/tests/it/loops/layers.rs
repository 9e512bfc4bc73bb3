//! Loop types of the program, the person and the project: which one counts, and that a file is
//! enough.

use taskd_model::Status;

use super::{prompts::listener, *};

/// The line of `types ls` for a type.
fn listed(world: &World, name: &str) -> String {
    let ls = world.taskd(&["types", "ls"]).ok();
    let line = ls.lines().find(|it| it.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("{name} is not in:\n{ls}")).to_owned()
}

/// Proves T2.2a, T2.2b, T2.2c: of one name the project's type counts before the person's, and that
/// before the program's; each is listed with its file. A file that is put there is a type that runs,
/// with a daemon that runs since before, and beside a file that is broken.
#[test]
fn the_nearest_type_counts_and_a_file_is_enough() {
    let mut world = World::new();
    let agent = listener(&world, "echo b >$TASKD_LOOP.txt\n");
    let says = |word: &str| format!("extends: ralph\nagent: {agent}\nprompt: {word}\n");
    world.start();
    let run = |n: u32| {
        let args = ["run", "a task", "--type", "ralph", "--gate", "true", "--land", "never", "-dq"];
        let agent = ["--agent", &agent];
        let typed = if n == 1 { [&args[..], &agent].concat() } else { args.to_vec() };
        world.taskd(&typed).ok();
        world.until_status(&format!("p{n}"), &[Status::Complete]);
        left(&world, &format!("told-p{n}-1"))
    };
    assert_says(&listed(&world, "ralph"), "built in");
    assert_says(&run(1), "a task");
    let person = world.dir.path().join("home/.config/taskd/types");
    fs::create_dir_all(&person).expect("ours");
    fs::write(person.join("ralph.yaml"), says("PERSON")).expect("ours");
    assert_says(&listed(&world, "ralph"), "~/.config/taskd/types/ralph.yaml");
    assert_eq!(run(2).trim(), "PERSON");
    world.write(".taskd/types/ralph.yaml", &says("PROJECT"));
    world.write(".taskd/types/broken.yaml", "extends: [\n");
    assert_says(&listed(&world, "ralph"), ".taskd/types/ralph.yaml");
    assert_says(&listed(&world, "broken"), ".taskd/types/broken.yaml");
    assert_says(&world.taskd(&["types", "check"]).fails(2), "error: .taskd/types/broken.yaml:1:");
    assert_eq!(run(3).trim(), "PROJECT");
    world.write(".taskd/types/dropped.yaml", &says("DROPPED"));
    let args = ["run", "a task", "--type", "dropped", "--gate", "true", "--land", "never", "-dq"];
    world.taskd(&args).ok();
    world.until_status("p4", &[Status::Complete]);
    assert_eq!(left(&world, "told-p4-1").trim(), "DROPPED");
}

/// Proves T2.2d: a child may set what its parent changed back to the default, and that counts; it may
/// take a tool away; a circle is refused by name.
#[test]
fn a_child_sets_defaults_and_removes_tools() {
    let world = World::new();
    world.write(".taskd/types/strict.yaml", "extends: ralph\nlimits: {iterations: 3}\n");
    world.write(
        ".taskd/types/child.yaml",
        "extends: strict\nlimits: {iterations: 10}\ntools: {remove: [run]}\n",
    );
    let shown = world.taskd(&["types", "show", "child"]).ok();
    assert_says(&shown, "limits: {iterations: 10}");
    let tools = |name: &str| {
        let shown = world.taskd(&["types", "show", name]).ok();
        let line = shown.lines().find(|it| it.starts_with("tools:")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no tools in:\n{shown}"))
    };
    assert_eq!(tools("child"), tools("strict").replace(" run,", ""));
    world.write(".taskd/types/strict.yaml", "extends: child\n");
    let said = world.taskd(&["types", "check"]).fails(2);
    assert_says(&said, "`extends` goes round in a circle");
}
