//! How long readings take and how often they are made: the one place of the collectors that looks at a clock.
//!
//! It is the monotonic clock, because a share of a core is a ratio of two durations; the wall clock may be set back in
//! between.

use std::time::{Duration, Instant};

use super::Absence;

/// A costly reading is made no more often than this, however quick it was.
const SHORTEST_PERIOD: Duration = Duration::from_secs(30);
/// A costly reading takes at most one part in so many of the time.
const LARGEST_SHARE: u32 = 20;

#[expect(clippy::disallowed_methods, reason = "an interval of the monotonic clock is what is measured")]
fn now() -> Instant {
    Instant::now()
}

/// Spaces a costly reading out: at most once in 30 s, and at most a twentieth of the time.
#[derive(Debug, Default)]
pub struct Pace {
    next: Option<Instant>,
}

/// A costly reading that was begun, for [`Pace::finish`].
#[derive(Debug, Clone, Copy)]
pub struct Begun(Instant);

impl Pace {
    /// Begins a reading where one is due.
    #[must_use]
    pub fn begin(&self) -> Option<Begun> {
        let now = now();
        self.next.is_none_or(|next| next <= now).then_some(Begun(now))
    }

    /// Ends a reading, and settles from its duration when the next is due.
    pub fn finish(&mut self, begun: Begun) {
        let Begun(begun) = begun;
        self.next = Some(begun + period(now().saturating_duration_since(begun)));
    }
}

/// From the start of a reading that took so long to the start of the next.
fn period(taken: Duration) -> Duration {
    taken.saturating_mul(LARGEST_SHARE).max(SHORTEST_PERIOD)
}

/// The time between one reading and the next.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    last: Option<Instant>,
}

impl Stopwatch {
    /// The time since the last lap; absent on the first.
    pub(super) fn lap(&mut self) -> Option<Duration> {
        let now = now();
        self.last.replace(now).map(|last| now.saturating_duration_since(last))
    }
}

/// Processor time over the time it was used in, in thousandths of a core; absent on the first lap, and where no time has
/// passed.
pub(super) fn millicores(microseconds: u64, over: Option<Duration>) -> Result<u64, Absence> {
    let over = over.ok_or(Absence::Baseline)?.as_micros();
    let share = u128::from(microseconds).saturating_mul(1_000).checked_div(over).ok_or(Absence::Baseline)?;
    Ok(u64::try_from(share).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reading_rests_twenty_times_as_long_and_a_quick_one_half_a_minute() {
        assert_eq!(period(Duration::from_millis(3)), Duration::from_secs(30));
        assert_eq!(period(Duration::from_mins(1)), Duration::from_mins(20));
    }

    #[test]
    fn a_finished_reading_is_not_begun_again_at_once() {
        let mut pace = Pace::default();
        let begun = pace.begin().unwrap();
        pace.finish(begun);
        assert!(pace.begin().is_none());
    }

    #[test]
    fn half_a_second_of_processor_in_a_second_is_half_a_core() {
        assert_eq!(millicores(500_000, Some(Duration::from_secs(1))), Ok(500));
        assert_eq!(millicores(500_000, Some(Duration::ZERO)), Err(Absence::Baseline));
        assert_eq!(millicores(500_000, None), Err(Absence::Baseline));
    }

    #[test]
    fn the_first_lap_has_no_length() {
        let mut watch = Stopwatch::default();
        assert_eq!(watch.lap(), None);
        assert!(watch.lap().is_some());
    }
}
