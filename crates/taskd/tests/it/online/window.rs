//! Conversations that are longer than their model's window, and providers that say so.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use taskd_model::{ContextUse, Failure, Outcome};

use super::*;

/// A world that knows one more model of Anthropic's, and a daemon in it.
fn world_with(provider: &Provider, model: &str) -> World {
    let mut world = World::new();
    let config = world.dir.path().join("home/.config/taskd");
    fs::create_dir_all(&config).expect("writable");
    let text = format!("[[models]]\nprovider = \"anthropic\"\nname = \"claude-small\"\n{model}");
    fs::write(config.join("models.toml"), text).expect("writable");
    world.start();
    with_key(&mut world, provider, KEY);
    world.env.insert("TASKD_LOCAL_URL".to_owned(), format!("{}/v1", provider.url()));
    world
}

fn submit_for(world: &World, model: &str) {
    world.submit(&format!(
        "---\nplan: Window\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n\n\
         ## spec a: A\n\nWrite b.txt.\n"
    ));
}

/// What `read` says of a file with these lines.
fn as_read(text: &str) -> String {
    (1..).zip(text.lines()).map(|(n, line)| format!("{n:>6}\t{line}\n")).collect()
}

fn lines(count: usize, of: &str) -> String {
    (0..count).map(|n| format!("{of} {n:>6} \"{}\"\n", "x".repeat(80))).collect()
}

/// Texts of the last message's results.
fn told(seen: &Seen) -> Vec<String> {
    let body: Value = serde_json::from_str(&seen.body).expect("JSON");
    let last = body["messages"].as_array().and_then(|it| it.last()).expect("a message");
    let results = last["content"].as_array().into_iter().flatten();
    results
        .filter(|it| it["type"] == "tool_result")
        .map(|it| {
            let whole = it["content"].as_str();
            let text = whole.or_else(|| it["content"][0]["text"].as_str());
            text.expect("text").to_owned()
        })
        .collect()
}

/// What was composed, in order: tokens, and what was left out.
fn composed(world: &World) -> Vec<(u64, ContextUse)> {
    let of = |it: Record| {
        let Event::EffectEnded { outcome, .. } = it.event else { return None };
        let Outcome::Composed { tokens, context, .. } = outcome else { return None };
        Some((tokens, context.expect("a model's")))
    };
    world.events().into_iter().filter_map(of).collect()
}

/// How often the provider said that a request is too large.
fn refusals(world: &World) -> usize {
    let too_large = |it: &Record| {
        let Event::EffectEnded { outcome, .. } = &it.event else { return false };
        outcome.failure() == Some(Failure::TooLarge)
    };
    world.events().iter().filter(|it| too_large(it)).count()
}

/// Proves S-1.1.4: 400,000 tokens of tool output go through a window of 60,000, and no request is
/// larger than what its reply leaves; nobody watches, and the log says what was left out.
#[test]
fn no_amount_of_output_is_too_much() {
    const FILES: usize = 8;
    let window = 60_000;
    let provider = Provider::new(move |seen| {
        let body: Value = serde_json::from_str(&seen.body).expect("JSON");
        let reply = body["max_tokens"].as_u64().expect("a number");
        if window < seen.body.len() as u64 / 4 + reply {
            let body = r#"{"type":"error","error":{"type":"request_too_large","message":"x"}}"#;
            return Answer::Plain(413, header("content-type", "application/json"), body.to_owned());
        }
        match seen.n {
            n if n < FILES => {
                Answer::Stream(vec![tool("read", &json!({"path": format!("big{n}.txt")}))])
            }
            _ => work(),
        }
    });
    let world = world_with(&provider, &format!("window = {window}\n"));
    for n in 0..FILES {
        world.write(&format!("big{n}.txt"), &lines(2_000, "line"));
    }
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "big"]);
    submit_for(&world, "anthropic/claude-small");
    let it = over(&world);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    assert_eq!((provider.seen().len(), refusals(&world)), (FILES + 1, 0));
    let outputs = FILES * as_read(&lines(2_000, "line")).len();
    assert!(400_000 <= outputs / 4, "{outputs} bytes were read");
    let composed = composed(&world);
    assert!(
        composed
            .iter()
            .all(|(tokens, it)| { *tokens <= window - 8_192 - 4_096 && it.window == Some(60_000) })
    );
    let (_, last) = composed.last().expect("some");
    assert!(1_000_000 < last.bytes_left_out, "{last:?}");
    has(&world.transcript(), &["left out: "]);
}

