//! Quotas: using them, setting some of them aside, and limits of an account's own.

use std::time::Duration;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use dimensionos_core::allocation::{self, ConsumeKey, LimitOverride};
use dimensionos_core::id::HoldId;
use dimensionos_core::{Code, Error};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::account::{Account, account_id};
use crate::schema::monitoring::Resource;
use crate::schema::{DateTime, UInt53};

/// Whether an account may use so much more, with the figures it was decided on. Figures are in the unit that use is
/// counted in: units of a level, calls and operations of an hour, bytes of a minute.
#[derive(Debug, SimpleObject)]
pub struct QuotaDecision {
    /// Whether it may; then it is counted.
    allowed: bool,
    /// Of what.
    resource: Resource,
    /// What is allowed; null where there is no limit.
    limit: Option<UInt53>,
    /// What is in use, with what was just counted and what is reserved.
    used: UInt53,
    /// What is left; null where there is no limit.
    remaining: Option<UInt53>,
    /// When some of what is in use begins to run off; null for what does not by itself.
    resets_at: Option<DateTime>,
    /// Set where `allowed` is false: one of the error codes.
    reason: Option<String>,
    /// Whether the limit is passed, as a soft limit allows.
    over: bool,
}

impl From<allocation::Decision> for QuotaDecision {
    fn from(decision: allocation::Decision) -> Self {
        Self {
            allowed: decision.is_allowed,
            resource: decision.resource.into(),
            limit: decision.limit.map(UInt53::from),
            used: decision.used.into(),
            remaining: decision.remaining().map(UInt53::from),
            resets_at: decision.resets_at.map(DateTime::from),
            reason: decision.reason.map(|reason| Code::name(reason).to_owned()),
            over: decision.is_over,
        }
    }
}

/// A quota that is set aside.
#[derive(Debug, SimpleObject)]
pub struct QuotaReservation {
    /// Names it; null where nothing was set aside.
    id: Option<ID>,
    /// What was decided.
    decision: QuotaDecision,
    /// When it ends by itself.
    expires_at: DateTime,
}

/// A limit of an account's own, in place of its tier's until a date.
#[derive(Debug, SimpleObject)]
pub struct LimitOverrideInForce {
    /// What it limits.
    resource: Resource,
    /// How much, in the unit that `Resource` states for limits.
    limit: UInt53,
    /// When it ends.
    until: DateTime,
}

impl From<LimitOverride> for LimitOverrideInForce {
    fn from(own: LimitOverride) -> Self {
        Self { resource: own.resource.into(), limit: own.limit.into(), until: own.until.into() }
    }
}

#[derive(Debug, Default)]
pub struct QuotaMutation;

#[Object]
impl QuotaMutation {
    /// Agents only: may this account use that much more now? Counts it where it may. A retry under the same key gets the
    /// first decision, and counts once.
    async fn consume(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whose quota.")] account: ID,
        #[graphql(desc = "Of what.")] resource: Resource,
        #[graphql(desc = "How much, in the resource's unit: at least 1.")] amount: UInt53,
        #[graphql(desc = "1 to 256 bytes that name this use among the account's; remembered for a day.")] key: Option<
            String,
        >,
    ) -> Result<QuotaDecision> {
        let asked = Asked::of(context)?;
        let decision = async {
            let key = key.as_deref().map(ConsumeKey::new).transpose()?;
            let (quotas, account) = (asked.platform.allocation(), account_id(&account));
            quotas.consume(&asked.context, account, resource.into(), amount.0, key.as_ref()).await
        };
        Ok(decision.await.map_err(|error| dress(&error, asked))?.into())
    }

    /// Agents only. Sets so much of a quota aside, to be committed or released; what is neither in time ends by itself.
    async fn reserve_quota(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whose quota.")] account: ID,
        #[graphql(desc = "Of what.")] resource: Resource,
        #[graphql(desc = "How much, in the resource's unit: at least 1.")] amount: UInt53,
        #[graphql(default = 60, desc = "For how many seconds: 1 to 86,400.")] seconds: i32,
    ) -> Result<QuotaReservation> {
        let asked = Asked::of(context)?;
        let reserved = async {
            let seconds = u64::try_from(seconds).ok().filter(|seconds| (1..=86_400).contains(seconds));
            let lasting = seconds
                .map(Duration::from_secs)
                .ok_or_else(|| Error::InvalidInput { field: "seconds", reason: "not from 1 to 86,400".to_owned() })?;
            let (quotas, account) = (asked.platform.allocation(), account_id(&account));
            quotas.reserve(&asked.context, account, resource.into(), amount.0, lasting).await
        };
        let reserved = reserved.await.map_err(|error| dress(&error, asked))?;
        Ok(QuotaReservation {
            id: reserved.decision.is_allowed.then(|| reserved.id.to_string().into()),
            decision: reserved.decision.into(),
            expires_at: reserved.expires_at.into(),
        })
    }

    /// Agents only. Ends a reservation of which so much was used; the rest is free again.
    async fn commit_reservation(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whose quota.")] account: ID,
        #[graphql(desc = "The reservation.")] reservation: ID,
        #[graphql(desc = "How much was used: 0 to what was reserved.")] amount: UInt53,
    ) -> Result<bool> {
        settle(context, &account, &reservation, amount.0).await
    }

    /// Agents only. Ends a reservation of which nothing was used.
    async fn release_reservation(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whose quota.")] account: ID,
        #[graphql(desc = "The reservation.")] reservation: ID,
    ) -> Result<bool> {
        settle(context, &account, &reservation, 0).await
    }

    /// Operators only. Sets a limit of an account's own, in place of its tier's until a date, when it ends by itself.
    async fn set_limit(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Whose.")] account: ID,
        #[graphql(desc = "Of what; also what no tier limits.")] resource: Resource,
        #[graphql(desc = "How much, in the unit that `Resource` states for limits.")] limit: UInt53,
        #[graphql(desc = "When it ends.")] until: DateTime,
    ) -> Result<Account> {
        let asked = Asked::of(context)?;
        let set = async {
            let id = account_id(&account);
            let own = LimitOverride { resource: resource.into(), limit: limit.0, until: until.0 };
            asked.platform.allocation().set_override(&asked.context, id, own).await?;
            asked.platform.users().any_account(&asked.context, id).await
        };
        let row = set.await.map_err(|error| dress(&error, asked))?;
        Ok(Account::new(row, asked.context.clone(), asked))
    }
}

async fn settle(context: &Context<'_>, account: &ID, reservation: &ID, used: u64) -> Result<bool> {
    let asked = Asked::of(context)?;
    // No reservation is called so: what is not there is told in one way.
    let reservation = reservation.parse().unwrap_or(HoldId::from_bits(0));
    let settled = asked.platform.allocation().commit(&asked.context, account_id(account), reservation, used).await;
    settled.map_err(|error| dress(&error, asked))?;
    Ok(true)
}
