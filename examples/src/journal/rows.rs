//! Each type of the ports as JSON, and back. What does not read back is `None`: such a record is damaged.

use dimensionos_core::allocation::{
    Allocation, DatabaseEngine, Decision, Hold, KeyedDecision, LimitOverride, Resource, TierName, TierVersion,
};
use dimensionos_core::auth::{AccessKey, KeyId, KeyName, PasswordHash, RefreshRecord, Role, Session};
use dimensionos_core::id::{AccessKeyId, AccountId, DeploymentId, HoldId, ReplicaId, SessionId, ViolationId};
use dimensionos_core::jobs::{JobName, JobOutcome, JobRun};
use dimensionos_core::monitoring::{
    Bucket, Counter, Level, LevelRollup, Reading, Readings, Resolution, Rollup, SourceName, SourceState, UsageRow,
};
use dimensionos_core::payment::voucher::{Denomination, Epoch, Nullifier, PublicKey, PublishedKey};
use dimensionos_core::payment::{Notice, Paid, ServiceStatus, SpentAttestation, Told, Tombstone};
use dimensionos_core::secret::SecretDigest;
use dimensionos_core::tos::{
    Appeal, AppealGround, AppealVerdict, Author, Complaint, EnforcementPolicy, Grounds, Imposed, PolicyMode,
    PolicyRecord, Restriction, Rule, Sanction, SealedText, Severity, Shadow, StatementOfReasons, Violation,
};
use dimensionos_core::users::{
    Account, AnonymousId, OperatorStatus, SealedSeed, StatusNote, TermsAcceptance, TermsName,
};
use dimensionos_core::{Code, Timestamp};
use serde_json::{Value, json};

pub(super) trait Row: Sized {
    fn write(&self) -> Value;
    fn read(value: &Value) -> Option<Self>;
}

/// What is written by an expression, and read by another.
macro_rules! plain {
    ($($type:ty: $this:ident => $write:expr, $value:ident => $read:expr;)+) => {
        $(impl Row for $type {
            fn write(&self) -> Value {
                let $this = self;
                json!($write)
            }
            fn read($value: &Value) -> Option<Self> {
                $read
            }
        })+
    };
}

/// What has a text that it can be read from again.
macro_rules! text {
    ($($type:ty: $this:ident => $text:expr;)+) => {
        plain! { $($type: $this => $text, value => value.as_str()?.parse().ok();)+ }
    };
}

/// A struct is the list of its fields. Whose it is comes first, or else what it is known by and then whose it is: the
/// journal is compacted by that.
macro_rules! record {
    ($($type:ident { $($field:ident),+ })+) => {
        $(impl Row for $type {
            fn write(&self) -> Value {
                Value::Array(vec![$(self.$field.write()),+])
            }
            fn read(value: &Value) -> Option<Self> {
                let [$($field),+] = value.as_array()?.as_slice() else { return None };
                Some(Self { $($field: Row::read($field)?),+ })
            }
        })+
    };
}

plain! {
    bool: this => *this, value => value.as_bool();
    u8: this => *this, value => value.as_u64()?.try_into().ok();
    [u8; 32]: this => hex(this), value => bytes(value);
    Paid: this => this.to_text(), value => Self::from_text(value.as_str());
    u32: this => *this, value => value.as_u64()?.try_into().ok();
    u64: this => *this, value => value.as_u64();
    // By its bits: JSON's decimals do not read back to the last of them.
    f64: this => this.to_bits(), value => value.as_u64().map(Self::from_bits);
    KeyId: this => this.bits(), value => value.as_u64().map(Self::from_bits);
    Timestamp: this => this.as_millis(), value => value.as_i64().map(Self::from_millis);
    Bucket: this => this.start().as_millis(), value => Timestamp::read(value).map(Self::at);
    Resolution: this => this.seconds(), value => Self::ALL.into_iter().find(|this| value.as_i64() == Some(this.seconds()));
    AnonymousId: this => hex(this.as_bytes()), value => bytes(value).map(Self::from_bytes);
    SealedSeed: this => hex(this.as_bytes()), value => bytes(value).map(Self::from_bytes);
    SecretDigest: this => hex(this.as_bytes()), value => bytes(value).map(Self::from_bytes);
    PublicKey: this => hex(this.as_bytes()), value => bytes(value).map(Self::from_bytes);
    Nullifier: this => hex(this.as_bytes()), value => bytes(value).map(Self::from_bytes);
    Epoch: this => this.number(), value => value.as_u64()?.try_into().ok().map(Self::from_number);
    StatementOfReasons: this => this.to_text(), value => Self::from_text(value.as_str()?);
    Complaint: this => this.to_text(), value => Self::from_text(value.as_str()?);
    EnforcementPolicy: this => this.to_json(), value => Self::from_json(value.as_str()?).ok();
    PolicyMode: this => *this == Self::Shadow, value => Some(if value.as_bool()? { Self::Shadow } else { Self::InForce });
    AppealVerdict: this => *this == Self::Upheld, value => Some(if value.as_bool()? { Self::Upheld } else { Self::Overruled });
}

text! {
    String: this => this;
    AccountId: this => this.to_string();
    SessionId: this => this.to_string();
    ReplicaId: this => this.to_string();
    DeploymentId: this => this.to_string();
    AccessKeyId: this => this.to_string();
    HoldId: this => this.to_string();
    ViolationId: this => this.to_string();
    Rule: this => this.name();
    Severity: this => this.name();
    Sanction: this => this.name();
    AppealGround: this => this.name();
    SealedText: this => this.as_str();
    SourceName: this => this.as_str();
    SourceState: this => this.to_string();
    KeyName: this => this.as_str();
    TermsName: this => this.as_str();
    StatusNote: this => this.as_str();
    TierName: this => this.name();
    Denomination: this => this.to_string();
    DatabaseEngine: this => this.name();
    Resource: this => this.name();
    Role: this => this.name();
    ServiceStatus: this => this.name();
    Code: this => this.name();
    JobName: this => this.name();
}