/// Proves S-1.1.4: in a window of 12,000 tokens a model reads 20,000 tokens; what is left out is said
/// where it would be, and page after page comes back byte for byte.
#[test]
fn what_was_left_out_is_recalled() {
    let pages = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&pages);
    let provider = Provider::new(move |seen| {
        if seen.n == 0 {
            return Answer::Stream(vec![tool("read", &json!({"path": "big.txt"}))]);
        }
        let told = told(seen);
        let mut kept = kept.lock().expect("one at a time");
        if seen.n == 1 {
            // Words of the reference are all it needs.
            let (head, args) = told[0].rsplit_once("`recall` with ").expect("a reference");
            let args = args.strip_suffix(" gives them]").expect("its end");
            let offset = serde_json::from_str::<Value>(args).expect("JSON")["offset"].as_u64();
            kept.push(
                head[..usize::try_from(offset.expect("a number")).expect("small")].to_owned(),
            );
            return Answer::Stream(vec![
                Step::Tool("recall", args.to_owned()),
                tool("recall", &json!({"id": "t9.1"})),
            ]);
        }
        if seen.n == 2 {
            assert_eq!(told[1], "error: there is no t9.1; there are t1 to t1");
        }
        let (page, said) = told[0].rsplit_once('\n').expect("a line that says what it is");
        kept.push(page.to_owned());
        match said.split_once("offset ") {
            Some((_, next)) => {
                let offset: u64 = next.trim_end_matches(']').parse().expect("a number");
                let args = json!({"id": "t1.1", "offset": offset});
                Answer::Stream(vec![tool("recall", &args)])
            }
            None => work(),
        }
    });
    let world = world_with(&provider, "window = 12000\nmax_output = 1024\n");
    world.write("big.txt", &lines(800, "Zeile ß"));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "big"]);
    submit_for(&world, "anthropic/claude-small");
    let it = over(&world);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    let whole = as_read(&lines(800, "Zeile ß"));
    assert!(20_000 < whole.len() / 4, "{}", whole.len());
    let recalled = pages.lock().expect("it is over").concat();
    assert!(recalled == whole, "{} of {} bytes, or others", recalled.len(), whole.len());
    let seen = provider.seen();
    let offered = |it: &Seen| it.body.contains("\"name\":\"recall\"");
    assert!(!offered(&seen[0]) && seen[1..].iter().all(offered));
    assert!(seen.iter().all(|it| it.body.len() / 4 <= 12_000 - 1_024), "it fits");
    assert!(composed(&world).iter().all(|(tokens, _)| *tokens <= 12_000 - 1_024 - 4_096));
    // Its pages are outputs too: older ones made room.
    let shown = world.taskd(&["show", "p1.a"]).ok();
    has(&shown, &["context   about ", " of 12000 tokens", "left out: "]);
    let json: Value =
        serde_json::from_str(&world.taskd(&["show", "p1.a", "--json"]).ok()).expect("JSON");
    let context = &json["loops"][0]["context"];
    assert_eq!(context["window"], 12_000);
    assert!(0 < context["bytes_left_out"].as_u64().expect("a number"), "{context}");
}

