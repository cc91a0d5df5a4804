use crate::monitoring::sample::{Level, Sample};
use crate::time::Timestamp;

/// A level's value, and when it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The value.
    pub value: u64,
    /// When it was measured.
    pub at: Timestamp,
}

/// The newest reading of each level, absent for what nobody measured, and when anything was measured last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readings {
    levels: [Option<Reading>; Level::ALL.len()],
    newest: Option<Timestamp>,
}

impl Readings {
    /// The newest reading of a level.
    #[must_use]
    pub const fn of(&self, level: Level) -> Option<Reading> {
        self.levels[level.index()]
    }

    /// Takes a reading, unless there is a newer one.
    pub fn set(&mut self, level: Level, reading: Reading) {
        self.see(reading.at);
        let slot = &mut self.levels[level.index()];
        if slot.is_none_or(|known| known.at <= reading.at) {
            *slot = Some(reading);
        }
    }

    /// When anything was measured last, also what is no level; absent where nobody ever measured.
    #[must_use]
    pub const fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Notes that something was measured.
    pub fn see(&mut self, at: Timestamp) {
        self.newest = self.newest.max(Some(at));
    }

    /// Takes the levels of a sample, and its time.
    pub fn add(&mut self, sample: &Sample) {
        self.see(sample.taken_at());
        for level in Level::ALL {
            if let Some(value) = sample.level(level) {
                self.set(level, Reading { value, at: sample.taken_at() });
            }
        }
    }

    /// Takes the newer of each reading.
    pub fn merge(&mut self, other: &Self) {
        for level in Level::ALL {
            if let Some(reading) = other.of(level) {
                self.set(level, reading);
            }
        }
        self.newest = self.newest.max(other.newest);
    }
}

/// What an account uses at this instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// When the newest of it was measured; the present where nothing ever was.
    pub at: Timestamp,
    /// The newest reading of each level.
    pub readings: Readings,
    /// Bytes sent since this month began; absent where nobody measured.
    pub bytes_sent: Option<u64>,
    /// Bytes received since this month began; absent where nobody measured.
    pub bytes_received: Option<u64>,
    /// Database queries a second, over the last minute; absent where nobody measured in it.
    pub queries_per_second: Option<f64>,
    /// API calls in the last hour.
    pub api_calls_per_hour: u64,
    /// File operations in the last hour.
    pub file_operations_per_hour: u64,
}
