//! Changing what tiers grant: who would be met by it, and from when on it holds.

use std::sync::Weak;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::Error;
use crate::allocation::quota::Counted;
use crate::allocation::schedule::TierSchedule;
use crate::allocation::version::Proposal;
use crate::allocation::{Allocations, Resource, TierChange, TierName, TierVersion};
use crate::context::Context;
use crate::id::AccountId;
use crate::platform::Inner;
use crate::policy::{Action, Target, allows};
use crate::store::{Access, Store, StoreError};
use crate::time::Timestamp;

/// How often a process reads the versions of the tiers again: another, or the command line, may have added one. Often enough
/// that each is known well before it is in force ([`TIER_NOTICE`](super::TIER_NOTICE)), and a few rows each time.
pub const REREAD_INTERVAL: Duration = Duration::from_secs(10);

/// How many accounts of a plan are named, of each resource.
pub const MAX_LISTED_USERS: u64 = 100;

/// Which accounts are looked for: those of a tier that use more of something than so much, and are limited to it by
/// nothing but their tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeavyUse {
    /// Of which tier.
    pub tier: TierName,
    /// Of what.
    pub resource: Resource,
    /// More than that.
    pub more_than: u64,
    /// Of what adds up, in the minutes that start then or later. Of a level the newest reading counts, however old.
    pub since: Timestamp,
    /// Those that have a limit of their own on it after that instant are left out.
    pub own_limit_after: Timestamp,
}

/// An account that uses much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeavyUser {
    /// Which.
    pub account: AccountId,
    /// How much it uses.
    pub used: u64,
}

/// What a change to a tier would do, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierPlan {
    /// What would be in force by then without it.
    pub present: TierVersion,
    /// What it would make of that.
    pub proposed: TierVersion,
    /// Versions that were to begin then or later, and never would.
    pub replaced: Vec<u32>,
    /// How many accounts there are on the tier.
    pub accounts: u64,
    /// For each limit that would be lowered, who is past it already.
    pub excesses: Vec<TierExcess>,
}

/// Who uses more of something than a lowered limit would allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierExcess {
    /// Of what.
    pub resource: Resource,
    /// The limit as it would be without the change, in the unit of `used`: of a level as it is read, of calls and file
    /// operations by the hour, of bytes by the minute.
    pub old_limit: u64,
    /// The limit by the change.
    pub new_limit: u64,
    /// How many accounts are past it now.
    pub accounts: u64,
    /// The heaviest of them, at most [`MAX_LISTED_USERS`].
    pub heaviest: Vec<HeavyUser>,
}

impl Allocations<'_> {
    /// Every version of every tier, in the order of the tiers and of the versions.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program.
    pub async fn tier_versions(&self, context: &Context) -> Result<Vec<TierVersion>, Error> {
        allows(&context.caller, Action::SetTiers, Target::Service)?;
        let stored = self.0.store.begin(Access::Read).await?.tier_versions().await?;
        Ok(TierSchedule::new(stored).versions().to_vec())
    }

    /// What a change to a tier would do, by what accounts use now. Changes nothing.
    ///
    /// # Errors
    /// Those of [`apply_tier`](Self::apply_tier).
    pub async fn plan_tier(&self, context: &Context, change: &TierChange) -> Result<TierPlan, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::SetTiers, Target::Service)?;
        let now = inner.clock.now();
        let mut tx = inner.store.begin(Access::Read).await?;
        let Proposal { present, proposed, replaced } = Proposal::new(&tx.tier_versions().await?, change, now)?;
        let accounts = tx.tier_accounts(change.tier).await?;
        let mut excesses = Vec::new();
        for resource in Resource::ALL {
            let limit = |version: &TierVersion| resource.limit(&version.allocation);
            let lowered = limit(&present).zip(limit(&proposed)).filter(|(old, new)| new < old);
            let Some((old_limit, new_limit)) = lowered else { continue };
            let (old_limit, new_limit) = (resource.in_counted_unit(old_limit), resource.in_counted_unit(new_limit));
            let since = match resource.counted() {
                Counted::For { seconds } => now.before(Duration::from_secs(seconds)).floor(60),
                Counted::WhileItLasts => Timestamp::EPOCH,
            };
            let own_limit_after = change.effective_from;
            let asked = HeavyUse { tier: change.tier, resource, more_than: new_limit, since, own_limit_after };
            let (accounts, heaviest) = tx.heavy_users(&asked, MAX_LISTED_USERS).await?;
            excesses.push(TierExcess { resource, old_limit, new_limit, accounts, heaviest });
        }
        Ok(TierPlan { present, proposed, replaced, accounts, excesses })
    }

    /// Changes what a tier grants from an instant on, in every process on the database at once, and gives the new version.
    /// It takes the place of versions that were to begin then or later. Whoever is past a lowered limit by then keeps what
    /// there is, and gets no more.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `InvalidInput` for an instant less than
    /// [`TIER_NOTICE`](super::TIER_NOTICE) ahead, for figures that cannot be meant, and for a change of nothing; `Conflict`
    /// where somebody else has just changed the same tier.
    pub async fn apply_tier(&self, context: &Context, change: &TierChange) -> Result<TierVersion, Error> {
        let Self(inner) = self;
        allows(&context.caller, Action::SetTiers, Target::Service)?;
        let mut tx = inner.store.begin(Access::Write).await?;
        // The clock is read under the lock: what waited for it is not written too late.
        let Proposal { proposed, .. } = Proposal::new(&tx.tier_versions().await?, change, inner.clock.now())?;
        tx.insert_tier_version(&proposed).await.map_err(taken)?;
        tx.commit().await.map_err(taken)?;
        inner.sharing.tiers_changed();
        if let Err(error) = inner.metering.limits.reread(&*inner.store).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the new version of a tier is read in a while");
        }
        Ok(proposed)
    }
}

fn taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::Conflict { reason: "somebody else has just changed this tier" },
        other => other.into(),
    }
}

/// The versions of the tiers, seeded where the database has none of one.
pub(crate) async fn load(store: &dyn Store) -> Result<TierSchedule, Error> {
    match seeded(store).await {
        // Two that start at once on an empty database: the other was first.
        Err(StoreError::Conflict) => Ok(seeded(store).await?),
        loaded => Ok(loaded?),
    }
}

async fn seeded(store: &dyn Store) -> Result<TierSchedule, StoreError> {
    let mut versions = store.begin(Access::Read).await?.tier_versions().await?;
    let is_missing = |tier: &TierName| !versions.iter().any(|version| version.allocation.tier == *tier);
    let missing: Vec<TierName> = TierName::ALL.into_iter().filter(is_missing).collect();
    if !missing.is_empty() {
        let mut tx = store.begin(Access::Write).await?;
        for version in missing.into_iter().map(TierVersion::initial) {
            tx.insert_tier_version(&version).await?;
            versions.push(version);
        }
        tx.commit().await?;
    }
    Ok(TierSchedule::new(versions))
}

/// Takes up what other processes, and the command line, changed of the tiers, for as long as the platform is there.
pub(crate) async fn follow(platform: Weak<Inner>) {
    let mut ticks = tokio::time::interval(REREAD_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        let Some(inner) = platform.upgrade() else { return };
        match inner.metering.limits.reread(&*inner.store).await {
            Ok(()) => is_failing = false,
            // Once for as long as it lasts.
            Err(error) if !std::mem::replace(&mut is_failing, true) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the versions of the tiers cannot be read");
            }
            Err(_) => {}
        }
    }
}
