//! Reading one line of a test program or a compiler. Each reader knows one program's own words.

use super::Counts;
use crate::findings::clean;

/// `3 passed`, `1 failed`, `2 errors`, `1 skipped` in any order, with anything around them.
pub(super) fn counts(text: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let mut found = false;
    let words: Vec<&str> =
        text.split(|it: char| !it.is_alphanumeric()).filter(|it| !it.is_empty()).collect();
    for pair in words.windows(2) {
        let Ok(count) = pair[0].parse::<u32>() else { continue };
        match pair[1] {
            "passed" => counts.passed = counts.passed.saturating_add(count),
            "failed" | "failures" | "errors" | "error" | "timed" => {
                counts.failed = counts.failed.saturating_add(count);
            }
            "skipped" | "ignored" | "pending" => {
                counts.skipped = counts.skipped.saturating_add(count);
            }
            _ => continue,
        }
        found = true;
    }
    found.then_some(counts)
}

/// A short line that begins with a number and has both: `3 passed, 1 failed`.
pub(super) fn plain_counts(text: &str) -> Option<Counts> {
    let begins = text.starts_with(|it: char| it.is_ascii_digit());
    let both = text.contains(" passed") && text.contains(" failed");
    if begins && both && text.len() <= 120 { counts(text) } else { None }
}

/// One count on a line of its own: `10 passing (5ms)`, `2 failing`, `\u{2139} pass 3`.
pub(super) fn single_count(text: &str) -> Option<Counts> {
    let words: Vec<&str> = text.split_whitespace().take(4).collect();
    let (count, word) = match words[..] {
        [count, word @ ("failing" | "pending")] => (count, word),
        [count, word @ "passing", time] if time.starts_with('(') => (count, word),
        ["\u{2139}", word @ ("pass" | "fail" | "skipped"), count] => (count, word),
        _ => return None,
    };
    let count = count.parse().ok()?;
    let none = Counts::default();
    Some(match word {
        "passing" | "pass" => Counts { passed: count, ..none },
        "failing" | "fail" => Counts { failed: count, ..none },
        _ => Counts { skipped: count, ..none },
    })
}

/// `\u{2716} name (1.2ms)`, as `node --test` says it.
pub(super) fn node_failure(text: &str) -> Option<&str> {
    let (name, time) = text.strip_prefix("\u{2716} ")?.rsplit_once(" (")?;
    time.ends_with("ms)").then_some(name)
}

/// `test a::b ... FAILED`, or `---- a::b stdout ----`.
pub(super) fn cargo_failure(text: &str) -> Option<&str> {
    let of_list = || text.strip_prefix("test ")?.strip_suffix(" ... FAILED");
    let of_output = || text.strip_prefix("---- ")?.strip_suffix(" stdout ----");
    let name = of_list().or_else(of_output)?;
    Some(name.strip_suffix(" - should panic").unwrap_or(name))
}

/// `FAIL [   0.005s] (3/9) package a::b` and the like; whether it is one of several tries.
pub(super) fn nextest_failure(text: &str) -> Option<(&str, bool)> {
    let (tried, rest) = match text.strip_prefix("TRY ") {
        Some(rest) => (true, rest.split_once(' ')?.1),
        None => (false, text),
    };
    let (word, rest) = rest.split_once('[')?;
    let word = word.trim_end();
    let bad = matches!(word, "FAIL" | "TIMEOUT" | "ABORT" | "LEAK-FAIL") || word.starts_with("SIG");
    let (time, test) = rest.split_once(']')?;
    if !bad || !time.trim().ends_with('s') {
        return None;
    }
    test.rsplit(' ').next().filter(|it| !it.is_empty()).map(|it| (it, tried))
}

/// `FAILED a/test_b.py::test_c - why`, `ERROR a/test_b.py`, `a/test_b.py::test_c FAILED [ 5%]`.
pub(super) fn pytest_failure(text: &str) -> Option<&str> {
    let listed = text.strip_prefix("FAILED ").or_else(|| text.strip_prefix("ERROR "));
    let name = match listed {
        Some(rest) => rest.split(" - ").next()?,
        None => {
            let (name, rest) = text.split_once(" FAILED")?;
            name.contains("::").then_some(())?;
            (rest.is_empty() || rest.trim_start().starts_with('[')).then_some(name)?
        }
    };
    let name = name.trim();
    let file = name.split("::").next()?;
    (file.ends_with(".py") && !file.contains(' ')).then_some(name)
}