/// Proves S-1.1.4: a request near the window is counted by its provider, and is made smaller when our
/// estimate was too low, so that nothing is refused.
#[test]
fn a_request_near_the_window_is_counted() {
    let (window, reply, each) = (12_000, 1_024, 2);
    let provider = Provider::new(move |seen| {
        if window < seen.body.len() / each + reply {
            let body = r#"{"type":"error","error":{"type":"request_too_large","message":"x"}}"#;
            return Answer::Plain(413, Vec::new(), body.to_owned());
        }
        match seen.n {
            0 => Answer::Stream(vec![tool("read", &json!({"path": "big.txt"}))]),
            _ => work(),
        }
    });
    provider.counts(each);
    let world = world_with(&provider, "window = 12000\nmax_output = 1024\n");
    world.write("big.txt", &lines(180, "line"));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "big"]);
    submit_for(&world, "anthropic/claude-small");
    assert_eq!(over(&world).status, Status::Complete, "{}", world.transcript());
    assert_eq!((provider.seen().len(), refusals(&world)), (2, 0), "{}", world.transcript());
    assert_eq!(provider.counted(), 1, "only the second is near the window: {:?}", composed(&world));
    assert!(composed(&world)[1].1.leaves_out());
}

fn too_large() -> Answer {
    let body = r#"{"error":{"message":"x","type":"y","code":"context_length_exceeded"}}"#;
    Answer::Plain(400, header("content-type", "application/json"), body.to_owned())
}

/// A loop of a model without a known window, whose second request is large.
fn reads_much(provider: &Provider) -> World {
    let world = world_with(provider, "window = 12000\n");
    world.write("big.txt", &lines(1_000, "line"));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "big"]);
    submit_for(&world, "local/qwen");
    world
}

/// Proves AY-2.5: a request that the provider calls too large is sent once more, at three quarters at
/// most, within the same iteration.
#[test]
fn a_request_that_is_too_large_is_made_smaller_once() {
    let provider = Provider::new(|seen| match seen.n {
        0 => Answer::Stream(vec![tool("read", &json!({"path": "big.txt"}))]),
        1 => too_large(),
        _ => work(),
    });
    let world = reads_much(&provider);
    let it = over(&world);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    let seen = provider.seen();
    assert_eq!((seen.len(), refusals(&world)), (3, 1));
    assert!(seen[2].body.len() <= seen[1].body.len() / 4 * 3, "three quarters");
    has(&seen[2].body, &["line      0", "`recall` with"]);
    let composed = composed(&world);
    assert_eq!(composed.len(), 3);
    assert!(!composed[1].1.leaves_out() && composed[2].1.leaves_out());
    assert!(composed[2].0 <= composed[1].0 / 4 * 3, "{composed:?}");
    has(&world.transcript(), &["failed, the request is too large", "left out: 1 output"]);
    assert_eq!(it.iterations.len(), 1);
}

/// Proves AY-2.5: who refuses the smaller one too blocks the loop; it says why and what to do, the
/// iteration is not used up, and a person's word goes on with it.
#[test]
fn two_refusals_in_a_row_ask_a_person() {
    let provider = Provider::new(|seen| match seen.n {
        0 => Answer::Stream(vec![tool("read", &json!({"path": "big.txt"}))]),
        1 | 2 => too_large(),
        _ => work(),
    });
    let world = reads_much(&provider);
    let it = over(&world);
    assert_eq!((it.status, it.iteration), (Status::Blocked, 1), "{}", world.transcript());
    assert_eq!((provider.seen().len(), refusals(&world)), (3, 2));
    has(&reason(&it), &["too large", "`window` in models.toml", "taskd resume"]);
    assert_eq!(it.iterations.iter().filter(|it| it.verdict.is_some()).count(), 0);
    let why = world.taskd(&["why", "p1.a"]).ok();
    has(&why, &["too large", "the provider refused a larger one"]);
    world.taskd(&["resume", "p1.a"]).ok();
    let it = world.until_status("p1.a", &[Status::Complete, Status::Failed]);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", reason(&it));
    assert_eq!(provider.seen().len(), 4);
}
