//! What time does to an account. Derived from the clock whenever it is read, so that no job has to run for it.

use std::time::Duration;

use crate::Error;
use crate::allocation::TierName;
use crate::payment::{PaymentStatus, ServiceStatus, Standing, StatusReason};
use crate::time::Timestamp;
use crate::tos;
use crate::users::{Account, Terms};

const DAY: Duration = Duration::from_hours(24);

/// How long an account stays at each step of a lapse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LapsePeriods {
    grace: Duration,
    read_only: Duration,
    suspended: Duration,
    cancelled: Duration,
}

impl Default for LapsePeriods {
    /// Seven days from what was paid for to read-only, 30 to suspended, 60 to cancelled, and 30 to erased: four months in
    /// which a payment brings everything back.
    fn default() -> Self {
        Self { grace: 7 * DAY, read_only: 30 * DAY, suspended: 60 * DAY, cancelled: 30 * DAY }
    }
}

impl LapsePeriods {
    /// The shortest that an account is cancelled before it is erased: its holder has to learn of it, and to come back.
    pub const MIN_CANCELLED: Duration = DAY;
    /// The longest of each: beyond it a period is a slip of the pen, and instants would no longer add up.
    pub const MAX: Duration = Duration::from_hours(10 * 366 * 24);

    /// How long an account stays active once what was paid for has run out, then read-only, suspended, and cancelled.
    ///
    /// # Errors
    /// `InvalidInput` for a period beyond [`MAX`](Self::MAX), or a cancelled time below
    /// [`MIN_CANCELLED`](Self::MIN_CANCELLED).
    pub fn new(grace: Duration, read_only: Duration, suspended: Duration, cancelled: Duration) -> Result<Self, Error> {
        if [grace, read_only, suspended, cancelled].into_iter().any(|period| period > Self::MAX) {
            return Err(Error::invalid("periods", "one is longer than ten years"));
        }
        if cancelled < Self::MIN_CANCELLED {
            return Err(Error::invalid("periods", "less than a day between cancelled and erased"));
        }
        Ok(Self { grace, read_only, suspended, cancelled })
    }
}

/// A step that time takes with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LapseStep {
    /// What was paid for has run out; everything still works.
    Overdue,
    /// It can only be read.
    ReadOnly,
    /// It is suspended.
    Suspended,
    /// It is closed, and can be restored.
    Cancelled,
    /// It is gone.
    Erased,
}

impl LapseStep {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overdue => "OVERDUE",
            Self::ReadOnly => "READ_ONLY",
            Self::Suspended => "SUSPENDED",
            Self::Cancelled => "CANCELLED",
            Self::Erased => "ERASED",
        }
    }

    const fn status(self) -> ServiceStatus {
        match self {
            Self::Overdue => ServiceStatus::Active,
            Self::ReadOnly => ServiceStatus::ReadOnly,
            Self::Suspended => ServiceStatus::Suspended,
            Self::Cancelled | Self::Erased => ServiceStatus::Cancelled,
        }
    }
}

/// The step that comes next, unless somebody does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextStep {
    /// Which.
    pub step: LapseStep,
    /// Why.
    pub reason: StatusReason,
    /// When.
    pub at: Timestamp,
    /// When the step before it was taken; for the first, when the account was registered.
    pub(crate) after: Timestamp,
}

/// Whether an account is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentState {
    /// In one word.
    pub status: PaymentStatus,
    /// Until when its tier is paid for, or was; absent where nothing has to be paid.
    pub paid_until: Option<Timestamp>,
    /// Since when it is overdue.
    pub overdue_since: Option<Timestamp>,
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
    /// Days that have begun and not ended: as many as it has on the first day, 0 once it has expired.
    pub days_left: u32,
}

/// The rules by which time changes what accounts may do.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    periods: LapsePeriods,
    terms: Terms,
}

/// The steps of an account's lapse, in order, each with its instant.
struct Lapse {
    reason: StatusReason,
    /// Absent where nothing is ever paid: a trial has no grace.
    overdue: Option<Timestamp>,
    read_only: Timestamp,
    suspended: Timestamp,
    cancelled: Timestamp,
}

impl Lapse {
    /// The step that was taken last, if any was.
    fn taken(&self, now: Timestamp) -> Option<(LapseStep, Timestamp)> {
        self.steps().filter(|(_, at)| *at <= now).last()
    }

    fn steps(&self) -> impl Iterator<Item = (LapseStep, Timestamp)> {
        let overdue = self.overdue.map(|at| (LapseStep::Overdue, at));
        let rest = [
            (LapseStep::ReadOnly, self.read_only),
            (LapseStep::Suspended, self.suspended),
            (LapseStep::Cancelled, self.cancelled),
        ];
        overdue.into_iter().chain(rest)
    }
}

impl Lifecycle {
    /// By those periods and terms.
    #[must_use]
    pub const fn new(periods: LapsePeriods, terms: Terms) -> Self {
        Self { periods, terms }
    }

