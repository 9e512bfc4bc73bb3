//! What people see, as text: each picture is a pure function of what the daemon said.
//!
//! Knows columns, colours and local time because it is told them in a [`Scene`]. Reads no clock, no
//! terminal and no environment, and prints nothing.

pub(crate) mod agents;
pub(crate) mod blame;
pub(crate) mod budgets;
pub(crate) mod checks;
pub(crate) mod config;
pub(crate) mod costs;
pub(crate) mod daemon;
mod depth;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod flakes;
pub(crate) mod gc;
pub(crate) mod history;
pub(crate) mod inbox;
pub(crate) mod init;
pub(crate) mod json;
pub(crate) mod lines;
pub(crate) mod ls;
pub(crate) mod metrics;
pub(crate) mod models;
pub(crate) mod page;
pub(crate) mod queue;
pub(crate) mod receipt;
pub(crate) mod show;
pub(crate) mod submit;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod types;
pub(crate) mod verify;
pub(crate) mod why;
pub(crate) mod words;

use jiff::{Timestamp, tz::TimeZone};
use taskd_model::{Time, format_age_ms};

/// Where and when something is shown.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// Now, or the moment that is looked back at.
    pub(crate) now: Time,
    /// It shows what was: no command follows from it.
    pub(crate) is_past: bool,
    /// Columns there are; no limit when nobody looks.
    pub(crate) width: usize,
    /// Colours may be used.
    pub(crate) colour: bool,
    /// The person's time zone.
    pub(crate) zone: TimeZone,
    /// The person's home directory, or nothing.
    pub(crate) home: String,
}

impl Scene {
    /// How long ago that was.
    pub(crate) fn age(&self, since: Time) -> String {
        format_age_ms(self.now.ms_since(since))
    }

    /// Time of day; with the weekday if it is another day.
    pub(crate) fn clock(&self, at: Time) -> String {
        let (Some(at), Some(now)) = (self.zoned(at), self.zoned(self.now)) else {
            return "?".to_owned();
        };
        let format = if at.date() == now.date() { "%H:%M" } else { "%a %H:%M" };
        at.strftime(format).to_string()
    }

    /// Date and time to the second.
    pub(crate) fn stamp(&self, at: Time) -> String {
        let at = self.zoned(at);
        at.map_or_else(|| "?".to_owned(), |it| it.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// When today began.
    pub(crate) fn midnight(&self) -> Time {
        let start = self.zoned(self.now).and_then(|it| it.start_of_day().ok());
        let ms = start.map_or(0, |it| it.timestamp().as_millisecond());
        Time(u64::try_from(ms).unwrap_or(0))
    }

    /// A path as people write it.
    pub(crate) fn path(&self, path: &str) -> String {
        let path = text::clean(path);
        match path.strip_prefix(&self.home) {
            Some(rest) if !self.home.is_empty() && (rest.is_empty() || rest.starts_with('/')) => {
                format!("~{rest}")
            }
            Some(_) | None => path,
        }
    }

    /// Bold, if there are colours.
    pub(crate) fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    /// The words a verdict is known by, in their colours.
    pub(crate) fn verdicts(&self, line: &str) -> String {
        if !self.colour {
            return line.to_owned();
        }
        line.replace("RED", &self.paint("31;1", "RED"))
            .replace("GREEN", &self.paint("32;1", "GREEN"))
    }

    pub(crate) fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn zoned(&self, at: Time) -> Option<jiff::Zoned> {
        let ms = i64::try_from(at.0).ok()?;
        Some(Timestamp::from_millisecond(ms).ok()?.to_zoned(self.zone.clone()))
    }
}
