use std::str::FromStr;

use crate::allocation::UnknownName;
use crate::time::Timestamp;

/// What an account may do, from everything to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceStatus {
    /// Everything its tier allocates.
    Active,
    /// Reading, export, payment, appeal and signing out.
    ReadOnly,
    /// Seeing why, export, payment, appeal and signing out.
    Suspended,
    /// Nothing but a restore or erasure.
    Cancelled,
}

impl ServiceStatus {
    const ALL: [Self; 4] = [Self::Active, Self::ReadOnly, Self::Suspended, Self::Cancelled];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::ReadOnly => "READ_ONLY",
            Self::Suspended => "SUSPENDED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

impl FromStr for ServiceStatus {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|status| status.name() == text).ok_or(UnknownName)
    }
}

/// Why an account has its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusReason {
    /// There is nothing to explain.
    None,
    /// Its trial has ended.
    TrialExpired,
    /// What was paid for it has run out.
    PaymentOverdue,
    /// It follows from a breach of the terms.
    TosViolation,
    /// An operator decided it.
    Operator,
    /// Its holder closed it.
    Owner,
}

impl StatusReason {
    /// The name answers carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::TrialExpired => "TRIAL_EXPIRED",
            Self::PaymentOverdue => "PAYMENT_OVERDUE",
            Self::TosViolation => "TOS_VIOLATION",
            Self::Operator => "OPERATOR",
            Self::Owner => "OWNER",
        }
    }
}

/// A status, why, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What the account may do.
    pub status: ServiceStatus,
    /// Why.
    pub reason: StatusReason,
    /// Since when.
    pub since: Timestamp,
    /// Whether terms are in force that its holder has not accepted.
    pub are_terms_due: bool,
}

/// Whether an account is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentStatus {
    /// Its trial is running.
    NotRequired,
    /// Its tier is paid for.
    Paid,
    /// Its trial has ended, and nothing was paid since.
    Unpaid,
    /// What was paid for has run out.
    Overdue,
}

impl PaymentStatus {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotRequired => "NOT_REQUIRED",
            Self::Paid => "PAID",
            Self::Unpaid => "UNPAID",
            Self::Overdue => "OVERDUE",
        }
    }
}
