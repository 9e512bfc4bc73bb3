//! A loop type that names several models: the second works while the first cannot.

use taskd_model::ChangeCause;

use super::*;

const TYPE: &str = "extends: ralph\nmodel: anthropic/claude-sonnet-4-5\nfallback: [local/qwen]\n";

fn world_with_two(anthropic: &Provider, local: &Provider) -> World {
    let mut world = World::new();
    world.write(".taskd/types/careful.yaml", TYPE);
    world.start();
    with_key(&mut world, anthropic, KEY);
    world.env.insert("TASKD_LOCAL_URL".to_owned(), format!("{}/v1", local.url()));
    world
}

const PLAN: &str = "---\nplan: Two\ntype: careful\ngate: sh test.sh\nland: never\n---\n\n\
    ## spec a: A\n\nWrite b.txt.\n";

/// The changes of model, as the log has them.
fn changes(world: &World) -> Vec<(String, String, ChangeCause, Option<u32>)> {
    let change = |it: Record| {
        let Event::ModelChanged { from, to, cause, gives_up } = it.event else { return None };
        Some((from, to, cause, gives_up))
    };
    world.events().into_iter().filter_map(change).collect()
}

/// Proves P-13, MC-PROV-7: a quota of hours sends the loop to its second model, in a fresh iteration
/// that is counted once; the log says from what to what and why, and who answered is who is paid.
#[test]
fn a_used_up_quota_sends_it_to_the_second_model() {
    let anthropic =
        Provider::new(|_| Answer::Plain(429, header("retry-after", "7200"), String::new()));
    let local = Provider::new(|_| work());
    let world = world_with_two(&anthropic, &local);
    let plan = world.aside("two.md", PLAN);
    let said = world.taskd(&["plan", "submit", &plan]).ok();
    has(&said, &["anthropic/claude-sonnet-4-5", "local/qwen"]);
    let it = over(&world);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    assert_eq!((anthropic.seen().len(), local.seen().len()), (1, 1));
    let [(from, to, cause, gives_up)] = &changes(&world)[..] else { panic!("one change") };
    assert_eq!((from.as_str(), to.as_str()), ("anthropic/claude-sonnet-4-5", "local/qwen"));
    assert!(matches!(cause, ChangeCause::Window { .. }), "{cause:?}");
    assert_eq!(*gives_up, Some(1));
    let costs = world.taskd(&["costs", "--by", "model", "--json"]).ok();
    assert!(costs.contains("local/qwen") && !costs.contains("sonnet"), "{costs}");
    let shown = world.taskd(&["show", "p1.a"]).ok();
    has(&shown, &["local/qwen", "instead of anthropic/claude"]);
    has(&world.taskd(&["events"]).ok(), &["calls local/qwen instead of anthropic"]);
}

/// Proves P-13: a refusal for a minute is no reason to change, however many models there are.
#[test]
fn a_rate_limit_is_no_reason_to_change() {
    let anthropic = Provider::new(|seen| match seen.n {
        0 => Answer::Plain(429, header("retry-after", "1"), String::new()),
        _ => work(),
    });
    let local = Provider::new(|_| work());
    let world = world_with_two(&anthropic, &local);
    world.submit(PLAN);
    assert_eq!(over(&world).status, Status::Complete, "{}", world.transcript());
    assert_eq!((anthropic.seen().len(), local.seen().len()), (2, 0));
    assert!(changes(&world).is_empty());
}

/// A fallback that cannot be called is refused when the plan is submitted, with the file that names
/// it.
#[test]
fn a_fallback_without_a_credential_is_refused() {
    let anthropic = Provider::new(|_| work());
    let local = Provider::new(|_| work());
    let world = world_with_two(&anthropic, &local);
    world.write(".taskd/types/careful.yaml", &TYPE.replace("local/qwen", "openai/gpt-5"));
    let plan = world.aside("two.md", PLAN);
    let refused = world.taskd(&["plan", "submit", &plan]).fails(2);
    has(&refused, &[".taskd/types/careful.yaml: fallback openai/gpt-5", "OPENAI_API_KEY"]);
    assert!(world.view().plans.is_empty());
}
