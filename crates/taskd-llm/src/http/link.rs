//! The way to one model: client, address, credential. Made once, shared by all its calls.

use std::{
    fs,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use reqwest::{
    Certificate, Client, Method, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect, retry,
};
use taskd_model::Request;

use super::{HttpSettings, Timeouts};
use crate::{
    Capabilities, LlmError,
    wire::{HttpRequest, Wire},
};

/// HTTP/2's own default, and not the megabytes clients ask for.
const HTTP2_WINDOW_BYTES: u32 = 65_535;

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
    pub(super) capabilities: Capabilities,
    /// Requests as they went out, as long as somebody still has them: another attempt sends the same.
    written: Mutex<Vec<(Weak<Request>, reqwest::Request)>>,
}

impl Link {
    pub(super) fn new(settings: HttpSettings, wire: Arc<dyn Wire>) -> Result<Self, LlmError> {
        let HttpSettings { provider, model, base_url, key, timeouts, takes, ca_file, api: _ } =
            settings;
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
        let authorities = match &ca_file {
            Some(path) => authorities(path).map_err(|why| bad(&why))?,
            None => Vec::new(),
        };
        let client = client(&url, timeouts, authorities).map_err(|_| {
            bad("this machine's certificates cannot be read; install ca-certificates")
        })?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        let capabilities = wire.capabilities(&model).corrected(takes);
        Ok(Self {
            provider,
            model,
            timeouts,
            wire,
            client,
            base,
            headers,
            capabilities,
            written: Mutex::default(),
        })
    }

    /// `request` as it goes out: written once, however often it is sent.
    pub(super) fn request(&self, request: &Arc<Request>) -> Result<reqwest::Request, LlmError> {
        if let Some(known) = self.known(request) {
            return Ok(known);
        }
        let new = self.write(request)?;
        if let Some(kept) = new.try_clone() {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            written.retain(|(it, _)| it.strong_count() > 0);
            written.push((Arc::downgrade(request), kept));
        }
        Ok(new)
    }

    fn known(&self, request: &Arc<Request>) -> Option<reqwest::Request> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // What was there stays there as long as it is kept here, so no other one can be.
        let is_it = |it: &Weak<Request>| std::ptr::eq(it.as_ptr(), Arc::as_ptr(request));
        written.iter().find(|(it, _)| is_it(it)).and_then(|(_, it)| it.try_clone())
    }

    /// The model is replaced by the provider's own name of it.
    fn write(&self, request: &Request) -> Result<reqwest::Request, LlmError> {
        let request = Request { model: self.model.clone(), ..request.clone() };
        if let Some((_, why)) = self.capabilities.refused(request.params).first() {
            return Err(LlmError::inexpressible(why));
        }
        self.post(self.wire.request(&request)?)
    }

    /// The question how many tokens `request` is; `None` where nobody answers it.
    pub(super) fn counting(&self, request: &Request) -> Result<Option<reqwest::Request>, LlmError> {
        let request = Request { model: self.model.clone(), ..request.clone() };
        let Some(written) = self.wire.counting(&request)? else { return Ok(None) };
        Ok(Some(at_once(self.post(written)?)))
    }

    /// The question which models there are.
    pub(super) fn listing(&self) -> Result<reqwest::Request, LlmError> {
        let (path, headers) = self.wire.listing();
        self.to(Method::GET, path, headers).map(at_once)
    }

    fn post(&self, written: HttpRequest) -> Result<reqwest::Request, LlmError> {
        let mut sent = self.to(Method::POST, written.path, written.headers)?;
        *sent.body_mut() = Some(written.body.into());
        Ok(sent)
    }

    pub(super) fn to(
        &self,
        method: Method,
        path: &str,
        headers: Vec<(&'static str, String)>,
    ) -> Result<reqwest::Request, LlmError> {
        let url = Url::parse(&address(&self.base, path))
            .map_err(|_| LlmError::inexpressible("its path makes no URL"))?;
        let mut sent = reqwest::Request::new(method, url);
        *sent.headers_mut() = self.headers.clone();
        for (name, value) in headers {
            let value = HeaderValue::try_from(value)
                .map_err(|_| LlmError::inexpressible("a header holds what headers cannot"))?;
            sent.headers_mut().insert(HeaderName::from_static(name), value);
        }
        Ok(sent)
    }
}

