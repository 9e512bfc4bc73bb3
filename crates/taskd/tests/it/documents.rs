//! A request becomes landed work: a plan that a person says yes to, specs that are divided into
//! phases, code. One scripted model plays everybody.

mod again;
mod journey;

use taskd_model::{Doing, Event, Outcome, Reason, Record, Status};

use crate::{loops::large_blob, support::World};

/// A plan of three specs: two are divided into phases, one is small.
const PLAN: &str = "## Summary\nWords are counted.\n\n## Goals\nCounting.\n\n## Not goals\nMore.\n\n\
    ## Risks\nNone.\n\n\
    ## spec parse: Split into words\n\nSplit the input.\n\n\
    ## spec count: Count the words\nneeds: parse\n\nCount them.\n\n\
    ## spec docs: Say how it is used\nneeds: parse, count\ntype: ralph\n\nWrite docs.txt.\n";

/// A document of phases, in their order.
fn phases(ids: &[&str]) -> String {
    let phase = |id: &&str| format!("## phase {id}: The {id} of it\n\nWrite {id}.txt.\n\n");
    format!("## Summary\nBit by bit.\n\n{}", ids.iter().map(phase).collect::<String>())
}

/// A turn that writes a file.
fn writes(path: &str, content: &str) -> String {
    let content = serde_json::to_string(content).expect("text");
    format!(
        "{{turns: [{{tools: [{{write: {{path: {path}, content: {content}}}}}, {{finish: {{summary: done}}}}]}}]}}"
    )
}

/// The same of a file that is there: whoever replaces it has read it.
fn rewrites(path: &str, content: &str) -> String {
    let read = format!("turns: [{{tools: [{{read: {{path: {path}}}}}]}}, ");
    writes(path, content).replacen("turns: [", &read, 1)
}

/// The script: `loops` by name, each with its iterations; one alone is all of them.
fn script(world: &World, loops: &[(String, Vec<String>)]) -> String {
    let mut text = "loops:\n".to_owned();
    for (name, iterations) in loops {
        text.push_str(&format!("  {name}:\n"));
        for (n, it) in (1..).zip(iterations) {
            let numbered = it.replacen('{', &format!("{{iteration: {n}, "), 1);
            let it = if iterations.len() == 1 { it } else { &numbered };
            text.push_str(&format!("    - {it}\n"));
        }
    }
    text.push_str("default: {say: nothing to do}\n");
    format!("scripted:{}", world.aside("script.yaml", &text))
}

/// What is left unchanged in a review.
fn nothing() -> String {
    "{turns: [{say: it is right}]}".to_owned()
}

/// A world whose prompts are so long that each is a file, which a test can read.
fn wordy() -> World {
    let world = World::new();
    world.write("AGENTS.md", &"A line of advice that says nothing.\n".repeat(2_000));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "advice"]);
    world
}

/// Submits a request and waits until its plan waits for a person.
fn plan_new(world: &World, model: &str) {
    let how = ["--gate", "sh test.sh", "--land", "on-gate", "-d"];
    let args = [&["plan", "new", "count the words", "--model", model][..], &how].concat();
    let said = world.taskd(&args).ok();
    assert!(said.contains("p1  count the words"), "{said}");
    world.until("the plan to wait for a person", |view| {
        view.loops.values().any(|it| it.name == "p1.plan" && it.doing == Doing::ReadyToLand)
    });
}

/// The script of the whole way, with seven phases and a part of its own.
fn whole(world: &World) -> String {
    let code = |name: &str| writes(&format!("{name}.txt"), "x\n");
    let parse = ["lex", "trim", "split"];
    let count = ["sum", "sort", "show", "test"];
    let mut loops = vec![
        ("plan".to_owned(), vec![writes("taskd-plan.md", PLAN), nothing(), nothing()]),
        ("parse".to_owned(), vec![writes("taskd-spec.md", &phases(&parse))]),
        ("count".to_owned(), vec![writes("taskd-spec.md", &phases(&count))]),
        ("docs".to_owned(), vec![code("docs")]),
    ];
    loops.extend(parse.iter().map(|it| (format!("parse.{it}"), vec![code(it)])));
    loops.extend(count.iter().map(|it| (format!("count.{it}"), vec![code(it)])));
    script(world, &loops)
}

