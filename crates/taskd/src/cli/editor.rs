//! The person's own editor, on their terminal.

use std::{path::Path, process::Command};

use super::failure::Failure;

/// Has a file edited, and returns when the editor has ended: `VISUAL`, `EDITOR`, or `vi`.
///
/// # Errors
///
/// It cannot be started or does not end well; then `kept` is what did not happen, and `hint` what to
/// do.
pub(super) fn edit(file: &Path, kept: &str, hint: &str) -> Result<(), Failure> {
    let editor = ["VISUAL", "EDITOR"].iter().find_map(std::env::var_os);
    let editor = editor.unwrap_or_else(|| "vi".into());
    #[expect(clippy::disallowed_methods, reason = "the person's own editor, on their terminal")]
    let status = Command::new("sh")
        .args(["-c", "exec $0 \"$1\""])
        .arg(&editor)
        .arg(file)
        .status()
        .map_err(|it| Failure::failed(format!("{}: {it}", editor.display()), "set EDITOR"))?;
    if status.success() {
        return Ok(());
    }
    let what = format!("{} ended with {status}; {kept}", editor.display());
    Err(Failure::failed(what, hint))
}
