use async_graphql::{Enum, SimpleObject};
use dimensionos_core::allocation;
use dimensionos_core::monitoring::{self, Level};

use crate::plan::Member::{Leaf, Object};
use crate::plan::{self, Shape};
use crate::schema::allocation::{DatabaseEngine, cores};
use crate::schema::{DateTime, UInt53};

/// What is used and may be limited.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "allocation::Resource")]
pub enum Resource {
    /// Processor: totals in microseconds of one core; averages, peaks and limits in thousandths of a core.
    Cpu,
    /// Memory, in bytes.
    Ram,
    /// Storage, in bytes.
    Storage,
    /// Files stored.
    Files,
    /// Bytes sent; averages, peaks and limits are bytes per second.
    BytesSent,
    /// Bytes received; averages, peaks and limits are bytes per second.
    BytesReceived,
    /// Network connections open.
    Connections,
    /// Database tables.
    Tables,
    /// Database records.
    Records,
    /// Database queries; averages and peaks are queries per second.
    DatabaseQueries,
    /// API calls; averages, peaks and limits are calls per hour.
    ApiCalls,
    /// File operations; averages, peaks and limits are operations per hour.
    FileOperations,
}

/// The stretch a summary covers, from its start in UTC until now.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "monitoring::UsagePeriod")]
pub enum UsagePeriod {
    /// Since the full hour.
    Hour,
    /// Since midnight.
    Day,
    /// Since the first of the month.
    Month,
}

/// How much time one bucket of a history covers.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "monitoring::Resolution")]
pub enum Resolution {
    /// Kept 48 hours.
    Minute,
    /// Kept 90 days.
    Hour,
    /// Kept 3 years.
    Day,
}

/// A point-in-time reading. Numbers only: no file name, no query, no content.
#[derive(Debug, SimpleObject)]
pub struct ResourceMetrics {
    /// When the newest of it was measured; the present where nothing ever was.
    at: DateTime,
    /// Processor.
    cpu: CpuMetrics,
    /// Memory.
    ram: RamMetrics,
    /// Storage.
    storage: StorageMetrics,
    /// Network.
    network: NetworkMetrics,
    /// Database.
    database: DatabaseMetrics,
    /// Calls and file operations.
    activity: ActivityMetrics,
}

/// Processor in use.
#[derive(Debug, SimpleObject)]
pub struct CpuMetrics {
    /// Cores the tier grants.
    cores_allocated: f64,
    /// Cores in use.
    cores_used: Option<f64>,
    /// Cores in use as a percentage of those granted.
    percent: Option<f64>,
}

/// Memory in use.
#[derive(Debug, SimpleObject)]
pub struct RamMetrics {
    /// MB of 1,048,576 bytes that the tier grants.
    megabytes_allocated: UInt53,
    /// MB of 1,048,576 bytes in use.
    megabytes_used: Option<f64>,
    /// Memory in use as a percentage of what is granted.
    percent: Option<f64>,
}

/// Storage in use.
#[derive(Debug, SimpleObject)]
pub struct StorageMetrics {
    /// GB of 10^9 bytes that the tier grants.
    gigabytes_allocated: UInt53,
    /// GB of 10^9 bytes in use.
    gigabytes_used: Option<f64>,
    /// Storage in use as a percentage of what is granted.
    percent: Option<f64>,
    /// Files stored.
    file_count: Option<UInt53>,
}

/// Network traffic.
#[derive(Debug, SimpleObject)]
pub struct NetworkMetrics {
    /// Bytes sent since the month began.
    bytes_sent: Option<UInt53>,
    /// Bytes received since the month began.
    bytes_received: Option<UInt53>,
    /// Connections open.
    connections: Option<UInt53>,
}

/// What is in the database, by count alone.
#[derive(Debug, SimpleObject)]
pub struct DatabaseMetrics {
    /// The database the tier comes with.
    engine: DatabaseEngine,
    /// Tables.
    table_count: Option<UInt53>,
    /// Records.
    record_count: Option<UInt53>,
    /// Queries a second, over the last minute.
    queries_per_second: Option<f64>,
}

