//! Server-sent events out of bytes that arrive in any pieces.
//!
//! Follows the parsing rules of the HTML standard: lines end with CR, LF or CRLF, a byte order mark
//! at the start is dropped, comments and unknown fields are ignored, an event that no blank line
//! ends is none. Knows nothing of the network; keeps at most [`MAX_EVENT_BYTES`].

use crate::{LlmError, wire::SseEvent};

/// The largest event, and with it the longest line, in bytes.
pub(crate) const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Turns bytes into events.
#[derive(Debug, Default)]
pub(crate) struct Sse {
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The last line ended with CR: an LF now belongs to it.
    after_cr: bool,
    /// A line has ended before, so there can be no byte order mark any more.
    begun: bool,
    name: String,
    data: String,
    /// A `data` field was there, if only an empty one.
    has_data: bool,
}

impl Sse {
    /// Takes the next bytes; the events they complete are appended to `out`.
    ///
    /// # Errors
    /// An event is larger than [`MAX_EVENT_BYTES`]. Nothing can be read after that.
    pub(crate) fn push(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<SseEvent>,
    ) -> Result<(), LlmError> {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|it| matches!(it, b'\n' | b'\r')) else {
                return self.keep(bytes);
            };
            self.keep(&bytes[..end])?;
            self.after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            out.extend(self.end_line());
        }
        Ok(())
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), LlmError> {
        let held = self.line.len() + self.name.len() + self.data.len();
        if held + piece.len() > MAX_EVENT_BYTES {
            return Err(LlmError::TooLarge { cap: MAX_EVENT_BYTES, unit: "bytes in one event" });
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let start = if self.begun { None } else { line.strip_prefix(BOM) };
        self.begun = true;
        let line = start.unwrap_or(&line);
        if line.is_empty() {
            return self.end_event();
        }
        let colon = line.iter().position(|it| *it == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        match &line[..colon] {
            b"event" => self.name = value.into_owned(),
            b"data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(&value);
            }
            // Comments, `id`, `retry` and what is yet to come.
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<SseEvent> {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        let whole = std::mem::take(&mut self.has_data) && !data.is_empty();
        whole.then_some(SseEvent { name, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
        let mut sse = Sse::default();
        let mut out = Vec::new();
        for piece in pieces {
            sse.push(piece, &mut out).expect("small events");
        }
        out.into_iter().map(|it| (it.name, it.data)).collect()
    }

    fn whole(text: &str) -> Vec<(String, String)> {
        read([text.as_bytes()])
    }

    fn event(name: &str, data: &str) -> (String, String) {
        (name.to_owned(), data.to_owned())
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("event: a\ndata: 1\n\n", &[("a", "1")]),
            ("event: a\rdata: 1\r\r", &[("a", "1")]),
            ("event: a\r\ndata: 1\r\n\r\n", &[("a", "1")]),
            ("\u{feff}data: 1\n\n", &[("", "1")]),
            ("data: 1\n\n\u{feff}data: 2\n\n", &[("", "1")]),
            (": ping\n\ndata:1\n\n", &[("", "1")]),
            ("data:  two spaces\n\n", &[("", " two spaces")]),
            ("data: YHOO\ndata: +2\ndata: 10\n\n", &[("", "YHOO\n+2\n10")]),
            ("data\n\ndata\ndata\n\ndata:", &[("", "\n")]),
            ("event: lost\n\ndata: 1\n\n", &[("", "1")]),
            ("id: 1\nretry: 10\nother: x\ndata: 1\n\n", &[("", "1")]),
            ("data: {\"a\": \"b:c\"}\n\n", &[("", "{\"a\": \"b:c\"}")]),
            ("data: 1\n\ndata: never ended\n", &[("", "1")]),
            ("data: never ended", &[]),
            ("", &[]),
            ("\n\r\n\r\r\n", &[]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(n, d)| event(n, d)).collect();
            assert_eq!(whole(text), expected, "{text:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(read([&b"data: \xff\n\n"[..]]), [event("", "\u{fffd}")]);
    }

    #[test]
    fn an_endless_line_or_event_is_an_error() {
        let mut sse = Sse::default();
        let mut out = Vec::new();
        let line = vec![b'x'; MAX_EVENT_BYTES];
        sse.push(&line, &mut out).expect("just fits");
        assert!(sse.push(b"x", &mut out).is_err());

        let mut sse = Sse::default();
        let line = format!("data: {}\n", "x".repeat(1024 * 1024));
        for _ in 0..3 {
            sse.push(line.as_bytes(), &mut out).expect("fits");
        }
        let error = sse.push(line.as_bytes(), &mut out).expect_err("too large together");
        assert_eq!(
            error.to_string(),
            "the reply exceeds 4194304 bytes in one event; it was cut off"
        );
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            text in "(\u{feff})?((event|data|id|x)?(:)?( )?[a-ž€😀]{0,3}(\n|\r|\r\n)){0,12}",
            cuts in prop::collection::vec(0usize..200, 0..12),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|it| it.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|it| &bytes[it[0]..it[1]]);
            prop_assert_eq!(read(pieces), whole(&text));
            prop_assert_eq!(read(bytes.chunks(1)), whole(&text));
        }
    }
}
