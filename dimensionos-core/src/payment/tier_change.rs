use crate::allocation::{Decision, Resource, TierName};
use crate::auth::held;
use crate::context::Context;
use crate::monitoring::slab::Pinned;
use crate::payment::{Payments, StatusReason};
use crate::policy::Action;
use crate::store::Access;
use crate::time::Timestamp;
use crate::users::Account;
use crate::{Code, Error};

/// What stays when a tier changes, and has to have room in the next. What is limited by the hour or the second just
/// slows down.
const STORED: [Resource; 4] = [Resource::Storage, Resource::Files, Resource::Tables, Resource::Records];

impl Payments<'_> {
    /// Moves the caller's account to another tier, at once. Upwards that tier has to be paid for already; downwards what
    /// is stored has to fit. What is paid for a higher tier stays, for whoever moves up again.
    ///
    /// An account that has lapsed may move to a lower tier that is still paid for.
    ///
    /// # Errors
    /// `PaymentRequired` where the tier is not paid for; `DoesNotFit`, with everything that does not; `Conflict` for FREE:
    /// every account begins with its trial, and has no second; those of the account's status.
    pub async fn change_tier(&self, context: &Context, tier: TierName) -> Result<Account, Error> {
        let Self(inner) = self;
        let id = context.account()?.account;
        inner.admit(&context.caller, Action::Pay, id).await?;
        let cell = inner.metering.cell(&*inner.store, id, inner.clock.now()).await?;
        let _turn = inner.enforcing.lock().await;
        let mut tx = inner.store.begin(Access::Write).await?;
        let mut account = held(&mut *tx, context.account()?).await?;
        let now = inner.clock.now();
        let is_covered = account.paid.covers(tier, now);
        let has_lapsed = inner.lifecycle.standing(&account, now).reason == StatusReason::PaymentOverdue;
        // What is paid for already is a payment that is taken up.
        let action = if has_lapsed && is_covered { Action::Pay } else { Action::ChangeTier };
        inner.allows(&context.caller, action, &account)?;
        if tier == account.tier {
            return Ok(account);
        }
        if tier == TierName::Free {
            return Err(Error::Conflict { reason: "the account has had its trial" });
        }
        if !is_covered {
            let price_cents = inner.metering.limits.tier(tier, now).price_cents_per_month;
            return Err(Error::PaymentRequired { tier, price_cents });
        }
        if tier < account.tier {
            self.check_fit(&account, tier, &cell, now)?;
        }
        let events = inner.lifecycle.change(&mut account, now, |account| account.tier = tier);
        self.save(tx, account, &cell, events).await
    }

    /// Whether what an account stores fits in a tier.
    fn check_fit(&self, account: &Account, tier: TierName, cell: &Pinned, now: Timestamp) -> Result<(), Error> {
        let limits = &self.0.metering.limits;
        let own = limits.own(account.id);
        let exceeding = STORED.into_iter().filter_map(|resource| {
            let limit = limits.limit(tier, &own, resource, now)?;
            let (used, _) = cell.cell().used(resource, now);
            let reason = Some(Code::QuotaExceeded);
            let decision = Decision {
                is_allowed: false,
                resource,
                limit: Some(limit),
                used,
                resets_at: None,
                is_over: true,
                reason,
            };
            (used > limit).then_some(decision)
        });
        let exceeding: Vec<Decision> = exceeding.collect();
        if exceeding.is_empty() { Ok(()) } else { Err(Error::DoesNotFit { exceeding }) }
    }
}
