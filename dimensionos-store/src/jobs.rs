use async_trait::async_trait;
use dimensionos_core::Timestamp;
use dimensionos_core::id::ReplicaId;
use dimensionos_core::store::{Jobs, StoreError};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{EntityTrait, IntoActiveModel};
use uuid::Uuid;

use crate::entity::job_lease::{Column, Entity, Model};
use crate::error::store_error;
use crate::transaction::SqlTx;

#[async_trait]
impl Jobs for SqlTx {
    async fn take_job(
        &mut self,
        job: &'static str,
        holder: ReplicaId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let holder = Uuid::from_u128(holder.bits());
        let row = Model { job: job.to_owned(), holder, expires_at: until.as_millis() };
        // One statement decides: of two that try at once the second finds the first one's row.
        let is_free = Expr::col((Entity, Column::ExpiresAt)).lte(now.as_millis());
        let is_own = Expr::col((Entity, Column::Holder)).eq(holder);
        let replace = OnConflict::column(Column::Job)
            .update_columns([Column::Holder, Column::ExpiresAt])
            .action_and_where(is_free.or(is_own))
            .to_owned();
        let insert = Entity::insert(row.into_active_model()).on_conflict(replace);
        let written = insert.exec_without_returning(&self.sql).await.map_err(store_error)?;
        Ok(written > 0)
    }
}
