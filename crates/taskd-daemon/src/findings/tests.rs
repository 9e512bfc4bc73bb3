//! Outputs of test programs, and what is found in them.

use proptest::prelude::*;

use super::*;

fn found(text: &str, exit: i32) -> Findings {
    read(text.as_bytes(), Some(exit))
}

fn summary(text: &str, exit: i32) -> String {
    found(text, exit).summary
}

const CARGO: &str = "\
     Running unittests src/lib.rs (target/debug/deps/limit-1)

running 3 tests
test limit::empty ... ok
test limit::refill ... FAILED
test limit::two_keys ... FAILED

failures:

---- limit::refill stdout ----

thread 'limit::refill' (4711) panicked at src/limit.rs:88:9:
assertion `left == right` failed
  left: 100
 right: 99
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

---- limit::two_keys stdout ----

thread 'limit::two_keys' (4712) panicked at src/limit.rs:97:9:
both keys share one bucket


failures:
    limit::refill
    limit::two_keys

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/api.rs (target/debug/deps/api-2)

test result: ok. 216 passed; 0 failed; 3 ignored; 0 measured; 0 filtered out; finished in 1.2s

error: test failed, to rerun pass `--lib`
";

#[test]
fn cargo_sums_over_binaries_and_names_what_failed() {
    let findings = found(CARGO, 101);
    assert_eq!(findings.summary, "2 of 219: limit::refill, limit::two_keys");
    assert_eq!(findings.tests, Some(219));
    assert_eq!(findings.failed, ["limit::refill", "limit::two_keys"]);
    for part in ["src/limit.rs:88:9", "right: 99", "both keys share one bucket", "216 passed"] {
        assert!(findings.excerpt.contains(part), "{}", findings.excerpt);
    }
    assert!(!findings.excerpt.contains("limit::empty ... ok"), "{}", findings.excerpt);
    let green =
        "test result: ok. 200 passed; 0 failed; 1 ignored\ntest result: ok. 19 passed; 0 failed";
    assert_eq!(summary(green, 0), "219 tests");
    assert_eq!(summary("test result: ok. 1 passed; 0 failed; 0 ignored", 0), "1 test");
}

#[test]
fn nextest() {
    let text = "
        PASS [   0.003s] (1/3) limit limit::empty
  TRY 1 FAIL [   0.002s] (─/3) limit limit::flaky
  TRY 2 PASS [   0.002s] (2/3) limit limit::flaky
        FAIL [   0.004s] (3/3) limit limit::refill
────────────
     Summary [   0.014s] 3 tests run: 2 passed (1 flaky), 1 failed, 4 skipped
        FAIL [   0.004s] (3/3) limit limit::refill
error: test run failed
";
    let findings = found(text, 100);
    assert_eq!(findings.summary, "1 of 3: limit::refill");
    assert_eq!(findings.failed, ["limit::refill"]);
}

