//! Sums over the time just past.

use crate::time::Timestamp;
use crate::words::Half;

/// A sum over a sliding stretch of time, kept in buckets of `SECONDS` each: the present one, and as many closed ones as
/// the stretch has.
///
/// **Error.** Of what was counted, let `exact(d)` be the part whose time lies within the last `d`. With `L` the stretch
/// (`CLOSED` buckets) and `w` one bucket, `exact(L) <= sum <= exact(L + w)`: nothing within the stretch is ever left
/// out, and nothing older than the stretch and a bucket is in. A limit held against it therefore holds in every stretch
/// of that length, wherever it begins.
///
/// What is counted at once is one addition to the sum; what the present bucket holds is what the closed ones leave of
/// it. It holds up to 2^32 - 1 and stays there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<'a, const CLOSED: usize, const SECONDS: u32> {
    /// The number of the present bucket, counted from the epoch.
    pub(super) present: &'a Half,
    pub(super) sum: &'a Half,
    /// The bucket of a number stands at its remainder by `CLOSED`.
    pub(super) closed: &'a [Half; CLOSED],
}

/// Buckets of the window of an hour.
pub(super) const HOUR_CLOSED: usize = 12;
/// Buckets of the window of a minute.
pub(super) const MINUTE_CLOSED: usize = 5;

/// The last hour, by five minutes: at most what was counted in 65 minutes.
pub(super) type HourWindow<'a> = Window<'a, HOUR_CLOSED, 300>;
/// The last 50 seconds, by ten: at most what was counted in a minute.
pub(super) type MinuteWindow<'a> = Window<'a, MINUTE_CLOSED, 10>;