    pub(crate) const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The standing of an account at an instant: the strictest of what its payments, its holder, its breaches of the terms
    /// and an operator say; lifting one leaves the others. Where two say the same, the one shows that payment alone would
    /// not lift, and the operator's before all.
    #[must_use]
    pub fn standing(&self, account: &Account, now: Timestamp) -> Standing {
        let lapse = self.lapse(account);
        let (mut status, mut reason, mut since) = match lapse.taken(now) {
            Some((step, at)) if step != LapseStep::Overdue => (step.status(), lapse.reason, at),
            _ => (ServiceStatus::Active, StatusReason::None, active_since(account, now)),
        };
        let others = [
            (account.cancelled_at.map(|at| (ServiceStatus::Cancelled, at)), StatusReason::Owner),
            (tos::strictest(&account.restrictions, now), StatusReason::TosViolation),
            (account.operator_status.as_ref().map(|decided| (decided.status, decided.since)), StatusReason::Operator),
        ];
        for (said, why) in others {
            if let Some((strict, at)) = said
                && strict >= status
                && strict > ServiceStatus::Active
            {
                (status, reason, since) = (strict, why, at);
            }
        }
        Standing { status, reason, since, are_terms_due: !self.terms.are_met_by(account.terms.as_ref(), now) }
    }

    /// When an account is gone for good, as things stand: so long after it was cancelled, whoever did that.
    #[must_use]
    pub fn erased_at(&self, account: &Account) -> Timestamp {
        let decided = account.operator_status.as_ref();
        let decided = decided.filter(|decided| decided.status == ServiceStatus::Cancelled).map(|decided| decided.since);
        let cancelled =
            [account.cancelled_at, decided].into_iter().flatten().chain([self.lapse(account).cancelled]).min();
        // One is always there.
        cancelled.unwrap_or(Timestamp::LAST).after(self.periods.cancelled)
    }

    /// Whether an account is gone for good, also where nobody has removed it yet.
    #[must_use]
    pub fn is_gone(&self, account: &Account, now: Timestamp) -> bool {
        self.erased_at(account) <= now
    }

    /// The next step that time takes with an account, unless somebody does something.
    #[must_use]
    pub fn next_step(&self, account: &Account, now: Timestamp) -> Option<NextStep> {
        let standing = self.standing(account, now);
        if standing.status == ServiceStatus::Cancelled {
            let at = self.erased_at(account);
            let (step, reason, after) = (LapseStep::Erased, standing.reason, at.before(self.periods.cancelled));
            return (at > now).then_some(NextStep { step, reason, at, after });
        }
        let lapse = self.lapse(account);
        let (step, at) = lapse.steps().find(|(_, at)| *at > now)?;
        let after = lapse.taken(now).map_or(account.created_at, |(_, at)| at);
        Some(NextStep { step, reason: lapse.reason, at, after })
    }

    /// Whether an account is paid for.
    #[must_use]
    pub fn payment(&self, account: &Account, now: Timestamp) -> PaymentState {
        let state = |status| PaymentState { status, paid_until: None, overdue_since: None };
        if account.tier == TierName::Free {
            let is_trial = account.trial_ends_at > now;
            return state(if is_trial { PaymentStatus::NotRequired } else { PaymentStatus::Unpaid });
        }
        let until = paid_until(account);
        let paid_until = Some(until);
        if until > now {
            PaymentState { paid_until, ..state(PaymentStatus::Paid) }
        } else {
            PaymentState { paid_until, overdue_since: Some(until), ..state(PaymentStatus::Overdue) }
        }
    }

    /// What an account's payments alone lead to.
    fn lapse(&self, account: &Account) -> Lapse {
        let LapsePeriods { grace, read_only, suspended, .. } = self.periods;
        let (reason, overdue, read_only_at) = if account.tier == TierName::Free {
            (StatusReason::TrialExpired, None, account.trial_ends_at)
        } else {
            let until = paid_until(account);
            (StatusReason::PaymentOverdue, Some(until), until.after(grace))
        };
        let suspended_at = read_only_at.after(read_only);
        Lapse {
            reason,
            overdue,
            read_only: read_only_at,
            suspended: suspended_at,
            cancelled: suspended_at.after(suspended),
        }
    }
}

/// A paid tier that nothing was ever paid for counts as run out from the start.
fn paid_until(account: &Account) -> Timestamp {
    account.paid.until(account.tier).unwrap_or(account.created_at)
}

/// Since when an account is active: since somebody lifted what was in its way, or a restriction ended by the clock.
fn active_since(account: &Account, now: Timestamp) -> Timestamp {
    tos::last_ended(&account.restrictions, now).map_or(account.active_since, |ended| ended.max(account.active_since))
}

/// The trial of an account; absent on the tiers that have none.
#[must_use]
pub fn trial(account: &Account, now: Timestamp) -> Option<Trial> {
    if account.tier != TierName::Free {
        return None;
    }
    let ends_at = account.trial_ends_at;
    let days_left = ends_at.since(now).as_secs().div_ceil(DAY.as_secs());
    Some(Trial {
        started_at: account.trial_started_at,
        ends_at,
        is_expired: now >= ends_at,
        days_left: u32::try_from(days_left).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