record! {
    Account {
        id, anonymous_id, pepper, tier, created_at, trial_started_at, trial_ends_at, paid, cancelled_at, active_since,
        told, epoch, operator_status, terms, subject_seed, restrictions
    }
    JobRun { job, started_at, ended_at, outcome, last_ok_at }
    Told { status, notice, due_at }
    Notice { step_at, days }
    SpentAttestation { digest, request }
    Tombstone { tag, until }
    PublishedKey { epoch, denomination, public_key }
    Restriction { violation, sanction, since, until, relaxes_at }
    Violation {
        id, account, detected_at, lowered_at, imposed, grounds, policy, decided, shadow, appeal, verdict, complaint,
        handled_by
    }
    Grounds { rule, severity, strikes }
    Shadow { version, sanction }
    Appeal { ground, filed_at, sealed_statement, decided }
    PolicyRecord { policy, mode, applied_at }
    OperatorStatus { status, since, note }
    TermsAcceptance { version, accepted_at }
    PasswordHash { bcrypt, pepper }
    Session { id, account, created_at, expires_at, authenticated_at }
    RefreshRecord { digest, session, expires_at, used_at }
    AccessKey { id, role, name, digest, created_at }
    TierVersion { version, effective_from, allocation }
    Allocation {
        tier, cpu_millicores, ram_megabytes, storage_gigabytes, bandwidth_bits_per_second, database,
        api_calls_per_hour, file_operations_per_hour, price_cents_per_month, trial_days
    }
    UsageRow { account, resolution, bucket, rollup }
    LevelRollup { sum, count, peak }
    Reading { value, at }
    Hold { id, account, resource, amount, expires_at }
    KeyedDecision { account, key, amount, decision, expires_at }
    Decision { is_allowed, resource, limit, used, resets_at, is_over, reason }
    LimitOverride { resource, limit, until }
}

impl Row for Imposed {
    fn write(&self) -> Value {
        json!([self.sanction().write(), self.since().write(), self.author().write(), self.statement().write()])
    }

    fn read(value: &Value) -> Option<Self> {
        let [sanction, since, author, statement] = value.as_array()?.as_slice() else { return None };
        Some(Self::restore(Row::read(sanction)?, Row::read(since)?, Row::read(author)?, Row::read(statement)?))
    }
}

impl Row for JobOutcome {
    fn write(&self) -> Value {
        match self {
            Self::Ok { done } => done.write(),
            Self::Failed { fault } => fault.write(),
        }
    }

    fn read(value: &Value) -> Option<Self> {
        let failed = || Code::read(value).map(|fault| Self::Failed { fault });
        u64::read(value).map(|done| Self::Ok { done }).or_else(failed)
    }
}

impl Row for Author {
    fn write(&self) -> Value {
        match self {
            Self::Policy(version) => version.write(),
            Self::Operator(operator) => operator.write(),
        }
    }

    fn read(value: &Value) -> Option<Self> {
        u32::read(value).map(Self::Policy).or_else(|| AccessKeyId::read(value).map(Self::Operator))
    }
}

impl Row for Rollup {
    fn write(&self) -> Value {
        let levels = Level::ALL.map(|level| self.level(level).write());
        let totals = Counter::ALL.map(|counter| self.total(counter).write());
        json!([levels, totals])
    }

    fn read(value: &Value) -> Option<Self> {
        let (levels, totals): (Vec<LevelRollup>, Vec<Option<u64>>) = Row::read(value)?;
        let mut rollup = Self::default();
        Level::ALL.into_iter().zip(levels).for_each(|(level, readings)| rollup.set_level(level, readings));
        for (counter, total) in Counter::ALL.into_iter().zip(totals) {
            total.into_iter().for_each(|total| rollup.add_total(counter, total));
        }
        Some(rollup)
    }
}

impl Row for Readings {
    fn write(&self) -> Value {
        json!([self.newest().write(), Level::ALL.map(|level| self.of(level).write())])
    }

    fn read(value: &Value) -> Option<Self> {
        let (newest, levels): (Option<Timestamp>, Vec<Option<Reading>>) = Row::read(value)?;
        let mut readings = Self::default();
        newest.into_iter().for_each(|newest| readings.see(newest));
        for (level, reading) in Level::ALL.into_iter().zip(levels) {
            reading.into_iter().for_each(|reading| readings.set(level, reading));
        }
        Some(readings)
    }
}

impl<T: Row> Row for Option<T> {
    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, Row::write)
    }
    fn read(value: &Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::read(value).map(Some) }
    }
}

impl<T: Row> Row for Vec<T> {
    fn write(&self) -> Value {
        self.iter().map(Row::write).collect()
    }
    fn read(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::read).collect()
    }
}

macro_rules! tuple {
    ($($name:ident)+) => {
        #[expect(non_snake_case, reason = "a type's name serves for its value")]
        impl<$($name: Row),+> Row for ($($name,)+) {
            fn write(&self) -> Value {
                let ($($name,)+) = self;
                Value::Array(vec![$($name.write()),+])
            }
            fn read(value: &Value) -> Option<Self> {
                let [$($name),+] = value.as_array()?.as_slice() else { return None };
                Some(($(Row::read($name)?,)+))
            }
        }
    };
}

tuple!(A B);
tuple!(A B C);

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(value: &Value) -> Option<[u8; 32]> {
    let text = value.as_str().filter(|text| text.is_ascii() && text.len() == 64)?;
    let bytes: Option<Vec<u8>> = (0..32).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect();
    bytes?.try_into().ok()
}
