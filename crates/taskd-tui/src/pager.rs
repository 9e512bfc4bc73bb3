//! A text that is read: lines with a place in them, which may grow at the end while somebody reads.
//!
//! It keeps the last lines only. Where one reads, and what was found, are said by the number of a
//! line counted from the first there ever was, so nothing moves under the reader's eyes.

use std::collections::VecDeque;

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

use crate::{
    text::{clean, pad_left, wrap},
    theme::Theme,
};

/// Lines a text may have, the last ones.
pub(crate) const LINES: usize = 20_000;

/// What a line is, and so how it looks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text like any other.
    #[default]
    Plain,
    /// What streams by, or stands beside what matters.
    Dim,
    /// It begins something.
    Heading,
    /// It went well, or was added.
    Green,
    /// It went wrong, or was taken away.
    Red,
    /// It wants a person.
    Yellow,
    /// Where in a file.
    Cyan,
}

impl Kind {
    pub(crate) fn style(self, theme: Theme) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Dim => theme.dim(),
            Self::Heading => theme.bold(),
            Self::Green => theme.green(),
            Self::Red => theme.red(),
            Self::Yellow => theme.yellow(),
            Self::Cyan => theme.cyan(),
        }
    }
}

/// How a part of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Strong,
    Emphasis,
    Code,
    Link,
}

impl How {
    fn on(self, style: Style, theme: Theme) -> Style {
        match self {
            Self::Strong => style.add_modifier(Modifier::BOLD),
            Self::Emphasis => style.add_modifier(Modifier::ITALIC),
            Self::Code => style.patch(theme.cyan()),
            Self::Link => style.add_modifier(Modifier::UNDERLINED),
        }
    }
}

/// A part of a line that looks unlike the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Its first byte, and the one after its last.
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) how: How,
}

/// A line.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct TextLine {
    /// What stands before it, the same on no line that it is wrapped into: a time, a number.
    pub(crate) mark: String,
    /// The text, cleaned.
    pub(crate) text: String,
    /// What it is.
    pub(crate) kind: Kind,
    /// Parts that look unlike the rest.
    pub(crate) looks: Vec<Look>,
    /// Where it is from.
    pub(crate) source: Source,
}

/// Where a line is from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// An answer that replaces the one before.
    #[default]
    Answer,
    /// What streamed by of this effect.
    Noise(u64),
    /// The event with this number.
    Fact(u64),
}

impl TextLine {
    /// A line of these words, cleaned.
    pub(crate) fn new(text: &str, kind: Kind) -> Self {
        Self { text: clean(text), kind, ..Self::default() }
    }
}

