//! A storage whose commits can be made to break.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::allocation::{HeavyUse, HeavyUser, Hold, KeyedDecision, LimitOverride, Resource, TierName, TierVersion};
use crate::auth::{AccessKey, KeyId, KeyPlace, PasswordHash, RefreshRecord, Role, Session};
use crate::id::{AccessKeyId, AccountId, DeploymentId, HoldId, ReplicaId, SessionId, ViolationId};
use crate::jobs::{JobLease, JobRun};
use crate::monitoring::{
    Bucket, Counter, Readings, Resolution, Rollup, SourceName, SourceState, UsageRow, UsageTotals,
};
use crate::payment::voucher::{Epoch, Nullifier, PublishedKey};
use crate::payment::{SpentAttestation, Tombstone};
use crate::replicas::{AccountChange, ChangeMark};
use crate::secret::SecretDigest;
use crate::store::{
    Access, AccessKeys, Accounts, Jobs, Payments, Policies, Quotas, Replicas, Sessions, Store, StoreError, Tiers, Tx,
    Usage, Violations, Vouchers,
};
use crate::time::Timestamp;
use crate::tos::{PolicyRecord, Violation, ViolationCount, ViolationFilter, ViolationPlace};
use crate::users::{Account, AccountPlace, AnonymousId};

/// What becomes of a commit that ends with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// Nothing of it is kept: the connection broke on the way there.
    BeforeEffect,
    /// All of it is kept: the connection broke on the way back.
    AfterEffect,
}

/// Any storage, with commits of usage that break when they are told to. Clones are one connection, which can be cut.
#[derive(Debug, Clone)]
pub struct BreakingStore {
    store: Arc<dyn Store>,
    breaks: Arc<Mutex<Option<(Break, bool)>>>,
    is_cut: Arc<AtomicBool>,
    purging: Arc<Purging>,
}

/// What became of removing what has run out.
#[derive(Debug, Default)]
struct Purging {
    is_refused: AtomicBool,
    count: AtomicU64,
}

impl BreakingStore {
    /// A connection to a storage.
    pub fn to(store: impl Store) -> Self {
        Self { store: Arc::new(store), breaks: Arc::default(), is_cut: Arc::default(), purging: Arc::default() }
    }

    /// Another process's connection to the same storage.
    #[must_use]
    pub fn another(&self) -> Self {
        let store = Arc::clone(&self.store);
        Self { store, breaks: Arc::default(), is_cut: Arc::default(), purging: Arc::default() }
    }

    /// Breaks the next commit of a transaction that wrote usage.
    pub fn break_next(&self, how: Break) {
        *self.breaks.lock() = Some((how, false));
    }

    /// The same, and from then on the connection is cut.
    pub fn break_next_and_cut(&self, how: Break) {
        *self.breaks.lock() = Some((how, true));
    }

    /// Whether a break that was asked for is still to come.
    #[must_use]
    pub fn is_to_break(&self) -> bool {
        self.breaks.lock().is_some()
    }

    /// Cuts the connection: every transaction that would begin fails.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    /// Mends it.
    pub fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }

    /// Has every removal of sessions that have run out fail, or work again.
    pub fn refuse_purges(&self, is_refused: bool) {
        self.purging.is_refused.store(is_refused, Ordering::SeqCst);
    }

    /// How often sessions that have run out were to be removed over this connection.
    #[must_use]
    pub fn purges(&self) -> u64 {
        self.purging.count.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Store for BreakingStore {
    async fn begin(&self, access: Access) -> Result<Box<dyn Tx>, StoreError> {
        self.ping().await?;
        Ok(Box::new(BreakingTx { tx: self.store.begin(access).await?, store: self.clone(), has_usage: false }))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.is_cut.load(Ordering::SeqCst) { Err(StoreError::unavailable("cut")) } else { self.store.ping().await }
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.store.scrub().await
    }
}

struct BreakingTx {
    tx: Box<dyn Tx>,
    store: BreakingStore,
    has_usage: bool,
}

#[async_trait]
impl Tx for BreakingTx {
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { tx, store, has_usage } = *self;
        let breaks = if has_usage { store.breaks.lock().take() } else { None };
        let Some((how, is_cut_then)) = breaks else { return tx.commit().await };
        match how {
            Break::BeforeEffect => drop(tx),
            Break::AfterEffect => tx.commit().await?,
        }
        if is_cut_then {
            store.cut();
        }
        Err(StoreError::unavailable("the connection broke during the commit"))
    }
}

