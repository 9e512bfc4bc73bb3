//! Replies that make no sense. None of them hangs a loop, and none of them is taken for work.

use super::*;

/// Proves MC-PROV-3: a page instead of a stream blocks the loop at once and says what came.
#[test]
fn a_page_instead_of_a_reply_blocks() {
    let provider = Provider::new(|_| {
        let page = "<html>Sign in to the network. prose-of-somebody</html>".to_owned();
        Answer::Plain(200, header("content-type", "text/html"), page)
    });
    let world = one_loop(&provider, "");
    let it = over(&world);
    assert_eq!(it.status, Status::Blocked, "{}", world.transcript());
    has(&reason(&it), &["anthropic", "HTML"]);
    assert!(!reason(&it).contains("prose-of-somebody"));
    assert_eq!(provider.seen().len(), 1);
}

/// Proves AY-4.7: arguments that are no JSON, or not what the tool takes, and a tool that does not
/// exist are results the model can read; nothing of them ran, and the loop goes on to its end.
#[test]
fn calls_that_cannot_be_done_are_told() {
    let provider = Provider::new(|seen| match seen.n {
        0 => Answer::Stream(vec![
            Step::Tool("write", r#"{"path": "c.txt", "content": "#.to_owned()),
            Step::Tool("run", "touch c.txt".to_owned()),
            tool("read", &json!({"path": 7})),
            tool("teleport", &json!({"to": "c.txt"})),
            tool("write", &json!({"path": "../c.txt", "content": "c"})),
        ]),
        _ => work(),
    });
    let world = one_loop(&provider, "");
    let it = over(&world);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", reason(&it));
    let seen = provider.seen();
    assert_eq!(seen.len(), 2);
    let told: serde_json::Value = serde_json::from_str(&seen[1].body).expect("JSON again");
    let last = told["messages"].as_array().and_then(|it| it.last()).expect("a message");
    let results: Vec<_> = last["content"]
        .as_array()
        .expect("blocks")
        .iter()
        .filter(|it| it["type"] == "tool_result")
        .map(|it| (it["tool_use_id"].as_str().unwrap_or_default(), it["is_error"] == true))
        .collect();
    let ids = ["call_0_0", "call_0_1", "call_0_2", "call_0_3", "call_0_4"];
    assert_eq!(results, ids.map(|it| (it, true)), "{last}");
    has(&seen[1].body, &["teleport"]);
    let files = world.git(&["ls-tree", "--name-only", &it.checkpoint.expect("work").to_string()]);
    assert_eq!(files, "a.txt\nb.txt\ntest.sh");
}

/// A reply without anything is the end of its iteration, not of the loop: nothing changed, and after
/// its iterations the loop has failed.
#[test]
fn empty_replies_end_iterations() {
    let provider = Provider::new(|_| Answer::Stream(Vec::new()));
    let world = one_loop(&provider, "limits: {iterations: 2}");
    let it = over(&world);
    assert_eq!((it.status, it.iteration), (Status::Failed, 2), "{}", reason(&it));
    let verdicts: Vec<_> = it.iterations.iter().filter_map(|it| it.verdict).collect();
    assert_eq!(verdicts, [taskd_model::Verdict::Unchanged; 2]);
    assert_eq!(provider.seen().len(), 2);
}

/// A stream that ends in the middle, or says what no reply says, is sent again.
#[test]
fn streams_that_break_are_sent_again() {
    let provider = Provider::new(|seen| match seen.n {
        0 => Answer::Stream(vec![Step::Text("I am about to".to_owned()), Step::Cut]),
        1 => Answer::Stream(vec![Step::Raw("data: <html>\n\n".to_owned()), Step::Hang]),
        _ => work(),
    });
    let world = one_loop(&provider, "");
    let it = over(&world);
    assert_eq!((it.status, it.iteration), (Status::Complete, 1), "{}", world.transcript());
    let seen = provider.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|it| it.body == seen[0].body), "the same bytes");
}