impl<const CLOSED: usize, const SECONDS: u32> Window<'_, CLOSED, SECONDS> {
    #[expect(clippy::cast_possible_truncation, reason = "a window has a dozen buckets")]
    const LENGTH: u32 = CLOSED as u32;

    /// The number of the bucket that an instant is in.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "instants end with the year 9999: 2.6 * 10^10 buckets of ten seconds wrap after the year 3300, and what \
                  is older than a window is gone by then"
    )]
    pub(super) const fn number(at: Timestamp) -> u32 {
        (at.as_millis() as u64 / (SECONDS as u64 * 1_000)) as u32
    }

    /// When the bucket of a number starts.
    pub(super) fn start(number: u32) -> Timestamp {
        Timestamp::from_millis(i64::from(number) * i64::from(SECONDS) * 1_000)
    }

    /// Counts an amount at an instant; nothing where that has run off already. Where it begins another bucket the clock
    /// is asked: what is dated ahead of it has happened by now, and must not push what is older out before its time.
    #[expect(clippy::inline_always, reason = "a part of the path of a sample, which is one function")]
    #[inline(always)]
    pub(super) fn add(&self, at: Timestamp, amount: u64, clock: impl FnOnce() -> Timestamp) {
        let bucket = Self::number(at);
        if bucket != self.present.of() && !self.turn(bucket, amount, clock) {
            return;
        }
        let amount = u32::try_from(amount).unwrap_or(u32::MAX);
        self.sum.set(self.sum.of().saturating_add(amount));
    }

    /// Makes room for a new bucket, or puts an amount that comes late where it belongs. Says whether it counts.
    #[cold]
    #[inline(never)]
    fn turn(&self, bucket: u32, amount: u64, clock: impl FnOnce() -> Timestamp) -> bool {
        let present = self.present.of();
        let bucket = if bucket > present { bucket.min(Self::number(clock())).max(present) } else { bucket };
        if bucket == present {
            return true;
        }
        if bucket > present {
            self.advance(bucket);
            return true;
        }
        if present - bucket > Self::LENGTH {
            return false;
        }
        let closed = self.bucket(bucket);
        // No more than the sum has room for, so that the sum stays that of its buckets.
        let room = u32::MAX - self.sum.of();
        closed.set(closed.of() + u32::try_from(amount).unwrap_or(u32::MAX).min(room));
        true
    }

    fn advance(&self, bucket: u32) {
        let present = self.present.of();
        let closing = self.in_present();
        let passed = (bucket - present).min(Self::LENGTH + 1);
        // The place of the oldest bucket is that of the one that closes now, and so on.
        for step in 0..passed {
            let place = self.bucket(present.wrapping_add(step));
            self.sum.set(self.sum.of().saturating_sub(place.of()));
            place.set(0);
        }
        if passed <= Self::LENGTH {
            self.bucket(present).set(closing);
        } else {
            self.sum.set(0);
        }
        self.present.set(bucket);
    }

    /// What the present bucket holds.
    fn in_present(&self) -> u32 {
        // A reader may see a mixture of two states, which it throws away.
        self.closed.iter().fold(self.sum.of(), |rest, closed| rest.saturating_sub(closed.of()))
    }

    fn bucket(&self, number: u32) -> &Half {
        &self.closed[(number % Self::LENGTH) as usize]
    }

    /// The sum as of an instant. Of a clock that was set back, what lies ahead counts until it has caught up.
    pub(super) fn sum(&self, now: Timestamp) -> u64 {
        let passed = Self::number(now).saturating_sub(self.present.of());
        let gone = passed.min(Self::LENGTH);
        let oldest = self.present.of().wrapping_sub(Self::LENGTH);
        if passed > Self::LENGTH {
            return 0;
        }
        (0..gone).fold(u64::from(self.sum.of()), |sum, step| {
            sum.saturating_sub(u64::from(self.bucket(oldest.wrapping_add(step)).of()))
        })
    }

    /// The sum as of the newest that was counted.
    pub(super) fn newest_sum(&self) -> u64 {
        u64::from(self.sum.of())
    }

    /// When the oldest of the sum runs off; absent where the sum is zero.
    pub(super) fn next_reset(&self, now: Timestamp) -> Option<Timestamp> {
        let present = self.present.of();
        let first = Self::number(now).max(present).saturating_sub(Self::LENGTH);
        if self.sum.of() == 0 {
            return None;
        }
        let places = (0..CLOSED).cycle().skip((first % Self::LENGTH) as usize);
        let mut buckets = (first..present).zip(places);
        let oldest = buckets.find(|(_, place)| self.closed[*place].of() > 0).map(|(bucket, _)| bucket);
        let oldest = oldest.or_else(|| (first <= present && self.in_present() > 0).then_some(present))?;
        Some(Self::start(oldest.saturating_add(Self::LENGTH + 1)))
    }

    /// Puts the buckets to the times they would have if the newest were that of `now`: for a clock that was set back so
    /// far that what happens now would be taken for past.
    pub(super) fn set_back(&self, now: Timestamp) {
        let (present, target) = (self.present.of(), Self::number(now));
        if target >= present {
            return;
        }
        let counts: [u32; CLOSED] = std::array::from_fn(|place| self.closed[place].of());
        for age in 1..=Self::LENGTH {
            let count = counts[(present.wrapping_sub(age) % Self::LENGTH) as usize];
            self.bucket(target.wrapping_sub(age)).set(count);
        }
        self.present.set(target);
    }

    /// Empties it.
    pub(super) fn clear(&self) {
        self.present.set(0);
        self.sum.set(0);
        self.closed.iter().for_each(|closed| closed.set(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[derive(Debug, Default)]
    struct Hour {
        present: Half,
        sum: Half,
        closed: [Half; HOUR_CLOSED],
    }

    impl Hour {
        fn window(&self) -> HourWindow<'_> {
            Window { present: &self.present, sum: &self.sum, closed: &self.closed }
        }

        /// Counts what is not ahead of any clock.
        fn add(&self, at: Timestamp, amount: u64) {
            self.window().add(at, amount, || at);
        }
    }

    const START: i64 = 1_700_000_100;
    const STRETCH: i64 = 3_600;
    const BUCKET: i64 = 300;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis((START + seconds) * 1_000)
    }

    #[test]
    fn what_is_older_than_the_window_and_a_bucket_has_run_off() {
        let hour = Hour::default();
        hour.add(at(0), 5);
        hour.add(at(1_800), 7);
        assert_eq!(hour.window().sum(at(1_800)), 12);
        assert_eq!(hour.window().next_reset(at(1_800)), Some(at(3_900)));
        assert_eq!(hour.window().sum(at(3_899)), 12);
        assert_eq!(hour.window().sum(at(3_900)), 7);
        assert_eq!(hour.window().next_reset(at(3_900)), Some(at(1_800 + 3_900)));
        assert_eq!(hour.window().sum(at(1_800 + 3_900)), 0);
        assert_eq!(hour.window().next_reset(at(1_800 + 3_900)), None);
    }

    #[test]
    fn a_late_sample_counts_where_it_belongs_and_a_too_late_one_not_at_all() {
        let hour = Hour::default();
        hour.add(at(3_000), 1);
        hour.add(at(600), 2);
        hour.add(at(-3_000), 4);
        assert_eq!(hour.window().sum(at(3_000)), 3);
        assert_eq!(hour.window().sum(at(600 + 3_900)), 1);
    }

    #[test]
    fn what_is_ahead_of_the_clock_counts_as_of_now() {
        let hour = Hour::default();
        hour.add(at(0), 5);
        for lead in [1, BUCKET, STRETCH, 100 * STRETCH] {
            hour.window().add(at(STRETCH + lead), 1, || at(STRETCH));
        }
        assert_eq!((hour.window().newest_sum(), hour.window().sum(at(STRETCH))), (9, 9));
        assert_eq!(hour.window().sum(at(STRETCH + BUCKET)), 4);
        assert_eq!(hour.window().sum(at(2 * STRETCH + BUCKET)), 0);
        // And where the clock is behind what was counted, as of that.
        hour.window().add(at(10 * STRETCH), 1, || at(10 * STRETCH));
        hour.window().add(at(11 * STRETCH), 1, || at(5 * STRETCH));
        assert_eq!(hour.window().sum(at(10 * STRETCH)), 2);
    }

    #[test]
    fn a_clock_set_back_loses_nothing() {
        let hour = Hour::default();
        hour.add(at(0), 5);
        assert_eq!(hour.window().sum(at(-1_800)), 5);
        // Set back by a day, what happens now would be taken for long past; set to the clock, it counts.
        let yesterday = at(-86_400);
        hour.add(at(0), 1);
        hour.window().set_back(yesterday);
        hour.add(yesterday, 3);
        assert_eq!(hour.window().sum(yesterday), 9);
        assert_eq!(hour.window().sum(yesterday.after(Duration::from_secs(3_900))), 0);
    }

    #[test]
    fn a_sum_stops_at_its_largest_and_runs_off_all_the_same() {
        let hour = Hour::default();
        for step in 0..4 {
            hour.add(at(step * BUCKET), u64::MAX);
        }
        hour.add(at(0), u64::MAX);
        assert_eq!(hour.window().sum(at(900)), u64::from(u32::MAX));
        assert_eq!(hour.window().sum(at(10_000)), 0);
    }

    proptest! {
        /// Against every event, exactly: the bound that is stated for the sum, at every moment, with late events, idle
        /// gaps, events dated ahead, and a clock that goes forth and, by less than the stretch, back.
        #[test]
        fn the_sum_lies_between_that_of_the_stretch_and_that_of_a_bucket_more(
            steps in prop::collection::vec((-1_000..4_000_i64, -8_000..4_000_i64, 0..1_000_u64), 1..200),
        ) {
            let (hour, mut now, mut newest) = (Hour::default(), 0, 0);
            let mut events: Vec<(i64, u64)> = Vec::new();
            for (passed, late, amount) in steps {
                now = (now + passed).max(newest - STRETCH + BUCKET);
                newest = newest.max(now);
                hour.window().add(at(now - late), amount, || at(now));
                // What is dated ahead has happened by now, or by the newest of what was before the clock was set back.
                let counted = events.iter().map(|(at, _)| *at).max().unwrap_or(now);
                let event = (now - late).min(now.max(counted));
                events.push((event, amount));
                let exact = |from: i64| -> u64 {
                    events.iter().filter(|(at, _)| *at > from).map(|(_, amount)| amount).sum()
                };
                let sum = hour.window().sum(at(now));
                prop_assert!(sum >= exact(newest - STRETCH), "{sum} misses some of {}", exact(newest - STRETCH));
                prop_assert!(sum <= exact(now - STRETCH - BUCKET), "{sum} has more than {}", exact(now - STRETCH - BUCKET));
                prop_assert_eq!(hour.window().next_reset(at(now)).is_some(), sum > 0);
            }
        }
    }
}
