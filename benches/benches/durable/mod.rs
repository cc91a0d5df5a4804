//! What `report` and `history` share: databases that are durable for real, plain connections to them, and accounts.

pub(crate) mod plain;
pub(crate) mod postgres;

use std::time::Duration;

use dimensionos_core::auth::{HashCost, Password};
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Context, Platform};
use dimensionos_store::Database;
use tempfile::TempDir;

use plain::Plain;

/// One engine: the platform's database, and one beside it with the same tables for the floor, so that neither waits
/// for the other's locks.
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    pub(crate) database: Database,
    /// To the platform's database.
    pub(crate) beside: Plain,
    pub(crate) floor: Plain,
    _sqlite: Option<TempDir>,
    _postgres: Option<postgres::Server>,
}

/// Every engine of this machine; why one is missing is printed.
pub(crate) async fn engines() -> Vec<Engine> {
    let only = std::env::var("DIMENSIONOS_BENCH_ENGINE").ok();
    let is_wanted = |name: &str| only.as_deref().is_none_or(|only| name.to_lowercase().starts_with(only));
    let mut engines = Vec::new();
    if is_wanted("sqlite") {
        // Beside what is built, on a disk: where there is a folder for temporary files it may be memory.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for the databases");
        let urls = ["ours.db", "floor.db"].map(|name| Database::sqlite_url(&folder.path().join(name)));
        engines.push(engine("SQLite", &urls, Some(folder), None).await);
    }
    if is_wanted("postgresql")
        && let Some(server) = postgres::start().await
    {
        let urls = [server.create("ours").await, server.create("floor").await];
        engines.push(engine("PostgreSQL", &urls, None, Some(server)).await);
    }
    engines
}

async fn engine(
    name: &'static str,
    [ours, floor]: &[String; 2],
    sqlite: Option<TempDir>,
    postgres: Option<postgres::Server>,
) -> Engine {
    let database = Database::connect(ours).await.expect("a database");
    database.migrate().await.expect("its tables");
    let beside = Plain::connect(ours).await;
    let tables = Database::connect(floor).await.expect("a database for the floor");
    tables.migrate().await.expect("its tables");
    tables.close().await;
    let floor = Plain::connect(floor).await;
    Engine { name, database, beside, floor, _sqlite: sqlite, _postgres: postgres }
}

/// A platform with that many accounts: one registered, the others copies of it.
pub(crate) async fn platform(engine: &mut Engine, accounts: usize) -> (Platform, Vec<AccountId>) {
    let platform = Platform::builder(engine.database.clone()).hash_cost(HashCost::for_tests());
    let platform = platform.open().await.expect("a platform");
    let password = Password::new("violet harbour kestrel 41").expect("a good password");
    let registration = Registration::new(None, password);
    let registered = platform.users().register(&Context::anonymous(), registration).await.expect("a new account");
    let mut ids = vec![registered.account.id];
    ids.extend((1..accounts as u64).map(account));
    engine.beside.copy_accounts(&ids[1..]).await;
    (platform, ids)
}

/// An account id as random as a real one, and the same in every run.
pub(crate) fn account(number: u64) -> AccountId {
    // SplitMix64, twice.
    let mix = |seed: u64| {
        let z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    AccountId::from_bits(u128::from(mix(number)) << 64 | u128::from(mix(number ^ 0xffff_0000)))
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
