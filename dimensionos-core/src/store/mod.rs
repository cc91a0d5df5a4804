//! What the services need of a storage: one small trait a subject, and one transaction that has them all.
//!
//! [`MemoryStore`] is the storage of this crate; `dimensionos-store` has SQLite and PostgreSQL. Whoever writes another
//! runs the cases of `testing::conformance` against it.

mod memory;

use std::fmt;

use async_trait::async_trait;

use crate::allocation::{HeavyUse, HeavyUser, Hold, KeyedDecision, LimitOverride, Resource, TierName, TierVersion};
use crate::auth::{AccessKey, KeyId, KeyPlace, PasswordHash, RefreshRecord, Role, Session};
use crate::id::{AccessKeyId, AccountId, DeploymentId, HoldId, ReplicaId, SessionId, ViolationId};
use crate::jobs::{JobLease, JobRun};
use crate::monitoring::{
    Bucket, Counter, Readings, Resolution, Rollup, SourceName, SourceState, UsageRow, UsageTotals,
};
use crate::payment::voucher::{Epoch, Nullifier, PublishedKey};
use crate::payment::{SpentAttestation, Tombstone};
use crate::replicas::{AccountChange, ChangeMark};
use crate::secret::SecretDigest;
use crate::time::Timestamp;
use crate::tos::{PolicyRecord, Violation, ViolationCount, ViolationFilter, ViolationPlace};
use crate::users::{Account, AccountPlace, AnonymousId};

pub use memory::MemoryStore;

/// Why the storage did not do what was asked. Nothing of the transaction is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What must be unique is there already.
    #[error("already there")]
    Conflict,
    /// Another transaction was in the way; trying again may help.
    #[error("busy")]
    Busy,
    /// The storage cannot be reached, is full, or holds what it should not.
    #[error("unavailable")]
    Unavailable {
        /// What it said. It is for the log's chain of causes, and names no value that is stored.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Wraps what a storage said.
    pub fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading one consistent state.
    Read,
    /// Reading and writing. A row that such a transaction has read by its key is not changed by another until it ends.
    Write,
}

/// A storage.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Begins a transaction.
    async fn begin(&self, access: Access) -> Result<Box<dyn Tx>, StoreError>;

    /// Whether the storage answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Whether several processes may work on it at once.
    fn is_shared(&self) -> bool {
        false
    }

    /// Removes what was deleted from wherever the storage keeps it beside the rows, such as a log of its own. Called
    /// after an account was erased.
    async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// One transaction: nothing of it is seen by others before [`commit`](Tx::commit), and nothing is kept where it is
