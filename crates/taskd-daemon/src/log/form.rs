//! What a line looks like, and which warnings and errors are left out because they only repeat.

use std::{
    collections::BTreeMap,
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime as _, SystemTime},
    },
    registry::LookupSpan,
};

use crate::runner::lock;

/// Lines of one text that are written within [`WITHIN`]; further ones are counted.
const MOST: u32 = 10;
const WITHIN: Duration = Duration::from_secs(60);
/// Texts that are remembered. Further ones are written, and not counted.
const REMEMBERED: usize = 256;

/// Writes one event as one line.
pub(super) struct Form {
    json: bool,
    repeats: Mutex<Repeats>,
}

impl Form {
    /// As JSON, or for people.
    pub(super) fn new(json: bool) -> Self {
        Self { json, repeats: Mutex::default() }
    }

    fn write(&self, out: &mut Writer<'_>, line: &Line) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        if self.json { line.as_json(time, out) } else { line.as_text(&time, out) }
    }
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let about = event.metadata();
        let mut line = Line::new(*about.level(), about.target());
        event.record(&mut line);
        // What fails, fails again and again; what happens is told each time.
        if *about.level() <= Level::WARN {
            let mut text = String::new();
            line.as_text("", &mut Writer::new(&mut text))?;
            let taken = lock(&self.repeats).take(&text, &line, Instant::now());
            for over in &taken.over {
                self.write(&mut out, over)?;
            }
            if !taken.written {
                return Ok(());
            }
        }
        self.write(&mut out, &line)
    }
}

/// What a line says.
#[derive(Debug, Clone)]
struct Line {
    level: Level,
    target: String,
    message: String,
    /// The other fields, in order: as JSON, and as people read them.
    fields: Vec<(&'static str, Value, String)>,
}

impl Line {
    fn new(level: Level, target: &str) -> Self {
        Self { level, target: target.to_owned(), message: String::new(), fields: Vec::new() }
    }

    /// One object: time, level, target and message, and each field under its own name.
    fn as_json(&self, time: String, out: &mut Writer<'_>) -> fmt::Result {
        let mut object: Map<String, Value> = Map::new();
        for (name, value, _) in &self.fields {
            object.insert((*name).to_owned(), value.clone());
        }
        object.insert("time".to_owned(), time.into());
        object.insert("level".to_owned(), self.level.as_str().to_lowercase().into());
        object.insert("target".to_owned(), self.target.as_str().into());
        object.insert("message".to_owned(), self.message.as_str().into());
        writeln!(out, "{}", Value::Object(object))
    }

    fn as_text(&self, time: &str, out: &mut Writer<'_>) -> fmt::Result {
        write!(out, "{time} {:>5} {}: ", self.level, self.target)?;
        one_line(&self.message, out)?;
        for (name, _, shown) in &self.fields {
            write!(out, " {name}=")?;
            one_line(shown, out)?;
        }
        writeln!(out)
    }

    fn add(&mut self, field: &Field, value: Value, shown: String) {
        match field.name() {
            "message" => self.message = shown,
            // What libraries log in the older way says where it is from in fields.
            "log.target" => self.target = shown,
            name if name.starts_with("log.") => {}
            name => self.fields.push((name, value, shown)),
        }
    }
}

/// A line is an event: one that holds several is written as one.
fn one_line(text: &str, out: &mut Writer<'_>) -> fmt::Result {
    for it in text.chars() {
        if it.is_control() { write!(out, "{}", it.escape_default())? } else { out.write_char(it)? }
    }
    Ok(())
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.add(field, text.clone().into(), text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into(), value.to_owned());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into(), value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into(), value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into(), value.to_string());
    }
}

/// How often each text was said of late.
#[derive(Debug, Default)]
struct Repeats(BTreeMap<String, Said>);

#[derive(Debug)]
struct Said {
    since: Instant,
    times: u32,
    line: Line,
}

/// What becomes of a line.
struct Taken {
    /// It is written.
    written: bool,
    /// Lines that say how often one was not, whose time is over.
    over: Vec<Line>,
}

impl Repeats {
    fn take(&mut self, text: &str, line: &Line, now: Instant) -> Taken {
        let mut over = Vec::new();
        self.0.retain(|_, said| {
            let is_over = said.since + WITHIN <= now;
            if is_over && MOST < said.times {
                let more = said.times - MOST;
                let mut line = said.line.clone();
                line.message = format!("{more} times more within a minute: {}", line.message);
                over.push(line);
            }
            !is_over
        });
        if let Some(said) = self.0.get_mut(text) {
            said.times += 1;
            return Taken { written: said.times <= MOST, over };
        }
        if self.0.len() < REMEMBERED {
            let said = Said { since: now, times: 1, line: line.clone() };
            self.0.insert(text.to_owned(), said);
        }
        Taken { written: true, over }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> Line {
        Line { message: message.to_owned(), ..Line::new(Level::WARN, "taskd_x") }
    }

    /// Proves S-6.4.1: a warning that is said again and again is written ten times a minute, then counted, and
    /// the count is told; what else is said meanwhile is written.
    #[test]
    fn what_only_repeats_is_counted() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let mut said = |text: &str, after_s: u64| {
            let taken = repeats.take(text, &line(text), start + Duration::from_secs(after_s));
            (taken.written, taken.over.iter().map(|it| it.message.clone()).collect::<Vec<_>>())
        };
        let written = (0..50).filter(|n| said("it fails", n / 2).0).count();
        assert_eq!(written, 10);
        assert_eq!(said("another", 30), (true, vec![]));
        let told = "40 times more within a minute: it fails".to_owned();
        assert_eq!(said("another", 61), (true, vec![told]));
        assert_eq!(said("it fails", 62), (true, vec![]), "it begins anew");
        for n in 0..2 * REMEMBERED {
            assert!(said(&format!("once {n}"), 70).0);
        }
        assert!(said("of more than are remembered", 70).0);
    }

    #[test]
    fn a_line_is_an_event() {
        let it = Line {
            fields: vec![("seq", 7.into(), "7".to_owned()), ("how", "a\nb".into(), "a\nb".into())],
            ..line("first\nsecond \u{1b}[31m")
        };
        let mut text = String::new();
        it.as_text("NOW", &mut Writer::new(&mut text)).unwrap();
        assert_eq!(text, "NOW  WARN taskd_x: first\\nsecond \\u{1b}[31m seq=7 how=a\\nb\n");
        let mut json = String::new();
        it.as_json("NOW".to_owned(), &mut Writer::new(&mut json)).unwrap();
        let value: Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "time": "NOW", "level": "warn", "target": "taskd_x",
            "message": "first\nsecond \u{1b}[31m", "seq": 7, "how": "a\nb",
        });
        assert_eq!((value, json.lines().count()), (expected, 1));
    }
}
