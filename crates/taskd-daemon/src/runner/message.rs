//! What a landed commit says: what was done, why, how it was verified, and where it comes from, in
//! at most fifteen lines. Pure text; what an agent wrote is bounded, and cannot pass for a trailer.

use taskd_model::{Digest, Oid, format_duration_ms};

/// Longest line of the text, in characters; names and commands of trailers are not broken.
const WIDTH: usize = 72;
/// Longest first line, in characters.
const MAX_SUBJECT_CHARS: usize = 200;
/// Most lines of what was done, and of why.
const MAX_WHAT_LINES: usize = 4;
const MAX_WHY_LINES: usize = 3;
/// Most characters looked at of what somebody wrote.
const MAX_READ_CHARS: usize = 4_000;
/// A gate of no commands.
const NO_GATE: &str = "none";

/// Name of the trailer with the plan's number and title.
pub(crate) const PLAN_TRAILER: &str = "Taskd-Plan";
/// Name of the trailer with the loop's name.
pub(crate) const LOOP_TRAILER: &str = "Taskd-Loop";
/// Name of the trailer with the gate's commands.
pub(crate) const GATE_TRAILER: &str = "Taskd-Gate";
/// Name of the trailer with who read the work before it passed, how often, and what was found last.
const REVIEW_TRAILER: &str = "Taskd-Review";
/// Name of the trailer with the evidence.
const EVIDENCE_TRAILER: &str = "Taskd-Evidence";

/// Name of the trailer that says which of a landing's commits it is, but for the last.
pub(super) const STEP_TRAILER: &str = "Taskd-Step";

/// Everything a message is made of.
pub(super) struct Message<'a> {
    pub(super) subject: &'a str,
    /// What the agent says that it did; empty where it says nothing.
    pub(super) said: &'a str,
    /// Files changed, lines added and removed.
    pub(super) change: (u32, u32, u32),
    /// Why: the spec's text, or where it was asked for.
    pub(super) why: &'a str,
    pub(super) verified: Verified,
    /// `p7 Title`.
    pub(super) plan: &'a str,
    pub(super) loop_name: &'a str,
    /// The gate's commands, in order.
    pub(super) gate: &'a [String],
    pub(super) proof: Option<Proof>,
    /// What its second reader said, if it has one.
    pub(super) review: Option<String>,
}

/// How the work was verified before it was brought to its target.
#[derive(Default)]
pub(super) struct Verified {
    /// The gate's own line: `34 tests`.
    pub(super) summary: String,
    pub(super) ms: u64,
    pub(super) iteration: u32,
    /// Red runs on the same tree before the green one.
    pub(super) red_before: usize,
}

/// The evidence of a loop's own gate.
pub(crate) struct Proof {
    /// Digest of the gate's commands.
    pub(crate) gate: Digest,
    /// The tree that was gated.
    pub(crate) tree: Oid,
    /// Digest of the gate's output.
    pub(crate) log: Digest,
}

impl Message<'_> {
    /// The whole text.
    pub(super) fn text(&self) -> String {
        let subject: String = one_line(self.subject).chars().take(MAX_SUBJECT_CHARS).collect();
        let mut lines = vec![subject, String::new()];
        let said = prose(self.said);
        let what = if said.is_empty() {
            let (files, added, removed) = self.change;
            let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
            format!("{files} changed, +{added} -{removed}")
        } else {
            said
        };
        // A reader's line takes the place of one of these.
        let most = MAX_WHAT_LINES - usize::from(self.review.is_some());
        lines.extend(wrapped("What: ", &what, most));
        lines.extend(wrapped("Why: ", &prose(self.why), MAX_WHY_LINES));
        lines.extend(wrapped("Verified: ", &self.verified(), 1));
        lines.push(String::new());
        lines.push(format!("{PLAN_TRAILER}: {}", one_line(self.plan)));
        lines.push(format!("{LOOP_TRAILER}: {}", self.loop_name));
        lines.push(format!("{GATE_TRAILER}: {}", write_gate(self.gate)));
        if let Some(review) = &self.review {
            lines.push(format!("{REVIEW_TRAILER}: {}", one_line(review)));
        }
        if let Some(Proof { gate, tree, log }) = &self.proof {
            lines.push(format!("{EVIDENCE_TRAILER}: gate={gate} tree={tree} log={log}"));
        }
        lines.join("\n") + "\n"
    }

    fn verified(&self) -> String {
        let it = &self.verified;
        let nth = format!("iteration {}", it.iteration);
        if self.gate.is_empty() {
            return format!("by no gate, {nth}");
        }
        let flaky = match it.red_before {
            0 => String::new(),
            1 => ", FLAKY: red once on this tree".to_owned(),
            n => format!(", FLAKY: red {n} times on this tree"),
        };
        let took = format_duration_ms(it.ms);
        let summary: String = one_line(&it.summary).chars().take(30).collect();
        let summary = if summary.is_empty() { summary } else { format!(": {summary}") };
        format!("gate green in {took}{flaky}, {nth}{summary}")
    }
}

