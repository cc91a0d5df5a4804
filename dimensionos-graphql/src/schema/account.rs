use async_graphql::{ComplexObject, Context, Enum, ID, Object, Result, SimpleObject};
use dimensionos_core::allocation;
use dimensionos_core::payment::{self, lifecycle};
use dimensionos_core::users::{self, AccountFilter};
use dimensionos_core::{AccountId, Error, Platform};

use crate::engine::Asked;
use crate::error::dress;
use crate::loader::{
    AllocationRead, HistoryRead, MetricsRead, OverridesRead, RecoveryCodesRead, UsageRead, ViolationsRead,
};
use crate::plan::Member::{Leaf, Part};
use crate::plan::{self, At, Shape};
use crate::schema::account_page::AccountConnection;
use crate::schema::allocation::{ALLOCATION, Allocation, TierName};
use crate::schema::monitoring::{
    METRICS, Resolution, Resource, ResourceMetrics, UsagePeriod, UsagePoint, UsageSummary,
};
use crate::schema::page;
use crate::schema::payment::{NextStep, Payment};
use crate::schema::quota::LimitOverrideInForce;
use crate::schema::session::Session;
use crate::schema::terms::AccountTerms;
use crate::schema::violation::ViolationConnection;
use crate::schema::{DateTime, UInt53};

/// What an account may do, from everything to nothing.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "payment::ServiceStatus")]
pub enum ServiceStatus {
    /// Everything the tier allocates.
    Active,
    /// Reads, export, payment, appeal and logout work; every other mutation is refused.
    ReadOnly,
    /// Only status, reasons, export, payment, appeal and logout work. Live subscriptions are closed.
    Suspended,
    /// Closed. Only a restore inside the restore window, or erasure, is left.
    Cancelled,
}

/// Why an account has its status.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "payment::StatusReason")]
pub enum StatusReason {
    /// There is nothing to explain.
    None,
    /// The trial has ended.
    TrialExpired,
    /// What was paid for has run out.
    PaymentOverdue,
    /// It follows from a breach of the terms: see the account's violations.
    TosViolation,
    /// An operator decided it.
    Operator,
    /// Its holder cancelled it.
    Owner,
}

/// An account's time for free.
#[derive(Debug, SimpleObject)]
pub struct Trial {
    /// When it began.
    started_at: DateTime,
    /// When it ends, or ended.
    ends_at: DateTime,
    /// Whether it has ended.
    expired: bool,
    /// Days that have begun and not ended: 30 on the first day, 0 once it has expired.
    days_left: i32,
}

impl From<payment::Trial> for Trial {
    fn from(trial: payment::Trial) -> Self {
        Self {
            started_at: trial.started_at.into(),
            ends_at: trial.ends_at.into(),
            expired: trial.is_expired,
            days_left: i32::try_from(trial.days_left).unwrap_or(i32::MAX),
        }
    }
}

/// An account: pseudonymous, and visible to its holder.
#[derive(Debug, SimpleObject)]
#[graphql(complex)]
pub struct Account {
    /// Random, and unrelated to the email address.
    pub(crate) id: ID,
    /// What it is allotted by.
    tier: TierName,
    /// What it may do at this instant.
    status: ServiceStatus,
    /// Why it has its status.
    status_reason: StatusReason,
    /// Since when it has its status.
    status_since: DateTime,
    /// What the operator wrote who decided the status; null where none did.
    status_note: Option<String>,
    /// Null once the account has left the FREE tier.
    trial: Option<Trial>,
    /// Whether it is paid for.
    payment: Payment,
    /// What time takes from it next, unless somebody does something; null where it is gone at the next look.
    next_step: Option<NextStep>,
    /// Which terms it has accepted, and which it has to.
    terms: AccountTerms,
    #[graphql(skip)]
    row: users::Account,
    /// As whom its further fields are asked: after a sign-in that is the account, and no longer nobody.
    #[graphql(skip)]
    viewer: dimensionos_core::Context,
}

impl Account {
    pub(crate) fn new(row: users::Account, viewer: dimensionos_core::Context, asked: &Asked) -> Self {
        Self::of(row, viewer, &asked.platform)
    }

    pub(crate) fn of(row: users::Account, viewer: dimensionos_core::Context, platform: &Platform) -> Self {
        let standing = platform.users().standing_of(&row);
        Self::standing(row, standing, viewer, platform)
    }

