//! Usage folded into minutes, hours and days.

use std::time::Duration;

use crate::Error;
use crate::id::AccountId;
use crate::monitoring::sample::{Counter, Level, MAX_AMOUNT, Sample};
use crate::time::Timestamp;

/// How much time one bucket covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Kept 48 hours unless set otherwise.
    Minute,
    /// Kept 90 days unless set otherwise.
    Hour,
    /// Kept 3 years unless set otherwise.
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
}

/// How long usage is kept, by how finely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    minutes: Duration,
    hours: Duration,
    days: Duration,
}

impl Default for Retention {
    /// By the minute 48 hours, by the hour 90 days, by the day 3 years.
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Self { minutes: day * 2, hours: day * 90, days: day * 3 * 366 }
    }
}

impl Retention {
    /// The least for minutes: what the windows of an hour are made from again, and some more.
    pub const MIN_MINUTES: Duration = Duration::from_hours(2);
    /// The least for hours: the longest month, whose summary is made from them.
    pub const MIN_HOURS: Duration = Duration::from_hours(32 * 24);

    /// Keeps usage that long.
    ///
    /// # Errors
    /// `InvalidInput` where minutes or hours would go before they are no longer needed, or days before hours.
    pub fn new(minutes: Duration, hours: Duration, days: Duration) -> Result<Self, Error> {
        if minutes < Self::MIN_MINUTES {
            return Err(Error::invalid("minutes", "less than two hours"));
        }
        if hours < Self::MIN_HOURS {
            return Err(Error::invalid("hours", "less than 32 days"));
        }
        if days < hours {
            return Err(Error::invalid("days", "less than the hours are kept"));
        }
        Ok(Self { minutes, hours, days })
    }

    /// How long buckets of a resolution are kept.
    #[must_use]
    pub const fn of(&self, resolution: Resolution) -> Duration {
        match resolution {
            Resolution::Minute => self.minutes,
            Resolution::Hour => self.hours,
            Resolution::Day => self.days,
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

/// What an account used in several buckets together.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UsageTotals {
    /// All of it.
    pub whole: Rollup,
    busiest: [Option<u64>; Counter::ALL.len()],
}

impl UsageTotals {
    /// Folds a bucket in.
    pub fn add(&mut self, bucket: &Rollup) {
        self.whole.merge(bucket);
        for counter in Counter::ALL {
            if let Some(amount) = bucket.total(counter) {
                self.see(counter, amount);
            }
        }
    }

    /// The most that was added to a counter in one bucket; absent where nobody measured it.
    #[must_use]
    pub const fn busiest(&self, counter: Counter) -> Option<u64> {
        self.busiest[counter.index()]
    }

    /// Notes what was added to a counter in one bucket.
    pub fn see(&mut self, counter: Counter, amount: u64) {
        let busiest = &mut self.busiest[counter.index()];
        *busiest = (*busiest).max(Some(amount));
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
