//! The journal passes the cases every storage passes, twice: as it stands in memory, and as it is read back from its file.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use dimensionos_core::auth::{PasswordHash, Pepper, RefreshRecord, Session};
use dimensionos_core::id::{SessionId, ViolationId};
use dimensionos_core::monitoring::{Bucket, Counter, Resolution, Rollup, Sample, UsageRow};
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{Access, Store, StoreError, Tx};
use dimensionos_core::tos::{Restriction, Sanction};
use dimensionos_core::users::{Account, AnonymousId};
use dimensionos_core::{AccountId, Timestamp};
use examples::journal::{JournalError, JournalStore};
use tempfile::TempDir;

mod in_memory {
    use super::{JournalStore, TempDir};

    async fn fresh() -> Option<(JournalStore, TempDir)> {
        let folder = TempDir::new().unwrap();
        Some((JournalStore::open(folder.path()).await.unwrap(), folder))
    }

    dimensionos_core::conformance_cases!(fresh);
}

mod read_back {
    use super::{JournalStore, ReadBack, TempDir};

    async fn fresh() -> Option<(ReadBack, ())> {
        let folder = TempDir::new().unwrap();
        Some((ReadBack { store: JournalStore::open(folder.path()).await.unwrap(), folder }, ()))
    }

    dimensionos_core::conformance_cases!(fresh);
}

/// Reads what a store would have that is opened now, after it was compacted.
#[derive(Debug)]
struct ReadBack {
    store: JournalStore,
    folder: TempDir,
}

#[async_trait]
impl Store for ReadBack {
    async fn begin(&self, access: Access) -> Result<Box<dyn Tx>, StoreError> {
        if access == Access::Write {
            return self.store.begin(access).await;
        }
        let copy = TempDir::new().unwrap();
        fs::copy(self.folder.path().join("journal"), copy.path().join("journal")).unwrap();
        let opened = JournalStore::open(copy.path()).await.unwrap();
        opened.scrub().await?;
        drop(opened);
        JournalStore::open(copy.path()).await.unwrap().begin(access).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn account(number: u8) -> Account {
    Account {
        restrictions: vec![Restriction {
            violation: ViolationId::from_bits(7),
            sanction: Sanction::ReadOnly,
            since: NOW,
            until: NOW,
            relaxes_at: Some(NOW),
        }],
        ..Account::new(
            AccountId::from_bits(number.into()),
            AnonymousId::from_bytes([number; 32]),
            Pepper::from_bytes([9; 32]).id(),
            NOW,
        )
    }
}

fn session(number: u8) -> Session {
    let id = SessionId::from_bits(number.into());
    let expires_at = NOW.after(Duration::from_secs(60));
    Session { id, account: account(number).id, created_at: NOW, expires_at, authenticated_at: NOW }
}

fn refresh(number: u8) -> RefreshRecord {
    let Session { id, expires_at, .. } = session(number);
    RefreshRecord { digest: SecretDigest::from_bytes([number; 32]), session: id, expires_at, used_at: None }
}

fn usage(number: u8, at: Timestamp) -> UsageRow {
    let mut rollup = Rollup::default();
    rollup.add(&Sample::at(at).with_added(Counter::ApiCalls, 1));
    let bucket = Bucket::holding(at, Resolution::Minute);
    UsageRow { account: account(number).id, resolution: Resolution::Minute, bucket, rollup }
}

async fn open(folder: &Path) -> JournalStore {
    JournalStore::open(folder).await.unwrap()
}

/// Everything of some accounts, in one transaction for each.
async fn put(store: &JournalStore, numbers: impl IntoIterator<Item = u8>) {
    for number in numbers {
        let mut tx = store.begin(Access::Write).await.unwrap();
        let account = account(number);
        let hash = PasswordHash { bcrypt: format!("$2b$04${number}"), pepper: account.pepper };
        tx.insert_account(&account).await.unwrap();
        tx.set_password(account.id, &hash).await.unwrap();
        tx.insert_session(&session(number)).await.unwrap();
        tx.insert_refresh(&refresh(number)).await.unwrap();
        tx.mark_refresh_used(&refresh(number).digest, NOW).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Whether all of an account is there, or nothing.
async fn has(store: &JournalStore, number: u8) -> bool {
    let mut tx = store.begin(Access::Read).await.unwrap();
    let id = account(number).id;
    let parts = [
        tx.account(id).await.unwrap().is_some(),
        tx.password(id).await.unwrap().is_some(),
        tx.session(session(number).id).await.unwrap().is_some(),
        tx.refresh(&refresh(number).digest).await.unwrap().is_some_and(|record| record.used_at == Some(NOW)),
    ];
    assert!(parts.iter().all(|part| *part == parts[0]), "a part of a transaction: {parts:?}");
    parts[0]
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again_and_what_was_dropped_is_not() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).await;
    put(&store, [1, 2]).await;
    let mut dropped = store.begin(Access::Write).await.unwrap();
    dropped.insert_account(&account(3)).await.unwrap();
    drop(dropped);
    drop(store);
    let store = open(folder.path()).await;
    assert_eq!([has(&store, 1).await, has(&store, 2).await, has(&store, 3).await], [true, true, false]);
    put(&store, [3]).await;
    drop(store);
    assert!(has(&open(folder.path()).await, 3).await);
}

#[tokio::test]
async fn wherever_the_last_line_is_cut_off_it_is_dropped_whole() {
    let folder = TempDir::new().unwrap();
    let journal = folder.path().join("journal");
    let store = open(folder.path()).await;
    put(&store, [1]).await;
    let first = fs::metadata(&journal).unwrap().len();
    put(&store, [2]).await;
    drop(store);
    let whole = fs::read(&journal).unwrap();
    for end in usize::try_from(first).unwrap()..whole.len() {
        fs::write(&journal, &whole[..end]).unwrap();
        let store = open(folder.path()).await;
        assert!(has(&store, 1).await && !has(&store, 2).await, "cut off at {end}");
        assert_eq!(fs::metadata(&journal).unwrap().len(), first, "what was cut off is taken away");
    }
    // And where a part of the line never reached the disk.
    let mut torn = whole.clone();
    torn[usize::try_from(first).unwrap() + 50..][..30].fill(0);
    fs::write(&journal, &torn).unwrap();
    let store = open(folder.path()).await;
    put(&store, [3]).await;
    drop(store);
    let store = open(folder.path()).await;
    assert!(has(&store, 1).await && !has(&store, 2).await && has(&store, 3).await);
}

#[tokio::test]
async fn a_folder_with_a_damaged_line_is_not_opened_and_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let journal = folder.path().join("journal");
    let store = open(folder.path()).await;
    put(&store, [1, 2]).await;
    drop(store);
    let mut damaged = fs::read(&journal).unwrap();
    damaged[60] ^= 1;
    fs::write(&journal, &damaged).unwrap();
    assert!(matches!(JournalStore::open(folder.path()).await, Err(JournalError::Damaged { line: 1 })));
    assert_eq!(fs::read(&journal).unwrap(), damaged);
}

#[tokio::test]
async fn a_folder_is_one_stores_at_a_time() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).await;
    let tx = store.begin(Access::Read).await.unwrap();
    drop(store);
    assert!(matches!(JournalStore::open(folder.path()).await, Err(JournalError::InUse)));
    drop(tx);
    open(folder.path()).await;
}

