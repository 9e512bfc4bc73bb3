//! Loop types as people write them, in layers, right and wrong.

use proptest::prelude::*;
use taskd_model::{AgentDoc, OnConflict, Params, Thinking, Unsupported};

use super::*;

fn layer(files: &[(&str, &str)]) -> Layer {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), Ok((*text).to_owned())));
    Layer { files: files.collect(), of_project: false }
}

fn good(files: &[(&str, &str)]) -> Types {
    let (types, problems) = load(&[layer(files)]);
    assert_eq!(problems, []);
    types
}

fn wrong(files: &[(&str, &str)]) -> Vec<String> {
    load(&[layer(files)]).1.iter().map(ToString::to_string).collect()
}

#[test]
fn the_built_in_type_is_loaded_by_the_same_loader() {
    let (types, problems) = load(&[]);
    assert_eq!(problems, []);
    let ralph = types.get("ralph").unwrap();
    assert_eq!(ralph.tools, DEFAULT_TOOLS);
    assert_eq!(ralph.origin, "built-in/ralph.yaml");
    assert!(ralph.system.is_some() && ralph.agent.is_none() && ralph.limits.iterations.is_none());
}

#[test]
fn the_type_of_the_design_is_read() {
    let careful = "\
extends: ralph
description: Code, then a second reader before it may land
agent: claude
gate:
  quick: cargo check --tests       # first, to fail fast
  run: cargo test --workspace
  timeout: 15m
  protect: [.github/**, .taskd/**, Justfile]
limits: {iterations: 8, time: 2h, budget: $5, tokens: 2M, same_failure: 3}
inputs:
  module: {type: string, required: true}
conflict: block
review: {model: openai/gpt-5, prompt: Find what the tests do not check., blocks: true}
prompt: |
  # {{ spec.title }}
  {{ spec.text }}
  Stay inside {{ inputs.module }}.
  {% if gate.last %}The daemon ran the gate after your last attempt:
  {{ gate.last.findings }}{% endif %}
  {% for m in messages %}{{ m.from }}: {{ m.text }}
  {% endfor %}
";
    let types = good(&[(".taskd/types/careful.yaml", careful)]);
    let doc = types.get("careful").unwrap();
    assert_eq!(doc.agent, Some(AgentDoc::Agent { run: "claude".into() }));
    assert_eq!(doc.gate.quick.as_deref(), Some("cargo check --tests"));
    assert_eq!(doc.gate.run, ["cargo test --workspace"]);
    assert_eq!(doc.gate.timeout_ms, Some(900_000));
    assert_eq!(doc.gate.protect.as_ref().unwrap().len(), 3);
    assert_eq!((doc.limits.iterations, doc.limits.same_failure), (Some(8), Some(3)));
    assert_eq!(doc.limits.budget_micros, Some(5_000_000));
    assert_eq!(doc.limits.tokens, Some(2_000_000));
    assert_eq!(doc.conflict, Some(OnConflict::Block));
    assert_eq!((doc.prompt.file.as_str(), doc.prompt.line), (".taskd/types/careful.yaml", 15));
    assert_eq!(doc.tools, DEFAULT_TOOLS);
    assert!(doc.system.is_some());

    let review = doc.review.as_ref().unwrap();
    assert_eq!((review.by.to_string().as_str(), review.blocks), ("openai/gpt-5", true));
    assert_eq!(review.prompt, "Find what the tests do not check.");
}

/// A second reader is inherited, replaced or taken away as a whole; what it cannot be is said.
#[test]
fn a_second_reader_is_a_model_or_an_agent() {
    let own = "extends: ralph\nreview: {model: a/b}\n";
    let types = good(&[
        ("own.yaml", own),
        ("child.yaml", "extends: own\n"),
        ("other.yaml", "extends: own\nreview: {agent: codex, blocks: true, prompt: Look.}\n"),
        ("none.yaml", "extends: own\nreview: false\n"),
    ]);
    let review = |name: &str| types.get(name).unwrap().review.clone();
    let (own, child) = (review("own").unwrap(), review("child"));
    assert!(!own.blocks && !own.prompt.is_empty());
    assert_eq!(child, Some(own));
    let other = review("other").unwrap();
    let codex = taskd_model::Worker::Agent("codex".to_owned());
    assert_eq!((&other.by, other.blocks, other.prompt.as_str()), (&codex, true, "Look."));
    assert_eq!(review("none"), None);
    for (bad, says) in [
        ("review: {model: a/b, agent: codex}", "x.yaml:2:9: `review` names a `model` and an"),
        ("review: {prompt: Look}", "x.yaml:2:9: `review` names no `model` and no `agent`"),
        ("review: {model: a/b, block: true}", "unknown key `block` in `review`; write `blocks`"),
        ("review: {model: a/b, blocks: maybe}", "`blocks`"),
        (
            "review: {model: a/b}\nartifact: {format: plan}",
            "x.yaml:2:1: a document has no `review`",
        ),
    ] {
        let told = wrong(&[("x.yaml", &format!("extends: ralph\n{bad}\n"))]);
        assert!(told.len() == 1 && told[0].contains(says), "{bad}: {told:?}");
    }
}

#[test]
fn a_child_wins_where_it_speaks_and_may_take_tools_away() {
    let types = good(&[
        ("a.yaml", "extends: ralph\nmodel: x/y\nlimits: {turns: 9, iterations: 3}\ngate: make\n"),
        (
            "b.yaml",
            "extends: a\nlimits: {iterations: 10}\ntools: {remove: [run]}\ngate: {quick: q}",
        ),
        ("c.yaml", "extends: b\ntools: [read, finish]\nagent: claude\n"),
    ]);
    let b = types.get("b").unwrap();
    assert_eq!((b.limits.iterations, b.limits.turns), (Some(10), Some(9)));
    assert_eq!((b.gate.quick.as_deref(), b.gate.run.as_slice()), (Some("q"), &["make".into()][..]));
    assert!(!b.tools.contains(&"run".to_owned()) && b.tools.len() == DEFAULT_TOOLS.len() - 1);
    assert_eq!(b.agent, Some(AgentDoc::Model { name: "x/y".into() }));
    let c = types.get("c").unwrap();
    assert_eq!(c.tools, ["read", "finish"]);
    assert_eq!(c.agent, Some(AgentDoc::Agent { run: "claude".into() }));
    assert_eq!(c.prompt.file, "built-in/ralph.yaml");
}

#[test]
fn later_layers_override_whole_types_and_may_extend_what_they_override() {
    let user = layer(&[("~/ralph.yml", "extends: ralph\nagent: codex\n"), ("x.yaml", "prompt: u")]);
    let project = layer(&[
        (".taskd/types/ralph.yaml", "extends: ralph\nlimits: {iterations: 2}\n"),
        (".taskd/types/x.yaml", "prompt: p"),
        (".taskd/types/README.md", "not a type"),
    ]);
    let (types, problems) = load(&[user, project]);
    assert_eq!(problems, []);
    let ralph = types.get("ralph").unwrap();
    assert_eq!(ralph.agent, Some(AgentDoc::Agent { run: "codex".into() }));
    assert_eq!(ralph.limits.iterations, Some(2));
    assert_eq!(ralph.origin, ".taskd/types/ralph.yaml");
    assert_eq!(types.get("x").unwrap().prompt.text, "p");
}

#[test]
fn a_broken_file_takes_down_only_what_needs_it() {
    let user = layer(&[("u/ralph.yaml", "extends: ralph\n"), ("u/fine.yaml", "prompt: hi\n")]);
    let project = layer(&[
        ("p/ralph.yaml", "extends: ralph\nprompt: [\n"),
        ("p/child.yaml", "extends: ralph\n"),
    ]);
    let (types, problems) = load(&[user, project]);
    let files: Vec<_> = problems.iter().map(|it| it.file.as_str()).collect();
    assert_eq!(files, ["p/child.yaml", "p/ralph.yaml"]);
    assert_eq!(
        problems[0].to_string(),
        "p/child.yaml:1:10: it extends `ralph`, which cannot be used"
    );
    assert!(types.get("fine").is_ok());
    let error = types.get("ralph").unwrap_err().to_string();
    assert!(error.starts_with("loop type `ralph` cannot be used: p/ralph.yaml:"), "{error}");
}

#[test]
fn every_problem_is_told_with_file_and_place() {
    let text = "\
extends: ralph
prompt-template: x
validation-command: make
max-iterations: 3
descripton: x
tools: [read, query_loop, raed, read]
limits: {same-failure: 3, turns: 0}
agent: a
model: b
inputs:
  Module: {type: string}
  n: {type: int, default: x}
  m: {type: integer, required: true, default: 3}
prompt: |

  {{ spec.titel }} {{ inputs.modul }}
  {% for m in massages %}{{ m.text }}{% endfor %} {{ range(3) }}
";
    let expected = "\
t.yaml:2:1: unknown key `prompt-template` in a loop type; write `prompt`
t.yaml:3:1: unknown key `validation-command` in a loop type; write `gate: {run: ...}`
t.yaml:4:1: unknown key `max-iterations` in a loop type; write `limits: {iterations: 10}`
t.yaml:5:1: unknown key `descripton` in a loop type; did you mean `description`?
t.yaml:6:15: unknown tool `query_loop`; known: read, write, edit, list, glob, grep, run, ask, share, alert, query, finish, stop
t.yaml:6:27: unknown tool `raed`; did you mean `read`?
t.yaml:6:33: tool `read` is there twice
t.yaml:7:10: unknown key `same-failure` in `limits`; did you mean `same_failure`?
t.yaml:7:34: `turns` is 0; it must be from 1 to 4294967295
t.yaml:9:1: both `agent` and `model` are given; keep exactly one of them
t.yaml:11:3: `Module` is no input name; use a-z, 0-9 and _, begin with a letter
t.yaml:12:13: unknown type `int` of input `n`; did you mean `integer`?
t.yaml:13:38: input `m` is required, so its default is never used; keep one of the two
t.yaml:16:6: the template uses `spec.titel`, which nothing sets; did you mean `spec.title`?
t.yaml:16:23: the template uses `inputs.modul`, which nothing sets; known: m, n; `inputs` declares what `--set` gives
t.yaml:17:15: the template uses `massages`, which nothing sets; did you mean `messages`?
";
    let found: String = wrong(&[("t.yaml", text)]).iter().map(|it| format!("{it}\n")).collect();
    assert_eq!(found, expected);
}

#[test]
fn template_syntax_errors_name_the_line_of_the_file() {
    let found = wrong(&[("t.yaml", "extends: ralph\nprompt: |\n  ok\n  {% if x %}\n  {{ y }\n")]);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("t.yaml:5:"), "{found:?}");
    assert!(found[0].contains("the template is wrong: syntax error: "), "{found:?}");
}

#[test]
fn circles_and_unknown_parents_are_named() {
    assert_eq!(
        wrong(&[
            ("a.yaml", "extends: b\n"),
            ("b.yaml", "extends: c\n"),
            ("c.yaml", "extends: a\n"),
            ("d.yaml", "extends: ralf\n"),
            ("e.yaml", "extends: e\n"),
        ]),
        [
            "a.yaml:1:10: it extends `b`, which cannot be used",
            "b.yaml:1:10: it extends `c`, which cannot be used",
            "c.yaml:1:10: `extends` goes round in a circle: a extends b extends c extends a",
            "d.yaml:1:10: there is no loop type `ralf`; did you mean `ralph`?",
            "e.yaml:1:10: it extends itself, and no layer below defines it; extend another type, \
             as `ralph`",
        ]
    );
}

#[test]
fn files_that_define_nothing_say_so() {
    let found = wrong(&[
        ("Bad Name.yaml", "prompt: x"),
        ("empty.yaml", "\n"),
        ("list.yaml", "- a\n"),
        ("mute.yaml", "description: x\n"),
        ("twice.yaml", "prompt: x\n"),
        ("twice.yml", "prompt: y\n"),
    ]);
    assert_eq!(
        found,
        [
            "Bad Name.yaml:1:1: `Bad Name` is no type name; use a-z, 0-9, - and _, begin with a \
             letter or digit, at most 40 characters",
            "empty.yaml:1:1: the file is empty; write at least `extends: ralph`",
            "list.yaml:1:1: a loop type is a list, not a map; write `key: value` with these keys: \
             extends, description, agent, model, fallback, gate, limits, conflict, tools, mcp, thinking, temperature, \
             unsupported, billing, resume, inputs, prompt, \
             system, setup, artifact, review",
            "mute.yaml:1:1: the type has no `prompt`; add `extends: ralph`, or write a `prompt`",
            "twice.yml:1:1: `twice` is already defined by twice.yaml; keep one of the two files",
        ]
    );
}

#[test]
fn an_unknown_type_names_the_known_ones() {
    let types = good(&[("careful.yaml", "extends: ralph\n")]);
    assert_eq!(
        types.get("carefull").unwrap_err().to_string(),
        "there is no loop type `carefull`; did you mean `careful`? known: careful, phase, plan, ralph, spec"
    );
    assert_eq!(
        types.get("x").unwrap_err().to_string(),
        "there is no loop type `x`; known: careful, phase, plan, ralph, spec"
    );
}

#[test]
fn inputs_are_bound_by_kind() {
    let text = "extends: ralph\ninputs:\n  module: {required: true}\n  n: {type: integer, default: 3}\n  \
                deep: {type: boolean}\n";
    let types = good(&[("t.yaml", text)]);
    let doc = types.get("t").unwrap();
    let given = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        bind_inputs(doc, &pairs.collect())
    };
    let values = given(&[("module", "crates/api")]).unwrap();
    assert_eq!(values["module"], InputValue::Text("crates/api".into()));
    assert_eq!(values["n"], InputValue::Number(3));
    assert_eq!(values["deep"], InputValue::Flag(false));
    let errors = given(&[("n", "x"), ("modul", "y")]).unwrap_err();
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "loop type `t` has no input `modul`; did you mean `module`?",
            "loop type `t` needs the input `module`; give it with `--set module=...`",
            "input `n` is a whole number, not \"x\"",
        ]
    );
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "(extends|prompt|tools|limits|inputs|[a-z{}%: \\[\\],|\n-]){0,60}") {
        let (types, problems) = load(&[layer(&[("t.yaml", &text)])]);
        prop_assert_eq!(types.get("t").is_ok(), problems.is_empty());
        prop_assert!(types.get("ralph").is_ok());
    }
}

#[test]
fn how_a_model_is_to_work_is_read_and_inherited() {
    let types = good(&[
        ("a.yaml", "extends: ralph\nthinking: high\ntemperature: 0.7\n"),
        ("b.yaml", "extends: a\ntemperature: 1\nunsupported: drop\n"),
    ]);
    let a = types.get("a").unwrap();
    assert_eq!(a.params, Params { thinking: Some(Thinking::High), temperature: Some(700) });
    assert_eq!(a.unsupported, Unsupported::Refuse);
    let b = types.get("b").unwrap();
    assert_eq!(b.params, Params { thinking: Some(Thinking::High), temperature: Some(1_000) });
    assert_eq!(b.unsupported, Unsupported::Drop);
    assert!(types.get("ralph").unwrap().params.is_empty());
    for (line, said) in [
        ("thinking: lots", "c.yaml:2:11: `thinking` cannot be `lots`"),
        ("temperature: 2.1", "c.yaml:2:14: `temperature` is no number from 0 to 2; write 0.7"),
        ("temperature: -1", "c.yaml:2:14: `temperature` is no number from 0 to 2; write 0.7"),
        ("temperature: warm", "c.yaml:2:14: `temperature` is no number from 0 to 2; write 0.7"),
        ("unsupported: ignore", "c.yaml:2:14: `unsupported` cannot be `ignore`"),
        ("temprature: 1", "c.yaml:2:1: unknown key `temprature`"),
        ("billing: card", "c.yaml:2:10: `billing` cannot be `card`"),
        ("resume: often", "c.yaml:2:9: `resume`"),
    ] {
        let told = wrong(&[("c.yaml", &format!("extends: ralph\n{line}\n"))]);
        assert!(told.len() == 1 && told[0].starts_with(said), "{told:?}");
    }
}

/// Servers are read, merged by name as a whole, and what is wrong is named; a project's type hands
/// over no key.
#[test]
fn tool_servers_are_read_and_merged() {
    let own =
        "extends: ralph\nmcp:\n  docs: {command: [docs, --stdio], env: [TOKEN], timeout: 5s}\n";
    let child = "extends: own\nmcp:\n  docs: {command: other}\n  web: {command: w, tools: [get]}\n";
    let types = good(&[("own.yaml", own), ("child.yaml", child)]);
    let docs = &types.get("own").unwrap().mcp["docs"];
    assert_eq!(docs.command, ["docs", "--stdio"]);
    assert_eq!(
        (&docs.env[..], &docs.tools, docs.timeout_ms),
        (&["TOKEN".into()][..], &None, 5_000)
    );
    let child = &types.get("child").unwrap().mcp;
    assert_eq!((&child["docs"].command[..], child["docs"].env.len()), (&["other".into()][..], 0));
    assert_eq!(child["web"].tools, Some(vec!["get".into()]));

    let project = Layer { of_project: true, ..layer(&[(".taskd/types/x.yaml", own)]) };
    let (types, problems) = load(&[project]);
    assert!(problems[0].to_string().starts_with(".taskd/types/x.yaml:3:"), "{problems:?}");
    assert!(problems[0].what.contains("your own loop types") && types.get("x").is_err());
    for (bad, says) in [
        ("mcp: [x]", "`mcp` is no map"),
        ("mcp: {a__b: {command: x}}", "`a__b` is no name of a tool server"),
        ("mcp: {a: {}}", "tool server `a` has no `command`"),
        ("mcp: {a: {command: []}}", "tool server `a` has no `command`"),
        ("mcp: {a: {url: 'http://x'}}", "`url` of `a` is not in this version"),
        ("mcp: {a: {command: x, args: [y]}}", "unknown key `args`"),
        ("mcp: {a: {command: x, timeout: 2h}}", "more than 10m"),
        ("mcpServers: {a: {command: x}}", "write `mcp`"),
    ] {
        let told = wrong(&[("x.yaml", &format!("extends: ralph\n{bad}\n"))]);
        assert!(told[0].contains(says), "{bad}: {told:?}");
    }
    let many: String = (0..9).map(|n| format!("  s{n}: {{command: x}}\n")).collect();
    let told = wrong(&[("x.yaml", &format!("extends: ralph\nmcp:\n{many}"))]);
    assert!(told[0].contains("names 9 servers; it may name 8"), "{told:?}");
}
