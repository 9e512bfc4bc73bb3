//! What a model was sent, as a person sees it afterwards.

use serde_json::Value;

use super::*;

/// The same; both are too long to be printed.
#[track_caller]
fn same(is: &str, expected: &str) {
    let at = is.bytes().zip(expected.bytes()).position(|(a, b)| a != b);
    let tail = |it: &str| it.get(it.len().saturating_sub(200)..).unwrap_or(it).to_owned();
    assert!(is == expected, "they differ at {at:?}: {}\nand\n{}", tail(is), tail(expected));
}

/// What `taskd logs p1.a --prompt` prints with these words behind it.
fn shown(world: &World, more: &[&str]) -> String {
    world.taskd(&[&["logs", "p1.a", "--prompt"], more].concat()).ok()
}

/// Looks into a file that holds the key, fails once, then does the work.
fn looks(seen: &Seen) -> Answer {
    match seen.n {
        0 => Answer::Stream(vec![tool("read", &json!({"path": "known.txt"}))]),
        1 => Answer::Plain(529, Vec::new(), String::new()),
        _ => work(),
    }
}

/// The bytes that went to `model`, and what is shown of them.
fn to_a_provider(model: &str, variables: [&str; 2], path: &str) {
    let provider = Provider::new(looks);
    let mut world = World::new();
    world.write("AGENTS.md", &"Every file ends with a line of its own – €.\n".repeat(900));
    world.write("known.txt", &format!("the key is {KEY}, oddly\n"));
    world.git(&["add", "-A"]);
    world.git(&["commit", "-q", "-m", "say how"]);
    world.start();
    let url = provider.url() + path;
    world.env.extend(variables.map(str::to_owned).into_iter().zip([KEY.to_owned(), url]));
    world.submit(&format!(
        "---\nplan: Sent\nmodel: {model}\ngate: sh test.sh\nland: never\n---\n\n\
         ## spec a: A\n\nWrite b.txt.\n"
    ));
    let it = over(&world);
    assert_eq!(it.status, Status::Complete, "{}", world.transcript());

    let seen = provider.seen();
    assert_eq!(seen.len(), 3, "one of them was an attempt that failed");
    same(&seen[1].body, &seen[2].body);
    same(&shown(&world, &["--wire", "--call", "1"]), &seen[0].body);
    assert!(seen[2].body.contains(KEY), "a tool read it");
    let second = seen[2].body.replace(KEY, "[secret]");
    same(&shown(&world, &["--wire"]), &second);
    same(&shown(&world, &["--wire", "-i", "1", "--call", "2"]), &second);

    let text = shown(&world, &[]);
    has(
        &text,
        &[
            &format!("=== iteration 1, call 2 of 2, turn 2, to {model} ==="),
            "at most 8192 tokens",
            "tools: ",
            "--- system ---",
            "--- user ---",
            "Write b.txt.",
            "--- assistant ---",
            "-> read {\"path\":\"known.txt\"} (call_0_0)",
            "<- call_0_0",
            "the key is [secret], oddly",
        ],
    );
    assert!(!text.contains(KEY) && !shown(&world, &["--call", "1"]).contains("oddly"));
    let lines = shown(&world, &["--json"]);
    let pieces: Vec<Value> =
        lines.lines().map(|it| serde_json::from_str(it).expect("an object a line")).collect();
    assert!(1 < pieces.len(), "it is longer than what is sent at once");
    let whole: String = pieces.iter().map(|it| it["text"].as_str().expect("text")).collect();
    same(text.split_once('\n').expect("its heading").1, &whole);

    let first = shown(&world, &["--call", "1"]);
    world.kill();
    world.start();
    same(&shown(&world, &["--call", "1"]), &first);
    if model == SONNET {
        same(&shown(&world, &["--wire", "--call", "1"]), &seen[0].body);
    } else {
        // It depends on the place, which is handed over like a key and kept like one.
        let said = world.taskd(&["logs", "p1.a", "--prompt", "--wire"]).fails(4);
        has(&said, &["not known since the daemon started", "without --wire"]);
    }
    let said = world.taskd(&["logs", "p1.a", "--prompt", "--call", "3"]).fails(5);
    has(&said, &["iteration 1 of p1.a has sent 2 calls", "taskd logs p1.a --prompt"]);
    world.taskd(&["logs", "p1.a", "--prompt", "-i", "9"]).fails(5);
    world.taskd(&["logs", "p1.a", "--wire"]).fails(2);
}

/// Proves MC-OBS-4: what a model was sent is shown afterwards, byte for byte as its provider got it and
/// as people read it, also after a `kill -9`; an attempt more is no call more, and a key that the
/// daemon holds is taken out, wherever it stands.
#[test]
fn what_a_model_was_sent_is_shown() {
    to_a_provider(SONNET, ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"], "");
}

/// Proves MC-OBS-4: the same of another interface; where the bytes depend on a place that nobody knows
/// after a restart, that is said.
#[test]
fn what_a_model_of_another_interface_was_sent_is_shown() {
    to_a_provider("openai-chat/gpt-4o", ["OPENAI_API_KEY", "OPENAI_BASE_URL"], "/v1");
}
