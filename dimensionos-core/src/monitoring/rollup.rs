//! Usage folded into minutes, hours and days.

use std::time::Duration;

use crate::id::AccountId;
use crate::monitoring::sample::{Counter, Level, MAX_AMOUNT, Sample};
use crate::time::Timestamp;

/// How much time one bucket covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Kept 48 hours.
    Minute,
    /// Kept 90 days.
    Hour,
    /// Kept 3 years.
    Day,
}

impl Resolution {
    /// Every resolution, finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The seconds of one bucket.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// How long buckets are kept.
    #[must_use]
    pub const fn retention(self) -> Duration {
        match self {
            Self::Minute => Duration::from_hours(48),
            Self::Hour => Duration::from_hours(90 * 24),
            Self::Day => Duration::from_hours(3 * 366 * 24),
        }
    }
}

/// A stretch of time that usage is summed over, known by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(Timestamp);

impl Bucket {
    /// The bucket that holds an instant.
    #[must_use]
    pub const fn holding(instant: Timestamp, resolution: Resolution) -> Self {
        Self(instant.floor(resolution.seconds()))
    }

    /// The bucket that starts at an instant, as a store holds it.
    #[must_use]
    pub const fn at(start: Timestamp) -> Self {
        Self(start)
    }

    /// When it starts.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        self.0
    }
}

/// The readings of one level in one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LevelRollup {
    /// Their sum; with `count` it gives the average.
    pub sum: f64,
    /// How many there were; 0 where nobody measured.
    pub count: u64,
    /// The highest of them.
    pub peak: u64,
}

impl LevelRollup {
    /// The mean of the readings; absent where there were none.
    #[must_use]
    pub fn average(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "readings are counted, and never near 2^53")]
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
        self.peak = self.peak.max(other.peak);
    }
}

/// What an account used in one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rollup {
    levels: [LevelRollup; Level::ALL.len()],
    totals: [Option<u64>; Counter::ALL.len()],
}

impl Rollup {
    /// Folds a sample in.
    pub fn add(&mut self, sample: &Sample) {
        for level in Level::ALL {
            if let Some(value) = sample.level(level) {
                #[expect(clippy::cast_precision_loss, reason = "a sample holds at most 2^53 - 1")]
                let reading = LevelRollup { sum: value as f64, count: 1, peak: value };
                self.levels[level.index()].merge(&reading);
            }
        }
        for counter in Counter::ALL {
            if let Some(amount) = sample.added(counter) {
                self.add_total(counter, amount);
            }
        }
    }

    /// Folds another rollup of the same stretch in.
    pub fn merge(&mut self, other: &Self) {
        for (level, more) in self.levels.iter_mut().zip(&other.levels) {
            level.merge(more);
        }
        for counter in Counter::ALL {
            if let Some(amount) = other.total(counter) {
                self.add_total(counter, amount);
            }
        }
    }

    /// The readings of a level.
    #[must_use]
    pub const fn level(&self, level: Level) -> &LevelRollup {
        &self.levels[level.index()]
    }

    /// Sets the readings of a level, as a store holds them.
    pub const fn set_level(&mut self, level: Level, rollup: LevelRollup) {
        self.levels[level.index()] = rollup;
    }

    /// What was added to a counter; absent where nobody measured it.
    #[must_use]
    pub const fn total(&self, counter: Counter) -> Option<u64> {
        self.totals[counter.index()]
    }

    /// Adds to a counter, up to [`MAX_AMOUNT`].
    pub fn add_total(&mut self, counter: Counter, amount: u64) {
        let total = self.totals[counter.index()].unwrap_or(0).saturating_add(amount);
        self.totals[counter.index()] = Some(total.min(MAX_AMOUNT));
    }
}

/// What to add to one bucket of one account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsageRow {
    /// Whose usage.
    pub account: AccountId,
    /// How much time the bucket covers.
    pub resolution: Resolution,
    /// The bucket.
    pub bucket: Bucket,
    /// What to add.
    pub rollup: Rollup,
}
