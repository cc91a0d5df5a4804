use async_trait::async_trait;
use dimensionos_core::Timestamp;
use dimensionos_core::store::{Policies, StoreError};
use dimensionos_core::tos::{EnforcementPolicy, PolicyMode, PolicyRecord};
use sea_orm::{EntityTrait, IntoActiveModel, QueryOrder};

use crate::entity::enforcement_policy::{Column, Entity, Model};
use crate::error::{store_error, unreadable};
use crate::transaction::SqlTx;

#[async_trait]
impl Policies for SqlTx {
    async fn insert_policy(&mut self, record: &PolicyRecord) -> Result<(), StoreError> {
        let row = Model {
            version: i64::from(record.policy.version),
            is_shadow: record.mode == PolicyMode::Shadow,
            applied_at: record.applied_at.as_millis(),
            policy: record.policy.to_json(),
        };
        Entity::insert(row.into_active_model()).exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn policies(&mut self) -> Result<Vec<PolicyRecord>, StoreError> {
        let rows = Entity::find().order_by_asc(Column::Version).all(&self.sql).await.map_err(store_error)?;
        let read = rows.into_iter().map(|row| {
            Ok(PolicyRecord {
                policy: EnforcementPolicy::from_json(&row.policy).map_err(|_| unreadable("policy"))?,
                mode: if row.is_shadow { PolicyMode::Shadow } else { PolicyMode::InForce },
                applied_at: Timestamp::from_millis(row.applied_at),
            })
        });
        read.collect()
    }
}
