//! Whether two outputs tell of the same failure: the same digest for both.
//!
//! It is only asked of one tree, so what differs between two runs of the same commands is noise:
//! numbers, times, addresses, names of temporary files, and the order of lines. All of that is left
//! out.

use std::collections::BTreeSet;

use taskd_model::Digest;

/// The digest of what failed: of the names of failing tests, where there are any, else of what the
/// output says. Half an output is as good as a whole one, so `excerpt` is enough.
pub(super) fn of(names: &[String], excerpt: &str) -> Digest {
    let names: BTreeSet<String> = names.iter().cloned().collect();
    if !names.is_empty() {
        return digest("tests", &names);
    }
    digest("output", &excerpt.lines().map(plain).collect())
}

fn digest(what: &str, lines: &BTreeSet<String>) -> Digest {
    let lines = lines.iter().map(String::as_bytes);
    let parts: Vec<&[u8]> = std::iter::once(what.as_bytes()).chain(lines).collect();
    Digest::of_parts(&parts)
}

/// The line without what may be otherwise the next time: every word with a digit in it is as good as
/// any other, and so is every name right below a directory for temporary files. A hyphen is part of a
/// word, or else a group of letters in a UUID would be a word of its own.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for it in line.trim().chars().chain(std::iter::once('\n')) {
        if it.is_alphanumeric() || it == '-' {
            word.push(it);
            continue;
        }
        let temporary = out.ends_with("/tmp/") || out.ends_with("/tmp/0.");
        if temporary || word.chars().any(|it| it.is_ascii_digit()) {
            word = "0".to_owned();
        }
        out.push_str(&word);
        out.push(it);
        word.clear();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::of;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|it| (*it).to_owned()).collect()
    }

    #[test]
    fn numbers_and_order_are_noise() {
        let none = names(&[]);
        let one = of(&none, "error in /tmp/x8f3/a.c: 12 ms\nat 0x7ffe12\n");
        assert_eq!(one, of(&none, "at 0x55d1a0\nerror in /tmp/b2/a.c: 7 ms\n"));
        assert_ne!(one, of(&none, "error in /tmp/b2/b.c: 7 ms\nat 0x55d1a0\n"));
        assert_ne!(one, of(&none, ""));
    }

    /// A group of a UUID, and what `mktemp` makes, may have no digit at all.
    #[test]
    fn names_that_are_made_up_are_noise_though_they_have_no_digits() {
        let none = names(&[]);
        let of = |text: &str| of(&none, text);
        let one = of("cannot read /tmp/21780ce6-15ec-41af-bbcc-c29955d20d78: no");
        assert_eq!(one, of("cannot read /tmp/5e93a905-4812-44a4-8091-d9121c9a1217: no"));
        assert_eq!(of("no /tmp/tmp.aBcDeFgHiJ/x"), of("no /tmp/tmp.Zk3jd9Qp2L/x"));
        assert_ne!(of("no /tmp/a/x"), of("no /tmp/a/y"));
    }

    #[test]
    fn tests_are_what_failed_whatever_they_print() {
        let one = of(&names(&["a", "b"]), "a took 3 s");
        assert_eq!(one, of(&names(&["b", "a"]), "something else"));
        assert_ne!(one, of(&names(&["a"]), "a took 3 s"));
    }
}
