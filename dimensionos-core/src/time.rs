//! Instants, and the clock they are read from.
//!
//! Nothing in this crate asks the operating system for the time but [`SystemClock`]; every service takes its clock
//! from the [`Platform`](crate::Platform) builder, so that a test moves time instead of waiting for it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// An instant in UTC with millisecond precision, from 1970 to the end of the year 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// The last millisecond of the year 9999: the last instant RFC 3339 can write.
const LAST_MILLIS: i64 = 253_402_300_799_999;
const MILLIS_PER_SECOND: i64 = 1_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// A text or number that names no instant between 1970 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 instant between 1970 and 9999")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The last instant there is.
    pub(crate) const LAST: Self = Self(LAST_MILLIS);

    /// The instant that many milliseconds after the Unix epoch, held within 1970 to 9999.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        if millis < 0 {
            Self(0)
        } else if millis > LAST_MILLIS {
            Self(LAST_MILLIS)
        } else {
            Self(millis)
        }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, as JWT claims count them.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0 / MILLIS_PER_SECOND
    }

    /// The instant a while later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(LAST_MILLIS);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// The instant a while earlier.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(LAST_MILLIS);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// How long after `earlier` this is; zero where it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The start of the bucket of that many seconds, counted from the epoch, that holds this instant.
    #[must_use]
    pub const fn floor(self, bucket_seconds: i64) -> Self {
        let bucket = bucket_seconds * MILLIS_PER_SECOND;
        Self(self.0 - self.0 % bucket)
    }

    /// Midnight UTC at or before this instant.
    #[must_use]
    pub const fn start_of_day(self) -> Self {
        Self(self.0 - self.0 % MILLIS_PER_DAY)
    }

    /// Midnight UTC on the first of this instant's month.
    #[must_use]
    pub fn start_of_month(self) -> Self {
        let day = jiff::tz::Offset::UTC.to_datetime(self.as_jiff()).day();
        let days_before = i64::from(day) - 1;
        Self::from_millis(self.start_of_day().0 - days_before * MILLIS_PER_DAY)
    }

    fn as_jiff(self) -> jiff::Timestamp {
        // Every value from 0 to LAST_MILLIS is within jiff's range, so the fallback is never taken.
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.as_jiff())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| InvalidTimestamp)?;
        let millis = instant.as_millisecond();
        if (0..=LAST_MILLIS).contains(&millis) { Ok(Self(millis)) } else { Err(InvalidTimestamp) }
    }
}

/// A month in UTC, counted from January 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Month(u16);

impl Month {
    /// The month that holds an instant.
    pub(crate) fn of(at: Timestamp) -> Self {
        let date = jiff::tz::Offset::UTC.to_datetime(at.as_jiff());
        let months = (i32::from(date.year()) - 1970) * 12 + i32::from(date.month()) - 1;
        // The year 9999 is some 96,000 months on; by then the count has been wrong for 2,500 years.
        Self(u16::try_from(months).unwrap_or(u16::MAX))
    }

    pub(crate) const fn from_number(number: u16) -> Self {
        Self(number)
    }

    pub(crate) const fn number(self) -> u16 {
        self.0
    }

    /// Its first midnight in UTC.
    pub(crate) fn start(self) -> Timestamp {
        let year = i16::try_from(1970 + self.0 / 12).unwrap_or(i16::MAX);
        let month = i8::try_from(self.0 % 12 + 1).unwrap_or(1);
        let date = jiff::civil::Date::new(year, month, 1).and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC));
        // The highest number is April of the year 7431, so the fallback is never taken.
        date.map_or(Timestamp::LAST, |date| Timestamp::from_millis(date.timestamp().as_millisecond()))
    }
}

/// Where the time comes from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> Timestamp {
        let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH.after(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_instant_is_written_with_milliseconds_in_utc() {
        assert_eq!(Timestamp::from_millis(1_700_000_000_120).to_string(), "2023-11-14T22:13:20.120Z");
        assert_eq!(Timestamp::EPOCH.to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn an_offset_is_converted_and_nonsense_refused() {
        assert_eq!("2023-11-14T23:13:20.12+01:00".parse(), Ok(Timestamp::from_millis(1_700_000_000_120)));
        for text in ["", "yesterday", "2023-11-14", "1969-12-31T23:59:59Z", "2023-02-30T00:00:00Z"] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
        }
    }

    #[test]
    fn a_month_starts_on_its_first_midnight() {
        let leap_day: Timestamp = "2024-02-29T13:14:15Z".parse().unwrap();
        assert_eq!(leap_day.start_of_month().to_string(), "2024-02-01T00:00:00.000Z");
        assert_eq!(leap_day.start_of_day().to_string(), "2024-02-29T00:00:00.000Z");
    }

    #[test]
    fn the_first_and_the_last_month_that_have_a_number_begin_where_the_calendar_says() {
        assert_eq!(Month::from_number(0).start(), Timestamp::EPOCH);
        assert_eq!(Month::from_number(u16::MAX).start().to_string(), "7431-04-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn a_month_begins_where_its_instants_say(millis in 0..=LAST_MILLIS) {
            let instant = Timestamp::from_millis(millis);
            let number = Month::of(instant);
            prop_assert!(number.0 == u16::MAX || number.start() == instant.start_of_month());
        }

        #[test]
        fn what_is_written_reads_back(millis in 0..=LAST_MILLIS) {
            let instant = Timestamp::from_millis(millis);
            prop_assert_eq!(instant.to_string().parse(), Ok(instant));
        }

        #[test]
        fn a_bucket_holds_its_instant(millis in 0..=LAST_MILLIS, seconds in 1..100_000_i64) {
            let instant = Timestamp::from_millis(millis);
            let start = instant.floor(seconds);
            prop_assert!(start <= instant && instant.as_millis() - start.as_millis() < seconds * 1000);
        }
    }
}
