use std::time::Duration;

use crate::allocation::TierName;
use crate::payment::{Notice, Paid, ServiceStatus, SpentAttestation, Told, Tombstone};
use crate::store::{Store, StoreError};
use crate::testing::conformance::{NOW, account, commit, digest, put_account, read, write};
use crate::users::Account;

pub async fn an_account_carries_what_was_paid_and_told(store: &dyn Store) {
    let (first, other) = (account(1), account(2));
    put_account(store, &first).await;
    put_account(store, &other).await;
    let mut paid = Paid::default();
    paid.add(TierName::Starter, NOW);
    paid.add(TierName::Enterprise, NOW.after(Duration::from_secs(1)));
    let notice = Some(Notice { step_at: NOW.after(Duration::from_secs(7)), days: 3 });
    let changed = Account {
        tier: TierName::Pro,
        trial_ends_at: NOW.after(Duration::from_secs(2)),
        paid,
        cancelled_at: Some(NOW.after(Duration::from_secs(3))),
        active_since: NOW.after(Duration::from_secs(4)),
        told: Told { status: ServiceStatus::Suspended, notice, due_at: NOW.after(Duration::from_secs(5)) },
        ..first
    };
    let mut tx = write(store).await;
    tx.update_account(&changed).await.unwrap();
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.account(changed.id).await.unwrap(), Some(changed));
    assert_eq!(tx.account(other.id).await.unwrap(), Some(other));
}

pub async fn accounts_are_due_in_the_order_of_their_instants(store: &dyn Store) {
    let ids: Vec<_> = [3, 1, 2, 9].map(|number| account(number).id).into();
    for (number, seconds) in [(1, 20), (2, 30), (3, 10), (4, 41), (9, 40)] {
        let told = Told { due_at: NOW.after(Duration::from_secs(seconds)), ..Told::nothing(NOW) };
        put_account(store, &Account { told, ..account(number) }).await;
    }
    let mut tx = read(store).await;
    let now = NOW.after(Duration::from_secs(40));
    assert_eq!(tx.accounts_due(now, 10).await.unwrap(), ids);
    assert_eq!(tx.accounts_due(now, 2).await.unwrap(), ids[..2]);
    assert_eq!(tx.accounts_due(NOW, 10).await.unwrap(), []);
}

pub async fn an_attestation_is_spent_once(store: &dyn Store) {
    let plain = SpentAttestation { digest: digest(1), request: None };
    let asked = SpentAttestation { digest: digest(2), request: Some(digest(3)) };
    let mut tx = write(store).await;
    assert_eq!(tx.spent_attestation(&digest(1)).await.unwrap(), None);
    tx.spend_attestation(&plain).await.unwrap();
    tx.spend_attestation(&asked).await.unwrap();
    commit(tx).await;
    let mut tx = write(store).await;
    let again = SpentAttestation { request: Some(digest(9)), ..plain };
    assert!(matches!(tx.spend_attestation(&again).await, Err(StoreError::Conflict)));
    drop(tx);
    let mut tx = read(store).await;
    assert_eq!(tx.spent_attestation(&digest(1)).await.unwrap(), Some(plain));
    assert_eq!(tx.spent_attestation(&digest(2)).await.unwrap(), Some(asked));
    assert_eq!(tx.spent_attestation(&digest(3)).await.unwrap(), None);
}

pub async fn a_tombstone_answers_until_its_end(store: &dyn Store) {
    let second = Duration::from_secs(1);
    let keep = |tag: u8, seconds: u32| Tombstone { tag: [tag; 32], until: NOW.after(second * seconds) };
    let mut tx = write(store).await;
    for tombstone in [keep(1, 10), keep(2, 20), keep(1, 30)] {
        tx.keep_tombstone(&tombstone).await.unwrap();
    }
    commit(tx).await;
    let mut tx = write(store).await;
    assert!(
        tx.has_tombstone(&[[9; 32], [1; 32]], NOW.after(second * 29)).await.unwrap(),
        "the later one took its place"
    );
    assert!(!tx.has_tombstone(&[[9; 32]], NOW).await.unwrap());
    assert!(!tx.has_tombstone(&[], NOW).await.unwrap());
    assert!(!tx.has_tombstone(&[[2; 32]], NOW.after(second * 20)).await.unwrap());
    assert_eq!(tx.purge_tombstones(NOW.after(second * 20)).await.unwrap(), 0);
    assert_eq!(tx.purge_tombstones(NOW.after(second * 21)).await.unwrap(), 1);
    assert!(tx.has_tombstone(&[[1; 32]], NOW).await.unwrap());
    commit(tx).await;
}
