//! What accounts use: numbers only, from a process's own calls or from agents' reports.

mod cell;
#[cfg(feature = "collectors")]
pub mod collectors;
pub(crate) mod ledger;
mod meter;
mod metering;
mod reading;
mod report;
mod rollup;
mod sample;
mod service;
mod summary;
mod window;

pub(crate) use cell::Cell;
pub use meter::Meter;
pub(crate) use metering::Metering;
pub use reading::{Metrics, Reading, Readings};
pub use report::{
    InvalidSource, MAX_REPORT_SAMPLES, MAX_SAMPLE_AGE, MAX_SAMPLE_LEAD, MAX_SOURCES_PER_AGENT, Receipt, Report,
    SourceName, SourceState,
};
pub use rollup::{Bucket, LevelRollup, Resolution, Rollup, UsageRow};
pub use sample::{Counter, Level, MAX_AMOUNT, Sample};
pub use service::{MAX_HISTORY_POINTS, Monitoring};
pub use summary::{ResourceUsage, UsagePeriod, UsagePoint, UsageSummary};
