//! What time does to an account. Derived from the clock whenever it is read, so that no job has to run for it.

use std::time::Duration;

use crate::allocation::TierName;
use crate::time::Timestamp;
use crate::users::Account;

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

/// Why an account has its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusReason {
    /// There is nothing to explain.
    None,
    /// Its trial has ended.
    TrialExpired,
}

impl StatusReason {
    /// The name answers carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::TrialExpired => "TRIAL_EXPIRED",
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

/// The standing of an account at an instant.
#[must_use]
pub fn standing(account: &Account, now: Timestamp) -> Standing {
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
    Standing { status, reason: StatusReason::TrialExpired, since }
}

fn active_since(since: Timestamp) -> Standing {
    Standing { status: ServiceStatus::Active, reason: StatusReason::None, since }
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
    use crate::users::AnonymousId;

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
        }
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
                Standing { status: after, reason: StatusReason::TrialExpired, since: at }
            );
        }
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
