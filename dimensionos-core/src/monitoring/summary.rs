use std::time::Duration;

use crate::allocation::{Allocation, Resource};
use crate::monitoring::rollup::{Bucket, LevelRollup, Resolution, Rollup, UsageTotals};
use crate::time::Timestamp;

/// The stretch a summary covers: the present hour, day or month in UTC, from its start until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the periods")]
pub enum UsagePeriod {
    Hour,
    Day,
    Month,
}

impl UsagePeriod {
    /// When the period that holds `now` began.
    #[must_use]
    pub fn start(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Hour => now.floor(Resolution::Hour.seconds()),
            Self::Day => now.start_of_day(),
            Self::Month => now.start_of_month(),
        }
    }

    /// When the period that holds `now` ends.
    #[must_use]
    pub fn end(self, now: Timestamp) -> Timestamp {
        // No month has more than 31 days, so half a day past them is in the next one.
        let length = match self {
            Self::Hour => Duration::from_secs(3_600),
            Self::Day => Duration::from_hours(24),
            Self::Month => return self.start(now).after(Duration::from_hours(31 * 24 + 12)).start_of_month(),
        };
        self.start(now).after(length)
    }

    /// The buckets a summary is made from: fine enough for a peak, and never more than some hundreds.
    pub(crate) const fn resolution(self) -> Resolution {
        match self {
            Self::Hour => Resolution::Minute,
            Self::Day | Self::Month => Resolution::Hour,
        }
    }
}

/// What an account used in a period so far, against what it is allotted.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageSummary {
    /// The period.
    pub period: UsagePeriod,
    /// When it began.
    pub from: Timestamp,
    /// Until when it is summed.
    pub to: Timestamp,
    /// Every resource, in the order of [`Resource::ALL`].
    pub resources: Vec<ResourceUsage>,
}

/// What an account used of one resource. Average, peak and limit are in one unit: thousandths of a core, bytes, counts;
/// of what adds up, so much a second, or an hour for API calls and file operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResourceUsage {
    /// The resource.
    pub resource: Resource,
    /// The sum, for what adds up; processor time in microseconds. Absent for levels, and where nobody measured.
    pub total: Option<u64>,
    /// The mean; absent where nobody measured.
    pub average: Option<f64>,
    /// The highest; absent where nobody measured.
    pub peak: Option<f64>,
    /// What the tier allows; absent where it sets no limit.
    pub limit: Option<u64>,
    /// The mean as a percentage of the limit.
    pub percent: Option<f64>,
}

/// What an account used of one resource in one bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsagePoint {
    /// When the bucket starts.
    pub at: Timestamp,
    /// The sum, for what adds up.
    pub total: Option<u64>,
    /// The mean, in the unit of [`ResourceUsage`].
    pub average: Option<f64>,
    /// The highest reading; absent for what only adds up.
    pub peak: Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people to read; totals stay whole")]
fn rate(total: u64, seconds: i64, resource: Resource) -> f64 {
    total as f64 * resource.rate_seconds() as f64 / seconds as f64
}

/// The mean number of thousandths of a core that so many microseconds in so many seconds are.
#[expect(clippy::cast_precision_loss, reason = "figures for people to read; totals stay whole")]
fn millicores(microseconds: u64, seconds: i64) -> f64 {
    microseconds as f64 / 1_000.0 / seconds as f64
}

pub(crate) fn summarise(
    period: UsagePeriod,
    now: Timestamp,
    totals: &UsageTotals,
    allocation: &Allocation,
) -> UsageSummary {
    let from = period.start(now);
    let whole = &totals.whole;
    let elapsed = i64::try_from(now.since(from).as_secs()).unwrap_or(i64::MAX).max(1);
    let resources = Resource::ALL.map(|resource| {
        let total = resource.counter().and_then(|counter| whole.total(counter));
        let (average, peak) = match resource.level().map(|level| whole.level(level)) {
            Some(level) if level.count > 0 => of_level(level),
            // No reading of the processor, but its time was counted.
            Some(_) => (total.map(|total| millicores(total, elapsed)), None),
            None => (
                // A rate by the hour is not read off a few minutes.
                total.map(|total| rate(total, elapsed.max(rate_length(resource)), resource)),
                peak_rate(resource, period.resolution(), totals, total),
            ),
        };
        let limit = resource.limit(allocation);
        ResourceUsage { resource, total, average, peak, limit, percent: percent(average, limit) }
    });
    UsageSummary { period, from, to: now, resources: resources.to_vec() }
}

fn of_level(level: &LevelRollup) -> (Option<f64>, Option<f64>) {
    #[expect(clippy::cast_precision_loss, reason = "a reading is at most 2^53 - 1")]
    (level.average(), Some(level.peak as f64))
}

fn rate_length(resource: Resource) -> i64 {
    i64::try_from(resource.rate_seconds()).unwrap_or(i64::MAX)
}

