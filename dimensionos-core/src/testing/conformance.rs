//! The cases every [`Store`] has to pass: what the services rely on, said once for all storages.
//!
//! [`conformance_cases!`](crate::conformance_cases) makes a test of each case, with a fresh store for each.

#![expect(missing_docs, reason = "the name of a case is its claim")]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "these are tests, kept here because several crates run them"
)]

use std::time::Duration;

use crate::allocation::{Allocation, TierName};
use crate::auth::{AccessKey, PasswordHash, Pepper, RefreshRecord, Role, Session};
use crate::id::{AccessKeyId, AccountId, SessionId};
use crate::monitoring::{
    Bucket, Counter, Level, MAX_AMOUNT, Reading, Readings, Resolution, Rollup, Sample, SourceName, SourceState,
    UsageRow,
};
use crate::payment::ServiceStatus;
use crate::secret::SecretDigest;
use crate::store::{Access, Store, StoreError, Tx};
use crate::time::Timestamp;
use crate::users::{Account, AnonymousId, OperatorStatus, SealedSeed, TermsAcceptance};

/// Makes one `#[tokio::test]` of every case. The argument is an async function that gives a fresh store together with
/// whatever has to live as long, as `Option<(impl Store, impl Sized)>`; `None` skips the case.
#[macro_export]
macro_rules! conformance_cases {
    ($fresh:path) => {
        $crate::conformance_cases!(@each $fresh:
            nothing_is_kept_of_a_transaction_that_was_dropped,
            a_tag_and_an_id_are_given_once,
            an_account_is_found_by_any_of_its_tags_and_changes_whole,
            what_was_decided_and_accepted_is_kept_with_the_account,
            a_recovery_code_is_used_once_by_its_own_account,
            an_erased_account_leaves_nothing_and_others_whole,
            accounts_are_counted_by_pepper,
            an_ended_session_takes_its_refresh_tokens_along,
            what_ran_out_is_purged_and_nothing_else,
            a_refresh_token_remembers_its_first_use,
            a_key_name_is_given_once_a_role,
            a_tier_is_seeded_once,
            usage_adds_up_and_keeps_what_nobody_measured_absent,
            usage_is_read_by_range_and_account,
            old_usage_is_purged_by_its_own_resolution,
            a_sum_stops_at_the_largest_figure,
            a_reading_gives_way_to_newer_ones_alone,
            a_source_keeps_its_sequence,
            writers_of_one_row_take_turns,
            many_rows_are_written_at_once,
        );
    };
    (@each $fresh:path: $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some((store, _guard)) = $fresh().await {
                    $crate::testing::conformance::$case(&store).await;
                }
            }
        )+
    };
}

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn id(number: u128) -> AccountId {
    // Both halves in use: a store that cuts an id short is found out.
    AccountId::from_bits(number << 100 | number)
}

fn account(number: u8) -> Account {
    Account {
        id: id(u128::from(number)),
        anonymous_id: AnonymousId::from_bytes([number; 32]),
        pepper: Pepper::from_bytes([9; 32]).id(),
        tier: TierName::Free,
        created_at: NOW,
        trial_started_at: NOW,
        epoch: u64::from(number),
        operator_status: None,
        terms: None,
        subject_seed: None,
    }
}

fn session(number: u128, account: AccountId) -> Session {
    Session {
        id: SessionId::from_bits(number),
        account,
        created_at: NOW,
        expires_at: NOW.after(Duration::from_secs(60)),
        authenticated_at: NOW,
    }
}

fn digest(number: u8) -> SecretDigest {
    SecretDigest::from_bytes([number; 32])
}

fn refresh(number: u8, session: &Session) -> RefreshRecord {
    RefreshRecord { digest: digest(number), session: session.id, expires_at: session.expires_at, used_at: None }
}

fn row(account: AccountId, resolution: Resolution, at: Timestamp, sample: &Sample) -> UsageRow {
    let mut rollup = Rollup::default();
    rollup.add(sample);
    UsageRow { account, resolution, bucket: Bucket::holding(at, resolution), rollup }
}

