//! One block of Markdown as lines: what the parser says of it, drawn as text.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

use super::code;
use crate::{
    pager::{CHARS, How, Kind, Look, TextLine},
    text::{clean, pad, width},
};

/// Columns of a cell of a table; what is wider stands out.
const CELL: usize = 40;

/// The lines of a block.
pub(super) fn lines_of_block(text: &str) -> Vec<TextLine> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    let mut page = Page::default();
    for event in Parser::new_ext(text, options) {
        page.event(event);
    }
    page.end_line();
    page.lines
}

/// What stands before a line, for each list and quotation around it.
#[derive(Debug)]
enum Margin {
    Quote,
    /// The mark of an item, until its first line has it; then as many spaces.
    Item {
        mark: String,
        said: bool,
    },
}

#[derive(Debug, Default)]
struct Page {
    lines: Vec<TextLine>,
    line: String,
    looks: Vec<Look>,
    /// What is open on this line: from where, and what.
    open: Vec<(usize, How)>,
    margins: Vec<Margin>,
    /// The next number of each list; none of one without.
    lists: Vec<Option<u64>>,
    kind: Kind,
    in_code: bool,
    /// Where each open link leads to, and where its text begins.
    links: Vec<(String, usize)>,
    table: Option<Vec<Vec<String>>>,
}

