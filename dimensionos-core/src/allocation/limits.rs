//! What limits an account: its tier, unless something else was granted to it until a date.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

use crate::allocation::{Allocation, Resource, TierName};
use crate::id::AccountId;
use crate::time::Timestamp;
use crate::tos;
use crate::users::Account;

/// The largest limit by the hour. Windows count as far, and a limit beyond what they count would never be met.
pub const MAX_HOURLY_LIMIT: u64 = u32::MAX as u64;

/// A limit of one account's own, in place of its tier's until a date; from then on the tier's holds by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitOverride {
    /// What it limits; also what no tier does.
    pub resource: Resource,
    /// How much, in the unit of [`Resource::limit`].
    pub limit: u64,
    /// When it ends.
    pub until: Timestamp,
}

/// What happens at a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enforcement {
    /// More is refused.
    #[default]
    Hard,
    /// More is allowed, and flagged.
    Soft,
}

/// The limits of all accounts in memory.
#[derive(Debug)]
pub(crate) struct Limits {
    tiers: Arc<[Allocation]>,
    soft: Vec<Resource>,
    overrides: DashMap<AccountId, Arc<[LimitOverride]>>,
}

impl Limits {
    pub(crate) fn new(tiers: Arc<[Allocation]>, soft: Vec<Resource>) -> Self {
        Self { tiers, soft, overrides: DashMap::new() }
    }

    pub(crate) fn tiers(&self) -> &Arc<[Allocation]> {
        &self.tiers
    }

    pub(crate) fn tier(&self, tier: TierName) -> Allocation {
        let known = self.tiers.iter().find(|allocation| allocation.tier == tier).cloned();
        // `allocation::load` has put every tier there.
        known.unwrap_or_else(|| Allocation::initial(tier))
    }

    /// How long an account that is registered now is free.
    pub(crate) fn trial(&self) -> Duration {
        Duration::from_hours(u64::from(self.tier(TierName::Free).trial_days.unwrap_or_default()) * 24)
    }

    pub(crate) fn enforcement(&self, resource: Resource) -> Enforcement {
        if self.soft.contains(&resource) { Enforcement::Soft } else { Enforcement::Hard }
    }

    /// Remembers an account's own limits, as the storage has them.
    pub(crate) fn keep(&self, account: AccountId, overrides: &[LimitOverride]) {
        if overrides.is_empty() {
            self.overrides.remove(&account);
        } else {
            self.overrides.insert(account, overrides.into());
        }
    }

    /// What limits an account beside its tier: its own limits, and what a breach of the terms throttles it to.
    pub(crate) fn own(
        &self,
        account: &Account,
        mut overrides: Vec<LimitOverride>,
        now: Timestamp,
    ) -> Vec<LimitOverride> {
        if !account.restrictions.is_empty() {
            let granted = self.tier(account.tier).with_overrides(&overrides, now);
            overrides.extend(tos::throttled(&granted, &account.restrictions, now));
        }
        overrides
    }

    pub(crate) fn overrides(&self, account: AccountId) -> Arc<[LimitOverride]> {
        self.overrides.get(&account).map(|own| Arc::clone(&own)).unwrap_or_default()
    }

    /// The limit of an account in memory, by what its cell knows.
    pub(crate) fn of(
        &self,
        (tier, is_overridden): (TierName, bool),
        account: AccountId,
        resource: Resource,
        now: Timestamp,
    ) -> Option<u64> {
        match self.overrides.get(&account) {
            Some(own) if is_overridden => self.limit(tier, &own, resource, now),
            _ => self.limit(tier, &[], resource, now),
        }
    }

    /// What a tier limits a resource to, or the account's own limit where one is in force.
    pub(crate) fn limit(
        &self,
        tier: TierName,
        overrides: &[LimitOverride],
        resource: Resource,
        now: Timestamp,
    ) -> Option<u64> {
        let own = in_force(overrides, now).filter(|own| own.resource == resource).map(|own| own.limit).min();
        own.or_else(|| resource.limit(self.tiers.iter().find(|allocation| allocation.tier == tier)?))
    }
}

fn in_force(overrides: &[LimitOverride], now: Timestamp) -> impl Iterator<Item = &LimitOverride> {
    overrides.iter().filter(move |own| own.until > now)
}

impl Allocation {
    /// The same with an account's own limits in place of the tier's, as of an instant.
    #[must_use]
    pub fn with_overrides(mut self, overrides: &[LimitOverride], now: Timestamp) -> Self {
        let is_met_first =
            |own: &LimitOverride, other: &LimitOverride| own.resource == other.resource && other.limit < own.limit;
        for own in in_force(overrides, now) {
            // A throttle stands beside a limit of the account's own, and the tighter of them holds.
            if in_force(overrides, now).any(|other| is_met_first(own, other)) {
                continue;
            }
            match own.resource {
                Resource::Cpu => self.cpu_millicores = own.limit,
                Resource::Ram => self.ram_megabytes = own.limit / super::quota::BYTES_PER_MEGABYTE,
                Resource::Storage => self.storage_gigabytes = own.limit / super::quota::BYTES_PER_GIGABYTE,
                // One bandwidth holds for both directions: the narrower one shows.
                Resource::BytesSent | Resource::BytesReceived => {
                    self.bandwidth_bits_per_second = own.limit.saturating_mul(8);
                }
                Resource::ApiCalls => self.api_calls_per_hour = own.limit,
                Resource::FileOperations => self.file_operations_per_hour = own.limit,
                // No tier has a figure for these.
                Resource::Files
                | Resource::Connections
                | Resource::Tables
                | Resource::Records
                | Resource::DatabaseQueries => {}
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    #[test]
    fn an_override_holds_until_its_end_and_then_the_tier_again() {
        let tiers: Vec<_> = TierName::ALL.map(Allocation::initial).into();
        let limits = Limits::new(tiers.into(), Vec::new());
        let hour = Duration::from_secs(3_600);
        let own = [
            LimitOverride { resource: Resource::ApiCalls, limit: 5, until: NOW.after(hour) },
            LimitOverride { resource: Resource::Files, limit: 7, until: NOW.after(hour) },
        ];
        let limit = |resource, at| limits.limit(TierName::Free, &own, resource, at);
        assert_eq!((limit(Resource::ApiCalls, NOW), limit(Resource::Files, NOW)), (Some(5), Some(7)));
        let after = NOW.after(hour);
        assert_eq!((limit(Resource::ApiCalls, after), limit(Resource::Files, after)), (Some(1_000), None));
        let shown = Allocation::initial(TierName::Free).with_overrides(&own, NOW);
        assert_eq!((shown.api_calls_per_hour, shown.file_operations_per_hour), (5, 10_000));
        assert_eq!(
            shown.with_overrides(&own, after),
            Allocation { api_calls_per_hour: 5, ..limits.tier(TierName::Free) }
        );
    }
}
