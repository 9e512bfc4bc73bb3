//! What a worker is told and given: its prompt, its files, its environment. And what stays where
//! it is: secrets, and the words of the task.

use std::os::unix::fs::PermissionsExt as _;

use taskd_model::Status;

use super::*;
use crate::support::files_that_say;

/// An agent that keeps what it was told, `told-LOOP-ITERATION`, and then does `work`.
pub(super) fn listener(world: &World, work: &str) -> String {
    let dir = world.dir.path().display();
    let script = format!("cat >{dir}/told-$TASKD_LOOP-$TASKD_ITERATION\n{work}");
    shell(world, "listener.sh", &script)
}

#[test]
fn the_next_prompt_says_what_the_gate_found_and_what_was_tried() {
    let mut world = World::new();
    let agent = listener(
        &world,
        "case $TASKD_ITERATION in\n\
         1) echo one >bad-first.txt;;\n\
         2) mv bad-first.txt bad-second.txt; echo I moved it; exit 0;;\n\
         3) rm bad-second.txt; echo b >b.txt;;\nesac\n",
    );
    world.start();
    world.submit(&format!(
        "---\nplan: The whole\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n\
         Context for everybody.\n\n## spec a: The part\n\nThe task, verbatim.\n"
    ));
    world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    let first = left(&world, "told-p1.a-1");
    for word in ["# The part", "The task, verbatim.", "Context for everybody.", "`sh test.sh`"] {
        assert_says(&first, word);
    }
    assert_says(&first, "iteration 1 of 10");
    assert_says_nothing_of(&first, "What the gate said last");
    let second = left(&world, "told-p1.a-2");
    assert_says(&second, "What the gate said last: 1 of 1: bad-first.txt");
    assert_says(&second, "not ok 1 - bad-first.txt");
    assert_says(&second, "1. red: 1 of 1: bad-first.txt");
    let third = left(&world, "told-p1.a-3");
    assert_says(&third, "What the gate said last: 1 of 1: bad-second.txt");
    assert_says(&third, "1. red: 1 of 1: bad-first.txt\n2. red: 1 of 1: bad-second.txt");
    assert_eq!(left(&world, "told-p1.a-4"), "");
}

#[test]
fn a_note_is_in_the_next_prompt() {
    let mut world = World::new();
    let door = Door::new(&world, "agent");
    let agent = listener(
        &world,
        &format!(
            "if [ $TASKD_ITERATION = 1 ]; then {}; echo >bad.txt\n\
             else mv bad.txt good.txt; fi\n",
            door.sh()
        ),
    );
    world.start();
    world.submit(&format!(
        "---\nplan: P\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n## spec a: A\n"
    ));
    door.reached();
    world.taskd(&["steer", "p1.a", "use the other file"]).ok();
    door.open();
    world.until_status("p1.a", &[Status::Complete]);
    assert_says_nothing_of(&left(&world, "told-p1.a-1"), "use the other file");
    assert_says(&left(&world, "told-p1.a-2"), "a person: use the other file");
}

#[test]
fn a_native_prompt_holds_the_repositorys_instructions_and_the_results_of_tools() {
    let mut world = World::new();
    let long = "Indent with exactly seven spaces.\n".repeat(1_200);
    world.write("AGENTS.md", &long);
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "say how"]);
    // Only what is committed counts.
    world.write("AGENTS.md", "Indent with tabs.\n");
    let turns = "[{say: I look first., tools: [{read: {path: a.txt}}]}, \
                  {tools: [{write: {path: b.txt, content: b}}, {finish: {summary: x}}]}]";
    let model = replies(&world, "m.yaml", &format!("loops: {{a: [{{turns: {turns}}}]}}\n"));
    world.start();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n\
         ## spec a: The part\n\nThe task, verbatim.\n"
    ));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    let composed: Vec<String> = world
        .events()
        .iter()
        .filter(|record| record.loop_id == Some(it.id))
        .filter_map(outcome_of)
        .filter_map(|outcome| {
            let Outcome::Composed { request, .. } = outcome else { return None };
            Some(request.to_string())
        })
        .map(|digest| large_blob(&world, &digest))
        .collect();
    assert_eq!(composed.len(), 2, "{}", world.transcript());
    for request in &composed {
        for word in ["exactly seven spaces", "# The part", "The task, verbatim.", "\"finish\""] {
            assert_says(request, word);
        }
        assert_says_nothing_of(request, "Indent with tabs");
    }
    assert_says_nothing_of(&composed[0], "I look first.");
    assert_says(&composed[1], "I look first.");
    assert_says(&composed[1], "1\\ta");
}

