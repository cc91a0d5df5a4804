//! A PostgreSQL database, by its own statistics.

use std::str::FromStr;
use std::time::Duration;

use dimensionos_core::monitoring::collectors::{Absence, Gaps};
use dimensionos_core::monitoring::{Counter, Level, Sample};
use sea_orm::DatabaseConnection;
use sea_orm::sqlx::ConnectOptions;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::{DatabaseCollectError, count, row, sort, sort_sqlx};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One statement, hence one transaction of ours a reading. The session's process id tells whether it is a new one.
const STATISTICS: &str = "SELECT \
    (SELECT count(*) FROM pg_stat_user_tables), \
    (SELECT coalesce(sum(greatest(n_live_tup, 0)), 0)::bigint FROM pg_stat_user_tables), \
    (SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()), \
    pg_backend_pid()::bigint, \
    current_setting('track_counts')::bool";

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

    pub(super) async fn collect(&mut self, sample: &mut Sample, gaps: &mut Gaps) -> Result<(), DatabaseCollectError> {
        let statistics = self.read().await;
        let known = statistics.as_ref().map_err(Absence::from);
        gaps.set_level(sample, Level::TableCount, known.map(|known| known.tables));
        gaps.set_level(sample, Level::RecordCount, known.and_then(|known| known.records.ok_or(Absence::SwitchedOff)));
        let added = known.and_then(|known| {
            let session = Some(known.session);
            let is_new = self.session != session;
            self.session = session;
            self.queries.add(known.transactions, is_new).ok_or(Absence::Baseline)
        });
        gaps.add(sample, Counter::DatabaseQueries, added);
        statistics.map(|_| ())
    }

    async fn read(&self) -> Result<Statistics, DatabaseCollectError> {
        let row = match row(&self.connection, STATISTICS.to_owned()).await {
            // The pool finds out that a connection was lost by using it; the second try makes a new one.
            Err(DatabaseCollectError::Unreachable) => row(&self.connection, STATISTICS.to_owned()).await?,
            // So does a server that shuts down or ends the session (class 57, operator intervention).
            Err(DatabaseCollectError::Refused { code }) if code.starts_with("57") => {
                row(&self.connection, STATISTICS.to_owned()).await?
            }
            answer => answer?,
        };
        let is_tracked: bool = row.try_get_by_index(4).map_err(|error| sort(&error))?;
        Ok(Statistics {
            tables: count(&row, 0)?,
            records: if is_tracked { Some(count(&row, 1)?) } else { None },
            transactions: count(&row, 2)?,
            session: count(&row, 3)?,
        })
    }
}

/// One answer.
#[derive(Debug)]
struct Statistics {
    tables: u64,
    /// Absent where the server is set not to count rows: what stands there then is old, or nothing.
    records: Option<u64>,
    transactions: u64,
    session: u64,
}

/// Transactions of others since the first reading.
#[derive(Debug, Default)]
struct Queries {
    /// The count at the last reading; absent before the first.
    last: Option<u64>,
    /// Transactions of ours that the next reading is the first to hold.
    ours: u64,
    /// Transactions of ours that were taken off before the count held them, below zero.
    balance: i64,
}

impl Queries {
    /// Takes a reading of the database's count, and hands out what others have added.
    ///
    /// A transaction is counted when it ends, so that of a reading is in the next one. A session reports its own up to
    /// a second late, and a quiet one later still: what was taken off too early is made good then.
    fn add(&mut self, total: u64, is_new_session: bool) -> Option<u64> {
        // A session starts with a transaction, reported at once, and has another to prepare the statement in.
        let (started, prepared) = if is_new_session { (1, 1) } else { (0, 0) };
        let ours = std::mem::replace(&mut self.ours, prepared + 1).saturating_add(started);
        let last = self.last.replace(total);
        let Some(grown) = last.and_then(|last| total.checked_sub(last)) else {
            // The first reading, or the statistics were reset.
            self.balance = 0;
            return None;
        };
        let grown = i64::try_from(grown).unwrap_or(i64::MAX);
        let balance = self.balance.saturating_add(grown).saturating_sub_unsigned(ours);
        self.balance = balance.min(0);
        Some(u64::try_from(balance).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_transactions_are_not_counted() {
        let mut queries = Queries::default();
        assert_eq!(queries.add(1_000, true), None);
        // Two of the first reading: to prepare the statement, and to run it.
        assert_eq!(queries.add(1_002, false), Some(0));
        assert_eq!(queries.add(1_003, false), Some(0));
        assert_eq!(queries.add(1_011, false), Some(7));
        // Another session: its start at once, the rest in the next.
        assert_eq!(queries.add(1_013, true), Some(0));
        assert_eq!(queries.add(1_015, false), Some(0));
    }

    #[test]
    fn ours_that_are_reported_late_are_made_good() {
        let mut queries = Queries::default();
        queries.add(1_000, true);
        assert_eq!(queries.add(1_000, false), Some(0));
        assert_eq!(queries.add(1_000, false), Some(0));
        assert_eq!(queries.add(1_014, false), Some(10));
    }

    #[test]
    fn statistics_that_were_reset_start_anew() {
        let mut queries = Queries::default();
        queries.add(1_000, true);
        assert_eq!(queries.add(40, false), None);
        assert_eq!(queries.add(46, false), Some(5));
    }
}
