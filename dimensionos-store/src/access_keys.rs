use async_trait::async_trait;
use dimensionos_core::Timestamp;
use dimensionos_core::auth::{AccessKey, KeyPlace, Role};
use dimensionos_core::id::AccessKeyId;
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{AccessKeys, StoreError};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect};
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

    async fn access_key_by_id(&mut self, id: AccessKeyId) -> Result<Option<AccessKey>, StoreError> {
        let select = access_key::Entity::find_by_id(Uuid::from_u128(id.bits()));
        select.one(&self.sql).await.map_err(store_error)?.map(AccessKey::try_from).transpose()
    }

    async fn list_access_keys(
        &mut self,
        role: Role,
        after: Option<KeyPlace>,
        limit: u64,
    ) -> Result<Vec<AccessKey>, StoreError> {
        // Agents are few: those of the role are found by an index, and sorted.
        let mut select = access_key::Entity::find()
            .filter(access_key::Column::Role.eq(role.name()))
            .order_by_desc(access_key::Column::CreatedAt)
            .order_by_desc(access_key::Column::Id)
            .limit(limit);
        if let Some(KeyPlace { created_at, id }) = after {
            let place = Expr::tuple([Expr::col(access_key::Column::CreatedAt), Expr::col(access_key::Column::Id)]);
            let after = Expr::tuple([created_at.as_millis().into(), Uuid::from_u128(id.bits()).into()]);
            select = select.filter(place.lt(after));
        }
        let rows = select.all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(AccessKey::try_from).collect()
    }
}
