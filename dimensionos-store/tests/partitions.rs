//! Usage in partitions: no row is lost or doubled by it, and what is over goes with its partition.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::time::Duration;

use dimensionos_core::auth::HashCost;
use dimensionos_core::jobs::{JobName, JobOutcome};
use dimensionos_core::monitoring::{Bucket, Counter, Level, Resolution, Retention, Rollup, Sample, UsageRow};
use dimensionos_core::store::{Access, Store, StoreError};
use dimensionos_core::testing::FixedClock;
use dimensionos_core::{AccountId, Context, Platform, Timestamp};
use dimensionos_store::testing::PostgresDatabase;
use dimensionos_store::{Database, PartitionError, Partitioning, UsagePartitions, testing};
use futures_util::future::{join, join_all};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};

/// 18:30 on 23 November 2026.
const NOW: Timestamp = Timestamp::from_millis(1_795_458_600_000);
/// After all there is.
const END: Timestamp = Timestamp::from_millis(i64::MAX);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// How long one partition of each resolution is.
const WIDTHS: [Duration; 3] =
    [Duration::from_secs(21_600), Duration::from_secs(604_800), Duration::from_secs(7_862_400)];

/// The cases that every storage passes.
mod conformance {
    /// Where what is written has partitions of its own.
    mod in_partitions {
        use dimensionos_core::Timestamp;
        use dimensionos_store::Database;
        use dimensionos_store::testing::PostgresDatabase;

        async fn fresh() -> Option<(Database, PostgresDatabase)> {
            crate::partitioned(Timestamp::from_millis(1_700_000_000_000)).await
        }

        dimensionos_core::conformance_cases!(fresh);
    }

    /// Where none is for it, so that all of it goes to `DEFAULT`.
    mod in_default {
        use dimensionos_store::Database;
        use dimensionos_store::testing::PostgresDatabase;

        async fn fresh() -> Option<(Database, PostgresDatabase)> {
            crate::partitioned(crate::NOW).await
        }

        dimensionos_core::conformance_cases!(fresh);
    }
}

/// A database whose usage was partitioned at an instant.
async fn partitioned(now: Timestamp) -> Option<(Database, PostgresDatabase)> {
    let (database, fresh) = testing::postgres().await?;
    divide(&database, now).await;
    Some((database, fresh))
}

async fn divide(database: &Database, now: Timestamp) -> (u64, UsagePartitions) {
    match database.partition_usage(&Retention::default(), now).await.unwrap() {
        Partitioning::Divided { rows, partitions } => (rows, partitions),
        Partitioning::Already(partitions) => panic!("{partitions:?}"),
    }
}

fn account(number: u128) -> AccountId {
    AccountId::from_bits(number << 100 | number)
}

fn row(number: u128, resolution: Resolution, at: Timestamp) -> UsageRow {
    let mut rollup = Rollup::default();
    rollup.add(&Sample::at(at).with_added(Counter::ApiCalls, 1).with_level(Level::RamBytes, 7));
    UsageRow { account: account(number), resolution, bucket: Bucket::holding(at, resolution), rollup }
}

async fn add(database: &Database, rows: &[UsageRow]) {
    let mut tx = database.begin(Access::Write).await.unwrap();
    tx.add_usage(rows).await.unwrap();
    tx.commit().await.unwrap();
}

async fn prepare(database: &Database, resolution: Resolution, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = database.begin(Access::Write).await?;
    tx.prepare_usage(resolution, now.before(Retention::default().of(resolution)), now).await?;
    tx.commit().await
}

/// Purges, and again where others are in the way.
async fn purge(database: &Database, resolution: Resolution, before: Timestamp) -> u64 {
    loop {
        let mut tx = database.begin(Access::Write).await.unwrap();
        match tx.purge_usage(resolution, before).await {
            Ok(gone) => {
                tx.commit().await.unwrap();
                return gone;
            }
            Err(error) => assert!(matches!(error, StoreError::Busy), "{error:?}"),
        }
    }
}

type Found = Vec<(AccountId, Bucket, Rollup)>;

