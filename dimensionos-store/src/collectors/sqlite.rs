//! A SQLite file.

use std::str::FromStr;
use std::time::Duration;

use dimensionos_core::monitoring::collectors::{Absence, Gaps, Pace};
use dimensionos_core::monitoring::{Counter, Level, Sample};
use sea_orm::sqlx::ConnectOptions;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::{DatabaseCollectError, count, row, sort, sort_sqlx};

/// How long a reading waits for a writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// SQLite's own tables, and those that virtual tables keep, count as tables where they have no reserved name.
const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";

#[derive(Debug)]
pub(super) struct Sqlite {
    connection: DatabaseConnection,
    pace: Pace,
}

impl Sqlite {
    pub(super) async fn connect(url: &str) -> Result<Self, DatabaseCollectError> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| sort_sqlx(&error))?
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(BUSY_TIMEOUT).connect_with(options);
        let pool = pool.await.map_err(|error| sort_sqlx(&error))?;
        Ok(Self { connection: DatabaseConnection::from(pool), pace: Pace::default() })
    }

    pub(super) async fn collect(&mut self, sample: &mut Sample, gaps: &mut Gaps) -> Result<(), DatabaseCollectError> {
        // A file keeps no count of what is asked of it.
        gaps.add(sample, Counter::DatabaseQueries, Err(Absence::NotCounted));
        let tables = self.tables().await;
        gaps.set_level(
            sample,
            Level::TableCount,
            tables.as_ref().map(|tables| tables.len() as u64).map_err(Absence::from),
        );
        let (records, result) = match tables {
            Ok(tables) => match self.paced_records(&tables).await {
                Some(Ok(records)) => (Ok(records), Ok(())),
                Some(Err(error)) => (Err(Absence::from(&error)), Err(error)),
                None => (Err(Absence::NotDue), Ok(())),
            },
            Err(error) => (Err(Absence::from(&error)), Err(error)),
        };
        gaps.set_level(sample, Level::RecordCount, records);
        result
    }

    /// Absent where the next count is not due yet.
    async fn paced_records(&mut self, tables: &[String]) -> Option<Result<u64, DatabaseCollectError>> {
        let begun = self.pace.begin()?;
        let records = self.records(tables).await;
        // A reading that failed half-way has cost as much, and is not made again any sooner.
        self.pace.finish(begun);
        Some(records)
    }

    async fn tables(&self) -> Result<Vec<String>, DatabaseCollectError> {
        let statement = Statement::from_string(DbBackend::Sqlite, TABLES);
        let rows = self.connection.query_all_raw(statement).await.map_err(|error| sort(&error))?;
        rows.iter().map(|row| row.try_get_by_index(0).map_err(|error| sort(&error))).collect()
    }

    async fn records(&self, tables: &[String]) -> Result<u64, DatabaseCollectError> {
        let mut records = 0_u64;
        for table in tables {
            let counted = row(&self.connection, format!("SELECT count(*) FROM {}", quoted(table))).await;
            match counted {
                Ok(row) => records = records.saturating_add(count(&row, 0)?),
                // Dropped since it was listed, or of a virtual table whose module is not loaded here.
                Err(DatabaseCollectError::Refused { code }) if code == "1" => {}
                Err(error) => return Err(error),
            }
        }
        Ok(records)
    }
}

/// The name as an identifier, whatever is in it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::DatabaseCollector;
    use super::*;
    use dimensionos_core::Timestamp;

    async fn written(statements: &[&str]) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tenant.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
        let connection = DatabaseConnection::from(pool);
        for statement in statements {
            connection.execute_unprepared(statement).await.unwrap();
        }
        connection.close().await.unwrap();
        (directory, format!("sqlite://{}", file.display()))
    }

    async fn read(collector: &mut DatabaseCollector) -> Sample {
        let mut sample = Sample::at(Timestamp::EPOCH);
        collector.collect(&mut sample).await.unwrap();
        sample
    }

    #[tokio::test]
    async fn tables_of_any_name_and_their_records_are_counted() {
        let (_directory, url) = written(&[
            "CREATE TABLE plain (id INTEGER PRIMARY KEY AUTOINCREMENT)",
            "INSERT INTO plain DEFAULT VALUES",
            "CREATE TABLE \"a\"\"; DROP TABLE plain; --\" (id)",
            "INSERT INTO \"a\"\"; DROP TABLE plain; --\" VALUES (1), (2)",
            "CREATE TABLE sqliteish (id)",
            "CREATE VIEW seen AS SELECT * FROM plain",
        ])
        .await;
        let mut collector = DatabaseCollector::connect(&url).await.unwrap();
        let sample = read(&mut collector).await;
        assert_eq!(sample.level(Level::TableCount), Some(3));
        assert_eq!(sample.level(Level::RecordCount), Some(3));
        assert_eq!(sample.level(Level::StorageBytes), None);
        assert_eq!(sample.added(Counter::DatabaseQueries), None);
        // Records are not counted again at once.
        let sample = read(&mut collector).await;
        assert_eq!((sample.level(Level::TableCount), sample.level(Level::RecordCount)), (Some(3), None));
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("none.db");
        for mode in ["", "?mode=rwc"] {
            let url = format!("sqlite://{}{mode}", file.display());
            assert!(DatabaseCollector::connect(&url).await.is_err());
            assert!(!file.exists());
        }
    }

    #[tokio::test]
    async fn a_file_in_use_by_a_writer_can_be_read_and_not_written() {
        let (_directory, url) = written(&["PRAGMA journal_mode = WAL", "CREATE TABLE plain (id)"]).await;
        let collector = Sqlite::connect(&url).await.unwrap();
        let written = collector.connection.execute_unprepared("INSERT INTO plain VALUES (1)").await;
        assert_eq!(sort(&written.unwrap_err()), DatabaseCollectError::Refused { code: "8".to_owned() });
    }
}