/// The busiest bucket's rate; for what counts by the hour in buckets shorter than one, all of them together.
fn peak_rate(resource: Resource, resolution: Resolution, totals: &UsageTotals, total: Option<u64>) -> Option<f64> {
    if rate_length(resource) > resolution.seconds() {
        return total.map(|total| rate(total, rate_length(resource), resource));
    }
    let busiest = totals.busiest(resource.counter()?);
    busiest.map(|total| rate(total, resolution.seconds(), resource))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people to read")]
fn percent(average: Option<f64>, limit: Option<u64>) -> Option<f64> {
    let (average, limit) = (average?, limit?);
    (limit > 0).then(|| average * 100.0 / limit as f64)
}

/// The point of one bucket; absent where nobody measured the resource in it.
pub(crate) fn point(resource: Resource, resolution: Resolution, bucket: Bucket, rollup: &Rollup) -> Option<UsagePoint> {
    let total = resource.counter().and_then(|counter| rollup.total(counter));
    let (average, peak) = match resource.level().map(|level| rollup.level(level)) {
        Some(level) if level.count > 0 => of_level(level),
        Some(_) => (total.map(|total| millicores(total, resolution.seconds())), None),
        None => (total.map(|total| rate(total, resolution.seconds(), resource)), None),
    };
    average.is_some().then_some(UsagePoint { at: bucket.start(), total, average, peak })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::TierName;
    use crate::monitoring::{Counter, Level, Sample};
    fn summary(period: UsagePeriod, now: &str, samples: &[Sample]) -> UsageSummary {
        let mut buckets = std::collections::BTreeMap::<Bucket, Rollup>::new();
        for sample in samples {
            buckets.entry(Bucket::holding(sample.taken_at(), period.resolution())).or_default().add(sample);
        }
        let mut totals = UsageTotals::default();
        buckets.values().for_each(|bucket| totals.add(bucket));
        summarise(period, now.parse().unwrap(), &totals, &Allocation::initial(TierName::Free))
    }

    fn of(summary: &UsageSummary, resource: Resource) -> ResourceUsage {
        *summary.resources.iter().find(|usage| usage.resource == resource).unwrap()
    }

    #[test]
    fn what_nobody_measured_has_a_limit_and_no_figures() {
        let summary = summary(UsagePeriod::Month, "2024-02-10T12:00:00Z", &[]);
        assert_eq!(summary.from.to_string(), "2024-02-01T00:00:00.000Z");
        assert_eq!(summary.resources.len(), 12);
        let ram = of(&summary, Resource::Ram);
        assert_eq!((ram.total, ram.average, ram.peak, ram.percent), (None, None, None, None));
        assert_eq!(ram.limit, Some(4 << 30));
        assert_eq!(of(&summary, Resource::Tables).limit, None);
    }

    #[test]
    fn a_period_ends_where_the_next_begins() {
        for now in ["2024-01-31T23:59:59Z", "2024-02-29T12:00:00Z", "2023-02-01T00:00:00Z", "2024-12-31T23:59:59Z"] {
            let now: Timestamp = now.parse().unwrap();
            for period in [UsagePeriod::Hour, UsagePeriod::Day, UsagePeriod::Month] {
                let end = period.end(now);
                assert_eq!(period.start(end), end);
                assert_eq!(period.start(end.before(Duration::from_millis(1))), period.start(now));
            }
        }
    }

    #[test]
    fn levels_are_averaged_and_counters_added_up() {
        let at: Timestamp = "2024-02-10T12:00:00Z".parse().unwrap();
        let samples = [0, 60].map(|seconds| {
            Sample::at(at.after(Duration::from_secs(seconds)))
                .with_level(Level::RamBytes, (1 + seconds / 60) << 30)
                .with_level(Level::CpuMillicores, 500)
                .with_added(Counter::CpuMicroseconds, 1_000_000)
                .with_added(Counter::BytesSent, 6_000)
                .with_added(Counter::ApiCalls, 5)
        });
        let summary = summary(UsagePeriod::Hour, "2024-02-10T12:02:00Z", &samples);
        let ram = of(&summary, Resource::Ram);
        assert_eq!((ram.average, ram.peak), (Some(1_610_612_736.0), Some(2_147_483_648.0)));
        assert_eq!(ram.percent, Some(37.5));
        let cpu = of(&summary, Resource::Cpu);
        assert_eq!((cpu.total, cpu.average, cpu.percent), (Some(2_000_000), Some(500.0), Some(50.0)));
        let sent = of(&summary, Resource::BytesSent);
        assert_eq!((sent.total, sent.average, sent.peak), (Some(12_000), Some(100.0), Some(100.0)));
        assert_eq!(sent.limit, Some(125_000_000));
        let calls = of(&summary, Resource::ApiCalls);
        assert_eq!(
            (calls.total, calls.average, calls.peak, calls.percent),
            (Some(10), Some(10.0), Some(10.0), Some(1.0))
        );
    }

    #[test]
    fn processor_time_alone_still_gives_a_mean() {
        let at: Timestamp = "2024-02-10T12:00:00Z".parse().unwrap();
        let sample = Sample::at(at).with_added(Counter::CpuMicroseconds, 30_000_000);
        let cpu = of(&summary(UsagePeriod::Hour, "2024-02-10T12:01:00Z", &[sample]), Resource::Cpu);
        assert_eq!((cpu.average, cpu.peak), (Some(500.0), None));
    }
}
