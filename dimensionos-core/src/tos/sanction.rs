//! What may follow from a breach of the terms, in rising order, and for how long.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::allocation::{Allocation, LimitOverride, Resource, UnknownName};
use crate::id::ViolationId;
use crate::payment::ServiceStatus;
use crate::time::Timestamp;

/// What a throttled account may still do in an hour: one part in so many of what its tier grants. Enough to work on what
/// is wrong, too little to go on with it.
pub const THROTTLE_PART: u64 = 10;

/// How long an appeal may wait before its sanction is relaxed by one step.
pub const APPEAL_PATIENCE: Duration = Duration::from_hours(14 * 24);

/// What follows from a breach of the terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Sanction {
    /// Nothing: the account is shown what was found.
    None,
    /// A warning.
    Warn,
    /// A part of what the tier grants by the hour.
    Throttle,
    /// The account is read-only.
    ReadOnly,
    /// The account is suspended.
    Suspend,
}

impl Sanction {
    /// Every sanction, in rising order.
    pub const ALL: [Self; 5] = [Self::None, Self::Warn, Self::Throttle, Self::ReadOnly, Self::Suspend];

    /// The name in tables and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Warn => "WARN",
            Self::Throttle => "THROTTLE",
            Self::ReadOnly => "READ_ONLY",
            Self::Suspend => "SUSPEND",
        }
    }

    /// One step less.
    #[must_use]
    pub const fn relaxed(self) -> Self {
        match self {
            Self::None | Self::Warn => Self::None,
            Self::Throttle => Self::Warn,
            Self::ReadOnly => Self::Throttle,
            Self::Suspend => Self::ReadOnly,
        }
    }

    /// What it leaves of an account's status.
    #[must_use]
    pub const fn status(self) -> ServiceStatus {
        match self {
            Self::None | Self::Warn | Self::Throttle => ServiceStatus::Active,
            Self::ReadOnly => ServiceStatus::ReadOnly,
            Self::Suspend => ServiceStatus::Suspended,
        }
    }
}

impl FromStr for Sanction {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|sanction| sanction.name() == text).ok_or(UnknownName)
    }
}

/// A sanction that an account is under, kept with the account so that whoever reads it knows without asking further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restriction {
    /// What it follows from.
    pub violation: ViolationId,
    /// How far it goes; at least [`Sanction::Throttle`], for less restricts nothing.
    pub sanction: Sanction,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
    /// When it goes one step down by itself: its appeal has waited for too long by then.
    pub relaxes_at: Option<Timestamp>,
}

impl Restriction {
    /// What is in force at an instant. Derived from the clock, so that it ends also where no job runs.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Sanction {
        if self.until <= now {
            Sanction::None
        } else if self.relaxes_at.is_some_and(|at| at <= now) {
            self.sanction.relaxed()
        } else {
            self.sanction
        }
    }
}

/// As a storage keeps it.
#[derive(Serialize, Deserialize)]
struct Stored {
    violation: String,
    sanction: Sanction,
    since: i64,
    until: i64,
    relaxes_at: Option<i64>,
}

impl Restriction {
    /// Restrictions as a storage keeps them, with their account.
    #[must_use]
    pub fn to_text(restrictions: &[Self]) -> String {
        let stored = restrictions.iter().map(|own| Stored {
            violation: own.violation.to_string(),
            sanction: own.sanction,
            since: own.since.as_millis(),
            until: own.until.as_millis(),
            relaxes_at: own.relaxes_at.map(Timestamp::as_millis),
        });
        // Names and numbers: it cannot fail.
        serde_json::to_string(&stored.collect::<Vec<_>>()).unwrap_or_default()
    }

    /// The same as a storage kept them; absent where it is something else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Vec<Self>> {
        let stored: Vec<Stored> = serde_json::from_str(text).ok()?;
        let read = stored.into_iter().map(|own| {
            Some(Self {
                violation: own.violation.parse().ok()?,
                sanction: own.sanction,
                since: Timestamp::from_millis(own.since),
                until: Timestamp::from_millis(own.until),
                relaxes_at: own.relaxes_at.map(Timestamp::from_millis),
            })
        });
        read.collect()
    }
}

/// The strictest restriction on the status of an account, and since when; absent where there is none.
pub(crate) fn strictest(restrictions: &[Restriction], now: Timestamp) -> Option<(ServiceStatus, Timestamp)> {
    let in_force = restrictions.iter().map(|restriction| (restriction.at(now).status(), restriction.since));
    // Of two of a kind the older shows: since then nothing has changed.
    in_force
        .filter(|(status, _)| *status != ServiceStatus::Active)
        .max_by(|(one, since), (other, later)| one.cmp(other).then(later.cmp(since)))
}

