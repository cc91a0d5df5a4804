//! Definitions of tiers, each in force from a stated instant on.

use std::time::Duration;

use crate::Error;
use crate::allocation::quota::{BYTES_PER_GIGABYTE, BYTES_PER_MEGABYTE};
use crate::allocation::{Allocation, DatabaseEngine, MAX_HOURLY_LIMIT, TierName};
use crate::monitoring::MAX_AMOUNT;
use crate::time::Timestamp;

/// How long before it is in force a version of a tier has to be written. By then every process has read it
/// ([`REREAD_INTERVAL`](super::REREAD_INTERVAL)) and nothing is left of what was granted by the version before, which no
/// process does for longer than ten seconds ahead: so no two ever decide by different figures. The rest is for a reading
/// that fails, and for clocks that differ.
pub const TIER_NOTICE: Duration = Duration::from_secs(60);

/// The longest trial: ten years, more than anybody means.
pub const MAX_TRIAL_DAYS: u32 = 3_650;

/// A tier as it is defined from an instant on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierVersion {
    /// Counts the versions of a tier, from 1 on.
    pub version: u32,
    /// From when on it is in force, until a later version is. Of two that have both begun, the later version holds.
    pub effective_from: Timestamp,
    /// What the tier grants by it.
    pub allocation: Allocation,
}

impl TierVersion {
    /// What a new database is seeded with.
    pub(super) const fn initial(tier: TierName) -> Self {
        Self { version: 1, effective_from: Timestamp::EPOCH, allocation: Allocation::initial(tier) }
    }

    /// How it stands among all versions of its tier at an instant.
    #[must_use]
    pub fn state(&self, all: &[Self], now: Timestamp) -> TierVersionState {
        let mut later =
            all.iter().filter(|other| other.allocation.tier == self.allocation.tier && other.version > self.version);
        if later.clone().any(|other| other.effective_from <= self.effective_from) {
            TierVersionState::Replaced
        } else if self.effective_from > now {
            TierVersionState::Upcoming
        } else if later.any(|other| other.effective_from <= now) {
            TierVersionState::Former
        } else {
            TierVersionState::InForce
        }
    }
}

/// How a version of a tier stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TierVersionState {
    /// It was in force, and another is now.
    Former,
    /// It is what the tier grants.
    InForce,
    /// It will be, from its date on.
    Upcoming,
    /// It never is in force: a later version took its place before it began.
    Replaced,
}

impl TierVersionState {
    /// The name answers carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Former => "FORMER",
            Self::InForce => "IN_FORCE",
            Self::Upcoming => "UPCOMING",
            Self::Replaced => "REPLACED",
        }
    }
}

/// A change to a tier: what is left out stays as it would be by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierChange {
    /// Which tier.
    pub tier: TierName,
    /// From when on.
    pub effective_from: Timestamp,
    /// Processor, in thousandths of a core.
    pub cpu_millicores: Option<u64>,
    /// Memory, in MB of 1,048,576 bytes.
    pub ram_megabytes: Option<u64>,
    /// Storage, in GB of 10^9 bytes.
    pub storage_gigabytes: Option<u64>,
    /// Network, in bits a second.
    pub bandwidth_bits_per_second: Option<u64>,
    /// The database it comes with.
    pub database: Option<DatabaseEngine>,
    /// API calls in any hour.
    pub api_calls_per_hour: Option<u64>,
    /// File operations in any hour.
    pub file_operations_per_hour: Option<u64>,
    /// Price a month, in US cents.
    pub price_cents_per_month: Option<u64>,
    /// How many days it is free for, to whoever registers from then on; for FREE alone.
    pub trial_days: Option<u32>,
}

impl TierChange {
    /// A change of nothing yet.
    #[must_use]
    pub const fn new(tier: TierName, effective_from: Timestamp) -> Self {
        Self {
            tier,
            effective_from,
            cpu_millicores: None,
            ram_megabytes: None,
            storage_gigabytes: None,
            bandwidth_bits_per_second: None,
            database: None,
            api_calls_per_hour: None,
            file_operations_per_hour: None,
            price_cents_per_month: None,
            trial_days: None,
        }
    }

    fn over(&self, before: &Allocation) -> Allocation {
        Allocation {
            tier: before.tier,
            cpu_millicores: self.cpu_millicores.unwrap_or(before.cpu_millicores),
            ram_megabytes: self.ram_megabytes.unwrap_or(before.ram_megabytes),
            storage_gigabytes: self.storage_gigabytes.unwrap_or(before.storage_gigabytes),
            bandwidth_bits_per_second: self.bandwidth_bits_per_second.unwrap_or(before.bandwidth_bits_per_second),
            database: self.database.unwrap_or(before.database),
            api_calls_per_hour: self.api_calls_per_hour.unwrap_or(before.api_calls_per_hour),
            file_operations_per_hour: self.file_operations_per_hour.unwrap_or(before.file_operations_per_hour),
            price_cents_per_month: self.price_cents_per_month.unwrap_or(before.price_cents_per_month),
            trial_days: self.trial_days.or(before.trial_days),
        }
    }
}

