//! Sums over the time just past.

use crate::time::Timestamp;

/// A sum over the last `N` buckets of `SECONDS` each, the present one included. What is older than that has run off;
/// the sum is exact to one bucket.
#[derive(Debug, Clone)]
pub(crate) struct Window<const N: usize, const SECONDS: i64> {
    counts: [u64; N],
    /// The number of the newest bucket written, counted from the epoch.
    newest: i64,
}

/// The last hour, by the minute.
pub(crate) type HourWindow = Window<60, 60>;
/// The last minute, by five seconds.
pub(crate) type MinuteWindow = Window<12, 5>;

impl<const N: usize, const SECONDS: i64> Default for Window<N, SECONDS> {
    fn default() -> Self {
        Self { counts: [0; N], newest: 0 }
    }
}

impl<const N: usize, const SECONDS: i64> Window<N, SECONDS> {
    #[expect(clippy::cast_possible_wrap, reason = "a window has some dozens of buckets")]
    const LENGTH: i64 = N as i64;

    /// Counts an amount at an instant; nothing where that has run off already.
    pub(crate) fn add(&mut self, at: Timestamp, amount: u64) {
        let bucket = number::<SECONDS>(at);
        if bucket > self.newest {
            let skipped = (bucket - self.newest).min(Self::LENGTH);
            for step in 0..skipped {
                self.counts[place::<N>(bucket - step)] = 0;
            }
            self.newest = bucket;
        }
        if bucket > self.newest - Self::LENGTH {
            let count = &mut self.counts[place::<N>(bucket)];
            *count = count.saturating_add(amount);
        }
    }

    /// The sum as of now.
    pub(crate) fn sum(&self, now: Timestamp) -> u64 {
        self.live(now).fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// When the oldest of the sum runs off; absent where the sum is zero.
    pub(crate) fn next_reset(&self, now: Timestamp) -> Option<Timestamp> {
        let oldest = self.live(now).filter(|(_, count)| *count > 0).map(|(bucket, _)| bucket).min()?;
        Some(Timestamp::from_millis((oldest + Self::LENGTH) * SECONDS * 1_000))
    }

    fn live(&self, now: Timestamp) -> impl Iterator<Item = (i64, u64)> + '_ {
        // A clock that was set back leaves buckets ahead of now; they count until it has caught up with them.
        let first = (number::<SECONDS>(now) - Self::LENGTH + 1).max(self.newest - Self::LENGTH + 1);
        (first..=self.newest).map(|bucket| (bucket, self.counts[place::<N>(bucket)]))
    }
}

const fn number<const SECONDS: i64>(at: Timestamp) -> i64 {
    at.as_seconds() / SECONDS
}

#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a remainder by N is below N")]
const fn place<const N: usize>(bucket: i64) -> usize {
    bucket.rem_euclid(N as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_040_000 + seconds * 1_000)
    }

    #[test]
    fn what_is_older_than_the_window_runs_off() {
        let mut window = HourWindow::default();
        window.add(at(0), 5);
        window.add(at(1_800), 7);
        assert_eq!(window.sum(at(1_800)), 12);
        assert_eq!(window.next_reset(at(1_800)), Some(at(3_600)));
        assert_eq!(window.sum(at(3_599)), 12);
        assert_eq!(window.sum(at(3_600)), 7);
        assert_eq!(window.sum(at(1_800 + 3_600)), 0);
        assert_eq!(window.next_reset(at(1_800 + 3_600)), None);
    }

    #[test]
    fn a_late_sample_counts_where_it_belongs_and_a_too_late_one_not_at_all() {
        let mut window = HourWindow::default();
        window.add(at(3_000), 1);
        window.add(at(600), 2);
        window.add(at(-3_000), 4);
        assert_eq!(window.sum(at(3_000)), 3);
        assert_eq!(window.sum(at(600 + 3_600)), 1);
    }

    #[test]
    fn a_clock_set_back_loses_nothing() {
        let mut window = HourWindow::default();
        window.add(at(0), 5);
        assert_eq!(window.sum(at(0).before(Duration::from_secs(1_800))), 5);
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_a_slow_exact_model(
            samples in prop::collection::vec((0..20_000_i64, 0..1_000_u64), 0..200),
            asked_after in 0..8_000_i64,
        ) {
            let mut window = HourWindow::default();
            let mut newest = i64::MIN;
            let mut kept = Vec::new();
            for (seconds, amount) in samples {
                let bucket = at(seconds).as_seconds() / 60;
                newest = newest.max(bucket);
                if bucket > newest - 60 {
                    kept.push((bucket, amount));
                }
                window.add(at(seconds), amount);
            }
            if newest > i64::MIN {
                let now = Timestamp::from_millis(newest * 60_000).after(Duration::from_secs(asked_after.unsigned_abs()));
                let now_bucket = now.as_seconds() / 60;
                let expected: u64 = kept.iter().filter(|(bucket, _)| *bucket > now_bucket - 60).map(|(_, n)| n).sum();
                prop_assert_eq!(window.sum(now), expected);
            }
        }
    }
}
