use async_trait::async_trait;
use dimensionos_core::Timestamp;
use dimensionos_core::payment::{SpentAttestation, Tombstone};
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{Payments, StoreError};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter};

use crate::entity::{spent_attestation, trial_tombstone};
use crate::error::{store_error, unreadable};
use crate::transaction::SqlTx;

fn digest(bytes: Vec<u8>) -> Result<SecretDigest, StoreError> {
    bytes.try_into().map(SecretDigest::from_bytes).map_err(|_| unreadable("digest"))
}

#[async_trait]
impl Payments for SqlTx {
    async fn spend_attestation(&mut self, spent: &SpentAttestation) -> Result<(), StoreError> {
        let row = spent_attestation::Model {
            digest: spent.digest.as_bytes().to_vec(),
            request: spent.request.map(|request| request.as_bytes().to_vec()),
        };
        let insert = spent_attestation::Entity::insert(row.into_active_model());
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn spent_attestation(&mut self, known: &SecretDigest) -> Result<Option<SpentAttestation>, StoreError> {
        let select = spent_attestation::Entity::find_by_id(known.as_bytes().to_vec());
        let Some(row) = select.one(&self.sql).await.map_err(store_error)? else { return Ok(None) };
        Ok(Some(SpentAttestation { digest: digest(row.digest)?, request: row.request.map(digest).transpose()? }))
    }

    async fn keep_tombstone(&mut self, tombstone: &Tombstone) -> Result<(), StoreError> {
        let row = trial_tombstone::Model { tag: tombstone.tag.to_vec(), until: tombstone.until.as_millis() };
        let replace =
            OnConflict::column(trial_tombstone::Column::Tag).update_column(trial_tombstone::Column::Until).to_owned();
        let insert = trial_tombstone::Entity::insert(row.into_active_model()).on_conflict(replace);
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn has_tombstone(&mut self, tags: &[[u8; 32]], now: Timestamp) -> Result<bool, StoreError> {
        let tags = tags.iter().map(|tag| tag.to_vec());
        let found = trial_tombstone::Entity::find()
            .filter(trial_tombstone::Column::Tag.is_in(tags))
            .filter(trial_tombstone::Column::Until.gt(now.as_millis()));
        Ok(found.count(&self.sql).await.map_err(store_error)? > 0)
    }

    async fn purge_tombstones(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let ended = trial_tombstone::Column::Until.lt(before.as_millis());
        let delete = trial_tombstone::Entity::delete_many().filter(ended);
        Ok(delete.exec(&self.sql).await.map_err(store_error)?.rows_affected)
    }
}
