use std::str::FromStr;

/// The tiers, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the tiers")]
pub enum TierName {
    Free,
    Starter,
    Pro,
    Enterprise,
}

impl TierName {
    /// Every tier, cheapest first.
    pub const ALL: [Self; 4] = [Self::Free, Self::Starter, Self::Pro, Self::Enterprise];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "FREE",
            Self::Starter => "STARTER",
            Self::Pro => "PRO",
            Self::Enterprise => "ENTERPRISE",
        }
    }
}

/// What database a tier comes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the engines")]
pub enum DatabaseEngine {
    Sqlite,
    Postgresql,
    PostgresqlCluster,
    PostgresqlRedis,
}

impl DatabaseEngine {
    const ALL: [Self; 4] = [Self::Sqlite, Self::Postgresql, Self::PostgresqlCluster, Self::PostgresqlRedis];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLITE",
            Self::Postgresql => "POSTGRESQL",
            Self::PostgresqlCluster => "POSTGRESQL_CLUSTER",
            Self::PostgresqlRedis => "POSTGRESQL_REDIS",
        }
    }
}

/// A name that no tier or engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

impl FromStr for TierName {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|tier| tier.name() == text).ok_or(UnknownName)
    }
}

impl FromStr for DatabaseEngine {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|engine| engine.name() == text).ok_or(UnknownName)
    }
}

/// What a tier grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// The tier.
    pub tier: TierName,
    /// Processor, in thousandths of a core.
    pub cpu_millicores: u64,
    /// Memory, in MB of 1,048,576 bytes.
    pub ram_megabytes: u64,
    /// Storage, in GB of 10^9 bytes.
    pub storage_gigabytes: u64,
    /// Network, in bits a second.
    pub bandwidth_bits_per_second: u64,
    /// The database it comes with.
    pub database: DatabaseEngine,
    /// API calls in any hour.
    pub api_calls_per_hour: u64,
    /// File operations in any hour.
    pub file_operations_per_hour: u64,
    /// Price a month, in US cents.
    pub price_cents_per_month: u64,
    /// How many days it is free for; absent where it is no trial.
    pub trial_days: Option<u32>,
}

const GIGABIT: u64 = 1_000_000_000;

impl Allocation {
    /// What a new database is seeded with; from then on the database's rows are what holds.
    #[must_use]
    pub const fn initial(tier: TierName) -> Self {
        let (cores, ram_gigabytes, storage_gigabytes, gigabits, database, dollars, calls, files) = match tier {
            TierName::Free => (1, 4, 10, 1, DatabaseEngine::Sqlite, 0, 1_000, 10_000),
            TierName::Starter => (8, 64, 1_000, 10, DatabaseEngine::Postgresql, 10, 10_000, 100_000),
            TierName::Pro => (16, 128, 5_000, 100, DatabaseEngine::PostgresqlCluster, 50, 100_000, 1_000_000),
            TierName::Enterprise => {
                (64, 512, 50_000, 1_000, DatabaseEngine::PostgresqlRedis, 500, 1_000_000, 10_000_000)
            }
        };
        Self {
            tier,
            cpu_millicores: cores * 1_000,
            ram_megabytes: ram_gigabytes * 1_024,
            storage_gigabytes,
            bandwidth_bits_per_second: gigabits * GIGABIT,
            database,
            api_calls_per_hour: calls,
            file_operations_per_hour: files,
            price_cents_per_month: dollars * 100,
            trial_days: match tier {
                TierName::Free => Some(30),
                TierName::Starter | TierName::Pro | TierName::Enterprise => None,
            },
        }
    }
}
