//! Order, time, failures by attempt, caps, and which turn is found.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use taskd_llm::{Llm, LlmError, StreamEvent, collect};
use taskd_model::{Failure, Part};

use crate::{call, call_of, reply, request, scripted, story};

const PARSE: &str = r#"
loops:
  parse:
    - iteration: 1
      turns:
        - say: "I'll write the parser. Then I'll test it."
          delay_ms: 200
          chunk_ms: 5
          tail_ms: 1000
          tools:
            - write: {path: src/parse.sh, content: "exit 0\n", mode: 493}
            - run: {command: "sh test.sh"}
          usage: {input: 1200, output: 300, micros: 7}
          fail:
            - {status: 429, retry_after_ms: 2000}
            - {status: 429}
            - {status: 503, delay_ms: 30}
            - {status: 529, retry_after_ms: 10}
            - {status: 401}
            - {status: 400}
            - {disconnect: 2}
            - {disconnect: 99, delay_ms: 50}
            - {hang: 1}
"#;

#[tokio::test(start_paused = true)]
async fn a_reply_streams_in_order_and_in_time() {
    let told = story(&scripted(PARSE), call(9)).await;
    let expected = r#"0 accepted
200 usage 1200 in, 0 out, $0u
200 text "I'll write the parser. "
205 text "Then I'll test it."
210 tool 0 call_1_1_0 write {"content":"exit 0\n","mode":493,"path":"src/parse.sh"}
215 tool 1 call_1_1_1 run {"command":"sh test.sh"}
1215 usage 1200 in, 300 out, $7u
1215 done ToolUse: "I'll write the parser. Then I'll test it.", write, run
"#;
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_fails_in_its_own_way() {
    let model = scripted(PARSE);
    let mut told = Vec::new();
    for attempt in 0..6 {
        told.push(story(&model, call(attempt)).await);
    }
    let expected = [
        "0 NotBefore(2000): scripted:/scripts/demo.yaml, send 1: too much was asked for (429); ask again in 2000 ms\n",
        "0 RateLimited: scripted:/scripts/demo.yaml, send 2: too much was asked for (429)\n",
        "30 Transient: scripted:/scripts/demo.yaml, send 3: a problem of the provider's own (503)\n",
        "0 NotBefore(10): scripted:/scripts/demo.yaml, send 4: a problem of the provider's own (529); ask again in 10 ms\n",
        "0 Auth: scripted:/scripts/demo.yaml, send 5: the credential was refused (401); check the key and the account\n",
        "0 Permanent: scripted:/scripts/demo.yaml, send 6: the request was refused (400)\n",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_cut_halfway_or_just_before_the_end() {
    let model = scripted(PARSE);
    let halfway = r#"0 accepted
200 usage 1200 in, 0 out, $0u
200 text "I'll write the parser. "
205 text "Then I'll test it."
205 Transient: scripted:/scripts/demo.yaml, send 7: the connection ended after 2 pieces of the reply
"#;
    assert_eq!(story(&model, call(6)).await, halfway);
    let late = reply(&model, call(7)).await;
    assert_eq!(
        late,
        "Transient: scripted:/scripts/demo.yaml, send 8: the connection ended after 4 pieces of the reply"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_stays_silent_until_it_is_dropped() {
    let mut stream = scripted(PARSE).stream(call(8));
    for _ in ["accepted", "usage", "text"] {
        assert!(matches!(stream.next().await, Some(Ok(_))));
    }
    let silence = tokio::time::timeout(Duration::from_secs(86_400), stream.next()).await;
    assert!(silence.is_err());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_stream_ends_the_call_at_once() {
    let start = tokio::time::Instant::now();
    let model = scripted(PARSE);
    let mut stream = model.stream(call(9));
    assert!(matches!(stream.next().await, Some(Ok(StreamEvent::Accepted))));
    assert!(stream.next().now_or_never().is_none(), "it waits for its delay");
    drop(stream);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 0, "nothing goes on in the background");
}

#[tokio::test(start_paused = true)]
async fn the_same_turn_gets_the_same_reply_in_every_life() {
    let script = r#"
loops:
  parse:
    - iteration: 1
      turns: [{say: first}, {say: second, tools: [{finish: }]}]
"#;
    let mut lives = Vec::new();
    for _ in 0..2 {
        let model = scripted(script);
        // Out of order and twice: what was asked before does not matter.
        let mut told = Vec::new();
        for turn in [2, 1, 2, 1] {
            told.push(story(&model, call_of("p1.parse", 1, turn, 0)).await);
        }
        assert_eq!((&told[0], &told[1]), (&told[2], &told[3]));
        lives.push(told);
    }
    assert_eq!(lives[0], lives[1]);
}

#[tokio::test(start_paused = true)]
async fn the_most_specific_list_of_turns_answers() {
    let model = scripted(
        r#"
loops:
  parse:
    - turns: [{say: parse any}]
    - iteration: 2
      turns: [{say: parse 2}]
  count:
    - iteration: 1
      turns: [{say: count 1}]
  "*":
    - iteration: 1
      turns: [{say: star 1}]
    - turns: [{say: star any}, {say: star any, tools: [{look: {}}]}]
default: {say: default}
"#,
    );
    let cases = [
        ("p1.parse", 1, 1, "End: \"parse any\""),
        ("parse", 2, 1, "End: \"parse 2\""),
        ("p12.parse", 3, 1, "End: \"parse any\""),
        ("p1.parse", 2, 2, "End: \"default\""),
        ("p1.count", 1, 1, "End: \"count 1\""),
        ("p1.count", 2, 2, "ToolUse: \"star any\", look"),
        ("p1.top", 1, 1, "End: \"star 1\""),
        ("p1.top", 1, 2, "End: \"default\""),
        ("part.parse", 1, 1, "End: \"star 1\""),
        ("", 0, 0, "End: \"default\""),
        ("p1.parse", u32::MAX, u32::MAX, "End: \"default\""),
    ];
    for (name, iteration, turn, expected) in cases {
        let told = reply(&model, call_of(name, iteration, turn, 0)).await;
        assert_eq!(told, format!("done {expected}"), "{name} {iteration} {turn}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_default_the_error_names_the_place() {
    let told = reply(&scripted(PARSE), call_of("p1.parse", 2, 3, 0)).await;
    let expected = "Permanent: /scripts/demo.yaml has no reply for loop p1.parse, iteration 2, \
                    turn 3; add that turn or a `default`";
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn a_cap_cuts_the_reply_off() {
    let model = scripted(PARSE);
    let mut small = call(9);
    small.limits.max_tool_calls = 1;
    assert_eq!(
        reply(&model, small).await,
        "Permanent: the reply exceeds 1 tool calls; it was cut off"
    );

    let mut small = call(9);
    small.limits.max_reply_bytes = 30;
    let cut = collect(model.stream(small)).await;
    assert!(matches!(cut.result, Err(LlmError::TooLarge { cap: 30, .. })));
    assert_eq!(cut.events.iter().filter(|it| matches!(it, StreamEvent::Text(_))).count(), 1);

    let mut poor = call(9);
    poor.limits.cap_micros = 6;
    let over = collect(model.stream(poor)).await;
    assert_eq!(over.usage.micros, 7, "what was spent is known all the same");
    let error = over.result.expect_err("over its cap");
    assert_eq!(error.class(), Failure::OverBudget);

    let mut short = call(9);
    let tokens = over.usage.tokens();
    short.limits.cap_tokens = Some(tokens);
    assert!(collect(model.stream(short.clone())).await.result.is_ok());
    short.limits.cap_tokens = Some(tokens - 1);
    let error = collect(model.stream(short)).await.result.expect_err("over its cap");
    assert_eq!(error.class(), Failure::OverBudget);
}

#[tokio::test(start_paused = true)]
async fn a_reply_without_usage_is_counted_by_its_bytes() {
    let model = scripted("default: {say: 12345678}");
    let mut call = call(0);
    let mut asked = request("p1.parse", 1, 1);
    asked.system = "x".repeat(400);
    call.request = asked.into();
    let counted = model.count(&call.request);
    assert_eq!(counted, 100);
    let done = collect(model.stream(call)).await;
    assert_eq!((done.usage.input, done.usage.output, done.usage.micros), (counted, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn pieces_put_together_are_the_text() {
    let texts =
        ["a", "\n\n\n", "žluťoučký kůň\u{3000}příšerně úpěl ďábelské ódy", &"word ".repeat(500)];
    for text in texts {
        let script = format!("default: {{say: {}}}", serde_json::Value::from(text));
        let done = collect(scripted(&script).stream(call(0))).await;
        let streamed: String = done
            .events
            .iter()
            .filter_map(|event| match event {
                StreamEvent::Text(piece) => Some(piece.as_str()),
                StreamEvent::Accepted
                | StreamEvent::ToolCall { .. }
                | StreamEvent::Usage(_)
                | StreamEvent::Levels(_)
                | StreamEvent::Thinking(_)
                | StreamEvent::Done(_) => None,
            })
            .collect();
        assert_eq!(streamed, text);
        let reply = done.result.expect("a reply");
        assert_eq!(reply.parts, [Part::Text { text: text.to_owned() }]);
    }
}

#[test]
fn a_call_does_not_show_its_prompt() {
    let shown = format!("{:?} {:?}", call(0), scripted("default: {say: secret}"));
    assert!(shown.contains("p1.parse") && shown.contains("demo.yaml"), "{shown}");
    assert!(!shown.contains("shell") && !shown.contains("secret"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_model_may_stop_early_and_write_bad_arguments() {
    let script = r#"default: {stop: max_tokens, tools: [{write: '{"path": "a'}, {look: }]}"#;
    let told = story(&scripted(script), call(0)).await;
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[2], r#"0 tool 0 call_1_1_0 write {"path": "a"#);
    assert_eq!(lines[3], "0 tool 1 call_1_1_1 look {}");
    assert_eq!(lines[5], "0 done MaxTokens: write, look");
}