/// dropped instead.
#[async_trait]
pub trait Tx:
    Accounts
    + Sessions
    + AccessKeys
    + Tiers
    + Usage
    + Quotas
    + Violations
    + Payments
    + Vouchers
    + Policies
    + Jobs
    + Replicas
    + Send
{
    /// Makes everything done in it durable, all or nothing.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// Accounts and their passwords.
#[async_trait]
pub trait Accounts: Send {
    /// Adds an account; `Conflict` where its id or tag is taken.
    async fn insert_account(&mut self, account: &Account) -> Result<(), StoreError>;
    /// Replaces an account's row; `Conflict` where its new tag is taken.
    async fn update_account(&mut self, account: &Account) -> Result<(), StoreError>;
    /// An account by its id.
    async fn account(&mut self, id: AccountId) -> Result<Option<Account>, StoreError>;
    /// Those of these accounts that are there, in any order. No account stands twice.
    async fn accounts(&mut self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.account(*id).await?);
        }
        Ok(found)
    }
    /// The account that has any of these tags.
    async fn account_by_tag(&mut self, tags: &[AnonymousId]) -> Result<Option<Account>, StoreError>;
    /// Sets an account's password, in place of any it has.
    async fn set_password(&mut self, account: AccountId, hash: &PasswordHash) -> Result<(), StoreError>;
    /// An account's password.
    async fn password(&mut self, account: AccountId) -> Result<Option<PasswordHash>, StoreError>;
    /// Sets an account's recovery codes, in place of all it has.
    async fn set_recovery_codes(&mut self, account: AccountId, digests: &[SecretDigest]) -> Result<(), StoreError>;
    /// Removes a recovery code, and says whether it was there: of two that use one code, one gets it.
    async fn use_recovery_code(&mut self, account: AccountId, digest: &SecretDigest) -> Result<bool, StoreError>;
    /// How many recovery codes an account has left.
    async fn recovery_code_count(&mut self, account: AccountId) -> Result<u64, StoreError>;
    /// Which of these accounts are not there, in any order. In a writing transaction those that are there stay until it
    /// ends. No account stands twice.
    async fn missing_accounts(&mut self, accounts: &[AccountId]) -> Result<Vec<AccountId>, StoreError>;
    /// Removes an account and everything that is kept of it: its password, codes, sessions, usage, readings and quotas, and
    /// that it was changed.
    async fn erase_account(&mut self, id: AccountId) -> Result<(), StoreError>;
    /// The accounts of which something is to be told or done at an instant, the longest due first, at most `limit` of
    /// them.
    async fn accounts_due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<AccountId>, StoreError>;
    /// The accounts of a tier, or all of them: newest first, those of one instant by their ids, the highest first; at most
    /// `limit` of them, after the place of one that was listed before.
    async fn list_accounts(
        &mut self,
        tier: Option<TierName>,
        after: Option<AccountPlace>,
        limit: u64,
    ) -> Result<Vec<Account>, StoreError>;
    /// How many accounts have their tag under each pepper, in the order of the peppers' ids.
    async fn accounts_by_pepper(&mut self) -> Result<Vec<(KeyId, u64)>, StoreError>;
}

/// Sessions and their refresh tokens.
#[async_trait]
pub trait Sessions: Send {
    /// Adds a session.
    async fn insert_session(&mut self, session: &Session) -> Result<(), StoreError>;
    /// A session by its id.
    async fn session(&mut self, id: SessionId) -> Result<Option<Session>, StoreError>;
    /// The sessions of an account, oldest first.
    async fn sessions(&mut self, account: AccountId) -> Result<Vec<Session>, StoreError>;
    /// The sessions of several accounts, each account's oldest first. No account stands twice.
    async fn sessions_of(&mut self, accounts: &[AccountId]) -> Result<Vec<Session>, StoreError> {
        let mut found = Vec::new();
        for account in accounts {
            found.extend(self.sessions(*account).await?);
        }
        Ok(found)
    }
    /// Sets when a session's youngest refresh token runs out.
    async fn extend_session(&mut self, id: SessionId, expires_at: Timestamp) -> Result<(), StoreError>;
    /// Sets when a session's holder last proved to know the password.
    async fn mark_authenticated(&mut self, id: SessionId, at: Timestamp) -> Result<(), StoreError>;
    /// Removes a session and its refresh tokens; nothing where it is gone already.
    async fn end_session(&mut self, id: SessionId) -> Result<(), StoreError>;
    /// Removes every session of an account with their refresh tokens.
    async fn end_sessions(&mut self, account: AccountId) -> Result<(), StoreError>;
    /// Removes what ran out before that instant, and says how many sessions went.
    async fn purge_sessions(&mut self, before: Timestamp) -> Result<u64, StoreError>;
    /// Adds a refresh token.
    async fn insert_refresh(&mut self, record: &RefreshRecord) -> Result<(), StoreError>;
    /// A refresh token by its digest.
    async fn refresh(&mut self, digest: &SecretDigest) -> Result<Option<RefreshRecord>, StoreError>;
    /// The refresh tokens of an account's sessions, in the order in which they run out.
    async fn refreshes(&mut self, account: AccountId) -> Result<Vec<RefreshRecord>, StoreError>;
    /// Writes down the first use of a refresh token.
    async fn mark_refresh_used(&mut self, digest: &SecretDigest, at: Timestamp) -> Result<(), StoreError>;
}

