//! The handle everything is reached through.

use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use parking_lot::RwLock;

use crate::Error;
use crate::allocation::{self, Allocation, Allocations, TierName};
use crate::auth::{
    Audience, Auth, GuessLimits, HashCost, HashingLimits, Issuer, Keys, PasswordRule, Passwords, Secrets, Throttle,
};
use crate::context::Caller;
use crate::entropy::{Entropy, OsEntropy};
use crate::id::{AccessKeyId, AccountId};
use crate::monitoring::{Metering, Monitoring, Resolution, ledger::Ledger};
use crate::payment::{Standing, lifecycle};
use crate::policy::{Action, Target, allows};
use crate::secret::SecretDigest;
use crate::store::{Access, Store};
use crate::time::{Clock, SystemClock};
use crate::users::{Account, Directory, Entry, Terms, Users};

/// How often what has run out is removed.
const UPKEEP_INTERVAL: Duration = Duration::from_hours(1);

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
    pub(crate) terms: Terms,
    pub(crate) password_rule: PasswordRule,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) directory: Directory,
    pub(crate) key_holders: DashMap<SecretDigest, AccessKeyId>,
    pub(crate) tiers: Arc<[Allocation]>,
    pub(crate) metering: Arc<Metering>,
    pub(crate) ledger: Ledger,
}

impl Inner {
    /// An account with its standing as of now.
    pub(crate) async fn account(&self, id: AccountId) -> Result<(Account, Standing), Error> {
        let entry = self.entry(id).await?;
        Ok((entry.account.clone(), self.standing(&entry.account)))
    }

    /// An account with its open sessions.
    pub(crate) async fn entry(&self, id: AccountId) -> Result<Arc<Entry>, Error> {
        self.directory.entry(&*self.store, id).await?.ok_or(Error::no_account())
    }

    pub(crate) fn standing(&self, account: &Account) -> Standing {
        lifecycle::standing(account, &self.terms, self.clock.now())
    }

    /// Decides whether a caller may do that to an account in its present standing.
    pub(crate) fn allows(&self, caller: &Caller, action: Action, account: &Account) -> Result<(), Error> {
        allows(caller, action, Target::Account(account.id, self.standing(account)))
    }

    /// The keys in use.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets.read())
    }

    pub(crate) fn tier(&self, tier: TierName) -> Allocation {
        let known = self.tiers.iter().find(|allocation| allocation.tier == tier).cloned();
        // `allocation::load` has put every tier there.
        known.unwrap_or_else(|| Allocation::initial(tier))
    }
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
            issuer: Issuer::default(),
            audience: Audience::default(),
            services: Vec::new(),
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
        &self.inner.terms
    }

    /// Whether a caller may go on listening: its token still holds, and its account's standing still allows it. For
    /// connections that outlive a request.
    ///
    /// # Errors
    /// `TokenExpired` or `TokenInvalid` where the token does not hold, `ServiceSuspended` or `ServiceCancelled` where
    /// the account's standing forbids it, `TermsNotAccepted` where newer terms are in force.
    pub async fn recheck_listener(&self, caller: &Caller) -> Result<(), Error> {
        self.auth().recheck(caller).await?;
        let Caller::Account(principal) = caller else { return Ok(()) };
        let entry = self.inner.entry(principal.account).await?;
        self.inner.allows(caller, Action::WatchUsage, &entry.account)
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
    issuer: Issuer,
    audience: Audience,
    services: Vec<Audience>,
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

    /// Other services that accounts may ask tokens for. Each knows an account by a name of its own.
    #[must_use]
    pub fn services(mut self, services: Vec<Audience>) -> Self {
        self.services = services;
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
        let tiers = allocation::service::load(&*self.store).await?;
        let metering = Arc::new(Metering::default());
        let ledger = Ledger::start(Arc::clone(&self.store), Arc::clone(&metering), Arc::clone(&self.clock));
        let passwords = Passwords::new(self.cost, self.hashing, Arc::clone(&self.entropy));
        let throttle = Throttle::new(self.guesses, Arc::clone(&self.entropy));
        let inner = Arc::new(Inner {
            store: self.store,
            clock: self.clock,
            entropy: self.entropy,
            secrets: RwLock::new(Arc::new(secrets)),
            issuer: self.issuer,
            audience: self.audience,
            services: self.services,
            terms: self.terms,
            password_rule: self.password_rule,
            passwords,
            throttle,
            directory: Directory::default(),
            key_holders: DashMap::new(),
            tiers,
            metering,
            ledger,
        });
        tokio::spawn(upkeep(Arc::downgrade(&inner)));
        Ok(Platform { inner })
    }
}

fn secrets(keys: Keys, issuer: &Issuer, audience: &Audience) -> Result<Secrets, Error> {
    Secrets::new(keys, issuer.clone(), audience.clone())
        .map_err(|invalid| Error::invalid("signingKey", invalid.to_string()))
}

/// Removes what has run out, for as long as the platform is there.
async fn upkeep(platform: Weak<Inner>) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        let Some(inner) = platform.upgrade() else { return };
        let now = inner.clock.now();
        inner.throttle.tidy(now);
        inner.secrets().tokens.tidy(now);
        if let Err(error) = purge(&inner).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what has run out could not be removed");
        }
    }
}

async fn purge(inner: &Inner) -> Result<(), Error> {
    let now = inner.clock.now();
    let mut tx = inner.store.begin(Access::Write).await?;
    tx.purge_sessions(now).await?;
    for resolution in Resolution::ALL {
        tx.purge_usage(resolution, now.before(resolution.retention())).await?;
    }
    Ok(tx.commit().await?)
}
