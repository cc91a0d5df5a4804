//! A storage in memory: for trying things out, for tests, and for programs whose accounts need not outlive them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::allocation::{HeavyUse, HeavyUser, Hold, KeyedDecision, LimitOverride, TierName, TierVersion};
use crate::auth::{AccessKey, KeyId, PasswordHash, RefreshRecord, Session};
use crate::id::{AccessKeyId, AccountId, HoldId, ReplicaId, SessionId, ViolationId};
use crate::jobs::{JobLease, JobRun};
use crate::monitoring::{Bucket, Counter, Readings, Resolution, Rollup, SourceName, SourceState, UsageRow};
use crate::payment::voucher::{Denomination, Epoch, Nullifier, PublicKey, PublishedKey};
use crate::payment::{SpentAttestation, Tombstone};
use crate::secret::SecretDigest;
use crate::store::{
    Access, AccessKeys, Accounts, Jobs, Payments, Policies, Quotas, Sessions, Store, StoreError, Tiers, Tx, Usage,
    Violations, Vouchers,
};
use crate::time::Timestamp;
use crate::tos::{PolicyRecord, Violation, ViolationCount, ViolationFilter, ViolationPlace};
use crate::users::{Account, AnonymousId};

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
}

impl State {
    fn each_table(&mut self, act: fn(&mut dyn Undo)) {
        let tables: [&mut dyn Undo; 25] = [
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
}

#[async_trait]
impl Tiers for MemoryTx {
    async fn tier_versions(&mut self) -> Result<Vec<TierVersion>, StoreError> {
        Ok(self.state().tier_versions.rows.values().cloned().collect())
    }

    async fn insert_tier_version(&mut self, version: &TierVersion) -> Result<(), StoreError> {
        let (state, key) = (self.state_mut()?, (version.allocation.tier, version.version));
        if state.tier_versions.rows.contains_key(&key) {
            return Err(StoreError::Conflict);
        }
        state.tier_versions.put(key, version.clone());
        Ok(())
    }

    async fn tier_accounts(&mut self, tier: TierName) -> Result<u64, StoreError> {
        Ok(self.state().accounts.rows.values().filter(|account| account.tier == tier).count() as u64)
    }

    async fn heavy_users(&mut self, asked: &HeavyUse, limit: u64) -> Result<(u64, Vec<HeavyUser>), StoreError> {
        let accounts = self.state().accounts.rows.values().filter(|account| account.tier == asked.tier);
        let accounts: Vec<AccountId> = accounts.map(|account| account.id).collect();
        let mut found = Vec::new();
        for account in accounts {
            let own = self.state().overrides.rows.get(&(account, asked.resource.name()));
            let used = match (asked.resource.level(), asked.resource.counter()) {
                _ if own.is_some_and(|own| own.until > asked.own_limit_after) => 0,
                (Some(level), _) => self.readings(account).await?.of(level).map_or(0, |reading| reading.value),
                (None, Some(counter)) => self.used_since(account, counter, asked.since).await?,
                (None, None) => 0,
            };
            found.extend((used > asked.more_than).then_some(HeavyUser { account, used }));
        }
        found.sort_by_key(|user| (std::cmp::Reverse(user.used), user.account));
        let count = found.len() as u64;
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((count, found))
    }
}

#[async_trait]
impl Usage for MemoryTx {
    async fn sources(&mut self, sources: &[(AccessKeyId, SourceName)]) -> Result<Vec<Option<SourceState>>, StoreError> {
        let rows = &self.state().sources.rows;
        Ok(sources.iter().map(|source| rows.get(source).cloned()).collect())
    }

    async fn source_count(&mut self, agent: AccessKeyId) -> Result<u64, StoreError> {
        Ok(self.state().sources.rows.keys().filter(|(owner, _)| *owner == agent).count() as u64)
    }

    async fn save_sources(&mut self, sources: &[(AccessKeyId, SourceName, SourceState)]) -> Result<(), StoreError> {
        let rows = &mut self.state_mut()?.sources;
        for (agent, name, state) in sources {
            rows.put((*agent, name.clone()), state.clone());
        }
        Ok(())
    }

    async fn add_usage(&mut self, rows: &[UsageRow]) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        for row in rows {
            let key = (row.account, row.resolution, row.bucket);
            let mut rollup = state.usage.rows.get(&key).copied().unwrap_or_default();
            rollup.merge(&row.rollup);
            state.usage.put(key, rollup);
        }
        Ok(())
    }

    async fn usage(
        &mut self,
        account: AccountId,
        resolution: Resolution,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Bucket, Rollup)>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let range = (account, resolution, Bucket::at(from))..(account, resolution, Bucket::at(to));
        let rows = self.state().usage.rows.range(range);
        Ok(rows.map(|((_, _, bucket), rollup)| (*bucket, *rollup)).collect())
    }

