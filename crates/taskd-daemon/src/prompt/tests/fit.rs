//! Conversations that are longer than their model's window.

use proptest::prelude::*;
use taskd_tools::files::{RECALL, RecallSpec, recall_spec};

use super::*;
use crate::prompt::left_out::json_bytes;

const PROMPT: &str = "Do the {{ spec.title }}.";
const PROMPT_SAID: &str = "Do the Token bucket per API key.";

fn recall() -> ToolDef {
    let schema = serde_json::from_str(RECALL.schema).unwrap();
    ToolDef { name: RECALL.name.into(), description: RECALL.description.into(), schema }
}

/// What a loop with these turns sends, if a request may have so many tokens.
fn sent(turns: &[Turn], most: Option<u64>) -> Result<(Request, Composed), PromptError> {
    let mut stage = Stage::new(model()).with_prompt(PROMPT);
    stage.spec.loop_type.system =
        Some(TemplateDoc { text: "Be brief.".into(), file: "t.yaml".into(), line: 1 });
    let recall = recall();
    let conversation = Conversation {
        loop_name: "p1.a",
        model: "tiny",
        max_tokens: 1_000,
        recall: Some(&recall),
        most_tokens: most,
        turns,
        ..Default::default()
    };
    let composed = compose(&stage.scene(), &conversation)?;
    let Prompt::Request(request) = &composed.prompt else { panic!("a text") };
    Ok(((**request).clone(), composed))
}

/// A turn that reads files of so many bytes.
fn reads(n: usize, sizes: &[usize]) -> Turn {
    let calls = (1..=sizes.len()).map(|place| Part::ToolUse {
        id: format!("c{n}_{place}"),
        name: "read".into(),
        args: format!("{{\"path\": \"src/f{n}.rs\"}}"),
    });
    let text = Part::Text { text: format!("Turn {n}.") };
    let result = |(place, size): (usize, &usize)| {
        let line = format!("line of {n}.{place} \"x\"\n");
        let text: String = line.chars().cycle().take(*size).collect();
        Some(ToolResultDoc { text, is_error: false, reads: vec![], wrote: vec![] })
    };
    Turn {
        reply: Reply {
            parts: [text].into_iter().chain(calls).collect(),
            stop: StopReason::ToolUse,
            model: None,
        },
        results: sizes.iter().enumerate().map(result).collect(),
        notes: Vec::new(),
    }
}

/// Everything that is said, in order.
fn flat(request: &Request) -> Vec<(Role, &Part)> {
    let parts = |it| {
        let Message { role, content }: &Message = it;
        content.iter().map(|it| (*role, it))
    };
    request.messages.iter().flat_map(parts).collect()
}

fn a_turn() -> impl Strategy<Value = (Turn, bool)> {
    let size = prop_oneof![6 => 0usize..1_500, 3 => 1_500usize..9_000, 1 => 20_000usize..60_000];
    let result = (size, any::<bool>(), prop::bool::weighted(0.05), "[a-zé \"\n]{1,30}");
    let results = prop::collection::vec(result, 0..4);
    let asides = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1), any::<bool>());
    (results, asides, any::<u32>()).prop_map(|(results, (says, thinks, told, cut), salt)| {
        let mut parts = Vec::new();
        if thinks {
            let json = format!("{{\"thinking\":\"hm {salt}\",\"signature\":\"s==\"}}");
            parts.push(Part::Opaque { provider: "anthropic".into(), json });
        }
        if says {
            parts.push(Part::Text { text: format!("I look\nat {salt}") });
        }
        parts.extend((0..results.len()).map(|place| Part::ToolUse {
            id: format!("c{salt}_{place}"),
            name: ["read", "run", "grep"][place % 3].into(),
            args: format!("{{\"path\": \"src/{salt}.rs\"}}"),
        }));
        let results = results.into_iter().map(|(size, is_error, lost, seed)| {
            let text: String = seed.chars().cycle().take(size).collect();
            let done = ToolResultDoc { text, is_error, reads: vec![], wrote: vec![] };
            (!lost).then_some(done)
        });
        let note = Note {
            from: "ann".into(),
            text: format!("mind {salt}"),
            rejects: false,
            of_loop: false,
        };
        let stop = if cut { StopReason::MaxTokens } else { StopReason::End };
        let turn = Turn {
            reply: Reply { parts, stop, model: None },
            results: results.collect(),
            notes: told.then_some(note).into_iter().collect(),
        };
        (turn, thinks)
    })
}

