//! Relative links in Markdown lead somewhere.

use std::path::Path;

use crate::repo::{self, File};

pub(super) fn check(files: &[File], bad: &mut Vec<String>) {
    for file in files.iter().filter(|it| it.is("md")) {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        let mut in_code = false;
        for (n, line) in file.lines() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            }
            if in_code {
                continue;
            }
            for target in targets(line).into_iter().filter(|it| is_relative(it)) {
                let path = target.split('#').next().unwrap_or(target);
                if !path.is_empty() && !repo::exists(&folder.join(path)) {
                    bad.push(format!("{}:{n}: {target} leads nowhere", file.path));
                }
            }
        }
    }
}

/// What `[text](target)` and `[name]: target` point at; code spans are not looked into.
fn targets(line: &str) -> Vec<&str> {
    let defined = line.strip_prefix('[').and_then(|it| it.split_once("]: "));
    if let Some((_, target)) = defined {
        return target.split_whitespace().take(1).collect();
    }
    let outside_code = line.split('`').step_by(2);
    outside_code.flat_map(|it| it.split("](").skip(1).filter_map(before_bracket)).collect()
}

fn before_bracket(rest: &str) -> Option<&str> {
    rest.split_once(')').map(|(target, _)| target)
}

fn is_relative(target: &str) -> bool {
    !target.contains("://") && !target.starts_with("mailto:")
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn targets_are_found_outside_code() {
        assert_eq!(targets("see [a](docs/a.md) and [b](b.md#c)."), ["docs/a.md", "b.md#c"]);
        assert_eq!(targets("[a]: docs/a.md \"A\""), ["docs/a.md"]);
        assert_eq!(targets("`[a](docs/a.md)` is a link"), [""; 0]);
    }
}
