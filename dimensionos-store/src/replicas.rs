//! What the processes on one database tell one another through it.

use async_trait::async_trait;
use dimensionos_core::id::{DeploymentId, ReplicaId};
use dimensionos_core::replicas::{AccountChange, ChangeMark};
use dimensionos_core::store::{Replicas, StoreError};
use dimensionos_core::{AccountId, Timestamp};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, Statement};
use uuid::Uuid;

use crate::entity::account_change::{Column, Entity, Model};
use crate::error::store_error;
use crate::transaction::{SqlTx, signed, unsigned};

const NAME_SQLITE: &str = "INSERT INTO deployment (singleton, id) VALUES (1, ?) \
     ON CONFLICT (singleton) DO UPDATE SET singleton = excluded.singleton RETURNING id";
const NAME_POSTGRES: &str = "INSERT INTO deployment (singleton, id) VALUES (1, $1) \
     ON CONFLICT (singleton) DO UPDATE SET singleton = excluded.singleton RETURNING id";

/// SQLite writes one transaction after the other, so that its numbers say all.
const NOTE_SQLITE: &str =
    "INSERT INTO account_changes (account_id, replica, written_in, changed_at) VALUES (?, ?, 0, ?)";
/// Transactions are not committed in the order of their numbers: what tells which may still be under way is PostgreSQL's
/// own account of them.
const NOTE_POSTGRES: &str = "INSERT INTO account_changes (account_id, replica, written_in, changed_at) \
     VALUES ($1, $2, pg_current_xact_id()::text::bigint, $3)";
/// The oldest transaction that has not ended: every one before it has, and what it did is seen.
const OLDEST_UNDER_WAY: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
const LAST_NUMBER: &str = "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = 'account_changes'";

impl SqlTx {
    fn is_postgres(&self) -> bool {
        self.sql.get_database_backend() == DbBackend::Postgres
    }

    /// Removes that an account was changed, which no foreign key leads to.
    pub(crate) async fn erase_changes(&self, account: AccountId) -> Result<(), StoreError> {
        let own = Entity::delete_many().filter(Column::AccountId.eq(Uuid::from_u128(account.bits())));
        own.exec(&self.sql).await.map_err(store_error)?;
        Ok(())
    }

    async fn mark_of_present(&self) -> Result<ChangeMark, StoreError> {
        let text = if self.is_postgres() { OLDEST_UNDER_WAY } else { LAST_NUMBER };
        let statement = Statement::from_string(self.sql.get_database_backend(), text);
        let row = self.sql.query_one_raw(statement).await.map_err(store_error)?;
        let mark = row.map(|row| row.try_get_by_index::<i64>(0)).transpose().map_err(store_error)?;
        Ok(ChangeMark(mark.map_or(0, unsigned)))
    }
}

#[async_trait]
impl Replicas for SqlTx {
    async fn deployment(&mut self, new: DeploymentId) -> Result<DeploymentId, StoreError> {
        let text = if self.is_postgres() { NAME_POSTGRES } else { NAME_SQLITE };
        let backend = self.sql.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, text, [Uuid::from_u128(new.bits()).into()]);
        let row = self.sql.query_one_raw(statement).await.map_err(store_error)?;
        let id = row.map(|row| row.try_get_by_index::<Uuid>(0)).transpose().map_err(store_error)?;
        Ok(id.map_or(new, |id| DeploymentId::from_bits(id.as_u128())))
    }

    async fn note_change(&mut self, account: AccountId, by: ReplicaId, at: Timestamp) -> Result<(), StoreError> {
        let text = if self.is_postgres() { NOTE_POSTGRES } else { NOTE_SQLITE };
        let ids = [account.bits(), by.bits()].map(|bits| Uuid::from_u128(bits).into());
        let [account, by] = ids;
        let backend = self.sql.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, text, [account, by, at.as_millis().into()]);
        self.sql.execute_raw(statement).await.map_err(store_error)?;
        Ok(())
    }

    async fn changes_since(
        &mut self,
        mark: Option<ChangeMark>,
    ) -> Result<(Vec<AccountChange>, ChangeMark), StoreError> {
        // Both in one snapshot: what is under way in it is asked for again the next time.
        let next = self.mark_of_present().await?;
        let Some(ChangeMark(mark)) = mark else { return Ok((Vec::new(), next)) };
        let is_new =
            if self.is_postgres() { Column::WrittenIn.gte(signed(mark)) } else { Column::Number.gt(signed(mark)) };
        let rows = Entity::find().filter(is_new).order_by_asc(Column::Number).all(&self.sql).await;
        let change = |row: Model| AccountChange {
            number: unsigned(row.number),
            account: AccountId::from_bits(row.account_id.as_u128()),
            by: ReplicaId::from_bits(row.replica.as_u128()),
        };
        Ok((rows.map_err(store_error)?.into_iter().map(change).collect(), next))
    }

    async fn purge_changes(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let old = Entity::delete_many().filter(Column::ChangedAt.lt(before.as_millis()));
        Ok(old.exec(&self.sql).await.map_err(store_error)?.rows_affected)
    }
}
