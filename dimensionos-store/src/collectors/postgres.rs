//! A PostgreSQL database, by its own statistics.

use std::str::FromStr;
use std::time::Duration;

use dimensionos_core::monitoring::{Counter, Level, Sample};
use sea_orm::DatabaseConnection;
use sea_orm::sqlx::ConnectOptions;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::{DatabaseCollectError, count, row, sort_sqlx};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What a session runs before its first answer: the one of its start, and the one that prepares the statement below.
const TRANSACTIONS_OF_A_SESSION: u64 = 2;
/// One statement, hence one transaction of ours a reading. The session's process id tells whether it is a new one.
const STATISTICS: &str = "SELECT \
    (SELECT count(*) FROM pg_stat_user_tables), \
    (SELECT coalesce(sum(greatest(n_live_tup, 0)), 0)::bigint FROM pg_stat_user_tables), \
    (SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()), \
    pg_backend_pid()::bigint";

#[derive(Debug)]
pub(super) struct Postgres {
    connection: DatabaseConnection,
    session: Option<u64>,
    queries: Queries,
}

impl Postgres {
    pub(super) async fn connect(url: &str) -> Result<Self, DatabaseCollectError> {
        let options = PgConnectOptions::from_str(url).map_err(|error| sort_sqlx(&error))?.disable_statement_logging();
        // One session that stays: each new one is a transaction of ours, and so is every test of the connection.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(CONNECT_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options);
        let pool = pool.await.map_err(|error| sort_sqlx(&error))?;
        Ok(Self { connection: DatabaseConnection::from(pool), session: None, queries: Queries::default() })
    }

    pub(super) async fn collect(&mut self, sample: &mut Sample) -> Result<(), DatabaseCollectError> {
        let row = match row(&self.connection, STATISTICS.to_owned()).await {
            // The pool finds out that a connection was lost by using it; the second try makes a new one.
            Err(DatabaseCollectError::Unreachable) => row(&self.connection, STATISTICS.to_owned()).await?,
            // So does a server that shuts down or ends the session (class 57, operator intervention).
            Err(DatabaseCollectError::Refused { code }) if code.starts_with("57") => {
                row(&self.connection, STATISTICS.to_owned()).await?
            }
            answer => answer?,
        };
        sample.set_level(Level::TableCount, count(&row, 0)?);
        sample.set_level(Level::RecordCount, count(&row, 1)?);
        let session = Some(count(&row, 3)?);
        let is_new = self.session != session;
        self.session = session;
        // The statistics were read before the transaction that reads them was counted.
        if let Some(added) = self.queries.add(count(&row, 2)?, is_new) {
            sample.add(Counter::DatabaseQueries, added);
        }
        Ok(())
    }
}

/// Transactions of others since the first reading.
#[derive(Debug, Default)]
struct Queries {
    /// The count at the last reading; absent before the first.
    last: Option<u64>,
    /// Transactions of others that were counted and not yet handed out, or of ours that the count does not hold yet.
    balance: i64,
}

impl Queries {
    /// Takes a reading of the database's count, and hands out what others have added.
    ///
    /// A session reports its own transactions up to a second late, so ours may be taken off before they are counted:
    /// the balance is then below zero for a while, and nothing is handed out.
    fn add(&mut self, total: u64, is_new_session: bool) -> Option<u64> {
        let ours = 1 + if is_new_session { TRANSACTIONS_OF_A_SESSION } else { 0 };
        let last = self.last.replace(total);
        let Some(grown) = last.and_then(|last| total.checked_sub(last)) else {
            // The first reading, or the statistics were reset: ours so far are in the count, or come late.
            self.balance = 0;
            return None;
        };
        let grown = i64::try_from(grown).unwrap_or(i64::MAX);
        self.balance = self.balance.saturating_add(grown).saturating_sub_unsigned(ours);
        let added = u64::try_from(self.balance).unwrap_or(0);
        self.balance = self.balance.min(0);
        Some(added)
    }
}