/// When the last restriction of an account's status ended by the clock; absent where none did.
pub(crate) fn last_ended(restrictions: &[Restriction], now: Timestamp) -> Option<Timestamp> {
    let ended = restrictions.iter().filter(|own| own.sanction.status() != ServiceStatus::Active).filter_map(|own| {
        let relaxed = own.relaxes_at.filter(|_| own.sanction.relaxed().status() == ServiceStatus::Active);
        Some(relaxed.map_or(own.until, |at| at.min(own.until))).filter(|at| *at <= now)
    });
    ended.max()
}

/// The limits of a throttled account; none where it is not. Whoever may only read can use nothing, and where that is
/// about to be relaxed the limits of a throttled account are in place when it is.
pub(crate) fn throttled(allocation: &Allocation, restrictions: &[Restriction], now: Timestamp) -> Vec<LimitOverride> {
    let throttles = restrictions.iter().filter(|restriction| match restriction.at(now) {
        Sanction::Throttle => true,
        Sanction::ReadOnly => restriction.relaxes_at.is_some(),
        Sanction::None | Sanction::Warn | Sanction::Suspend => false,
    });
    let end = |restriction: &Restriction| match (restriction.sanction, restriction.relaxes_at) {
        // What relaxes from a throttle is a warning.
        (Sanction::Throttle, Some(at)) => restriction.until.min(at),
        _ => restriction.until,
    };
    let Some(until) = throttles.map(end).max() else { return Vec::new() };
    let hourly = [
        (Resource::ApiCalls, allocation.api_calls_per_hour),
        (Resource::FileOperations, allocation.file_operations_per_hour),
    ];
    hourly.map(|(resource, limit)| LimitOverride { resource, limit: limit / THROTTLE_PART, until }).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::TierName;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    fn restriction(sanction: Sanction) -> Restriction {
        let violation = ViolationId::from_bits(1);
        Restriction { violation, sanction, since: NOW, until: NOW.after(30 * DAY), relaxes_at: None }
    }

    #[test]
    fn a_restriction_ends_by_the_clock_and_relaxes_one_step_where_its_appeal_waits() {
        let mut read_only = restriction(Sanction::ReadOnly);
        assert_eq!(read_only.at(NOW), Sanction::ReadOnly);
        assert_eq!(read_only.at(read_only.until), Sanction::None);
        read_only.relaxes_at = Some(NOW.after(APPEAL_PATIENCE));
        assert_eq!(read_only.at(NOW.after(APPEAL_PATIENCE - Duration::from_millis(1))), Sanction::ReadOnly);
        assert_eq!(read_only.at(NOW.after(APPEAL_PATIENCE)), Sanction::Throttle);
        assert_eq!(strictest(&[read_only], NOW.after(APPEAL_PATIENCE)), None);
        let free = Allocation::initial(TierName::Free);
        let limits = throttled(&free, &[read_only], NOW.after(APPEAL_PATIENCE));
        assert_eq!(limits.iter().map(|own| own.limit).collect::<Vec<_>>(), [100, 1_000]);
        // Already in place, for nothing can be used before.
        assert_eq!(throttled(&free, &[read_only], NOW), limits);
        assert!(throttled(&free, &[restriction(Sanction::ReadOnly)], NOW).is_empty());
        let throttle = Restriction { sanction: Sanction::Throttle, ..read_only };
        assert_eq!(throttled(&free, &[throttle], NOW)[0].until, NOW.after(APPEAL_PATIENCE));
    }

    #[test]
    fn what_is_stored_reads_back() {
        let relaxing = Restriction { relaxes_at: Some(NOW), ..restriction(Sanction::Suspend) };
        let all = vec![restriction(Sanction::Throttle), relaxing];
        assert_eq!(Restriction::from_text(&Restriction::to_text(&all)), Some(all));
        assert_eq!(Restriction::from_text("[{}]"), None);
    }

    #[test]
    fn the_strictest_shows_and_of_two_alike_the_older() {
        let older = Restriction { since: NOW.before(DAY), ..restriction(Sanction::ReadOnly) };
        let all = [restriction(Sanction::Throttle), restriction(Sanction::ReadOnly), older];
        assert_eq!(strictest(&all, NOW), Some((ServiceStatus::ReadOnly, older.since)));
        let suspended = [older, restriction(Sanction::Suspend)];
        assert_eq!(strictest(&suspended, NOW), Some((ServiceStatus::Suspended, NOW)));
        assert_eq!(strictest(&all[..1], NOW), None);
    }
}
