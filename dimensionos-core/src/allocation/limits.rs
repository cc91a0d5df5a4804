//! What limits an account: its tier, unless something else was granted to it until a date.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use dashmap::DashMap;
use tokio::sync::Mutex;

use crate::allocation::schedule::{TierSchedule, Tiers};
use crate::allocation::{Allocation, Resource, TierName};
use crate::id::AccountId;
use crate::store::{Access, Store, StoreError};
use crate::time::Timestamp;
use crate::tos::{self, Restriction};
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

/// What limits one account beside its tier: limits of its own, and what a breach of the terms throttles it to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnLimits {
    overrides: Vec<LimitOverride>,
    /// Kept as they are, and not as the limits that follow: a throttle is a part of what the tier grants when it is asked
    /// for.
    restrictions: Vec<Restriction>,
}

impl OwnLimits {
    /// By an account's row and the limits that are stored of it.
    pub(crate) fn of(account: &Account, overrides: Vec<LimitOverride>) -> Self {
        Self { overrides, restrictions: account.restrictions.clone() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.overrides.is_empty() && self.restrictions.is_empty()
    }

    /// All of them at an instant, for an account whose tier grants that.
    pub(crate) fn at(&self, tier: &Allocation, now: Timestamp) -> Vec<LimitOverride> {
        let mut limits = self.overrides.clone();
        if !self.restrictions.is_empty() {
            let granted = tier.clone().with_overrides(&limits, now);
            limits.extend(tos::throttled(&granted, &self.restrictions, now));
        }
        limits.retain(|own| own.until > now);
        limits
    }

    fn limit(&self, tier: &Allocation, resource: Resource, now: Timestamp) -> Option<u64> {
        let least = |limits: &[LimitOverride]| {
            in_force(limits, now).filter(|own| own.resource == resource).map(|own| own.limit).min()
        };
        if self.restrictions.is_empty() { least(&self.overrides) } else { least(&self.at(tier, now)) }
    }
}

/// The limits of all accounts in memory.
#[derive(Debug)]
pub(crate) struct Limits {
    schedule: ArcSwap<TierSchedule>,
    /// Held while the stored versions are read, so that an older reading never takes a newer one's place.
    reading: Mutex<()>,
    soft: Vec<Resource>,
    own: DashMap<AccountId, Arc<OwnLimits>>,
}

/// What the tiers grant at one instant, to be looked up often.
pub(crate) struct TiersAt {
    schedule: Guard<Arc<TierSchedule>>,
    now: Timestamp,
}

impl TiersAt {
    pub(crate) fn tier(&self, tier: TierName) -> &Allocation {
        &self.schedule.at(self.now)[tier as usize]
    }
}

impl Limits {
    pub(crate) fn new(schedule: TierSchedule, soft: Vec<Resource>) -> Self {
        let schedule = ArcSwap::from_pointee(schedule);
        Self { schedule, reading: Mutex::default(), soft, own: DashMap::new() }
    }

    /// What the tiers grant at an instant, without a lock.
    pub(crate) fn at(&self, now: Timestamp) -> TiersAt {
        TiersAt { schedule: self.schedule.load(), now }
    }

    pub(crate) fn tiers(&self, now: Timestamp) -> Tiers {
        Arc::clone(self.schedule.load().at(now))
    }

    pub(crate) fn tier(&self, tier: TierName, now: Timestamp) -> Allocation {
        self.at(now).tier(tier).clone()
    }

    /// When what a tier grants changes next; absent where nothing is to change.
    pub(crate) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.schedule.load().next_change(now)
    }

    /// Reads the versions of the tiers again. What they say holds from then on, all of it at once.
    pub(crate) async fn reread(&self, store: &dyn Store) -> Result<(), StoreError> {
        let _turn = self.reading.lock().await;
        let schedule = TierSchedule::new(store.begin(Access::Read).await?.tier_versions().await?);
        if schedule.versions() != self.schedule.load().versions() {
            self.schedule.store(Arc::new(schedule));
        }
        Ok(())
    }

