use std::str::FromStr;

use crate::allocation::{Allocation, Enforcement, UnknownName};
use crate::monitoring::{Counter, Level};
use crate::time::Timestamp;
use crate::{Code, Error};

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

pub(super) const BYTES_PER_MEGABYTE: u64 = 1 << 20;
pub(super) const BYTES_PER_GIGABYTE: u64 = 1_000_000_000;

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

    /// The name in tables and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Ram => "RAM",
            Self::Storage => "STORAGE",
            Self::Files => "FILES",
            Self::BytesSent => "BYTES_SENT",
            Self::BytesReceived => "BYTES_RECEIVED",
            Self::Connections => "CONNECTIONS",
            Self::Tables => "TABLES",
            Self::Records => "RECORDS",
            Self::DatabaseQueries => "DATABASE_QUERIES",
            Self::ApiCalls => "API_CALLS",
            Self::FileOperations => "FILE_OPERATIONS",
        }
    }

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

impl FromStr for Resource {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|resource| resource.name() == text).ok_or(UnknownName)
    }
}

/// How long use of a resource counts against its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// As long as it lasts: it is a level.
    WhileItLasts,
    /// For so many seconds, in which the limit allows its rate that often.
    For { seconds: u64 },
}

impl Resource {
    /// How its use is held against a limit.
    pub(crate) const fn counted(self) -> Counted {
        match self {
            Self::ApiCalls | Self::FileOperations => Counted::For { seconds: 3_600 },
            // What is limited by the second is held against the limit by the minute: bursts are what networks carry.
            Self::BytesSent | Self::BytesReceived | Self::DatabaseQueries => Counted::For { seconds: 60 },
            Self::Cpu | Self::Ram | Self::Storage | Self::Files | Self::Connections | Self::Tables | Self::Records => {
                Counted::WhileItLasts
            }
        }
    }

    /// A limit in the unit that use is counted in: a rate by the second, over the seconds that use counts.
    pub(crate) const fn in_counted_unit(self, limit: u64) -> u64 {
        match self.counted() {
            Counted::WhileItLasts => limit,
            Counted::For { seconds } => limit.saturating_mul(seconds / self.rate_seconds()),
        }
    }
}

/// What a decision goes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) limit: Option<u64>,
    pub(crate) used: u64,
    pub(crate) resets_at: Option<Timestamp>,
}

/// Whether an account may use so much more, with the figures it was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may.
    pub is_allowed: bool,
    /// Of what.
    pub resource: Resource,
    /// What is allowed, in the unit of `used`; absent where there is no limit. Of what is limited by the second (network
    /// bytes), a minute's worth.
    pub limit: Option<u64>,
    /// What is in use: for what was just counted, with it; what is reserved is in it.
    pub used: u64,
    /// When some of it begins to run off; absent for what does not run off by itself.
    pub resets_at: Option<Timestamp>,
    /// Whether the limit is passed, which a soft limit allows.
    pub is_over: bool,
    /// Why it may not: `QuotaExceeded`, or what the account's status forbids; absent where it may.
    pub reason: Option<Code>,
}

impl Decision {
    /// What is left of the limit; absent where there is none.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.used))
    }

    /// Decides by figures alone.
    pub(crate) fn new(resource: Resource, figures: Figures, amount: u64, enforcement: Enforcement) -> Self {
        let Figures { limit, used, resets_at } = figures;
        let is_over = limit.is_some_and(|limit| used.saturating_add(amount) > limit);
        let is_allowed = !is_over || enforcement == Enforcement::Soft;
        let reason = (!is_allowed).then_some(Code::QuotaExceeded);
        Self { is_allowed, resource, limit, used, resets_at, is_over, reason }
    }

    /// The same once the amount is counted.
    pub(crate) const fn counting(mut self, amount: u64) -> Self {
        if self.is_allowed {
            self.used = self.used.saturating_add(amount);
        }
        self
    }

    /// The decision as a result, for use with `?`.
    ///
    /// # Errors
    /// `QuotaExceeded` with these figures, where it may not; `ServiceReadOnly` and the like come from the call itself.
    pub fn require(self) -> Result<Self, Error> {
        if self.is_allowed { Ok(self) } else { Err(Error::QuotaExceeded(Box::new(self))) }
    }
}
