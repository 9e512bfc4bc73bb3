//! `OpenAI`'s two interfaces, as the suite sees them.

use taskd_llm::Api;

use super::Adapter;

/// Errors have the same shape in both, and the same codes.
const CODES: [&str; 5] = [
    "server_error",
    "rate_limit_exceeded",
    "insufficient_quota",
    "invalid_api_key",
    "context_length_exceeded",
];
const KEY: (&str, &str) = ("authorization", "Bearer {key}");
const LEVELS: &str = "x-ratelimit-limit-requests: 50\r\n\
                      x-ratelimit-remaining-requests: 0\r\n\
                      x-ratelimit-reset-requests: 30s";
/// Neither says before its end what was read: until then it is our estimate of the request.
const MIDWAY: &str = "usage 25 in, 2 out";

/// https://platform.openai.com/docs/api-reference/models/list
const LIST: (&str, &str, usize, bool) = (
    "/models",
    r#"{
  "object": "list",
  "data": [
    {
      "id": "model-id-0",
      "object": "model",
      "created": 1686935002,
      "owned_by": "organization-owner"
    },
    {
      "id": "model-id-1",
      "object": "model",
      "created": 1686935002,
      "owned_by": "organization-owner"
    },
    {
      "id": "model-id-2",
      "object": "model",
      "created": 1686935002,
      "owned_by": "openai"
    }
  ]
}"#,
    3,
    false,
);

pub(super) const CHAT: Adapter = Adapter {
    api: Api::OpenAiChat,
    folder: "openai_chat",
    path: "/chat/completions",
    count: None,
    list: LIST,
    key: KEY,
    headers: &[],
    error,
    error_event: |code, prose| format!("data: {}\n\n", error(code, prose)),
    saying: |text| {
        let text = serde_json::Value::from(text);
        format!(
            "data: {{\"model\":\"model-1-0\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}}}}]}}\n\n"
        )
    },
    ending: || {
        [
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7}}"#,
            "[DONE]",
        ]
        .iter()
        .map(|it| format!("data: {it}\n\n"))
        .collect()
    },
    codes: CODES,
    levels: LEVELS,
    midway: MIDWAY,
    garbage: r#"{"choices": 5}"#,
    // What was used, and the end.
    tail: 2,
};

pub(super) const RESPONSES: Adapter = Adapter {
    api: Api::OpenAiResponses,
    folder: "openai_responses",
    path: "/responses",
    // https://platform.openai.com/docs/api-reference/responses/input-tokens
    count: Some((
        "/responses/input_tokens",
        r#"{
  "object": "response.input_tokens",
  "input_tokens": 11
}"#,
        11,
    )),
    list: LIST,
    key: KEY,
    headers: &[],
    error,
    error_event: |code, prose| {
        format!(
            "event: error\ndata: {{\"type\":\"error\",\"code\":\"{code}\",\"message\":\"{prose}\",\"param\":null}}\n\n"
        )
    },
    saying: |text| {
        let text = serde_json::Value::from(text);
        format!("data: {{\"type\":\"response.output_text.delta\",\"delta\":{text}}}\n\n")
    },
    ending: || {
        let usage = r#"{"input_tokens":9,"output_tokens":7}"#;
        format!(
            "data: {{\"type\":\"response.completed\",\"response\":{{\"model\":\"model-1-0\",\"usage\":{usage}}}}}\n\n"
        )
    },
    codes: CODES,
    levels: LEVELS,
    midway: MIDWAY,
    garbage: r#"{"type": 5}"#,
    tail: 0,
};

fn error(code: &str, prose: &str) -> String {
    format!(r#"{{"error":{{"message":"{prose}","type":"x_error","param":null,"code":"{code}"}}}}"#)
}
