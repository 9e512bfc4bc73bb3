//! How a command fails: one line, a hint, an exit code. The only place that maps errors to codes.

use std::io::{self, Write as _};

use taskd_api::{ApiError, codes};

use crate::render::text::clean;

/// What a command returns: an exit code, or why it failed.
pub(crate) type Done = Result<u8, Failure>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody reads what we print any more: over, without a word.
    Gone,
    /// It was said already; only the code is left.
    Said(u8),
    /// Something else, ours or the daemon's.
    Api(ApiError),
}

impl Failure {
    /// It was asked for wrongly.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Api(ApiError::new(codes::INVALID, message).hint(hint))
    }

    /// It did not work.
    pub(crate) fn failed(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Api(ApiError::new(codes::REFUSED, message).hint(hint))
    }

    /// What is wrong, in words.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Api(error) => &error.message,
            Self::Gone => "nobody reads what is said",
            Self::Said(_) => "it was said already",
        }
    }

    /// Tells the person, and says the exit code.
    pub(crate) fn report(&self, json: bool) -> u8 {
        match self {
            Self::Gone => 0,
            Self::Said(code) => *code,
            Self::Api(error) => {
                let mut err = io::stderr().lock();
                // There is nowhere left to complain to.
                err.write_all(told(error, json).as_bytes()).ok();
                error.exit
            }
        }
    }
}

/// `error: …` and `hint: …`, or one JSON object.
fn told(error: &ApiError, json: bool) -> String {
    if json {
        let ApiError { code, message, hint, causes, .. } = error;
        let mut error = serde_json::json!({ "code": code, "message": message, "hint": hint });
        if !causes.is_empty() {
            error["causes"] = causes.clone().into();
        }
        return format!("{}\n", serde_json::json!({ "error": error }));
    }
    let mut lines = error.message.lines().map(clean);
    let mut text = format!("error: {}\n", lines.next().unwrap_or_default());
    lines.for_each(|it| text.push_str(&format!("  {it}\n")));
    for cause in &error.causes {
        text.push_str(&format!("  because: {}\n", clean(cause)));
    }
    if !error.hint.is_empty() {
        text.push_str(&format!("hint: {}\n", clean(&error.hint)));
    }
    text
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Gone;
        }
        Self::failed(error.to_string(), "")
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<ApiError>() {
            Ok(error) => Self::Api(error),
            Err(error) => {
                let mut chain = error.chain().map(ToString::to_string);
                let message = chain.next().unwrap_or_default();
                let causes = chain.collect();
                Self::Api(ApiError { causes, ..ApiError::new(codes::REFUSED, message) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_line_a_hint_and_a_code() {
        let error = ApiError::new(codes::NOT_FOUND, "there is no \"p\u{1b}9\"").hint("taskd ls -a");
        assert_eq!(told(&error, false), "error: there is no \"p\\u{1b}9\"\nhint: taskd ls -a\n");
        let json = "{\"error\":{\"code\":\"not_found\",\"hint\":\"taskd ls -a\",\
                    \"message\":\"there is no \\\"p\\u001b9\\\"\"}}\n";
        assert_eq!(told(&error, true), json);
        assert_eq!(error.exit, 5);
        let gone: Failure = io::Error::from(io::ErrorKind::BrokenPipe).into();
        assert!(matches!(gone, Failure::Gone));
    }
}