/// A blob too large for the database is a file that is named by its digest.
pub(crate) fn large_blob(world: &World, digest: &str) -> String {
    let path = world.state().join("blobs").join(&digest[..2]).join(&digest[2..]);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

#[test]
fn a_fresh_worktree_has_the_included_files_and_its_setup() {
    let mut world = World::new();
    world.write(".gitignore", ".env\ndeps/\n");
    world.write(".worktreeinclude", ".env\n");
    world.write(".env", "PORT=1\n");
    world.write("check.sh", "grep -q PORT=1 .env && test -f deps/ready && sh test.sh\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "needs its surroundings"]);
    let agent = shell(&world, "agent.sh", "grep PORT .env && cat deps/ready && echo b >b.txt\n");
    world.start();
    world.submit(&format!(
        "---\nplan: P\nagent: {agent}\ngate: sh check.sh\nland: on-gate\n\
         setup: mkdir -p deps && echo built >deps/ready\n---\n## spec a: A\n"
    ));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{:?}\n{}", it.reason, world.transcript());
    assert_eq!(it.iteration, 1);
    assert_eq!(world.git(&["ls-tree", "--name-only", "main", ".env", "deps"]), "", "stays ignored");
}

#[test]
fn a_setup_that_fails_needs_you_and_is_run_again() {
    let mut world = World::new();
    let network = world.dir.path().join("network");
    let agent = shell(&world, "agent.sh", "cat ready >b.txt\n");
    world.write(".gitignore", "ready\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "ignore what setup makes"]);
    // It works for the base's checkout, and not for the loop's.
    let setup = format!(
        "[ $TASKD_LOOP = p1 ] || [ -e {} ] || {{ echo no network here >&2; exit 7; }}\n\
         echo yes >ready\n",
        network.display()
    );
    let setup = shell(&world, "setup.sh", &setup);
    world.start();
    world.submit(&format!(
        "---\nplan: P\nagent: {agent}\ngate: test -f ready && sh test.sh\nland: on-gate\n\
         setup: {setup}\n---\n## spec a: A\n"
    ));
    let it = world.until_status("p1.a", &[Status::Blocked]);
    let reason = it.reason.expect("there is one").to_string();
    assert_says(&reason, &format!("setup `{setup}` failed (exit 7): no network here"));
    fs::write(&network, "").unwrap();
    world.taskd(&["resume", "p1.a"]).ok();
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{:?}\n{}", it.reason, world.transcript());
    assert_eq!(it.iteration, 1);

    // A later plan's setup is run too, where the earlier plan's gates were.
    let agent = shell(&world, "later.sh", "echo c >c.txt\n");
    world.submit(&format!(
        "---\nplan: Q\nagent: {agent}\ngate: grep later ready && sh test.sh\nland: on-gate\n\
         setup: echo later >ready\n---\n## spec a: A\n"
    ));
    let it = world.until_status("p2.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{:?}\n{}", it.reason, world.transcript());
}

#[test]
fn types_of_the_person_and_of_the_project_override_what_is_built_in() {
    let mut world = World::new();
    let agent = listener(&world, "echo b >$TASKD_LOOP.txt\n");
    let of_person = world.dir.path().join("home/.config/taskd/types");
    fs::create_dir_all(&of_person).unwrap();
    let own = |who: &str| format!("extends: ralph\nprompt: |\n  {who} says {{{{ spec.title }}}}\n");
    fs::write(of_person.join("ralph.yaml"), own("THE PERSON")).unwrap();
    fs::write(of_person.join("mine.yaml"), own("MY TYPE")).unwrap();
    world.start();
    let plan = |specs: &str| {
        format!("---\nplan: P\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n{specs}")
    };
    world.submit(&plan("## spec a: One\n\nText.\n\n## spec b: Two\ntype: mine\n\nText.\n"));
    for name in ["p1.a", "p1.b"] {
        world.until_status(name, &[Status::Complete]);
    }
    assert_eq!(left(&world, "told-p1.a-1"), "THE PERSON says One");
    assert_eq!(left(&world, "told-p1.b-1"), "MY TYPE says Two");

    world.write(".taskd/types/ralph.yaml", &own("THE PROJECT"));
    world.submit(&plan("## spec a: Three\n\nText.\n"));
    world.until_status("p2.a", &[Status::Complete]);
    assert_eq!(left(&world, "told-p2.a-1"), "THE PROJECT says Three");
}

#[test]
fn names_and_contents_that_are_not_utf8_land_as_they_are() {
    let mut world = World::new();
    // `é` of Latin-1 and worse, as a name and as content; a name with a line break in it.
    let agent = listener(
        &world,
        "name=$(printf 'caf\\351.txt')\n\
         printf '\\377\\376\\000\\351' >\"$name\"\n\
         printf 'x' >\"$(printf 'two\\nlines')\"\n\
         printf '\\200 garbage on stdout\\n'\n\
         if [ $TASKD_ITERATION = 1 ]; then echo >\"$(printf 'bad\\351.txt')\"; \
         else rm bad*; fi\n",
    );
    world.start();
    world.submit(&format!(
        "---\nplan: P\nagent: {agent}\ngate: sh test.sh\nland: on-gate\n---\n## spec a: A\n"
    ));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed, Status::Blocked]);
    assert_eq!(it.status, Status::Complete, "{:?}\n{}", it.reason, world.transcript());
    assert_eq!(it.iteration, 2, "the gate's bytes are in the second prompt, whatever they are");
    let names = world.git(&["ls-tree", "--name-only", "main"]);
    assert_says(&names, "\"caf\\351.txt\"");
    assert_says(&names, "\"two\\nlines\"");
    let blob = world.git(&["ls-tree", "--object-only", "main", "--", "two\nlines"]);
    assert_eq!(world.git(&["cat-file", "blob", &blob]), "x");
    let tree = world.git(&["ls-tree", "--format=%(objectsize) %(path)", "main"]);
    assert_says(&tree, "4 \"caf\\351.txt\"");
    assert_says(&world.taskd(&["diff", "p1.a"]).ok(), "caf");
}

#[test]
fn tokens_of_the_environment_reach_nobody() {
    let mut world = World::new();
    let dir = world.dir.path().join("state");
    let agent =
        listener(&world, &format!("env >{}/env; echo b >b.txt\n", world.dir.path().display()));
    let secret = "hunter2-is-the-secret";
    for name in ["GITHUB_TOKEN", "MY_TOKEN", "AWS_SECRET_ACCESS_KEY", "LD_PRELOAD_NOT"] {
        world.env.insert(name.to_owned(), secret.to_owned());
    }
    world.env.insert("RUSTUP_TOOLCHAIN".to_owned(), "of-the-person".to_owned());
    world.start();
    world.submit(&format!(
        "---\nplan: P\nagent: {agent}\ngate: sh test.sh\nland: never\n---\n## spec a: A\n"
    ));
    world.until_status("p1.a", &[Status::Complete]);
    let given = left(&world, "env");
    assert_says_nothing_of(&given, secret);
    assert_says(&given, &format!("PATH={}\n", world.env["PATH"]));
    assert_says(&given, "RUSTUP_TOOLCHAIN=of-the-person\n");
    assert_says(&given, "TASKD_LOOP=p1.a\n");
    assert_says(&given, "TASKD_ITERATION=1\n");
    world.stop();
    assert_eq!(files_that_say(&dir, secret), Vec::<PathBuf>::new());
}

#[test]
fn a_credential_reaches_its_agent_and_no_file() {
    let mut world = World::new();
    let bin = world.dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let claude = bin.join("claude");
    let out = world.dir.path().join("key");
    let script = format!(
        "#!/bin/sh\ncat >/dev/null\necho \"$ANTHROPIC_API_KEY\" >{}\necho b >b.txt\n\
         echo '{{\"type\":\"system\",\"subtype\":\"init\",\"session_id\":\"s-1\"}}'\n",
        out.display()
    );
    fs::write(&claude, script).unwrap();
    fs::set_permissions(&claude, fs::Permissions::from_mode(0o755)).unwrap();
    // Without the gateway, which would keep the key from it.
    let preset = include_str!("../../../../taskd-tools/presets/claude.toml");
    let (preset, _) = preset.split_once("[gateway]").expect("it is at the end");
    fs::create_dir_all(world.dir.path().join("home/.config/taskd/agents")).unwrap();
    world.aside("home/.config/taskd/agents/claude.toml", preset);
    let path = format!("{}:{}", bin.display(), world.env["PATH"]);
    world.env.insert("PATH".to_owned(), path);
    world.start();
    let secret = "sk-ant-very-secret";
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), secret.to_owned());
    world.submit(
        "---\nplan: P\nagent: claude\ngate: env; sh test.sh\nland: never\n---\n## spec a: A\n",
    );
    let it = world.until_status("p1.a", &[Status::Complete, Status::Blocked, Status::Failed]);
    assert_eq!(it.status, Status::Complete, "{:?}", it.reason);
    assert_eq!(left(&world, "key"), format!("{secret}\n"));
    assert_eq!(it.session.as_deref(), Some("s-1"), "what it said of itself was read");
    world.stop();
    assert_eq!(files_that_say(&world.state(), secret), Vec::<PathBuf>::new());
    assert_says_nothing_of(&left(&world, "daemon.log"), secret);
}

