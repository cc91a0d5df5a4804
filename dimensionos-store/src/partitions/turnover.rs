//! Partitions that come and go, by the job that removes what has run out.
//!
//! Both take locks that wait for whoever uses the table, and that others then wait behind. So both give up after a second,
//! which is told as busy, and the job comes again.

use dimensionos_core::Timestamp;
use dimensionos_core::monitoring::Resolution;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};

use crate::database::MIGRATION_LOCK;
use crate::partitions::{Division, Partition, is_divided};

/// How long a lock is waited for, and so how long writers may wait behind.
const LOCK_PATIENCE: &str = "1s";
/// Rows that are counted in no time.
const FEW: u64 = 100_000;

/// Makes the partitions that are missing, on a divided table alone. Rows that waited for one in `DEFAULT` are moved.
pub(crate) async fn prepare(
    sql: &DatabaseTransaction,
    resolution: Resolution,
    (oldest, now): (Timestamp, Timestamp),
) -> Result<(), DbErr> {
    let division = Division::of(resolution);
    if !is_divided(sql).await? || division.missing(&division.partitions(sql).await?, oldest, now).is_empty() {
        return Ok(());
    }
    take_turn(sql).await?;
    // Another process may have made them meanwhile.
    for start in division.missing(&division.partitions(sql).await?, oldest, now) {
        sql.execute_unprepared(&attach(division, start)).await?;
    }
    end_turn(sql).await
}

/// Drops the partitions whose buckets all started before an instant, and deletes what `DEFAULT` has of that time. Says how
/// many rows went, for a large partition as many as the planner takes it to have; `None` where the table is not divided.
///
/// `DETACH … CONCURRENTLY`, which locks less, is refused within a transaction and beside a `DEFAULT` partition. Dropping
/// takes all of a resolution for the milliseconds until the commit; the file goes after that.
pub(crate) async fn drop_over(
    sql: &DatabaseTransaction,
    resolution: Resolution,
    before: Timestamp,
) -> Result<Option<u64>, DbErr> {
    if !is_divided(sql).await? {
        return Ok(None);
    }
    let (division, before) = (Division::of(resolution), before.as_millis());
    let delete = format!("DELETE FROM {}_default WHERE bucket_start < {before}", division.table);
    let mut gone = sql.execute_unprepared(&delete).await?.rows_affected();
    let is_over = |partition: &Partition| partition.end <= before;
    if !division.partitions(sql).await?.iter().any(is_over) {
        return Ok(Some(gone));
    }
    take_turn(sql).await?;
    let over: Vec<Partition> = division.partitions(sql).await?.into_iter().filter(is_over).collect();
    // Counted before the first is dropped: from then on nobody else reads.
    for partition in &over {
        gone += rows(sql, partition).await?;
    }
    for Partition { name, .. } in &over {
        sql.execute_unprepared(&format!("DROP TABLE {name}")).await?;
    }
    end_turn(sql).await?;
    Ok(Some(gone))
}

/// The statements that make one partition. `CREATE … PARTITION OF` would lock all of the resolution; this locks `DEFAULT`
/// alone, which hardly anybody uses, so that no row for the new partition goes there while those that did are moved.
fn attach(division: Division, start: i64) -> String {
    let Division { table, width, .. } = division;
    let (name, bounds, end) = (division.name(start), division.bounds(start), start + width);
    format!(
        "CREATE TABLE {name} (LIKE {table} INCLUDING ALL); LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE; \
         WITH waiting AS (DELETE FROM {table}_default WHERE bucket_start >= {start} AND bucket_start < {end} RETURNING *) \
         INSERT INTO {name} SELECT * FROM waiting; \
         ALTER TABLE {table} ATTACH PARTITION {name} {bounds}"
    )
}

/// The planner's estimate; counted where that is of few, or of a partition that was empty when it was made.
async fn rows(sql: &DatabaseTransaction, Partition { name, estimate, .. }: &Partition) -> Result<u64, DbErr> {
    if let Some(estimate) = u64::try_from(*estimate).ok().filter(|estimate| *estimate > FEW) {
        return Ok(estimate);
    }
    let statement = Statement::from_string(DbBackend::Postgres, format!("SELECT COUNT(*) FROM {name}"));
    let counted = sql.query_one_raw(statement).await?;
    let counted: i64 = counted.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(u64::try_from(counted).unwrap_or(0))
}

/// Waits, no longer than a lock is waited for, until nobody else changes tables.
async fn take_turn(sql: &DatabaseTransaction) -> Result<(), DbErr> {
    let take = format!("SET LOCAL lock_timeout = '{LOCK_PATIENCE}'; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    sql.execute_unprepared(&take).await?;
    Ok(())
}

/// What else the transaction does waits as long as ever.
async fn end_turn(sql: &DatabaseTransaction) -> Result<(), DbErr> {
    sql.execute_unprepared("SET LOCAL lock_timeout TO DEFAULT").await?;
    Ok(())
}