impl Page {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code => self.code(&text),
            Event::Text(text) => self.text(&text),
            Event::Html(text) | Event::InlineHtml(text) => self.source(&text),
            Event::Code(text) => {
                self.begin(How::Code);
                self.text(&format!("`{text}`"));
                self.finish();
            }
            Event::SoftBreak | Event::HardBreak if self.table.is_none() => self.end_line(),
            Event::SoftBreak | Event::HardBreak => self.text(" "),
            Event::Rule => {
                self.end_line();
                self.text("---");
                self.end_line();
            }
            Event::TaskListMarker(done) => self.text(if done { "[x] " } else { "[ ] " }),
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.text(&text);
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "others have no look of their own")]
    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.end_line();
                self.kind = Kind::Heading;
            }
            Tag::BlockQuote(_) => {
                self.end_line();
                self.margins.push(Margin::Quote);
            }
            Tag::CodeBlock(_) => {
                self.end_line();
                self.in_code = true;
            }
            Tag::List(first) => {
                self.end_line();
                self.lists.push(first);
            }
            Tag::Item => {
                self.end_line();
                let mark = match self.lists.last_mut() {
                    Some(Some(n)) => {
                        let mark = format!("{n}. ");
                        *n = n.saturating_add(1);
                        mark
                    }
                    Some(None) | None => "- ".to_owned(),
                };
                self.margins.push(Margin::Item { mark, said: false });
            }
            Tag::Table(_) => {
                self.end_line();
                self.table = Some(Vec::new());
            }
            Tag::TableHead | Tag::TableRow => {
                self.table.get_or_insert_default().push(Vec::new());
            }
            Tag::Emphasis => self.begin(How::Emphasis),
            Tag::Strong => self.begin(How::Strong),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.link(&dest_url),
            _ => self.end_line(),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "others have no look of their own")]
    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.end_line();
                self.kind = Kind::Plain;
            }
            TagEnd::BlockQuote(_) | TagEnd::Item => {
                self.end_line();
                if let Some(Margin::Item { mark, said: false }) = self.margins.last() {
                    // An item of which there is nothing yet.
                    self.line = mark.clone();
                    self.push_line();
                }
                self.margins.pop();
            }
            TagEnd::CodeBlock => self.in_code = false,
            TagEnd::List(_) => _ = self.lists.pop(),
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.line);
                self.looks.clear();
                self.open.clear();
                if let Some(row) = self.table.as_mut().and_then(|it| it.last_mut()) {
                    row.push(cell);
                }
            }
            TagEnd::Table => self.end_table(),
            TagEnd::Emphasis | TagEnd::Strong => self.finish(),
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::TableHead | TagEnd::TableRow => {}
            _ => self.end_line(),
        }
    }

    fn link(&mut self, to: &CowStr<'_>) {
        self.margin();
        self.begin(How::Link);
        self.links.push((to.to_string(), self.line.len()));
    }

    /// Where it leads to stands behind it, if it does not say so itself.
    fn end_link(&mut self) {
        self.finish();
        let Some((to, from)) = self.links.pop() else { return };
        let said = self.line.get(from..).unwrap_or_default();
        if !to.is_empty() && said != to && !to.ends_with(said) {
            self.text(&format!(" ({to})"));
        }
    }

    /// What is around this line, where the line begins.
    fn margin(&mut self) {
        if !self.line.is_empty() || self.table.is_some() {
            return;
        }
        for it in &mut self.margins {
            match it {
                Margin::Quote => self.line.push_str("│ "),
                Margin::Item { mark, said: false } => self.line.push_str(mark),
                Margin::Item { mark, .. } => self.line.push_str(&" ".repeat(width(mark))),
            }
            if let Margin::Item { said, .. } = it {
                *said = true;
            }
        }
        let from = self.line.len();
        self.open.iter_mut().for_each(|it| it.0 = from);
    }

    fn text(&mut self, text: &str) {
        self.margin();
        self.line.push_str(&clean(text));
    }

    /// Source that is shown as it is, with its own lines.
    fn source(&mut self, text: &str) {
        for (index, part) in text.trim_end_matches('\n').split('\n').enumerate() {
            if index > 0 {
                self.end_line();
            }
            self.text(part);
        }
        if text.ends_with('\n') {
            self.end_line();
        }
    }

    /// Lines of code within a block.
    fn code(&mut self, text: &str) {
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            let mut it = code(line);
            self.margin();
            let margin = std::mem::take(&mut self.line);
            it.looks.iter_mut().for_each(|look| {
                look.from += margin.len();
                look.to += margin.len();
            });
            it.text.insert_str(0, &margin);
            self.lines.push(it);
        }
    }

    fn begin(&mut self, how: How) {
        self.margin();
        self.open.push((self.line.len(), how));
    }

    fn finish(&mut self) {
        if let Some((from, how)) = self.open.pop() {
            self.look(from, how);
        }
    }

    fn look(&mut self, from: usize, how: How) {
        let to = self.line.len();
        if from < to {
            self.looks.push(Look { from, to, how });
        }
    }

    /// The line is whole; what is open goes on in the next one.
    fn end_line(&mut self) {
        if self.line.is_empty() || self.table.is_some() {
            return;
        }
        for (from, how) in self.open.clone() {
            self.look(from, how);
        }
        self.open.iter_mut().for_each(|it| it.0 = 0);
        self.links.iter_mut().for_each(|it| it.1 = 0);
        self.push_line();
    }

    fn push_line(&mut self) {
        let text = std::mem::take(&mut self.line);
        let looks = std::mem::take(&mut self.looks);
        let text = text.trim_end();
        if text.chars().count() <= CHARS {
            let cut = |it: Look| Look { to: it.to.min(text.len()), ..it };
            let looks = looks.into_iter().map(cut).filter(|it| it.from < it.to).collect();
            let line =
                TextLine { text: text.to_owned(), kind: self.kind, looks, ..TextLine::default() };
            self.lines.push(line);
            return;
        }
        let chars: Vec<char> = text.chars().collect();
        for part in chars.chunks(CHARS) {
            let text = part.iter().collect();
            self.lines.push(TextLine { text, kind: self.kind, ..TextLine::default() });
        }
    }

    fn end_table(&mut self) {
        let rows = self.table.take().unwrap_or_default();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |at: usize| rows.iter().filter_map(|it| it.get(at)).map(|it| width(it)).max();
        let widths: Vec<usize> = (0..columns).map(|at| widest(at).unwrap_or(0).min(CELL)).collect();
        for (n, row) in rows.iter().enumerate() {
            let cell = |(at, columns): (usize, &usize)| {
                let text = row.get(at).map_or("", String::as_str);
                if *columns < width(text) { text.to_owned() } else { pad(text, *columns) }
            };
            let cells: Vec<String> = widths.iter().enumerate().map(cell).collect();
            let kind = if n == 0 { Kind::Heading } else { self.kind };
            let kind = std::mem::replace(&mut self.kind, kind);
            self.text(&cells.join("  "));
            self.end_line();
            self.kind = kind;
        }
    }
}
