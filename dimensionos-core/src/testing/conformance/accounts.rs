//! Accounts, what opens them, and transactions as such.

use std::time::Duration;

use super::quotas::put_quotas;
use super::{NOW, account, commit, digest, id, put_account, read, refresh, row, session, write};
use crate::allocation::TierName;
use crate::auth::{PasswordHash, Pepper};
use crate::id::ReplicaId;
use crate::monitoring::{Counter, Level, Readings, Resolution, Sample};
use crate::payment::ServiceStatus;
use crate::store::{Store, StoreError};
use crate::time::Timestamp;
use crate::users::{Account, AnonymousId, OperatorStatus, SealedSeed, TermsAcceptance};

pub async fn nothing_is_kept_of_a_transaction_that_was_dropped(store: &dyn Store) {
    let mut tx = write(store).await;
    tx.insert_account(&account(1)).await.expect("the account is new");
    tx.add_usage(&[row(id(1), Resolution::Minute, NOW, &Sample::at(NOW).with_added(Counter::ApiCalls, 1))])
        .await
        .expect("usage is added");
    drop(tx);
    let mut tx = read(store).await;
    assert_eq!(tx.account(id(1)).await.unwrap(), None);
    assert_eq!(tx.account_by_tag(&[account(1).anonymous_id]).await.unwrap(), None);
    assert!(tx.usage(id(1), Resolution::Minute, Timestamp::EPOCH, NOW).await.unwrap().is_empty());
    drop(tx);
    put_account(store, &account(1)).await;
}

pub async fn a_tag_and_an_id_are_given_once(store: &dyn Store) {
    put_account(store, &account(1)).await;
    for taken in
        [Account { id: id(2), ..account(1) }, Account { anonymous_id: AnonymousId::from_bytes([2; 32]), ..account(1) }]
    {
        let mut tx = write(store).await;
        assert!(matches!(tx.insert_account(&taken).await, Err(StoreError::Conflict)));
    }
    put_account(store, &account(2)).await;
    let mut tx = write(store).await;
    let stolen = Account { anonymous_id: account(1).anonymous_id, ..account(2) };
    assert!(matches!(tx.update_account(&stolen).await, Err(StoreError::Conflict)));
}

pub async fn an_account_is_found_by_any_of_its_tags_and_changes_whole(store: &dyn Store) {
    put_account(store, &account(1)).await;
    put_account(store, &account(2)).await;
    let unknown = AnonymousId::from_bytes([7; 32]);
    let mut tx = write(store).await;
    assert_eq!(tx.account_by_tag(&[unknown, account(1).anonymous_id]).await.unwrap(), Some(account(1)));
    assert_eq!(tx.account_by_tag(&[unknown]).await.unwrap(), None);
    assert_eq!(tx.account_by_tag(&[]).await.unwrap(), None);
    let changed = Account {
        anonymous_id: unknown,
        pepper: Pepper::from_bytes([8; 32]).id(),
        tier: TierName::Enterprise,
        epoch: 1 << 40,
        ..account(1)
    };
    tx.update_account(&changed).await.expect("the new tag is free");
    let hash = PasswordHash { bcrypt: "$2b$04$abc".to_owned(), pepper: changed.pepper };
    tx.set_password(id(1), &hash).await.expect("a password is set");
    let hash = PasswordHash { bcrypt: "$2b$04$def".to_owned(), ..hash };
    tx.set_password(id(1), &hash).await.expect("a password is set in place of it");
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.account(id(1)).await.unwrap(), Some(changed));
    assert_eq!(tx.account_by_tag(&[account(1).anonymous_id]).await.unwrap(), None);
    assert_eq!(tx.account(id(2)).await.unwrap(), Some(account(2)));
    assert_eq!(tx.password(id(1)).await.unwrap(), Some(hash));
    assert_eq!(tx.password(id(2)).await.unwrap(), None);
}

pub async fn what_was_decided_and_accepted_is_kept_with_the_account(store: &dyn Store) {
    let plain = account(1);
    let decided = Account {
        operator_status: Some(OperatorStatus {
            status: ServiceStatus::Suspended,
            since: NOW,
            note: "report 17 – ünïcode".parse().expect("a good note"),
        }),
        terms: Some(TermsAcceptance { version: "2026-11".parse().expect("a good name"), accepted_at: NOW }),
        subject_seed: Some(SealedSeed::from_bytes([0xfe; 32])),
        ..plain.clone()
    };
    put_account(store, &plain).await;
    for account in [&decided, &plain] {
        let mut tx = write(store).await;
        tx.update_account(account).await.expect("the row is changed");
        commit(tx).await;
        let mut tx = read(store).await;
        assert_eq!(tx.account(plain.id).await.unwrap().as_ref(), Some(account));
    }
}

