//! How a model is asked to work: refused, left out and told, or sent.

use super::*;

const KEY: (&str, &str) = ("ANTHROPIC_API_KEY", SECRET);

fn typed(model: &str, loop_type: &str) -> String {
    plan(model, "Do it.").replace("land: never\n", &format!("land: never\ntype: {loop_type}\n"))
}

/// Proves MC-PROV-1: what a type sets and its model does not take is refused by file, key, model and
/// what to do; with `unsupported: drop` it is left out, told at submission and kept in the log.
#[test]
fn what_a_model_does_not_take_is_refused_or_told() {
    let mut world = World::new();
    world.write(".taskd/types/deep.yaml", "extends: ralph\nthinking: high\ntemperature: 0.5\n");
    world.write(".taskd/types/any.yaml", "extends: deep\nunsupported: drop\n");
    world.start();
    for (model, said) in [
        ("local/qwen3", &["local/qwen3: it takes no `thinking`"][..]),
        ("./agent.sh", &["`temperature`; ./agent.sh: an agent is set up by its own settings"]),
    ] {
        let worker = if model.starts_with('.') { "agent" } else { "model" };
        let text = typed(model, "deep").replace("model: ", &format!("{worker}: "));
        let file = world.aside("plan.md", &text);
        world.write("agent.sh", "true\n");
        let refused = world.taskd(&["plan", "check", &file]).fails(2);
        has(&refused, said);
        has(&refused, &[".taskd/types/deep.yaml sets `thinking`; "]);
        has(&refused, &["take `thinking` out of loop type deep, name another model, or write"]);
        has(&refused, &["`unsupported: drop` there"]);
    }
    assert!(world.view().plans.is_empty());

    let file = world.aside("plan.md", &typed("local/qwen3", "any"));
    let ran = world.taskd(&["plan", "check", &file]);
    let out = ran.err.clone();
    ran.ok();
    has(&out, &["warning", "any.yaml sets `thinking`", "`thinking` is left out"]);
    assert!(!out.contains("`temperature` is left out"), "{out}");
    world.submit(&typed("local/qwen3", "any"));
    has(&world.taskd(&["events"]).ok(), &["p1/0 is a, without `thinking`: A"]);
}

/// What a model takes is in the request, and the reply may be longer by what is thought.
#[test]
fn what_a_model_takes_is_sent() {
    let mut world = World::new();
    let provider = Provider::new();
    world.write(".taskd/types/deep.yaml", "extends: ralph\nthinking: low\n");
    world.start();
    world.env.insert(KEY.0.to_owned(), KEY.1.to_owned());
    world.env.insert("ANTHROPIC_BASE_URL".to_owned(), provider.url.clone());
    world.submit(&typed("anthropic/claude-haiku-4-5", "deep"));
    let sent = r#""max_tokens":12288,"thinking":{"type":"enabled","budget_tokens":4096},"#;
    has(&provider.request(), &[sent]);
}
