//! Processes on one database take turns at its jobs.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::time::Duration;

use dimensionos_core::auth::HashCost;
use dimensionos_core::jobs::{JobName, JobStatus, LEASE_TIME};
use dimensionos_core::store::Store;
use dimensionos_core::testing::FixedClock;
use dimensionos_core::{Clock, Code, Context, Platform};
use dimensionos_store::testing;

const SYSTEM: Context = Context::system();
const PURGE: JobName = JobName::Purge;

async fn take_turns(store: impl Store + Clone) {
    let clock = FixedClock::default();
    let open = async || {
        let builder = Platform::builder(store.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests());
        builder.open().await.unwrap()
    };
    let (one, other) = (open().await, open().await);
    let first = one.jobs().run(&SYSTEM, PURGE).await.unwrap();
    let refused = other.jobs().run(&SYSTEM, PURGE).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    clock.advance(LEASE_TIME - Duration::from_millis(1));
    assert!(other.jobs().run(&SYSTEM, PURGE).await.is_err(), "to the last millisecond");
    clock.advance(Duration::from_millis(1));
    let second = other.jobs().run(&SYSTEM, PURGE).await.unwrap();
    assert_eq!((second.started_at, second.started_at.since(first.started_at)), (clock.now(), LEASE_TIME));
    assert_eq!((one.jobs().is_holder(), other.jobs().is_holder()), (false, true));
    assert!(one.jobs().run(&SYSTEM, PURGE).await.is_err());
    other.close().await.unwrap();
    let third = one.jobs().run(&SYSTEM, PURGE).await.unwrap();
    let known = JobStatus::all(&[third]);
    assert_eq!(other.jobs().status(&SYSTEM).await.unwrap(), known);
    assert_eq!(open().await.jobs().seen(), known, "known from the start");
}

#[tokio::test]
async fn a_lease_on_sqlite_is_one_processes_until_it_ends_or_is_given_back() {
    let (store, _folder) = testing::sqlite().await;
    take_turns(store).await;
}

#[tokio::test]
async fn a_lease_on_postgresql_is_one_processes_until_it_ends_or_is_given_back() {
    if let Some((store, _database)) = testing::postgres().await {
        take_turns(store).await;
    }
}