/// What happened in the last hour.
#[derive(Debug, SimpleObject)]
pub struct ActivityMetrics {
    /// API calls in the last hour.
    api_calls_per_hour: UInt53,
    /// File operations in the last hour.
    file_operations_per_hour: UInt53,
}

const BYTES_PER_MEGABYTE: f64 = 1_048_576.0;
const BYTES_PER_GIGABYTE: f64 = 1e9;

impl ResourceMetrics {
    pub(crate) fn new(metrics: &monitoring::Metrics, allocation: &allocation::Allocation) -> Self {
        let whole = |level| metrics.readings.of(level).map(|reading| reading.value);
        #[expect(clippy::cast_precision_loss, reason = "a reading is at most 2^53 - 1")]
        let figure = |level| whole(level).map(|value| value as f64);
        let percent = |resource: allocation::Resource| {
            let limit = resource.limit(allocation).filter(|limit| *limit > 0)?;
            #[expect(clippy::cast_precision_loss, reason = "a percentage for people to read")]
            Some(figure(resource.level()?)? * 100.0 / limit as f64)
        };
        let count = |level| whole(level).map(UInt53::from);
        Self {
            at: metrics.at.into(),
            cpu: CpuMetrics {
                cores_allocated: cores(allocation.cpu_millicores),
                cores_used: whole(Level::CpuMillicores).map(cores),
                percent: percent(allocation::Resource::Cpu),
            },
            ram: RamMetrics {
                megabytes_allocated: allocation.ram_megabytes.into(),
                megabytes_used: figure(Level::RamBytes).map(|bytes| bytes / BYTES_PER_MEGABYTE),
                percent: percent(allocation::Resource::Ram),
            },
            storage: StorageMetrics {
                gigabytes_allocated: allocation.storage_gigabytes.into(),
                gigabytes_used: figure(Level::StorageBytes).map(|bytes| bytes / BYTES_PER_GIGABYTE),
                percent: percent(allocation::Resource::Storage),
                file_count: count(Level::FileCount),
            },
            network: NetworkMetrics {
                bytes_sent: metrics.bytes_sent.map(UInt53::from),
                bytes_received: metrics.bytes_received.map(UInt53::from),
                connections: count(Level::Connections),
            },
            database: DatabaseMetrics {
                engine: allocation.database.into(),
                table_count: count(Level::TableCount),
                record_count: count(Level::RecordCount),
                queries_per_second: metrics.queries_per_second,
            },
            activity: ActivityMetrics {
                api_calls_per_hour: metrics.api_calls_per_hour.into(),
                file_operations_per_hour: metrics.file_operations_per_hour.into(),
            },
        }
    }
}

/// The type of metrics, for selections that are compiled: every field of it is at hand.
pub(crate) static METRICS: Shape<ResourceMetrics> = Shape {
    name: "ResourceMetrics",
    members: &[
        ("at", Leaf(|metrics, out| plan::instant(out, metrics.at))),
        ("cpu", Object(&CPU)),
        ("ram", Object(&RAM)),
        ("storage", Object(&STORAGE)),
        ("network", Object(&NETWORK)),
        ("database", Object(&DATABASE)),
        ("activity", Object(&ACTIVITY)),
    ],
};

static CPU: Shape<ResourceMetrics> = Shape {
    name: "CpuMetrics",
    members: &[
        ("coresAllocated", Leaf(|metrics, out| plan::figure(out, Some(metrics.cpu.cores_allocated)))),
        ("coresUsed", Leaf(|metrics, out| plan::figure(out, metrics.cpu.cores_used))),
        ("percent", Leaf(|metrics, out| plan::figure(out, metrics.cpu.percent))),
    ],
};

static RAM: Shape<ResourceMetrics> = Shape {
    name: "RamMetrics",
    members: &[
        ("megabytesAllocated", Leaf(|metrics, out| plan::count(out, Some(metrics.ram.megabytes_allocated)))),
        ("megabytesUsed", Leaf(|metrics, out| plan::figure(out, metrics.ram.megabytes_used))),
        ("percent", Leaf(|metrics, out| plan::figure(out, metrics.ram.percent))),
    ],
};

