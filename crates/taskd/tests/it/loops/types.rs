//! Loop types as people write them: looked at, begun, rendered, edited while loops of them run.

use boon::{Compiler, Schemas};
use serde_json::{Value, json};
use taskd_model::Status;

use super::{
    prompts::{large_blob, listener},
    *,
};

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

/// Writes a type of the person.
fn of_person(world: &World, name: &str, text: &str) {
    let dir = world.dir.path().join("home/.config/taskd/types");
    fs::create_dir_all(&dir).expect("ours");
    fs::write(dir.join(name), text).expect("ours");
}

const CAREFUL: &str = "\
extends: ralph
description: Code with care
agent: claude
gate: {quick: 'true', run: sh test.sh, timeout: 15m, protect: [.github/**]}
limits: {iterations: 8, time: 2h, budget: $5}
tools: {remove: [run]}
inputs:
  module: {type: string, required: true}
prompt: |
  # {{ spec.title }}
  Stay inside {{ inputs.module }}.
";

/// Proves TY-1: types of the program, the person and the project are listed with where they are
/// from; what is wrong is told with file, line, column and what was meant, and takes nothing else
/// down, be it nonsense, a circle, a pipe, no text or a file of 20 MB. No daemon is needed.
#[test]
fn types_are_listed_and_checked() {
    let world = World::new();
    of_person(&world, "mine.yaml", "extends: ralph\ndescription: My own\nmodel: a/b\n");
    world.write(".taskd/types/careful.yaml", CAREFUL);
    world.write(
        ".taskd/types/odd.yaml",
        "extends: ralph\nlimts: {turns: 1}\ngate: {protect: ['[a']}\n",
    );
    world.write(".taskd/types/child.yaml", "extends: odd\n");
    world.write(".taskd/types/round.yaml", "extends: about\n");
    world.write(".taskd/types/about.yaml", "extends: round\n");
    world.write(".taskd/types/huge.yaml", &"#".repeat(20 << 20));
    fs::write(world.repo.join(".taskd/types/bytes.yaml"), [0xff, 0xfe, 0x00, 0xc3]).expect("ours");
    mkfifo(&world.repo.join(".taskd/types/pipe.yaml"), Mode::S_IRWXU).expect("a new pipe");
    let ls = world.taskd(&["types", "ls"]);
    let expected = "\
TYPE     FROM                             EXTENDS  WORKER  WHAT
about    .taskd/types/about.yaml          round    -       cannot be used
bytes    .taskd/types/bytes.yaml          -        -       cannot be used
careful  .taskd/types/careful.yaml        ralph    claude  Code with care
child    .taskd/types/child.yaml          odd      -       cannot be used
huge     .taskd/types/huge.yaml           -        -       cannot be used
mine     ~/.config/taskd/types/mine.yaml  ralph    a/b     My own
odd      .taskd/types/odd.yaml            ralph    -       cannot be used
phase    built in                         spec     -       Divides a phase into…
pipe     .taskd/types/pipe.yaml           -        -       cannot be used
plan     built in                         -        -       Writes a plan for a …
ralph    built in                         -        -       Works on one spec un…
round    .taskd/types/round.yaml          about    -       cannot be used
spec     built in                         plan     -       Divides a spec into …
";
    assert_eq!(ls.out, expected);
    assert_eq!(ls.code, 0);

    let said = world.taskd(&["types", "check"]).fails(2);
    for wanted in [
        "error: .taskd/types/odd.yaml:2:1: unknown key `limts` in a loop type\nhint: did you mean `limits`?",
        "error: .taskd/types/odd.yaml:3:7: `[a` in `protect` is no glob",
        "error: .taskd/types/child.yaml:1:10: it extends `odd`, which cannot be used",
        "`extends` goes round in a circle",
        "error: .taskd/types/huge.yaml:1:1: the file has",
        "error: .taskd/types/bytes.yaml:1:",
        "error: .taskd/types/pipe.yaml:1:1: the file cannot be read: it is no file",
    ] {
        assert_says(&said, wanted);
    }
    for well in ["careful", "mine", "ralph"] {
        let out = world.taskd(&["types", "check", well]).ok();
        assert_eq!(out, "1 loop type, nothing is wrong\n");
    }
    world.taskd(&["types", "check", "careful", "child"]).fails(2);
    // A file that is not in place yet is checked beside those that are.
    let aside = world.aside("draft.yaml", "extends: careful\nprompt: '{{ inputs.modul }}'\n");
    let said = world.taskd(&["types", "check", &aside]).fails(2);
    assert_says(&said, "draft.yaml:2:12: the template uses `inputs.modul`, which nothing sets");
    let said = world.taskd(&["types", "show", "carefull"]).fails(2);
    assert_says(&said, "did you mean careful?");
    let said = world.taskd(&["types", "show", "odd"]).fails(2);
    assert_says(&said, "loop type `odd` cannot be used: .taskd/types/odd.yaml:2:1");
    assert!(!world.socket().exists(), "no daemon was started");
}

/// Proves TY-2: what `show` prints is a file that needs no other and defines the same; what `new`
/// writes is right as it is, is written where it was asked for and over nothing.
#[test]
fn what_is_shown_and_begun_are_types() {
    let world = World::new();
    world.write(".taskd/types/careful.yaml", CAREFUL);
    let shown = world.taskd(&["types", "show", "careful"]).ok();
    let head = "# careful (.taskd/types/careful.yaml) extends ralph (built-in/ralph.yaml)\n";
    assert!(shown.starts_with(head), "{shown}");
    for wanted in ["limits: {iterations: 8, time: 2h, budget: $5.00}", "system: |", "module:"] {
        assert_says(&shown, wanted);
    }
    assert_says_nothing_of(&shown, "extends: ");
    assert_says_nothing_of(&shown, "glob, grep, run,");
    world.write(".taskd/types/copy.yaml", &shown);
    world.taskd(&["types", "check", "copy"]).ok();
    let definition = |name: &str| {
        let all = object(&world.taskd(&["types", "show", name, "--json"]).ok());
        all["types"][0]["definition"].as_str().expect("text").to_owned()
    };
    assert_eq!(definition("copy"), definition("careful"));

    assert_eq!(
        world.taskd(&["types", "new", "quick", "--extends", "careful"]).ok(),
        ".taskd/types/quick.yaml\n"
    );
    let begun = fs::read_to_string(world.repo.join(".taskd/types/quick.yaml")).expect("written");
    assert_says(&begun, "extends: careful\n");
    world.taskd(&["types", "check", "quick"]).ok();
    world.write(".taskd/types/quick.yaml", "extends: ralph\n");
    let said = world.taskd(&["types", "new", "quick"]).fails(1);
    assert_says(&said, ".taskd/types/quick.yaml is there already");
    let kept = fs::read_to_string(world.repo.join(".taskd/types/quick.yaml")).expect("kept");
    assert_eq!(kept, "extends: ralph\n");
    world.taskd(&["types", "new", "own", "--user"]).ok();
    assert!(world.dir.path().join("home/.config/taskd/types/own.yaml").exists());
    world.taskd(&["types", "new", "../x"]).fails(2);
    world.taskd(&["types", "new", "y", "--extends", "nothing"]).fails(2);
}

/// The first request or prompt of a loop that was composed, and how many tokens it was taken for.
fn composed(world: &World, name: &str) -> (String, u64) {
    let id = world.row(name).id;
    let of_it = |it: &Record| {
        let Some(Outcome::Composed { request, tokens, .. }) = outcome_of(it) else { return None };
        (it.loop_id == Some(id)).then(|| (request.to_string(), *tokens))
    };
    let (digest, tokens) = world.events().iter().find_map(of_it).expect("it was composed");
    (large_blob(world, &digest), tokens)
}

/// Proves TY-3: a rendered prompt is, byte for byte, the one the loop is then begun with: system
/// prompt, task, tools and tokens for a model, the text for an agent; nothing is stored for it.
#[test]
fn a_rendered_prompt_is_the_one_that_is_sent() {
    let mut world = World::new();
    world.write("AGENTS.md", &"Indent with exactly seven spaces.\n".repeat(900));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "say how"]);
    world.write(
        ".taskd/types/near.yaml",
        "extends: ralph\ntools: {remove: [run]}\nlimits: {iterations: 7}\n",
    );
    let turns =
        "[{say: done., tools: [{write: {path: b.txt, content: b}}, {finish: {summary: x}}]}]";
    let model = replies(&world, "m.yaml", &format!("loops: {{task: [{{turns: {turns}}}]}}\n"));
    world.start();
    let task = "Write b.\n\nWhere {{ spec.title }} stays as it is.";
    let work = ["--model", &model, "--gate", "sh test.sh"];
    let render = [&["types", "render", "near", task, "--json"], &work[..]].concat();
    let it = object(&world.taskd(&render).ok());
    assert!(world.view().plans.is_empty(), "nothing is stored");
    let run = [&["run", task, "--type", "near", "--land", "never", "-d", "-q"], &work[..]].concat();
    world.taskd(&run).ok();
    world.until_status("p1", &[Status::Complete]);
    let (sent, tokens) = composed(&world, "p1");
    let sent = object(&sent);
    assert_eq!(it["system"], sent["system"]);
    assert_says(it["system"].as_str().expect("text"), "exactly seven spaces");
    assert_eq!(it["prompt"], sent["messages"][0]["content"][0]["text"]);
    assert_says(it["prompt"].as_str().expect("text"), "iteration 1 of 7");
    assert_says(it["prompt"].as_str().expect("text"), "Where {{ spec.title }} stays");
    let tools: Vec<&Value> =
        sent["tools"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
    assert_eq!(it["tools"], json!(tools));
    assert!(!tools.contains(&&json!("run")) && tools.contains(&&json!("finish")), "{tools:?}");
    assert_eq!(it["tokens"], tokens);
    // People read it as it is, and its size beside it.
    let ran = world.taskd(&[&["types", "render", "near", task], &work[..]].concat());
    assert_says(&ran.out, it["prompt"].as_str().expect("text"));
    assert_says(&ran.err, &format!("about {tokens} tokens"));

    let agent = listener(&world, "echo c >$TASKD_LOOP.txt\n");
    let plan = format!(
        "---\nplan: Two\nagent: {agent}\ngate: sh test.sh\nland: never\ntype: near\n---\n\
         All of it.\n\n## spec a: One\n\nA.\n\n## spec b: Two\n\nB.\n"
    );
    let file = world.aside("two.md", &plan);
    let said = world.taskd(&["types", "render", "near", "--plan", &file, "--spec", "b"]).ok();
    world.taskd(&["plan", "submit", &file, "-q"]).ok();
    world.until_status("p2.b", &[Status::Complete]);
    assert_eq!(said.trim_end(), left(&world, "told-p2.b-1"));
    world.taskd(&["types", "render", "near", "--plan", &file, "--spec", "c"]).fails(5);
    world.taskd(&["types", "render", "far", task, "--no-gate", "--agent", "true"]).fails(2);
}

/// What an agent does whose first iteration in the first plan waits at the door and fails its gate.
fn twice(door: &Door) -> String {
    format!(
        "case $TASKD_LOOP in p1.*) if [ $TASKD_ITERATION = 1 ]; then {}; echo >bad.txt; exit; fi;; esac\n\
         rm -f bad.txt; echo b >$TASKD_LOOP.txt\n",
        door.sh()
    )
}

/// A type whose prompt is a word and the number of the iteration.
fn says(word: &str) -> String {
    format!("extends: ralph\nprompt: '{word} {{{{ iteration }}}}'\n")
}

/// Proves TY-4: a plan reads the types as they are when it comes, and keeps them: an edit, be it
/// nonsense, changes nothing for a loop that runs, also after `kill -9`, refuses the next plan of
/// that type by file and line, hurts no other type, and once mended counts for the next plan; no
/// signal and no restart is needed.
#[test]
fn an_edit_counts_for_the_next_plan_and_what_runs_keeps_its_own() {
    let mut world = World::new();
    let door = Door::new(&world, "agent");
    let agent = listener(&world, &twice(&door));
    let plan = |kind: &str| {
        format!(
            "---\nplan: {kind}\nagent: {agent}\ngate: sh test.sh\nland: never\ntype: {kind}\n---\n## spec a: A\n"
        )
    };
    world.write(".taskd/types/mine.yaml", &says("BEFORE"));
    world.write(".taskd/types/other.yaml", &says("OTHER"));
    world.start();
    world.submit(&plan("mine"));
    door.reached();
    world.write(".taskd/types/mine.yaml", "extends: mine\nprompt: '{{ spec.'\nnonsense: [\n");
    world.kill();
    world.start_with(&["--resume"]);
    door.reached();
    let file = world.aside("again.md", &plan("mine").replace("plan: mine", "plan: again"));
    let said = world.taskd(&["plan", "submit", &file, "-q"]).fails(2);
    assert_says(&said, "loop type `mine` cannot be used: .taskd/types/mine.yaml:");
    world.submit(&plan("other"));
    world.until_status("p2.a", &[Status::Complete]);
    assert_eq!(left(&world, "told-p2.a-1"), "OTHER 1");
    door.open();
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(left(&world, "told-p1.a-2"), "BEFORE 2");
    world.write(".taskd/types/mine.yaml", &says("AFTER"));
    world.taskd(&["plan", "submit", &file, "-q"]).ok();
    world.until_status("p3.a", &[Status::Complete]);
    assert_eq!(left(&world, "told-p3.a-1"), "AFTER 1");
}

/// Proves T4.2a, AY-6.9: an edited type counts for the next loop of it after a hangup, after `config reload`
/// and without either; the loop that runs keeps what it began with; one that was deleted is gone from
/// the list and refused by name, and the loop of it goes on.
#[test]
fn an_edited_type_is_read_by_the_next_loop_and_a_deleted_one_is_gone() {
    let mut world = World::new();
    let door = Door::new(&world, "agent");
    let agent = listener(&world, &twice(&door));
    let plan = |title: &str| {
        format!(
            "---\nplan: {title}\nagent: {agent}\ngate: sh test.sh\nland: never\ntype: mine\n---\n## spec a: A\n"
        )
    };
    world.write(".taskd/types/mine.yaml", &says("FIRST"));
    world.start();
    world.submit(&plan("one"));
    door.reached();

    world.write(".taskd/types/mine.yaml", &says("SECOND"));
    let pid = world.daemon.as_ref().expect("it runs").id();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).expect("it is there");
    world.submit(&plan("two"));
    world.until_status("p2.a", &[Status::Complete]);
    assert_eq!(left(&world, "told-p2.a-1"), "SECOND 1");

    world.write(".taskd/types/mine.yaml", &says("THIRD"));
    world.taskd(&["config", "reload"]).ok();
    world.submit(&plan("three"));
    world.until_status("p3.a", &[Status::Complete]);
    assert_eq!(left(&world, "told-p3.a-1"), "THIRD 1");

    fs::remove_file(world.repo.join(".taskd/types/mine.yaml")).expect("it is there");
    world.taskd(&["config", "reload"]).ok();
    assert_says_nothing_of(&world.taskd(&["types", "ls"]).ok(), "mine");
    let file = world.aside("four.md", &plan("four"));
    let said = world.taskd(&["plan", "submit", &file, "-q"]).fails(2);
    assert_says(&said, "there is no loop type `mine`");
    assert_eq!(world.view().plans.len(), 3, "nothing is stored");

    door.open();
    world.until_status("p1.a", &[Status::Complete]);
    assert_eq!(left(&world, "told-p1.a-2"), "FIRST 2");
}

/// Definitions, and whether they are right in themselves. JSON is YAML.
fn definitions() -> Vec<(Value, bool)> {
    let with = |key: &str, value: Value| json!({ "extends": "ralph", key: value });
    let right = vec![
        json!({ "prompt": "x" }),
        json!({ "extends": "ralph", "description": "x", "agent": "claude" }),
        with("gate", json!("make")),
        with("gate", json!(["make", "make test"])),
        with(
            "gate",
            json!({ "quick": "a", "run": ["b"], "timeout": "15m", "retries": 2, "protect": ["x/**"] }),
        ),
        with(
            "limits",
            json!({ "iterations": 8, "time": "2h", "budget": "$5", "tokens": "2M", "same_failure": 3, "turns": 9, "restarts": 1 }),
        ),
        with("tools", json!(["read", "finish"])),
        with("tools", json!({ "remove": ["run"] })),
        with("mcp", json!({ "docs": { "command": ["d", "-x"], "tools": [], "timeout": "5s" } })),
        with(
            "inputs",
            json!({ "n": { "type": "integer", "default": 3 }, "m": { "required": true } }),
        ),
        with("conflict", json!("loop(3)")),
        with("thinking", json!("high")),
        with("temperature", json!(0.5)),
        with("fallback", json!(["a/b"])),
        with("billing", json!("key")),
        with("resume", json!(true)),
        with("unsupported", json!("drop")),
        with("setup", json!("make deps")),
        with("system", json!("be kind")),
        with("review", json!({ "model": "a/b", "prompt": "Look.", "blocks": true })),
        with("review", json!({ "model": "a/b" })),
        with("review", json!({ "agent": "codex", "blocks": false })),
        with("review", json!(false)),
        with("artifact", json!({ "format": "spec", "sections": ["Summary"], "children": "ralph" })),
        with(
            "artifact",
            json!({ "format": "plan", "approve": true, "reviews": ["clarity"], "repairs": 2 }),
        ),
    ];
    let wrong = vec![
        json!({}),
        json!({ "description": "x" }),
        json!({ "extends": "ralph", "agent": "a", "model": "b" }),
        with("promt", json!("x")),
        with("gate", json!({ "command": "x" })),
        with("gate", json!([])),
        with("gate", json!({ "run": "x", "retries": 4 })),
        with("limits", json!({ "iterations": 0 })),
        with("limits", json!({ "budget": "5" })),
        with("tools", json!(["teleport"])),
        with("tools", json!({ "add": ["read"] })),
        with("mcp", json!({ "docs": {} })),
        with("inputs", json!({ "N": {} })),
        with("inputs", json!({ "n": { "type": "int" } })),
        with("conflict", json!("ask")),
        with("thinking", json!("lots")),
        with("temperature", json!(3)),
        with("resume", json!("often")),
        with("artifact", json!({ "format": "essay" })),
        with("artifact", json!({ "format": "plan", "children": "A B" })),
        with("artifact", json!({ "format": "plan", "repairs": 21 })),
        with("extends", json!("A B")),
        with("review", json!({ "agent": "codex", "model": "a/b" })),
        with("review", json!({ "prompt": "Look." })),
        with("review", json!(true)),
    ];
    let right = right.into_iter().map(|it| (it, true));
    right.chain(wrong.into_iter().map(|it| (it, false))).collect()
}

/// Proves TY-5: the published JSON Schema of a definition passes what `types check` passes, refuses
/// what it refuses, and names every key there is.
#[test]
fn the_schema_of_definitions_agrees_with_the_reader() {
    let world = World::new();
    let schema = object(&world.taskd(&["help", "schema", "loop-type"]).ok());
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("loop-type", schema.clone()).expect("a new one");
    let judge = compiler.compile("loop-type", &mut schemas).expect("it is a schema");
    for (n, (definition, right)) in definitions().into_iter().enumerate() {
        let name = format!("t{n}.yaml");
        let file = world.aside(&name, &definition.to_string());
        let ran = world.taskd(&["types", "check", &file]);
        assert_eq!(ran.code == 0, right, "{definition}: {}", ran.err);
        let passes = schemas.validate(&definition, judge);
        assert_eq!(passes.is_ok(), right, "{definition}");
    }
    // The reader says which keys it knows when a definition is none.
    let file = world.aside("list.yaml", "[]");
    let said = world.taskd(&["types", "check", &file]).fails(2);
    let keys = said.split("with these keys: ").nth(1).expect("it names them").trim();
    let mut read: Vec<&str> = keys.split(", ").collect();
    let mut published: Vec<&String> =
        schema["properties"].as_object().expect("keys").keys().collect();
    read.sort_unstable();
    published.sort_unstable();
    assert_eq!(published, read);
}

/// Proves N16: conditions and loops work; an unknown name is refused when the type is read, with what
/// was meant; the task, what an input gives, what the gate printed and what a person says are text
/// and never a template; one that runs on, calls itself, grows or reads files ends in a sentence.
#[test]
fn templates_are_strict_and_bounded_and_take_text_as_text() {
    let mut world = World::new();
    let text = "extends: ralph\ninputs: {word: {default: plain}}\nprompt: |\n  {{ spec.text }}|\
                {{ inputs.word }}|{% if gate.last %}RED {{ gate.last.findings }}{% else %}new{% endif %}\n  \
                {% for m in messages %}{{ m.text }}{% endfor %}\n";
    world.write(".taskd/types/mine.yaml", text);
    let agent = listener(
        &world,
        "if [ $TASKD_ITERATION = 1 ]; then echo >'bad-{{ iteration }}.txt'\nelse rm bad*; echo b >b.txt; fi\n",
    );
    world.start();
    let injected = "{{ plan.title }} {% for x in range(9) %}{{ x }}{% endfor %} {# gone #}";
    let set = format!("word={injected}");
    let work = ["--agent", &agent, "--gate", "sh test.sh", "--set", &set];
    let render = [&["types", "render", "mine", injected], &work[..]].concat();
    assert_eq!(world.taskd(&render).ok(), format!("{injected}|{injected}|new\n"));
    let run =
        [&["run", injected, "--type", "mine", "--land", "never", "-d", "-q"], &work[..]].concat();
    world.taskd(&run).ok();
    world.until_status("p1", &[Status::Complete]);
    let second = left(&world, "told-p1-2");
    assert_says(&second, &format!("{injected}|{injected}|RED"));
    assert_says(&second, "not ok 1 - bad-{{ iteration }}.txt");

    for (prompt, says) in [
        (
            "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
            "runs for more than",
        ),
        (
            "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}",
            "odd.yaml:3: the prompt cannot be rendered",
        ),
        ("{% for a in range(9999) %}{{ spec.text * 9 }}{{ 'x' * 900 }}{% endfor %}", "odd.yaml"),
        (
            "{% for a in range(9999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}",
            "is larger than 262144 bytes",
        ),
        ("{% include '/etc/passwd' %}", "odd.yaml:3"),
        ("{{ spec.text | no_such }}", "odd.yaml:3"),
        ("{% if false %}x{% endif %}", "the prompt is empty when rendered"),
    ] {
        world.write(".taskd/types/odd.yaml", &format!("extends: ralph\nprompt: |\n  {prompt}\n"));
        let render = ["types", "render", "odd", "x", "--agent", "true", "--no-gate"];
        let ran = world.taskd(&render);
        assert_ne!(ran.code, 0, "{prompt}: {ran:?}");
        assert_says(&ran.err, says);
    }
    world.write(".taskd/types/odd.yaml", "extends: ralph\nprompt: |\n  {{ spec.titel }}\n");
    let said = world.taskd(&["types", "check", "odd"]).fails(2);
    assert_says(
        &said,
        "odd.yaml:3:6: the template uses `spec.titel`, which nothing sets\nhint: did you mean `spec.title`?",
    );
}

/// Proves TY-6: the gate of a loop type decides, stage after stage, on the base too: a red quick stage
/// keeps the others from being run. Who submits may name another. Types that do not agree are
/// refused by name before anything is stored, unless the plan says which gate it has.
#[test]
fn the_gate_of_a_type_decides_in_stages() {
    let mut world = World::new();
    let ran = world.dir.path().join("ran");
    let gate = format!(
        "{{quick: 'echo quick >>{0}; test ! -f slow.txt', run: ['echo run >>{0}; sh test.sh', 'test ! -f odd.txt'], timeout: 5m}}",
        ran.display()
    );
    world.write(".taskd/types/careful.yaml", &format!("extends: ralph\ngate: {gate}\n"));
    world.write(".taskd/types/mine.yaml", "extends: ralph\ngate: {run: 'true'}\n");
    let agent = listener(
        &world,
        "case $TASKD_ITERATION in 1) echo >slow.txt;; 2) mv slow.txt odd.txt;; *) rm odd.txt; echo b >b.txt;; esac\n",
    );
    world.start();
    let task = ["run", "do it", "--type", "careful", "--agent", &agent, "--land", "never"];
    world.taskd(&[&task[..], &["-d"]].concat()).ok();
    world.until_status("p1", &[Status::Complete]);
    assert_says(&left(&world, "told-p1-2"), "echo quick");
    assert_says(&left(&world, "told-p1-3"), "test ! -f odd.txt");
    // The base, a red quick stage, two whole runs.
    assert_eq!(left(&world, "ran"), "quick\nrun\nquick\nquick\nrun\nquick\nrun\n");
    let shown = object(&world.taskd(&["show", "p1", "--json"]).ok());
    assert_eq!(shown["gate_origin"], "loop type careful");

    let other = [&task[..], &["--gate", "sh test.sh", "-d"]].concat();
    assert_says(&world.taskd(&other).ok(), "sh test.sh");
    let mixed = |head: &str| {
        format!(
            "---\nplan: M\nagent: 'true'\nland: never\n{head}---\n## spec a: A\ntype: careful\n\nA.\n\n\
             ## spec b: B\ntype: mine\n\nB.\n"
        )
    };
    let file = world.aside("mixed.md", &mixed(""));
    let said = world.taskd(&["plan", "check", &file]).fails(2);
    assert_says(&said, "the loop types careful and mine have different gates, and a plan has one");
    let file = world.aside("named.md", &mixed("gate: sh test.sh\n"));
    let ran = world.taskd(&["plan", "check", &file]);
    assert_says(&ran.err, "neither is taken, since another one is named");
    assert_says(&ran.ok(), "sh test.sh");
}

/// Proves TY-7: what the worker of a needed spec said last is in the prompt of the one that needs it,
/// as text, and is still told after `kill -9`; the reason passed
/// work was sent back for is told apart from what people say otherwise.
#[test]
fn results_of_needed_specs_and_reasons_are_told() {
    let mut world = World::new();
    let turns = "[{tools: [{write: {path: b.txt, content: b}}, {finish: {summary: 'The bucket is in {{ spec.title }}.'}}]}]";
    let model = replies(&world, "m.yaml", &format!("loops: {{a: [{{turns: {turns}}}]}}\n"));
    let door = Door::new(&world, "agent");
    let agent = listener(
        &world,
        &format!(
            "case $TASKD_LOOP in *.c) {};; esac\necho $TASKD_ITERATION >$TASKD_LOOP.txt\n",
            door.sh()
        ),
    );
    world.write(
        ".taskd/types/told.yaml",
        "extends: ralph\nprompt: |\n  {% for n in needs %}{{ n.name }}={{ n.title }}={{ n.said }};{% endfor %}\n  \
         {% for m in messages %}{% if m.rejects %}BACK{% else %}NEWS{% endif %}={{ m.text }};{% endfor %}\n  end\n",
    );
    world.start();
    world.submit(&format!(
        "---\nplan: P\nmodel: {model}\ngate: sh test.sh\nland: ask\n---\n## spec a: One\n\nA.\n\n\
         ## spec b: Two\nneeds: a\nagent: {agent}\n\nB.\n\n\
         ## spec c: Three\nneeds: a, b\nagent: {agent}\ntype: told\n\nC.\n"
    ));
    door.reached();
    let second = left(&world, "told-p1.b-1");
    assert_says(&second, "## What this stands on");
    assert_says(&second, "- One. Who did it said: The bucket is in {{ spec.title }}.\n");
    let third = "p1.a=One=The bucket is in {{ spec.title }}.;p1.b=Two=;end";
    assert_says(&left(&world, "told-p1.c-1"), third);
    world.taskd(&["steer", "p1.c", "call it c"]).ok();
    world.kill();
    fs::remove_file(world.dir.path().join("told-p1.c-1")).expect("it was told");
    world.start_with(&["--resume"]);
    door.reached();
    assert_says(&left(&world, "told-p1.c-1"), third);
    door.open();
    crate::landing::until_ready(&world, "p1.c");
    world.taskd(&["reject", "p1.c", "-m", "call it d"]).ok();
    door.reached();
    assert_says(&left(&world, "told-p1.c-2"), "BACK=call it d;");
    assert_says_nothing_of(&left(&world, "told-p1.c-2"), "NEWS=call it d");
    door.open();
    crate::landing::until_ready(&world, "p1.c");
}
