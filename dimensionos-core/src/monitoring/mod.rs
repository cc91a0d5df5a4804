//! What accounts use: numbers only, from a process's own calls or from agents' reports.

mod block;
pub(crate) mod cell;
#[cfg(feature = "collectors")]
pub mod collectors;
mod crossing;
mod group;
mod index;
#[cfg(all(test, dimensionos_loom))]
mod interleavings;
pub(crate) mod ledger;
mod log;
mod meter;
mod metering;
mod pending;
mod reading;
mod recording;
mod report;
mod rollup;
mod sample;
mod sequence;
mod service;
pub(crate) mod slab;
mod summary;
mod sweep;
mod transaction;
mod versions;
mod vigil;
mod watch;
mod window;
pub(crate) mod writer;

pub(crate) use log::count_logged;
pub use log::{LogEntry, LoggedReport, ReportLog};
pub use meter::Meter;
pub(crate) use metering::Metering;
pub use reading::{Metrics, Reading, Readings};
pub use report::{
    InvalidSource, MAX_REPORT_SAMPLES, MAX_SAMPLE_AGE, MAX_SAMPLE_LEAD, MAX_SOURCES_PER_AGENT, Receipt, Report,
    SourceName, SourceState,
};
pub use rollup::{Bucket, LevelRollup, Resolution, Retention, Rollup, UsageRow, UsageTotals};
pub use sample::{Counter, Level, MAX_AMOUNT, Sample};
pub use service::{MAX_HISTORY_POINTS, Monitoring};
pub use summary::{ResourceUsage, UsagePeriod, UsagePoint, UsageSummary};
