//! The ports, call by call. A call that writes is done in memory and noted, to be written with the commit; at the start
//! the notes are done again. A call that asks is handed on.

use async_trait::async_trait;
use dimensionos_core::Timestamp;
use dimensionos_core::allocation::{
    HeavyUse, HeavyUser, Hold, KeyedDecision, LimitOverride, Resource, TierName, TierVersion,
};
use dimensionos_core::auth::{AccessKey, KeyId, KeyPlace, PasswordHash, RefreshRecord, Role, Session};
use dimensionos_core::id::{AccessKeyId, AccountId, DeploymentId, HoldId, ReplicaId, SessionId, ViolationId};
use dimensionos_core::jobs::{JobLease, JobRun};
use dimensionos_core::monitoring::{
    Bucket, Counter, Readings, Resolution, Rollup, SourceName, SourceState, UsageRow, UsageTotals,
};
use dimensionos_core::payment::voucher::{Epoch, Nullifier, PublishedKey};
use dimensionos_core::payment::{SpentAttestation, Tombstone};
use dimensionos_core::replicas::{AccountChange, ChangeMark};
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::store::{
    AccessKeys, Accounts, Jobs, Payments, Policies, Quotas, Replicas, Sessions, StoreError, Tiers, Tx, Usage,
    Violations, Vouchers,
};
use dimensionos_core::tos::{PolicyRecord, Violation, ViolationCount, ViolationFilter, ViolationPlace};
use dimensionos_core::users::{Account, AccountPlace, AnonymousId};
use serde_json::Value;

use super::rows::Row;
use super::{Damaged, JournalTx};

/// An argument as it is kept, and as it is lent to the call that is done again.
trait Argument<'a>: Sized {
    type Kept: Row + 'a;
    fn note(self) -> Value;
    fn lend(kept: &'a Self::Kept) -> Self;
}

impl<'a, T: Row + 'a> Argument<'a> for &'a T {
    type Kept = T;
    fn note(self) -> Value {
        self.write()
    }
    fn lend(kept: &'a T) -> Self {
        kept
    }
}

impl<'a, T: Row + 'a> Argument<'a> for &'a [T] {
    type Kept = Vec<T>;
    fn note(self) -> Value {
        self.iter().map(Row::write).collect()
    }
    fn lend(kept: &'a Vec<T>) -> Self {
        kept
    }
}

macro_rules! copied {
    ($($type:ty)+) => {
        $(impl Argument<'_> for $type {
            type Kept = Self;
            fn note(self) -> Value {
                self.write()
            }
            fn lend(kept: &Self) -> Self {
                *kept
            }
        })+
    };
}

copied!(AccountId DeploymentId SessionId HoldId ReplicaId Timestamp Resolution Epoch u64);

macro_rules! call {
    (writes $tx:ident.$name:ident($($arg:ident),*)) => {{
        let done = $tx.inner.$name($($arg),*).await;
        $tx.note(stringify!($name), vec![$(Argument::note($arg)),*], done)
    }};
    (asks $tx:ident.$name:ident($($arg:ident),*)) => {
        $tx.inner.$name($($arg),*).await
    };
}

