//! The handle everything is reached through.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::RwLock;
use tokio::sync::{Semaphore, broadcast, mpsc};

use crate::Error;
use crate::allocation::{self, Allocation, Allocations, Limits, Resource};
use crate::auth::{
    Audience, Auth, GuessLimits, HashCost, HashingLimits, Issuer, Keys, PasswordRule, Passwords, Secrets, Throttle,
};
use crate::context::{Caller, Principal};
use crate::entropy::{Entropy, OsEntropy};
use crate::id::{AccessKeyId, AccountId, ReplicaId};
use crate::jobs::{Schedule, Scheduler};
use crate::monitoring::ledger::Ledger;
use crate::monitoring::writer::Writer;
use crate::monitoring::{Metering, Monitoring, ReportLog, Retention, count_logged};
use crate::payment::voucher::Denomination;
use crate::payment::{BillingIssuer, LapsePeriods, Lifecycle, Payments, Standing, Trust};
use crate::policy::{Action, Target, allows};
use crate::replicas::{self, Bus, LocalBus, Sharing};
use crate::secret::SecretDigest;
use crate::store::{Access, Store, StoreError, Tx};
use crate::time::{Clock, SystemClock, Timestamp};
use crate::tos::sentinel::Sentinel;
use crate::tos::{self, Finding, Tos};
use crate::users::{Account, AccountEvent, Directory, Entry, Terms, Users};

/// How often what has run out leaves this process's memory.
const TIDY_INTERVAL: Duration = Duration::from_hours(1);

/// How often accounts that nobody uses are looked for.
const EVICT_INTERVAL: Duration = Duration::from_secs(300);

/// How long what was found waits where the storage does not take it.
const FINDING_RETRY: Duration = Duration::from_secs(1);
/// How often: ten minutes, as long as a storage may be away for a restart.
const FINDING_ATTEMPTS: u32 = 600;
/// How long a platform that is closed waits for what was found to be followed.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(5);

/// How long nobody has to use an account before it leaves memory: by then its windows are empty.
const IDLE_TIME: Duration = Duration::from_secs(2 * 3_600);

/// Exports made at once; others wait. Each reads up to 6,000 buckets and takes some megabytes.
const EXPORTS: usize = 2;

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
    pub(crate) ledger: Ledger,
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
        PlatformBuilder {
            store: Arc::new(store),
            keys: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            cost: HashCost::DEFAULT,
            hashing: HashingLimits::default(),
            guesses: GuessLimits::default(),
            password_rule: PasswordRule::default(),
            terms: Terms::default(),
            periods: LapsePeriods::default(),
            issuer: Issuer::default(),
            audience: Audience::default(),
            billing: BillingIssuer::default(),
            denominations: Denomination::OFFERED.to_vec(),
            services: Vec::new(),
            soft_limits: Vec::new(),
            retention: Retention::default(),
            bus: None,
            report_log: None,
        }
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

/// Sets up a [`Platform`].
#[derive(Debug)]
pub struct PlatformBuilder {
    store: Arc<dyn Store>,
    keys: Option<Keys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    cost: HashCost,
    hashing: HashingLimits,
    guesses: GuessLimits,
    password_rule: PasswordRule,
    terms: Terms,
    periods: LapsePeriods,
    issuer: Issuer,
    audience: Audience,
    billing: BillingIssuer,
    denominations: Vec<Denomination>,
    services: Vec<Audience>,
    soft_limits: Vec<Resource>,
    retention: Retention,
    bus: Option<Arc<dyn Bus>>,
    report_log: Option<Arc<dyn ReportLog>>,
}

impl PlatformBuilder {
    /// The deployment's secrets. Left out, new ones are made, which are gone with the process: whatever the storage
    /// keeps longer can then no longer be signed in to.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another source of chance than the system's.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// bcrypt's cost; default 12.
    #[must_use]
    pub fn hash_cost(mut self, cost: HashCost) -> Self {
        self.cost = cost;
        self
    }

    /// How much hashing is done at once.
    #[must_use]
    pub fn hashing(mut self, limits: HashingLimits) -> Self {
        self.hashing = limits;
        self
    }

    /// How many wrong guesses are free.
    #[must_use]
    pub fn guesses(mut self, limits: GuessLimits) -> Self {
        self.guesses = limits;
        self
    }

