//! Plan files as people write them, right and wrong, and as no one should.

use proptest::prelude::*;

use super::*;

const FACES: &str = "\
---
plan: Rate limits for the public API
target: main
agent: claude                  # or  model: anthropic/claude-sonnet-4-5
gate: cargo test --workspace   # default: the project's
land: on-gate                  # never | ask | on-gate | pr
limits: {budget: $15, tokens: 2000000, time: 6h}
---
Every public endpoint must limit each API key. Integers only, no new crates.

## spec limiter: Token bucket per API key
accept: cargo test -p limit bucket
touches: crates/limit/**

Burst 20, refill 100 a minute. The clock is an argument. See docs/limits.md.

## spec headers: Tell clients what is left
needs: limiter
accept: cargo test -p api ratelimit_headers

Send `RateLimit-Limit`, `-Remaining`, `-Reset`; 429 carries `Retry-After`.

## spec docs: Document limits
needs: limiter, headers
agent: ./scripts/write-docs.sh
";

fn plan(name: &str, text: &str) -> PlanFile {
    match parse(name, text.as_bytes()) {
        Ok(Document::Plan(plan)) => *plan,
        other => panic!("no plan: {other:#?}"),
    }
}

fn wrong(name: &str, text: &str) -> Vec<String> {
    match parse(name, text.as_bytes()) {
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
        Ok(it) => panic!("nothing is wrong: {it:#?}"),
    }
}

fn warnings(text: &str) -> Vec<String> {
    plan("p.md", text).warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_plan_of_the_design_is_read() {
    let plan = plan("plans/limits.md", FACES);
    assert_eq!(plan.title, "Rate limits for the public API");
    assert_eq!(
        plan.context,
        "Every public endpoint must limit each API key. Integers only, no new crates."
    );
    let head = &plan.head;
    let claude = AgentDoc::Agent { run: "claude".into() };
    assert_eq!(head.agent, Some(At::new(claude, Pos::new(4, 8))));
    assert_eq!(head.target.as_ref().unwrap().value, "main");
    assert_eq!(head.gate.as_ref().unwrap().value.run, ["cargo test --workspace"]);
    assert_eq!(head.land.unwrap().value, LandPolicy::OnGate);
    assert_eq!(head.budget_micros.unwrap(), At::new(15_000_000, Pos::new(7, 18)));
    assert_eq!(head.tokens.unwrap().value, 2_000_000);
    assert_eq!(head.time_ms.unwrap().value, 6 * 3_600_000);
    assert_eq!((head.iterations, head.base_red_ok), (None, false));

    let ids: Vec<_> = plan.specs.iter().map(|it| it.id.value.as_str()).collect();
    assert_eq!(ids, ["limiter", "headers", "docs"]);
    let [limiter, headers, docs] = plan.specs.as_slice() else { panic!() };
    assert_eq!(limiter.id.at, Pos::new(11, 9));
    assert_eq!(limiter.title, "Token bucket per API key");
    assert_eq!(limiter.accept[0].value, "cargo test -p limit bucket");
    assert_eq!(limiter.touches[0], At::new("crates/limit/**".into(), Pos::new(13, 10)));
    assert!(limiter.text.starts_with("Burst 20") && limiter.text.ends_with("docs/limits.md."));
    assert_eq!(headers.needs, [At::new(0, Pos::new(18, 8))]);
    assert_eq!(docs.needs, [At::new(0, Pos::new(24, 8)), At::new(1, Pos::new(24, 17))]);
    assert_eq!(docs.text, "Document limits");
    assert_eq!(
        docs.agent.as_ref().unwrap().value,
        AgentDoc::Agent { run: "./scripts/write-docs.sh".into() }
    );
    assert!(plan.warnings.is_empty());
}

#[test]
fn line_ends_and_byte_order_mark_make_no_difference() {
    let windows = format!("\u{feff}{}", FACES.replace('\n', "\r\n"));
    assert_eq!(plan("a.md", FACES), plan("a.md", &windows));
}

#[test]
fn the_yaml_form_is_the_same_graph() {
    let yaml = "\
plan: Rate limits for the public API
target: main
agent: claude
gate: cargo test --workspace
land: on-gate
limits: {budget: $15, tokens: 2M, time: 6h}
context: |
  Every public endpoint must limit each API key. Integers only, no new crates.
specs:
  - id: limiter
    title: Token bucket per API key
    accept: cargo test -p limit bucket
    touches: [crates/limit/**]
    task: |
      Burst 20, refill 100 a minute. The clock is an argument. See docs/limits.md.
  - id: headers
    title: Tell clients what is left
    needs: [limiter]
    accept: [cargo test -p api ratelimit_headers]
    task: |

      Send `RateLimit-Limit`, `-Remaining`, `-Reset`; 429 carries `Retry-After`.
  - {id: docs, title: Document limits, needs: [limiter, headers], agent: ./scripts/write-docs.sh}
";
    assert_eq!(placeless(plan("a.yml", yaml)), placeless(plan("a.md", FACES)));
}

#[test]
fn every_problem_is_told_with_its_place() {
    let text = "\
---
paln: X
agent: claude
model: a/b
land: soon
land-unit: plan
limits: {budget: 15, tme: 6h, time: six}
conflict: loop(0)
base: green
priority: hgih
target: 'my branch'
---
## spec Limiter: T
needs: limitr
gate: x

## spec ok: T
Do it.

## spec ok: T
neds: ok
needs: ok2
agent: x
model: y
touches: ../x, src/**
accept:

## spec 7: T

## spec p3: T

## spec nothing

## spec empty:
";
    let expected = "\
p.md:2:1: unknown key `paln` in the front matter; did you mean `plan`?
p.md:4:1: both `agent` and `model` are given; keep exactly one of them
p.md:5:7: `land` cannot be `soon`; known: never, ask, on-gate, pr
p.md:6:12: `land-unit: plan` is not in this version; use spec
p.md:7:18: `budget` is a number without a unit; write `$15` or `$0.50`
p.md:7:22: unknown key `tme` in `limits`; did you mean `time`?
p.md:7:37: `time`: \"six\" is not a duration; write `90s`, `15m`, `6h`, `1h 30m` or `2d`
p.md:8:11: `conflict` cannot be `loop(0)`; write `loop(2)` or `block`
p.md:9:7: `base` cannot be `green`; known: red-ok
p.md:10:11: `priority` cannot be `hgih`; did you mean `high`?
p.md:11:9: `my branch` is no branch name; name the branch the work lands on, as `main`
p.md:13:9: `Limiter` is no spec id; use a-z, 0-9, - and _, begin with a letter or digit, at most 40 characters
p.md:14:8: there is no spec `limitr` in this plan; did you mean `Limiter`?
p.md:15:1: `gate` belongs to the plan, not to a spec; put it between the `---` lines at the top
p.md:18:1: `Do it.` is no setting; leave an empty line between the settings and the task
p.md:20:9: spec `ok` is there twice; the first is on line 17
p.md:21:1: unknown key `neds` in a spec; did you mean `needs`?
p.md:22:8: there is no spec `ok2` in this plan; did you mean `ok`?
p.md:24:1: both `agent` and `model` are given; keep exactly one of them
p.md:25:10: `../x` in `touches` leaves the repository; write globs from the repository's root, as `src/**`
p.md:26:8: `accept` is empty
p.md:28:9: spec id `7` looks like a run number (`p7.limiter.2` is run 2); use a word, as `limiter`
p.md:30:9: spec id `p3` looks like a plan number; use a word, or `part3`
p.md:32:1: this heading is no spec's; write `## spec <id>: <title>`; no other heading may begin with `## spec `
p.md:34:15: spec `empty` has no title; write `## spec <id>: <title>`
";
    let found: String = wrong("p.md", text).iter().map(|it| format!("{it}\n")).collect();
    assert_eq!(found, expected);
}

#[test]
fn cycles_are_named_once_each() {
    let text = "\
## spec free: T

## spec a: T
needs: c, free

## spec b: T
needs: free, a

## spec c: T
needs: b

## spec self: T
needs: self

## spec after: T
needs: a, self
";
    assert_eq!(
        wrong("p.md", text),
        [
            "p.md:4:8: needs go round in a circle: a needs c needs b needs a; take one of these \
             needs away",
            "p.md:13:8: needs go round in a circle: self needs self; take one of these needs away",
        ]
    );
}

#[test]
fn headings_in_fences_and_other_headings_are_text() {
    let text = "\
## spec a: T

# Heading
```md
## spec b: T
```
~~~~
```
## spec c: T
~~~
~~~~
## Spec d: T
### spec e: T
## specs in general
## spec-driven work
";
    let plan = plan("x/my.plan.md", text);
    assert_eq!(plan.specs.len(), 1);
    assert_eq!(plan.title, "my.plan");
    assert!(plan.specs[0].text.starts_with("# Heading\n```md\n## spec b: T\n"));
    assert!(plan.specs[0].text.ends_with("## spec-driven work"));
    let told: Vec<_> = plan.warnings.iter().map(|it| it.at.line).collect();
    assert_eq!(told, [5, 9, 12, 13]);
}

#[test]
fn a_fence_without_end_must_not_swallow_specs() {
    let text = "## spec a: T\n\n```sh\nls\n\n## spec b: T\n";
    assert_eq!(
        wrong("p.md", text),
        ["p.md:3:1: this code fence never ends, and there are specs after it; end it with a line \
          `````"]
    );
    assert_eq!(plan("p.md", "## spec a: T\n\n```sh\nls\n").specs[0].text, "```sh\nls");
}

#[test]
fn bodies_are_verbatim() {
    let text = "## spec a: T\naccept: true # yes\nneeds: b # not c\n\n\n   indented\n\nkey: value  \n\n\n\
                ## spec b: é: T\n\n\ttab";
    let plan = plan("p.md", text);
    assert_eq!(plan.specs[0].text, "   indented\n\nkey: value");
    assert_eq!(plan.specs[0].accept[0].value, "true # yes");
    assert_eq!(plan.specs[1].title, "é: T");
    assert_eq!(plan.specs[1].text, "\ttab");
}

#[test]
fn settings_after_an_empty_line_are_warned_about() {
    assert_eq!(
        warnings("## spec a: T\n\nagent: claude\n\nDo it.\n"),
        [
            "p.md:3:1: these settings come after an empty line and so are text; put them right below \
          the heading"
        ]
    );
}

#[test]
fn a_document_without_specs_is_a_request() {
    let text = "---\nagent: claude\n---\nMake it fast.\n";
    let Ok(Document::Request(request)) = parse("r.md", text.as_bytes()) else { panic!() };
    assert_eq!(request.text, "Make it fast.");
    assert!(request.head.agent.is_some());
    assert_eq!(
        wrong("r.yaml", "plan: x"),
        ["r.yaml:1:1: there is no `specs`; write a list: `- id: limiter`"]
    );
}

#[test]
fn unreadable_files_say_why() {
    let first = |bytes: &[u8]| parse("p.md", bytes).unwrap_err()[0].to_string();
    assert_eq!(
        first(b"ab\nc\xffd"),
        "p.md:2:2: not UTF-8: the byte at position 4; save the file as UTF-8"
    );
    assert_eq!(
        first(&vec![b'x'; MAX_PLAN_BYTES + 1]),
        "p.md:1:1: the file has 1048577 bytes; a plan may have 1048576"
    );
    assert!(first(b" \n").contains("empty"));
    assert_eq!(
        first(b"---\nplan: x\n## spec a: T\n"),
        "p.md:1:1: the front matter has no end; end it with a line `---`"
    );
    let many: String = (0..=MAX_SPECS).map(|n| format!("## spec s{n}: T\n\n")).collect();
    assert!(first(many.as_bytes()).contains("it may have 1000"));
    assert_eq!(plan("p.md", many.trim_end().rsplit_once("##").unwrap().0).specs.len(), MAX_SPECS);
    assert!(first(b"---\nplan: ''\n---\n## spec a: T\n").contains("`plan` is empty"));
}

#[test]
fn large_wrong_plans_are_answered_soon() {
    let commas = format!("## spec a: T\nneeds: {}\n", "b,".repeat(400_000));
    assert!(wrong("p.md", &commas).len() > 1);
    let empty = format!("## spec a: T\nneeds: {}\n", ",".repeat(900_000));
    assert!(wrong("p.md", &empty).len() > 1);
    let needs = "n,".repeat(400);
    let many: String =
        (0..MAX_SPECS).map(|n| format!("## spec s{n}: T\nneeds: {needs}x\n\n")).collect();
    assert_eq!(wrong("p.md", &many).len(), crate::problem::MAX_PROBLEMS + 1);
}

#[test]
fn yaml_problems_have_places_too() {
    let text = "plan: 12\nspecs:\n  - {id: a, titel: T}\n  - {id: b, title: T, needs: [c, b]}\n";
    assert_eq!(
        wrong("p.yaml", text),
        [
            "p.yaml:1:7: `plan` is a number, not text; put it in double quotes",
            "p.yaml:3:5: the spec has no `title`",
            "p.yaml:3:13: unknown key `titel` in a spec; did you mean `title`?",
            "p.yaml:4:31: there is no spec `c` in this plan; known: a, b",
            "p.yaml:4:34: needs go round in a circle: b needs b; take one of these needs away",
        ]
    );
}

/// The same plan as if every value stood at the top.
fn placeless(plan: PlanFile) -> PlanFile {
    fn top<T>(it: Option<At<T>>) -> Option<At<T>> {
        it.map(|it| At::new(it.value, Pos::new(1, 1)))
    }
    fn tops<T>(list: Vec<At<T>>) -> Vec<At<T>> {
        list.into_iter().map(|it| At::new(it.value, Pos::new(1, 1))).collect()
    }
    let head = plan.head;
    let head = PlanKeys {
        title: top(head.title),
        target: top(head.target),
        agent: top(head.agent),
        gate: top(head.gate),
        land: top(head.land),
        land_mode: top(head.land_mode),
        budget_micros: top(head.budget_micros),
        tokens: top(head.tokens),
        time_ms: top(head.time_ms),
        iterations: top(head.iterations),
        setup: top(head.setup),
        base_red_ok: head.base_red_ok,
        priority: top(head.priority),
        loop_type: top(head.loop_type),
        conflict: top(head.conflict),
    };
    let specs = plan.specs.into_iter().map(|it| PlanSpec {
        id: At::new(it.id.value, Pos::new(1, 1)),
        title: it.title,
        text: it.text,
        needs: tops(it.needs),
        accept: tops(it.accept),
        touches: tops(it.touches),
        agent: top(it.agent),
        loop_type: top(it.loop_type),
    });
    PlanFile { head, specs: specs.collect(), warnings: Vec::new(), ..plan }
}

/// What a generated plan is written from.
#[derive(Debug, Clone)]
struct Source {
    title: String,
    context: String,
    budget_cents: u64,
    specs: Vec<SpecSource>,
}

#[derive(Debug, Clone)]
struct SpecSource {
    title: String,
    lines: Vec<String>,
    accept: Vec<String>,
    needs: Vec<prop::sample::Index>,
}

fn line() -> impl Strategy<Value = String> {
    // One line of text without what begins a heading, a fence or ends in space.
    "[A-Za-z0-9.,:'\"{}%é&*!|>@-][A-Za-z0-9 .,:'\"{}%é&*!|>@-]{0,20}[A-Za-z0-9.é]"
        .prop_filter("no front matter", |it| !it.starts_with("---"))
}

fn source() -> impl Strategy<Value = Source> {
    let spec = (
        line(),
        prop::collection::vec(line(), 0..4),
        prop::collection::vec(line(), 0..3),
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    )
        .prop_map(|(title, lines, accept, needs)| SpecSource { title, lines, accept, needs });
    (line(), line(), 1..1_000_000_u64, prop::collection::vec(spec, 1..8)).prop_map(
        |(title, context, budget_cents, specs)| Source { title, context, budget_cents, specs },
    )
}

/// Ids of earlier specs, each once.
fn needs_of(source: &Source, place: usize) -> Vec<String> {
    let mut needs: Vec<usize> = match place {
        0 => Vec::new(),
        _ => source.specs[place].needs.iter().map(|it| it.index(place)).collect(),
    };
    needs.sort_unstable();
    needs.dedup();
    needs.into_iter().map(|it| format!("s-{it}")).collect()
}

fn as_markdown(source: &Source) -> String {
    let quoted = serde_json::to_string(&source.title).unwrap();
    let budget = taskd_model::format_micros(source.budget_cents * 10_000);
    let mut out = format!("---\nplan: {quoted}\nlimits: {{budget: {budget}}}\n---\n");
    out.push_str(&format!("{}\n\n", source.context));
    for (place, spec) in source.specs.iter().enumerate() {
        out.push_str(&format!("## spec s-{place}: {}\n", spec.title));
        let needs = needs_of(source, place);
        if !needs.is_empty() {
            out.push_str(&format!("needs: {}\n", needs.join(", ")));
        }
        out.extend(spec.accept.iter().map(|it| format!("accept: {it}\n")));
        out.push_str(&format!("\n{}\n\n", spec.lines.join("\n")));
    }
    out
}

/// JSON is YAML.
fn as_yaml(source: &Source) -> String {
    let specs: Vec<_> = source
        .specs
        .iter()
        .enumerate()
        .map(|(place, spec)| {
            let mut map = serde_json::json!({
                "id": format!("s-{place}"), "title": spec.title,
                "needs": needs_of(source, place), "accept": spec.accept,
            });
            if !spec.lines.is_empty() {
                map["task"] = spec.lines.join("\n").into();
            }
            map
        })
        .collect();
    let budget = taskd_model::format_micros(source.budget_cents * 10_000);
    serde_json::json!({
        "plan": source.title, "context": source.context, "limits": {"budget": budget},
        "specs": specs,
    })
    .to_string()
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _answer = (parse("p.md", &bytes), parse("p.yaml", &bytes));
    }

    #[test]
    fn any_text_of_plan_words_is_answered(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "---\n", "## spec ", "a", "b", ": ", "\n", "\n\n", "needs: ", "a, b", "agent: x\n",
                "```\n", "~~~", "limits: {", "}", "$5", "\t", "é", "\r\n", "[", "]", ",", "#",
                "specs:\n", "- id: a\n", "  title: T\n", "task: |\n",
            ]),
            0..60,
        ),
    ) {
        let text = words.concat();
        for name in ["p.md", "p.yaml"] {
            if let Err(problems) = parse(name, text.as_bytes()) {
                let lines = u32::try_from(text.lines().count().max(1)).unwrap() + 1;
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(|it| (1..=lines).contains(&it.at.line)));
            }
        }
    }

    #[test]
    fn a_generated_plan_is_read_back(source in source()) {
        let plan = placeless(plan("p.md", &as_markdown(&source)));
        prop_assert_eq!(&plan.title, &source.title);
        prop_assert_eq!(&plan.context, &source.context);
        prop_assert_eq!(plan.head.budget_micros.unwrap().value, source.budget_cents * 10_000);
        for (place, (read, spec)) in plan.specs.iter().zip(&source.specs).enumerate() {
            prop_assert_eq!(&read.title, &spec.title);
            let text = if spec.lines.is_empty() { spec.title.clone() } else { spec.lines.join("\n") };
            prop_assert_eq!(&read.text, &text);
            let accept: Vec<_> = read.accept.iter().map(|it| it.value.clone()).collect();
            prop_assert_eq!(&accept, &spec.accept);
            let needs: Vec<_> = read.needs.iter().map(|it| format!("s-{}", it.value)).collect();
            prop_assert_eq!(needs, needs_of(&source, place));
        }
        let form = parse("p.yaml", as_yaml(&source).as_bytes());
        prop_assert_eq!(form.map(|it| match it {
            Document::Plan(it) => Some(placeless(*it)),
            Document::Request(_) => None,
        }), Ok(Some(plan)));
    }
}