    async fn used_since(&mut self, account: AccountId, counter: Counter, from: Timestamp) -> Result<u64, StoreError> {
        let first = (account, Resolution::Minute, Bucket::at(from));
        let end = (account, Resolution::Hour, Bucket::at(Timestamp::EPOCH));
        let amounts = self.state().usage.rows.range(first..end).filter_map(|(_, rollup)| rollup.total(counter));
        Ok(amounts.fold(0, u64::saturating_add))
    }

    async fn purge_usage(&mut self, resolution: Resolution, before: Timestamp) -> Result<u64, StoreError> {
        let is_old = |key: &(AccountId, Resolution, Bucket), _: &Rollup| key.1 == resolution && key.2.start() < before;
        Ok(self.state_mut()?.usage.remove_where(is_old))
    }

    async fn save_readings(&mut self, readings: &[(AccountId, Readings)]) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        for (account, newer) in readings {
            let mut readings = state.readings.rows.get(account).copied().unwrap_or_default();
            readings.merge(newer);
            state.readings.put(*account, readings);
        }
        Ok(())
    }

    async fn readings(&mut self, account: AccountId) -> Result<Readings, StoreError> {
        Ok(self.state().readings.rows.get(&account).copied().unwrap_or_default())
    }

    async fn mark_flush(&mut self, replica: ReplicaId, flush: u64, at: Timestamp) -> Result<(), StoreError> {
        self.state_mut()?.flushes.put(replica, (flush, at));
        Ok(())
    }

    async fn last_flush(&mut self, replica: ReplicaId) -> Result<Option<u64>, StoreError> {
        Ok(self.state().flushes.rows.get(&replica).map(|(flush, _)| *flush))
    }

    async fn purge_flushes(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state_mut()?.flushes.remove_where(|_, (_, at)| *at < before))
    }
}

#[async_trait]
impl Quotas for MemoryTx {
    async fn holds(&mut self, account: AccountId) -> Result<Vec<Hold>, StoreError> {
        let holds = self.state().holds.rows.values();
        Ok(holds.filter(|hold| hold.account == account).copied().collect())
    }

    async fn hold(&mut self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        Ok(self.state().holds.rows.get(&id).copied())
    }

    async fn save_hold(&mut self, hold: &Hold) -> Result<(), StoreError> {
        self.state_mut()?.holds.put(hold.id, *hold);
        Ok(())
    }

    async fn remove_hold(&mut self, id: HoldId) -> Result<(), StoreError> {
        self.state_mut()?.holds.remove(&id);
        Ok(())
    }

    async fn decisions(&mut self, keys: &[SecretDigest]) -> Result<Vec<Option<KeyedDecision>>, StoreError> {
        let rows = &self.state().decisions.rows;
        Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
    }

    async fn decisions_of(&mut self, account: AccountId) -> Result<Vec<KeyedDecision>, StoreError> {
        let rows = self.state().decisions.rows.values();
        Ok(rows.filter(|decided| decided.account == account).cloned().collect())
    }

    async fn insert_decisions(&mut self, decisions: &[KeyedDecision]) -> Result<(), StoreError> {
        let rows = &mut self.state_mut()?.decisions;
        if decisions.iter().any(|decided| rows.rows.contains_key(&decided.key)) {
            return Err(StoreError::Conflict);
        }
        decisions.iter().for_each(|decided| rows.put(decided.key, decided.clone()));
        Ok(())
    }