    /// What a new password has to be.
    #[must_use]
    pub fn passwords(mut self, rule: PasswordRule) -> Self {
        self.password_rule = rule;
        self
    }

    /// The versions of the terms of service; one, called `1`, when left out.
    #[must_use]
    pub fn terms(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// How long a lapsed account stays at each step; see [`LapsePeriods::default`] for what holds when left out.
    #[must_use]
    pub fn lapses(mut self, periods: LapsePeriods) -> Self {
        self.periods = periods;
        self
    }

    /// Who attests payments, under the keys of [`Keys::with_billing`]; `dimensionos-billing` when left out.
    #[must_use]
    pub fn billing(mut self, issuer: BillingIssuer) -> Self {
        self.billing = issuer;
        self
    }

    /// What vouchers are sold for; [`Denomination::OFFERED`] when left out, and none where the list is empty. Those that
    /// were sold before are redeemed all the same.
    #[must_use]
    pub fn denominations(mut self, offered: Vec<Denomination>) -> Self {
        self.denominations = offered;
        self
    }

    /// Other services that accounts may ask tokens for. Each knows an account by a name of its own.
    #[must_use]
    pub fn services(mut self, services: Vec<Audience>) -> Self {
        self.services = services;
        self
    }

    /// Resources whose limits may be passed: more is allowed, and flagged. All others are refused past theirs.
    #[must_use]
    pub fn soft_limits(mut self, resources: Vec<Resource>) -> Self {
        self.soft_limits = resources;
        self
    }

    /// How long usage is kept; see [`Retention::default`] for what holds when left out.
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// A bus to other platforms on the same storage: what one of them changes the others take up at once. Left out, this one
    /// is alone, and takes up within a second or so what another changes of accounts, and hardly anything of what it
    /// counts.
    #[must_use]
    pub fn bus(mut self, bus: impl Bus) -> Self {
        self.bus = Some(Arc::new(bus));
        self
    }

    /// A log in which agents' reports are durable before they are counted. Left out, they are counted at once.
    #[must_use]
    pub fn report_log(mut self, log: impl ReportLog) -> Self {
        self.report_log = Some(Arc::new(log));
        self
    }

    /// Who makes the tokens, and whom they are for.
    #[must_use]
    pub fn tokens(mut self, issuer: Issuer, audience: Audience) -> Self {
        self.issuer = issuer;
        self.audience = audience;
        self
    }

    /// Opens the platform: seeds the tiers where they are missing, and starts the writer of usage on the present tokio
    /// runtime.
    ///
    /// # Errors
    /// `Store` where the storage cannot be read or written; `InvalidInput` for a key that cannot be used, or a service
    /// that is called as this one.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(self) -> Result<Platform, Error> {
        let keys = match self.keys {
            Some(keys) => keys,
            None => Keys::generate(&*self.entropy)?,
        };
        if self.services.contains(&self.audience) {
            return Err(Error::invalid("services", "one is called as this deployment itself"));
        }
        let secrets = secrets(keys, &self.issuer, &self.audience)?;
        let tiers = allocation::changes::load(&*self.store).await?;
        tos::policies::seed(&*self.store, &*self.clock).await?;
        let replica = ReplicaId::random(&*self.entropy)?;
        let deployment = replicas::deployment(&*self.store, &*self.entropy).await?;
        let mut tx = self.store.begin(Access::Read).await?;
        let runs = tx.job_runs().await?;
        // Before anything is read of accounts: what is changed from here on is taken up.
        let (_, mark) = tx.changes_since(None).await?;
        drop(tx);
        let is_shared = self.bus.is_some();
        let bus = self.bus.unwrap_or_else(|| Arc::new(LocalBus::new()));
        let sharing = Arc::new(Sharing::new(replica, deployment, bus, is_shared));
        let (sentinel, findings) = Sentinel::new();
        let limits = Limits::new(tiers, self.soft_limits);
        let metering = Arc::new(Metering::new(limits, Arc::clone(&self.clock), sentinel, is_shared));
        let passwords = Passwords::new(self.cost, self.hashing, Arc::clone(&self.entropy));
        let throttle = Throttle::new(self.guesses, self.hashing.places().div_ceil(2), Arc::clone(&self.entropy));
        let directory = Arc::new(Directory::new(Arc::clone(&sharing.trust)));
        let ledger = Ledger::start(Writer {
            store: Arc::clone(&self.store),
            metering: Arc::clone(&metering),
            directory: Arc::clone(&directory),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            leases: HashMap::new(),
            is_closed: false,
            replica,
            sharing: Arc::clone(&sharing),
            flushes: 0,
            doubt: None,
            saved_at: self.clock.now(),
            tiers: metering.limits.tiers(self.clock.now()),
        });
        let inner = Arc::new(Inner {
            store: self.store,
            clock: self.clock,
            entropy: self.entropy,
            secrets: RwLock::new(Arc::new(secrets)),
            issuer: self.issuer,
            trust: Trust { issuer: self.billing, audience: self.audience.clone() },
            denominations: self.denominations,
            audience: self.audience,
            services: self.services,
            lifecycle: Lifecycle::new(self.periods, self.terms),
            password_rule: self.password_rule,
            passwords,
            throttle,
            directory,
            sharing,
            enforcing: tokio::sync::Mutex::new(()),
            exports: Semaphore::new(EXPORTS),
            key_holders: DashMap::new(),
            metering,
            ledger,
            retention: self.retention,
            scheduler: Scheduler::new(replica, runs),
            report_log: self.report_log,
        });
        tokio::spawn(upkeep(Arc::downgrade(&inner)));
        tokio::spawn(Scheduler::serve(Arc::downgrade(&inner)));
        tokio::spawn(allocation::changes::follow(Arc::downgrade(&inner)));
        tokio::spawn(replicas::reconcile(Arc::downgrade(&inner), mark));
        if is_shared {
            replicas::listen(&inner).await;
            tokio::spawn(replicas::follow(Arc::downgrade(&inner)));
        }
        if let Some(log) = &inner.report_log {
            count_logged(&inner, &**log);
        }
        tokio::spawn(follow_findings(Arc::downgrade(&inner), findings));
        Ok(Platform { inner })
    }
}