/// What nextest 0.9 prints on a terminal, where what the tests printed has sums of its own.
const NEXTEST: &str = "\
\u{1b}[32;1m Nextest run\u{1b}[0m ID \u{1b}[1m29bdf28e\u{1b}[0m with nextest profile: default
\u{1b}[32;1m        PASS\u{1b}[0m [   0.005s] (1/3) proj t::a
\u{1b}[31;1m     SIGABRT\u{1b}[0m [   0.004s] (2/3) proj t::c
    (test aborted with signal 6: SIGABRT)
\u{1b}[31;1m        FAIL\u{1b}[0m [   0.078s] (3/3) \u{1b}[35;1mproj\u{1b}[0m \u{1b}[36mt::\u{1b}[34;1mb\u{1b}[0m
\u{1b}[31;1m \u{1b}[0m \u{1b}[31;1mstdout\u{1b}[0m \u{1b}[31;1m───\u{1b}[0m

    running 1 test
    test t::b ... FAILED

    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out

────────────
     Summary [   0.079s] 3 tests run: 1 passed, 2 failed, 0 skipped
     SIGABRT [   0.004s] (2/3) proj t::c
        FAIL [   0.078s] (3/3) proj t::b
error: test run failed
test result: ok. 4 passed; 0 failed; 0 ignored
";

#[test]
fn tests_that_print_sums_are_not_counted_twice() {
    assert_eq!(summary(NEXTEST, 100), "2 of 7: t::c, t::b");
}

#[test]
fn pytest() {
    let text = "
=================================== FAILURES ===================================
_________________________________ test_refill __________________________________

    def test_refill():
>       assert take() == 99
E       assert 100 == 99

tests/test_limit.py:4: AssertionError
=========================== short test summary info ============================
FAILED tests/test_limit.py::test_refill[two keys] - assert 100 == 99
ERROR tests/test_db.py::test_open - sqlite3.OperationalError
============= 1 failed, 216 passed, 2 skipped, 1 error in 3.21s ==============
";
    let findings = found(text, 1);
    let names = "tests/test_limit.py::test_refill[two keys], tests/test_db.py::test_open";
    assert_eq!(findings.summary, format!("2 of 218: {names}"));
    assert!(findings.excerpt.contains("E       assert 100 == 99"), "{}", findings.excerpt);
    assert_eq!(summary("....\n217 passed in 0.53s\n", 0), "217 tests");
    assert_eq!(summary("== 217 passed, 1 warning in 62.10s (0:01:02) ==", 0), "217 tests");
    let collect = "ERROR tests/test_a.py - ImportError: x\n=== 1 error in 0.1s ===";
    assert_eq!(summary(collect, 2), "1 of 1: tests/test_a.py");
}

#[test]
fn go_test() {
    let quiet = "\
--- FAIL: TestLimit (0.00s)
    --- FAIL: TestLimit/two_keys (0.00s)
        limit_test.go:12: got 100, want 99
FAIL
FAIL\texample.org/limit\t0.004s
ok  \texample.org/api\t0.010s
FAIL
";
    let findings = found(quiet, 1);
    assert_eq!(findings.summary, "1 failed: TestLimit/two_keys");
    assert_eq!(findings.tests, None);
    assert!(findings.excerpt.contains("got 100, want 99"), "{}", findings.excerpt);
    let loud =
        "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n--- FAIL: TestB (0.00s)\nFAIL";
    assert_eq!(summary(loud, 1), "1 of 2: TestB");
    assert_eq!(summary("ok  \texample.org/api\t0.010s\n", 0), "ok   example.org/api 0.010s");
    let build =
        "# example.org/api\n./api.go:3:9: undefined: x\nFAIL\texample.org/api [build failed]\nFAIL";
    assert_eq!(summary(build, 1), "./api.go:3:9: undefined: x");
}

#[test]
fn jest_vitest_mocha_and_node() {
    let jest = "
FAIL src/limit.test.js
  limit
    ✕ refills (3 ms)

  ● limit › refills

    expect(received).toBe(expected)

Test Suites: 1 failed, 3 passed, 4 total
Tests:       1 failed, 1 skipped, 218 passed, 220 total
Snapshots:   0 total
";
    let findings = found(jest, 1);
    assert_eq!(findings.summary, "1 of 219: limit › refills");
    assert!(findings.excerpt.contains("expect(received)"), "{}", findings.excerpt);
    let suite = "FAIL src/b.test.js\n  ● Test suite failed to run\nTests:       5 passed, 5 total";
    assert_eq!(summary(suite, 1), "1 failed: src/b.test.js");

    let vitest = "
 FAIL  src/limit.test.ts > limit > refills
AssertionError: expected 100 to be 99
 Test Files  1 failed | 3 passed (4)
      Tests  1 failed | 218 passed (219)
";
    assert_eq!(summary(vitest, 1), "1 of 219: src/limit.test.ts > limit > refills");
    assert_eq!(summary("  10 passing (5ms)\n  2 failing\n", 2), "2 of 12 failed");
    let node =
        "✔ a (0.5ms)\n✖ b (1.2ms)\nℹ tests 2\nℹ pass 1\nℹ fail 1\n✖ failing tests:\n✖ b (1.2ms)";
    assert_eq!(summary(node, 1), "1 of 2: b");
}

#[test]
fn tap() {
    let text = "1..4\nok 1 - a\nnot ok 2 - two keys\n  ---\n  got: 100\n  ...\nnot ok 3 - later # TO\x44O x\nok 4\n";
    let findings = found(text, 1);
    assert_eq!(findings.summary, "1 of 4: two keys");
    assert!(findings.excerpt.contains("got: 100"), "{}", findings.excerpt);
    assert_eq!(summary("ok 1 - a\nok 2 - b # SKIP no db\n1..2", 0), "2 tests");
    assert_eq!(summary("1..17\nok 1\nok 2\n", 255), "15 of 17 failed");
    assert_eq!(summary("TAP version 13\n# a\n    ok 1 - sub\nok 1 - a\n1..1", 0), "1 test");
}

#[test]
fn plain_counts_are_understood_if_nothing_else_is() {
    assert_eq!(summary("217 passed, 2 failed", 1), "2 of 219 failed");
    assert_eq!(
        summary("3 passed, 0 failed\n4 passed, 1 failed\n7 passed, 1 failed", 1),
        "1 of 8 failed"
    );
    assert_eq!(summary("3 passed, 0 failed\n4 passed, 0 failed", 0), "7 tests");
    assert_eq!(
        summary("FAIL: shell/pipes\nFAIL: shell/jobs\nmake: *** [check] Error 1", 2),
        "2 failed: shell/pipes, shell/jobs"
    );
}

#[test]
fn compilers_tell_the_first_error_and_its_place() {
    let rust = "\
   Compiling limit v0.1.0
warning: unused
error[E0425]: cannot find value `x` in this scope
 --> src/limit.rs:3:5
  |
3 |     x
  |     ^ not found in this scope

error: could not compile `limit` (lib) due to 1 previous error
";
    let findings = found(rust, 101);
    let expected = "error[E0425]: cannot find value `x` in this scope at src/limit.rs:3:5";
    assert_eq!((findings.summary.as_str(), findings.tests), (expected, None));
    assert!(findings.excerpt.contains("not found in this scope"), "{}", findings.excerpt);
    let c = "cc -c a.c\nsrc/a.c:3:5: error: expected ';'\nmake: *** [a.o] Error 1";
    assert_eq!(summary(c, 2), "src/a.c:3:5: error: expected ';'");
    let ts = "src/a.ts(3,5): error TS2304: Cannot find name 'x'.";
    assert_eq!(summary(ts, 2), ts);
    let both = format!("{CARGO}error: unused import\n  --> src/a.rs:1:1\n");
    assert!(summary(&both, 101).starts_with("2 of 219: "));
}

#[test]
fn the_exit_code_decides_and_the_last_line_tells() {
    assert_eq!(summary("", 0), "no output, exit 0");
    assert_eq!(summary("checked\nall good\n\n", 0), "all good");
    assert_eq!(summary("", 3), "exit 3: no output");
    assert_eq!(read(b"working", None).summary, "ended by a signal: working");
    assert_eq!(summary("first\n  cannot open db  \n\n", 3), "exit 3: cannot open db");
    let late = "test result: ok. 219 passed; 0 failed; 0 ignored\nno license header in a.rs";
    assert_eq!(summary(late, 1), "219 tests passed, but exit 1: no license header in a.rs");
    assert_eq!(summary(CARGO, 0), "219 tests, 2 failed, yet exit 0");
    assert_eq!(found("a\nb\n", 1).excerpt, "a\nb\n");
}

#[test]
fn escapes_and_progress_are_not_shown() {
    let text = "\u{1b}]0;title\u{7}\u{1b}[1m\u{1b}[32mtest\u{1b}(B result: ok\u{1b}[0m. 3 passed; 0 failed\r\n";
    assert_eq!(summary(text, 0), "3 tests");
    let text = "10%\r50%\rdone\u{202e} \u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\\n";
    assert_eq!(found(text, 1).excerpt, "done link\n");
}

#[test]
fn everything_is_bounded() {
    let failing: String = (0..5_000).map(|n| format!("test a::b{n} ... FAILED\n")).collect();
    let text = format!("{failing}test result: FAILED. 0 passed; 5000 failed; 0 ignored");
    let findings = found(&text, 101);
    assert!(findings.summary.starts_with("5000 of 5000: a::b0, a::b1, "), "{}", findings.summary);
    let told = findings.summary.matches("a::").count();
    assert!(findings.summary.ends_with(&format!(", +{}", 5_000 - told)), "{}", findings.summary);
    assert!(findings.summary.chars().count() <= MAX_SUMMARY_CHARS);
    assert_eq!(findings.failed.len(), MAX_FAILED);
    assert!(findings.excerpt.len() <= MAX_EXCERPT_BYTES && findings.excerpt.len() > 5_000);

    let huge = "xé".repeat(7 * 1024 * 1024);
    let findings =
        read(format!("{huge}\ntest result: ok. 3 passed; 0 failed\n").as_bytes(), Some(0));
    assert_eq!((findings.tests, findings.summary.as_str()), (Some(3), "3 tests"));
    assert!(findings.excerpt.len() <= MAX_EXCERPT_BYTES);
}

#[test]
fn many_long_failures_share_the_room_and_the_end_is_always_shown() {
    let part = |n| {
        let noise = "  noise that goes on and on and on\n".repeat(40);
        format!(
            "---- a::b{n} stdout ----\n\nthread 'a::b{n}' (1) panicked at src/a.rs:{n}:1:\n{noise}"
        )
    };
    let parts: String = (0..100).map(part).collect();
    let text = format!(
        "{parts}test result: FAILED. 0 passed; 100 failed; 0 ignored\nerror: test failed\n"
    );
    let excerpt = found(&text, 101).excerpt;
    assert!(excerpt.ends_with("error: test failed\n") && excerpt.len() <= MAX_EXCERPT_BYTES);
    let shown = excerpt.matches("panicked at").count();
    assert!((10..100).contains(&shown), "{shown}");
}

/// Text made of the words the readers look for, in any order.
fn near_misses() -> impl Strategy<Value = String> {
    let words = [
        "test ",
        " ... FAILED",
        "test result: ",
        "4294967295 passed",
        "9 failed",
        "Summary [",
        " run: ",
        "FAIL [",
        "TRY 1 ",
        "] ",
        "FAILED ",
        "a.py::b",
        "ERROR ",
        " in 1s",
        "--- FAIL: ",
        "=== RUN ",
        "FAIL\t",
        "Tests:",
        "\u{25cf} ",
        " \u{203a} ",
        "not ok ",
        "ok 1",
        "1..",
        " # TO\x44O",
        "error[",
        "error: ",
        " --> ",
        ": error: ",
        "a.go:1:2: ",
        "panicked at ",
        "E   ",
        "\n",
        "\n",
        "\n",
        " ",
        "\t",
        "\r",
        "\u{1b}[",
        "\u{1b}]",
        "\u{7}",
        "\u{fffd}",
        "é",
        "\u{2139} pass ",
        "\u{2716} ",
        "(",
        "ms)",
        "/",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..80).prop_map(|it| it.concat())
}

proptest! {
    #[test]
    fn any_bytes_give_bounded_findings(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        text in near_misses(),
        times in 1..40_usize,
        exit in prop::option::of(-2..3_i32),
    ) {
                for output in [bytes.repeat(times), text.repeat(times).into_bytes()] {
            let findings = read(&output, exit);
            prop_assert!(findings.summary.chars().count() <= MAX_SUMMARY_CHARS);
            prop_assert!(!findings.summary.trim().is_empty());
            prop_assert!(!findings.summary.contains(char::is_control));
            prop_assert!(findings.failed.len() <= MAX_FAILED);
            prop_assert!(findings.failed.iter().all(|it| it.len() <= 1_000 && !it.is_empty()));
            prop_assert!(findings.excerpt.len() <= MAX_EXCERPT_BYTES);
            prop_assert!(!findings.excerpt.contains('\x1b'));
        }
    }
}
