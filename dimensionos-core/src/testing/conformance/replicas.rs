//! What processes tell one another through the storage.

use std::time::Duration;

use super::{NOW, account, commit, id, read, write};
use crate::id::{DeploymentId, ReplicaId};
use crate::monitoring::Readings;
use crate::store::Store;

pub async fn a_deployment_is_named_once(store: &dyn Store) {
    let [one, other] = [7, 8].map(DeploymentId::from_bits);
    for new in [one, other] {
        let mut tx = write(store).await;
        assert_eq!(tx.deployment(new).await.unwrap(), one);
        commit(tx).await;
    }
}

pub async fn a_change_is_told_once_it_is_committed(store: &dyn Store) {
    let by = ReplicaId::from_bits(1 << 100 | 5);
    let (nothing, start) = read(store).await.changes_since(None).await.unwrap();
    assert_eq!(nothing, []);
    let mut tx = write(store).await;
    tx.note_change(id(1), by, NOW).await.unwrap();
    drop(tx);
    assert_eq!(read(store).await.changes_since(Some(start)).await.unwrap().0, []);
    for account in [id(2), id(3)] {
        let mut tx = write(store).await;
        tx.note_change(account, by, NOW).await.unwrap();
        commit(tx).await;
    }
    let (changes, after) = read(store).await.changes_since(Some(start)).await.unwrap();
    let told: Vec<_> = changes.iter().map(|change| (change.account, change.by)).collect();
    assert_eq!(told, [(id(2), by), (id(3), by)]);
    let mut tx = write(store).await;
    tx.note_change(id(4), by, NOW).await.unwrap();
    commit(tx).await;
    let (changes, _) = read(store).await.changes_since(Some(after)).await.unwrap();
    assert!(changes.iter().any(|change| change.account == id(4)), "{changes:?}");
    // From the same mark as often as one likes, each under its own number.
    let (mut all, _) = read(store).await.changes_since(Some(start)).await.unwrap();
    all.dedup_by_key(|change| change.number);
    assert_eq!(all.len(), 3);
}

pub async fn no_change_is_missed_whose_transaction_ends_late(store: &dyn Store) {
    let by = ReplicaId::from_bits(5);
    let (_, mut mark) = read(store).await.changes_since(None).await.unwrap();
    let mut first = write(store).await;
    first.note_change(id(1), by, NOW).await.unwrap();
    // Where writers take turns, the second is not begun before the first has ended.
    let mut seen = Vec::new();
    let second = async {
        let mut tx = write(store).await;
        tx.note_change(id(2), by, NOW).await.unwrap();
        commit(tx).await;
        let (changes, next) = read(store).await.changes_since(Some(mark)).await.unwrap();
        mark = next;
        seen.extend(changes.into_iter().map(|change| change.account));
    };
    let end_first = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        commit(first).await;
    };
    tokio::join!(second, end_first);
    let (changes, _) = read(store).await.changes_since(Some(mark)).await.unwrap();
    seen.extend(changes.into_iter().map(|change| change.account));
    assert!(seen.contains(&id(1)) && seen.contains(&id(2)), "{seen:?}");
}

pub async fn changes_are_forgotten_by_their_age(store: &dyn Store) {
    let by = ReplicaId::from_bits(5);
    let (_, start) = read(store).await.changes_since(None).await.unwrap();
    let later = NOW.after(Duration::from_secs(1));
    let mut tx = write(store).await;
    tx.note_change(id(1), by, NOW).await.unwrap();
    tx.note_change(id(2), by, later).await.unwrap();
    commit(tx).await;
    let mut tx = write(store).await;
    assert_eq!(tx.purge_changes(later).await.unwrap(), 1);
    commit(tx).await;
    let (changes, _) = read(store).await.changes_since(Some(start)).await.unwrap();
    assert_eq!(changes.iter().map(|change| change.account).collect::<Vec<_>>(), [id(2)]);
}

pub async fn usage_has_a_version_that_counts_its_additions(store: &dyn Store) {
    let mut tx = write(store).await;
    tx.insert_account(&account(1)).await.unwrap();
    tx.insert_account(&account(2)).await.unwrap();
    commit(tx).await;
    let versions = async || {
        let mut versions = read(store).await.usage_versions(&[id(1), id(2), id(3)]).await.unwrap();
        versions.retain(|(_, version)| *version > 0);
        versions.sort_unstable();
        versions
    };
    assert_eq!(versions().await, []);
    let mut readings = Readings::default();
    readings.see(NOW);
    for accounts in [vec![id(1)], vec![id(1), id(2)], (1..=2).map(id).collect()] {
        let mut tx = write(store).await;
        let rows: Vec<_> = accounts.into_iter().map(|account| (account, readings)).collect();
        tx.save_readings(&rows).await.unwrap();
        // Its own is seen within the transaction.
        assert!(tx.usage_versions(&[id(1)]).await.unwrap()[0].1 > 0);
        commit(tx).await;
    }
    assert_eq!(versions().await, [(id(1), 3), (id(2), 2)]);
    let mut tx = write(store).await;
    tx.erase_account(id(1)).await.unwrap();
    commit(tx).await;
    assert_eq!(versions().await, [(id(2), 2)]);
}
