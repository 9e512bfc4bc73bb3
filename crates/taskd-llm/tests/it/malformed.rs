//! Files that are not scripts: a complaint with a position, never a panic.

use std::path::Path;

use futures::FutureExt;
use taskd_llm::{Llm, MAX_DELAY_MS, MAX_SCRIPT_BYTES, Scripted, collect};

use crate::{call_of, complaint};

#[test]
fn complaints_name_line_and_column() {
    let cases = [
        ("", "1:1: a script needs `loops` or `default`"),
        ("loops: {}\n", "1:1: a script needs `loops` or `default`"),
        ("loop: {}\n", "1:1: unknown field `loop`, expected one of loops, default"),
        ("default: {sya: hello}\n", "1:11: unknown field `sya`"),
        ("default: {chunk_ms: 5}\n", "1:10: a turn needs `say`, `tools` or both"),
        ("default: {say: x, delay_ms: soon}\n", "1:29: "),
        ("default: {say: x, delay_ms: 3600001}\n", "1:29: 3600001 ms is more than the"),
        ("default:\n  say: x\n  usage: {tokens: 1}\n", "3:11: unknown field `tokens`"),
        ("default:\n  say: x\n  stop: soon\n", "3:9: unknown variant `soon`"),
        ("default:\n  say: x\n  say: y\n", "3:3: duplicate mapping key: say"),
        ("loops:\n  parse: {}\n", "2:10: "),
        ("loops:\n  'p*':\n    - turns: [{say: x}]\n", "2:3: \"p*\" is no loop"),
        ("loops:\n  p:\n    - turns: []\n", "3:7: an iteration needs a turn"),
        ("loops:\n  p:\n    - {iteration: 0, turns: [{say: x}]}\n", "3:7: iterations count from 1"),
        (
            "loops:\n  p:\n    - {iteration: 2, turns: [{say: x}]}\n    - {iteration: 2, turns: [{say: x}]}\n",
            "4:7: iteration 2 is listed twice",
        ),
        ("default:\n  tools:\n    - {run: {}, read: {}}\n", "3:7: one tool call per list item"),
        ("default:\n  tools:\n    - run\n", "3:7: "),
        ("default: [unclosed\n", ""),
        ("default: {say: x\n", ""),
        ("default: *missing\n", "1:10: "),
        ("loops:\n  p: [{turns: [{say: x}]}]\n  p: [{turns: [{say: x}]}]\n", "3:3: duplicate"),
        ("default: {say: x}\n---\ndefault: {say: x}\n", ""),
    ];
    for (script, expected) in cases {
        let told = complaint(script);
        let place = told.strip_prefix("/scripts/demo.yaml:").unwrap_or("no position");
        assert!(place.starts_with(expected), "{script}\n{told}\nexpected {expected}");
        assert!(place.starts_with(|it: char| it.is_ascii_digit()), "{told}");
        assert!(!told.contains('\n'), "{told}");
    }
}

#[test]
fn failures_are_checked() {
    let cases = [
        ("{explode: 1}", "unknown field `explode`"),
        ("{}", "a failure is one of"),
        ("{status: 503, hang: 1}", "a failure is one of"),
        ("{status: 200}", "status 200 is not a failure"),
        ("{status: 70000}", ""),
        ("{status: 400, retry_after_ms: 5}", "`retry_after_ms` goes with"),
        ("{hang: 1, retry_after_ms: 5}", "`retry_after_ms` goes with"),
        ("{disconnect: -1}", ""),
        ("timeout", ""),
    ];
    for (fault, expected) in cases {
        let told = complaint(format!("default:\n  say: x\n  fail:\n    - {fault}\n"));
        let place = told.strip_prefix("/scripts/demo.yaml:4:").unwrap_or("another place");
        assert!(place.contains(expected) && place != "another place", "{fault}\n{told}");
    }
    let many = "{status: 500}, ".repeat(65);
    assert!(complaint(format!("default: {{say: x, fail: [{many}]}}")).contains("at most 64 times"));
}