/// Implements a port by handing each listed method on, beside those that are written out.
macro_rules! hand_on {
    (
        impl $port:ident { $($own:tt)* }
        $(fn $method:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*
    ) => {
        #[async_trait]
        impl $port for BreakingTx {
            $($own)*
            $(async fn $method(&mut self, $($argument: $kind),*) -> Result<$answer, StoreError> {
                self.tx.$method($($argument),*).await
            })*
        }
    };
}

hand_on! {
    impl Accounts {}
    fn insert_account(account: &Account) -> ();
    fn update_account(account: &Account) -> ();
    fn account(id: AccountId) -> Option<Account>;
    fn accounts(ids: &[AccountId]) -> Vec<Account>;
    fn account_by_tag(tags: &[AnonymousId]) -> Option<Account>;
    fn set_password(account: AccountId, hash: &PasswordHash) -> ();
    fn password(account: AccountId) -> Option<PasswordHash>;
    fn set_recovery_codes(account: AccountId, digests: &[SecretDigest]) -> ();
    fn use_recovery_code(account: AccountId, digest: &SecretDigest) -> bool;
    fn recovery_code_count(account: AccountId) -> u64;
    fn missing_accounts(accounts: &[AccountId]) -> Vec<AccountId>;
    fn erase_account(id: AccountId) -> ();
    fn accounts_due(now: Timestamp, limit: u64) -> Vec<AccountId>;
    fn list_accounts(tier: Option<TierName>, after: Option<AccountPlace>, limit: u64) -> Vec<Account>;
    fn accounts_by_pepper() -> Vec<(KeyId, u64)>;
}

hand_on! {
    impl Sessions {
        async fn purge_sessions(&mut self, before: Timestamp) -> Result<u64, StoreError> {
            let purging = &self.store.purging;
            purging.count.fetch_add(1, Ordering::SeqCst);
            if purging.is_refused.load(Ordering::SeqCst) {
                return Err(StoreError::unavailable("purges are refused"));
            }
            self.tx.purge_sessions(before).await
        }
    }
    fn insert_session(session: &Session) -> ();
    fn session(id: SessionId) -> Option<Session>;
    fn sessions(account: AccountId) -> Vec<Session>;
    fn sessions_of(accounts: &[AccountId]) -> Vec<Session>;
    fn extend_session(id: SessionId, expires_at: Timestamp) -> ();
    fn mark_authenticated(id: SessionId, at: Timestamp) -> ();
    fn end_session(id: SessionId) -> ();
    fn end_sessions(account: AccountId) -> ();
    fn insert_refresh(record: &RefreshRecord) -> ();
    fn refresh(digest: &SecretDigest) -> Option<RefreshRecord>;
    fn refreshes(account: AccountId) -> Vec<RefreshRecord>;
    fn mark_refresh_used(digest: &SecretDigest, at: Timestamp) -> ();
}

hand_on! {
    impl AccessKeys {}
    fn insert_access_key(key: &AccessKey) -> ();
    fn access_key(digest: &SecretDigest) -> Option<AccessKey>;
    fn access_key_by_id(id: AccessKeyId) -> Option<AccessKey>;
    fn list_access_keys(role: Role, after: Option<KeyPlace>, limit: u64) -> Vec<AccessKey>;
}

hand_on! {
    impl Tiers {}
    fn tier_versions() -> Vec<TierVersion>;
    fn insert_tier_version(version: &TierVersion) -> ();
    fn tier_accounts(tier: TierName) -> u64;
    fn heavy_users(asked: &HeavyUse, limit: u64) -> (u64, Vec<HeavyUser>);
}

hand_on! {
    impl Usage {
        async fn add_usage(&mut self, rows: &[UsageRow]) -> Result<(), StoreError> {
            self.has_usage |= !rows.is_empty();
            self.tx.add_usage(rows).await
        }
    }
    fn sources(sources: &[(AccessKeyId, SourceName)]) -> Vec<Option<SourceState>>;
    fn source_count(agent: AccessKeyId) -> u64;
    fn add_sources(sources: &[(AccessKeyId, SourceName, SourceState)]) -> ();
    fn save_sources(sources: &[(AccessKeyId, SourceName, SourceState)]) -> ();
    fn usage(account: AccountId, resolution: Resolution, from: Timestamp, to: Timestamp) -> Vec<(Bucket, Rollup)>;
    fn usage_of(
        account: AccountId,
        resource: Resource,
        resolution: Resolution,
        range: (Timestamp, Timestamp)
    ) -> Vec<(Bucket, Rollup)>;
    fn usage_of_each(
        accounts: &[AccountId],
        resource: Option<Resource>,
        resolution: Resolution,
        range: (Timestamp, Timestamp)
    ) -> Vec<(AccountId, Bucket, Rollup)>;
    fn usage_totals(
        accounts: &[AccountId],
        resolution: Resolution,
        range: (Timestamp, Timestamp)
    ) -> Vec<(AccountId, UsageTotals)>;
    fn used_since(account: AccountId, counter: Counter, from: Timestamp) -> u64;
    fn prepare_usage(resolution: Resolution, oldest: Timestamp, now: Timestamp) -> ();
    fn purge_usage(resolution: Resolution, before: Timestamp) -> u64;
    fn save_readings(readings: &[(AccountId, Readings)]) -> ();
    fn readings(account: AccountId) -> Readings;
    fn readings_of(accounts: &[AccountId]) -> Vec<(AccountId, Readings)>;
    fn usage_versions(accounts: &[AccountId]) -> Vec<(AccountId, u64)>;
    fn mark_flush(replica: ReplicaId, flush: u64, at: Timestamp) -> ();
    fn last_flush(replica: ReplicaId) -> Option<u64>;
    fn purge_flushes(before: Timestamp) -> u64;
}

hand_on! {
    impl Quotas {}
    fn holds(account: AccountId) -> Vec<Hold>;
    fn hold(id: HoldId) -> Option<Hold>;
    fn save_hold(hold: &Hold) -> ();
    fn remove_hold(id: HoldId) -> ();
    fn decisions(keys: &[SecretDigest]) -> Vec<Option<KeyedDecision>>;
    fn decisions_of(account: AccountId) -> Vec<KeyedDecision>;
    fn insert_decisions(decisions: &[KeyedDecision]) -> ();
    fn overrides(account: AccountId) -> Vec<LimitOverride>;
    fn overrides_of(accounts: &[AccountId]) -> Vec<(AccountId, LimitOverride)>;
    fn set_override(account: AccountId, own: &LimitOverride) -> ();
    fn purge_quotas(before: Timestamp) -> u64;
}

hand_on! {
    impl Violations {}
    fn insert_violation(violation: &Violation) -> ();
    fn update_violation(violation: &Violation) -> ();
    fn violation(id: ViolationId) -> Option<Violation>;
    fn violations(filter: &ViolationFilter, after: Option<ViolationPlace>, limit: u64) -> Vec<Violation>;
    fn violations_of(accounts: &[AccountId], after: Option<ViolationPlace>, limit: u64) -> Vec<Violation>;
    fn violation_counts(from: Timestamp, to: Timestamp) -> Vec<ViolationCount>;
    fn purge_violations(ended_before: Timestamp) -> u64;
    fn save_detectors(states: &[(AccountId, Vec<u8>)]) -> ();
    fn detectors(account: AccountId) -> Option<Vec<u8>>;
    fn detectors_of(accounts: &[AccountId]) -> Vec<(AccountId, Vec<u8>)>;
}

hand_on! {
    impl Payments {}
    fn spend_attestation(spent: &SpentAttestation) -> ();
    fn spent_attestation(digest: &SecretDigest) -> Option<SpentAttestation>;
    fn keep_tombstone(tombstone: &Tombstone) -> ();
    fn has_tombstone(tags: &[[u8; 32]], now: Timestamp) -> bool;
    fn purge_tombstones(before: Timestamp) -> u64;
}

hand_on! {
    impl Vouchers {}
    fn insert_voucher_key(key: &PublishedKey) -> ();
    fn voucher_keys() -> Vec<PublishedKey>;
    fn spend_voucher(epoch: Epoch, nullifier: &Nullifier) -> ();
    fn purge_vouchers(before: Epoch) -> u64;
}

hand_on! {
    impl Policies {}
    fn insert_policy(policy: &PolicyRecord) -> ();
    fn policies() -> Vec<PolicyRecord>;
}

hand_on! {
    impl Jobs {}
    fn take_job(job: &'static str, holder: ReplicaId, now: Timestamp, until: Timestamp) -> bool;
    fn job_lease(job: &'static str) -> Option<JobLease>;
    fn save_job_run(run: &JobRun) -> ();
    fn job_runs() -> Vec<JobRun>;
}

hand_on! {
    impl Replicas {}
    fn deployment(new: DeploymentId) -> DeploymentId;
    fn note_change(account: AccountId, by: ReplicaId, at: Timestamp) -> ();
    fn changes_since(mark: Option<ChangeMark>) -> (Vec<AccountChange>, ChangeMark);
    fn purge_changes(before: Timestamp) -> u64;
}
