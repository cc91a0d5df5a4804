use crate::Error;
use crate::auth::{Auth, Session, held};
use crate::context::{Context, Principal};
use crate::id::{AccountId, SessionId};
use crate::policy::{Action, Target, allows};
use crate::store::{Access, Tx};
use crate::users::Account;

impl Auth<'_> {
    /// The open sessions of an account, oldest first.
    ///
    /// # Errors
    /// `NotFound` for another's account; those of the account's status.
    pub async fn sessions(&self, context: &Context, id: AccountId) -> Result<Vec<Session>, Error> {
        let entry = self.0.admit(&context.caller, Action::SeeIdentity, id).await?;
        let now = self.0.clock.now();
        Ok(entry.sessions.iter().filter(|session| session.expires_at > now).cloned().collect())
    }

    /// Ends the caller's session; its tokens open nothing from the next call on.
    ///
    /// # Errors
    /// `Unauthenticated`, `TokenExpired` or `TokenInvalid` where no account is signed in.
    pub async fn logout(&self, context: &Context) -> Result<(), Error> {
        let principal = self.may_log_out(context).await?;
        self.end(&principal, principal.session).await
    }

    /// Ends one session of the caller's account.
    ///
    /// # Errors
    /// `NotFound` where the account has no such session; as [`logout`](Self::logout).
    pub async fn end_session(&self, context: &Context, session: SessionId) -> Result<(), Error> {
        let principal = self.may_log_out(context).await?;
        let entry = self.0.entry(principal.account).await?;
        entry.session(session).ok_or(Error::NotFound { what: "session" })?;
        self.end(&principal, session).await
    }

    /// Ends every session of the caller's account.
    ///
    /// # Errors
    /// As [`logout`](Self::logout).
    pub async fn logout_everywhere(&self, context: &Context) -> Result<(), Error> {
        let principal = self.may_log_out(context).await?;
        let mut tx = self.0.store.begin(Access::Write).await?;
        // As the storage has it: another process may have ended the session just now.
        let mut account = held(&mut *tx, &principal).await?;
        end_all_sessions(&mut *tx, &mut account).await?;
        Ok(self.0.commit(tx, account.id).await?)
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
        Ok(self.0.commit(tx, id).await?)
    }

    async fn end(&self, principal: &Principal, session: SessionId) -> Result<(), Error> {
        let mut tx = self.0.store.begin(Access::Write).await?;
        // Held, so that whoever else changes the account sees the session gone.
        let account = held(&mut *tx, principal).await?;
        tx.end_session(session).await?;
        Ok(self.0.commit(tx, account.id).await?)
    }

    async fn may_log_out(&self, context: &Context) -> Result<Principal, Error> {
        let principal = *context.account()?;
        self.0.admit(&context.caller, Action::Logout, principal.account).await?;
        Ok(principal)
    }
}

/// Deletes the sessions and raises the epoch, which ends the access tokens made from them.
pub(super) async fn end_all_sessions(tx: &mut dyn Tx, account: &mut Account) -> Result<(), Error> {
    account.epoch += 1;
    tx.update_account(account).await?;
    tx.end_sessions(account.id).await?;
    Ok(())
}