/// A request whose answer is no stream.
fn at_once(mut request: reqwest::Request) -> reqwest::Request {
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    request
}

/// `path` below `base`. People write the base with and without the version that paths begin with.
fn address(base: &str, path: &str) -> String {
    let base =
        if path.starts_with("/v1/") { base.strip_suffix("/v1").unwrap_or(base) } else { base };
    format!("{base}{path}")
}

/// The certificates of a file.
fn authorities(path: &Path) -> Result<Vec<Certificate>, String> {
    let shown = path.display();
    let text = fs::read(path).map_err(|it| format!("its ca_file {shown} cannot be read: {it}"))?;
    let found = Certificate::from_pem_bundle(&text).unwrap_or_default();
    if found.is_empty() {
        return Err(format!("its ca_file {shown} holds no certificate in PEM"));
    }
    Ok(found)
}

fn client(url: &Url, timeouts: Timeouts, authorities: Vec<Certificate>) -> reqwest::Result<Client> {
    let mut client = Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(timeouts.connect)
        // What a provider may send before it is taken; words come far slower.
        .http2_initial_stream_window_size(HTTP2_WINDOW_BYTES)
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
    } else if !authorities.is_empty() {
        client = client.tls_certs_merge(authorities);
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use taskd_model::{Params, RateLevels, Usage};

    use super::*;
    use crate::{
        Api, CallLimits, Takes,
        openai::{Chat, Dialect},
        wire::Reader,
    };

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

    /// Chat Completions, and how often a request was written.
    #[derive(Debug, Default)]
    struct Counted(AtomicUsize);

    impl Wire for Counted {
        fn request(&self, request: &Request) -> Result<HttpRequest, LlmError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            OURS.request(request)
        }

        fn capabilities(&self, model: &str) -> Capabilities {
            OURS.capabilities(model)
        }

        fn authorize(&self, key: &str) -> Vec<(&'static str, String)> {
            OURS.authorize(key)
        }

        fn reader(&self, limits: CallLimits) -> Box<dyn Reader> {
            OURS.reader(limits)
        }

        fn levels(&self, header: &dyn Fn(&str) -> Option<String>, now_s: u64) -> RateLevels {
            OURS.levels(header, now_s)
        }

        fn usage(&self, object: &[u8], so_far: Usage) -> Option<Usage> {
            OURS.usage(object, so_far)
        }

        fn error_code(&self, body: &[u8]) -> Option<String> {
            OURS.error_code(body)
        }
    }

    const OURS: Chat = Chat { dialect: Dialect::Compatible };

    /// Proves MC-MW-9: however many attempts, a request is written once, and forgotten with it.
    #[test]
    fn a_request_is_written_once() {
        let wire = Arc::new(Counted::default());
        let settings = HttpSettings {
            provider: "acme".to_owned(),
            model: "big".to_owned(),
            api: Api::OpenAiChat,
            base_url: "http://127.0.0.1:9".to_owned(),
            key: None,
            timeouts: Timeouts::default(),
            takes: Takes::default(),
            ca_file: None,
        };
        let link = Link::new(settings, Arc::clone(&wire) as Arc<dyn Wire>).unwrap();
        let request = |text: &str| {
            Arc::new(Request {
                model: "acme/big".to_owned(),
                system: text.to_owned(),
                messages: Vec::new(),
                tools: Vec::new(),
                max_tokens: 9,
                params: Params::default(),
                loop_name: String::new(),
                iteration: 1,
                turn: 1,
            })
        };
        let body = |it: &Arc<Request>| {
            let sent = link.request(it).unwrap();
            sent.body().and_then(|it| it.as_bytes()).unwrap().to_vec()
        };
        let (one, other) = (request("one"), request("other"));
        let first = body(&one);
        assert_ne!(body(&other), first);
        for _ in 0..3 {
            assert_eq!(body(&one), first);
        }
        assert_eq!(wire.0.load(Ordering::Relaxed), 2);
        drop(one);
        body(&request("third"));
        assert_eq!(link.written.lock().unwrap().len(), 2, "nobody has the first any more");
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