pub async fn a_recovery_code_is_used_once_by_its_own_account(store: &dyn Store) {
    for number in [1, 2] {
        put_account(store, &account(number)).await;
    }
    let mut tx = write(store).await;
    tx.set_recovery_codes(id(1), &[digest(1), digest(2)]).await.expect("codes are set");
    tx.set_recovery_codes(id(2), &[digest(1)]).await.expect("another account may have the same");
    tx.set_recovery_codes(id(1), &[digest(3), digest(4), digest(5)]).await.expect("codes are replaced");
    commit(tx).await;
    let mut tx = write(store).await;
    assert!(!tx.use_recovery_code(id(1), &digest(1)).await.unwrap());
    assert!(!tx.use_recovery_code(id(2), &digest(3)).await.unwrap());
    assert!(tx.use_recovery_code(id(1), &digest(3)).await.unwrap());
    assert!(!tx.use_recovery_code(id(1), &digest(3)).await.unwrap());
    commit(tx).await;
    // Of several at once, one has it.
    let uses = (0..8).map(|_| async {
        let mut tx = write(store).await;
        let is_used = tx.use_recovery_code(id(1), &digest(4)).await.unwrap();
        commit(tx).await;
        is_used
    });
    assert_eq!(futures_util::future::join_all(uses).await.into_iter().filter(|is_used| *is_used).count(), 1);
    let mut tx = write(store).await;
    assert_eq!(tx.recovery_code_count(id(1)).await.unwrap(), 1);
    tx.set_recovery_codes(id(1), &[]).await.expect("codes are removed");
    assert_eq!(tx.recovery_code_count(id(1)).await.unwrap(), 0);
    assert_eq!(tx.recovery_code_count(id(2)).await.unwrap(), 1);
}

pub async fn an_erased_account_leaves_nothing_and_others_whole(store: &dyn Store) {
    let sample = Sample::at(NOW).with_added(Counter::ApiCalls, 1).with_level(Level::RamBytes, 5);
    let mut readings = Readings::default();
    readings.add(&sample);
    let (_, before) = read(store).await.changes_since(None).await.expect("a mark is read");
    for number in [1, 2] {
        put_account(store, &account(number)).await;
        let owner = id(u128::from(number));
        let session = session(u128::from(number), owner);
        let mut tx = write(store).await;
        let hash = PasswordHash { bcrypt: "$2b$04$abc".to_owned(), pepper: account(number).pepper };
        tx.set_password(owner, &hash).await.expect("a password is set");
        tx.set_recovery_codes(owner, &[digest(number)]).await.expect("codes are set");
        tx.insert_session(&session).await.expect("the session is new");
        tx.insert_refresh(&refresh(number, &session)).await.expect("the token is new");
        tx.add_usage(&Resolution::ALL.map(|resolution| row(owner, resolution, NOW, &sample))).await.expect("usage");
        tx.save_readings(&[(owner, readings)]).await.expect("readings");
        put_quotas(&mut *tx, number).await;
        tx.note_change(owner, ReplicaId::from_bits(9), NOW).await.expect("a change is written down");
        commit(tx).await;
    }
    let mut tx = write(store).await;
    tx.erase_account(id(1)).await.expect("the account is erased");
    tx.erase_account(id(3)).await.expect("there is nothing to erase");
    commit(tx).await;
    let after = NOW.after(Duration::from_secs(60));
    let mut tx = read(store).await;
    let (changes, _) = tx.changes_since(Some(before)).await.expect("changes are read");
    assert_eq!(changes.iter().map(|change| change.account).collect::<Vec<_>>(), [id(2)]);
    for (number, is_kept) in [(1_u8, false), (2, true)] {
        let owner = id(u128::from(number));
        assert_eq!(tx.account(owner).await.unwrap().is_some(), is_kept);
        assert_eq!(tx.account_by_tag(&[account(number).anonymous_id]).await.unwrap().is_some(), is_kept);
        assert_eq!(tx.password(owner).await.unwrap().is_some(), is_kept);
        assert_eq!(tx.recovery_code_count(owner).await.unwrap(), u64::from(is_kept));
        assert_eq!(tx.sessions(owner).await.unwrap().len(), usize::from(is_kept));
        assert_eq!(tx.refresh(&digest(number)).await.unwrap().is_some(), is_kept);
        assert_eq!(tx.readings(owner).await.unwrap() != Readings::default(), is_kept);
        assert_eq!(tx.holds(owner).await.unwrap().len(), usize::from(is_kept));
        assert_eq!(tx.decisions_of(owner).await.unwrap().len(), usize::from(is_kept));
        assert_eq!(tx.overrides(owner).await.unwrap().len(), usize::from(is_kept));
        for resolution in Resolution::ALL {
            let rows = tx.usage(owner, resolution, Timestamp::EPOCH, after).await.unwrap();
            assert_eq!(rows.len(), usize::from(is_kept));
        }
    }
    drop(tx);
    put_account(store, &account(1)).await;
}

