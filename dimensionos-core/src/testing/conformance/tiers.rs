//! Versions of the tiers, and who is on them.

use std::time::Duration;

use super::{NOW, account, commit, id, put_account, read, row, write};
use crate::allocation::{
    Allocation, DatabaseEngine, HeavyUse, HeavyUser, LimitOverride, Resource, TierName, TierVersion,
};
use crate::monitoring::{Counter, Level, MAX_AMOUNT, Readings, Resolution, Sample};
use crate::store::{Store, StoreError};
use crate::time::Timestamp;
use crate::users::Account;

pub async fn a_version_of_a_tier_is_given_once_and_kept_whole(store: &dyn Store) {
    let first =
        |tier| TierVersion { version: 1, effective_from: Timestamp::EPOCH, allocation: Allocation::initial(tier) };
    let strange = Allocation {
        tier: TierName::Free,
        cpu_millicores: MAX_AMOUNT,
        ram_megabytes: MAX_AMOUNT,
        storage_gigabytes: MAX_AMOUNT,
        bandwidth_bits_per_second: MAX_AMOUNT,
        database: DatabaseEngine::PostgresqlRedis,
        api_calls_per_hour: MAX_AMOUNT,
        file_operations_per_hour: MAX_AMOUNT,
        price_cents_per_month: MAX_AMOUNT,
        trial_days: Some(u32::MAX),
    };
    let second = TierVersion { version: u32::MAX, effective_from: NOW, allocation: strange };
    let versions = [first(TierName::Free), second, first(TierName::Pro)];
    let mut tx = write(store).await;
    for version in &versions {
        tx.insert_tier_version(version).await.expect("the version is new");
    }
    commit(tx).await;
    let mut known = read(store).await.tier_versions().await.unwrap();
    known.sort_by_key(|version| (version.allocation.tier, version.version));
    assert_eq!(known, versions);
    let mut tx = write(store).await;
    let other = TierVersion { effective_from: NOW, ..first(TierName::Pro) };
    assert!(matches!(tx.insert_tier_version(&other).await, Err(StoreError::Conflict)));
}

fn on(number: u8, tier: TierName) -> Account {
    Account { tier, ..account(number) }
}

pub async fn accounts_are_counted_by_tier(store: &dyn Store) {
    for (number, tier) in [(1, TierName::Pro), (2, TierName::Free), (3, TierName::Pro)] {
        put_account(store, &on(number, tier)).await;
    }
    let mut tx = read(store).await;
    for (tier, count) in TierName::ALL.into_iter().zip([1, 0, 2, 0]) {
        assert_eq!(tx.tier_accounts(tier).await.unwrap(), count, "{tier:?}");
    }
}

pub async fn those_are_found_who_use_more_than_so_much(store: &dyn Store) {
    // The sixth is on another tier, the fifth has a limit of its own, and nobody measured the seventh.
    for number in [1, 2, 3, 4, 5, 7] {
        put_account(store, &on(number, TierName::Pro)).await;
    }
    put_account(store, &on(6, TierName::Starter)).await;
    let minute = NOW.floor(60);
    let before = minute.before(Duration::from_secs(60));
    let mut rows = Vec::new();
    let mut readings = Vec::new();
    for (number, used) in [(1, 10), (2, 30), (3, 30), (4, MAX_AMOUNT), (5, 100), (6, 100)] {
        let half = |at| Sample::at(at).with_added(Counter::ApiCalls, used / 2);
        rows.push(row(id(number), Resolution::Minute, minute, &half(minute)));
        rows.push(row(id(number), Resolution::Minute, minute.after(Duration::from_secs(60)), &half(minute)));
        // Before its time, by the hour, and of something else.
        rows.push(row(id(number), Resolution::Minute, before, &half(before)));
        rows.push(row(id(number), Resolution::Hour, minute, &half(minute)));
        let mut own = Readings::default();
        own.add(&Sample::at(before).with_level(Level::RamBytes, used).with_level(Level::CpuMillicores, 7));
        readings.push((id(number), own));
    }
    let later = NOW.after(Duration::from_secs(1));
    let mut tx = write(store).await;
    tx.add_usage(&rows).await.unwrap();
    tx.save_readings(&readings).await.unwrap();
    for resource in [Resource::Ram, Resource::ApiCalls] {
        tx.set_override(id(5), &LimitOverride { resource, limit: 1, until: later }).await.unwrap();
        // One that ends in time, and one on something else, keep nobody out.
        tx.set_override(id(2), &LimitOverride { resource, limit: 1, until: NOW }).await.unwrap();
    }
    tx.set_override(id(3), &LimitOverride { resource: Resource::Storage, limit: 1, until: later }).await.unwrap();
    commit(tx).await;

    let mut tx = read(store).await;
    let tier = TierName::Pro;
    let asked = |resource, more_than| HeavyUse { tier, resource, more_than, since: minute, own_limit_after: NOW };
    let user = |number: u128, used| HeavyUser { account: id(number), used };
    let largest = MAX_AMOUNT / 2 * 2;
    for (resource, most) in [(Resource::ApiCalls, largest), (Resource::Ram, MAX_AMOUNT)] {
        let all = [user(4, most), user(2, 30), user(3, 30)];
        assert_eq!(tx.heavy_users(&asked(resource, 10), 9).await.unwrap(), (3, all.into()), "{resource:?}");
        assert_eq!(tx.heavy_users(&asked(resource, 29), 2).await.unwrap(), (3, all[..2].into()), "{resource:?}");
        assert_eq!(tx.heavy_users(&asked(resource, 30), 9).await.unwrap(), (1, all[..1].into()), "{resource:?}");
        let none = HeavyUse { tier: TierName::Free, ..asked(resource, 0) };
        assert_eq!(tx.heavy_users(&none, 9).await.unwrap(), (0, Vec::new()));
    }
    // What adds up as well as being a level is read as a level.
    assert_eq!(tx.heavy_users(&asked(Resource::Cpu, 6), 0).await.unwrap(), (5, Vec::new()));
    assert_eq!(tx.heavy_users(&asked(Resource::Cpu, 7), 9).await.unwrap(), (0, Vec::new()));
    assert_eq!(tx.heavy_users(&asked(Resource::BytesSent, 0), 9).await.unwrap(), (0, Vec::new()));
}
