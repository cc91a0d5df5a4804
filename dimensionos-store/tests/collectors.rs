//! A tenant's database with so many tables and records, asked so many times.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::time::Duration;

use dimensionos_core::Timestamp;
use dimensionos_core::monitoring::collectors::{Absence, Figure};
use dimensionos_core::monitoring::{Counter, Level, Sample};
use dimensionos_store::collectors::{DatabaseCollectError, DatabaseCollector};
use dimensionos_store::testing::PostgresDatabase;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};

const QUERIES: u64 = 500;
/// A tenant's statistics are told by its session, up to a second late and by a quiet one up to a minute.
const LATEST: Duration = Duration::from_secs(90);
const BETWEEN_READINGS: Duration = Duration::from_millis(200);

/// A tenant's one session, which asks nothing by itself.
async fn tenant(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false).test_before_acquire(false);
    sea_orm::Database::connect(options).await.unwrap()
}

async fn read(collector: &mut DatabaseCollector) -> Sample {
    let mut sample = Sample::at(Timestamp::EPOCH);
    collector.collect(&mut sample).await.unwrap();
    sample
}

fn reason(collector: &DatabaseCollector, figure: Figure) -> Option<Absence> {
    collector.gaps().iter().find(|gap| gap.figure == figure).map(|gap| gap.absence)
}

fn is_within_five_percent(read: u64, known: u64) -> bool {
    read.abs_diff(known) <= known / 20
}

/// Reads until the collector has handed out at least so many queries, and what it had then.
async fn queries(collector: &mut DatabaseCollector, at_least: u64) -> (u64, Sample) {
    let mut sum = 0;
    let counted = async {
        loop {
            let sample = read(collector).await;
            sum += sample.added(Counter::DatabaseQueries).unwrap();
            if sum >= at_least {
                return sample;
            }
            tokio::time::sleep(BETWEEN_READINGS).await;
        }
    };
    let sample = tokio::time::timeout(LATEST, counted).await;
    (sum, sample.unwrap_or_else(|_| panic!("{sum} of {at_least}")))
}

#[tokio::test]
async fn five_hundred_queries_of_a_postgresql_tenant_are_read_as_five_hundred() {
    let Some(database) = PostgresDatabase::create().await else { return };
    let tenant = tenant(&database.url).await;
    tenant.execute_unprepared("CREATE TABLE one (id bigint)").await.unwrap();
    tenant.execute_unprepared("CREATE TABLE two (id bigint)").await.unwrap();
    let mut collector = DatabaseCollector::connect(&database.url).await.unwrap();
    let sample = read(&mut collector).await;
    assert_eq!(sample.level(Level::TableCount), Some(2));
    assert_eq!(sample.added(Counter::DatabaseQueries), None);
    assert_eq!(reason(&collector, Figure::Counter(Counter::DatabaseQueries)), Some(Absence::Baseline));

    for id in 0..QUERIES {
        let table = if id % 2 == 0 { "one" } else { "two" };
        tenant.execute_unprepared(&format!("INSERT INTO {table} VALUES ({id})")).await.unwrap();
    }
    // A session that ends tells the rest of what it did.
    tenant.close().await.unwrap();
    let (mut read_queries, _) = queries(&mut collector, QUERIES / 20 * 19).await;
    // Nobody asks any more: what the collector's own readings add must not be handed out as the tenant's.
    for _ in 0..20 {
        let sample = read(&mut collector).await;
        read_queries += sample.added(Counter::DatabaseQueries).unwrap();
        assert_eq!(collector.gaps(), []);
        assert_eq!(sample.level(Level::RecordCount), Some(QUERIES));
    }
    println!("read {read_queries} of {QUERIES}");
    assert!(is_within_five_percent(read_queries, QUERIES), "{read_queries} instead of {QUERIES}");
}

#[tokio::test]
async fn records_that_postgresql_is_set_not_to_count_are_absent_and_not_zero() {
    let Some(database) = PostgresDatabase::create().await else { return };
    let tenant = tenant(&database.url).await;
    let off = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_counts = off', current_database()); END $$";
    tenant.execute_unprepared(off).await.unwrap();
    tenant.execute_unprepared("CREATE TABLE one AS SELECT generate_series(1, 1000) AS id").await.unwrap();
    tenant.close().await.unwrap();
    let mut collector = DatabaseCollector::connect(&database.url).await.unwrap();
    let sample = read(&mut collector).await;
    assert_eq!((sample.level(Level::TableCount), sample.level(Level::RecordCount)), (Some(1), None));
    assert_eq!(reason(&collector, Figure::Level(Level::RecordCount)), Some(Absence::SwitchedOff));
}

#[tokio::test]
async fn a_database_that_went_away_is_absent_with_the_reason() {
    let Some(database) = PostgresDatabase::create().await else { return };
    let mut collector = DatabaseCollector::connect(&database.url).await.unwrap();
    read(&mut collector).await;
    drop(database);
    let mut sample = Sample::at(Timestamp::EPOCH);
    let error = collector.collect(&mut sample).await.unwrap_err();
    // The session was ended, and there is no database of the name to connect to anew.
    assert!(matches!(error, DatabaseCollectError::Refused { .. } | DatabaseCollectError::Unreachable), "{error:?}");
    assert!(sample.is_empty());
    assert_eq!(collector.gaps().len(), 3);
}

#[tokio::test]
async fn tables_and_records_of_a_sqlite_file_are_exact_and_its_queries_are_absent_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tenant.db");
    let tenant = tenant(&format!("sqlite://{}?mode=rwc", file.display())).await;
    for table in ["one", "two", "three"] {
        tenant.execute_unprepared(&format!("CREATE TABLE {table} (id)")).await.unwrap();
    }
    for id in 0..QUERIES {
        tenant.execute_unprepared(&format!("INSERT INTO one VALUES ({id})")).await.unwrap();
    }
    let mut collector = DatabaseCollector::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    assert_eq!(collector.gaps(), []);
    let sample = read(&mut collector).await;
    assert_eq!(sample.level(Level::TableCount), Some(3));
    assert_eq!(sample.level(Level::RecordCount), Some(QUERIES));
    assert_eq!(sample.added(Counter::DatabaseQueries), None);
    assert_eq!(reason(&collector, Figure::Counter(Counter::DatabaseQueries)), Some(Absence::NotCounted));
    let sample = read(&mut collector).await;
    assert_eq!(sample.level(Level::RecordCount), None);
    assert_eq!(reason(&collector, Figure::Level(Level::RecordCount)), Some(Absence::NotDue));
}
