//! What a provider's status and code stand for. One table for every provider, for answers that are
//! errors and for errors inside a stream.
//!
//! Only statuses and codes are looked at: the prose beside them is reworded at will.

use taskd_model::Code;

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

/// The word for a provider's own problem.
pub(super) fn server(status: Option<u16>, code: Option<&str>) -> Code {
    let busy =
        matches!(code, Some("overloaded_error" | "engine_overloaded" | "service_unavailable"));
    if busy || matches!(status, Some(503 | 529)) { Code::Overloaded } else { Code::ServerError }
}

/// The word for not being accepted.
pub(super) fn auth(status: Option<u16>, code: Option<&str>) -> Code {
    if status == Some(402) || code.is_some_and(is_billing) {
        Code::QuotaExhausted
    } else if status == Some(403) || code == Some("permission_error") {
        Code::PermissionDenied
    } else {
        Code::AuthFailed
    }
}

/// The word for a request that is not accepted.
pub(super) fn refused(status: Option<u16>, code: Option<&str>) -> Code {
    match code {
        Some("content_filter" | "content_policy_violation" | "invalid_prompt") => {
            Code::ContentRefused
        }
        Some("not_found_error" | "model_not_found") => Code::ModelNotFound,
        Some(_) | None if status == Some(404) => Code::ModelNotFound,
        Some(_) | None => Code::InvalidRequest,
    }
}

#[cfg(test)]
mod tests {
    use crate::{BodyKind, LlmError};

