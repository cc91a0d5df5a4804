use async_trait::async_trait;

use crate::id::{AccountId, DeploymentId, ReplicaId};
use crate::replicas::{AccountChange, ChangeMark};
use crate::store::memory::MemoryTx;
use crate::store::{Replicas, StoreError};
use crate::time::Timestamp;

#[async_trait]
impl Replicas for MemoryTx {
    async fn deployment(&mut self, new: DeploymentId) -> Result<DeploymentId, StoreError> {
        if let Some(known) = self.state().deployment.rows.get(&()) {
            return Ok(*known);
        }
        self.state_mut()?.deployment.put((), new);
        Ok(new)
    }

    async fn note_change(&mut self, account: AccountId, by: ReplicaId, at: Timestamp) -> Result<(), StoreError> {
        let state = self.state_mut()?;
        state.last_change += 1;
        state.changes.put(state.last_change, (account, by, at));
        Ok(())
    }

    async fn changes_since(
        &mut self,
        mark: Option<ChangeMark>,
    ) -> Result<(Vec<AccountChange>, ChangeMark), StoreError> {
        // Writing transactions take turns, and so are committed in the order of their numbers.
        let state = self.state();
        let next = ChangeMark(state.last_change);
        let Some(ChangeMark(mark)) = mark else { return Ok((Vec::new(), next)) };
        let changes = state.changes.rows.range(mark + 1..);
        let changes =
            changes.map(|(number, (account, by, _))| AccountChange { number: *number, account: *account, by: *by });
        Ok((changes.collect(), next))
    }

    async fn purge_changes(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        Ok(self.state_mut()?.changes.remove_where(|_, (_, _, at)| *at < before))
    }
}
