//! The messages of OTLP that are needed to send spans, by the numbers of
//! `opentelemetry/proto/collector/trace/v1`. Tests read them with the project's own types.

use prost::Message;

use super::spans::{Span, Value};

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<WireSpan>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct WireSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "OneValue", tags = "1, 3")]
    value: Option<OneValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum OneValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

/// A request with these spans.
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let attributes = resource.iter().map(|(key, value)| text(key, value)).collect();
    let scope = Scope { name: "taskd".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let spans = spans.iter().map(span).collect();
    let resource_spans = vec![ResourceSpans {
        resource: Some(Resource { attributes }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
    }];
    Request { resource_spans }.encode_to_vec()
}

fn span(it: &Span) -> WireSpan {
    let nanos = |ms: u64| ms.saturating_mul(1_000_000);
    let attribute = |(key, value): &(&str, Value)| match value {
        Value::Text(value) => text(key, value),
        Value::Number(n) => KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue {
                value: Some(OneValue::Number(i64::try_from(*n).unwrap_or(i64::MAX))),
            }),
        },
    };
    WireSpan {
        trace_id: it.trace.to_vec(),
        span_id: it.id.to_vec(),
        parent_span_id: it.parent.map(|it| it.to_vec()).unwrap_or_default(),
        name: it.name.clone(),
        kind: it.kind as i32,
        start_time_unix_nano: nanos(it.start.0),
        end_time_unix_nano: nanos(it.end.0),
        attributes: it.attributes.iter().map(attribute).collect(),
        status: it.error.as_ref().map(|it| Status { message: it.clone(), code: ERROR }),
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(OneValue::Text(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value) }
}