/// Proves S-6.4.1: with everything logged, no word of title, task, context, gate, model, tool or agent
/// is in the log, and no secret of the environment.
#[test]
fn the_log_holds_no_word_of_the_task_and_no_secret() {
    let mut world = World::new();
    let secret = "hunter2-is-the-secret";
    world.env.insert("GITHUB_TOKEN".to_owned(), secret.to_owned());
    world.env.insert("ANTHROPIC_API_KEY".to_owned(), secret.to_owned());
    let turns = "[{say: MODEL-WORDS, tools: [{write: {path: b.txt, content: FILE-WORDS}}, \
                  {run: {command: 'echo TOOL-WORDS'}}, {finish: {summary: SUMMARY-WORDS}}]}]";
    let model = replies(&world, "m.yaml", &format!("loops: {{m: [{{turns: {turns}}}]}}\n"));
    let agent = listener(&world, "echo AGENT-WORDS; echo b >c.txt\n");
    world.start_with(&["--log-level", "trace"]);
    world.submit(&format!(
        "---\nplan: TITLE-WORDS\ngate: echo GATE-WORDS; sh test.sh\nland: never\n---\n\
         CONTEXT-WORDS\n\n## spec a: SPEC-WORDS\nagent: {agent}\n\nTASK-WORDS\n\n\
         ## spec m: Model\nmodel: {model}\n\nTASK-WORDS\n"
    ));
    for name in ["p1.a", "p1.m"] {
        world.until_status(name, &[Status::Complete]);
    }
    world.stop();
    let log = left(&world, "daemon.log");
    assert!(10 < log.lines().count(), "it does log: {log}");
    assert_says_nothing_of(&log, secret);
    let words: Vec<&str> = log.split(|it: char| !it.is_ascii_uppercase() && it != '-').collect();
    let told: Vec<&&str> = words.iter().filter(|it| it.ends_with("-WORDS")).collect();
    assert!(told.is_empty(), "{told:?}");
}

