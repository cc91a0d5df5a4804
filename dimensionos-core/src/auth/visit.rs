use crate::Error;
use crate::auth::{Audience, Auth, ServiceToken};
use crate::context::Context;
use crate::policy::Action;
use crate::store::Access;
use crate::users::{SealedSeed, SubjectSeed};

impl Auth<'_> {
    /// A token for another service, in which the caller's account goes by a name that only that service knows it by:
    /// two services cannot tell that they have the same user.
    ///
    /// # Errors
    /// `NotFound` for a service that this deployment does not know; those of the account's status.
    pub async fn service_token(&self, context: &Context, audience: &Audience) -> Result<ServiceToken, Error> {
        let Self(inner) = self;
        let principal = *context.account()?;
        let entry = inner.admit(&context.caller, Action::VisitService, principal.account).await?;
        if !inner.services.contains(audience) {
            return Err(Error::NotFound { what: "service" });
        }
        let secrets = inner.secrets();
        let pepper = secrets.keys.pepper(entry.account.pepper).ok_or(NO_PEPPER)?;
        let seed = match &entry.account.subject_seed {
            Some(sealed) => sealed.open(pepper, entry.account.id),
            None => self.make_seed(context).await?,
        };
        secrets.tokens.issue_for(audience, &seed, inner.clock.now(), &*inner.entropy)
    }

    async fn make_seed(&self, context: &Context) -> Result<SubjectSeed, Error> {
        let Self(inner) = self;
        let mut tx = inner.store.begin(Access::Write).await?;
        let mut account = self.locked(&mut *tx, context, Action::VisitService).await?;
        let secrets = inner.secrets();
        let pepper = secrets.keys.pepper(account.pepper).ok_or(NO_PEPPER)?;
        // Another call may have been first.
        if let Some(sealed) = &account.subject_seed {
            return Ok(sealed.open(pepper, account.id));
        }
        let seed = SubjectSeed::random(&*inner.entropy)?;
        account.subject_seed = Some(SealedSeed::seal(&seed, pepper, account.id));
        tx.update_account(&account).await?;
        inner.commit(tx, account.id).await?;
        Ok(seed)
    }
}

/// Its token was made before the pepper was taken away.
const NO_PEPPER: Error = Error::Internal { what: "the pepper of an account is not among the keys" };
