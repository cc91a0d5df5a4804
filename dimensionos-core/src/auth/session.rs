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
    /// Opens a session on the account and gives its first pair.
    pub(crate) async fn open_session(inner: &Inner, tx: &mut dyn Tx, account: &Account) -> Result<TokenPair, Error> {
        let now = inner.clock.now();
        let session = Session {
            id: SessionId::random(&*inner.entropy)?,
            account: account.id,
            created_at: now,
            expires_at: now.after(REFRESH_LIFETIME),
        };
        tx.insert_session(&session).await?;
        Self::issue(inner, tx, account, session.id).await
    }

    /// Gives a new pair to a session that is there.
    pub(crate) async fn issue(
        inner: &Inner,
        tx: &mut dyn Tx,
        account: &Account,
        session: SessionId,
    ) -> Result<TokenPair, Error> {
        let now = inner.clock.now();
        let refresh_token = RefreshToken::new(random_token(REFRESH_PREFIX, &*inner.entropy)?.as_str());
        let refresh_token_expires_at = now.after(REFRESH_LIFETIME);
        tx.insert_refresh(&RefreshRecord {
            digest: SecretDigest::of(refresh_token.expose()),
            session,
            expires_at: refresh_token_expires_at,
            used_at: None,
        })
        .await?;
        tx.extend_session(session, refresh_token_expires_at).await?;
        // Claims count whole seconds, and so does what the client is told.
        let access_token_expires_at = now.floor(1).after(ACCESS_LIFETIME);
        let principal =
            Principal { account: account.id, session, epoch: account.epoch, expires_at: access_token_expires_at };
        let access_token = inner.tokens.issue(&principal, now, &*inner.entropy)?;
        Ok(TokenPair { principal, access_token, access_token_expires_at, refresh_token, refresh_token_expires_at })
    }
}
