//! The handle everything is reached through.

mod builder;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, broadcast};

use crate::Error;
use crate::allocation::{Allocation, Allocations};
use crate::auth::{Audience, Auth, Issuer, Keys, PasswordRule, Passwords, Secrets, Throttle};
use crate::context::{Caller, Principal};
use crate::entropy::Entropy;
use crate::id::{AccessKeyId, AccountId};
use crate::jobs::{Schedule, Scheduler};
use crate::monitoring::ledger::Ledger;
use crate::monitoring::{Metering, Monitoring, ReportLog, Retention};
use crate::payment::voucher::Denomination;
use crate::payment::{Lifecycle, Payments, Standing, Trust};
use crate::policy::{Action, Target, allows};
use crate::replicas::Sharing;
use crate::secret::SecretDigest;
use crate::store::{Store, StoreError, Tx};
use crate::time::Clock;
use crate::tos::Tos;
use crate::users::{Account, AccountEvent, Directory, Entry, Terms, Users};

pub use builder::PlatformBuilder;
use builder::secrets;

/// How long a platform that is closed waits for what was found to be followed.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);

/// Accounts, sign-in, allocation and metering over one storage. Cheap to clone; all clones are one platform.
#[derive(Debug, Clone)]
pub struct Platform {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    secrets: RwLock<Arc<Secrets>>,
    issuer: Issuer,
    audience: Audience,
    pub(crate) services: Vec<Audience>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) trust: Trust,
    /// What vouchers are sold for.
    pub(crate) denominations: Vec<Denomination>,
    pub(crate) password_rule: PasswordRule,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) directory: Arc<Directory>,
    pub(crate) sharing: Arc<Sharing>,
    /// Whose turn it is to change what is held against an account.
    pub(crate) enforcing: tokio::sync::Mutex<()>,
    /// Exports under way: each holds some megabytes.
    pub(crate) exports: Semaphore,
    pub(crate) key_holders: DashMap<SecretDigest, AccessKeyId>,
    pub(crate) metering: Arc<Metering>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) retention: Retention,
    pub(crate) scheduler: Scheduler,
    pub(crate) report_log: Option<Arc<dyn ReportLog>>,
}

impl Inner {
    /// An account with its open sessions.
    pub(crate) async fn entry(&self, id: AccountId) -> Result<Arc<Entry>, Error> {
        let entry = self.directory.entry(&*self.store, id).await?;
        let now = self.clock.now();
        entry.filter(|entry| !self.lifecycle.is_gone(&entry.account, now)).ok_or(Error::no_account())
    }

    /// An account as it was read, unless its time has come: then it is gone, whether or not anybody has removed it yet.
    pub(crate) fn present(&self, account: Option<Account>) -> Option<Account> {
        account.filter(|account| !self.lifecycle.is_gone(account, self.clock.now()))
    }

    pub(crate) fn standing(&self, account: &Account) -> Standing {
        self.lifecycle.standing(account, self.clock.now())
    }

    /// Tells whoever listens to an account what happened to it.
    pub(crate) fn tell(&self, account: AccountId, events: Vec<AccountEvent>) {
        for event in events {
            self.metering.events.tell(account, event);
            self.sharing.happened(account, event);
        }
    }

    /// Lets a caller do something to an account in its present standing, and gives the account. Whoever was let in with
    /// the request's headers is asked again here: its body may have come much later, and an operation before this one
    /// in the same document may have signed it out.
    pub(crate) async fn admit(&self, caller: &Caller, action: Action, id: AccountId) -> Result<Arc<Entry>, Error> {
        may_any(caller, action)?;
        let entry = self.entry(id).await?;
        self.admit_to(caller, action, &entry)?;
        Ok(entry)
    }

