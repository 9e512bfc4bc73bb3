//! A request becomes landed work: a plan that a person says yes to, specs that are divided into
//! phases, code. One scripted model plays everybody.

use taskd_model::{Doing, Status, View};

use crate::support::World;

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

/// The script: `loops` by name, each with its iterations; one alone is all of them.
fn script(world: &World, loops: &[(&str, Vec<String>)]) -> String {
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

fn done(view: &View, name: &str) -> bool {
    view.loops.values().any(|it| it.name == name && it.status == Status::Complete)
}

/// The whole way, with seven phases; the parts of it have tests of their own.
fn the_whole_way(world: &mut World) -> View {
    let code = |name: &str| writes(&format!("{name}.txt"), "x\n");
    let parts = ["lex", "trim", "split", "sum", "sort", "show"];
    let mut loops = vec![
        ("plan", vec![writes("taskd-plan.md", PLAN), nothing(), nothing()]),
        ("parse", vec![writes("taskd-spec.md", &phases(&parts[..3]))]),
        ("count", vec![writes("taskd-spec.md", &phases(&parts[3..]))]),
        ("docs", vec![code("docs")]),
    ];
    let names: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(n, it)| format!("{}.{it}", if n < 3 { "parse" } else { "count" }))
        .collect();
    for (name, part) in names.iter().zip(parts) {
        loops.push((name, vec![code(part)]));
    }
    let model = script(world, &loops);
    world.start();
    let said = world
        .taskd(&[
            "plan",
            "new",
            "count the words",
            "--model",
            &model,
            "--gate",
            "sh test.sh",
            "--land",
            "on-gate",
            "-d",
        ])
        .ok();
    assert!(said.contains("p1  count the words"), "{said}");
    world.until("the plan to wait for a person", |view| {
        view.loops.values().any(|it| it.name == "p1.plan" && it.doing == Doing::ReadyToLand)
    });
    world.view()
}

/// Proves N9, N10, T2.1x: x
#[test]
fn a_request_becomes_landed_work() {
    let mut world = World::new();
    let view = the_whole_way(&mut world);
    assert_eq!(view.loops.len(), 1, "nothing is worked on before a person says so");
    let ls = world.taskd(&["ls"]).ok();
    assert!(ls.contains("taskd-plan.md names 3 specs"), "{ls}");
    world.taskd(&["approve", "p1.plan"]).ok();
    let view =
        world.until("the plan to end", |view| view.plans.values().all(|it| it.ended_at.is_some()));
    println!("{}", world.transcript());
    assert!(done(&view, "p1.docs"), "{}", world.transcript());
    let landed = world.git(&["log", "--format=%s", "main"]);
    println!("{landed}");
    println!("{}", world.taskd(&["ls", "-a"]).ok());
}
