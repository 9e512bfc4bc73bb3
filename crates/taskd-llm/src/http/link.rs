//! The way to one model: client, address, credential. Made once, shared by all its calls.

use std::{net::IpAddr, sync::Arc};

use reqwest::{
    Client, Method, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect, retry,
};
use taskd_model::Request;

use super::{HttpSettings, Timeouts};
use crate::{LlmError, wire::Wire};

const USER_AGENT: &str = concat!("taskd/", env!("CARGO_PKG_VERSION"));

/// The way to one model.
pub(super) struct Link {
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) timeouts: Timeouts,
    pub(super) wire: Arc<dyn Wire>,
    pub(super) client: Client,
    /// Without a slash at the end.
    base: String,
    /// Credential and what every call says.
    headers: HeaderMap,
}

impl Link {
    pub(super) fn new(settings: HttpSettings, wire: Arc<dyn Wire>) -> Result<Self, LlmError> {
        let HttpSettings { provider, model, base_url, key, timeouts, api: _ } = settings;
        let bad =
            |what: &str| LlmError::Settings { provider: provider.clone(), what: what.to_owned() };
        let url = Url::parse(&base_url).map_err(|_| bad("its base URL is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(bad("its base URL must begin with https:// or http:// and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("its base URL holds a credential; set the key instead"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("its base URL may have no `?` and no `#`"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let authorization = key.map(|it| wire.authorize(it.reveal())).unwrap_or_default();
        for (name, value) in authorization {
            let mut value =
                HeaderValue::try_from(value).map_err(|_| bad("its key cannot be a header"))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let client = client(&url, timeouts).map_err(|_| {
            bad("this machine's certificates cannot be read; install ca-certificates")
        })?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { provider, model, timeouts, wire, client, base, headers })
    }

    /// `request` as it goes out. Its model is replaced by the provider's own name of it.
    pub(super) fn request(&self, request: &Request) -> Result<reqwest::Request, LlmError> {
        let request = Request { model: self.model.clone(), ..request.clone() };
        let written = self.wire.request(&request)?;
        let url = Url::parse(&address(&self.base, written.path))
            .map_err(|_| LlmError::inexpressible("its path makes no URL"))?;
        let mut sent = reqwest::Request::new(Method::POST, url);
        *sent.headers_mut() = self.headers.clone();
        for (name, value) in written.headers {
            let value = HeaderValue::try_from(value)
                .map_err(|_| LlmError::inexpressible("a header holds what headers cannot"))?;
            sent.headers_mut().insert(HeaderName::from_static(name), value);
        }
        *sent.body_mut() = Some(written.body.into());
        Ok(sent)
    }
}

/// `path` below `base`. People write the base with and without the version that paths begin with.
fn address(base: &str, path: &str) -> String {
    let base =
        if path.starts_with("/v1/") { base.strip_suffix("/v1").unwrap_or(base) } else { base };
    format!("{base}{path}")
}

fn client(url: &Url, timeouts: Timeouts) -> reqwest::Result<Client> {
    let mut client = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(timeouts.connect)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false);
    if is_loopback(url) {
        // A proxy elsewhere cannot reach this machine's own servers.
        client = client.no_proxy();
    }
    if url.scheme() == "http" {
        // No TLS, so it works where there are no certificates.
        client = client.tls_certs_only([]);
    }
    client.build()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.');
    name == "localhost"
        || name.ends_with(".localhost")
        || bare.parse::<IpAddr>().is_ok_and(|it| it.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_the_world() {
        let is = |text| is_loopback(&Url::parse(text).unwrap());
        for here in [
            "http://localhost:1",
            "http://LOCALHOST.",
            "http://a.localhost",
            "http://127.0.0.1",
            "http://127.9.9.9:80",
            "http://[::1]:1",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(is(here), "{here}");
        }
        for there in ["http://localhost.example", "http://10.0.0.1", "http://[2001:db8::1]"] {
            assert!(!is(there), "{there}");
        }
    }

    #[test]
    fn a_version_in_the_base_is_not_doubled() {
        let cases = [
            ("https://a.example", "https://a.example/v1/messages"),
            ("https://a.example/v1", "https://a.example/v1/messages"),
            ("https://a.example/x/v1", "https://a.example/x/v1/messages"),
            ("https://a.example/v2", "https://a.example/v2/v1/messages"),
        ];
        for (base, expected) in cases {
            assert_eq!(address(base, "/v1/messages"), expected);
        }
    }
}
