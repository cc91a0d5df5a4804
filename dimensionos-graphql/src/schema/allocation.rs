use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use dimensionos_core::allocation;

use crate::engine::Asked;
use crate::plan::Member::Leaf;
use crate::plan::{self, Shape};
use crate::schema::UInt53;

/// The tiers, cheapest first.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "allocation::TierName")]
pub enum TierName {
    /// A trial of 30 days.
    Free,
    /// For a first product.
    Starter,
    /// For a business.
    Pro,
    /// For a platform.
    Enterprise,
}

/// What database a tier comes with.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "allocation::DatabaseEngine")]
pub enum DatabaseEngine {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgresql,
    /// A PostgreSQL cluster.
    PostgresqlCluster,
    /// PostgreSQL with Redis.
    PostgresqlRedis,
}

/// What a tier grants.
#[derive(Debug, SimpleObject)]
pub struct Allocation {
    /// The tier.
    tier: TierName,
    /// Processor cores.
    cpu_cores: f64,
    /// Memory, in MB of 1,048,576 bytes.
    ram_megabytes: UInt53,
    /// Storage, in GB of 10^9 bytes.
    storage_gigabytes: UInt53,
    /// Bits per second.
    bandwidth_bits_per_second: UInt53,
    /// The database it comes with.
    database: DatabaseEngine,
    /// API calls in any hour.
    api_calls_per_hour: UInt53,
    /// File operations in any hour.
    file_operations_per_hour: UInt53,
    /// Price a month, in US cents.
    price_cents_per_month: UInt53,
    /// Null where the tier is no trial.
    trial_days: Option<i32>,
}

/// Its type, for selections that are compiled.
pub(crate) static ALLOCATION: Shape<Allocation> = Shape {
    name: "Allocation",
    members: &[
        ("tier", Leaf(|granted, out| plan::name(out, granted.tier))),
        ("cpuCores", Leaf(|granted, out| plan::figure(out, Some(granted.cpu_cores)))),
        ("ramMegabytes", Leaf(|granted, out| plan::count(out, Some(granted.ram_megabytes)))),
        ("storageGigabytes", Leaf(|granted, out| plan::count(out, Some(granted.storage_gigabytes)))),
        ("bandwidthBitsPerSecond", Leaf(|granted, out| plan::count(out, Some(granted.bandwidth_bits_per_second)))),
        ("database", Leaf(|granted, out| plan::name(out, granted.database))),
        ("apiCallsPerHour", Leaf(|granted, out| plan::count(out, Some(granted.api_calls_per_hour)))),
        ("fileOperationsPerHour", Leaf(|granted, out| plan::count(out, Some(granted.file_operations_per_hour)))),
        ("priceCentsPerMonth", Leaf(|granted, out| plan::count(out, Some(granted.price_cents_per_month)))),
        ("trialDays", Leaf(|granted, out| plan::whole(out, granted.trial_days))),
    ],
};

impl From<allocation::Allocation> for Allocation {
    fn from(allocation: allocation::Allocation) -> Self {
        Self {
            tier: allocation.tier.into(),
            cpu_cores: cores(allocation.cpu_millicores),
            ram_megabytes: allocation.ram_megabytes.into(),
            storage_gigabytes: allocation.storage_gigabytes.into(),
            bandwidth_bits_per_second: allocation.bandwidth_bits_per_second.into(),
            database: allocation.database.into(),
            api_calls_per_hour: allocation.api_calls_per_hour.into(),
            file_operations_per_hour: allocation.file_operations_per_hour.into(),
            price_cents_per_month: allocation.price_cents_per_month.into(),
            trial_days: allocation.trial_days.and_then(|days| i32::try_from(days).ok()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
pub(crate) fn cores(millicores: u64) -> f64 {
    millicores as f64 / 1_000.0
}

#[derive(Debug, Default)]
pub struct AllocationQuery;

#[Object]
impl AllocationQuery {
    /// What every tier grants, cheapest first. Public.
    async fn tiers(&self, context: &Context<'_>) -> Result<Vec<Allocation>> {
        let tiers = Asked::of(context)?.platform.allocation().tiers();
        Ok(tiers.iter().cloned().map(Allocation::from).collect())
    }
}
