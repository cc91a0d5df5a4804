use crate::Error;
use crate::auth::session::REUSE_WINDOW;
use crate::auth::throttle::Attempt;
use crate::auth::{
    AccessKey, Audience, Guess, JsonWebKey, KeyName, NewAccessKey, NewTokens, Password, PasswordHash, Proof,
    RecoveryCode, RefreshRecord, Role, Secrets, ServiceToken, Session, TokenPair,
};
use crate::context::{Caller, Context, Principal, Refusal};
use crate::entropy;
use crate::id::{AccessKeyId, AccountId, SessionId};
use crate::platform::Inner;
use crate::policy::{Action, Target, allows};
use crate::secret::{AccessKeyToken, BearerToken, RefreshToken, SecretDigest, random_token};
use crate::store::{Access, StoreError, Tx};
use crate::users::{Account, Identity, SubjectSeed, TermsName};

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

/// Who signs in, and how.
#[derive(Debug)]
pub struct SignIn {
    /// Whose account.
    pub identity: Identity,
    /// Its password.
    pub password: Password,
    /// The version of the terms that is accepted with this; none where left out.
    pub terms: Option<TermsName>,
    /// Work done for a sign-in past the limit of failures.
    pub proof: Option<Proof>,
}

impl SignIn {
    /// With a password, and nothing else.
    #[must_use]
    pub const fn new(identity: Identity, password: Password) -> Self {
        Self { identity, password, terms: None, proof: None }
    }
}

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
    /// Signs in with a password, in whatever status the account is: what it may then do is another question.
    ///
    /// # Errors
    /// `InvalidCredentials`, alike in words and time for an unknown account and a wrong password; `RateLimited` after
    /// too many of them; `InvalidInput` for terms that are not in force; `Busy`.
    pub async fn login(&self, context: &Context, sign_in: SignIn) -> Result<SignedIn, Error> {
        let Self(inner) = self;
        let SignIn { identity, password, terms, proof } = sign_in;
        let secrets = inner.secrets();
        let now = inner.clock.now();
        let acceptance = terms.map(|name| inner.terms.accept(Some(&name), now)).transpose()?;
        let guess = (Guess::SignIn, identity.anonymous_id(secrets.keys.first_pepper()));
        let attempt = self.begin(context, guess, proof.as_ref(), &secrets)?;
        let found = self.find(&secrets, &identity).await?;
        let hash = found.as_ref().map(|(_, hash)| hash);
        let is_right = checked(attempt, inner.passwords.verify(&password, hash, &secrets.keys).await)?;
        let Some((account, hash)) = found.filter(|_| is_right) else { return Err(Error::InvalidCredentials) };

        let first = secrets.keys.first_pepper();
        let is_outdated = inner.passwords.is_outdated(&hash, &secrets.keys);
        let upgrade = if is_outdated { Some(inner.passwords.hash(&password, first).await?) } else { None };
        let mut tx = inner.store.begin(Access::Write).await?;
        // Read again under the lock: what was verified may have been changed while bcrypt ran.
        let mut account = tx.account(account.id).await?.ok_or(Error::InvalidCredentials)?;
        if tx.password(account.id).await?.as_ref() != Some(&hash) {
            return Err(Error::InvalidCredentials);
        }
        if let Some(upgrade) = upgrade {
            tx.set_password(account.id, &upgrade).await?;
        }
        let before = account.clone();
        renew_tag(&mut account, &identity, &secrets);
        account.terms = acceptance.or(account.terms);
        if account != before {
            tx.update_account(&account).await?;
        }
        let tokens = NewTokens::open_session(inner, &mut *tx, &account).await?;
        tx.commit().await?;
        inner.directory.forget(account.id);
        Ok(SignedIn { account, tokens })
    }

    /// Opens an account with a recovery code and gives it another password. All its sessions end.
    ///
    /// # Errors
    /// `InvalidCredentials`, alike in words and time for an unknown account and a wrong code; `WeakPassword`, which
    /// says nothing about either; `RateLimited`; `Busy`.
    pub async fn recover(&self, context: &Context, recovery: Recovery) -> Result<SignedIn, Error> {
        let Self(inner) = self;
        let Recovery { identity, code, new_password, proof } = recovery;
        let secrets = inner.secrets();
        let first = secrets.keys.first_pepper();
        let attempt = self.begin(context, (Guess::Recover, identity.anonymous_id(first)), proof.as_ref(), &secrets)?;
        // Hashed before the code is looked at, so that a wrong one takes as long as a right one.
        let hash = match inner.passwords.hash_strong(&new_password, inner.password_rule, first).await {
            Ok(hash) => hash,
            Err(error) => {
                attempt.forgive();
                return Err(error);
            }
        };
        let mut tx = inner.store.begin(Access::Write).await?;
        let account = tx.account_by_tag(&secrets.keys.tags(&identity)).await?;
        // Of nobody's account there is no code; it is looked for all the same.
        let id = account.as_ref().map_or(AccountId::from_bits(0), |account| account.id);
        let is_used = tx.use_recovery_code(id, &code.digest()).await?;
        let Some(mut account) = account.filter(|_| is_used) else { return Err(Error::InvalidCredentials) };
        renew_tag(&mut account, &identity, &secrets);
        let signed_in = self.rekey(tx, account, &hash).await?;
        attempt.forgive();
        Ok(signed_in)
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
        let known = self.check_password(context, &account, current, proof).await?;
        let secrets = inner.secrets();
        let first = secrets.keys.first_pepper();
        let hash = inner.passwords.hash_strong(new, inner.password_rule, first).await?;
        let mut tx = inner.store.begin(Access::Write).await?;
        let account = tx.account(account.id).await?.ok_or(Error::no_account())?;
        if tx.password(account.id).await?.as_ref() != Some(&known) {
            return Err(Error::InvalidCredentials);
        }
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
        let entry = inner.entry(principal.account).await?;
        inner.allows(&context.caller, Action::Reauthenticate, &entry.account)?;
        self.check_password(context, &entry.account, password, proof).await?;
        let now = inner.clock.now();
        let mut tx = inner.store.begin(Access::Write).await?;
        let session = tx.session(principal.session).await?.ok_or(Error::TokenInvalid)?;
        tx.mark_authenticated(session.id, now).await?;
        tx.commit().await?;
        inner.directory.forget(principal.account);
        Ok(Session { authenticated_at: now, ..session })
    }

    /// Makes new recovery codes in place of all that the caller's account has.
    ///
    /// # Errors
    /// `ReauthenticationRequired` where the session's last password check is more than five minutes old; those of the
    /// account's status.
    pub async fn renew_recovery_codes(&self, context: &Context) -> Result<Vec<RecoveryCode>, Error> {
        let Self(inner) = self;
        let account = self.recently_authenticated(context, Action::ChangeCredentials).await?;
        let codes = RecoveryCode::new_set(&*inner.entropy)?;
        let mut tx = inner.store.begin(Access::Write).await?;
        set_codes(&mut *tx, account.id, &codes).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// How many recovery codes an account has left.
    ///
    /// # Errors
    /// `NotFound` for another's account; those of the account's status.
    pub async fn recovery_codes_left(&self, context: &Context, id: AccountId) -> Result<u64, Error> {
        let Self(inner) = self;
        let entry = inner.entry(id).await?;
        inner.allows(&context.caller, Action::SeeIdentity, &entry.account)?;
        Ok(inner.store.begin(Access::Read).await?.recovery_code_count(id).await?)
    }

    /// Exchanges a refresh token for a new pair.
    ///
    /// # Errors
    /// `TokenInvalid`, `TokenExpired`; `TokenReused` where it was used more than ten seconds ago, which also ends its
    /// session: one of its two users stole it.
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
        if record.used_at.is_none() {
            tx.mark_refresh_used(&digest, now).await?;
        }
        let tokens = NewTokens::issue(inner, &mut *tx, &account, &session).await?;
        tx.commit().await?;
        inner.directory.forget(account.id);
        Ok(SignedIn { account, tokens })
    }

    /// The open sessions of an account, oldest first.
    ///
    /// # Errors
    /// `NotFound` for another's account; those of the account's status.
    pub async fn sessions(&self, context: &Context, id: AccountId) -> Result<Vec<Session>, Error> {
        let entry = self.0.entry(id).await?;
        self.0.allows(&context.caller, Action::SeeIdentity, &entry.account)?;
        let now = self.0.clock.now();
        Ok(entry.sessions.iter().filter(|session| session.expires_at > now).cloned().collect())
    }

    /// Ends the caller's session; its tokens open nothing from the next call on.
    ///
    /// # Errors
    /// `Unauthenticated`, `TokenExpired` or `TokenInvalid` where no account is signed in.
    pub async fn logout(&self, context: &Context) -> Result<(), Error> {
        let principal = self.may_log_out(context).await?;
        self.end(principal.account, principal.session).await
    }

    /// Ends one session of the caller's account.
    ///
    /// # Errors
    /// `NotFound` where the account has no such session; as [`logout`](Self::logout).
    pub async fn end_session(&self, context: &Context, session: SessionId) -> Result<(), Error> {
        let principal = self.may_log_out(context).await?;
        let entry = self.0.entry(principal.account).await?;
        entry.session(session).ok_or(Error::NotFound { what: "session" })?;
        self.end(principal.account, session).await
    }

    /// Ends every session of the caller's account.
    ///
    /// # Errors
    /// As [`logout`](Self::logout).
    pub async fn logout_everywhere(&self, context: &Context) -> Result<(), Error> {
        let principal = self.may_log_out(context).await?;
        self.end_everywhere(principal.account).await
    }

    /// Ends every session of an account, for an operator: when its holder asks for it by another way, or its tokens have
    /// been seen where they should not be.
    ///
    /// # Errors
    /// `Forbidden` for any caller but an operator or the program; `NotFound`.
    pub async fn end_sessions_of(&self, context: &Context, id: AccountId) -> Result<(), Error> {
        allows(&context.caller, Action::EndSessions, Target::Service)?;
        self.end_everywhere(id).await
    }

    async fn end_everywhere(&self, id: AccountId) -> Result<(), Error> {
        let mut tx = self.0.store.begin(Access::Write).await?;
        let mut account = tx.account(id).await?.ok_or(Error::no_account())?;
        end_all_sessions(&mut *tx, &mut account).await?;
        tx.commit().await?;
        self.0.directory.forget(id);
        Ok(())
    }

    async fn end(&self, account: AccountId, session: SessionId) -> Result<(), Error> {
        let mut tx = self.0.store.begin(Access::Write).await?;
        tx.end_session(session).await?;
        tx.commit().await?;
        self.0.directory.forget(account);
        Ok(())
    }

    async fn may_log_out(&self, context: &Context) -> Result<Principal, Error> {
        let principal = *context.account()?;
        let entry = self.0.entry(principal.account).await?;
        self.0.allows(&context.caller, Action::Logout, &entry.account)?;
        Ok(principal)
    }

    /// A token for another service, in which the caller's account goes by a name that only that service knows it by:
    /// two services cannot tell that they have the same user.
    ///
    /// # Errors
    /// `NotFound` for a service that this deployment does not know; those of the account's status.
    pub async fn service_token(&self, context: &Context, audience: &Audience) -> Result<ServiceToken, Error> {
        let Self(inner) = self;
        let principal = *context.account()?;
        let entry = inner.entry(principal.account).await?;
        inner.allows(&context.caller, Action::VisitService, &entry.account)?;
        if !inner.services.contains(audience) {
            return Err(Error::NotFound { what: "service" });
        }
        let seed = match &entry.account.subject_seed {
            Some(seed) => seed.clone(),
            None => self.make_seed(principal.account).await?,
        };
        inner.secrets().tokens.issue_for(audience, &seed, inner.clock.now(), &*inner.entropy)
    }

    async fn make_seed(&self, id: AccountId) -> Result<SubjectSeed, Error> {
        let Self(inner) = self;
        let mut tx = inner.store.begin(Access::Write).await?;
        let mut account = tx.account(id).await?.ok_or(Error::no_account())?;
        // Another call may have been first.
        if let Some(seed) = account.subject_seed {
            return Ok(seed);
        }
        let seed = SubjectSeed::from_bytes(entropy::bytes(&*inner.entropy)?);
        account.subject_seed = Some(seed.clone());
        tx.update_account(&account).await?;
        tx.commit().await?;
        inner.directory.forget(id);
        Ok(seed)
    }

    /// Lets a guess from that caller be checked, unless too many failed before it.
    fn begin(
        &self,
        context: &Context,
        guess: (Guess, crate::users::AnonymousId),
        proof: Option<&Proof>,
        secrets: &Secrets,
    ) -> Result<Attempt<'_>, Error> {
        let Self(inner) = self;
        let pepper = secrets.keys.first_pepper();
        inner.throttle.begin(guess.0, context.source, guess.1, proof, pepper, inner.clock.now())
    }

    async fn find(&self, secrets: &Secrets, identity: &Identity) -> Result<Option<(Account, PasswordHash)>, Error> {
        let mut tx = self.0.store.begin(Access::Read).await?;
        let account = tx.account_by_tag(&secrets.keys.tags(identity)).await?;
        // Nobody's password is looked for too, so that an unknown account takes as long.
        let id = account.as_ref().map_or(AccountId::from_bits(0), |account| account.id);
        let hash = tx.password(id).await?;
        Ok(account.zip(hash))
    }

    /// Checks the password of a signed-in account, and gives the hash it was checked against.
    pub(crate) async fn check_password(
        &self,
        context: &Context,
        account: &Account,
        password: &Password,
        proof: Option<&Proof>,
    ) -> Result<PasswordHash, Error> {
        let Self(inner) = self;
        let secrets = inner.secrets();
        let attempt = self.begin(context, (Guess::PasswordCheck, account.anonymous_id), proof, &secrets)?;
        let hash = inner.store.begin(Access::Read).await?.password(account.id).await?;
        let verdict = inner.passwords.verify(password, hash.as_ref(), &secrets.keys).await;
        let is_right = checked(attempt, verdict)?;
        hash.filter(|_| is_right).ok_or(Error::InvalidCredentials)
    }

    /// The caller's account, where its session may do what asks for the password.
    pub(crate) async fn recently_authenticated(&self, context: &Context, action: Action) -> Result<Account, Error> {
        let Self(inner) = self;
        let principal = *context.account()?;
        let entry = inner.entry(principal.account).await?;
        inner.allows(&context.caller, action, &entry.account)?;
        let now = inner.clock.now();
        let is_fresh = entry.session(principal.session).is_some_and(|session| session.is_fresh(now));
        if is_fresh { Ok(entry.account.clone()) } else { Err(Error::ReauthenticationRequired) }
    }

    /// Sets a password, ends every session, and opens a new one.
    async fn rekey(&self, mut tx: Box<dyn Tx>, mut account: Account, hash: &PasswordHash) -> Result<SignedIn, Error> {
        let Self(inner) = self;
        tx.set_password(account.id, hash).await?;
        end_all_sessions(&mut *tx, &mut account).await?;
        let tokens = NewTokens::open_session(inner, &mut *tx, &account).await?;
        tx.commit().await?;
        inner.directory.forget(account.id);
        Ok(SignedIn { account, tokens })
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
        let principal = match self.0.secrets().tokens.read(text, self.0.clock.now()) {
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
        let is_current = |entry: &crate::users::Entry| {
            entry.account.epoch == principal.epoch && entry.session(principal.session).is_some()
        };
        Ok(entry.is_some_and(|entry| is_current(&entry)))
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
        self.0.secrets().tokens.public_keys()
    }
}

