//! `taskd debug bundle`: what a report of a defect needs, in one text that its owner can read first.
//!
//! Machine words, numbers and ids, and what the daemon logs; of events their kinds and no words of
//! theirs. No task, prompt, reply, output, file or key. Anything a person wrote in the configuration
//! is left out too.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    fs::File,
    io::{BufReader, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use serde_json::{Value, json};
use taskd_api::{Client, MetricsText, v1};
use taskd_daemon::settings;

use super::{
    args::DebugCommand,
    daemon::last_lines,
    doctor,
    failure::{Done, Failure},
    here::{Here, scene},
};
use crate::render::{self, json::SCHEMA_VERSION, text::clean_lines};

/// Events that are told, the last ones.
const EVENTS: u64 = 2_000;
/// Lines of the log that are looked at, the last ones.
const LOG_LINES: usize = 1_000;
/// A shorter value of a variable would be found in words that are none.
const MIN_SECRET_BYTES: usize = 8;
/// Names of variables whose values are secrets end like this.
const SECRET_NAMES: [&str; 5] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASS"];

/// A part of a bundle.
struct Section {
    name: &'static str,
    what: &'static str,
    text: String,
}

pub(crate) async fn dispatch(here: &Here, command: DebugCommand) -> Done {
    here.only_here("taskd debug")?;
    match command {
        DebugCommand::Bundle { file } => bundle(here, file).await,
    }
}

async fn bundle(here: &Here, file: Option<PathBuf>) -> Done {
    let path = here.directory.join(file.unwrap_or_else(|| "taskd-bundle.txt".into()));
    let sections = sections(here).await?;
    let listed = |it: &Section| {
        let lines = it.text.lines().count();
        format!("{:<9} {:>6} {}  {}\n", it.name, lines, "lines", it.what)
    };
    let listing: String = sections.iter().map(listed).collect();
    if !here.out.json {
        here.out.print(&listing)?;
    }
    let mut text = format!("A bundle of taskd. What is in it:\n\n{listing}");
    for it in &sections {
        _ = write!(text, "\n=== {} ===\n\n{}", it.name, it.text);
    }
    write(&path, &text)?;
    if here.out.json {
        let row = |it: &Section| json!({ "name": it.name, "what": it.what, "lines": it.text.lines().count() });
        let rows: Vec<Value> = sections.iter().map(row).collect();
        let path = path.display().to_string();
        let answer = json!({ "schema_version": SCHEMA_VERSION, "path": path, "sections": rows });
        here.out.object(&answer)?;
    } else {
        let path = here.scene().path(&path.display().to_string());
        here.out.print(&format!("\nwrote {path}; read it before you give it away\n"))?;
    }
    Ok(0)
}

/// Writes a file that was not there, for its owner alone.
fn write(path: &PathBuf, text: &str) -> Result<(), Failure> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut it| it.write_all(text.as_bytes()));
    written.map_err(|it| {
        let shown = path.display();
        let hint = "taskd debug bundle FILE, with the name of a file that is not there";
        let what = if it.kind() == ErrorKind::AlreadyExists {
            format!("{shown} is there already; nothing was written")
        } else {
            format!("cannot write {shown}: {it}")
        };
        Failure::failed(what, hint)
    })
}

async fn sections(here: &Here) -> Result<Vec<Section>, Failure> {
    let looked = doctor::look(here).await?;
    let rows: Vec<_> = looked.0.into_iter().map(|it| it.told(false)).collect();
    let (client, status) = match here.client().await {
        Ok(client) => {
            let status = client.status(v1::StatusRequest {}).await?;
            (Some(client), Some(status))
        }
        Err(_) => (None, None),
    };
    let version = status.as_ref().map(|it| it.version.as_str());
    let mut all = vec![
        Section { name: "about", what: "versions and the kind of machine", text: about(version) },
        Section {
            name: "doctor",
            what: "what `taskd doctor` finds",
            text: render::doctor::checks(&rows, &scene(&here.out)),
        },
        Section {
            name: "config",
            what: "keys that are set, and by whom; no command or text of yours",
            text: config(here),
        },
    ];
    if let (Some(client), Some(status)) = (client, status) {
        let from = status.seq.saturating_sub(EVENTS) + 1;
        let events = events(&client, from).await?;
        let families = client.metrics(v1::MetricsRequest::default()).await?.families;
        let status = render::daemon::status(&status, &here.scene());
        let metrics = MetricsText::Prometheus.write(&families);
        all.extend([
            Section { name: "status", what: "how the daemon is", text: status },
            Section { name: "metrics", what: "what it counts", text: metrics },
            Section {
                name: "events",
                what: "numbers, times, kinds and ids of the last events, without their words",
                text: events,
            },
        ]);
    }
    all.push(Section {
        name: "log",
        what: "the end of the daemon's log, without what it says of events",
        text: log(here),
    });
    let hidden = hidden();
    for it in &mut all {
        it.text =
            hidden.iter().fold(clean_lines(&it.text), |text, (from, to)| text.replace(from, to));
    }
    Ok(all)
}