    /// The same for several accounts, each by itself, in the order asked.
    pub(crate) async fn admit_each(
        &self,
        caller: &Caller,
        action: Action,
        ids: &[AccountId],
    ) -> Result<Vec<Result<Arc<Entry>, Error>>, Error> {
        may_any(caller, action)?;
        let known = self.directory.entries(&*self.store, ids).await?;
        let now = self.clock.now();
        let admit = |id: &AccountId| {
            let entry = known.get(id).filter(|entry| !self.lifecycle.is_gone(&entry.account, now));
            let entry = entry.ok_or(Error::no_account())?;
            self.admit_to(caller, action, entry)?;
            Ok(Arc::clone(entry))
        };
        Ok(ids.iter().map(admit).collect())
    }

    fn admit_to(&self, caller: &Caller, action: Action, entry: &Entry) -> Result<(), Error> {
        if let Caller::Account(principal) = caller
            && principal.account == entry.account.id
        {
            self.holds(principal, entry)?;
        }
        self.allows(caller, action, &entry.account)
    }

    /// Whether a token still is what the account's state says.
    pub(crate) fn holds(&self, principal: &Principal, entry: &Entry) -> Result<(), Error> {
        if principal.expires_at <= self.clock.now() {
            return Err(Error::TokenExpired);
        }
        let is_current = entry.account.epoch == principal.epoch && entry.session(principal.session).is_some();
        if is_current { Ok(()) } else { Err(Error::TokenInvalid) }
    }

    /// Decides whether a caller may do that to an account that was read just now.
    pub(crate) fn allows(&self, caller: &Caller, action: Action, account: &Account) -> Result<(), Error> {
        allows(caller, action, Target::Account(account.id, self.standing(account)))
    }

    /// Commits a change of an account, and forgets what was known of it. It is done also where whoever asked for it has
    /// hung up: the storage goes on with a commit that nobody waits for, and a thief's token would go on with it.
    pub(crate) async fn commit(&self, mut tx: Box<dyn Tx>, account: AccountId) -> Result<(), StoreError> {
        let (directory, sharing) = (Arc::clone(&self.directory), Arc::clone(&self.sharing));
        let now = self.clock.now();
        let committing = tokio::spawn(async move {
            let committed = match tx.note_change(account, sharing.replica, now).await {
                Ok(()) => tx.commit().await,
                Err(error) => Err(error),
            };
            directory.forget(account);
            // Also where it failed: the answer may be what was lost, and not the commit.
            sharing.account_changed(account);
            committed
        });
        committing.await.unwrap_or_else(|error| Err(StoreError::unavailable(error)))
    }

    /// The same, and what it changes shows from now on: a suspension takes effect before the disk has it.
    pub(crate) async fn commit_shown(&self, tx: Box<dyn Tx>, entry: Entry) -> Result<(), StoreError> {
        let account = entry.account.id;
        self.directory.show(entry);
        self.commit(tx, account).await
    }

    /// The keys in use.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets.read())
    }

    /// What an account is allotted: its tier's figures, but for limits of its own.
    pub(crate) fn allotted(&self, account: &Account) -> Allocation {
        self.metering.limits.allotted(account.tier, Some(account.id), self.clock.now())
    }
}

/// Refuses whoever may do something to no account, before any is read. An account's holder is judged by that account.
fn may_any(caller: &Caller, action: Action) -> Result<(), Error> {
    if matches!(caller, Caller::Account(_)) { Ok(()) } else { allows(caller, action, Target::Service) }
}

