//! What is refused before anything is stored, in words that say where and what to do.

use super::*;

const SPEC: &str = "## spec a: Do it\n\nThe task.\n";

/// Proves T1.2b: a loop type that names a tool nobody has is refused, by file, line and tool.
#[test]
fn an_unknown_tool_in_a_loop_type() {
    let mut world = World::new();
    world.write(".taskd/types/wide.yaml", "extends: ralph\ntools: [read, teleport]\n");
    world.start();
    let said = refused(
        &world,
        &format!("---\nplan: X\nagent: 'true'\ngate: sh test.sh\ntype: wide\n---\n{SPEC}"),
    );
    assert_says(&said, ".taskd/types/wide.yaml:2:");
    assert_says(&said, "`teleport`");
    // It hurts nobody who does not use it.
    world.submit(&format!("---\nplan: Y\nagent: 'true'\ngate: sh test.sh\n---\n{SPEC}"));
}

/// Proves N21: an unknown loop type is refused with its name and what there is instead; no loop
/// begins.
#[test]
fn an_unknown_loop_type() {
    let mut world = World::new();
    world.start();
    let said = refused(
        &world,
        &format!("---\nplan: X\nagent: 'true'\ngate: sh test.sh\ntype: ralf\n---\n{SPEC}"),
    );
    assert_says(&said, "there is no loop type `ralf`; did you mean `ralph`?");
    assert!(world.view().loops.is_empty());
}

#[test]
fn a_broken_loop_type_says_file_and_line() {
    let mut world = World::new();
    world.write(".taskd/types/odd.yaml", "extends: ralph\nlimits:\n  iterations: many\n");
    world.write(".taskd/types/blind.yaml", "extends: ralph\nprompt: |\n  {{ spec.titel }}\n");
    world.start();
    for (name, place, word) in
        [("odd", "odd.yaml:3:", "`iterations`"), ("blind", "blind.yaml:3:", "`spec.titel`")]
    {
        let said = refused(
            &world,
            &format!("---\nplan: X\nagent: 'true'\ngate: sh test.sh\ntype: {name}\n---\n{SPEC}"),
        );
        assert_says(&said, &format!(".taskd/types/{place}"));
        assert_says(&said, word);
        // The plan file itself is all right.
        assert_says_nothing_of(&said, "refused.md:3:");
    }
}

#[test]
fn a_plan_without_a_gate_is_refused_with_a_proposal() {
    let mut world = World::new();
    world.write("Cargo.toml", "[package]\nname = 'x'\n");
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "a crate"]);
    world.start();
    let said = refused(&world, &format!("---\nplan: X\nagent: 'true'\n---\n{SPEC}"));
    assert_says(&said, "no gate is set");
    assert_says(&said, "--gate 'cargo test");
}

#[test]
fn an_agent_that_is_not_installed_is_refused_by_name() {
    let mut world = World::new();
    // Perhaps it is installed here.
    world.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    world.start();
    let said =
        refused(&world, &format!("---\nplan: X\nagent: codex\ngate: sh test.sh\n---\n{SPEC}"));
    assert_says(&said, "the agent `codex` is not installed: no `codex` on your PATH");
}

#[test]
fn a_model_that_cannot_be_had_is_refused_by_name() {
    let mut world = World::new();
    world.start();
    let gone = world.dir.path().join("gone.yaml");
    let broken = replies(&world, "broken.yaml", "loops:\n  a: [{turns: [{sya: x}]}]\n");
    for (model, word) in [
        (format!("scripted:{}", gone.display()), "gone.yaml"),
        (broken, "broken.yaml:2:"),
        ("nobody/knows-it".to_owned(), "nobody/knows-it"),
    ] {
        let plan = format!("---\nplan: X\nmodel: {model}\ngate: sh test.sh\n---\n{SPEC}");
        assert_says(&refused(&world, &plan), word);
    }
}
