use async_trait::async_trait;
use dimensionos_core::AccountId;
use dimensionos_core::store::{Access, StoreError, Tx};
use sea_orm::sea_query::LockType;
use sea_orm::{DatabaseTransaction, EntityTrait, QuerySelect, Select};
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::error::store_error;

/// A transaction of either engine; its statements stand in the files named after their subjects.
pub(crate) struct SqlTx {
    // Before `_turn`, and so dropped before it: the rollback is under way when the next writer begins.
    pub(crate) sql: DatabaseTransaction,
    access: Access,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl SqlTx {
    pub(crate) const fn new(sql: DatabaseTransaction, access: Access, turn: Option<OwnedMutexGuard<()>>) -> Self {
        Self { sql, access, _turn: turn }
    }

    pub(crate) const fn is_writing(&self) -> bool {
        matches!(self.access, Access::Write)
    }

    /// In a writing transaction, keeps the rows that are found as they are until it ends. SQLite needs nothing for
    /// that, and sea-query writes nothing for it. Their keys may be referred to meanwhile, as usage refers to accounts:
    /// two writers of usage, the one deciding about an account that the other counts for, would wait for each other.
    pub(crate) fn held<E: EntityTrait>(&self, select: Select<E>) -> Select<E> {
        match self.access {
            Access::Read => select,
            Access::Write => select.lock(LockType::NoKeyUpdate),
        }
    }
}

#[async_trait]
impl Tx for SqlTx {
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.sql.commit().await.map_err(store_error)
    }
}

/// The ids of several accounts, for a statement that asks for all of them. The last stands in it as often as makes their
/// number a power of two, so that there are few texts to prepare.
pub(crate) fn ids(accounts: &[AccountId]) -> Vec<Uuid> {
    let last = accounts.last().into_iter().cycle();
    let asked = accounts.iter().chain(last).take(accounts.len().next_power_of_two());
    asked.map(|account| Uuid::from_u128(account.bits())).collect()
}

/// Instants, epochs and amounts as a signed column holds them. None of ours comes near its end.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The same read back; what is negative was never written by us.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