/// The keys of agents and operators.
#[async_trait]
pub trait AccessKeys {
    /// Adds a key; `Conflict` where its role has one of that name.
    async fn insert_access_key(&mut self, key: &AccessKey) -> Result<(), StoreError>;
    /// A key by the digest of its token.
    async fn access_key(&mut self, digest: &SecretDigest) -> Result<Option<AccessKey>, StoreError>;
    /// A key by its id.
    async fn access_key_by_id(&mut self, id: AccessKeyId) -> Result<Option<AccessKey>, StoreError>;
    /// The keys of a role: newest first, those of one instant by their ids, the highest first; at most `limit` of them,
    /// after the place of one that was listed before.
    async fn list_access_keys(
        &mut self,
        role: Role,
        after: Option<KeyPlace>,
        limit: u64,
    ) -> Result<Vec<AccessKey>, StoreError>;
}

/// What the tiers grant and when, and who is on them.
#[async_trait]
pub trait Tiers {
    /// Every version of every tier, in no order.
    async fn tier_versions(&mut self) -> Result<Vec<TierVersion>, StoreError>;
    /// Adds a version of a tier; `Conflict` where it has one of that number.
    async fn insert_tier_version(&mut self, version: &TierVersion) -> Result<(), StoreError>;
    /// How many accounts are on a tier.
    async fn tier_accounts(&mut self, tier: TierName) -> Result<u64, StoreError>;
    /// Accounts that use much: how many, and the heaviest `limit` of them, the heaviest first and those that use the same
    /// in the order of their ids.
    async fn heavy_users(&mut self, asked: &HeavyUse, limit: u64) -> Result<(u64, Vec<HeavyUser>), StoreError>;
}

