use crate::Error;
use crate::auth::sign_out::end_all_sessions;
use crate::auth::{Auth, Guess, NewTokens, Password, PasswordHash, Proof, RecoveryCode, Session, SignedIn};
use crate::context::{Context, Principal};
use crate::id::AccountId;
use crate::policy::Action;
use crate::secret::SecretDigest;
use crate::store::{Access, Tx};
use crate::users::{Account, Identity};

/// Who lost the password, and has a recovery code.
#[derive(Debug)]
pub struct Recovery {
    /// Whose account.
    pub identity: Identity,
    /// One of its codes; it is used up.
    pub code: RecoveryCode,
    /// The password from now on.
    pub new_password: Password,
    /// Work done for a call past the limit of failures.
    pub proof: Option<Proof>,
}

impl Auth<'_> {
    /// Opens an account with a recovery code and gives it another password. All its sessions end.
    ///
    /// # Errors
    /// `InvalidCredentials`, alike in words and time for an unknown account and a wrong code; `WeakPassword`, which
    /// says nothing about either; `RateLimited`; `Busy`.
    pub async fn recover(&self, context: &Context, recovery: Recovery) -> Result<SignedIn, Error> {
        let tag = recovery.identity.anonymous_id(self.0.secrets().keys.first_pepper());
        let attempt = self.begin(context, Guess::Recover, tag, recovery.proof.as_ref())?;
        attempt.judged(self.use_code(&recovery).await)
    }

    async fn use_code(&self, recovery: &Recovery) -> Result<SignedIn, Error> {
        let Self(inner) = self;
        let Recovery { identity, code, new_password, .. } = recovery;
        let secrets = inner.secrets();
        let first = secrets.keys.first_pepper();
        // Hashed before the code is looked at, so that a wrong one takes as long as a right one.
        let hash = inner.passwords.hash_strong(new_password, inner.password_rule, first).await?;
        let mut tx = inner.store.begin(Access::Write).await?;
        let account = inner.present(tx.account_by_tag(&secrets.keys.tags(identity)).await?);
        // Of nobody's account there is no code; it is looked for all the same.
        let id = account.as_ref().map_or(AccountId::NOBODY, |account| account.id);
        let is_used = tx.use_recovery_code(id, &code.digest()).await?;
        let Some(mut account) = account.filter(|_| is_used) else { return Err(Error::InvalidCredentials) };
        account.move_under(identity, &secrets.keys);
        self.rekey(tx, account, &hash).await
    }

    /// Gives the caller's account another password. All its sessions end, and a new one begins.
    ///
    /// # Errors
    /// `ReauthenticationRequired` where the session's last password check is more than five minutes old;
    /// `InvalidCredentials`; `WeakPassword`; `RateLimited`; `Busy`; those of the account's status.
    pub async fn change_password(
        &self,
        context: &Context,
        current: &Password,
        new: &Password,
        proof: Option<&Proof>,
    ) -> Result<SignedIn, Error> {
        let Self(inner) = self;
        let account = self.recently_authenticated(context, Action::ChangeCredentials).await?;
        self.check_password(context, &account, current, proof).await?;
        let secrets = inner.secrets();
        let hash = inner.passwords.hash_strong(new, inner.password_rule, secrets.keys.first_pepper()).await?;
        let mut tx = inner.store.begin(Access::Write).await?;
        let account = self.locked(&mut *tx, context, Action::ChangeCredentials).await?;
        self.rekey(tx, account, &hash).await
    }

    /// Proves anew that the caller knows the password: for five minutes its session may do what asks for that.
    ///
    /// # Errors
    /// `InvalidCredentials`; `RateLimited`; `Busy`; those of the account's status.
    pub async fn reauthenticate(
        &self,
        context: &Context,
        password: &Password,
        proof: Option<&Proof>,
    ) -> Result<Session, Error> {
        let Self(inner) = self;
        let principal = *context.account()?;
        let entry = inner.admit(&context.caller, Action::Reauthenticate, principal.account).await?;
        self.check_password(context, &entry.account, password, proof).await?;
        let now = inner.clock.now();
        let mut tx = inner.store.begin(Access::Write).await?;
        let account = self.locked(&mut *tx, context, Action::Reauthenticate).await?;
        let session = tx.session(principal.session).await?.ok_or(Error::TokenInvalid)?;
        tx.mark_authenticated(session.id, now).await?;
        inner.commit(tx, account.id).await?;
        Ok(Session { authenticated_at: now, ..session })
    }

    /// Makes new recovery codes in place of all that the caller's account has.
    ///
    /// # Errors
    /// `ReauthenticationRequired` where the session's last password check is more than five minutes old; those of the
    /// account's status.
    pub async fn renew_recovery_codes(&self, context: &Context) -> Result<Vec<RecoveryCode>, Error> {
        let Self(inner) = self;
        self.recently_authenticated(context, Action::ChangeCredentials).await?;
        let codes = RecoveryCode::new_set(&*inner.entropy)?;
        let mut tx = inner.store.begin(Access::Write).await?;
        let account = self.locked(&mut *tx, context, Action::ChangeCredentials).await?;
        set_codes(&mut *tx, account.id, &codes).await?;
        inner.commit(tx, account.id).await?;
        Ok(codes)
    }

    /// How many recovery codes an account has left.
    ///
    /// # Errors
    /// `NotFound` for another's account; those of the account's status.
    pub async fn recovery_codes_left(&self, context: &Context, id: AccountId) -> Result<u64, Error> {
        let Self(inner) = self;
        inner.admit(&context.caller, Action::SeeIdentity, id).await?;
        Ok(inner.store.begin(Access::Read).await?.recovery_code_count(id).await?)
    }

    /// Checks the password of a signed-in account.
    pub(crate) async fn check_password(
        &self,
        context: &Context,
        account: &Account,
        password: &Password,
        proof: Option<&Proof>,
    ) -> Result<(), Error> {
        let Self(inner) = self;
        let attempt = self.begin(context, Guess::PasswordCheck, account.anonymous_id, proof)?;
        let checked = async {
            let hash = inner.store.begin(Access::Read).await?.password(account.id).await?;
            let is_right = inner.passwords.verify(password, hash.as_ref(), &inner.secrets().keys).await?;
            if is_right { Ok(()) } else { Err(Error::InvalidCredentials) }
        };
        attempt.judged(checked.await)
    }

    /// The caller's account, where its session may do what asks for the password.
    pub(crate) async fn recently_authenticated(&self, context: &Context, action: Action) -> Result<Account, Error> {
        let Self(inner) = self;
        let principal = *context.account()?;
        let entry = inner.admit(&context.caller, action, principal.account).await?;
        let now = inner.clock.now();
        let is_fresh = entry.session(principal.session).is_some_and(|session| session.is_fresh(now));
        if is_fresh { Ok(entry.account.clone()) } else { Err(Error::ReauthenticationRequired) }
    }

    /// The caller's account in a writing transaction, where the caller may still do that: a password may have been
    /// changed, or a session ended, since the call began.
    pub(crate) async fn locked(&self, tx: &mut dyn Tx, context: &Context, action: Action) -> Result<Account, Error> {
        let account = held(tx, context.account()?).await?;
        self.0.allows(&context.caller, action, &account)?;
        Ok(account)
    }

    /// Sets a password, ends every session, and opens a new one.
    async fn rekey(&self, mut tx: Box<dyn Tx>, mut account: Account, hash: &PasswordHash) -> Result<SignedIn, Error> {
        let Self(inner) = self;
        tx.set_password(account.id, hash).await?;
        end_all_sessions(&mut *tx, &mut account).await?;
        let tokens = NewTokens::open_session(inner, &mut *tx, &account).await?;
        inner.commit(tx, account.id).await?;
        Ok(SignedIn { account, tokens })
    }
}

/// The account of a token that still holds, in a writing transaction.
pub(crate) async fn held(tx: &mut dyn Tx, principal: &Principal) -> Result<Account, Error> {
    let account = tx.account(principal.account).await?.ok_or(Error::TokenInvalid)?;
    let session = tx.session(principal.session).await?;
    if account.epoch == principal.epoch && session.is_some() { Ok(account) } else { Err(Error::TokenInvalid) }
}

pub(crate) async fn set_codes(tx: &mut dyn Tx, id: AccountId, codes: &[RecoveryCode]) -> Result<(), Error> {
    let digests: Vec<SecretDigest> = codes.iter().map(RecoveryCode::digest).collect();
    Ok(tx.set_recovery_codes(id, &digests).await?)
}
