//! What models write, as lines: Markdown, read as it streams.
//!
//! It is read in blocks that an empty line ends, or a line that can only begin another one, so what
//! came before the last block never changes: however a text is cut into pieces, its lines are the
//! same. A fence that nobody has closed yet is code from there on. Lines stay as the author broke
//! them, and what is no Markdown stays what it is.

mod block;

use crate::pager::{How, Kind, Look, TextLine};
use block::lines_of_block;

/// Bytes of one block; what is longer goes on in another.
const BLOCK_BYTES: usize = 8 << 10;

/// How many columns code is moved in.
const CODE: &str = "  ";

/// A text that is read piece by piece.
#[derive(Debug, Default, Clone)]
pub(crate) struct Markdown {
    /// The last line, as far as it came.
    line: String,
    /// The lines of the last block.
    block: String,
    /// An empty line stands before the last block.
    apart: bool,
    /// An empty line came last.
    blank: bool,
    /// A fence is open, outside of all lists.
    fence: Option<Fence>,
    /// A fence is open within the last block.
    within: Option<Fence>,
    /// Something was said.
    began: bool,
    /// Lines that do not change any more and were not taken yet.
    done: Vec<TextLine>,
}

/// What opened code, and so what closes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence {
    of: char,
    length: usize,
    indent: usize,
}

impl Fence {
    /// The fence that a line opens.
    fn opened_by(line: &str) -> Option<Self> {
        let text = line.trim_start_matches(' ');
        let of = text.chars().next().filter(|it| matches!(it, '`' | '~'))?;
        let rest = text.trim_start_matches(of);
        let (length, indent) = (text.len() - rest.len(), line.len() - text.len());
        let opens = 3 <= length && !(of == '`' && rest.contains('`'));
        opens.then_some(Self { of, length, indent })
    }

    fn is_closed_by(self, line: &str) -> bool {
        let text = line.trim();
        self.length <= text.len() && text.chars().all(|it| it == self.of)
    }
}

/// The lines of a whole text.
pub(crate) fn lines_of_markdown(text: &str) -> Vec<TextLine> {
    let mut page = Markdown::default();
    page.push(text);
    let mut lines = page.take();
    lines.extend(page.rest());
    lines
}

impl Markdown {
    /// It goes on with this.
    pub(crate) fn push(&mut self, text: &str) {
        let mut parts = text.split('\n');
        self.line.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let line = std::mem::replace(&mut self.line, part.to_owned());
            self.line(line.strip_suffix('\r').unwrap_or(&line));
        }
    }

    /// Lines that will not change any more, each once.
    pub(crate) fn take(&mut self) -> Vec<TextLine> {
        std::mem::take(&mut self.done)
    }

    /// The lines after those, as they look so far.
    pub(crate) fn rest(&self) -> Vec<TextLine> {
        let mut end = Self { done: Vec::new(), ..self.clone() };
        if !end.line.is_empty() {
            let line = std::mem::take(&mut end.line);
            end.line(line.strip_suffix('\r').unwrap_or(&line));
        }
        end.end_block();
        end.done
    }

    fn line(&mut self, line: &str) {
        if let Some(fence) = self.fence {
            if fence.is_closed_by(line) {
                self.fence = None;
            } else {
                let indent = line.len() - line.trim_start_matches(' ').len();
                self.done.push(code(&line[indent.min(fence.indent)..]));
            }
            return;
        }
        if let Some(fence) = self.within {
            if fence.is_closed_by(line) {
                self.within = None;
            }
            return self.add(line);
        }
        if line.trim().is_empty() {
            self.blank = true;
            return;
        }
        let is_moved_in = line.starts_with([' ', '\t']);
        let goes_on = is_moved_in && is_container(&self.block);
        if self.blank && !goes_on {
            self.end_block();
        }
        let opened = Fence::opened_by(line);
        match opened {
            Some(fence) if fence.indent <= 3 && !goes_on => {
                self.end_block();
                self.part();
                self.fence = Some(fence);
            }
            None if is_verbatim(line) => {
                self.end_block();
                self.part();
                self.done.push(TextLine::new(line, Kind::Dim));
            }
            Some(_) | None => {
                self.within = opened.filter(|_| goes_on);
                self.add(line);
            }
        }
    }

    /// The last block has one more line.
    fn add(&mut self, line: &str) {
        if BLOCK_BYTES <= self.block.len() {
            self.end_block();
        }
        if self.block.is_empty() {
            self.apart = std::mem::take(&mut self.blank);
        } else if std::mem::take(&mut self.blank) {
            self.block.push('\n');
        }
        self.block.push_str(line);
        self.block.push('\n');
    }

    /// What is in it does not change any more.
    fn end_block(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let block = std::mem::take(&mut self.block);
        let lines = lines_of_block(&block);
        if lines.is_empty() {
            return;
        }
        let blank = std::mem::replace(&mut self.blank, self.apart);
        self.part();
        self.blank = blank;
        self.done.extend(lines);
    }

    /// An empty line, where one came before something that is said now.
    fn part(&mut self) {
        if std::mem::take(&mut self.blank) && self.began {
            self.done.push(TextLine::default());
        }
        self.began = true;
    }
}

/// A line of code.
fn code(line: &str) -> TextLine {
    let it = TextLine::new(&format!("{CODE}{line}"), Kind::Plain);
    let looks = vec![Look { from: 0, to: it.text.len(), how: How::Code }];
    TextLine { looks, ..it }
}

