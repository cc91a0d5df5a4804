use crate::Error;
use crate::auth::session::REUSE_WINDOW;
use crate::auth::{
    AccessKey, JsonWebKey, KeyName, NewAccessKey, NewTokens, Password, PasswordHash, RefreshRecord, Role, TokenPair,
};
use crate::context::{Caller, Context, Principal, Refusal};
use crate::id::{AccessKeyId, AccountId};
use crate::payment::lifecycle;
use crate::platform::Inner;
use crate::policy::{Action, Target, allows, allows_sign_in};
use crate::secret::{AccessKeyToken, BearerToken, RefreshToken, SecretDigest, random_token};
use crate::store::{Access, StoreError, Tx};
use crate::users::{Account, Identity};

/// Signs accounts in and out, and knows every caller by its token.
#[derive(Debug)]
pub struct Auth<'a>(pub(crate) &'a Inner);

/// An account that has just signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// The account.
    pub account: Account,
    /// Its tokens.
    pub tokens: TokenPair,
}

impl Auth<'_> {
    /// Signs in with a password.
    ///
    /// # Errors
    /// `InvalidCredentials`, alike in words and time for an unknown account and a wrong password; `Busy`;
    /// `ServiceCancelled`.
    pub async fn login(&self, _context: &Context, identity: &Identity, password: &Password) -> Result<SignedIn, Error> {
        let Self(inner) = self;
        let tags = inner.keys.tags(identity);
        let mut tx = inner.store.begin(Access::Read).await?;
        let found = match tx.account_by_tag(&tags).await? {
            Some(account) => tx.password(account.id).await?.map(|hash| (account, hash)),
            None => None,
        };
        drop(tx);
        let is_right = inner.passwords.verify(password, found.as_ref().map(|(_, hash)| hash)).await?;
        let Some((account, hash)) = found.filter(|_| is_right) else { return Err(Error::InvalidCredentials) };
        allows_sign_in(lifecycle::standing(&account, inner.clock.now()))?;

        let upgrade =
            if inner.passwords.is_outdated(&hash) { Some(inner.passwords.hash(password).await?) } else { None };
        let mut tx = inner.store.begin(Access::Write).await?;
        // Read again under the lock: what was verified may have been changed while bcrypt ran.
        let mut account = tx.account(account.id).await?.ok_or(Error::InvalidCredentials)?;
        if tx.password(account.id).await?.as_ref() != Some(&hash) {
            return Err(Error::InvalidCredentials);
        }
        if let Some(upgrade) = upgrade {
            self.renew_tag(&mut *tx, &mut account, identity, &upgrade).await?;
        }
        let tokens = NewTokens::open_session(inner, &mut *tx, &account).await?;
        tx.commit().await?;
        inner.directory.forget(account.id);
        Ok(SignedIn { account, tokens })
    }

    /// Brings an account that has just proved its password under the first pepper and the present cost.
    async fn renew_tag(
        &self,
        tx: &mut dyn Tx,
        account: &mut Account,
        identity: &Identity,
        hash: &PasswordHash,
    ) -> Result<(), Error> {
        let pepper = self.0.keys.first_pepper();
        account.anonymous_id = identity.anonymous_id(pepper);
        account.pepper = pepper.id();
        tx.update_account(account).await?;
        tx.set_password(account.id, hash).await?;
        Ok(())
    }

    /// Exchanges a refresh token for a new pair.
    ///
    /// # Errors
    /// `TokenInvalid`, `TokenExpired`; `TokenReused` where it was used more than ten seconds ago, which also ends its
    /// session: one of its two users stole it; `ServiceCancelled`.
    pub async fn refresh(&self, _context: &Context, token: &RefreshToken) -> Result<SignedIn, Error> {
        let Self(inner) = self;
        let digest = SecretDigest::of(token.expose());
        let now = inner.clock.now();
        let mut tx = inner.store.begin(Access::Write).await?;
        let record = tx.refresh(&digest).await?.ok_or(Error::TokenInvalid)?;
        if record.expires_at <= now {
            return Err(Error::TokenExpired);
        }
        let session = tx.session(record.session).await?.ok_or(Error::TokenInvalid)?;
        if was_stolen(&record, now) {
            tx.end_session(session.id).await?;
            tx.commit().await?;
            inner.directory.forget(session.account);
            return Err(Error::TokenReused);
        }
        let account = tx.account(session.account).await?.ok_or(Error::TokenInvalid)?;
        allows_sign_in(lifecycle::standing(&account, now))?;
        if record.used_at.is_none() {
            tx.mark_refresh_used(&digest, now).await?;
        }
        let tokens = NewTokens::issue(inner, &mut *tx, &account, session.id).await?;
        tx.commit().await?;
        Ok(SignedIn { account, tokens })
    }

    /// Ends the caller's session; its tokens open nothing from the next call on.
    ///
    /// # Errors
    /// `Unauthenticated`, `TokenExpired` or `TokenInvalid` where no account is signed in.
    pub async fn logout(&self, context: &Context) -> Result<(), Error> {
        let principal = self.may_log_out(context).await?;
        let mut tx = self.0.store.begin(Access::Write).await?;
        tx.end_session(principal.session).await?;
        tx.commit().await?;
        self.0.directory.forget(principal.account);
        Ok(())
    }

    /// Ends every session of the caller's account.
    ///
    /// # Errors
    /// As [`logout`](Self::logout).
    pub async fn logout_everywhere(&self, context: &Context) -> Result<(), Error> {
        let principal = self.may_log_out(context).await?;
        let mut tx = self.0.store.begin(Access::Write).await?;
        end_all_sessions(&mut *tx, principal.account).await?;
        tx.commit().await?;
        self.0.directory.forget(principal.account);
        Ok(())
    }

    async fn may_log_out(&self, context: &Context) -> Result<Principal, Error> {
        let principal = *context.account()?;
        let (_, standing) = self.0.account(principal.account).await?;
        allows(&context.caller, Action::Logout, Target::Account(principal.account, standing))?;
        Ok(principal)
    }

    /// Who presents this token. A refused one is a caller too, for whom public calls still work.
    ///
    /// # Errors
    /// Only where the storage fails.
    pub async fn caller(&self, token: &BearerToken) -> Result<Caller, Error> {
        let text = token.expose();
        if let Some(role) = Role::of_token(text) {
            return self.key_holder(role, text).await;
        }
        let principal = match self.0.tokens.read(text, self.0.clock.now()) {
            Ok(principal) => principal,
            Err(refusal) => return Ok(Caller::Refused(refusal)),
        };
        let still_good = self.is_current(&principal).await?;
        Ok(if still_good { Caller::Account(principal) } else { Caller::Refused(Refusal::Invalid) })
    }

    /// Whether a caller that was let in before still would be: for connections that outlive a request.
    ///
    /// # Errors
    /// `TokenExpired` or `TokenInvalid` where not.
    pub async fn recheck(&self, caller: &Caller) -> Result<(), Error> {
        let Caller::Account(principal) = caller else { return Ok(()) };
        if principal.expires_at <= self.0.clock.now() {
            return Err(Error::TokenExpired);
        }
        if self.is_current(principal).await? { Ok(()) } else { Err(Error::TokenInvalid) }
    }

    async fn is_current(&self, principal: &Principal) -> Result<bool, Error> {
        let entry = self.0.directory.entry(&*self.0.store, principal.account).await?;
        Ok(entry
            .is_some_and(|entry| entry.account.epoch == principal.epoch && entry.sessions.contains(&principal.session)))
    }

    async fn key_holder(&self, role: Role, token: &str) -> Result<Caller, Error> {
        let digest = SecretDigest::of(token);
        if let Some(id) = self.0.key_holders.get(&digest) {
            return Ok(as_caller(role, *id));
        }
        let mut tx = self.0.store.begin(Access::Read).await?;
        let key = tx.access_key(&digest).await?;
        let Some(key) = key.filter(|key| key.role == role) else { return Ok(Caller::Refused(Refusal::Invalid)) };
        // Keys cannot be withdrawn, so what was found once holds.
        self.0.key_holders.insert(digest, key.id);
        Ok(as_caller(role, key.id))
    }

    /// Makes a key for an agent or an operator.
    ///
    /// # Errors
    /// `Forbidden` where the caller may not; `Conflict` where the role has a key of that name.
    pub async fn create_key(&self, context: &Context, role: Role, name: KeyName) -> Result<NewAccessKey, Error> {
        let Self(inner) = self;
        let action = match role {
            Role::Agent => Action::CreateAgent,
            Role::Operator => Action::CreateOperator,
        };
        allows(&context.caller, action, Target::Service)?;
        let token = AccessKeyToken::new(random_token(role.token_prefix(), &*inner.entropy)?.as_str());
        let key = AccessKey {
            id: AccessKeyId::random(&*inner.entropy)?,
            role,
            name,
            digest: SecretDigest::of(token.expose()),
            created_at: inner.clock.now(),
        };
        let mut tx = inner.store.begin(Access::Write).await?;
        tx.insert_access_key(&key).await.map_err(name_taken)?;
        tx.commit().await.map_err(name_taken)?;
        Ok(NewAccessKey { key, token })
    }

    /// The public keys that verify access tokens. Public.
    #[must_use]
    pub fn public_keys(&self) -> Vec<JsonWebKey> {
        self.0.tokens.public_keys()
    }
}

/// A second use is theft, but for the moment in which two tabs share a token.
fn was_stolen(record: &RefreshRecord, now: crate::Timestamp) -> bool {
    record.used_at.is_some_and(|used_at| now.since(used_at) > REUSE_WINDOW)
}

/// Deletes the sessions and raises the epoch, which ends the access tokens made from them.
async fn end_all_sessions(tx: &mut dyn Tx, id: AccountId) -> Result<(), Error> {
    let mut account = tx.account(id).await?.ok_or(Error::no_account())?;
    account.epoch += 1;
    tx.update_account(&account).await?;
    tx.end_sessions(id).await?;
    Ok(())
}

fn as_caller(role: Role, id: AccessKeyId) -> Caller {
    match role {
        Role::Agent => Caller::Agent(id),
        Role::Operator => Caller::Operator(id),
    }
}

fn name_taken(error: StoreError) -> Error {
    match error {
        StoreError::Conflict => Error::Conflict { reason: "a key of this name exists" },
        other => other.into(),
    }
}
