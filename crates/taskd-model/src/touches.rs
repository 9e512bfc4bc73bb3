//! Whether two specs say that they touch the same files. Globs are compared component by component
//! and in doubt the answer is yes: what runs one after another loses time, not work.

/// What could stand for more than itself.
const SPECIAL: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// The first glob of `ours` that may name a file that one of `theirs` names too.
#[must_use]
pub fn shared<'a>(ours: &'a [String], theirs: &[String]) -> Option<&'a str> {
    let meets = |it: &&String| theirs.iter().any(|other| may_meet(it, other));
    ours.iter().find(meets).map(String::as_str)
}

/// Whether some path may match both globs, or lie below what one of them names.
fn may_meet(a: &str, b: &str) -> bool {
    let parts = |it: &'_ str| -> Vec<String> {
        it.split('/').filter(|it| !it.is_empty() && *it != ".").map(str::to_owned).collect()
    };
    let (a, b) = (parts(a), parts(b));
    for (a, b) in a.iter().zip(&b) {
        if a == "**" || b == "**" {
            return true;
        }
        if !may_be_one(a, b) {
            return false;
        }
    }
    // The shorter one names a directory that the other is in, or both are the same.
    true
}

/// Whether one name may match both components.
fn may_be_one(a: &str, b: &str) -> bool {
    let ends = |it: &'_ str| -> (String, String) {
        let head = it.split(SPECIAL).next().unwrap_or_default();
        let tail = it.rsplit(SPECIAL).next().unwrap_or_default();
        (head.to_owned(), tail.to_owned())
    };
    let is_plain = |it: &str| !it.contains(SPECIAL);
    let ((a_head, a_tail), (b_head, b_tail)) = (ends(a), ends(b));
    match (is_plain(a), is_plain(b)) {
        (true, true) => a == b,
        (true, false) => a.starts_with(&b_head) && a.ends_with(&b_tail),
        (false, true) => b.starts_with(&a_head) && b.ends_with(&a_tail),
        (false, false) => {
            let heads = a_head.starts_with(&b_head) || b_head.starts_with(&a_head);
            heads && (a_tail.ends_with(&b_tail) || b_tail.ends_with(&a_tail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn globs_meet_where_a_path_may_match_both() {
        let table = [
            ("crates/limit/**", "crates/limit/src/lib.rs", true),
            ("crates/limit/**", "crates/limits/**", false),
            ("crates/limit", "crates/limit/src/lib.rs", true),
            ("crates/limit", "crates/limits", false),
            ("**/*.rs", "docs/a.md", true),
            ("*.rs", "main.rs", true),
            ("*.rs", "docs/a.md", false),
            ("src/*.rs", "src/*.md", false),
            ("src/a*.rs", "src/ab*", true),
            ("src/a*", "src/b*", false),
            ("src/{a,b}.rs", "src/a.rs", true),
            ("src/{a,b}.rs", "src/a.md", false),
            ("./docs/**", "docs/x", true),
            ("docs/[ab]", "docs/c", true),
            ("a/b/c", "a/b/d", false),
        ];
        for (a, b, meet) in table {
            let (ours, theirs) = ([a.to_owned()], [b.to_owned()]);
            assert_eq!(shared(&ours, &theirs), meet.then_some(a), "{a} and {b}");
            assert_eq!(shared(&theirs, &ours).is_some(), meet, "{b} and {a}");
        }
        assert_eq!(shared(&[], &["**".to_owned()]), None, "who says nothing holds nobody up");
    }
}
