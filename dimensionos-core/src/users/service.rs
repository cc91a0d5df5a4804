use std::sync::Arc;

use futures_util::{Stream, StreamExt};

use crate::Error;
use crate::auth::{Auth, Guess, NewTokens, Password, Proof, RecoveryCode, TokenPair, set_codes};
use crate::context::Context;
use crate::entropy::Entropy;
use crate::id::AccountId;
use crate::monitoring::ledger::{Erasure, Whose};
use crate::payment::{ServiceStatus, Standing, Tombstone, job};
use crate::platform::Inner;
use crate::policy::{Action, Target, allows};
use crate::store::{Access, StoreError};
use crate::users::{
    Account, AccountEvent, AccountNumber, AnonymousId, Entry, Export, Identity, OperatorStatus, StatusNote, TermsName,
};

/// Registers accounts and answers for them.
#[derive(Debug)]
pub struct Users<'a>(pub(crate) &'a Inner);

/// Who registers. Without an identity an account number is issued, and no address is ever involved.
#[derive(Debug)]
pub struct Registration {
    /// What the account will sign in with.
    pub identity: Option<Identity>,
    /// Its password.
    pub password: Password,
    /// The version of the terms that is accepted; the one in force where left out.
    pub terms: Option<TermsName>,
    /// Work done for a registration past the limit of failures.
    pub proof: Option<Proof>,
}

impl Registration {
    /// With a password, and nothing else.
    #[must_use]
    pub const fn new(identity: Option<Identity>, password: Password) -> Self {
        Self { identity, password, terms: None, proof: None }
    }
}

/// A new account, signed in.
#[derive(Debug)]
pub struct Registered {
    /// The account.
    pub account: Account,
    /// Its first session's tokens.
    pub tokens: TokenPair,
    /// The number it was issued, where it came without an identity. It cannot be shown again.
    pub account_number: Option<AccountNumber>,
    /// What opens the account when the password is lost, each once. They cannot be shown again.
    pub recovery_codes: Vec<RecoveryCode>,
}