/// The lines of a text, none longer than [`CHARS`].
pub(crate) fn lines_of(text: &str, kind: impl Fn(&str) -> Kind) -> Vec<TextLine> {
    let mut out = Vec::new();
    for line in text.lines() {
        let kind = kind(line);
        let mut rest = line.strip_suffix('\r').unwrap_or(line);
        loop {
            let end = rest.char_indices().nth(CHARS).map_or(rest.len(), |(at, _)| at);
            let (now, later) = rest.split_at(end);
            out.push(TextLine::new(now, kind));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
    }
    out
}

/// Characters of a line; what is longer goes on in another.
pub(crate) const CHARS: usize = 1_000;

/// A text and where in it one reads.
#[derive(Debug, Default)]
pub(crate) struct Pager {
    lines: VecDeque<TextLine>,
    /// Lines that were dropped in front.
    dropped: u64,
    /// The first line in the picture, counted with the dropped ones; nothing follows the end.
    top: Option<u64>,
    /// What is looked for, in small letters.
    needle: String,
    /// The line that was found last.
    found: Option<u64>,
    /// Lines of the picture when it was last drawn.
    height: usize,
}

impl Pager {
    /// A text that is read from its end, as it grows.
    pub(crate) fn tail() -> Self {
        Self::default()
    }

    /// A text that is read from its beginning.
    pub(crate) fn head() -> Self {
        Self { top: Some(0), ..Self::default() }
    }

    /// Another text; whoever reads stays at the same line of it.
    pub(crate) fn set(&mut self, lines: Vec<TextLine>) {
        self.lines = lines.into();
        self.dropped = 0;
        self.found = None;
        while self.lines.len() > LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
    }

    /// Other lines, of which so many are new in front of the first there was.
    pub(crate) fn grow(&mut self, lines: Vec<TextLine>, before: u64) {
        let (top, dropped) = (self.top, self.dropped);
        self.set(lines);
        self.top = top.map(|it| it - dropped.min(it) + before);
    }

    /// Takes the lines out.
    pub(crate) fn take(&mut self) -> Vec<TextLine> {
        std::mem::take(&mut self.lines).into()
    }

    pub(crate) fn push(&mut self, line: TextLine) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line);
    }

    /// The last line that is so, of the last few.
    pub(crate) fn recent(
        &mut self,
        few: usize,
        is_so: impl Fn(&TextLine) -> bool,
    ) -> Option<&mut TextLine> {
        self.lines.iter_mut().rev().take(few).find(|it| is_so(it))
    }

    /// Takes so many lines off the end.
    pub(crate) fn drop_last(&mut self, lines: usize) {
        self.lines.truncate(self.lines.len().saturating_sub(lines));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Moves by so many lines; at the end it goes on with it.
    pub(crate) fn scroll(&mut self, lines: i64) {
        let end = self.dropped + self.lines.len() as u64;
        let last = end.saturating_sub(self.height.max(1) as u64).max(self.dropped);
        let to = self.first().saturating_add_signed(lines).clamp(self.dropped, last);
        let ends = to == last && lines > 0 && last > self.dropped;
        self.top = if ends { None } else { Some(to) };
    }

    /// A picture on or back.
    pub(crate) fn page(&mut self, on: bool) {
        let lines = i64::try_from(self.height.saturating_sub(1).max(1)).unwrap_or(i64::MAX);
        self.scroll(if on { lines } else { -lines });
    }

    pub(crate) fn go_top(&mut self) {
        self.top = Some(self.dropped);
    }

    pub(crate) fn go_end(&mut self) {
        self.top = None;
    }

    /// Looks for these words, from where one reads on; says whether they are there.
    pub(crate) fn find(&mut self, words: &str) -> bool {
        self.needle = words.to_lowercase();
        self.found = None;
        self.next(true)
    }

    /// What is looked for.
    pub(crate) fn needle(&self) -> &str {
        &self.needle
    }

    /// The next place, or the one before; says whether there is one.
    pub(crate) fn next(&mut self, on: bool) -> bool {
        if self.needle.is_empty() {
            return false;
        }
        let (len, dropped) = (self.lines.len() as u64, self.dropped);
        if len == 0 {
            return false;
        }
        let start = self.found.map_or_else(
            || self.first() - dropped,
            |it| if on { it - dropped + 1 } else { (it - dropped + len).saturating_sub(1) },
        );
        let order = 0..len;
        let place = |n: u64| if on { (start + n) % len } else { (start + len - n) % len };
        let mut places = order.map(place);
        let holds = |at: &u64| self.holds(usize::try_from(*at).unwrap_or(usize::MAX));
        let Some(at) = places.find(holds) else { return false };
        self.found = Some(at + dropped);
        let above = (self.height / 3) as u64;
        self.top = Some((at + dropped).saturating_sub(above).max(dropped));
        true
    }

    fn holds(&self, at: usize) -> bool {
        self.lines.get(at).is_some_and(|it| it.text.to_lowercase().contains(&self.needle))
    }

    /// The first line in the picture, counted with the dropped ones.
    fn first(&self) -> u64 {
        let end = self.dropped + self.lines.len() as u64;
        let follows = end.saturating_sub(self.height.max(1) as u64);
        self.top.unwrap_or(follows).max(self.dropped)
    }

    /// Lines below the picture.
    pub(crate) fn below(&self) -> u64 {
        let end = self.dropped + self.lines.len() as u64;
        match self.top {
            None => 0,
            Some(_) => end.saturating_sub(self.first() + self.height as u64),
        }
    }

    /// Draws what fits.
    pub(crate) fn draw(&mut self, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
        let (columns, height) = (usize::from(area.width), usize::from(area.height));
        self.height = height;
        let marks = self.lines.iter().rev().take(height).any(|it| !it.mark.is_empty());
        let mark = if marks && columns >= 40 { MARK } else { 0 };
        let mut out: Vec<Line<'_>> = Vec::new();
        if self.top.is_none() {
            // From the end back, since lines that are wrapped take more than one.
            for (at, line) in self.lines.iter().enumerate().rev() {
                if out.len() >= height {
                    break;
                }
                let found = self.found == Some(self.dropped + at as u64);
                out.extend(drawn(line, mark, columns, theme, found).into_iter().rev());
            }
            out.truncate(height);
            out.reverse();
        } else {
            let first = usize::try_from(self.first() - self.dropped).unwrap_or(usize::MAX);
            for (at, line) in self.lines.iter().enumerate().skip(first) {
                if out.len() >= height {
                    break;
                }
                let found = self.found == Some(self.dropped + at as u64);
                out.extend(drawn(line, mark, columns, theme, found));
            }
            out.truncate(height);
        }
        frame.render_widget(Paragraph::new(out), area);
    }
}

/// Columns of what stands before a line.
const MARK: usize = 14;

fn drawn(
    line: &TextLine,
    mark: usize,
    columns: usize,
    theme: Theme,
    found: bool,
) -> Vec<Line<'static>> {
    let room = columns.saturating_sub(mark);
    let mut style = line.kind.style(theme);
    if found {
        style = style.add_modifier(Modifier::REVERSED);
    }
    let mut at = 0;
    let parts = wrap(&line.text, room).into_iter().enumerate();
    parts
        .map(|(index, part)| {
            // What a line is broken at are spaces.
            at += line.text.get(at..).and_then(|it| it.find(&part)).unwrap_or(0);
            let from = at;
            at += part.len();
            let before = if mark == 0 {
                String::new()
            } else if index == 0 {
                format!("{}  ", pad_left(&line.mark, mark - 2))
            } else {
                " ".repeat(mark)
            };
            let mut spans = vec![Span::styled(before, theme.dim())];
            spans.extend(looking(line, part, from, style, theme));
            Line::from(spans)
        })
        .collect()
}

/// A part of a line that begins with this byte of it, in as many spans as it has looks.
fn looking(
    line: &TextLine,
    part: String,
    from: usize,
    style: Style,
    theme: Theme,
) -> Vec<Span<'static>> {
    if line.looks.is_empty() {
        return vec![Span::styled(part, style)];
    }
    let to = from + part.len();
    let ends = line.looks.iter().flat_map(|it| [it.from, it.to]);
    let mut cuts: Vec<usize> = ends.filter(|it| (from..to).contains(it)).collect();
    cuts.extend([from, to]);
    cuts.sort_unstable();
    cuts.dedup();
    let span = |pair: &[usize]| {
        let within = line.looks.iter().filter(|it| it.from <= pair[0] && pair[1] <= it.to);
        let style = within.fold(style, |style, it| it.how.on(style, theme));
        Some(Span::styled(part.get(pair[0] - from..pair[1] - from)?.to_owned(), style))
    };
    cuts.windows(2).filter_map(span).collect()
}
