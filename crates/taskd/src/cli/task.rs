//! Where a task or a plan is from: the command line, stdin, a file, or the person's editor.

use std::{ffi::OsStr, fs::File, io::Read as _};

use super::{editor, failure::Failure, here::Here, secrets};

/// Largest text that is handed in, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// The text of a task: what was typed, `-` for stdin, `@FILE` for a file's, and without a word what
/// the person writes in their editor.
///
/// # Errors
///
/// There is none, it cannot be read, or it holds what looks like a secret and may not.
pub(super) fn task(
    here: &Here,
    typed: Option<String>,
    allow_secrets: bool,
) -> Result<String, Failure> {
    let (text, name) = match typed {
        Some(text) if text == "-" => (stdin()?, "stdin".to_owned()),
        Some(text) => match text.strip_prefix('@') {
            Some(name) => (file(here, name.as_ref(), HINT)?, name.to_owned()),
            None => (text, "the task".to_owned()),
        },
        None if here.out.can_ask => (written()?, "the task".to_owned()),
        None => return Err(Failure::usage("there is no task", HINT)),
    };
    if !allow_secrets {
        secrets::refuse(&text, &name)?;
    }
    Ok(text)
}

const HINT: &str = "taskd run \"what to do\"; - reads it from stdin, @FILE from a file";

/// What a person writes in their editor, now.
fn written() -> Result<String, Failure> {
    let file = tempfile::Builder::new().prefix("taskd-task-").suffix(".md").tempfile()?;
    editor::edit(file.path(), "nothing is handed in", HINT)?;
    let text = std::fs::read_to_string(file.path())?;
    fits(&text, "the task")?;
    if text.trim().is_empty() {
        return Err(Failure::usage("nothing was written; nothing is handed in", HINT));
    }
    Ok(text)
}

/// All of stdin.
pub(super) fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(MAX_DOCUMENT_BYTES + 1).read_to_string(&mut text)?;
    fits(&text, "stdin")?;
    Ok(text)
}

/// The text of a file; `hint` is what to do where it cannot be read.
pub(super) fn file(here: &Here, name: &OsStr, hint: &str) -> Result<String, Failure> {
    let path = here.directory.join(name);
    let cannot =
        |why: String| Failure::usage(format!("cannot read {}: {why}", path.display()), hint);
    let file = File::open(&path).map_err(|it| cannot(it.to_string()))?;
    let mut text = String::new();
    let read = file.take(MAX_DOCUMENT_BYTES + 1).read_to_string(&mut text);
    read.map_err(|it| cannot(it.to_string()))?;
    fits(&text, &path.to_string_lossy())?;
    Ok(text)
}

fn fits(text: &str, name: &str) -> Result<(), Failure> {
    if text.len() as u64 <= MAX_DOCUMENT_BYTES {
        return Ok(());
    }
    Err(Failure::usage(format!("{name} is longer than {MAX_DOCUMENT_BYTES} bytes"), ""))
}
