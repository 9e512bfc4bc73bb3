//! What the scripted models say: one script for everybody, one for `top`, whose provider is busy.
//!
//! Two providers, because a 429 closes its provider for everybody who uses it. The scripts are JSON,
//! which is YAML. A reply depends on loop, iteration and turn alone, so a daemon that was killed is
//! told the same again.

use serde_json::{Value, json};

use super::seed::{Choices, MAX_KILL_AFTER_MS, Rng, Step};

/// The earliest time the busy provider may be asked again.
pub(super) const RETRY_AFTER_MS: u64 = 2_000;
/// Prints only what fails. How many tests there are depends on what others have landed by then, and
/// with it the next request would too: a recording of it would fit only by chance.
const TEST: &str = "sh test.sh | sed '/ passed, 0 failed$/d'";
/// How much longer the step in which the daemon is killed takes.
const ROOM_FOR_KILL_MS: u64 = MAX_KILL_AFTER_MS + 400;

macro_rules! asset {
    ($path:literal) => {
        include_str!(concat!("../../demo/", $path))
    };
}
pub(super) use asset;

/// The script of everybody but `top`, and that of `top`.
pub(super) struct Scripts {
    pub(super) model: String,
    pub(super) busy: String,
}

impl Scripts {
    pub(super) fn new(choices: &Choices) -> Self {
        let mut pen = Pen { rng: Rng(choices.delays), choices };
        let loops = json!({
            "parse": pen.parse(),
            "count": pen.count(),
            "json": pen.json(),
            "bench": pen.bench(),
        });
        let busy = json!({ "top": pen.top() });
        // A turn nobody wrote is one where nothing is left to do.
        let default = json!({"say": "I do not know better.", "tools": [finish("nothing")]});
        let text = |loops| json!({"loops": loops, "default": default}).to_string();
        Self { model: text(loops), busy: text(busy) }
    }
}

/// Writes iterations.
struct Pen<'a> {
    rng: Rng,
    choices: &'a Choices,
}

/// A turn before its delay is drawn.
struct Draft {
    say: &'static str,
    tools: Vec<Value>,
    /// On top of the usual delay.
    slow_ms: u64,
    fail: Value,
}

fn turn(say: &'static str, tools: Vec<Value>) -> Draft {
    Draft { say, tools, slow_ms: 0, fail: json!([]) }
}

impl Draft {
    fn slow(self, slow_ms: u64) -> Self {
        Self { slow_ms, ..self }
    }
}

