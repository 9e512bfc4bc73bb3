//! Anthropic's Messages interface, as the suite sees it.

use taskd_llm::Api;

use super::Adapter;

pub(super) const ADAPTER: Adapter = Adapter {
    api: Api::AnthropicMessages,
    folder: "anthropic",
    path: "/v1/messages",
    // https://platform.claude.com/docs/en/build-with-claude/token-counting
    count: Some(("/v1/messages/count_tokens", "{ \"input_tokens\": 14 }", 14)),
    // https://platform.claude.com/docs/en/api/models/list
    list: (
        "/v1/models?limit=1000",
        r#"{
  "data": [
    {
      "created_at": "2025-02-19T00:00:00Z",
      "display_name": "Claude Sonnet 4",
      "id": "claude-sonnet-4-20250514",
      "type": "model"
    }
  ],
  "first_id": "first_id",
  "has_more": true,
  "last_id": "last_id"
}"#,
        1,
        true,
    ),
    key: ("x-api-key", "{key}"),
    headers: &[("anthropic-version", "2023-06-01")],
    error: |code, prose| {
        format!(
            r#"{{"type":"error","error":{{"type":"{code}","message":"{prose}"}},"request_id":"req_1"}}"#
        )
    },
    error_event: |code, prose| {
        format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{code}\",\"message\":\"{prose}\"}}}}\n\n"
        )
    },
    saying: |text| {
        let text = serde_json::Value::from(text);
        [
            r#"{"type":"message_start","message":{"model":"model-1-0","usage":{"input_tokens":9,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            &format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":{text}}}}}"#),
        ]
        .iter()
        .map(|it| format!("data: {it}\n\n"))
        .collect()
    },
    ending: || {
        [
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#,
            r#"{"type":"message_stop"}"#,
        ]
        .iter()
        .map(|it| format!("data: {it}\n\n"))
        .collect()
    },
    codes: [
        "overloaded_error",
        "rate_limit_error",
        "billing_error",
        "authentication_error",
        "request_too_large",
    ],
    levels: "anthropic-ratelimit-requests-limit: 50\r\n\
             anthropic-ratelimit-requests-remaining: 0\r\n\
             anthropic-ratelimit-requests-reset: 2030-01-01T12:00:30Z",
    midway: "usage 9 in, 3 out",
    garbage: r#"{"type": 5}"#,
    tail: 0,
};
