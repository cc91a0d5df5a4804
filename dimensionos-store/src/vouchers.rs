use async_trait::async_trait;
use dimensionos_core::payment::voucher::{Denomination, Epoch, Nullifier, PublicKey, PublishedKey};
use dimensionos_core::store::{StoreError, Vouchers};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use crate::entity::{spent_voucher, voucher_key};
use crate::error::{store_error, unreadable};
use crate::transaction::SqlTx;

impl TryFrom<voucher_key::Model> for PublishedKey {
    type Error = StoreError;

    fn try_from(row: voucher_key::Model) -> Result<Self, StoreError> {
        let tier = row.tier.parse().map_err(|_| unreadable("tier"))?;
        let days = row.days.try_into().map_err(|_| unreadable("days"))?;
        let epoch = row.epoch.try_into().map_err(|_| unreadable("epoch"))?;
        let public_key = row.public_key.try_into().map_err(|_| unreadable("public_key"))?;
        Ok(Self {
            epoch: Epoch::from_number(epoch),
            denomination: Denomination::new(tier, days).map_err(|_| unreadable("days"))?,
            public_key: PublicKey::from_bytes(public_key),
        })
    }
}

#[async_trait]
impl Vouchers for SqlTx {
    async fn insert_voucher_key(&mut self, key: &PublishedKey) -> Result<(), StoreError> {
        let row = voucher_key::Model {
            epoch: key.epoch.number().into(),
            tier: key.denomination.tier().name().to_owned(),
            days: key.denomination.days().into(),
            public_key: key.public_key.as_bytes().to_vec(),
        };
        let insert = voucher_key::Entity::insert(row.into_active_model());
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn voucher_keys(&mut self) -> Result<Vec<PublishedKey>, StoreError> {
        let rows = voucher_key::Entity::find().all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(PublishedKey::try_from).collect()
    }

    async fn spend_voucher(&mut self, epoch: Epoch, nullifier: &Nullifier) -> Result<(), StoreError> {
        let row = spent_voucher::Model { epoch: epoch.number().into(), nullifier: nullifier.as_bytes().to_vec() };
        let insert = spent_voucher::Entity::insert(row.into_active_model());
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn purge_vouchers(&mut self, before: Epoch) -> Result<u64, StoreError> {
        let before = i32::from(before.number());
        let keys = voucher_key::Entity::delete_many().filter(voucher_key::Column::Epoch.lt(before));
        let keys = keys.exec(&self.sql).await.map_err(store_error)?.rows_affected;
        let spent = spent_voucher::Entity::delete_many().filter(spent_voucher::Column::Epoch.lt(before));
        Ok(keys + spent.exec(&self.sql).await.map_err(store_error)?.rows_affected)
    }
}
