use crate::Error;
use crate::allocation::Allocation;
use crate::monitoring::{Counter, Level};
use crate::time::Timestamp;

/// What an account uses and a tier may limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the resources; `Resource::meter` says what measures each")]
pub enum Resource {
    Cpu,
    Ram,
    Storage,
    Files,
    BytesSent,
    BytesReceived,
    Connections,
    Tables,
    Records,
    DatabaseQueries,
    ApiCalls,
    FileOperations,
}

const BYTES_PER_MEGABYTE: u64 = 1 << 20;
const BYTES_PER_GIGABYTE: u64 = 1_000_000_000;

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 12] = [
        Self::Cpu,
        Self::Ram,
        Self::Storage,
        Self::Files,
        Self::BytesSent,
        Self::BytesReceived,
        Self::Connections,
        Self::Tables,
        Self::Records,
        Self::DatabaseQueries,
        Self::ApiCalls,
        Self::FileOperations,
    ];

    /// The level that says how much is in use now; absent for what only adds up.
    #[must_use]
    pub const fn level(self) -> Option<Level> {
        match self {
            Self::Cpu => Some(Level::CpuMillicores),
            Self::Ram => Some(Level::RamBytes),
            Self::Storage => Some(Level::StorageBytes),
            Self::Files => Some(Level::FileCount),
            Self::Connections => Some(Level::Connections),
            Self::Tables => Some(Level::TableCount),
            Self::Records => Some(Level::RecordCount),
            Self::BytesSent | Self::BytesReceived | Self::DatabaseQueries | Self::ApiCalls | Self::FileOperations => {
                None
            }
        }
    }

    /// The counter that says how much was used; absent for what is only a level.
    #[must_use]
    pub const fn counter(self) -> Option<Counter> {
        match self {
            Self::Cpu => Some(Counter::CpuMicroseconds),
            Self::BytesSent => Some(Counter::BytesSent),
            Self::BytesReceived => Some(Counter::BytesReceived),
            Self::DatabaseQueries => Some(Counter::DatabaseQueries),
            Self::ApiCalls => Some(Counter::ApiCalls),
            Self::FileOperations => Some(Counter::FileOperations),
            Self::Ram | Self::Storage | Self::Files | Self::Connections | Self::Tables | Self::Records => None,
        }
    }

    /// How many seconds one unit of this resource's rate takes: its averages, peaks and limit are counts in that time.
    #[must_use]
    pub const fn rate_seconds(self) -> u64 {
        match self {
            Self::ApiCalls | Self::FileOperations => 3_600,
            _ => 1,
        }
    }

    /// What a tier allows of this, in the unit of its averages; absent where the tier sets no limit.
    #[must_use]
    pub const fn limit(self, allocation: &Allocation) -> Option<u64> {
        match self {
            Self::Cpu => Some(allocation.cpu_millicores),
            Self::Ram => Some(allocation.ram_megabytes * BYTES_PER_MEGABYTE),
            Self::Storage => Some(allocation.storage_gigabytes * BYTES_PER_GIGABYTE),
            Self::BytesSent | Self::BytesReceived => Some(allocation.bandwidth_bits_per_second / 8),
            Self::ApiCalls => Some(allocation.api_calls_per_hour),
            Self::FileOperations => Some(allocation.file_operations_per_hour),
            Self::Files | Self::Connections | Self::Tables | Self::Records | Self::DatabaseQueries => None,
        }
    }
}

/// Whether an account may use so much more, with the figures it was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may.
    pub is_allowed: bool,
    /// Of what.
    pub resource: Resource,
    /// What the tier allows; absent where it sets no limit.
    pub limit: Option<u64>,
    /// What is in use already.
    pub used: u64,
    /// When use that counts by the hour begins to run off; absent for what does not run off by itself.
    pub resets_at: Option<Timestamp>,
}

impl Decision {
    /// What is left of the limit; absent where there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }

    /// The decision as a result, for use with `?`.
    ///
    /// # Errors
    /// `QuotaExceeded` with these figures, where it may not.
    pub fn require(self) -> Result<Self, Error> {
        if self.is_allowed { Ok(self) } else { Err(Error::QuotaExceeded(Box::new(self))) }
    }
}
