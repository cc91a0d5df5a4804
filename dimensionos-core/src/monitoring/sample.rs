//! What one source measured at one instant: numbers, and nothing else.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    at: Timestamp,
    levels: [Option<u64>; Level::ALL.len()],
    added: [Option<u64>; Counter::ALL.len()],
}

impl Sample {
    /// An empty sample taken at that instant.
    #[must_use]
    pub const fn at(at: Timestamp) -> Self {
        Self { at, levels: [None; Level::ALL.len()], added: [None; Counter::ALL.len()] }
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
        self.levels[level.index()] = Some(if value > MAX_AMOUNT { MAX_AMOUNT } else { value });
    }

    /// Adds to a counter.
    pub const fn add(&mut self, counter: Counter, amount: u64) {
        let sum = match self.added[counter.index()] {
            Some(already) => already.saturating_add(amount),
            None => amount,
        };
        self.added[counter.index()] = Some(if sum > MAX_AMOUNT { MAX_AMOUNT } else { sum });
    }

    /// When it was taken.
    #[must_use]
    pub const fn taken_at(&self) -> Timestamp {
        self.at
    }

    /// A level's value, absent where it was not measured.
    #[must_use]
    pub const fn level(&self, level: Level) -> Option<u64> {
        self.levels[level.index()]
    }

    /// What was added to a counter, absent where it was not measured.
    #[must_use]
    pub const fn added(&self, counter: Counter) -> Option<u64> {
        self.added[counter.index()]
    }

    /// Whether nothing at all was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.iter().chain(&self.added).all(Option::is_none)
    }
}