static STORAGE: Shape<ResourceMetrics> = Shape {
    name: "StorageMetrics",
    members: &[
        ("gigabytesAllocated", Leaf(|metrics, out| plan::count(out, Some(metrics.storage.gigabytes_allocated)))),
        ("gigabytesUsed", Leaf(|metrics, out| plan::figure(out, metrics.storage.gigabytes_used))),
        ("percent", Leaf(|metrics, out| plan::figure(out, metrics.storage.percent))),
        ("fileCount", Leaf(|metrics, out| plan::count(out, metrics.storage.file_count))),
    ],
};

static NETWORK: Shape<ResourceMetrics> = Shape {
    name: "NetworkMetrics",
    members: &[
        ("bytesSent", Leaf(|metrics, out| plan::count(out, metrics.network.bytes_sent))),
        ("bytesReceived", Leaf(|metrics, out| plan::count(out, metrics.network.bytes_received))),
        ("connections", Leaf(|metrics, out| plan::count(out, metrics.network.connections))),
    ],
};

static DATABASE: Shape<ResourceMetrics> = Shape {
    name: "DatabaseMetrics",
    members: &[
        ("engine", Leaf(|metrics, out| plan::name(out, metrics.database.engine))),
        ("tableCount", Leaf(|metrics, out| plan::count(out, metrics.database.table_count))),
        ("recordCount", Leaf(|metrics, out| plan::count(out, metrics.database.record_count))),
        ("queriesPerSecond", Leaf(|metrics, out| plan::figure(out, metrics.database.queries_per_second))),
    ],
};

static ACTIVITY: Shape<ResourceMetrics> = Shape {
    name: "ActivityMetrics",
    members: &[
        ("apiCallsPerHour", Leaf(|metrics, out| plan::count(out, Some(metrics.activity.api_calls_per_hour)))),
        (
            "fileOperationsPerHour",
            Leaf(|metrics, out| plan::count(out, Some(metrics.activity.file_operations_per_hour))),
        ),
    ],
};

/// What was used in a period so far.
#[derive(Debug, SimpleObject)]
pub struct UsageSummary {
    /// The period.
    period: UsagePeriod,
    /// When it began.
    from: DateTime,
    /// Until when it is summed: now.
    to: DateTime,
    /// Every resource, in the order of the enum.
    resources: Vec<ResourceUsage>,
}

/// What was used of one resource in a period. Average, peak and limit are in one unit, which `Resource` states.
#[derive(Debug, SimpleObject)]
pub struct ResourceUsage {
    /// The resource.
    resource: Resource,
    /// Sum over the period, for what is counted (bytes, calls, queries); null for what is a level (RAM, storage).
    total: Option<UInt53>,
    /// The mean; null where nobody measured.
    average: Option<f64>,
    /// The highest; null where nobody measured.
    peak: Option<f64>,
    /// Null where the tier sets no limit on it.
    limit: Option<UInt53>,
    /// The mean as a percentage of the limit.
    percent: Option<f64>,
}

impl From<&monitoring::UsageSummary> for UsageSummary {
    fn from(summary: &monitoring::UsageSummary) -> Self {
        let resources = summary.resources.iter().map(|usage| ResourceUsage {
            resource: usage.resource.into(),
            total: usage.total.map(UInt53::from),
            average: usage.average,
            peak: usage.peak,
            limit: usage.limit.map(UInt53::from),
            percent: usage.percent,
        });
        Self {
            period: summary.period.into(),
            from: summary.from.into(),
            to: summary.to.into(),
            resources: resources.collect(),
        }
    }
}

/// What was used of one resource in one bucket.
#[derive(Debug, SimpleObject)]
pub struct UsagePoint {
    /// When the bucket starts.
    at: DateTime,
    /// The sum, for what is counted.
    total: Option<UInt53>,
    /// The mean, in the unit that `Resource` states.
    average: Option<f64>,
    /// The highest reading; null for what is only counted.
    peak: Option<f64>,
}

impl From<monitoring::UsagePoint> for UsagePoint {
    fn from(point: monitoring::UsagePoint) -> Self {
        Self { at: point.at.into(), total: point.total.map(UInt53::from), average: point.average, peak: point.peak }
    }
}