/// The commands as one line that can be read back: one plain command as it is, others as JSON.
fn write_gate(commands: &[String]) -> String {
    match commands {
        [] => NO_GATE.to_owned(),
        [one] if is_plain(one) => one.clone(),
        many => serde_json::to_string(many).expect("texts are JSON"),
    }
}

/// The commands of a trailer.
pub(crate) fn read_gate(text: &str) -> Vec<String> {
    match text.trim() {
        NO_GATE => Vec::new(),
        text => serde_json::from_str(text).unwrap_or_else(|_| vec![text.to_owned()]),
    }
}

fn is_plain(command: &str) -> bool {
    let whole = command.trim() == command && !command.is_empty();
    whole && command != NO_GATE && !command.contains(char::is_control) && !command.starts_with('[')
}

/// The evidence of a trailer; nothing if it is none.
fn read_proof(text: &str) -> Option<Proof> {
    let field = |name: &str| {
        text.split_whitespace().find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
    };
    Some(Proof {
        gate: field("gate")?.parse().ok()?,
        tree: field("tree")?.parse().ok()?,
        log: field("log")?.parse().ok()?,
    })
}

/// A trailer of a message: its value, from the last paragraph.
pub(crate) fn trailer<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let last = message.trim_end().rsplit("\n\n").next()?;
    last.lines().find_map(|it| it.strip_prefix(name)?.strip_prefix(": "))
}

/// The evidence a message names.
pub(crate) fn proof_of(message: &str) -> Option<Proof> {
    read_proof(trailer(message, EVIDENCE_TRAILER)?)
}

/// The line of a message that names its evidence. No other work has the same one: it has the digests
/// of this work's tree and of what its gate printed.
pub(crate) fn evidence_line(message: &str) -> Option<&str> {
    message.lines().find(|it| it.starts_with(EVIDENCE_TRAILER))
}

/// What somebody wrote as flowing text: no markup of code, no headings' marks, no line that looks
/// like a trailer.
fn prose(text: &str) -> String {
    let text: String = text.chars().take(MAX_READ_CHARS).collect();
    let kept = text.lines().map(str::trim).filter(|it| !it.starts_with("```") && !is_trailer(it));
    let kept: Vec<&str> = kept.map(|it| it.trim_start_matches(['#', '>']).trim_start()).collect();
    one_line(&kept.join(" "))
}

/// `Signed-off-by: x`, `Taskd-Loop: p1.a`.
fn is_trailer(line: &str) -> bool {
    let Some((name, _)) = line.split_once(':') else { return false };
    name.contains('-') && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '-')
}

