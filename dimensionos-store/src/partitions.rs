//! Usage in partitions of PostgreSQL, so that what is past its retention is dropped and not deleted row by row.
//!
//! `usage_rollups` is divided by resolution, each resolution by time, and each has a `DEFAULT` partition for whatever no
//! other is for: no row is ever refused. The key has both columns in it, so every statement on the table stays as it is.

mod turnover;

use dimensionos_core::Timestamp;
use dimensionos_core::monitoring::{Resolution, Retention};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement};

use crate::database::Database;
use crate::error::DatabaseFault;
use crate::usage::{ROLLUPS, resolution_number};

pub(crate) use turnover::{drop_over, prepare};

/// The undivided table while its rows are moved.
const PLAIN: &str = "usage_rollups_plain";
/// How long dividing waits for those who use the table; whoever comes after them waits as well.
const DIVIDE_PATIENCE: &str = "5s";
/// Partitions made for the past. What is kept longer than that lies in the `DEFAULT` one, and is deleted row by row.
const MOST_BEHIND: i64 = 128;
const HOUR: i64 = 3_600_000;

/// How many partitions usage lies in, beside the `DEFAULT` one of each resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsagePartitions {
    /// Of six hours each.
    pub minutes: u64,
    /// Of a week each.
    pub hours: u64,
    /// Of 13 weeks each.
    pub days: u64,
}

/// What became of dividing usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partitioning {
    /// It was one table, and is not any more.
    Divided {
        /// How many rows were moved.
        rows: u64,
        /// Into what.
        partitions: UsagePartitions,
    },
    /// It was divided before; nothing was done.
    Already(UsagePartitions),
}

/// Usage could not be divided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// SQLite has one writer, and nothing to divide.
    #[error("usage is divided into partitions on PostgreSQL alone")]
    Unsupported,
    /// The database refused; everything is as before.
    #[error("usage could not be divided into partitions")]
    Failed(#[source] DatabaseFault),
}

/// How the buckets of one resolution are divided.
#[derive(Debug, Clone, Copy)]
struct Division {
    table: &'static str,
    /// The milliseconds of one partition.
    width: i64,
    /// How many partitions stand ready after the one that holds the present.
    ahead: i64,
}

/// One partition: its name, quoted where it has to be, and the milliseconds from which and before which its buckets start.
#[derive(Debug)]
struct Partition {
    name: String,
    start: i64,
    end: i64,
    /// The rows that PostgreSQL's planner takes it to have; negative where nobody counted.
    estimate: i64,
}

impl Division {
    /// A partition goes once all of it is past its retention, so a row stays at most its width longer than it is kept:
    /// with the retention that is set where nobody sets one, an eighth at most. Narrower ones would be more than a
    /// statement that touches all of them should lock. Those ahead are for three days, four weeks and half a year
    /// without the job that makes them.
    const fn of(resolution: Resolution) -> Self {
        match resolution {
            Resolution::Minute => Self { table: "usage_minutes", width: 6 * HOUR, ahead: 12 },
            Resolution::Hour => Self { table: "usage_hours", width: 7 * 24 * HOUR, ahead: 4 },
            Resolution::Day => Self { table: "usage_days", width: 91 * 24 * HOUR, ahead: 2 },
        }
    }

    /// Where the partitions start that are to be there while buckets are kept from `oldest` on.
    fn starts(self, oldest: Timestamp, now: Timestamp) -> impl Iterator<Item = i64> {
        let present = now.as_millis() / self.width;
        let first = (oldest.as_millis() / self.width).max(present - MOST_BEHIND);
        (first..=present + self.ahead).map(move |place| place * self.width)
    }

    /// Those of them that are not there. One that would overlap another is left out: what it is for goes to `DEFAULT`.
    fn missing(self, there: &[Partition], oldest: Timestamp, now: Timestamp) -> Vec<i64> {
        let is_free = |start: i64| there.iter().all(|other| other.end <= start || other.start >= start + self.width);
        self.starts(oldest, now).filter(|start| is_free(*start)).collect()
    }

    /// What a partition is called: by the hour it starts with, as in `usage_minutes_2026112318`.
    fn name(self, start: i64) -> String {
        let start = Timestamp::from_millis(start).to_string();
        let hour: String = start.chars().filter(char::is_ascii_digit).take(10).collect();
        format!("{}_{hour}", self.table)
    }

    /// A partition's bounds, as PostgreSQL is told them.
    fn bounds(self, start: i64) -> String {
        format!("FOR VALUES FROM ({start}) TO ({})", start + self.width)
    }

