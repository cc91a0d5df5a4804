use async_trait::async_trait;
use dimensionos_core::Timestamp;
use dimensionos_core::auth::AccessKey;
use dimensionos_core::id::AccessKeyId;
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{AccessKeys, StoreError};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

use crate::entity::access_key;
use crate::error::{store_error, unreadable};
use crate::transaction::SqlTx;

impl TryFrom<access_key::Model> for AccessKey {
    type Error = StoreError;

    fn try_from(row: access_key::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: AccessKeyId::from_bits(row.id.as_u128()),
            role: row.role.parse().map_err(|_| unreadable("role"))?,
            name: row.name.parse().map_err(|_| unreadable("key name"))?,
            digest: SecretDigest::from_bytes(row.digest.try_into().map_err(|_| unreadable("key digest"))?),
            created_at: Timestamp::from_millis(row.created_at),
        })
    }
}

#[async_trait]
impl AccessKeys for SqlTx {
    async fn insert_access_key(&mut self, key: &AccessKey) -> Result<(), StoreError> {
        let row = access_key::Model {
            id: Uuid::from_u128(key.id.bits()),
            role: key.role.name().to_owned(),
            name: key.name.as_str().to_owned(),
            digest: key.digest.as_bytes().to_vec(),
            created_at: key.created_at.as_millis(),
        };
        let insert = access_key::Entity::insert(row.into_active_model());
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn access_key(&mut self, digest: &SecretDigest) -> Result<Option<AccessKey>, StoreError> {
        let select = access_key::Entity::find().filter(access_key::Column::Digest.eq(digest.as_bytes().to_vec()));
        self.held(select).one(&self.sql).await.map_err(store_error)?.map(AccessKey::try_from).transpose()
    }
}
