//! Which trace a plan belongs to, after W3C Trace Context: whoever submits it may name one, and
//! everything that is done for it belongs to the same.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A trace, and the span in it that led to what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    /// 0 where nobody named one.
    parent: u64,
}

impl Trace {
    /// A trace of its own; nothing for an id of zeros, which is none.
    #[must_use]
    pub fn new(id: [u8; 16]) -> Option<Self> {
        let id = u128::from_be_bytes(id);
        (id != 0).then_some(Self { id, parent: 0 })
    }

    /// What a header or a variable `traceparent` says: `00-<trace>-<span>-<flags>`. What is no such
    /// thing is nothing.
    #[must_use]
    pub fn of_parent(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, id) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let known = hex(version, 2).is_some() && version != "ff" && hex(flags, 2).is_some();
        // Later versions may say more behind it.
        if !known || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let parent = u64::try_from(hex(span, 16)?).ok().filter(|it| *it != 0)?;
        let id = hex(id, 32).filter(|it| *it != 0)?;
        Some(Self { id, parent })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id.to_be_bytes()
    }

    /// Its id as 32 hexadecimal digits, as people see it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{:032x}", self.id)
    }

    /// The span that led to it, if one was named.
    #[must_use]
    pub fn parent(&self) -> Option<[u8; 8]> {
        (self.parent != 0).then(|| self.parent.to_be_bytes())
    }
}

/// So many hexadecimal digits in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let plain = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    let right = text.len() == digits && text.bytes().all(plain);
    u128::from_str_radix(text, 16).ok().filter(|_| right)
}

/// `<trace>`, or `<trace>-<span>`.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.id)?;
        if self.parent == 0 { Ok(()) } else { write!(f, "-{:016x}", self.parent) }
    }
}

/// It is neither a trace nor a trace and a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a trace is 32 hexadecimal digits, perhaps with `-` and 16 more behind them")]
pub struct ParseTraceError;

impl FromStr for Trace {
    type Err = ParseTraceError;

    fn from_str(text: &str) -> Result<Self, ParseTraceError> {
        let (id, span) = text.split_once('-').unwrap_or((text, "0000000000000000"));
        let parent = hex(span, 16).and_then(|it| u64::try_from(it).ok());
        match (hex(id, 32), parent) {
            (Some(id), Some(parent)) if id != 0 => Ok(Self { id, parent }),
            _ => Err(ParseTraceError),
        }
    }
}

impl Serialize for Trace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Trace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_parent_is_read_as_the_recommendation_says() {
        let good = format!("00-{ID}-00f067aa0ba902b7-01");
        let trace = Trace::of_parent(&good).expect("one");
        assert_eq!(trace.name(), ID);
        assert_eq!(trace.parent(), Some([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]));
        assert_eq!(trace.to_string().parse(), Ok(trace));
        assert_eq!(Trace::of_parent(&format!("01-{ID}-00f067aa0ba902b7-01-more")), Some(trace));
        for wrong in [
            "",
            "00",
            &format!("ff-{ID}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", ID.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{ID}-0000000000000000-01"),
            &format!("00-{ID}-00f067aa0ba902b7-01-more"),
            &format!("00-{ID}-00f067aa0ba902b-01"),
            &format!("00-+{}-00f067aa0ba902b7-01", &ID[1..]),
        ] {
            assert_eq!(Trace::of_parent(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_without_a_parent_is_its_id() {
        let trace = Trace::new([7; 16]).expect("one");
        assert_eq!(trace.to_string(), "07".repeat(16));
        assert_eq!((trace.parent(), trace.to_string().parse()), (None, Ok(trace)));
        assert_eq!(Trace::new([0; 16]), None);
    }
}