/// A change, beside what it changes.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    /// What would be in force at that instant without it.
    pub(super) present: TierVersion,
    pub(super) proposed: TierVersion,
    /// Versions that were to begin then or later, and never will.
    pub(super) replaced: Vec<u32>,
}

impl Proposal {
    /// What a change makes of the versions there are.
    ///
    /// # Errors
    /// `InvalidInput`, with the field that cannot be meant.
    pub(super) fn new(versions: &[TierVersion], change: &TierChange, now: Timestamp) -> Result<Self, Error> {
        if change.effective_from < now.after(TIER_NOTICE) {
            let seconds = TIER_NOTICE.as_secs();
            return Err(Error::invalid("from", format!("less than {seconds} seconds ahead")));
        }
        let of_tier = || versions.iter().filter(|version| version.allocation.tier == change.tier);
        let present = in_force(versions, change.tier, change.effective_from);
        let present = present.cloned().unwrap_or_else(|| TierVersion::initial(change.tier));
        let newest = of_tier().map(|version| version.version).max().unwrap_or(0);
        let allocation = change.over(&present.allocation);
        check(&allocation)?;
        let is_ahead = |version: &&TierVersion| {
            version.effective_from >= change.effective_from
                && version.state(versions, now) == TierVersionState::Upcoming
        };
        let replaced: Vec<u32> = of_tier().filter(is_ahead).map(|version| version.version).collect();
        if allocation == present.allocation && replaced.is_empty() {
            return Err(Error::invalid("change", "changes nothing"));
        }
        let version = newest.checked_add(1).ok_or(Error::Internal { what: "there are no more versions" })?;
        let proposed = TierVersion { version, effective_from: change.effective_from, allocation };
        Ok(Self { present, proposed, replaced })
    }
}

/// The version of a tier that is in force at an instant: the latest of those that have begun.
pub(super) fn in_force(versions: &[TierVersion], tier: TierName, at: Timestamp) -> Option<&TierVersion> {
    let begun = versions.iter().filter(|version| version.allocation.tier == tier && version.effective_from <= at);
    begun.max_by_key(|version| version.version)
}

