//! What one source measured at one instant: numbers, and nothing else.

use std::fmt;

use crate::time::Timestamp;

/// The largest figure that is carried exactly everywhere: 2^53 - 1, the last whole number a JSON reader holds.
pub const MAX_AMOUNT: u64 = (1 << 53) - 1;

/// A quantity that has a present value, such as memory in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Processor in use, in thousandths of a core.
    CpuMillicores,
    /// Memory in use, in bytes.
    RamBytes,
    /// Storage in use, in bytes.
    StorageBytes,
    /// Files stored.
    FileCount,
    /// Network connections open.
    Connections,
    /// Database tables.
    TableCount,
    /// Database records.
    RecordCount,
}

impl Level {
    /// Every level, in the order of its index.
    pub const ALL: [Self; 7] = [
        Self::CpuMillicores,
        Self::RamBytes,
        Self::StorageBytes,
        Self::FileCount,
        Self::Connections,
        Self::TableCount,
        Self::RecordCount,
    ];

    /// The name in tables and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuMillicores => "cpu_millicores",
            Self::RamBytes => "ram_bytes",
            Self::StorageBytes => "storage_bytes",
            Self::FileCount => "file_count",
            Self::Connections => "connections",
            Self::TableCount => "table_count",
            Self::RecordCount => "record_count",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Its bit in [`Sample::measured`].
    pub(crate) const fn bit(self) -> u16 {
        1 << self.index()
    }
}

/// A quantity that only adds up, such as bytes sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Counter {
    /// Processor time spent, in microseconds of one core.
    CpuMicroseconds,
    /// Bytes sent over the network.
    BytesSent,
    /// Bytes received over the network.
    BytesReceived,
    /// Database queries answered.
    DatabaseQueries,
    /// API calls served.
    ApiCalls,
    /// File operations done.
    FileOperations,
}

impl Counter {
    /// Every counter, in the order of its index.
    pub const ALL: [Self; 6] = [
        Self::CpuMicroseconds,
        Self::BytesSent,
        Self::BytesReceived,
        Self::DatabaseQueries,
        Self::ApiCalls,
        Self::FileOperations,
    ];

    /// The name in tables and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuMicroseconds => "cpu_microseconds",
            Self::BytesSent => "bytes_sent",
            Self::BytesReceived => "bytes_received",
            Self::DatabaseQueries => "database_queries",
            Self::ApiCalls => "api_calls",
            Self::FileOperations => "file_operations",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Its bit in [`Sample::measured`].
    pub(crate) const fn bit(self) -> u16 {
        1 << (Level::ALL.len() + self.index())
    }
}

/// One measurement: levels as they are now, counters as what was added since the same source's last sample.
///
/// What was not measured is absent, which is not the same as zero.
///
/// ```
/// use dimensionos_core::Timestamp;
/// use dimensionos_core::monitoring::{Counter, Level, Sample};
///
/// let sample = Sample::at(Timestamp::from_millis(1_700_000_000_000))
///     .with_level(Level::RamBytes, 512 << 20)
///     .with_added(Counter::ApiCalls, 3);
/// assert_eq!(sample.level(Level::StorageBytes), None);
/// assert_eq!(sample.added(Counter::ApiCalls), Some(3));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    at: Timestamp,
    /// A bit for each field that was measured: the levels by their index, then the counters.
    measured: u16,
    // 0 where nobody measured, so that adding needs no question.
    levels: [u64; Level::ALL.len()],
    counters: [u64; Counter::ALL.len()],
}

impl Sample {
    /// An empty sample taken at that instant.
    #[must_use]
    pub const fn at(at: Timestamp) -> Self {
        Self { at, measured: 0, levels: [0; Level::ALL.len()], counters: [0; Counter::ALL.len()] }
    }

    /// The same with a level's present value, held to [`MAX_AMOUNT`].
    #[must_use]
    pub const fn with_level(mut self, level: Level, value: u64) -> Self {
        self.set_level(level, value);
        self
    }

    /// The same with what was added to a counter, on top of what this sample already adds to it, held to
    /// [`MAX_AMOUNT`].
    #[must_use]
    pub const fn with_added(mut self, counter: Counter, amount: u64) -> Self {
        self.add(counter, amount);
        self
    }

    /// Sets a level's present value.
    pub const fn set_level(&mut self, level: Level, value: u64) {
        self.measured |= level.bit();
        self.levels[level.index()] = if value > MAX_AMOUNT { MAX_AMOUNT } else { value };
    }

    /// Adds to a counter.
    pub const fn add(&mut self, counter: Counter, amount: u64) {
        self.measured |= counter.bit();
        let sum = self.counters[counter.index()].saturating_add(amount);
        self.counters[counter.index()] = if sum > MAX_AMOUNT { MAX_AMOUNT } else { sum };
    }

    /// When it was taken.
    #[must_use]
    pub const fn taken_at(&self) -> Timestamp {
        self.at
    }

    /// The same as if taken at another instant.
    pub(crate) const fn taken_by(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// A level's value, absent where it was not measured.
    #[must_use]
    pub const fn level(&self, level: Level) -> Option<u64> {
        if self.measured & level.bit() == 0 { None } else { Some(self.levels[level.index()]) }
    }

    /// What was added to a counter, absent where it was not measured.
    #[must_use]
    pub const fn added(&self, counter: Counter) -> Option<u64> {
        if self.measured & counter.bit() == 0 { None } else { Some(self.counters[counter.index()]) }
    }

    /// Whether nothing at all was measured.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.measured == 0
    }

    /// A bit for each field that was measured: the levels by their index, then the counters.
    pub(crate) const fn measured(&self) -> u16 {
        self.measured
    }

    /// The levels by their index; 0 where nobody measured.
    pub(crate) const fn levels(&self) -> &[u64; Level::ALL.len()] {
        &self.levels
    }

    /// The counters by their index; 0 where nobody measured.
    pub(crate) const fn counters(&self) -> &[u64; Counter::ALL.len()] {
        &self.counters
    }
}

#[expect(clippy::missing_fields_in_debug, reason = "what was measured is shown by its name, and nothing else")]
impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Sample");
        text.field("at", &self.at);
        Level::ALL.iter().filter_map(|level| Some((level.name(), self.level(*level)?))).for_each(|(name, value)| {
            text.field(name, &value);
        });
        Counter::ALL.iter().filter_map(|counter| Some((counter.name(), self.added(*counter)?))).for_each(
            |(name, amount)| {
                text.field(name, &amount);
            },
        );
        text.finish()
    }
}
