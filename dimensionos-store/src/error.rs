//! What a database's errors become: kinds and codes, never its words, which may quote what is stored.

use std::fmt;

use dimensionos_core::store::StoreError;
use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

/// A database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL begins with neither `sqlite://` nor `postgres://`, or cannot be read.
    #[error("a database URL is sqlite://PATH or postgres://…")]
    UnknownUrl,
    /// The database does not answer, or refused.
    #[error("the database cannot be opened")]
    Unavailable(#[source] DatabaseFault),
}

/// What went wrong in a database, as a kind and a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFault {
    kind: &'static str,
    code: Option<String>,
}

impl DatabaseFault {
    const fn new(kind: &'static str) -> Self {
        Self { kind, code: None }
    }

    /// Whether another transaction or process was in the way, and trying again may help.
    pub(crate) fn is_in_the_way(&self) -> bool {
        self.code.as_deref().is_some_and(|code| {
            // SQLite's extended codes keep the primary one in their low byte; PostgreSQL's codes are longer.
            let extended = code.parse::<u32>().ok().filter(|_| code.len() <= 4);
            let primary = extended.map(|code| (code & 0xff).to_string());
            IN_THE_WAY.contains(&code) || primary.is_some_and(|code| IN_THE_WAY.contains(&&*code))
        })
    }
}

impl fmt::Display for DatabaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        match &self.code {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DatabaseFault {}

impl From<&sqlx::Error> for DatabaseFault {
    fn from(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => Self {
                kind: refusal(database.code().as_deref()),
                code: database.code().map(std::borrow::Cow::into_owned),
            },
            sqlx::Error::Io(io) => {
                Self { kind: "the connection to the database failed", code: Some(io.kind().to_string()) }
            }
            sqlx::Error::PoolTimedOut => Self::new("no connection to the database was free in time"),
            sqlx::Error::Tls(_) => Self::new("TLS with the database failed"),
            _ => Self::new("the database driver failed"),
        }
    }
}

impl From<&DbErr> for DatabaseFault {
    fn from(error: &DbErr) -> Self {
        match driver_error(error) {
            Some(error) => Self::from(error),
            None => match error {
                DbErr::ConnectionAcquire(_) => Self::new("no connection to the database could be had"),
                DbErr::Migration(_) => Self::new("a migration step failed"),
                _ => Self::new("the database layer failed"),
            },
        }
    }
}

/// What a database's code means, for those that an operator can do something about.
fn refusal(code: Option<&str>) -> &'static str {
    match code {
        Some("5" | "261" | "517") => "the database is locked by another program",
        Some("13") => "the disk of the database is full",
        Some("14") => "the database file cannot be opened",
        Some("8") => "the database file cannot be written to",
        Some("11" | "26") => "the file is no database, or a damaged one",
        Some("28P01" | "28000") => "the database refuses this user or password",
        Some("55P03") => "a lock was not to be had in time",
        Some("3D000") => "there is no database of this name",
        _ => "the database refused a statement",
    }
}

fn driver_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Codes of a transaction that was in another's way: SQLite's BUSY and LOCKED, PostgreSQL's serialization failure,
/// deadlock and lock not available.
const IN_THE_WAY: [&str; 5] = ["5", "6", "40001", "40P01", "55P03"];

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
pub(crate) fn store_error(error: DbErr) -> StoreError {
    if let Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) = error.sql_err() {
        return StoreError::Conflict;
    }
    if matches!(error, DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout)) {
        return StoreError::Busy;
    }
    let fault = DatabaseFault::from(&error);
    if fault.is_in_the_way() { StoreError::Busy } else { StoreError::unavailable(fault) }
}

/// A stored value that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("a stored {0} cannot be read")]
struct Unreadable(&'static str);

pub(crate) fn unreadable(what: &'static str) -> StoreError {
    StoreError::unavailable(Unreadable(what))
}