    /// Status (0: inside a stream), code (`-`: none), named wait (`-`: none), class, kind, word.
    const TABLE: &str = "
        400 - -                              Permanent         Refused         invalid_request
        400 - 5                              Permanent         Refused         invalid_request
        400 invalid_request_error -          Permanent         Refused         invalid_request
        400 invalid_request_error 5          Permanent         Refused         invalid_request
        400 context_length_exceeded -        TooLarge          ContextTooLarge context_too_large
        400 string_above_max_length -        TooLarge          ContextTooLarge context_too_large
        400 request_too_large -              TooLarge          ContextTooLarge context_too_large
        400 overloaded_error -               Transient         Server          overloaded
        400 overloaded_error 5               NotBefore(5)      Server          overloaded
        400 rate_limit_exceeded 5            NotBefore(5)      RateLimited     rate_limited
        400 billing_error -                  Auth              Auth            quota_exhausted
        400 insufficient_quota 5             Auth              Auth            quota_exhausted
        400 invalid_api_key -                Auth              Auth            auth_failed
        400 unheard_of -                     Permanent         Refused         invalid_request
        401 - -                              Auth              Auth            auth_failed
        401 authentication_error -           Auth              Auth            auth_failed
        401 invalid_api_key 5                Auth              Auth            auth_failed
        401 api_error -                      Auth              Auth            auth_failed
        402 - -                              Auth              Auth            quota_exhausted
        402 billing_error 5                  Auth              Auth            quota_exhausted
        403 - -                              Auth              Auth            permission_denied
        403 permission_error -               Auth              Auth            permission_denied
        403 rate_limit_error -               Auth              Auth            permission_denied
        404 - -                              Permanent         Refused         model_not_found
        404 not_found_error -                Permanent         Refused         model_not_found
        404 model_not_found 5                Permanent         Refused         model_not_found
        404 overloaded_error -               Permanent         Refused         model_not_found
        405 - -                              Permanent         Refused         invalid_request
        408 - -                              Transient         Server          server_error
        408 timeout_error 5                  NotBefore(5)      Server          server_error
        409 - -                              Transient         Server          server_error
        409 - 5                              NotBefore(5)      Server          server_error
        409 invalid_request_error -          Transient         Server          server_error
        413 - -                              TooLarge          ContextTooLarge context_too_large
        413 request_too_large 5              TooLarge          ContextTooLarge context_too_large
        413 unheard_of -                     TooLarge          ContextTooLarge context_too_large
        418 - -                              Permanent         Refused         invalid_request
        418 slow_down -                      RateLimited       RateLimited     rate_limited
        422 - -                              Permanent         Refused         invalid_request
        422 invalid_request_error -          Permanent         Refused         invalid_request
        429 - -                              RateLimited       RateLimited     rate_limited
        429 - 0                              NotBefore(0)      RateLimited     rate_limited
        429 - 5                              NotBefore(5)      RateLimited     rate_limited
        429 rate_limit_error -               RateLimited       RateLimited     rate_limited
        429 rate_limit_exceeded 5            NotBefore(5)      RateLimited     rate_limited
        429 overloaded_error -               RateLimited       RateLimited     rate_limited
        429 invalid_request_error -          RateLimited       RateLimited     rate_limited
        429 insufficient_quota -             Auth              Auth            quota_exhausted
        429 insufficient_quota 5             Auth              Auth            quota_exhausted
        429 billing_hard_limit_reached -     Auth              Auth            quota_exhausted
        499 - -                              Permanent         Refused         invalid_request
        500 - -                              Transient         Server          server_error
        500 - 5                              NotBefore(5)      Server          server_error
        500 api_error -                      Transient         Server          server_error
        500 authentication_error -           Transient         Server          server_error
        500 invalid_request_error 5          NotBefore(5)      Server          server_error
        500 context_length_exceeded -        TooLarge          ContextTooLarge context_too_large
        502 - -                              Transient         Server          server_error
        502 - 5                              NotBefore(5)      Server          server_error
        503 - -                              Transient         Server          overloaded
        503 rate_limit_error -               Transient         Server          overloaded
        503 overloaded_error 5               NotBefore(5)      Server          overloaded
        504 - -                              Transient         Server          server_error
        504 timeout_error -                  Transient         Server          server_error
        529 - -                              Transient         Server          overloaded
        529 overloaded_error 5               NotBefore(5)      Server          overloaded
        599 - -                              Transient         Server          server_error
        301 - -                              Permanent         Refused         invalid_request
        307 overloaded_error -               Transient         Server          overloaded
        200 overloaded_error -               Transient         Server          overloaded
        200 invalid_request_error -          Permanent         Refused         invalid_request
        0 - -                                Transient         Server          server_error
        0 overloaded_error -                 Transient         Server          overloaded
        0 api_error -                        Transient         Server          server_error
        0 timeout_error -                    Transient         Server          server_error
        0 server_error -                     Transient         Server          server_error
        0 rate_limit_error -                 RateLimited       RateLimited     rate_limited
        0 rate_limit_exceeded -              RateLimited       RateLimited     rate_limited
        0 authentication_error -             Auth              Auth            auth_failed
        0 permission_error -                 Auth              Auth            permission_denied
        0 insufficient_quota -               Auth              Auth            quota_exhausted
        0 invalid_request_error -            Permanent         Refused         invalid_request
        0 request_too_large -                TooLarge          ContextTooLarge context_too_large
        0 context_length_exceeded -          TooLarge          ContextTooLarge context_too_large
        0 unheard_of -                       Transient         Server          server_error
        400 content_filter -                 Permanent         Refused         content_refused
        400 content_policy_violation -       Permanent         Refused         content_refused
        400 invalid_prompt -                 Permanent         Refused         content_refused
        400 invalid_value -                  Permanent         Refused         invalid_request
        400 model_not_found -                Permanent         Refused         model_not_found
        400 not_found_error -                Permanent         Refused         model_not_found
        400 exceed_context_size_error -      TooLarge          ContextTooLarge context_too_large
        400 billing_not_active -             Auth              Auth            quota_exhausted
        400 account_deactivated -            Auth              Auth            quota_exhausted
        400 engine_overloaded -              Transient         Server          overloaded
        400 too_many_requests -              RateLimited       RateLimited     rate_limited
        401 insufficient_quota -             Auth              Auth            quota_exhausted
        401 permission_error -               Auth              Auth            permission_denied
        401 context_length_exceeded -        TooLarge          ContextTooLarge context_too_large
        402 - 5                              Auth              Auth            quota_exhausted
        403 account_deactivated -            Auth              Auth            quota_exhausted
        403 insufficient_quota 5             Auth              Auth            quota_exhausted
        403 unheard_of -                     Auth              Auth            permission_denied
        404 invalid_request_error -          Permanent         Refused         model_not_found
        404 billing_error -                  Auth              Auth            quota_exhausted
        406 - -                              Permanent         Refused         invalid_request
        408 unheard_of -                     Transient         Server          server_error
        410 - -                              Permanent         Refused         invalid_request
        415 - -                              Permanent         Refused         invalid_request
        421 - -                              Permanent         Refused         invalid_request
        424 - -                              Permanent         Refused         invalid_request
        425 - -                              Permanent         Refused         invalid_request
        429 too_many_requests 5              NotBefore(5)      RateLimited     rate_limited
        429 slow_down -                      RateLimited       RateLimited     rate_limited
        429 billing_not_active -             Auth              Auth            quota_exhausted
        429 context_length_exceeded -        TooLarge          ContextTooLarge context_too_large
        429 unheard_of 5                     NotBefore(5)      RateLimited     rate_limited
        500 unheard_of -                     Transient         Server          server_error
        500 insufficient_quota -             Auth              Auth            quota_exhausted
        501 - -                              Transient         Server          server_error
        503 service_unavailable -            Transient         Server          overloaded
        503 engine_overloaded 5              NotBefore(5)      Server          overloaded
        520 - -                              Transient         Server          server_error
        524 - -                              Transient         Server          server_error
        302 - -                              Permanent         Refused         invalid_request
        308 - -                              Permanent         Refused         invalid_request
        200 server_error -                   Transient         Server          server_error
        0 engine_overloaded -                Transient         Server          overloaded
        0 service_unavailable -              Transient         Server          overloaded
        0 content_filter -                   Permanent         Refused         content_refused
        0 not_found_error -                  Permanent         Refused         model_not_found
        0 invalid_api_key -                  Auth              Auth            auth_failed
        0 slow_down -                        RateLimited       RateLimited     rate_limited
        0 billing_error -                    Auth              Auth            quota_exhausted";

    /// Proves S-1.4.1.
    #[test]
    fn status_code_and_wait_decide_together() {
        let mut rows = 0;
        for row in TABLE.lines().filter(|it| !it.trim().is_empty()) {
            let [status, code, wait, class, kind, word] =
                row.split_whitespace().collect::<Vec<_>>().try_into().expect("six columns");
            let status = Some(status.parse().expect("a status")).filter(|it| *it > 0);
            let code = Some(code).filter(|it| *it != "-");
            for body in [BodyKind::Json, BodyKind::Html, BodyKind::Empty, BodyKind::Unseen] {
                let error = LlmError::answered(status, code, wait.parse().ok(), body);
                assert_eq!(format!("{:?}", error.class()), class, "{row}");
                let LlmError::Provider { origin, fault } = &error else { panic!("{row}") };
                assert!(format!("{fault:?}").starts_with(kind), "{row}");
                assert_eq!(error.code().as_str(), word, "{row}");
                assert_eq!((origin.status, origin.code.as_deref()), (status, code));
            }
            rows += 1;
        }
        assert_eq!(rows, 134);
    }
}
