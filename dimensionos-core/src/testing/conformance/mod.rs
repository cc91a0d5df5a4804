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

mod accounts;
mod bus;
mod each;
mod enforcement;
mod jobs;
mod payment;
mod quotas;
mod replicas;
mod sessions;
mod tiers;
mod usage;
mod vouchers;

use std::time::Duration;

use crate::auth::{Pepper, RefreshRecord, Session};
use crate::id::{AccountId, SessionId};
use crate::monitoring::{Bucket, Resolution, Rollup, Sample, UsageRow};
use crate::secret::SecretDigest;
use crate::store::{Access, Store, Tx};
use crate::time::Timestamp;
use crate::users::{Account, AnonymousId};

pub use accounts::*;
pub use bus::*;
pub use each::*;
pub use enforcement::*;
pub use jobs::*;
pub use payment::*;
pub use quotas::*;
pub use replicas::*;
pub use sessions::*;
pub use tiers::*;
pub use usage::*;
pub use vouchers::*;

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
            accounts_that_are_not_there_are_told_apart,
            accounts_are_listed_newest_first_in_pages,
            several_accounts_are_read_as_each_of_them_is,
            accounts_are_counted_by_pepper,
            an_ended_session_takes_its_refresh_tokens_along,
            what_ran_out_is_purged_and_nothing_else,
            a_refresh_token_remembers_its_first_use,
            a_key_name_is_given_once_a_role,
            keys_of_a_role_are_listed_newest_first_in_pages,
            a_version_of_a_tier_is_given_once_and_kept_whole,
            accounts_are_counted_by_tier,
            those_are_found_who_use_more_than_so_much,
            usage_adds_up_and_keeps_what_nobody_measured_absent,
            usage_is_read_by_range_and_account,
            old_usage_is_purged_by_its_own_resolution,
            usage_is_the_same_wherever_room_was_made_for_it,
            a_sum_stops_at_the_largest_figure,
            a_reading_gives_way_to_newer_ones_alone,
            a_source_keeps_its_sequence,
            writers_of_one_row_take_turns,
            many_rows_are_written_at_once,
            a_flush_is_known_by_its_mark_once_it_took_effect,
            a_mark_that_is_being_committed_is_waited_for,
            a_deployment_is_named_once,
            a_change_is_told_once_it_is_committed,
            no_change_is_missed_whose_transaction_ends_late,
            changes_are_forgotten_by_their_age,
            usage_has_a_version_that_counts_its_additions,
            a_hold_is_kept_changed_and_removed,
            a_key_is_decided_once,
            an_account_has_one_limit_of_its_own_a_resource,
            quotas_that_ended_are_purged_and_nothing_else,
            use_is_added_up_from_a_minute_on,
            one_process_has_a_job_until_it_ends,
            a_lease_names_its_last_holder,
            a_job_has_one_last_run,
            a_violation_is_kept_whole_and_changed_whole,
            violations_are_listed_newest_first_in_pages,
            violations_are_counted_by_what_they_are,
            violations_that_are_over_are_purged_unless_somebody_waits,
            a_policy_has_one_version,
            the_state_of_detectors_goes_with_its_account,
            an_account_carries_what_restricts_it,
            an_account_carries_what_was_paid_and_told,
            accounts_are_due_in_the_order_of_their_instants,
            an_attestation_is_spent_once,
            a_tombstone_answers_until_its_end,
            a_key_of_vouchers_is_published_once,
            a_voucher_is_spent_once_in_its_epoch,
            vouchers_of_old_epochs_are_purged_with_their_keys,
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

/// Makes one `#[tokio::test]` of every case of a [`Bus`](crate::replicas::Bus). The argument is an async function that gives
/// two connections to one bus, together with whatever has to live as long; `None` skips the case.
#[macro_export]
macro_rules! bus_cases {
    ($fresh:path) => {
        $crate::bus_cases!(@each $fresh:
            a_message_reaches_all_who_listen_to_its_topic,
            whoever_sends_hears_it_too,
            messages_of_one_sender_come_in_their_order_and_whole,
            whoever_listens_later_hears_what_comes_then,
            a_bus_that_works_says_so,
        );
    };
    (@each $fresh:path: $($case:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some((one, other, _guard)) = $fresh().await {
                    $crate::testing::conformance::$case(&one, &other).await;
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
        epoch: u64::from(number),
        ..Account::new(id(number.into()), AnonymousId::from_bytes([number; 32]), Pepper::from_bytes([9; 32]).id(), NOW)
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
