//! Prompts as agents and models get them.

use std::collections::BTreeMap;

use taskd_model::{
    InputValue, Message, Part, Reply, Role, StopReason, ToolResultDoc, TypeDoc, Verdict, decode_doc,
};

use super::*;
use crate::loop_type;

mod fit;

struct Stage {
    plan: PlanDoc,
    spec: SpecDoc,
    gate: GateDoc,
    last: Option<GateSaid>,
    history: Vec<IterationNote>,
    messages: Vec<Note>,
    conflicts: Vec<String>,
    instructions: Option<String>,
}

impl Stage {
    fn new(agent: AgentDoc) -> Self {
        let (types, _) = loop_type::load(&[]);
        let loop_type = types.get("ralph").unwrap().clone();
        Self {
            plan: PlanDoc { title: "Limits".into(), root: "/r".into(), ..PlanDoc::default() },
            spec: SpecDoc {
                above: Vec::new(),
                name: "limiter".into(),
                title: "Token bucket per API key".into(),
                text: "Burst 20, refill 100 a minute.".into(),
                accept: vec!["cargo test -p limit bucket".into()],
                touches: Vec::new(),
                loop_type,
                inputs: BTreeMap::new(),
                agent,
                session: None,
                paid_by: None,
                reader_paid_by: None,
            },
            gate: GateDoc { run: vec!["cargo test".into()], ..GateDoc::default() },
            last: None,
            history: Vec::new(),
            messages: Vec::new(),
            conflicts: Vec::new(),
            instructions: None,
        }
    }

    fn with_prompt(mut self, text: &str) -> Self {
        let prompt = TemplateDoc { text: text.into(), file: "t.yaml".into(), line: 5 };
        self.spec.loop_type = TypeDoc { prompt, ..TypeDoc::default() };
        self
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            plan: &self.plan,
            spec: &self.spec,
            gate: &self.gate,
            iteration: 2,
            max_iterations: 10,
            last: self.last.as_ref(),
            history: &self.history,
            messages: &self.messages,
            needs: &[],
            conflicts: &self.conflicts,
            reviewed: 0,
            instructions: self.instructions.as_deref(),
        }
    }

    fn text(&self) -> Result<String, PromptError> {
        match compose(&self.scene(), &Conversation::default())?.prompt {
            Prompt::Text(text) => Ok(text),
            Prompt::Request(it) => panic!("a request: {it:?}"),
        }
    }

    fn request(&self, conversation: &Conversation<'_>) -> Request {
        match compose(&self.scene(), conversation).unwrap().prompt {
            Prompt::Request(request) => *request,
            Prompt::Text(it) => panic!("a text: {it}"),
        }
    }
}

fn claude() -> AgentDoc {
    AgentDoc::Agent { run: "claude".into() }
}

fn model() -> AgentDoc {
    AgentDoc::Model { name: "scripted/x".into() }
}

#[test]
fn the_first_prompt_of_ralph_says_what_is_asked_and_how_it_is_judged() {
    let expected = "\
# Token bucket per API key

Burst 20, refill 100 a minute.

## How this is judged

This is iteration 2 of 10. When you end, the daemon runs what
follows itself, on exactly the files you leave. Saying that you are done decides nothing.

- the gate: `cargo test`
- red before the work, green after it: `cargo test -p limit bucket`
- the tree must differ from its base and hold no conflict markers

Run these commands yourself before you end, the narrowest first.

Do not commit, switch branches, stash or rebase: the daemon does that. Leave no scratch files.
End with one line on what changed and what is left.";
    assert_eq!(Stage::new(claude()).text().unwrap(), expected);
}

