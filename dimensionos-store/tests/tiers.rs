//! Tiers that several processes on one database change and go by.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::time::Duration;

use dimensionos_core::allocation::{Resource, TIER_NOTICE, TierChange, TierName};
use dimensionos_core::auth::{HashCost, Password};
use dimensionos_core::monitoring::{Level, Sample};
use dimensionos_core::store::Store;
use dimensionos_core::testing::FixedClock;
use dimensionos_core::users::Registration;
use dimensionos_core::{AccountId, Clock, Code, Context, Platform};
use dimensionos_store::testing;
use futures_util::future::join;

const SYSTEM: Context = Context::system();

async fn open(store: &(impl Store + Clone), clock: &FixedClock) -> Platform {
    let builder = Platform::builder(store.clone()).clock(clock.clone()).hash_cost(HashCost::for_tests());
    builder.open().await.unwrap()
}

async fn change_together(store: impl Store + Clone) {
    let clock = FixedClock::default();
    // Two that find no tiers, and seed them at once.
    let (one, other) = join(open(&store, &clock), open(&store, &clock)).await;
    let password = Password::new("violet harbour kestrel 41").unwrap();
    let registered = one.users().register(&Context::anonymous(), Registration::new(None, password)).await;
    let account = registered.unwrap().account.id;
    let stored = Sample::at(clock.now()).with_level(Level::StorageBytes, 8_000_000_000);
    one.monitoring().meter(&SYSTEM, account).await.unwrap().record_durable(&stored).await.unwrap();

    let from = clock.now().after(TIER_NOTICE);
    let gigabytes = |storage| TierChange { storage_gigabytes: Some(storage), ..TierChange::new(TierName::Free, from) };
    let plan = other.allocation().plan_tier(&SYSTEM, &gigabytes(7)).await.unwrap();
    let [excess] = plan.excesses.as_slice() else { panic!("{plan:?}") };
    assert_eq!((plan.accounts, excess.resource, excess.accounts), (1, Resource::Storage, 1));
    assert_eq!((excess.heaviest[0].account, excess.heaviest[0].used), (account, 8_000_000_000));

    let (first, second) = (gigabytes(7), gigabytes(9));
    let (ours, theirs) = (one.allocation(), other.allocation());
    let (first, second) = join(ours.apply_tier(&SYSTEM, &first), theirs.apply_tier(&SYSTEM, &second)).await;
    let mut numbers = Vec::new();
    for applied in [first, second] {
        match applied {
            Ok(version) => numbers.push(version.version),
            Err(error) => assert_eq!(error.code(), Code::Conflict, "the other was first"),
        }
    }
    numbers.sort_unstable();
    assert!(numbers == [2] || numbers == [2, 3], "{numbers:?}");
    // Whoever opens now, and whoever has changed something, has read all of it.
    let last = gigabytes(5);
    let third = open(&store, &clock).await;
    let applied = third.allocation().apply_tier(&SYSTEM, &last).await.unwrap();
    assert_eq!(applied.version, numbers.last().unwrap() + 1);
    let fourth = open(&store, &clock).await;
    let limit = async |platform: &Platform, account: AccountId| {
        let decision = platform.allocation().check(&SYSTEM, account, Resource::Storage, 1).await.unwrap();
        assert_eq!(platform.allocation().tiers()[0].storage_gigabytes * 1_000_000_000, decision.limit.unwrap());
        decision.limit.unwrap() / 1_000_000_000
    };
    clock.set(from.before(Duration::from_millis(1)));
    assert_eq!((limit(&third, account).await, limit(&fourth, account).await), (10, 10));
    clock.set(from);
    assert_eq!((limit(&third, account).await, limit(&fourth, account).await), (5, 5));
    let (known, again) = (third.allocation(), fourth.allocation());
    assert_eq!(known.tier_versions(&SYSTEM).await.unwrap(), again.tier_versions(&SYSTEM).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_sqlite_change_tiers_one_after_the_other() {
    let (store, _folder) = testing::sqlite().await;
    change_together(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_postgresql_change_tiers_one_after_the_other() {
    if let Some((store, _database)) = testing::postgres().await {
        change_together(store).await;
    }
}
