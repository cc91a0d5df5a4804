//! What time does to an account. Derived from the clock whenever it is read, so that no job has to run for it.

use std::str::FromStr;
use std::time::Duration;

use crate::allocation::{TierName, UnknownName};
use crate::time::Timestamp;
use crate::tos;
use crate::users::{Account, Terms};

const DAY: Duration = Duration::from_hours(24);

/// How long a FREE account is free.
pub const TRIAL: Duration = Duration::from_hours(30 * 24);
/// How long a lapsed account can still be read before it is suspended.
pub const READ_ONLY_FOR: Duration = Duration::from_hours(30 * 24);
/// How long a lapsed account is suspended before it is cancelled.
pub const SUSPENDED_FOR: Duration = Duration::from_hours(60 * 24);

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
    /// It follows from a breach of the terms.
    TosViolation,
    /// An operator decided it.
    Operator,
}

impl StatusReason {
    /// The name answers carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::TrialExpired => "TRIAL_EXPIRED",
            Self::TosViolation => "TOS_VIOLATION",
            Self::Operator => "OPERATOR",
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

/// An account's time for free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ends, or ended.
    pub ends_at: Timestamp,
    /// Whether it has ended.
    pub is_expired: bool,
    /// Days that have begun and not ended: 30 on the first day, 0 once it has expired.
    pub days_left: u32,
}

/// The standing of an account at an instant: the strictest of what its payments, its breaches of the terms and an operator
/// say; lifting one leaves the others. Where two say the same, the one shows that payment alone would not lift, and the
/// operator's before it.
#[must_use]
pub fn standing(account: &Account, terms: &Terms, now: Timestamp) -> Standing {
    let mut shown = lapse(account, now);
    if let Some((status, since)) = tos::strictest(&account.restrictions, now)
        && status >= shown.status
    {
        shown = Standing { status, reason: StatusReason::TosViolation, since, ..shown };
    }
    if let Some(decided) = &account.operator_status
        && decided.status >= shown.status
    {
        shown = Standing { status: decided.status, reason: StatusReason::Operator, since: decided.since, ..shown };
    }
    Standing { are_terms_due: !terms.are_met_by(account.terms.as_ref(), now), ..shown }
}

/// What an account's payments alone say.
fn lapse(account: &Account, now: Timestamp) -> Standing {
    let Some(trial) = trial(account, now) else { return active_since(account.created_at) };
    let suspended_at = trial.ends_at.after(READ_ONLY_FOR);
    let cancelled_at = suspended_at.after(SUSPENDED_FOR);
    let (status, since) = if now >= cancelled_at {
        (ServiceStatus::Cancelled, cancelled_at)
    } else if now >= suspended_at {
        (ServiceStatus::Suspended, suspended_at)
    } else if trial.is_expired {
        (ServiceStatus::ReadOnly, trial.ends_at)
    } else {
        return active_since(account.created_at);
    };
    Standing { status, reason: StatusReason::TrialExpired, since, are_terms_due: false }
}

fn active_since(since: Timestamp) -> Standing {
    Standing { status: ServiceStatus::Active, reason: StatusReason::None, since, are_terms_due: false }
}

/// The trial of an account; absent on the tiers that have none.
#[must_use]
pub fn trial(account: &Account, now: Timestamp) -> Option<Trial> {
    if account.tier != TierName::Free {
        return None;
    }
    let ends_at = account.trial_started_at.after(TRIAL);
    let days_left = ends_at.since(now).as_secs().div_ceil(DAY.as_secs());
    Some(Trial {
        started_at: account.trial_started_at,
        ends_at,
        is_expired: now >= ends_at,
        days_left: u32::try_from(days_left).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Pepper;
    use crate::id::AccountId;
    use crate::users::{AnonymousId, OperatorStatus};

    fn account() -> Account {
        let start = Timestamp::from_millis(1_700_000_000_000);
        Account {
            id: AccountId::from_bits(1),
            anonymous_id: AnonymousId::from_bytes([0; 32]),
            pepper: Pepper::from_bytes([0; 32]).id(),
            tier: TierName::Free,
            created_at: start,
            trial_started_at: start,
            epoch: 0,
            operator_status: None,
            terms: Terms::default().accept(None, start).ok(),
            subject_seed: None,
            restrictions: Vec::new(),
        }
    }

    fn standing(account: &Account, now: Timestamp) -> Standing {
        super::standing(account, &Terms::default(), now)
    }

    #[test]
    fn each_step_is_taken_on_its_millisecond_and_not_before() {
        let account = account();
        let instant = Duration::from_millis(1);
        let mut at = account.created_at;
        for (stays, before, after) in [
            (TRIAL, ServiceStatus::Active, ServiceStatus::ReadOnly),
            (READ_ONLY_FOR, ServiceStatus::ReadOnly, ServiceStatus::Suspended),
            (SUSPENDED_FOR, ServiceStatus::Suspended, ServiceStatus::Cancelled),
        ] {
            at = at.after(stays);
            assert_eq!(standing(&account, at.before(instant)).status, before);
            assert_eq!(
                standing(&account, at),
                Standing { status: after, reason: StatusReason::TrialExpired, since: at, are_terms_due: false }
            );
        }
    }

    #[test]
    fn the_stricter_of_a_lapse_and_a_decision_shows_and_lifting_one_leaves_the_other() {
        use ServiceStatus::{Cancelled, ReadOnly, Suspended};
        let lapsed_at = account().created_at.after(TRIAL);
        let suspended_at = lapsed_at.after(READ_ONLY_FOR);
        let shown = |status, now| {
            let since = account().created_at.after(DAY);
            let note = "report 17".parse().unwrap();
            let decided = Account { operator_status: Some(OperatorStatus { status, since, note }), ..account() };
            let shown = standing(&decided, now);
            (shown.status, shown.reason)
        };
        assert_eq!(shown(Suspended, account().created_at.after(DAY)), (Suspended, StatusReason::Operator));
        assert_eq!(shown(Suspended, lapsed_at), (Suspended, StatusReason::Operator));
        assert_eq!(shown(ReadOnly, lapsed_at), (ReadOnly, StatusReason::Operator));
        assert_eq!(shown(ReadOnly, suspended_at), (Suspended, StatusReason::TrialExpired));
        assert_eq!(shown(Suspended, suspended_at), (Suspended, StatusReason::Operator));
        assert_eq!(shown(Suspended, suspended_at.after(SUSPENDED_FOR)), (Cancelled, StatusReason::TrialExpired));
        assert_eq!(standing(&account(), lapsed_at).reason, StatusReason::TrialExpired);
    }

    #[test]
    fn a_trial_counts_down_from_thirty_to_none() {
        let account = account();
        let left = |passed| trial(&account, account.created_at.after(passed)).unwrap().days_left;
        assert_eq!(left(Duration::ZERO), 30);
        assert_eq!(left(Duration::from_secs(1)), 30);
        assert_eq!(left(DAY), 29);
        assert_eq!(left(TRIAL), 0);
        assert_eq!(left(TRIAL + DAY), 0);
    }
}
