//! Setting up a platform.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::upkeep::{follow_findings, upkeep};
use super::{Inner, Platform};
use crate::Error;
use crate::allocation::{self, Limits, Resource};
use crate::auth::{
    Audience, GuessLimits, HashCost, HashingLimits, Issuer, Keys, PasswordRule, Passwords, Secrets, Throttle,
};
use crate::entropy::{Entropy, OsEntropy};
use crate::id::ReplicaId;
use crate::jobs::Scheduler;
use crate::monitoring::ledger::Ledger;
use crate::monitoring::writer::Writer;
use crate::monitoring::{Metering, ReportLog, Retention, count_logged};
use crate::payment::voucher::Denomination;
use crate::payment::{BillingIssuer, LapsePeriods, Lifecycle, Trust};
use crate::replicas::{self, Bus, LocalBus, Sharing};
use crate::store::{Access, Store};
use crate::time::{Clock, SystemClock};
use crate::tos;
use crate::tos::sentinel::Sentinel;
use crate::users::{Directory, Terms};

/// Exports made at once; others wait. Each reads up to 6,000 buckets and takes some megabytes.
const EXPORTS: usize = 2;

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
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
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
            paces: HashMap::new(),
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
            ledger: Arc::new(ledger),
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

pub(super) fn secrets(keys: Keys, issuer: &Issuer, audience: &Audience) -> Result<Secrets, Error> {
    Secrets::new(keys, issuer.clone(), audience.clone())
        .map_err(|invalid| Error::invalid("signingKey", invalid.to_string()))
}
