//! What was paid for, moving between tiers, and leaving for a while.

use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use dimensionos_core::auth::Password;
use dimensionos_core::{Platform, payment, users};

use crate::engine::Asked;
use crate::error::dress;
use crate::schema::DateTime;
use crate::schema::account::{Account, StatusReason};
use crate::schema::allocation::TierName;
use crate::schema::credentials::ProofInput;

/// Whether an account is paid for.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "payment::PaymentStatus")]
pub enum PaymentStatus {
    /// The trial is running.
    NotRequired,
    /// The tier is paid for.
    Paid,
    /// The trial has ended, and nothing was paid since.
    Unpaid,
    /// What was paid for has run out.
    Overdue,
}

/// The server knows whether an account is paid for, and until when. It never knows who paid, or how.
#[derive(Debug, SimpleObject)]
pub struct Payment {
    /// In one word.
    status: PaymentStatus,
    /// Until when the account's tier is paid for, or was; null on the FREE tier.
    paid_until: Option<DateTime>,
    /// Since when it is overdue; null where it is not.
    overdue_since: Option<DateTime>,
    /// Until when each tier is paid for; what pays for a tier pays for all below it.
    tiers: Vec<PaidTier>,
}

/// A tier, and until when it is paid for.
#[derive(Debug, SimpleObject)]
pub struct PaidTier {
    /// Which.
    tier: TierName,
    /// Until when.
    until: DateTime,
}

impl Payment {
    pub(crate) fn of(account: &users::Account, platform: &Platform) -> Self {
        let state = platform.payment().state_of(account);
        Self {
            status: state.status.into(),
            paid_until: state.paid_until.map(DateTime::from),
            overdue_since: state.overdue_since.map(DateTime::from),
            tiers: account
                .paid
                .each()
                .map(|(tier, until)| PaidTier { tier: tier.into(), until: until.into() })
                .collect(),
        }
    }
}

/// What time takes from an account that is not paid for.
#[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "payment::LapseStep")]
pub enum LapseStep {
    /// What was paid for has run out; everything still works.
    Overdue,
    /// It can only be read.
    ReadOnly,
    /// It is suspended.
    Suspended,
    /// It is closed, and can be restored.
    Cancelled,
    /// It is gone for good.
    Erased,
}

/// The step that comes next by itself, unless somebody does something.
#[derive(Debug, SimpleObject)]
pub struct NextStep {
    /// Which.
    step: LapseStep,
    /// Why.
    reason: StatusReason,
    /// When.
    at: DateTime,
}

impl From<payment::NextStep> for NextStep {
    fn from(next: payment::NextStep) -> Self {
        Self { step: next.step.into(), reason: next.reason.into(), at: next.at.into() }
    }
}

#[derive(Debug, Default)]
pub struct PaymentMutation;

#[Object]
impl PaymentMutation {
    /// A compact JWS from the billing issuer that this server trusts; counted once. The account gets the tier it attests,
    /// at once, and back whatever it lost by a lapse. Refused with `ATTESTATION_INVALID` or `ATTESTATION_SPENT`.
    ///
    /// Operators, such as a bridge to a payment provider, may show one for any account.
    async fn report_payment(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The attestation.", secret)] attestation: String,
    ) -> Result<Payment> {
        let asked = Asked::of(context)?;
        let account = asked.platform.payment().report(&asked.context, &attestation).await;
        Ok(Payment::of(&account.map_err(|error| dress(&error, asked))?, &asked.platform))
    }

    /// Moves the account to another tier, at once. Upwards it has to be paid for already (`PAYMENT_REQUIRED`); downwards
    /// what is stored has to fit (`QUOTA_EXCEEDED`, with all that does not as `exceeding`). There is no second trial:
    /// FREE is `CONFLICT`.
    async fn change_tier(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "To which.")] tier: TierName,
    ) -> Result<Account> {
        let asked = Asked::of(context)?;
        let changed = asked.platform.payment().change_tier(&asked.context, tier.into()).await;
        let row = changed.map_err(|error| dress(&error, asked))?;
        Ok(Account::new(row, asked.context.clone(), asked))
    }

    /// Cancels the account: it is closed at once, and erased 30 days later unless it is restored by then. Asks for the
    /// password again, and for a password check of the last five minutes (`REAUTHENTICATION_REQUIRED`).
    async fn cancel_account(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The account's password.", secret)] password: String,
        #[graphql(desc = "Asked for by `RATE_LIMITED`.")] proof: Option<ProofInput>,
    ) -> Result<Account> {
        let asked = Asked::of(context)?;
        let cancelled = async {
            asked.context.account()?;
            let (password, proof) = (Password::new(&password)?, ProofInput::parse_some(proof)?);
            asked.platform.users().cancel(&asked.context, &password, proof.as_ref()).await
        };
        let row = cancelled.await.map_err(|error| dress(&error, asked))?;
        Ok(Account::new(row, asked.context.clone(), asked))
    }

    /// Takes back that its holder cancelled the account. What else restricts it stays.
    async fn restore_account(&self, context: &Context<'_>) -> Result<Account> {
        let asked = Asked::of(context)?;
        let row = asked.platform.users().restore(&asked.context).await.map_err(|error| dress(&error, asked))?;
        Ok(Account::new(row, asked.context.clone(), asked))
    }
}