    /// How long an account that is registered now is free.
    pub(crate) fn trial(&self, now: Timestamp) -> Duration {
        let days = self.at(now).tier(TierName::Free).trial_days.unwrap_or_default();
        Duration::from_hours(u64::from(days) * 24)
    }

    pub(crate) fn enforcement(&self, resource: Resource) -> Enforcement {
        if self.soft.contains(&resource) { Enforcement::Soft } else { Enforcement::Hard }
    }

    /// Remembers what limits an account beside its tier, as the storage has it.
    pub(crate) fn keep(&self, account: AccountId, own: OwnLimits) {
        if own.is_empty() {
            self.own.remove(&account);
        } else {
            self.own.insert(account, Arc::new(own));
        }
    }

    /// What limits an account in memory beside its tier.
    pub(crate) fn own(&self, account: AccountId) -> Arc<OwnLimits> {
        self.own.get(&account).map(|own| Arc::clone(&own)).unwrap_or_default()
    }

    /// The same, by whether its cell knows of any.
    pub(crate) fn own_if(&self, has_own: bool, account: AccountId) -> Option<Arc<OwnLimits>> {
        has_own.then(|| self.own(account))
    }

    /// What a tier grants, but for what limits an account in memory beside it.
    pub(crate) fn allotted(&self, tier: TierName, account: Option<AccountId>, now: Timestamp) -> Allocation {
        let tier = self.tier(tier, now);
        let Some(own) = account.map(|account| self.own(account)) else { return tier };
        let own = own.at(&tier, now);
        tier.with_overrides(&own, now)
    }

    /// The same, by what limits an account beside its tier.
    pub(crate) fn allotted_by(&self, tier: TierName, own: &OwnLimits, now: Timestamp) -> Allocation {
        let tier = self.tier(tier, now);
        let own = own.at(&tier, now);
        tier.with_overrides(&own, now)
    }

    /// The limit of an account in memory, by what its cell knows.
    pub(crate) fn of(
        &self,
        (tier, has_own): (TierName, bool),
        account: AccountId,
        resource: Resource,
        now: Timestamp,
    ) -> Option<u64> {
        limit(self.at(now).tier(tier), self.own_if(has_own, account).as_deref(), resource, now)
    }

    /// What a tier limits a resource to, or the account's own limit where one is in force.
    pub(crate) fn limit(&self, tier: TierName, own: &OwnLimits, resource: Resource, now: Timestamp) -> Option<u64> {
        limit(self.at(now).tier(tier), Some(own), resource, now)
    }
}

/// What an account is limited to whose tier grants that.
pub(crate) fn limit(tier: &Allocation, own: Option<&OwnLimits>, resource: Resource, now: Timestamp) -> Option<u64> {
    own.and_then(|own| own.limit(tier, resource, now)).or_else(|| resource.limit(tier))
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
        let limits = Limits::new(TierSchedule::initial(), Vec::new());
        let hour = Duration::from_secs(3_600);
        let own = [
            LimitOverride { resource: Resource::ApiCalls, limit: 5, until: NOW.after(hour) },
            LimitOverride { resource: Resource::Files, limit: 7, until: NOW.after(hour) },
        ];
        let known = OwnLimits { overrides: own.into(), restrictions: Vec::new() };
        let limit = |resource, at| limits.limit(TierName::Free, &known, resource, at);
        assert_eq!((limit(Resource::ApiCalls, NOW), limit(Resource::Files, NOW)), (Some(5), Some(7)));
        let after = NOW.after(hour);
        assert_eq!((limit(Resource::ApiCalls, after), limit(Resource::Files, after)), (Some(1_000), None));
        let shown = Allocation::initial(TierName::Free).with_overrides(&own, NOW);
        assert_eq!((shown.api_calls_per_hour, shown.file_operations_per_hour), (5, 10_000));
        assert_eq!(
            shown.with_overrides(&own, after),
            Allocation { api_calls_per_hour: 5, ..limits.tier(TierName::Free, NOW) }
        );
    }
}