    /// An account in the standing that it was chosen by, an instant ago.
    pub(crate) fn standing(
        row: users::Account,
        standing: payment::Standing,
        viewer: dimensionos_core::Context,
        platform: &Platform,
    ) -> Self {
        let now = platform.clock().now();
        Self {
            id: row.id.to_string().into(),
            tier: row.tier.into(),
            status: standing.status.into(),
            status_reason: standing.reason.into(),
            status_since: standing.since.into(),
            status_note: row.operator_status.as_ref().map(|decided| decided.note.as_str().to_owned()),
            trial: lifecycle::trial(&row, now).map(Trial::from),
            payment: Payment::of(&row, platform),
            next_step: platform.payment().next_step_of(&row).map(NextStep::from),
            terms: AccountTerms::new(row.terms.as_ref(), platform.terms(), now),
            row,
            viewer,
        }
    }
}

#[ComplexObject]
impl Account {
    /// 64 hex digits: the keyed SHA-256 tag of the address (or account number). Visible to the owner alone.
    async fn anonymous_id(&self, context: &Context<'_>) -> Result<String> {
        let asked = Asked::of(context)?;
        let tag = asked.platform.users().tag(&self.viewer, &self.row);
        Ok(tag.map_err(|error| dress(&error, asked))?.to_string())
    }

    /// The open sessions, oldest first. The owner alone.
    async fn sessions(&self, context: &Context<'_>) -> Result<Vec<Session>> {
        let asked = Asked::of(context)?;
        let sessions = asked.platform.auth().sessions(&self.viewer, self.row.id).await;
        let sessions = sessions.map_err(|error| dress(&error, asked))?;
        Ok(sessions.iter().map(|session| Session::new(session, asked)).collect())
    }

    /// How many recovery codes are left of ten. The owner alone.
    async fn recovery_codes_left(&self, context: &Context<'_>) -> Result<UInt53> {
        let asked = Asked::of(context)?;
        let read = asked.load(|loaders| &loaders.recovery_codes, &self.viewer, RecoveryCodesRead, self.row.id);
        Ok(read.await?.into())
    }

    /// Everything the server knows about the account, as one JSON document. The owner alone.
    async fn export(&self, context: &Context<'_>) -> Result<String> {
        let asked = Asked::of(context)?;
        let _turn = asked.only_turn().await?;
        let export = asked.platform.users().export(&self.viewer, self.row.id).await;
        let export = export.map_err(|error| dress(&error, asked))?;
        serde_json::to_string(&export)
            .map_err(|_| dress(&Error::Internal { what: "an export could not be written" }, asked))
    }

    /// What its tier grants, or what was granted to it alone for a time.
    async fn allocation(&self, context: &Context<'_>) -> Result<Allocation> {
        let asked = Asked::of(context)?;
        let read = asked.load(|loaders| &loaders.allocations, &self.viewer, AllocationRead, self.row.id);
        Ok(read.await?.into())
    }

    /// Limits of its own that are in force, in place of its tier's.
    async fn limit_overrides(&self, context: &Context<'_>) -> Result<Vec<LimitOverrideInForce>> {
        let asked = Asked::of(context)?;
        let read = asked.load(|loaders| &loaders.overrides, &self.viewer, OverridesRead, self.row.id);
        Ok(read.await?.into_iter().map(LimitOverrideInForce::from).collect())
    }

    /// The newest reading of every meter. A reading nobody has reported is null, never 0.
    async fn metrics(&self, context: &Context<'_>) -> Result<ResourceMetrics> {
        let asked = Asked::of(context)?;
        let read = asked.load(|loaders| &loaders.metrics, &self.viewer, MetricsRead, self.row.id);
        let (metrics, allocation) = read.await?;
        Ok(ResourceMetrics::new(&metrics, &allocation))
    }

    /// What was used in the period so far, against what is allocated.
    async fn usage(
        &self,
        context: &Context<'_>,
        #[graphql(default_with = "UsagePeriod::Month", desc = "The present hour, day or month, in UTC.")]
        period: UsagePeriod,
    ) -> Result<UsageSummary> {
        let asked = Asked::of(context)?;
        let read = asked.load(|loaders| &loaders.usages, &self.viewer, UsageRead(period.into()), self.row.id);
        Ok(UsageSummary::from(&*read.await?))
    }

    /// What was used of one resource, bucket by bucket, oldest first. Buckets in which nobody measured are left out.
    async fn usage_history(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Of what.")] resource: Resource,
        #[graphql(desc = "From the bucket that holds this instant.")] from: DateTime,
        #[graphql(desc = "Until before this instant; now when left out.")] to: Option<DateTime>,
        #[graphql(
            default_with = "Resolution::Hour",
            desc = "The length of a bucket. At most 3,000 buckets are given."
        )]
        resolution: Resolution,
    ) -> Result<Vec<UsagePoint>> {
        let asked = Asked::of(context)?;
        let read = HistoryRead {
            resource: resource.into(),
            from: from.0,
            to: to.map(|to| to.0),
            resolution: resolution.into(),
        };
        let points = asked.load(|loaders| &loaders.histories, &self.viewer, read, self.row.id).await?;
        Ok(points.iter().copied().map(UsagePoint::from).collect())
    }

    /// What was found against it, newest first, and what followed.
    async fn violations(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20, desc = "How many: 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<String>,
    ) -> Result<ViolationConnection> {
        let asked = Asked::of(context)?;
        let read = || {
            let length = page::length(first.unwrap_or(20))?;
            Ok(ViolationsRead { after: after.as_deref().map(page::place).transpose()?, length })
        };
        let read = read().map_err(|error: Error| dress(&error, asked))?;
        let length = read.length;
        let all = asked.load(|loaders| &loaders.violations, &self.viewer, read, self.row.id).await?;
        Ok(ViolationConnection::new(all.to_vec(), length, after.is_some(), asked.platform.clock().now()))
    }
}

