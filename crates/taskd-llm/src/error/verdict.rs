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
        "request_too_large"
        | "context_length_exceeded"
        | "string_above_max_length"
        | "exceed_context_size_error" => Verdict::TooMuchContext,
        "rate_limit_error" | "rate_limit_exceeded" | "too_many_requests" | "slow_down" => {
            Verdict::RateLimited
        }
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

#[cfg(test)]
mod tests {
    use crate::{BodyKind, LlmError};

    /// Status (0: inside a stream), code (`-`: none), named wait (`-`: none), class, kind.
    const TABLE: &str = "
        400 - -                              Permanent         Refused
        400 - 5                              Permanent         Refused
        400 invalid_request_error -          Permanent         Refused
        400 invalid_request_error 5          Permanent         Refused
        400 context_length_exceeded -        TooLarge          ContextTooLarge
        400 string_above_max_length -        TooLarge          ContextTooLarge
        400 request_too_large -              TooLarge          ContextTooLarge
        400 overloaded_error -               Transient         Server
        400 overloaded_error 5               NotBefore(5)      Server
        400 rate_limit_exceeded 5            NotBefore(5)      RateLimited
        400 billing_error -                  Auth              Auth
        400 insufficient_quota 5             Auth              Auth
        400 invalid_api_key -                Auth              Auth
        400 unheard_of -                     Permanent         Refused
        401 - -                              Auth              Auth
        401 authentication_error -           Auth              Auth
        401 invalid_api_key 5                Auth              Auth
        401 api_error -                      Auth              Auth
        402 - -                              Auth              Auth
        402 billing_error 5                  Auth              Auth
        403 - -                              Auth              Auth
        403 permission_error -               Auth              Auth
        403 rate_limit_error -               Auth              Auth
        404 - -                              Permanent         Refused
        404 not_found_error -                Permanent         Refused
        404 model_not_found 5                Permanent         Refused
        404 overloaded_error -               Permanent         Refused
        405 - -                              Permanent         Refused
        408 - -                              Transient         Server
        408 timeout_error 5                  NotBefore(5)      Server
        409 - -                              Transient         Server
        409 - 5                              NotBefore(5)      Server
        409 invalid_request_error -          Transient         Server
        413 - -                              TooLarge          ContextTooLarge
        413 request_too_large 5              TooLarge          ContextTooLarge
        413 unheard_of -                     TooLarge          ContextTooLarge
        418 - -                              Permanent         Refused
        418 slow_down -                      RateLimited       RateLimited
        422 - -                              Permanent         Refused
        422 invalid_request_error -          Permanent         Refused
        429 - -                              RateLimited       RateLimited
        429 - 0                              NotBefore(0)      RateLimited
        429 - 5                              NotBefore(5)      RateLimited
        429 rate_limit_error -               RateLimited       RateLimited
        429 rate_limit_exceeded 5            NotBefore(5)      RateLimited
        429 overloaded_error -               RateLimited       RateLimited
        429 invalid_request_error -          RateLimited       RateLimited
        429 insufficient_quota -             Auth              Auth
        429 insufficient_quota 5             Auth              Auth
        429 billing_hard_limit_reached -     Auth              Auth
        499 - -                              Permanent         Refused
        500 - -                              Transient         Server
        500 - 5                              NotBefore(5)      Server
        500 api_error -                      Transient         Server
        500 authentication_error -           Transient         Server
        500 invalid_request_error 5          NotBefore(5)      Server
        500 context_length_exceeded -        TooLarge          ContextTooLarge
        502 - -                              Transient         Server
        502 - 5                              NotBefore(5)      Server
        503 - -                              Transient         Server
        503 rate_limit_error -               Transient         Server
        503 overloaded_error 5               NotBefore(5)      Server
        504 - -                              Transient         Server
        504 timeout_error -                  Transient         Server
        529 - -                              Transient         Server
        529 overloaded_error 5               NotBefore(5)      Server
        599 - -                              Transient         Server
        301 - -                              Permanent         Refused
        307 overloaded_error -               Transient         Server
        200 overloaded_error -               Transient         Server
        200 invalid_request_error -          Permanent         Refused
        0 - -                                Transient         Server
        0 overloaded_error -                 Transient         Server
        0 api_error -                        Transient         Server
        0 timeout_error -                    Transient         Server
        0 server_error -                     Transient         Server
        0 rate_limit_error -                 RateLimited       RateLimited
        0 rate_limit_exceeded -              RateLimited       RateLimited
        0 authentication_error -             Auth              Auth
        0 permission_error -                 Auth              Auth
        0 insufficient_quota -               Auth              Auth
        0 invalid_request_error -            Permanent         Refused
        0 request_too_large -                TooLarge          ContextTooLarge
        0 context_length_exceeded -          TooLarge          ContextTooLarge
        0 unheard_of -                       Transient         Server";

    /// Proves S-1.4.1.
    #[test]
    fn status_code_and_wait_decide_together() {
        let mut rows = 0;
        for row in TABLE.lines().filter(|it| !it.trim().is_empty()) {
            let [status, code, wait, class, kind] =
                row.split_whitespace().collect::<Vec<_>>().try_into().expect("five columns");
            let status = Some(status.parse().expect("a status")).filter(|it| *it > 0);
            let code = Some(code).filter(|it| *it != "-");
            for body in [BodyKind::Json, BodyKind::Html, BodyKind::Empty, BodyKind::Unseen] {
                let error = LlmError::answered(status, code, wait.parse().ok(), body);
                assert_eq!(format!("{:?}", error.class()), class, "{row}");
                assert!(format!("{error:?}").starts_with(kind), "{row}");
                let origin = error.origin().expect("a provider's");
                assert_eq!((origin.status, origin.code.as_deref()), (status, code));
            }
            rows += 1;
        }
        assert!(rows >= 60, "{rows}");
    }
}
