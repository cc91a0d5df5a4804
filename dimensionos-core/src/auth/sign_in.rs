use crate::Error;
use crate::auth::hashing::RETRY_AFTER;
use crate::auth::session::REUSE_WINDOW;
use crate::auth::{
    Attempt, Auth, Guess, Guesser, NewTokens, Password, PasswordHash, Proof, RefreshRecord, Secrets, SignedIn,
};
use crate::context::Context;
use crate::id::AccountId;
use crate::policy::{self, Action};
use crate::secret::{RefreshToken, SecretDigest};
use crate::store::Access;
use crate::users::{Account, AnonymousId, Identity, TermsName};

/// How often a sign-in is checked anew because the account changed while its password was being checked.
const ROUNDS: usize = 3;

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

impl Auth<'_> {
    /// Signs in with a password, in whatever status the account is: what it may then do is another question.
    ///
    /// # Errors
    /// `InvalidCredentials`, alike in words and time for an unknown account and a wrong password; `RateLimited` after
    /// too many of them; `InvalidInput` for terms that are not in force; `Busy`; those of the account's status where
    /// terms are accepted with it.
    pub async fn login(&self, context: &Context, sign_in: SignIn) -> Result<SignedIn, Error> {
        let tag = sign_in.identity.anonymous_id(self.0.secrets().keys.first_pepper());
        let attempt = self.begin(context, Guess::SignIn, tag, sign_in.proof.as_ref())?;
        attempt.judged(self.sign_in(&sign_in).await)
    }

    async fn sign_in(&self, sign_in: &SignIn) -> Result<SignedIn, Error> {
        for _ in 0..ROUNDS {
            if let Some(signed_in) = self.try_sign_in(sign_in).await? {
                return Ok(signed_in);
            }
        }
        Err(Error::Busy { retry_after: RETRY_AFTER })
    }

    /// Signs in, unless the account was given another password, or its sessions were ended, while this one was checked.
    async fn try_sign_in(&self, sign_in: &SignIn) -> Result<Option<SignedIn>, Error> {
        let Self(inner) = self;
        let SignIn { identity, password, .. } = sign_in;
        let secrets = inner.secrets();
        let found = self.find(&secrets, identity).await?;
        let hash = found.as_ref().map(|(_, hash)| hash);
        let is_right = inner.passwords.verify(password, hash, &secrets.keys).await?;
        let Some((found, hash)) = found.filter(|_| is_right) else { return Err(Error::InvalidCredentials) };
        let upgrade = self.upgrade(password, &hash, &secrets).await?;

        let mut tx = inner.store.begin(Access::Write).await?;
        let mut account = tx.account(found.id).await?.ok_or(Error::InvalidCredentials)?;
        if account.epoch != found.epoch {
            return Ok(None);
        }
        if let Some(upgrade) = upgrade {
            tx.set_password(account.id, &upgrade).await?;
        }
        let before = account.clone();
        account.move_under(identity, &secrets.keys);
        self.accept_terms(&mut account, sign_in.terms.as_ref())?;
        if account != before {
            tx.update_account(&account).await?;
        }
        let tokens = NewTokens::open_session(inner, &mut *tx, &account).await?;
        inner.commit(tx, account.id).await?;
        Ok(Some(SignedIn { account, tokens }))
    }

    /// The password's hash under the first pepper at the present cost, where it is not that yet. It can wait for the next
    /// sign-in where there is too much to hash.
    async fn upgrade(
        &self,
        password: &Password,
        hash: &PasswordHash,
        secrets: &Secrets,
    ) -> Result<Option<PasswordHash>, Error> {
        let Self(inner) = self;
        if !inner.passwords.is_outdated(hash, &secrets.keys) {
            return Ok(None);
        }
        match inner.passwords.hash(password, secrets.keys.first_pepper()).await {
            Ok(upgrade) => Ok(Some(upgrade)),
            Err(Error::Busy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn accept_terms(&self, account: &mut Account, name: Option<&TermsName>) -> Result<(), Error> {
        let Self(inner) = self;
        let Some(name) = name else { return Ok(()) };
        policy::holder_may(Action::AcceptTerms, inner.standing(account))?;
        let accepted = inner.lifecycle.terms().accept(Some(name), inner.clock.now())?;
        account.terms = Some(inner.lifecycle.terms().later(account.terms.take(), accepted));
        Ok(())
    }

    async fn find(&self, secrets: &Secrets, identity: &Identity) -> Result<Option<(Account, PasswordHash)>, Error> {
        let mut tx = self.0.store.begin(Access::Read).await?;
        let account = self.0.present(tx.account_by_tag(&secrets.keys.tags(identity)).await?);
        // Nobody's password is looked for too, so that an unknown account takes as long.
        let id = account.as_ref().map_or(AccountId::NOBODY, |account| account.id);
        let hash = tx.password(id).await?;
        Ok(account.zip(hash))
    }

    /// Lets a guess from that caller be checked, unless too many failed before it.
    pub(crate) fn begin(
        &self,
        context: &Context,
        guess: Guess,
        tag: AnonymousId,
        proof: Option<&Proof>,
    ) -> Result<Attempt<'_>, Error> {
        let Self(inner) = self;
        let guesser = Guesser { guess, source: context.source, tag, proof };
        inner.throttle.begin(guesser, inner.secrets().keys.first_pepper(), inner.clock.now())
    }

    /// Exchanges a refresh token for a new pair.
    ///
    /// # Errors
    /// `TokenInvalid`, `TokenExpired`; `TokenReused` where it was used more than ten seconds ago, which also ends its
    /// session: one of its two users stole it.
    pub async fn refresh(&self, _context: &Context, token: &RefreshToken) -> Result<SignedIn, Error> {
        let Self(inner) = self;
        let digest = SecretDigest::of(token.expose());
        let mut tx = inner.store.begin(Access::Read).await?;
        let record = tx.refresh(&digest).await?.ok_or(Error::TokenInvalid)?;
        let session = tx.session(record.session).await?.ok_or(Error::TokenInvalid)?;
        drop(tx);
        let mut tx = inner.store.begin(Access::Write).await?;
        // The account first, as in every other change of it: two that wait for each other's rows would wait for ever.
        let account = inner.present(tx.account(session.account).await?).ok_or(Error::TokenInvalid)?;
        // Read again under the lock: another may have used the token meanwhile.
        let record = tx.refresh(&digest).await?.ok_or(Error::TokenInvalid)?;
        let session = tx.session(record.session).await?.ok_or(Error::TokenInvalid)?;
        let now = inner.clock.now();
        if record.expires_at <= now {
            return Err(Error::TokenExpired);
        }
        if was_stolen(&record, now) {
            tx.end_session(session.id).await?;
            inner.commit(tx, account.id).await?;
            return Err(Error::TokenReused);
        }
        if record.used_at.is_none() {
            tx.mark_refresh_used(&digest, now).await?;
        }
        let tokens = NewTokens::issue(inner, &mut *tx, &account, &session).await?;
        inner.commit(tx, account.id).await?;
        Ok(SignedIn { account, tokens })
    }
}

/// A second use is theft, but for the moment in which two tabs share a token, whichever way a clock was set since.
fn was_stolen(record: &RefreshRecord, now: crate::Timestamp) -> bool {
    record.used_at.is_some_and(|used_at| now.since(used_at).max(used_at.since(now)) > REUSE_WINDOW)
}
