use std::time::Duration;

use crate::Error;
use crate::auth::token::ACCESS_LIFETIME;
use crate::context::Principal;
use crate::id::{AccountId, SessionId};
use crate::platform::Inner;
use crate::secret::{AccessToken, RefreshToken, SecretDigest, random_token};
use crate::store::Tx;
use crate::time::Timestamp;
use crate::users::Account;

/// How long a refresh token lasts, counted anew at each rotation.
pub(crate) const REFRESH_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// How long after its first use a refresh token may be used again: two tabs that wake together both refresh with the
/// one token they share, and neither is a thief.
pub(crate) const REUSE_WINDOW: Duration = Duration::from_secs(10);

/// How long one sign-in can be renewed for: whoever stole a device does not stay for ever.
pub(crate) const SESSION_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// Sessions an account has at once; past it the oldest ends. More than anybody has devices, few enough to look through.
pub(crate) const MAX_SESSIONS: usize = 100;

/// How long after its password was checked a session may do what only the password's owner should.
pub(crate) const REAUTHENTICATION_WINDOW: Duration = Duration::from_secs(300);

const REFRESH_PREFIX: &str = "dimr_";

/// One sign-in, and all tokens that descend from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// When it began.
    pub created_at: Timestamp,
    /// When its youngest refresh token runs out.
    pub expires_at: Timestamp,
    /// When its holder last proved to know the password, or a recovery code.
    pub authenticated_at: Timestamp,
}

impl Session {
    /// Whether its holder proved to know the password in the last five minutes.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        // A check that lies ahead was made under a clock that has been set back since: it says nothing of the present.
        now.since(self.authenticated_at).max(self.authenticated_at.since(now)) <= REAUTHENTICATION_WINDOW
    }
}

/// What is kept of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshRecord {
    /// SHA-256 of the token.
    pub digest: SecretDigest,
    /// The session it renews.
    pub session: SessionId,
    /// When it runs out.
    pub expires_at: Timestamp,
    /// When it was first used; absent while it has not been.
    pub used_at: Option<Timestamp>,
}

/// What a signed-in client holds.
#[derive(Debug)]
pub struct TokenPair {
    /// Whom the access token names.
    pub principal: Principal,
    /// For every call, in `Authorization: Bearer …`.
    pub access_token: AccessToken,
    /// When the access token runs out.
    pub access_token_expires_at: Timestamp,
    /// For one rotation.
    pub refresh_token: RefreshToken,
    /// When the refresh token runs out.
    pub refresh_token_expires_at: Timestamp,
}

/// Makes tokens inside a transaction.
pub(crate) struct NewTokens;

impl NewTokens {
    /// Opens a session on the account, whose password has just been checked, and gives its first pair. The oldest goes
    /// where there are too many.
    pub(crate) async fn open_session(inner: &Inner, tx: &mut dyn Tx, account: &Account) -> Result<TokenPair, Error> {
        let now = inner.clock.now();
        let session = Session {
            id: SessionId::random(&*inner.entropy)?,
            account: account.id,
            created_at: now,
            expires_at: now.after(REFRESH_LIFETIME),
            authenticated_at: now,
        };
        let open = tx.sessions(account.id).await?;
        for oldest in open.iter().take((open.len() + 1).saturating_sub(MAX_SESSIONS)) {
            tx.end_session(oldest.id).await?;
        }
        tx.insert_session(&session).await?;
        Self::issue(inner, tx, account, &session).await
    }

    /// Gives a new pair to a session that is there.
    pub(crate) async fn issue(
        inner: &Inner,
        tx: &mut dyn Tx,
        account: &Account,
        session: &Session,
    ) -> Result<TokenPair, Error> {
        let now = inner.clock.now();
        let (session, ends_at) = (session.id, session.created_at.after(SESSION_LIFETIME));
        let refresh_token = RefreshToken::new(random_token(REFRESH_PREFIX, &*inner.entropy)?.as_str());
        let refresh_token_expires_at = now.after(REFRESH_LIFETIME).min(ends_at);
        tx.insert_refresh(&RefreshRecord {
            digest: SecretDigest::of(refresh_token.expose()),
            session,
            expires_at: refresh_token_expires_at,
            used_at: None,
        })
        .await?;
        tx.extend_session(session, refresh_token_expires_at).await?;
        // Claims count whole seconds, and so does what the client is told.
        let access_token_expires_at = now.after(ACCESS_LIFETIME).min(ends_at).floor(1);
        let principal =
            Principal { account: account.id, session, epoch: account.epoch, expires_at: access_token_expires_at };
        let access_token = inner.secrets().tokens.issue(&principal, now, &*inner.entropy)?;
        Ok(TokenPair { principal, access_token, access_token_expires_at, refresh_token, refresh_token_expires_at })
    }
}
