use std::str::FromStr;
use std::time::Duration;

use crate::Error;
use crate::allocation::UnknownName;
use crate::jobs::purge::purge;
use crate::payment;
use crate::platform::Inner;

/// What is done by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobName {
    /// Removes what has run out: sessions, quotas, violations, usage past its retention. Makes room for usage to come.
    Purge,
    /// Tells what time did to accounts, and erases those whose time has come.
    Lifecycle,
}

impl JobName {
    /// Every job.
    pub const ALL: [Self; 2] = [Self::Purge, Self::Lifecycle];

    /// The name in tables, answers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Purge => "PURGE",
            Self::Lifecycle => "LIFECYCLE",
        }
    }

    /// How often it is done, from one beginning to the next. One that failed waits as long.
    #[must_use]
    pub const fn interval(self) -> Duration {
        match self {
            // What has run out takes room and holds nothing up.
            Self::Purge => Duration::from_hours(1),
            // What it tells is told days ahead; what it would change holds already.
            Self::Lifecycle => Duration::from_secs(60),
        }
    }

    /// Does it, and says how many things were done.
    pub(super) async fn perform(self, inner: &Inner) -> Result<u64, Error> {
        match self {
            Self::Purge => purge(inner).await,
            Self::Lifecycle => payment::job::follow_clock(inner).await,
        }
    }
}

impl FromStr for JobName {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|job| job.name() == text).ok_or(UnknownName)
    }
}