/// The signed-in account with what memory knows of it, for selections that are compiled.
#[derive(Debug)]
pub(crate) struct Me {
    pub(crate) account: Account,
    /// There where it is selected.
    pub(crate) metrics: Option<ResourceMetrics>,
    /// There where it is selected.
    pub(crate) allocation: Option<Allocation>,
}

/// Its type, as far as every field is at hand.
pub(crate) static ME: Shape<Me> = Shape {
    name: "Account",
    members: &[
        ("id", Leaf(|me, out| plan::text(out, Some(me.account.id.as_str())))),
        ("tier", Leaf(|me, out| plan::name(out, me.account.tier))),
        ("status", Leaf(|me, out| plan::name(out, me.account.status))),
        ("statusReason", Leaf(|me, out| plan::name(out, me.account.status_reason))),
        ("statusSince", Leaf(|me, out| plan::instant(out, me.account.status_since))),
        ("statusNote", Leaf(|me, out| plan::text(out, me.account.status_note.as_deref()))),
        ("metrics", Part(&At(|me: &Me| me.metrics.as_ref(), &METRICS))),
        ("allocation", Part(&At(|me: &Me| me.allocation.as_ref(), &ALLOCATION))),
        ("trial", Part(&At(|me: &Me| me.account.trial.as_ref(), &TRIAL))),
    ],
};

static TRIAL: Shape<Trial> = Shape {
    name: "Trial",
    members: &[
        ("startedAt", Leaf(|trial, out| plan::instant(out, trial.started_at))),
        ("endsAt", Leaf(|trial, out| plan::instant(out, trial.ends_at))),
        ("expired", Leaf(|trial, out| plan::boolean(out, trial.expired))),
        ("daysLeft", Leaf(|trial, out| plan::whole(out, Some(trial.days_left)))),
    ],
};

/// The account of an id; of a text that is none, nobody's, which is not there.
pub(crate) fn account_id(id: &ID) -> AccountId {
    id.parse().unwrap_or(AccountId::NOBODY)
}

#[derive(Debug, Default)]
pub struct AccountQuery;

#[Object]
impl AccountQuery {
    /// The signed-in account.
    async fn me(&self, context: &Context<'_>) -> Result<Account> {
        let asked = Asked::of(context)?;
        let row = asked.platform.users().me(&asked.context).await.map_err(|error| dress(&error, asked))?;
        Ok(Account::new(row, asked.context.clone(), asked))
    }

    /// Operators only.
    async fn account(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The account's id.")] id: ID,
    ) -> Result<Option<Account>> {
        let asked = Asked::of(context)?;
        match asked.platform.users().any_account(&asked.context, account_id(&id)).await {
            Ok(row) => Ok(Some(Account::new(row, asked.context.clone(), asked))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(dress(&error, asked)),
        }
    }

    /// Operators only. Accounts, newest first. A page may be shorter than asked for, and even empty, while
    /// `pageInfo.hasNextPage` is true: with a `status`, which follows from the clock, 1,000 accounts are looked at for a
    /// page, and `endCursor` leads on.
    async fn accounts(
        &self,
        context: &Context<'_>,
        #[graphql(default = 20, desc = "How many: 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Those after this cursor.")] after: Option<String>,
        #[graphql(desc = "Those that have this status now; all of them when left out.")] status: Option<ServiceStatus>,
        #[graphql(desc = "Those on this tier; all of them when left out.")] tier: Option<TierName>,
    ) -> Result<AccountConnection> {
        let asked = Asked::of(context)?;
        let _turn = asked.turn().await?;
        let listed = async {
            let length = page::length(first.unwrap_or(20))?;
            let place = after.as_deref().map(page::place).transpose()?;
            let filter = AccountFilter {
                status: status.map(payment::ServiceStatus::from),
                tier: tier.map(allocation::TierName::from),
            };
            asked.platform.users().list(&asked.context, &filter, place, length).await
        };
        let page = listed.await.map_err(|error: Error| dress(&error, asked))?;
        Ok(AccountConnection::new(page, after.is_some()))
    }
}
