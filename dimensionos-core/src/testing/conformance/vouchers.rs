use crate::payment::voucher::{Denomination, Epoch, Nullifier, PublicKey, PublishedKey};
use crate::store::{Store, StoreError};
use crate::testing::conformance::{commit, read, write};

fn key(epoch: u16, denomination: &str, bytes: u8) -> PublishedKey {
    let denomination: Denomination = denomination.parse().unwrap();
    PublishedKey { epoch: Epoch::from_number(epoch), denomination, public_key: PublicKey::from_bytes([bytes; 32]) }
}

async fn keys(store: &dyn Store) -> Vec<PublishedKey> {
    let mut keys = read(store).await.voucher_keys().await.unwrap();
    keys.sort_by_key(|key| (key.epoch, key.denomination));
    keys
}

pub async fn a_key_of_vouchers_is_published_once(store: &dyn Store) {
    assert_eq!(keys(store).await, []);
    let published =
        [key(7, "STARTER:30", 1), key(7, "STARTER:365", 2), key(7, "PRO:30", 3), key(u16::MAX, "PRO:30", 3)];
    let mut tx = write(store).await;
    for key in &published {
        tx.insert_voucher_key(key).await.unwrap();
    }
    commit(tx).await;
    let mut tx = write(store).await;
    assert!(matches!(tx.insert_voucher_key(&key(7, "PRO:30", 4)).await, Err(StoreError::Conflict)));
    drop(tx);
    assert_eq!(keys(store).await, published);
}

pub async fn a_voucher_is_spent_once_in_its_epoch(store: &dyn Store) {
    let (first, second) = (Nullifier::from_bytes([1; 32]), Nullifier::from_bytes([2; 32]));
    let (seven, eight) = (Epoch::from_number(7), Epoch::from_number(8));
    let mut tx = write(store).await;
    tx.spend_voucher(seven, &first).await.unwrap();
    drop(tx);
    // What was not committed is not spent.
    for (epoch, nullifier) in [(seven, first), (seven, second), (eight, first)] {
        let mut tx = write(store).await;
        tx.spend_voucher(epoch, &nullifier).await.unwrap();
        commit(tx).await;
    }
    for (epoch, nullifier) in [(seven, first), (seven, second), (eight, first)] {
        let mut tx = write(store).await;
        assert!(matches!(tx.spend_voucher(epoch, &nullifier).await, Err(StoreError::Conflict)));
    }
}

pub async fn vouchers_of_old_epochs_are_purged_with_their_keys(store: &dyn Store) {
    let nullifier = Nullifier::from_bytes([1; 32]);
    let mut tx = write(store).await;
    for epoch in [7, 8] {
        tx.insert_voucher_key(&key(epoch, "STARTER:30", 1)).await.unwrap();
        tx.spend_voucher(Epoch::from_number(epoch), &nullifier).await.unwrap();
    }
    commit(tx).await;
    let mut tx = write(store).await;
    assert_eq!(tx.purge_vouchers(Epoch::from_number(7)).await.unwrap(), 0);
    assert_eq!(tx.purge_vouchers(Epoch::from_number(8)).await.unwrap(), 2);
    commit(tx).await;
    assert_eq!(keys(store).await, [key(8, "STARTER:30", 1)]);
    let mut tx = write(store).await;
    assert!(matches!(tx.spend_voucher(Epoch::from_number(8), &nullifier).await, Err(StoreError::Conflict)));
    drop(tx);
    let mut tx = write(store).await;
    tx.spend_voucher(Epoch::from_number(7), &nullifier).await.unwrap();
}