    async fn overrides(&mut self, account: AccountId) -> Result<Vec<LimitOverride>, StoreError> {
        let rows = self.state().overrides.rows.iter();
        Ok(rows.filter(|((owner, _), _)| *owner == account).map(|(_, own)| *own).collect())
    }

    async fn set_override(&mut self, account: AccountId, own: &LimitOverride) -> Result<(), StoreError> {
        self.state_mut()?.overrides.put((account, own.resource.name()), *own);
        Ok(())
    }

    async fn purge_quotas(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let state = self.state_mut()?;
        let holds = state.holds.remove_where(|_, hold| hold.expires_at < before);
        let decisions = state.decisions.remove_where(|_, decided| decided.expires_at < before);
        Ok(holds + decisions + state.overrides.remove_where(|_, own| own.until < before))
    }
}

#[async_trait]
impl Jobs for MemoryTx {
    async fn take_job(
        &mut self,
        job: &'static str,
        holder: ReplicaId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let jobs = &mut self.state_mut()?.jobs;
        let is_free = jobs.rows.get(&job).is_none_or(|lease| lease.holder == holder || lease.expires_at <= now);
        if is_free {
            jobs.put(job, JobLease { holder, expires_at: until });
        }
        Ok(is_free)
    }

    async fn job_lease(&mut self, job: &'static str) -> Result<Option<JobLease>, StoreError> {
        Ok(self.state().jobs.rows.get(&job).copied())
    }

    async fn save_job_run(&mut self, run: &JobRun) -> Result<(), StoreError> {
        self.state_mut()?.job_runs.put(run.job.name(), *run);
        Ok(())
    }

    async fn job_runs(&mut self) -> Result<Vec<JobRun>, StoreError> {
        Ok(self.state().job_runs.rows.values().copied().collect())
    }
}

fn matches(filter: &ViolationFilter, violation: &Violation) -> bool {
    let ViolationFilter { account, kind, from, is_appealed, differs_in_shadow } = *filter;
    account.is_none_or(|account| violation.account == account)
        && kind.is_none_or(|kind| violation.kind() == kind)
        && from.is_none_or(|from| violation.detected_at >= from)
        && (!is_appealed || (violation.appeal.is_some() && violation.verdict.is_none()))
        && (!differs_in_shadow || violation.shadow.is_some_and(|shadow| shadow.sanction != violation.decided))
}

#[async_trait]
impl Violations for MemoryTx {
    async fn insert_violation(&mut self, violation: &Violation) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        state.violation_places.put(violation.id, violation.place());
        state.violations.put(violation.place(), violation.clone());
        Ok(())
    }

    async fn update_violation(&mut self, violation: &Violation) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        if let Some(place) = state.violation_places.rows.get(&violation.id).copied() {
            state.violations.put(place, violation.clone());
        }
        Ok(())
    }

    async fn violation(&mut self, id: ViolationId) -> Result<Option<Violation>, StoreError> {
        let state = self.state();
        let place = state.violation_places.rows.get(&id);
        Ok(place.and_then(|place| state.violations.rows.get(place)).cloned())
    }

    async fn violations(
        &mut self,
        filter: &ViolationFilter,
        after: Option<ViolationPlace>,
        limit: u64,
    ) -> Result<Vec<Violation>, StoreError> {
        let rows = self.state().violations.rows.iter().rev();
        let rows = rows.filter(|(place, _)| after.is_none_or(|after| **place < after)).map(|(_, violation)| violation);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(rows.filter(|violation| matches(filter, violation)).take(limit).cloned().collect())
    }

    async fn violation_counts(&mut self, from: Timestamp, to: Timestamp) -> Result<Vec<ViolationCount>, StoreError> {
        let mut counts: BTreeMap<ViolationCount, u64> = BTreeMap::new();
        for violation in self.state().violations.rows.values() {
            if (from..to).contains(&violation.detected_at) {
                *counts.entry(ViolationCount::of(violation)).or_default() += 1;
            }
        }
        Ok(counts.into_iter().map(|(like, count)| ViolationCount { count, ..like }).collect())
    }

    async fn purge_violations(&mut self, ended_before: Timestamp) -> Result<u64, StoreError> {
        let state = self.state_mut()?;
        let is_over = |violation: &Violation| {
            violation.imposed.until() < ended_before && (violation.appeal.is_none() || violation.verdict.is_some())
        };
        let over: Vec<_> =
            state.violations.rows.iter().filter(|(_, one)| is_over(one)).map(|(place, _)| *place).collect();
        for place in &over {
            state.violations.remove(place);
            state.violation_places.remove(&place.id);
        }
        Ok(over.len() as u64)
    }

    async fn save_detectors(&mut self, states: &[(AccountId, Vec<u8>)]) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        for (account, detectors) in states {
            if state.accounts.rows.contains_key(account) {
                state.detectors.put(*account, detectors.clone());
            }
        }
        Ok(())
    }

    async fn detectors(&mut self, account: AccountId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().detectors.rows.get(&account).cloned())
    }
}

