//! Which flush of a process was the last to take effect.

use dimensionos_core::Timestamp;
use dimensionos_core::id::ReplicaId;
use dimensionos_core::store::StoreError;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement};
use uuid::Uuid;

use crate::entity::usage_flush::{Column, Entity};
use crate::error::store_error;
use crate::transaction::{SqlTx, signed};

const MARK_SQLITE: &str = "INSERT INTO usage_flushes (replica, number, flushed_at) VALUES (?, ?, ?) \
     ON CONFLICT (replica) DO UPDATE SET number = excluded.number, flushed_at = excluded.flushed_at";
const MARK_POSTGRES: &str = "INSERT INTO usage_flushes (replica, number, flushed_at) VALUES ($1, $2, $3) \
     ON CONFLICT (replica) DO UPDATE SET number = excluded.number, flushed_at = excluded.flushed_at";
/// Changes nothing, and waits for whoever is about to: a reading would not wait for the first mark of a process, which
/// nobody sees before it is committed. Nothing of it is kept, since a transaction that asks has nothing to commit.
const HOLD_MARK: &str = "INSERT INTO usage_flushes (replica, number, flushed_at) VALUES ($1, -1, 0) \
     ON CONFLICT (replica) DO UPDATE SET number = usage_flushes.number RETURNING number";

impl SqlTx {
    pub(crate) async fn mark(&self, replica: ReplicaId, flush: u64, at: Timestamp) -> Result<(), StoreError> {
        let backend = self.sql.get_database_backend();
        let text = if backend == DbBackend::Postgres { MARK_POSTGRES } else { MARK_SQLITE };
        let values = [Uuid::from_u128(replica.bits()).into(), signed(flush).into(), at.as_millis().into()];
        self.sql.execute_raw(Statement::from_sql_and_values(backend, text, values)).await.map_err(store_error)?;
        Ok(())
    }

    pub(crate) async fn last_mark(&self, replica: ReplicaId) -> Result<Option<u64>, StoreError> {
        let backend = self.sql.get_database_backend();
        let replica = Uuid::from_u128(replica.bits());
        if backend != DbBackend::Postgres || !self.is_writing() {
            let row = Entity::find_by_id(replica).one(&self.sql).await.map_err(store_error)?;
            return Ok(row.and_then(|row| u64::try_from(row.number).ok()));
        }
        let hold = Statement::from_sql_and_values(backend, HOLD_MARK, [replica.into()]);
        let row = self.sql.query_one_raw(hold).await.map_err(store_error)?;
        let number = row.map(|row| row.try_get_by_index::<i64>(0)).transpose().map_err(store_error)?;
        Ok(number.and_then(|number| u64::try_from(number).ok()))
    }

    pub(crate) async fn purge_marks(&self, before: Timestamp) -> Result<u64, StoreError> {
        let old = Entity::delete_many().filter(Column::FlushedAt.lt(before.as_millis()));
        Ok(old.exec(&self.sql).await.map_err(store_error)?.rows_affected)
    }
}