/// The prompts a loop was sent, in order.
fn prompts(world: &World, name: &str) -> Vec<String> {
    let view = world.view();
    let id = view.loops.values().find(|it| it.name == name).expect("there is such a loop").id;
    let composed = |it: Record| {
        let Event::EffectEnded { outcome: Outcome::Composed { request, .. }, .. } = it.event else {
            return None;
        };
        (it.loop_id == Some(id)).then(|| large_blob(world, &request.to_string()))
    };
    world.events().into_iter().filter_map(composed).collect()
}

/// Proves N9, N10, PL-1, PL-20: a request is planned, looked through until two times change nothing,
/// approved, divided into seven phases of two specs and a small third, each coded and landed in order;
/// who codes is told what stands in the documents above, whose worktrees are gone.
#[test]
fn a_request_becomes_landed_work() {
    let mut world = wordy();
    let model = whole(&world);
    world.start();
    plan_new(&world, &model);
    let view = world.view();
    assert_eq!(view.loops.len(), 1, "nothing is worked on before a person says so");
    assert_eq!(view.loops.values().next().map(|it| it.iteration), Some(3), "a draft, two reviews");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("your word: taskd-plan.md names 3 specs"), "{ls}");
    let shown = world.taskd(&["show", "p1"]).ok();
    assert!(shown.contains("p1.plan needs you") && !shown.contains("0 of 0"), "{shown}");
    let said = world.taskd(&["approve", "p1.plan"]).ok();
    assert_eq!(said, "p1.plan  will be taken apart: what it names is worked on\n");
    let waited = world.taskd(&["wait", "p1"]);
    assert_eq!(waited.code, 0, "{}", world.transcript());
    let landed = world.git(&["log", "--format=%s", "--reverse", "main"]);
    let titles = ["lex", "trim", "split", "sum", "sort", "show", "test"];
    let of = |n: usize| if n < 3 { "parse" } else { "count" };
    let mut wanted = vec!["first".to_owned(), "advice".to_owned()];
    wanted
        .extend(titles.iter().enumerate().map(|(n, it)| format!("{}.{it}: The {it} of it", of(n))));
    wanted.push("docs: Say how it is used".to_owned());
    assert_eq!(landed.lines().collect::<Vec<_>>(), wanted, "{}", world.transcript());
    let ls = world.taskd(&["ls", "-a"]).ok();
    assert!(ls.contains("landed 8 today"), "{ls}");
    assert!(ls.contains("named 3 specs") && ls.contains("named 4 phases"), "{ls}");
    tree(&world);
    let prompts = prompts(&world, "p1.parse.trim");
    for said in ["Words are counted.", "Bit by bit.", "Write trim.txt."] {
        assert!(prompts[0].contains(said), "{}", prompts[0]);
    }
    assert!(!prompts[0].contains("Write lex.txt."), "what is its sibling's is not its own");
}