#[async_trait]
impl Payments for MemoryTx {
    async fn spend_attestation(&mut self, spent: &SpentAttestation) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        if state.spent.rows.contains_key(&spent.digest) {
            return Err(StoreError::Conflict);
        }
        state.spent.put(spent.digest, *spent);
        Ok(())
    }

    async fn spent_attestation(&mut self, digest: &SecretDigest) -> Result<Option<SpentAttestation>, StoreError> {
        Ok(self.state().spent.rows.get(digest).copied())
    }

    async fn keep_tombstone(&mut self, tombstone: &Tombstone) -> Result<(), StoreError> {
        self.state_mut()?.tombstones.put(tombstone.tag, tombstone.until);
        Ok(())
    }

    async fn has_tombstone(&mut self, tags: &[[u8; 32]], now: Timestamp) -> Result<bool, StoreError> {
        let rows = &self.state().tombstones.rows;
        Ok(tags.iter().any(|tag| rows.get(tag).is_some_and(|until| *until > now)))
    }

    async fn purge_tombstones(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state_mut()?.tombstones.remove_where(|_, until| *until < before))
    }
}

#[async_trait]
impl Vouchers for MemoryTx {
    async fn insert_voucher_key(&mut self, key: &PublishedKey) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        let name = (key.epoch, key.denomination);
        if state.voucher_keys.rows.contains_key(&name) {
            return Err(StoreError::Conflict);
        }
        state.voucher_keys.put(name, key.public_key);
        Ok(())
    }

    async fn voucher_keys(&mut self) -> Result<Vec<PublishedKey>, StoreError> {
        let published =
            |(&(epoch, denomination), &public_key): (&_, &_)| PublishedKey { epoch, denomination, public_key };
        Ok(self.state().voucher_keys.rows.iter().map(published).collect())
    }

    async fn spend_voucher(&mut self, epoch: Epoch, nullifier: &Nullifier) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        if state.spent_vouchers.rows.contains_key(&(epoch, *nullifier)) {
            return Err(StoreError::Conflict);
        }
        state.spent_vouchers.put((epoch, *nullifier), ());
        Ok(())
    }

    async fn purge_vouchers(&mut self, before: Epoch) -> Result<u64, StoreError> {
        let state = self.state_mut()?;
        let keys = state.voucher_keys.remove_where(|(epoch, _), _| *epoch < before);
        Ok(keys + state.spent_vouchers.remove_where(|(epoch, _), ()| *epoch < before))
    }
}

#[async_trait]
impl Policies for MemoryTx {
    async fn insert_policy(&mut self, record: &PolicyRecord) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        if state.policies.rows.contains_key(&record.policy.version) {
            return Err(StoreError::Conflict);
        }
        state.policies.put(record.policy.version, record.clone());
        Ok(())
    }

    async fn policies(&mut self) -> Result<Vec<PolicyRecord>, StoreError> {
        Ok(self.state().policies.rows.values().cloned().collect())
    }
}
