//! A moment that is looked back at, as it is typed.

use jiff::{Timestamp, civil, tz::TimeZone};
use taskd_api::v1::{self, moment::At};
use taskd_model::{Time, parse_duration_ms};

/// When something was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// After an event.
    Event(u64),
    /// Milliseconds ago.
    Ago(u64),
    /// A point in time.
    At(Timestamp),
    /// A date and a time of day here.
    Here(civil::DateTime),
    /// A time of today here.
    Today(civil::Time),
}

/// `57`, `2h`, `14:30`, `2026-03-01 14:30`, `2026-03-01T14:30:00Z`.
pub(super) fn parse_when(text: &str) -> Result<When, String> {
    let word = text.trim();
    let number = || word.parse().map(When::Event).ok();
    let ago = || parse_duration_ms(word).map(When::Ago).ok();
    let at = || word.parse().map(When::At).ok();
    let here = || word.parse().map(When::Here).ok();
    let today = || word.parse().map(When::Today).ok();
    number().or_else(ago).or_else(at).or_else(here).or_else(today).ok_or_else(|| {
        format!(
            "{word:?} is no moment; write the number of an event (57), how long ago (2h), a time of \
             today (14:30), or a date and a time (2026-03-01 14:30)"
        )
    })
}

impl When {
    /// As the daemon is asked for it. What was before 1970 is its first moment.
    pub(crate) fn moment(self, now: Time, zone: &TimeZone) -> v1::Moment {
        let ms = |at: Timestamp| u64::try_from(at.as_millisecond()).unwrap_or(0);
        let here =
            |it: civil::DateTime| it.to_zoned(zone.clone()).map_or(0, |it| ms(it.timestamp()));
        let at = match self {
            Self::Event(seq) => At::Seq(seq),
            Self::Ago(ago) => At::Time(now.0.saturating_sub(ago)),
            Self::At(at) => At::Time(ms(at)),
            Self::Here(it) => At::Time(here(it)),
            Self::Today(it) => {
                let now =
                    i64::try_from(now.0).ok().and_then(|it| Timestamp::from_millisecond(it).ok());
                let today = now.unwrap_or_default().to_zoned(zone.clone()).date();
                At::Time(here(today.to_datetime(it)))
            }
        };
        v1::Moment { at: Some(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_typed_in_five_ways() {
        let noon = Time(1_772_366_400_000);
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let read = |text: &str| parse_when(text).map(|it| it.moment(noon, &zone).at.expect("set"));
        assert_eq!(read("57"), Ok(At::Seq(57)));
        assert_eq!(read("2h"), Ok(At::Time(noon.0 - 7_200_000)));
        assert_eq!(read("2026-03-01T12:00:00Z"), Ok(At::Time(noon.0)));
        assert_eq!(read("2026-03-01 13:00"), Ok(At::Time(noon.0)));
        assert_eq!(read("2026-03-01T13:00:00.5"), Ok(At::Time(noon.0 + 500)));
        assert_eq!(read("12:30"), Ok(At::Time(noon.0 - 1_800_000)));
        for wrong in ["", "yesterday", "-5", "25:00", "2026-13-01 10:00"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
