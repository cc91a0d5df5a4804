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
    /// What of the sum waits for nothing; the rest is still to be made durable. Never more than the sum.
    pub(super) settled: &'a Half,
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

    /// Counts an amount that waits to be made durable, in the present bucket. Not where the instant is in another one, or
    /// the sum has no room for it: then nothing is counted.
    #[inline]
    pub(super) fn add_now(&self, at: Timestamp, amount: u64) -> bool {
        let sum = u32::try_from(u64::from(self.sum.of()).saturating_add(amount));
        let sum = sum.ok().filter(|_| Self::number(at) == self.present.of());
        sum.is_some_and(|sum| {
            self.sum.set(sum);
            true
        })
    }

    /// Begins the bucket of an instant where that is a new one. The clock is asked then: what is dated ahead of it has
    /// happened by now, and must not push what is older out before its time. Gives how much runs off that still waits.
    pub(super) fn turn_to(&self, at: Timestamp, clock: impl FnOnce() -> Timestamp) -> u64 {
        if Self::number(at) <= self.present.of() {
            return 0;
        }
        let bucket = Self::number(at).min(Self::number(clock()));
        if bucket <= self.present.of() {
            return 0;
        }
        let waiting = self.waiting();
        self.advance(bucket);
        let left = waiting.min(self.sum.of());
        self.settled.set(self.sum.of() - left);
        u64::from(waiting - left)
    }

    /// Counts an amount that waits to be made durable, at an instant whose bucket was turned to. Not where that has run
    /// off already, or the sum has no room for it.
    pub(super) fn add(&self, at: Timestamp, amount: u64) -> bool {
        let room = u64::from(u32::MAX - self.sum.of());
        amount <= room && self.put(at, amount)
    }

    /// Counts an amount that waits for nothing, at an instant whose bucket was turned to; nothing where that has run off
    /// already.
    pub(super) fn add_settled(&self, at: Timestamp, amount: u64) {
        let waiting = self.waiting();
        self.put(at, amount);
        self.settled.set(self.sum.of() - waiting);
    }

    fn put(&self, at: Timestamp, amount: u64) -> bool {
        let (present, bucket) = (self.present.of(), Self::number(at));
        // No more than the sum has room for, so that the sum stays that of its buckets.
        let room = u32::MAX - self.sum.of();
        let amount = u32::try_from(amount).unwrap_or(u32::MAX).min(room);
        if bucket < present {
            if present - bucket > Self::LENGTH {
                return false;
            }
            let closed = self.bucket(bucket);
            closed.set(closed.of() + amount);
        }
        self.sum.set(self.sum.of() + amount);
        true
    }

    fn waiting(&self) -> u32 {
        self.sum.of().saturating_sub(self.settled.of())
    }

    /// What waited, and waits no more.
    pub(super) fn settle(&self) -> u64 {
        let waiting = self.waiting();
        self.settled.set(self.sum.of());
        u64::from(waiting)
    }

    fn advance(&self, bucket: u32) {
        let present = self.present.of();
        let closing = self.in_present();
        let passed = (bucket - present).min(Self::LENGTH + 1);
        // The place of the oldest bucket is that of the one that closes now, and so on.
        for step in 0..passed {
            let place = self.bucket(present.wrapping_add(step));
            self.sum.set(self.sum.of().saturating_sub(place.of()));
            place.clear();
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

    /// Empties it, and gives what waited.
    pub(super) fn clear(&self) -> u64 {
        let waiting = u64::from(self.waiting());
        [self.present, self.sum, self.settled].into_iter().chain(self.closed).for_each(Half::clear);
        waiting
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
        settled: Half,
        closed: [Half; HOUR_CLOSED],
    }

    impl Hour {
        fn window(&self) -> HourWindow<'_> {
            let Self { present, sum, settled, closed } = self;
            Window { present, sum, settled, closed }
        }

        /// Counts what is not ahead of any clock.
        fn add(&self, at: Timestamp, amount: u64) {
            self.add_by(at, amount, at);
        }

        /// Counts what waits, by a clock. Gives what waits elsewhere from now on.
        fn add_by(&self, at: Timestamp, amount: u64, clock: Timestamp) -> u64 {
            let left = self.window().turn_to(at, || clock);
            if self.window().add(at, amount) {
                return left;
            }
            self.window().add_settled(at, amount);
            left + amount
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
            hour.add_by(at(STRETCH + lead), 1, at(STRETCH));
        }
        assert_eq!((hour.window().newest_sum(), hour.window().sum(at(STRETCH))), (9, 9));
        assert_eq!(hour.window().sum(at(STRETCH + BUCKET)), 4);
        assert_eq!(hour.window().sum(at(2 * STRETCH + BUCKET)), 0);
        // And where the clock is behind what was counted, as of that.
        hour.add_by(at(10 * STRETCH), 1, at(10 * STRETCH));
        hour.add_by(at(11 * STRETCH), 1, at(5 * STRETCH));
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
                hour.add_by(at(now - late), amount, at(now));
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

        /// What waits is neither lost nor taken twice, whatever runs off, comes late or finds no room meanwhile.
        #[test]
        fn what_is_taken_is_what_was_added(
            steps in prop::collection::vec(
                (-100..400_i64, -4_500..600_i64, prop_oneof![3 => 0..1_000_u64, 1 => Just(1 << 31), 1 => Just(1 << 40)], 0..6_u8),
                1..120,
            ),
        ) {
            let (hour, mut now, mut added, mut taken) = (Hour::default(), 0, 0, 0);
            for (passed, late, amount, kind) in steps {
                now += passed;
                match kind {
                    0 => taken += hour.window().settle(),
                    1 => {
                        taken += hour.window().turn_to(at(now), || at(now));
                        hour.window().add_settled(at(now - late), amount);
                    }
                    2 if hour.window().add_now(at(now), amount) => added += amount,
                    _ => {
                        added += amount;
                        taken += hour.add_by(at(now - late), amount, at(now));
                    }
                }
                prop_assert_eq!(taken + u64::from(hour.window().waiting()), added);
                prop_assert!(hour.settled.of() <= hour.sum.of());
            }
            prop_assert_eq!(taken + hour.window().clear(), added);
        }
    }
}
