//! Time as windows feel it, and counts of the last few parts of one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// How far behind the latest observation another may be and still count as coming at the same time: two readers of one
/// account are that far apart. What is further behind says that the clock was set back.
const DISORDER_MILLIS: i64 = 2_000;

/// How much time has passed, in milliseconds, whatever is done to the clock.
///
/// It begins with the first instant. A clock that is set forward moves it, as a gap would; one that is set back does
/// not: what is counted then goes on from where it was, and a window is never held open for as long as the step was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Passing {
    last: i64,
    elapsed: u64,
}

impl Passing {
    /// Takes an instant, and says how much has passed by it.
    pub(super) fn take(&mut self, at: Timestamp) -> u64 {
        let at = at.as_millis();
        if at >= self.last {
            self.elapsed = self.elapsed.saturating_add(at.abs_diff(self.last));
            self.last = at;
        } else if at < self.last - DISORDER_MILLIS {
            self.last = at;
        }
        self.elapsed
    }

    /// The latest instant, by the clock as it is now.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.last)
    }

    /// Whether anything was taken yet.
    pub(super) fn has_begun(&self) -> bool {
        self.elapsed > 0
    }
}

/// Parts that a window is counted in: it is between three quarters of its length and all of it.
const PARTS: usize = 4;
/// Kinds of things that are counted side by side.
pub(super) const KINDS: usize = 4;

/// Counts of the last parts of a window that moves on part by part. What it holds is exact for the span it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Recent {
    newest: u64,
    /// Nothing from before is counted.
    cleared: u64,
    counts: [[u32; KINDS]; PARTS],
}

impl Recent {
    /// Drops what is older than the window.
    pub(super) fn roll(&mut self, elapsed: u64, window: Duration) {
        let newest = elapsed / part_millis(window);
        let passed = newest.saturating_sub(self.newest).min(PARTS as u64);
        for part in 0..passed {
            self.counts[slot(newest - part)] = [0; KINDS];
        }
        self.newest = self.newest.max(newest);
    }

    /// Counts into the newest part.
    pub(super) fn add(&mut self, kind: usize, count: u64) {
        let held = &mut self.counts[slot(self.newest)][kind];
        *held = held.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Forgets everything until now.
    pub(super) fn clear(&mut self, elapsed: u64) {
        self.counts = Default::default();
        self.cleared = elapsed + 1;
    }

    /// How many there are of a kind.
    pub(super) fn sum(&self, kind: usize) -> u64 {
        self.counts.iter().map(|part| u64::from(part[kind])).sum()
    }

    /// The span that is counted: what came later than that long ago, and no later than now.
    pub(super) fn span(&self, elapsed: u64, window: Duration) -> Duration {
        let oldest = (self.newest.saturating_sub(PARTS as u64 - 1) * part_millis(window)).max(self.cleared);
        Duration::from_millis((elapsed + 1).saturating_sub(oldest))
    }
}

fn part_millis(window: Duration) -> u64 {
    (millis(window) / PARTS as u64).max(1)
}

fn slot(part: u64) -> usize {
    usize::try_from(part % PARTS as u64).unwrap_or_default()
}

/// A duration in whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clock_set_back_neither_stops_nor_turns_time() {
        let mut passing = Passing::default();
        let start = passing.take(Timestamp::from_millis(10_000_000));
        assert_eq!(passing.take(Timestamp::from_millis(10_001_000)), start + 1_000);
        // A late reader.
        assert_eq!(passing.take(Timestamp::from_millis(10_000_500)), start + 1_000);
        assert_eq!(passing.now(), Timestamp::from_millis(10_001_000));
        // An hour back, and on from there.
        assert_eq!(passing.take(Timestamp::from_millis(6_400_000)), start + 1_000);
        assert_eq!(passing.take(Timestamp::from_millis(6_400_700)), start + 1_700);
    }

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_span(steps in prop::collection::vec((0_u64..900, 0_u64..5), 1..80)) {
            let window = Duration::from_secs(2);
            let mut recent = Recent::default();
            let mut elapsed = 1_000_000;
            let mut all = Vec::new();
            for (step, count) in steps {
                elapsed += step;
                recent.roll(elapsed, window);
                recent.add(0, count);
                all.push((elapsed, count));
                let span = recent.span(elapsed, window);
                prop_assert!(span <= window && span >= window * 3 / 4);
                let from = elapsed - millis(span);
                let expected: u64 = all.iter().filter(|(at, _)| *at > from).map(|(_, count)| count).sum();
                prop_assert_eq!(recent.sum(0), expected);
            }
        }
    }
}