    /// The partitions that are there but for the `DEFAULT` one, oldest first.
    async fn partitions(self, sql: &impl ConnectionTrait) -> Result<Vec<Partition>, DbErr> {
        const PARTITIONS: &str = r"
            SELECT CAST(child.oid::regclass AS text),
                CAST((regexp_match(bound, 'FROM \(''(-?\d+)''\)'))[1] AS bigint) AS start,
                CAST((regexp_match(bound, 'TO \(''(-?\d+)''\)'))[1] AS bigint),
                CAST(child.reltuples AS bigint)
            FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
                CROSS JOIN LATERAL pg_get_expr(child.relpartbound, child.oid) AS bound
            WHERE inhparent = to_regclass($1) AND bound <> 'DEFAULT' ORDER BY start NULLS FIRST";
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, PARTITIONS, [Value::from(self.table)]);
        let read = |row: &QueryResult| {
            Ok(Partition {
                name: row.try_get_by_index(0)?,
                // Somebody else's partition may have no end.
                start: row.try_get_by_index::<Option<i64>>(1)?.unwrap_or(i64::MIN),
                end: row.try_get_by_index::<Option<i64>>(2)?.unwrap_or(i64::MAX),
                estimate: row.try_get_by_index(3)?,
            })
        };
        sql.query_all_raw(statement).await?.iter().map(read).collect()
    }
}

impl Database {
    /// Divides usage into partitions, with all rows that are there: on PostgreSQL, once, for good. From then on the job
    /// that removes what has run out drops whole partitions, and makes those that come next.
    ///
    /// It is one transaction, and nobody reads or writes usage before it ends: some five seconds a million rows. Writers
    /// may wait for that. Readers must not: one whose snapshot is older finds nothing in the new table. What was
    /// granted on the table to other roles of PostgreSQL has to be granted again. [`reset`](Self::reset) makes one table.
    ///
    /// # Errors
    /// [`PartitionError::Unsupported`] on SQLite. [`PartitionError::Failed`] where the table is in use for longer than
    /// five seconds, or a statement fails; then everything is as before.
    pub async fn partition_usage(&self, retention: &Retention, now: Timestamp) -> Result<Partitioning, PartitionError> {
        if self.backend() != DbBackend::Postgres {
            return Err(PartitionError::Unsupported);
        }
        self.in_turn(async |tx| divide(tx, retention, now).await).await.map_err(PartitionError::Failed)
    }

    /// Whether usage is divided into partitions.
    ///
    /// # Errors
    /// [`DatabaseFault`] where it cannot be looked up.
    pub async fn is_partitioned(&self) -> Result<bool, DatabaseFault> {
        is_divided(&self.connection).await.map_err(|error| DatabaseFault::from(&error))
    }

    /// Into how many partitions usage is divided; absent where it is one table.
    ///
    /// # Errors
    /// [`DatabaseFault`] where it cannot be looked up.
    pub async fn usage_partitions(&self) -> Result<Option<UsagePartitions>, DatabaseFault> {
        if !self.is_partitioned().await? {
            return Ok(None);
        }
        let counted = count(&self.connection).await;
        counted.map(Some).map_err(|error| DatabaseFault::from(&error))
    }
}

async fn is_divided(sql: &impl ConnectionTrait) -> Result<bool, DbErr> {
    const IS_DIVIDED: &str = "SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass($1)";
    if sql.get_database_backend() != DbBackend::Postgres {
        return Ok(false);
    }
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, IS_DIVIDED, [Value::from(ROLLUPS)]);
    // Without a row there is no such table yet.
    sql.query_one_raw(statement).await?.map_or(Ok(false), |row| row.try_get_by_index(0))
}

async fn count(sql: &impl ConnectionTrait) -> Result<UsagePartitions, DbErr> {
    let mut counts = [0; Resolution::ALL.len()];
    for (count, resolution) in counts.iter_mut().zip(Resolution::ALL) {
        *count = Division::of(resolution).partitions(sql).await?.len() as u64;
    }
    let [minutes, hours, days] = counts;
    Ok(UsagePartitions { minutes, hours, days })
}

