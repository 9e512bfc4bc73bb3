//! `taskd daemon logs`: the daemon's log for people, whichever form its lines have.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{Done, Failure, Here};
use crate::render::text::clean_lines;

/// How often is looked for more.
const READ_EVERY: Duration = Duration::from_millis(200);

/// Prints the last lines, and then what is written from now on.
pub(super) async fn logs(here: &Here, follow: bool, lines: usize) -> Done {
    let path = here.paths.log_file();
    let open = File::open(&path).map_err(|it| {
        Failure::failed(format!("cannot read {}: {it}", path.display()), "taskd daemon start")
    })?;
    let mut reader = BufReader::new(open);
    let mut last = last_lines(&mut reader, lines)?;
    // What was moved aside just now belongs to the last lines too.
    for n in 1.. {
        let Ok(older) = File::open(numbered(&path, n)) else { break };
        if lines <= last.len() {
            break;
        }
        let mut before = last_lines(&mut BufReader::new(older), lines - last.len())?;
        before.append(&mut last);
        last = before;
    }
    last.iter().try_for_each(|it| print(here, it))?;
    if follow { go_on(here, &path, reader).await } else { Ok(0) }
}

/// The last lines of a file, at most so many.
pub(crate) fn last_lines(
    reader: &mut BufReader<File>,
    most: usize,
) -> io::Result<VecDeque<Vec<u8>>> {
    let mut last = VecDeque::new();
    let mut line = Vec::new();
    while 0 < reader.read_until(b'\n', &mut line)? {
        last.push_back(std::mem::take(&mut line));
        if most < last.len() {
            last.pop_front();
        }
    }
    Ok(last)
}

fn numbered(path: &Path, n: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

/// Prints what is added to a file, and to the one that takes its place, until somebody has seen
/// enough.
async fn go_on(here: &Here, path: &Path, mut reader: BufReader<File>) -> Done {
    let mut ticks = tokio::time::interval(READ_EVERY);
    let mut begun = Vec::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = tokio::signal::ctrl_c() => return Ok(0),
        }
        let is_moved = fs::metadata(path)?.ino() != reader.get_ref().metadata()?.ino();
        reader.read_to_end(&mut begun)?;
        if is_moved {
            reader = BufReader::new(File::open(path)?);
            reader.read_to_end(&mut begun)?;
        }
        // The last line may still be written.
        let whole = begun.iter().rposition(|it| *it == b'\n').map_or(0, |at| at + 1);
        let rest = begun.split_off(whole);
        begun.split_inclusive(|it| *it == b'\n').try_for_each(|it| print(here, it))?;
        begun = rest;
    }
}

/// A line as it is with `--json`, otherwise as people read it.
fn print(here: &Here, line: &[u8]) -> Result<(), Failure> {
    let line = String::from_utf8_lossy(line);
    let told = if here.out.json { None } else { readable(&line) };
    here.out.print(&clean_lines(told.as_deref().unwrap_or(&line)))
}

/// A line of JSON as the log's other form would say it; nothing if it is none.
fn readable(line: &str) -> Option<String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else { return None };
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(_) | None => None,
    };
    let (time, level) = (take("time")?, take("level")?.to_uppercase());
    let (target, message) = (take("target")?, take("message")?);
    let mut out = format!("{time} {level:>5} {target}: {}", message.replace('\n', "\\n"));
    for (name, value) in fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        out.push_str(&format!(" {name}={}", value.replace('\n', "\\n")));
    }
    Some(out + "\n")
}