/// `daemon` is its version, if it answers.
fn about(daemon: Option<&str>) -> String {
    let daemon = daemon.unwrap_or("does not answer");
    let (version, os, arch) =
        (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    let kernel = nix::sys::utsname::uname();
    let kernel =
        kernel.as_ref().map_or_else(|_| "unknown".into(), |it| it.release().to_string_lossy());
    format!("taskd   {version}\ndaemon  {daemon}\nsystem  {os} {kernel} {arch}\n")
}

/// What is set, by its origin; of what may hold a person's words only that it is.
fn config(here: &Here) -> String {
    let keys = match settings::view(&here.paths.config, here.repository()) {
        Ok(keys) => keys,
        Err(problems) => return problems.join("\n") + "\n",
    };
    let line = |it: settings::Setting| {
        let origin = it.origin.filter(|it| it != "built in")?;
        let value = it.value.filter(|_| !it.words).unwrap_or_else(|| "(set)".to_owned());
        Some(format!("{} = {value}  # {origin}\n", it.key))
    };
    let text: String = keys.into_iter().filter_map(line).collect();
    if text.is_empty() { "nothing; all is as built in\n".to_owned() } else { text }
}

async fn events(client: &Client, from: u64) -> Result<String, Failure> {
    let request = v1::EventsRequest { from, ..v1::EventsRequest::default() };
    let mut items = client.events(request).await?;
    let mut text = String::new();
    while let Some(event) = items.next().await? {
        let value: Value = serde_json::from_str(&event.json).unwrap_or_default();
        text.push_str(&bare(&value));
    }
    Ok(text)
}

/// An event without its words: number, time, kind, loop; the work that it is about, how that ended,
/// and the codes of what went wrong.
fn bare(event: &Value) -> String {
    let mut line = format!("{} {} {}", event["seq"], event["at"], event["kind"]);
    for name in ["project", "loop"] {
        if !event[name].is_null() {
            _ = write!(line, " {name}={}", event[name]);
        }
    }
    let data = &event["data"];
    if !data["effect"].is_null() {
        _ = write!(line, " effect={}", data["effect"]);
    }
    for name in ["work", "outcome"] {
        let word = match &data[name] {
            Value::String(word) => Some(word.as_str()),
            Value::Object(it) => it.keys().next().map(String::as_str),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        };
        if let Some(word) = word {
            _ = write!(line, " {name}={word}");
        }
    }
    if event["kind"] == "status_changed" {
        _ = write!(line, " from={} to={}", data["from"], data["to"]);
    }
    codes(data, &mut line);
    line.replace('"', "") + "\n"
}

/// The words for what went wrong, wherever they stand.
fn codes(value: &Value, line: &mut String) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(code) if name == "code" => _ = write!(line, " code={code}"),
                    _ => codes(value, line),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|it| codes(it, line)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The end of the log, but for its lines about events, which are told without their words.
fn log(here: &Here) -> String {
    let path = here.paths.log_file();
    let lines = File::open(&path).and_then(|it| last_lines(&mut BufReader::new(it), LOG_LINES));
    let lines: VecDeque<Vec<u8>> = match lines {
        Ok(lines) => lines,
        Err(why) => return format!("{} cannot be read: {why}\n", path.display()),
    };
    let of_events = [" taskd_daemon::driver: ", r#""target":"taskd_daemon::driver""#];
    let lines = lines.iter().map(|it| String::from_utf8_lossy(it));
    lines.filter(|line| !of_events.iter().any(|it| line.contains(it))).collect()
}

/// What is replaced wherever it stands: secrets of this shell, and where its person lives.
fn hidden() -> Vec<(String, &'static str)> {
    let is_secret = |name: &str| SECRET_NAMES.iter().any(|it| name.to_uppercase().ends_with(it));
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let secrets =
        variables.filter(|(name, value)| is_secret(name) && MIN_SECRET_BYTES <= value.len());
    let mut all: Vec<(String, &str)> = secrets.map(|(_, value)| (value, "[secret]")).collect();
    let home = super::here::variable("HOME").filter(|it| 1 < it.len());
    all.extend(home.map(|it| (it, "~")));
    all
}