/// Whether figures can be meant.
fn check(allocation: &Allocation) -> Result<(), Error> {
    // The least bandwidth is a byte a second, and amounts are held to what a JSON number holds.
    let figures = [
        ("cpuMillicores", allocation.cpu_millicores, 1, MAX_AMOUNT),
        ("ramMegabytes", allocation.ram_megabytes, 1, MAX_AMOUNT / BYTES_PER_MEGABYTE),
        ("storageGigabytes", allocation.storage_gigabytes, 1, MAX_AMOUNT / BYTES_PER_GIGABYTE),
        ("bandwidthBitsPerSecond", allocation.bandwidth_bits_per_second, 8, MAX_AMOUNT),
        ("apiCallsPerHour", allocation.api_calls_per_hour, 1, MAX_HOURLY_LIMIT),
        ("fileOperationsPerHour", allocation.file_operations_per_hour, 1, MAX_HOURLY_LIMIT),
        ("priceCentsPerMonth", allocation.price_cents_per_month, 0, MAX_AMOUNT),
    ];
    for (field, figure, least, most) in figures {
        if !(least..=most).contains(&figure) {
            return Err(Error::invalid(field, format!("not from {least} to {most}")));
        }
    }
    match (allocation.tier, allocation.trial_days) {
        (TierName::Free, Some(days)) if (1..=MAX_TRIAL_DAYS).contains(&days) => Ok(()),
        (TierName::Free, _) => Err(Error::invalid("trialDays", format!("not from 1 to {MAX_TRIAL_DAYS}"))),
        (_, None) => Ok(()),
        (_, Some(_)) => Err(Error::invalid("trialDays", "only FREE is a trial")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const HOUR: Duration = Duration::from_hours(1);

    fn versions() -> Vec<TierVersion> {
        TierName::ALL.map(TierVersion::initial).into()
    }

    fn calls(after: Duration, calls: u64) -> TierChange {
        let change = TierChange::new(TierName::Starter, NOW.after(after));
        TierChange { api_calls_per_hour: Some(calls), ..change }
    }

    #[test]
    fn a_change_counts_on_from_the_newest_version_and_keeps_what_it_leaves_out() {
        let mut versions = versions();
        let first = Proposal::new(&versions, &calls(HOUR, 7), NOW).unwrap();
        assert_eq!((first.present.version, first.proposed.version, &*first.replaced), (1, 2, &[][..]));
        let expected = Allocation { api_calls_per_hour: 7, ..Allocation::initial(TierName::Starter) };
        assert_eq!(first.proposed.allocation, expected);
        versions.push(first.proposed);
        // What is left out is as it will be by then.
        let price = TierChange { price_cents_per_month: Some(1), api_calls_per_hour: None, ..calls(2 * HOUR, 0) };
        let second = Proposal::new(&versions, &price, NOW).unwrap();
        assert_eq!((second.present.version, second.proposed.version), (2, 3));
        assert_eq!(second.proposed.allocation, Allocation { price_cents_per_month: 1, ..expected });
    }

    #[test]
    fn a_later_version_takes_the_place_of_those_that_have_not_begun() {
        let mut versions = versions();
        for change in [calls(2 * HOUR, 7), calls(3 * HOUR, 8)] {
            versions.push(Proposal::new(&versions, &change, NOW).unwrap().proposed);
        }
        let back = calls(HOUR, 10_000);
        let proposal = Proposal::new(&versions, &back, NOW).unwrap();
        assert_eq!((proposal.present.version, &*proposal.replaced), (1, &[2, 3][..]));
        versions.push(proposal.proposed);
        for after in [1, 2, 3, 4] {
            assert_eq!(in_force(&versions, TierName::Starter, NOW.after(after * HOUR)).unwrap().version, 4);
        }
        let state = |version: usize, at| versions[4 + version - 2].state(&versions, at);
        assert_eq!(
            [2, 3, 4].map(|version| state(version, NOW)),
            [TierVersionState::Replaced, TierVersionState::Replaced, TierVersionState::Upcoming]
        );
        let first = versions.iter().find(|version| version.allocation.tier == TierName::Starter).unwrap();
        assert_eq!(first.state(&versions, NOW), TierVersionState::InForce);
        assert_eq!(first.state(&versions, NOW.after(HOUR)), TierVersionState::Former);
        assert_eq!(state(4, NOW.after(HOUR)), TierVersionState::InForce);
        // Where there is nothing to take the place of, the same figures are no change.
        let again = Proposal::new(&versions, &calls(5 * HOUR, 10_000), NOW).unwrap_err();
        assert!(matches!(again, Error::InvalidInput { field: "change", .. }));
    }

    #[test]
    fn a_figure_that_cannot_be_meant_is_refused_by_its_name() {
        let base = || TierChange::new(TierName::Starter, NOW.after(HOUR));
        let free = || TierChange::new(TierName::Free, NOW.after(HOUR));
        let hourly = Some(MAX_HOURLY_LIMIT + 1);
        let wrong = [
            ("cpuMillicores", TierChange { cpu_millicores: Some(0), ..base() }),
            ("cpuMillicores", TierChange { cpu_millicores: Some(MAX_AMOUNT + 1), ..base() }),
            ("ramMegabytes", TierChange { ram_megabytes: Some(0), ..base() }),
            ("ramMegabytes", TierChange { ram_megabytes: Some((MAX_AMOUNT >> 20) + 1), ..base() }),
            ("storageGigabytes", TierChange { storage_gigabytes: Some(0), ..base() }),
            ("storageGigabytes", TierChange { storage_gigabytes: Some(9_007_200), ..base() }),
            ("bandwidthBitsPerSecond", TierChange { bandwidth_bits_per_second: Some(7), ..base() }),
            ("bandwidthBitsPerSecond", TierChange { bandwidth_bits_per_second: Some(u64::MAX), ..base() }),
            ("apiCallsPerHour", TierChange { api_calls_per_hour: Some(0), ..base() }),
            ("apiCallsPerHour", TierChange { api_calls_per_hour: hourly, ..base() }),
            ("fileOperationsPerHour", TierChange { file_operations_per_hour: Some(0), ..base() }),
            ("fileOperationsPerHour", TierChange { file_operations_per_hour: hourly, ..base() }),
            ("priceCentsPerMonth", TierChange { price_cents_per_month: Some(MAX_AMOUNT + 1), ..base() }),
            ("trialDays", TierChange { trial_days: Some(30), ..base() }),
            ("trialDays", TierChange { trial_days: Some(0), ..free() }),
            ("trialDays", TierChange { trial_days: Some(MAX_TRIAL_DAYS + 1), ..free() }),
            ("change", base()),
            ("change", TierChange { cpu_millicores: Some(8_000), ..base() }),
            ("from", TierChange { cpu_millicores: Some(1), ..TierChange::new(TierName::Pro, NOW) }),
            ("from", calls(TIER_NOTICE - Duration::from_millis(1), 7)),
        ];
        for (name, change) in wrong {
            let refused = Proposal::new(&versions(), &change, NOW).unwrap_err();
            assert!(matches!(refused, Error::InvalidInput { field, .. } if field == name), "{name}: {refused}");
        }
        for right in [
            calls(TIER_NOTICE, MAX_HOURLY_LIMIT),
            TierChange { price_cents_per_month: Some(0), ..base() },
            TierChange { storage_gigabytes: Some(9_007_199), ..base() },
            TierChange { trial_days: Some(MAX_TRIAL_DAYS), ..free() },
        ] {
            Proposal::new(&versions(), &right, NOW).unwrap();
        }
    }
}
