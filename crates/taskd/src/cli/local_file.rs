//! `.taskd/local.toml` is for one machine alone: git is told so where only this repository's person
//! reads it, in `info/exclude`.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use taskd_daemon::settings::LOCAL_FILE;

/// It is there, and nothing in this repository says that git is to leave it alone.
pub(super) fn is_shared(root: &Path) -> bool {
    root.join(LOCAL_FILE).exists() && exclude(root).is_some() && !is_left_alone(root)
}

/// Something in this repository says that git is to leave it alone.
pub(super) fn is_left_alone(root: &Path) -> bool {
    let files =
        [Some(root.join(".gitignore")), Some(root.join(".taskd/.gitignore")), exclude(root)];
    files.iter().flatten().any(|it| names_it(it))
}

/// Adds the line; says to which file.
///
/// # Errors
///
/// The file cannot be written.
pub(super) fn leave_alone(root: &Path) -> std::io::Result<PathBuf> {
    let Some(file) = exclude(root) else { return Err(std::io::ErrorKind::NotFound.into()) };
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    let before = fs::read(&file).unwrap_or_default();
    let gap = if before.is_empty() || before.ends_with(b"\n") { "" } else { "\n" };
    let mut options = fs::File::options();
    options
        .append(true)
        .create(true)
        .open(&file)?
        .write_all(format!("{gap}/{LOCAL_FILE}\n").as_bytes())?;
    Ok(file)
}

/// The repository's own list of what is left alone, which all its worktrees share.
fn exclude(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git.join("info/exclude"));
    }
    // In a linked worktree a file says where its part is, which says where the whole is.
    let text = fs::read_to_string(&git).ok()?;
    let own = root.join(text.strip_prefix("gitdir: ")?.trim_end());
    let common = fs::read_to_string(own.join("commondir")).unwrap_or_else(|_| ".".to_owned());
    Some(own.join(common.trim_end()).join("info/exclude"))
}

fn names_it(file: &Path) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    let all = ["local.toml", ".taskd/local.toml", ".taskd/", ".taskd"];
    text.lines().any(|line| all.contains(&line.trim().trim_start_matches('/')))
}