#[tokio::test]
async fn a_transaction_in_which_a_call_failed_is_not_committed() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path()).await;
    put(&store, [1]).await;
    let mut tx = store.begin(Access::Write).await.unwrap();
    tx.erase_account(account(1).id).await.unwrap();
    tx.insert_account(&account(2)).await.unwrap();
    assert!(matches!(tx.insert_account(&account(2)).await, Err(StoreError::Conflict)));
    assert!(tx.commit().await.is_err());
    assert!(has(&store, 1).await && !has(&store, 2).await);
}

#[tokio::test]
async fn a_scrubbed_journal_has_nothing_of_what_was_erased_or_purged_and_others_whole() {
    let folder = TempDir::new().unwrap();
    let journal = folder.path().join("journal");
    let store = open(folder.path()).await;
    put(&store, [1, 2]).await;
    let later = NOW.after(Duration::from_secs(60));
    let mut tx = store.begin(Access::Write).await.unwrap();
    tx.add_usage(&[usage(1, later), usage(2, NOW), usage(2, later)]).await.unwrap();
    tx.purge_usage(Resolution::Minute, later.floor(60)).await.unwrap();
    // It comes late, after what is as old was purged.
    tx.add_usage(&[usage(2, NOW)]).await.unwrap();
    tx.erase_account(account(1).id).await.unwrap();
    tx.commit().await.unwrap();
    store.scrub().await.unwrap();
    let text = fs::read_to_string(&journal).unwrap();
    let digest = "01".repeat(32);
    for erased in [account(1).id.to_string(), session(1).id.to_string(), digest, "$2b$04$1".to_owned()] {
        assert!(!text.contains(&erased), "{erased}");
    }
    // It goes on in the file that took the old one's place.
    put(&store, [1, 3]).await;
    drop(store);
    let store = open(folder.path()).await;
    assert!(has(&store, 1).await && has(&store, 2).await && has(&store, 3).await);
    let mut tx = store.begin(Access::Read).await.unwrap();
    for (number, calls) in [(1, 0), (2, 2)] {
        let used = tx.used_since(account(number).id, Counter::ApiCalls, Timestamp::EPOCH).await.unwrap();
        assert_eq!(used, calls);
    }
}
