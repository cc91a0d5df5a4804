//! A storage in memory: for trying things out, for tests, and for programs whose accounts need not outlive them.

mod enforcement;
mod jobs;
mod payments;
mod replicas;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::allocation::{Hold, KeyedDecision, LimitOverride, TierName, TierVersion};
use crate::auth::{AccessKey, KeyId, KeyPlace, PasswordHash, RefreshRecord, Role, Session};
use crate::id::{AccessKeyId, AccountId, DeploymentId, HoldId, ReplicaId, SessionId, ViolationId};
use crate::jobs::{JobLease, JobRun};
use crate::monitoring::{Bucket, Readings, Resolution, Rollup, SourceName, SourceState};
use crate::payment::SpentAttestation;
use crate::payment::voucher::{Denomination, Epoch, Nullifier, PublicKey};
use crate::secret::SecretDigest;
use crate::store::{Access, AccessKeys, Accounts, Sessions, Store, StoreError, Tx};
use crate::time::Timestamp;
use crate::tos::{PolicyRecord, Violation, ViolationPlace};
use crate::users::{Account, AccountPlace, AnonymousId};

/// A [`Store`] that keeps everything in memory and nothing beyond the process.
///
/// Writing transactions take turns. Each undoes exactly what it changed if it is dropped before its commit.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<RwLock<State>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[derive(Debug, Default)]
struct State {
    accounts: Table<AccountId, Account>,
    tags: Table<AnonymousId, AccountId>,
    passwords: Table<AccountId, PasswordHash>,
    recovery_codes: Table<(AccountId, SecretDigest), ()>,
    sessions: Table<SessionId, Session>,
    refreshes: Table<SecretDigest, RefreshRecord>,
    access_keys: Table<SecretDigest, AccessKey>,
    tier_versions: Table<(TierName, u32), TierVersion>,
    sources: Table<(AccessKeyId, SourceName), SourceState>,
    usage: Table<(AccountId, Resolution, Bucket), Rollup>,
    readings: Table<AccountId, Readings>,
    versions: Table<AccountId, u64>,
    flushes: Table<ReplicaId, (u64, Timestamp)>,
    holds: Table<HoldId, Hold>,
    decisions: Table<SecretDigest, KeyedDecision>,
    overrides: Table<(AccountId, &'static str), LimitOverride>,
    jobs: Table<&'static str, JobLease>,
    job_runs: Table<&'static str, JobRun>,
    violations: Table<ViolationPlace, Violation>,
    violation_places: Table<ViolationId, ViolationPlace>,
    detectors: Table<AccountId, Vec<u8>>,
    policies: Table<u32, PolicyRecord>,
    spent: Table<SecretDigest, SpentAttestation>,
    tombstones: Table<[u8; 32], Timestamp>,
    voucher_keys: Table<(Epoch, Denomination), PublicKey>,
    spent_vouchers: Table<(Epoch, Nullifier), ()>,
    deployment: Table<(), DeploymentId>,
    changes: Table<u64, (AccountId, ReplicaId, Timestamp)>,
    /// The number of the last change, which is given once, whatever becomes of its transaction.
    last_change: u64,
}

impl State {
    fn each_table(&mut self, act: fn(&mut dyn Undo)) {
        let tables: [&mut dyn Undo; 28] = [
            &mut self.accounts,
            &mut self.tags,
            &mut self.passwords,
            &mut self.recovery_codes,
            &mut self.sessions,
            &mut self.refreshes,
            &mut self.access_keys,
            &mut self.tier_versions,
            &mut self.sources,
            &mut self.usage,
            &mut self.readings,
            &mut self.versions,
            &mut self.flushes,
            &mut self.holds,
            &mut self.decisions,
            &mut self.overrides,
            &mut self.jobs,
            &mut self.job_runs,
            &mut self.violations,
            &mut self.violation_places,
            &mut self.detectors,
            &mut self.policies,
            &mut self.spent,
            &mut self.tombstones,
            &mut self.voucher_keys,
            &mut self.spent_vouchers,
            &mut self.deployment,
            &mut self.changes,
        ];
        tables.into_iter().for_each(act);
    }
}

/// Rows, and what they were before the present transaction.
#[derive(Debug)]
struct Table<K, V> {
    rows: BTreeMap<K, V>,
    before: Vec<(K, Option<V>)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), before: Vec::new() }
    }
}

