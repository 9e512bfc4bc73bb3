//! What a call that is passed on has used, read from the bytes of its answer as they go by.
//!
//! Of the answer it keeps the object called `usage` while that arrives, and the first bytes of a
//! line: a few kilobytes, however long the answer is. It works on the answers of every interface,
//! whole or streamed, since all of them say so in such an object, and the last one counts. Until one
//! came, what was written is estimated from the length of the events that say a piece.
//!
//! In a text of the model's a quote has a backslash before it, so nothing it writes is taken for one.

use std::sync::Arc;

use taskd_model::Usage;

use super::meter::Meter;
use crate::{CallLimits, LlmError, StreamEvent, wire::Wire};

const NAME: &[u8] = b"\"usage\"";
/// Longest such object, in bytes.
const MAX_OBJECT: usize = 4 * 1024;
/// What is looked at of a line, in bytes: its kind is said there.
const HEAD: usize = 160;
/// What of the line of a streamed piece is not the piece, about, in bytes.
const FRAME: usize = 100;
/// Bytes of a piece at least: a token.
const LEAST: usize = 4;

/// Counts what a call that is passed on has used.
pub struct Tap {
    wire: Arc<dyn Wire>,
    meter: Meter,
    /// What the provider said so far.
    said: Usage,
    /// What is known now.
    usage: Usage,
    is_stream: bool,
    /// Bytes of an answer in one piece that has not said what was used.
    unsaid: Option<u64>,
    finder: Finder,
    line: Line,
}

/// Shows numbers only.
impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("usage", &self.usage).finish_non_exhaustive()
    }
}

impl Tap {
    pub(super) fn new(
        wire: Arc<dyn Wire>,
        limits: CallLimits,
        input: u64,
        is_stream: bool,
    ) -> Self {
        Self {
            wire,
            meter: Meter::new(limits, input),
            said: Usage::default(),
            usage: Usage::default(),
            is_stream,
            unsaid: Some(0),
            finder: Finder::default(),
            line: Line::default(),
        }
    }

    /// Looks at a piece of the answer that goes by.
    ///
    /// # Errors
    /// The call has used more than it may.
    pub fn look(&mut self, bytes: &[u8]) -> Result<(), LlmError> {
        let mut out = Vec::new();
        let mut allowed = Ok(());
        for piece in bytes.split_inclusive(|it| *it == b'\n') {
            let mut found = Vec::new();
            self.finder.feed(piece, &mut found);
            for object in found {
                if let Some(said) = self.wire.usage(&object, self.said) {
                    self.said = said;
                    (self.line.is_sum, self.unsaid) = (true, None);
                    allowed = allowed.and(self.meter.take(StreamEvent::Usage(said), &mut out));
                }
            }
            if self.is_stream {
                self.meter.wrote(self.line.feed(piece) as u64);
            } else if let Some(unsaid) = &mut self.unsaid {
                *unsaid += piece.len() as u64;
            }
        }
        let allowed = allowed.and_then(|()| self.meter.check(0, &mut out));
        self.note(&out);
        allowed
    }

    /// The answer has ended, or nothing more of it is read.
    pub fn end(&mut self) {
        let mut out = Vec::new();
        self.meter.wrote(self.unsaid.take().unwrap_or(0));
        self.meter.report(&mut out);
        self.note(&out);
    }

    /// What is known to be used. It grows in steps while the answer comes, and is whole after
    /// [`Tap::end`].
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.usage
    }

    fn note(&mut self, out: &[StreamEvent]) {
        for event in out {
            if let StreamEvent::Usage(usage) = event {
                self.usage = *usage;
            }
        }
    }
}

/// Finds objects called `usage` in bytes that come in any pieces.
#[derive(Default)]
struct Finder {
    state: Find,
    object: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
}

#[derive(Default)]
enum Find {
    /// So many bytes of the name were seen.
    Name(usize),
    #[default]
    Start,
    /// The name was there: a colon and an object must follow.
    Colon,
    Value,
    Object,
}

impl Finder {
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<Vec<u8>>) {
        for byte in bytes {
            self.state = match self.state {
                Find::Start => after_name(0, *byte),
                Find::Name(n) => after_name(n, *byte),
                Find::Colon if byte.is_ascii_whitespace() => Find::Colon,
                Find::Colon if *byte == b':' => Find::Value,
                Find::Value if byte.is_ascii_whitespace() => Find::Value,
                Find::Value if *byte == b'{' => {
                    self.object.clear();
                    (self.depth, self.in_string, self.escaped) = (0, false, false);
                    self.collect(*byte, out)
                }
                Find::Colon | Find::Value => after_name(0, *byte),
                Find::Object => self.collect(*byte, out),
            };
        }
    }

    fn collect(&mut self, byte: u8, out: &mut Vec<Vec<u8>>) -> Find {
        if self.object.len() == MAX_OBJECT {
            return Find::Start;
        }
        self.object.push(byte);
        if self.in_string {
            let ends = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            self.in_string = !ends;
            return Find::Object;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' => self.depth += 1,
            b'}' => self.depth -= 1,
            _ => {}
        }
        if 0 < self.depth {
            return Find::Object;
        }
        out.push(std::mem::take(&mut self.object));
        Find::Start
    }
}