/// The output as `recall` gives it from `offset` on.
fn recalled(text: &str, offset: usize) -> String {
    let mut spec = RecallSpec { turn: 1, output: Some(1), offset };
    let mut whole = String::new();
    loop {
        let page = spec.page(text).unwrap().text;
        let (body, said) = page.rsplit_once('\n').unwrap();
        whole.push_str(body);
        let Some((_, next)) = said.split_once("continue with offset ") else { return whole };
        spec.offset = next.trim_end_matches(']').parse().unwrap();
    }
}

/// An output is there whole, or its beginning and the words that say how to get the rest, which is
/// the rest.
fn whole_or_recalled(said: &str, text: &str, id: &str) -> Result<(), TestCaseError> {
    if said == text {
        return Ok(());
    }
    let (head, reference) = said.rsplit_once('[').unwrap();
    let (_, args) = reference.split_once("`recall` with ").unwrap();
    let args = args.strip_suffix(" gives them]").unwrap();
    let spec = recall_spec(args).unwrap();
    prop_assert_eq!(spec.id(), id);
    let head = if head.len() == spec.offset { head } else { head.strip_suffix('\n').unwrap() };
    prop_assert_eq!(head.to_owned() + &recalled(text, spec.offset), text);
    Ok(())
}

/// What must hold of every request, whatever was left out of it.
fn holds(request: &Request, composed: &Composed, turns: &[Turn]) -> Result<(), TestCaseError> {
    prop_assert_eq!(&request.system, "Be brief.");
    let prompt = Part::Text { text: PROMPT_SAID.into() };
    prop_assert!(flat(request)[0] == (Role::User, &prompt));
    let roles: Vec<Role> = request.messages.iter().map(|it| it.role).collect();
    prop_assert!(roles.windows(2).all(|it| it[0] != it[1]), "{roles:?}");
    prop_assert_eq!(roles.last(), Some(&Role::User));
    let offered = request.tools.iter().any(|it| it.name == "recall");
    prop_assert_eq!(offered, composed.left_out != LeftOut::default());

    let folded = composed.left_out.turns;
    prop_assert!(turns.is_empty() || folded < turns.len(), "the last turn is there");
    let mut parts = flat(request).into_iter().skip(1).peekable();
    if 0 < folded {
        let Some((_, Part::Text { text })) = parts.next() else { panic!("no block") };
        let says = text.contains(&format!("t1 to t{folded} "));
        prop_assert!(says && json_bytes(text) <= 8_000);
    }
    for note in turns[..folded].iter().flat_map(|it| &it.notes) {
        let text = format!("ann: {}", note.text);
        prop_assert_eq!(parts.next(), Some((Role::User, &Part::Text { text })));
    }
    for (n, turn) in (folded + 1..).zip(&turns[folded..]) {
        for part in &turn.reply.parts {
            prop_assert_eq!(parts.next(), Some((Role::Assistant, part)), "as the model said it");
        }
        let calls = turn.reply.parts.iter().filter_map(|it| match it {
            Part::ToolUse { id, .. } => Some(id),
            Part::Text { .. } | Part::ToolResult { .. } | Part::Opaque { .. } => None,
        });
        for (place, (call, result)) in calls.zip(&turn.results).enumerate() {
            let Some((Role::User, Part::ToolResult { id, text, is_error })) = parts.next() else {
                panic!("no result of {call}");
            };
            prop_assert_eq!(id, call);
            let Some(result) = result else { continue };
            prop_assert_eq!(*is_error, result.is_error);
            whole_or_recalled(text, &result.text, &format!("t{n}.{}", place + 1))?;
        }
        while parts
            .next_if(|(role, it)| *role == Role::User && matches!(it, Part::Text { .. }))
            .is_some()
        {}
    }
    prop_assert_eq!(parts.next(), None);
    Ok(())
}

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(48), ..ProptestConfig::default() })]

    /// Proves S-1.1.4: what is sent fits; instructions and task are whole and first, calls and
    /// results together, sides alternate, what people said and the last turn are there, what the
    /// model thought is unchanged, and what is not there comes back byte for byte. Between two
    /// compactions a request begins with the one before it.
    #[test]
    fn any_conversation_fits(
        turns in prop::collection::vec(a_turn(), 0..20),
        most in 700u64..12_000,
    ) {
        let turns: Vec<Turn> = turns.into_iter().map(|it| it.0).collect();
        let mut before: Option<(Request, Composed)> = None;
        for n in 0..=turns.len() {
            match sent(&turns[..n], Some(most)) {
                Ok((request, composed)) => {
                    let bytes = composed.prompt.bytes().len();
                    prop_assert!(estimate_tokens(bytes) <= most, "{bytes} bytes for {most} tokens");
                    holds(&request, &composed, &turns[..n])?;
                                        if let Some((last, it)) = &before
                        && it.left_out == composed.left_out
                    {
                        prop_assert!(flat(&request).starts_with(&flat(last)), "turn {n}");
                        prop_assert_eq!(&request.tools, &last.tools);
                    }
                    before = Some((request, composed));
                }
                Err(PromptError::DoesNotFit { needs, most: said, .. }) => {
                    prop_assert!(said == most && most < needs);
                    before = None;
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }

    /// With room for everything nothing is left out.
    #[test]
    fn what_fits_is_whole(turns in prop::collection::vec(a_turn(), 0..12)) {
        let turns: Vec<Turn> = turns.into_iter().map(|it| it.0).collect();
        let (request, composed) = sent(&turns, None).unwrap();
        let tokens = estimate_tokens(composed.prompt.bytes().len());
        prop_assert_eq!(composed.left_out.bytes, 0);
        let (roomy, _) = sent(&turns, Some(tokens * 11 / 10 + 2_000)).unwrap();
        prop_assert_eq!(roomy, request);
    }
}

/// Hysteresis: a thousand turns are compacted now and then, not at every turn, and the words for all
/// that is left out stay short.
#[test]
fn a_long_conversation_is_seldom_compacted() {
    let turns: Vec<Turn> = (1..=1_000).map(|n| reads(n, &[1_000])).collect();
    let most = 20_000;
    let mut compactions = 0;
    let mut before = sent(&[], Some(most)).unwrap().0;
    for n in (1..=1_000).filter(|n| n % 7 == 0 || 950 < *n) {
        let (request, composed) = sent(&turns[..n], Some(most)).unwrap();
        assert!(estimate_tokens(composed.prompt.bytes().len()) <= most);
        compactions += usize::from(950 < n && !flat(&request).starts_with(&flat(&before)));
        before = request;
    }
    assert!((1..=5).contains(&compactions), "{compactions} in the last fifty turns");
    let Part::Text { text } = flat(&before)[1].1 else { panic!("no block") };
    assert!(json_bytes(text) <= 8_000, "{}", text.len());
    assert!(text.contains("\nt1 to t") && text.contains(": read "), "{text}");
    assert!(text.contains(": \"Turn 950.\" read src/f950.rs"), "{text}");
}

/// A refusal teaches less than the window says: the same turns in three quarters.
#[test]
fn less_room_gives_a_smaller_request() {
    let turns: Vec<Turn> = (1..=20).map(|n| reads(n, &[3_000, 500])).collect();
    let tokens = |most| {
        let (_, composed) = sent(&turns, Some(most)).unwrap();
        estimate_tokens(composed.prompt.bytes().len())
    };
    let whole = tokens(1_000_000);
    let smaller = tokens(whole / 4 * 3);
    assert!(smaller <= whole / 4 * 3 && 0 < smaller, "{smaller} of {whole}");
}

#[test]
fn what_cannot_fit_says_what_to_do() {
    let mut turn = reads(1, &[50]);
    turn.reply.parts.insert(0, Part::Text { text: "x".repeat(40_000) });
    let error = sent(&[turn], Some(2_000)).unwrap_err().to_string();
    for part in ["about 10", "to tiny may have 2000", "smaller", "models.toml", "taskd resume"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(error.len() < 450, "{}", error.len());
}