async fn write(store: &dyn Store) -> Box<dyn Tx> {
    store.begin(Access::Write).await.expect("a writing transaction begins")
}

async fn read(store: &dyn Store) -> Box<dyn Tx> {
    store.begin(Access::Read).await.expect("a reading transaction begins")
}

async fn commit(tx: Box<dyn Tx>) {
    tx.commit().await.expect("the transaction commits");
}

async fn put_account(store: &dyn Store, account: &Account) {
    let mut tx = write(store).await;
    tx.insert_account(account).await.expect("the account is new");
    commit(tx).await;
}

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
        commit(tx).await;
    }
    let mut tx = write(store).await;
    tx.erase_account(id(1)).await.expect("the account is erased");
    tx.erase_account(id(3)).await.expect("there is nothing to erase");
    commit(tx).await;
    let after = NOW.after(Duration::from_secs(60));
    let mut tx = read(store).await;
    for (number, is_kept) in [(1_u8, false), (2, true)] {
        let owner = id(u128::from(number));
        assert_eq!(tx.account(owner).await.unwrap().is_some(), is_kept);
        assert_eq!(tx.account_by_tag(&[account(number).anonymous_id]).await.unwrap().is_some(), is_kept);
        assert_eq!(tx.password(owner).await.unwrap().is_some(), is_kept);
        assert_eq!(tx.recovery_code_count(owner).await.unwrap(), u64::from(is_kept));
        assert_eq!(tx.sessions(owner).await.unwrap().len(), usize::from(is_kept));
        assert_eq!(tx.refresh(&digest(number)).await.unwrap().is_some(), is_kept);
        assert_eq!(tx.readings(owner).await.unwrap() != Readings::default(), is_kept);
        for resolution in Resolution::ALL {
            let rows = tx.usage(owner, resolution, Timestamp::EPOCH, after).await.unwrap();
            assert_eq!(rows.len(), usize::from(is_kept));
        }
    }
    drop(tx);
    put_account(store, &account(1)).await;
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

pub async fn an_ended_session_takes_its_refresh_tokens_along(store: &dyn Store) {
    for number in [1, 2] {
        put_account(store, &account(number)).await;
    }
    let sessions = [session(1, id(1)), session(2, id(1)), session(3, id(2))];
    let mut tx = write(store).await;
    for (number, session) in (1..).zip(&sessions) {
        tx.insert_session(session).await.expect("the session is new");
        tx.insert_refresh(&refresh(number, session)).await.expect("the token is new");
    }
    tx.end_session(sessions[0].id).await.expect("the session ends");
    tx.end_session(sessions[0].id).await.expect("ending it again does nothing");
    commit(tx).await;

    let mut tx = write(store).await;
    assert_eq!(tx.session(sessions[0].id).await.unwrap(), None);
    assert_eq!(tx.refresh(&digest(1)).await.unwrap(), None);
    assert_eq!(tx.sessions(id(1)).await.unwrap(), [sessions[1].clone()]);
    tx.end_sessions(id(1)).await.expect("all sessions end");
    commit(tx).await;

    let mut tx = read(store).await;
    assert_eq!(tx.sessions(id(1)).await.unwrap(), []);
    assert_eq!(tx.refreshes(id(1)).await.unwrap(), []);
    assert_eq!(tx.refreshes(id(2)).await.unwrap(), [refresh(3, &sessions[2])]);
    assert_eq!(tx.refresh(&digest(2)).await.unwrap(), None);
    assert_eq!(tx.session(sessions[2].id).await.unwrap(), Some(sessions[2].clone()));
    assert!(tx.refresh(&digest(3)).await.unwrap().is_some());
}