async fn divide(tx: &DatabaseTransaction, retention: &Retention, now: Timestamp) -> Result<Partitioning, DbErr> {
    if is_divided(tx).await? {
        return Ok(Partitioning::Already(count(tx).await?));
    }
    let rename = format!(
        "SET LOCAL lock_timeout = '{DIVIDE_PATIENCE}'; LOCK TABLE {ROLLUPS} IN ACCESS EXCLUSIVE MODE; \
         ALTER TABLE {ROLLUPS} RENAME TO {PLAIN}; \
         CREATE TABLE {ROLLUPS} (LIKE {PLAIN} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY LIST (resolution)"
    );
    tx.execute_unprepared(&rename).await?;
    for resolution in Resolution::ALL {
        let (Division { table, .. }, number) = (Division::of(resolution), resolution_number(resolution));
        let tables = format!(
            "CREATE TABLE {table} PARTITION OF {ROLLUPS} FOR VALUES IN ({number}) PARTITION BY RANGE (bucket_start); \
             CREATE TABLE {table}_default PARTITION OF {table} DEFAULT"
        );
        tx.execute_unprepared(&tables).await?;
    }
    let starts = |resolution| Division::of(resolution).starts(now.before(retention.of(resolution)), now);
    let has_begun = |start: &i64| *start <= now.as_millis();
    for resolution in Resolution::ALL {
        create(tx, Division::of(resolution), starts(resolution).filter(has_begun)).await?;
    }
    let moved = tx.execute_unprepared(&format!("INSERT INTO {ROLLUPS} SELECT * FROM {PLAIN}")).await?;
    // The indexes come after the rows, which is quicker, and after the table that had their names. The partitions ahead
    // come last of all: of an empty one that was analysed a plan may be kept that reads the whole of it.
    let finish = format!(
        "DROP TABLE {PLAIN}; \
         ALTER TABLE {ROLLUPS} ADD CONSTRAINT {ROLLUPS}_pkey PRIMARY KEY (account_id, resolution, bucket_start); \
         CREATE INDEX {ROLLUPS}_age ON {ROLLUPS} (resolution, bucket_start); ANALYZE {ROLLUPS}"
    );
    tx.execute_unprepared(&finish).await?;
    for resolution in Resolution::ALL {
        create(tx, Division::of(resolution), starts(resolution).filter(|start| !has_begun(start))).await?;
    }
    Ok(Partitioning::Divided { rows: moved.rows_affected(), partitions: count(tx).await? })
}

/// Makes partitions of a table that nobody else uses yet.
async fn create(tx: &DatabaseTransaction, division: Division, starts: impl Iterator<Item = i64>) -> Result<(), DbErr> {
    for start in starts {
        let (table, name, bounds) = (division.table, division.name(start), division.bounds(start));
        tx.execute_unprepared(&format!("CREATE TABLE {name} PARTITION OF {table} {bounds}")).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 18:30 on 23 November 2026.
    const NOW: Timestamp = Timestamp::from_millis(1_795_458_600_000);

    #[test]
    fn partitions_follow_one_another_from_the_oldest_bucket_kept_to_those_ahead() {
        for resolution in Resolution::ALL {
            let division = Division::of(resolution);
            let oldest = NOW.before(Retention::default().of(resolution));
            let starts: Vec<i64> = division.starts(oldest, NOW).collect();
            assert!(starts.windows(2).all(|two| two[0] + division.width == two[1]));
            let (first, last) = (starts[0], starts[starts.len() - 1]);
            assert!(first <= oldest.as_millis() && oldest.as_millis() < first + division.width);
            let present = last - division.ahead * division.width;
            assert!(present <= NOW.as_millis() && NOW.as_millis() < present + division.width);
        }
    }

    #[test]
    fn a_long_retention_makes_no_more_partitions_than_the_most() {
        for resolution in Resolution::ALL {
            let division = Division::of(resolution);
            let starts = division.starts(Timestamp::EPOCH, NOW).count();
            assert_eq!(i64::try_from(starts).unwrap(), MOST_BEHIND + 1 + division.ahead);
        }
    }

    #[test]
    fn a_partition_is_missing_where_none_overlaps_it() {
        let division = Division::of(Resolution::Minute);
        let all: Vec<i64> = division.starts(NOW, NOW).collect();
        assert_eq!(division.missing(&[], NOW, NOW), all);
        // One of half the width, as another version may have made it.
        let half = Partition {
            name: "usage_minutes_2026112321".to_owned(),
            start: all[0] + division.width / 2,
            end: all[1],
            estimate: -1,
        };
        assert_eq!(division.missing(&[half], NOW, NOW), all[1..]);
    }

    #[test]
    fn a_partition_is_called_by_its_first_hour() {
        let division = Division::of(Resolution::Minute);
        let start = NOW.floor(3_600).as_millis();
        assert_eq!(division.name(start), "usage_minutes_2026112318");
        assert_eq!(division.bounds(start), "FOR VALUES FROM (1795456800000) TO (1795478400000)");
    }
}