#[test]
fn bytes_that_are_no_text_have_a_position_too() {
    assert_eq!(complaint(b"default:\n  say: \xff\n"), "/scripts/demo.yaml:2:8: not UTF-8");
}

#[test]
fn files_that_cannot_be_scripts_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let told = |path: &Path| Scripted::load(path).expect_err("no script").to_string();

    assert!(told(dir.path()).starts_with("cannot read the script"));
    assert!(told(&dir.path().join("missing.yaml")).starts_with("cannot read the script"));
    let large = dir.path().join("large.yaml");
    let file = std::fs::File::create(&large).expect("a file");
    file.set_len(MAX_SCRIPT_BYTES + 1).expect("a large file");
    assert!(told(&large).ends_with("is larger than 4194304 bytes"));
}

#[test]
fn nesting_and_aliases_are_bounded() {
    let deep = format!("default: {{tools: [{{run: {}{}}}]}}", "[".repeat(5000), "]".repeat(5000));
    assert!(complaint(deep).contains("demo.yaml:"));
    let mut laughs = "a0: &a0 [x, x]\n".to_owned();
    for n in 1..40 {
        let before = n - 1;
        laughs.push_str(&format!("a{n}: &a{n} [*a{before}, *a{before}]\n"));
    }
    laughs = laughs.lines().map(|line| format!("      {line}\n")).collect();
    let told = complaint(format!("default:\n  tools:\n    - run:\n{laughs}"));
    assert!(told.contains("demo.yaml:"), "{told}");
}

/// Small, fixed and good enough to break parsers (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap_or(0)
    }
}

#[test]
fn garbage_never_panics() {
    const WORDS: &[&str] = &[
        "loops",
        "default",
        "say",
        "tools",
        "fail",
        "turns",
        "iteration",
        "status",
        "hang",
        "usage",
        ": ",
        ":\n",
        "\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "*",
        "&a ",
        "*a",
        "!!",
        "|",
        ">",
        "'",
        "\"",
        "#",
        "---\n",
        "...",
        "%",
        "429",
        "-1",
        "1e999",
        ".nan",
        "~",
        "<<",
        "\u{0}",
        "é",
        "\t",
    ];
    let sane = include_str!("sane.yaml");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut valid = 0;
    for round in 0..3000 {
        let bytes = match round % 3 {
            0 => (0..dice.below(200)).map(|_| dice.below(256).to_le_bytes()[0]).collect(),
            1 => (0..dice.below(40)).flat_map(|_| WORDS[dice.below(WORDS.len())].bytes()).collect(),
            _ => mutated(sane.as_bytes(), &mut dice, WORDS),
        };
        let Ok(model) = Scripted::parse(Path::new("/x.yaml"), &bytes) else { continue };
        valid += 1;
        let turn = u32::try_from(dice.below(4)).unwrap_or(0);
        // Polled once: what waits, waits.
        let _polled = futures::stream::StreamExt::next(&mut model.stream(call_of("a", 1, turn, 0)))
            .now_or_never();
    }
    assert!(valid > 50, "only {valid} of the scripts were valid: the generator is too wild");
}

#[tokio::test(start_paused = true)]
async fn whatever_is_valid_ends() {
    let sane = include_str!("sane.yaml");
    let mut dice = Dice(7);
    for _ in 0..300 {
        let bytes = mutated(sane.as_bytes(), &mut dice, &["5", " ", "x", "\n"]);
        let Ok(model) = Scripted::parse(Path::new("/x.yaml"), &bytes) else { continue };
        for attempt in 0..4 {
            let whole = collect(model.stream(call_of("p3.a", 1, 1, attempt)));
            let patience = std::time::Duration::from_millis(20 * MAX_DELAY_MS);
            let ended = tokio::time::timeout(patience, whole).await;
            assert!(ended.is_ok() || attempt == 2, "only the third attempt may hang");
        }
    }
}

fn mutated(sane: &[u8], dice: &mut Dice, words: &[&str]) -> Vec<u8> {
    let mut bytes = sane.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len());
        let until = (at + dice.below(3)).min(bytes.len());
        bytes.splice(at..until, words[dice.below(words.len())].bytes());
    }
    bytes
}