/// Whether it begins with a list or a quotation, which what is moved in may go on with.
fn is_container(block: &str) -> bool {
    let text = block.trim_start_matches(' ');
    let after = text.trim_start_matches(|it: char| it.is_ascii_digit());
    let of_numbers = after.len() < text.len() && after.starts_with([')', '.']);
    let rest =
        if of_numbers { &after[1..] } else { text.strip_prefix(['-', '*', '+']).unwrap_or("x") };
    rest.starts_with([' ', '\n', '\t']) || text.starts_with('>')
}

/// A tool that was asked for: it stands behind what was said, and is no text of anybody's.
fn is_verbatim(line: &str) -> bool {
    line.starts_with("-> ")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    fn shown(lines: &[TextLine]) -> String {
        let of = |it: &TextLine| {
            let looks: String = it
                .looks
                .iter()
                .map(|look| format!(" {:?}[{}]", look.how, &it.text[look.from..look.to]))
                .collect();
            let heading = if it.kind == Kind::Heading { " HEADING" } else { "" };
            format!("|{}|{heading}{looks}", it.text)
        };
        lines.iter().map(of).collect::<Vec<_>>().join("\n")
    }

    const TEXT: &str = "# The plan\nFirst *this*, then **that** and `cargo test`.\nAs it was broken.\n\n\n\
        - one\n- two with [a link](https://x.example/y)\n  1. inner\n  2. more\n\n  ```sh\n  ls *.rs\n\n  cd _a_\n  ```\n- [x] done\n\n\
        > quoted\n> twice\n\n\
        | file | lines |\n|---|---:|\n| a.rs | 12 |\n| `longer.rs` | 3 |\n\n\
        snake_case_name, 2 * 3 * 4, <b>html</b> &amp; \\*plain\\*\n\n---\n\
        -> run {\"command\":\"ls a*b*c\"}\n-> read {\"path\":\"_x_\"}\n\
        ```rust\nfn main() {\n    // *no* emphasis\n\n}\n";

    /// Proves S-5.2.5: headings, lists, code, quotations, tables, emphasis and links are lines of
    /// their own; what is no Markdown, and what tools are asked for, stays as it is; a fence that is
    /// not closed is code to the end.
    #[test]
    fn markdown_is_lines() {
        assert_snapshot!(shown(&lines_of_markdown(TEXT)), @r#"
        |The plan| HEADING
        |First this, then that and `cargo test`.| Emphasis[this] Strong[that] Code[`cargo test`]
        |As it was broken.|
        ||
        |- one|
        |- two with a link (https://x.example/y)| Link[a link]
        |  1. inner|
        |  2. more|
        |    ls *.rs| Code[  ls *.rs]
        |    | Code[  ]
        |    cd _a_| Code[  cd _a_]
        |- [x] done|
        ||
        |│ quoted|
        |│ twice|
        ||
        |file         lines| HEADING
        |a.rs         12|
        |`longer.rs`  3|
        ||
        |snake_case_name, 2 * 3 * 4, <b>html</b> & *plain*|
        ||
        |---|
        |-> run {"command":"ls a*b*c"}|
        |-> read {"path":"_x_"}|
        |  fn main() {| Code[  fn main() {]
        |      // *no* emphasis| Code[      // *no* emphasis]
        |  | Code[  ]
        |  }| Code[  }]
        "#);
    }

    #[test]
    fn a_plain_text_stays_one() {
        let text = "running 3 tests\ntest a ... ok\n  moved in\n\n100% of 12 (a_b, c-d)";
        let lines = lines_of_markdown(text);
        let lines: Vec<&str> = lines.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(
            lines,
            ["running 3 tests", "test a ... ok", "moved in", "", "100% of 12 (a_b, c-d)"]
        );
    }

    /// Pieces of Markdown that meet in every order.
    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("```\n"),
            Just("~~~"),
            Just("    "),
            Just("- "),
            Just("1. "),
            Just("> "),
            Just("# "),
            Just("*"),
            Just("**"),
            Just("`"),
            Just("["),
            Just("](u)"),
            Just("[a]: b"),
            Just("|a|b|\n|-|-|\n"),
            Just("\n"),
            Just("\n\n"),
            Just("\r\n"),
            Just("===\n"),
            Just("---\n"),
            Just("<b>"),
            Just("-> x"),
            Just("word "),
            Just("漢é"),
            Just("\t"),
            Just("\u{1b}[31m"),
            Just("\\"),
            Just("&amp;"),
        ];
        proptest::collection::vec(part, 0..60).prop_map(|it| it.concat())
    }

    proptest! {
        /// Proves S-5.2.5: however a text is cut into pieces as it streams, its lines are the same.
        #[test]
        fn the_pieces_it_comes_in_do_not_show(text in text(), sizes in proptest::collection::vec(1_usize..9, 1..20)) {
            let mut page = Markdown::default();
            let mut lines = Vec::new();
            let (mut rest, mut sizes) = (text.as_str(), sizes.iter().cycle());
            while !rest.is_empty() {
                let size = *sizes.next().expect("it goes round");
                let end = rest.char_indices().nth(size).map_or(rest.len(), |(at, _)| at);
                page.push(&rest[..end]);
                lines.extend(page.take());
                page.rest();
                rest = &rest[end..];
            }
            lines.extend(page.rest());
            prop_assert_eq!(lines, lines_of_markdown(&text));
        }

        /// Nothing is drawn that a terminal would obey, and every look is of a part of its line.
        #[test]
        fn any_text_is_lines(text in "\\PC{0,200}|[\\x00-\\x7f]{0,200}") {
            for line in lines_of_markdown(&text) {
                prop_assert!(!line.text.contains(char::is_control), "{line:?}");
                for it in &line.looks {
                    prop_assert!(line.text.get(it.from..it.to).is_some(), "{line:?}");
                }
            }
        }
    }
}