/// What accounts used.
#[async_trait]
pub trait Usage: Send {
    /// What is known of the sequences of sources, in the order asked; absent for a source never heard of.
    async fn sources(&mut self, sources: &[(AccessKeyId, SourceName)]) -> Result<Vec<Option<SourceState>>, StoreError>;
    /// How many sources an agent has.
    async fn source_count(&mut self, agent: AccessKeyId) -> Result<u64, StoreError>;
    /// Writes down the sequences of sources never heard of before; `Conflict` where another process has heard of one
    /// meanwhile. A storage that no two processes share need not look.
    async fn add_sources(&mut self, sources: &[(AccessKeyId, SourceName, SourceState)]) -> Result<(), StoreError> {
        self.save_sources(sources).await
    }
    /// Writes down the sequences of sources. No source stands twice.
    async fn save_sources(&mut self, sources: &[(AccessKeyId, SourceName, SourceState)]) -> Result<(), StoreError>;
    /// Adds to what the buckets hold: counters and sums are added, peaks raised. No bucket stands twice in `rows`.
    async fn add_usage(&mut self, rows: &[UsageRow]) -> Result<(), StoreError>;
    /// The buckets of an account that start in `from..to`, oldest first.
    async fn usage(
        &mut self,
        account: AccountId,
        resolution: Resolution,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Bucket, Rollup)>, StoreError>;
    /// The same of one resource, for long ranges: what else was measured may be left out.
    async fn usage_of(
        &mut self,
        account: AccountId,
        _resource: Resource,
        resolution: Resolution,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<(Bucket, Rollup)>, StoreError> {
        self.usage(account, resolution, from, to).await
    }
    /// The buckets of several accounts that start in a range, each account's oldest first; of one resource, what else was
    /// measured may be left out. No account stands twice.
    async fn usage_of_each(
        &mut self,
        accounts: &[AccountId],
        resource: Option<Resource>,
        resolution: Resolution,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<(AccountId, Bucket, Rollup)>, StoreError> {
        let mut found = Vec::new();
        for account in accounts {
            let buckets = match resource {
                Some(resource) => self.usage_of(*account, resource, resolution, (from, to)).await?,
                None => self.usage(*account, resolution, from, to).await?,
            };
            found.extend(buckets.into_iter().map(|(bucket, rollup)| (*account, bucket, rollup)));
        }
        Ok(found)
    }
    /// What several accounts used in the buckets that start in a range, of each account together; those that used nothing
    /// may be left out. No account stands twice.
    async fn usage_totals(
        &mut self,
        accounts: &[AccountId],
        resolution: Resolution,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<(AccountId, UsageTotals)>, StoreError> {
        let mut found = Vec::new();
        for account in accounts {
            let mut totals = UsageTotals::default();
            self.usage(*account, resolution, from, to).await?.iter().for_each(|(_, bucket)| totals.add(bucket));
            found.push((*account, totals));
        }
        Ok(found)
    }
    /// What an account added to a counter in the minutes that start at `from` or later.
    async fn used_since(&mut self, account: AccountId, counter: Counter, from: Timestamp) -> Result<u64, StoreError>;
    /// Makes room for the buckets of a resolution that start at `oldest` or later and some time past `now`, where a
    /// storage has a place for each stretch of time; `Busy` where others are in the way, and then none is lost either.
    async fn prepare_usage(
        &mut self,
        _resolution: Resolution,
        _oldest: Timestamp,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(())
    }
    /// Removes the buckets of a resolution that started before that instant, and says how many, or about how many. Where
    /// they lie in stretches of time, a stretch may stay until all of it is over.
    async fn purge_usage(&mut self, resolution: Resolution, before: Timestamp) -> Result<u64, StoreError>;
    /// Sets the newest readings: each level's is replaced by a reading as new or newer. Each account's version goes up by
    /// one: whatever counts usage of an account does this in the same transaction. No account stands twice.
    async fn save_readings(&mut self, readings: &[(AccountId, Readings)]) -> Result<(), StoreError>;
    /// The newest readings of an account; all absent where there are none.
    async fn readings(&mut self, account: AccountId) -> Result<Readings, StoreError>;
    /// The newest readings of several accounts; those of which there are none may be left out. No account stands twice.
    async fn readings_of(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, Readings)>, StoreError> {
        let mut found = Vec::new();
        for account in accounts {
            found.push((*account, self.readings(*account).await?));
        }
        Ok(found)
    }
    /// The versions of what several accounts used: how often it was added to. Those that never were may be left out. No
    /// account stands twice.
    async fn usage_versions(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, u64)>, StoreError>;
    /// Writes down the number of a process's flush with what it flushes, in place of the one before: where the answer to
    /// a commit is lost, this tells whether it took effect.
    async fn mark_flush(&mut self, replica: ReplicaId, flush: u64, at: Timestamp) -> Result<(), StoreError>;
    /// The number of the last flush of a process that took effect; absent where none did. In a writing transaction one
    /// that is still being committed is waited for.
    async fn last_flush(&mut self, replica: ReplicaId) -> Result<Option<u64>, StoreError>;
    /// Removes the marks of processes that flushed last before that instant, and says how many.
    async fn purge_flushes(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// What is granted, reserved and decided of accounts' quotas, and limits of their own.
#[async_trait]
pub trait Quotas: Send {
    /// The holds on an account's quotas, expired ones too, in the order of their ids.
    async fn holds(&mut self, account: AccountId) -> Result<Vec<Hold>, StoreError>;
    /// A hold by its id.
    async fn hold(&mut self, id: HoldId) -> Result<Option<Hold>, StoreError>;
    /// Adds a hold, or puts it in the place of the one of its id.
    async fn save_hold(&mut self, hold: &Hold) -> Result<(), StoreError>;
    /// Removes a hold; nothing where it is gone already.
    async fn remove_hold(&mut self, id: HoldId) -> Result<(), StoreError>;
    /// What was decided under keys, in the order asked.
    async fn decisions(&mut self, keys: &[SecretDigest]) -> Result<Vec<Option<KeyedDecision>>, StoreError>;
    /// What was decided for an account under any key, in the order of the keys' digests.
    async fn decisions_of(&mut self, account: AccountId) -> Result<Vec<KeyedDecision>, StoreError>;
    /// Adds decisions; `Conflict` where a key has one.
    async fn insert_decisions(&mut self, decisions: &[KeyedDecision]) -> Result<(), StoreError>;
    /// An account's own limits, ended ones too, in the order of the resources' names.
    async fn overrides(&mut self, account: AccountId) -> Result<Vec<LimitOverride>, StoreError>;
    /// The own limits of several accounts, ended ones too, each account's in the order of the resources' names. No account
    /// stands twice.
    async fn overrides_of(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, LimitOverride)>, StoreError> {
        let mut found = Vec::new();
        for account in accounts {
            found.extend(self.overrides(*account).await?.into_iter().map(|own| (*account, own)));
        }
        Ok(found)
    }
    /// Sets an account's own limit on a resource, in place of any it has.
    async fn set_override(&mut self, account: AccountId, own: &LimitOverride) -> Result<(), StoreError>;
    /// Removes holds, decisions and overrides that ended before that instant, and says how many.
    async fn purge_quotas(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// What was found against accounts, and what followed.
#[async_trait]
pub trait Violations: Send {
    /// Adds a violation.
    async fn insert_violation(&mut self, violation: &Violation) -> Result<(), StoreError>;
    /// Replaces a violation's row.
    async fn update_violation(&mut self, violation: &Violation) -> Result<(), StoreError>;
    /// A violation by its id.
    async fn violation(&mut self, id: ViolationId) -> Result<Option<Violation>, StoreError>;
    /// The violations that match, newest first, at most `limit` of them, after the place of one that was listed before.
    async fn violations(
        &mut self,
        filter: &ViolationFilter,
        after: Option<ViolationPlace>,
        limit: u64,
    ) -> Result<Vec<Violation>, StoreError>;
    /// The violations of several accounts, each account's newest first, and of each at most `limit`, after a place. No
    /// account stands twice.
    async fn violations_of(
        &mut self,
        accounts: &[AccountId],
        after: Option<ViolationPlace>,
        limit: u64,
    ) -> Result<Vec<Violation>, StoreError> {
        let mut found = Vec::new();
        for account in accounts {
            let filter = ViolationFilter { account: Some(*account), ..ViolationFilter::default() };
            found.extend(self.violations(&filter, after, limit).await?);
        }
        Ok(found)
    }
    /// How many violations were found in `from..to`, by what they are.
    async fn violation_counts(&mut self, from: Timestamp, to: Timestamp) -> Result<Vec<ViolationCount>, StoreError>;
    /// Removes the violations whose consequences ended before that instant and that wait for nobody, and says how many.
    async fn purge_violations(&mut self, ended_before: Timestamp) -> Result<u64, StoreError>;
    /// Keeps the state of accounts' detectors, in place of what is kept of them.
    async fn save_detectors(&mut self, states: &[(AccountId, Vec<u8>)]) -> Result<(), StoreError>;
    /// The state of an account's detectors; absent where none is kept.
    async fn detectors(&mut self, account: AccountId) -> Result<Option<Vec<u8>>, StoreError>;
    /// The states of several accounts' detectors, of those where one is kept. No account stands twice.
    async fn detectors_of(&mut self, accounts: &[AccountId]) -> Result<Vec<(AccountId, Vec<u8>)>, StoreError> {
        let mut found = Vec::new();
        for account in accounts {
            found.extend(self.detectors(*account).await?.map(|state| (*account, state)));
        }
        Ok(found)
    }
}

/// Evidence of payments that was counted, and what is left of trials.
#[async_trait]
pub trait Payments {
    /// Writes down that an attestation was counted; `Conflict` where it was before. It stays for ever.
    async fn spend_attestation(&mut self, spent: &SpentAttestation) -> Result<(), StoreError>;
    /// What is known of an attestation that was counted.
    async fn spent_attestation(&mut self, digest: &SecretDigest) -> Result<Option<SpentAttestation>, StoreError>;
    /// Keeps what is left of an erased account, in place of one of the same tag.
    async fn keep_tombstone(&mut self, tombstone: &Tombstone) -> Result<(), StoreError>;
    /// Whether any of these tags has a tombstone that is not forgotten by that instant.
    async fn has_tombstone(&mut self, tags: &[[u8; 32]], now: Timestamp) -> Result<bool, StoreError>;
    /// Removes the tombstones whose time ended before that instant, and says how many.
    async fn purge_tombstones(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// The keys of vouchers, and which vouchers were redeemed.
#[async_trait]
pub trait Vouchers {
    /// Publishes a key; `Conflict` where its epoch and denomination have one.
    async fn insert_voucher_key(&mut self, key: &PublishedKey) -> Result<(), StoreError>;
    /// Every key that was published, in no order.
    async fn voucher_keys(&mut self) -> Result<Vec<PublishedKey>, StoreError>;
    /// Writes down that a voucher of an epoch was redeemed, and neither by whom nor when; `Conflict` where it was before.
    async fn spend_voucher(&mut self, epoch: Epoch, nullifier: &Nullifier) -> Result<(), StoreError>;
    /// Removes the keys and the spent vouchers of epochs before that one, and says how many.
    async fn purge_vouchers(&mut self, before: Epoch) -> Result<u64, StoreError>;
}

/// What is decided by which figures.
#[async_trait]
pub trait Policies {
    /// Adds a policy; `Conflict` where its version is there.
    async fn insert_policy(&mut self, policy: &PolicyRecord) -> Result<(), StoreError>;
    /// Every policy that ever was in force or in shadow, oldest version first.
    async fn policies(&mut self) -> Result<Vec<PolicyRecord>, StoreError>;
}

/// Which of the processes on one database does its jobs, and how they went.
#[async_trait]
pub trait Jobs {
    /// Takes a job until an instant, or goes on with it; says whether it is the holder's. It is not while another has
    /// it.
    async fn take_job(
        &mut self,
        job: &'static str,
        holder: ReplicaId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Who has a job, or had it last; absent where nobody ever had. In a writing transaction nobody else takes it until
    /// that ends.
    async fn job_lease(&mut self, job: &'static str) -> Result<Option<JobLease>, StoreError>;
    /// Writes down how a job went, in place of its run before.
    async fn save_job_run(&mut self, run: &JobRun) -> Result<(), StoreError>;
    /// The last run of each job that ever ran, in the order of their names. Jobs that this program does not know, of a
    /// later version that works on the same storage, are left out.
    async fn job_runs(&mut self) -> Result<Vec<JobRun>, StoreError>;
}

/// What the processes on one database tell one another through it.
#[async_trait]
pub trait Replicas {
    /// The name of the deployment, which is `new` where it has none yet. Two that ask at once are given one.
    async fn deployment(&mut self, new: DeploymentId) -> Result<DeploymentId, StoreError>;
    /// Writes down that an account is changed by this transaction, by a process.
    async fn note_change(&mut self, account: AccountId, by: ReplicaId, at: Timestamp) -> Result<(), StoreError>;
    /// The changes of accounts that were committed since a mark, and the mark to go on from; without one, no changes, and
    /// the mark of the present. None is missed, in whatever order their transactions end; some may be given again.
    async fn changes_since(&mut self, mark: Option<ChangeMark>)
    -> Result<(Vec<AccountChange>, ChangeMark), StoreError>;
    /// Removes what was written down of changes before that instant, and says how many.
    async fn purge_changes(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}
