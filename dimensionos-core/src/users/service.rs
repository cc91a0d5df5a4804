use crate::Error;
use crate::allocation::TierName;
use crate::auth::{NewTokens, Password, TokenPair};
use crate::context::Context;
use crate::id::AccountId;
use crate::payment::{Standing, lifecycle};
use crate::platform::Inner;
use crate::policy::{Action, Target, allows};
use crate::store::{Access, StoreError};
use crate::users::{Account, AccountNumber, Identity};

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
}

impl Users<'_> {
    /// Registers an account on the FREE tier, its trial beginning now, and signs it in.
    ///
    /// # Errors
    /// `InvalidInput` for an account number, which is issued and never chosen; `WeakPassword`; `IdentityUnavailable` where the identity has an account; `Busy` where too many passwords are
    /// waiting to be hashed.
    pub async fn register(&self, _context: &Context, registration: Registration) -> Result<Registered, Error> {
        let Self(inner) = self;
        let (identity, account_number) = if let Some(identity) = registration.identity {
            if matches!(identity, Identity::AccountNumber(_)) {
                return Err(Error::invalid("identity", "account numbers are issued, not chosen"));
            }
            (identity, None)
        } else {
            let number = AccountNumber::random(&*inner.entropy)?;
            (Identity::AccountNumber(number.clone()), Some(number))
        };
        let hash = inner.passwords.hash_strong(&registration.password).await?;

        let now = inner.clock.now();
        let pepper = inner.keys.first_pepper();
        let account = Account {
            id: AccountId::random(&*inner.entropy)?,
            anonymous_id: identity.anonymous_id(pepper),
            pepper: pepper.id(),
            tier: TierName::Free,
            created_at: now,
            trial_started_at: now,
            epoch: 0,
        };
        let mut tx = inner.store.begin(Access::Write).await?;
        // A tag under an older pepper is the same person; the newest tag is the database's unique column.
        if tx.account_by_tag(&inner.keys.tags(&identity)).await?.is_some() {
            return Err(Error::IdentityUnavailable);
        }
        tx.insert_account(&account).await.map_err(taken)?;
        tx.set_password(account.id, &hash).await?;
        let tokens = NewTokens::open_session(inner, &mut *tx, &account).await?;
        tx.commit().await.map_err(taken)?;
        Ok(Registered { account, tokens, account_number })
    }

    /// An account, as its owner may see it.
    ///
    /// # Errors
    /// `NotFound` where there is none, or the caller is another account.
    pub async fn account(&self, context: &Context, id: AccountId) -> Result<Account, Error> {
        let (account, standing) = self.0.account(id).await?;
        allows(&context.caller, Action::SeeAccount, Target::Account(id, standing))?;
        Ok(account)
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
        Ok(lifecycle::standing(&account, self.0.clock.now()))
    }
}

fn taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::IdentityUnavailable,
        other => other.into(),
    }
}
