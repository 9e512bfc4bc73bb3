//! Nothing in the repository knows whose machine it was written on, or where that machine gets
//! its packages from.

use super::exceptions;
use crate::repo::File;

/// Spelled in two halves, so that this file does not break its own rule.
const FOLDERS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
const REGISTRIES: &[&str] = &[concat!("sparse", "+http"), concat!("replace", "-with")];
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(files: &[File], bad: &mut Vec<String>) {
    for file in files {
        let mut found = Vec::new();
        for (n, line) in file.lines() {
            if FOLDERS.iter().any(|it| names_folder(line, it)) {
                found.push(format!("{}:{n}: a place on one machine: {}", file.path, line.trim()));
            }
            if names_registry(file, line) {
                found.push(format!("{}:{n}: a package registry: {}", file.path, line.trim()));
            }
        }
        let listed = exceptions::PLACES.iter().any(|(path, _)| *path == file.path);
        match (listed, found.is_empty()) {
            (true, true) => bad.push(format!("{}: names no place; drop its exception", file.path)),
            (false, _) => bad.append(&mut found),
            (true, false) => {}
        }
    }
    for (path, _) in exceptions::PLACES {
        if files.iter().all(|it| it.path != *path) {
            bad.push(format!("{path}: is gone; drop its exception"));
        }
    }
}

/// An absolute path below `folder`; a folder of that name deeper in some path is nobody's machine.
fn names_folder(line: &str, folder: &str) -> bool {
    let in_a_path = |c: char| c.is_alphanumeric() || "_-.~$*})>]".contains(c);
    line.match_indices(folder).any(|(at, _)| {
        let below = line[at + folder.len()..].chars().next();
        !line[..at].ends_with(in_a_path) && below.is_some_and(char::is_alphanumeric)
    })
}

fn names_registry(file: &File, line: &str) -> bool {
    let is_source = file.is("lock") && line.starts_with("source = ");
    (is_source && !line.contains(CRATES_IO)) || REGISTRIES.iter().any(|it| line.contains(it))
}

#[cfg(test)]
mod tests {
    use super::{FOLDERS, names_folder};

    #[test]
    fn only_an_absolute_path_is_a_place() {
        let folder = FOLDERS[0];
        assert!(names_folder(&format!("see `{folder}main`"), folder));
        assert!(!names_folder(&format!("{{state}}{folder}main"), folder));
        assert!(!names_folder(&format!("target{folder}main"), folder));
        assert!(!names_folder(folder, folder));
    }
}
