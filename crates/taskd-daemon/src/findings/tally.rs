//! Counting: what each test program's lines say about how many tests ran and which failed.
//!
//! Every line belongs to the first program that knows it. Counts of several programs add up, as a
//! gate may run several.

use std::collections::BTreeSet;

use super::clean;

mod lines;

/// Longest name of a test, in characters.
const MAX_NAME_CHARS: usize = 150;

/// Most names looked at.
const MAX_NAMES: usize = 10_000;

/// What the lines say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Tests that were run, passed or failed.
    pub(super) tests: Option<u32>,
    /// Tests that failed.
    pub(super) failed: u32,
    /// Tests that were not run, as their program says.
    pub(super) skipped: u32,
    /// Names of those that failed, where they are given; else of files or packages that did.
    pub(super) names: Vec<String>,
    /// The names are those of tests.
    pub(super) names_tests: bool,
    /// The first error of a compiler, with its place.
    pub(super) compile_error: Option<String>,
}

/// Passed, failed, and not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    passed: u32,
    failed: u32,
    skipped: u32,
}

/// What is known after some lines.
#[derive(Debug, Default)]
struct Counter {
    /// Sums of programs that print them.
    sums: Option<Counts>,
    /// Lines as `3 passed, 1 failed` of programs nobody knows.
    plain: Vec<Counts>,
    /// Tests of `go test`, one by one.
    go: Counts,
    /// `go test -v` names the tests that passed too.
    go_names_all: bool,
    /// Tests of TAP, one by one.
    tap: Counts,
    /// How many TAP announced.
    tap_plan: Option<u32>,
    /// Nextest runs: sums are those of single tests, until its own.
    in_nextest: bool,
    /// The final list of nextest has begun, where only what failed for good is named.
    after_nextest: bool,
    names: Names,
    /// Names of whole files, used if no test is named.
    files: Names,
}

#[derive(Debug, Default)]
struct Names {
    list: Vec<String>,
    seen: BTreeSet<String>,
}

impl Tally {
    pub(super) fn of(all: &[String]) -> Self {
        let mut counter = Counter::default();
        for line in all {
            counter.line(line);
        }
        let compile_error = lines::compile_error(all);
        let (tests, failed, skipped) = counter.totals();
        let names_tests = !counter.names.list.is_empty();
        let names = if names_tests { counter.names } else { counter.files };
        Self { tests, failed, skipped, names: leaves(names.list), names_tests, compile_error }
    }
}

/// A line of a compiler that tells of an error.
pub(super) fn is_error(line: &str) -> bool {
    lines::is_rust_error(line) || lines::is_other_error(line)
}

impl Counter {
    fn line(&mut self, line: &str) {
        let text = line.trim();
        let _known = self.rust(line, text)
            || self.go(line, text)
            || self.python(text)
            || self.javascript(line, text)
            || self.tap(line)
            || self.plain(text);
    }

    fn rust(&mut self, line: &str, text: &str) -> bool {
        if let Some(result) = text.strip_prefix("test result: ") {
            // Indented ones are what a test printed.
            let inner = self.in_nextest || text.len() < line.len();
            return inner || self.add(lines::counts(result));
        }
        if text.starts_with("Nextest run ID ") {
            self.in_nextest = true;
            return true;
        }
        if text.starts_with("Summary [") && text.contains(" run: ") {
            self.in_nextest = false;
            self.after_nextest = true;
            return self.add(lines::counts(text));
        }
        if let Some(name) = lines::cargo_failure(text) {
            self.names.add(name);
            return true;
        }
        if let Some((name, retried)) = lines::nextest_failure(text) {
            if !retried || self.after_nextest {
                self.names.add(name);
            }
            return true;
        }
        false
    }

    fn go(&mut self, line: &str, text: &str) -> bool {
        let top = usize::from(text.len() == line.len());
        let top = u32::try_from(top).unwrap_or(0);
        if let Some(rest) = text.strip_prefix("--- FAIL: ") {
            self.go.failed = self.go.failed.saturating_add(top);
            self.names.add(rest.split(" (").next().unwrap_or(rest));
        } else if text.starts_with("--- PASS: ") {
            self.go.passed = self.go.passed.saturating_add(top);
        } else if text.starts_with("--- SKIP: ") {
            self.go.skipped = self.go.skipped.saturating_add(top);
        } else if text.starts_with("=== RUN ") {
            self.go_names_all = true;
        } else if let Some(rest) = line.strip_prefix("FAIL\t") {
            let package = rest.split('\t').next().unwrap_or(rest);
            self.files.add(package);
        } else {
            return false;
        }
        true
    }

    fn python(&mut self, text: &str) -> bool {
        if let Some(name) = lines::pytest_failure(text) {
            let to = if name.contains("::") { &mut self.names } else { &mut self.files };
            to.add(name);
            return true;
        }
        lines::is_pytest_sum(text) && self.add(lines::counts(text))
    }

