//! Every interface and every parameter: what goes out in bytes, or what is refused before anything
//! goes out. Nothing is dropped in silence.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use taskd_llm::{Api, Call, Http, HttpSettings, Llm, LlmError, Takes};
use taskd_model::{Param, Params, Request, Thinking};

use super::{
    ADAPTERS, Adapter, STREAM, call,
    server::{Server, chunked},
};

const THINKING: Params = Params { thinking: Some(Thinking::Medium), temperature: None };
const WARM: Params = Params { thinking: None, temperature: Some(700) };
const HOT: Params = Params { thinking: None, temperature: Some(1_500) };
const BOTH: Params = Params { thinking: Some(Thinking::Low), temperature: Some(700) };
/// Keys of a body that say how a model is to work, in any interface.
const KEYS: [&str; 5] =
    ["output_config", "reasoning", "reasoning_effort", "temperature", "thinking"];

/// Which of the entry's keys are set.
const SILENT: Takes = Takes { thinking: None, temperature: None };
const ALL: Takes = Takes { thinking: Some(true), temperature: Some(true) };
const NONE: Takes = Takes { thinking: Some(false), temperature: Some(false) };

/// What is said of these parameters on the wire, or the reason of the refusal.
async fn said(adapter: &Adapter, model: &str, takes: Takes, params: Params) -> Value {
    let stream = format!("{}{}", (adapter.saying)("hi"), (adapter.ending)());
    let server = Server::start(move |_| chunked(STREAM, [stream.as_bytes()])).await;
    let settings = super::settings(adapter, &server.url());
    let http = super::open_settings(HttpSettings { model: model.to_owned(), takes, ..settings });
    let call = call();
    let request = Request { max_tokens: 20_000, params, ..Request::clone(&call.request) };
    let call = Call { request: Arc::new(request), ..call };
    let told = taskd_llm::collect(http.stream(call)).await;
    let seen = server.seen();
    let refused = http.capabilities().refused(params);
    match told.result {
        Ok(_) => {
            assert_eq!((seen.len(), refused), (1, Vec::new()));
            let mut said: Map<String, Value> = serde_json::from_slice(&seen[0].body).expect("JSON");
            said.retain(|key, _| KEYS.contains(&key.as_str()));
            Value::Object(said)
        }
        Err(error) => {
            assert_eq!(seen.len(), 0, "what is refused is not sent");
            let text = error.to_string();
            assert_eq!(format!("{:?}", error.class()), "Permanent", "{text}");
            let why: Vec<&str> = refused.iter().map(|it| it.1).collect();
            assert!(text.ends_with(why[0]), "{text}");
            why.join("; ").into()
        }
    }
}

const NO_THINKING: &str = "it takes no `thinking`";
const NO_TEMPERATURE: &str = "it takes no `temperature`";
const NOT_BOTH: &str = "it takes no `temperature` while it thinks";
const TOO_HOT: &str = "it takes no `temperature` above 1.0";