/// `==== 2 failed, 217 passed in 1.20s ====`, or the same without the frame.
pub(super) fn is_pytest_sum(text: &str) -> bool {
    let inner = text.trim_matches(|it| it == '=' || it == ' ');
    let Some((counted, time)) = inner.rsplit_once(" in ") else { return false };
    let time = time.split(' ').next().unwrap_or(time);
    counted.starts_with(|it: char| it.is_ascii_digit())
        && time.ends_with('s')
        && time.starts_with(|it: char| it.is_ascii_digit())
}

/// `1..17`
pub(super) fn tap_plan(line: &str) -> Option<u32> {
    let rest = line.strip_prefix("1..")?;
    rest.split(' ').next()?.parse().ok()
}

/// `ok 3 - name`, `not ok 4 name`; what is to do or skipped counts as ok. Says last whether it was
/// skipped.
pub(super) fn tap_test(line: &str) -> Option<(bool, &str, bool)> {
    let (ok, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let digits = rest.len() - rest.trim_start_matches(|it: char| it.is_ascii_digit()).len();
    let (number, name) = rest.split_at(digits);
    if number.is_empty() || !(name.is_empty() || name.starts_with(' ')) {
        return None;
    }
    let (name, directive) = name.split_once(" # ").unwrap_or((name, ""));
    let word: String = directive.chars().take(4).collect();
    let word = word.to_ascii_lowercase();
    let (skipped, to_do) = (word == "skip", word == "todo");
    let name = name.trim().trim_start_matches("- ");
    Some((ok || skipped || to_do, if name.is_empty() { number } else { name }, skipped))
}

/// The first error of a compiler, with its place: `error[E0425]: cannot find … at src/a.rs:3:5`.
pub(super) fn compile_error(all: &[String]) -> Option<String> {
    all.iter().enumerate().find_map(|(n, line)| {
        if is_rust_error(line) {
            let after = all.iter().skip(n + 1).take(6).map(|it| it.trim());
            let place =
                after.take_while(|it| !it.is_empty()).find_map(|it| it.strip_prefix("--> "));
            let what = clean::cut(line, 140);
            return place.map(|place| format!("{what} at {place}"));
        }
        is_other_error(line).then(|| clean::cut(line.trim(), 190))
    })
}

/// `error: …` or `error[E0425]: …` at the line's beginning.
pub(super) fn is_rust_error(line: &str) -> bool {
    // What cargo says after the error itself.
    const AFTER: [&str; 7] = [
        "test failed",
        "doctest failed",
        "could not compile",
        "aborting due to",
        "process didn't exit",
        "test run failed",
        "recipe ",
    ];
    let Some(rest) = line.strip_prefix("error") else { return false };
    if let Some(what) = rest.strip_prefix(": ") {
        let counted = what.ends_with(" failed:") && what.contains(" target");
        let what = what.to_ascii_lowercase();
        return !counted && AFTER.iter().all(|it| !what.starts_with(it));
    }
    rest.starts_with('[') && rest.contains("]: ")
}

/// `a.c:3:5: error: …`, `src/a.ts(3,5): error TS2304: …`, `./a.go:3:5: undefined: x`.
pub(super) fn is_other_error(line: &str) -> bool {
    if line.contains("): error TS") {
        return true;
    }
    let text = line.trim_start();
    let Some((place, what)) = text.split_once(": ") else { return false };
    let mut numbers = place.rsplit(':');
    let is_number =
        |it: &str| !it.is_empty() && it.len() < 10 && it.bytes().all(|b| b.is_ascii_digit());
    let numbered = numbers.next().is_some_and(is_number);
    let mut rest = numbers.skip_while(|it| is_number(it));
    let file = rest.next().unwrap_or_default();
    let twice = place.matches(':').count() >= 2;
    // `go vet` and `go build` say no more than the place; `_test.go:` is where a test failed.
    let of_go = twice && file.ends_with(".go") && !file.ends_with("_test.go") && text == line;
    let of_others = what.starts_with("error: ") || what.starts_with("fatal error: ");
    numbered && !file.is_empty() && !place.contains(' ') && (of_go || of_others)
}
