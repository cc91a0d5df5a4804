use async_trait::async_trait;

use crate::allocation::{HeavyUse, HeavyUser, Hold, KeyedDecision, LimitOverride, TierName, TierVersion};
use crate::id::{AccessKeyId, AccountId, HoldId, ReplicaId};
use crate::monitoring::{Bucket, Counter, Readings, Resolution, Rollup, SourceName, SourceState, UsageRow};
use crate::secret::SecretDigest;
use crate::store::memory::MemoryTx;
use crate::store::{Quotas, StoreError, Tiers, Usage};
use crate::time::Timestamp;

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
            let version = state.versions.rows.get(account).copied().unwrap_or_default();
            state.versions.put(*account, version + 1);
        }
        Ok(())
    }

    async fn readings(&mut self, account: AccountId) -> Result<Readings, StoreError> {
        Ok(self.state().readings.rows.get(&account).copied().unwrap_or_default())
    }

    async fn usage_versions(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let versions = &self.state().versions.rows;
        Ok(accounts.iter().filter_map(|account| Some((*account, *versions.get(account)?))).collect())
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
