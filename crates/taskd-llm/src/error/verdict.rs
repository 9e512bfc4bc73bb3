//! What a provider's status and code stand for. One table for every provider, for answers that are
//! errors and for errors inside a stream.
//!
//! Only statuses and codes are looked at: the prose beside them is reworded at will.

/// What kind of failure an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Too much was asked for.
    RateLimited,
    /// A problem of the provider's own.
    Server,
    /// We are not accepted, or there is no money.
    Auth,
    /// The request is larger than the model or the provider takes.
    TooMuchContext,
    /// The request is not accepted.
    Refused,
}

/// The verdict on an answer. A status of 200 stands for an error inside a stream.
pub(crate) fn verdict(status: Option<u16>, code: Option<&str>) -> Verdict {
    let by_code = code.and_then(of_code);
    // What no status tells apart: these come with 400, 403 and 429.
    if let Some(Verdict::TooMuchContext) = by_code {
        return Verdict::TooMuchContext;
    }
    if code.is_some_and(is_billing) {
        return Verdict::Auth;
    }
    match status {
        Some(401..=403) => Verdict::Auth,
        Some(429) => Verdict::RateLimited,
        Some(408 | 409 | 500..=599) => Verdict::Server,
        Some(413) => Verdict::TooMuchContext,
        Some(404) => Verdict::Refused,
        Some(300..=499) => by_code.unwrap_or(Verdict::Refused),
        // A stream that breaks off with a word nobody knows: it began well, so it may be asked for
        // again.
        Some(_) | None => by_code.unwrap_or(Verdict::Server),
    }
}

fn is_billing(code: &str) -> bool {
    matches!(
        code,
        "billing_error"
            | "insufficient_quota"
            | "billing_hard_limit_reached"
            | "billing_not_active"
            | "account_deactivated"
    )
}

fn of_code(code: &str) -> Option<Verdict> {
    Some(match code {
        "request_too_large" | "context_length_exceeded" | "string_above_max_length" => {
            Verdict::TooMuchContext
        }
        "rate_limit_error" | "rate_limit_exceeded" | "slow_down" => Verdict::RateLimited,
        "overloaded_error"
        | "api_error"
        | "timeout_error"
        | "server_error"
        | "internal_server_error"
        | "service_unavailable"
        | "engine_overloaded" => Verdict::Server,
        "authentication_error" | "permission_error" | "invalid_api_key" => Verdict::Auth,
        "invalid_request_error"
        | "not_found_error"
        | "model_not_found"
        | "invalid_prompt"
        | "invalid_value"
        | "content_filter"
        | "content_policy_violation" => Verdict::Refused,
        other if is_billing(other) => Verdict::Auth,
        _ => return None,
    })
}
