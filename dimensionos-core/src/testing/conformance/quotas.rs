//! Holds, decisions, and limits of accounts' own.

use std::time::Duration;

use super::{NOW, account, commit, digest, id, put_account, read, row, write};
use crate::Code;
use crate::allocation::{Decision, Hold, KeyedDecision, LimitOverride, Resource};
use crate::id::HoldId;
use crate::monitoring::{Counter, MAX_AMOUNT, Resolution, Sample};
use crate::store::{Store, StoreError, Tx};
use crate::time::Timestamp;

fn hold(number: u128, resource: Resource, amount: u64) -> Hold {
    Hold { id: HoldId::from_bits(number << 100 | number), account: id(1), resource, amount, expires_at: NOW }
}

fn decided(number: u8, is_allowed: bool) -> KeyedDecision {
    let decision = Decision {
        is_allowed,
        resource: Resource::BytesSent,
        limit: is_allowed.then_some(MAX_AMOUNT),
        used: MAX_AMOUNT,
        resets_at: is_allowed.then_some(NOW),
        is_over: is_allowed,
        reason: (!is_allowed).then_some(Code::QuotaExceeded),
    };
    KeyedDecision { key: digest(number), account: id(1), amount: 7, decision, expires_at: NOW }
}

/// One of each for an account.
pub(super) async fn put_quotas(tx: &mut dyn Tx, number: u8) {
    let owner = id(u128::from(number));
    let hold = Hold { account: owner, ..hold(u128::from(number), Resource::Ram, 1) };
    tx.save_hold(&hold).await.expect("a hold is added");
    let decided = KeyedDecision { account: owner, ..decided(number, true) };
    tx.insert_decisions(&[decided]).await.expect("a decision is added");
    let own = LimitOverride { resource: Resource::Ram, limit: 1, until: NOW };
    tx.set_override(owner, &own).await.expect("a limit is set");
}

pub async fn a_hold_is_kept_changed_and_removed(store: &dyn Store) {
    put_account(store, &account(1)).await;
    put_account(store, &account(2)).await;
    let mut tx = write(store).await;
    for hold in [hold(2, Resource::ApiCalls, 1), hold(1, Resource::Storage, MAX_AMOUNT)] {
        tx.save_hold(&hold).await.expect("a hold is added");
    }
    tx.save_hold(&Hold { account: id(2), ..hold(3, Resource::Ram, 5) }).await.expect("a hold is added");
    let later = NOW.after(Duration::from_secs(1));
    let changed = Hold { expires_at: later, ..hold(2, Resource::ApiCalls, 9) };
    tx.save_hold(&changed).await.expect("a hold is changed");
    commit(tx).await;
    let mut tx = write(store).await;
    assert_eq!(tx.holds(id(1)).await.unwrap(), [hold(1, Resource::Storage, MAX_AMOUNT), changed]);
    assert_eq!(tx.hold(changed.id).await.unwrap(), Some(changed));
    tx.remove_hold(changed.id).await.expect("a hold is removed");
    tx.remove_hold(changed.id).await.expect("none is removed");
    assert_eq!(tx.hold(changed.id).await.unwrap(), None);
    commit(tx).await;
    assert_eq!(read(store).await.holds(id(2)).await.unwrap().len(), 1);
}

pub async fn a_key_is_decided_once(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let known = [decided(1, true), decided(2, false)];
    let mut tx = write(store).await;
    tx.insert_decisions(&known).await.expect("decisions are added");
    tx.insert_decisions(&[]).await.expect("none is added");
    commit(tx).await;
    let mut tx = read(store).await;
    let found = tx.decisions(&[digest(2), digest(3), digest(1)]).await.unwrap();
    assert_eq!(found, [Some(known[1].clone()), None, Some(known[0].clone())]);
    assert_eq!(tx.decisions_of(id(1)).await.unwrap(), known);
    assert_eq!(tx.decisions_of(id(2)).await.unwrap(), []);
    drop(tx);
    let mut tx = write(store).await;
    assert!(matches!(tx.insert_decisions(&[decided(1, false)]).await, Err(StoreError::Conflict)));
}

pub async fn an_account_has_one_limit_of_its_own_a_resource(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let own = |resource, limit| LimitOverride { resource, limit, until: NOW };
    let mut tx = write(store).await;
    for own in [own(Resource::Ram, 1), own(Resource::ApiCalls, 2), own(Resource::Ram, MAX_AMOUNT)] {
        tx.set_override(id(1), &own).await.expect("a limit is set");
    }
    commit(tx).await;
    let mut tx = read(store).await;
    let found = tx.overrides(id(1)).await.unwrap();
    assert_eq!(found, [own(Resource::ApiCalls, 2), own(Resource::Ram, MAX_AMOUNT)]);
    assert_eq!(tx.overrides(id(2)).await.unwrap(), []);
}

pub async fn quotas_that_ended_are_purged_and_nothing_else(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let later = NOW.after(Duration::from_secs(1));
    let mut tx = write(store).await;
    tx.save_hold(&hold(1, Resource::Ram, 1)).await.unwrap();
    tx.save_hold(&Hold { expires_at: later, ..hold(2, Resource::Ram, 1) }).await.unwrap();
    let young = KeyedDecision { expires_at: later, ..decided(2, true) };
    tx.insert_decisions(&[decided(1, true), young]).await.unwrap();
    for (resource, until) in [(Resource::Ram, NOW), (Resource::Storage, later)] {
        tx.set_override(id(1), &LimitOverride { resource, limit: 1, until }).await.unwrap();
    }
    assert_eq!(tx.purge_quotas(later).await.unwrap(), 3);
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.holds(id(1)).await.unwrap().len(), 1);
    assert_eq!(tx.overrides(id(1)).await.unwrap().len(), 1);
    let left = tx.decisions(&[digest(1), digest(2)]).await.unwrap();
    assert!(left[0].is_none() && left[1].is_some());
}

pub async fn use_is_added_up_from_a_minute_on(store: &dyn Store) {
    let minute = |number: u64| NOW.floor(60).after(Duration::from_secs(60 * number));
    let sample = |at, calls| Sample::at(at).with_added(Counter::ApiCalls, calls);
    let rows = [
        row(id(1), Resolution::Minute, minute(0), &sample(minute(0), 1)),
        row(id(1), Resolution::Minute, minute(1), &sample(minute(1), 2)),
        row(id(1), Resolution::Minute, minute(2), &Sample::at(minute(2)).with_added(Counter::BytesSent, 9)),
        row(id(1), Resolution::Minute, minute(3), &sample(minute(3), MAX_AMOUNT)),
        row(id(1), Resolution::Hour, minute(0), &sample(minute(0), 100)),
        row(id(2), Resolution::Minute, minute(1), &sample(minute(1), 100)),
    ];
    let mut tx = write(store).await;
    tx.add_usage(&rows).await.expect("usage is added");
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.used_since(id(1), Counter::ApiCalls, minute(1)).await.unwrap(), MAX_AMOUNT + 2);
    assert_eq!(tx.used_since(id(1), Counter::BytesSent, minute(1)).await.unwrap(), 9);
    assert_eq!(tx.used_since(id(3), Counter::ApiCalls, Timestamp::EPOCH).await.unwrap(), 0);
}
