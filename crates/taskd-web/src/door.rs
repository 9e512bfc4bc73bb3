//! Who may come in. The page is on loopback, where every program of this machine and every site in
//! the person's browser can knock.
//!
//! - `Host` must be a name of loopback: a site whose name was bent to 127.0.0.1 has its own there.
//! - Everything but the page's files is sent by POST, and must come from the page itself: `Origin` is
//!   there and is where it was sent to. A page on another port is another origin.
//! - It must hold the key, which is given for the address's token, once. It is in no cookie: cookies
//!   know no ports, and what a loop serves on this machine would be sent them too.

use std::{
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, Method, header};
use taskd_api::{ApiError, codes};
use tokio::time::Instant;

use crate::Keys;

/// How long the address opens the page.
const OPEN_FOR: Duration = Duration::from_secs(600);

/// Where the key is given, so nobody has it yet.
const ENTER: &str = "/enter";

/// See above.
pub(crate) struct Door {
    /// Nothing once it was used.
    once: Mutex<Option<String>>,
    until: Instant,
    session: String,
}

impl Door {
    pub(crate) fn new(keys: Keys, now: Instant) -> Self {
        let once = Mutex::new(Some(keys.once));
        Self { once, until: now + OPEN_FOR, session: keys.session }
    }

    /// The key for the token.
    pub(crate) fn enter(&self, token: &str, now: Instant) -> Result<&str, ApiError> {
        let mut once = self.once.lock().unwrap_or_else(PoisonError::into_inner);
        if self.until <= now {
            *once = None;
            return Err(denied("this address was good for ten minutes, which are over", AGAIN));
        }
        let Some(wanted) = once.as_deref() else {
            return Err(denied("this address was used already; it opens the page once", AGAIN));
        };
        if !same(wanted.as_bytes(), token.as_bytes()) {
            return Err(denied("the address is not the one that was printed", AGAIN));
        }
        *once = None;
        Ok(&self.session)
    }

    /// Whether a request may be looked at.
    pub(crate) fn admit(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        let text = |name| headers.get(name).map(|it| it.to_str().unwrap_or("?"));
        let host = text(header::HOST).filter(|it| is_loopback(it));
        let host =
            host.ok_or_else(|| denied("`Host` is no name of this machine's loopback", OWN))?;
        let origin = text(header::ORIGIN);
        if origin.is_some_and(|it| it.strip_prefix("http://") != Some(host)) {
            return Err(denied("`Origin` is another page", OWN));
        }
        if *method == Method::GET || *method == Method::HEAD {
            return Ok(());
        }
        if origin.is_none() {
            return Err(denied("`Origin` is missing", OWN));
        }
        let given = text(header::AUTHORIZATION).and_then(|it| it.strip_prefix("Bearer "));
        if path != ENTER && !given.is_some_and(|it| same(it.as_bytes(), self.session.as_bytes())) {
            return Err(denied("this page is not open here, or not any more", AGAIN));
        }
        Ok(())
    }
}

/// What to do to come in.
const AGAIN: &str = "taskd web";
/// What to do instead of knocking from somewhere else.
const OWN: &str = "open the address that `taskd web` printed";

fn denied(what: &str, hint: &str) -> ApiError {
    ApiError::new(codes::DENIED, what).hint(hint)
}

/// `127.0.0.1:7`, `[::1]:7`, `localhost`.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let plain = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || plain.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// Takes the same time wherever they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(now: Instant) -> Door {
        Door::new(Keys { once: "once".to_owned(), session: "key".to_owned() }, now)
    }

    fn why(result: Result<&str, ApiError>) -> String {
        result.map_or_else(|it| it.message, str::to_owned)
    }

    #[test]
    fn a_token_opens_once_and_for_a_while() {
        let now = Instant::now();
        let it = door(now);
        assert!(why(it.enter("other", now)).contains("not the one"), "and it still opens:");
        assert_eq!(why(it.enter("once", now)), "key");
        assert!(why(it.enter("once", now)).contains("used already"));
        let it = door(now);
        assert!(why(it.enter("once", now + OPEN_FOR)).contains("are over"));
        assert!(why(it.enter("once", now)).contains("used already"), "what is over stays over");
    }

    #[test]
    fn only_the_page_itself_is_let_in() {
        let it = door(Instant::now());
        let said = |method: Method, path: &str, host: &str, origin: &str, key: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in
                [(header::HOST, host), (header::ORIGIN, origin), (header::AUTHORIZATION, key)]
            {
                if !value.is_empty() {
                    headers.insert(name, value.parse().expect("a value"));
                }
            }
            it.admit(&method, path, &headers).map_or_else(|it| it.message, |()| String::new())
        };
        let (host, own) = ("localhost:7", "http://localhost:7");
        assert_eq!(said(Method::GET, "/", host, "", ""), "");
        assert_eq!(said(Method::POST, "/act", host, own, "Bearer key"), "");
        assert_eq!(said(Method::POST, "/enter", host, own, ""), "");
        for (host, origin, key, part) in [
            ("", own, "Bearer key", "`Host`"),
            ("example.org:7", "http://example.org:7", "Bearer key", "`Host`"),
            ("127.0.0.1.example.org", own, "Bearer key", "`Host`"),
            (host, "", "Bearer key", "missing"),
            (host, "null", "Bearer key", "another page"),
            (host, "http://localhost:8", "Bearer key", "another page"),
            (host, "https://localhost:7", "Bearer key", "another page"),
            (host, own, "", "not open"),
            (host, own, "Bearer kez", "not open"),
            (host, own, "key", "not open"),
        ] {
            let said = said(Method::POST, "/act", host, origin, key);
            assert!(said.contains(part), "{host} {origin} {key}: {said}");
        }
        assert!(said(Method::GET, "/", host, "http://example.org", "").contains("another page"));
    }
}
