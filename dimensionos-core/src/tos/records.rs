//! What a storage keeps beside the violations themselves, and how it is asked for them.

use crate::id::{AccountId, ViolationId};
use crate::time::Timestamp;
use crate::tos::enforcement::EnforcementPolicy;
use crate::tos::rule::ViolationKind;
use crate::tos::sanction::Sanction;
use crate::tos::violation::{AppealVerdict, Violation};

/// Which violations are asked for. Everything that is set has to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViolationFilter {
    /// Of one account.
    pub account: Option<AccountId>,
    /// Of one kind.
    pub kind: Option<ViolationKind>,
    /// Found at that instant or later.
    pub from: Option<Timestamp>,
    /// Whose appeal nobody has decided yet.
    pub is_appealed: bool,
    /// Of which the policy in shadow would have decided otherwise.
    pub differs_in_shadow: bool,
}

/// Where a violation stands among others: they are listed newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViolationPlace {
    /// When it was found.
    pub detected_at: Timestamp,
    /// Which it is among those found then.
    pub id: ViolationId,
}

impl Violation {
    /// Its place in a list.
    #[must_use]
    pub const fn place(&self) -> ViolationPlace {
        ViolationPlace { detected_at: self.detected_at, id: self.id }
    }
}

/// How many violations of a stretch of time are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViolationCount {
    /// What kind of breach.
    pub kind: ViolationKind,
    /// What was imposed.
    pub sanction: Sanction,
    /// Whether no person took part.
    pub is_automated: bool,
    /// Whether it was appealed against.
    pub is_appealed: bool,
    /// How the appeal ended.
    pub verdict: Option<AppealVerdict>,
    /// How many.
    pub count: u64,
}

impl ViolationCount {
    /// One violation, as it is counted; of none yet.
    #[must_use]
    pub fn of(violation: &Violation) -> Self {
        Self {
            kind: violation.kind(),
            sanction: violation.imposed.sanction(),
            is_automated: violation.imposed.statement().is_automated(),
            is_appealed: violation.appeal.is_some(),
            verdict: violation.verdict,
            count: 0,
        }
    }
}

/// Whether a policy decides, or only says what it would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyMode {
    /// What it decides is done.
    InForce,
    /// What it decides is written down beside what is done.
    Shadow,
}

/// A policy as it was put to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRecord {
    /// What it decides.
    pub policy: EnforcementPolicy,
    /// Whether it is done.
    pub mode: PolicyMode,
    /// Since when.
    pub applied_at: Timestamp,
}

/// The policy in force, and the one in shadow: the latest of each, the latter only where it is later than the former.
pub(crate) fn in_use(records: &[PolicyRecord]) -> (Option<&EnforcementPolicy>, Option<&EnforcementPolicy>) {
    let latest = |mode| records.iter().filter(move |record| record.mode == mode).map(|record| &record.policy);
    let in_force = latest(PolicyMode::InForce).max_by_key(|policy| policy.version);
    let shadow = latest(PolicyMode::Shadow).max_by_key(|policy| policy.version);
    (in_force, shadow.filter(|shadow| in_force.is_none_or(|in_force| shadow.version > in_force.version)))
}
