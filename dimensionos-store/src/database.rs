use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dimensionos_core::store::{Access, Store, StoreError, Tx};
use migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::Query;
use sea_orm::sqlx::Connection;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
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

/// How long PostgreSQL leaves a transaction open in which nothing is asked: ours ask one thing after the other, and none
/// takes a second in between. A process that stands still in the midst of one keeps its rows from all others until then.
const ABANDONED: &str = "2s";
/// How long PostgreSQL waits for a client that takes no packet, and after how many seconds of silence it asks for one, how
/// often and how far apart: a machine that is gone holds its rows no longer than one that stands still.
const UNREACHABLE: [(&str, &str); 4] = [
    ("tcp_user_timeout", "10s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
];

/// Names the lock under which PostgreSQL migrates, and makes and drops partitions; any number will do that nobody else
/// takes.
pub(crate) const MIGRATION_LOCK: i64 = 0x0d1_3e45_1045;

/// A database: the [`Store`] of SQLite and PostgreSQL.
#[derive(Debug, Clone)]
pub struct Database {
    pub(crate) connection: DatabaseConnection,
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
            make_private(url);
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
            // Where the disk is full SQLite ends a transaction by itself, and the driver, whose own end of it then fails,
            // takes the connection to be within it for ever: it would read an old state, and commit nothing.
            options.map_sqlx_sqlite_pool_opts(|pool| {
                pool.after_release(|connection, _| {
                    Box::pin(async move {
                        if connection.is_in_transaction() {
                            // Answered once a rollback that is under way has been done.
                            connection.ping().await?;
                        }
                        Ok(!connection.is_in_transaction())
                    })
                })
            });
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            options.max_connections(POSTGRES_CONNECTIONS).set_application_name("dimensionos").map_sqlx_postgres_opts(
                // What is acknowledged is on disk, whatever the server's default; and a transaction whose connection broke
                // without the server's notice does not keep its rows from others.
                |postgres| {
                    let own = [("synchronous_commit", "on"), ("idle_in_transaction_session_timeout", ABANDONED)];
                    postgres.options(own.into_iter().chain(UNREACHABLE))
                },
            );
        } else {
            return Err(ConnectError::UnknownUrl);
        }
        let connection = connect_patiently(options).await.map_err(ConnectError::Unavailable)?;
        let is_sqlite = connection.get_database_backend() == DbBackend::Sqlite;
        Ok(Self { connection, writer: is_sqlite.then(Arc::default) })
    }

    /// The URL of a SQLite file, whatever characters its path has.
    #[must_use]
    pub fn sqlite_url(path: &Path) -> String {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~');
        let encode = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        let path: String = path.to_string_lossy().bytes().map(encode).collect();
        format!("sqlite://{path}")
    }

    /// The file that a SQLite URL names; absent for any other.
    #[must_use]
    pub fn sqlite_path(url: &str) -> Option<PathBuf> {
        let options = url.starts_with("sqlite:").then(|| SqliteConnectOptions::from_str(url).ok()).flatten()?;
        Some(options.get_filename().to_owned())
    }

    /// Opens a database that is there, to look at it and change nothing.
    ///
    /// # Errors
    /// [`ConnectError`] where there is none, or it cannot be read.
    pub async fn open_for_reading(url: &str) -> Result<Self, ConnectError> {
        let mut options = ConnectOptions::new(url);
        options.sqlx_logging(false).acquire_timeout(PATIENCE).connect_timeout(PATIENCE).max_connections(1);
        options.map_sqlx_sqlite_opts(|sqlite| sqlite.read_only(true).create_if_missing(false).busy_timeout(PATIENCE));
        let unavailable = |error: DbErr| ConnectError::Unavailable(DatabaseFault::from(&error));
        let connection = sea_orm::Database::connect(options).await.map_err(unavailable)?;
        connection.ping().await.map_err(unavailable)?;
        Ok(Self { connection, writer: None })
    }

    /// Which steps of the schema a database has, looked up without changing anything in it.
    ///
    /// # Errors
    /// [`ConnectError`] where there is no database, or it cannot be read.
    pub async fn inspect(url: &str) -> Result<MigrationState, ConnectError> {
        let Self { connection, .. } = Self::open_for_reading(url).await?;
        let query = Query::select().column("version").from("seaql_migrations").to_owned();
        // A database without the table has had no step applied.
        let rows = connection.query_all(&query).await.unwrap_or_default();
        let applied: Vec<String> = rows.iter().filter_map(|row| row.try_get_by_index(0).ok()).collect();
        let all = Migrator::migrations().into_iter().map(|step| step.name().to_owned());
        let pending = all.filter(|step| !applied.contains(step)).collect();
        let _ = connection.close().await;
        Ok(MigrationState { applied, pending })
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

    /// Shows each statement's text, without its values, to `observe` where it is executed: in the task that asks for it.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn observed(mut self, observe: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.connection.set_metric_callback(move |info| observe(&info.statement.sql));
        self
    }

    /// Closes every connection, and on SQLite leaves one file without its log.
    pub async fn close(self) {
        // Nothing is lost where this fails: all that was committed is durable.
        let _ = self.connection.close().await;
    }

    /// Changes tables in one transaction, while no other process does.
    pub(crate) async fn in_turn<T>(
        &self,
        work: impl AsyncFnOnce(&DatabaseTransaction) -> Result<T, DbErr>,
    ) -> Result<T, DatabaseFault> {
        let attempt = async {
            let tx = self.connection.begin_with_options(options(Access::Write, self.backend())).await?;
            if self.backend() == DbBackend::Postgres {
                tx.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
            }
            let done = work(&tx).await?;
            tx.commit().await?;
            Ok::<T, DbErr>(done)
        };
        attempt.await.map_err(|error| DatabaseFault::from(&error))
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }
}

/// Makes a new file readable by its owner alone; SQLite gives its log the same mode. Where that fails, opening the file
/// fails next, and says why.
fn make_private(url: &str) {
    #[cfg(unix)]
    if let Some(path) = Database::sqlite_path(url) {
        use std::os::unix::fs::OpenOptionsExt;
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    }
    #[cfg(not(unix))]
    let _ = url;
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
        let (connection, options) = (self.connection.clone(), options(access, self.backend()));
        // A task of its own, which ends also where nobody waits for it any more: the driver, stopped between telling the
        // database to begin and noting that it did, would leave the connection within a transaction that it knows nothing of.
        let begun = tokio::spawn(async move { connection.begin_with_options(options).await });
        let tx = begun.await.map_err(StoreError::unavailable)?.map_err(store_error)?;
        Ok(Box::new(SqlTx::new(tx, access, turn)))
    }

    fn is_shared(&self) -> bool {
        self.backend() == DbBackend::Postgres
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.connection.ping().await.map_err(store_error)
    }

    /// Folds SQLite's log into its file and empties it: until then it has the rows as they were.
    async fn scrub(&self) -> Result<(), StoreError> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let _turn = writer.lock().await;
        self.connection.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await.map_err(store_error)?;
        Ok(())
    }
}
