use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::id::{AccountId, ViolationId};
use crate::store::memory::MemoryTx;
use crate::store::{Policies, StoreError, Violations};
use crate::time::Timestamp;
use crate::tos::{PolicyRecord, Violation, ViolationCount, ViolationFilter, ViolationPlace};

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
