use std::sync::Arc;

use crate::Error;
use crate::allocation::{Allocation, Decision, Resource, TierName};
use crate::context::Context;
use crate::id::AccountId;
use crate::platform::Inner;
use crate::policy::Action;
use crate::store::Access;

/// Answers what each tier grants, and whether an account may use more.
#[derive(Debug)]
pub struct Allocations<'a>(pub(crate) &'a Inner);

impl Allocations<'_> {
    /// What every tier grants, cheapest first. Public.
    #[must_use]
    pub fn tiers(&self) -> Arc<[Allocation]> {
        Arc::clone(&self.0.tiers)
    }

    /// What one tier grants.
    #[must_use]
    pub fn tier(&self, tier: TierName) -> Allocation {
        self.0.tier(tier)
    }

    /// Whether an account may use `amount` more of a resource now, by its newest readings. Counts nothing.
    ///
    /// Levels (memory, storage) and what is limited by the hour (calls, file operations) are held against the tier;
    /// network bytes, whose limit is a rate, and what the tier does not limit are allowed.
    ///
    /// # Errors
    /// `NotFound` for an account that is not there or not the caller's.
    pub async fn check(
        &self,
        context: &Context,
        account: AccountId,
        resource: Resource,
        amount: u64,
    ) -> Result<Decision, Error> {
        let entry = self.0.admit(&context.caller, Action::AskQuota, account).await?;
        let now = self.0.clock.now();
        let cell = self.0.metering.cell(&*self.0.store, account, now).await?;
        let (used, resets_at) = cell.used(resource, now);
        let limit = match resource {
            Resource::BytesSent | Resource::BytesReceived => None,
            _ => resource.limit(&self.0.tier(entry.account.tier)),
        };
        let is_allowed = limit.is_none_or(|limit| used.saturating_add(amount) <= limit);
        Ok(Decision { is_allowed, resource, limit, used, resets_at })
    }
}

/// The rows of the tiers, cheapest first, seeded where the database has none.
pub(crate) async fn load(store: &dyn crate::store::Store) -> Result<Arc<[Allocation]>, Error> {
    let mut tx = store.begin(Access::Write).await?;
    let mut tiers = tx.allocations().await?;
    for tier in TierName::ALL {
        if !tiers.iter().any(|allocation| allocation.tier == tier) {
            let allocation = Allocation::initial(tier);
            tx.insert_allocation(&allocation).await?;
            tiers.push(allocation);
        }
    }
    tx.commit().await?;
    tiers.sort_by_key(|allocation| allocation.tier);
    Ok(tiers.into())
}