#[test]
fn later_prompts_hold_everything_that_happened() {
    let mut stage = Stage::new(claude());
    stage.plan.context = "Integers only.".into();
    stage.spec.touches = vec!["crates/limit/**".into(), "docs/**".into()];
    stage.gate.protect = vec![".github/**".into()];
    stage.last = Some(GateSaid {
        findings: "limit::refill FAILED\n\n".into(),
        summary: "red, 2 of 219 failed".into(),
    });
    stage.history = vec![IterationNote {
        n: 1,
        verdict: Verdict::Red,
        summary: "2 of 219: limit::refill, +1".into(),
        log: None,
    }];
    stage.messages = vec![Note {
        from: "ann".into(),
        text: "No {{ floats }}!".into(),
        rejects: false,
        of_loop: false,
    }];
    stage.conflicts = vec!["src/bill.rs".into()];
    let text = stage.text().unwrap();
    let expected = "\
# Token bucket per API key

Burst 20, refill 100 a minute.

## The plan this is part of: Limits

Integers only.

Expected to stay in: crates/limit/**, docs/**

## From the person who asked; newer than the task, so it wins over it

ann: No {{ floats }}!

## First: solve the conflicts

The target branch moved and your work was merged onto it. These files hold conflict markers:

- src/bill.rs

From `<<<<<<< taskd main` to `|||||||` is what the target has now, from there to `=======` what
both began with, from there to `>>>>>>>` your own earlier work. Keep the intent of both sides and
remove every marker: a tree with one of them never passes.

## What the gate said last: red, 2 of 219 failed

```text
limit::refill FAILED
```

Begin here. Find the cause of each failure in the code and mend that. If a test is wrong by the
task's own words, change the test and say why; never weaken, skip or delete one to get green.

## Earlier iterations; their work is in the tree, their context is gone

1. red: 2 of 219: limit::refill, +1

If the last two failed in the same way, that way is wrong: take another.

## How this is judged
";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("- unchanged: .github/**\n"));
}

#[test]
fn instructions_and_tools_are_for_models_only() {
    let mut stage = Stage::new(model());
    stage.instructions = Some("Use tabs.".into());
    let tool = |name: &str| ToolDef {
        name: name.into(),
        description: "d".into(),
        schema: serde_json::json!({"type": "object"}),
    };
    let tools = [tool("finish"), tool("read"), tool("fetch")];
    let conversation = Conversation {
        loop_name: "p7.limiter",
        max_tokens: 100,
        tools: &tools,
        ..Default::default()
    };
    let request = stage.request(&conversation);
    assert!(request.system.ends_with("Use tabs."));
    let names: Vec<_> = request.tools.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["read", "finish"]);
    assert_eq!((request.loop_name.as_str(), request.iteration, request.turn), ("p7.limiter", 2, 1));
    let Part::Text { text } = &request.messages[0].content[0] else { panic!() };
    assert!(text.contains("call `finish`"));
    let prompt = Prompt::Request(Box::new(request.clone()));
    assert_eq!(decode_doc::<Request>(&prompt.bytes()).unwrap(), request);

    stage.spec.agent = claude();
    assert!(!stage.text().unwrap().contains("Use tabs."));
}

#[test]
fn a_conversation_alternates_and_answers_every_call() {
    let call = |id: &str| Part::ToolUse { id: id.into(), name: "read".into(), args: "{}".into() };
    let done = |text: &str| {
        Some(ToolResultDoc { text: text.into(), is_error: false, reads: vec![], wrote: vec![] })
    };
    let says = |text: &str| Part::Text { text: text.into() };
    let turn = |parts: Vec<Part>, stop, results| Turn {
        reply: Reply { parts, stop, model: None },
        results,
        notes: Vec::new(),
    };
    let mut turns = vec![
        turn(vec![says("look"), call("a"), call("b")], StopReason::ToolUse, vec![done("A"), None]),
        turn(vec![says(" ")], StopReason::End, vec![]),
        turn(vec![says("half")], StopReason::MaxTokens, vec![]),
    ];
    turns[0].notes.push(Note {
        from: "ann".into(),
        text: "hurry".into(),
        rejects: false,
        of_loop: false,
    });
    let moved = ["src/a.rs".to_owned()];
    let conversation = Conversation { turns: &turns, moved: &moved, ..Default::default() };
    let stage = Stage::new(model());
    let request = stage.request(&conversation);
    let roles: Vec<_> = request.messages.iter().map(|it| it.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User, Role::Assistant, Role::User]);
    assert_eq!(request.turn, 4);
    let Message { content, .. } = &request.messages[2];
    assert_eq!(content[0], Part::ToolResult { id: "a".into(), text: "A".into(), is_error: false });
    assert!(matches!(&content[1], Part::ToolResult { is_error: true, text, .. }
        if text.starts_with("Interrupted")));
    assert_eq!(content[2..], [says("ann: hurry"), says("Go on.")]);
    let last = &request.messages[4].content;
    assert!(matches!(&last[0], Part::Text { text } if text.contains("cut off")));
    assert!(matches!(&last[1], Part::Text { text } if text.ends_with("- src/a.rs")));

    turns[1].results = vec![done("x")];
    let conversation = Conversation { turns: &turns, ..Default::default() };
    let error = compose(&stage.scene(), &conversation).unwrap_err();
    assert_eq!(error.to_string(), "turn 2 has 1 results for 0 tool calls");
}

#[test]
fn templates_are_strict_bounded_and_named_by_line() {
    let error = |text: &str| Stage::new(claude()).with_prompt(text).text().unwrap_err().to_string();
    assert_eq!(
        error("ok\n{{ spec.titel }}"),
        "t.yaml:6: the prompt cannot be rendered: undefined value: `spec.titel` is undefined"
    );
    assert!(error("{% include 'x' %}").contains("cannot be rendered"));
    assert!(error("{{ spec.title | nope }}").contains("unknown filter"));
    assert_eq!(
        error("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"),
        "t.yaml:5: the prompt cannot be rendered: it runs for more than 200000 steps"
    );
    assert_eq!(
        error("{% for a in range(1000) %}{{ '0123456789' * 100 }}{% endfor %}"),
        "t.yaml: the prompt is larger than 262144 bytes when rendered"
    );
    assert_eq!(
        error("{% if gate.last %}x{% endif %} "),
        "t.yaml: the prompt is empty when rendered"
    );
}

#[test]
fn what_is_inserted_is_bounded_and_never_rendered_again() {
    let template = "{{ spec.text }}|{{ inputs.n + 1 }}|{{ inputs.s }}|{{ gate.last.findings }}|\
                    {{ history | length }}|{{ history[0].n }}|{{ history[0].summary | length }}|\
                    {{ conflicts | length }}";
    let mut stage = Stage::new(claude()).with_prompt(template);
    stage.spec.text = "<b>{{ spec.name }}{% include 'x' %}".into();
    stage.spec.inputs = BTreeMap::from([
        ("n".to_owned(), InputValue::Number(2)),
        ("s".to_owned(), InputValue::Text("{# gone #}".into())),
    ]);
    let findings = format!("first\n{}\nlast", "é".repeat(MAX_FINDINGS_BYTES));
    stage.last = Some(GateSaid { findings, summary: String::new() });
    stage.history = (1..=9)
        .map(|n| IterationNote { n, verdict: Verdict::Red, summary: "é".repeat(900), log: None })
        .collect();
    stage.conflicts = (0..500).map(|n| format!("f{n}")).collect();
    let text = stage.text().unwrap();
    assert!(
        text.starts_with("<b>{{ spec.name }}{% include 'x' %}|3|{# gone #}|first\né"),
        "{text}"
    );
    assert!(text.ends_with("é\nlast|5|5|500|101"));
    assert!(text.contains("bytes left out") && text.len() < MAX_FINDINGS_BYTES + 200);
    assert_eq!(head_cut("éé", 3), "é\n[... 2 more bytes left out ...]");
    assert_eq!([0, 1, 4, 5].map(estimate_tokens), [0, 1, 1, 2]);
}