pub async fn what_ran_out_is_purged_and_nothing_else(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let old = session(1, id(1));
    let young = Session { expires_at: old.expires_at.after(Duration::from_secs(60)), ..session(2, id(1)) };
    let mut tx = write(store).await;
    for session in [&old, &young] {
        tx.insert_session(session).await.expect("the session is new");
    }
    tx.insert_refresh(&refresh(1, &old)).await.expect("the token is new");
    tx.insert_refresh(&refresh(2, &young)).await.expect("the token is new");
    assert_eq!(tx.purge_sessions(old.expires_at).await.unwrap(), 0);
    assert_eq!(tx.purge_sessions(young.expires_at).await.unwrap(), 1);
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.sessions(id(1)).await.unwrap(), [young]);
    assert_eq!(tx.refresh(&digest(1)).await.unwrap(), None);
    assert!(tx.refresh(&digest(2)).await.unwrap().is_some());
}

pub async fn a_refresh_token_remembers_its_first_use(store: &dyn Store) {
    put_account(store, &account(1)).await;
    let session = session(1, id(1));
    let later = session.expires_at.after(Duration::from_secs(5));
    let mut tx = write(store).await;
    tx.insert_session(&session).await.expect("the session is new");
    tx.insert_refresh(&refresh(1, &session)).await.expect("the token is new");
    tx.mark_refresh_used(&digest(1), NOW).await.expect("the use is written");
    tx.extend_session(session.id, later).await.expect("the session is extended");
    tx.mark_authenticated(session.id, later).await.expect("the check is written");
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(
        tx.refresh(&digest(1)).await.unwrap(),
        Some(RefreshRecord { used_at: Some(NOW), ..refresh(1, &session) })
    );
    assert_eq!(
        tx.session(session.id).await.unwrap(),
        Some(Session { expires_at: later, authenticated_at: later, ..session })
    );
}

pub async fn a_key_name_is_given_once_a_role(store: &dyn Store) {
    let key = |number: u8, role, name: &str| AccessKey {
        id: AccessKeyId::from_bits(u128::from(number)),
        role,
        name: name.parse().expect("a good name"),
        digest: digest(number),
        created_at: NOW,
    };
    let mut tx = write(store).await;
    tx.insert_access_key(&key(1, Role::Agent, "one")).await.expect("the name is new");
    tx.insert_access_key(&key(2, Role::Operator, "one")).await.expect("the name is new to the role");
    commit(tx).await;
    let mut tx = write(store).await;
    assert!(matches!(tx.insert_access_key(&key(3, Role::Agent, "one")).await, Err(StoreError::Conflict)));
    drop(tx);
    let mut tx = read(store).await;
    assert_eq!(tx.access_key(&digest(2)).await.unwrap(), Some(key(2, Role::Operator, "one")));
    assert_eq!(tx.access_key(&digest(3)).await.unwrap(), None);
}

pub async fn a_tier_is_seeded_once(store: &dyn Store) {
    let mut tx = write(store).await;
    for tier in TierName::ALL {
        tx.insert_allocation(&Allocation::initial(tier)).await.expect("the tier is new");
    }
    commit(tx).await;
    let mut tx = read(store).await;
    let mut tiers = tx.allocations().await.unwrap();
    tiers.sort_by_key(|allocation| allocation.tier);
    assert_eq!(tiers, TierName::ALL.map(Allocation::initial));
    drop(tx);
    let mut tx = write(store).await;
    assert!(matches!(tx.insert_allocation(&Allocation::initial(TierName::Pro)).await, Err(StoreError::Conflict)));
}