    fn javascript(&mut self, line: &str, text: &str) -> bool {
        let sums = ["Tests:", "Tests  "];
        if let Some(rest) = sums.iter().find_map(|it| text.strip_prefix(it)) {
            return self.add(lines::counts(rest));
        }
        if ["Test Suites:", "Test Files ", "Snapshots:"].iter().any(|it| text.starts_with(it)) {
            return true;
        }
        if let Some(name) = text.strip_prefix("\u{25cf} ") {
            let of_a_test = line.starts_with("  ") && name.contains(" \u{203a} ");
            if of_a_test {
                self.names.add(name);
            } else if !["Console", "Test suite failed to run"].contains(&name) {
                self.files.add(name);
            }
            return true;
        }
        if let Some(name) = lines::node_failure(text) {
            self.names.add(name);
            return true;
        }
        if let Some(counts) = lines::single_count(text) {
            return self.add(Some(counts));
        }
        let Some(name) = text.strip_prefix("FAIL ").map(str::trim) else { return false };
        let to = if name.contains(" > ") { &mut self.names } else { &mut self.files };
        to.add(name);
        true
    }

    fn tap(&mut self, line: &str) -> bool {
        if let Some(count) = lines::tap_plan(line) {
            self.tap_plan = Some(self.tap_plan.unwrap_or(0).saturating_add(count));
        } else if let Some((ok, name, skipped)) = lines::tap_test(line) {
            self.tap.skipped = self.tap.skipped.saturating_add(u32::from(skipped));
            let count = if ok { &mut self.tap.passed } else { &mut self.tap.failed };
            *count = count.saturating_add(1);
            if !ok {
                self.names.add(name);
            }
        } else {
            return false;
        }
        true
    }

    fn plain(&mut self, text: &str) -> bool {
        for mark in ["FAIL: ", "FAILED: ", "not ok: "] {
            if let Some(name) = text.strip_prefix(mark) {
                self.files.add(name);
                return true;
            }
        }
        let counts = lines::plain_counts(text);
        self.plain.extend(counts);
        counts.is_some()
    }

    fn add(&mut self, counts: Option<Counts>) -> bool {
        if let Some(it) = counts {
            self.sums = Some(self.sums.unwrap_or_default().plus(it));
        }
        counts.is_some()
    }

    /// How many ran, where it is known, how many failed, and how many were skipped.
    fn totals(&self) -> (Option<u32>, u32, u32) {
        let mut sums = self.sums;
        let (mut failed_besides, mut skipped_besides) = (0, 0);
        let mut with = |it: Counts| sums = Some(sums.unwrap_or_default().plus(it));
        if self.tap != Counts::default() {
            let seen = self.tap.passed.saturating_add(self.tap.failed);
            // Announced but never reported: the program died on the way.
            let missing = self.tap_plan.map_or(0, |it| it.saturating_sub(seen));
            with(self.tap.plus(Counts { failed: missing, ..Counts::default() }));
        }
        if self.go_names_all {
            with(self.go);
        } else {
            failed_besides = self.go.failed;
            skipped_besides = self.go.skipped;
        }
        let sums = sums.or_else(|| plain_sum(&self.plain));
        let failed = sums.map_or(0, |it| it.failed).saturating_add(failed_besides);
        // Tests of `go test` without -v are not counted, so neither is the total.
        let tests = sums.filter(|_| failed_besides == 0);
        let skipped = sums.map_or(0, |it| it.skipped).saturating_add(skipped_besides);
        (tests.map(|it| it.passed.saturating_add(it.failed)), failed, skipped)
    }
}

/// The sum, unless the last line already is the sum of those before it.
fn plain_sum(all: &[Counts]) -> Option<Counts> {
    let (last, before) = all.split_last()?;
    let sum = before.iter().fold(Counts::default(), |sum, it| sum.plus(*it));
    Some(if sum == *last { *last } else { sum.plus(*last) })
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed.saturating_add(other.passed),
            failed: self.failed.saturating_add(other.failed),
            skipped: self.skipped.saturating_add(other.skipped),
        }
    }
}

impl Names {
    fn add(&mut self, name: &str) {
        let name = clean::cut(name.trim(), MAX_NAME_CHARS);
        if !name.is_empty() && self.list.len() < MAX_NAMES && self.seen.insert(name.clone()) {
            self.list.push(name);
        }
    }
}

/// Without tests whose own subtests are named.
fn leaves(names: Vec<String>) -> Vec<String> {
    let parents: BTreeSet<String> = names
        .iter()
        .flat_map(|it| it.match_indices('/').map(|(at, _)| it[..at].to_owned()))
        .collect();
    names.into_iter().filter(|it| !parents.contains(it)).collect()
}