/// The verdict on a guess. Only a wrong one counts.
fn checked(attempt: Attempt<'_>, verdict: Result<bool, Error>) -> Result<bool, Error> {
    if !matches!(verdict, Ok(false)) {
        attempt.forgive();
    }
    verdict
}

/// A second use is theft, but for the moment in which two tabs share a token.
fn was_stolen(record: &RefreshRecord, now: crate::Timestamp) -> bool {
    record.used_at.is_some_and(|used_at| now.since(used_at) > REUSE_WINDOW)
}

/// Deletes the sessions and raises the epoch, which ends the access tokens made from them.
async fn end_all_sessions(tx: &mut dyn Tx, account: &mut Account) -> Result<(), Error> {
    account.epoch += 1;
    tx.update_account(account).await?;
    tx.end_sessions(account.id).await?;
    Ok(())
}

/// Brings an account that has just proved who it is under the first pepper.
fn renew_tag(account: &mut Account, identity: &Identity, secrets: &Secrets) {
    let pepper = secrets.keys.first_pepper();
    account.anonymous_id = identity.anonymous_id(pepper);
    account.pepper = pepper.id();
}

pub(crate) async fn set_codes(tx: &mut dyn Tx, id: AccountId, codes: &[RecoveryCode]) -> Result<(), Error> {
    let digests: Vec<SecretDigest> = codes.iter().map(RecoveryCode::digest).collect();
    Ok(tx.set_recovery_codes(id, &digests).await?)
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