impl<K: Ord + Clone, V> Table<K, V> {
    fn put(&mut self, key: K, value: V) {
        let before = self.rows.insert(key.clone(), value);
        self.before.push((key, before));
    }

    fn remove(&mut self, key: &K) {
        if let Some((key, value)) = self.rows.remove_entry(key) {
            self.before.push((key, Some(value)));
        }
    }

    /// Removes the rows that match, and says how many.
    fn remove_where(&mut self, matches: impl Fn(&K, &V) -> bool) -> u64 {
        let keys: Vec<K> =
            self.rows.iter().filter(|(key, row)| matches(key, row)).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| self.remove(key));
        keys.len() as u64
    }
}

trait Undo {
    fn undo(&mut self);
    fn keep(&mut self);
}

impl<K: Ord, V> Undo for Table<K, V> {
    fn undo(&mut self) {
        while let Some((key, before)) = self.before.pop() {
            match before {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    fn keep(&mut self) {
        self.before.clear();
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn begin(&self, access: Access) -> Result<Box<dyn Tx>, StoreError> {
        let state = Arc::clone(&self.state);
        Ok(Box::new(match access {
            Access::Read => MemoryTx::Reading(state.read_owned().await),
            Access::Write => MemoryTx::Writing(state.write_owned().await),
        }))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

enum MemoryTx {
    Reading(OwnedRwLockReadGuard<State>),
    Writing(OwnedRwLockWriteGuard<State>),
}

#[derive(Debug, thiserror::Error)]
#[error("a write in a transaction that was begun for reading")]
struct ReadOnly;

impl MemoryTx {
    fn state(&self) -> &State {
        match self {
            Self::Reading(state) => state,
            Self::Writing(state) => state,
        }
    }

    fn state_mut(&mut self) -> Result<&mut State, StoreError> {
        match self {
            Self::Reading(_) => Err(StoreError::unavailable(ReadOnly)),
            Self::Writing(state) => Ok(state),
        }
    }
}

impl Drop for MemoryTx {
    fn drop(&mut self) {
        if let Self::Writing(state) = self {
            state.each_table(|table| table.undo());
        }
    }
}

#[async_trait]
impl Tx for MemoryTx {
    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        if let Self::Writing(state) = &mut *self {
            state.each_table(|table| table.keep());
        }
        Ok(())
    }
}

#[async_trait]
impl Accounts for MemoryTx {
    async fn insert_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        if state.accounts.rows.contains_key(&account.id) || state.tags.rows.contains_key(&account.anonymous_id) {
            return Err(StoreError::Conflict);
        }
        state.tags.put(account.anonymous_id, account.id);
        state.accounts.put(account.id, account.clone());
        Ok(())
    }

    async fn update_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        let Some(before) = state.accounts.rows.get(&account.id) else { return Ok(()) };
        if before.anonymous_id != account.anonymous_id {
            if state.tags.rows.contains_key(&account.anonymous_id) {
                return Err(StoreError::Conflict);
            }
            let old_tag = before.anonymous_id;
            state.tags.remove(&old_tag);
            state.tags.put(account.anonymous_id, account.id);
        }
        state.accounts.put(account.id, account.clone());
        Ok(())
    }

    async fn account(&mut self, id: AccountId) -> Result<Option<Account>, StoreError> {
        Ok(self.state().accounts.rows.get(&id).cloned())
    }

    async fn account_by_tag(&mut self, tags: &[AnonymousId]) -> Result<Option<Account>, StoreError> {
        let state = self.state();
        let id = tags.iter().find_map(|tag| state.tags.rows.get(tag));
        Ok(id.and_then(|id| state.accounts.rows.get(id)).cloned())
    }

    async fn set_password(&mut self, account: AccountId, hash: &PasswordHash) -> Result<(), StoreError> {
        self.state_mut()?.passwords.put(account, hash.clone());
        Ok(())
    }

    async fn password(&mut self, account: AccountId) -> Result<Option<PasswordHash>, StoreError> {
        Ok(self.state().passwords.rows.get(&account).cloned())
    }

    async fn set_recovery_codes(&mut self, account: AccountId, digests: &[SecretDigest]) -> Result<(), StoreError> {
        let codes = &mut self.state_mut()?.recovery_codes;
        codes.remove_where(|(owner, _), ()| *owner == account);
        digests.iter().for_each(|digest| codes.put((account, *digest), ()));
        Ok(())
    }

    async fn use_recovery_code(&mut self, account: AccountId, digest: &SecretDigest) -> Result<bool, StoreError> {
        let codes = &mut self.state_mut()?.recovery_codes;
        Ok(codes.remove_where(|code, ()| *code == (account, *digest)) > 0)
    }

    async fn recovery_code_count(&mut self, account: AccountId) -> Result<u64, StoreError> {
        Ok(self.state().recovery_codes.rows.keys().filter(|(owner, _)| *owner == account).count() as u64)
    }

    async fn missing_accounts(&mut self, accounts: &[AccountId]) -> Result<Vec<AccountId>, StoreError> {
        let rows = &self.state().accounts.rows;
        Ok(accounts.iter().copied().filter(|account| !rows.contains_key(account)).collect())
    }

    async fn erase_account(&mut self, id: AccountId) -> Result<(), StoreError> {
        self.end_sessions(id).await?;
        let state = self.state_mut()?;
        if let Some(tag) = state.accounts.rows.get(&id).map(|account| account.anonymous_id) {
            state.tags.remove(&tag);
        }
        state.accounts.remove(&id);
        state.passwords.remove(&id);
        state.recovery_codes.remove_where(|(owner, _), ()| *owner == id);
        state.usage.remove_where(|(owner, ..), _| *owner == id);
        state.readings.remove(&id);
        state.versions.remove(&id);
        state.changes.remove_where(|_, (account, ..)| *account == id);
        state.holds.remove_where(|_, hold| hold.account == id);
        state.decisions.remove_where(|_, decided| decided.account == id);
        state.overrides.remove_where(|(owner, _), _| *owner == id);
        state.violations.remove_where(|_, violation| violation.account == id);
        let MemoryTx::Writing(state) = self else { return Ok(()) };
        let State { violations, violation_places, detectors, .. } = &mut **state;
        violation_places.remove_where(|_, place| !violations.rows.contains_key(place));
        detectors.remove(&id);
        Ok(())
    }

    async fn accounts_due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<AccountId>, StoreError> {
        let rows = self.state().accounts.rows.values().filter(|account| account.told.due_at <= now);
        let mut due: Vec<_> = rows.map(|account| (account.told.due_at, account.id)).collect();
        due.sort_unstable();
        Ok(due.into_iter().map(|(_, id)| id).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }

    async fn list_accounts(
        &mut self,
        tier: Option<TierName>,
        after: Option<AccountPlace>,
        limit: u64,
    ) -> Result<Vec<Account>, StoreError> {
        let is_asked = |account: &&Account| {
            tier.is_none_or(|tier| account.tier == tier) && after.is_none_or(|after| account.place() < after)
        };
        let mut found: Vec<&Account> = self.state().accounts.rows.values().filter(is_asked).collect();
        found.sort_unstable_by_key(|account| std::cmp::Reverse(account.place()));
        Ok(found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }

    async fn accounts_by_pepper(&mut self) -> Result<Vec<(KeyId, u64)>, StoreError> {
        let mut counts = BTreeMap::new();
        for account in self.state().accounts.rows.values() {
            *counts.entry(account.pepper).or_insert(0) += 1;
        }
        Ok(counts.into_iter().collect())
    }
}

#[async_trait]
impl Sessions for MemoryTx {
    async fn insert_session(&mut self, session: &Session) -> Result<(), StoreError> {
        self.state_mut()?.sessions.put(session.id, session.clone());
        Ok(())
    }

    async fn session(&mut self, id: SessionId) -> Result<Option<Session>, StoreError> {
        Ok(self.state().sessions.rows.get(&id).cloned())
    }

    async fn sessions(&mut self, account: AccountId) -> Result<Vec<Session>, StoreError> {
        let rows = self.state().sessions.rows.values();
        let mut sessions: Vec<Session> = rows.filter(|session| session.account == account).cloned().collect();
        sessions.sort_by_key(|session| (session.created_at, session.id));
        Ok(sessions)
    }

    async fn extend_session(&mut self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        if let Some(session) = state.sessions.rows.get(&id).cloned() {
            state.sessions.put(id, Session { expires_at, ..session });
        }
        Ok(())
    }

    async fn mark_authenticated(&mut self, id: SessionId, at: Timestamp) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        if let Some(session) = state.sessions.rows.get(&id).cloned() {
            state.sessions.put(id, Session { authenticated_at: at, ..session });
        }
        Ok(())
    }

    async fn end_session(&mut self, id: SessionId) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        state.refreshes.remove_where(|_, record| record.session == id);
        state.sessions.remove(&id);
        Ok(())
    }

    async fn end_sessions(&mut self, account: AccountId) -> Result<(), StoreError> {
        for session in self.sessions(account).await? {
            self.end_session(session.id).await?;
        }
        Ok(())
    }

    async fn purge_sessions(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let state = self.state_mut()?;
        state.refreshes.remove_where(|_, record| record.expires_at < before);
        Ok(state.sessions.remove_where(|_, session| session.expires_at < before))
    }

    async fn insert_refresh(&mut self, record: &RefreshRecord) -> Result<(), StoreError> {
        self.state_mut()?.refreshes.put(record.digest, record.clone());
        Ok(())
    }

    async fn refresh(&mut self, digest: &SecretDigest) -> Result<Option<RefreshRecord>, StoreError> {
        Ok(self.state().refreshes.rows.get(digest).cloned())
    }

    async fn refreshes(&mut self, account: AccountId) -> Result<Vec<RefreshRecord>, StoreError> {
        let state = self.state();
        let is_own = |record: &&RefreshRecord| {
            state.sessions.rows.get(&record.session).is_some_and(|session| session.account == account)
        };
        let mut records: Vec<RefreshRecord> = state.refreshes.rows.values().filter(is_own).cloned().collect();
        records.sort_by_key(|record| record.expires_at);
        Ok(records)
    }

    async fn mark_refresh_used(&mut self, digest: &SecretDigest, at: Timestamp) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        if let Some(record) = state.refreshes.rows.get(digest).cloned() {
            state.refreshes.put(*digest, RefreshRecord { used_at: Some(at), ..record });
        }
        Ok(())
    }
}

#[async_trait]
impl AccessKeys for MemoryTx {
    async fn insert_access_key(&mut self, key: &AccessKey) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        let is_taken = state.access_keys.rows.values().any(|other| other.role == key.role && other.name == key.name);
        if is_taken {
            return Err(StoreError::Conflict);
        }
        state.access_keys.put(key.digest, key.clone());
        Ok(())
    }

    async fn access_key(&mut self, digest: &SecretDigest) -> Result<Option<AccessKey>, StoreError> {
        Ok(self.state().access_keys.rows.get(digest).cloned())
    }

    async fn access_key_by_id(&mut self, id: AccessKeyId) -> Result<Option<AccessKey>, StoreError> {
        Ok(self.state().access_keys.rows.values().find(|key| key.id == id).cloned())
    }

    async fn list_access_keys(
        &mut self,
        role: Role,
        after: Option<KeyPlace>,
        limit: u64,
    ) -> Result<Vec<AccessKey>, StoreError> {
        let is_asked = |key: &&AccessKey| key.role == role && after.is_none_or(|after| key.place() < after);
        let mut found: Vec<&AccessKey> = self.state().access_keys.rows.values().filter(is_asked).collect();
        found.sort_unstable_by_key(|key| std::cmp::Reverse(key.place()));
        Ok(found.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).cloned().collect())
    }
}
