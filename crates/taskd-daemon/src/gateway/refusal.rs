//! Why a call gets no answer of its provider: in the provider's own shape, with a sentence of ours.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
};

/// Why a call is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownToken,
    UnknownPath,
    TooLong,
    Compressed,
    NoModel,
    ManyModels,
    Unreachable,
    Over,
}

impl Refusal {
    /// Status, the provider's word for it, and ours.
    fn told(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::UnknownToken => (
                StatusCode::UNAUTHORIZED,
                "authentication_error",
                "taskd knows no run with this token; a token ends with its run",
            ),
            Self::UnknownPath => (
                StatusCode::NOT_FOUND,
                "not_found_error",
                "taskd passes on calls of models only, and this path is none",
            ),
            Self::TooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "request_too_large",
                "taskd passes on requests of at most 32 MiB",
            ),
            Self::Compressed => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_request_error",
                "taskd does not pass on compressed requests: it must see which model they ask for",
            ),
            Self::NoModel => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "taskd finds no name of a model in this request",
            ),
            Self::ManyModels => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "this run has called as many models as taskd lets one run call",
            ),
            Self::Unreachable => {
                (StatusCode::SERVICE_UNAVAILABLE, "api_error", "taskd could not reach the provider")
            }
            Self::Over => (
                StatusCode::FORBIDDEN,
                "permission_error",
                "taskd is ending this run; `taskd show` says why",
            ),
        }
    }

    /// As the interface of `path` says it.
    pub(super) fn response(self, path: &str) -> Response {
        let (status, kind, message) = self.told();
        let error = serde_json::json!({ "type": kind, "code": kind, "message": message });
        let body = if path.starts_with("/v1/messages") {
            serde_json::json!({ "type": "error", "error": error })
        } else {
            serde_json::json!({ "error": error })
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}