/// All that is stored of the first accounts, by resolution, in one order.
async fn all(database: &Database, accounts: u128) -> [Found; 3] {
    let accounts: Vec<AccountId> = (1..=accounts).map(account).collect();
    let mut tx = database.begin(Access::Read).await.unwrap();
    let mut found = [Vec::new(), Vec::new(), Vec::new()];
    for (found, resolution) in found.iter_mut().zip(Resolution::ALL) {
        *found = tx.usage_of_each(&accounts, None, resolution, (Timestamp::EPOCH, END)).await.unwrap();
        found.sort_by_key(|(account, bucket, _)| (*account, *bucket));
    }
    found
}

fn calls(found: &[Found; 3]) -> Vec<u64> {
    found.iter().flatten().map(|(_, _, rollup)| rollup.total(Counter::ApiCalls).unwrap()).collect()
}

async fn ask(connection: &DatabaseConnection, query: &str) -> i64 {
    let statement = Statement::from_string(connection.get_database_backend(), query);
    connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// How many rows lie in no partition of their own.
async fn waiting(fresh: &PostgresDatabase, table: &str) -> i64 {
    let connection = sea_orm::Database::connect(&fresh.url).await.unwrap();
    let count = ask(&connection, &format!("SELECT COUNT(*) FROM {table}_default")).await;
    connection.close().await.unwrap();
    count
}

/// Some of every age: long past its retention, of every partition and its ends, far ahead, and the last there can be.
fn of_all_ages() -> Vec<UsageRow> {
    let mut rows = Vec::new();
    for (resolution, width) in Resolution::ALL.into_iter().zip(WIDTHS) {
        let start = NOW.floor(i64::try_from(width.as_secs()).unwrap());
        let bucket = Duration::from_secs(u64::try_from(resolution.seconds()).unwrap());
        let edges = (0..20).flat_map(|back| {
            let start = start.before(width * back);
            [start, start.before(bucket), start.after(bucket)]
        });
        let far = [Timestamp::EPOCH, NOW.before(DAY * 3_660), NOW.after(MINUTE), NOW.after(DAY * 3_660), END];
        let mut instants: Vec<Timestamp> = edges.chain(far).map(|at| Bucket::holding(at, resolution).start()).collect();
        instants.sort_unstable();
        instants.dedup();
        rows.extend((1..=3).flat_map(|number| instants.iter().map(move |at| row(number, resolution, *at))));
    }
    rows
}

#[tokio::test]
async fn every_row_is_kept_and_added_to_wherever_it_lies() {
    let Some((database, fresh)) = testing::postgres().await else { return };
    let rows = of_all_ages();
    add(&database, &rows).await;
    let before = all(&database, 3).await;
    assert_eq!((database.is_partitioned().await.unwrap(), database.usage_partitions().await.unwrap()), (false, None));
    let (moved, partitions) = divide(&database, NOW).await;
    assert_eq!(moved, rows.len() as u64);
    // 48 hours and three days; 90 days and four weeks; 1,098 days and half a year: with the one that holds the oldest.
    assert_eq!(partitions, UsagePartitions { minutes: 21, hours: 18, days: 15 });
    assert_eq!(database.usage_partitions().await.unwrap(), Some(partitions));
    assert_eq!(all(&database, 3).await, before);
    assert!(waiting(&fresh, "usage_minutes").await > 0, "what no partition is for");
    add(&database, &rows).await;
    let after = all(&database, 3).await;
    assert_eq!(after.each_ref().map(Vec::len), before.each_ref().map(Vec::len), "no row stands twice");
    assert!(calls(&after).iter().all(|calls| *calls == 2));
}

#[tokio::test]
async fn dividing_twice_is_nothing_and_two_at_once_are_one() {
    let Some((database, fresh)) = testing::postgres().await else { return };
    let other = Database::connect(&fresh.url).await.unwrap();
    let retention = Retention::default();
    let both = join(database.partition_usage(&retention, NOW), other.partition_usage(&retention, NOW)).await;
    let divided = [both.0.unwrap(), both.1.unwrap()];
    let partitions = database.usage_partitions().await.unwrap().unwrap();
    assert!(divided.contains(&Partitioning::Already(partitions)));
    assert!(divided.contains(&Partitioning::Divided { rows: 0, partitions }));
    let again = database.partition_usage(&retention, NOW.after(DAY)).await.unwrap();
    assert_eq!(again, Partitioning::Already(partitions));
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_usage_is_divided_counts_once() {
    let Some((database, fresh)) = testing::postgres().await else { return };
    let writer = Database::connect(&fresh.url).await.unwrap();
    let rows: Vec<UsageRow> = Resolution::ALL.map(|resolution| row(1, resolution, NOW)).into();
    let writing = async {
        for _ in 0..100 {
            add(&writer, &rows).await;
        }
    };
    let dividing = async {
        // In the middle of it, when every statement has been prepared.
        while calls(&all(&database, 1).await).first().is_none_or(|calls| *calls < 20) {
            tokio::task::yield_now().await;
        }
        divide(&database, NOW).await;
    };
    join(writing, dividing).await;
    assert_eq!(calls(&all(&database, 1).await), [100; 3]);
    writer.close().await;
}

#[tokio::test]
async fn what_is_over_goes_with_its_partition_and_nothing_else() {
    let Some((database, fresh)) = partitioned(NOW).await else { return };
    for (place, (resolution, width)) in Resolution::ALL.into_iter().zip(WIDTHS).enumerate() {
        let start = NOW.floor(i64::try_from(width.as_secs()).unwrap());
        // Four in each of five partitions and some in those beside them, and one long past.
        let quarters = (0..24).map(|quarter| start.before(width / 4 * quarter));
        let instants: Vec<Timestamp> = quarters.chain([Timestamp::EPOCH]).collect();
        let rows: Vec<UsageRow> = instants.iter().map(|at| row(1, resolution, *at)).collect();
        add(&database, &rows).await;
        let partitions = database.usage_partitions().await.unwrap();
        // In the middle of the third partition before the present one: it stays, with all that is in it.
        let before = start.before(width * 5 / 2);
        let is_kept = |at: Timestamp| at >= start.before(width * 3);
        let gone = instants.iter().filter(|at| !is_kept(**at)).count();
        assert_eq!(purge(&database, resolution, before).await, gone as u64, "{resolution:?}");
        assert_eq!(purge(&database, resolution, before).await, 0);
        let mut left: Vec<Bucket> =
            instants.iter().filter(|at| is_kept(**at)).map(|at| Bucket::holding(*at, resolution)).collect();
        left.sort_unstable();
        let found: Vec<Bucket> = all(&database, 1).await[place].iter().map(|(_, bucket, _)| *bucket).collect();
        assert_eq!(found, left);
        assert!(database.usage_partitions().await.unwrap() != partitions);
    }
    for table in ["usage_minutes", "usage_hours", "usage_days"] {
        assert_eq!(waiting(&fresh, table).await, 0);
    }
}

#[tokio::test]
async fn the_job_makes_partitions_ahead_and_what_waited_for_them_moves() {
    let Some((database, fresh)) = partitioned(NOW).await else { return };
    let clock = FixedClock::default();
    clock.set(NOW);
    let builder = Platform::builder(database.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests());
    let platform = builder.open().await.unwrap();
    // For three days nobody needs the job.
    let in_time: Vec<UsageRow> = (0..72).map(|hours| row(1, Resolution::Minute, NOW.after(HOUR * hours))).collect();
    add(&database, &in_time).await;
    assert_eq!(waiting(&fresh, "usage_minutes").await, 0);
    // For ten, nothing is refused either; and what is late goes where it belongs.
    let late: Vec<UsageRow> = (72..240).map(|hours| row(1, Resolution::Minute, NOW.after(HOUR * hours))).collect();
    add(&database, &late).await;
    assert!(waiting(&fresh, "usage_minutes").await > 0);
    clock.set(NOW.after(10 * DAY));
    let run = platform.jobs().run(&Context::system(), JobName::Purge).await.unwrap();
    let JobOutcome::Ok { done } = run.outcome else { panic!("{run:?}") };
    assert_eq!(waiting(&fresh, "usage_minutes").await, 0);
    let left = all(&database, 1).await;
    assert_eq!(done + left[0].len() as u64, 240);
    let kept = Retention::default().of(Resolution::Minute);
    let oldest = left[0].first().unwrap().1.start();
    assert!(oldest <= NOW.after(10 * DAY).before(kept) && oldest > NOW.after(10 * DAY).before(kept + WIDTHS[0]));
    let partitions = database.usage_partitions().await.unwrap().unwrap();
    assert_eq!((partitions.minutes, database.is_partitioned().await.unwrap()), (21, true));
    // Again and again, to the same.
    platform.jobs().run(&Context::system(), JobName::Purge).await.unwrap();
    assert_eq!(database.usage_partitions().await.unwrap(), Some(partitions));
    assert_eq!(all(&database, 1).await, left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_prepare_and_purge_at_once_do_not_fail() {
    let Some((database, fresh)) = partitioned(NOW).await else { return };
    let later = NOW.after(2 * DAY);
    let rows: Vec<UsageRow> = (0..48).map(|hours| row(1, Resolution::Minute, NOW.before(HOUR * hours))).collect();
    add(&database, &rows).await;
    let servers = join_all((0..3).map(|_| Database::connect(&fresh.url))).await;
    let gone = join_all(servers.iter().map(|server| async move {
        let server = server.as_ref().unwrap();
        while let Err(error) = prepare(server, Resolution::Minute, later).await {
            assert!(matches!(error, StoreError::Busy), "{error:?}");
        }
        purge(server, Resolution::Minute, later.before(Retention::default().of(Resolution::Minute))).await
    }));
    let gone: u64 = gone.await.iter().sum();
    assert_eq!(gone + all(&database, 1).await[0].len() as u64, 48, "each went once");
    assert_eq!(database.usage_partitions().await.unwrap().unwrap().minutes, 21);
}

#[tokio::test]
async fn a_table_in_use_is_left_for_later_and_nobody_waits_for_long() {
    let Some((database, fresh)) = partitioned(NOW).await else { return };
    let connection = sea_orm::Database::connect(&fresh.url).await.unwrap();
    let reading = connection.begin().await.unwrap();
    reading.execute_unprepared("LOCK TABLE usage_minutes_default IN ACCESS SHARE MODE").await.unwrap();
    let later = NOW.after(DAY);
    let refused = prepare(&database, Resolution::Minute, later).await.unwrap_err();
    assert!(matches!(refused, StoreError::Busy), "{refused:?}");
    let mut tx = database.begin(Access::Write).await.unwrap();
    let refused = tx.purge_usage(Resolution::Minute, later).await.unwrap_err();
    assert!(matches!(refused, StoreError::Busy), "{refused:?}");
    drop(tx);
    add(&database, &[row(1, Resolution::Minute, NOW)]).await;
    reading.rollback().await.unwrap();
    prepare(&database, Resolution::Minute, later).await.unwrap();
    assert_eq!(purge(&database, Resolution::Minute, later).await, 1);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_partition_has_the_key_and_the_index_of_the_table() {
    let Some((database, fresh)) = partitioned(NOW).await else { return };
    prepare(&database, Resolution::Minute, NOW.after(DAY)).await.unwrap();
    let connection = sea_orm::Database::connect(&fresh.url).await.unwrap();
    // Each is attached to one of the table's, so that a later step of the schema reaches it.
    let without = "SELECT COUNT(*) FROM pg_partition_tree('usage_rollups') AS part WHERE isleaf AND 2 <> (SELECT COUNT(*) \
                   FROM pg_index JOIN pg_inherits ON inhrelid = indexrelid WHERE indrelid = part.relid)";
    assert_eq!(ask(&connection, without).await, 0);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_reset_database_is_one_table_again() {
    let Some((database, _fresh)) = partitioned(NOW).await else { return };
    database.reset().await.unwrap();
    assert!(!database.is_partitioned().await.unwrap());
    add(&database, &[row(1, Resolution::Minute, NOW)]).await;
    assert_eq!(purge(&database, Resolution::Minute, NOW.after(MINUTE)).await, 1);
    divide(&database, NOW).await;
}

#[tokio::test]
async fn sqlite_refuses_and_stays_as_it_is() {
    let (database, _folder) = testing::sqlite().await;
    let refused = database.partition_usage(&Retention::default(), NOW).await;
    assert!(matches!(refused, Err(PartitionError::Unsupported)), "{refused:?}");
    assert_eq!(database.usage_partitions().await.unwrap(), None);
    add(&database, &[row(1, Resolution::Minute, NOW)]).await;
    prepare(&database, Resolution::Minute, NOW).await.unwrap();
    assert_eq!(purge(&database, Resolution::Minute, NOW).await, 0, "to the bucket");
    assert_eq!(purge(&database, Resolution::Minute, NOW.after(MINUTE)).await, 1);
}
