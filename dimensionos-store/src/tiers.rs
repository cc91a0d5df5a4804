use async_trait::async_trait;
use dimensionos_core::allocation::Allocation;
use dimensionos_core::store::{StoreError, Tiers};
use sea_orm::{EntityTrait, IntoActiveModel};

use crate::entity::tier_allocation;
use crate::error::{store_error, unreadable};
use crate::transaction::{SqlTx, signed, unsigned};

impl TryFrom<tier_allocation::Model> for Allocation {
    type Error = StoreError;

    fn try_from(row: tier_allocation::Model) -> Result<Self, StoreError> {
        let trial_days = row.trial_days.map(u32::try_from).transpose().map_err(|_| unreadable("trial"))?;
        Ok(Self {
            tier: row.tier.parse().map_err(|_| unreadable("tier"))?,
            cpu_millicores: unsigned(row.cpu_millicores),
            ram_megabytes: unsigned(row.ram_megabytes),
            storage_gigabytes: unsigned(row.storage_gigabytes),
            bandwidth_bits_per_second: unsigned(row.bandwidth_bits_per_second),
            database: row.database.parse().map_err(|_| unreadable("database engine"))?,
            api_calls_per_hour: unsigned(row.api_calls_per_hour),
            file_operations_per_hour: unsigned(row.file_operations_per_hour),
            price_cents_per_month: unsigned(row.price_cents_per_month),
            trial_days,
        })
    }
}

#[async_trait]
impl Tiers for SqlTx {
    async fn allocations(&mut self) -> Result<Vec<Allocation>, StoreError> {
        let rows = self.held(tier_allocation::Entity::find()).all(&self.sql).await.map_err(store_error)?;
        rows.into_iter().map(Allocation::try_from).collect()
    }

    async fn insert_allocation(&mut self, allocation: &Allocation) -> Result<(), StoreError> {
        let row = tier_allocation::Model {
            tier: allocation.tier.name().to_owned(),
            cpu_millicores: signed(allocation.cpu_millicores),
            ram_megabytes: signed(allocation.ram_megabytes),
            storage_gigabytes: signed(allocation.storage_gigabytes),
            bandwidth_bits_per_second: signed(allocation.bandwidth_bits_per_second),
            database: allocation.database.name().to_owned(),
            api_calls_per_hour: signed(allocation.api_calls_per_hour),
            file_operations_per_hour: signed(allocation.file_operations_per_hour),
            price_cents_per_month: signed(allocation.price_cents_per_month),
            trial_days: allocation.trial_days.map(i64::from),
        };
        let insert = tier_allocation::Entity::insert(row.into_active_model());
        insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }
}
