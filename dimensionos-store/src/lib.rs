//! DimensionOS's storage over sea-orm: one SQLite file for one machine, or PostgreSQL.
//!
//! ```no_run
//! use dimensionos_core::Platform;
//! use dimensionos_store::Database;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::connect("sqlite://dimensionos.db").await?;
//! database.migrate().await?;
//! let platform = Platform::builder(database).open().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Every commit is durable before it returns: SQLite runs in WAL mode with `synchronous=FULL`, PostgreSQL with its
//! `synchronous_commit`. No message of a database is passed on, for it may quote what is stored.

mod access_keys;
mod accounts;
mod batch;
pub mod collectors;
mod database;
#[expect(unnameable_types, unreachable_pub, reason = "sea-orm's derive needs public types; this module is private")]
mod entity;
mod error;
mod flushes;
mod jobs;
mod membership;
mod partitions;
mod payments;
mod policies;
mod quotas;
mod replicas;
mod sessions;
#[cfg(feature = "testing")]
pub mod testing;
mod tiers;
mod transaction;
mod usage;
mod violations;
mod vouchers;

pub use database::{Database, MigrationState};
pub use error::{ConnectError, DatabaseFault};
pub use membership::{Company, Membership};
pub use partitions::{PartitionError, Partitioning, UsagePartitions};
