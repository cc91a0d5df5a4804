use async_trait::async_trait;

use crate::payment::voucher::{Epoch, Nullifier, PublishedKey};
use crate::payment::{SpentAttestation, Tombstone};
use crate::secret::SecretDigest;
use crate::store::memory::MemoryTx;
use crate::store::{Payments, StoreError, Vouchers};
use crate::time::Timestamp;

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