pub async fn usage_adds_up_and_keeps_what_nobody_measured_absent(store: &dyn Store) {
    let first = Sample::at(NOW).with_level(Level::RamBytes, 10).with_added(Counter::ApiCalls, 1);
    let second = Sample::at(NOW).with_level(Level::RamBytes, 4).with_level(Level::FileCount, 0);
    let third = Sample::at(NOW).with_added(Counter::ApiCalls, 2).with_added(Counter::BytesSent, 0);
    let mut expected = Rollup::default();
    for sample in [first, second, third] {
        expected.add(&sample);
        let mut tx = write(store).await;
        tx.add_usage(&[row(id(1), Resolution::Minute, NOW, &sample)]).await.expect("usage is added");
        commit(tx).await;
    }
    let mut tx = read(store).await;
    let after = NOW.after(Duration::from_secs(60));
    let rows = tx.usage(id(1), Resolution::Minute, Timestamp::EPOCH, after).await.unwrap();
    assert_eq!(rows, [(Bucket::holding(NOW, Resolution::Minute), expected)]);
    assert_eq!(rows[0].1.total(Counter::BytesReceived), None);
    assert_eq!(rows[0].1.total(Counter::BytesSent), Some(0));
}

pub async fn usage_is_read_by_range_and_account(store: &dyn Store) {
    let minute = Duration::from_secs(60);
    let start = NOW.floor(3_600);
    let mut rows = Vec::new();
    for number in [1, 2] {
        for step in 0..5 {
            let at = start.after(minute * step);
            let sample = Sample::at(at).with_added(Counter::ApiCalls, u64::from(step));
            rows.push(row(id(number), Resolution::Minute, at, &sample));
        }
        rows.push(row(id(number), Resolution::Hour, start, &Sample::at(start).with_added(Counter::ApiCalls, 10)));
    }
    let mut tx = write(store).await;
    tx.add_usage(&rows).await.expect("usage is added");
    commit(tx).await;
    let mut tx = read(store).await;
    let found = tx.usage(id(1), Resolution::Minute, start.after(minute), start.after(minute * 3)).await.unwrap();
    let counts: Vec<_> = found.iter().map(|(_, rollup)| rollup.total(Counter::ApiCalls).unwrap()).collect();
    assert_eq!(counts, [1, 2]);
    assert_eq!(tx.usage(id(1), Resolution::Hour, start, start.after(minute)).await.unwrap().len(), 1);
    assert!(tx.usage(id(3), Resolution::Minute, start, start.after(minute)).await.unwrap().is_empty());
    assert!(tx.usage(id(1), Resolution::Minute, start, start).await.unwrap().is_empty());
}

pub async fn old_usage_is_purged_by_its_own_resolution(store: &dyn Store) {
    let sample = Sample::at(NOW).with_added(Counter::ApiCalls, 1);
    let later = NOW.after(Duration::from_secs(60));
    let rows = [
        row(id(1), Resolution::Minute, NOW, &sample),
        row(id(1), Resolution::Minute, later, &sample),
        row(id(1), Resolution::Hour, NOW, &sample),
    ];
    let mut tx = write(store).await;
    tx.add_usage(&rows).await.expect("usage is added");
    let until = Bucket::holding(later, Resolution::Minute).start();
    assert_eq!(tx.purge_usage(Resolution::Minute, until).await.unwrap(), 1);
    commit(tx).await;
    let mut tx = read(store).await;
    let end = later.after(Duration::from_secs(3_600));
    assert_eq!(tx.usage(id(1), Resolution::Minute, Timestamp::EPOCH, end).await.unwrap().len(), 1);
    assert_eq!(tx.usage(id(1), Resolution::Hour, Timestamp::EPOCH, end).await.unwrap().len(), 1);
}

pub async fn a_sum_stops_at_the_largest_figure(store: &dyn Store) {
    let sample = Sample::at(NOW).with_added(Counter::BytesSent, MAX_AMOUNT).with_level(Level::RamBytes, MAX_AMOUNT);
    for _ in 0..3 {
        let mut tx = write(store).await;
        tx.add_usage(&[row(id(1), Resolution::Day, NOW, &sample)]).await.expect("usage is added");
        commit(tx).await;
    }
    let mut tx = read(store).await;
    let rows = tx.usage(id(1), Resolution::Day, Timestamp::EPOCH, NOW).await.unwrap();
    assert_eq!(rows[0].1.total(Counter::BytesSent), Some(MAX_AMOUNT));
    assert_eq!(rows[0].1.level(Level::RamBytes).peak, MAX_AMOUNT);
    assert_eq!(rows[0].1.level(Level::RamBytes).count, 3);
}

