//! Bytes as lines, none of them longer than a limit: what is longer is told once and let go.

/// A line, or that there was one which is too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Without its line feed.
    Whole(Vec<u8>),
    /// Longer than the limit; told as soon as that is known.
    TooLong,
}

/// Splits what comes in pieces.
#[derive(Debug)]
pub(crate) struct Lines {
    partial: Vec<u8>,
    max_bytes: usize,
    /// The rest of a line that is too long is still coming.
    letting_go: bool,
}

impl Lines {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { partial: Vec::new(), max_bytes, letting_go: false }
    }

    /// The lines that end in this piece. Empty ones are left out.
    pub(crate) fn push(&mut self, bytes: &[u8], mut heard: impl FnMut(Line)) {
        for piece in bytes.split_inclusive(|it| *it == b'\n') {
            let (piece, ends) = match piece.strip_suffix(b"\n") {
                Some(piece) => (piece, true),
                None => (piece, false),
            };
            if !self.letting_go && self.partial.len() + piece.len() > self.max_bytes {
                self.letting_go = true;
                self.partial = Vec::new();
                heard(Line::TooLong);
            }
            if !self.letting_go {
                self.partial.extend_from_slice(piece);
            }
            if ends {
                let line = std::mem::take(&mut self.partial);
                if !std::mem::take(&mut self.letting_go) && !line.trim_ascii().is_empty() {
                    heard(Line::Whole(line));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(lines: &mut Lines, pieces: &[&[u8]]) -> Vec<Line> {
        let mut found = Vec::new();
        pieces.iter().for_each(|it| lines.push(it, |line| found.push(line)));
        found
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_costs_nothing() {
        let mut lines = Lines::new(4);
        let pieces: [&[u8]; 5] = [b"abc", b"de", &[b'x'; 1_000], b"yz\nok", b"\n\n12345\n"];
        let whole = Line::Whole(b"ok".to_vec());
        assert_eq!(all(&mut lines, &pieces), [Line::TooLong, whole, Line::TooLong]);
        assert!(lines.partial.capacity() < 100);
    }

    proptest! {
        /// However it is cut, the lines are the same.
        #[test]
        fn cuts_mean_nothing(text in "[ab\n]{0,200}", cut in 1usize..20) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            let whole = all(&mut Lines::new(5), &[text.as_bytes()]);
            prop_assert_eq!(all(&mut Lines::new(5), &pieces), whole);
        }
    }
}
