//! The kept part of what a program prints: its beginning and its end, never more.
//!
//! Memory is bounded by the two limits whatever is printed; lines mean nothing here.

use std::collections::VecDeque;

/// What a program printed (stdout and stderr in the order they were read), cut in the middle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The first bytes.
    pub head: Vec<u8>,
    /// The last bytes that are not in `head`.
    pub tail: Vec<u8>,
    /// Bytes printed in all.
    pub total_bytes: u64,
    /// Something between `head` and `tail` was left out.
    pub truncated: bool,
}

impl Captured {
    /// As text, with a line that says how many bytes were left out. Bytes that are not UTF-8 are
    /// shown as U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        if !self.truncated {
            return String::from_utf8_lossy(&[&*self.head, &*self.tail].concat()).into_owned();
        }
        let left_out = self.total_bytes - (self.head.len() + self.tail.len()) as u64;
        format!(
            "{}\n[… {left_out} bytes left out …]\n{}",
            String::from_utf8_lossy(&self.head),
            String::from_utf8_lossy(&self.tail)
        )
    }
}

/// Collects a [`Captured`].
#[derive(Debug)]
pub struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total_bytes: u64,
    keep_head_bytes: usize,
    keep_tail_bytes: usize,
}

impl Capture {
    /// Keeps so many bytes of the beginning and of the end.
    #[must_use]
    pub fn new(keep_head_bytes: usize, keep_tail_bytes: usize) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            total_bytes: 0,
            keep_head_bytes,
            keep_tail_bytes,
        }
    }

    /// Takes what was printed next.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total_bytes += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(self.keep_head_bytes - self.head.len()));
        self.head.extend_from_slice(head);
        let kept = &rest[rest.len().saturating_sub(self.keep_tail_bytes)..];
        let excess = (self.tail.len() + kept.len()).saturating_sub(self.keep_tail_bytes);
        self.tail.drain(..excess);
        self.tail.extend(kept);
    }

    /// What was kept.
    #[must_use]
    pub fn finish(self) -> Captured {
        let kept = (self.head.len() + self.tail.len()) as u64;
        Captured {
            head: self.head,
            tail: self.tail.into(),
            total_bytes: self.total_bytes,
            truncated: self.total_bytes > kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_both_ends_and_counts_the_rest(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20),
            keep_head in 0usize..30,
            keep_tail in 0usize..30,
        ) {
            let all = chunks.concat();
            let mut capture = Capture::new(keep_head, keep_tail);
            chunks.iter().for_each(|chunk| capture.push(chunk));
            let got = capture.finish();
            let head = all.len().min(keep_head);
            let tail = (all.len() - head).min(keep_tail);
            prop_assert_eq!(&got.head[..], &all[..head]);
            prop_assert_eq!(&got.tail[..], &all[all.len() - tail..]);
            prop_assert_eq!(got.total_bytes, all.len() as u64);
            prop_assert_eq!(got.truncated, head + tail < all.len());
        }
    }
}