impl Pen<'_> {
    fn iteration(&mut self, spec: &str, n: u32, drafts: Vec<Draft>) -> Value {
        let mut turns = Vec::new();
        for (turn, draft) in (1..).zip(drafts) {
            let victim = self.choices.victim;
            let here = victim.spec == spec && victim.iteration == n && victim.turn == turn;
            let room = if here && victim.step == Step::Call { ROOM_FOR_KILL_MS } else { 0 };
            let Draft { say, tools, slow_ms, fail } = draft;
            let delay_ms = self.rng.between(250, 500) + slow_ms + room;
            turns.push(json!({"say": say, "delay_ms": delay_ms, "tools": tools, "fail": fail}));
        }
        json!({"iteration": n, "turns": turns})
    }

    /// Forgets two rules, is told by the gate, and mends them.
    fn parse(&mut self) -> Value {
        let first = vec![
            // A worktree's own `.git` has the length of its path: the root is not listed.
            turn("I look around first.", vec![list("tests"), read("words.sh"), read("test.sh")]),
            turn(
                "I write the splitter and its tests.",
                vec![
                    write("lib/parse.sh", asset!("lib/parse-first.sh")),
                    write("words.sh", asset!("words/parse.sh")),
                    write("tests/parse.sh", asset!("tests/parse.sh")),
                ],
            ),
            turn("That should be all.", vec![finish("Splits input into words.")]),
        ];
        let mut second = vec![turn("The gate names two failures.", vec![read("lib/parse.sh")])];
        if !self.choices.break_fix {
            second.push(turn(
                "Lower case and the apostrophe were missing.",
                vec![write("lib/parse.sh", asset!("lib/parse.sh")), run("sh test.sh")],
            ));
        }
        second.push(turn("Mended.", vec![finish("Lower case, apostrophes.")]));
        json!([self.iteration("parse", 1, first), self.iteration("parse", 2, second)])
    }

    fn count(&mut self) -> Value {
        let turns = vec![
            turn("I read what is there.", vec![read("words.sh"), read("tests/parse.sh")]),
            turn(
                "Counting is one line.",
                vec![
                    write("words.sh", asset!("words/count.sh")),
                    write("tests/count.sh", asset!("tests/count.sh")),
                ],
            ),
            turn("I run the tests.", vec![run(TEST)]),
            turn("Done.", vec![finish("Counts words.")]),
        ];
        json!([self.iteration("count", 1, turns)])
    }

    /// Its provider says 429 in the middle of the iteration. Its files are written before, so that
    /// whichever of `top` and `json` comes second meets the other one's lines.
    fn top(&mut self) -> Value {
        let busy = json!([{"status": 429, "retry_after_ms": RETRY_AFTER_MS}]);
        let turns = vec![
            turn("I read what is there.", vec![read("words.sh"), read("lib/parse.sh")]),
            turn(
                "Sort, count, sort again.",
                vec![
                    write("lib/top.sh", asset!("lib/top.sh")),
                    write("words.sh", asset!("words/top.sh")),
                    write("tests/top.sh", asset!("tests/top.sh")),
                ],
            ),
            Draft { fail: busy, ..turn("I run the tests.", vec![run(TEST)]) },
            turn("Done.", vec![finish("Prints the most common words.")]),
        ];
        json!([self.iteration("top", 1, turns), self.merge("top")])
    }

    /// Changes the same lines as `top` before that lands, and is not done before it has landed.
    fn json(&mut self) -> Value {
        let look_ms = 1_800 + self.choices.apart_ms;
        let turns = vec![
            turn("I read what is there.", vec![read("words.sh"), read("lib/parse.sh")]),
            turn(
                "An object with a count for each word.",
                vec![
                    write("lib/json.sh", asset!("lib/json.sh")),
                    write("words.sh", asset!("words/json.sh")),
                    write("tests/json.sh", asset!("tests/json.sh")),
                ],
            ),
            turn("I run the tests.", vec![run(TEST)]).slow(look_ms),
            turn("I look at it once more.", vec![read("lib/json.sh")]).slow(look_ms),
            turn("Done.", vec![finish("Prints counts as JSON.")]),
        ];
        json!([self.iteration("json", 1, turns), self.merge("json")])
    }

    /// Solves the conflict of `top` and `json`. Both know how: on a slow machine the other one may
    /// come second.
    fn merge(&mut self, spec: &'static str) -> Value {
        let turns = vec![
            turn("Another option landed in the same lines.", vec![read("words.sh")]),
            turn(
                "Both options are wanted.",
                vec![write("words.sh", asset!("words/both.sh")), run(TEST)],
            ),
            turn("Both are there.", vec![finish("Merged both options.")]),
        ];
        self.iteration(spec, 2, turns)
    }

    /// Works beside all others for as long as they do.
    fn bench(&mut self) -> Value {
        // The command takes long enough to be cut off.
        let measure = format!("sleep 1; sh bench.sh > /dev/null; {TEST}");
        let turns = vec![
            turn("I read what is there.", vec![read("words.sh"), list("lib")]).slow(600),
            turn("How do the tests look?", vec![read("tests/parse.sh")]).slow(800),
            turn("A timing line.", vec![write("bench.sh", asset!("lib/bench.sh"))]).slow(900),
            turn("And its test.", vec![write("tests/bench.sh", asset!("tests/bench.sh"))])
                .slow(900),
            turn("I measure.", vec![run(&measure)]).slow(600),
            turn("Done.", vec![finish("Prints a timing line.")]).slow(5 * self.choices.apart_ms),
        ];
        json!([self.iteration("bench", 1, turns)])
    }
}

fn read(path: &str) -> Value {
    json!({"read": {"path": path}})
}

fn list(path: &str) -> Value {
    json!({"list": {"path": path}})
}

fn write(path: &str, content: &str) -> Value {
    json!({"write": {"path": path, "content": content}})
}

fn run(command: &str) -> Value {
    json!({"run": {"command": command}})
}

fn finish(summary: &str) -> Value {
    json!({"finish": {"summary": summary}})
}