macro_rules! again {
    (writes $tx:ident, $notes:ident, $name:ident($($arg:ident: $type:ty),*)) => {{
        let [$($arg),*] = $notes else { return Err(Damaged) };
        $(let $arg = <<$type as Argument<'_>>::Kept as Row>::read($arg).ok_or(Damaged)?;)*
        $tx.$name($(<$type as Argument<'_>>::lend(&$arg)),*).await.map_err(|_| Damaged)?;
    }};
    (asks $($any:tt)*) => {
        return Err(Damaged)
    };
}

macro_rules! ports {
    ($($port:ident { $($kind:ident $name:ident($($arg:ident: $type:ty),*) -> $done:ty;)+ })+) => {
        $(#[async_trait]
        impl $port for JournalTx {
            $(async fn $name(&mut self, $($arg: $type),*) -> Result<$done, StoreError> {
                call!($kind self.$name($($arg),*))
            })+
        })+

        /// Does a call again that was noted.
        pub(super) async fn again(tx: &mut dyn Tx, name: &str, notes: &[Value]) -> Result<(), Damaged> {
            match name {
                $($(stringify!($name) => again!($kind tx, notes, $name($($arg: $type),*)),)+)+
                _ => return Err(Damaged),
            }
            Ok(())
        }
    };
}

ports! {
    Accounts {
        writes insert_account(account: &Account) -> ();
        writes update_account(account: &Account) -> ();
        asks account(id: AccountId) -> Option<Account>;
        asks accounts(ids: &[AccountId]) -> Vec<Account>;
        asks account_by_tag(tags: &[AnonymousId]) -> Option<Account>;
        writes set_password(account: AccountId, hash: &PasswordHash) -> ();
        asks password(account: AccountId) -> Option<PasswordHash>;
        writes set_recovery_codes(account: AccountId, digests: &[SecretDigest]) -> ();
        writes use_recovery_code(account: AccountId, digest: &SecretDigest) -> bool;
        asks recovery_code_count(account: AccountId) -> u64;
        asks missing_accounts(accounts: &[AccountId]) -> Vec<AccountId>;
        writes erase_account(id: AccountId) -> ();
        asks accounts_due(now: Timestamp, limit: u64) -> Vec<AccountId>;
        asks list_accounts(tier: Option<TierName>, after: Option<AccountPlace>, limit: u64) -> Vec<Account>;
        asks accounts_by_pepper() -> Vec<(KeyId, u64)>;
    }
    Sessions {
        writes insert_session(session: &Session) -> ();
        asks session(id: SessionId) -> Option<Session>;
        asks sessions(account: AccountId) -> Vec<Session>;
        asks sessions_of(accounts: &[AccountId]) -> Vec<Session>;
        writes extend_session(id: SessionId, expires_at: Timestamp) -> ();
        writes mark_authenticated(id: SessionId, at: Timestamp) -> ();
        writes end_session(id: SessionId) -> ();
        writes end_sessions(account: AccountId) -> ();
        writes purge_sessions(before: Timestamp) -> u64;
        writes insert_refresh(record: &RefreshRecord) -> ();
        asks refresh(digest: &SecretDigest) -> Option<RefreshRecord>;
        asks refreshes(account: AccountId) -> Vec<RefreshRecord>;
        writes mark_refresh_used(digest: &SecretDigest, at: Timestamp) -> ();
    }
    AccessKeys {
        writes insert_access_key(key: &AccessKey) -> ();
        asks access_key(digest: &SecretDigest) -> Option<AccessKey>;
        asks access_key_by_id(id: AccessKeyId) -> Option<AccessKey>;
        asks list_access_keys(role: Role, after: Option<KeyPlace>, limit: u64) -> Vec<AccessKey>;
    }
    Tiers {
        asks tier_versions() -> Vec<TierVersion>;
        writes insert_tier_version(version: &TierVersion) -> ();
        asks tier_accounts(tier: TierName) -> u64;
        asks heavy_users(asked: &HeavyUse, limit: u64) -> (u64, Vec<HeavyUser>);
    }
    Usage {
        asks sources(sources: &[(AccessKeyId, SourceName)]) -> Vec<Option<SourceState>>;
        asks source_count(agent: AccessKeyId) -> u64;
        writes save_sources(sources: &[(AccessKeyId, SourceName, SourceState)]) -> ();
        writes add_usage(rows: &[UsageRow]) -> ();
        asks usage(account: AccountId, resolution: Resolution, from: Timestamp, to: Timestamp) -> Vec<(Bucket, Rollup)>;
        asks usage_of_each(
            accounts: &[AccountId],
            resource: Option<Resource>,
            resolution: Resolution,
            range: (Timestamp, Timestamp)
        ) -> Vec<(AccountId, Bucket, Rollup)>;
        asks usage_totals(
            accounts: &[AccountId],
            resolution: Resolution,
            range: (Timestamp, Timestamp)
        ) -> Vec<(AccountId, UsageTotals)>;
        asks used_since(account: AccountId, counter: Counter, from: Timestamp) -> u64;
        writes purge_usage(resolution: Resolution, before: Timestamp) -> u64;
        writes save_readings(readings: &[(AccountId, Readings)]) -> ();
        asks readings(account: AccountId) -> Readings;
        asks readings_of(accounts: &[AccountId]) -> Vec<(AccountId, Readings)>;
        asks usage_versions(accounts: &[AccountId]) -> Vec<(AccountId, u64)>;
        writes mark_flush(replica: ReplicaId, flush: u64, at: Timestamp) -> ();
        asks last_flush(replica: ReplicaId) -> Option<u64>;
        writes purge_flushes(before: Timestamp) -> u64;
    }
    Quotas {
        asks holds(account: AccountId) -> Vec<Hold>;
        asks hold(id: HoldId) -> Option<Hold>;
        writes save_hold(hold: &Hold) -> ();
        writes remove_hold(id: HoldId) -> ();
        asks decisions(keys: &[SecretDigest]) -> Vec<Option<KeyedDecision>>;
        asks decisions_of(account: AccountId) -> Vec<KeyedDecision>;
        writes insert_decisions(decisions: &[KeyedDecision]) -> ();
        asks overrides(account: AccountId) -> Vec<LimitOverride>;
        asks overrides_of(accounts: &[AccountId]) -> Vec<(AccountId, LimitOverride)>;
        writes set_override(account: AccountId, own: &LimitOverride) -> ();
        writes purge_quotas(before: Timestamp) -> u64;
    }
    Violations {
        writes insert_violation(violation: &Violation) -> ();
        writes update_violation(violation: &Violation) -> ();
        asks violation(id: ViolationId) -> Option<Violation>;
        asks violations(filter: &ViolationFilter, after: Option<ViolationPlace>, limit: u64) -> Vec<Violation>;
        asks violations_of(accounts: &[AccountId], after: Option<ViolationPlace>, limit: u64) -> Vec<Violation>;
        asks violation_counts(from: Timestamp, to: Timestamp) -> Vec<ViolationCount>;
        writes purge_violations(ended_before: Timestamp) -> u64;
        // Not noted: sums that fade, for which a journal has no room. Detectors begin anew with the program.
        asks save_detectors(states: &[(AccountId, Vec<u8>)]) -> ();
        asks detectors(account: AccountId) -> Option<Vec<u8>>;
        asks detectors_of(accounts: &[AccountId]) -> Vec<(AccountId, Vec<u8>)>;
    }
    Payments {
        writes spend_attestation(spent: &SpentAttestation) -> ();
        asks spent_attestation(digest: &SecretDigest) -> Option<SpentAttestation>;
        writes keep_tombstone(tombstone: &Tombstone) -> ();
        asks has_tombstone(tags: &[[u8; 32]], now: Timestamp) -> bool;
        writes purge_tombstones(before: Timestamp) -> u64;
    }
    Vouchers {
        writes insert_voucher_key(key: &PublishedKey) -> ();
        asks voucher_keys() -> Vec<PublishedKey>;
        writes spend_voucher(epoch: Epoch, nullifier: &Nullifier) -> ();
        writes purge_vouchers(before: Epoch) -> u64;
    }
    Policies {
        writes insert_policy(policy: &PolicyRecord) -> ();
        asks policies() -> Vec<PolicyRecord>;
    }
    Jobs {
        // Not noted: the folder is one process's, and what that process took on ends with it.
        asks take_job(job: &'static str, holder: ReplicaId, now: Timestamp, until: Timestamp) -> bool;
        asks job_lease(job: &'static str) -> Option<JobLease>;
        writes save_job_run(run: &JobRun) -> ();
        asks job_runs() -> Vec<JobRun>;
    }
    Replicas {
        writes deployment(new: DeploymentId) -> DeploymentId;
        writes note_change(account: AccountId, by: ReplicaId, at: Timestamp) -> ();
        asks changes_since(mark: Option<ChangeMark>) -> (Vec<AccountChange>, ChangeMark);
        writes purge_changes(before: Timestamp) -> u64;
    }
}