/// Model, entry, then what is made of THINKING, WARM, HOT and BOTH.
fn table() -> [(Api, &'static str, Takes, [Value; 4]); 11] {
    let neither = format!("{NO_THINKING}; {NO_TEMPERATURE}");
    let budget = |tokens: u32| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let adaptive = json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}});
    let effort = |it: &str| json!({"reasoning": {"effort": it}});
    let word = |it: &str| json!({"reasoning_effort": it});
    let warm = || json!({"temperature": 0.7});
    let hot = || json!({"temperature": 1.5});
    let no = |it: &str| Value::from(it);
    {
        use Api::{AnthropicMessages as A, OpenAiChat as C, OpenAiResponses as R};
        [
            (A, "claude-haiku-4-5", SILENT, [budget(12_288), warm(), no(TOO_HOT), no(NOT_BOTH)]),
            (A, "claude-opus-4-6", SILENT, [adaptive.clone(), warm(), no(TOO_HOT), no(NOT_BOTH)]),
            (
                A,
                "claude-opus-5",
                SILENT,
                [adaptive, no(NO_TEMPERATURE), no(NO_TEMPERATURE), no(NO_TEMPERATURE)],
            ),
            (
                A,
                "claude-3-5-haiku-20241022",
                SILENT,
                [no(NO_THINKING), warm(), no(TOO_HOT), no(NO_THINKING)],
            ),
            (
                R,
                "gpt-5-mini",
                SILENT,
                [effort("medium"), no(NO_TEMPERATURE), no(NO_TEMPERATURE), no(NO_TEMPERATURE)],
            ),
            (R, "gpt-4.1", SILENT, [no(NO_THINKING), warm(), hot(), no(NO_THINKING)]),
            (
                R,
                "gpt-5-mini",
                NONE,
                [no(NO_THINKING), no(NO_TEMPERATURE), no(NO_TEMPERATURE), no(&neither)],
            ),
            (C, "qwen3:8b", SILENT, [no(NO_THINKING), warm(), hot(), no(NO_THINKING)]),
            (
                C,
                "qwen3:8b",
                ALL,
                [
                    word("medium"),
                    warm(),
                    hot(),
                    json!({"reasoning_effort": "low", "temperature": 0.7}),
                ],
            ),
            (
                C,
                "qwen3:8b",
                NONE,
                [no(NO_THINKING), no(NO_TEMPERATURE), no(NO_TEMPERATURE), no(&neither)],
            ),
            (
                A,
                "claude-haiku-4-5",
                NONE,
                [no(NO_THINKING), no(NO_TEMPERATURE), no(NO_TEMPERATURE), no(&neither)],
            ),
        ]
    }
}

/// Proves MC-PROV-1: every interface and every parameter, in the bytes that go out; what a model
/// does not take is refused with its reason, and nothing goes out.
#[tokio::test]
async fn every_interface_says_or_refuses_every_parameter() {
    let table = table();
    for adapter in ADAPTERS {
        let rows = table.iter().filter(|it| it.0 == adapter.api);
        assert!(rows.clone().count() >= 3, "{:?}", adapter.api);
        for (_, model, takes, expected) in rows {
            let params = [THINKING, WARM, HOT, BOTH];
            for (params, expected) in std::iter::zip(params, expected) {
                let told = said(adapter, model, *takes, params).await;
                assert_eq!(told, *expected, "{model} {takes:?} {params:?}");
            }
            let plain = said(adapter, model, *takes, Params::default()).await;
            assert_eq!(plain, json!({}), "what nobody asked for is not said");
        }
    }
}

/// A budget leaves room for the reply; where there is none, nothing is sent.
#[tokio::test]
async fn a_budget_for_thinking_fits_the_longest_reply() {
    let server = Server::start(|_| chunked(STREAM, [])).await;
    let adapter = &ADAPTERS[0];
    let http = super::open_model(adapter, &server.url(), "claude-haiku-4-5");
    for (max_tokens, expected) in [(40_000, Some(24_576)), (8_192, Some(7_168)), (2_000, None)] {
        let call = call();
        let params = Params { thinking: Some(Thinking::High), temperature: None };
        let request = Request { max_tokens, params, ..Request::clone(&call.request) };
        let call = Call { request: Arc::new(request), ..call };
        let before = server.seen().len();
        let told = taskd_llm::collect(http.stream(call)).await;
        let error = told.result.expect_err("no reply");
        let sent = server.seen().get(before).map(|it| {
            let body: Value = serde_json::from_slice(&it.body).expect("JSON");
            body["thinking"]["budget_tokens"].as_u64().expect("a number")
        });
        assert_eq!(sent, expected, "{error}");
    }
    assert_eq!(kind_of_refusal(&http).await, "Inexpressible");
}

/// The kind of the refusal of a parameter.
async fn kind_of_refusal(http: &Http) -> String {
    let call = call();
    let request = Request { params: HOT, ..Request::clone(&call.request) };
    let told = taskd_llm::collect(http.stream(Call { request: Arc::new(request), ..call })).await;
    let error = told.result.expect_err("refused");
    assert_eq!(http.capabilities().refused(HOT)[0].0, Param::Temperature);
    let LlmError::Provider { fault, .. } = error else { panic!("{error}") };
    format!("{fault:?}").chars().take_while(char::is_ascii_alphanumeric).collect()
}