impl Users<'_> {
    /// Registers an account on the FREE tier, its trial beginning now, and signs it in.
    ///
    /// # Errors
    /// `InvalidInput` for an account number, which is issued and never chosen, and for terms that are not in force;
    /// `WeakPassword`; `IdentityUnavailable` where the identity has an account; `RateLimited` after too many of those;
    /// `Busy` where too many passwords are waiting to be hashed.
    pub async fn register(&self, context: &Context, registration: Registration) -> Result<Registered, Error> {
        let Self(inner) = self;
        // Without an identity there is nothing to guess at, and one challenge is as good as another.
        let tag = match &registration.identity {
            Some(identity) => identity.anonymous_id(inner.secrets().keys.first_pepper()),
            None => AnonymousId::from_bytes([0; 32]),
        };
        // Counts only where the identity turns out to be taken: whoever asks for many is looking for who has an account.
        let auth = Auth(inner);
        let attempt = auth.begin(context, Guess::Register, tag, registration.proof.as_ref())?;
        attempt.judged(self.open_account(registration).await)
    }

    async fn open_account(&self, registration: Registration) -> Result<Registered, Error> {
        let Self(inner) = self;
        let (identity, account_number) = identify(registration.identity, &*inner.entropy)?;
        let now = inner.clock.now();
        let terms = inner.lifecycle.terms().accept(registration.terms.as_ref(), now)?;
        let secrets = inner.secrets();
        let first = secrets.keys.first_pepper();
        let hash = inner.passwords.hash_strong(&registration.password, inner.password_rule, first).await?;
        let recovery_codes = RecoveryCode::new_set(&*inner.entropy)?;
        let id = AccountId::random(&*inner.entropy)?;
        self.make_room(&identity).await?;
        let mut tx = inner.store.begin(Access::Write).await?;
        // Of this moment, not of before the hash: under keys that have been replaced meanwhile, the same identity could
        // be given twice.
        let secrets = inner.secrets();
        let pepper = secrets.keys.first_pepper();
        let mut account = Account::new(id, identity.anonymous_id(pepper), pepper.id(), now);
        account.terms = Some(terms);
        // A tag under an older pepper is the same person; the newest tag is the database's unique column.
        if tx.account_by_tag(&secrets.keys.tags(&identity)).await?.is_some() {
            return Err(Error::IdentityUnavailable);
        }
        // Whoever had a trial before begins where it ended, and may pay.
        if !tx.has_tombstone(&Tombstone::tags(&identity, &secrets.keys), now).await? {
            account.trial_ends_at = now.after(inner.metering.limits.trial(now));
        }
        let events = inner.lifecycle.catch_up(&mut account, now);
        tx.insert_account(&account).await.map_err(taken)?;
        tx.set_password(account.id, &hash).await?;
        set_codes(&mut *tx, account.id, &recovery_codes).await?;
        let tokens = NewTokens::open_session(inner, &mut *tx, &account).await?;
        inner.commit(tx, account.id).await.map_err(taken)?;
        // Nobody can listen yet; what is told is what the account's row says was told.
        drop(events);
        Ok(Registered { account, tokens, account_number, recovery_codes })
    }

    /// Erases the account that an identity had, where its time has come and nobody has removed it yet.
    async fn make_room(&self, identity: &Identity) -> Result<(), Error> {
        let Self(inner) = self;
        let tags = inner.secrets().keys.tags(identity);
        let found = inner.store.begin(Access::Read).await?.account_by_tag(&tags).await?;
        match found {
            Some(account) if inner.lifecycle.is_gone(&account, inner.clock.now()) => {
                job::erase(inner, account.id).await
            }
            _ => Ok(()),
        }
    }

    /// An account, as its holder or an operator may see it.
    ///
    /// # Errors
    /// `NotFound` where there is none, or the caller is another account.
    pub async fn account(&self, context: &Context, id: AccountId) -> Result<Account, Error> {
        let entry = self.0.admit(&context.caller, Action::SeeAccount, id).await?;
        Ok(entry.account.clone())
    }

    /// An account, for an operator.
    ///
    /// # Errors
    /// `Forbidden` for anybody but an operator or the program, also for their own account; `NotFound`.
    pub async fn any_account(&self, context: &Context, id: AccountId) -> Result<Account, Error> {
        allows(&context.caller, Action::SeeAccount, Target::Service)?;
        self.account(context, id).await
    }

    /// The tag that an account is known by, for its holder.
    ///
    /// # Errors
    /// `Forbidden` for operators; otherwise as [`account`](Self::account).
    pub fn tag(&self, context: &Context, account: &Account) -> Result<AnonymousId, Error> {
        self.0.allows(&context.caller, Action::SeeTag, account)?;
        Ok(account.anonymous_id)
    }

    /// The signed-in account.
    ///
    /// # Errors
    /// `Unauthenticated`, `TokenExpired` or `TokenInvalid` where nobody is; `ServiceCancelled` for a closed account.
    pub async fn me(&self, context: &Context) -> Result<Account, Error> {
        self.account(context, context.account()?.account).await
    }

    /// An account's status as of now, with its reason.
    ///
    /// # Errors
    /// `NotFound` where there is none.
    pub async fn standing(&self, context: &Context, id: AccountId) -> Result<Standing, Error> {
        let account = self.account(context, id).await?;
        Ok(self.standing_of(&account))
    }

    /// The status of an account that is at hand, as of now.
    #[must_use]
    pub fn standing_of(&self, account: &Account) -> Standing {
        self.0.standing(account)
    }

    /// Sets what an operator decides about an account; [`Active`](ServiceStatus::Active) takes such a decision back.
    /// What the account's payments say stays as it is. It holds from the next call on.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator or the program; `NotFound`.
    pub async fn set_status(
        &self,
        context: &Context,
        id: AccountId,
        status: ServiceStatus,
        note: StatusNote,
    ) -> Result<Account, Error> {
        let Self(inner) = self;
        // Who may not do it to any account learns nothing of this one.
        allows(&context.caller, Action::SetStatus, Target::Service)?;
        let mut tx = inner.store.begin(Access::Write).await?;
        let mut account = inner.present(tx.account(id).await?).ok_or(Error::no_account())?;
        let now = inner.clock.now();
        let events = inner.lifecycle.change(&mut account, now, |account| {
            account.operator_status = match status {
                ServiceStatus::Active => None,
                _ => Some(OperatorStatus { status, since: now, note }),
            };
        });
        tx.update_account(&account).await?;
        let sessions = tx.sessions(id).await?;
        inner.commit_shown(tx, Entry { account: account.clone(), sessions }).await?;
        inner.tell(id, events);
        Ok(account)
    }

    /// Listens to what happens to an account from now on. Its quotas are looked at twice a second.
    ///
    /// # Errors
    /// `NotFound` where there is none, or it is not the caller's; those of the account's status.
    pub async fn events(
        &self,
        context: &Context,
        id: AccountId,
    ) -> Result<impl Stream<Item = AccountEvent> + Send + Unpin + use<>, Error> {
        let Self(inner) = self;
        inner.admit(&context.caller, Action::WatchUsage, id).await?;
        // Held in memory for as long as somebody listens, for its quotas are looked at there.
        let cell = inner.present_cell(id).await?;
        let events = inner.metering.events.listen(id);
        // Boxed, so that whoever listens need not pin it.
        Ok(Box::pin(events.map(move |event| {
            let _held = &cell;
            event
        })))
    }

    /// Accepts a version of the terms for the caller's account: the one in force, or an announced one.
    ///
    /// # Errors
    /// `InvalidInput` for any other version; those of the account's status.
    pub async fn accept_terms(&self, context: &Context, version: &TermsName) -> Result<Account, Error> {
        let Self(inner) = self;
        let principal = *context.account()?;
        inner.admit(&context.caller, Action::AcceptTerms, principal.account).await?;
        let accepted = inner.lifecycle.terms().accept(Some(version), inner.clock.now())?;
        let mut tx = inner.store.begin(Access::Write).await?;
        let mut account = Auth(inner).locked(&mut *tx, context, Action::AcceptTerms).await?;
        account.terms = Some(inner.lifecycle.terms().later(account.terms.take(), accepted));
        tx.update_account(&account).await?;
        inner.commit(tx, account.id).await?;
        Ok(account)
    }

    /// Erases the caller's account and everything kept of it, for good.
    ///
    /// # Errors
    /// `ReauthenticationRequired` where the session's last password check is more than five minutes old;
    /// `InvalidCredentials`; `RateLimited`; `Busy`; those of the account's status.
    pub async fn erase(&self, context: &Context, password: &Password, proof: Option<&Proof>) -> Result<(), Error> {
        let Self(inner) = self;
        let auth = Auth(inner);
        let account = auth.recently_authenticated(context, Action::Erase).await?;
        auth.check_password(context, &account, password, proof).await?;
        let (caller, lifecycle, clock) = (context.caller.clone(), inner.lifecycle.clone(), Arc::clone(&inner.clock));
        let secrets = inner.secrets();
        let permit = Box::new(move |account: &Account| {
            let now = clock.now();
            allows(&caller, Action::Erase, Target::Account(account.id, lifecycle.standing(account, now)))?;
            Ok(Tombstone::of(&account.anonymous_id, &secrets.keys, now))
        });
        inner.ledger.erase(Erasure { whose: Whose::Holder(*context.account()?), permit }).await
    }

    /// Cancels the caller's account: it is closed at once, and erased a month later unless it is
    /// [restored](Self::restore) by then.
    ///
    /// # Errors
    /// As [`erase`](Self::erase).
    pub async fn cancel(
        &self,
        context: &Context,
        password: &Password,
        proof: Option<&Proof>,
    ) -> Result<Account, Error> {
        let auth = Auth(self.0);
        let account = auth.recently_authenticated(context, Action::Cancel).await?;
        auth.check_password(context, &account, password, proof).await?;
        let now = self.0.clock.now();
        self.change_own(context, Action::Cancel, |account| {
            account.cancelled_at = Some(now);
            Ok(())
        })
        .await
    }

    /// Takes the cancelling of the caller's account back. What else restricts it stays.
    ///
    /// # Errors
    /// `Conflict` where its holder has not cancelled it; those of the account's status.
    pub async fn restore(&self, context: &Context) -> Result<Account, Error> {
        self.change_own(context, Action::Restore, |account| {
            account
                .cancelled_at
                .take()
                .map(drop)
                .ok_or(Error::Conflict { reason: "its holder has not cancelled the account" })
        })
        .await
    }

    async fn change_own(
        &self,
        context: &Context,
        action: Action,
        act: impl FnOnce(&mut Account) -> Result<(), Error> + Send,
    ) -> Result<Account, Error> {
        let Self(inner) = self;
        let mut tx = inner.store.begin(Access::Write).await?;
        let mut account = Auth(inner).locked(&mut *tx, context, action).await?;
        let mut done = Ok(());
        let events = inner.lifecycle.change(&mut account, inner.clock.now(), |account| done = act(account));
        done?;
        tx.update_account(&account).await?;
        let sessions = tx.sessions(account.id).await?;
        inner.commit_shown(tx, Entry { account: account.clone(), sessions }).await?;
        inner.tell(account.id, events);
        Ok(account)
    }

    /// Everything that is known of an account.
    ///
    /// # Errors
    /// `NotFound` for another's account, `Forbidden` for operators; those of the account's status.
    pub async fn export(&self, context: &Context, id: AccountId) -> Result<Export, Error> {
        let Self(inner) = self;
        let entry = inner.admit(&context.caller, Action::Export, id).await?;
        let _turn = inner.exports.acquire().await.map_err(|_| Error::Internal { what: "exports have stopped" })?;
        // What is still in memory alone is known too.
        inner.ledger.flush().await?;
        let mut tx = inner.store.begin(Access::Read).await?;
        Export::read(&mut *tx, id, inner.standing(&entry.account), inner.clock.now()).await
    }
}

/// The identity given, or a number issued in its place.
fn identify(given: Option<Identity>, entropy: &dyn Entropy) -> Result<(Identity, Option<AccountNumber>), Error> {
    match given {
        Some(Identity::AccountNumber(_)) => Err(Error::invalid("identity", "account numbers are issued, not chosen")),
        Some(identity) => Ok((identity, None)),
        None => {
            let number = AccountNumber::random(entropy)?;
            Ok((Identity::AccountNumber(number.clone()), Some(number)))
        }
    }
}

fn taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::IdentityUnavailable,
        other => other.into(),
    }
}
