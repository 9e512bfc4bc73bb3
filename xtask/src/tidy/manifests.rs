//! Rules for manifests: every crate has the workspace's lints, and all of its clippy settings.

use crate::repo::File;

const ROOT_CLIPPY: &str = ".clippy.toml";

pub(super) fn check(files: &[File], bad: &mut Vec<String>) {
    for file in files.iter().filter(|it| it.path.ends_with("/Cargo.toml")) {
        if !inherits_lints(file) {
            bad.push(format!("{}: has no `[lints] workspace = true`", file.path));
        }
    }
    check_clippy(files, bad);
}

fn inherits_lints(manifest: &File) -> bool {
    let mut lines = manifest.lines().map(|(_, line)| line.trim());
    lines.any(|it| it == "[lints]") && lines.next() == Some("workspace = true")
}

/// A crate's `clippy.toml` replaces the root's instead of adding to it, so it repeats every line.
fn check_clippy(files: &[File], bad: &mut Vec<String>) {
    let Some(root) = files.iter().find(|it| it.path == ROOT_CLIPPY) else {
        bad.push(format!("{ROOT_CLIPPY}: is gone"));
        return;
    };
    let own = |it: &&File| it.path.ends_with("/clippy.toml") || it.path.ends_with("/.clippy.toml");
    for file in files.iter().filter(own) {
        for (n, wanted) in root.lines().filter(|(_, line)| is_setting(line)) {
            if file.lines().all(|(_, line)| line.trim() != wanted.trim()) {
                bad.push(format!("{}: lacks line {n} of {ROOT_CLIPPY}: {wanted}", file.path));
            }
        }
    }
}

fn is_setting(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim().starts_with('#')
}