pub async fn accounts_are_listed_newest_first_in_pages(store: &dyn Store) {
    // Two of each instant, whose ids decide.
    for number in 1..=9_u8 {
        let created_at = NOW.after(Duration::from_secs(u64::from(number / 2)));
        let tier = if number % 3 == 0 { TierName::Pro } else { TierName::Free };
        put_account(store, &Account { tier, created_at, ..account(number) }).await;
    }
    let mut tx = read(store).await;
    let all = tx.list_accounts(None, None, 100).await.unwrap();
    let ids: Vec<_> = all.iter().map(|account| account.id).collect();
    assert_eq!(ids, [9, 8, 7, 6, 5, 4, 3, 2, 1].map(id));
    assert_eq!(tx.list_accounts(None, None, 2).await.unwrap(), all[..2]);
    for (place, listed) in all.iter().enumerate() {
        assert_eq!(tx.list_accounts(None, Some(listed.place()), 100).await.unwrap(), all[place + 1..]);
    }
    let after = Some(all[3].place());
    let of_tier = tx.list_accounts(Some(TierName::Pro), after, 100).await.unwrap();
    assert_eq!(of_tier.iter().map(|account| account.id).collect::<Vec<_>>(), [id(3)]);
    assert_eq!(tx.list_accounts(Some(TierName::Enterprise), None, 100).await.unwrap(), []);
    drop(tx);
    // Whoever registers between two pages takes nobody's place.
    let newest = Account { created_at: NOW.after(Duration::from_secs(60)), ..account(10) };
    put_account(store, &newest).await;
    let mut tx = read(store).await;
    assert_eq!(tx.list_accounts(None, after, 3).await.unwrap(), all[4..7]);
}

pub async fn accounts_are_counted_by_pepper(store: &dyn Store) {
    let mut tx = read(store).await;
    assert_eq!(tx.accounts_by_pepper().await.unwrap(), []);
    drop(tx);
    let other = Pepper::from_bytes([8; 32]).id();
    for number in 1..=3 {
        put_account(store, &account(number)).await;
    }
    put_account(store, &Account { pepper: other, ..account(4) }).await;
    let mut expected = [(account(1).pepper, 3), (other, 1)];
    expected.sort_unstable();
    let mut tx = read(store).await;
    assert_eq!(tx.accounts_by_pepper().await.unwrap(), expected);
}

pub async fn writers_of_one_row_take_turns(store: &dyn Store) {
    const WRITERS: u64 = 8;
    put_account(store, &account(1)).await;
    let raise = || async {
        let mut tx = write(store).await;
        let mut row = tx.account(id(1)).await.unwrap().expect("the account is there");
        row.epoch += 1;
        // Give the others every chance to read the same row.
        tokio::task::yield_now().await;
        tx.update_account(&row).await.expect("the row is changed");
        commit(tx).await;
    };
    futures_util::future::join_all((0..WRITERS).map(|_| raise())).await;
    let mut tx = read(store).await;
    assert_eq!(tx.account(id(1)).await.unwrap().unwrap().epoch, account(1).epoch + WRITERS);
}

pub async fn accounts_that_are_not_there_are_told_apart(store: &dyn Store) {
    // More than one statement's worth, and every other one there.
    const ACCOUNTS: u8 = 200;
    let mut tx = write(store).await;
    for number in (0..ACCOUNTS).step_by(2) {
        tx.insert_account(&account(number)).await.expect("the account is new");
    }
    commit(tx).await;
    let all: Vec<_> = (0..ACCOUNTS).map(|number| id(u128::from(number))).collect();
    {
        let mut tx = write(store).await;
        let mut missing = tx.missing_accounts(&all).await.unwrap();
        missing.sort_unstable();
        let odd: Vec<_> = (1..ACCOUNTS).step_by(2).map(|number| id(u128::from(number))).collect();
        assert_eq!(missing, odd);
        assert_eq!(tx.missing_accounts(&[id(4)]).await.unwrap(), []);
        assert_eq!(tx.missing_accounts(&[id(5)]).await.unwrap(), [id(5)]);
        assert_eq!(tx.missing_accounts(&[]).await.unwrap(), []);
    }
    let mut tx = write(store).await;
    assert_eq!(tx.missing_accounts(&[id(6)]).await.unwrap(), []);
    let erasing = async {
        let mut erasing = write(store).await;
        erasing.erase_account(id(6)).await.expect("the account is erased");
        commit(erasing).await;
    };
    let looking = async {
        // Give the other every chance to come first.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let is_there = tx.account(id(6)).await.unwrap().is_some();
        commit(tx).await;
        is_there
    };
    let ((), is_there) = futures_util::future::join(erasing, looking).await;
    assert!(is_there, "an account that was found stays until the transaction ends");
    assert_eq!(read(store).await.missing_accounts(&[id(6), id(8)]).await.unwrap(), [id(6)]);
}