/// Proves P-30: the repository's instructions are in the first prompt of every iteration, whatever
/// was said in the iterations before.
#[test]
fn the_repositorys_instructions_are_in_every_iteration() {
    let mut world = World::new();
    // Long enough for the requests to be files.
    world.write("AGENTS.md", &"Indent with exactly seven spaces.\n".repeat(1_200));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "say how"]);
    let write = |path: &str| format!("{{write: {{path: {path}, content: b}}}}");
    let turns = |n: u32, path: &str| {
        format!(
            "{{iteration: {n}, turns: [{{tools: [{}, {{finish: {{summary: x}}}}]}}]}}",
            write(path)
        )
    };
    let loops =
        format!("[{}, {}, {}]", turns(1, "bad.txt"), turns(2, "bad.txt"), turns(3, "c.txt"));
    let model = replies(&world, "m.yaml", &format!("loops: {{a: {loops}}}\n"));
    world.start();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: never\nlimits: {{iterations: 3}}\n---\n\
         ## spec a: The part\n\nThe task, verbatim.\n"
    ));
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    assert_eq!(it.iteration, 3, "{}", world.transcript());
    let mut told = 0;
    for outcome in world.events().iter().filter_map(outcome_of) {
        let Outcome::Composed { request, .. } = outcome else { continue };
        assert_says(&large_blob(&world, &request.to_string()), "exactly seven spaces");
        told += 1;
    }
    assert_eq!(told, 3, "one turn in each iteration\n{}", world.transcript());
}
