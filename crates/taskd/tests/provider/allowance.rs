//! Limits as a provider enforces them: buckets that fill all the time, an answer that says how much
//! is left, and 429 when there is nothing.

use std::time::{Duration, Instant, SystemTime};

use super::Answer;

/// Characters of a body that are one token, here as in most estimates.
const CHARS_PER_TOKEN: usize = 4;

/// What is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) requests_per_minute: u32,
    pub(crate) input_tokens_per_minute: u32,
    /// What of each is left when the server starts, in seconds' worth. A full bucket holds a minute's.
    pub(crate) left: Duration,
}

/// What a body of so many bytes is counted as.
pub(super) fn tokens_of(bytes: usize) -> u64 {
    (bytes / CHARS_PER_TOKEN) as u64
}

/// Both buckets.
pub(super) struct Meters {
    requests: Bucket,
    tokens: Bucket,
}

struct Bucket {
    per_minute: f64,
    left: f64,
    at: Instant,
}

impl Meters {
    pub(super) fn new(allowance: Allowance) -> Self {
        let bucket = |per_minute: u32| {
            let per_minute = f64::from(per_minute);
            let left = per_minute * allowance.left.as_secs_f64() / 60.0;
            Bucket { per_minute, left, at: Instant::now() }
        };
        Self {
            requests: bucket(allowance.requests_per_minute),
            tokens: bucket(allowance.input_tokens_per_minute),
        }
    }

    /// Takes one request with a body of so many bytes, or says why not.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Answer> {
        let tokens = f64::from(u32::try_from(tokens_of(bytes)).unwrap_or(u32::MAX));
        let wait = self.requests.wait(1.0).max(self.tokens.wait(tokens));
        if wait.is_zero() {
            self.requests.left -= 1.0;
            self.tokens.left -= tokens;
            return None;
        }
        let seconds = wait.as_secs_f64().ceil();
        let kind = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#;
        let mut headers = self.levels();
        headers.push(("retry-after".to_owned(), format!("{seconds:.0}")));
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        Some(Answer::Plain(429, headers, kind.to_owned()))
    }

    /// Nothing is left, as after a storm of others.
    pub(super) fn empty(&mut self) {
        for bucket in [&mut self.requests, &mut self.tokens] {
            bucket.fill();
            bucket.left = 0.0;
        }
    }

    /// What is left of the nearest limit, in seconds' worth of it.
    pub(super) fn left_s(&mut self) -> f64 {
        let [requests, tokens] = [&mut self.requests, &mut self.tokens].map(|it| {
            it.fill();
            it.left * 60.0 / it.per_minute
        });
        requests.min(tokens)
    }

    /// What is left, in Anthropic's headers.
    pub(super) fn levels(&mut self) -> Vec<(String, String)> {
        let mut levels = Vec::new();
        for (name, bucket) in [("requests", &mut self.requests), ("input-tokens", &mut self.tokens)]
        {
            bucket.fill();
            let lacks = bucket.per_minute - bucket.left;
            let reset = Duration::from_secs_f64(lacks * 60.0 / bucket.per_minute);
            let reset = jiff::Timestamp::try_from(SystemTime::now() + reset).expect("this century");
            let mut level = |what: &str, value: String| {
                levels.push((format!("anthropic-ratelimit-{name}-{what}"), value));
            };
            level("limit", format!("{:.0}", bucket.per_minute));
            level("remaining", format!("{:.0}", bucket.left.floor()));
            level("reset", format!("{reset:.0}"));
        }
        levels
    }
}

impl Bucket {
    fn fill(&mut self) {
        let now = Instant::now();
        let more = (now - self.at).as_secs_f64() * self.per_minute / 60.0;
        self.left = (self.left + more).min(self.per_minute);
        self.at = now;
    }

    /// How long until `amount` is there.
    fn wait(&mut self, amount: f64) -> Duration {
        self.fill();
        Duration::from_secs_f64((amount - self.left).max(0.0) * 60.0 / self.per_minute)
    }
}