/// Those accounts of a list that the caller was let in to, each once.
pub(crate) fn admitted(entries: &[Result<Arc<Entry>, Error>]) -> Vec<AccountId> {
    let mut ids: Vec<AccountId> = entries.iter().flatten().map(|entry| entry.account.id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What one account comes to of what was asked for that one alone.
pub(crate) fn only<T>(each: Vec<Result<T, Error>>) -> Result<T, Error> {
    each.into_iter().next().unwrap_or(Err(Error::no_account()))
}

impl Platform {
    /// Begins a platform over a storage.
    pub fn builder(store: impl Store) -> PlatformBuilder {
        PlatformBuilder::new(Arc::new(store))
    }

    /// Accounts.
    #[must_use]
    pub fn users(&self) -> Users<'_> {
        Users(&self.inner)
    }

    /// Signing in and out.
    #[must_use]
    pub fn auth(&self) -> Auth<'_> {
        Auth(&self.inner)
    }

    /// Tiers and quotas.
    #[must_use]
    pub fn allocation(&self) -> Allocations<'_> {
        Allocations(&self.inner)
    }

    /// Metering.
    #[must_use]
    pub fn monitoring(&self) -> Monitoring<'_> {
        Monitoring(&self.inner)
    }

    /// Payments, and what follows where there are none.
    #[must_use]
    pub fn payment(&self) -> Payments<'_> {
        Payments(&self.inner)
    }

    /// Enforcement of the terms of service.
    #[must_use]
    pub fn tos(&self) -> Tos<'_> {
        Tos(&self.inner)
    }

    /// What is done by itself.
    #[must_use]
    pub fn jobs(&self) -> Schedule<'_> {
        Schedule(&self.inner)
    }

    /// The clock everything here goes by.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// The source of chance everything here draws on.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    /// Puts other keys in the place of those in use, at once and for every call that begins after it. Of a list the
    /// first makes and all verify, so that nothing fails while one takes another's place.
    ///
    /// # Errors
    /// `InvalidInput` for a key that cannot be used; then those in use stay.
    pub fn replace_keys(&self, keys: Keys) -> Result<(), Error> {
        let secrets = secrets(keys, &self.inner.issuer, &self.inner.audience)?;
        *self.inner.secrets.write() = Arc::new(secrets);
        Ok(())
    }

    /// The versions of the terms of service.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        self.inner.lifecycle.terms()
    }

    /// Whether a caller may go on listening: its token still holds, and its account's standing still allows it. For
    /// connections that outlive a request.
    ///
    /// # Errors
    /// `TokenExpired` or `TokenInvalid` where the token does not hold, `ServiceSuspended` or `ServiceCancelled` where
    /// the account's standing forbids it, `TermsNotAccepted` where newer terms are in force.
    pub async fn recheck_listener(&self, caller: &Caller) -> Result<(), Error> {
        let Caller::Account(principal) = caller else { return Ok(()) };
        match self.inner.admit(caller, Action::WatchUsage, principal.account).await {
            // An erased account's token is no better than any other that opens nothing.
            Err(Error::NotFound { .. }) => Err(Error::TokenInvalid),
            admitted => admitted.map(drop),
        }
    }

    /// Ends what this process does by itself, as far as it can be told to: gives the jobs to another process, makes durable
    /// everything that was recorded, and gives back what the process was granted of quotas, which would count as used for
    /// an hour otherwise. Call it before the program ends: once it has returned, the writer of usage has ended, and what is
    /// recorded from then on is lost.
    ///
    /// # Errors
    /// Where the storage fails; then what was recorded is in memory alone, and may be closed again.
    pub async fn close(&self) -> Result<(), Error> {
        self.inner.scheduler.close(&self.inner).await;
        self.inner.ledger.close().await?;
        let quiet = async {
            while !self.inner.metering.sentinel.is_quiet() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(FOLLOWED_WITHIN, quiet).await.is_err() {
            tracing::error!("some of what was found was not followed before the end");
        }
        Ok(())
    }

    /// Names of the accounts that are changed from now on, here or by another process.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<AccountId> {
        self.inner.sharing.changes()
    }

    /// How many other processes work on the same storage, as far as they are heard of, and whether messages between them
    /// get through.
    #[must_use]
    pub fn peers(&self) -> (usize, bool) {
        self.inner.sharing.peers()
    }

    /// Whether the storage answers.
    ///
    /// # Errors
    /// `Store` where it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        Ok(self.inner.store.ping().await?)
    }
}