fn secrets(keys: Keys, issuer: &Issuer, audience: &Audience) -> Result<Secrets, Error> {
    Secrets::new(keys, issuer.clone(), audience.clone())
        .map_err(|invalid| Error::invalid("signingKey", invalid.to_string()))
}

/// Does what follows from what the detectors find, in the order in which they find it.
async fn follow_findings(platform: Weak<Inner>, mut findings: mpsc::Receiver<(AccountId, Finding)>) {
    while let Some((account, finding)) = findings.recv().await {
        for attempt in 1..=FINDING_ATTEMPTS {
            let Some(inner) = platform.upgrade() else { return };
            match Tos(&inner).take(account, finding).await {
                // Erased meanwhile.
                Ok(()) | Err(Error::NotFound { .. }) => break,
                Err(error) if attempt == FINDING_ATTEMPTS => {
                    // One that can not be followed does not keep those of all other accounts waiting for ever.
                    tracing::error!(error = &error as &dyn std::error::Error, "a finding could not be followed");
                }
                // The storage is away, and what was found is not lost for it.
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a finding waits"),
            }
            drop(inner);
            tokio::time::sleep(FINDING_RETRY).await;
        }
        if let Some(inner) = platform.upgrade() {
            inner.metering.sentinel.followed();
        }
    }
}

/// Keeps this process's memory small, for as long as the platform is there. Every process does it for itself: what is
/// stored is the jobs' matter.
async fn upkeep(platform: Weak<Inner>) {
    let mut ticks = tokio::time::interval(EVICT_INTERVAL);
    let mut tidied: Option<Timestamp> = None;
    loop {
        ticks.tick().await;
        let Some(inner) = platform.upgrade() else { return };
        let now = inner.clock.now();
        // The writer has stopped where this fails, and says so to everybody who asks it.
        let _ = inner.ledger.evict(IDLE_TIME).await;
        if tidied.is_some_and(|tidied| now.since(tidied) < TIDY_INTERVAL && tidied <= now) {
            continue;
        }
        tidied = Some(now);
        inner.throttle.tidy(now);
        inner.secrets().tokens.tidy(now);
    }
}
