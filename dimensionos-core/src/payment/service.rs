use crate::Error;
use crate::allocation::{OwnLimits, TierName};
use crate::auth::Auth;
use crate::context::{Caller, Context};
use crate::id::AccountId;
use crate::monitoring::slab::Pinned;
use crate::payment::voucher::{Epoch, Nullifier};
use crate::payment::{Grant, NextStep, PaymentState, SpentAttestation};
use crate::platform::Inner;
use crate::policy::{Action, Target, allows};
use crate::store::{Access, StoreError, Tx};
use crate::time::Timestamp;
use crate::users::{Account, AccountEvent, Entry};

/// Takes evidence of payments, and answers whether accounts are paid for.
#[derive(Debug)]
pub struct Payments<'a>(pub(crate) &'a Inner);

/// What shows that something was paid for, and can be spent once.
#[derive(Debug)]
pub(crate) enum Evidence {
    Attestation(SpentAttestation),
    Voucher(Epoch, Nullifier),
}

impl Evidence {
    async fn spend(&self, tx: &mut dyn Tx) -> Result<(), Error> {
        let spent = match self {
            Self::Attestation(spent) => tx.spend_attestation(spent).await,
            Self::Voucher(epoch, nullifier) => tx.spend_voucher(*epoch, nullifier).await,
        };
        spent.map_err(|error| match error {
            StoreError::Conflict => Error::AttestationSpent,
            other => other.into(),
        })
    }
}

impl Payments<'_> {
    /// Whether an account that is at hand is paid for, as of now.
    #[must_use]
    pub fn state_of(&self, account: &Account) -> PaymentState {
        self.0.lifecycle.payment(account, self.0.clock.now())
    }

    /// The next step that time takes with an account that is at hand, unless somebody does something.
    #[must_use]
    pub fn next_step_of(&self, account: &Account) -> Option<NextStep> {
        self.0.lifecycle.next_step(account, self.0.clock.now())
    }

    /// Takes an attestation that an account was paid for. It counts once, for ever and on every replica: the account
    /// gets the tier it attests, at once, and whatever it lost by a lapse. What its holder, an operator or a breach of the
    /// terms did to it stays.
    ///
    /// A holder shows attestations for the own account; operators and the program for any.
    ///
    /// # Errors
    /// `AttestationInvalid`; `AttestationSpent`; `Unauthenticated` and `Forbidden`; `NotFound`. Nothing is changed then.
    pub async fn report(&self, context: &Context, attestation: &str) -> Result<Account, Error> {
        let Self(inner) = self;
        let own = match &context.caller {
            Caller::Account(principal) => {
                inner.admit(&context.caller, Action::Pay, principal.account).await?;
                Some(principal.account)
            }
            caller => {
                allows(caller, Action::Pay, Target::Service)?;
                None
            }
        };
        let attested = inner.trust.read(attestation, inner.secrets().keys.billing(), inner.clock.now())?;
        let Grant::Account { account, tier, until } = attested.grant else {
            return Err(Error::AttestationInvalid { reason: "it is for vouchers" });
        };
        if own.is_some_and(|own| own != account) {
            return Err(Error::AttestationInvalid { reason: "it is for another account" });
        }
        let evidence = Evidence::Attestation(SpentAttestation { digest: attested.digest, request: None });
        self.credit(context, account, &evidence, tier, |_, _| until).await
    }

    /// Spends evidence on an account: it is on that tier from now on, and paid for until an instant that is made of what it
    /// was paid for until now, and of the present.
    pub(crate) async fn credit(
        &self,
        context: &Context,
        id: AccountId,
        evidence: &Evidence,
        tier: TierName,
        until: impl FnOnce(&Account, Timestamp) -> Timestamp + Send,
    ) -> Result<Account, Error> {
        let Self(inner) = self;
        inner.entry(id).await?;
        let cell = inner.metering.cell(&*inner.store, id, inner.clock.now()).await?;
        let _turn = inner.enforcing.lock().await;
        let mut tx = inner.store.begin(Access::Write).await?;
        let mut account = match context.caller {
            Caller::Account(_) => Auth(inner).locked(&mut *tx, context, Action::Pay).await?,
            _ => inner.present(tx.account(id).await?).ok_or(Error::no_account())?,
        };
        evidence.spend(&mut *tx).await?;
        let now = inner.clock.now();
        let until = until(&account, now);
        let events = inner.lifecycle.change(&mut account, now, |account| {
            account.paid.add(tier, until);
            account.tier = tier;
        });
        self.save(tx, account, &cell, events).await
    }

    /// Commits a change of an account's tier, and has its limits hold at once.
    pub(super) async fn save(
        &self,
        mut tx: Box<dyn Tx>,
        account: Account,
        cell: &Pinned,
        events: Vec<AccountEvent>,
    ) -> Result<Account, Error> {
        let Self(inner) = self;
        tx.update_account(&account).await?;
        let own = OwnLimits::of(&account, tx.overrides(account.id).await?);
        let sessions = tx.sessions(account.id).await?;
        inner.commit_shown(tx, Entry { account: account.clone(), sessions }).await?;
        inner.metering.limits.keep(account.id, own);
        inner.metering.set_limits(cell, account.tier);
        inner.tell(account.id, events);
        Ok(account)
    }
}