/// The picture of what came of the request, in 80 columns, and the same for programs.
fn tree(world: &World) {
    assert_eq!(world.taskd(&["ls", "--tree"]).ok(), "no plan is open.  ls --tree -a: all\n");
    let tree = world.taskd(&["ls", "--tree", "-a"]).ok();
    let landed = |it: &str| {
        let commit = world.row(it).landed.expect("it landed").commit;
        commit.short().to_string()
    };
    let mut wanted = vec![
        "PLAN               TYPE   STATE                           COST".to_owned(),
        "p1                        count the words: 8 of 8 landed    $0".to_owned(),
        "  p1.plan          plan   done: named 3 specs               $0".to_owned(),
    ];
    let mut add = |depth: usize, name: &str, kind: &str, state: String| {
        let name = format!("{}{name}", "  ".repeat(depth));
        wanted.push(format!("{name:<17}  {kind:<5}  {state:<30}    $0"));
    };
    for (name, phases) in
        [("parse", &["lex", "trim", "split"][..]), ("count", &["sum", "sort", "show", "test"])]
    {
        add(2, &format!("p1.{name}"), "spec", format!("done: named {} phases", phases.len()));
        for it in phases {
            let name = format!("p1.{name}.{it}");
            add(3, &name, "ralph", format!("done: landed {}", landed(&name)));
        }
    }
    add(2, "p1.docs", "ralph", format!("done: landed {}", landed("p1.docs")));
    let words = |it: &str| it.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = |it: &str| words(it.trim_end().trim_end_matches(['$', '.', '0']));
    let indent = |it: &str| it.len() - it.trim_start().len();
    assert_eq!(tree.lines().count(), wanted.len(), "{tree}");
    for (line, wanted) in tree.lines().zip(&wanted) {
        assert!(line.chars().count() <= 80, "{line}");
        assert_eq!((indent(line), plain(line)), (indent(wanted), plain(wanted)), "{tree}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&world.taskd(&["ls", "--json"]).ok()).expect("JSON");
    let of = |name: &str| {
        let loops = json["loops"].as_array().expect("loops");
        loops.iter().find(|it| it["name"] == name).expect("it is there").clone()
    };
    assert_eq!(of("p1.plan")["document"]["children"], 3);
    assert_eq!(of("p1.plan")["document"]["unit"], "spec");
    assert_eq!(of("p1.parse")["parent"], "p1.plan");
    assert_eq!(of("p1.parse")["document"]["unit"], "phase");
    assert_eq!(
        (&of("p1.parse.lex")["parent"], &of("p1.parse.lex")["type"]),
        (&"p1.parse".into(), &"ralph".into())
    );
}

/// Proves N11, P-21, PL-2, PL-4: a document that is not there, changes other files, lacks a section, says what is
/// for people to say or names nothing is never right, whatever the loop claims; after one repair that
/// does not help a person is asked, and told what is wrong.
#[test]
fn a_wrong_document_is_repaired_once_and_then_a_person_is_asked() {
    let mut world = wordy();
    let bad = "---\nland: never\n---\n## Summary\nIt.\n\n## phase a: One\nneeds: b\n\nx\n\n## phase b: Two\nagent: ./x.sh\n\ny\n";
    let plan = PLAN.replace("type: ralph\n", "");
    let loops = [
        ("plan".to_owned(), vec![writes("taskd-plan.md", &plan), nothing(), nothing()]),
        ("parse".to_owned(), vec![writes("other.txt", "x\n"), writes("taskd-spec.md", bad)]),
    ];
    let model = script(&world, &loops);
    world.start();
    plan_new(&world, &model);
    world.taskd(&["approve", "p1.plan"]).ok();
    let it = world.until_status("p1.parse", &[Status::Blocked, Status::Complete]);
    assert_eq!(it.reason, Some(Reason::Malformed), "{}", world.transcript());
    assert_eq!(it.iteration, 2);
    let told = prompts(&world, "p1.parse");
    for said in [
        "only taskd-spec.md may change; take back what was done to other.txt",
        "there is no taskd-spec.md",
    ] {
        assert!(told[1].contains(said), "the repair is told: {}", told[1]);
    }
    let second = world.taskd(&["logs", "p1.parse"]).ok();
    for said in [
        "the front matter may set `plan` alone",
        "who works on `b` is for people to say",
        "line 7: a phase has no `needs`",
    ] {
        assert!(second.contains(said), "{said}: {second}");
    }
    assert_eq!(world.view().loops.len(), 4, "it has named nothing");
}

/// Proves PL-3: a plan that a person sends back is written anew with the note, and reviewed anew.
#[test]
fn a_plan_is_sent_back_with_a_note() {
    let mut world = wordy();
    let small = PLAN.replace("type: ralph\n", "").replace("\n\nSplit", "\ntype: ralph\n\nSplit");
    let only = small.split("## spec count").next().expect("text").to_owned();
    let loops = [
        (
            "plan".to_owned(),
            vec![
                writes("taskd-plan.md", PLAN),
                nothing(),
                nothing(),
                rewrites("taskd-plan.md", &only),
                nothing(),
                nothing(),
            ],
        ),
        ("parse".to_owned(), vec![writes("parse.txt", "x\n")]),
    ];
    let model = script(&world, &loops);
    world.start();
    plan_new(&world, &model);
    world.taskd(&["reject", "p1.plan", "-m", "only the parser, please"]).ok();
    world.until("the plan to wait for a person again", |view| {
        view.loops.values().any(|it| it.iteration == 6 && it.doing == Doing::ReadyToLand)
    });
    let told = prompts(&world, "p1.plan");
    assert!(told[3].contains("only the parser, please"), "{}", told[3]);
    world.taskd(&["approve", "p1.plan"]).ok();
    let waited = world.taskd(&["wait", "p1"]);
    assert_eq!(waited.code, 0, "{}", world.transcript());
    let landed = world.git(&["log", "--format=%s", "main"]);
    assert_eq!(landed.trim_end(), "parse: Split into words\nadvice\nfirst");
}

/// Proves PL-5: a document without `## spec` is a request: `plan submit` has a plan written for it.
#[test]
fn a_document_without_specs_is_a_request() {
    let mut world = World::new();
    let model = whole(&world);
    world.start();
    world.submit(&format!("---\nmodel: {model}\ngate: sh test.sh\n---\nCount the words.\n"));
    world.until("the plan to wait for a person", |view| {
        view.loops.values().any(|it| it.name == "p1.plan" && it.doing == Doing::ReadyToLand)
    });
}

/// Proves PL-6: a document whose form is right passes only if its type's own command says so; what
/// that printed is told to the repair.
#[test]
fn a_type_asks_a_command_of_its_own_about_its_documents() {
    let mut world = wordy();
    let check = "grep -q split taskd-spec.md || { echo the phase split is missing; exit 1; }";
    world.write(".taskd/types/checked.yaml", &format!("extends: spec\ngate: {{run: '{check}'}}\n"));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a type"]);
    let plan = PLAN.replace("\n\nSplit", "\ntype: checked\n\nSplit");
    let plan = plan.split("## spec count").next().expect("text").to_owned();
    let code = |name: &str| writes(&format!("{name}.txt"), "x\n");
    let loops = [
        ("plan".to_owned(), vec![writes("taskd-plan.md", &plan), nothing(), nothing()]),
        (
            "parse".to_owned(),
            vec![
                writes("taskd-spec.md", &phases(&["lex"])),
                rewrites("taskd-spec.md", &phases(&["lex", "split"])),
            ],
        ),
        ("parse.lex".to_owned(), vec![code("lex")]),
        ("parse.split".to_owned(), vec![code("split")]),
    ];
    let model = script(&world, &loops);
    world.start();
    plan_new(&world, &model);
    world.taskd(&["approve", "p1.plan"]).ok();
    assert_eq!(world.taskd(&["wait", "p1"]).code, 0, "{}", world.transcript());
    let told = prompts(&world, "p1.parse");
    assert_eq!(world.row("p1.parse").iteration, 2, "a draft and one repair");
    assert!(told[1].contains("the phase split is missing"), "{}", told[1]);
    let landed = world.git(&["log", "--format=%s", "main"]);
    assert!(landed.starts_with("parse.split: The split of it\nparse.lex:"), "{landed}");
}
