//! The variables of OpenTelemetry that count here, and none of our own.

use std::{env, time::Duration};

use crate::log::Secrets;

/// Where traces go below the endpoint for everything.
const TRACES: &str = "/v1/traces";
/// How long a collector may take, when nobody says.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The one protocol that is spoken, which is the standard's default.
const PROTOCOL: &str = "http/protobuf";

/// How traces are sent.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) timeout: Duration,
    /// What the spans come from: `service.name` and what else is said.
    pub(super) resource: Vec<(String, String)>,
}

/// Shows no header: they hold credentials.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl Settings {
    /// What the environment says; nothing where no collector is named. What is wrong is told in the
    /// log, and then nothing is sent.
    pub(crate) fn from_env(secrets: &Secrets) -> Option<Self> {
        let read = |name: &str| env::var(name).ok().filter(|it| !it.trim().is_empty());
        match Self::read(&read) {
            Ok(settings) => {
                let settings = settings?;
                secrets.learn(settings.headers.iter().map(|(_, value)| value));
                Some(settings)
            }
            Err(why) => {
                tracing::warn!("no traces are sent: {why}");
                None
            }
        }
    }

    fn read(read: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let of_traces = |name: &str| {
            read(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .or_else(|| read(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let off = read("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"))
            || read("OTEL_TRACES_EXPORTER").is_some_and(|it| it == "none");
        let url = read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| {
            let base = read("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            Some(format!("{}{TRACES}", base.trim_end_matches('/')))
        });
        let Some(url) = url.filter(|_| !off) else { return Ok(None) };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err("OTEL_EXPORTER_OTLP_ENDPOINT must begin with http:// or https://".into());
        }
        let protocol = of_traces("PROTOCOL").unwrap_or_else(|| PROTOCOL.to_owned());
        if protocol != PROTOCOL {
            return Err(format!(
                "OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and only {PROTOCOL} is spoken: name \
                 the collector's port for that, often 4318"
            ));
        }
        let timeout = match of_traces("TIMEOUT") {
            Some(ms) => Duration::from_millis(ms.trim().parse().map_err(|_| {
                format!("OTEL_EXPORTER_OTLP_TIMEOUT is {ms:?} and no number of milliseconds")
            })?),
            None => TIMEOUT,
        };
        let headers = of_traces("HEADERS").map(|it| pairs(&it)).unwrap_or_default();
        let mut resource =
            read("OTEL_RESOURCE_ATTRIBUTES").map(|it| pairs(&it)).unwrap_or_default();
        let named = read("OTEL_SERVICE_NAME");
        if named.is_some() || !resource.iter().any(|(key, _)| key == "service.name") {
            resource.retain(|(key, _)| key != "service.name");
            let name = named.unwrap_or_else(|| "taskd".to_owned());
            resource.insert(0, ("service.name".to_owned(), name));
        }
        Ok(Some(Self { url, headers, timeout, resource }))
    }

    /// The collector, for people: scheme, host and port.
    pub(crate) fn place(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        format!("{scheme}://{}", host.rsplit('@').next().unwrap_or_default())
    }
}

/// `key=value,key=value`, with `%` before two hexadecimal digits for a byte.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |it: &str| {
        let (key, value) = it.split_once('=')?;
        Some((key.trim().to_owned(), plain(value.trim())))
    };
    text.split(',').filter_map(pair).filter(|(key, _)| !key.is_empty()).collect()
}

fn plain(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let hex = behind.get(..2).filter(|_| *first == b'%');
        let hex = hex.and_then(|it| std::str::from_utf8(it).ok());
        match hex.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::read(&|name| set.iter().find(|it| it.0 == name).map(|it| it.1.to_owned()))
    }

    #[test]
    fn nothing_is_sent_unless_a_collector_is_named() {
        let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[at, ("OTEL_SDK_DISABLED", "TRUE")]), Ok(None));
        assert_eq!(read(&[at, ("OTEL_TRACES_EXPORTER", "none")]), Ok(None));
        let settings = read(&[at]).expect("well").expect("some");
        assert_eq!(settings.url, "http://127.0.0.1:4318/v1/traces");
        assert_eq!(settings.timeout, Duration::from_secs(10));
        assert_eq!(settings.resource, [("service.name".to_owned(), "taskd".to_owned())]);
        let exact = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://me:pw@x.example/t?a=b");
        let settings = read(&[at, exact]).expect("well").expect("some");
        assert_eq!(settings.url, exact.1);
        assert_eq!(settings.place(), "https://x.example");
    }

    #[test]
    fn headers_and_names_are_read_as_the_standard_says() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc==, x = 1%2"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment=ci"),
            ("OTEL_SERVICE_NAME", "mine"),
        ]);
        let settings = settings.expect("well").expect("some");
        let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        assert_eq!(settings.headers, [("authorization", "Basic abc=="), ("x", "1%2")].map(text));
        assert_eq!(settings.timeout, Duration::from_millis(250));
        let resource = [("service.name", "mine"), ("deployment.environment", "ci")].map(text);
        assert_eq!(settings.resource, resource);
        assert!(!format!("{settings:?}").contains("abc"));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_do() {
        for (set, said) in [
            (("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"), "http://"),
            (("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "4318"),
            (("OTEL_EXPORTER_OTLP_TIMEOUT", "1s"), "milliseconds"),
        ] {
            let why = read(&[set, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x")]).expect_err("wrong");
            assert!(why.contains(said) && why.contains(set.0), "{why}");
        }
    }
}
