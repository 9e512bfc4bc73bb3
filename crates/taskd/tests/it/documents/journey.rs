//! The whole way from one line to landed work, with what happens to people on it: a question, a yes, a
//! result that one loop tells another, and a loop that gets nowhere.

use super::*;
use crate::inbox::until_asked;

/// What a plan names: specs with their phases; one without phases is coded as it is.
type Specs<'a> = &'a [(&'a str, &'a [&'a str])];

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
struct Made {
    /// Titles of what landed, in order.
    landed: Vec<String>,
    loops: usize,
    /// Times the plan was written or looked through.
    plan_iterations: u32,
    /// Times a person was needed, by what for.
    words: [usize; 3],
}

/// The plan: each spec needs the one before.
fn plan_of(specs: Specs<'_>) -> String {
    let mut text =
        "## Summary\nWords are counted.\n\n## Goals\nCounting.\n\n## Not goals\nMore.\n\n\
        ## Risks\nNone.\n\n"
            .to_owned();
    for (n, (id, phases)) in specs.iter().enumerate() {
        let needs =
            n.checked_sub(1).map_or_else(String::new, |it| format!("needs: {}\n", specs[it].0));
        let coded = if phases.is_empty() { "type: ralph\n" } else { "" };
        text.push_str(&format!(
            "## spec {id}: The {id} of it\n{needs}{coded}\nWrite {id}.txt.\n\n"
        ));
    }
    text
}

/// Turns of one iteration.
fn turns(turns: &[String]) -> String {
    format!("{{turns: [{}]}}", turns.join(", "))
}

fn write(path: &str, content: &str) -> String {
    format!(
        "{{write: {{path: {path}, content: {}}}}}",
        serde_json::to_string(content).expect("text")
    )
}

fn script_of(world: &World, specs: Specs<'_>, malformed: bool) -> String {
    let finish = "{finish: {summary: done}}";
    let ask = "{tools: [{ask: {question: 'Which words count?', choices: [all, long]}}]}".to_owned();
    let plan = plan_of(specs);
    let without_risks = plan.replace("## Risks\nNone.\n\n", "");
    let first = if malformed { &without_risks } else { &plan };
    let draft = format!("{{tools: [{}, {finish}]}}", write("taskd-plan.md", first));
    let mut of_plan = vec![turns(&[ask, draft])];
    if malformed {
        of_plan.push(rewrites("taskd-plan.md", &plan));
    }
    of_plan.extend([nothing(), nothing()]);
    let mut loops = vec![("plan".to_owned(), of_plan)];
    let stuck = specs.last().expect("some").0;
    for (id, ids) in specs.iter().filter(|it| !it.1.is_empty()) {
        loops.push(((*id).to_owned(), vec![writes("taskd-spec.md", &phases(ids))]));
        for (n, phase) in ids.iter().enumerate() {
            let share = format!(
                "{{share: {{to: {stuck}, text: 'Words are one a line, says {id}.{phase}.'}}}}"
            );
            let mut tools = vec![write(&format!("{phase}.txt"), "x\n"), finish.to_owned()];
            if (*id, n) == (specs[0].0, 0) {
                tools.insert(0, share);
            }
            let turn = format!("{{tools: [{}]}}", tools.join(", "));
            loops.push((format!("{id}.{phase}"), vec![turns(&[turn])]));
        }
    }
    // It breaks the gate, sees nothing wrong twice, and mends it when a person says what it is.
    let breaks = format!("{{tools: [{}, {finish}]}}", write("bad.txt", "x\n"));
    let rm = "{run: {command: rm bad.txt}}";
    let mends = format!("{{tools: [{rm}, {}, {finish}]}}", write(&format!("{stuck}.txt"), "x\n"));
    let of_stuck = vec![turns(&[breaks]), nothing(), nothing(), turns(&[mends])];
    loops.push((stuck.to_owned(), of_stuck));
    script(world, &loops)
}

/// Goes the way, and says what came of it.
fn journey(specs: Specs<'_>, malformed: bool) -> Made {
    let mut world = wordy();
    let model = script_of(&world, specs, malformed);
    world.start();
    let how = ["--model", &model, "--gate", "sh test.sh", "--land", "on-gate", "-d"];
    world.taskd(&[&["plan", "new", "count the words"][..], &how].concat()).ok();
    let asked = until_asked(&world, "p1.plan");
    let inbox = world.taskd(&["inbox"]).ok();
    assert!(inbox.contains("Which words count?"), "{inbox}");
    world.taskd(&["answer", &asked, "all", "but", "the", "short"]).ok();
    world.until("the plan to wait for a person", |view| {
        view.loops.values().any(|it| it.name == "p1.plan" && it.doing == Doing::ReadyToLand)
    });
    world.taskd(&["approve", "p1.plan"]).ok();
    let stuck = format!("p1.{}", specs.last().expect("some").0);
    let it = world.until_status(&stuck, &[Status::Blocked, Status::Complete, Status::Failed]);
    assert_eq!(it.reason, Some(Reason::NoProgress(3)), "{}", world.transcript());
    world.taskd(&["steer", &stuck, "bad.txt must go"]).ok();
    world.taskd(&["resume", &stuck]).ok();
    assert_eq!(world.taskd(&["wait", "p1"]).code, 0, "{}", world.transcript());
    let told = prompts(&world, &stuck);
    let shared = format!("Words are one a line, says {}.{}.", specs[0].0, specs[0].1[0]);
    assert!(told[0].contains(&shared), "what was found out before it began: {}", told[0]);
    assert!(told.last().expect("some").contains("bad.txt must go"));
    let of_plan = prompts(&world, "p1.plan");
    assert!(of_plan[1].contains("all but the short"), "{}", of_plan[1]);
    if malformed {
        assert!(of_plan[2].contains("there is no section `## Risks`"), "{}", of_plan[2]);
    }
    let events = world.events();
    let count = |is: &dyn Fn(&Event) -> bool| events.iter().filter(|it| is(&it.event)).count();
    let words = [
        count(&|it| matches!(it, Event::Approved)),
        count(&|it| matches!(it, Event::QuestionAnswered { .. })),
        count(&|it| matches!(it, Event::ResumeAsked)),
    ];
    let landed = world.git(&["log", "--format=%s", "--reverse", "main"]);
    let landed = landed.lines().skip(2).map(str::to_owned).collect();
    let view = world.view();
    let plan_iterations =
        view.loops.values().find(|it| it.name == "p1.plan").expect("it").iteration;
    Made { landed, loops: view.loops.len(), plan_iterations, words }
}

/// What lands for these specs.
fn titles(specs: Specs<'_>) -> Vec<String> {
    let of = |(id, phases): &(&str, &[&str])| -> Vec<String> {
        if phases.is_empty() {
            return vec![format!("{id}: The {id} of it")];
        }
        phases.iter().map(|it| format!("{id}.{it}: The {it} of it")).collect()
    };
    specs.iter().flat_map(of).collect()
}

/// Proves JO-1: one line becomes three specs in seven phases, landed, with one question
/// answered, one yes, one result told to a loop that had not begun, and one loop that got nowhere until
/// a person said what was wrong.
#[test]
fn one_line_becomes_a_feature_of_seven_phases() {
    let specs: Specs<'_> = &[
        ("parse", &["lex", "trim", "split"]),
        ("count", &["sum", "sort", "show", "test"]),
        ("docs", &[]),
    ];
    let made = journey(specs, false);
    let expected = Made { landed: titles(specs), loops: 11, plan_iterations: 3, words: [1, 1, 1] };
    assert_eq!(made, expected);
}

/// Proves JO-2: with other specs in another order, and a first plan that lacks a section, the same way
/// has one iteration more and lands what that plan names.
#[test]
fn another_plan_and_a_wrong_draft_differ_as_told() {
    let specs: Specs<'_> = &[("count", &["sum", "sort"]), ("parse", &["lex"]), ("notes", &[])];
    let made = journey(specs, true);
    let expected = Made { landed: titles(specs), loops: 7, plan_iterations: 4, words: [1, 1, 1] };
    assert_eq!(made, expected);
}
