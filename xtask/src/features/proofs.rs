//! Which test proves which row: `/// Proves T1.3a T1.3b: wording` above a test.
//!
//! Read as text, line by line. A claim above something that no test runner runs is an error: it
//! would prove nothing.

use crate::repo::File;

pub(super) struct Proof {
    pub(super) row: String,
    /// `path::name`
    pub(super) test: String,
}

pub(super) fn collect(files: &[File], bad: &mut Vec<String>) -> Vec<Proof> {
    let mut proofs = Vec::new();
    // House rules are proven where they are checked.
    let is_read =
        |it: &&File| ["crates/", "xtask/src/tidy/"].iter().any(|at| it.path.starts_with(at));
    for file in files.iter().filter(|it| it.is("rs")).filter(is_read) {
        let own_main = has_own_main(files, &file.path);
        read(file, own_main, &mut proofs, bad);
    }
    proofs
}

fn read(file: &File, own_main: bool, proofs: &mut Vec<Proof>, bad: &mut Vec<String>) {
    let mut above = Above::default();
    for (n, line) in file.lines() {
        let line = line.trim();
        if above.takes(line) {
            continue;
        }
        let above = std::mem::take(&mut above);
        if above.claims.is_empty() {
            continue;
        }
        let Some(name) = function_name(line) else {
            bad.push(format!("{}:{n}: says `Proves` above something else than a test", file.path));
            continue;
        };
        let runs = above.is_test || (own_main && is_mentioned_twice(file, name));
        if !runs {
            bad.push(format!("{}:{n}: {name} says `Proves` but is not a test", file.path));
            continue;
        }
        let test = format!("{}::{name}", file.path);
        proofs.extend(above.claims.into_iter().map(|row| Proof { row, test: test.clone() }));
    }
}

/// The comments and attributes between the last line of code and the next.
#[derive(Default)]
struct Above {
    claims: Vec<String>,
    is_test: bool,
    /// The list of rows ended in a comma and goes on in the next line.
    goes_on: bool,
    in_attribute: bool,
}

impl Above {
    fn takes(&mut self, line: &str) -> bool {
        if let Some(comment) = line.strip_prefix("///") {
            self.read_comment(comment.trim());
            return true;
        }
        if self.in_attribute || line.starts_with("#[") {
            self.is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            self.in_attribute = !line.ends_with(']');
            return true;
        }
        line.starts_with("//")
    }

    fn read_comment(&mut self, comment: &str) {
        let rest = match comment.strip_prefix("Proves ") {
            Some(rest) => rest,
            None if self.goes_on => comment,
            None => return,
        };
        let list = rest.split(':').next().unwrap_or(rest).trim();
        self.goes_on = list.len() == rest.trim().len() && list.ends_with(',');
        let ids = list.split([' ', ',']).map(|it| it.trim_end_matches('.'));
        let ids = ids.filter(|it| !it.is_empty() && *it != "and");
        self.claims.extend(ids.take_while(|it| looks_like_a_row(it)).map(String::from));
    }
}

fn looks_like_a_row(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.contains(|c: char| c.is_ascii_digit())
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// A test program with `harness = false` lists its tests itself: once where each is written, once
/// where it is run.
fn has_own_main(files: &[File], path: &str) -> bool {
    let Some((package, program)) = path.split_once("/tests/") else { return false };
    let program = program.split('/').next().unwrap_or(program).trim_end_matches(".rs");
    let manifest = format!("{package}/Cargo.toml");
    let manifest = files.iter().find(|it| it.path == manifest).and_then(|it| it.text.as_deref());
    manifest.unwrap_or_default().split("[[test]]").skip(1).any(|section| {
        let section = section.split("\n[").next().unwrap_or(section);
        section.contains(&format!("name = \"{program}\"")) && section.contains("harness = false")
    })
}

fn is_mentioned_twice(file: &File, name: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    let names = file.lines().filter(|(_, line)| !line.trim_start().starts_with("//"));
    names.flat_map(|(_, line)| line.split(|c| !part_of_a_name(c))).filter(|it| *it == name).count()
        > 1
}

#[cfg(test)]
mod tests {
    use super::collect;
    use crate::repo::File;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), bytes: 0, text: Some(text.to_owned()) }
    }

    fn proven(files: &[File]) -> (Vec<String>, Vec<String>) {
        let mut bad = Vec::new();
        let proofs = collect(files, &mut bad);
        (proofs.iter().map(|it| format!("{} {}", it.row, it.test)).collect(), bad)
    }

    #[test]
    fn a_test_names_the_rows_it_proves() {
        let text = "/// Proves T1.3a, N5b and S-1.3.1: a cap holds.\n/// More words.\n\
            #[tokio::test(\n    start_paused = true\n)]\nasync fn a_cap_holds() {}\n\
            /// Proves F1.\n#[test]\nfn it_fails_alone() {}\n/// Proves nothing at all.\nfn other() {}";
        let (proofs, bad) = proven(&[file("crates/a/src/tests.rs", text)]);
        let cap = "crates/a/src/tests.rs::a_cap_holds";
        let alone = "crates/a/src/tests.rs::it_fails_alone";
        let expected = [("T1.3a", cap), ("N5b", cap), ("S-1.3.1", cap), ("F1", alone)]
            .map(|(row, test)| format!("{row} {test}"));
        assert_eq!((proofs.as_slice(), bad.len()), (expected.as_slice(), 0));
    }

    #[test]
    fn a_claim_above_something_that_never_runs_is_refused() {
        let text = "/// Proves F1.\nfn helper() {}\n/// Proves F2.\nstruct Thing;";
        let (proofs, bad) = proven(&[file("crates/a/src/lib.rs", text)]);
        assert_eq!((proofs.len(), bad.len()), (0, 2));
    }

    #[test]
    fn a_test_program_with_its_own_main_must_mention_the_test_again() {
        let manifest = file("crates/a/Cargo.toml", "[[test]]\nname = \"real\"\nharness = false\n");
        let text =
            "/// Proves E4.\nfn run() {}\n/// Proves E5.\nfn never_run() {}\nfn main() { run() }";
        let (proofs, bad) = proven(&[manifest, file("crates/a/tests/real.rs", text)]);
        assert_eq!((proofs, bad.len()), (vec![String::from("E4 crates/a/tests/real.rs::run")], 1));
    }
}
