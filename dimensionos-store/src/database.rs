use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dimensionos_core::store::{Access, Store, StoreError, Tx};
use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::Mutex;

use crate::error::{ConnectError, DatabaseFault, store_error};
use crate::transaction::SqlTx;

/// How long a call waits for a connection, and SQLite for another process's lock. A second would fail calls under a
/// checkpoint; a minute would pile them up behind a database that is gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before another try to open a file that is locked.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Connections to a SQLite file: one writes, the others read. Each is a thread, and more of them than cores gain nothing.
const SQLITE_CONNECTIONS: u32 = 4;
/// Connections to PostgreSQL: a tenth of its default limit, so that some replicas and an operator's tools fit.
const POSTGRES_CONNECTIONS: u32 = 10;
/// SQLite's page cache of one connection, in KB (negative, as its pragma has it). Its default of 2 MB times four would
/// be a quarter of what an idle server may take.
const SQLITE_CACHE: &str = "-1024";

/// Names the lock under which PostgreSQL migrates; any number will do that nobody else takes.
const MIGRATION_LOCK: i64 = 0x0d1_3e45_1045;

/// A database: the [`Store`] of SQLite and PostgreSQL.
#[derive(Debug, Clone)]
pub struct Database {
    connection: DatabaseConnection,
    /// SQLite has one writer at a time. Waiting here is fair and costs nothing, while SQLite itself would have the
    /// waiting ones sleep and try again.
    writer: Option<Arc<Mutex<()>>>,
}

/// Which steps of the schema are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
    /// Steps applied, oldest first.
    pub applied: Vec<String>,
    /// Steps still to apply.
    pub pending: Vec<String>,
}

impl Database {
    /// Opens `sqlite://PATH` (made where it is missing) or `postgres://…`. Tables are made by
    /// [`migrate`](Self::migrate).
    ///
    /// # Errors
    /// [`ConnectError`] where the URL is another's, or the database cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        let mut options = ConnectOptions::new(url);
        options.sqlx_logging(false).acquire_timeout(PATIENCE).connect_timeout(PATIENCE);
        if url.starts_with("sqlite:") {
            options.max_connections(SQLITE_CONNECTIONS).test_before_acquire(false).map_sqlx_sqlite_opts(|sqlite| {
                sqlite
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .busy_timeout(PATIENCE)
                    .pragma("cache_size", SQLITE_CACHE)
                    // Freed pages are overwritten: what was erased is not left behind in the file.
                    .pragma("secure_delete", "ON")
            });
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            options.max_connections(POSTGRES_CONNECTIONS).set_application_name("dimensionos");
        } else {
            return Err(ConnectError::UnknownUrl);
        }
        let connection = connect_patiently(options).await.map_err(ConnectError::Unavailable)?;
        let is_sqlite = connection.get_database_backend() == DbBackend::Sqlite;
        Ok(Self { connection, writer: is_sqlite.then(Arc::default) })
    }

    /// Brings the tables to the current schema. Several servers that start at once take turns.
    ///
    /// # Errors
    /// [`DatabaseFault`] where a step fails; then none of this run's steps is applied.
    pub async fn migrate(&self) -> Result<(), DatabaseFault> {
        self.in_turn(async |tx| Migrator::up(tx, None).await).await
    }

    /// Drops every table and makes them anew, empty.
    ///
    /// # Errors
    /// [`DatabaseFault`] where it fails; then everything is as before.
    pub async fn reset(&self) -> Result<(), DatabaseFault> {
        self.in_turn(async |tx| {
            Migrator::down(tx, None).await?;
            Migrator::up(tx, None).await
        })
        .await
    }

    /// Which steps of the schema are applied.
    ///
    /// # Errors
    /// [`DatabaseFault`] where the database cannot be read.
    pub async fn migration_state(&self) -> Result<MigrationState, DatabaseFault> {
        let names = |steps: Vec<migration_status::Step>| steps.into_iter().map(|step| step.name().to_owned()).collect();
        let applied = Migrator::get_applied_migrations(&self.connection).await;
        let pending = Migrator::get_pending_migrations(&self.connection).await;
        Ok(MigrationState {
            applied: names(applied.map_err(|error| DatabaseFault::from(&error))?),
            pending: names(pending.map_err(|error| DatabaseFault::from(&error))?),
        })
    }

    /// Closes every connection, and on SQLite leaves one file without its log.
    pub async fn close(self) {
        // Nothing is lost where this fails: all that was committed is durable.
        let _ = self.connection.close().await;
    }

    async fn in_turn(
        &self,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<(), DbErr>,
    ) -> Result<(), DatabaseFault> {
        let attempt = async {
            let tx = self.connection.begin_with_options(options(Access::Write, self.backend())).await?;
            if self.backend() == DbBackend::Postgres {
                tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
            }
            work(&tx).await?;
            tx.commit().await
        };
        attempt.await.map_err(|error| DatabaseFault::from(&error))
    }

    fn backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }
}

/// Connects; where another process is just turning a new SQLite file to WAL mode, which SQLite does not wait for, tries
/// again.
async fn connect_patiently(options: ConnectOptions) -> Result<DatabaseConnection, DatabaseFault> {
    let tries = PATIENCE.as_millis() / RETRY_PAUSE.as_millis();
    for _ in 1..tries {
        match sea_orm::Database::connect(options.clone()).await {
            Ok(connection) => return Ok(connection),
            Err(error) if DatabaseFault::from(&error).is_in_the_way() => tokio::time::sleep(RETRY_PAUSE).await,
            Err(error) => return Err(DatabaseFault::from(&error)),
        }
    }
    sea_orm::Database::connect(options).await.map_err(|error| DatabaseFault::from(&error))
}

mod migration_status {
    pub(super) type Step = sea_orm_migration::Migration;
}

fn options(access: Access, backend: DbBackend) -> TransactionOptions {
    match (backend, access) {
        // A deferred transaction that turns to writing fails at once where another writes, whatever the timeout.
        (DbBackend::Sqlite, Access::Write) => TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        },
        (DbBackend::Sqlite, Access::Read) => TransactionOptions::default(),
        (_, Access::Write) => TransactionOptions::default(),
        // One consistent state, as SQLite's snapshots give it.
        (_, Access::Read) => TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        },
    }
}

#[async_trait]
impl Store for Database {
    async fn begin(&self, access: Access) -> Result<Box<dyn Tx>, StoreError> {
        let turn = match (&self.writer, access) {
            (Some(writer), Access::Write) => Some(Arc::clone(writer).lock_owned().await),
            _ => None,
        };
        let tx = self.connection.begin_with_options(options(access, self.backend())).await.map_err(store_error)?;
        Ok(Box::new(SqlTx::new(tx, access, turn)))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.connection.ping().await.map_err(store_error)
    }
}
