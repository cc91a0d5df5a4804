//! What is read of accounts, each by one call for several of them.

use std::sync::Arc;

use dimensionos_core::allocation::{Allocation, LimitOverride, Resource};
use dimensionos_core::monitoring::{MAX_HISTORY_POINTS, Metrics, Resolution, UsagePeriod, UsagePoint, UsageSummary};
use dimensionos_core::tos::{Violation, ViolationPlace};
use dimensionos_core::{AccountId, Context, Error, Platform, Timestamp};

use crate::loader::Read;

type Each<T> = Result<Vec<Result<T, Error>>, Error>;

/// What accounts are allotted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AllocationRead;

impl Read for AllocationRead {
    type Answer = Allocation;

    fn rows(&self, _now: Timestamp) -> u64 {
        1
    }

    async fn read(self, platform: Platform, viewer: Context, accounts: Vec<AccountId>) -> Each<Allocation> {
        platform.allocation().of_each(&viewer, &accounts).await
    }
}

/// Limits of their own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OverridesRead;

impl Read for OverridesRead {
    type Answer = Vec<LimitOverride>;

    fn rows(&self, _now: Timestamp) -> u64 {
        Resource::ALL.len() as u64
    }

    async fn read(self, platform: Platform, viewer: Context, accounts: Vec<AccountId>) -> Each<Self::Answer> {
        platform.allocation().overrides_of_each(&viewer, &accounts).await
    }
}

/// What they use now, and what they are allotted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MetricsRead;

impl Read for MetricsRead {
    type Answer = (Metrics, Allocation);

    /// The last hour by the minute and the month by the day, each with every figure there is: four times what a point of
    /// a history takes.
    fn rows(&self, _now: Timestamp) -> u64 {
        4 * (66 + 31)
    }

    async fn read(self, platform: Platform, viewer: Context, accounts: Vec<AccountId>) -> Each<Self::Answer> {
        let metrics = platform.monitoring().metrics_of_each(&viewer, &accounts).await?;
        let allocations = platform.allocation().of_each(&viewer, &accounts).await?;
        Ok(metrics.into_iter().zip(allocations).map(|(metrics, allocation)| Ok((metrics?, allocation?))).collect())
    }
}

/// What they used in a period.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UsageRead(pub(crate) UsagePeriod);

impl Read for UsageRead {
    type Answer = Arc<UsageSummary>;

    fn rows(&self, _now: Timestamp) -> u64 {
        Resource::ALL.len() as u64
    }

    async fn read(self, platform: Platform, viewer: Context, accounts: Vec<AccountId>) -> Each<Self::Answer> {
        let each = platform.monitoring().usage_of_each(&viewer, &accounts, self.0).await?;
        Ok(each.into_iter().map(|usage| usage.map(Arc::new)).collect())
    }
}

/// What they used of one resource, bucket by bucket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HistoryRead {
    pub(crate) resource: Resource,
    pub(crate) from: Timestamp,
    pub(crate) to: Option<Timestamp>,
    pub(crate) resolution: Resolution,
}

impl Read for HistoryRead {
    type Answer = Arc<Vec<UsagePoint>>;

    /// What asks for more points than there may be is refused before anything is read.
    fn rows(&self, now: Timestamp) -> u64 {
        let seconds = self.to.unwrap_or(now).as_seconds().saturating_sub(self.from.as_seconds());
        let buckets = (seconds / self.resolution.seconds()).clamp(0, MAX_HISTORY_POINTS) + 1;
        buckets.unsigned_abs()
    }

    async fn read(self, platform: Platform, viewer: Context, accounts: Vec<AccountId>) -> Each<Self::Answer> {
        let Self { resource, from, to, resolution } = self;
        let each = platform.monitoring().history_of_each(&viewer, &accounts, resource, (from, to), resolution).await?;
        Ok(each.into_iter().map(|points| points.map(Arc::new)).collect())
    }
}

/// What was found against them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ViolationsRead {
    pub(crate) after: Option<ViolationPlace>,
    pub(crate) length: u64,
}

impl Read for ViolationsRead {
    type Answer = Arc<Vec<Violation>>;

    /// Each has a statement of some kilobytes.
    fn rows(&self, _now: Timestamp) -> u64 {
        8 * (self.length + 1)
    }

    async fn read(self, platform: Platform, viewer: Context, accounts: Vec<AccountId>) -> Each<Self::Answer> {
        let each = platform.tos().violations_of_each(&viewer, &accounts, self.after, self.length).await?;
        Ok(each.into_iter().map(|found| found.map(Arc::new)).collect())
    }
}

/// How many recovery codes are left: of one account at most, for it is its holder who may ask.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecoveryCodesRead;

impl Read for RecoveryCodesRead {
    type Answer = u64;

    fn rows(&self, _now: Timestamp) -> u64 {
        1
    }

    async fn read(self, platform: Platform, viewer: Context, accounts: Vec<AccountId>) -> Each<u64> {
        let mut each = Vec::with_capacity(accounts.len());
        for account in accounts {
            each.push(platform.auth().recovery_codes_left(&viewer, account).await);
        }
        Ok(each)
    }
}
