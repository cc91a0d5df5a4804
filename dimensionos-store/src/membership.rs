//! Who serves from a database: one server by itself, or several that know of one another.
//!
//! It is a lock of PostgreSQL's own, held by a connection of its own: the system ends the connection with the process, and
//! PostgreSQL the lock with the connection.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, ConnectOptions, Connection};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::{ConnectError, DatabaseFault};

/// Names the lock; any number will do that nobody else takes.
const LOCK: i64 = 0x0d1_3e45_1046;
/// How long it is waited for the lock of a server that is just ending.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause before another try.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether the lock is still held.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Beside whom a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// Nobody: it would not learn what others change.
    Alone,
    /// Others that tell one another what they change.
    Others,
}

impl Company {
    const fn statement(self) -> &'static str {
        match self {
            Self::Alone => "SELECT pg_try_advisory_lock($1)",
            Self::Others => "SELECT pg_try_advisory_lock_shared($1)",
        }
    }
}

/// A server's place among those that serve from a database, for as long as this is kept.
#[derive(Debug)]
pub struct Membership(Option<JoinHandle<()>>);

impl Membership {
    /// Takes a place; absent where those that are there already do not go with it. On SQLite, which one server at a time
    /// serves from anyhow, there is always one.
    ///
    /// # Errors
    /// [`ConnectError`] where the database cannot be reached.
    pub async fn take(url: &str, company: Company) -> Result<Option<Self>, ConnectError> {
        if url.starts_with("sqlite:") {
            return Ok(Some(Self(None)));
        }
        let options = PgConnectOptions::from_str(url).map_err(|_| ConnectError::UnknownUrl)?;
        let options = options.application_name("dimensionos membership");
        let unavailable = |error: sqlx::Error| ConnectError::Unavailable(DatabaseFault::from(&error));
        let end = Instant::now() + PATIENCE;
        let mut connection = options.connect().await.map_err(unavailable)?;
        while !lock(&mut connection, company).await.map_err(unavailable)? {
            if Instant::now() > end {
                return Ok(None);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        Ok(Some(Self(Some(tokio::spawn(keep(options, connection, company))))))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(keeping) = &self.0 {
            keeping.abort();
        }
    }
}

async fn lock(connection: &mut PgConnection, company: Company) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(company.statement()).bind(LOCK).fetch_one(connection).await
}

/// Holds the lock, and takes it again where the database was away.
async fn keep(options: PgConnectOptions, connection: PgConnection, company: Company) {
    let mut held = Some(connection);
    let mut is_failing = false;
    loop {
        tokio::time::sleep(if held.is_some() { LOOK_INTERVAL } else { RETRY_PAUSE * 10 }).await;
        if let Some(connection) = &mut held {
            // One that does not answer is held by the database for as long as it holds it; here it is none.
            if !matches!(tokio::time::timeout(LOOK_INTERVAL, connection.ping()).await, Ok(Ok(()))) {
                held = None;
            }
            continue;
        }
        let Ok(mut connection) = options.connect().await else { continue };
        match lock(&mut connection, company).await {
            Ok(true) => {
                held = Some(connection);
                is_failing = false;
            }
            Ok(false) if !std::mem::replace(&mut is_failing, true) => {
                tracing::error!("another server that does not go with this one took its place on the database");
            }
            _ => {}
        }
    }
}