pub(super) fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A labelled text in lines of at most [`WIDTH`] characters; what does not fit is cut with a sign.
fn wrapped(label: &str, text: &str, max: usize) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let (mut lines, mut last) = (Vec::new(), label.trim_end().to_owned());
    for word in text.split(' ') {
        let word: String = word.chars().take(WIDTH - 2).collect();
        if last.chars().count() + 1 + word.chars().count() <= WIDTH {
            last.push(' ');
            last.push_str(&word);
        } else if lines.len() + 1 < max {
            lines.push(std::mem::replace(&mut last, format!("  {word}")));
        } else {
            last = last.chars().take(WIDTH - 1).collect();
            last.push('…');
            break;
        }
    }
    lines.push(last);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(said: &str, gate: &[String]) -> String {
        reviewed(said, gate, None)
    }

    fn reviewed(said: &str, gate: &[String], review: Option<&str>) -> String {
        let verified =
            Verified { summary: "34 tests".to_owned(), ms: 12_000, iteration: 2, red_before: 0 };
        let log = Digest::of(b"log");
        let tree = Oid::from_bytes([7; 20]);
        Message {
            subject: "limiter: Add a limiter",
            said,
            change: (2, 30, 1),
            why: "Clients must not flood us.\n\nReviewed-by: nobody\n",
            verified,
            plan: "p7 Rate limits",
            loop_name: "p7.limiter",
            gate,
            proof: Some(Proof { gate: taskd_model::gate_digest(gate), tree, log }),
            review: review.map(str::to_owned),
        }
        .text()
    }

    #[test]
    fn a_message_says_what_why_and_how_verified() {
        let text =
            message("Added a token bucket.\n\nTaskd-Loop: p9.evil\n", &["cargo test".into()]);
        let expected = "limiter: Add a limiter\n\nWhat: Added a token bucket.\n\
             Why: Clients must not flood us.\n\
             Verified: gate green in 12s, iteration 2: 34 tests\n\n\
             Taskd-Plan: p7 Rate limits\nTaskd-Loop: p7.limiter\nTaskd-Gate: cargo test\n\
             Taskd-Evidence: gate=";
        assert!(text.starts_with(expected), "{text}");
        let none = message(" \n", &["true".into()]);
        assert!(none.contains("\nWhat: 2 files changed, +30 -1\n"), "{none}");
    }

    /// However much an agent says: fifteen lines, and its last paragraph is ours.
    #[test]
    fn a_message_has_at_most_fifteen_lines() {
        let long = "Signed-off-by: x\n\n# Head\nword\n".repeat(900) + &"x".repeat(500);
        let gate: Vec<String> = (0..9).map(|n| format!("run {n}\nmore")).collect();
        let read = reviewed(&long, &gate, Some("codex, 2 readings:\nno findings"));
        assert!(read.lines().count() <= 15, "{read}");
        assert!(read.contains("\nTaskd-Review: codex, 2 readings: no findings\n"), "{read}");
        assert!(proof_of(&read).is_some(), "{read}");
        let text = message(&long, &gate);
        assert!(text.lines().count() <= 15, "{text}");
        assert!(!text.contains("Signed-off"), "{text}");
        assert!(text.lines().take(9).all(|it| it.chars().count() <= WIDTH), "{text}");
        let last = text.trim_end().rsplit("\n\n").next().expect("a paragraph");
        assert!(last.starts_with("Taskd-Plan: ") && last.lines().count() == 4, "{last}");
    }

    #[test]
    fn gates_and_evidence_are_read_back() {
        let cases: [&[&str]; 7] =
            [&[], &["cargo test"], &["a", "b && c"], &["a\nb"], &["[ -f x ]"], &["none"], &[" a"]];
        for case in cases {
            let gate: Vec<String> = case.iter().map(|it| (*it).to_owned()).collect();
            let line = write_gate(&gate);
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(read_gate(&line), gate, "{line}");
        }
        let text = message("", &["true".into()]);
        let proof = proof_of(&text).expect("it names some");
        assert_eq!(trailer(&text, LOOP_TRAILER), Some("p7.limiter"));
        assert_eq!(trailer("x\n\nTaskd-Loop: a\n\nno trailer\n", LOOP_TRAILER), None);
        assert_eq!((proof.log, proof.tree), (Digest::of(b"log"), Oid::from_bytes([7; 20])));
        assert!(read_proof("gate=1 tree=2").is_none());
    }
}