/// The name begins and ends with its only quotes, so a mismatch can only be its first byte again.
fn after_name(seen: usize, byte: u8) -> Find {
    match NAME.get(seen) {
        Some(wanted) if *wanted == byte && seen + 1 == NAME.len() => Find::Colon,
        Some(wanted) if *wanted == byte => Find::Name(seen + 1),
        Some(_) | None if byte == b'"' => Find::Name(1),
        Some(_) | None => Find::Start,
    }
}

/// The line of a stream that has not ended yet.
#[derive(Default)]
struct Line {
    head: Vec<u8>,
    length: usize,
    /// It says what was used, which is no piece of the reply.
    is_sum: bool,
}

impl Line {
    /// How many bytes the model has written in lines that ended now, about.
    fn feed(&mut self, mut bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Some(end) = bytes.iter().position(|it| *it == b'\n') {
            self.keep(&bytes[..end]);
            let says = |word: &[u8]| self.head.windows(word.len()).any(|it| it == word);
            let is_piece = !std::mem::take(&mut self.is_sum);
            if is_piece && self.head.starts_with(b"data:") && (says(b"delta\"") || says(b"chunk\""))
            {
                written += self.length.saturating_sub(FRAME).max(LEAST);
            }
            (self.length, bytes) = (0, &bytes[end + 1..]);
            self.head.clear();
        }
        self.keep(bytes);
        written
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Price, anthropic::Messages, openai::Responses};

    fn limits(cap_micros: u64) -> CallLimits {
        let price = Some(Price { input: 1_000_000, output: 1_000_000, ..Price::default() });
        CallLimits { price, ..CallLimits::with_cap_micros(cap_micros) }
    }

    fn read(wire: Arc<dyn Wire>, text: &str, piece: usize, is_stream: bool) -> Usage {
        let mut tap = Tap::new(wire, limits(u64::MAX), 70, is_stream);
        for bytes in text.as_bytes().chunks(piece) {
            tap.look(bytes).unwrap();
        }
        tap.end();
        tap.usage()
    }

    const STREAM: &str = "event: message_start\n\
        data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\
        \"cache_read_input_tokens\":5,\"cache_creation\":{\"a\":\"}\"},\"output_tokens\":1}}}\n\n\
        data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\\\"usage\\\": {\\\"input_tokens\\\": 1}\"}}\n\n\
        data: {\"type\":\"message_delta\",\"usage\": {\"output_tokens\":9}}\n\n";

    #[test]
    fn the_last_word_counts_in_whatever_pieces_it_comes() {
        for piece in [1, 2, 3, 7, 64, 10_000] {
            let it = read(Arc::new(Messages), STREAM, piece, true);
            assert_eq!((it.input, it.output, it.cache_read), (10, 9, 5), "{piece}");
            assert_eq!((it.micros, it.estimated), (19, 0));
        }
        let whole = "{\"usage\":null,\"x\":[{\"usage\":1}],\"usage\":{\"input_tokens\":9,\
            \"input_tokens_details\":{\"cached_tokens\":4},\"output_tokens\":3},\"user\":null}";
        let it = read(Arc::new(Responses), whole, 5, false);
        assert_eq!((it.input, it.cache_read, it.output, it.estimated), (5, 4, 3, 0));
    }

    #[test]
    fn what_the_provider_does_not_say_is_estimated() {
        let cut = &STREAM[..STREAM.find("data: {\"type\":\"message_delta").unwrap()];
        let it = read(Arc::new(Messages), cut, 50, true);
        assert_eq!((it.input, it.output, it.estimated), (10, 2, 1));
        let it = read(Arc::new(Messages), "data: {\"type\":\"x_delta\"}\n", 50, true);
        assert_eq!((it.input, it.output, it.estimated), (70, 1, 1));
    }

    #[test]
    fn a_call_ends_at_its_cap() {
        let mut tap = Tap::new(Arc::new(Messages), limits(85), 70, true);
        let piece = format!("data: {{\"type\":\"x_delta\",\"t\":\"{}\"}}\n", "x".repeat(110));
        tap.look(piece.as_bytes()).unwrap();
        let over = tap.look(piece.as_bytes()).unwrap_err();
        assert!(matches!(over, LlmError::OverCap { .. }), "{over}");
        assert!(85 < tap.usage().micros);
    }

    #[test]
    fn nothing_of_the_answer_is_kept() {
        let mut tap = Tap::new(Arc::new(Messages), limits(u64::MAX), 0, true);
        let long = format!("data: {{\"usage\": {{\"x\": \"{}", "x".repeat(1 << 20));
        tap.look(long.as_bytes()).unwrap();
        assert!(tap.finder.object.capacity() <= 2 * MAX_OBJECT);
        assert!(tap.line.head.capacity() <= 2 * HEAD);
    }
}