pub async fn a_reading_gives_way_to_newer_ones_alone(store: &dyn Store) {
    let at = |seconds| NOW.after(Duration::from_secs(seconds));
    let readings = |sample: Sample| {
        let mut readings = Readings::default();
        readings.add(&sample);
        readings
    };
    for sample in [
        Sample::at(at(10)).with_level(Level::RamBytes, 1).with_level(Level::TableCount, 0),
        Sample::at(at(5)).with_level(Level::RamBytes, 2),
        Sample::at(at(20)).with_level(Level::StorageBytes, MAX_AMOUNT),
    ] {
        let mut tx = write(store).await;
        tx.save_readings(&[(id(1), readings(sample)), (id(2), readings(sample))]).await.expect("readings are set");
        commit(tx).await;
    }
    let mut tx = read(store).await;
    let found = tx.readings(id(1)).await.unwrap();
    assert_eq!(found.of(Level::RamBytes), Some(Reading { value: 1, at: at(10) }));
    assert_eq!(found.of(Level::TableCount), Some(Reading { value: 0, at: at(10) }));
    assert_eq!(found.of(Level::StorageBytes), Some(Reading { value: MAX_AMOUNT, at: at(20) }));
    assert_eq!(found.of(Level::CpuMillicores), None);
    assert_eq!(tx.readings(id(3)).await.unwrap(), Readings::default());
}

pub async fn a_source_keeps_its_sequence(store: &dyn Store) {
    let agent = AccessKeyId::from_bits(1);
    let names = ["", "web-1"].map(|name| name.parse::<SourceName>().expect("a good name"));
    let states = ["7", "9 4-4 6-7"].map(|state| state.parse::<SourceState>().expect("a good state"));
    let mut tx = write(store).await;
    assert_eq!(tx.source(agent, &names[0]).await.unwrap(), None);
    tx.save_source(agent, &names[0], &states[1]).await.expect("a source is added");
    tx.save_source(agent, &names[0], &states[0]).await.expect("a source is changed");
    tx.save_source(agent, &names[1], &states[1]).await.expect("a source is added");
    commit(tx).await;
    let mut tx = read(store).await;
    assert_eq!(tx.source(agent, &names[0]).await.unwrap().as_ref(), Some(&states[0]));
    assert_eq!(tx.source(agent, &names[1]).await.unwrap().as_ref(), Some(&states[1]));
    assert_eq!(tx.source_count(agent).await.unwrap(), 2);
    assert_eq!(tx.source_count(AccessKeyId::from_bits(2)).await.unwrap(), 0);
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

pub async fn many_rows_are_written_at_once(store: &dyn Store) {
    // More than any database takes parameters for in one statement.
    const ACCOUNTS: u128 = 4_000;
    let sample = Sample::at(NOW).with_added(Counter::ApiCalls, 1).with_level(Level::RamBytes, 5);
    let mut readings = Readings::default();
    readings.add(&sample);
    let rows: Vec<_> = (1..=ACCOUNTS).map(|number| row(id(number), Resolution::Minute, NOW, &sample)).collect();
    let readings: Vec<_> = (1..=ACCOUNTS).map(|number| (id(number), readings)).collect();
    let mut tx = write(store).await;
    tx.add_usage(&rows).await.expect("usage is added");
    tx.add_usage(&[]).await.expect("nothing is added");
    tx.save_readings(&readings).await.expect("readings are set");
    tx.save_readings(&[]).await.expect("nothing is set");
    commit(tx).await;
    let mut tx = read(store).await;
    let found = tx.usage(id(ACCOUNTS), Resolution::Minute, Timestamp::EPOCH, NOW).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(tx.readings(id(ACCOUNTS)).await.unwrap().of(Level::RamBytes).unwrap().value, 5);
}
