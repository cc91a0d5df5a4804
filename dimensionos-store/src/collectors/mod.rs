//! What a tenant's own database holds and does, read from outside: tables, records, queries.
//!
//! The database that is metered here is never the one that DimensionOS stores in. Counts leave this module; names of
//! tables, statements, and the URL with its password do not, in an error or a log line either.

mod postgres;
mod sqlite;

use dimensionos_core::monitoring::Sample;
use dimensionos_core::monitoring::collectors::{Absence, Gap, Gaps};
use sea_orm::{DatabaseConnection, DbErr, RuntimeErr};

use postgres::Postgres;
use sqlite::Sqlite;

/// Meters one database over a connection of its own.
#[derive(Debug)]
pub struct DatabaseCollector {
    database: Database,
    gaps: Gaps,
}

#[derive(Debug)]
enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// Why a database could not be metered. Carries neither its address nor its message, which may quote what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseCollectError {
    /// The URL names no kind of database that can be metered.
    #[error("the database URL begins with neither sqlite:// nor postgres://")]
    UnknownScheme,
    /// The URL is of a known kind and cannot be read.
    #[error("the database URL cannot be read")]
    InvalidUrl,
    /// There was no connection, or it was lost; the next reading connects anew.
    #[error("the database cannot be reached")]
    Unreachable,
    /// The database answered with an error.
    #[error("the database refused with code {code}")]
    Refused {
        /// SQLSTATE of PostgreSQL, or SQLite's result code.
        code: String,
    },
    /// The answer was none of what was asked for.
    #[error("the database gave an answer that cannot be read")]
    Unreadable,
}

impl DatabaseCollector {
    /// Connects to `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
    ///
    /// A SQLite file is opened for reading alone, and has to be there.
    ///
    /// # Errors
    /// [`DatabaseCollectError::UnknownScheme`] and [`InvalidUrl`](DatabaseCollectError::InvalidUrl) for a URL to be
    /// corrected; else what the database did.
    pub async fn connect(url: &str) -> Result<Self, DatabaseCollectError> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        let database = match scheme {
            Some("sqlite") => Database::Sqlite(Sqlite::connect(url).await?),
            Some("postgres" | "postgresql") => Database::Postgres(Postgres::connect(url).await?),
            _ => return Err(DatabaseCollectError::UnknownScheme),
        };
        Ok(Self { database, gaps: Gaps::default() })
    }

    /// Reads the database and fills in what it offers.
    ///
    /// - SQLite: tables; records counted one by one, at most once in 30 s and a twentieth of the time. A file has no
    ///   count of queries, so they stay absent.
    /// - PostgreSQL: tables; records as its statistics estimate them; queries since the last call, as transactions: it
    ///   counts no statements, and a statement outside of a transaction is one. Those of this collector are taken off;
    ///   the database's own upkeep (autovacuum) is not. Where the server is set not to count rows (`track_counts`),
    ///   records are absent.
    ///
    /// Cost: where it was read last, a statement to PostgreSQL took 24 reads of `/proc/self/stat` (0.3 ms); one that
    /// lists SQLite's tables 7 (0.08 ms), and counting 100,000 records of a file in memory 70 (0.9 ms), which grows with
    /// the records. `cargo bench -p benches --bench collectors` reads them anew.
    ///
    /// # Errors
    /// What the database did; a lost connection is made anew at the next call.
    pub async fn collect(&mut self, sample: &mut Sample) -> Result<(), DatabaseCollectError> {
        let mut gaps = Gaps::default();
        let result = match &mut self.database {
            Database::Sqlite(sqlite) => sqlite.collect(sample, &mut gaps).await,
            Database::Postgres(postgres) => postgres.collect(sample, &mut gaps).await,
        };
        self.gaps = gaps;
        result
    }

    /// What the last [`collect`](Self::collect) left absent of tables, records and queries, each with the reason; empty
    /// before the first.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        self.gaps.as_slice()
    }
}

impl From<&DatabaseCollectError> for Absence {
    fn from(error: &DatabaseCollectError) -> Self {
        // PostgreSQL's insufficient_privilege; SQLite's SQLITE_PERM and SQLITE_AUTH.
        const NOT_PERMITTED: [&str; 3] = ["42501", "3", "23"];
        match error {
            DatabaseCollectError::Unreachable => Self::NotThere,
            DatabaseCollectError::Refused { code } if NOT_PERMITTED.contains(&code.as_str()) => Self::NotPermitted,
            DatabaseCollectError::Refused { .. }
            | DatabaseCollectError::Unreadable
            | DatabaseCollectError::UnknownScheme
            | DatabaseCollectError::InvalidUrl => Self::Unreadable,
        }
    }
}

/// Sorts a database's error, and drops its text.
fn sort(error: &DbErr) -> DatabaseCollectError {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => sort_sqlx(error),
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => DatabaseCollectError::Unreachable,
        _ => DatabaseCollectError::Unreadable,
    }
}

fn sort_sqlx(error: &sea_orm::sqlx::Error) -> DatabaseCollectError {
    use sea_orm::sqlx::Error;
    match error {
        Error::Database(error) => {
            DatabaseCollectError::Refused { code: error.code().map_or_else(|| "none".to_owned(), Into::into) }
        }
        Error::Configuration(_) => DatabaseCollectError::InvalidUrl,
        Error::ColumnDecode { .. } | Error::ColumnNotFound(_) | Error::Decode(_) | Error::TypeNotFound { .. } => {
            DatabaseCollectError::Unreadable
        }
        _ => DatabaseCollectError::Unreachable,
    }
}

/// A count as the databases give it, which is never below zero.
fn count(row: &sea_orm::QueryResult, place: usize) -> Result<u64, DatabaseCollectError> {
    let value: i64 = row.try_get_by_index(place).map_err(|error| sort(&error))?;
    Ok(u64::try_from(value).unwrap_or(0))
}

/// The only row that a statement without parameters answers with.
async fn row(connection: &DatabaseConnection, sql: String) -> Result<sea_orm::QueryResult, DatabaseCollectError> {
    use sea_orm::{ConnectionTrait, Statement};
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.map_err(|error| sort(&error))?;
    row.ok_or(DatabaseCollectError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_of_another_kind_is_refused() {
        for url in ["mysql://u:secret@h/d", "sqlite:file.db", "/tmp/file.db", ""] {
            assert_eq!(
                DatabaseCollector::connect(url).await.unwrap_err(),
                DatabaseCollectError::UnknownScheme,
                "{url}"
            );
        }
    }

    #[tokio::test]
    async fn no_error_tells_the_url() {
        for url in ["postgres://u:secret@127.0.0.1:1/d", "postgres://u:secret@[/d", "sqlite:///no/secret/there.db"] {
            let error = DatabaseCollector::connect(url).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }
}
