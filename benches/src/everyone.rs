//! A storage in which every account is: a million of them without registering one.

use async_trait::async_trait;
use dimensionos_core::allocation::{HeavyUse, HeavyUser, Hold, KeyedDecision, LimitOverride, TierName, TierVersion};
use dimensionos_core::auth::{AccessKey, KeyId, KeyPlace, PasswordHash, RefreshRecord, Role, Session};
use dimensionos_core::id::{AccessKeyId, DeploymentId, HoldId, ReplicaId, SessionId, ViolationId};
use dimensionos_core::jobs::{JobLease, JobRun};
use dimensionos_core::monitoring::{Bucket, Counter, Readings, Resolution, Rollup, SourceName, SourceState, UsageRow};
use dimensionos_core::payment::voucher::{Epoch, Nullifier, PublishedKey};
use dimensionos_core::payment::{Paid, SpentAttestation, Tombstone};
use dimensionos_core::replicas::{AccountChange, ChangeMark};
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{
    Access, AccessKeys, Accounts, Jobs, Payments, Policies, Quotas, Replicas, Sessions, Store, StoreError, Tiers, Tx,
    Usage, Violations, Vouchers,
};
use dimensionos_core::tos::{PolicyRecord, Violation, ViolationCount, ViolationFilter, ViolationPlace};
use dimensionos_core::users::{Account, AccountPlace, AnonymousId, TermsAcceptance};
use dimensionos_core::{AccountId, Clock, MemoryStore, SystemClock, Timestamp};

/// A [`MemoryStore`] with an active account for every id that it does not know, and which keeps no usage: what is
/// written down of a million accounts is another bench's matter, and would be most of this one's memory.
#[derive(Debug)]
pub struct Everyone {
    store: MemoryStore,
    since: Timestamp,
}

impl Everyone {
    /// Nobody registered, everybody there.
    #[must_use]
    pub fn new() -> Self {
        Self { store: MemoryStore::new(), since: SystemClock.now() }
    }
}

impl Default for Everyone {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for Everyone {
    async fn begin(&self, access: Access) -> Result<Box<dyn Tx>, StoreError> {
        Ok(Box::new(EveryoneTx { tx: self.store.begin(access).await?, since: self.since }))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

struct EveryoneTx {
    tx: Box<dyn Tx>,
    since: Timestamp,
}

impl EveryoneTx {
    fn stranger(&self, id: AccountId) -> Account {
        let terms = "1".parse().ok().map(|version| TermsAcceptance { version, accepted_at: self.since });
        let mut paid = Paid::default();
        paid.add(TierName::Pro, Timestamp::from_millis(i64::MAX));
        let new = Account::new(id, AnonymousId::from_bytes([0; 32]), KeyId::from_bits(0), self.since);
        Account { tier: TierName::Pro, paid, terms, ..new }
    }
}

#[async_trait]
impl Tx for EveryoneTx {
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.tx.commit().await
    }
}

/// Implements a port by handing each listed method on, beside those that are written out.
macro_rules! hand_on {
    (
        impl $port:ident { $($own:tt)* }
        $(fn $method:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*
    ) => {
        #[async_trait]
        impl $port for EveryoneTx {
            $($own)*
            $(async fn $method(&mut self, $($argument: $kind),*) -> Result<$answer, StoreError> {
                self.tx.$method($($argument),*).await
            })*
        }
    };
}

hand_on! {
    impl Accounts {
        async fn account(&mut self, id: AccountId) -> Result<Option<Account>, StoreError> {
            let known = self.tx.account(id).await?;
            Ok(known.or_else(|| Some(self.stranger(id))))
        }

        async fn missing_accounts(&mut self, _accounts: &[AccountId]) -> Result<Vec<AccountId>, StoreError> {
            Ok(Vec::new())
        }
    }
    fn insert_account(account: &Account) -> ();
    fn update_account(account: &Account) -> ();
    fn account_by_tag(tags: &[AnonymousId]) -> Option<Account>;
    fn set_password(account: AccountId, hash: &PasswordHash) -> ();
    fn password(account: AccountId) -> Option<PasswordHash>;
    fn set_recovery_codes(account: AccountId, digests: &[SecretDigest]) -> ();
    fn use_recovery_code(account: AccountId, digest: &SecretDigest) -> bool;
    fn recovery_code_count(account: AccountId) -> u64;
    fn erase_account(id: AccountId) -> ();
    fn accounts_due(now: Timestamp, limit: u64) -> Vec<AccountId>;
    fn list_accounts(tier: Option<TierName>, after: Option<AccountPlace>, limit: u64) -> Vec<Account>;
    fn accounts_by_pepper() -> Vec<(KeyId, u64)>;
}

hand_on! {
    impl Sessions {}
    fn insert_session(session: &Session) -> ();
    fn session(id: SessionId) -> Option<Session>;
    fn sessions(account: AccountId) -> Vec<Session>;
    fn extend_session(id: SessionId, expires_at: Timestamp) -> ();
    fn mark_authenticated(id: SessionId, at: Timestamp) -> ();
    fn end_session(id: SessionId) -> ();
    fn end_sessions(account: AccountId) -> ();
    fn purge_sessions(before: Timestamp) -> u64;
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
        async fn add_usage(&mut self, _rows: &[UsageRow]) -> Result<(), StoreError> {
            Ok(())
        }

        async fn save_readings(&mut self, _readings: &[(AccountId, Readings)]) -> Result<(), StoreError> {
            Ok(())
        }
    }
    fn sources(sources: &[(AccessKeyId, SourceName)]) -> Vec<Option<SourceState>>;
    fn used_since(account: AccountId, counter: Counter, from: Timestamp) -> u64;
    fn source_count(agent: AccessKeyId) -> u64;
    fn save_sources(sources: &[(AccessKeyId, SourceName, SourceState)]) -> ();
    fn usage(account: AccountId, resolution: Resolution, from: Timestamp, to: Timestamp) -> Vec<(Bucket, Rollup)>;
    fn purge_usage(resolution: Resolution, before: Timestamp) -> u64;
    fn readings(account: AccountId) -> Readings;
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
    fn set_override(account: AccountId, own: &LimitOverride) -> ();
    fn purge_quotas(before: Timestamp) -> u64;
}

hand_on! {
    impl Violations {}
    fn insert_violation(violation: &Violation) -> ();
    fn update_violation(violation: &Violation) -> ();
    fn violation(id: ViolationId) -> Option<Violation>;
    fn violations(filter: &ViolationFilter, after: Option<ViolationPlace>, limit: u64) -> Vec<Violation>;
    fn violation_counts(from: Timestamp, to: Timestamp) -> Vec<ViolationCount>;
    fn purge_violations(ended_before: Timestamp) -> u64;
    fn save_detectors(states: &[(AccountId, Vec<u8>)]) -> ();
    fn detectors(account: AccountId) -> Option<Vec<u8>>;
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
