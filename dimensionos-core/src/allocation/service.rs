use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::allocation::accounting::{Question, Request};
use crate::allocation::quota::Figures;
use crate::allocation::{
    Allocation, Allotted, ConsumeKey, Decision, Enforcement, LimitOverride, MAX_HOURLY_LIMIT, MAX_RESERVATION,
    OwnLimits, Reservation, Resource, TierName,
};
use crate::context::Context;
use crate::id::{AccountId, HoldId};
use crate::monitoring::MAX_AMOUNT;
use crate::payment::ServiceStatus;
use crate::platform::{Inner, admitted, only};
use crate::policy::Action;
use crate::store::Access;
use crate::users::{Account, Entry};
use crate::{Code, Error};

/// Answers what each tier grants, and whether an account may use more.
#[derive(Debug)]
pub struct Allocations<'a>(pub(crate) &'a Inner);

impl Allocations<'_> {
    /// What every tier grants now, cheapest first. Public.
    #[must_use]
    pub fn tiers(&self) -> Arc<[Allocation]> {
        self.0.metering.limits.tiers(self.0.clock.now())
    }

    /// What one tier grants now.
    #[must_use]
    pub fn tier(&self, tier: TierName) -> Allocation {
        self.0.metering.limits.tier(tier, self.0.clock.now())
    }

    /// What an account is allotted: what its tier grants, but for limits of its own that are in force.
    ///
    /// # Errors
    /// `NotFound` where there is none, or it is not the caller's; `ServiceCancelled`.
    pub async fn of(&self, context: &Context, account: AccountId) -> Result<Allocation, Error> {
        only(self.of_each(context, &[account]).await?)
    }

    /// The same of several accounts, none of them twice, each by itself, in the order asked.
    ///
    /// # Errors
    /// Where the storage fails; and of each account as [`of`](Self::of).
    pub async fn of_each(
        &self,
        context: &Context,
        accounts: &[AccountId],
    ) -> Result<Vec<Result<Allocation, Error>>, Error> {
        let Self(inner) = self;
        let entries = inner.admit_each(&context.caller, Action::SeeAccount, accounts).await?;
        let own = self.own_limits(&entries).await?;
        Ok(entries.into_iter().map(|entry| Ok(self.allotted(&entry?.account, &own))).collect())
    }

    /// What limits those of these accounts beside their tiers that are not in memory.
    pub(crate) async fn own_limits(
        &self,
        entries: &[Result<Arc<Entry>, Error>],
    ) -> Result<HashMap<AccountId, OwnLimits>, Error> {
        let Self(inner) = self;
        let absent = entries.iter().flatten().filter(|entry| !inner.metering.is_resident(entry.account.id));
        let absent: HashMap<AccountId, &Account> = absent.map(|entry| (entry.account.id, &entry.account)).collect();
        if absent.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: Vec<AccountId> = absent.keys().copied().collect();
        let mut overrides: HashMap<AccountId, Vec<LimitOverride>> = HashMap::new();
        for (account, own) in inner.store.begin(Access::Read).await?.overrides_of(&ids).await? {
            overrides.entry(account).or_default().push(own);
        }
        let limits = |(id, account)| (id, OwnLimits::of(account, overrides.remove(&id).unwrap_or_default()));
        Ok(absent.into_iter().map(limits).collect())
    }

    /// What an account is allotted, by those limits where it is not in memory.
    pub(crate) fn allotted(&self, account: &Account, own: &HashMap<AccountId, OwnLimits>) -> Allocation {
        let limits = &self.0.metering.limits;
        match own.get(&account.id) {
            Some(own) => limits.allotted_by(account.tier, own, self.0.clock.now()),
            None => self.0.allotted(account),
        }
    }

    /// The same at any later time, without asking again: for whoever follows an account as it changes.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub async fn follow(&self, context: &Context, account: AccountId) -> Result<Allotted, Error> {
        let Self(inner) = self;
        inner.admit(&context.caller, Action::SeeAccount, account).await?;
        let cell = inner.present_cell(account).await?;
        Ok(Allotted { cell, metering: Arc::clone(&inner.metering) })
    }

    /// Whether an account may use `amount` more of a resource now, as far as is known without asking the storage. Counts
    /// nothing, and sets nothing aside: what is asked for may be gone a moment later. See [`consume`](Self::consume).
    ///
    /// Levels (memory, storage) are held against the limit by their newest readings; calls and file operations by those of
    /// the last hour; what is limited by the second (network bytes) is allowed.
    ///
    /// # Errors
    /// `NotFound` where there is none, or it is not the caller's; `ServiceSuspended`, `ServiceCancelled`.
    pub async fn check(
        &self,
        context: &Context,
        account: AccountId,
        resource: Resource,
        amount: u64,
    ) -> Result<Decision, Error> {
        let Self(inner) = self;
        let entry = inner.admit(&context.caller, Action::AskQuota, account).await?;
        let cell = inner.present_cell(account).await?;
        let now = inner.clock.now();
        let (used, resets_at) = cell.cell().used(resource, now);
        let limit = match resource {
            Resource::BytesSent | Resource::BytesReceived | Resource::DatabaseQueries => None,
            _ => inner.metering.limits.limit(entry.account.tier, &inner.metering.limits.own(account), resource, now),
        };
        let figures = Figures { limit, used, resets_at };
        Ok(Decision::new(resource, figures, amount, inner.metering.limits.enforcement(resource)))
    }

    /// Whether an account may use that much more of a resource now; where it may, it is counted. However many ask at
    /// once, here and in other processes on the same database, together they never pass a hard limit.
    ///
    /// Calls and file operations count for an hour, bytes for a minute against sixty times their limit by the second.
    /// Of a level (memory, storage) the amount counts beside the newest reading for five minutes, by when a reading
    /// shows it. Most calls and file operations are decided in memory: see [`Meter::consume`](crate::monitoring::Meter).
    ///
    /// Under a `key` the first decision is given again for a day, and counted once.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an agent and the program; `NotFound`; `InvalidInput` for an amount of zero or
    /// past 2^53 - 1; `Conflict` for a key that was used for something else; `Busy`. What is refused by quota or by the
    /// account's status is no error, but a decision: see [`Decision::require`].
    pub async fn consume(
        &self,
        context: &Context,
        account: AccountId,
        resource: Resource,
        amount: u64,
        key: Option<&ConsumeKey>,
    ) -> Result<Decision, Error> {
        let Self(inner) = self;
        let entry = inner.admit(&context.caller, Action::Consume, account).await?;
        let request = Request::new(account, resource, amount)?;
        if let Some(barred) = self.barred(&entry.account, resource) {
            return Ok(barred);
        }
        let now = inner.clock.now();
        if key.is_none() {
            let cell = inner.metering.cell(&*inner.store, account, now).await?;
            if let Some(decision) = inner.metering.consume(&cell, resource, amount, now) {
                return Ok(decision);
            }
        }
        let key = key.map(|key| key.digest(account));
        inner.ledger.decide(|reply| Question::Consume { request, key, reply }).await
    }

    /// Sets so much of a resource aside, to be [committed](Self::commit) or [released](Self::release); what is neither in
    /// time ends by itself.
    ///
    /// # Errors
    /// As [`consume`](Self::consume); `InvalidInput` also for a time of nothing, or longer than [`MAX_RESERVATION`].
    pub async fn reserve(
        &self,
        context: &Context,
        account: AccountId,
        resource: Resource,
        amount: u64,
        lasting: Duration,
    ) -> Result<Reservation, Error> {
        let Self(inner) = self;
        let entry = inner.admit(&context.caller, Action::Consume, account).await?;
        let request = Request::new(account, resource, amount)?;
        if lasting.is_zero() || lasting > MAX_RESERVATION {
            return Err(Error::invalid("lasting", "not more than nothing and at most a day"));
        }
        if let Some(decision) = self.barred(&entry.account, resource) {
            let (id, expires_at) = (HoldId::from_bits(0), inner.clock.now());
            return Ok(Reservation { id, decision, expires_at });
        }
        inner.ledger.decide(|reply| Question::Reserve { request, lasting, reply }).await
    }

    /// Ends a reservation of which so much was used: it is counted, and the rest is free again.
    ///
    /// # Errors
    /// `NotFound` where there is no such reservation of the account, or no longer; `InvalidInput` for more than was
    /// reserved, and then it stays; `Busy`.
    pub async fn commit(
        &self,
        context: &Context,
        account: AccountId,
        reservation: HoldId,
        used: u64,
    ) -> Result<(), Error> {
        let Self(inner) = self;
        inner.admit(&context.caller, Action::Consume, account).await?;
        inner.ledger.decide(|reply| Question::Settle { account, hold: reservation, used, reply }).await
    }

    /// Ends a reservation of which nothing was used.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn release(&self, context: &Context, account: AccountId, reservation: HoldId) -> Result<(), Error> {
        self.commit(context, account, reservation, 0).await
    }

    /// Sets a limit of an account's own, in place of its tier's and of any it has on that resource. It ends by itself.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator and the program; `NotFound`; `InvalidInput` for an end that has
    /// passed, or a limit by the hour past [`MAX_HOURLY_LIMIT`].
    pub async fn set_override(&self, context: &Context, account: AccountId, own: LimitOverride) -> Result<(), Error> {
        let Self(inner) = self;
        inner.admit(&context.caller, Action::SetLimits, account).await?;
        let now = inner.clock.now();
        if own.until <= now {
            return Err(Error::invalid("until", "has passed"));
        }
        let largest = if own.resource.rate_seconds() == 1 { MAX_AMOUNT } else { MAX_HOURLY_LIMIT };
        if own.limit > largest {
            return Err(Error::invalid("limit", format!("more than {largest}")));
        }
        let cell = inner.metering.cell(&*inner.store, account, now).await?;
        let mut tx = inner.store.begin(Access::Write).await?;
        let Some(row) = tx.account(account).await? else { return Err(Error::no_account()) };
        tx.set_override(account, &own).await?;
        let limits = OwnLimits::of(&row, tx.overrides(account).await?);
        inner.commit(tx, account).await?;
        inner.metering.limits.keep(account, limits);
        inner.metering.set_limits(&cell, row.tier);
        Ok(())
    }

    /// The limits of an account's own that are in force.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub async fn overrides(&self, context: &Context, account: AccountId) -> Result<Vec<LimitOverride>, Error> {
        only(self.overrides_of_each(context, &[account]).await?)
    }

    /// The same of several accounts, none of them twice, each by itself, in the order asked.
    ///
    /// # Errors
    /// Where the storage fails; and of each account as [`of`](Self::of).
    pub async fn overrides_of_each(
        &self,
        context: &Context,
        accounts: &[AccountId],
    ) -> Result<Vec<Result<Vec<LimitOverride>, Error>>, Error> {
        let Self(inner) = self;
        let entries = inner.admit_each(&context.caller, Action::SeeAccount, accounts).await?;
        let admitted = admitted(&entries);
        let now = inner.clock.now();
        let mut overrides: HashMap<AccountId, Vec<LimitOverride>> = HashMap::new();
        if !admitted.is_empty() {
            let stored = inner.store.begin(Access::Read).await?.overrides_of(&admitted).await?;
            for (account, own) in stored.into_iter().filter(|(_, own)| own.until > now) {
                overrides.entry(account).or_default().push(own);
            }
        }
        Ok(entries.into_iter().map(|entry| Ok(overrides.remove(&entry?.account.id).unwrap_or_default())).collect())
    }

    /// What is decided where the account's status lets it use nothing.
    fn barred(&self, account: &Account, resource: Resource) -> Option<Decision> {
        let reason = match self.0.standing(account).status {
            ServiceStatus::Active => return None,
            ServiceStatus::ReadOnly => Code::ServiceReadOnly,
            ServiceStatus::Suspended => Code::ServiceSuspended,
            ServiceStatus::Cancelled => Code::ServiceCancelled,
        };
        let figures = Figures { limit: Some(0), used: 0, resets_at: None };
        let refused = Decision::new(resource, figures, 1, Enforcement::Hard);
        Some(Decision { reason: Some(reason), is_over: false, ..refused })
    }
}
